"""What a started stream waits for before it joins its device."""

from pathlib import Path

import numpy as np
import pytest
from ramps import ones
from rig import F32, PLAY, REC, Rig, Second, Source, move, noise, rig

from audiod.engine import EngineError, StartMode, StreamHeld, StreamJoined, StreamState

ROUND, BUFSZ = 480, 1920
HELD, RUNNING = StreamState.HELD, StreamState.RUNNING


def primed(r: Rig, data: np.ndarray, mode: StartMode, **par: object) -> Source:
    """Started, and nothing written yet."""
    source = r.stream(data, start=False, mode=mode, **par)
    source.stream.start()
    return source


@pytest.mark.parametrize(("least", "need"), [(0, 480), (100, 480), (480, 480), (1000, 1000), (1920, 1920)])
def test_data_starts_when_so_much_is_there_and_a_block_at_least(
    tmp_path: Path, least: int, need: int
) -> None:
    with rig(tmp_path) as r:
        data = noise(9600)
        source = primed(r, data, StartMode.DATA, start_min=least)
        source.feed(need - 1)
        r.step(3, feed=False)
        assert source.stream.stats().state == StreamState.PRIMING and source.stream.stats().filled == need - 1
        source.feed(1)
        r.step(1, feed=False)
        assert source.stream.stats().state == RUNNING and source.stream.stats().consumed == ROUND
        source.feed()
        r.drain()
        assert np.array_equal(r.played()[:9600], data), "nothing was lost on the way"


def test_full_waits_for_a_full_buffer_as_ever(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        source = primed(r, noise(9600), StartMode.FULL)
        source.feed(BUFSZ - 1)
        r.step(3, feed=False)
        assert source.stream.stats().state == StreamState.PRIMING
        source.feed(1)
        r.step(1, feed=False)
        assert source.stream.stats().consumed == ROUND


@pytest.mark.parametrize("flags", [PLAY, REC, PLAY | REC])
@pytest.mark.parametrize("mode", list(StartMode))
def test_go_starts_it_whatever_it_waits_for(tmp_path: Path, flags, mode: StartMode) -> None:
    with rig(tmp_path) as r:
        other = r.stream(np.zeros((48000, 2)))
        r.step(2)
        source = r.stream(noise(9600) if flags & PLAY else None, flags=flags, mode=mode, start=False)
        source.stream.start()
        if flags & PLAY:
            source.feed(BUFSZ if mode == StartMode.GO else ROUND - 1)
        r.device.step(2)
        waits = mode == StartMode.GO or flags & PLAY
        assert source.stream.stats().state == (StreamState.PRIMING if waits else RUNNING)
        source.stream.go()
        r.device.step(1)
        assert source.stream.stats().state == RUNNING
        assert source.stream.stats().underruns == (bool(flags & PLAY) and mode != StartMode.GO)
        assert other.stream.stats().state == RUNNING


def test_go_before_the_start_is_a_start_without_waiting(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        source = r.stream(noise(9600), mode=StartMode.GO, start=False)
        source.stream.go()
        source.feed()
        source.stream.start()
        r.step(1)
        assert source.stream.stats().consumed == ROUND


def test_a_link_group_goes_as_one(tmp_path: Path) -> None:
    """All of it that are started, in one cycle; what is started later does not wait for the rest."""
    with rig(tmp_path, F32) as r:
        r.stream(np.zeros((48000, 2)), enc=F32)
        group = [
            r.stream(ones(9600) / 8, enc=F32, mode=mode, group=3, group_n=9)
            for mode in (StartMode.GO, StartMode.FULL, StartMode.DATA, StartMode.GO)
        ]
        alone = r.stream(ones(9600) / 8, enc=F32, mode=StartMode.GO, group=4, group_n=2)
        r.step(3)
        assert {s.stream.stats().state for s in group} == {StreamState.PRIMING}
        group[2].stream.go()
        r.step(2)
        assert {s.stream.stats().consumed for s in group} == {2 * ROUND}
        assert alone.stream.stats().state == StreamState.PRIMING
        joined = [e for e in r.told(StreamJoined) if e.stream != 1]
        assert len(joined) == 4 and len({e.time_ns for e in joined}) == 1, "told with the time of one cycle"
        assert np.all(r.played()[3 * ROUND :] == 0.5)


def test_a_stop_ends_the_wait_for_go(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        data = noise(700)
        r.stream(data, mode=StartMode.GO)
        r.drain()
        assert np.array_equal(r.played()[:700], data)


def test_one_that_waits_for_go_moves(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        to = Second(r, tmp_path)
        source = r.stream(noise(9600), mode=StartMode.GO)
        move(r, to)
        to.device.step(2)
        assert source.stream.stats().state == StreamState.PRIMING
        source.stream.go()
        to.device.step(1)
        assert source.stream.stats().state == RUNNING
        to.device.close()


@pytest.mark.parametrize("par", [{"mode": 3}, {"mode": StartMode.DATA, "start_min": BUFSZ + 1}], ids=str)
def test_a_start_that_could_never_be_is_refused(tmp_path: Path, par: dict[str, int]) -> None:
    with rig(tmp_path) as r, pytest.raises(EngineError):
        r.stream(noise(480), **par)


def test_one_that_joins_to_stand_still_is_told_of_both(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        source = r.stream(noise(9600), start=False)
        source.stream.aim(hold=True)
        source.stream.start()
        source.feed()
        r.step(3)
        assert source.stream.stats().state == HELD and source.stream.stats().consumed == 0
        assert not r.device.stats().running
        assert [type(e) for e in r.told(StreamJoined, StreamHeld)] == [StreamJoined, StreamHeld]
        source.stream.aim(nframes=ROUND)
        r.step(2)
        assert source.stream.stats().consumed == 2 * ROUND
        assert len(r.told(StreamJoined)) == 1
