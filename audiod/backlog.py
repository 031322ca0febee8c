"""Backlog: what a client sends while the device that it has asked for is opened.

Invariant: its messages are taken in their order, and none is lost; one that sends
more than it may is refused.  Control thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from audiod_protocol.errors import Code, Fault

from audiod.subdevice import SubDevice

BACKLOG_MAX = 256 << 10  # bytes: a client that waits for answers has none

Prepare = Callable[[SubDevice, Callable[[Fault | None], None]], None]


class Backlog:
    """Of one connection; `waits`: a device is being opened for it."""

    def __init__(self) -> None:
        self.waits = False
        self._kept: deque[bytes] = deque()
        self._size = 0

    def keeps(self, data: bytes, refuse: Callable[[Fault], None]) -> bool:
        """Whether a message must wait, and does; or is one too many."""
        if not self.waits:
            return False
        self._size += len(data)
        if self._size > BACKLOG_MAX:
            refuse(
                Fault(
                    Code.EBUSY,
                    f"more than {BACKLOG_MAX >> 10} KiB were sent while a device is opened",
                    "wait for the answer to open",
                )
            )
        else:
            self._kept.append(data)
        return True

    def go_on(self, take: Callable[[bytes], None]) -> None:
        """The device is open, or cannot be: take what has waited."""
        while self._kept and not self.waits:
            data = self._kept.popleft()
            self._size -= len(data)
            take(data)
