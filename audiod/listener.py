"""Who comes in by a listening socket, and who is turned away.

Accepts for ever, on any kind of socket.  Peers of a Unix socket are known by
SO_PEERCRED and SO_PEERGROUPS, those of TCP by their address alone; policy.admit
decides.  A refused peer of the native protocol is told once, sndio's wire has no
words for it; either is logged and closed.  Control thread.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import trio
from audiod_protocol.errors import Fault
from audiod_protocol.framing import pack_notification

from audiod import log, tcp
from audiod.engine import Wire
from audiod.policy import Rules, Session, Way, admit

RETRY_AFTER = 0.1  # seconds, where the system has no descriptor or memory left
_SO_PEERGROUPS = 59  # linux: asm-generic/socket.h; Python has no name for it
_GROUPS_MAX = 256  # what Python's getsockopt can return: 1024 bytes
_OVERLOAD = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_TRANSIENT = {errno.ECONNABORTED, errno.EINTR, errno.EAGAIN, errno.EPERM, errno.EPROTO, errno.ENETDOWN}
# accept(2): what TCP has met on the way; the next one may come through
_TRANSIENT |= {errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENOPROTOOPT, errno.EOPNOTSUPP}


class Opened(Protocol):
    """A listening socket; `name` is shown to people."""

    sock: socket.socket
    name: str

    def close(self) -> None: ...


@dataclass(frozen=True)
class Peer:
    """Who is at the other end, as the kernel says; pid 0: in another pid namespace.

    Nobody vouches for a user at the other end of TCP: only `address` is known.
    """

    uid: int | None
    gid: int | None
    pid: int | None
    gids: frozenset[int]
    address: str = ""

    def __str__(self) -> str:
        return f"{self.address} over TCP" if self.address else f"user {self.uid}, process {self.pid}"

    @property
    def facts(self) -> dict[str, object]:
        """What a log line says of it."""
        return {"address": self.address} if self.address else {"uid": self.uid, "pid": self.pid}

    @property
    def way(self) -> Way:
        """How it came, if not by the native socket."""
        return Way.TCP if self.address else Way.SNDIO


def peer_of(sock: socket.socket) -> Peer:
    """Who is connected; on a Unix socket with the credentials at connect().  Raises OSError."""
    if sock.family != socket.AF_UNIX:
        return Peer(None, None, None, frozenset(), tcp.shown(sock.getpeername()))
    pid, uid, gid = struct.unpack("iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return Peer(uid, gid, pid, frozenset((gid, *_groups(sock, uid, gid))))


def _groups(sock: socket.socket, uid: int, gid: int) -> list[int]:
    try:
        raw = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * _GROUPS_MAX)
        return [group for (group,) in struct.iter_unpack("I", raw)]
    except OSError as error:
        if error.errno != errno.ERANGE:
            return []  # a kernel before 4.13: the primary group alone counts
    try:
        return os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)
    except KeyError:
        return []


class Listener:
    """The door behind one listening socket, for the peers of one wire."""

    def __init__(self, opened: Opened, wire: Wire, rules: Rules) -> None:
        self.name = opened.name
        self._opened = opened
        self._wire = wire
        self._rules = rules
        self._log = log.get(socket=opened.name)

    def close(self) -> None:
        self._opened.close()

    async def serve(self, accepted: Callable[[socket.socket, Peer, Wire], None]) -> None:
        """Accept for ever; `accepted` owns the socket of each peer that is let in."""
        sock = trio.socket.from_stdlib_socket(self._opened.sock)
        overloaded = False
        while True:
            # accept(2) complains of descriptors even where nobody waits to come in
            await trio.lowlevel.wait_readable(self._opened.sock)
            try:
                conn, _ = await sock.accept()
            except OSError as error:
                if error.errno in _OVERLOAD:
                    if not overloaded:
                        self._log.error("listener.overload", reason=error.strerror)
                    overloaded = True
                    await trio.sleep(RETRY_AFTER)
                    continue
                if error.errno in _TRANSIENT:
                    continue
                raise
            overloaded = False
            self._let_in(socket.socket(fileno=conn.detach()), accepted)

    def _let_in(self, sock: socket.socket, accepted: Callable[[socket.socket, Peer, Wire], None]) -> None:
        try:
            peer = peer_of(sock)
            if peer.address:
                tcp.prepare(sock)
        except OSError as error:
            self._log.warning("client.refused", reason=f"its credentials cannot be read: {error.strerror}")
            sock.close()
            return
        way = Way.NATIVE if self._wire is Wire.NATIVE else peer.way
        verdict = admit(self._rules, way, peer.uid, peer.gids, Session.UNASKED)
        if isinstance(verdict, Fault):
            self._log.warning("client.refused", **peer.facts, reason=verdict.message, hint=verdict.hint)
            turn_away(sock, verdict, self._wire)
        else:
            accepted(sock, peer, self._wire)


def turn_away(sock: socket.socket, fault: Fault, wire: Wire) -> None:
    """Tell a peer why it is not let in, where its protocol can, and close."""
    with sock:
        if wire is Wire.NATIVE:
            sock.setblocking(False)
            with contextlib.suppress(OSError):  # it did not wait for the reason
                sock.send(pack_notification("error", [fault.to_wire()]))
