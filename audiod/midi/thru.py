"""ThruBox: `midithru/N`, a hub of programs to which ports can be connected.

Invariant: a port that is wanted here is open and connected as long as somebody uses
the box, by MIDI or to see its controls; what is wanted stays so when nobody does.
Control thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from audiod_protocol.errors import Fault

from audiod import log
from audiod.midi.hub import Hub
from audiod.midi.port import Port

THRU = -1  # in the place of a port's number: whether programs hear each other


class Viewer(Protocol):
    """Who sees the controls of a box."""

    def changed(self, what: int) -> None:
        """A port is or is no longer connected, or THRU."""


class ThruBox:
    """`ports`: all of the server."""

    def __init__(self, number: int, ports: Sequence[Port]) -> None:
        self.hub = Hub(f"midithru/{number}")
        self.ports = ports
        self.viewers: dict[Viewer, None] = {}
        self._users = 0
        self._wanted: set[int] = set()
        self._connected: set[int] = set()
        self._log = log.get(hub=self.hub.name)

    def enter(self) -> None:
        """Somebody uses it."""
        self._users += 1
        if self._users == 1:
            for number in sorted(self._wanted):
                self._connect(number)

    def leave(self) -> None:
        """The opposite of enter."""
        self._users -= 1
        if not self._users:
            for number in sorted(self._connected):
                self._disconnect(number)

    def connected(self, number: int) -> bool:
        return number in self._connected

    def plug(self, number: int, *, on: bool) -> None:
        """Connect a port, or not.  One that cannot be opened is not: who looks is told so."""
        if on:
            self._wanted.add(number)
            if not self.connected(number):
                self._connect(number, asked=True)
        else:
            self._wanted.discard(number)
            if self.connected(number):
                self._disconnect(number)

    def let_through(self, *, on: bool) -> None:
        """Whether its programs hear each other."""
        if self.hub.thru != on:
            self.hub.thru = on
            self._tell(THRU)

    def _connect(self, number: int, *, asked: bool = False) -> None:
        port = self.ports[number]

        def then(fault: Fault | None) -> None:
            if fault is not None:
                if asked:
                    self._wanted.discard(number)
                self._log.warning("control.refused", control=f"server.port[{number}]", reason=fault.message)
            elif not self._users or number not in self._wanted or self.connected(number):
                port.release()
                return
            else:
                self._connected.add(number)
                port.connect(self.hub)
            self._tell(number)

        port.acquire(then)

    def _disconnect(self, number: int) -> None:
        self._connected.discard(number)
        self.ports[number].disconnect(self.hub)
        self.ports[number].release()
        self._tell(number)

    def _tell(self, what: int) -> None:
        for viewer in list(self.viewers):
            viewer.changed(what)
