"""conductor.py: what streams do, in any order, leaves each with the target that the pure policy says."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import pytest
from audiod_protocol.errors import FaultError
from audiod_protocol.params import Mode, Par
from duckingmodel import Model, expected
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from audiod.audiotype import LINEAR, AudioType, Policy, Preempt, ProgramRule, Ramp, Ramps, Same
from audiod.conductor import EVENTS_WAITED, Conductor
from audiod.config import ENC
from audiod.core import Core, Device, Format, Stream
from audiod.ducking import UNTOUCHED, Member, Suspend, Target, decide
from audiod.program import Program
from audiod.subdevice import SubDevice

VOICE = AudioType("voice", 0, Same.LAST_WINS, (100,), (50,))
CALL = AudioType("call", 0, Same.LAST_WINS, (100,), (0,))
NAV = AudioType("nav", 1, Same.LAST_WINS, (0,), (20,), Preempt.SUSPEND, Preempt.SUSPEND)
ALERT = AudioType("alert", 1, Same.LAST_WINS, (0,), (30,), Preempt.PAUSE, Preempt.PAUSE)
MUSIC = AudioType("music", 2, Same.MIX, (60,), (100,), Preempt.SUSPEND)
FILM = AudioType("film", 2, Same.MIX, (0, 50, 100), (100,))
POLICY = Policy((VOICE, CALL, NAV, ALERT, MUSIC, FILM))
OTHER = Policy(
    (MUSIC_FIRST := AudioType("music", 0, Same.FIRST_WINS, (40,), (10,)), AudioType("nav", 1, Same.MIX))
)


class Chan:
    """A stream's channel, as the conductor sees it: it obeys at once, without ramps."""

    changed: Callable[[Chan], None]
    plays = True
    closed = False

    def __init__(self, core: Core, ident: int, kind: str | None, device: int, link: str | None) -> None:
        sub = SubDevice(str(device), device)
        program = Program(ident, sub.name, "x")
        par = Par(pchan=2)
        self.row = Stream(ident, 0, sub, Mode.PLAY, par, f"prog{ident % 3}", 1, 0, program, kind, link)
        self.link: Hashable = link
        self.target = UNTOUCHED
        self.runs = self.pausing = self.forced = False
        self.since = self.resumed = self.forced_at = 0
        self.obeyed: list[Target] = []

    @property
    def suspended(self) -> bool:
        return self.runs and bool(self.target.suspend)

    @property
    def active(self) -> bool:
        return self.runs and not self.pausing and not self.suspended

    @property
    def paused(self) -> bool:
        return self.runs and self.pausing

    def obey(self, target: Target, ramps: Ramps) -> None:
        self.target = target
        self.obeyed.append(target)
        self.pause_with(target)

    def pause_with(self, target: Target) -> None:
        if self.runs and Suspend.AUTOPAUSE in target.suspend and not self.pausing:
            self.pausing = True
            self.changed(self)

    def member(self, conductor: Conductor) -> Member:
        return Member(
            self.row.id,
            conductor.kind(self.row),
            active=self.runs,
            since=max(self.since if self.runs else 0, self.forced_at if self.forced else 0),
            link=self.link,
            forced=self.forced,
            paused=self.paused,
            resumed=self.resumed if self.runs else 0,
            channels=self.row.par.pchan or 1,
        )


