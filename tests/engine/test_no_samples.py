"""A byte of sound never becomes a Python object: nothing of what streams carry crosses engine_next.

Control and client are the test itself; every payload that the engine hands to
Python is kept and searched for the pattern that the samples are made of.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import msgpack
import pytest

from audiod.engine import (
    ConnClosed,
    Device,
    DeviceConf,
    DevicePar,
    Encoding,
    Engine,
    Message,
    ProtocolBreach,
    StreamFlag,
    StreamPar,
    StreamReleased,
)

PATTERN = bytes.fromhex("5ac31e77a94b0d92")  # two frames of s16 stereo
ROUND = 48


class Session:
    """One connection with one duplex stream on a manual loop, and all that Python got to see."""

    def __init__(self, engine: Engine, device: Device) -> None:
        self.engine = engine
        self.device = device
        near, far = socket.socketpair()
        near.settimeout(20)
        self.sock = near
        self.conn = engine.conn_new(0, far.detach())
        par = StreamPar(Encoding(16, 2), StreamFlag.PLAY | StreamFlag.REC, 48000, 2, 2, 4 * ROUND)
        self.stream = device.stream_new(1, par)
        self.unpacker = msgpack.Unpacker()
        self.seen: list[bytes] = []
        self.heard = b""
        self.credit = 0
        self.gone: set[type] = set()

    def events(self) -> None:
        for event in self.engine.events():
            if isinstance(event, Message):
                self.seen.append(event.data)
            self.gone.add(type(event))

    def send(self, *message: object) -> None:
        self.sock.sendall(msgpack.packb(list(message)))

    def receive(self, what: str | int) -> list[object]:
        """The next message of this method (or response of this id); others are taken note of."""
        while True:
            for message in self.unpacker:
                if message[1] == "credit":
                    self.credit += message[2][1]
                elif message[1] == "data":
                    self.heard += message[2][1]
                if message[1] == what:
                    return list(message)
            self.unpacker.feed(self.sock.recv(1 << 16))

    def play(self, nblocks: int) -> None:
        """Samples of the pattern, as they are let in, and what is recorded of them."""
        self.conn.start(self.stream, 0, msgpack.packb([1, 1, None, {"stream": 0}]))
        for _ in range(nblocks):
            while not self.credit:
                self.receive("credit")
            self.send(2, "write", [0, PATTERN * (self.credit // 2)])
            self.credit %= 2
            while self.stream.stats().written - self.stream.stats().consumed < 4 * ROUND:
                self.events()
            self.device.step(1)
        self.send(0, 2, "flush", [{"stream": 0}])
        while StreamReleased not in self.gone:
            self.device.step(1)
            self.events()
        self.receive(2)

    def close(self) -> None:
        self.sock.close()
        while ConnClosed not in self.gone:
            self.events()
        self.conn.free()
        self.stream.free()

    def leaked(self) -> bool:
        """Whether any turn of the pattern came to Python, whole or across two payloads."""
        doubled = PATTERN * 2
        turns = [doubled[i : i + 6] for i in range(8)]
        return any(t in b"".join(self.seen) for t in turns)


@contextmanager
def session() -> Iterator[Session]:
    engine = Engine()
    device = engine.device_open(
        0, DeviceConf("manual", DevicePar(Encoding(16, 2), 48000, ROUND, 4 * ROUND, 2, 2))
    )
    s = Session(engine, device)
    try:
        yield s
    finally:
        s.close()
        device.close()
        engine.close()


def test_samples_never_reach_python() -> None:
    with session() as s:
        s.send(0, 7, "getpar", [{"stream": 0}])
        s.play(40)
        assert s.heard.count(PATTERN) > 500, "they went through the engine and came back"
        assert ProtocolBreach not in s.gone
        assert [msgpack.unpackb(m)[2] for m in s.seen] == ["getpar"], "requests are what Python sees"
        assert not s.leaked()


@pytest.mark.parametrize("method", ["writ", "onwrite"])
def test_the_check_sees_samples_that_do(method: str) -> None:
    """The breach planted: the same bytes under a name that the pump does not know."""
    with session() as s:
        s.send(0, 7, method, [0, PATTERN * 8])
        s.play(10)
        assert s.leaked()
