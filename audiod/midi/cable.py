"""Cable: an open MIDI port of the machine, bytes in and out, never waiting.

Of a path: a character device (a raw MIDI device, a serial line, a pseudo-terminal),
a FIFO or a file; else of a name of ALSA's, by libasound (rawmidi.py).  Opening and
closing may wait for the hardware: any thread's; all else is the control thread's.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tty
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_MODE = "?mode="
_WAYS = {"in": os.O_RDONLY, "out": os.O_WRONLY, "both": os.O_RDWR}
# errno of a device that lacks one of both directions, or may not be had so
_ONE_WAY = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENXIO, errno.ENODEV, errno.EINVAL)


class Cable(Protocol):
    """Open.  `source`: to wait on before reading, None: it does not receive.  `sends`: it can be written to.

    `sink`: to wait on before writing, None: that never waits.
    """

    source: int | None
    sends: bool
    sink: int | None

    def read(self, most: int) -> bytes:
        """What has come, of it `most` bytes; empty if nothing.  Raises OSError if the port is gone."""

    def write(self, data: bytes) -> int:
        """Bytes of `data` that were taken.  Raises OSError if the port is gone."""

    def close(self) -> None:
        """What was taken still leaves; may wait."""


@dataclass(frozen=True)
class Place:
    """What a port's name means: a path and a way, or a name of ALSA's."""

    path: Path | None = None
    way: str | None = None
    alsa: str = ""

    @property
    def folder(self) -> Path:
        """Where something happens when the port comes back."""
        return Path("/dev/snd") if self.path is None else self.path.parent


def place(text: str) -> Place:
    """Read `rmidi/N`, `/PATH`, `/PATH?mode=in|out|both` or a name of ALSA's raw MIDI."""
    if text.startswith("/"):
        path, found, way = text.rpartition(_MODE)
        if found and way in _WAYS:
            return Place(Path(path), way)
        return Place(Path(text))
    if text.startswith("rmidi/"):
        return Place(alsa="hw:" + text.removeprefix("rmidi/"))
    return Place(alsa=text.removeprefix("alsa:"))


def open_path(where: Place) -> Cable:
    """Open a path.  Raises OSError."""
    assert where.path is not None
    mode = where.path.stat().st_mode
    if stat.S_ISCHR(mode):
        return _Device(where.path, where.way)
    if stat.S_ISFIFO(mode) or stat.S_ISREG(mode):
        return _Pipe(where.path, where.way or "out", fifo=stat.S_ISFIFO(mode))
    raise OSError(errno.ENODEV, "it is neither a character device nor a FIFO nor a file")


class _File:
    """A descriptor."""

    def __init__(self, fd: int, way: str) -> None:
        self._fd = fd
        self.source = fd if way != "out" else None
        self.sends = way != "in"
        self.sink: int | None = fd

    def read(self, most: int) -> bytes:
        try:
            data = os.read(self._fd, most)
        except BlockingIOError:
            return b""
        if not data:
            raise OSError(errno.ENODEV, "end of file")
        return data

    def write(self, data: bytes) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        os.close(self._fd)


class _Device(_File):
    def __init__(self, path: Path, way: str | None) -> None:
        fd, way = self._opened(path, [way] if way else ["both", "in", "out"])
        try:
            if os.isatty(fd):
                with contextlib.suppress(OSError):
                    tty.setraw(fd)  # bytes, not lines of text
        except BaseException:
            os.close(fd)
            raise
        super().__init__(fd, way)

    @staticmethod
    def _opened(path: Path, ways: list[str]) -> tuple[int, str]:
        """In the first of these ways that it has."""
        for way in ways[:-1]:
            try:
                return _open(path, way), way
            except OSError as error:
                if error.errno not in _ONE_WAY:
                    raise
        return _open(path, ways[-1]), ways[-1]


class _Pipe(_File):
    """A FIFO, held open so that programs at its other end may come and go; or a file, appended to."""

    def __init__(self, path: Path, way: str, *, fifo: bool) -> None:
        if way == "both" or (way == "in" and not fifo):
            raise OSError(errno.EINVAL, "a FIFO goes one way, a file is written")
        flags = os.O_RDWR if fifo else os.O_WRONLY | os.O_APPEND
        super().__init__(os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC), way)
        if not fifo:
            self.sink = None


def _open(path: Path, way: str) -> int:
    return os.open(path, _WAYS[way] | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
