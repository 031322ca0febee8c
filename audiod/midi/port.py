"""Port: a hardware MIDI port, or what stands for one, shared by programs.

Opened when the first program wants it (`hold`: at the start), closed when the last
has gone and what they sent has left.  One that vanishes keeps its programs: what they
send is dropped until it is back, then it goes on.  Invariant: one task serves it from
its opening to its end, and nothing wakes up while nothing happens.  Control thread,
but for opening and closing.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import trio
from audiod_protocol.errors import Code, Fault

from audiod import log
from audiod.inotify import Inotify, Mask
from audiod.midi.cable import Cable
from audiod.midi.feed import Feed
from audiod.midi.hub import Hub
from audiod.midi.messages import Parser
from audiod.midi.outbox import BUFFER
from audiod.midi.pace import Pace

PIECE = 256  # bytes written at once: a twelfth of a second of a cable is what cannot be taken back
CLOSING = 1.0  # seconds that closing it is waited for: a kernel may let what was written leave first
SETTLE = 0.1  # seconds from news of a port to the next try: its owner and mode are set after it was made
_NEWS = Mask.CREATE | Mask.MOVED_TO | Mask.ATTRIB

Opener = Callable[[], Cable]
Then = Callable[[Fault | None], None]
Spawn = Callable[[Callable[[], Awaitable[None]]], None]


class State(enum.StrEnum):
    CLOSED = "closed"
    OPENING = "opening"
    OPEN = "open"
    LOST = "lost"  # wanted, and not there


class Port:
    """`midi/number`; `text` is its name as configured, `folder` where something happens as it returns."""

    def __init__(
        self, number: int, text: str, opener: Opener, folder: Path, feed: Feed, pace: Pace, *, hold: bool
    ) -> None:
        self.number = number
        self.text = text
        self.hold = hold
        self.state = State.CLOSED
        self.users = 0
        self.hub = Hub(f"midi/{number}", thru=False)  # of the programs that open the port itself
        self.hubs: list[Hub] = []
        self.spawn: Spawn | None = None
        self._opener = opener
        self._folder = folder
        self._feed = feed
        self._pace = pace
        self._sends = False
        self._waiting: list[Then] = []
        self._some = trio.Event()  # to be written, or to be closed
        self._news = trio.Event()
        self._relief = trio.Event()  # those that hear it may have room
        self._serving = trio.CancelScope()
        self._log = log.get(port=number, name=text)
        self.connect(self.hub)

    # ---- who uses it ----

    def acquire(self, then: Then) -> None:
        """Want it; `then` is called with what is in the way, or with nothing."""
        if self.state is State.OPEN:
            self.users += 1
            then(None)
            return
        self._waiting.append(then)
        if self.state is State.CLOSED:
            self._begin()
        else:
            self._news.set()

    def release(self) -> None:
        """Who had acquired it needs it no more."""
        self.users -= 1
        self._some.set()
        self._news.set()

    def keep(self) -> None:
        """Have it open from now on, if it is to be held."""
        if self.hold and self.state is State.CLOSED:
            self._begin()

    def news(self) -> None:
        """It may be back."""
        self._news.set()

    @property
    def _wanted(self) -> bool:
        return self.hold or self.users > 0

    # ---- at hubs ----

    def connect(self, hub: Hub) -> None:
        """Be a port of this hub as well."""
        if hub not in self.hubs:
            self.hubs.append(hub)
            hub.join(self, port=True)

    def disconnect(self, hub: Hub) -> None:
        if hub in self.hubs:
            self.hubs.remove(hub)
            hub.leave(self)

    @property
    def room(self) -> int:
        return self._feed.room if self._sends else BUFFER

    def take(self, messages: Sequence[bytes], source: object) -> None:
        if self._sends:
            self._feed.put(messages, source)
            self._some.set()

    def relieved(self) -> None:
        self._relief.set()

    def stall(self) -> None:
        """It has been waited for long enough."""
        if self._feed.stall():
            self._changed()
            if not self._wanted:
                self._serving.cancel()

    def _changed(self) -> None:
        for hub in self.hubs:
            hub.changed()

    # ---- its task ----

    def _begin(self) -> None:
        if self.spawn is None:
            self._answer(self._fault("the server does not run"))
            return
        self.state = State.OPENING
        self._news = trio.Event()
        self.spawn(self._serve)

    async def _serve(self) -> None:
        try:
            await self._live()
        except Exception:
            # a bug of ours, met by this port: the server and its other ports go on
            self._log.exception("midi.port.bug")
            self.state = State.CLOSED
            self._answer(self._fault("the server failed on it"))

    async def _live(self) -> None:
        cable = await self._first()
        while cable is not None:
            self.state = State.OPEN
            self._log.info("midi.port.open")
            try:
                await self._carry(cable)
                self._log.info("midi.port.close")
            except OSError as error:
                self._log.warning("midi.port.lost", reason=error.strerror or str(error))
            finally:
                self.state = State.OPENING  # from here on who wants it waits
                self._sends = False
                self._feed.end()
                with trio.move_on_after(CLOSING, shield=True):
                    await trio.to_thread.run_sync(cable.close, abandon_on_cancel=True)
            self._changed()
            cable = await self._back()
        self.state = State.CLOSED
        if self._waiting:
            self._begin()

    async def _first(self) -> Cable | None:
        """Open it; None, and who waits is told, if it cannot be."""
        try:
            cable = await trio.to_thread.run_sync(self._opener, abandon_on_cancel=True)
        except OSError as error:
            reason = error.strerror or str(error)
            self._answer(self._fault(reason))
            if not self.hold:
                return None
            self._log.warning("midi.port.refused", reason=reason)
            return await self._back()
        self._answer(None)
        return cable

    def _answer(self, fault: Fault | None) -> None:
        waiting, self._waiting = self._waiting, []
        if fault is None:
            self.users += len(waiting)
        for then in waiting:
            then(fault)

    def _fault(self, reason: str) -> Fault:
        return Fault(
            Code.ENODEV,
            f"MIDI port {self.number} ({self.text}) cannot be opened: {reason}",
            "plug it in, or name another one by audiod -q",
        )

    async def _back(self) -> Cable | None:
        """Wait until it can be opened again, as long as somebody wants it."""
        with contextlib.closing(Inotify()) as inotify:
            while self._wanted or self._waiting:
                self._watch(inotify)
                self._news = trio.Event()
                try:
                    cable = await trio.to_thread.run_sync(self._opener, abandon_on_cancel=True)
                except OSError as error:
                    self._answer(self._fault(error.strerror or str(error)))
                else:
                    self._answer(None)
                    return cable
                if self._wanted:
                    self.state = State.LOST
                    await self._something(inotify)
        return None

    def _watch(self, inotify: Inotify) -> None:
        """The folder, or the nearest above it that is there."""
        for folder in (self._folder, *self._folder.parents):
            with contextlib.suppress(OSError):
                inotify.watch(folder, _NEWS)
                return

    async def _something(self, inotify: Inotify) -> None:
        """Until there are news of either kind."""
        async with trio.open_nursery() as nursery:

            async def look() -> None:
                await trio.lowlevel.wait_readable(inotify.fileno())
                await trio.sleep(SETTLE)
                inotify.read()
                nursery.cancel_scope.cancel()

            nursery.start_soon(look)
            await self._news.wait()
            nursery.cancel_scope.cancel()

    async def _carry(self, cable: Cable) -> None:
        """Both ways, until nobody wants it and all is written.  Raises OSError when it is gone."""
        self._sends = cable.sends
        self._changed()
        lost: list[OSError] = []

        async def one(way: Callable[[Cable], Awaitable[None]]) -> None:
            try:
                await way(cable)
            except OSError as error:
                lost.append(error)
            self._serving.cancel()

        with trio.CancelScope() as self._serving:
            async with trio.open_nursery() as nursery:
                if cable.source is not None:
                    nursery.start_soon(one, self._receive)
                nursery.start_soon(one, self._send)
        if lost:
            raise lost[0]

    async def _receive(self, cable: Cable) -> None:
        parser = Parser()
        assert cable.source is not None
        while True:
            await trio.lowlevel.wait_readable(cable.source)
            data = cable.read(await self._ready())
            messages = parser.feed(data)
            for hub in tuple(self.hubs):
                self._pace.spend(len(data) * len(hub.hearing(self)))
                hub.pass_on(messages, self)

    async def _ready(self) -> int:
        """Bytes to be read now: wait for those that hear it, and for the pace of the server."""
        while True:
            self._relief = trio.Event()
            room = min(hub.room(self) for hub in self.hubs) // 2  # running status may make three of two
            if room and self._pace.ready:
                return room
            if room:
                self._pace.wait(self._relief.set)
            await self._relief.wait()

    async def _send(self, cable: Cable) -> None:
        while self._wanted or not self._feed.idle:
            piece = self._feed.take(PIECE)
            if not piece:
                self._some = trio.Event()
                if self._wanted:
                    await self._some.wait()
                continue
            while piece:
                if cable.sink is not None:
                    await trio.lowlevel.wait_writable(cable.sink)
                piece = piece[cable.write(piece) :]
            self._feed.taken()
            self._changed()
