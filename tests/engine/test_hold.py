"""Streams that stand still and run on.

A hold fades out in whole blocks; not a frame is taken, recorded or missed until
the stream runs on.
"""

from pathlib import Path

import numpy as np
import pytest
from ramps import ones, way
from rig import AUTOVOL, F32, MON, PLAY, REC, Second, Source, move, noise, rig

from audiod.engine import (
    DeviceStarted,
    DeviceStopped,
    StreamHeld,
    StreamJoined,
    StreamState,
    Xrun,
)

ROUND, BUFSZ = 480, 1920
IGNORE, SYNC, ERROR = 0, 1, 2
HELD, RUNNING = StreamState.HELD, StreamState.RUNNING


def state(source: Source) -> StreamState:
    return source.stream.stats().state


@pytest.mark.parametrize("nframes", [0, 300, 480, 1440, 1500])
def test_a_held_stream_loses_nothing(tmp_path: Path, nframes: int) -> None:
    """Every frame is heard once and in order: but for the fades, as bits."""
    with rig(tmp_path) as r:
        data = noise(24000)
        source = r.stream(data)
        other = r.stream(np.zeros((24000, 2)))
        r.step(6)
        source.stream.aim(nframes=nframes, hold=True)
        fade = -(-max(nframes, 1) // ROUND)
        r.step(fade)
        assert state(source) == HELD
        before = source.stream.stats()
        r.step(9)
        held = source.stream.stats()
        assert before == held, "nothing of it moves"
        source.stream.aim(nframes=nframes)
        r.step(fade + 5)
        out, gap = r.played(), slice((6 + fade) * ROUND, (15 + fade) * ROUND)
        assert not out[gap].any()
        heard = np.delete(out, gap, axis=0)
        clean = np.ones(len(heard), bool)
        clean[6 * ROUND : (6 + fade) * ROUND + max(nframes, ROUND)] = False
        assert np.array_equal(heard[clean], data[: len(heard)][clean])
        down = 1 - way([], fade * ROUND)[:, None]
        fading = heard[6 * ROUND : (6 + fade) * ROUND]
        assert np.max(np.abs(fading - data[6 * ROUND : (6 + fade) * ROUND] * down)) <= 1
        assert source.stream.stats().xruns == 0 and state(other) == RUNNING
        assert r.told(StreamHeld) == [StreamHeld(1, 1)]


def test_alone_it_is_copied_again_afterwards_and_the_device_rests_meanwhile(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        data = noise(24000)
        source = r.stream(data)
        r.step(5)
        source.stream.aim(hold=True)
        r.step(12)
        assert not r.device.stats().running and r.device.stats().streams == 1
        assert [type(e) for e in r.told(DeviceStarted, DeviceStopped)] == [DeviceStarted, DeviceStopped]
        at = source.stream.stats().consumed
        assert at == 6 * ROUND
        source.stream.aim()
        r.step(8)
        assert source.stream.stats().bypass
        assert source.stream.stats().consumed == at + 8 * ROUND
        assert np.array_equal(r.played()[-7 * ROUND :], data[at + ROUND : at + 8 * ROUND])


def test_duplex_stands_still_on_both_sides_and_stays_aligned(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        data = noise(48000)
        source = r.stream(data, flags=PLAY | REC)
        r.stream(np.zeros((48000, 2)), flags=PLAY)
        r.step(10)
        source.stream.aim(hold=True)
        r.step(1)
        before = source.stream.stats()
        r.step(9)
        assert source.stream.stats() == before
        source.stream.aim()
        r.step(20)
        got = source.recorded()
        at = len(got) - 5 * ROUND
        assert at > before.captured + BUFSZ
        assert np.array_equal(got[at:], data[at : len(got)]), "recorded n is played n"


@pytest.mark.parametrize("flags", [REC, MON])
def test_a_recording_stands_still_at_once(tmp_path: Path, flags) -> None:
    with rig(tmp_path) as r:
        data = noise(48000)
        r.stream(data)
        recorder = r.stream(flags=flags)
        r.step(10)
        recorder.stream.aim(nframes=4800, hold=True)
        n = len(recorder.recorded())
        r.step(5)
        assert len(recorder.recorded()) == n and state(recorder) == HELD
        recorder.stream.aim()
        r.step(5)
        got = recorder.recorded()
        assert len(got) == n + 5 * ROUND, "goes on with the block of the next cycle"
        first = 15 * ROUND - BUFSZ  # what is heard was mixed a buffer earlier
        assert np.array_equal(got[n:], data[first : first + 5 * ROUND])


def test_an_aim_while_it_is_held_changes_where_it_returns_to(tmp_path: Path) -> None:
    with rig(tmp_path, F32) as r:
        source = r.stream(ones(48000), enc=F32)
        r.stream(np.zeros((48000, 2)), enc=F32)
        r.step(4)
        source.stream.aim([0.5], hold=True)
        r.step(3)
        source.stream.aim([0.25], hold=True)
        r.step(3)
        assert state(source) == HELD and r.told(StreamHeld) == [StreamHeld(1, 1), StreamHeld(1, 2)]
        source.stream.stop(drain=True)
        r.step(3)
        out = r.played()[:, 0]
        assert not out[5 * ROUND : 10 * ROUND].any() and np.all(out[11 * ROUND : 13 * ROUND] == 0.25)


def test_a_hold_taken_back_on_its_way_never_was(tmp_path: Path) -> None:
    with rig(tmp_path, F32) as r:
        source = r.stream(ones(48000), enc=F32)
        r.step(4)
        source.stream.aim(nframes=4800, hold=True)
        r.step(5)
        source.stream.aim([0.75], nframes=480)
        r.step(8)
        out = r.played()[:, 0]
        assert np.max(np.abs(np.diff(out))) < 0.002 and np.all(out[10 * ROUND :] == 0.75)
        assert r.told(StreamHeld) == [] and source.stream.stats().consumed == 17 * ROUND


def test_held_within_one_block_and_let_go_it_is_not_held(tmp_path: Path) -> None:
    with rig(tmp_path, F32) as r:
        source = r.stream(ones(48000), enc=F32)
        r.stream(np.zeros((48000, 2)), enc=F32)
        r.step(4)
        source.stream.aim(hold=True)
        r.step(2)
        source.stream.aim()
        source.stream.aim(hold=True)
        r.step(4)
        assert state(source) == HELD
        assert r.told(StreamHeld)[-1] == StreamHeld(1, 3), "the last is told, whatever was between"


def test_one_that_misses_frames_is_held_at_once_and_misses_no_more(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        source = r.stream(noise(48000))
        r.stream(np.zeros((48000, 2)))
        r.step(4)
        for _ in range(6):
            r.device.step(1)
            r.sources[1].feed()
        assert source.stream.stats().lost == 2 * ROUND
        source.stream.aim(nframes=48000, hold=True)
        for _ in range(6):
            r.device.step(1)
            r.sources[1].feed()
        assert state(source) == HELD and source.stream.stats().lost == 2 * ROUND
        assert len(r.told(Xrun)) == 1


def test_it_runs_dry_on_its_way_and_is_held_then(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        source = r.stream(noise(BUFSZ))
        r.stream(np.zeros((48000, 2)))
        r.step(2)
        source.stream.aim(nframes=48000, hold=True)
        r.step(3)
        assert state(source) == HELD and source.stream.stats().consumed == BUFSZ


@pytest.mark.parametrize("xrun", [IGNORE, SYNC, ERROR])
def test_no_policy_finds_an_xrun_in_one_that_is_held(tmp_path: Path, xrun: int) -> None:
    with rig(tmp_path) as r:
        source = r.stream(noise(BUFSZ + ROUND), flags=PLAY | REC, xrun=xrun)
        r.stream(np.zeros((48000, 2)))
        r.step(1)
        source.stream.aim(hold=True)
        for _ in range(20):
            r.device.step(1)  # nobody writes, nobody reads
            r.sources[1].feed()
        assert state(source) == HELD and source.stream.stats().xruns == 0
        source.stream.aim()
        for _ in range(2):
            r.device.step(1)
            r.sources[1].feed()
        assert source.stream.stats().xruns == 0 and state(source) == RUNNING


def test_flushed_it_ends_at_once(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        source = r.stream(noise(9600))
        r.step(4)
        source.stream.aim(hold=True)
        r.step(10)
        assert not r.device.stats().running
        source.stream.stop(drain=False)
        r.device.step(1)
        assert r.released() == {1} and r.device.stats().streams == 0


@pytest.mark.parametrize("rate", [44100, 48000])
def test_drained_it_plays_what_it_has_left(tmp_path: Path, rate: int) -> None:
    with rig(tmp_path, F32) as r:
        source = r.stream(ones(9600), enc=F32, rate=rate, appbufsz=9600)
        r.step(4)
        source.stream.aim([0.5], hold=True)
        r.step(10)
        assert not r.device.stats().running
        r.drain()
        assert source.stream.stats().consumed == 9600
        out = r.played()[:, 0]
        heard = np.flatnonzero(out > 0.49)
        assert len(heard) > 8000 and np.all(out[14 * ROUND : 18 * ROUND] < 0.51)


def test_stopped_while_it_fades_it_turns_round(tmp_path: Path) -> None:
    with rig(tmp_path, F32) as r:
        source = r.stream(ones(9600), enc=F32, appbufsz=9600)
        r.step(4)
        source.stream.aim(nframes=1920, hold=True)
        r.step(2)
        r.drain()
        out = r.played()[:9600, 0]
        assert source.stream.stats().consumed == 9600 and r.told(StreamHeld) == []
        assert np.max(np.abs(np.diff(out))) < 0.002 and out[-1] == 1


def test_volume_and_master_of_one_that_is_held_are_there_when_it_runs_on(tmp_path: Path) -> None:
    with rig(tmp_path, F32) as r:
        source = r.stream(ones(48000), enc=F32)
        r.stream(np.zeros((48000, 2)), enc=F32)
        r.step(2)
        source.stream.aim(hold=True)
        r.step(2)
        source.stream.setvol(109)
        r.device.setgain(0.5)
        r.step(2)
        source.stream.aim(nframes=480)
        r.step(2)
        out = r.played()[6 * ROUND :, 0]
        assert np.max(np.abs(out[:ROUND] - 0.25 * way([], ROUND))) < 1e-6 and np.all(out[ROUND:] == 0.25)


def test_two_hundred_of_them_stop_and_go_together(tmp_path: Path) -> None:
    with rig(tmp_path, F32) as r:
        sources = [r.stream(ones(96000, 1) / 256, enc=F32) for _ in range(200)]
        r.step(2)
        for _ in range(5):
            for s in sources[:199]:
                s.stream.aim(nframes=480, hold=True)
            r.step(3)
            assert sum(state(s) == HELD for s in sources) == 199
            assert np.all(r.played()[-ROUND:] == 1 / 256)
            for s in sources[:199]:
                s.stream.aim(nframes=480)
            r.step(3)
            assert np.all(r.played()[-ROUND:] == 200 / 256)
            r.events()
        assert len(r.told(StreamHeld)) == 5 * 199
        assert {s.stream.stats().consumed for s in sources[:199]} == {(2 + 5 * 4) * ROUND}


def test_one_that_is_held_takes_no_share_of_what_plays(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        for _ in range(2):
            r.stream(np.full((48000, 2), 20000), flags=PLAY | AUTOVOL)
        r.step(4)
        r.sources[0].stream.aim(hold=True)
        r.step(4)
        assert np.all(r.played()[6 * ROUND :] == 20000)
        r.sources[0].stream.aim(nframes=480)
        r.step(4)
        out = r.played()[:, 0].astype(int)
        assert np.all(out[10 * ROUND :] == 20000) and np.max(np.abs(np.diff(out))) < 140


def test_what_is_aimed_together_is_taken_in_one_cycle(tmp_path: Path) -> None:
    """Two that cancel each other are held and let go time and again, while blocks pass between the calls."""
    with rig(tmp_path) as r:
        data = noise(96000, scale=0.4)
        a, b = r.stream(data), r.stream(-data)
        ends = r.stream(np.full((96000, 2), 1), appbufsz=96000)
        r.step(3)
        for gains, hold in ([], True), ([], False), ([0.5], True), ([0.25], False), ([1], True), ([1], False):
            with r.engine.together():
                a.stream.aim(gains, nframes=600, hold=hold)
                before = a.stream.stats()
                r.step(2)
                assert a.stream.stats().state == before.state
                b.stream.aim(gains, nframes=600, hold=hold)
                r.step(1)
            r.step(4)
            assert state(a) == state(b) == (HELD if hold else RUNNING)
        assert np.all(np.abs(r.played() - 1) <= 1), "in step to the frame"
        assert a.stream.stats().consumed == b.stream.stats().consumed
        assert [e.aim for e in r.told(StreamHeld)] == [1, 1, 3, 3, 5, 5] and state(ends) == RUNNING


def test_what_is_kept_back_is_replaced_and_moves_and_ends_like_any_other(tmp_path: Path) -> None:
    with rig(tmp_path, F32) as r:
        to = Second(r, tmp_path)
        moving, ending = (r.stream(ones(48000), enc=F32) for _ in range(2))
        r.step(2)
        with r.engine.together():
            moving.stream.aim([0.5])
            r.step(1)
            moving.stream.aim([0.25])
            ending.stream.aim([0.5], hold=True)
            move(r, to)
            ending.stream.stop(drain=False)
            for _ in range(4):
                r.device.step(1)
                to.device.step(1)
                moving.feed()
            assert np.all(to.played()[480 : 4 * 480] == 32767)
        for _ in range(3):
            to.device.step(1)
            moving.feed()
        assert np.all(to.played()[5 * 480 :] == 8192)
        assert 2 in r.released() and r.told(StreamHeld) == []
        to.device.close()


def test_a_device_that_rests_hears_of_the_end_of_a_gathering(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        source = r.stream(noise(9600))
        r.step(2)
        source.stream.aim(hold=True)
        r.step(8)
        assert not r.device.stats().running
        with r.engine.together():
            source.stream.aim()
        for _ in range(200_000):
            if r.device.stats().running:
                break
        assert r.device.stats().running
        r.step(1)
        assert state(source) == RUNNING


def test_news_that_control_has_no_room_for_are_told_later(tmp_path: Path) -> None:
    with rig(tmp_path, round=48, bufsz=192) as r:
        sources = [r.stream(noise(96, 1), appbufsz=96) for _ in range(1200)]
        for s in sources:
            s.stream.aim(hold=True)
        r.device.step(2)
        r.device.step(8)  # more than the ring of events holds, and the device stops
        r.wait(lambda: len(r.told(StreamHeld)) == 1200)  # nothing wakes it but itself
        assert sorted(e.stream for e in r.told(StreamHeld)) == list(range(1, 1201))
        assert sorted(e.stream for e in r.told(StreamJoined)) == list(range(1, 1201))
