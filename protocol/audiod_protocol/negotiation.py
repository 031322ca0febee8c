"""What the server makes of asked parameters: the formulas of README.md, as code.

Pure functions over Par and the device's clock; both wires use them, so that a
program sees the same numbers by either.  All sizes are frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from audiod_protocol.limits import NCHAN_MAX, RATE_MAX, RATE_MIN
from audiod_protocol.params import Enc, Mode, Par, Xrun

__all__ = ["DeviceClock", "initial", "resolve"]


@dataclass(frozen=True)
class DeviceClock:
    """A device's `rate` in Hz, its `round` and `bufsz` in frames at that rate."""

    rate: int
    round: int
    bufsz: int

    def block(self, rate: int) -> int:
        """Frames at `rate` nearest to a block of the device: the stream's `round`, never 0."""
        return max(1, (self.round * rate + self.rate // 2) // self.rate)

    def integral(self, rate: int) -> bool:
        """Whether each block of the device takes the same whole number of frames at `rate`."""
        return self.round * rate % self.rate == 0

    def ahead(self, rate: int) -> int:
        """Frames at `rate` that the device's own buffer holds."""
        return self.bufsz // self.round * self.block(rate)


def initial(clock: DeviceClock, mode: Mode, pchan: int, rchan: int) -> Par:
    """Parameters of a stream just opened: sndiod's, with the sub-device's channels."""
    par = Par(
        rate=clock.rate,
        pchan=pchan if Mode.PLAY in mode else None,
        rchan=rchan if Mode.REC in mode else None,
        appbufsz=clock.bufsz,
        xrun=Xrun.IGNORE,
    ).with_enc(Enc(24, 4))
    return resolve(par, Par(), clock, mode)


def resolve(current: Par, asked: Par, clock: DeviceClock, mode: Mode) -> Par:
    """`current` with `asked` on top, clamped, with `round` and `bufsz` as answered.

    Raises FaultError if the encoding does not exist; all else is clamped.
    """
    par = current.merge(replace(asked, bufsz=None, round=None))
    rate = min(max(clock.rate if par.rate is None else par.rate, RATE_MIN), RATE_MAX)
    block = clock.block(rate)
    app = par.appbufsz or 0
    if asked.rate is not None and asked.appbufsz is None:
        app = clock.ahead(rate)
    app += block // 2
    app -= app % block
    exact = clock.integral(rate)
    app = max(min(app, (1 + rate // clock.round) * block), block if exact else 2 * block)
    return replace(
        par,
        rate=rate,
        pchan=_nchan(par.pchan) if Mode.PLAY in mode else None,
        rchan=_nchan(par.rchan) if Mode.REC in mode else None,
        appbufsz=app,
        round=block,
        bufsz=app + clock.ahead(rate) + (not exact),
    )


def _nchan(asked: int | None) -> int:
    return min(max(asked or 1, 1), NCHAN_MAX)
