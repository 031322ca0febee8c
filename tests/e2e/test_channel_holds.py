"""Pauses and suspensions end to end: what is heard of them, and what is not lost.

As in test_channel.py: a whole daemon and the real engine on a clock that the test moves.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hall import FRAME, ROUND, Desk, Hall, flat, noise
from native import Refused

from audiod.audiotype import LINEAR, Ramp, Ramps
from audiod.baton import NoDucking
from audiod.channel import Channel
from audiod.ducking import UNTOUCHED, Suspend, Target


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Hall]:
    made = Hall(tmp_path)
    yield made
    made.close()


# ---- pauses and suspensions ----


def test_a_pause_ends_its_ramp_first(tmp_path: Path) -> None:
    """30 ms in blocks of a millisecond."""
    hall = Hall(tmp_path, round=48)
    hall.ramps(Ramp(30))
    desk = hall.client()
    desk.open(par={"appbufsz": 48 * 40}, start_mode="data", stop_mode="rollover")
    desk.ask("prepare", stream=0)
    value = 10000
    for _ in range(10):
        desk.write(0, flat(48, value))
        hall.step()
    asked = desk.send("pause", stream=0)
    begun = len(hall.played())
    for block in range(30):
        assert not desk.answered(asked), f"after {block} ms"
        assert desk.status()["status"] == "running"
        desk.write(0, flat(48, value))
        hall.step()
    assert desk.answered(asked) and desk.status()["status"] == "paused"
    gain = hall.played()[begun:, 0] / value
    assert len(gain) == 30 * 48
    assert gain[0] > 0.99 and np.all(np.diff(gain) <= 0)
    assert np.all(np.abs(gain[-48:]) < 0.01), "the last block"
    curve = 1 - np.interp(np.arange(30 * 48) / (30 * 48), [0, 1], [0, 1])
    smooth = curve * curve * (3 - 2 * curve)
    assert np.max(np.abs(gain - smooth)) < 1 / 30, "within a block of the curve"
    hall.close()


def run(hall: Hall, desk: Desk, source: np.ndarray, at: int, blocks: int) -> int:
    """Play `blocks` blocks of the source from frame `at`, writing one before each; where it is then."""
    for _ in range(blocks):
        desk.write(0, source[at : at + ROUND])
        at += ROUND
        hall.step()
    return at


@pytest.mark.parametrize("how", ["pause", "suspend", "pause while suspended"])
def test_no_frame_is_lost(hall: Hall, how: str) -> None:
    """What is heard, but for the ramps of one block, is what was written, without the silence in between."""
    hall.ramps(Ramp(10), Ramp(10))
    desk, source = hall.client(), noise(40 * ROUND)
    desk.open(start_mode="data", stop_mode="stop")
    other = hall.client("clock")
    other.open(stop_mode="rollover")  # keeps the clock running
    other.ask("prepare", stream=0)
    other.write(0, flat(4 * ROUND, 0))
    channel = next(row.channel for row in hall.core.streams.values() if row.name == "test")
    ramps = hall.core.conductor.ramps
    desk.ask("prepare", stream=0)
    desk.write(0, source[: 2 * ROUND])
    at = run(hall, desk, source, 2 * ROUND, 4)
    held = Target((0.0,), Suspend.HARD)
    if how == "pause":
        desk.send("pause", stream=0)
        hall.step()
        assert desk.status()["status"] == "paused"
    else:
        channel.obey(held, ramps)
        hall.step()
        assert desk.status()["status"] == "suspended"
        assert desk.status()["ducking_state"] == 2
    stood = desk.status()
    hall.step(5)
    after = desk.status()
    assert after == stood, "nothing is taken, nothing missed"
    assert stood["underrun"] == 0 and stood["count"] > 0
    if how == "pause while suspended":
        desk.ask("pause", stream=0)
        assert desk.status()["status"] == "suspended" and desk.status()["ducking_state"] == 2 | 8
        with pytest.raises(Refused, match="EAGAIN"):
            desk.ask("play_out", stream=0)
        channel.obey(UNTOUCHED, ramps)
        hall.step(2)
        assert desk.status()["status"] == "paused" and desk.status()["ducking_state"] == 0
        assert desk.status()["scount"] == stood["scount"]
    if how == "suspend":
        channel.obey(UNTOUCHED, ramps)
    else:
        desk.ask("resume", stream=0)
    assert desk.status()["status"] == "running", "at once"
    at = run(hall, desk, source, at, 6)
    desk.send("play_out", stream=0)
    hall.step(4)
    played = hall.played()
    first = int(np.flatnonzero(played.any(axis=1))[0])
    sound = played[first:]
    quiet = ~sound.reshape(-1, ROUND, 2).any(axis=(1, 2))
    heard = sound.reshape(-1, ROUND, 2)[~quiet].reshape(-1, 2)
    whole = source[:at]
    assert len(heard) == at, "as many frames as were written"
    same = (heard == whole).all(axis=1).reshape(-1, ROUND).all(axis=1)
    assert list(np.flatnonzero(~same)) == [4, 5], "only the block that fades out and the one that fades in"
    faded = np.abs(heard.astype(int)) <= np.abs(whole.astype(int))
    assert faded.all()


def test_hard_and_soft_suspensions(hall: Hall) -> None:
    """What a resume does, with a conductor that only listens."""
    changed: list[Channel] = []

    class Listens(NoDucking):
        ramps = Ramps(pause_resume=Ramp(0), ducking=Ramp(0))
        ducks = True

        def changed(self, channel: Channel) -> None:
            changed.append(channel)

    hall.core.conductor = Listens()
    desk = hall.client()
    desk.ask("subscribe", topics=[], events=["state", "ducking", "mute"])
    desk.open(start_mode="data", stop_mode="rollover")
    desk.ask("prepare", stream=0)
    desk.write(0, noise(4 * ROUND))
    hall.step()
    channel, ramps = desk.channel(), hall.core.conductor.ramps
    assert channel.active and channel in changed and desk.status()["ducking_state"] == 1
    since = channel.since
    channel.obey(Target((0.0,), Suspend.HARD, ducked_by=(9,), why="because"), ramps)
    assert desk.status()["status"] == "running", "until the ramp has ended"
    hall.step()
    assert desk.status()["status"] == "suspended" and not channel.active
    assert (desk.status()["ducked_by"], desk.status()["why"]) == ([9], "because")
    desk.ask("pause", stream=0)
    assert desk.status()["ducking_state"] == 2 | 8 and channel.paused
    for method in ("resume", "go"):
        desk.ask("pause", stream=0)
        desk.ask(method, stream=0)
        assert desk.status()["ducking_state"] == 2 and not channel.paused
    channel.obey(Target((0.0,), Suspend.SOFT), ramps)
    assert desk.status()["ducking_state"] == 4
    changed.clear()
    desk.ask("resume", stream=0)
    assert desk.status()["status"] == "running" and channel.resumed > since and changed == [channel]
    count = desk.status()["count"]
    hall.step()
    assert desk.status()["count"] < count, "it really runs"
    told = [(d["old"], d["new"], d["flags"]) for _, event, d in desk.told("onstatus") if event == "state"]
    assert told[-2:] == [("running", "suspended", ["hard"]), ("suspended", "running", [])]
    channel.obey(Target((0.0,), Suspend.HARD | Suspend.AUTOPAUSE), ramps)
    hall.step()
    assert desk.status()["ducking_state"] == 2 | 8
    channel.obey(UNTOUCHED, ramps)
    assert desk.status()["status"] == "paused"
    desk.ask("discard", stream=0)
    assert desk.status()["status"] == "ready"


def test_a_pause_that_is_resumed_before_it_ends(hall: Hall) -> None:
    hall.ramps(Ramp(100, LINEAR))
    desk = hall.client()
    desk.open(stop_mode="rollover")
    desk.ask("prepare", stream=0)
    desk.write(0, noise(4 * ROUND))
    hall.step()
    asked = desk.send("pause", stream=0)
    hall.step()
    desk.ask("resume", stream=0)
    with pytest.raises(Refused, match="EAGAIN"):
        desk.wire.answer(asked)
    assert desk.status()["status"] == "running"
    asked = desk.send("pause", stream=0)
    done = desk.send("discard", stream=0)
    hall.step(3)
    with pytest.raises(Refused, match="EBADFD"):
        desk.wire.answer(asked)
    assert desk.answered(done) and desk.status()["status"] == "ready"


def test_go_and_resume_want_a_block(hall: Hall) -> None:
    desk = hall.client()
    hall.ramps(Ramp(0))
    desk.open(start_mode="go", stop_mode="rollover")
    desk.ask("prepare", stream=0)
    with pytest.raises(Refused, match="EAGAIN"):
        desk.ask("go", stream=0)
    desk.write(0, noise(4 * ROUND))
    hall.step(3)
    assert desk.status()["status"] == "prepared" and desk.status()["count"] == 4 * ROUND * FRAME
    desk.ask("go", stream=0)
    assert desk.status()["status"] == "running"
    hall.step()
    assert desk.status()["count"] == 3 * ROUND * FRAME
    hall.step(2)
    desk.send("pause", stream=0)
    hall.step()
    assert desk.status()["status"] == "paused" and desk.status()["count"] == 0
    with pytest.raises(Refused, match="EAGAIN"):
        desk.ask("resume", stream=0)
    assert desk.status()["status"] == "paused"
    desk.write(0, noise(ROUND))
    desk.ask("resume", stream=0)
    hall.step()
    assert desk.status()["scount"] == 5 * ROUND * FRAME


def test_a_link_group_goes_together(hall: Hall) -> None:
    desk = hall.client()
    for number in range(3):
        assert desk.open(start_mode="go", stop_mode="rollover") == number
        desk.ask("link", stream=number, group="g" if number < 2 else None)
        desk.ask("prepare", stream=number)
        desk.write(number, flat(2 * ROUND, 1000))
    with pytest.raises(Refused, match="EBUSY"):
        desk.ask("link", stream=2, group="g")
    desk.ask("go", stream=1)
    hall.step()
    states = [desk.status(number)["status"] for number in range(3)]
    assert states == ["running", "running", "prepared"]
    assert (hall.played()[-ROUND:] == 2000).all(), "both, from the first frame on"
    rows = desk.ask("streams")["streams"]
    assert [row.get("link") for row in rows] == ["g", "g", None]


@pytest.mark.parametrize("mode", ["play", "play,rec"])
def test_a_pause_of_a_stream_that_is_late_is_answered(hall: Hall, mode: str) -> None:
    """It has nothing to fade: the ramp may not wait for samples."""
    hall.ramps(Ramp(50))
    desk = hall.client()
    both = {"rchan": 2} if "rec" in mode else {}
    desk.open(mode, both, start_mode="data", stop_mode="rollover")
    desk.ask("prepare", stream=0)
    desk.write(0, noise(4 * ROUND))
    hall.step(6)
    assert desk.status()["underrun"] == 1
    asked = desk.send("pause", stream=0)
    hall.step()
    assert desk.answered(asked) and desk.status()["status"] == "paused"
    hall.step(4)
    assert desk.status()["underrun"] == 0, "a paused stream is not late"


def test_what_only_records_pauses_at_once(hall: Hall) -> None:
    desk = hall.client()
    hall.ramps(Ramp(50))
    desk.open("rec", {"pchan": None, "rchan": 2}, start_mode="go", stop_mode="rollover")
    desk.ask("prepare", stream=0)
    hall.step(2)
    assert desk.status()["status"] == "prepared"
    desk.ask("go", stream=0)
    hall.step(2)
    desk.send("pause", stream=0)
    hall.step()
    stood = desk.status()
    assert stood["status"] == "paused" and stood["scount"] >= 2 * ROUND * FRAME
    hall.step(3)
    assert desk.status() == stood
    desk.ask("resume", stream=0)
    hall.step(2)
    assert desk.status()["scount"] == stood["scount"] + 2 * ROUND * FRAME
    assert desk.status()["overrun"] == 0
