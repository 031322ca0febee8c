"""Any order of channel requests, blocks and suspensions, against a small model: states, counters, frames.

The model takes its states and refusals from the table in the code, whose cells
test_channel_cells.py drives one by one; what it adds is what happens in between.
After each rule every stream's record is compared, and no frame may be lost:
what was written is played or queued.  AUDIOD_MACHINE=5000 runs so many examples,
each time others.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from audiod_protocol.channel import CLIENTS, REFUSALS, TRANSITIONS, Deed, Place
from hall import FRAME, PAR, PATIENCE, ROUND, Desk, Hall
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from audiod import log
from audiod.audiotype import Ramp, Ramps
from audiod.ducking import UNTOUCHED, Suspend, Target

LONG = int(os.environ.get("AUDIOD_MACHINE", "0"))
APP = 4 * ROUND
RAMPS = Ramps(pause_resume=Ramp(0), ducking=Ramp(0))
HELD = (Place.PAUSED, Place.SOFT, Place.HARD)
MODES = st.sampled_from(["full", "data", "go"])
STOPS = st.sampled_from(["stop", "rollover", "erase"])


@dataclass
class Model:
    """One stream; frames.  No draw depends on how soon a ramp ends: that is the device's to say."""

    plays: bool
    place: Place = Place.READY
    start: str = "full"
    stop: str = "stop"
    queued: int = 0
    done: int = 0
    written: int = 0
    underruns: int = 0  # not told yet
    total: int = 0  # since it was opened
    late: bool = False
    holding: bool = False  # a ramp of one block may be under way
    goal: Place = Place.PAUSED  # where that leads
    wants_pause: bool = False
    suspended: bool = False  # the policy wants it to wait
    patience: int = 0  # blocks until it must be ready
    ends: str = ""  # draining: play_out or discard

    def begin(self) -> None:
        self.place = Place.PREPARED
        self.queued = self.done = self.written = 0
        self.late = self.holding = self.wants_pause = self.suspended = False

    @property
    def joins(self) -> bool:
        if self.start == "go":
            return False
        return not self.plays or self.queued >= (APP if self.start == "full" else ROUND)

    def count(self, underruns: int) -> None:
        self.underruns += underruns
        self.total += underruns

    def rest(self, place: Place) -> None:
        self.place = place
        self.queued = 0
        self.holding = self.wants_pause = self.suspended = False


