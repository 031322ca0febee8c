"""A small server of sndio's wire for tests of its clients: the server role of the protocol, in a thread.

It judges every message, grants credit as its clock moves, echoes nothing and
records a ramp; `FakeSndiod.on` replaces what follows a message by a script.
Invariant: it never waits for time, only for the client, so each test runs the
same way each time.  `log` is what the clients sent; read it after `settle`.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from audiod_protocol import NEED_DATA
from audiod_protocol.sndio import messages as m
from audiod_protocol.sndio.messages import WireMode, WirePar
from audiod_protocol.sndio.server import Phase, Samples, Server

ROUND, APPBUFSZ, BUFSZ = 480, 960, 1440
BLOCKS = 4  # recorded at once by a stream that only records

PAR = WirePar(
    xrun=0, bps=4, bits=24, msb=0, le=1, sig=1, pchan=2, rchan=2, rate=48000, bufsz=BUFSZ, round=ROUND,
    appbufsz=APPBUFSZ,
)  # fmt: skip

Script = Callable[["Peer", m.ClientMessage], None]


def ramp(begin: int, count: int) -> bytes:
    """Bytes of what is recorded."""
    return bytes(i % 251 for i in range(begin, begin + count))


class Peer:
    """One client, which has one stream."""

    def __init__(self, fake: FakeSndiod, sock: socket.socket) -> None:
        self.fake = fake
        self.sock = sock
        self.wire = Server()
        self.par = PAR
        self.written = bytearray()
        self.queued = 0  # bytes written and not consumed
        self.recorded = 0  # bytes
        self.running = False

    @property
    def mode(self) -> WireMode:
        assert self.wire.hello is not None
        return WireMode(self.wire.hello.mode)

    def frame(self, nchan: int | None) -> int:
        return (nchan or 0) * (self.par.bps or 0)

    def tell(self, *messages: m.ServerMessage) -> None:
        self.raw(b"".join(self.wire.send(message) for message in messages))

    def raw(self, data: bytes) -> None:
        with suppress(ConnectionError):
            self.sock.sendall(data)

    def leave(self) -> None:
        self.sock.shutdown(socket.SHUT_RDWR)

    # ---- what follows a message, unless a script does ----

    def standard(self, message: m.ClientMessage) -> None:
        match message:
            case m.Hello():
                self.tell(m.Ack())
            case m.Setpar(par):
                asked = {k: v for k, v in vars(par).items() if v is not None and k not in ("bufsz", "round")}
                self.par = WirePar(**(vars(self.par) | asked | {"appbufsz": APPBUFSZ}))
            case m.Getpar():
                self.tell(m.ParReply(self.par))
            case m.Start():
                self.running, self.queued, self.recorded = False, 0, 0
                self.wire.begin(self.frame(self.par.pchan), ROUND)
                if self.mode & WireMode.PLAY:
                    self.tell(m.Flowctl(APPBUFSZ))
                else:
                    self.tell(m.Move(0))
                    for _ in range(BLOCKS):
                        self.tell(m.Move(ROUND))
                        self.record()
            case m.Stop():
                self.tell(m.Stop())
            case m.Bye():
                self.leave()

    def data(self, samples: bytes) -> None:
        """The clock moves on as the queue gets full."""
        self.written += samples
        self.queued += len(samples)
        frame = self.frame(self.par.pchan)
        if self.wire.phase is not Phase.START:
            return
        while self.queued >= APPBUFSZ * frame:
            self.tell(m.Move(ROUND if self.running else 0))
            if self.running:
                self.queued -= ROUND * frame
                self.tell(m.Flowctl(ROUND))
                if self.mode & WireMode.REC:
                    self.record()
            self.running = True

    def record(self) -> None:
        left = ROUND * self.frame(self.par.rchan)
        while left:
            count = min(left, m.DATAMAX)
            self.tell(m.Data(count))
            self.raw(ramp(self.recorded, count))
            self.recorded += count
            left -= count

    def serve(self) -> None:
        with self.sock:
            while True:
                try:
                    data = self.sock.recv(65536)
                except ConnectionError:
                    return
                if not data:
                    return
                self.wire.receive_data(data)
                while (event := self.wire.next_event()) is not NEED_DATA:
                    if isinstance(event, Samples):
                        self.data(event.data)
                        continue
                    self.fake.log.append(event)
                    script = self.fake.scripts.get(type(event))
                    if script is not None:
                        script(self, event)
                    else:
                        self.standard(event)


class FakeSndiod:
    """Listens on a socket; a client that breaks the protocol fails the test."""

    def __init__(self, listener: socket.socket) -> None:
        self.log: list[m.ClientMessage] = []
        self.scripts: dict[type, Script] = {}
        self.peers: list[Peer] = []
        self.failures: list[BaseException] = []
        self._listener = listener
        self._closing = False
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def on(self, kind: type, script: Script) -> None:
        """Let `script(peer, message)` do what follows such a message, in place of the standard."""
        self.scripts[kind] = script

    def names(self) -> list[str]:
        """What was said, but for samples."""
        return [type(message).__name__ for message in self.log if not isinstance(message, m.Data)]

    def said(self, kind: type) -> list[m.ClientMessage]:
        return [message for message in self.log if isinstance(message, kind)]

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self._closing:
                sock.close()
                return
            peer = Peer(self, sock)
            self.peers.append(peer)
            self._threads.append(threading.Thread(target=self._serve, args=(peer,)))
            self._threads[-1].start()

    def _serve(self, peer: Peer) -> None:
        try:
            peer.serve()
        except BaseException as error:
            self.failures.append(error)

    def settle(self) -> None:
        """Wait until every client that has left is forgotten, so that `log` is complete."""
        for thread in self._threads[1:]:
            thread.join()

    def close(self) -> None:
        """Wait for all clients to have left.  Raises what went wrong in the server's threads."""
        self._closing = True
        with socket.socket(self._listener.family, socket.SOCK_STREAM) as last:
            last.connect(self._listener.getsockname())
        self._threads[0].join()
        self.settle()
        self._listener.close()
        for failure in self.failures:
            raise failure


@contextmanager
def fake_sndiod(address: str | tuple[str, int]) -> Iterator[FakeSndiod]:
    """A server on a socket's path, or on an address and port."""
    unix = isinstance(address, str)
    listener = socket.socket(socket.AF_UNIX if unix else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    listener.listen()
    server = FakeSndiod(listener)
    try:
        yield server
    finally:
        server.close()
