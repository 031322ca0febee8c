"""One stream of one client: from `open` to the answer to `close`, on either wire.

Owns its state (audiod_protocol.states), the engine's stream while it is started
and the messages that wait until the engine has let go of the last one; what is
said to the client is its voice's.  The pump answers stop and flush of a started
stream by itself; we hear of it as StreamStopped, then StreamReleased.  Either may come first: they travel on
different rings.  Hence each start has a new id in the engine, and a release is a
stop too.  Control thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from audiod_protocol.channel import Deed, Place
from audiod_protocol.errors import Code, Fault, FaultError
from audiod_protocol.negotiation import resolve
from audiod_protocol.params import Par
from audiod_protocol.states import Act, State, advance, refused
from audiod_protocol.validate import SetparArgs

from audiod import core, fragments, log, trouble
from audiod.channel import Channel
from audiod.core import Core
from audiod.devices import Devices
from audiod.engine import EndReason, EngineError, StreamPar
from audiod.seat import Seat
from audiod.streampar import in_step, measured, prepared, stream_par
from audiod.subdevice import SubDevice
from audiod.voice import Voice

if TYPE_CHECKING:
    from audiod import engine

NOTHING = Par()  # asked for
WAITING_MAX = 64  # messages that wait for one stream's release; a client that waits for answers has one


class Runs(Protocol):
    """Who knows which stream an id of the engine belongs to."""

    def begin(self, stream: ClientStream) -> int: ...

    def end(self, run: int) -> None: ...


class ClientStream:
    """A stream; `row` is what other clients see of it.

    `removed` hears that it is closed, before the client does; `unread` tells how many of its bytes wait in
    its socket.
    """

    def __init__(
        self,
        row: core.Stream,
        conn: engine.Conn,
        voice: Voice,
        *,
        devices: Devices,
        known: Core,
        runs: Runs,
        removed: Callable[[ClientStream], None],
        unread: Callable[[], int],
    ) -> None:
        self.row = row
        self.conn = conn
        self._voice = voice
        self.state = State.READY
        self.fault: Fault | None = None
        self.closing: int | None = None  # id of the request that `close` answers
        self.shutting: Fault | None = None  # the server ends, this is the reason
        self._stopping: list[int] = []  # ids of stops that we answer, once it has stopped
        self._devices = devices
        self._core = known
        self._runs = runs
        self._removed = removed
        self._unread = unread
        self._run: engine.Stream | None = None
        self._plays = False
        self._forced = False  # its volume in this run was set by others than its client, too
        self._gone = False  # its connection is
        self._waiting: deque[Callable[[], None]] = deque()
        self._going_on = False  # with what has waited
        self._log = log.get(stream=row.id)
        row.channel = self.channel = Channel(row, voice, known, self._tell)
        row.measure = self._measure
        row.apply = self._apply
        row.move = self.move
        row.par = in_step(row.par, row.sub)
        row.moves = lambda: self.seat.moving
        row.lost = lambda: self.seat.held and not self.seat.on.current
        group = 0 if row.link is None else known.join_link(row.uid, row.link)
        self.seat = Seat(devices, row.sub.device, group)
        self.channel.news()

    @property
    def number(self) -> int:
        return self.row.number

    @property
    def run(self) -> int | None:
        """The engine's id of the started stream."""
        return None if self._run is None else self._run.id

    @property
    def handle(self) -> engine.Stream:
        """The engine's stream of one that is started."""
        assert self._run is not None
        return self._run

    @property
    def started(self) -> bool:
        """Whether it plays, records or drains: neither ready nor let go of."""
        return self.state in (State.PRIMING, State.RUNNING, State.DRAINING)

    @property
    def releasing(self) -> bool:
        """Stopped, the answer is out, but the engine has not let go of it yet."""
        return self._run is not None and self.state is State.READY

    # ---- requests; each raises FaultError when out of place ----

    def must_wait(self, what: str, act: Callable[[], None]) -> bool:
        """Keep a message that needs the engine to have let go; whether it was kept, and `act` comes later."""
        behind = self._waiting and not self._going_on
        if not self.releasing and not behind and not self._gives_way(what):
            return False
        if len(self._waiting) >= WAITING_MAX:
            raise FaultError(
                Fault(Code.EBUSY, f"{what}: more than {WAITING_MAX} requests wait", "wait for answers")
            )
        (self._waiting.appendleft if self._going_on else self._waiting.append)(act)
        return True

    def _gives_way(self, what: str) -> bool:
        """Whether what is queued is discarded for new parameters, or to be prepared again."""
        if self.state not in (State.PRIMING, State.RUNNING) or not self.channel.discards_first(what):
            return False
        self.stop(None, drain=False)
        return True

    def setpar(self, asked: Par, more: SetparArgs | None = None) -> Par:
        """Apply parameters: sndio's, and with `more` those of its channel."""
        self._allow(Act.SETPAR)
        row, chan = self.row, self.channel.par
        if more is not None:
            chan = chan.asked(more)
            if more.type is not None:
                self.channel.set_type(more.type)
        self._fit(asked)
        if more is not None and more.frags_max is not None and asked.appbufsz is None:
            self._fit(Par(appbufsz=fragments.wanted_buffer(row.par, row.mode, chan, more.frags_max)))
        self.channel.par = chan
        self.channel.fitted()
        self._core.stream_changed(row)
        return row.par

    def getpar(self) -> Par:
        self._allow(Act.GETPAR)
        if self._voice.keeps_par:
            self._fit()
        return self.row.par

    def getcap(self) -> None:
        self._allow(Act.GETCAP)

    def setvol(self, vol: int) -> None:
        """The client's own."""
        self._allow(Act.SETVOL)
        program = self.row.program
        if program.level == vol:
            self._apply(True, True)  # the pump has set it, though others had set it before
        self._core.controls.set_level(program, vol, by=self.row)

    def _apply(self, level: bool, own: bool) -> None:
        """The volume of its program is another; the client is told of a level that others have set.

        What plays is fed by the pump, which has applied the client's own already, in the order of its
        messages.  Once others had a say, too, the last that we take is what holds.
        """
        program = self.row.program
        self._forced |= not own
        if self._run is not None and (self._forced or not self._plays):
            self._run.setvol(program.level)
        if self._run is not None:
            self._run.setmute(program.muted)
        if level and not own:
            self._tell_level()

    def _tell_level(self) -> None:
        if self.started:
            self._voice.level(self.row.program.level)

    def start(self, request: int | None) -> None:
        """Start; the pump answers, then lets credit, onmove and data flow."""
        state = advance(self.state, Act.START, self.number)
        if self.channel.place in (Place.NOTREADY, Place.CHANGE):
            self.channel.allow(Deed.PREPARE)  # raises
        self._launch(request, state, self._stream_par(), native=False)

    def prepare(self, request: int) -> None:
        """Start, by its start mode and stop mode."""
        self.alive("prepare")
        self.channel.allow(Deed.PREPARE)
        if self.seat.on.handle is None:
            self.seat.renew(self.row.sub.device)
        chan, par = self.channel.par, self._stream_par()
        par = prepared(par, chan, fragments.fragments(self.row.par, self.row.mode, chan))
        self._launch(request, advance(self.state, Act.START, self.number), par, native=True)

    def play_out(self, request: int) -> None:
        self.alive("play_out")
        self.channel.allow(Deed.PLAY_OUT)
        self.stop(request, drain=True)

    def discard(self, request: int) -> bool:
        """Discard what is queued; False: it is answered when that is done."""
        self.alive("discard")
        self.channel.allow(Deed.DISCARD)
        if self.state is State.READY:  # the server has stopped it
            self.channel.fitted()
            return True
        self.stop(request, drain=False)
        return False

    def link(self, group: str | None) -> None:
        """Be in a link group, or in none."""
        self.alive("link")
        self.channel.allow(Deed.LINK)
        row, old = self.row, self.row.link
        self.seat.regroup(0 if group is None else self._core.join_link(row.uid, group))
        if old is not None:
            self._core.leave_link(row.uid, old)
        row.link = group
        self.channel.news()
        self._core.stream_changed(row)

    def alive(self, what: str) -> None:
        """Raises FaultError if it is dead or being closed."""
        if self.state in (State.DEAD, State.CLOSING):
            raise refused(self.state, what, self.number)

    def _launch(self, request: int | None, state: State, par: StreamPar, *, native: bool) -> None:
        handle = self.seat.handle
        ident = self._runs.begin(self)
        run: engine.Stream | None = None
        try:
            run = handle.stream_new(ident, par)
            self.conn.start(run, self.number, self._voice.accepted(request))
        except EngineError as error:
            self._runs.end(ident)
            if run is not None:
                run.free()
            raise FaultError(trouble.unstarted(self.number, error.strerror)) from error
        self._run = run
        self.row.fresh = False
        self._plays = False
        self._forced = False
        self.state = state
        self._voice.begun(self.row.program.level)
        self.channel.begun(run, native=native)
        self._log.info("stream.start", conversion=self._core.conversion(self.row))
        self._core.stream_changed(self.row)

    def stop(self, request: int | None, *, drain: bool) -> None:
        """A stop or flush that the pump did not answer itself.

        Either it was sent before the pump knew the stream as started, or the
        stream drains already and is to be cut short.  conn.stop minds the first
        case and is without effect in the second.
        """
        self.state = advance(self.state, Act.STOP if drain else Act.FLUSH, self.number)
        if request is not None:
            self._stopping.append(request)
        self.conn.stop(self.number, drain=drain, answer=self._voice.stop_answer)
        if not drain and self._run is not None:
            self._run.stop(drain=False)
        self.channel.draining()
        self._core.stream_changed(self.row)

    def close(self, request: int) -> None:
        """Close; the answer goes out once the engine has let go."""
        self.state = advance(self.state, Act.CLOSE, self.number)
        self.closing = request
        if self._run is None:
            self._finish()
        elif self.state is State.CLOSING:
            self.conn.stop(self.number, drain=True)
            self.channel.draining()

    def move(self, sub: SubDevice) -> None:
        """Go on playing on another sub-device; the client hears a fade at most.

        Raises FaultError: EBUSY while it moves, EINVAL if its buffer is too small there, ENODEV.
        """
        row, old, seat = self.row, self.row.sub, self.seat
        if sub == old and seat.on.current:
            return
        if seat.moving or (seat.group and self._run is not None):
            why = "it is moving already" if seat.moving else "a link group stays together"
            raise FaultError(Fault(Code.EBUSY, f"stream {row.id} cannot move: {why}", "try again later"))
        if self._gone or self.state is State.DEAD:
            raise FaultError(Fault(Code.EPIPE, f"stream {row.id} is dead", "its client must open another"))
        here = self._devices.hold(sub.device)
        row.sub = sub
        if row.pinned:
            self._halt(old, sub)
        elif self._run is not None:
            try:
                self._run.move(self._devices.handle(sub.device), self._stream_par())
            except EngineError as error:
                row.sub = old
                self._devices.drop(here)
                raise FaultError(trouble.unmoved(row.id, sub.device, error.strerror)) from error
        seat.move(here, at_once=self._run is None)
        if self._run is None:
            self._refit()
        if self._core.controls.moved(row):
            self._tell_level()
        self._apply(False, False)
        self.channel.routed()
        self._log.info("stream.move", device=sub.device, subdevice=sub.name)
        self._core.stream_changed(row)
        for number in {old.device, sub.device}:
            self._core.device_changed(self._core.devices[number])

    def _halt(self, old: SubDevice, sub: SubDevice) -> None:
        """It is pinned: it stops where it was."""
        if self.started:
            self.conn.stop(self.number, drain=False)
            self.state = State.READY
            self._answer_stops()
        if self.channel.place is not Place.ERROR or old.device != sub.device:
            self.channel.altered(old.device, sub.device)

    def _refit(self) -> None:
        """Its device may be another: so may be its parameters, unless its client was promised these."""
        if not self._voice.keeps_par:
            self._fit()

    def _fit(self, asked: Par = NOTHING) -> None:
        """Parameters as the device that it is on now gives them."""
        row = self.row
        row.par = in_step(resolve(row.par, asked, self._devices.clock(row.sub.device), row.mode), row.sub)

    # ---- events of the engine ----

    def moved(self) -> None:
        """Its old device has let go of it, and the pump has followed."""
        self.seat.arrived()

    def playing(self) -> None:
        self._plays = True
        self._core.stream_changed(self.row)

    def stopped(self) -> None:
        """It has stopped; the pump has answered the client's own stop or flush."""
        if self.shutting is not None:
            self.die(self.shutting)
        elif self.started:
            self.state = State.READY
            self._voice.rested()
            self.channel.rested()
            self._log.info("stream.stop")
        self._answer_stops()

    def released(self) -> None:
        """The engine has let go of it: what waited goes on."""
        if self._run is None:
            return
        self.stopped()
        self._runs.end(self._run.id)
        self.channel.released()
        self._run.free()
        self._run = None
        self.moved()
        if not self._gone and self.state is State.READY and self.seat.held:
            self._refit()
        if self._gone:
            self._let_go()
        elif self.closing is not None:
            self._finish()
        else:
            if self.state is State.DEAD:
                self._let_go()
            self._core.stream_changed(self.row)
            self._go_on()

    def ended(self, reason: EndReason, request: int | None = None) -> None:
        """The engine ended it: an xrun under policy error, or its device.

        `request` is a stop or flush that the pump had taken and now leaves to us.
        """
        if request is not None:
            self._stopping.append(request)
        if reason is EndReason.XRUN and self.channel.native and self.started:
            self.state = State.READY
            self.channel.rested() if self._stopping else self.channel.stopped_late()
            self._answer_stops()
        elif reason is EndReason.XRUN:
            hint = "close it and open another; feed it sooner, or use policy ignore or sync"
            self.die(Fault(Code.EPIPE, f"stream {self.number} had an xrun and its policy is error", hint))
        else:
            self.fail(trouble.gone(self._core.devices[self.row.sub.device]))

    def fail(self, fault: Fault) -> None:
        """Its device has failed: it is dead, unless it is pinned and may try again."""
        if not self.row.pinned or self.state in (State.DEAD, State.CLOSING) or self._gone:
            self.die(fault)
            return
        self.state = State.READY
        self.channel.halt(fault)
        self._answer_stops(fault)
        self._core.stream_changed(self.row)

    def die(self, fault: Fault) -> None:
        """It is dead for its client, who is told why; only `close` is left."""
        if self.state in (State.DEAD, State.CLOSING) or self._gone:
            return
        self.shutting = None
        self.row.fresh = False
        self.state = advance(self.state, Act.DIE)
        self.fault = fault
        self.channel.failed(fault)
        self._log.info("stream.dead", code=str(fault.code), reason=fault.message)
        self._answer_stops(fault)
        self._voice.died(fault)
        self._core.stream_changed(self.row)
        self._go_on()
        if self._run is None:
            self._let_go()

    def shut(self, fault: Fault) -> None:
        """The server ends: play out what was written, then tell the client with `fault`."""
        if not self.started or self._gone:
            self.die(fault)
            return
        self.shutting = fault
        self.conn.stop(self.number, drain=True)

    def lose(self) -> None:
        """Its connection is gone: the pump releases what was started."""
        self._gone = True
        self._waiting.clear()
        self._stopping.clear()
        self._core.remove(self.row)
        self.channel.close()
        if self._run is None:
            self._let_go()

    # ---- within ----

    def _allow(self, act: Act) -> None:
        advance(self.state, act, self.number)

    def _tell(self) -> None:
        if self.row.id in self._core.streams:
            self._core.stream_changed(self.row)

    def _go_on(self) -> None:
        """Act on what has waited, in order, until something must wait again."""
        self._going_on = True
        while self._waiting and not self.releasing and not self._gone:
            self._waiting.popleft()()
        self._going_on = False

    def _answer_stops(self, fault: Fault | None = None) -> None:
        for request in self._stopping:
            voice = self._voice
            self.conn.send(voice.accepted(request) if fault is None else voice.refused(request, fault))
        self._stopping.clear()

    def _finish(self) -> None:
        assert self.closing is not None
        self._let_go()
        self._core.remove(self.row)
        self.channel.close()
        self._log.info("stream.close")
        self._removed(self)
        self.conn.send(self._voice.accepted(self.closing))

    def _let_go(self) -> None:
        if self.seat.held:
            self.seat.leave()
            if self.row.link is not None:
                self._core.leave_link(self.row.uid, self.row.link)

    def _stream_par(self) -> StreamPar:
        device = self._core.devices[self.row.sub.device]
        told = stream_par(self.row, device, group=self.seat.group, members=self.seat.members)
        return self._voice.fitted(told, self.row.par)

    def _measure(self) -> core.Measured | None:
        if self._run is None or self.state in (State.READY, State.DEAD):
            return None
        draining = self.state in (State.DRAINING, State.CLOSING)
        return measured(self._run.stats(), self.row, draining=draining, unread=self._unread())
