"""One native client: its messages in, answers out, its streams in between.

Owns the streams of one connection and whether hello was said.  Samples never
come here: the pump moves them.  Every request gets exactly one answer, from here
or, for the stop and flush of a started stream, from the pump.  Control thread.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from audiod_protocol import validate
from audiod_protocol.connection import Connection, Role
from audiod_protocol.errors import Breach, Code, Fault, FaultError, RemoteProtocolError, breach_fault
from audiod_protocol.events import BadRequest, Notification, Request
from audiod_protocol.framing import pack_error, pack_notification, pack_response
from audiod_protocol.limits import NSTREAMS, PROTOCOL_VERSION
from audiod_protocol.negotiation import initial
from audiod_protocol.params import Mode
from audiod_protocol.states import State, refused

from audiod import core, log, policy
from audiod.backlog import Backlog, Prepare
from audiod.core import STREAMS_MAX, Core, Row
from audiod.devices import Devices
from audiod.listener import Peer
from audiod.readings import Readings
from audiod.requests import STREAM_METHODS
from audiod.sndstat.opens import Opens
from audiod.stream import ClientStream, Runs
from audiod.subdevice import SubDevice
from audiod.voice import NativeVoice

if TYPE_CHECKING:
    from audiod import engine

FEATURES: frozenset[str] = frozenset()  # what a client may ask for beyond version 1
UNKNOWN_LOGGED_MAX = 16  # names of unknown notifications logged per connection


class Answers(Protocol):
    """Requests about the server as a whole; each returns a result or raises FaultError."""

    hello: Row

    def answer(self, method: str, args: Any, uid: int | None) -> Row: ...


class Session:
    """A connection; `answers` is asked what does not concern one of its streams.

    `dismissed` hears that its last words are out, and it waits for the peer to read them.
    """

    def __init__(
        self,
        ident: int,
        conn: engine.Conn,
        peer: Peer,
        *,
        known: Core,
        devices: Devices,
        runs: Runs,
        answers: Answers,
        dismissed: Callable[[int], None],
        prepare: Prepare,
        rescan: Callable[[Callable[[], None]], None],
        opens: Opens,
    ) -> None:
        self.id = ident
        self.conn = conn
        self.peer = peer
        self.client: str | None = None
        self.streams: dict[int, ClientStream] = {}
        self.closing = False
        self.ending: Fault | None = None  # the server ends: nothing new begins
        self._pid = peer.pid or 0
        self._freed: list[int] = []  # a heap: open gives the lowest number
        self._wire = Connection(Role.SERVER)
        self._core = known
        self._devices = devices
        self._runs = runs
        self._answers = answers
        self._dismissed = dismissed
        self._prepare = prepare
        self._rescan = rescan
        self._rescanning = False
        self._backlog = Backlog()
        self._unknown: set[str] = set()
        self._events: set[str] = set()  # what its streams' channels tell of
        self._readings = Readings(known)
        self._log = log.get(client=ident)
        self._sndstat = opens.desk(self._log)

    @property
    def greeted(self) -> bool:
        """Whether its client has said hello."""
        return self.client is not None

    # ---- events of the engine ----

    def message(self, data: bytes) -> None:
        """One whole message of the client."""
        if self.closing or self._backlog.keeps(data, self.refuse):
            return
        try:
            event = self._wire.decode(data)
        except RemoteProtocolError as error:
            self.refuse(error.fault)
            return
        if isinstance(event, Request):
            self._request(event)
        elif isinstance(event, BadRequest):
            self.conn.send(pack_error(event.id, event.fault))
        elif isinstance(event, Notification):
            self._notification(event)

    def refuse(self, fault: Fault) -> None:
        """The client broke the protocol: tell it, then close."""
        self._log.warning("client.breach", **self.peer.facts, reason=fault.message)
        self.dismiss(fault)

    def breach(self, why: str, number: int) -> None:
        """The pump has met a breach of the protocol, in a message of stream `number` if that is not -1."""
        self.refuse(breach_fault(Breach[why], number if number >= 0 else None))

    def dismiss(self, fault: Fault) -> None:
        """Tell the client why, then close the connection after what is queued was sent."""
        self.conn.send(pack_notification("error", [fault.to_wire()]))
        self.closing = True
        self._core.subscribe(self._changed, ())
        self.conn.close(flush=True)
        self._dismissed(self.id)

    def lost(self) -> None:
        """The connection is closed: the pump releases its started streams."""
        self.closing = True
        self._core.subscribe(self._changed, ())
        for stream in list(self.streams.values()):
            stream.lose()
        self.streams.clear()
        self._sndstat.close()
        self.conn.free()

    # ---- messages ----

    def _request(self, request: Request) -> None:
        try:
            result = self._result(request)
        except FaultError as error:
            self.conn.send(pack_error(request.id, error.fault))
        else:
            if result is not None:
                self.conn.send(pack_response(request.id, result))

    def _result(self, request: Request) -> Row | None:
        """The answer of a request; None: it comes later."""
        if self.client is None and request.method != "hello" and request.method in validate.METHODS:
            raise FaultError(
                Fault(
                    Code.EPROTO,
                    f"{request.method} before hello",
                    "say hello first, with your version and name",
                )
            )
        args: Any = validate.validate(request.method, request.args)
        if self.ending is not None and request.method in ("open", "start", "prepare", "config.reload"):
            raise FaultError(self.ending)
        if isinstance(args, validate.HelloArgs):
            return self._hello(args)
        if isinstance(args, validate.OpenArgs):
            sub = policy.resolve(args.device, self._core.subdevices)
            self._when_open(request, sub, lambda: self._open(args))
            return None
        if isinstance(args, validate.MoveArgs):
            sub = policy.resolve(args.device, self._core.subdevices)
            self._when_open(request, sub, lambda: self._answer(request, args))
            return None
        if isinstance(args, validate.ControlSetArgs) and args.name == "server.device":
            known = self._core.subdevices.get(str(args.value))
            if known is not None:
                self._when_open(request, known, lambda: self._answer(request, args))
                return None
        if isinstance(args, validate.SubscribeArgs):
            self._core.subscribe(self._changed, args.topics)
            self._events.clear()
            self._events.update(args.events)
            return {"topics": sorted(set(args.topics)), "events": sorted(self._events)}
        if isinstance(args, validate.StatusArgs) and (args.stream is not None or args.id is not None):
            return self._readings.read(args, self.streams)
        if isinstance(args, validate.DevicesRescanArgs):
            self._look_for_cards(request)
            return None
        if isinstance(args, validate.SndstatOpenArgs | validate.SndstatArgs):
            return self._sndstat.answer(request.method, args)
        if isinstance(args, validate.StreamArgs):
            return self._of_stream(request, args)
        return self._answer(request, args)

    def _answer(self, request: Request, args: Any) -> Row:
        return self._answers.answer(request.method, args, self.peer.uid)

    def _look_for_cards(self, request: Request) -> None:
        """Look again, and answer when all cards have been asked."""
        if self._rescanning:
            raise FaultError(
                Fault(Code.EBUSY, "this connection waits for a look already", "wait for its answer")
            )

        def then() -> None:
            self._rescanning = False
            if not self.closing:
                self.conn.send(pack_response(request.id, {"version": PROTOCOL_VERSION}))

        self._rescanning = True
        self._rescan(then)

    def _when_open(self, request: Request, sub: SubDevice, act: Callable[[], Row | None]) -> None:
        """Act and answer once the device of a sub-device is open; what the client sends then waits."""

        def then(fault: Fault | None) -> None:
            self._backlog.waits = False
            if self.closing:
                return
            try:
                if fault is not None:
                    raise FaultError(fault)
                result = act()
                if result is not None:
                    self.conn.send(pack_response(request.id, result))
            except FaultError as error:
                self.conn.send(pack_error(request.id, error.fault))
            self._backlog.go_on(self.message)

        self._backlog.waits = True
        self._prepare(sub, then)

    def _notification(self, note: Notification) -> None:
        if note.method == "write":
            # the pump takes those of started streams: this one was sent to none
            self.refuse(
                Fault(
                    Code.EPROTO,
                    "write to a stream that is not started",
                    "start it, then write within its credit",
                )
            )
            return
        if note.method not in self._unknown and len(self._unknown) < UNKNOWN_LOGGED_MAX:
            self._unknown.add(note.method)
            self._log.info("client.unknown_notification", method=note.method[:64])

    # ---- methods ----

    def _hello(self, args: validate.HelloArgs) -> Row:
        if self.client is not None:
            raise FaultError(Fault(Code.EPROTO, "hello was said already", "say it once, at the beginning"))
        self.client = args.client
        self._pid = self.peer.pid or args.pid or 0
        self._log.info("client.hello", name=args.client, pid=self._pid, uid=self.peer.uid)
        both = sorted(FEATURES.intersection(args.features))
        return {"version": PROTOCOL_VERSION, "features": both, **self._answers.hello}

    def _open(self, args: validate.OpenArgs) -> Row:
        if args.transport != "inline":
            raise FaultError(
                Fault(Code.ENOTSUP, f"transport {args.transport} is not there yet", 'use transport "inline"')
            )
        sub = policy.resolve(args.device, self._core.subdevices)  # where it is by now
        mode = Mode.parse(args.mode)
        if args.type is not None:
            self._core.conductor.check(args.type)
        if len(self.streams) == NSTREAMS:
            raise FaultError(
                Fault(Code.EMFILE, f"this connection has {NSTREAMS} streams", "close some of them")
            )
        if len(self._core.streams) >= STREAMS_MAX:
            raise FaultError(
                Fault(Code.EMFILE, f"the server has {STREAMS_MAX} streams", "close some of them")
            )
        self._devices.hold(sub.device)
        name = args.name or self.client or ""
        # the numbers in use and the freed ones are together 0..n-1
        number = heapq.heappop(self._freed) if self._freed else len(self.streams)
        row = core.Stream(
            id=self._core.next_id(),
            number=number,
            sub=sub,
            mode=mode,
            par=initial(self._devices.clock(sub.device), mode, sub.play_channels, sub.recorded(mode)),
            name=name,
            pid=self._pid,
            uid=self.peer.uid,
            program=self._core.controls.programs.get(sub.name, policy.program(name)),
            type=args.type,
            link=args.link,
            pinned=args.pinned,
        )
        self.streams[number] = ClientStream(
            row,
            self.conn,
            NativeVoice(self.conn, number, self._events),
            devices=self._devices,
            known=self._core,
            runs=self._runs,
            removed=self._removed,
            unread=lambda: self.conn.unread() // max(1, len(self.streams)),  # each about the same
        )
        self._core.add(row)
        self._log.info(
            "stream.open",
            stream=row.id,
            name=name,
            pid=self._pid,
            uid=row.uid,
            subdevice=sub.name,
            mode=str(mode),
        )
        return {"stream": number, "device": sub.device, "subdevice": sub.name, "mode": str(mode)}

    def _of_stream(self, request: Request, args: Any) -> Row | None:
        number: int = args.stream
        stream = self.streams.get(number)
        if stream is None:
            raise refused(State.CLOSED, request.method, number)
        if isinstance(args, validate.SetparArgs) and args.type is not None:
            self._core.conductor.check(args.type)
        if stream.must_wait(request.method, lambda: self._request(request)):
            return None
        act = partial(STREAM_METHODS[request.method], stream, request, args)
        if request.method == "prepare" and stream.seat.on.handle is None:  # its device has failed
            self._when_open(request, stream.row.sub, act)
            return None
        return act()

    def _changed(self, topic: str, row: Row) -> None:
        """Tell of a change; a client that does not read is closed by the pump, never waited for."""
        self.conn.send(pack_notification("changed", [topic, row]))

    def _removed(self, stream: ClientStream) -> None:
        del self.streams[stream.number]
        heapq.heappush(self._freed, stream.number)
