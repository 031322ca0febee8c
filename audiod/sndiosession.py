"""One client of sndio's wire: its messages in, answers out, its one stream in between.

Owns where the connection stands (audiod_protocol.sndio.server) and its stream,
which is there from HELLO on; what is no stream is a Part of another kind from then
on.  Samples, STOP of a started stream and BYE never come here: the pump deals with
them.  This wire has no words for a refusal: whatever is refused is logged once, with
the reason, and closes the connection.  Control thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from audiod_protocol.errors import Code, Fault, FaultError, RemoteProtocolError
from audiod_protocol.negotiation import initial
from audiod_protocol.params import Mode
from audiod_protocol.sndio.messages import (
    Ack,
    Auth,
    ClientMessage,
    Getpar,
    Hello,
    ParReply,
    Setpar,
    Setvol,
    Start,
    Stop,
    WireMode,
)
from audiod_protocol.sndio.parameters import asked, told
from audiod_protocol.sndio.server import Breach, Kind, Server, breach_fault, family

from audiod import core, log, policy
from audiod.backlog import Backlog, Prepare
from audiod.board import Board
from audiod.core import STREAMS_MAX, Core
from audiod.devices import Devices
from audiod.listener import Peer
from audiod.midi.client import MidiClient
from audiod.midi.patchbay import Patchbay
from audiod.midi.thrucontrol import ThruControl
from audiod.sndiocontrol import SndioControl
from audiod.stream import ClientStream, Runs
from audiod.subdevice import SubDevice
from audiod.voice import SndioVoice

if TYPE_CHECKING:
    from audiod import engine

WIRE = "sndio"  # in rows of streams
NUMBER = 0  # of a connection's only stream
PID_MAX = 2**22  # Linux: no process has a higher number


class Owners(Protocol):
    """Whose the session of sndio's wire is (audiod.ownership)."""

    def enter(self, ident: int, peer: Peer, cookie: bytes) -> Fault | None: ...

    def leave(self, ident: int) -> None: ...


class Part(Protocol):
    """What a connection is from HELLO on, unless it is a stream."""

    def message(self, data: bytes) -> None:
        """What the client says; raises RemoteProtocolError, FaultError."""

    def sent(self) -> None:
        """Its socket has taken what was queued, which `Conn.notify_sent` had asked for."""

    def end(self) -> None:
        """The connection is closed."""


