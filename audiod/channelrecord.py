"""Account: what a channel has counted, and the status record made of it.

Owns the counters of a stream over all its starts; within one start the engine
has them.  Invariant: `count` and `free` add up to the buffer.  Control thread.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from audiod_protocol.channel import Status
from audiod_protocol.params import Mode

from audiod.fragments import fragments

if TYPE_CHECKING:
    from audiod import core, engine
    from audiod.channel import Channel
    from audiod.engine import StreamStats

BOUNDARY = 0xFFFFFFFF  # the largest scount, SND_PCM_BOUNDARY of QNX's headers; the value behind it is 0

Counts = tuple[int, int, int]  # underruns, overruns, overranges
Row = dict[str, object]


class Account:
    """Of one stream; `begun` to `released` is one start of it."""

    def __init__(self, row: core.Stream) -> None:
        self._row = row
        self._run: engine.Stream | None = None
        self._last: StreamStats | None = None  # of the last start, when the engine let go of it
        self._before: Counts = (0, 0, 0)  # of all earlier starts
        self._offset = 0  # CLOCK_REALTIME - CLOCK_MONOTONIC when this one began, ns
        self._stop_ns: int | None = None  # CLOCK_REALTIME

    def begun(self, run: engine.Stream) -> None:
        self._run, self._last = run, None
        self._offset = _offset()

    def stopped(self) -> None:
        """It has stopped, for whatever reason."""
        if self._run is not None and (last := self._run.stats().last_ns):
            self._stop_ns = last + _offset()

    def released(self) -> None:
        if self._run is not None:
            self._before = self.totals()
            self._last = self._run.stats()
            self._run = None

    def choked(self) -> bool:
        """Whether what it recorded found no room in this start."""
        return self._run is not None and self._run.stats().overruns > 0

    def totals(self) -> Counts:
        """Since it was opened."""
        if self._run is None:
            return self._before
        stats, (under, over, overrange) = self._run.stats(), self._before
        return under + stats.underruns, over + stats.overruns, overrange + stats.overranges

    def record(self, channel: Channel, play: bool, seen: Counts) -> Row:
        """The record of one direction; `seen` are the totals that were told before."""
        row, par = self._row, self._row.par
        assert par.enc is not None
        frame = par.enc.frame_size((par.pchan if play else par.rchan) or 1)
        stats = self._last if self._run is None else self._run.stats()
        done = 0 if stats is None else stats.consumed if play else stats.captured
        first = stats.first_ns if stats is not None and done > 0 else 0
        size = (par.appbufsz or 0) * frame
        queued = 0
        if self._run is not None and stats is not None and channel.started:
            queued = min((stats.filled if play else stats.rfilled) * frame, size)
        under, over, overrange = (now - then for now, then in zip(self.totals(), seen, strict=True))
        frags = fragments(par, row.mode, channel.par)
        status = channel.status
        changed = channel.changes if status is Status.CHANGE else None
        return {
            "channel": "play" if play else "rec",
            "mode": "block",
            "status": str(status),
            "scount": done * frame % (BOUNDARY + 1),
            "stime": _timeval(first + self._offset) if first and channel.par.time else None,
            "ust_stime": first if first and channel.par.ust_time else None,
            "frag": done // frags.size % frags.number,
            "count": queued,
            "free": size - queued,
            "underrun": under if play else 0,
            "overrun": 0 if play else over,
            "overrange": 0 if play else overrange,
            "subbuffered": stats.delay * frame if stats is not None and self._run is not None else 0,
            "ducking_state": int(channel.ducking_state),
            "stop_time": None if self._stop_ns is None else _timeval(self._stop_ns),
            "status_data": {"change": {"from": changed[0], "to": changed[1]}} if changed else {},
            "ducked_by": list(channel.target.ducked_by),
            "why": channel.target.why,
        }

    def told(self, seen: Counts, play: bool) -> Counts:
        """What a reader of that direction's record has been told by now."""
        under, over, overrange = self.totals()
        return (under, seen[1], seen[2]) if play else (seen[0], over, overrange)

    def direction(self, asked: str | None) -> bool | None:
        """Whether the record asked for is of what it plays; None: it has no such direction."""
        mode = self._row.mode
        play = asked == "play" if asked is not None else Mode.PLAY in mode
        return play if (Mode.PLAY if play else Mode.REC) in mode else None


def _offset() -> int:
    return time.time_ns() - time.monotonic_ns()


def _timeval(ns: int) -> Row:
    return {"sec": ns // 1_000_000_000, "usec": ns % 1_000_000_000 // 1000}
