"""Elements: further knobs of a device's card, and its jacks: controls `hw/WORD.level`, `.mute`, `.plug`.

A device has them only where its configuration asks for them.  Invariant: a row is
what was set here last, until the card says that it is otherwise.  Pure over core's
data; control thread.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from audiod_protocol.errors import Code, Fault, FaultError

from audiod.cards.fader import Knob

if TYPE_CHECKING:
    from audiod.core import Core, Device

NAME = re.compile(r"hw/[A-Za-z0-9_]+\.(level|mute|plug)")

Row = dict[str, object]


class Elements:
    """Of one server."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def rows(self) -> Iterator[Row]:
        for device in self._core.devices:
            yield from (_row(device, name, knob) for name, knob in device.knobs.items())

    def set(self, device: Device, name: str, value: int) -> None:
        """Set a knob.  Raises FaultError: ENOENT, EINVAL."""
        knob = device.knobs.get(name)
        if knob is None:
            raise FaultError(
                Fault(
                    Code.ENOENT,
                    f"device {device.number} has no control {name!r}",
                    "controls lists their names; a card's are there with elements = true",
                )
            )
        if knob.fixed:
            raise FaultError(Fault(Code.EINVAL, f"{name} can only be read", "plug it in, or pull it out"))
        if value > knob.most:
            raise FaultError(
                Fault(Code.EINVAL, f"control.set: {name} is 0..{knob.most}, not {value}", "0 is off, 1 is on")
            )
        if value != knob.value:
            self._take(device, name, value)
            device.turn_knob(name, value)

    # ---- what the card says ----

    def appeared(self, device: Device, knobs: Mapping[str, Knob]) -> None:
        """Its mixer is open."""
        device.knobs = dict(knobs)
        self._tell(device, "new", device.knobs)
        self._core.device_changed(device)

    def heard(self, device: Device, values: Mapping[str, int]) -> None:
        """Somebody has set these on the card itself, or it has taken something else."""
        for name, value in values.items():
            if name in device.knobs and device.knobs[name].value != value:
                self._take(device, name, value)

    def gone(self, device: Device) -> None:
        """Its mixer is closed."""
        knobs, device.knobs = device.knobs, {}
        self._tell(device, "gone", knobs)
        self._core.device_changed(device)

    def _take(self, device: Device, name: str, value: int) -> None:
        knob = device.knobs[name] = replace(device.knobs[name], value=value)
        self._tell(device, "change", {name: knob})

    def _tell(self, device: Device, event: str, knobs: Mapping[str, Knob]) -> None:
        for name, knob in knobs.items():
            self._core.publish("controls", event, lambda name=name, knob=knob: _row(device, name, knob))  # type: ignore[misc]


def _row(device: Device, name: str, knob: Knob) -> Row:
    return {
        "name": name,
        "type": "num" if name.endswith(".level") else "sw",
        "value": knob.value,
        "max": knob.most,
        "device": device.number,
        "subdevice": None,
    }
