"""Voice: what happens to a stream, in the words of its client's wire.

A stream (`stream.py`) knows when something is to be said, its voice how.
Invariant: nothing here decides or remembers anything of the stream, but what the
client already knows.  Control thread.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from audiod_protocol.errors import Fault
from audiod_protocol.framing import pack_error, pack_notification, pack_response
from audiod_protocol.limits import VOL_MAX
from audiod_protocol.params import Par
from audiod_protocol.sndio.messages import Setvol, Stop, encode
from audiod_protocol.sndio.server import Server

from audiod.engine import StreamFlag, StreamPar

if TYPE_CHECKING:
    from audiod import engine


class Voice(Protocol):
    """One stream's.

    `stop_answer`: what the pump sends once a stop that it had not taken itself is
    done; empty: `accepted` or `refused` is sent then.  `keeps_par`: what getpar
    has told holds until it is asked again, wherever the stream moves.
    """

    stop_answer: bytes
    keeps_par: bool

    def accepted(self, request: int | None) -> bytes:
        """The answer to a request that has been done."""

    def refused(self, request: int, fault: Fault) -> bytes:
        """The answer to one that came to nothing."""

    def fitted(self, told: StreamPar, par: Par) -> StreamPar:
        """What the engine is told of the stream, with what this wire needs."""

    def begun(self, level: int) -> None:
        """It has been started; its program's volume is `level`."""

    def rested(self) -> None:
        """It has stopped, which the client knows."""

    def level(self, level: int) -> None:
        """Somebody else has set the volume of a started stream's program."""

    def died(self, fault: Fault) -> None:
        """The server has ended it."""

    def answer(self, request: int, fault: Fault | None) -> None:
        """Answer a request that had to wait."""

    def hears(self, event: str) -> bool:
        """Whether its client has asked for this of its channel."""

    def status(self, event: str, detail: dict[str, object]) -> None:
        """Something happened to its channel."""

    def halted(self, state: str, detail: dict[str, object]) -> None:
        """The server has stopped it; it can be prepared again."""


class NativeVoice:
    """A stream of the native protocol, one of a connection's; `events` are what it hears of its channel."""

    stop_answer = b""
    keeps_par = False

    def __init__(self, conn: engine.Conn, number: int, events: Set[str] = frozenset()) -> None:
        self._conn = conn
        self._number = number
        self._events = events

    def accepted(self, request: int | None) -> bytes:
        assert request is not None
        return pack_response(request, {"stream": self._number})

    def refused(self, request: int, fault: Fault) -> bytes:
        return pack_error(request, fault)

    def fitted(self, told: StreamPar, par: Par) -> StreamPar:
        return told

    def begun(self, level: int) -> None:
        if level != VOL_MAX:
            self._conn.send(pack_notification("onvol", [self._number, level]))

    def rested(self) -> None:
        """The answer to its stop has said so."""

    def level(self, level: int) -> None:
        self._conn.tell(self._number, pack_notification("onvol", [self._number, level]))

    def died(self, fault: Fault) -> None:
        self._conn.send(pack_notification("onstate", [self._number, "closed", fault.to_wire()]))

    def answer(self, request: int, fault: Fault | None) -> None:
        self._conn.send(self.accepted(request) if fault is None else self.refused(request, fault))

    def hears(self, event: str) -> bool:
        return event in self._events

    def status(self, event: str, detail: dict[str, object]) -> None:
        if event in self._events:
            self._conn.send(pack_notification("onstatus", [self._number, event, detail]))

    def halted(self, state: str, detail: dict[str, object]) -> None:
        self._conn.send(pack_notification("onstate", [self._number, state, detail]))


class SndioVoice:
    """The one stream of a connection of sndio's wire, whose requests have neither numbers nor answers.

    `heard` is the volume that the client knows: the last that either side has sent,
    None where it cannot be told whether that arrived.  `end` closes the connection.
    """

    stop_answer = encode(Stop())
    keeps_par = True

    def __init__(self, conn: engine.Conn, wire: Server, end: Callable[[Fault], None]) -> None:
        self.heard: int | None = VOL_MAX
        self.tells_xruns = False
        self._conn = conn
        self._wire = wire
        self._end = end

    def accepted(self, request: int | None) -> bytes:
        return b""

    def refused(self, request: int, fault: Fault) -> bytes:
        return b""

    def fitted(self, told: StreamPar, par: Par) -> StreamPar:
        flags = told.flags | StreamFlag.TELLXRUN if self.tells_xruns else told.flags
        return replace(told, round=par.round or 0, flags=flags)

    def begun(self, level: int) -> None:
        if level != self.heard:
            self.level(level)

    def rested(self) -> None:
        self._wire.stopped()

    def level(self, level: int) -> None:
        self.heard = None  # the pump drops it if the stream has been stopped meanwhile
        self._conn.tell(0, encode(Setvol(level)))

    def died(self, fault: Fault) -> None:
        self._end(fault)

    def answer(self, request: int, fault: Fault | None) -> None:
        """No request waits."""

    def hears(self, event: str) -> bool:
        return False

    def status(self, event: str, detail: dict[str, object]) -> None:
        """This wire has no word for it."""

    def halted(self, state: str, detail: dict[str, object]) -> None:
        raise AssertionError("only what was prepared is stopped without being ended")
