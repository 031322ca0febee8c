"""Channel status end to end: a whole daemon and the real engine on a clock that the test moves.

Frames are s16 stereo at 48,000 Hz, played onto a `manual` device, which records
what it plays.  Records are asked for by the protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audiod_protocol.sndio import messages as m
from hall import FRAME, PAR, ROUND, Hall, flat, noise
from native import Refused
from sndiowire import SndioWire

from audiod import channelrecord
from audiod.audiotype import Ramp, Ramps
from audiod.ducking import UNTOUCHED, Suspend, Target
from audiod.engine import Wire
from audiod.listener import peer_of


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Hall]:
    made = Hall(tmp_path)
    yield made
    made.close()


# ---- what is counted ----


def test_scount_wraps_at_the_boundary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channelrecord, "BOUNDARY", 4095)
    hall = Hall(tmp_path, round=100)
    desk = hall.client()
    desk.open(par={"appbufsz": 1000}, start_mode="data", stop_mode="rollover")
    assert desk.status()["scount"] == 0
    desk.ask("prepare", stream=0)
    desk.write(0, noise(400))
    hall.step(4)
    desk.write(0, noise(400))
    hall.step(4)
    desk.write(0, noise(200))
    hall.step(2)
    assert desk.status()["scount"] == 4000
    desk.write(0, noise(100))
    hall.step()
    assert desk.status()["scount"] == 4400 % 4096 == 304
    desk.ask("play_out", stream=0)
    assert desk.status()["scount"] == 304, "until it is prepared"
    desk.ask("prepare", stream=0)
    assert desk.status()["scount"] == 0
    hall.close()


def test_times_are_told_if_wanted_once_there_is_something_to_tell(hall: Hall) -> None:
    desk = hall.client()
    desk.open(start_mode="data")
    assert (record := desk.status())["stime"] is record["ust_stime"] is record["stop_time"] is None
    desk.ask("prepare", stream=0)
    desk.write(0, noise(4 * ROUND))
    hall.step(5)
    assert desk.status()["stime"] is desk.status()["ust_stime"] is None, "they were not wanted"
    assert desk.status()["status"] == "underrun"
    desk.ask("setpar", stream=0, par={}, time=True, ust_time=True)
    first = desk.status()["stop_time"]
    assert first is not None
    desk.ask("prepare", stream=0)
    assert desk.status()["stime"] is None, "nothing was heard yet"
    assert desk.status()["stop_time"] == first, "of the stop before"
    desk.write(0, noise(4 * ROUND))
    for _ in range(6):
        hall.step()
        desk.write(0, noise(ROUND))
    record = desk.status()
    assert record["stime"]["sec"] > 10**9 and 0 <= record["stime"]["usec"] < 10**6
    assert record["ust_stime"] > 0
    assert desk.status()["stop_time"] == first
    desk.send("play_out", stream=0)
    hall.step(8)
    assert desk.status()["status"] == "ready" and desk.status()["stop_time"] != first


def test_each_connection_reads_underruns_of_its_own(hall: Hall) -> None:
    desk, monitor = hall.client(), hall.client("monitor")
    desk.open(start_mode="data", stop_mode="rollover")
    (row,) = hall.core.streams.values()
    desk.ask("prepare", stream=0)
    for _ in range(2):
        desk.write(0, noise(ROUND))
        hall.step(3)
        assert desk.status()["status"] == "running", "it rolls over"
        hall.step()
    late = [desk.status()["underrun"] for _ in range(2)]
    assert late == [0, 0], "read in the loop already"
    assert monitor.ask("status", id=row.id)["record"]["underrun"] == 2
    assert monitor.ask("status", id=row.id)["record"]["underrun"] == 0
    third = hall.client("third")
    assert third.ask("status", id=row.id)["record"]["underrun"] == 2
    for _ in range(2):
        desk.write(0, noise(ROUND))
        hall.step(2)
    assert [desk.status()["underrun"] for _ in range(2)] == [2, 0]
    assert monitor.ask("status", id=row.id)["record"]["underrun"] == 2


def test_stop_stops_until_it_is_prepared_again(hall: Hall) -> None:
    desk = hall.client()
    desk.ask("subscribe", topics=[], events=["state", "underrun"])
    desk.open(start_mode="data", stop_mode="stop")
    desk.ask("prepare", stream=0)
    desk.write(0, noise(2 * ROUND))
    hall.step(4)
    record = desk.status()
    assert (record["status"], record["underrun"], record["scount"]) == ("underrun", 1, 2 * ROUND * FRAME)
    (halted,) = desk.told("onstate")
    assert halted[:2] == [0, "underrun"] and halted[2]["reason"]
    before = len(hall.played())
    desk.write(0, flat(ROUND))
    hall.step(2)
    assert desk.status() == {**record, "underrun": 0}, "what is written is ignored"
    with pytest.raises(Refused, match="EBADFD"):
        desk.ask("pause", stream=0)
    desk.ask("prepare", stream=0)
    assert desk.status()["status"] == "prepared" and desk.status()["scount"] == 0
    desk.write(0, flat(ROUND))
    hall.step(1)
    assert desk.status()["status"] == "running"
    hall.step(3)
    assert np.array_equal(hall.played()[before:][hall.played()[before:, 0] != 0], flat(ROUND))
    changes = [(d["old"], d["new"]) for _, event, d in desk.told("onstatus") if event == "state"]
    once = [("ready", "prepared"), ("prepared", "running"), ("running", "underrun")]
    assert changes == [*once, ("underrun", "prepared"), *once[1:]]
    assert [d["count"] for _, event, d in desk.told("onstatus") if event == "underrun"] == [1, 2]


@pytest.mark.parametrize(("xrun", "shown"), [("ignore", "underrun"), ("sync", "running")])
def test_a_stream_that_was_started_shows_that_it_is_late(hall: Hall, xrun: str, shown: str) -> None:
    desk = hall.client()
    desk.open(par={"xrun": xrun})
    assert desk.status()["status"] == "ready"
    desk.ask("start", stream=0)
    assert desk.status()["status"] == "prepared"
    desk.write(0, noise(4 * ROUND))
    hall.step(4)
    assert desk.status()["status"] == "running"
    hall.step(2)
    assert desk.status()["status"] == shown
    assert hall.client().ask("streams")["streams"][0]["channel"] == shown
    desk.write(0, noise(3 * ROUND))
    hall.step(1)
    assert desk.status()["status"] == "running"
    desk.send("flush", stream=0)
    hall.step(3)
    assert desk.status()["status"] == "ready"


def test_one_that_dies_by_its_policy_is_in_error(hall: Hall) -> None:
    desk = hall.client()
    desk.open(par={"xrun": "error"})
    desk.ask("start", stream=0)
    desk.write(0, noise(4 * ROUND))
    hall.step(6)
    assert desk.status()["status"] == "error"
    with pytest.raises(Refused, match="EPIPE"):
        desk.ask("prepare", stream=0)


def test_overranges_are_counted_by_blocks(hall: Hall) -> None:
    """The device records what it plays: three blocks of it have a sample at full scale."""
    desk = hall.client()
    desk.open("play,rec", {"rchan": 2}, start_mode="data", stop_mode="rollover")
    desk.ask("prepare", stream=0)
    frames = flat(12 * ROUND, 100)
    for block in (2, 3, 5):
        frames[block * ROUND + 7, block % 2] = 32767 if block % 2 else -32768
    for block in range(0, 12, 4):
        desk.write(0, frames[block * ROUND : (block + 4) * ROUND])
        hall.step(4)
    hall.step(4)
    assert [desk.status(channel="rec")["overrange"] for _ in range(2)] == [3, 0]
    assert desk.status(channel="play")["overrange"] == 0
    with pytest.raises(Refused, match="EINVAL"):
        play = hall.client()
        play.open()
        play.status(channel="rec")


def test_count_and_free_are_the_buffer_in_every_state(hall: Hall) -> None:
    desk = hall.client()
    seen: dict[str, tuple[int, int]] = {}

    def look() -> None:
        record = desk.status()
        assert record["count"] + record["free"] == 4 * ROUND * FRAME, record
        assert record["count"] >= 0 and record["free"] >= 0
        seen[record["status"]] = record["count"], record["frag"]

    hall.ramps(Ramp(0))
    desk.open(frag_size=ROUND * FRAME // 2, frags_min=4, start_mode="data")
    look()
    desk.ask("prepare", stream=0)
    desk.write(0, noise(ROUND))
    look()
    desk.write(0, noise(3 * ROUND))
    hall.step()
    look()
    assert seen == {
        "ready": (0, 0),
        "prepared": (ROUND * FRAME, 0),
        "running": (3 * ROUND * FRAME, 2),
    }
    desk.send("pause", stream=0)
    hall.step()
    look()
    assert seen["paused"] == (2 * ROUND * FRAME, 4)
    desk.ask("resume", stream=0)
    desk.channel().obey(Target((0.0,), Suspend.HARD), hall.core.conductor.ramps)
    desk.until("suspended")
    look()
    assert seen["suspended"] == seen["paused"], "before it sounded again"
    desk.channel().obey(UNTOUCHED, hall.core.conductor.ramps)
    hall.step(3)
    look()
    assert seen["underrun"] == (0, 0), "four blocks of two fragments each, of eight"
    desk.ask("setpar", stream=0, par={})
    look()


# ---- parameters, pinned streams, others' streams ----


def test_fragments(hall: Hall) -> None:
    desk = hall.client()
    number = desk.ask("open", mode="play")["stream"]
    got = desk.ask("setpar", stream=number, par=PAR, frag_size=1921, frags_min=2, frags_max=6)
    chan = got["channel"]
    assert chan["frag_size"] == 1924 and chan["frags_max"] == got["par"]["appbufsz"] // 481 == 5
    assert got["par"]["appbufsz"] == 2880, "rounded to blocks"
    assert (chan["start_mode"], chan["stop_mode"], chan["frags_min"]) == ("full", "stop", 2)
    assert desk.ask("getpar", stream=number) == got
    got = desk.ask("setpar", stream=number, par={"appbufsz": 960}, frag_size=2**30, frags_min=9)
    assert got["channel"]["frag_size"] == 960 * FRAME and got["channel"]["frags_min"] == 1


def test_a_pinned_stream_stops_where_others_move(hall: Hall) -> None:
    desk = hall.client()
    number = desk.ask("open", mode="play", pinned=True)["stream"]
    assert desk.status()["status"] == "notready"
    for method, code in (("prepare", "EBADFD"), ("start", "EBADFD")):
        with pytest.raises(Refused, match=code):
            desk.ask(method, stream=number)
    with pytest.raises(Refused, match="EINVAL"):
        desk.ask("force_ducking", stream=number, on=True)
    desk.ask("setpar", stream=number, par=PAR)
    desk.ask("prepare", stream=number)
    desk.write(0, noise(1920))
    hall.step(2)
    (row,) = hall.core.streams.values()
    desk.ask("stream.move", id=row.id, device="1")
    hall.step(3)
    record = desk.status()
    assert record["status"] == "change" and record["status_data"] == {"change": {"from": 0, "to": 1}}
    (halted,) = desk.told("onstate")
    assert halted[1] == "change" and halted[2]["to"] == 1
    desk.write(0, noise(100))  # it cannot know yet
    with pytest.raises(Refused, match="EBADFD"):
        desk.ask("prepare", stream=number)
    desk.ask("setpar", stream=number, par={})
    assert desk.status()["status"] == "ready" and desk.status()["status_data"] == {}
    desk.ask("stream.move", id=row.id, device="0")
    desk.ask("setpar", stream=number, par={})
    desk.ask("prepare", stream=number)
    assert desk.status()["status"] == "prepared"


def test_a_stream_that_is_not_pinned_keeps_its_state(hall: Hall) -> None:
    desk = hall.client()
    desk.ask("subscribe", topics=[], events=["route", "state"])
    desk.open(stop_mode="rollover", start_mode="data")
    desk.ask("prepare", stream=0)
    desk.write(0, noise(1920))
    hall.step(1)
    (row,) = hall.core.streams.values()
    desk.ask("stream.move", id=row.id, device="1")
    assert desk.status()["status"] == "running"
    assert [d for _, event, d in desk.told("onstatus") if event == "route"] == [
        {"device": 1, "subdevice": "1"}
    ]


def test_the_status_of_a_program_of_sndio(hall: Hall) -> None:
    """Seen by a monitor on audiod's own protocol; its own wire shows nothing."""
    listening = hall.house._listening
    wire = SndioWire(hall.house.path)
    sock, _ = listening.accept()
    hall.house.dispatch.accept(sock, peer_of(sock), Wire.SNDIO)
    hall.clients.append(wire)
    monitor = hall.client("monitor")

    def say(*messages: m.Message | bytes) -> list[Any]:
        wire.send(*messages)
        hall.settle()
        return list(wire.messages())

    def seen() -> tuple[str, int]:
        (row,) = monitor.ask("streams")["streams"]
        record = monitor.ask("status", id=row["id"])["record"]
        assert row["channel"] == record["status"] and record["count"] + record["free"] == 1920 * FRAME
        return record["status"], record["count"] // FRAME

    wire.greet()
    hall.settle()
    wire.messages()
    say(m.Setpar(m.WirePar(bits=16, bps=2, sig=True, le=True, pchan=2, rate=48000, appbufsz=1920)))
    assert seen() == ("ready", 0)
    say(m.Start())
    assert seen() == ("prepared", 0)
    block = noise(ROUND).tobytes()
    for _ in range(4):
        say(m.Data(len(block)), block)
    assert seen() == ("prepared", 1920)
    hall.step(2)
    assert seen() == ("running", 960)
    hall.step(3)
    assert seen() == ("underrun", 0), "late, by its policy"
    say(m.Data(len(block)), block, m.Data(len(block)), block)
    hall.step()
    assert seen() == ("running", 480)
    (row,) = hall.core.streams.values()
    row.channel.obey(Target((0.0,), Suspend.HARD), Ramps(ducking=Ramp(0)))
    say(m.Data(len(block)), block)
    before = len([one for one in wire.seen if isinstance(one, m.Move)])
    hall.step(4)
    assert seen() == ("suspended", 480)
    wire.messages()
    assert len([one for one in wire.seen if isinstance(one, m.Move)]) <= before + 1, "it simply stands still"
    row.channel.obey(UNTOUCHED, Ramps())
    assert seen()[0] == "running"
    say(m.Stop(True))
    hall.step(4)
    assert seen() == ("ready", 0)
