"""Reserve: cards are reserved on the session's bus, as org.freedesktop.ReserveDevice1 has it.

Invariant: while a card of ours is open its name is ours, unless nobody can say so:
without a session's bus, or without jeepney, nothing is reserved and everything opens.
Who else wants a card is told yes or no in time.  Control thread.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import trio

from audiod import log
from audiod.cards.bus import Bus, Call, CallError, NoBusError
from audiod.cards.inventory import Card

PREFIX = "org.freedesktop.ReserveDevice1"
PATH = "/org/freedesktop/ReserveDevice1"
PROPERTIES = "org.freedesktop.DBus.Properties"
DBUS = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
UNKNOWN = "org.freedesktop.DBus.Error.UnknownMethod"

PRIORITY_MAX = (1 << 31) - 1
RELEASE_LIMIT = 5.0  # seconds that somebody may take to give up a card
TAKE_LIMIT = 10.0  # seconds that whoever asked for a card may take to take it
_ALLOW, _REPLACE, _DO_NOT_QUEUE = 1, 2, 4
_NAME = re.compile(re.escape(PREFIX) + r"\.Audio([0-9]{1,3})")
_OURS = (1, 4)  # answers to RequestName: it is ours now, it was


class ReservedError(Exception):
    """Another program has the card and keeps it; `str()` says who."""


class Reservations:
    """Who has which card, for this server.

    `asked(number)` is to give up a card and tell whether it has; `lost(number)`: it was
    taken; `freed(number)`: one that we could not have is free now.
    """

    def __init__(self, priority: int, environ: Mapping[str, str] = os.environ) -> None:
        self.priority = priority
        self.asked: Callable[[int], Awaitable[bool]] = _no
        self.lost: Callable[[int], None] = lambda number: None
        self.freed: Callable[[int], None] = lambda number: None
        self._environ = environ
        self._bus: Bus | None = None
        self._ready = trio.Event()  # it is known whether there is a bus
        self._nursery: trio.Nursery | None = None
        self._held: dict[int, int] = {}  # cards that are open, and how often
        self._ours: set[int] = set()
        self._denied: set[int] = set()
        self._locks: dict[int, trio.Lock] = {}
        self._log = log.get()

    async def run(self) -> None:
        """Serve until the bus is gone, if there is one."""
        try:
            connection = await Bus.connect(self._environ)
        except NoBusError as error:
            self._log.debug("reserve.none", reason=str(error))
            self._ready.set()
            return
        bus = Bus(connection, self._answer, self._heard)
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                await nursery.start(self._serve, bus)
                rule = f"type='signal',sender='{DBUS[0]}',member='NameOwnerChanged',arg0namespace='{PREFIX}'"
                try:
                    await bus.call(DBUS, "AddMatch", "s", (rule,))
                except CallError as error:
                    self._log.debug("reserve.deaf", reason=str(error))
                self._bus = bus
                self._ready.set()
                for number in list(self._held):  # those that were open before
                    nursery.start_soon(self._late, number)
        finally:
            self._bus = self._nursery = None
            self._ours.clear()
            self._ready.set()

    async def _serve(self, bus: Bus, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await bus.serve(task_status)
        self._log.debug("reserve.none", reason="the session's bus is gone")
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    # ---- our cards ----

    async def take(self, card: Card) -> None:
        """Reserve a card that is about to be opened.  Raises ReservedError."""
        await self._ready.wait()
        number = card.number
        async with self._locks.setdefault(number, trio.Lock()):
            if self._bus is None or number in self._ours:
                return
            try:
                await self._take(self._bus, card)
            except CallError as error:  # of the bus itself: it does not keep us from sound
                self._log.debug("reserve.failed", card=card.id, reason=str(error))

    def hold(self, number: int) -> None:
        """The card has been opened."""
        self._held[number] = self._held.get(number, 0) + 1
        if self._nursery is not None and number not in self._ours:
            self._nursery.start_soon(self._late, number)

    def drop(self, number: int) -> None:
        """The opposite, or it could not be opened."""
        self._held[number] = self._held.get(number, 1) - 1
        if self._held[number] > 0:
            return
        del self._held[number]
        if number in self._ours and self._nursery is not None:
            self._nursery.start_soon(self._release, number)

    async def _take(self, bus: Bus, card: Card) -> None:
        number, name = card.number, _name(card.number)
        flags = _DO_NOT_QUEUE | (_ALLOW if self.priority < PRIORITY_MAX else 0)
        if await self._request(bus, number, flags):
            return
        holder = await self._holder(bus, number)
        self._denied.add(number)
        try:
            where = name, _path(number), PREFIX
            (granted,) = await bus.call(where, "RequestRelease", "i", (self.priority,), RELEASE_LIMIT)
            why = "does not give it up"
        except CallError as error:
            granted, why = False, f"does not say whether it gives it up ({error})"
        if not granted:
            raise ReservedError(
                f"card {card.id} is reserved by {holder}, which {why}: stop it, or use another device"
            )
        if not await self._request(bus, number, flags | _REPLACE):
            raise ReservedError(f"card {card.id} was reserved by {holder}, and somebody else has it now")
        self._log.info("reserve.taken", card=card.id, of=holder)

    async def _request(self, bus: Bus, number: int, flags: int) -> bool:
        (answer,) = await bus.call(DBUS, "RequestName", "su", (_name(number), flags))
        if answer in _OURS:
            self._ours.add(number)
            self._denied.discard(number)
        return answer in _OURS

    async def _holder(self, bus: Bus, number: int) -> str:
        """Who has a card, in its own words."""
        where = _name(number), _path(number), PROPERTIES
        try:
            (told,) = await bus.call(where, "Get", "ss", (PREFIX, "ApplicationName"))
            kind, words = told
        except (CallError, TypeError, ValueError):
            return "another program"
        return words if kind == "s" and words else "another program"

    async def _late(self, number: int) -> None:
        """It is open already: say so, if nobody else has said that it is his."""
        async with self._locks.setdefault(number, trio.Lock()):
            if self._bus is None or number in self._ours or number not in self._held:
                return
            flags = _DO_NOT_QUEUE | (_ALLOW if self.priority < PRIORITY_MAX else 0)
            try:
                if not await self._request(self._bus, number, flags):
                    self._log.warning("reserve.late", card=number, reason="another program has reserved it")
            except CallError as error:
                self._log.debug("reserve.failed", card=number, reason=str(error))

    async def _release(self, number: int) -> None:
        async with self._locks.setdefault(number, trio.Lock()):
            if self._bus is None or number in self._held or number not in self._ours:
                return
            self._ours.discard(number)
            try:
                await self._bus.call(DBUS, "ReleaseName", "s", (_name(number),))
            except CallError as error:
                self._log.debug("reserve.failed", card=number, reason=str(error))

    # ---- what others want ----

    def _heard(self, member: str, body: tuple[Any, ...]) -> None:
        number = _number(body[0]) if body and isinstance(body[0], str) else None
        if number is None:
            return
        if member == "NameLost" and number in self._ours:
            self._ours.discard(number)
            self._denied.add(number)
            self._log.warning("reserve.lost", card=number, reason="another program has taken it")
            self.lost(number)
        elif member == "NameOwnerChanged" and body[2:] == ("",) and number in self._denied:
            if self._bus is None or body[1] == self._bus.name:
                return  # whoever asked us has yet to come
            self._denied.discard(number)
            self.freed(number)

    async def _answer(self, call: Call) -> tuple[str, tuple[Any, ...]]:
        sender, path, member, body = call
        number = _number(path.replace(PATH, PREFIX, 1).replace("/", ".")) if path.startswith(PATH) else None
        if number is None or number not in self._ours:
            raise CallError("org.freedesktop.DBus.Error.UnknownObject", f"{path} is not reserved here")
        if member == f"{PREFIX}.RequestRelease" and len(body) == 1 and isinstance(body[0], int):
            return "b", (await self._asked(number, body[0], sender),)
        properties = self._properties(number)
        if member == f"{PROPERTIES}.Get" and len(body) == 2 and body[1] in properties:
            return "v", (properties[body[1]],)
        if member == f"{PROPERTIES}.GetAll":
            return "a{sv}", (properties,)
        raise CallError(UNKNOWN, f"there is no method {member}")

    def _properties(self, number: int) -> dict[str, tuple[str, Any]]:
        return {
            "Priority": ("i", self.priority),
            "ApplicationName": ("s", "audiod"),
            "ApplicationDeviceName": ("s", f"hw:{number}"),
        }

    async def _asked(self, number: int, priority: int, sender: str) -> bool:
        if priority <= self.priority:
            return False
        granted = number not in self._held or await self.asked(number)
        self._log.info("reserve.asked", card=number, by=sender, priority=priority, given_up=granted)
        if granted:
            self._denied.add(number)
            self._ours.discard(number)  # its name is taken, not left: whoever asked replaces us
            if self._nursery is not None:
                self._nursery.start_soon(self._leave, number)
        return granted

    async def _leave(self, number: int) -> None:
        """Its name is to be had; if nobody comes for it after all, the card is free."""
        if self._bus is None:
            return
        try:
            await self._bus.call(DBUS, "ReleaseName", "s", (_name(number),))
            await trio.sleep(TAKE_LIMIT)
            (taken,) = await self._bus.call(DBUS, "NameHasOwner", "s", (_name(number),))
        except CallError as error:
            self._log.debug("reserve.failed", card=number, reason=str(error))
            return
        if not taken and number in self._denied:
            self._denied.discard(number)
            self.freed(number)


async def _no(number: int) -> bool:
    return False


def _name(number: int) -> str:
    return f"{PREFIX}.Audio{number}"


def _path(number: int) -> str:
    return f"{PATH}/Audio{number}"


def _number(name: str) -> int | None:
    """The card that a name means."""
    match = _NAME.fullmatch(name)
    return None if match is None else int(match[1])
