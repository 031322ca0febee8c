"""When a recording has been silent for long enough.  Pure; counts frames, not time.

Invariant: the answer does not depend on how the samples were cut into pieces.
"""

from __future__ import annotations

from audiod_client.cli.audiofile import Format
from audiod_client.cli.meter import decibels, peak

__all__ = ["SILENT_DB", "Silence"]

SILENT_DB = -50.0  # peaks below count as silence: above the noise of most inputs, below quiet music
GRID = 100  # pieces of a second that are looked at


class Silence:
    """Looks for `seconds` of silence after the first sound."""

    def __init__(self, format: Format, seconds: float) -> None:
        self._format = format
        self._grid = max(1, format.rate // GRID)
        self._wanted = max(1, round(seconds * format.rate))
        self._position = 0  # frames looked at
        self._end: int | None = None  # frame at which the silence is long enough; None: no sound yet

    def keep(self, data: bytes) -> int | None:
        """How many frames of the next samples belong to the recording, if it ends in them; else None."""
        frame, begin, frames = self._format.frame, self._position, 0
        total = len(data) // frame
        while frames < total:
            if self._end is not None and begin + frames >= self._end:
                self._position = self._end
                return self._end - begin
            at = begin + frames
            count = min(total - frames, self._grid - at % self._grid)
            if self._end is not None:
                count = min(count, self._end - at)
            piece = data[frames * frame : (frames + count) * frame]
            if decibels(peak(piece, self._format.enc)) >= SILENT_DB:
                self._end = (at // self._grid + 1) * self._grid + self._wanted
            frames += count
        self._position = begin + total
        return total if self._end is not None and self._position >= self._end else None
