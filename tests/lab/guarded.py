"""A busy engine in this process, its threads watched by guard.c; prints what they did, as JSON.

Two real clocks (loopback and null, or those that the arguments name) with
streams over connections: resampled, 24 bits, mono, floats, duplex, a monitor,
volumes that never stop moving, one that stops and starts.  Run by test_never.py
with guard.so in LD_PRELOAD.
One thread is both control and the clients.
"""

from __future__ import annotations

import ctypes
import json
import select
import socket
import sys
from dataclasses import dataclass, field

import msgpack

from audiod.engine import (
    Conn,
    Device,
    DeviceConf,
    DevicePar,
    Encoding,
    Engine,
    Stream,
    StreamFlag,
    StreamPar,
    StreamReleased,
)

WHAT = ("alloc", "free", "map", "lock", "wait", "wake")
WARM, WATCHED = 60, 400  # cycles of each device
S16, S24, F32 = Encoding(16, 2), Encoding(24, 4), Encoding(32, 4, flt=True)
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
    unpacker: msgpack.Unpacker = field(default_factory=msgpack.Unpacker)

    def start(self, ident: int) -> None:
        self.stream = self.device.stream_new(ident, self.par)
        self.credit = 0
        self.conn.start(self.stream, 0, msgpack.packb([1, 1, None, {"stream": 0}]))

    def send(self, message: list[object]) -> None:
        self.sock.sendall(msgpack.packb(message))

    def take(self) -> None:
        self.unpacker.feed(self.sock.recv(1 << 16))
        for message in self.unpacker:
            if message[1] == "credit":
                self.credit += message[2][1]
        if self.credit and self.par.flags & PLAY:
            frame = self.par.enc.bps * self.par.pchan
            n = min(self.credit, 65536 // frame)
            self.send([2, "write", [0, bytes(n * frame)]])
            self.credit -= n


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
        StreamPar(S16, PLAY, 44100, 2, 2, 1920),
        StreamPar(S24, PLAY | REC, 48000, 1, 1, 1920),
        StreamPar(F32, PLAY | REC, 96000, 2, 2, 3840, xrun=1, pmin=2, pmax=3, rmin=2, rmax=3),
        StreamPar(S16, MON, 48000, 2, 2, 1920),
        StreamPar(S16, REC | MON, 44100, 2, 2, 1920),
    ]
    clients: list[Client] = []
    for device in devices:
        for p in wanted:
            near, far = socket.socketpair()
            clients.append(Client(near, engine.conn_new(len(clients), far.detach()), device, p))
            clients[-1].start(len(clients))
    by_fd = {c.sock.fileno(): c for c in clients}
    streams = {c.stream.id: c for c in clients if c.stream}
    names: dict[int, str] = {}  # by tid
    turn, next_id, begun = 0, 1000, [-1, -1]
    while True:
        ready, _, _ = select.select([engine.fileno(), *by_fd], [], [], 10)
        assert ready, "nothing happens"
        for fd in ready:
            if fd in by_fd:
                by_fd[fd].take()
        for event in engine.events():
            if isinstance(event, StreamReleased):  # stopped: start again
                client = streams.pop(event.stream)
                assert client.stream is not None
                client.stream.free()
                next_id += 1
                client.start(next_id)
                streams[next_id] = client
        turn += 1
        if turn % 7 == 0:  # ramps never end
            clients[turn % 3].send([0, 2, "setvol", [{"stream": 0, "vol": turn % 128}]])
            devices[turn % 2].setgain(1 / (1 + turn % 5))
        if turn % 50 == 0:
            clients[1].send([0, 3, "flush", [{"stream": 0}]])
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
    print(json.dumps({"threads": counts, "restarts": next_id - 1000}))


main()
