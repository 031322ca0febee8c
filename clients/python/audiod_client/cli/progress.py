"""What `play` and `record` show while they run: one line that is rewritten on a terminal, else one a file.

Invariant: everything goes to standard error, so that standard output may be audio.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from types import TracebackType
from typing import Self

from audiod_client.cli.context import Context
from audiod_client.cli.meter import bar, decibels
from audiod_client.cli.output import clean, fit

__all__ = ["Progress", "clock"]

INTERVAL = 0.1  # seconds between two drawings
WIDTH = 79  # the last column stays free, or some terminals wrap
METER = 12


def clock(seconds: float) -> str:
    """`1:23.4`, with hours where there are some."""
    tenths = max(0, int(seconds * 10))
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    tail = f"{tenths // 10:02d}.{tenths % 10}"
    return f"{hours}:{minutes:02d}:{tail}" if hours else f"{minutes}:{tail}"


class Progress:
    """Of one file: `what` describes it, `total` is its length in frames where that is known."""

    def __init__(self, context: Context, name: str, what: str, rate: int, total: int | None) -> None:
        self.name = clean(name)
        self.what = what
        self.rate = rate
        self.total = total
        self.live = sys.stderr.isatty() and not context.quiet
        self._peaks: deque[tuple[int, float]] = deque()
        self._level = 0.0
        self._drawn = 0.0
        self.last = 0  # position when it is over
        if not self.live and not context.quiet:
            length = f"{clock(total / rate)}, " if total is not None else ""
            print(f"{self.name}: {length}{what}", file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live:
            self._draw(self.last)
            print(file=sys.stderr, flush=True)

    @property
    def interval(self) -> float | None:
        """Seconds after which `show` should be called again."""
        return INTERVAL if self.live else None

    def peak(self, until: int, level: float) -> None:
        """The peak of the frames up to `until`, to be shown when they are heard."""
        if self.live:
            self._peaks.append((until, level))

    def show(self, position: int) -> None:
        """Draw the line, if it is time to; `position` in frames of this file."""
        self.last = position
        if self.live and time.monotonic() - self._drawn >= INTERVAL:
            self._drawn = time.monotonic()
            self._draw(position)

    def _draw(self, position: int) -> None:
        level = 0.0
        while self._peaks and self._peaks[0][0] <= position:
            level = max(level, self._peaks.popleft()[1])
        self._level = level or (self._peaks[0][1] if self._peaks else 0.0)
        times = clock(position / self.rate)
        if self.total is not None:
            times += f" / {clock(self.total / self.rate)}"
        meter = f"[{bar(self._level, METER)}] {max(-99.9, decibels(self._level)):5.1f} dB"
        rest = f"  {times}  {meter}  {self.what}"
        line = fit(self.name, max(8, WIDTH - len(rest))) + rest
        print(f"\r{fit(line, WIDTH).ljust(WIDTH)}", end="", file=sys.stderr, flush=True)
