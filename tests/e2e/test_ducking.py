"""Ducking with the real engine, block by block: what is left of streams, ramps, suspension, resume, forcing.

The daemon is whole, its device moves by the test alone (tests/plain.py); samples
are read back from what the device has played.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from audiod_protocol.channel import Ducking, Status
from duckdesk import ROUND, Desk
from native import Refused

from audiod.ducking import Member, decide

POLICY = """\
[[audio_type]]
name = "call"
duck_lower_prio_percent = 0

[[audio_type]]
name = "voice"
duck_lower_prio_percent = 50

[[audio_type]]
name = "nav"
duck_same_prio_percent = 0
duck_lower_prio_percent = 20
preemptable = true

[[audio_type]]
name = "alert"
prio = "same"
duck_same_prio_percent = 0
duck_lower_prio_percent = 20
preemptable = true

[[audio_type]]
name = "music"
preemptable = true

[[audio_type]]
name = "film"
prio = "same"
preemption_by_higher = "pause"

[[audio_type]]
name = "beep"
prio = "same"
"""
RAMPS = """\
[[vol_ramp]]
name = "ducking"
duration = 60
profile = "20:10,60:80,20:10"

[[vol_ramp]]
name = "pause_resume"
duration = 0

[[vol_ramp]]
name = "volume_mute"
duration = 20
"""


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path, POLICY + RAMPS)
    yield made
    made.close()


def level(value: int) -> np.ndarray:
    """Two seconds of a constant."""
    return np.full(96000, value)


# ---- what is left -----------------------------------------------------------------------


def test_what_is_left_is_heard_after_the_ramp(desk: Desk) -> None:
    music = desk.plays("music", level(10000))
    nav = desk.plays("nav", level(2000))
    voice = desk.plays("voice", level(100))
    desk.step(10)
    assert (music.left, nav.left, voice.left) == ([0.1], [0.5], [1.0])
    assert desk.heard()[-1].tolist() == [1000 + 1000 + 100] * 2
    assert music.row["ducking"]["why"] == (
        f"voice (stream {voice.row['id']}) leaves 50%; nav (stream {nav.row['id']}) leaves 20%"
    )
    assert music.row["ducking"]["ducked_by"] == [voice.row["id"], nav.row["id"]]
    voice.do("play_out")
    desk.step(20)
    assert (music.left, nav.left) == ([0.2], [1.0])
    assert desk.heard()[-1].tolist() == [2000 + 2000] * 2


def curve(time: float) -> float:
    return float(np.interp(time, [0, 0.2, 0.8, 1], [0, 0.1, 0.9, 1]))


@pytest.mark.parametrize("blocks", [8, 3])
def test_a_ramp_is_the_curve_of_the_policy_and_turns_where_it_is(desk: Desk, blocks: int) -> None:
    """Down in 60 ms, sample by sample; called back after `blocks`, up from there."""
    music = desk.plays("music", level(10000))
    desk.step(2)
    voice = desk.player("voice").prepare()
    desk.step(blocks)
    voice.do("discard")
    desk.step(12)
    heard = desk.heard()[:, 0].astype(float)
    first = int(np.flatnonzero(heard[:-1] == 10000)[0])
    moving = np.flatnonzero(heard[first:] < 9999.5) + first
    begun = int(moving[0]) // ROUND * ROUND
    joined = 3 * ROUND  # music joined in the first block, voice after three
    assert 0 <= begun - joined <= 2 * ROUND, "it begins within a block of the decision"
    fall = np.array([10000 - 5000 * curve((i + 1) / 2880) for i in range(ROUND * 2)])
    assert np.abs(heard[begun : begun + len(fall)] - fall).max() <= 12  # of 8.3 a frame at the steepest
    lowest = heard[begun:].min()
    assert lowest == 5000 if blocks == 8 else lowest > 5000
    steps = np.abs(np.diff(heard[first:]))
    assert steps.max() <= 12, "no jump, not where it turns either"
    assert heard[-1] == 10000 and music.left == [1.0]


def test_another_type_counts_at_once(desk: Desk) -> None:
    music, other = desk.plays("music"), desk.player("beep")
    other.do("setpar", par={}, type="voice")
    other.prepare()
    desk.step()
    assert music.left == [0.5] and other.row["type"] == "voice"


def test_an_unknown_type_is_refused_with_those_that_there_are(desk: Desk) -> None:
    with pytest.raises(Refused, match="there is no audio type 'gong'") as caught:
        desk.ask("open", mode="play", type="gong")
    assert caught.value.code == "EINVAL"
    assert caught.value.hint == "there are call, voice, nav, alert, music, film, beep; or leave it out"
    stream = desk.player("NAV")
    with pytest.raises(Refused, match="gong"):
        stream.do("setpar", par={}, type="gong")
    assert stream.row["type"] == "nav"
    assert desk.player(None).row["type"] == "beep"  # the last one


def test_without_a_policy_a_type_is_kept_and_shown(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "")
    one, two = desk.plays("gong", level(1000)), desk.plays("voice", level(1))
    desk.step(3)
    assert one.row["type"] == "gong" and one.row["ducking"] is None and one.bits == Ducking(0)
    assert desk.heard()[-1].tolist() == [1001, 1001]
    assert two.row["type"] == "voice" and desk.ask("ducking")["order"] is None
    assert desk.ask("status")["ducking"] is None
    desk.close()


def test_streams_of_a_link_group_are_one_and_recording_acts_on_nobody(desk: Desk) -> None:
    music = desk.plays("music", link="film")
    desk.player("voice", link="film").prepare()
    other = desk.plays("music")
    assert (music.left, other.left) == ([1.0], [0.5])
    desk.step(5)
    recorder = desk.ask("open", mode="rec", type="call")["stream"]
    desk.ask("prepare", stream=recorder)
    desk.step(2)
    assert other.left == [0.5]


def test_a_stream_starts_with_what_is_left_of_it_without_a_ramp(desk: Desk) -> None:
    desk.plays("voice")
    desk.step(3)
    desk.plays("beep", level(10000))
    desk.step(3)
    heard = desk.heard()[:, 0]
    assert set(heard[np.flatnonzero(heard)].tolist()) == {5000}


# ---- suspension ---------------------------------------------------------------------------


def test_a_suspended_stream_consumes_nothing_and_loses_nothing(desk: Desk) -> None:
    """What it plays, cut where it waited, is whole: each frame once, at full level but for the two ramps."""
    count = np.arange(1, 15001)
    music = desk.plays("music", count)
    desk.step(5)
    call = desk.player("call").prepare()
    desk.step(8)  # the ramp takes six
    assert music.status is Status.SUSPENDED and music.bits == Ducking.HARD_SUSPENDED
    still = music.record
    desk.step(10)
    now = music.record
    assert [now[k] for k in ("scount", "count", "frag", "underrun", "stop_time")] == [
        still[k] for k in ("scount", "count", "frag", "underrun", "stop_time")
    ]
    assert now["stop_time"] is not None
    call.do("discard")
    desk.step(16)
    assert music.status is Status.RUNNING
    heard = desk.heard()[:, 0].astype(int)
    taken = still["scount"] // 4
    begun = int(np.flatnonzero(heard)[0])
    fell = taken - 6 * ROUND  # frames before the ramp
    assert heard[begun : begun + fell].tolist() == count[:fell].tolist()
    again = int(np.flatnonzero(heard[begun + taken :])[0]) + begun + taken
    again = again // ROUND * ROUND
    assert again - (begun + taken) >= 10 * ROUND and not heard[begun + taken : again].any()
    rose = heard[again : again + 6 * ROUND]
    assert (rose <= count[taken : taken + 6 * ROUND]).all()
    part = rose[1000:] / count[taken + 1000 : taken + 6 * ROUND]
    wanted = [curve((i + 1) / 2880) for i in range(1000, 2880)]
    assert np.abs(part - wanted).max() < 0.003, "frame n is where it would be, on its way up"
    rest = heard[again + 6 * ROUND :]
    assert len(rest) > 5 * ROUND
    assert rest.tolist() == count[taken + 6 * ROUND :][: len(rest)].tolist()


def test_one_that_is_called_back_on_its_way_down_never_stood_still(desk: Desk) -> None:
    count = np.full(20000, 10000)
    music = desk.plays("music", count)
    desk.step(2)
    call = desk.player("call").prepare()
    desk.step(4)
    call.do("discard")
    desk.step(12)
    heard = desk.heard()[ROUND:, 0].astype(float)
    assert music.status is Status.RUNNING and heard[-1] == 10000 and 0 < heard[ROUND:].min() < 9000
    assert np.abs(np.diff(heard[ROUND:])).max() <= 20
    states = [m for m in desk.events(music, "state") if m["new"] == "suspended"]
    assert not states and music.record["scount"] == desk.plain.device.stats().position * 4


def test_a_stream_that_starts_into_a_suspension_loses_nothing_either(desk: Desk) -> None:
    count = np.arange(1, 15001)
    call = desk.plays("call")
    music = desk.player("music", count).prepare()
    desk.step(10)
    assert music.status is Status.SUSPENDED and music.bits == Ducking.HARD_SUSPENDED
    assert music.record["scount"] == 0 and music.record["count"] == 1920 * 4
    call.do("discard")
    desk.step(14)
    assert music.status is Status.RUNNING
    heard = desk.heard()[:, 0].astype(int)
    begun = int(np.flatnonzero(heard)[0]) // ROUND * ROUND
    after = heard[begun + 6 * ROUND :]
    assert len(after) > 4 * ROUND and after.tolist() == count[6 * ROUND :][: len(after)].tolist()


def test_hard_resume_leaves_it_suspended_and_takes_back_a_pause(desk: Desk) -> None:
    music = desk.plays("music")
    call = desk.plays("call")
    desk.step(8)
    music.do("pause")
    assert music.bits == Ducking.HARD_SUSPENDED | Ducking.PAUSED
    music.do("resume")
    assert music.status is Status.SUSPENDED and music.bits == Ducking.HARD_SUSPENDED
    with pytest.raises(Refused) as caught:
        music.do("play_out")
    assert caught.value.code == "EAGAIN"
    call.do("discard")
    desk.step(2)
    assert music.status is Status.RUNNING


def test_soft_resume_runs_at_once_and_suspends_the_other(desk: Desk) -> None:
    nav, alert = desk.plays("nav", level(1000)), desk.plays("alert", level(10))
    desk.step(8)
    assert nav.status is Status.SUSPENDED and nav.bits == Ducking.SOFT_SUSPENDED
    assert alert.bits == Ducking.ACTIVE
    nav.do("resume")
    assert nav.status is Status.RUNNING
    desk.step(8)
    assert alert.status is Status.SUSPENDED and alert.bits == Ducking.SOFT_SUSPENDED
    assert nav.bits == Ducking.ACTIVE and desk.heard()[-1].tolist() == [1000, 1000]
    nav.do("discard")
    desk.step(10)
    assert alert.status is Status.RUNNING and desk.heard()[-1].tolist() == [10, 10]


def test_a_pause_while_it_is_suspended_holds_afterwards_and_no_frame_is_lost(desk: Desk) -> None:
    count = np.arange(1, 12001)
    music = desk.plays("music", count)
    call = desk.plays("call")
    desk.step(8)
    taken = music.record["scount"] // 4
    music.do("pause")
    call.do("discard")
    desk.step(3)
    assert music.status is Status.PAUSED and not music.bits
    assert music.record["scount"] // 4 == taken
    music.do("resume")
    desk.step(6)
    heard = desk.heard()[:, 0].astype(int)
    at = int(np.flatnonzero(heard)[-1])
    assert heard[at] == count[taken + 6 * ROUND - 1], "the last block ends where it must"
    assert heard[at - 4 * ROUND + 1 : at + 1].tolist() == count[: taken + 6 * ROUND][-4 * ROUND :].tolist()


def test_a_type_may_be_paused_instead(desk: Desk) -> None:
    desk.ask("subscribe", topics=[], events=["state"])
    film = desk.plays("film", level(1000))
    call = desk.plays("call")
    desk.step(8)
    assert film.bits == Ducking.HARD_SUSPENDED | Ducking.PAUSED
    call.do("discard")
    desk.step(3)
    assert film.status is Status.PAUSED
    film.do("resume")
    desk.step(3)
    assert film.status is Status.RUNNING and desk.heard()[-1].tolist() == [1000, 1000]
    told = [(e["old"], e["new"], e["flags"]) for e in desk.events(film, "state")]
    assert told[2:] == [
        ("running", "suspended", ["hard", "autopause"]),
        ("suspended", "paused", ["hard", "autopause"]),
        ("paused", "running", []),
    ]


def test_what_cannot_be_preempted_plays_on_in_silence(desk: Desk) -> None:
    desk.ask("subscribe", topics=[], events=["mute"])
    beep = desk.plays("beep", level(1000))
    call = desk.plays("call")
    desk.step(8)
    assert beep.status is Status.RUNNING and beep.bits == Ducking.ACTIVE | Ducking.MUTE_BY_HIGHER
    before = beep.record["scount"]
    desk.step(2)
    assert beep.record["scount"] == before + 2 * ROUND * 4 and not desk.heard()[-1].any()
    call.do("discard")
    desk.step(8)
    assert beep.bits == Ducking.ACTIVE and desk.heard()[-1].tolist() == [1000, 1000]
    assert desk.events(beep, "mute") == [
        {"mute": True, "by": ["higher"]},
        {"mute": False, "by": ["higher"]},
    ]


def test_two_types_of_one_priority_and_a_higher_one(desk: Desk) -> None:
    """Lifted by the higher one, the last of its priority goes on, the first waits on."""
    nav, alert, call = desk.plays("nav"), desk.plays("alert"), desk.plays("call")
    desk.step(8)
    assert nav.status is alert.status is Status.SUSPENDED
    call.do("discard")
    desk.step(8)
    assert nav.bits == Ducking.SOFT_SUSPENDED and alert.bits == Ducking.ACTIVE
    alert.do("discard")
    desk.step(8)
    assert nav.bits == Ducking.ACTIVE


# ---- forced -------------------------------------------------------------------------------


def test_forced_ducking(desk: Desk) -> None:
    music = desk.plays("music", level(1000))
    phone = desk.player("voice")
    phone.do("force_ducking", on=True)
    desk.step(8)
    assert phone.bits == Ducking.FORCED_ACTIVE and phone.status is Status.READY
    assert desk.heard()[-1].tolist() == [500, 500]
    phone.do("force_ducking", on=False)
    desk.step(8)
    assert desk.heard()[-1].tolist() == [1000, 1000] and music.left == [1.0]
    phone.do("setpar", par={}, type="call")
    phone.do("force_ducking", on=True)
    desk.step(8)
    assert music.status is Status.SUSPENDED, "a preemption comes in as well"
    phone.do("close")
    desk.step(2)
    assert music.status is Status.RUNNING
    number = desk.ask("open", mode="play", pinned=True)["stream"]
    with pytest.raises(Refused) as caught:
        desk.ask("force_ducking", stream=number, on=True)
    assert caught.value.code == "EINVAL"


# ---- many ---------------------------------------------------------------------------------


def test_two_hundred_streams_with_changing_types(desk: Desk) -> None:
    """What is heard is the sum of what the pure policy leaves of each, whoever becomes what."""
    kinds = ["beep", "nav", "music", "alert", "voice", "music", "beep"]
    one = level(100)
    players = [desk.player(kinds[n % 2 * 2], one, link="g" if n % 50 == 7 else None) for n in range(200)]
    for player in players:
        player.prepare()
    desk.step(2)
    conductor = desk.plain.dispatch.conductor
    assert conductor.policy is not None
    rows = desk.plain.dispatch.core.streams
    seen = set()
    for turn in range(8):
        changing = players[turn * 13 :: 29]
        for player in changing:
            player.do("discard")
        desk.step(2)
        for n, player in enumerate(changing):
            player.do("setpar", par={}, type=kinds[(turn + n) % len(kinds)])
            desk.granted[player.number] = player.at = 0
            player.prepare()
        desk.step(9)  # a ramp is six
        members = [
            Member(
                row.id,
                row.type,
                since=row.channel.since,
                link=row.channel.link,
                paused=row.channel.paused,
            )
            for row in rows.values()
        ]
        told = decide(conductor.policy, members)
        assert {ident: row.channel.target for ident, row in rows.items()} == told
        total = 0.0
        for ident, row in rows.items():
            waits = bool(told[ident].suspend)
            assert row.channel.place.status is (Status.SUSPENDED if waits else Status.RUNNING)
            total += 0 if waits else 100 * (told[ident].gains or (1.0,))[0]
        assert desk.heard()[-1, 0] == pytest.approx(total, abs=1)
        seen.add(round(total))
    assert len(seen) > 4, "it does change"


# ---- who is told --------------------------------------------------------------------------


def test_events_of_state_and_ducking(desk: Desk) -> None:
    told = desk.ask("subscribe", topics=["ducking"], events=["state", "ducking"])
    assert told == {"topics": ["ducking"], "events": ["ducking", "state"]}
    music = desk.plays("music")
    call = desk.plays("call")
    desk.step(8)
    call.do("discard")
    desk.step(2)
    states = [(e["old"], e["new"], e["flags"]) for e in desk.events(music, "state")]
    assert states[-2:] == [("running", "suspended", ["hard"]), ("suspended", "running", ["hard"])]
    first, *_, last = desk.events(music, "ducking")
    assert first["ducked_by"] == [call.row["id"]] and first["why"].endswith("by a higher priority")
    assert last == {"ducking_state": 1, "ducked_by": [], "why": ""}
    active = [
        [one["type"] for one in m[2][1]["active"]]
        for m in desk.wire.seen
        if m[:2] == [2, "changed"] and m[2][0] == "ducking"
    ]
    assert active == [["music"], ["call"], ["music"]]


def test_the_question_who_is_active(desk: Desk) -> None:
    desk.plays("music"), desk.plays("music"), desk.plays("voice")
    answer = desk.ask("ducking")
    assert answer["order"] == "call > voice > nav = alert > music = film = beep"
    (device,) = answer["devices"]
    assert [(one["type"], one["prio"], one["streams"]) for one in device["active"]] == [
        ("voice", 3, [3]),
        ("music", 1, [1, 2]),
    ]
    assert desk.ask("status")["ducking"] == {"order": answer["order"], "ducked": 2}
    assert answer["ramps"][2] == {"name": "ducking", "duration": 60, "profile": "20:10,60:80,20:10"}


# ---- the decision reaches the engine in the same turn ------------------------------------------


def test_a_decision_reaches_the_engine_in_the_turn_of_its_event(desk: Desk) -> None:
    """The stream has joined in a cycle; the engine has the new gains before the next."""
    music = desk.plays("music", level(10000))
    desk.step(2)
    desk.player("voice").prepare()
    before = len(desk.heard())
    desk.step(1)  # in it voice joins
    desk.step(1)
    heard = desk.heard()[before:, 0]
    assert (heard[:ROUND] == 10000).all() and heard[-1] < 10000
    assert music.left == [0.5]


def test_volumes_go_by_the_ramp_of_volume_mute(desk: Desk) -> None:
    desk.plays("music", level(10000))
    desk.step(2)
    desk.ask("control.set", name="output.mute", value=1)
    before = len(desk.heard())
    desk.step(3)
    heard = desk.heard()[before:, 0].astype(float)
    fall = [10000 * (1 - (i + 1) / 960) for i in range(960)]
    assert np.abs(heard[:960] - fall).max() <= 12
    assert not heard[960:].any()
