"""Mixer: the volumes of devices that their cards have themselves, kept in step both ways.

Invariant: what somebody sets here is on the card soon, what somebody sets there
is in the device's row soon, and a card that has gone leaves its device with
software's volume.  Control thread; what may wait for a card runs in a thread, one
call of a card at a time, and nothing wakes up but for news.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import trio
from audiod_protocol.limits import VOL_MAX

from audiod import log
from audiod.cards import kernel
from audiod.cards.desk import Desk, Found, Knobs, Wanted
from audiod.cards.fader import Fader, Faders, Knob, Use
from audiod.cards.inventory import PLAY, REC, Card
from audiod.cards.libasound import AlsaError, Library, NoLibraryError
from audiod.cards.panel import Panel

if TYPE_CHECKING:
    from audiod.cards.scan import Scanner
    from audiod.config import DeviceConfig
    from audiod.controls import Controls
    from audiod.core import Device
    from audiod.devices import Devices
    from audiod.opening import OpenDevice

READY_LIMIT = 1.0  # seconds that an open waits for a card's mixer; then software does what that may yet do
THREADS_MAX = 16  # that wait for cards at a time: as many as there are devices

T = TypeVar("T")


def open_panel(number: int) -> Knobs:
    """The mixer of a card.  Raises AlsaError, NoLibraryError."""
    return Panel(Library(), number)


@dataclass(frozen=True)
class Place:
    """Where a device's volumes are, and how they are used; `further`: its other knobs are wanted, too."""

    card: Card
    device: int
    use: Use
    further: bool = False


@dataclass(eq=False)
class _Run:
    """One mixer's task; `settled`: it has taken over, or has ended."""

    place: Place
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    settled: trio.Event = field(default_factory=trio.Event)


class Mixers:
    """The mixers of all devices that have one; `controls` are told what is set on a card."""

    def __init__(self, devices: Devices, cards: Scanner, controls: Controls) -> None:
        self.open_panel: Callable[[int], Knobs] = open_panel
        self._devices = devices
        self._cards = cards
        self._controls = controls
        self._limiter = trio.CapacityLimiter(THREADS_MAX)
        self._nursery: trio.Nursery | None = None
        self._looks = 0
        self._running: dict[int, _Run] = {}

    async def run(self) -> None:
        """Serve for ever, whatever `look` finds."""
        async with trio.open_nursery() as self._nursery:
            await trio.sleep_forever()

    def look(self) -> None:
        """Cards have come or gone, or devices are configured otherwise: take what is there now."""
        self._looks += 1
        for device in self._devices.all:
            self._look(device)

    async def ready(self, number: int) -> None:
        """Wait until it is known what the card of a device does of its volume, READY_LIMIT at most."""
        self._look(self._devices.all[number])
        run = self._running.get(number)
        if run is not None:
            with trio.move_on_after(READY_LIMIT):
                await run.settled.wait()

    def _look(self, device: OpenDevice) -> None:
        if self._nursery is None:
            return
        number, place = device.row.number, self._place(device.conf)
        if number in self._running:
            if self._running[number].place == place:
                return
            self._running.pop(number).scope.cancel()
        if place is not None:
            run = self._running[number] = _Run(place)
            self._nursery.start_soon(self._serve, device.row, run)

    def _place(self, conf: DeviceConfig) -> Place | None:
        if conf.spec.driver != "alsa" or (conf.mixer is Use.SOFTWARE and not conf.elements):
            return None
        pcm = kernel.resolve(conf.spec.argument, self._cards.roots)
        if pcm is None or self._cards.refuses(pcm) is not None:
            return None
        found = kernel.find_pcm(pcm, self._cards.roots)
        return None if found is None else Place(*found, conf.mixer, conf.elements)

    async def _serve(self, row: Device, run: _Run) -> None:
        mixer = Mixer(row, run.place, self._controls, self.open_panel, self._limiter)
        looks, lost = self._looks, False
        with run.scope:
            try:
                lost = await mixer.run(run.settled)
            except Exception:
                log.get().exception("mixer.bug", device=row.number)
        run.settled.set()
        if self._running.get(row.number) is run:
            del self._running[row.number]
            if lost or looks != self._looks:
                self.look()  # it may be back already


