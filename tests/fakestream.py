"""FakeStream: a stream of the fake engine (fakes.py); what was asked of it is kept for the test to see."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audiod.engine import (
    EngineError,
    StreamFlag,
    StreamHeld,
    StreamJoined,
    StreamMoved,
    StreamPar,
    StreamState,
    StreamStats,
)

if TYPE_CHECKING:
    from fakes import FakeConn, FakeDevice


@dataclass(frozen=True)
class Aim:
    """One call of FakeStream.aim."""

    gains: tuple[float, ...]
    curve: tuple[tuple[float, float], ...]
    nframes: int
    hold: bool


class FakeStream:
    conn: FakeConn
    number: int

    def __init__(self, device: FakeDevice, ident: int, par: StreamPar) -> None:
        self.device = device
        self.id = ident
        self.par = par
        self.vol = par.vol
        self.muted = StreamFlag.MUTED in par.flags
        self.freed = False
        self.state = StreamState.INIT
        self.flushed = False
        self.position = 0
        self.written = 0
        self.aims: list[Aim] = []
        self.gone = False  # told to go
        self.counts: dict[str, int] = {}  # other fields of its stats

    def free(self) -> None:
        assert not self.freed, "freed twice"
        assert self not in self.device.started, "freed while it runs"
        self.freed = True

    def setvol(self, vol: int) -> None:
        assert not self.freed
        self.vol = vol

    def setmute(self, on: bool) -> None:
        assert not self.freed
        self.muted = on

    def go(self) -> None:
        assert not self.freed
        self.gone = True
        if self.state is StreamState.PRIMING:
            self.join()

    def aim(
        self,
        gains: Sequence[float] = (),
        *,
        curve: Sequence[tuple[float, float]] = (),
        nframes: int = 0,
        hold: bool = False,
    ) -> int:
        assert not self.freed
        assert all(0 <= gain <= 1 for gain in gains) and len(gains) <= 64 and len(curve) <= 16
        self.aims.append(Aim(tuple(gains), tuple(curve), nframes, hold))
        if hold and self.state in (StreamState.RUNNING, StreamState.HELD) and not self.device.engine.ramping:
            self.held()
        elif not hold and self.state is StreamState.HELD:
            self.state = StreamState.RUNNING
        return len(self.aims)

    def move(self, device: FakeDevice, par: StreamPar) -> None:
        if par.appbufsz < device.par.round:
            raise EngineError(errno.EINVAL, "moving a stream: Invalid argument")
        if self not in self.device.started:
            return  # it has ended, which its control has not heard yet
        self.left, self.device, self.par = self.device, device, par
        self.left.started.remove(self)
        device.started.append(self)
        self.device.engine.post(StreamMoved(self.id))

    def stop(self, *, drain: bool = True) -> None:
        assert not drain, "the daemon cuts short, it does not drain by this"
        self.flushed = True
        if self.number in self.conn.slots:
            self.conn.drained(self.number)

    def stats(self) -> StreamStats:
        assert not self.freed
        heard = int(self.state in (StreamState.RUNNING, StreamState.HELD))
        return StreamStats(
            self.position, heard, self.written, 0, 0, 0, 0, 0, self.state, self.vol, False, 0, **self.counts
        )

    # ---- the test's side ----

    def join(self, time_ns: int = 1) -> None:
        """What its start waits for is there."""
        self.state = StreamState.RUNNING
        self.device.engine.post(StreamJoined(self.id, time_ns))
        if self.aims and self.aims[-1].hold:
            self.held()

    def held(self) -> None:
        """The ramp of its last aim has ended."""
        assert self.aims[-1].hold, "it is not to be held"
        self.state = StreamState.HELD
        self.device.engine.post(StreamHeld(self.id, len(self.aims)))
