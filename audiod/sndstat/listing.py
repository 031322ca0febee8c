"""Listing: what there is to be told of at one moment, from the core, the engine and the cards.

Owns what is known of each stream's channels: their numbers, and what of them has
not changed since the last listing, so that one of a thousand streams is made in a
few milliseconds.  The engine is asked for all numbers in one call, which reads
atomics and waits for nobody.  Control thread.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from audiod_protocol.limits import NCHAN_MAX, RATE_MAX, RATE_MIN
from audiod_protocol.params import Mode

from audiod.cards.inventory import Inventory
from audiod.cards.scan import Scanner
from audiod.core import Core, Device, Stream
from audiod.devices import CARDS, Devices
from audiod.settings import Settings
from audiod.sndstat import chain, words
from audiod.sndstat.channel import Channel, Side, command, moving, side_of
from audiod.sndstat.model import EngineDevice, Head, Info, Snapshot
from audiod.sndstat.words import Style

if TYPE_CHECKING:
    from audiod.engine import Stream as Run

BYPASS = 4  # in what Engine.measure tells of a stream
STATUS_MAX = 63  # bytes of `status`, as in the kernel
INFO: Final = Info(RATE_MIN, RATE_MAX, words.OURS, 1, NCHAN_MAX)  # what every stream may ask for


class _Known:
    """What is known of a stream."""

    __slots__ = ("channels", "comm")

    def __init__(self, stream: Stream, comm: str) -> None:
        sides = [True] if Mode.PLAY in stream.mode else []
        if stream.mode & (Mode.REC | Mode.MON):
            sides.append(False)
        self.channels = tuple(map(Channel, sides))
        self.comm = comm


class Listing:
    """`started` gives the engine's streams by the ids of the core's."""

    def __init__(
        self,
        core: Core,
        devices: Devices,
        cards: Scanner,
        settings: Settings,
        started: Callable[[], Mapping[int, Run]],
    ) -> None:
        self._core = core
        self._devices = devices
        self._cards = cards
        self._settings = settings
        self._started = started
        self._known: dict[int, _Known] = {}
        self._sides: dict[int, Side] = {}
        self._free: dict[tuple[int, bool], list[int]] = {}  # heaps of numbers of channels that are gone
        self._next: dict[tuple[int, bool], int] = {}

    @property
    def style(self) -> Style:
        return self._settings.config.sndstat

    def take(self) -> Snapshot:
        """What there is now, without what programs provide."""
        core, runs, style = self._core, self._started(), self.style
        measured = dict(zip(runs, self._devices.engine.measure(list(runs.values())), strict=True))
        self._forget()
        sides = self._sides = self._measured(style, _alone(core, measured))
        comms: dict[int, str] = {}
        for ident, stream in core.streams.items():
            known = self._known.get(ident)
            if known is None:
                known = self._known[ident] = _Known(stream, command(stream, comms))
            counts, sub, program = measured.get(ident), stream.sub, stream.program
            side = sides[sub.device]
            bypass = counts is not None and counts[BYPASS] != 0
            key = (stream.par, sub, program.level, program.muted, bypass, side.version)
            fixed, now = side.fixed, side.now
            for channel in known.channels:
                if channel.key != key or channel.place != sub.device:
                    self._place(channel, sub.device)
                    channel.renew(stream, side, known.comm, bypass)
                    channel.key = key
                fixed.append(channel.fixed)
                now.append(moving(channel, stream, counts, len(now)))
                if channel.playing:
                    side.playing += 1
                else:
                    side.recording += 1
        inventory = self._cards.inventory
        return Snapshot(
            tuple(
                EngineDevice(_head(side, inventory), tuple(side.fixed), tuple(side.now))
                for side in sides.values()
            )
        )

    def _measured(self, style: Style, alone: Mapping[int, bool | None]) -> dict[int, Side]:
        """The devices with their own channels."""
        found, now = {}, time.monotonic_ns()
        for device in self._core.devices:
            number = device.number
            opening = self._devices.all[number].opening
            handle = None if opening is None else opening.handle
            bypass = alone.get(number, False)
            old = self._sides.get(number)
            found[number] = side_of(device, style, handle, bypass=bypass, old=old, now=now)
        return found

    # ---- numbers of channels: the lowest that is free on a device, kept as long as the stream is there ----

    def _forget(self) -> None:
        for ident in self._known.keys() - self._core.streams.keys():
            for channel in self._known.pop(ident).channels:
                self._release(channel)

    def _release(self, channel: Channel) -> None:
        if channel.place >= 0:
            heapq.heappush(self._free.setdefault((channel.place, channel.playing), []), channel.number)

    def _place(self, channel: Channel, device: int) -> None:
        if channel.place == device:
            return
        self._release(channel)
        key = device, channel.playing
        free = self._free.get(key)
        if free:
            channel.number = heapq.heappop(free)
        else:
            channel.number = self._next.get(key, 0)
            self._next[key] = channel.number + 1
        channel.place = device


def _head(side: Side, inventory: Inventory) -> Head:
    device = side.device
    fmt, unit = device.format, device.number
    argument = device.name.partition(":")[2].partition("?")[0]
    where = f"at {device.driver} {argument}".rstrip().encode()[:STATUS_MAX]
    mix = words.F64 if chain.wide(fmt.enc) else words.F32
    return Head(
        unit=unit,
        nameunit=f"pcm{unit}",
        devnode=f"dsp{unit}",
        desc=_description(device, argument, inventory),
        pchan=int(bool(fmt.play)),
        rchan=int(bool(fmt.rec)),
        play=INFO if fmt.play else None,
        rec=INFO if fmt.rec else None,
        provider=side.style.provider,
        status=where.decode("utf-8", "ignore"),
        bitperfect=False,
        pvchan=side.playing,
        pvchanrate=fmt.rate,
        pvchanformat=words.format_of(mix, fmt.play),
        rvchan=side.recording,
        rvchanrate=fmt.rate,
        rvchanformat=words.format_of(mix, fmt.rec),
    )


def _description(device: Device, argument: str, inventory: Inventory) -> str:
    """For people: the name that its card gives, else the specification."""
    if device.driver == CARDS:
        for one in inventory.endpoints:
            if argument in (one.pcm, one.spec.partition(":")[2]):
                return one.name or one.pcm
        card = inventory.find(argument.removeprefix("@")) if argument.startswith("@") else None
        if card is not None:
            return card.name
    return f"{device.driver} {argument}".rstrip()


def _alone(core: Core, measured: Mapping[int, tuple[int, ...]]) -> dict[int, bool | None]:
    """By device: whether its bytes are copied, None: somebody plays what a float does not hold."""
    found: dict[int, bool | None] = {}
    for ident, counts in measured.items():
        stream = core.streams.get(ident)
        if stream is None:
            continue
        place, par = stream.sub.device, stream.par
        if counts[BYPASS]:
            found.setdefault(place, True)
        elif par.bits == 64 and par.pchan and place not in found:
            found[place] = None
    return found
