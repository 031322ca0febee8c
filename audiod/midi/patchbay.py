"""Patchbay: every hub of the server, the programs and the ports at them.

`midithru/N` are the thru boxes, `midi/N` the ports, `snd/NAME` the control port of
each sub-device.  Hubs are made at their first use and stay.  Invariant: programs are
no more than CLIENTS_MAX, together take in what the pace allows, and wait for none
that does not read.  Control thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import trio
from audiod_protocol.errors import Code, Fault, FaultError
from audiod_protocol.sndio.messages import Hello
from audiod_protocol.sndio.server import Server, family

from audiod import policy
from audiod.cards.libasound import Library
from audiod.linger import Linger
from audiod.midi import cable, rawmidi
from audiod.midi.client import MidiClient
from audiod.midi.feed import STALL, Feed
from audiod.midi.hub import Hub
from audiod.midi.pace import Pace
from audiod.midi.port import Port
from audiod.midi.rawmidi import RawMidi
from audiod.midi.thru import ThruBox
from audiod.subdevice import SubDevice

if TYPE_CHECKING:
    from audiod import engine

CLIENTS_MAX = 64  # programs, twice sndiod's: each may be told what all others say


class Patchbay:
    """All hubs of one server; `run` is its task.  `ports`: the name of each, and whether it is held."""

    def __init__(
        self,
        ports: Iterable[tuple[str, bool]] = (),
        clock: Callable[[], float] = time.monotonic,
        library: Callable[[], Library] = rawmidi.library,
    ) -> None:
        self.pace = Pace(clock)
        self._stalls = Linger(self._stall, STALL, clock)
        self._ends: dict[int, MidiClient | Port] = {}  # by connection; of ports below 0
        self._boxes: dict[int, ThruBox] = {}
        self._control: dict[str, Hub] = {}
        self._nclients = 0
        self.on_control: Callable[[str, Hub], None] = lambda name, hub: None  # a control port is made
        self._library = library
        self.ports = [self._port(number, text, hold) for number, (text, hold) in enumerate(ports)]

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.pace.run)
            nursery.start_soon(self._stalls.watch)
            for port in self.ports:
                port.spawn = nursery.start_soon
                port.keep()
            task_status.started()

    def news(self) -> None:
        """Cards may have come: ports that are awaited are tried again."""
        for port in self.ports:
            port.news()

    def _port(self, number: int, text: str, hold: bool) -> Port:
        where = cable.place(text)

        def opened() -> cable.Cable:
            if where.path is not None:
                return cable.open_path(where)
            return RawMidi(self._library(), where.alsa)

        ident = -1 - number
        feed = Feed(ident, self._stalls, port=number, name=text)
        port = Port(number, text, opened, where.folder, feed, self.pace, hold=hold)
        self._ends[ident] = port
        return port

    # ---- hubs ----

    def box(self, number: int) -> ThruBox:
        """`midithru/number`, 0 to 15: programs that open it hear each other."""
        if number not in self._boxes:
            self._boxes[number] = ThruBox(number, self.ports)
        return self._boxes[number]

    def thru(self, number: int) -> Hub:
        """Its hub."""
        return self.box(number).hub

    def control(self, name: str) -> Hub:
        """Of the sub-device `name`: what the server says and hears there by MIDI, and its programs."""
        if name not in self._control:
            self._control[name] = hub = Hub(f"snd/{name}")
            self.on_control(name, hub)
        return self._control[name]

    def _addressed(self, hello: Hello, subdevices: Mapping[str, SubDevice]) -> Hub | ThruBox | Port:
        """The hub that a HELLO means, or the box or port that has it.  Raises FaultError."""
        number = hello.devnum & 15
        match family(hello.devnum):
            case 1:
                return self.box(number)
            case 2:
                if number < len(self.ports):
                    return self.ports[number]
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
        *,
        bye: Callable[[], None],
        gone: Callable[[], bool],
        then: Callable[[MidiClient | Fault], None],
    ) -> None:
        """Take the program of a connection that has said HELLO to its hub.  Raises FaultError.

        `then` gets it, or what is in its way, at once or when its port is open; not at
        all if the connection is `gone` by then.
        """
        if self._nclients >= CLIENTS_MAX:
            raise FaultError(
                Fault(Code.EMFILE, f"{CLIENTS_MAX} programs use MIDI already", "close some of them")
            )
        assert wire.hello is not None
        there = self._addressed(wire.hello, subdevices)
        port = there if isinstance(there, Port) else None
        box = there if isinstance(there, ThruBox) else None
        hub = there if isinstance(there, Hub) else there.hub
        self._nclients += 1

        def ended() -> None:
            self._nclients -= 1
            self._ends.pop(ident, None)
            if port is not None:
                port.release()
            if box is not None:
                box.leave()

        def opened(fault: Fault | None) -> None:
            if fault is not None:
                self._nclients -= 1
                if not gone():
                    then(fault)
            elif gone():  # while the port was opened
                ended()
            else:
                feed = Feed(ident, self._stalls, client=ident, hub=hub.name)
                client = MidiClient(conn, wire, hub, feed, pace=self.pace, bye=bye, gone=ended)
                self._ends[ident] = client
                if box is not None:
                    box.enter()
                client.begin()
                then(client)

        if port is None:
            opened(None)
        else:
            port.acquire(opened)

    def _stall(self, ident: int) -> None:
        end = self._ends.get(ident)
        if end is not None:
            end.stall()
