"""A busy engine in this process, its threads watched by guard.c; prints what they did, as JSON.

Two real clocks (loopback and null, or those that the arguments name) with
streams over connections of either protocol: resampled, 24 bits, mono, floats,
duplex, a monitor, volumes and gains of channels that never stop moving, streams
that are held and let go, two that stop and start, one of them by go.  Run by
test_never.py with guard.so in LD_PRELOAD.
One thread is both control and the clients.
"""

from __future__ import annotations

import ctypes
import json
import select
import socket
import sys
from abc import abstractmethod
from dataclasses import dataclass, field, replace

import msgpack
from audiod_protocol.sndio import messages as sndio

from audiod.engine import (
    Conn,
    Device,
    DeviceConf,
    DevicePar,
    Encoding,
    Engine,
    StartMode,
    Stream,
    StreamFlag,
    StreamHeld,
    StreamPar,
    StreamReleased,
    Wire,
)

WHAT = ("alloc", "free", "map", "lock", "wait", "wake")
WARM, WATCHED = 60, 400  # cycles of each device
S16, S24, F32 = Encoding(16, 2), Encoding(24, 4), Encoding(32, 4, flt=True)
QNX = (0.2, 0.1), (0.8, 0.9)
PLAY, REC, MON = StreamFlag.PLAY, StreamFlag.REC, StreamFlag.MON


@dataclass
class Client:
    """One connection with one stream, its number 0."""

    sock: socket.socket
    conn: Conn
    device: Device
    par: StreamPar
    stream: Stream | None = None
    credit: int = 0
    stopping: bool = False  # what comes until its answer is of the stream that it stops

    def start(self, ident: int) -> None:
        self.stream = self.device.stream_new(ident, self.par)
        self.conn.start(self.stream, 0, self.started())
        if self.par.start == StartMode.GO:
            self.stream.go()

    def take(self) -> None:
        self.hear(self.sock.recv(1 << 16))
        while self.credit and not self.stopping:
            self.credit -= self.write(self.par.enc.bps * self.par.pchan)

    @abstractmethod
    def started(self) -> bytes:
        """What control answers a start with."""

    @abstractmethod
    def hear(self, data: bytes) -> None: ...

    @abstractmethod
    def write(self, frame: int) -> int:
        """Frames written, of that many bytes: some of the credit."""

    @abstractmethod
    def setvol(self, vol: int) -> None: ...

    @abstractmethod
    def flush(self) -> None: ...