class Mixer:
    """One device's: `run` takes it over, and gives it back to software at the end."""

    def __init__(
        self,
        row: Device,
        place: Place,
        controls: Controls,
        open_panel: Callable[[int], Knobs],
        limiter: trio.CapacityLimiter,
    ) -> None:
        self._row = row
        self._place = place
        self._controls = controls
        self._open = open_panel
        self._limiter = limiter
        self._knobs: Knobs | None = None
        self._descriptors: list[int] = []
        self._calling = threading.Lock()  # the card has one caller at a time
        self._over = False
        self._open_now = False
        self._faders = Faders()
        self._set: dict[str, tuple[int, bool]] = {}  # what the card was told last, or has told
        self._wanted: dict[str, Wanted] = {}
        self._news = trio.Event()
        self._log = log.get().bind(device=row.number, card=place.card.id)

    async def run(self, settled: trio.Event) -> bool:
        """Serve until the card is gone: True; at once, if it has no volumes that can be used: False."""
        try:
            before = self._levels()
            desk = await self._call(self._begin)
            if not desk.found() and not desk.jacks():
                self._log.debug("mixer.none", reason="the card has no volume of its own")
                return False
            self._take_over(desk, before)
            settled.set()
            while True:
                await self._wait()
                wanted, self._wanted, self._news = self._wanted, {}, trio.Event()
                self._told(await self._call(partial(desk.turn, wanted)))
                self._controls.elements.heard(self._row, _plugs(desk.jacks()))
        except NoLibraryError as error:
            self._log.debug("mixer.none", reason=str(error))
        except AlsaError as error:
            if not self._open_now:
                self._log.debug("mixer.none", reason=str(error))
            else:
                self._log.warning("mixer.lost", reason=f"{error}: its volume is software's now")
                return True
        finally:
            self._end()
        return False

    # ---- what was set here ----

    def turn(self) -> None:
        """The device's levels are other: the card is to follow."""
        for direction, (level, muted) in self._levels().items():
            fader = self._fader(direction)
            if fader is None or self._set.get(direction) == (level, muted):
                continue
            waiting = self._wanted.get(direction)
            moved = waiting.level if waiting is not None else None
            if level != self._set.get(direction, (None, False))[0]:
                moved = level
                fader.found = None
            self._set[direction] = level, muted
            self._wanted[direction] = Wanted(moved, muted)
            self._news.set()

    def turn_knob(self, name: str, value: int) -> None:
        """A further knob of the card is to be set."""
        word, _, what = name.removeprefix(_HW).rpartition(".")
        want = self._wanted.setdefault(word, Wanted())
        if what == "level":
            want.level = value
        else:
            want.muted = bool(value)
        self._news.set()

    # ---- what was set there ----

    def _told(self, found: Mapping[str, Found]) -> None:
        """Take over what the card says, unless somebody here has set that direction meanwhile."""
        values: dict[str, int] = {}
        further: dict[str, int] = {}
        for direction, one in found.items():
            fader = self._fader(direction)
            if direction in self._wanted:
                continue
            if direction not in _SIDE:
                further |= _values(direction, one)
            if fader is None:
                continue
            level, muted = self._levels()[direction]
            if one.level is not None:
                fader.found = level = one.level
                values[f"{_SIDE[direction]}.level"] = level
            if one.muted is not None:
                muted = one.muted
                values[f"{_SIDE[direction]}.mute"] = int(muted)
            self._set[direction] = level, muted
        if values:
            self._controls.heard(self._row, values)
        self._controls.elements.heard(self._row, further)

    # ---- begin and end ----

    def _begin(self) -> Desk:
        self._knobs = self._open(self._place.card.number)
        self._descriptors = self._knobs.descriptors()
        place = self._place
        faders = place.use is not Use.SOFTWARE
        return Desk(self._knobs, place.device, faders=faders, further=place.further)

    def _take_over(self, desk: Desk, before: Mapping[str, tuple[int, bool]]) -> None:
        faders, row, now = desk.faders(), self._row, self._levels()
        self._faders = Faders(faders.get(PLAY), faders.get(REC), self.turn)
        row.faders = self._faders
        self._open_now = True
        known = {key: one for key, one in desk.found().items() if key not in _SIDE}
        self._log.info("mixer.open", **{d: fader.element for d, fader in faders.items()}, further=len(known))
        row.turn_knob = self.turn_knob
        values = [_values(key, one) for key, one in known.items()] + [_plugs(desk.jacks())]
        self._controls.elements.appeared(row, {n: _knob(n, v) for one in values for n, v in one.items()})
        restored = self._place.use is Use.RESTORE and row.chosen
        # what was set while the card was opened counts, too
        mine = {d: one for d, one in desk.found().items() if d in _SIDE and now[d] == before[d]}
        self._told({} if restored else mine)
        row.apply()

    def _end(self) -> None:
        if self._row.faders is self._faders:
            self._row.faders = Faders()
            self._row.turn_knob = lambda name, value: None
            self._row.apply()
            self._controls.elements.gone(self._row)
        self._over = True
        self._close()

    # ---- within ----

    def _levels(self) -> dict[str, tuple[int, bool]]:
        row = self._row
        return {PLAY: (row.volume, row.muted), REC: (row.input_volume, row.input_muted)}

    def _fader(self, direction: str) -> Fader | None:
        return {PLAY: self._faders.play, REC: self._faders.rec}.get(direction)

    async def _wait(self) -> None:
        """Until there is news from here or there."""

        async def first(wait: Callable[[], Awaitable[None]]) -> None:
            await wait()
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            for fd in self._descriptors:
                nursery.start_soon(first, partial(trio.lowlevel.wait_readable, fd))
            nursery.start_soon(first, self._news.wait)

    async def _call(self, act: Callable[[], T]) -> T:
        """What may wait for the card; one that does when its mixer ends is left to itself."""

        def locked() -> T:
            try:
                with self._calling:
                    return act()
            finally:
                if self._over:
                    self._close()

        return await trio.to_thread.run_sync(locked, abandon_on_cancel=True, limiter=self._limiter)

    def _close(self) -> None:
        """Close it; if a call is still under way that one does."""
        if self._calling.acquire(blocking=False):
            with contextlib.ExitStack() as stack:
                stack.callback(self._calling.release)
                knobs, self._knobs = self._knobs, None
                if knobs is not None:
                    knobs.close()


_SIDE = {PLAY: "output", REC: "input"}
_HW = "hw/"  # what names of further knobs begin with


def _values(word: str, one: Found) -> dict[str, int]:
    """Controls of a further knob, by their names."""
    told = ("level", one.level), ("mute", None if one.muted is None else int(one.muted))
    return {f"{_HW}{word}.{what}": value for what, value in told if value is not None}


def _plugs(jacks: Mapping[str, bool]) -> dict[str, int]:
    return {f"{_HW}{word}.plug": int(plugged) for word, plugged in jacks.items()}


def _knob(name: str, value: int) -> Knob:
    return Knob(value, VOL_MAX if name.endswith(".level") else 1, fixed=name.endswith(".plug"))
