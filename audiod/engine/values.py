"""Values that cross the engine's boundary: what is asked for and what is told.

Plain frozen data, without the compiled engine.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Clock(enum.IntEnum):
    REAL = 0
    FREE = 1
    MANUAL = 2


class Wire(enum.IntEnum):
    """The protocol that a connection speaks."""

    NATIVE = 0
    SNDIO = 1


ACCESSES = ("mmap", "mmap-planar", "mmap-complex", "rw", "rw-planar")  # of a card, in the engine's order


class StreamFlag(enum.IntFlag):
    PLAY = 1
    REC = 2
    MON = 4
    NOPLAY = 8
    NOREC = 16
    AUTOVOL = 32
    MUTED = 64
    TELLXRUN = 128
    MMC = 1024


class StreamState(enum.IntEnum):
    INIT = 0
    PRIMING = 1
    RUNNING = 2
    DRAINING = 3
    ENDED = 4
    HELD = 5  # joined, and stands still


class StartMode(enum.IntEnum):
    """What a started stream waits for before it joins its device."""

    FULL = 0  # its play ring is full
    DATA = 1  # `start_min` frames to play, and a block at least
    GO = 2  # Stream.go


@dataclass(frozen=True)
class Encoding:
    """sio_par's encoding: bits, bytes a sample, signed, little endian, MSB aligned; flt for IEEE floats."""

    bits: int
    bps: int
    sig: bool = True
    le: bool = True
    msb: bool = False
    flt: bool = False


@dataclass(frozen=True)
class DevicePar:
    """What is asked of a device, and (read back) what it does: rates in Hz, sizes in frames.

    `pmap`, `rmap`: where its channels are, ALSA's numbers of positions; empty: unknown, or no wish.
    """

    enc: Encoding
    rate: int
    round: int
    bufsz: int
    pchan: int
    rchan: int
    clock: Clock = Clock.REAL
    pmap: tuple[int, ...] = ()
    rmap: tuple[int, ...] = ()


@dataclass(frozen=True)
class DeviceConf:
    """One device to open: driver, its argument and the keys that the engine knows.

    `access`, one of ACCESSES: the only way to a card's samples that is tried.

    The last four simulate a bad device: clock error in parts per million, a real
    clock's blocks told of up to `jitter_ns` late, the driver dry after each
    `xrun_every_ns` of running, gone after `unplug_after_ns` of it (0: not).
    """

    driver: str
    par: DevicePar
    arg: str = ""
    rec: str | None = None
    access: str = ""
    free_clock: bool = False
    append: bool = False
    dither: bool = True
    stall_ms: int = 5000
    ppm: int = 0
    jitter_ns: int = 0
    xrun_every_ns: int = 0
    unplug_after_ns: int = 0


@dataclass(frozen=True)
class DeviceStats:
    cycles: int
    position: int
    xruns: int
    clipped: int
    bypassed: int
    cpu_ns: int
    running: bool
    streams: int


@dataclass(frozen=True)
class Cycle:
    """One cycle of a device; times in CLOCK_MONOTONIC ns."""

    seq: int
    due_ns: int
    wake_ns: int
    end_ns: int
    nblocks: int
    nstreams: int
    nxruns: int
    driver_xrun: bool


@dataclass(frozen=True)
class StreamPar:
    """One stream as the engine needs it; see api.h, struct stream_par."""

    enc: Encoding
    flags: StreamFlag
    rate: int
    pchan: int
    rchan: int
    appbufsz: int
    xrun: int = 0
    pmin: int = 0
    pmax: int = 1
    rmin: int = 0
    rmax: int = 1
    join: bool = True
    vol: int = 127
    maxvol: int = 127
    group: int = 0
    group_n: int = 0
    round: int = 0
    start: StartMode = StartMode.FULL
    start_min: int = 0


@dataclass(frozen=True)
class StreamStats:
    """Frames at the client's rate, times in CLOCK_MONOTONIC ns; see api.h, struct stream_stats."""

    position: int
    time_ns: int
    written: int
    consumed: int
    captured: int
    read: int
    xruns: int
    lost: int
    state: StreamState
    vol: int
    bypass: bool
    delay: int
    cycles: int = 0
    fed: int = 0
    underruns: int = 0
    overruns: int = 0
    overranges: int = 0
    first_ns: int = 0
    last_ns: int = 0
    filled: int = 0
    rfilled: int = 0

    @property
    def inner(self) -> int:
        """Frames held by its resamplers: `delay`."""
        return self.delay


@dataclass(frozen=True)
class ThreadInfo:
    """An engine thread and the scheduling it really has (read back from the kernel)."""

    tid: int
    device: int | None
    realtime: bool
    prio: int
    asked: int
    err: int
