"""Devices: opens them when a stream needs one, closes them when none does.

Owns the engine's device handles.  Invariant: a device is open while a stream
holds it, while its clock runs, or because -a says so; each opening has its own
id in the engine, so that late events of an earlier one are told apart.  Control
thread; `open` waits for the driver, nothing else waits.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

from audiod_protocol.errors import Code, Fault, FaultError
from audiod_protocol.negotiation import DeviceClock
from audiod_protocol.params import Enc

from audiod import log, policy
from audiod.cards.scan import CardError
from audiod.config import DeviceConfig
from audiod.core import Core, Device, DeviceState, Format
from audiod.engine import Clock, DeviceConf, DevicePar, Encoding, EngineError

if TYPE_CHECKING:
    from audiod import engine


def to_engine(enc: Enc) -> Encoding:
    """The protocol's encoding as the engine's."""
    return Encoding(enc.bits, enc.bps, enc.sig, enc.le, enc.msb, enc.flt)


def from_engine(enc: Encoding) -> Enc:
    return Enc(enc.bits, enc.bps, enc.sig, enc.le, enc.msb, enc.flt)


class OpenDevice:
    """One configured device and, while it is open, the engine's handle of it."""

    def __init__(self, conf: DeviceConfig, row: Device) -> None:
        self.conf = conf
        self.row = row
        self.handle: engine.Device | None = None
        self.ident = 0  # of the last opening: its late events may come after the close
        self.holders = 0  # streams that need it open
        self.opened = False  # ever: a file goes on behind what it has
        self.groups: dict[int, int] = {}  # link group -> members
        self.next: DeviceConfig | None = None  # what it is to be once it is not in use

    @property
    def in_use(self) -> bool:
        """Whether closing it would be noticed."""
        if self.handle is None:
            return False
        stats = self.handle.stats()
        return bool(self.holders or stats.running or stats.streams)

    def apply(self) -> None:
        """The engine takes over the volumes, where it is open."""
        if self.handle is not None:
            self.handle.setgain(policy.gain(self.row.played))
            self.handle.setrecgain(policy.gain(self.row.recorded))


