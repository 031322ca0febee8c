"""Fragments: how a channel's buffer is divided, and when it starts and stops.

Owns the parameters that `setpar` takes beside sndio's.  Sizes are frames at the
stream's rate unless they say bytes.  Pure; control thread.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from audiod_protocol.channel import StartMode, StopMode
from audiod_protocol.params import Mode, Par
from audiod_protocol.validate import SetparArgs


@dataclass(frozen=True)
class ChannelPar:
    """As asked for; `frag_size` in bytes, None: a block."""

    time: bool = False
    ust_time: bool = False
    start_mode: StartMode = StartMode.FULL
    stop_mode: StopMode = StopMode.STOP
    frag_size: int | None = None
    frags_min: int = 1

    def asked(self, args: SetparArgs) -> ChannelPar:
        """These with what `args` gives on top."""
        given = {f.name: v for f in fields(self) if (v := getattr(args, f.name)) is not None}
        if "start_mode" in given:
            given["start_mode"] = StartMode(given["start_mode"])
        if "stop_mode" in given:
            given["stop_mode"] = StopMode(given["stop_mode"])
        return replace(self, **given)


@dataclass(frozen=True)
class Fragments:
    """The buffer of a stream: `size` frames a fragment, `number` whole ones, `start` frames that begin it."""

    size: int
    number: int
    start: int


def frame_bytes(par: Par, mode: Mode) -> int:
    """Bytes of a frame of what it plays, else of what it records."""
    assert par.enc is not None
    return par.enc.frame_size((par.pchan if Mode.PLAY in mode else par.rchan) or 1)


def fragments(par: Par, mode: Mode, chan: ChannelPar) -> Fragments:
    buffer = par.appbufsz or 1
    size = par.round or 1
    if chan.frag_size is not None:
        size = -(-chan.frag_size // frame_bytes(par, mode))
    size = min(size, buffer)
    return Fragments(size, buffer // size, min(chan.frags_min * size, buffer))


def wanted_buffer(par: Par, mode: Mode, chan: ChannelPar, frags_max: int) -> int:
    """The appbufsz to ask for, so that it holds `frags_max` fragments."""
    size = par.round or 1
    if chan.frag_size is not None:
        size = -(-chan.frag_size // frame_bytes(par, mode))
    return min(frags_max * size, 2**32 - 1)


def told(par: Par, mode: Mode, chan: ChannelPar, type: str | None) -> dict[str, object]:
    """The map `channel` of answers."""
    frags = fragments(par, mode, chan)
    return {
        "time": chan.time,
        "ust_time": chan.ust_time,
        "start_mode": str(chan.start_mode),
        "stop_mode": str(chan.stop_mode),
        "frag_size": frags.size * frame_bytes(par, mode),
        "frags_min": min(chan.frags_min, frags.number),
        "frags_max": frags.number,
        "type": type,
    }
