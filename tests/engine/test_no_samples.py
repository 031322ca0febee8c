"""A byte of sound never becomes a Python object: nothing of what streams carry crosses engine_next.

Control and client are the test itself; every payload that the engine hands to
Python is kept and searched for the pattern that the samples are made of.
"""

import socket
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import msgpack
import pytest
from audiod_protocol.sndio import messages as sndio

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
    Wire,
)

PATTERN = bytes.fromhex("5ac31e77a94b0d92")  # two frames of s16 stereo
ROUND = 48


class Session(ABC):
    """One connection with one duplex stream on a manual loop, and all that Python got to see."""

    wire: Wire

    def __init__(self, engine: Engine, device: Device) -> None:
        self.engine = engine
        self.device = device
        near, far = socket.socketpair()
        near.settimeout(20)
        self.sock = near
        self.conn = engine.conn_new(0, far.detach(), self.wire)
        flags = StreamFlag.PLAY | StreamFlag.REC
        self.stream = device.stream_new(
            1, StreamPar(Encoding(16, 2), flags, 48000, 2, 2, 4 * ROUND, round=ROUND)
        )
        self.seen: list[bytes] = []
        self.heard = b""
        self.credit = 0
        self.gone: set[type] = set()

    @abstractmethod
    def begin(self) -> None: ...

    @abstractmethod
    def await_credit(self) -> None: ...

    @abstractmethod
    def write(self) -> None:
        """As much as may be written now, less than one turn of the pattern excepted."""

    @abstractmethod
    def flush(self) -> None: ...

    @abstractmethod
    def await_flush(self) -> None: ...

    def events(self) -> None:
        for event in self.engine.events():
            if isinstance(event, Message):
                self.seen.append(event.data)
            self.gone.add(type(event))

    def play(self, nblocks: int) -> None:
        """Samples of the pattern, as they are let in, and what is recorded of them."""
        self.begin()
        for _ in range(nblocks):
            while not self.credit:
                self.await_credit()
            self.write()
            while self.stream.stats().written - self.stream.stats().consumed < 4 * ROUND:
                self.events()
            self.device.step(1)
        self.flush()
        while StreamReleased not in self.gone:
            self.device.step(1)
            self.events()
        self.await_flush()

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


class Native(Session):
    wire = Wire.NATIVE

    def __init__(self, engine: Engine, device: Device) -> None:
        super().__init__(engine, device)
        self.unpacker = msgpack.Unpacker()

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

    def begin(self) -> None:
        self.conn.start(self.stream, 0, msgpack.packb([1, 1, None, {"stream": 0}]))

    def await_credit(self) -> None:
        self.receive("credit")

    def write(self) -> None:
        self.send(2, "write", [0, PATTERN * (self.credit // 2)])
        self.credit %= 2

    def flush(self) -> None:
        self.send(0, 2, "flush", [{"stream": 0}])

    def await_flush(self) -> None:
        self.receive(2)


class Sndio(Session):
    wire = Wire.SNDIO

    def send(self, message: sndio.ClientMessage, data: bytes = b"") -> None:
        self.sock.sendall(sndio.encode(message) + data)

    def exactly(self, size: int) -> bytes:
        return self.sock.recv(size, socket.MSG_WAITALL)

    def receive(self, what: type) -> None:
        """Up to the next message of this type; others are taken note of."""
        message = None
        while not isinstance(message, what):
            message = sndio.decode_server(self.exactly(sndio.MSG_SIZE))
            if isinstance(message, sndio.Flowctl):
                self.credit += message.delta
            elif isinstance(message, sndio.Data):
                self.heard += self.exactly(message.size)

    def begin(self) -> None:
        self.conn.start(self.stream, 0, b"")

    def await_credit(self) -> None:
        self.receive(sndio.Flowctl)

    def write(self) -> None:
        while self.credit:  # whole blocks of it, as credit comes
            self.send(sndio.Data(4 * ROUND), PATTERN * (ROUND // 2))
            self.credit -= ROUND

    def flush(self) -> None:
        self.send(sndio.Stop(False))

    def await_flush(self) -> None:
        self.receive(sndio.Stop)


@contextmanager
def session(speaks: type[Session]) -> Iterator[Session]:
    engine = Engine()
    device = engine.device_open(
        0, DeviceConf("manual", DevicePar(Encoding(16, 2), 48000, ROUND, 4 * ROUND, 2, 2))
    )
    s = speaks(engine, device)
    try:
        yield s
    finally:
        s.close()
        device.close()
        engine.close()


def check_that_it_played(s: Session) -> None:
    assert s.heard.count(PATTERN) > 500, "they went through the engine and came back"
    assert ProtocolBreach not in s.gone
    assert not s.leaked()


def test_samples_never_reach_python() -> None:
    with session(Native) as s:
        assert isinstance(s, Native)
        s.send(0, 7, "getpar", [{"stream": 0}])
        s.play(40)
        check_that_it_played(s)
        assert [msgpack.unpackb(m)[2] for m in s.seen] == ["getpar"], "requests are what Python sees"


def test_nor_do_those_of_sndio_clients() -> None:
    with session(Sndio) as s:
        assert isinstance(s, Sndio)
        s.send(sndio.Getpar())
        s.play(40)
        check_that_it_played(s)
        assert s.seen == [sndio.encode(sndio.Getpar())], "the other messages are what Python sees"


@pytest.mark.parametrize("method", ["writ", "onwrite"])
def test_the_check_sees_samples_that_do(method: str) -> None:
    """The breach planted: the same bytes under a name that the pump does not know."""
    with session(Native) as s:
        assert isinstance(s, Native)
        s.send(0, 7, method, [0, PATTERN * 8])
        s.play(10)
        assert s.leaked()


def test_the_check_sees_those_of_sndio_clients() -> None:
    """The breach planted: samples in a message that is not DATA."""
    with session(Sndio) as s:
        s.sock.sendall(sndio.encode(sndio.Hello(1, 255, 1, "", ""))[:8] + PATTERN * 4)
        s.play(10)
        assert s.leaked()
