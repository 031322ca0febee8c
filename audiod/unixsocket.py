"""A Unix socket that listens: its file, its directory, their modes.

Owns the file from bind to close.  A file that a dead server left is replaced, a
live server's never.  A directory of ours is taken only if nobody else can put or
remove something there; modes come out as they are meant, whatever the umask.
Control thread.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator

from audiod.config import SYSTEM_DIR, Listen
from audiod.errors import StartError

BACKLOG = 128  # connections that may wait while the control thread is busy
LOCK = ".lock"  # in a directory that others may read, and so lock


class UnixSocket:
    """A bound and listening socket.  Raises StartError where it cannot be.

    `gid`: the group that it is given to, if `listen` says so.
    """

    def __init__(self, listen: Listen, *, euid: int, gid: int | None = None, group: str = "") -> None:
        self.path = listen.path
        self.name = str(listen.path)
        make_directory(listen, euid)
        with _alone(listen):
            self.sock = _bind(listen)
            self._inode = listen.path.lstat().st_ino
            try:
                listen.path.chmod(listen.mode)
                if listen.group and gid is not None:
                    _give(listen, gid, group)
                self.sock.listen(BACKLOG)
                self.sock.setblocking(False)
            except StartError:
                self.close()
                raise
            except OSError as error:
                self.close()
                raise StartError(f"{self.name}: {error.strerror}", hint=_elsewhere(listen)) from None

    def close(self) -> None:
        """Remove the socket's file, if it is still ours, and stop listening."""
        if self.sock.fileno() < 0:
            return
        with contextlib.suppress(FileNotFoundError):
            if self.path.lstat().st_ino == self._inode:
                self.path.unlink()  # before it is closed: nobody replaces a live one
        self.sock.close()


def make_directory(listen: Listen, euid: int) -> None:
    """Make the socket's directory and be sure that it is ours alone to write.

    Raises StartError if it is a symbolic link, not a directory or another's.
    """
    directory, mode = listen.path.parent, listen.dir_mode
    if mode is None:
        if not directory.is_dir():
            raise StartError(
                f"{directory}: no such directory", hint=f"make it, or choose another {listen.option}"
            )
        return
    try:
        directory.mkdir(mode=mode)
        directory.chmod(mode)  # whatever the umask was
    except FileExistsError:
        pass
    except OSError as error:
        hint = f"choose another place by {listen.option}"
        if directory == SYSTEM_DIR:
            hint = f"let the unit file say RuntimeDirectory={directory.name}, or {hint}"
        raise StartError(f"{directory}: {os.strerror(error.errno or 0)}", hint=hint) from None
    found = os.lstat(directory)
    hint = f"remove it, or choose another place by {listen.option}"
    if not stat.S_ISDIR(found.st_mode):
        raise StartError(f"{directory}: is not a directory of its own", hint=hint)
    if found.st_uid != euid:
        raise StartError(f"{directory}: belongs to user {found.st_uid}, not to {euid}", hint=hint)
    if found.st_mode & 0o777 & ~mode:
        raise StartError(
            f"{directory}: mode {found.st_mode & 0o777:04o} lets others in",
            hint=f"chmod {mode:04o} {directory}",
        )
    if found.st_mode & 0o777 != mode:
        directory.chmod(mode)  # those who are meant to shall find the socket


@contextlib.contextmanager
def _alone(listen: Listen) -> Iterator[None]:
    """Between these lines no other server of this directory binds, probes or removes a socket."""
    directory = listen.path.parent
    try:
        if listen.dir_mode is not None and listen.dir_mode & 0o044:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(directory / LOCK, flags, 0o600)
        else:
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StartError(f"{directory}: {error.strerror}", hint=_elsewhere(listen)) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise StartError(f"{directory}: another server is just starting there", hint="try again") from None
    finally:
        os.close(fd)


def _bind(listen: Listen) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            sock.bind(str(listen.path))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            _remove_stale(listen)
            sock.bind(str(listen.path))
    except StartError:
        sock.close()
        raise
    except OSError as error:
        sock.close()
        raise StartError(f"{listen.path}: {error.strerror or error}", hint=_elsewhere(listen)) from None
    return sock


def _give(listen: Listen, gid: int, group: str) -> None:
    try:
        os.chown(listen.path, -1, gid)
    except PermissionError:
        raise StartError(
            f"{listen.path}: the server may not give it to group {group}, whose members may use it",
            hint=f"make the server's user a member of {group}, or name another group: [server] users",
        ) from None


def _remove_stale(listen: Listen) -> None:
    """Remove the socket that a dead server left.  Raises StartError if it is anything else."""
    path = listen.path
    if not path.is_socket() or path.is_symlink():
        raise StartError(
            f"{path}: exists and is not a socket", hint=f"remove it, or choose another {listen.option}"
        )
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
            raise StartError(f"{path}: {error.strerror}", hint=f"choose another {listen.option}") from None
    hint = "use it, stop it, or choose another unit by -U"
    if listen.option == "--sndio":
        hint += ", or do without sndio's socket by --sndio none"
    raise StartError(f"{path}: a server is running there", hint=hint)


def _elsewhere(listen: Listen) -> str:
    return f"choose another place by {listen.option}, or another unit by -U"
