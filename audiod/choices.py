"""Choices: on which device each sub-device is to be, and what it offers, as somebody has chosen.

Invariant: a sub-device that a device's number names stays on that device; a choice
that cannot be had changes nothing.  Those who move streams do so by the hooks
`place` and `remake`.  Pure over core's data; control thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from audiod_protocol.errors import Code, Fault, FaultError

from audiod import policy
from audiod.subdevice import SubDevice, SubMode

if TYPE_CHECKING:
    from audiod.core import Core

DEVICE = "server.device"
MODES = {f"server.mode.{name}": SubMode[name.upper()] for name in ("play", "rec", "mon")}
DEFAULT = "default"

Row = dict[str, object]


class Choices:
    """Of one server; `devices` has the name of the device that was chosen for a sub-device."""

    def __init__(self, core: Core) -> None:
        self.devices: dict[str, str] = {}
        self.place: Callable[[str, int], None] = self._set_device  # raises FaultError
        self.remake: Callable[[SubDevice], None] = self._set
        self.changed: Callable[[], None] = lambda: None  # something that survives a restart did
        self._core = core

    def chosen(self, name: str) -> int | None:
        """The device that somebody has chosen for a sub-device, unless the configuration says the same."""
        device = self.devices.get(name)
        return next((row.number for row in self._core.devices if row.name == device), None)

    # ---- setting ----

    def set(self, name: str, value: int, subdevice: str | None) -> None:
        """Set DEVICE or one of MODES.  Raises FaultError(ENODEV, EINVAL)."""
        sub = policy.resolve(DEFAULT if subdevice is None else subdevice, self._core.subdevices)
        if name == DEVICE:
            self._choose(sub, value)
            return
        if value not in (0, 1):
            raise FaultError(
                Fault(Code.EINVAL, f"control.set: {name} is 0..1, not {value}", "0 is off, 1 is on")
            )
        mode = sub.mode | MODES[name] if value else sub.mode & ~MODES[name]
        if mode != sub.mode:
            self.remake(replace(sub, mode=mode))

    def _choose(self, sub: SubDevice, number: int) -> None:
        devices = self._core.devices
        if not 0 <= number < len(devices):
            raise FaultError(
                Fault(Code.ENODEV, f"there is no device {number}", f"there are 0..{len(devices) - 1}")
            )
        if sub.name.isdigit():
            if number == sub.device:
                return
            raise FaultError(
                Fault(
                    Code.EINVAL,
                    f"sub-device {sub.name!r} is device {sub.device}'s own and stays there",
                    f"open snd/{number} to use device {number}",
                )
            )
        before = self.devices.get(sub.name)
        configured = self._core.configured[sub.name].device
        if number == configured:
            self.devices.pop(sub.name, None)
        else:
            self.devices[sub.name] = devices[number].name
        after = self.devices.get(sub.name)
        try:
            if sub.device != number or after != before:
                self.place(sub.name, number)
        except FaultError:
            self._remember(sub.name, before)
            raise
        if after != before:
            self.changed()

    def _remember(self, name: str, device: str | None) -> None:
        if device is None:
            self.devices.pop(name, None)
        else:
            self.devices[name] = device

    def take_chosen(self) -> None:
        """Be where somebody has chosen, after a restart."""
        for name in self.devices:
            number = self.chosen(name)
            if number is not None and name in self._core.subdevices:
                self._set_device(name, number)

    def _set_device(self, name: str, number: int) -> None:
        sub = self._core.subdevices[name]
        self._core.subdevices[name] = replace(sub, device=number)
        self.moved(name)

    def _set(self, sub: SubDevice) -> None:
        self._core.subdevices[sub.name] = sub
        self.remade(sub.name)

    # ---- telling ----

    def moved(self, name: str) -> None:
        """A sub-device is on another device, or there for another reason: tell."""
        if name == DEFAULT:
            for device in self._core.devices:
                self._core.device_changed(device)
        self._core.publish("controls", "change", lambda: self._device_row(self._core.subdevices[name]))

    def remade(self, name: str) -> None:
        """It offers something else: tell."""
        sub = self._core.subdevices[name]
        self._core.device_changed(self._core.devices[sub.device])
        for row in self._mode_rows(sub):
            self._core.publish("controls", "change", lambda row=row: row)  # type: ignore[misc]

    def configured(self, old: SubDevice | None, new: SubDevice | None) -> None:
        """A sub-device is configured (`old` None), is so otherwise, or is so no longer (`new` None): tell."""
        sub = new or old
        assert sub is not None
        event = "new" if old is None else "gone" if new is None else "change"
        for row in self._rows(sub):
            self._core.publish("controls", event, lambda row=row: row)  # type: ignore[misc]

    def devices_changed(self) -> None:
        """There is a further device to choose, or one has another name: tell."""
        for sub in self._core.subdevices.values():
            if not sub.name.isdigit():
                self.moved(sub.name)

    # ---- rows ----

    def rows(self) -> Iterator[Row]:
        """Of all sub-devices, that called `default` first."""
        subs = self._core.subdevices
        for sub in sorted(subs.values(), key=lambda sub: sub.name != DEFAULT):
            yield from self._rows(sub)

    def _rows(self, sub: SubDevice) -> Iterator[Row]:
        if not sub.name.isdigit():
            yield self._device_row(sub)
        yield from self._mode_rows(sub)

    def _device_row(self, sub: SubDevice) -> Row:
        return _row(DEVICE, "sel", sub.device, len(self._core.devices) - 1, sub.name)

    def _mode_rows(self, sub: SubDevice) -> Iterator[Row]:
        for name, flag in MODES.items():
            yield _row(name, "sw", int(flag in sub.mode), 1, sub.name)


def _row(name: str, kind: str, value: int, most: int, subdevice: str) -> Row:
    return {
        "name": name,
        "type": kind,
        "value": value,
        "max": most,
        "device": None,
        "subdevice": subdevice,
    }
