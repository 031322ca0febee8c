"""Alternates: on which of its devices each sub-device is, and the moves from one to another.

Invariant: a sub-device is moved with all of its streams; one that is named by a
device's number never is.  What to try is fallback's choice, what opens is seen by
trying, and whatever happens meanwhile counts when it has been tried.  A stream that
cannot move stays where it is, in silence, until its device is back.  Control thread.
"""

from __future__ import annotations

import errno as errors
from collections.abc import Callable
from dataclasses import replace

from audiod_protocol.errors import Code, Fault, FaultError

from audiod import fallback, log
from audiod.core import Core, Stream
from audiod.devices import Devices
from audiod.fallback import Candidate, OnNew, Presence, Standing
from audiod.subdevice import SubDevice

Present = Callable[[int], bool | None]
Done = Callable[[Fault | None], None]


class Alternates:
    """`present` says whether the card of a device is in the machine, None: nobody can tell."""

    def __init__(self, core: Core, devices: Devices, present: Present) -> None:
        self._core = core
        self._devices = devices
        self._present = present
        self._presence: dict[int, Presence] = {}
        self._since: dict[int, int] = {}
        self._last = 0  # since, of the device that came last
        self._pending: set[int] = set()  # ids of streams that are to move once they have
        self.on_placed: Callable[[], None] = lambda: None  # sub-devices that play are on another device
        self._log = log.get()
        devices.on_open = self._opened
        devices.on_refused = self._refused
        devices.on_subdevices = self.configured
        core.controls.choices.place = self.choose
        core.controls.choices.remake = self.remake
        core.controls.restored = self._restored
        for device in core.devices:
            self._look(device.number, asked=True)
        self._last, self._since = 0, {}
        for name in self._names():
            self._expect(name)
        self._note()

    # ---- what there is ----

    def order(self, name: str) -> tuple[int, ...]:
        """The devices that a sub-device may be on, the preferred one first."""
        configured = self._core.configured.get(name)
        if configured is None or name.isdigit():
            return (self._core.subdevices[name].device,)
        home = configured.device
        order = (home, *self._core.devices[home].alternates)
        chosen = self._chosen(name)
        return tuple(dict.fromkeys(order if chosen is None else (chosen, *order)))

    def reason(self, name: str) -> str:
        """Why a sub-device is not on its preferred device, in words; empty if it is."""
        current = self._core.subdevices[name].device
        chosen = self._chosen(name)
        return fallback.reason(self._known(name), current, self._rule(name), chosen)

    def _chosen(self, name: str) -> int | None:
        """The device that somebody has chosen for a sub-device, or for one that stays with it."""
        found = (self._core.controls.choices.chosen(one) for one in (name, *self._mates(name)))
        return next((number for number in found if number is not None), None)

    def _mates(self, name: str) -> list[str]:
        """Sub-devices that are always where this one is, and itself: those that MMC starts together."""
        subs = self._core.subdevices
        return [one for one in subs if subs[one].mmc] if name in subs and subs[name].mmc else [name]

    def _names(self) -> list[str]:
        return [name for name in self._core.subdevices if not name.isdigit()]

    def _known(self, name: str) -> list[Candidate]:
        return [
            Candidate(number, self._presence.get(number, Presence.THERE), self._since.get(number, 0))
            for number in self.order(name)
        ]

    def _rule(self, name: str) -> fallback.Rule:
        return self._core.devices[self._core.configured[name].device].rule

    def _streams(self, name: str) -> list[Stream]:
        return [stream for stream in self._core.streams.values() if stream.sub.name == name]

    def _standing(self, name: str) -> Standing:
        if not any(self._streams(one) for one in self._mates(name)):
            return Standing.IDLE
        is_open = self._devices.is_open(self._core.subdevices[name].device)
        return Standing.PLAYS if is_open else Standing.LOST

    def _attempts(self, name: str, *, asked: bool = False) -> list[int]:
        rule = self._rule(name)
        if asked and rule.on_new is OnNew.STAY:
            rule = replace(rule, on_new=OnNew.RETURN)
        current = self._core.subdevices[name].device
        return fallback.attempts(self._known(name), current, self._standing(name), rule)

    # ---- a stream is to be opened, or moved ----

    def prepare(self, sub: SubDevice, then: Done) -> None:
        """Open the device of a sub-device, or the first alternate that opens; `then` hears why none did."""
        if self._devices.is_open(sub.device) or sub.name.isdigit():
            self._devices.prepare(sub.device, then)
            return
        self._try(sub.name, self._attempts(sub.name) or [sub.device], then)

    def choose(self, name: str, number: int) -> None:
        """Move a sub-device to a device that somebody has chosen.  Raises FaultError(ENODEV)."""
        if self._core.subdevices[name].device == number:
            self._tell(name)  # as for why it is there
            return
        held = self._devices.hold(number)  # one that cannot be opened is refused before anything has moved
        self._place(name, number)
        self._devices.drop(held)

    def remake(self, sub: SubDevice) -> None:
        """Let a sub-device offer something else; its streams follow."""
        self._core.subdevices[sub.name] = sub
        for stream in self._streams(sub.name):
            if stream.lost():
                self._pending.add(stream.id)  # once it has a device again
            else:
                self._move(stream, sub)
        self._core.controls.choices.remade(sub.name)

    # ---- what happens ----

    def lost(self, number: int, errno: int, then: Callable[[], None] = lambda: None) -> None:
        """The device is gone: let its sub-devices go on elsewhere, where they can; `then` comes behind it."""
        for device in self._core.devices:
            if self._present(device.number) is not None:
                self._look(device.number, asked=False)
        self._presence[number] = Presence.ABSENT if self._gone(number, errno) else Presence.FAILED
        names = [name for name in self._names() if self._core.subdevices[name].device == number]
        left = len(names)

        def done(fault: Fault | None) -> None:
            nonlocal left
            left -= 1
            if left <= 0:
                then()

        if not names:
            then()
        for name in names:
            self._seek(name, done, but=number)

    def news(self, *, asked: bool = False) -> None:
        """Cards may have come or gone; `asked`: somebody wants the best one, failed or not."""
        for device in self._core.devices:
            self._look(device.number, asked=asked)
        for name in self._names():
            self._seek(name, asked=asked)
        for device in self._core.devices:
            number = device.number
            if self._presence[number] is not Presence.THERE:
                continue
            if self._devices.left_behind(number):
                self._devices.prepare(number, lambda fault: None)
            self._devices.open_if_held(number)
        self._note()

    def configured(self) -> None:
        """Sub-devices or devices are configured otherwise."""
        for device in self._core.devices:
            if device.number not in self._presence:
                self._look(device.number, asked=True)
        for name in self._names():
            if self._core.subdevices[name].device not in self.order(name):
                self._seek(name)
        self._note()

    def moved(self, stream: Stream) -> None:
        """A stream has arrived on a device, or has stopped: it moves on if that is not where it should be."""
        if not stream.lost() and stream.id not in self._pending:
            return
        self._pending.discard(stream.id)
        if stream.id not in self._core.streams:
            return
        sub = self._core.subdevices.get(stream.sub.name, stream.sub)
        self._devices.prepare(sub.device, lambda fault: self._move(stream, sub) if fault is None else None)

    # ---- within ----

    def _look(self, number: int, *, asked: bool) -> None:
        """What is known of a device by looking only."""
        before, present = self._presence.get(number), self._present(number)
        if present is False:
            self._presence[number] = Presence.ABSENT
            return
        if present is None:  # only trying tells
            forget = before is not Presence.THERE
        else:
            forget = before is not Presence.THERE and (asked or before in (None, Presence.ABSENT))
        if forget and not self._devices.is_open(number):
            self._presence[number] = Presence.THERE
            if before is Presence.ABSENT:
                self._last += 1
                self._since[number] = self._last

    def _opened(self, number: int) -> None:
        """Its streams that were left on an opening without a card come over."""
        self._presence[number] = Presence.THERE
        for stream in list(self._core.streams.values()):
            if stream.sub.device == number and stream.lost():
                self._move(stream, stream.sub)

    def _refused(self, number: int, errno: int) -> None:
        if self._gone(number, errno):
            self._presence[number] = Presence.ABSENT
        else:
            self._presence[number] = Presence.BUSY if errno == errors.EBUSY else Presence.FAILED

    def _gone(self, number: int, errno: int) -> bool:
        """Whether what failed has failed because the card is not there."""
        return errno == errors.ENODEV or self._present(number) is False

    def _expect(self, name: str) -> None:
        """Nobody plays on it: say where the next one will, without opening anything."""
        current = self._core.subdevices[name].device
        number = fallback.expected(self._known(name), current, self._rule(name))
        if number != current:
            self._core.subdevices[name] = replace(self._core.subdevices[name], device=number)
            self._tell(name, current)

    def _restored(self) -> None:
        for name in self._names():
            self._expect(name)

    def _seek(
        self, name: str, then: Done = lambda fault: None, *, but: int | None = None, asked: bool = False
    ) -> None:
        if self._standing(name) is Standing.IDLE:
            self._expect(name)
            then(None)
            return
        numbers = [number for number in self._attempts(name, asked=asked) if number != but]
        self._try(name, numbers, then, asked=asked)

    def _try(
        self, name: str, numbers: list[int], then: Done, fault: Fault | None = None, *, asked: bool = False
    ) -> None:
        """Open the first of these that opens and let the sub-device be there; else tell why not."""
        if not numbers:
            then(fault)
            return
        number, *rest = numbers

        def opened(why: Fault | None) -> None:
            if name not in self._core.subdevices:
                then(why)
            elif why is not None:
                self._try(name, rest, then, fault or why, asked=asked)
            elif number == self._core.subdevices[name].device:
                then(None)  # its streams have come over when it was opened
            elif number in self._attempts(name, asked=asked):
                self._place(name, number)
                then(None)
            else:  # it has been decided otherwise meanwhile
                then(None)

        self._devices.prepare(number, opened)

    def _place(self, name: str, number: int) -> None:
        """Move a sub-device and its mates to a device that is open, with their streams."""
        for one in self._mates(name):
            old = self._core.subdevices[one]
            if old.device == number:
                continue
            sub = replace(old, device=number)
            self._core.subdevices[one] = sub
            for stream in self._streams(one):
                self._move(stream, sub)
            self._tell(one, old.device)
        self.on_placed()

    def _move(self, stream: Stream, sub: SubDevice) -> None:
        try:
            stream.move(sub)
        except FaultError as error:
            if error.fault.code is Code.EPIPE:
                return  # it is dead
            if error.fault.code is Code.EBUSY:
                self._pending.add(stream.id)
            self._log.warning("stream.stays", stream=stream.id, reason=error.fault.message)

    def _tell(self, name: str, left: int | None = None) -> None:
        """Say where a sub-device is now; `left`: the device that it was on."""
        core, number = self._core, self._core.subdevices[name].device
        self._note(but=name)
        if left is not None:
            self._log.info(
                f"{'default' if name == 'default' else 'subdevice'}.move",
                subdevice=name,
                device=number,
                name=core.devices[number].name,
                reason=core.reasons[name] or "preferred",
            )
        core.controls.choices.moved(name)
        if name == "default":
            return
        for touched in {number} if left is None else {number, left}:
            core.device_changed(core.devices[touched])

    def _note(self, but: str | None = None) -> None:
        """Say of each sub-device where it may be and why it is where it is, if that is something new."""
        core, names = self._core, self._names()
        orders, reasons = core.orders, core.reasons
        core.orders = {name: self.order(name) for name in names}
        core.reasons = {name: self.reason(name) for name in names}
        for name in names:
            known = orders.get(name), reasons.get(name)
            if name != but and known != (core.orders[name], core.reasons[name]):
                core.device_changed(core.devices[core.subdevices[name].device])
