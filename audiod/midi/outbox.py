"""Outbox: what waits for one receiver of MIDI, and never more than it may.

Invariant: it holds whole messages, and pieces of a system exclusive message only
behind all the pieces before them; what does not fit is dropped whole, with the rest
of its message.  A message of another sender ends a system exclusive one that is
under way; real-time messages do not.  Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from audiod.midi.messages import REALTIME, SYSEX, SYSEX_END, begins

BUFFER = 3125  # bytes: a second of a MIDI cable, as sndiod has it


class Outbox:
    """Of one receiver.  `dropped` counts messages."""

    def __init__(self, size: int = BUFFER) -> None:
        self.size = size
        self.used = 0  # bytes
        self.dropped = 0
        self._queue: deque[bytes] = deque()
        self._owner: object = None  # whose system exclusive message is under way

    @property
    def room(self) -> int:
        """Bytes."""
        return self.size - self.used

    def put(self, messages: Iterable[bytes], source: object) -> None:
        """Append what `source` has sent."""
        for message in messages:
            status = message[0]
            if status >= REALTIME:
                self._append(message)
            elif begins(message):
                fits = self._append(message)
                goes_on = status == SYSEX and message[-1] != SYSEX_END
                self._owner = source if fits and goes_on else None
            elif self._owner is source and (not self._append(message) or message[-1] == SYSEX_END):
                self._owner = None

    def _append(self, message: bytes) -> bool:
        if self.used + len(message) > self.size:
            self.dropped += 1
            return False
        self._queue.append(message)
        self.used += len(message)
        return True

    def take(self, most: int) -> bytes:
        """Whole messages, in their order, of `most` bytes together at most, but one in any case."""
        taken: list[bytes] = []
        size = 0
        while self._queue and (not taken or size + len(self._queue[0]) <= most):
            message = self._queue.popleft()
            taken.append(message)
            size += len(message)
        self.used -= size
        return b"".join(taken)

    def clear(self) -> None:
        """Drop all that waits; a message of which the beginning has left is not gone on with."""
        self.dropped += len(self._queue)
        self._queue.clear()
        self.used = 0
        self._owner = None
