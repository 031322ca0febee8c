"""A raw client of sndio's wire: any bytes out, messages in, nothing checked on the way.

`SndioWire` is one blocking socket.  Against a process `until` waits for what must
come; against a server in the same thread `messages` takes what is there.  It holds
to no rule of the protocol, so that tests can break each of them.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

from audiod_protocol.sndio import messages as m

PATIENCE = 60  # seconds until a test gives up on an answer: never reached when all is well
COOKIE = bytes(16)


class SndioWire:
    """One connection; `seen` keeps every message in the order of its coming, `heard` all samples."""

    def __init__(self, place: Path | str | tuple[str, int]) -> None:
        tcp = isinstance(place, tuple)
        self.sock = socket.socket(socket.AF_INET if tcp else socket.AF_UNIX)
        self.sock.connect(place if tcp else str(place))
        self.sock.settimeout(PATIENCE)
        self.seen: list[m.ServerMessage] = []
        self.heard = bytearray()
        self.eof = False
        self._buffer = bytearray()
        self._payload = 0

    def __enter__(self) -> SndioWire:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    # ---- out ----

    def send(self, *messages: m.Message | bytes) -> None:
        """In one go; bytes go as they are."""
        data = b"".join(one if isinstance(one, bytes) else m.encode(one) for one in messages)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the end of file will tell
            self.sock.sendall(data)

    def greet(self, mode: int = 1, opt: str = "default", *, devnum: int = m.NO_DEVNUM,
              who: str = "test", pid: int = 1, cookie: bytes = COOKIE) -> None:  # fmt: skip
        self.send(m.Auth(cookie), m.Hello(mode, devnum, pid, opt, who))

    # ---- in ----

    def _read(self, data: bytes) -> list[m.ServerMessage]:
        self._buffer += data
        self.eof |= not data
        new: list[m.ServerMessage] = []
        while self._buffer:
            if self._payload:
                piece = self._buffer[: self._payload]
                self.heard += piece
                self._payload -= len(piece)
                del self._buffer[: len(piece)]
                continue
            if len(self._buffer) < m.MSG_SIZE:
                break
            message = m.decode_server(bytes(self._buffer[: m.MSG_SIZE]))
            del self._buffer[: m.MSG_SIZE]
            if isinstance(message, m.Data):
                self._payload = message.size
            new.append(message)
        self.seen += new
        return new

    def messages(self) -> list[m.ServerMessage]:
        """What has come and was not taken yet, without waiting."""
        new: list[m.ServerMessage] = []
        self.sock.settimeout(0)
        while not self.eof:
            try:
                new += self._read(self.sock.recv(1 << 18))
            except BlockingIOError:
                break
            except ConnectionResetError:
                self.eof = True
        self.sock.settimeout(PATIENCE)
        return new

    def until(self, wanted: Callable[[m.ServerMessage], bool]) -> m.ServerMessage:
        """Wait for a message that comes from now on; EOFError if the server closes first."""
        while True:
            try:
                new = self._read(self.sock.recv(1 << 18))
            except ConnectionResetError:
                new = self._read(b"")
            for message in new:
                if wanted(message):
                    return message
            if self.eof:
                raise EOFError(f"closed; the last it said: {self.seen[-3:]}")

    def closed(self) -> list[m.ServerMessage]:
        """Wait for the end; what came before it."""
        before = len(self.seen)
        try:
            self.until(lambda message: False)
        except EOFError:
            return self.seen[before:]
        raise AssertionError("never")

    def open(self, mode: int = 1, **hello: object) -> None:
        """AUTH, HELLO; waits for ACK."""
        self.greet(mode, **hello)  # type: ignore[arg-type]
        self.until(lambda message: message == m.Ack())

    def par(self, asked: m.WirePar | None = None) -> m.WirePar:
        """SETPAR if there is something to ask, GETPAR; waits for its answer."""
        self.send(*([m.Setpar(asked)] if asked else []), m.Getpar())
        reply = self.until(lambda message: isinstance(message, m.ParReply))
        assert isinstance(reply, m.ParReply)
        return reply.par


class Blocks:
    """Cuts samples into DATA as libsndio does: within blocks and DATAMAX."""

    def __init__(self, frame: int, round_: int) -> None:
        self.frame, self.round = frame, round_ * frame
        self._in_block = 0

    def cut(self, samples: bytes) -> bytes:
        """DATA with these samples, whole frames."""
        out = b""
        most = m.DATAMAX - m.DATAMAX % self.frame
        while samples:
            size = min(len(samples), most, self.round - self._in_block)
            out += m.encode(m.Data(size)) + samples[:size]
            samples = samples[size:]
            self._in_block = (self._in_block + size) % self.round
        return out
