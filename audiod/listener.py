"""The listening Unix socket: its file, its mode, who is let in.

Owns the socket's file from bind to close.  A file that a dead server left is
replaced, a live server's never.  Peers are known by SO_PEERCRED and
SO_PEERGROUPS; policy.may_connect decides, a refused peer is told once and
closed.  Control thread.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pwd
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import trio
from audiod_protocol.errors import Fault
from audiod_protocol.framing import pack_notification

from audiod import log, policy
from audiod.config import Listen, make_directory
from audiod.errors import StartError

SOCKET_MODE = 0o660
BACKLOG = 128  # connections that may wait while the control thread is busy
RETRY_AFTER = 0.1  # seconds, where the system has no descriptor or memory left
_SO_PEERGROUPS = 59  # linux: asm-generic/socket.h; Python has no name for it
_GROUPS_MAX = 256  # what Python's getsockopt can return: 1024 bytes
_OVERLOAD = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_TRANSIENT = {errno.ECONNABORTED, errno.EINTR, errno.EAGAIN, errno.EPERM, errno.EPROTO, errno.ENETDOWN}


@dataclass(frozen=True)
class Peer:
    """Who is at the other end, as the kernel says; pid 0: in another pid namespace."""

    uid: int
    gid: int
    pid: int
    gids: frozenset[int]


def peer_of(sock: socket.socket) -> Peer:
    """Credentials of a connected Unix socket, as they were at connect()."""
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
    """A bound and listening socket.  Raises StartError where it cannot be."""

    def __init__(self, listen: Listen, *, euid: int, audio_gid: int | None, group: str = "audio") -> None:
        self.path = listen.path
        self._euid = euid
        self._audio_gid = audio_gid
        self._group = group
        self._log = log.get()
        make_directory(listen, euid)
        with _alone(listen.path.parent):
            self._sock = _bind(listen.path)
            try:
                listen.path.chmod(SOCKET_MODE)
                if listen.group and audio_gid is not None:
                    os.chown(listen.path, -1, audio_gid)
                self._sock.listen(BACKLOG)
                self._sock.setblocking(False)
                self._inode = listen.path.stat().st_ino
            except OSError as error:
                self._sock.close()
                raise StartError(f"{listen.path}: {error.strerror}", hint="choose another --socket") from None

    def close(self) -> None:
        """Stop listening and remove the socket's file, if it is still ours."""
        if self._sock.fileno() < 0:
            return
        self._sock.close()
        with contextlib.suppress(FileNotFoundError):
            if self.path.lstat().st_ino == self._inode:
                self.path.unlink()

    async def serve(self, accepted: Callable[[socket.socket, Peer], None]) -> None:
        """Accept for ever; `accepted` owns the socket of each peer that is let in."""
        sock = trio.socket.from_stdlib_socket(self._sock)
        overloaded = False
        while True:
            # accept(2) complains of descriptors even where nobody waits to come in
            await trio.lowlevel.wait_readable(self._sock)
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

    def _let_in(self, sock: socket.socket, accepted: Callable[[socket.socket, Peer], None]) -> None:
        try:
            peer = peer_of(sock)
        except OSError as error:
            self._log.warning("client.refused", reason=f"its credentials cannot be read: {error.strerror}")
            sock.close()
            return
        fault = policy.may_connect(
            peer.uid, peer.gids, server_uid=self._euid, audio_gid=self._audio_gid, group=self._group
        )
        if fault is None:
            accepted(sock, peer)
        else:
            self._log.warning("client.refused", uid=peer.uid, pid=peer.pid, reason=fault.message)
            turn_away(sock, fault)


def turn_away(sock: socket.socket, fault: Fault) -> None:
    """Tell a peer why it is not let in, and close."""
    with sock:
        sock.setblocking(False)
        with contextlib.suppress(OSError):  # it did not wait for the reason
            sock.send(pack_notification("error", [fault.to_wire()]))


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Between these lines no other server of this directory binds, probes or removes a socket."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise StartError(f"{directory}: another server is just starting there", hint="try again") from None
    finally:
        os.close(fd)


def _bind(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            sock.bind(str(path))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            _remove_stale(path)
            sock.bind(str(path))
    except StartError:
        sock.close()
        raise
    except OSError as error:
        sock.close()
        raise StartError(
            f"{path}: {error.strerror or error}",
            hint="choose another place by --socket, or another unit by -U",
        ) from None
    return sock


def _remove_stale(path: Path) -> None:
    """Remove the socket that a dead server left.  Raises StartError if it is anything else."""
    if not path.is_socket() or path.is_symlink():
        raise StartError(f"{path}: exists and is not a socket", hint="remove it, or choose another --socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except FileNotFoundError:
            return
        except BlockingIOError:
            pass  # its backlog is full: it lives
        except OSError as error:
            raise StartError(f"{path}: {error.strerror}", hint="choose another --socket") from None
    raise StartError(
        f"{path}: a server is running there", hint="use it, stop it, or choose another unit by -U"
    )