class World:
    """Two devices, and streams on them; `conductor` decides, later if `lazy`."""

    def __init__(self, policy: Policy | None = POLICY, *, lazy: bool = False) -> None:
        fmt = Format(ENC, 48000, 480, 1920, 2, 0)
        self.core = Core(
            [Device(n, f"null{n}", "null", fmt) for n in (0, 1)], {"default": SubDevice("default", 0)}
        )
        self.conductor = Conductor(self.core, policy, (ProgramRule("prog1", "film"),))
        self.later: list[Callable[[], None]] = []
        if lazy:
            self.conductor.soon = self.later.append
        self.chans: dict[int, Chan] = {}

    def open(self, kind: str | None, device: int = 0, link: str | None = None) -> Chan:
        chan = Chan(self.core, self.core.next_id(), kind, device, link)
        chan.row.channel = chan
        chan.changed = self.conductor.changed
        self.chans[chan.row.id] = chan
        self.core.streams[chan.row.id] = chan.row
        self.conductor.changed(chan)
        return chan

    def start(self, chan: Chan, *, settle: bool = True) -> None:
        chan.runs, chan.pausing = True, False
        chan.since = self.core.next_order()
        self.conductor.changed(chan)
        if settle:
            for later in self.later:
                later()
            chan.pause_with(chan.target)  # it may be what was known before it ran

    def stop(self, chan: Chan) -> None:
        chan.runs = chan.pausing = False
        self.conductor.changed(chan)

    def resume(self, chan: Chan) -> None:
        """As a channel does it."""
        was = chan.target.suspend
        chan.pausing = False
        if chan.suspended and Suspend.HARD not in was:
            chan.resumed = self.core.next_order()
            chan.target = UNTOUCHED
        elif not chan.suspended:
            chan.since = self.core.next_order()
        self.conductor.changed(chan)

    def close(self, chan: Chan) -> None:
        chan.closed, chan.runs, chan.forced = True, False, False
        del self.core.streams[chan.row.id], self.chans[chan.row.id]
        self.conductor.changed(chan)

    def move(self, chan: Chan, device: int) -> None:
        chan.row.sub = SubDevice(str(device), device)
        self.conductor.changed(chan)

    def members(self, device: int) -> list[Member]:
        return [chan.member(self.conductor) for chan in self.chans.values() if chan.row.sub.device == device]


KINDS = st.sampled_from([None, "voice", "call", "nav", "alert", "music", "film"])


