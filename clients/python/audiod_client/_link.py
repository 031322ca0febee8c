"""The socket under a session: how to reach the server, and moving bytes without waiting.

Invariant: the socket never blocks; whatever could not be moved stays where it
is, so that a step may be cut off between any two calls.  The shells wait, each
in its own way.  Runs in the caller's thread.
"""

from __future__ import annotations

import select
import socket
import sys
from pathlib import Path

from audiod_protocol.params import Mode

from audiod_client._session import Op, Session
from audiod_client.errors import ServerUnreachable, StreamError, errno_name
from audiod_client.names import Name, Places, default_name, sockets

__all__ = ["Link", "program_name", "resolve", "server_of"]

RECV_SIZE = SEND_SIZE = 64 * 1024  # about what a Unix socket holds
RECV_TIMES = 4  # reads of one step, so that a fast server cannot keep a caller in it


def program_name() -> str:
    """What the server shows for this program where it gives no name itself."""
    path = Path(sys.argv[0] if sys.argv else "")
    name = path.parent.name if path.name == "__main__.py" else path.name
    return "python" if name in ("", "-c", "-m") else name


def resolve(name: str | None, mode: str | Mode) -> Name:
    """The device that `name` and the environment mean.  Raises StreamError."""
    places = Places.here()
    return Name.parse(default_name(name, str(mode), places.env, places.setid))


def server_of(path: str | None, name: str | Name | None) -> Name:
    """The server at the socket `path`, else the one that a device name says, else ours."""
    if not isinstance(name, Name):
        name = Name.parse(name) if name is not None else Name()
    return name if path is None else Name(name.device, path=path)


class Link:
    """A connected, non-blocking socket and the session that it carries."""

    def __init__(self, sock: socket.socket, session: Session) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.session = session

    @classmethod
    def dial(cls, name: Name, session: Session, block: bool) -> Op[Link]:
        """Connect to the first socket that answers; yields while a backlog is full, if not to `block`.

        Raises ServerUnreachable with what was tried, StreamError(ENOTSUP) for a host.
        """
        paths, tried = sockets(name, Places.here())
        code = "ECONNREFUSED"
        for path in paths:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.setblocking(block)
            try:
                while True:
                    try:
                        sock.connect(path)
                        break
                    except BlockingIOError:
                        yield
                return cls(sock, session)
            except OSError as err:
                sock.close()
                tried.append((path, (err.strerror or str(err)).lower()))
                if errno_name(err) in ("EACCES", "EPERM"):
                    code = "EACCES"
            except BaseException:
                sock.close()
                raise
        raise ServerUnreachable(tried, code)

    def step(self, receive: bool = True) -> bool:
        """Send, and `receive`, what goes without waiting; whether anything moved."""
        before = self.session.error
        moved = self._send()
        for _ in range(RECV_TIMES if receive else 0):
            if self.session.error is not None:
                break
            try:
                data = self.sock.recv(RECV_SIZE)
            except BlockingIOError:
                break
            except OSError as err:
                self._broke(err)
                break
            self.session.receive(data)
            moved = True
        return moved or self.session.error is not before

    def _send(self) -> bool:
        moved = False
        while self.session.out:
            try:
                with memoryview(self.session.out) as view, view[:SEND_SIZE] as piece:
                    count = self.sock.send(piece, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                break
            except OSError as err:
                # the server's last words may still be there to read, and say more
                self.session.out.clear()
                self._drain()
                self._broke(err)
                return True
            self.session.sent(count)
            moved = True
        return moved

    def _drain(self) -> None:
        while self.session.error is None:
            try:
                self.session.receive(self.sock.recv(RECV_SIZE))
            except OSError:
                return

    def _broke(self, err: OSError) -> None:
        self.session.fail(
            StreamError(
                errno_name(err),
                f"the connection to the server broke: {(err.strerror or str(err)).lower()}",
                "see the server's log, then open again",
            )
        )

    def events(self) -> int:
        """What to poll the socket for so that the next step moves something."""
        return select.POLLIN | (select.POLLOUT if self.session.out else 0)

    def close(self) -> None:
        self.session.fail(StreamError("EBADF", "the connection is closed", "connect again"))
        self.sock.close()
