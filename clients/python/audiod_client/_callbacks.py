"""What a stream's callbacks are to be told, kept until its next call.

Invariants: at most PENDING_MAX notes are kept; the deltas told add up to the
position whatever was folded; a note is taken away before its callback runs, so
that one that raises is not told twice.  Runs in the caller's thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

__all__ = ["PENDING_MAX", "Callbacks"]

PENDING_MAX = 1024  # notes for a stream that makes no calls: ten seconds of blocks; then they are folded


class Callbacks:
    """One callback a kind: "move" (delta), "vol" (volume), "xrun" (kind of xrun), "status" (StatusEvent)."""

    def __init__(self) -> None:
        self._of: dict[str, Callable[[Any], None]] = {}
        self._notes: deque[tuple[str, Any]] = deque()

    def register(self, kind: str, callback: Callable[[Any], None] | None) -> None:
        """From now on call this one, or none."""
        self._of.pop(kind, None)
        if callback is not None:
            self._of[kind] = callback

    @property
    def pending(self) -> bool:
        return bool(self._notes)

    def note(self, kind: str, value: Any) -> None:
        """Remember to tell; nothing if nobody is to be told."""
        if kind not in self._of:
            return
        if len(self._notes) >= PENDING_MAX:
            self._fold()
        self._notes.append((kind, value))

    def _fold(self) -> None:
        """One note for all moves, one for each kind of xrun, the last volume, the last of each event."""
        moves = [value for kind, value in self._notes if kind == "move"]
        xruns = dict.fromkeys(note for note in self._notes if note[0] == "xrun")
        vols = [note for note in self._notes if note[0] == "vol"]
        told = {value.event: (kind, value) for kind, value in self._notes if kind == "status"}
        self._notes = deque([*([("move", sum(moves))] if moves else []), *xruns, *vols[-1:], *told.values()])

    def run(self) -> None:
        """Tell everything."""
        while self._notes:
            kind, value = self._notes.popleft()
            if (callback := self._of.get(kind)) is not None:
                callback(value)
