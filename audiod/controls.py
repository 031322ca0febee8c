"""Controls: every level, mute and choice of the server by its name, and who is told of a change.

Invariant: whoever sets a value does it here: the engine is told first (by the
hooks `apply` of devices and streams), then the program's other clients, then
subscribers, then whoever keeps the state.  Pure over core's data: no engine, no
trio, no socket, no file.  Control thread.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from audiod_protocol.errors import Code, Fault, FaultError
from audiod_protocol.limits import ROWS_MAX, VOL_MAX

from audiod import policy
from audiod.choices import DEFAULT, DEVICE, MODES, Choices
from audiod.elements import NAME, Elements
from audiod.program import PROGRAMS_MAX, Program, Programs
from audiod.saved import Saved, SavedChoice, SavedDevice, SavedProgram

if TYPE_CHECKING:
    from audiod.core import Core, Device, Stream

ABSENT_MAX = 64  # devices that are not configured now and whose values are kept for when they are again

_STREAMS_FROM = 1 << 30  # keys of the pages: devices 0, then programs, then streams by their ids
_NAME = re.compile(
    r"(output|input|app/(?P<app>[a-z]{1,11})|stream/(?P<id>[0-9]{1,10}))\.(?P<what>level|mute)"
)
_MOST = {"level": VOL_MAX, "mute": 1}

Row = dict[str, object]


class Controls:
    """The controls of one server; `restored` and `changed` are set by those who do it."""

    def __init__(self, core: Core) -> None:
        self.programs = Programs()
        self.choices = Choices(core)
        self.choices.changed = lambda: self.changed()
        self.elements = Elements(core)
        self.restored: Callable[[], None] = self.choices.take_chosen  # they are what they were at the end
        self.changed: Callable[[], None] = lambda: None  # something that survives a restart did
        self._core = core
        self._absent: OrderedDict[str, SavedDevice] = OrderedDict()

    # ---- listing ----

    def page(self, after: int | None) -> tuple[list[Row], int | None]:
        """Rows of at most ROWS_MAX owners behind the key `after`; the key to go on with, or None."""
        core = self._core
        owners: list[tuple[int, Iterator[Row]]] = [(0, self._server_rows())]
        owners += [
            (p.key, _pair(self._program_row, p)) for p in self.programs if p.subdevice in core.subdevices
        ]
        owners += [(_STREAMS_FROM + s.id, _pair(self._stream_row, s)) for s in core.streams.values()]
        found = sorted((o for o in owners if after is None or o[0] > after), key=lambda owner: owner[0])
        page = found[:ROWS_MAX]
        rows = [row for _, rows in page for row in rows]
        return rows, page[-1][0] if len(found) > ROWS_MAX else None

    # ---- setting ----

    def set(self, name: str, value: int, device: int | None = None, subdevice: str | None = None) -> None:
        """Set a control.  Raises FaultError: ENOENT, ENODEV, or EINVAL for a value out of its range."""
        if name == DEVICE or name in MODES:
            self.choices.set(name, value, subdevice)
            return
        if NAME.fullmatch(name):
            self.elements.set(self._device(device), name, value)
            return
        match = _NAME.fullmatch(name)
        if match is None:
            raise _no_control(name, "controls lists their names")
        what = match["what"]
        if not 0 <= value <= _MOST[what]:
            raise FaultError(
                Fault(
                    Code.EINVAL, f"control.set: {name} is 0..{_MOST[what]}, not {value}", "0 is off, 1 is on"
                )
            )
        if match["app"]:
            sub = policy.resolve("default" if subdevice is None else subdevice, self._core.subdevices)
            program = self.programs.find(sub.name, match["app"])
            if program is None:
                raise _no_control(name, f"on {sub.name}: no such program has a stream, or a value remembered")
            self._set_program(program, what, value)
        elif match["id"]:
            stream = self._core.streams.get(int(match["id"]))
            if stream is None:
                raise _no_control(name, "`streams` lists the ids of streams")
            self._set_program(stream.program, what, value)
        else:
            self._set_device(self._device(device), name, value)

    def set_level(self, program: Program, level: int, *, by: Stream | None = None) -> None:
        """Set a program's level, 0..127; `by`: the stream whose client did, which is not told."""
        if program.level != level:
            program.level = level
            self._program_changed(program, "level", by)

    def _set_program(self, program: Program, what: str, value: int) -> None:
        if what == "level":
            self.set_level(program, value)
        elif program.muted != bool(value):
            program.muted = bool(value)
            self._program_changed(program, what, None)

    def _program_changed(self, program: Program, what: str, by: Stream | None) -> None:
        core = self._core
        for stream in list(program.streams.values()):
            stream.apply(what == "level", stream is by)
        gone = self.programs.remember(program)
        if program not in gone:
            core.publish("controls", "change", lambda: self._program_row(program, what))
        self._tell_gone(gone)
        for stream in program.streams.values():
            core.stream_changed(stream)
            core.publish("controls", "change", partial(self._stream_row, stream, what))
        self.changed()

    def heard(self, device: Device, values: Mapping[str, int]) -> None:
        """Somebody has set these on the device's card itself."""
        device.chosen = True
        names = [name for name, value in values.items() if self._take_value(device, name, value)]
        device.apply()
        self._device_changed(device, names)

    def _set_device(self, device: Device, name: str, value: int) -> None:
        device.chosen = True
        if self._take_value(device, name, value):
            device.apply()
            self._device_changed(device, [name])

    def _take_value(self, device: Device, name: str, value: int) -> bool:
        field, kind = _DEVICE_FIELD[name]
        if getattr(device, field) == value:
            return False
        setattr(device, field, kind(value))
        return True

    def _device_changed(self, device: Device, names: Sequence[str]) -> None:
        if not names:
            return
        self._core.device_changed(device)
        for name in names:
            self._core.publish("controls", "change", partial(_device_row, device, name))
        self.changed()

    def _device(self, number: int | None) -> Device:
        devices = self._core.devices
        if number is None:
            return self._core.default_device
        if number >= len(devices):
            raise FaultError(
                Fault(Code.ENODEV, f"there is no device {number}", f"there are 0..{len(devices) - 1}")
            )
        return devices[number]

    # ---- streams come, move and go ----

    def opened(self, stream: Stream) -> None:
        if self.programs.enter(stream):
            self._tell("new", self._program_row, stream.program)
        self._tell("new", self._stream_row, stream)

    def closed(self, stream: Stream) -> None:
        self._tell("gone", self._stream_row, stream)
        self._tell_gone(self.programs.leave(stream))

    def moved(self, stream: Stream) -> bool:
        """Its sub-device is another one: so is its program.  Whether its level is another, too.

        A program that has no level there brings the one it has.
        """
        old = stream.program
        if old.subdevice == stream.sub.name:
            return False
        gone = self.programs.leave(stream)
        new = self.programs.get(stream.sub.name, old.name)
        if new.initial and not new.streams:
            new.level, new.muted = old.level, old.muted
        stream.program = new
        if self.programs.enter(stream):
            self._tell("new", self._program_row, new)
        self._tell_gone(gone)
        self._tell("change", self._stream_row, stream)
        self.changed()
        return new.level != old.level

    def _tell_gone(self, programs: list[Program]) -> None:
        for program in programs:
            self._tell("gone", self._program_row, program)

    def _tell(self, event: str, row: Callable[..., Row], owner: object) -> None:
        for what in _MOST:
            self._core.publish("controls", event, partial(row, owner, what))

    # ---- what survives a restart ----

    def saved(self) -> Saved:
        """What is worth remembering, now."""
        devices = [
            SavedDevice(d.name, d.volume, d.muted, d.input_volume, d.input_muted) for d in self._core.devices
        ]
        present = {device.name for device in devices}
        kept = [device for name, device in self._absent.items() if name not in present]
        programs = [
            SavedProgram(p.subdevice, p.name, p.level, p.muted) for p in self.programs if not p.initial
        ]
        chosen = [
            SavedChoice(name, device) for name, device in self.choices.devices.items() if name != DEFAULT
        ]
        return Saved(self.choices.devices.get(DEFAULT), kept + devices, programs, chosen)

    def restore(self, saved: Saved) -> None:
        """Before anything is open: take over what an earlier server remembered."""
        by_name = {device.name: device for device in self._core.devices}
        for one in saved.devices:
            device = by_name.get(one.name)
            if device is None:
                self._absent[one.name] = one
                if len(self._absent) > ABSENT_MAX:
                    self._absent.popitem(last=False)
            else:
                _take(device, one)
        for app in saved.programs[-PROGRAMS_MAX:]:
            if policy.program(app.program) == app.program:
                program = self.programs.get(app.subdevice, app.program)
                program.level, program.muted = app.level, app.mute
                self.programs.remember(program)
        self.choices.devices = {one.subdevice: one.device for one in saved.chosen}
        if saved.default_device is not None:
            self.choices.devices[DEFAULT] = saved.default_device
        self.restored()

    def added(self, device: Device) -> None:
        """A further device is configured: it has the values that it had when it last was."""
        one = self._absent.pop(device.name, None)
        if one is not None:
            _take(device, one)
        for name in _DEVICE_FIELD:
            self._core.publish("controls", "new", partial(_device_row, device, name))
        self.choices.devices_changed()

    # ---- rows ----

    def _server_rows(self) -> Iterator[Row]:
        yield from self.choices.rows()
        for name in _DEVICE_FIELD:
            for device in self._core.devices:
                yield _device_row(device, name)
        yield from self.elements.rows()

    def _program_row(self, program: Program, what: str) -> Row:
        sub = self._core.subdevices.get(program.subdevice)
        device = None if sub is None else sub.device
        return _level_or_mute(f"app/{program.name}", what, program, device)

    def _stream_row(self, stream: Stream, what: str) -> Row:
        return _level_or_mute(f"stream/{stream.id}", what, stream.program, stream.sub.device)


