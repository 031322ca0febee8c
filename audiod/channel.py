"""Channel: a stream as QNX's programs see it: prepared, running, paused, suspended, late.

Owns the place of a stream in `audiod_protocol.channel`'s table, whether its client
or the ducking policy holds it, and what its status record counts.  The stream's
own state (`stream.py`) says whether it is started; this says what that is like.
Invariant: a change of place is told once, after it has happened in the engine.
Control thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from audiod_protocol.channel import Deed, Ducking, Place, Status, StopMode, advance
from audiod_protocol.errors import Code, Fault, FaultError
from audiod_protocol.limits import ROWS_MAX
from audiod_protocol.params import Mode, Xrun

from audiod.audiotype import Ramp, Ramps
from audiod.channelrecord import Account
from audiod.ducking import NOT_SUSPENDED, UNTOUCHED, Mute, Suspend, Target
from audiod.engine import StreamState, XrunKind
from audiod.fragments import ChannelPar

if TYPE_CHECKING:
    from audiod import core, engine
    from audiod.voice import Voice

_STARTED = frozenset({Place.PREPARED, Place.RUNNING, Place.DRAINING, Place.PAUSED, Place.SOFT, Place.HARD})
_SUSPENDED = frozenset({Place.SOFT, Place.HARD})


class Channel:
    """A stream's, from open to close; `row` is what other clients see of it.

    `since`: when it last began to run, in an order common to all streams; `resumed`: when its client last
    resumed it out of a soft suspension, in the same order.
    """

    def __init__(self, row: core.Stream, voice: Voice, known: core.Core, changed: Callable[[], None]) -> None:
        self.row = row
        self.par = ChannelPar()
        self.place = Place.NOTREADY if row.pinned else Place.READY
        self.forced = False
        self.wants_pause = False  # it will be paused when it is no longer suspended
        self.since = self.resumed = 0
        self.closed = False
        self.target = UNTOUCHED
        self.changes: tuple[int, int] | None = None  # the devices of the last CHANGE
        self.account = Account(row)
        self._voice = voice
        self._known = known
        self._changed = changed
        self._run: engine.Stream | None = None
        self._native = False  # begun by prepare
        self._stops = False  # ... and to stop when it is late
        self._pauses: list[int] = []  # requests that the end of a ramp answers
        self._pausing = False  # the ramp under way is a pause's
        self._suspending = False  # ... is a suspension's
        self._aim = 0  # number of the aim that holds
        self._late: tuple[Status, int] | None = None  # it was late, and what it had taken then

    # ---- what the policy and others look at ----

    @property
    def started(self) -> bool:
        return self.place in _STARTED

    @property
    def active(self) -> bool:
        """Whether it runs: it sounds, or is silenced only."""
        return self.place in (Place.RUNNING, Place.DRAINING)

    @property
    def suspended(self) -> bool:
        return self.place in _SUSPENDED

    @property
    def paused(self) -> bool:
        """Whether it does not run on by itself: it is paused, or will be."""
        return self.place is Place.PAUSED or (self.suspended and self.wants_pause)

    @property
    def plays(self) -> bool:
        return Mode.PLAY in self.row.mode

    @property
    def type(self) -> str | None:
        """Its audio type, as its client says."""
        return self.row.type

    @property
    def link(self) -> tuple[int | None, str] | None:
        """Its link group: streams of one count as one."""
        return None if self.row.link is None else (self.row.uid, self.row.link)

    @property
    def status(self) -> Status:
        """The state that is shown."""
        run, place = self._run, self.place
        if run is None or place not in _STARTED:
            return place.status
        stats = run.stats()
        if stats.state is StreamState.DRAINING:
            return Status.RUNNING  # the pump has taken a stop, which we have not heard of
        if place is Place.RUNNING and self._late is not None:
            what, taken = self._late
            if taken == (stats.consumed if what is Status.UNDERRUN else stats.captured):
                return what  # it has not gone on since
        return place.status

    @property
    def ducking_state(self) -> Ducking:
        bits, why = Ducking(0), self.target.suspend
        if self._known.conductor.ducks and self.plays:
            bits |= Ducking.ACTIVE if self.active else Ducking(0)
            bits |= Ducking.MUTE_BY_HIGHER if Mute.HIGHER in self.target.muted_by else Ducking(0)
            bits |= Ducking.MUTE_BY_SAME if Mute.SAME in self.target.muted_by else Ducking(0)
        if self.suspended:
            bits |= Ducking.HARD_SUSPENDED if Suspend.HARD in why else Ducking(0)
            bits |= Ducking.SOFT_SUSPENDED if Suspend.SOFT in why else Ducking(0)
            bits |= Ducking.PAUSED if self.wants_pause else Ducking(0)
        return bits | (Ducking.FORCED_ACTIVE if self.forced else Ducking(0))

    def ducking_row(self) -> core.Row | None:
        """What others do to it, None for nothing, or as long as it is not started."""
        target = self.target
        if target == UNTOUCHED or not self.started:
            return None
        return {
            "gains": list(target.gains),
            "suspended": _names(target.suspend),
            "muted_by": _names(target.muted_by),
            "ducked_by": list(target.ducked_by[:ROWS_MAX]),
            "why": target.why,
        }

    # ---- requests; each raises FaultError when out of place ----

    def allow(self, deed: Deed) -> None:
        self._next(deed)

    def go(self) -> None:
        """A prepared stream runs; a suspended one is resumed."""
        place = self._next(Deed.GO)
        if self.suspended:
            self._out_of_suspension(place)
            return
        assert self._run is not None
        self._must_hold_a_block("go")
        self._run.go()
        self._begin(place)

    def pause(self, request: int) -> bool:
        """Pause; False: answered when the ramp has ended."""
        self._next(Deed.PAUSE)
        if self.place is Place.PAUSED:
            return True
        if self.suspended:
            self.wants_pause = True
            self._news()
            return True
        self._pauses.append(request)
        if self._suspending:
            self.wants_pause = True
        elif not self._pausing:
            self._pausing = True
            self._hold(self._known.conductor.ramps.pause_resume)
        return False

    def resume(self) -> None:
        place = self._next(Deed.RESUME)
        if self.suspended:
            self._out_of_suspension(place)
        elif self.place is Place.PAUSED:
            self._must_hold_a_block("resume")
            self._lift(self._known.conductor.ramps.pause_resume)
            self._begin(place)
        elif self._pausing or self._suspending:
            self.wants_pause = False
            if self._pausing:
                self._pausing = False
                self._lift(self._known.conductor.ramps.pause_resume)
            self._answer_pauses(
                Fault(Code.EAGAIN, f"pause: stream {self.row.number} was resumed before", "pause it again")
            )

    def force(self, on: bool) -> None:
        """Act on others as if it ran, or no longer."""
        self._next(Deed.FORCE)
        if not self.plays:
            raise FaultError(
                Fault(
                    Code.EINVAL, f"force_ducking: stream {self.row.number} does not play", "open it to play"
                )
            )
        if self.forced != on:
            self.forced = on
            self._news()

    def set_type(self, type: str) -> None:
        """Another audio type.  Raises FaultError(EINVAL): the policy has none of this name."""
        self._known.conductor.check(type)
        if type != self.row.type:
            self.row.type = type
            self._news()

    # ---- what the policy wants ----

    def obey(self, target: Target, ramps: Ramps) -> None:
        """From now on it is as `target` says; it need not have changed."""
        old, self.target = self.target, target
        if self._run is not None:
            self._apply(old, target, ramps.ducking)
        if old.muted_by != target.muted_by and bool(old.muted_by) is not bool(target.muted_by):
            by = target.muted_by or old.muted_by
            self._voice.status("mute", {"mute": bool(target.muted_by), "by": _names(by)})
        if old != target:
            if self._voice.hears("ducking"):
                detail = {"ducked_by": list(target.ducked_by[:ROWS_MAX]), "why": target.why}
                self._voice.status("ducking", {"ducking_state": int(self.ducking_state), **detail})
            self._changed()

    def _apply(self, old: Target, target: Target, ramp: Ramp) -> None:
        place, wants = self.place, bool(target.suspend)
        if place is Place.PREPARED:
            self._aim_at(Ramp(0), hold=wants)  # so that it joins standing still
        elif place is Place.DRAINING:
            if old.gains != target.gains:
                self._aim_at(ramp, hold=False)
        elif place is Place.RUNNING:
            if wants and not self._suspending:
                self._suspending = True
                self.wants_pause |= self._pausing or Suspend.AUTOPAUSE in target.suspend
                self._hold(ramp)
            elif self._suspending and not wants:
                self._suspending = False
                self._pausing = bool(self._pauses)
                self.wants_pause = False
                self._aim_at(ramp, hold=self._pausing)
            elif old.gains != target.gains and not self._suspending:
                self._aim_at(ramp, hold=self._pausing)
        elif place is Place.PAUSED:
            if wants:
                self.wants_pause = True
                self._suspend()
            elif old.gains != target.gains:  # where it returns to
                self._aim_at(ramp, hold=True)
        elif place in _SUSPENDED:
            if wants:
                self._suspend()
            elif self.wants_pause:
                self.wants_pause = False
                self._become(self._next(Deed.LIFT_PAUSED), old.suspend)
            else:
                self._aim_at(ramp, hold=False)
                self._become(self._next(Deed.LIFT), old.suspend)

    def _suspend(self) -> None:
        hard = Suspend.HARD in self.target.suspend
        self._become(self._next(Deed.SUSPEND_HARD if hard else Deed.SUSPEND_SOFT), self.target.suspend)

    def _out_of_suspension(self, place: Place) -> None:
        """Its client wants it to run on; of a hard suspension it only says what is to follow."""
        self.wants_pause = False
        if place is Place.RUNNING:
            self.resumed = self._known.next_order()
            target = self.target
            self._become(place)
            self._news()
            if self.place is Place.RUNNING and self.target is target:  # nobody has anything against it
                self.target = UNTOUCHED
                self._lift(self._known.conductor.ramps.ducking)
        else:
            self._news()

    # ---- what happens to the stream ----

    def begun(self, run: engine.Stream, *, native: bool) -> None:
        """It has been started, by prepare if `native`."""
        self._run, self._native = run, native
        self._stops = native and self.par.stop_mode is not StopMode.ROLLOVER
        self._late = None
        self.account.begun(run)
        if self.target.gains:
            self._aim_at(Ramp(0), hold=bool(self.target.suspend))
        self._become(Place.PREPARED)

    @property
    def native(self) -> bool:
        """Whether it was started by prepare, whose modes then hold."""
        return self._native

    def discards_first(self, what: str) -> bool:
        """Whether it is ended by new parameters, or by being prepared again."""
        places = {"prepare": (Place.PAUSED,), "setpar": (Place.PREPARED, Place.PAUSED)}
        return self._native and self.place in places.get(what, ())

    def joined(self) -> None:
        """Its start condition holds."""
        if self.place is Place.PREPARED:
            self._begin(self._next(Deed.JOIN))

    def held(self, aim: int) -> None:
        """The ramp of an aim has ended, and it stands still."""
        if aim != self._aim or self.place is not Place.RUNNING:
            return
        self.account.stopped()
        if self._suspending:
            self._suspending = self._pausing = False
            self._suspend()
        elif self._pausing:
            self._pausing = False
            self._become(self._next(Deed.HOLD))
        self._answer_pauses()
        self._news()

    def late(self, kind: XrunKind) -> None:
        """An xrun; of a stream that stops by it, `stopped_late` follows."""
        if kind is XrunKind.DEVICE or self._run is None or self._stops:
            return
        what = Status.UNDERRUN if kind is XrunKind.PLAY else Status.OVERRUN
        if not self._native and self.row.par.xrun is Xrun.IGNORE:
            stats = self._run.stats()
            self._late = what, stats.consumed if what is Status.UNDERRUN else stats.captured
        self._tell_late(what)

    def _tell_late(self, what: Status) -> None:
        under, over, _ = self.account.totals()
        self._voice.status(str(what), {"count": under if what is Status.UNDERRUN else over})

    def stopped_late(self) -> None:
        """It has stopped because it was late."""
        choked = not self.plays or self.account.choked()
        self.account.stopped()
        self._tell_late(Status.OVERRUN if choked else Status.UNDERRUN)
        self._end(Place.OVERRUN if choked else Place.UNDERRUN)
        what = "nothing had been read" if choked else "too few frames were queued"
        self._voice.halted(str(self.place.status), {"reason": f"it was late: {what}"})

    def draining(self) -> None:
        """It plays out, or is discarded."""
        if self.place in _STARTED and self.place is not Place.DRAINING:
            held = self.place in (Place.PAUSED, *_SUSPENDED)
            self._pausing = self._suspending = self.wants_pause = False
            self._become(Place.DRAINING)
            if held:
                self._begin(Place.DRAINING)
            self._answer_pauses(self._too_late())

    def rested(self) -> None:
        """It has stopped as its client wanted."""
        if self.place in _STARTED:
            self.account.stopped()
            self._end(Place.READY)

    def released(self) -> None:
        """The engine has let go of it."""
        self.account.released()
        self._run = None

    def fitted(self) -> None:
        """It has parameters."""
        if self.place not in _STARTED:
            self._become(Place.READY)

    def failed(self, fault: Fault) -> None:
        """Its device has failed, or the server has ended it."""
        if self.place is Place.ERROR:
            return
        if self.place in _STARTED:
            self.account.stopped()
        self._end(Place.ERROR, fault)

    def halt(self, fault: Fault) -> None:
        """Its device has failed, but the client may try again."""
        if self.place is Place.ERROR:
            return
        self.failed(fault)
        self._voice.halted("error", {"reason": fault.message, "code": str(fault.code)})

    def altered(self, old: int, new: int) -> None:
        """It is pinned, and its device is another."""
        self.changes = old, new
        if self.place is Place.NOTREADY:
            return
        if self.place in _STARTED:
            self.account.stopped()
        self._end(Place.CHANGE)
        reason = "its device is another"
        self._voice.halted("change", {"reason": reason, "from": old, "to": new})

    def routed(self) -> None:
        """It is on another sub-device."""
        self._voice.status("route", {"device": self.row.sub.device, "subdevice": self.row.sub.name})
        self._news()

    def news(self) -> None:
        """Something that ducking depends on is another."""
        self._news()

    def close(self) -> None:
        """It is no more."""
        self.closed = True
        self.forced = False
        self._answer_pauses(self._too_late())
        self._known.conductor.changed(self)

    # ---- within ----

    def _next(self, deed: Deed) -> Place:
        return advance(self.place, deed, self.row.number)

    def _news(self) -> None:
        if not self.closed:
            self._known.conductor.changed(self)

    def _begin(self, place: Place) -> None:
        """It takes part in ducking from now on."""
        self.since = self._known.next_order()
        self._become(place)
        self._news()
        if place is self.place is Place.RUNNING and self.target.suspend and not self._suspending:
            self._apply(UNTOUCHED, self.target, Ramp(0))  # as was known before it ran

    def _end(self, place: Place, fault: Fault | None = None) -> None:
        self._pausing = self._suspending = self.wants_pause = False
        self._late = None
        self._answer_pauses(fault or self._too_late())
        self._become(place)
        self._news()

    def _become(self, place: Place, why: Suspend = NOT_SUSPENDED) -> None:
        old, self.place = self.place, place
        if old is not place:
            if old.status is not place.status:
                told: dict[str, object] = {
                    "old": str(old.status),
                    "new": str(place.status),
                    "flags": _names(why),
                }
                self._voice.status("state", told)
            self._changed()

    def _must_hold_a_block(self, what: str) -> None:
        """Raises FaultError(EAGAIN): it would be late at once."""
        assert self._run is not None
        if self.plays and self._run.stats().filled < (self.row.par.round or 1):
            raise FaultError(
                Fault(
                    Code.EAGAIN,
                    f"{what}: stream {self.row.number} has less than a block queued",
                    "write more first",
                )
            )

    def _too_late(self) -> Fault:
        return Fault(Code.EBADFD, f"pause: stream {self.row.number} ended before", "start it again")

    def _answer_pauses(self, fault: Fault | None = None) -> None:
        requests, self._pauses = self._pauses, []
        for request in requests:
            self._voice.answer(request, fault)

    def _hold(self, ramp: Ramp) -> None:
        self._aim = self._aim_at(ramp, hold=True)

    def _lift(self, ramp: Ramp) -> None:
        self._aim_at(ramp, hold=False)

    def _aim_at(self, ramp: Ramp, *, hold: bool) -> int:
        assert self._run is not None
        rate = self._known.devices[self.row.sub.device].format.rate
        return self._run.aim(self.target.gains, curve=ramp.points, nframes=ramp.ms * rate // 1000, hold=hold)


def _names(flags: Suspend | Mute) -> list[str]:
    return [(flag.name or "").lower() for flag in flags]