class Machine(RuleBasedStateMachine):
    """The daemon and its model."""

    covered: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="channels"))
        self.hall = Hall(self.folder)
        self.hall.ramps(Ramp(0), Ramp(0))
        self.desk: Desk = self.hall.client("machine")
        self.streams: list[Model] = []

    def teardown(self) -> None:
        for number, s in enumerate(self.streams):
            if s.place in HELD or s.place is Place.PREPARED:
                self.desk.send("discard", stream=number)
        self.hall.close()
        shutil.rmtree(self.folder)

    # ---- what is compared after each rule ----

    def check(self) -> None:
        for number, s in enumerate(self.streams):
            if s.place in (Place.READY, Place.UNDERRUN):  # what it begins with is decided anew
                self.desk.channel(number).obey(UNTOUCHED, RAMPS)
            record = self.desk.status(number)
            s.underruns -= record["underrun"]
            self.covered[record["status"]] += 1
            assert record["count"] + record["free"] == APP * FRAME
            if s.holding:
                self.settle_hold(s, record)
            assert record["status"] == s.place.status, (number, s, record)
            if not s.plays:
                continue
            assert s.underruns == 0, (number, s, record)
            assert record["count"] == s.queued * FRAME, (number, s, record)
            assert record["scount"] == s.done * FRAME, (number, s, record)
            if s.place in (Place.PREPARED, Place.RUNNING, *HELD):
                assert s.done + s.queued == s.written, "no frame is lost"

    def settle_hold(self, s: Model, record: dict[str, Any]) -> None:
        """A ramp takes a block if it sounds, and none if not: what is seen must be one of these."""
        if record["status"] != "running":
            s.holding = False
            s.place = s.goal

    def taken(self, number: int) -> int:
        """Frames that the device has taken; as `status`, but its counters are not read by that."""
        channel = self.desk.channel(number)
        scount = channel.account.record(channel, channel.plays, (0, 0, 0))["scount"]
        assert isinstance(scount, int)
        return scount // FRAME

    # ---- rules ----

    @initialize(kinds=st.lists(st.sampled_from(["play", "play", "rec"]), min_size=1, max_size=3))
    def begin_with(self, kinds: list[str]) -> None:
        for kind in kinds:
            number = self.desk.ask("open", mode=kind)["stream"]
            chan = {"pchan": 2} if kind == "play" else {"rchan": 2}
            par = {key: value for key, value in PAR.items() if key != "pchan"}
            self.desk.ask("setpar", stream=number, par={**par, **chan, "appbufsz": APP})
            self.streams.append(Model(kind == "play"))
        self.check()

    def pick(self, data: st.DataObject) -> tuple[int, Model]:
        number = data.draw(st.integers(0, len(self.streams) - 1))
        return number, self.streams[number]

    def ask(self, number: int, s: Model, deed: Deed, /, **args: object) -> bool:
        """Send it; whether the table allows it.  A refusal must be the table's, and change nothing."""
        ident = self.desk.send(str(deed), stream=number, **args)
        self.covered[f"{deed} of {s.place}"] += 1
        code = REFUSALS.get((s.place, deed))
        if deed is Deed.GO and s.place is Place.PREPARED and s.plays and s.queued < ROUND:
            code = "EAGAIN"  # type: ignore[assignment]
        if deed is Deed.RESUME and s.place is Place.PAUSED and s.plays and s.queued < ROUND:
            code = "EAGAIN"  # type: ignore[assignment]
        if deed is Deed.FORCE and not s.plays:
            code = "EINVAL"  # type: ignore[assignment]
        if code is not None:
            assert self.desk.answered(ident)
            (answer,) = [message for message in self.desk.wire.seen if message[:2] == [1, ident]]
            assert answer[2] is not None and answer[2]["code"] == code, (s, answer)
        return code is None

    @rule(data=st.data(), start=MODES, stop=STOPS)
    def setpar(self, data: st.DataObject, start: str, stop: str) -> None:
        number, s = self.pick(data)
        if s.holding:
            return
        if self.ask(number, s, Deed.SETPAR, par={}, start_mode=start, stop_mode=stop):
            s.start, s.stop = start, stop
            if s.place in (Place.PREPARED, Place.PAUSED):
                self.wait_ready(number, s)
            s.rest(Place.READY)
        self.check()

    def wait_ready(self, number: int, s: Model) -> None:
        """What it discards first may fade for a block or two."""
        self.until(number, s, 3, Place.READY, Place.PREPARED)
        s.done = self.taken(number)

    def until(self, number: int, s: Model, blocks: int, *places: Place) -> None:
        """It comes there within so many blocks; where the clock stands still, once its thread has looked."""
        for _ in range(PATIENCE):
            if self.desk.channel(number).place in places:
                return
            blocks -= self.step_all(skip=s)
            assert blocks >= 0, (number, s, self.desk.channel(number).place)
        raise AssertionError(f"stream {number} never came to {places}: {s}")

    @rule(data=st.data())
    def prepare(self, data: st.DataObject) -> None:
        number, s = self.pick(data)
        if s.holding:
            return
        was = s.place
        if self.ask(number, s, Deed.PREPARE):
            if was is Place.PAUSED:
                self.wait_ready(number, s)
            s.begin()
        self.check()

    @rule(data=st.data(), blocks=st.sampled_from([0.25, 1, 1, 2, 4]))
    def write(self, data: st.DataObject, blocks: float) -> None:
        number, s = self.pick(data)
        room = APP - s.queued
        n = min(int(blocks * ROUND), room)
        if not s.plays or n == 0 or s.place not in (Place.PREPARED, Place.RUNNING, *HELD):
            return
        frames = np.ones((n, 2))
        self.desk.write(number, frames)
        s.queued += n
        s.written += n
        self.check()

    @rule(data=st.data(), start=MODES, stop=STOPS, blocks=st.integers(0, 6))
    def play(self, data: st.DataObject, start: str, stop: str, blocks: int) -> None:
        """What a client usually does: set up, fill the queue, begin; then perhaps be late."""
        number, s = self.pick(data)
        if s.place not in (Place.READY, Place.UNDERRUN):
            return
        self.ask(number, s, Deed.SETPAR, par={}, start_mode=start, stop_mode=stop)
        s.start, s.stop = start, stop
        s.rest(Place.READY)
        self.ask(number, s, Deed.PREPARE)
        s.begin()
        if s.plays:
            self.desk.write(number, np.ones((APP, 2)))
            s.queued = s.written = APP
        if start == "go":
            self.ask(number, s, Deed.GO)
            s.place = Place.RUNNING
        self.check()
        for _ in range(blocks):
            self.step_all()
            self.check()

    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        number, s = self.pick(data)
        if s.holding:
            return
        if self.ask(number, s, Deed.GO):
            self.resumed(s, Deed.GO)
        self.check()

    def resumed(self, s: Model, deed: Deed) -> None:
        was, s.place = s.place, TRANSITIONS[s.place, deed]
        s.wants_pause = False
        if was is Place.SOFT:
            s.suspended = False

    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        number, s = self.pick(data)
        if s.holding:
            return
        if self.ask(number, s, Deed.RESUME):
            self.resumed(s, Deed.RESUME)
        self.check()

    @rule(data=st.data())
    def pause(self, data: st.DataObject) -> None:
        number, s = self.pick(data)
        if s.holding:
            return
        if self.ask(number, s, Deed.PAUSE):
            if s.place is Place.RUNNING:
                s.holding, s.goal = True, Place.PAUSED
            elif s.place is not Place.PAUSED:
                s.wants_pause = True
        self.check()

    @rule(data=st.data(), method=st.sampled_from([Deed.PLAY_OUT, Deed.DISCARD]))
    def end(self, data: st.DataObject, method: Deed) -> None:
        number, s = self.pick(data)
        if s.holding:
            return
        was = s.place
        if self.ask(number, s, method):
            if was in (Place.UNDERRUN, Place.OVERRUN):
                s.rest(Place.READY)
            else:
                self.drain(number, s)
        self.check()

    def drain(self, number: int, s: Model) -> None:
        """It ends within what it has queued and a little more."""
        self.until(number, s, s.queued // ROUND + 4, Place.READY)
        s.done = self.taken(number)
        assert s.done <= s.written or not s.plays
        s.rest(Place.READY)

    @rule(data=st.data(), why=st.sampled_from([Suspend.HARD, Suspend.SOFT]))
    def suspend(self, data: st.DataObject, why: Suspend) -> None:
        """The policy would only ask that of what plays and is active."""
        number, s = self.pick(data)
        if not s.plays or s.holding or s.place not in (Place.RUNNING, Place.PAUSED):
            return
        goal = Place.HARD if why is Suspend.HARD else Place.SOFT
        self.desk.channel(number).obey(Target((0.0,), why), RAMPS)
        self.hall.settle()
        s.suspended = True
        if s.place is Place.PAUSED:
            s.place, s.wants_pause = goal, True
        else:
            s.holding, s.goal = True, goal
        self.check()

    @rule(data=st.data())
    def lift(self, data: st.DataObject) -> None:
        number, s = self.pick(data)
        if s.place not in (Place.SOFT, Place.HARD) or s.holding:
            return
        self.desk.channel(number).obey(UNTOUCHED, RAMPS)
        self.hall.settle()
        deed = Deed.LIFT_PAUSED if s.wants_pause else Deed.LIFT
        s.place = TRANSITIONS[s.place, deed]
        s.suspended = s.wants_pause = False
        self.check()

    @rule(n=st.sampled_from([1, 1, 2, 3]))
    def blocks(self, n: int) -> None:
        for _ in range(n):
            self.step_all()
            self.check()

    def step_all(self, skip: Model | None = None) -> bool:
        """One block of the device's clock; whether it runs."""
        before = self.hall.house.device.stats().position
        self.hall.step()
        passed = self.hall.house.device.stats().position != before
        for number, s in enumerate(self.streams):
            if s is not skip and passed:
                self.pass_block(number, s)
        return passed

    def pass_block(self, number: int, s: Model) -> None:
        if s.place is Place.PREPARED and s.joins:
            s.place = Place.RUNNING
        if s.place is not Place.RUNNING or not s.plays:
            return
        if s.holding:
            taken, short = self.taken(number) - s.done, s.queued < ROUND
            assert 0 <= taken <= ROUND, "a ramp of one block"
            s.done += taken
            s.queued -= taken
            late = self.desk.channel(number).account.totals()[0] - s.total
            assert late == 0 or (late == 1 and short), "late without having been short"
            s.count(late)
            if self.desk.channel(number).place is Place.UNDERRUN:
                s.rest(Place.UNDERRUN)
            return
        if s.queued >= ROUND:
            s.queued -= ROUND
            s.done += ROUND
            s.late = False
        elif s.stop == "rollover":
            s.count(not s.late)
            s.late = True
        else:
            s.count(1)
            s.rest(Place.UNDERRUN)


def test_any_order_of_requests() -> None:
    log.setup("error", {})
    Machine.covered.clear()
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=LONG or 60,
            stateful_step_count=60 if LONG else 40,
            derandomize=not LONG,
            database=None,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    came_by = Machine.covered
    print(sorted(came_by.items()))
    for status in ("ready", "prepared", "running", "underrun", "paused", "suspended"):
        assert came_by[status], f"never {status}: the machine has not come far"
    assert len([name for name in came_by if " of " in name]) > len(CLIENTS) * 2