_DEVICE_FIELD: dict[str, tuple[str, type]] = {
    "output.level": ("volume", int),
    "output.mute": ("muted", bool),
    "input.level": ("input_volume", int),
    "input.mute": ("input_muted", bool),
}


def _take(device: Device, one: SavedDevice) -> None:
    """Give a device the values that it had.

    Those that each device begins with are nobody's choice: a card whose volume is restored is not made
    as loud as it can be by them.
    """
    device.chosen = one != SavedDevice(one.name)
    device.volume, device.muted = one.level, one.mute
    device.input_volume, device.input_muted = one.input_level, one.input_mute


def _device_row(device: Device, name: str) -> Row:
    what = name.partition(".")[2]
    value = int(getattr(device, _DEVICE_FIELD[name][0]))
    return _row(name, _TYPE[what], value, _MOST[what], device.number, None)


def _level_or_mute(owner: str, what: str, program: Program, device: int | None) -> Row:
    value = program.level if what == "level" else int(program.muted)
    return _row(f"{owner}.{what}", _TYPE[what], value, _MOST[what], device, program.subdevice)


_TYPE = {"level": "num", "mute": "sw"}


def _row(name: str, kind: str, value: int, most: int, device: int | None, subdevice: str | None) -> Row:
    return {
        "name": name,
        "type": kind,
        "value": value,
        "max": most,
        "device": device,
        "subdevice": subdevice,
    }


def _pair(row: Callable[..., Row], owner: object) -> Iterator[Row]:
    return (row(owner, what) for what in _MOST)


def _no_control(name: str, hint: str) -> FaultError:
    return FaultError(Fault(Code.ENOENT, f"there is no control {name!r}", hint))
