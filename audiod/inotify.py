"""Inotify: what happens to the names in a folder, as the kernel tells it.

Owns one descriptor of inotify(7), by ctypes: Python has no call for it.  No task;
whoever waits for `fileno` to be readable calls `read`.  Control thread.
"""

from __future__ import annotations

import ctypes
import enum
import os
import struct
from dataclasses import dataclass
from pathlib import Path

_EVENT = struct.Struct("iIII")  # watch, mask, cookie, length of the name
_READ_MAX = 65536


class Mask(enum.IntFlag):
    ATTRIB = 0x4
    CLOSE_WRITE = 0x8
    MOVED_FROM = 0x40
    MOVED_TO = 0x80
    CREATE = 0x100
    DELETE = 0x200
    DELETE_SELF = 0x400
    OVERFLOW = 0x4000  # events were lost
    IGNORED = 0x8000  # the watch is gone, with its folder
    ONLYDIR = 0x1000000


@dataclass(frozen=True)
class Happened:
    """`name` is of the file within the folder, "" for the folder itself; `watch` is -1 for all of them."""

    watch: int
    mask: Mask
    name: str


class Inotify:
    """Raises OSError where the kernel has no room for it, or for one more watch."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._check(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def fileno(self) -> int:
        return self._fd

    def watch(self, folder: Path, mask: Mask) -> int:
        """Its number in what is read.  Raises OSError: also if there is no such folder."""
        flags = int(mask | Mask.ONLYDIR)
        return self._check(self._libc.inotify_add_watch(self._fd, os.fsencode(folder), flags))

    def unwatch(self, watch: int) -> None:
        """It may be gone already."""
        self._libc.inotify_rm_watch(self._fd, watch)

    def read(self) -> list[Happened]:
        """What has happened since; empty if nothing."""
        try:
            data = os.read(self._fd, _READ_MAX)
        except BlockingIOError:
            return []
        found, at = [], 0
        while at < len(data):
            watch, mask, _, length = _EVENT.unpack_from(data, at)
            at += _EVENT.size
            name = data[at : at + length].rstrip(b"\0")
            found.append(Happened(watch, Mask(mask), os.fsdecode(name)))
            at += length
        return found

    def close(self) -> None:
        os.close(self._fd)

    def _check(self, result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result