class SndioSession:
    """A connection; `streams_max` bounds the streams of this wire.

    `dismissed` hears that it is being closed, and waits for the peer to read what is left.
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
        owners: Owners,
        streams_max: int,
        dismissed: Callable[[int], None],
        prepare: Prepare,
        patchbay: Patchbay,
        board: Board,
    ) -> None:
        self.id = ident
        self.conn = conn
        self.peer = peer
        self.streams: dict[int, ClientStream] = {}  # one at most
        self.closing = False
        self.ending: Fault | None = None  # the server ends: nothing new begins
        self._wire = Server()
        self._voice = SndioVoice(conn, self._wire, self.dismiss)
        self._core = known
        self._devices = devices
        self._runs = runs
        self._owners = owners
        self._streams_max = streams_max
        self._dismissed = dismissed
        self._prepare = prepare
        self._patchbay = patchbay
        self._board = board
        self._part: Part | None = None
        self._backlog = Backlog()
        self._log = log.get(client=ident)

    @property
    def greeted(self) -> bool:
        """Whether its client has said HELLO."""
        return self._wire.hello is not None

    # ---- events of the engine ----

    def message(self, data: bytes) -> None:
        """One whole message of the client; behind a stop it waits until the engine has let go."""
        if self.closing or self._backlog.keeps(data, self.refuse):
            return
        try:
            if self._part is not None:
                self._part.message(data)
                return
            for stream in self.streams.values():
                if stream.must_wait("a message behind STOP", lambda: self.message(data)):
                    return
            self._act(self._wire.decode(data))
        except RemoteProtocolError as error:
            self.refuse(error.fault)
        except FaultError as error:
            self._turn_away(error.fault)

    def sent(self) -> None:
        """What was queued is in its socket."""
        if self._part is not None and not self.closing:
            self._part.sent()

    def refuse(self, fault: Fault) -> None:
        """The client broke the protocol: close."""
        self._end("client.breach", fault)

    def breach(self, why: str, number: int) -> None:
        """The pump has met DATA that may not be there."""
        kind = self._wire.kind
        if kind is Kind.CONTROL:
            self.refuse(Fault(Code.EPROTO, f"DATA on a connection for {kind}", "open another one for sound"))
        else:
            self.refuse(breach_fault(Breach[why]))

    def dismiss(self, fault: Fault) -> None:
        """Close the connection after what is queued was sent; `fault` is nobody's to read."""
        if self.closing:
            return
        self.closing = True
        self.conn.close(flush=True)
        self._dismissed(self.id)

    def lost(self) -> None:
        """The connection is closed: the pump releases its stream if it is started."""
        self.closing = True
        for stream in self.streams.values():
            stream.lose()
        self.streams.clear()
        if self._part is not None:
            self._part.end()
        self._owners.leave(self.id)
        self.conn.free()

    # ---- messages ----

    def _act(self, event: ClientMessage) -> None:
        match event:
            case Auth(cookie):
                fault = self._owners.enter(self.id, self.peer, cookie)
                if fault is not None:
                    raise FaultError(fault)
            case Hello():
                self._hello(event)
            case Setpar(par):
                try:
                    self._stream.setpar(asked(par))
                except FaultError as error:
                    raise RemoteProtocolError(f"SETPAR: {error.fault.message}", error.fault.hint) from None
            case Getpar():
                stream = self._stream
                self.conn.send(self._wire.send(ParReply(told(stream.getpar(), stream.row.mode))))
            case Start(xrunnotify):
                if self.ending is not None:
                    raise FaultError(self.ending)
                self._voice.tells_xruns = xrunnotify
                self._stream.start(None)
            case Stop(drain):
                self._stream.stop(None, drain=drain is not False)
            case Setvol(vol):
                self._voice.heard = vol
                self._stream.setvol(vol)
            case _:
                raise AssertionError(f"{event} is the pump's, or refused")

    def _hello(self, hello: Hello) -> None:
        """Open what it asks for, by its kind; ACK."""
        if self.ending is not None:
            raise FaultError(self.ending)
        kind = self._wire.kind
        if kind is Kind.MIDI:
            self._open_midi(hello)
            return
        if kind is Kind.CONTROL:
            self._open_control(hello)
            return
        sub = policy.addressed(hello.devnum, hello.opt, self._core.subdevices)

        def then(fault: Fault | None) -> None:
            self._backlog.waits = False
            if self.closing:
                return
            try:
                if fault is not None:
                    raise FaultError(fault)
                self._open(hello, self._core.subdevices[sub.name])
            except FaultError as error:
                self._turn_away(error.fault)
            self._backlog.go_on(self.message)

        self._backlog.waits = True
        self._prepare(sub, then)

    def _open(self, hello: Hello, sub: SubDevice) -> None:
        if self._core.carried[WIRE] >= self._streams_max or len(self._core.streams) >= STREAMS_MAX:
            raise FaultError(
                Fault(
                    Code.EMFILE,
                    f"there are {self._core.carried[WIRE]} streams on sndio's wire, "
                    f"{len(self._core.streams)} in all",
                    "close some of them, or allow more by [sndio] streams",
                )
            )
        mode = Mode(hello.mode & (WireMode.PLAY | WireMode.REC))
        self._devices.hold(sub.device)
        self.conn.send(self._wire.send(Ack()))  # the client goes on while the rest is written down
        name = hello.who or policy.program("")
        row = core.Stream(
            id=self._core.next_id(),
            number=NUMBER,
            sub=sub,
            mode=mode,
            par=initial(self._devices.clock(sub.device), mode, sub.play_channels, sub.recorded(mode)),
            name=name,
            pid=self.peer.pid or (hello.id if hello.id <= PID_MAX else 0),
            uid=self.peer.uid,
            program=self._core.controls.programs.get(sub.name, policy.program(name)),
            wire=WIRE,
        )
        self.streams[NUMBER] = ClientStream(
            row,
            self.conn,
            self._voice,
            devices=self._devices,
            known=self._core,
            runs=self._runs,
            removed=lambda stream: None,  # it goes with the connection
            unread=self.conn.unread,
        )
        self._core.add(row)
        self._log.info(
            "stream.open",
            stream=row.id,
            name=name,
            pid=row.pid,
            uid=row.uid,
            subdevice=sub.name,
            mode=str(mode),
            wire=WIRE,
        )

    def _open_midi(self, hello: Hello) -> None:
        def then(opened: MidiClient | Fault) -> None:
            self._backlog.waits = False
            if isinstance(opened, Fault):
                self._turn_away(opened)
                return
            self._part = opened
            self._log.info("midi.open", hub=opened.hub.name, name=hello.who, **self.peer.facts)
            self._backlog.go_on(self.message)

        self._backlog.waits = True
        try:
            self._patchbay.open(
                self.id,
                self.conn,
                self._wire,
                self._core.subdevices,
                bye=self._bye,
                gone=lambda: self.closing,
                then=then,
            )
        except FaultError:
            self._backlog.waits = False
            raise

    def _open_control(self, hello: Hello) -> None:
        """Controls of a sub-device, whose device need not be open for that, or of a thru box."""
        if family(hello.devnum):
            box = self._patchbay.box(hello.devnum & 15)
            self._part = ThruControl(self.conn, self._wire, box)
            self._log.info("control.open", hub=box.hub.name, name=hello.who, **self.peer.facts)
            return
        sub = policy.addressed(hello.devnum, hello.opt, self._core.subdevices)
        self.conn.send(self._wire.send(Ack()))
        self._part = SndioControl(
            self.id,
            self.conn,
            self._wire,
            sub.name,
            known=self._core,
            board=self._board,
            prepare=self._prepare,
            refuse=self.refuse,
            turn_away=self._turn_away,
        )
        self._log.info("control.open", subdevice=sub.name, name=hello.who, **self.peer.facts)

    def _bye(self) -> None:
        self.closing = True
        self.conn.close(flush=False)

    @property
    def _stream(self) -> ClientStream:
        return self.streams[NUMBER]

    # ---- the end ----

    def _turn_away(self, fault: Fault) -> None:
        """What it asks for is not to be had: close."""
        self._end("client.refused", fault)

    def _end(self, event: str, fault: Fault) -> None:
        if self.closing:
            return  # it was told before, or nobody is there
        hello = self._wire.hello
        name = None if hello is None else hello.who
        self._log.warning(event, **self.peer.facts, name=name, reason=fault.message, hint=fault.hint)
        self.dismiss(fault)
