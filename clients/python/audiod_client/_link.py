"""The socket under a session: how to reach the server, and moving bytes without waiting.

Invariant: the socket never blocks; whatever could not be moved stays where it
is, so that a step may be cut off between any two calls.  The shells wait, each
in its own way.  Runs in the caller's thread.
"""

from __future__ import annotations

import errno
import select
import socket
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from audiod_protocol.params import Mode

from audiod_client._session import Op, Session
from audiod_client.errors import ServerUnreachable, StreamError, errno_name
from audiod_client.names import Address, Name, Places, Wire, addresses, default_name

__all__ = ["Link", "Route", "program_name", "resolve", "route", "server_of"]

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


@dataclass(frozen=True)
class Route:
    """The ways to a server: what to give to socket() and connect() one after the other."""

    ways: list[tuple[Address, int, str | tuple[object, ...]]]  # address, family, what connect takes
    tried: list[tuple[str, str]]  # (where, reason) of what need not be tried
    remote: bool


def route(name: Name) -> Route:
    """Where the server of a name may be; waits for the resolver if it names a host."""
    found, tried = addresses(name, Places.here())
    ways: list[tuple[Address, int, str | tuple[object, ...]]] = []
    for address in found:
        if address.port is None:
            ways.append((address, socket.AF_UNIX, address.place))
            continue
        try:
            infos = socket.getaddrinfo(address.place, address.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as err:
            tried.append((str(address), _why(err)))
            continue
        ways += [(address, family, sockaddr) for family, _, _, _, sockaddr in infos]
    return Route(ways, tried, name.host is not None)


def _why(err: Exception) -> str:
    return (getattr(err, "strerror", None) or str(err)).lower()


def _connected(sock: socket.socket, where: str | tuple[object, ...]) -> bool:
    """Connect, or go on connecting; whether it is done.  Raises OSError."""
    try:
        sock.connect(where)
    except BlockingIOError:
        return False
    except OSError as err:
        if err.errno != errno.EISCONN:  # what the BSDs say of a connection that was under way, and is there
            raise
    return True


def session_of(address: Address, client_name: str) -> Session:
    """A session of the wire that is spoken there; only that wire's modules are loaded."""
    if address.wire is Wire.SNDIO:
        from audiod_client._sndio_session import SndioSession

        return SndioSession(client_name, address)
    from audiod_client._native_session import NativeSession

    return NativeSession(client_name)


class Link:
    """A connected, non-blocking socket and the session that it carries."""

    def __init__(self, sock: socket.socket, session: Session, address: Address) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.session = session
        self.address = address
        self.tried: list[tuple[str, str]] = []  # (where, reason) of what did not answer before

    @classmethod
    def dial(cls, route: Route, client_name: str, block: bool) -> Op[Link]:
        """Connect to the first way that answers; yields while it has not, if not to `block`.

        Raises ServerUnreachable with what was tried.
        """
        tried = list(route.tried)
        code = "ECONNREFUSED"
        for address, family, where in route.ways:
            try:
                with ExitStack() as cleanup:
                    sock = cleanup.enter_context(socket.socket(family, socket.SOCK_STREAM))
                    sock.setblocking(block)
                    while not _connected(sock, where):
                        yield
                    if family != socket.AF_UNIX:
                        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    link = cls(sock, session_of(address, client_name), address)
                    link.tried = tried
                    cleanup.pop_all()
                    return link
            except OSError as err:
                tried.append((str(address), _why(err)))
                if errno_name(err) in ("EACCES", "EPERM"):
                    code = "EACCES"
        raise ServerUnreachable(tried, code, route.remote)

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
