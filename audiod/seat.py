"""Seat: where one stream is: the opening of a device that it holds, and the one that it moves away from.

Invariant: what is held is dropped once; a link group is counted where its member
is.  Control thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiod_protocol.errors import FaultError

from audiod import trouble
from audiod.devices import Devices
from audiod.opening import Opening

if TYPE_CHECKING:
    from audiod import engine


class Seat:
    """A stream's, from open to close; its device is held already.  `group` 0: it is in no link group."""

    def __init__(self, devices: Devices, number: int, group: int) -> None:
        self.on = devices.current(number)
        self.group = group
        self._devices = devices
        self._left: Opening | None = None  # held until the engine has moved the stream
        self._held = True
        self._count(1)

    @property
    def handle(self) -> engine.Device:
        """Of the device in the engine.  Raises FaultError(ENODEV): it has failed."""
        if self.on.handle is None:
            raise FaultError(trouble.gone(self.on.device.row))
        return self.on.handle

    @property
    def moving(self) -> bool:
        return self._left is not None

    @property
    def held(self) -> bool:
        """Whether the stream still needs its device."""
        return self._held

    @property
    def members(self) -> int:
        """Of its link group, on this device."""
        return self.on.members(self.group) if self.group else 0

    def move(self, here: Opening, *, at_once: bool) -> None:
        """It goes to an opening that is held for it; not `at_once`: `arrived` says when it has left."""
        left = self.on
        self._count(-1)
        self.on = here
        self._count(1)
        if at_once:
            self._devices.drop(left)
        else:
            self._left = left

    def regroup(self, group: int) -> None:
        """It is in another link group, or in none."""
        self._count(-1)
        self.group = group
        self._count(1)

    def renew(self, number: int) -> None:
        """Its device has failed: hold a new opening of it.  Raises FaultError."""
        if self.on.handle is None:
            self.move(self._devices.hold(number), at_once=True)

    def arrived(self) -> None:
        """Its old device has let go of it."""
        if self._left is not None:
            left, self._left = self._left, None
            self._devices.drop(left)

    def leave(self) -> None:
        """It needs no device any more."""
        if self._held:
            self._held = False
            self._count(-1)
            self._devices.drop(self.on)

    def _count(self, members: int) -> None:
        if self.group:
            self.on.join_group(self.group, members)