class Devices:
    """All configured devices."""

    def __init__(self, engine: engine.Engine, core: Core, confs: tuple[DeviceConfig, ...]) -> None:
        self.engine = engine
        self.core = core
        self.all = [OpenDevice(conf, row) for conf, row in zip(confs, core.devices, strict=True)]
        for device in self.all:
            device.row.apply = device.apply
        self.on_failed: Callable[[int, Fault], None] = lambda number, fault: None
        self.opening: Callable[[str], AbstractContextManager[str]] = contextlib.nullcontext  # Scanner's
        self._by_ident: dict[int, OpenDevice] = {}
        self._idents = itertools.count(1)
        self._log = log.get()

    # ---- what streams ask ----

    def hold(self, number: int) -> None:
        """Open a device if need be and keep it open.  Raises FaultError(ENODEV)."""
        device = self.all[number]
        if device.handle is None:
            self._open(device)
        device.holders += 1

    def drop(self, number: int) -> None:
        """The opposite of hold: the last one closes the device once it is silent."""
        device = self.all[number]
        device.holders -= 1
        self._close_if_idle(device)

    def handle(self, number: int) -> engine.Device:
        """The engine's handle of a device that is held."""
        handle = self.all[number].handle
        if handle is None:
            raise FaultError(gone(self.all[number].row))
        return handle

    def clock(self, number: int) -> DeviceClock:
        """The clock that streams of this device are fitted to."""
        fmt = self.all[number].row.format
        return DeviceClock(fmt.rate, fmt.round, fmt.bufsz)

    def join_group(self, number: int, group: int, members: int) -> None:
        """Change the number of streams that a link group has by `members`."""
        device = self.all[number]
        device.groups[group] = device.groups.get(group, 0) + members
        if device.handle is not None:
            device.handle.setgroup(group, device.groups[group])
        if device.groups[group] <= 0:
            del device.groups[group]

    def members(self, number: int, group: int) -> int:
        return self.all[number].groups.get(group, 0)

    # ---- start and end ----

    def open_held(self) -> None:
        """Open the devices that are to be open from start to end.  Raises FaultError."""
        for device in self.all:
            if device.conf.hold:
                self._open(device)

    def close_all(self) -> None:
        """Close every open device; files are finished by it."""
        for device in self.all:
            self._close(device, DeviceState.CLOSED)

    def running(self) -> list[Device]:
        """Devices whose real clock runs: their buffers are still being heard."""
        return [
            device.row
            for device in self.all
            if device.handle is not None
            and device.row.state is DeviceState.RUNNING
            and device.handle.par.clock is Clock.REAL
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
            row = Device(
                conf.number, conf.text, conf.spec.driver, conf.format, autovol=conf.autovol, hold=conf.hold
            )
            device = OpenDevice(conf, row)
            row.apply = device.apply
            self.all.append(device)
            self.core.add_device(row)
            self._open_if_held(device)

    def _change(self, device: OpenDevice, conf: DeviceConfig) -> None:
        row = device.row
        row.hold, row.autovol = conf.hold, conf.autovol
        device.conf = replace(device.conf, hold=conf.hold, autovol=conf.autovol)
        device.next = None if conf == device.conf else conf
        if device.handle is None:
            self._take_next(device)
        self._close_if_idle(device)
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

    def _open_if_held(self, device: OpenDevice) -> None:
        if device.conf.hold and device.handle is None:
            with contextlib.suppress(FaultError):  # logged; the next stream tries again
                self._open(device)

    # ---- events of the engine ----

    def find(self, ident: int) -> Device | None:
        """The device of an event, None if it has been opened anew since."""
        device = self._by_ident.get(ident)
        return None if device is None else device.row

    def started(self, ident: int) -> None:
        device = self._by_ident.get(ident)
        if device is not None and device.handle is not None:
            self._set_state(device, DeviceState.RUNNING)

    def stopped(self, ident: int) -> None:
        device = self._by_ident.get(ident)
        if device is None or device.handle is None or device.handle.stats().running:
            return
        self._set_state(device, DeviceState.IDLE)
        self._close_if_idle(device)

    def failed(self, ident: int, errno: int, why: str) -> None:
        """The device's clock has stopped for good: close it; the next stream opens it again.

        Streams may have heard of it first, and the last of them have closed it.
        """
        device = self._by_ident.get(ident)
        if device is None:
            return
        self._log.error(
            "device.failed", device=device.row.number, name=device.row.name, errno=errno, reason=why
        )
        self._close(device, DeviceState.FAILED)
        self._set_state(device, DeviceState.FAILED)
        self.on_failed(device.row.number, gone(device.row))

    # ---- within ----

    def _open(self, device: OpenDevice) -> None:
        conf, row = device.conf, device.row
        fmt = conf.format
        wanted = DeviceConf(
            driver=conf.spec.driver,
            arg=conf.spec.argument,
            rec=conf.spec.rec_path,
            free_clock=bool(conf.spec.free_clock),
            append=device.opened,
            dither=conf.dither,
            stall_ms=max(1, round(conf.stall * 1000)),
            ppm=conf.spec.ppm or 0,
            jitter_ns=round((conf.spec.jitter or 0) * 1e6),
            xrun_every_ns=round((conf.spec.xrun_every or 0) * 1e9),
            unplug_after_ns=round((conf.spec.unplug_after or 0) * 1e9),
            par=DevicePar(
                enc=to_engine(fmt.enc),
                rate=fmt.rate,
                round=fmt.round,
                bufsz=fmt.bufsz,
                pchan=fmt.play,
                rchan=fmt.rec,
            ),
        )
        ident = next(self._idents)
        try:
            if conf.spec.driver == "alsa":
                with self.opening(conf.spec.argument) as pcm:
                    handle = self.engine.device_open(ident, replace(wanted, arg=pcm))
            else:
                handle = self.engine.device_open(ident, wanted)
        except (EngineError, CardError) as error:
            reason = error.strerror if isinstance(error, EngineError) else f"alsa: {error}"
            self._log.error("device.refused", device=row.number, name=row.name, reason=reason)
            self._set_state(device, DeviceState.FAILED)
            raise FaultError(
                Fault(
                    Code.ENODEV,
                    f"device {row.number} ({row.name}) cannot be opened: {reason}",
                    "mend the cause and open the stream again; audiod's log has the details",
                )
            ) from error
        par = handle.par
        row.format = Format(from_engine(par.enc), par.rate, par.round, par.bufsz, par.pchan, par.rchan)
        device.handle = handle
        device.opened = True
        self._by_ident.pop(device.ident, None)
        self._by_ident[ident] = device
        device.ident = ident
        device.apply()
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
        self._set_state(device, DeviceState.IDLE)

    def _close_if_idle(self, device: OpenDevice) -> None:
        if device.handle is None or device.in_use or (device.conf.hold and device.next is None):
            return
        self._close(device, DeviceState.CLOSED)
        self._open_if_held(device)

    def _close(self, device: OpenDevice, state: DeviceState) -> None:
        if device.handle is None:
            return
        handle, device.handle = device.handle, None
        handle.close()
        self._log.info("device.close", device=device.row.number, name=device.row.name)
        self._set_state(device, state)
        self._take_next(device)

    def _set_state(self, device: OpenDevice, state: DeviceState) -> None:
        if device.row.state is not state:
            device.row.state = state
            self.core.device_changed(device.row)


def gone(device: Device) -> Fault:
    """What the streams of a device that went away are told."""
    return Fault(
        Code.ENODEV,
        f"device {device.number} ({device.name}) went away",
        "close the stream and open another; the device is opened again at the next open",
    )