@dataclass
class Native(Client):
    unpacker: msgpack.Unpacker = field(default_factory=msgpack.Unpacker)

    def started(self) -> bytes:
        return bytes(msgpack.packb([1, 1, None, {"stream": 0}]))

    def hear(self, data: bytes) -> None:
        self.unpacker.feed(data)
        for message in self.unpacker:
            if message[1] == "credit":
                self.credit += message[2][1]
            elif message[:2] == [1, 3]:
                self.credit, self.stopping = 0, False

    def send(self, message: list[object]) -> None:
        self.sock.sendall(msgpack.packb(message))

    def write(self, frame: int) -> int:
        n = min(self.credit, 65536 // frame)
        self.send([2, "write", [0, bytes(n * frame)]])
        return n

    def setvol(self, vol: int) -> None:
        self.send([0, 2, "setvol", [{"stream": 0, "vol": vol}]])

    def flush(self) -> None:
        self.stopping = True
        self.send([0, 3, "flush", [{"stream": 0}]])


@dataclass
class Sndio(Client):
    heard: bytes = b""
    done: int = 0  # frames of the block under way

    def started(self) -> bytes:
        return b""

    def hear(self, data: bytes) -> None:
        self.heard += data
        while len(self.heard) >= sndio.MSG_SIZE:
            message = sndio.decode_server(self.heard[: sndio.MSG_SIZE])
            size = sndio.MSG_SIZE + (message.size if isinstance(message, sndio.Data) else 0)
            if len(self.heard) < size:
                return
            self.heard = self.heard[size:]
            if isinstance(message, sndio.Flowctl):
                self.credit += message.delta
            elif isinstance(message, sndio.Stop):
                self.credit, self.done, self.stopping = 0, 0, False

    def write(self, frame: int) -> int:
        n = min(self.credit, self.par.round - self.done, sndio.DATAMAX // frame)
        self.done = (self.done + n) % self.par.round
        self.sock.sendall(sndio.encode(sndio.Data(n * frame)) + bytes(n * frame))
        return n

    def setvol(self, vol: int) -> None:
        self.sock.sendall(sndio.encode(sndio.Setvol(vol)))

    def flush(self) -> None:
        self.stopping = True
        self.sock.sendall(sndio.encode(sndio.Stop(False)))


def main() -> None:
    guard = ctypes.CDLL(None)
    guard.guard_count.restype = ctypes.c_long
    engine = Engine()
    par = DevicePar(S16, 48000, 96, 384, 4, 4)
    devices = []
    for i, name in enumerate(sys.argv[1:] or ("loopback", "null")):
        driver, _, arg = name.partition(":")
        devices.append(engine.device_open(i, DeviceConf(driver, par, arg=arg)))
    base = StreamPar(S16, PLAY, 48000, 2, 2, 1920)
    wanted = [
        base,
        StreamPar(S16, PLAY, 44100, 2, 2, 1920, start=StartMode.GO),
        StreamPar(S24, PLAY | REC, 48000, 1, 1, 1920),
        StreamPar(F32, PLAY | REC, 96000, 2, 2, 3840, xrun=1, pmin=2, pmax=3, rmin=2, rmax=3),
        StreamPar(S16, MON, 48000, 2, 2, 1920),
        StreamPar(S16, REC | MON, 44100, 2, 2, 1920),
    ]
    clients: list[Client] = []
    for wire in Wire:
        for device in devices:
            for p in wanted:
                near, far = socket.socketpair()
                conn = engine.conn_new(len(clients), far.detach(), wire)
                if wire == Wire.SNDIO:
                    told = replace(
                        p, flags=p.flags | StreamFlag.TELLXRUN, round=p.rate * par.round // par.rate
                    )
                    clients.append(Sndio(near, conn, device, told))
                else:
                    clients.append(Native(near, conn, device, p))
                clients[-1].start(len(clients))
    by_fd = {c.sock.fileno(): c for c in clients}
    streams = {c.stream.id: c for c in clients if c.stream}
    names: dict[int, str] = {}  # by tid
    turn, next_id, begun, nheld = 0, 1000, [-1, -1], 0
    restarts = {"Native": 0, "Sndio": 0}
    while True:
        ready, _, _ = select.select([engine.fileno(), *by_fd], [], [], 10)
        assert ready, "nothing happens"
        for fd in ready:
            if fd in by_fd:
                by_fd[fd].take()
        for event in engine.events():
            nheld += isinstance(event, StreamHeld)
            if isinstance(event, StreamReleased):  # stopped: start again
                client = streams.pop(event.stream)
                assert client.stream is not None
                client.stream.free()
                next_id += 1
                restarts[type(client).__name__] += 1
                client.start(next_id)
                streams[next_id] = client
        turn += 1
        if turn % 7 == 0:  # ramps never end
            for first in (0, len(clients) // 2):
                clients[first + turn % 3].setvol(turn % 128)
            devices[turn % 2].setgain(1 / (1 + turn % 5))
            devices[turn % 2].setcurve(QNX if turn % 3 else (), nframes=turn % 1000)
        if turn % 5 == 0:  # all but those that stop and start, each held and let go in turn
            k = turn // 5
            client, hold = clients[k % len(clients)], (k // len(clients) + k) % 2 == 0
            if client.par.start != StartMode.GO and client.stream is not None:
                curve = QNX if turn % 3 else ()
                client.stream.aim((1, turn % 11 / 10), curve=curve, nframes=turn % 500, hold=hold)
        if turn % 50 == 0:
            for first in (0, len(clients) // 2):
                if not clients[first + 1].stopping:
                    clients[first + 1].flush()
        cycles = [d.stats().cycles for d in devices]
        if begun[0] < 0 and min(cycles) > WARM:
            begun = cycles
            names = {t.tid: "pump" if t.device is None else str(t.device) for t in engine.threads()}
            for i, tid in enumerate(names):
                guard.guard_watch(i, tid)
        if begun[0] >= 0 and all(c - b > WATCHED for c, b in zip(cycles, begun, strict=True)):
            break
    counts = {
        name: {w: guard.guard_count(i, k) for k, w in enumerate(WHAT)}
        for i, name in enumerate(names.values())
    }
    print(json.dumps({"threads": counts, "restarts": restarts, "held": nheld}))


main()
