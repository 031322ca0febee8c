"""Parameters between sndio's wire and ours: what SETPAR asks, what GETPAR is told.

Pure functions; what becomes of the asked values is `negotiation.resolve`'s, the
same as on the native wire.
"""

from __future__ import annotations

from audiod_protocol.params import Mode, Par, Xrun
from audiod_protocol.sndio.messages import WireMode, WirePar

__all__ = ["asked", "told"]


def asked(par: WirePar) -> Par:
    """What a SETPAR asks for.  Raises FaultError for an xrun policy that does not exist.

    An encoding that does not exist is refused when this is merged with what holds.
    """
    return Par(
        bits=par.bits,
        bps=par.bps,
        sig=_flag(par.sig),
        le=_flag(par.le),
        msb=_flag(par.msb),
        rate=par.rate,
        pchan=par.pchan,
        rchan=par.rchan,
        appbufsz=par.appbufsz,
        xrun=None if par.xrun is None else Xrun.parse(par.xrun),
    )


def _flag(value: int | None) -> bool | None:
    return None if value is None else value != 0


def told(par: Par, mode: Mode) -> WirePar:
    """The answer to GETPAR of a stream opened to `mode`; channels only of its directions."""
    assert par.xrun is not None
    bits = WireMode(0)
    if Mode.PLAY in mode:
        bits |= WireMode.PLAY
    if Mode.REC in mode:
        bits |= WireMode.REC
    return WirePar(
        mode=int(bits),
        xrun=par.xrun.number,
        bps=par.bps,
        bits=par.bits,
        msb=int(bool(par.msb)),
        le=int(bool(par.le)),
        sig=int(bool(par.sig)),
        pchan=par.pchan if Mode.PLAY in mode else None,
        rchan=par.rchan if Mode.REC in mode else None,
        rate=par.rate,
        bufsz=par.bufsz,
        round=par.round,
        appbufsz=par.appbufsz,
    )
