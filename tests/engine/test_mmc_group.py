"""Streams that wait for MMC: they join in one cycle, none waits for who has left, and the clock is told of.

On the manual clock, sample by sample.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rig import PLAY, REC, Rig, Source, noise, padded, rig

from audiod.engine import ClockTicked, DeviceConf, GroupJoined, StreamFlag, StreamState, StreamStopped

MMC = StreamFlag.MMC
SYNC = 1


def joined(r: Rig) -> list[int]:
    r.events()
    return [event.run for event in r.seen if isinstance(event, GroupJoined)]


def ticks(r: Rig) -> list[int]:
    r.events()
    return [event.frames for event in r.seen if isinstance(event, ClockTicked)]


def tape(r: Rig, level: int, **par: object) -> Source:
    """A stream of one level for each of its frames, that waits."""
    return r.stream(np.full((4800, 2), level), flags=PLAY | MMC, xrun=SYNC, **par)


def heard(r: Rig) -> np.ndarray:
    return r.played() if r.path.exists() else np.zeros((0, 2))


def test_all_start_with_one_block_when_they_are_told_to(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        first, second = tape(r, 1000), tape(r, 500)
        r.step(5)
        assert not len(heard(r)) and not r.device.stats().running, "no clock runs for who waits"
        r.device.mmc(1)
        r.drain()
        assert np.array_equal(r.played(), np.full((4800, 2), 1500))
        assert joined(r) == [1] and first.moves[-1] == second.moves[-1]


def test_beside_a_stream_that_plays_already(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        data = noise(19200, scale=0.25)
        r.stream(data)
        a, b = tape(r, 100), tape(r, 10)
        r.step(7)
        r.device.mmc(1)
        r.drain()
        want = data.copy()
        want[7 * 480 : 7 * 480 + 4800] += 110
        assert np.array_equal(r.played(), want)
        assert a.moves[-1] == b.moves[-1]


def test_they_wait_for_who_is_not_ready(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        tape(r, 1000)
        late = r.stream(np.full((4800, 2), 1), flags=PLAY | MMC, xrun=SYNC, start=False)
        late.stream.start()
        r.device.mmc(1)
        r.step(3, feed=False)
        assert joined(r) == [] and not len(heard(r))
        late.feed(1919)
        r.step(1, feed=False)
        assert joined(r) == []
        late.feed(1)
        r.drain()
        assert np.array_equal(r.played(), np.full((4800, 2), 1001)) and joined(r) == [1]


def test_they_wait_for_who_is_to_come(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        tape(r, 1000)
        r.device.mmc(1, 1)
        r.step(3)
        assert joined(r) == []
        tape(r, 1)
        r.device.mmc(1, 0)
        r.drain()
        assert np.array_equal(r.played(), np.full((4800, 2), 1001))


def test_recorders_start_in_that_cycle_too(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        play = tape(r, 1000)
        rec = r.stream(flags=REC | MMC, xrun=SYNC)
        r.step(2)
        assert not rec.recorded().size
        r.device.mmc(1)
        r.step(6)
        assert rec.moves[-6:] == [480 * n for n in range(1, 7)], "the first block of the clock is its first"
        assert play.moves[-1] == rec.moves[-1] - 1920, "what is played is heard a buffer later"


def test_who_is_stopped_while_it_waits_is_let_go_at_once_and_keeps_nobody(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        gone, stays = tape(r, 7), tape(r, 1000)
        half = r.stream(np.full((480, 2), 9), flags=PLAY | MMC, start=False)
        half.stream.start()
        half.feed()
        gone.stream.stop(drain=True)
        half.stream.stop(drain=False)
        r.step()
        assert r.released() >= {gone.stream.id, half.stream.id}, "though nothing has begun"
        r.device.mmc(1)
        r.drain(stays)
        assert np.array_equal(r.played(), np.full((4800, 2), 1000)), "nothing of the others is heard"


def test_who_comes_later_waits_for_the_next_start(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        first = tape(r, 1000)
        r.device.mmc(1)
        r.step(2)
        late = tape(r, 1)
        r.device.mmc(1, 0)  # whatever is told of who is pending: this run has begun
        r.step(3)
        assert late.stream.stats().state is StreamState.PRIMING and joined(r) == [1]
        r.device.mmc(0)
        r.step(2)
        assert first.stream.stats().state is StreamState.RUNNING, "those that play go on"
        r.device.mmc(2)
        r.drain()
        want = np.full((7 * 480 + 4800, 2), 1)
        want[: 7 * 480] = 0
        want[:4800] += 1000
        assert np.array_equal(r.played(), want) and joined(r) == [1, 2]


def test_the_clock_is_told_of_from_the_start_to_the_stop_with_streams_or_without(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.device.mmc(1)
        r.step(3)
        assert joined(r) == [1] and ticks(r) == [480] * 3
        r.device.mmc(0)
        r.step(6)
        assert ticks(r) == [480] * 3 and not r.device.stats().running, "it ends with the last of its buffer"
        tape(r, 5)
        r.device.mmc(2)
        r.step(40)  # longer than the stream has frames
        assert ticks(r) == [480] * 43
        r.device.mmc(0)
        r.drain()


def test_ticks_that_nobody_takes_are_summed(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.device.mmc(1)
        for _ in range(5000):  # far more than the ring has room for
            r.device.step(1)
        told = ticks(r)
        r.device.step(1)
        told = ticks(r)
        assert sum(told) == 480 * 5001 and len(told) < 5000
        r.device.mmc(0)


def test_a_clock_that_goes_on_here_has_no_start(tmp_path: Path) -> None:
    """Its streams have joined on another device."""
    with rig(tmp_path) as r:
        waits = tape(r, 1)
        r.device.mmc(3, joined=True)
        r.step(2)
        assert joined(r) == [] and ticks(r) == [480] * 2
        assert waits.stream.stats().state is StreamState.PRIMING
        r.device.mmc(4)
        r.step(1)
        assert joined(r) == [4]


def test_one_that_waits_goes_on_waiting_on_another_device(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        there = tmp_path / "there.raw"
        to = r.engine.device_open(9, DeviceConf("manual", r.device.par, arg=str(there), dither=False))
        waits = tape(r, 1000)
        waits.stream.move(to, waits.stream.par)
        for _ in range(2):  # by then the old one's thread has let go of it
            r.device.step(1)
            r.events()
        to.step(4)
        assert waits.stream.stats().state is StreamState.PRIMING and not to.stats().running
        to.mmc(1)
        to.step(3)
        assert waits.stream.stats().state is StreamState.RUNNING
        assert np.array_equal(np.fromfile(there, "<i2").reshape(-1, 2), np.full((1440, 2), 1000)), "no fade"


def test_nobody_is_told_twice(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        tape(r, 1)
        r.device.mmc(1)
        r.drain()
        assert not any(isinstance(event, StreamStopped) for event in r.seen), "there is no pump here"
        assert np.array_equal(r.played(), padded(np.full((4800, 2), 1), 480))
        r.device.mmc(1)
        r.step(2)
        assert joined(r) == [1]
