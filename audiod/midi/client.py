"""MidiClient: a program of sndio's wire at a hub.

Owns what the program may send (its credit), what waits to be sent to it, and its
Parser.  Invariants: it is granted no more than what its hearers have room for and
the server's pace allows; of what is sent to it one piece is under way, the rest
waits in its outbox, so that one that does not read costs a fixed amount of memory.
One that has not read for STALL seconds no longer holds up those that it hears:
what it does not take is dropped.  Control thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from audiod_protocol.connection import NeedData
from audiod_protocol.sndio.messages import DATAMAX, Ack, Bye, Data, Flowctl, WireMode
from audiod_protocol.sndio.server import Samples, Server

from audiod import log
from audiod.linger import Linger
from audiod.midi.hub import Hub
from audiod.midi.messages import Parser
from audiod.midi.outbox import BUFFER, Outbox
from audiod.midi.pace import MESSAGE, Pace

if TYPE_CHECKING:
    from audiod import engine

CREDIT = BUFFER // 2  # bytes: sndiod's.  With running status two bytes may become three
LOW = BUFFER // 4  # bytes of credit that are topped up
STALL = 2.0  # seconds: twice what the slowest port takes for all that an end keeps


class MidiClient:
    """One connection that has said HELLO to `hub`; `bye` closes it, `gone` hears that it is closed.

    `stalls` waits for those that do not read, by their ident.
    """

    def __init__(
        self,
        ident: int,
        conn: engine.Conn,
        wire: Server,
        hub: Hub,
        *,
        pace: Pace,
        stalls: Linger,
        bye: Callable[[], None],
        gone: Callable[[int], None],
    ) -> None:
        assert wire.hello is not None
        self.id = ident
        self.hub = hub
        self._conn = conn
        self._wire = wire
        self._sends = bool(wire.hello.mode & WireMode.MIDIOUT)
        self._hears = bool(wire.hello.mode & WireMode.MIDIIN)
        self._pace = pace
        self._stalls = stalls
        self._bye = bye
        self._gone = gone
        self._parser = Parser()
        self._outbox = Outbox()
        self._credit = 0  # bytes that it may send
        self._in_line = False  # waits for the server's pace
        self._under_way = False  # something is in the pump, and not in its socket
        self._waited: int | None = None  # ... and waited for, since it had taken so many pieces
        self._taken = 0  # pieces
        self._stalled = False  # it was waited for in vain
        self._log = log.get(client=ident)

    def begin(self) -> None:
        """ACK, and the first credit."""
        self._conn.relay()
        self._conn.send(self._wire.send(Ack()))
        self._grant(CREDIT)
        self.hub.join(self)

    def end(self) -> None:
        self._gone(self.id)
        self.hub.leave(self)
        self._sends = self._hears = False
        if self._outbox.dropped:
            self._log.info("midi.dropped", hub=self.hub.name, messages=self._outbox.dropped)
        self._outbox.clear()

    # ---- in ----

    def message(self, data: bytes) -> None:
        """Bytes of the wire as they come.  Raises RemoteProtocolError."""
        self._wire.receive_data(data)
        while True:
            match self._wire.next_event():
                case Samples(midi):
                    self._credit -= len(midi)
                    self._pace.spend(len(midi) * max(1, len(self.hub.hearing(self))))
                    self.hub.pass_on(self._parser.feed(midi), self)
                case Data():
                    self._pace.spend(MESSAGE)
                case Bye():
                    self._bye()
                    return
                case NeedData.NEED_DATA:
                    break
        self.relieved()

    def relieved(self) -> None:
        """Top up its credit, if its hearers have room."""
        if not self._sends or self._in_line or self._credit >= LOW:
            return
        more = min(CREDIT, self.hub.room(self) // 2) - self._credit
        if more <= 0:
            return
        if self._pace.ready:
            self._grant(more)
        else:
            self._in_line = True
            self._pace.wait(self._go_on)

    def _go_on(self) -> None:
        self._in_line = False
        self.relieved()

    def _grant(self, more: int) -> None:
        self._credit += more
        self._conn.send(self._wire.send(Flowctl(more)))

    # ---- out ----

    @property
    def room(self) -> int:
        return self._outbox.room if self._hears and not self._stalled else BUFFER

    def take(self, messages: Sequence[bytes], source: object) -> None:
        if not self._hears:
            return
        if self._stalled:
            self._outbox.dropped += len(messages)
            return
        self._outbox.put(messages, source)
        self._flush()
        if self._outbox.used and self._waited is None:
            self._wait()

    def sent(self) -> None:
        """What was under way is in its socket."""
        self._under_way = self._stalled = False
        self._taken += 1
        if self._outbox.used:
            self._flush()
            self.hub.changed()

    def _wait(self) -> None:
        self._waited = self._taken
        self._stalls.begin(self.id)

    def stall(self) -> None:
        """Its time is over: go on without it, if it has not read since."""
        before, self._waited = self._waited, None
        if not self._outbox.used:
            return
        if self._taken != before:
            self._wait()
            return
        self._stalled = True
        self._outbox.clear()
        self._log.warning(
            "midi.slow", hub=self.hub.name, reason="it does not read: what is sent to it is dropped"
        )
        self.hub.changed()

    def _flush(self) -> None:
        if self._under_way:
            return
        data = self._outbox.take(DATAMAX)
        if data:
            self._under_way = True
            self._conn.send(self._wire.send(Data(len(data))) + data)
            self._conn.notify_sent()
