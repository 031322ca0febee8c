"""Channel: what sndstat tells of one channel, a device's own or one direction of a stream.

`Side` is a device with its own channels in one listing; `Channel` is a stream's,
and keeps what has not changed since the last one.  Sizes in bytes.  Control thread.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from audiod_protocol.limits import VOL_MAX
from audiod_protocol.params import Mode

from audiod.core import Device, Stream
from audiod.engine import StreamFlag
from audiod.sndstat import chain, words
from audiod.sndstat.model import Fixed, Now
from audiod.sndstat.words import Style
from audiod.streampar import flags
from audiod.subdevice import SubDevice

if TYPE_CHECKING:
    from audiod import engine

UNUSED, UNKNOWN = "<UNUSED>", "<UNKNOWN>"
NOBODY = 2**64 - 1  # pid -1 as a NUMBER
COMM_MAX = 19  # characters of a command's name, as in the kernel
PROC = Path("/proc")


class Buffer(NamedTuple):
    """A buffer as a channel shows it."""

    format: int
    rate: int
    size: int = 0
    blksz: int = 0
    blkcnt: int = 0


@dataclass
class Side:
    """A device, with its own channels first and those of its streams behind them.

    `at` is everything of it that they depend on, and `version` counts how often that was another.
    `bypass`: the bytes of its one stream are copied; None: somebody plays what a float does not hold.
    """

    device: Device
    style: Style
    at: tuple[object, ...]
    version: int = 0
    fixed: list[Fixed] = field(default_factory=list)
    now: list[Now] = field(default_factory=list)
    playing: int = 0  # channels of streams
    recording: int = 0

    @property
    def play(self) -> str:
        """The name of its own channel that plays, "" where it has none."""
        unit = self.device.number
        return f"pcm{unit}:play:dsp{unit}.p0" if self.device.format.play else ""

    @property
    def rec(self) -> str:
        unit = self.device.number
        return f"pcm{unit}:record:dsp{unit}.r0" if self.device.format.rec else ""


def side_of(
    device: Device,
    style: Style,
    handle: engine.Device | None,
    *,
    bypass: bool | None,
    old: Side | None,
    now: int,
) -> Side:
    """A device and its own channels; `now`: CLOCK_MONOTONIC, ns."""
    fmt = device.format
    mine = (device.volume, device.muted, device.input_volume, device.input_muted)
    at = (fmt, style, device.played, device.recorded, *mine, device.autovol, bypass, handle is not None)
    side = Side(device, style, at)
    own = bool(fmt.play) + bool(fmt.rec)
    if old is not None and old.at == at:
        side.version, side.fixed = old.version, old.fixed[:own]
    else:
        side.version = 0 if old is None else old.version + 1
        side.fixed = [
            _own(side, playing, bypass, handle is not None)
            for playing, there in ((True, fmt.play), (False, fmt.rec))
            if there
        ]
    if handle is None:
        side.now = [Now(place, 0, 0, 0, 0, 0, 0, 0) for place in range(own)]
        return side
    stats = handle.stats()
    last = handle.cycles(1) if stats.running else []
    passed = 0
    if last and last[0].due_ns:
        passed = max(0, min(fmt.round, (now - last[0].due_ns) * fmt.rate // 1_000_000_000))
    for place, fixed in enumerate(side.fixed):
        # each cycle fills up what is played, and empties what is recorded
        frames = fmt.bufsz - passed if fixed.caps & words.CAP["OUTPUT"] else passed
        ready = frames * fixed.hwbuf_size // fmt.bufsz if stats.running else 0
        free = fixed.hwbuf_size - ready
        side.now.append(Now(place, stats.cycles, stats.cycles, stats.xruns, free, ready, fixed.swbuf_size, 0))
    return side


def _own(side: Side, playing: bool, bypass: bool | None, opened: bool) -> Fixed:
    """A device's own channel."""
    device, style = side.device, side.style.feederchain
    fmt = device.format
    channels = fmt.play if playing else fmt.rec
    end = chain.End(fmt.enc, fmt.rate, channels)
    if playing:
        feeders = chain.mixed(end, style, double=bypass is None, bypass=bool(bypass))
        level, muted = device.volume, device.muted
    else:
        feeders = chain.recorded(end, style)
        level, muted = device.input_volume, device.input_muted
    mix = words.F64 if (playing and bypass is None) or chain.wide(fmt.enc) else words.F32
    hwbuf = Buffer(words.format_of(fmt.enc, channels), fmt.rate)
    swbuf = Buffer(words.format_of(mix, channels), fmt.rate)
    if opened:
        frame, mixed = fmt.enc.frame_size(channels), fmt.round * mix.frame_size(channels)
        hwbuf = hwbuf._replace(size=fmt.bufsz * frame, blksz=fmt.round * frame, blkcnt=fmt.bufsz // fmt.round)
        swbuf = swbuf._replace(size=mixed, blksz=mixed, blkcnt=1)
    return _fixed(
        name=side.play if playing else side.rec,
        parent="",
        caps=words.caps(playing=playing, virtual=False),
        latency=words.latency(fmt.bufsz, fmt.rate),
        buffer=hwbuf,
        pid=os.getpid() if opened else NOBODY,
        comm=comm_of(os.getpid()) if opened else UNUSED,
        volume=0 if muted else words.percent(level),
        hwbuf=hwbuf,
        swbuf=swbuf,
        feeders=feeders,
    )


class Channel:
    """One direction of a stream: its number on its device, and what it was in the last listing."""

    __slots__ = ("fixed", "frame", "key", "number", "place", "playing", "size")

    def __init__(self, playing: bool) -> None:
        self.playing = playing
        self.place = self.number = -1  # device, and which of its channels
        self.key: tuple[object, ...] = ()  # of what `fixed` was made
        self.fixed: Fixed
        self.frame = self.size = 0  # of a frame, and of the stream's buffer

    def renew(self, stream: Stream, side: Side, comm: str, bypass: bool) -> None:
        """Tell anew what it is: the stream, or its device, is another than it was."""
        device, par, program, style = side.device, stream.par, stream.program, side.style.feederchain
        fmt = device.format
        enc = par.enc
        assert enc is not None and par.rate is not None
        flag = flags(stream.mode, stream.sub.mode, play=fmt.play, rec=fmt.rec, autovol=device.autovol)
        channels = (par.pchan if self.playing else par.rchan) or 0
        end = chain.End(enc, par.rate, channels)
        if self.playing:
            parent, width = "" if StreamFlag.NOPLAY in flag else side.play, fmt.play
            loud = program.level == stream.sub.maxvol == VOL_MAX and not program.muted
            feeders = chain.playing(
                end,
                chain.End(fmt.enc, fmt.rate, width),
                parent,
                style,
                identity=_identity(channels, stream.sub, width, Mode.PLAY),
                volume=not loud or device.played != 1 or device.autovol,
                bypass=bypass,
            )
        else:
            monitors, hears = StreamFlag.MON in flag, StreamFlag.REC in flag and StreamFlag.NOREC not in flag
            parent, width = side.rec if hears else side.play if monitors else "", fmt.rec or fmt.play
            if monitors and not hears:
                width = fmt.play
            feeders = chain.recording(
                end,
                chain.End(fmt.enc, fmt.rate, width),
                parent,
                style,
                identity=_identity(channels, stream.sub, width, Mode.REC if hears else Mode.MON),
                volume=hears and device.recorded != 1,
                both=hears and monitors,
            )
        self.frame = enc.frame_size(channels)
        self.size = (par.appbufsz or 0) * self.frame
        block = max(1, par.round or 1)
        format, unit = words.format_of(enc, channels), device.number
        word, letter = ("virtual_play", "vp") if self.playing else ("virtual_record", "vr")
        own = Buffer(format, par.rate, self.size, block * self.frame, (par.appbufsz or 0) // block)
        self.fixed = _fixed(
            name=f"pcm{unit}:{word}:dsp{unit}.{letter}{self.number}",
            parent=parent,
            caps=words.caps(playing=self.playing, virtual=True),
            latency=words.latency(par.appbufsz or 0, par.rate),
            buffer=own,
            pid=stream.pid if stream.pid > 0 else NOBODY,
            comm=comm,
            volume=0 if program.muted else words.percent(program.level),
            hwbuf=Buffer(words.format_of(fmt.enc, width), fmt.rate),  # its parent's: it has none itself
            swbuf=own,
            feeders=feeders,
        )


def moving(channel: Channel, stream: Stream, counts: tuple[int, ...] | None, unit: int) -> Now:
    """How a stream's channel does: what the engine counts, and what is queued in it.

    Whatever else comes to be known of a stream at this moment belongs here.
    """
    size = channel.size
    if counts is None:
        return Now(unit, 0, 0, stream.xruns, 0, 0, size, 0)
    queued, recorded, cycles, fed, _ = counts
    ready = (queued if channel.playing else recorded) * channel.frame
    return Now(unit, cycles, fed, stream.xruns, 0, 0, size - ready, ready)


def _fixed(
    *,
    name: str,
    parent: str,
    caps: int,
    latency: int,
    buffer: Buffer,
    pid: int,
    comm: str,
    volume: int,
    hwbuf: Buffer,
    swbuf: Buffer,
    feeders: str,
) -> Fixed:
    """A channel with the format and rate of `buffer`.

    A buffer's format stands under both names that it has, in the manual and in the header.
    """
    return Fixed(
        *(name, parent, caps, latency, buffer.rate, buffer.format, pid, comm, volume, volume),
        *(hwbuf.format, *hwbuf),
        *(swbuf.format, *swbuf),
        feeders,
    )


def _identity(channels: int, sub: SubDevice, width: int, mode: Mode) -> bool:
    """Whether a stream's channels are all of the device's, one by one: see cmap.c."""
    first, last = (sub.rmin, sub.rmax) if mode is Mode.REC else (sub.pmin, sub.pmax)
    return channels == width and first == 0 and last >= width - 1


def command(stream: Stream, read: dict[int, str]) -> str:
    """The name of a stream's program, as the kernel has it; of one on another machine nothing is known."""
    if stream.uid is None or stream.pid <= 0:
        return UNKNOWN
    if stream.pid not in read:
        read[stream.pid] = comm_of(stream.pid)
    return read[stream.pid]


def comm_of(pid: int) -> str:
    try:
        raw = (PROC / str(pid) / "comm").read_bytes()
    except OSError:
        return UNKNOWN
    return raw.rstrip(b"\n").decode("utf-8", "replace")[:COMM_MAX] or UNKNOWN
