"""Devices: opens them when a stream needs one, closes them when none does.

Owns the openings (opening.py) of each.  Invariant: a device is open while a stream
holds it, while its clock runs, or because -a says so; each opening has its own
id in the engine, so that late events of an earlier one are told apart.  One whose
card is lost is no longer the device's opening, but lives on until its streams have
left it.  Control thread; `open` waits for the driver, nothing else waits.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from errno import ENODEV
from typing import TYPE_CHECKING

import trio
from audiod_protocol.errors import Code, Fault, FaultError
from audiod_protocol.negotiation import DeviceClock

from audiod import log, trouble
from audiod.audiotype import Ramp
from audiod.cards.scan import CardError
from audiod.config import DeviceConfig
from audiod.core import Core, Device, DeviceState, Format
from audiod.engine import Clock, DeviceConf, EngineError
from audiod.opening import OpenDevice, Opening, from_engine

if TYPE_CHECKING:
    from audiod import engine

CARDS = "alsa"  # the driver whose calls may wait for a card


class Devices:
    """All configured devices.

    `on_failed`, `on_lost`, `on_open` hear of a device whose streams the engine has ended,
    whose streams play into nothing, which has been opened; `on_configured` of other configurations;
    `on_begin` and `on_end` of each opening of a card.  `ready` waits until that may be opened.
    """

    def __init__(self, engine: engine.Engine, core: Core, confs: tuple[DeviceConfig, ...]) -> None:
        self.engine = engine
        self.core = core
        self.all = [OpenDevice(conf, row) for conf, row in zip(confs, core.devices, strict=True)]
        for device in self.all:
            device.row.apply = device.apply
        self.on_failed: Callable[[int, int], None] = lambda number, errno: None
        self.on_lost: Callable[[int, int], None] = lambda number, errno: None
        self.on_open: Callable[[int], None] = lambda number: None
        self.on_refused: Callable[[int, int], None] = lambda number, errno: None
        self.on_subdevices: Callable[[], None] = lambda: None  # sub-devices are configured otherwise
        self.spawn: Callable[..., None] | None = None  # begins a task; None: all is done at once
        self.on_configured: Callable[[], None] = lambda: None
        self.on_begin: Callable[[int, str], None] = lambda ident, argument: None
        self.on_end: Callable[[int], None] = lambda ident: None
        self.ready: Callable[[OpenDevice], Awaitable[None]] = _is_ready  # raises EngineError
        self.opening: Callable[[str], AbstractContextManager[str]] = contextlib.nullcontext  # Scanner's
        self._by_ident: dict[int, Opening] = {}
        self._idents = itertools.count(1)
        self._ramp = Ramp()
        self._log = log.get()

    # ---- what streams ask ----

    def hold(self, number: int) -> Opening:
        """Open a device if need be and keep it open.  Raises FaultError(ENODEV)."""
        device = self.all[number]
        if device.waiting and device.opening is None:
            raise FaultError(Fault(Code.ENODEV, f"device {number} is being opened", "try again soon"))
        opening = device.opening or self._open(device)
        opening.holders += 1
        return opening

    def drop(self, opening: Opening) -> None:
        """The opposite of hold: the last one closes the device once it is silent."""
        opening.holders -= 1
        self._close_if_idle(opening)

    def prepare(self, number: int, then: Callable[[Fault | None], None]) -> None:
        """Open a device that is about to be held, others waiting for it the less; `then` hears why not.

        It is open while `then` runs, and stays so if that holds it.
        """
        device = self.all[number]
        if device.opening is not None:
            then(None)
            return
        device.waiting.append(then)
        if len(device.waiting) > 1:
            return  # it is being opened
        if self.spawn is not None and device.conf.spec.driver == CARDS:
            self.spawn(self._open_soon, device)
            return
        fault = None
        try:
            self._open(device)
        except FaultError as error:
            fault = error.fault
        self._prepared(device, fault)

    def current(self, number: int) -> Opening:
        """The opening of a device that is held."""
        opening = self.all[number].opening
        if opening is None:
            raise FaultError(trouble.gone(self.all[number].row))
        return opening

    def handle(self, number: int) -> engine.Device:
        """The engine's handle of a device that is held."""
        handle = self.current(number).handle
        assert handle is not None  # a closed opening is nobody's
        return handle

    def is_open(self, number: int) -> bool:
        return self.all[number].opening is not None

    def left_behind(self, number: int) -> bool:
        """Whether there may be streams of it on an opening whose card is lost."""
        return bool(self.all[number].lost)

    def clock(self, number: int) -> DeviceClock:
        """The clock that streams of this device are fitted to."""
        fmt = self.all[number].row.format
        return DeviceClock(fmt.rate, fmt.round, fmt.bufsz)

    # ---- start and end ----

    def open_held(self, *, cards: bool = True) -> None:
        """Open the devices that are to be open from start to end, all or but `cards`.  Raises FaultError."""
        for device in self.all:
            if device.conf.hold and (cards or device.conf.spec.driver != CARDS):
                self._open(device)

    async def open_held_cards(self) -> None:
        """Those that others may want, too, with their leave.  Raises FaultError."""
        for device in self.all:
            if device.conf.hold and device.opening is None:
                await self._opened(device)

    async def _opened(self, device: OpenDevice) -> None:
        done, why = trio.Event(), None

        def then(fault: Fault | None) -> None:
            nonlocal why
            why = fault
            done.set()

        self.prepare(device.row.number, then)
        await done.wait()
        if why is not None:
            raise FaultError(why)

    def close_all(self) -> None:
        """Close every open device; files are finished by it."""
        for device in self.all:
            for opening in device.openings():
                self._close(opening)

    def running(self) -> list[Device]:
        """Devices whose real clock runs: their buffers are still being heard."""
        return [
            device.row
            for device in self.all
            if device.opening is not None
            and device.row.state is DeviceState.RUNNING
            and device.opening.par.clock is Clock.REAL
        ]

    # ---- another configuration ----

    def busy(self) -> set[int]:
        """Numbers of the devices that are in use."""
        return {device.row.number for device in self.all if device.in_use}

    def adopt(self, confs: tuple[DeviceConfig, ...]) -> None:
        """Take over changed devices, those in use when they are no longer, and further ones."""
        for device, conf in zip(self.all, confs, strict=False):
            if conf != device.conf or device.next is not None:
                self._change(device, conf)
        for conf in confs[len(self.all) :]:
            row = conf.row()
            device = OpenDevice(conf, row)
            row.apply = device.apply
            self.all.append(device)
            self.core.add_device(row)
            self._open_if_held(device)
        self.on_configured()

    def _change(self, device: OpenDevice, conf: DeviceConfig) -> None:
        row = device.row
        row.hold, row.autovol = conf.hold, conf.autovol
        row.alternates, row.rule = conf.alternates, conf.rule
        device.conf = replace(
            device.conf,
            hold=conf.hold,
            autovol=conf.autovol,
            alternates=conf.alternates,
            rule=conf.rule,
            mixer=conf.mixer,
            elements=conf.elements,
        )
        device.next = None if conf == device.conf else conf
        if device.waiting:
            pass  # it is being opened, and closed again then
        elif device.opening is None:
            self._take_next(device)
        else:
            self._close_if_idle(device.opening)
        self._open_if_held(device)
        self.core.device_changed(row)

    def _take_next(self, device: OpenDevice) -> None:
        """It is closed: what it is to be is what it is."""
        if device.next is None:
            return
        old, conf = device.conf.spec, device.next
        device.conf, device.next = conf, None
        if (old.driver, old.argument) != (conf.spec.driver, conf.spec.argument):
            device.opened = False
        row = device.row
        row.name, row.driver, row.format = conf.text, conf.spec.driver, conf.format
        self._log.info("device.changed", device=row.number, name=row.name)
        self.core.device_changed(row)
        self.core.controls.choices.devices_changed()
        self.on_configured()

    def _open_if_held(self, device: OpenDevice) -> None:
        if device.conf.hold and device.opening is None and not device.waiting:
            self.prepare(
                device.row.number, lambda fault: None
            )  # why not is logged; the next stream tries again

    def open_if_held(self, number: int) -> None:
        """Open it if it is to be open from start to end, and can be."""
        self._open_if_held(self.all[number])

    def bend(self, ramp: Ramp) -> None:
        """From now on volumes and mutes change by this ramp."""
        if ramp != self._ramp:
            self._ramp = ramp
            for device in self.all:
                for opening in device.openings():
                    opening.bend(ramp)

    # ---- events of the engine ----

    def find(self, ident: int) -> Device | None:
        """The device of an event, None if it has been opened anew since."""
        opening = self._by_ident.get(ident)
        return None if opening is None else opening.device.row

    def started(self, ident: int) -> None:
        opening = self._by_ident.get(ident)
        if opening is not None and opening.current:
            self._set_state(opening.device, DeviceState.RUNNING)

    def stopped(self, ident: int) -> None:
        opening = self._by_ident.get(ident)
        if opening is None or opening.handle is None or opening.handle.stats().running:
            return
        if opening.current:
            self._set_state(opening.device, DeviceState.IDLE)
        self._close_if_idle(opening)

    def failed(self, ident: int, errno: int, why: str) -> None:
        """The device's clock has stopped for good: close it; the next stream opens it again.

        Streams may have heard of it first, and the last of them have closed it.
        """
        opening = self._by_ident.get(ident)
        if opening is None:
            return
        device = opening.device
        self._log.error(
            "device.failed", device=device.row.number, name=device.row.name, errno=errno, reason=why
        )
        self._close(opening, DeviceState.FAILED, why)
        if device.opening is None:
            self._set_state(device, DeviceState.FAILED, why)
        self.on_failed(device.row.number, errno)

    def lost(self, ident: int, errno: int, why: str) -> None:
        """Its card is gone or broken: its streams play into nothing until they have moved."""
        opening = self._by_ident.get(ident)
        if opening is None or not opening.current:
            return
        device = opening.device
        self._log.error(
            "device.lost", device=device.row.number, name=device.row.name, errno=errno, reason=why
        )
        device.opening = None
        device.lost.append(opening)
        self._set_state(device, DeviceState.LOST, why)
        opening.holders += 1  # it is looked at while its streams leave
        self.on_lost(device.row.number, errno)
        self.drop(opening)

    # ---- within ----

    def _open(self, device: OpenDevice) -> Opening:
        """Raises FaultError(ENODEV)."""
        try:
            with self._wanted(device) as wanted:
                handle = self.engine.device_open(ident := next(self._idents), wanted)
        except (EngineError, CardError) as error:
            raise FaultError(self._refused(device, error)) from error
        return self._begin(device, ident, handle)

    async def _open_soon(self, device: OpenDevice) -> None:
        fault = None
        try:
            await self.ready(device)
            with self._wanted(device) as wanted:
                driver = await trio.to_thread.run_sync(
                    self.engine.driver_open, wanted, abandon_on_cancel=True
                )
                try:
                    handle = self.engine.device_attach(ident := next(self._idents), driver)
                except EngineError:
                    driver.close()
                    raise
        except (EngineError, CardError) as error:
            fault = self._refused(device, error)
        else:
            self._begin(device, ident, handle)
        self._prepared(device, fault)

    def _prepared(self, device: OpenDevice, fault: Fault | None) -> None:
        """Let those act who have waited."""
        waiting, device.waiting = device.waiting, []
        opening = device.opening
        if opening is not None:
            opening.holders += 1
        for then in waiting:
            then(fault)
        if opening is not None:
            self.drop(opening)

    @contextlib.contextmanager
    def _wanted(self, device: OpenDevice) -> Iterator[DeviceConf]:
        """What the engine is to open; meanwhile no card is asked what it can do.  Raises CardError."""
        wanted = device.wanted()
        if wanted.driver != CARDS:
            yield wanted
            return
        with self.opening(wanted.arg) as pcm:
            yield replace(wanted, arg=pcm)

    def _refused(self, device: OpenDevice, error: EngineError | CardError) -> Fault:
        row = device.row
        number = error.errno or ENODEV
        reason = str(error.strerror) if isinstance(error, EngineError) else f"alsa: {error}"
        self._log.error("device.refused", device=row.number, name=row.name, reason=reason)
        self._set_state(device, DeviceState.LOST if device.lost else DeviceState.FAILED, reason)
        self.on_refused(row.number, number)
        return trouble.refused(row, reason, number)

    def _begin(self, device: OpenDevice, ident: int, handle: engine.Device) -> Opening:
        """It is open."""
        row = device.row
        par = handle.par
        row.format = Format(from_engine(par.enc), par.rate, par.round, par.bufsz, par.pchan, par.rchan)
        opening = Opening(device, ident, handle)
        device.opening = opening
        device.opened = True
        device.forget(self._by_ident)
        self._by_ident[ident] = opening
        if row.driver == CARDS:
            self.on_begin(ident, device.conf.spec.argument)
        device.apply()
        opening.bend(self._ramp)
        self._log.info(
            "device.open",
            device=row.number,
            name=row.name,
            encoding=str(row.format.enc),
            rate=par.rate,
            round=par.round,
            bufsz=par.bufsz,
            play=par.pchan,
            rec=par.rchan,
        )
        if handle.missing:
            self._log.warning("device.incomplete", device=row.number, name=row.name, reason=handle.missing)
        self._set_state(device, DeviceState.IDLE)
        opening.holders += 1  # whatever the others do with it
        self.on_open(row.number)
        opening.holders -= 1
        return opening

    def _close_if_idle(self, opening: Opening) -> None:
        device = opening.device
        if opening.handle is None or opening.in_use:
            return
        if opening.current and device.conf.hold and device.next is None:
            return
        current = opening.current
        self._close(opening)
        if current:
            self._open_if_held(device)

    def _close(
        self, opening: Opening, state: DeviceState = DeviceState.CLOSED, reason: str | None = None
    ) -> None:
        if opening.handle is None:
            return
        device, current = opening.device, opening.current
        if self.spawn is None or current:
            opening.close()
            self.on_end(opening.ident)
        else:  # its card has gone, and may take its time
            self.spawn(self._close_soon, opening.ident, opening.detach())
        self._log.info("device.close", device=device.row.number, name=device.row.name)
        if current:
            self._set_state(device, DeviceState.LOST if device.lost else state, reason)
            self._take_next(device)
        elif device.opening is None and not device.lost:
            self._set_state(device, DeviceState.FAILED, device.row.reason)

    async def _close_soon(self, ident: int, driver: engine.Driver) -> None:
        await trio.to_thread.run_sync(driver.close, abandon_on_cancel=True)
        self.on_end(ident)

    def _set_state(self, device: OpenDevice, state: DeviceState, reason: str | None = None) -> None:
        row = device.row
        if row.state is not state or row.reason != reason:
            row.state, row.reason = state, reason
            self.core.device_changed(row)


async def _is_ready(device: OpenDevice) -> None:
    """Nobody else has an interest in it."""
