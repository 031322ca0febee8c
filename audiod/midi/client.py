"""MidiClient: a program of sndio's wire at a hub.

Owns what the program may send (its credit), its Parser, and the Feed of what is sent
to it.  Invariant: it is granted no more than what its hearers have room for and the
server's pace allows.  Control thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from audiod_protocol.connection import NeedData
from audiod_protocol.errors import RemoteProtocolError
from audiod_protocol.sndio.messages import DATAMAX, Ack, Bye, Data, Flowctl, WireMode
from audiod_protocol.sndio.server import Samples, Server

from audiod.midi.feed import Feed
from audiod.midi.hub import Hub
from audiod.midi.messages import Parser
from audiod.midi.outbox import BUFFER
from audiod.midi.pace import MESSAGE, Pace

if TYPE_CHECKING:
    from audiod import engine

CREDIT = BUFFER // 2  # bytes: sndiod's.  With running status two bytes may become three
LOW = BUFFER // 4  # bytes of credit that are topped up


class MidiClient:
    """One connection that has said HELLO to `hub`; `bye` closes it, `gone` hears that it is closed."""

    def __init__(
        self,
        conn: engine.Conn,
        wire: Server,
        hub: Hub,
        feed: Feed,
        *,
        pace: Pace,
        bye: Callable[[], None],
        gone: Callable[[], None],
    ) -> None:
        assert wire.hello is not None
        self.hub = hub
        self._conn = conn
        self._wire = wire
        self._sends = bool(wire.hello.mode & WireMode.MIDIOUT)
        self._hears = bool(wire.hello.mode & WireMode.MIDIIN)
        self._pace = pace
        self._feed = feed
        self._bye = bye
        self._gone = gone
        self._parser = Parser()
        self._credit = 0  # bytes that it may send
        self._in_line = False  # waits for the server's pace

    def begin(self) -> None:
        """ACK, and the first credit."""
        self._conn.relay()
        self._conn.send(self._wire.send(Ack()))
        self._grant(CREDIT)
        self.hub.join(self)

    def leave(self) -> None:
        """Nothing more is taken from it, nor sent to it."""
        self._sends = self._hears = False
        self.hub.leave(self)

    def end(self) -> None:
        """The connection is closed."""
        self.leave()
        self._feed.end()
        self._gone()

    # ---- in ----

    def message(self, data: bytes) -> None:
        """Bytes of the wire as they come.  Raises RemoteProtocolError."""
        try:
            self._read(data)
        except RemoteProtocolError:
            self.leave()
            raise
        self.relieved()

    def _read(self, data: bytes) -> None:
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
                    self.leave()
                    self._bye()
                    return
                case NeedData.NEED_DATA:
                    return

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
        return self._feed.room if self._hears else BUFFER

    def take(self, messages: Sequence[bytes], source: object) -> None:
        if self._hears:
            self._feed.put(messages, source)
            self._flush()

    def sent(self) -> None:
        """What was under way is in its socket."""
        more = self._feed.taken()
        self._flush()
        if more:
            self.hub.changed()

    def stall(self) -> None:
        """It has been waited for long enough."""
        if self._feed.stall():
            self.hub.changed()

    def _flush(self) -> None:
        piece = self._feed.take(DATAMAX)
        if piece:
            self._conn.send(self._wire.send(Data(len(piece))) + piece)
            self._conn.notify_sent()
