"""Patchbay: every hub of the server, and the programs at them.

`midithru/N` are the thru boxes, `snd/NAME` the control port of each sub-device.
Hubs are made at their first use and stay.  Invariant: programs are no more than
CLIENTS_MAX, together take in what the pace allows, and wait for none that does not
read.  Control thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import trio
from audiod_protocol.errors import Code, Fault, FaultError
from audiod_protocol.sndio.messages import Hello
from audiod_protocol.sndio.server import Server, family

from audiod import policy
from audiod.linger import Linger
from audiod.midi.client import STALL, MidiClient
from audiod.midi.hub import Hub
from audiod.midi.pace import Pace
from audiod.subdevice import SubDevice

if TYPE_CHECKING:
    from audiod import engine

CLIENTS_MAX = 64  # programs, twice sndiod's: each may be told what all others say


class Patchbay:
    """All hubs of one server; `run` is its task."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.pace = Pace(clock)
        self.stalls = Linger(self._stall, STALL, clock)
        self.clients: dict[int, MidiClient] = {}  # by connection
        self._thru: dict[int, Hub] = {}
        self._control: dict[str, Hub] = {}

    async def run(self) -> None:
        """Serve for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.pace.run)
            nursery.start_soon(self.stalls.watch)

    # ---- hubs ----

    def thru(self, number: int) -> Hub:
        """The box `midithru/number`, 0 to 15: programs that open it hear each other."""
        if number not in self._thru:
            self._thru[number] = Hub(f"midithru/{number}")
        return self._thru[number]

    def control(self, name: str) -> Hub:
        """Of the sub-device `name`: what the server says and hears there by MIDI, and its programs."""
        if name not in self._control:
            self._control[name] = Hub(f"snd/{name}")
        return self._control[name]

    def _addressed(self, hello: Hello, subdevices: Mapping[str, SubDevice]) -> Hub:
        """The hub that a HELLO means.  Raises FaultError."""
        number = hello.devnum & 15
        match family(hello.devnum):
            case 1:
                return self.thru(number)
            case 2:
                raise FaultError(
                    Fault(Code.ENODEV, f"there is no MIDI port {number}", "audiod -q names the ports")
                )
            case _:
                return self.control(policy.addressed(hello.devnum, hello.opt, subdevices).name)

    # ---- programs ----

    def open(
        self,
        ident: int,
        conn: engine.Conn,
        wire: Server,
        subdevices: Mapping[str, SubDevice],
        bye: Callable[[], None],
    ) -> MidiClient:
        """The program of a connection that has said HELLO, at its hub.  Raises FaultError."""
        if len(self.clients) >= CLIENTS_MAX:
            raise FaultError(
                Fault(Code.EMFILE, f"{CLIENTS_MAX} programs use MIDI already", "close some of them")
            )
        assert wire.hello is not None
        hub = self._addressed(wire.hello, subdevices)
        client = MidiClient(
            ident, conn, wire, hub, pace=self.pace, stalls=self.stalls, bye=bye, gone=self._gone
        )
        self.clients[ident] = client
        client.begin()
        return client

    def _gone(self, ident: int) -> None:
        del self.clients[ident]

    def _stall(self, ident: int) -> None:
        client = self.clients.get(ident)
        if client is not None:
            client.stall()
