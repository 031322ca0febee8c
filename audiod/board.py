"""Board: the server's controls as control clients of sndio's wire see them, and which of them see a change.

Owns the address of each control.  A client sees what belongs to its sub-device, and
to the device that this is on now.  Everything here is made of the rows that native
clients are told, so both always have the same.  Invariant: an address is one
control's as long as that exists, and is not given out again soon.  Empty while nobody
looks.  Pure over core's data; control thread.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import trio
from audiod_protocol.sndio.descriptors import ADDR_MAX, DISPLAY_MAX, WORD_MAX, Descriptor, Kind, Node, fit

from audiod.choices import DEVICE, MODES
from audiod.core import Core, Row

AT_ONCE = 100  # viewers that are told before others have their turn

Scope = tuple[str, str | int]  # ("subdevice", name) or ("device", number)
Key = tuple[Scope, str, int]  # within it a row's name, and which element of a choice

_KINDS = {"num": Kind.NUM, "sw": Kind.SW}
_NAME = re.compile(r"(?:(?P<group>.*)/)?(?P<node>[^/\[\]]+?)(?:\[(?P<unit>[0-9]{1,4})\])?\.(?P<func>[^.]+)")
_PRIVATE = "stream/"  # names of streams, which are for native clients only: other names of their program's


class Viewer(Protocol):
    """Who looks at the controls of a sub-device."""

    subdevice: str

    def described(self, addr: int) -> None: ...

    def changed(self, addr: int) -> None: ...

    def flush(self) -> None: ...

    def orphaned(self) -> None: ...


@dataclass(frozen=True)
class Control:
    """What is at an address; `choice`: of a choice, the one that this element stands for."""

    descriptor: Descriptor
    key: Key
    choice: int | None = None

    @property
    def name(self) -> str:
        return self.key[1]

    @property
    def device(self) -> int | None:
        where, which = self.key[0]
        return int(which) if where == "device" else None

    @property
    def subdevice(self) -> str | None:
        where, which = self.key[0]
        return str(which) if where == "subdevice" else None


class Board:
    """All controls, once somebody looks."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._viewers: dict[str, dict[Viewer, None]] = {}  # by sub-device
        self._on: dict[str, int] = {}  # the device of each sub-device that is looked at, as was told
        self._controls: dict[int, Control] = {}
        self._scopes: dict[Scope, dict[Key, int]] = {}
        self._last = 0
        self._waiting: dict[Viewer, None] = {}
        self._due = trio.Event()

    # ---- who looks ----

    def attach(self, viewer: Viewer) -> None:
        """From now on tell it of changes, by `described` and `changed`, and then by `flush`."""
        if not self._viewers:
            self._core.subscribe(self._take, ("controls",))
            for row in self._all_rows():
                self._put(row)
        sub = self._core.subdevices[viewer.subdevice]
        self._on.setdefault(sub.name, sub.device)
        self._own(sub.name)
        self._viewers.setdefault(sub.name, {})[viewer] = None

    def detach(self, viewer: Viewer) -> None:
        self._waiting.pop(viewer, None)
        of_sub = self._viewers.get(viewer.subdevice, {})
        of_sub.pop(viewer, None)
        if not of_sub:
            self._viewers.pop(viewer.subdevice, None)
            self._on.pop(viewer.subdevice, None)
        if not self._viewers:
            self._core.subscribe(self._take, ())
            self._controls.clear()
            self._scopes.clear()
            self._last = 0

    def visible(self, subdevice: str) -> list[int]:
        """Addresses of all that is seen from a sub-device, in the order of their coming."""
        scopes = (self._scopes.get(scope, {}) for scope in self._seen(subdevice))
        return sorted(addr for scope in scopes for addr in scope.values())

    def find(self, subdevice: str, addr: int) -> Control | None:
        """What is seen from a sub-device at an address."""
        found = self._controls.get(addr)
        return found if found is not None and found.key[0] in self._seen(subdevice) else None

    def _seen(self, subdevice: str) -> tuple[Scope, ...]:
        of_sub: Scope = "subdevice", subdevice
        device = self._on.get(subdevice)
        return (of_sub,) if device is None else (("device", device), of_sub)

    # ---- telling ----

    def told(self, viewer: Viewer) -> None:
        """This viewer has something to flush."""
        self._waiting[viewer] = None
        self._due.set()

    def flush(self) -> None:
        """Let all who were told of something pass it on."""
        for viewer in self._flushing():
            viewer.flush()

    async def run(self) -> None:
        """Flush whenever there is something, what comes together in one go."""
        while True:
            await self._due.wait()
            self._due = trio.Event()
            for count, viewer in enumerate(self._flushing(), 1):
                viewer.flush()
                if count % AT_ONCE == 0:
                    await trio.lowlevel.checkpoint()

    def _flushing(self) -> Iterator[Viewer]:
        while self._waiting:
            viewer = next(iter(self._waiting))
            del self._waiting[viewer]
            yield viewer

    def _tell(self, scope: Scope, tell: Callable[[Viewer], None]) -> None:
        for name, viewers in self._viewers.items():
            if scope in self._seen(name):
                for viewer in viewers:
                    tell(viewer)
                    self.told(viewer)

    # ---- rows ----

    def _all_rows(self) -> Iterator[Row]:
        rows, after = self._core.controls.page(None)
        yield from rows
        while after is not None:
            rows, after = self._core.controls.page(after)
            yield from rows

    def _take(self, topic: str, row: Row) -> None:
        """A row of the core's has come, has changed, or has gone."""
        if row["event"] == "gone":
            self._drop(row)
        else:
            self._put(row)
        if row["name"] == DEVICE:
            self._moved(str(row["subdevice"]))
        elif row["name"] in MODES and row["event"] == "gone":  # each sub-device has those
            for viewer in list(self._viewers.get(str(row["subdevice"]), {})):
                viewer.orphaned()

    def _put(self, row: Row) -> None:
        found = {control.key: control for control in self._described(row)}
        for key, control in found.items():
            self._place(key, control)
        if row["name"] == DEVICE:  # there may be fewer to choose than before
            known = self._scopes.get(_scope(row), {})
            for key in [key for key in known if key[1] == DEVICE and key not in found]:
                self._remove(key)

    def _drop(self, row: Row) -> None:
        for control in self._described(row):
            self._remove(control.key)

    def _place(self, key: Key, control: Control) -> None:
        scope = key[0]
        addr = self._scopes.get(scope, {}).get(key)
        if addr is None:
            addr = self._free()
            if addr is None:
                return
            self._scopes.setdefault(scope, {})[key] = addr
            before = None
        else:
            before = self._controls[addr].descriptor
        now = replace(control.descriptor, addr=addr)
        self._controls[addr] = replace(control, descriptor=now)
        if before == now:
            return
        if before is not None and replace(before, value=now.value) == now:
            # of a choice, the one that is on is told: the others are off by that
            if control.choice is None or now.value:
                self._tell(scope, lambda viewer: viewer.changed(addr))
        else:
            self._tell(scope, lambda viewer: viewer.described(addr))

    def _remove(self, key: Key) -> None:
        addr = self._scopes.get(key[0], {}).pop(key, None)
        if addr is not None:
            del self._controls[addr]
            self._tell(key[0], lambda viewer: viewer.described(addr))

    def _free(self) -> int | None:
        """An address that was not used for as long as can be; None: there are none left."""
        if len(self._controls) >= ADDR_MAX:
            return None
        while True:
            self._last = self._last % ADDR_MAX + 1
            if self._last not in self._controls:
                return self._last

    def _moved(self, name: str) -> None:
        """A sub-device may be on another device: who looks sees that one's controls now."""
        sub = self._core.subdevices.get(name)
        viewers = self._viewers.get(name)
        if sub is None or viewers is None or self._on[name] == sub.device:
            return
        before, self._on[name] = self._on[name], sub.device
        for number in (before, sub.device):
            for addr in self._scopes.get(("device", number), {}).values():
                for viewer in viewers:
                    viewer.described(addr)
        for viewer in viewers:
            self.told(viewer)

    def _own(self, name: str) -> None:
        """A device's own sub-device is on it for good; a client looks for that control even so."""
        if name.isdigit():
            number = self._core.subdevices[name].device
            row = {"name": DEVICE, "subdevice": name, "value": number, "max": number}
            (control,) = (one for one in self._elements(row) if one.choice == number)
            self._place(control.key, control)

    def _described(self, row: Row) -> Iterator[Control]:
        """What a row is on the wire, without addresses."""
        name = str(row["name"])
        if name.startswith(_PRIVATE):
            return
        if name == DEVICE:
            yield from self._elements(row)
            return
        value, most = _number(row, "value"), _number(row, "max")
        if name in MODES:
            _, func, which = name.split(".")
            descriptor = Descriptor(0, Kind.VEC, Node("server"), func, most, value, Node(which))
        else:
            match, kind = _NAME.fullmatch(name), _KINDS.get(str(row["type"]))
            if match is None or kind is None:
                return  # nothing that this wire has words for
            unit = -1 if match["unit"] is None else int(match["unit"])
            descriptor = Descriptor(
                0,
                kind,
                Node(_word(match["node"]), unit),
                _word(match["func"]),
                most,
                value,
                group=_word(match["group"] or ""),
            )
        yield Control(descriptor, (_scope(row), name, 0))

    def _elements(self, row: Row) -> Iterator[Control]:
        scope = _scope(row)
        for device in self._core.devices[: _number(row, "max") + 1]:
            number = device.number
            chosen = int(number == row["value"])
            yield Control(
                Descriptor(
                    0,
                    Kind.SEL,
                    Node("server"),
                    "device",
                    1,
                    chosen,
                    Node(str(number)),
                    display=fit(device.name, DISPLAY_MAX),
                ),
                (scope, DEVICE, number),
                number,
            )


def _scope(row: Row) -> Scope:
    sub: Any = row["subdevice"]
    device: Any = row.get("device")
    return ("device", int(device)) if sub is None else ("subdevice", str(sub))


def _number(row: Row, key: str) -> int:
    value: Any = row[key]
    return int(value)


def _word(text: str) -> str:
    """A name that sndioctl can be told: letters, digits and _, as short as every libsndio keeps."""
    return re.sub(r"[^A-Za-z0-9_]", "", text)[:WORD_MAX]
