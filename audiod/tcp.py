"""TCP sockets that listen, for sndio's wire alone and only where they are asked for.

One for each address that the names given mean.  What an address family of this
machine cannot do is left out as long as the same name has another address.
Control thread; names are resolved once, before anything is served.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterable
from typing import Any

from audiod import log
from audiod.errors import StartError

Address = tuple[Any, ...]  # the family's own: host, port, and more for IPv6

ALL = "-"  # every address of the machine
BACKLOG = 128  # connections that may wait while the control thread is busy
_NOT_HERE = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT}

# a host that has vanished is given up after two minutes, so that it does not keep the session for ever
KEEPALIVE = {socket.TCP_KEEPIDLE: 60, socket.TCP_KEEPINTVL: 10, socket.TCP_KEEPCNT: 6}


class TcpSocket:
    """A bound and listening socket of one address."""

    def __init__(self, family: int, address: Address) -> None:
        """Raises OSError."""
        self.name = shown(address)
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                self.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            self.sock.bind(address)
            self.sock.listen(BACKLOG)
            self.sock.setblocking(False)
        except OSError:
            self.sock.close()
            raise

    def close(self) -> None:
        self.sock.close()


def shown(address: Address) -> str:
    """host:port, as people write it."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"


def prepare(sock: socket.socket) -> None:
    """Set what a connection of sndio's wire needs: small messages at once, an end for a dead peer."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE.items():
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


def listen(names: Iterable[str], port: int) -> list[TcpSocket]:
    """Sockets on every address of these hosts (ALL: the machine's).  Raises StartError."""
    with contextlib.ExitStack() as opened:
        found: dict[Address, TcpSocket] = {}
        for name in names:
            _listen(name, port, found, opened)
        opened.pop_all()
    return list(found.values())


def _listen(name: str, port: int, found: dict[Address, TcpSocket], opened: contextlib.ExitStack) -> None:
    try:
        infos = socket.getaddrinfo(
            None if name == ALL else name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "this cannot be the name of a host"
        raise StartError(
            f"-L {name}: {reason}", hint="name an address of this machine, or - for all of them"
        ) from None
    missing: list[tuple[str, str]] = []
    here = 0
    for family, _, _, _, address in infos:
        if address in found:
            here += 1
            continue
        try:
            made = found[address] = TcpSocket(family, address)
        except OSError as error:
            if error.errno not in _NOT_HERE:
                said = f"-L {name}: {shown(address)}: {error.strerror}"
                raise StartError(said, hint=_hint(error)) from None
            missing.append((shown(address), error.strerror or ""))
        else:
            here += 1
            opened.callback(made.close)
    if not here:
        at, reason = missing[0]
        raise StartError(f"-L {name}: {at}: {reason}", hint="name an address of this machine, or - for all")
    for at, reason in missing:
        log.get().warning("listener.without", address=at, reason=reason)


def _hint(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "stop the server that has it, choose another unit by -U, or leave out -L"
    return "choose another address, or leave out -L"
