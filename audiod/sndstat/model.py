"""Model: a listing of sound devices as plain data, frozen at one moment.

What `listing` finds and `provided` takes, and `schema` and `packed` write.  A
channel is what it is (`Fixed`, the same object as long as nothing of it changes)
and how it does (`Now`).  Invariant: all values are frozen; sizes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from audiod_protocol.nvlist import Nvlist


class Info(NamedTuple):
    """What one direction of a device can do; rates in Hz, `formats` bits of encodings."""

    min_rate: int
    max_rate: int
    formats: int
    min_chn: int
    max_chn: int


NO_INFO = Info(0, 0, 0, 0, 0)


class _Fixed(NamedTuple):
    name: str
    parentchan: str
    caps: int
    latency: int
    rate: int
    format: int
    pid: int
    comm: str
    left_volume: int
    right_volume: int
    hwbuf_format: int
    hwbuf_fmt: int
    hwbuf_rate: int
    hwbuf_size: int
    hwbuf_blksz: int
    hwbuf_blkcnt: int
    swbuf_format: int
    swbuf_fmt: int
    swbuf_rate: int
    swbuf_size: int
    swbuf_blksz: int
    swbuf_blkcnt: int
    feederchain: str


class Fixed(_Fixed):
    """What a channel is.  The fields are the names in `channel_info`, in this order.

    `packed`, `row`: the same as bytes of an nvlist, and as a map, once somebody has made them.
    """

    packed: bytes
    row: dict[str, object]


class Now(NamedTuple):
    """How it does, likewise; `unit` counts the channels of its device."""

    unit: int
    interrupts: int
    feedcount: int
    xruns: int
    hwbuf_free: int
    hwbuf_ready: int
    swbuf_free: int
    swbuf_ready: int


@dataclass(frozen=True)
class Head:
    """What a device of the engine is, without its channels."""

    unit: int
    nameunit: str
    devnode: str
    desc: str
    pchan: int
    rchan: int
    play: Info | None
    rec: Info | None
    provider: str
    status: str
    bitperfect: bool
    pvchan: int
    pvchanrate: int
    pvchanformat: int
    rvchan: int
    rvchanrate: int
    rvchanformat: int


@dataclass(frozen=True)
class EngineDevice:
    head: Head
    fixed: tuple[Fixed, ...] = ()
    now: tuple[Now, ...] = ()


@dataclass(frozen=True)
class UserDevice:
    """One that a program provides; `socket`: where it is reached by the native protocol, "" nowhere."""

    devnode: str
    desc: str
    pchan: int
    rchan: int
    nameunit: str
    play: Info | None
    rec: Info | None
    provider: str = ""
    provider_info: Nvlist | None = None
    socket: str = ""


@dataclass(frozen=True)
class Snapshot:
    """A listing: the engine's devices by number, then those provided in the order of their coming."""

    devices: tuple[EngineDevice, ...] = ()
    users: tuple[UserDevice, ...] = ()

    @property
    def channels(self) -> int:
        return sum(len(device.now) for device in self.devices)
