"""StreamPar: what the engine is told of a stream, and what it tells of one, in the core's words.

Pure; the control thread calls it when a stream starts, moves or is looked at.
"""

from __future__ import annotations

from dataclasses import replace

from audiod_protocol.channel import StopMode
from audiod_protocol.params import Mode, Par, Xrun

from audiod.core import Device, Measured, Stream
from audiod.engine import StartMode, StreamFlag, StreamPar, StreamState, StreamStats
from audiod.fragments import ChannelPar, Fragments
from audiod.opening import to_engine
from audiod.subdevice import SubDevice, SubMode

_STATES = {
    StreamState.INIT: "priming",
    StreamState.PRIMING: "priming",
    StreamState.RUNNING: "running",
    StreamState.DRAINING: "draining",
    StreamState.ENDED: "ready",
    StreamState.HELD: "running",  # for its client it is: only nothing of it moves
}


def stream_par(row: Stream, device: Device, *, group: int, members: int) -> StreamPar:
    """Of a stream on the device of its sub-device; `group` 0: it is in no link group."""
    sub, par = row.sub, row.par
    enc, rate, appbufsz, xrun = par.enc, par.rate, par.appbufsz, par.xrun
    assert enc is not None and rate is not None and appbufsz is not None and xrun is not None
    fmt = device.format
    return StreamPar(
        enc=to_engine(enc),
        flags=flags(row.mode, sub.mode, play=fmt.play, rec=fmt.rec, autovol=device.autovol)
        | (StreamFlag.MUTED if row.program.muted else StreamFlag(0))
        | (StreamFlag.MMC if sub.mmc else StreamFlag(0)),
        rate=rate,
        pchan=par.pchan or 0,
        rchan=par.rchan or 0,
        appbufsz=appbufsz,
        xrun=xrun.number,
        pmin=sub.pmin,
        pmax=sub.pmax,
        rmin=sub.rmin,
        rmax=sub.rmax,
        join=sub.join,
        vol=row.program.level,
        maxvol=sub.maxvol,
        group=group,
        group_n=members,
    )


def prepared(par: StreamPar, chan: ChannelPar, frags: Fragments) -> StreamPar:
    """The same of a stream that starts and stops by the modes of its channel."""
    xrun = Xrun.ERROR.number
    if chan.stop_mode is StopMode.ROLLOVER:
        xrun = Xrun.IGNORE.number if par.xrun == Xrun.ERROR.number else par.xrun
    return replace(par, xrun=xrun, start=StartMode(chan.start_mode.number), start_min=frags.start)


def flags(mode: Mode, offered: SubMode, *, play: int, rec: int, autovol: bool) -> StreamFlag:
    """The engine's flags of a stream: a direction that is not offered exists, but is silent."""
    out = StreamFlag(0)
    if Mode.PLAY in mode:
        out |= StreamFlag.PLAY
        if SubMode.PLAY not in offered or not play:
            out |= StreamFlag.NOPLAY
    if Mode.MON in mode:
        out |= StreamFlag.MON if play else StreamFlag.REC | StreamFlag.NOREC
    elif Mode.REC in mode:
        if SubMode.MON in offered and play:
            out |= StreamFlag.MON
        if SubMode.REC in offered and rec:
            out |= StreamFlag.REC
        if not out & (StreamFlag.REC | StreamFlag.MON):
            out |= StreamFlag.REC | StreamFlag.NOREC
    return out | StreamFlag.AUTOVOL if autovol else out


def in_step(par: Par, sub: SubDevice) -> Par:
    """Parameters as its sub-device has them: what MMC starts together stays together, as in sndiod."""
    return replace(par, xrun=Xrun.SYNC) if sub.mmc and par.xrun is Xrun.IGNORE else par


def measured(stats: StreamStats, row: Stream, *, draining: bool, unread: int) -> Measured:
    """The engine's numbers of a started stream; `draining`: its client has said so already.

    `unread` are bytes that the client has written and the engine has not read, within its credit.
    """
    if Mode.PLAY in row.mode:
        latency = stats.written - max(stats.position, 0) + stats.delay
        credit = (row.par.appbufsz or 0) + stats.consumed - stats.written
        latency += max(0, min(_frames(row.par, unread), credit))
    else:
        latency = stats.captured - stats.read + stats.delay
    state = "draining" if draining else _STATES[stats.state]
    if state == "running" and (stats.position < 0 or not stats.time_ns):
        state = "priming"  # it has joined its device, but nothing of it was heard or recorded yet
    return Measured(state, max(stats.position, 0), max(latency, 0), stats.xruns)


def _frames(par: Par, size: int) -> int:
    """Frames played that so many bytes are."""
    assert par.enc is not None
    return size // (par.enc.bps * max(1, par.pchan or 0))
