"""ControlPort: a sub-device's own MIDI port: levels set and told by MIDI, as sndiod's.

Programs that play there have a channel each, whose controller 7 is their level; the
master volume of MIDI is the output.level of the device.  Invariant: a program keeps
its channel as long as it plays, and what is set by MIDI is not said again, for all
others at the hub have heard it.  Control thread.
"""

from __future__ import annotations

from typing import Any

from audiod_protocol.errors import FaultError

from audiod import log
from audiod.core import Core
from audiod.midi.hub import Hub
from audiod.midi.patchbay import Patchbay

CHANNELS = 8  # sndiod's, and the faders of a common desk; MIDI has 16
NAME_SIZE = 10  # bytes of a program's name and its terminating 0
_VOLUME = 7  # a channel's controller
_MASTER = bytes.fromhex("f07f7f0401")  # fine, coarse, f7
_SLOT = bytes.fromhex("f07d7f2301")  # channel, 0, name, f7: its level follows as the controller
_DUMP = bytes.fromhex("f07d7f2302f7")
_END = bytes.fromhex("f07d7f2303f7")


class ControlPorts:
    """Those of all sub-devices, each from the first use of its hub on."""

    def __init__(self, core: Core, patchbay: Patchbay) -> None:
        self._core = core
        self._ports: dict[str, ControlPort] = {}
        patchbay.on_control = self._begin

    def _begin(self, name: str, hub: Hub) -> None:
        self._ports[name] = ControlPort(name, hub, self._core)
        self._core.subscribe(self._changed, ("controls",))

    def _changed(self, topic: str, row: dict[str, Any]) -> None:
        for port in self._ports.values():
            port.changed(row)


class ControlPort:
    """Of the sub-device `name`."""

    def __init__(self, name: str, hub: Hub, core: Core) -> None:
        self.name = name
        self._hub = hub
        self._core = core
        self._channels = [""] * CHANNELS  # programs
        self._used = [0] * CHANNELS  # when each was given away
        self._count = 0
        self._setting = False
        self._log = log.get(subdevice=name)
        hub.listen(self._heard)
        for program in core.controls.programs:
            if program.subdevice == name and program.streams:
                self._given(program.name)

    # ---- what is heard ----

    def _heard(self, message: bytes, source: object) -> None:
        if source is self:
            return
        if message == _DUMP:
            self._dump()
        elif len(message) == 3 and message[0] & 0xF0 == 0xB0 and message[1] == _VOLUME:
            channel = message[0] & 0x0F
            if channel < CHANNELS and self._channels[channel]:
                self._set_level(self._channels[channel], message[2])
        elif len(message) == 8 and message[:2] + message[3:5] == _MASTER[:2] + _MASTER[3:5]:
            self._set_master(message[6])

    def _set_level(self, program: str, level: int) -> None:
        controls = self._core.controls
        self._setting = True
        try:
            controls.set_level(controls.programs.get(self.name, program), level)
        finally:
            self._setting = False

    def _set_master(self, level: int) -> None:
        self._setting = True
        try:
            self._core.controls.set("output.level", level, self._device)
        except FaultError as error:
            self._log.warning("control.refused", control="output.level", reason=error.fault.message)
        finally:
            self._setting = False

    @property
    def _device(self) -> int:
        sub = self._core.subdevices.get(self.name)
        return 0 if sub is None else sub.device

    # ---- what is said ----

    def changed(self, row: dict[str, Any]) -> None:
        """A control of the server has changed, or is new."""
        if row["event"] == "gone":
            return
        name: str = row["name"]
        if name == "output.level" and row["device"] == self._device and not self._setting:
            self._say_master()
        elif row["subdevice"] == self.name and name.startswith("app/") and name.endswith(".level"):
            program = name[len("app/") : -len(".level")]
            channel = self._given(program)
            if channel is None or self._setting:
                return
            if row["event"] == "new":
                self._say_program(channel)
            self._say_level(channel)

    def _given(self, program: str) -> int | None:
        """The channel of a program; the one given away first, of those that do not play, if it has none."""
        if program in self._channels:
            return self._channels.index(program)
        free = [n for n, other in enumerate(self._channels) if not self._plays(other)]
        if not free:
            return None
        channel = min(free, key=lambda n: self._used[n])
        self._count += 1
        self._channels[channel], self._used[channel] = program, self._count
        return channel

    def _plays(self, program: str) -> bool:
        found = self._core.controls.programs.find(self.name, program) if program else None
        return found is not None and bool(found.streams)

    def _level(self, channel: int) -> int:
        program = self._channels[channel]
        return self._core.controls.programs.get(self.name, program).level if program else 0

    def _say_program(self, channel: int) -> None:
        name = self._channels[channel].encode()[: NAME_SIZE - 1].ljust(NAME_SIZE, b"\0")
        self._say(_SLOT + bytes((channel, 0)) + name + b"\xf7")

    def _say_level(self, channel: int) -> None:
        self._say(bytes((0xB0 | channel, _VOLUME, self._level(channel))))

    def _say_master(self) -> None:
        level = self._core.devices[self._device].volume
        self._say(_MASTER + bytes((0, level)) + b"\xf7")

    def _dump(self) -> None:
        self._say_master()
        for channel in range(CHANNELS):
            self._say_program(channel)
            self._say_level(channel)
        self._say(_END)

    def _say(self, message: bytes) -> None:
        self._hub.send(message, self)