class Conducted(RuleBasedStateMachine):
    """Streams come, play, are paused, forced, moved, typed and go, under one policy or another."""

    world: World

    @initialize(lazy=st.booleans())
    def begin(self, lazy: bool) -> None:
        self.world = World(lazy=lazy)

    def one(self, data: st.DataObject) -> Chan | None:
        found = sorted(self.world.chans)
        return self.world.chans[data.draw(st.sampled_from(found))] if found else None

    @rule(kind=KINDS, device=st.integers(0, 1), link=st.sampled_from([None, None, "g", "h"]))
    def open(self, kind: str | None, device: int, link: str | None) -> None:
        self.world.start(self.world.open(kind, device, link))

    @rule(data=st.data())
    def start_or_stop(self, data: st.DataObject) -> None:
        if chan := self.one(data):
            (self.world.stop if chan.runs else self.world.start)(chan)

    @rule(data=st.data())
    def pause(self, data: st.DataObject) -> None:
        if (chan := self.one(data)) and chan.runs:
            chan.pausing = True
            self.world.conductor.changed(chan)

    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        if (chan := self.one(data)) and chan.runs:
            self.world.resume(chan)

    @rule(data=st.data(), kind=KINDS)
    def retype(self, data: st.DataObject, kind: str | None) -> None:
        if chan := self.one(data):
            chan.row.type = kind
            self.world.conductor.changed(chan)

    @rule(data=st.data())
    def force(self, data: st.DataObject) -> None:
        if chan := self.one(data):
            chan.forced = not chan.forced
            chan.forced_at = self.world.core.next_order()
            self.world.conductor.changed(chan)

    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        if chan := self.one(data):
            self.world.move(chan, 1 - chan.row.sub.device)

    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        if chan := self.one(data):
            self.world.close(chan)

    @rule(policy=st.sampled_from([POLICY, OTHER, None]))
    def reload(self, policy: Policy | None) -> None:
        self.world.conductor.adopt(policy, (ProgramRule("prog2", "nav"),))

    @invariant()
    def all_obey(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        for settle in world.later:
            settle()
        world.later.clear()
        policy = world.conductor.policy
        for device in (0, 1):
            members = world.members(device)
            told = {} if policy is None else decide(policy, members)
            for member in members:
                chan = world.chans[member.id]
                assert chan.target == told.get(member.id, UNTOUCHED)
                if policy is not None:
                    assert int(chan.target.suspend) == expected(policy, members, member)[1]


Conducted.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestConducted = Conducted.TestCase


def test_two_hundred_streams_whose_types_change() -> None:
    world = World()
    kinds = [None, "voice", "nav", "alert", "music", "film"]
    chans = [world.open(kinds[n % 6], link="g" if n % 17 == 0 else None) for n in range(200)]
    for chan in chans:
        world.start(chan)
    for turn in range(60):
        chan = chans[turn * 37 % 200]
        chan.row.type = kinds[turn * 5 % 6]
        world.conductor.changed(chan)
        if turn % 3 == 0:
            (world.stop if chans[turn * 11 % 200].runs else world.start)(chans[turn * 11 % 200])
        members = world.members(0)
        assert {c.row.id: c.target for c in chans} == decide(POLICY, members)
    model = Model(POLICY, members)
    assert [int(c.target.suspend) for c in chans] == [model.suspended(m) for m in members]
    assert len({c.target.suspend for c in chans}) > 2 and len({c.target.gains for c in chans}) > 3


def test_many_changes_of_one_turn_are_one_decision() -> None:
    world = World(lazy=True)
    music = world.open("music")
    for _ in range(50):
        world.start(world.open("voice"), settle=False)
    assert music.obeyed == []
    world.later[0]()
    assert [target.gains for target in music.obeyed] == [(0.5,)]
    for settle in world.later[1:]:
        settle()
    assert len(music.obeyed) == 1


def test_a_decision_does_not_wait_for_many_events() -> None:
    world = World(lazy=True)
    music = world.open("music")
    world.start(world.open("voice"), settle=False)
    for _ in range(EVENTS_WAITED - 1):
        world.conductor.passed()
    assert music.obeyed == []
    world.conductor.passed()
    assert [target.gains for target in music.obeyed] == [(0.5,)]
    world.later[0]()
    assert len(music.obeyed) == 1


def test_nothing_is_decided_twice() -> None:
    world = World()
    music, voice = world.open("music"), world.open("voice")
    world.start(music)
    world.start(voice)
    count = len(music.obeyed)
    for _ in range(3):
        world.conductor.changed(voice)
        world.conductor.changed(music)
    assert len(music.obeyed) == count == 1


def test_a_stream_that_is_about_to_start_has_its_target() -> None:
    world = World()
    world.start(world.open("voice"))
    assert world.open("music").target.gains == (0.5,)


def test_without_a_policy_nothing_is_held() -> None:
    world = World(policy=None)
    music = world.open("music")
    world.start(music)
    world.conductor.check("anything")
    assert music.obeyed == [] and not world.conductor.ducks
    assert vars(world.conductor)["_members"] == {}
    assert world.conductor.kind(music.row) == "music"
    assert world.conductor.answer()["order"] is None


def test_types_of_clients_sub_devices_and_programs() -> None:
    world = World()
    kind = world.conductor.kind
    chan = world.open("Voice")
    assert kind(chan.row) == "voice"
    chan.row.type, chan.row.name = None, "prog1"
    assert kind(chan.row) == "film"
    chan.row.sub = SubDevice("ring", 0, type="alert")
    assert kind(chan.row) == "alert"
    chan.row.sub, chan.row.name = SubDevice("default", 0), "x"
    assert kind(chan.row) == "film"  # the last one
    with pytest.raises(FaultError) as caught:
        world.conductor.check("ring")
    assert caught.value.fault.code == "EINVAL"
    assert caught.value.fault.hint.startswith("there are voice, call, nav")


def test_who_is_active_is_told() -> None:
    world = World()
    told: list[dict[str, object]] = []
    world.core.subscribe(lambda topic, row: told.append(row), ["ducking"])
    nav, call = world.open("nav"), world.open("call")
    world.start(nav)
    world.start(call)
    world.start(nav)
    active = [{"type": "call", "prio": 3, "streams": [call.row.id], "pids": [1]}]
    assert [row["active"] for row in told] == [
        [{"type": "nav", "prio": 2, "streams": [nav.row.id], "pids": [1]}],
        active,  # nav waits
    ]
    assert world.conductor.answer()["devices"] == [
        {"device": 0, "active": active},
        {"device": 1, "active": []},
    ]
    world.close(call)
    assert told[-1]["active"] == [{"type": "nav", "prio": 2, "streams": [nav.row.id], "pids": [1]}]
    assert told[-1]["event"] == "change"


def test_another_policy_is_obeyed_at_once_and_none_lifts_all() -> None:
    world = World()
    music, voice = world.open("music"), world.open("voice")
    heard: list[Ramps] = []
    world.conductor.on_ramps = lambda: heard.append(world.conductor.ramps)
    world.start(music)
    world.start(voice)
    assert music.target.gains == (0.5,)
    ramps = Ramps(volume_mute=Ramp(40, LINEAR))
    world.conductor.adopt(Policy((AudioType("voice", 0, Same.MIX, (100,), (25,)), MUSIC), ramps), ())
    assert music.target.gains == (0.25,) and heard == [ramps]
    world.conductor.adopt(None, ())
    assert music.target == UNTOUCHED and heard[1:] == [Ramps()]
    world.conductor.adopt(POLICY, ())
    assert music.target.gains == (0.5,)
