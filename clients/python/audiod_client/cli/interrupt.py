"""Ctrl-C and TERM as something to look at and to poll for, so that files and streams end cleanly.

Invariant: the first signal only sets `caught` and wakes `wait`; a second one,
or one that comes during `read`, raises KeyboardInterrupt.  Main thread only.
"""

from __future__ import annotations

import select
import signal
import socket
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

from audiod_client._blocking import Stream

__all__ = ["Interrupt"]

T = TypeVar("T")

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """A context manager; `caught` is the signal's number, 0 before one came."""

    def __init__(self) -> None:
        self.caught = 0
        self._reading = False
        self._before: dict[int, Any] = {}
        self._wake, self._woken = socket.socketpair()
        for end in (self._wake, self._woken):
            end.setblocking(False)

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._arrived) for number in SIGNALS}
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._wake.close()
        self._woken.close()

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        again, self.caught = self.caught != 0, number
        if again or self._reading:
            raise KeyboardInterrupt

    def read(self, function: Callable[..., T], *args: Any) -> T | None:
        """Call what may wait for a pipe; None as soon as a signal came."""
        try:
            self._reading = True
            return None if self.caught else function(*args)
        except KeyboardInterrupt:
            return None
        finally:
            self._reading = False

    def wait(self, stream: Stream, events: int, seconds: float | None = None) -> int:
        """Poll a stream, for `seconds` at most; its revents, 0 as soon as a signal came."""
        poller = select.poll()
        for fd, mask in stream.pollfd(events):
            poller.register(fd, mask)
        poller.register(self._woken, select.POLLIN)
        if not self.caught:
            poller.poll(None if seconds is None else 1000 * seconds)
        return stream.revents()
