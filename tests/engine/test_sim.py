"""Simulated faults of a device as streams live through them, block by block on the manual clock.

Blocks are of 10 ms, so that "every 100 ms" is every ten blocks that pass.
"""

import errno
from pathlib import Path

import numpy as np
import pytest
from rig import MON, PLAY, REC, noise, padded, rig

from audiod import policy
from audiod.engine import (
    DeviceConf,
    DeviceFailed,
    DevicePar,
    EngineError,
    StreamReleased,
    StreamState,
    Xrun,
    XrunKind,
)

MS = 1_000_000  # ns
ROUND, BUFSZ = 480, 1920


def test_positions_stand_still_in_an_xrun_and_are_right_behind_it(tmp_path: Path) -> None:
    with rig(tmp_path, xrun_every_ns=100 * MS) as r:
        s = r.stream(noise(48000))
        r.step(33)
        passed = [n - n // 11 for n in range(1, 34)]
        assert passed[:12] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 11], "the eleventh step never comes out"
        assert s.moves == [n * ROUND - BUFSZ for n in passed]
        assert r.device.stats().position == 30 * ROUND
        assert r.device.stats().xruns == 3


def test_what_is_played_has_neither_gap_nor_repeat(tmp_path: Path) -> None:
    with rig(tmp_path, xrun_every_ns=50 * MS) as r:
        one, two = noise(9601, scale=0.4), noise(4801, seed=2, scale=0.4)
        r.stream(one)
        r.stream(two)
        r.drain()
        want = padded(one, ROUND)
        want[: len(two)] += two
        assert np.array_equal(r.played(), want)
        assert r.device.stats().xruns == 4


def test_each_stream_and_the_log_hear_of_an_xrun_once(tmp_path: Path) -> None:
    with rig(tmp_path, xrun_every_ns=100 * MS) as r:
        heard = [r.stream(noise(48000)), r.stream(noise(48000), flags=PLAY | REC), r.stream(flags=REC)]
        late = r.stream(noise(960))  # never full: waits for its start
        r.step(22)
        xruns = [e for e in (r.events(), r.seen)[1] if isinstance(e, Xrun)]
        assert [(e.stream, e.device, e.kind) for e in xruns] == [(0, 0, XrunKind.DEVICE)] * 2
        assert [s.stream.stats().xruns for s in heard] == [2, 2, 2]
        assert [s.stream.stats().lost for s in heard] == [0, 0, 0], "of what they gave nothing is lost"
        assert late.stream.stats().xruns == 0
        for e in xruns:
            culprit = policy.classify(
                driver=True,
                due_ns=e.due_ns,
                wake_ns=e.wake_ns,
                arrival_ns=e.arrival_ns,
                swept_ns=e.swept_ns,
                block_ns=10 * MS,
            )
            assert culprit is policy.Culprit.DRIVER, "not the scheduler: nobody woke late"
        assert [c.driver_xrun for c in r.device.cycles()].count(True) == 2


def test_recorded_frame_n_stays_played_frame_n(tmp_path: Path) -> None:
    """What was queued when it ran dry is lost to whoever records: silence in its place, nothing shifted."""
    with rig(tmp_path, xrun_every_ns=200 * MS) as r:
        data = noise(96000)
        both = r.stream(data, flags=PLAY | REC, appbufsz=9600)
        monitor = r.stream(flags=MON, appbufsz=9600)
        r.step(65)
        assert r.device.stats().xruns == 3
        got = both.recorded()
        want = data[: len(got)].copy()
        for at in (20, 40, 60):  # blocks mixed when it ran dry: the last four were still queued
            want[(at - 4) * ROUND : at * ROUND] = 0
        want = want[: len(got)]
        assert len(got) == (65 - 3 - 4) * ROUND
        assert np.array_equal(got, want)
        assert np.array_equal(monitor.recorded(), data[: len(got)]), "a monitor hears the mix itself"


def test_it_is_unplugged_after_so_much_running_and_can_be_opened_again(tmp_path: Path) -> None:
    with rig(tmp_path, unplug_after_ns=120 * MS, xrun_every_ns=50 * MS) as r:
        data = noise(48000)
        for ident in (0, 1, 2):
            streams = [r.stream(data), r.stream(flags=REC), r.stream(noise(96))]
            r.step(12 + 2)
            r.events()
            assert not any(isinstance(e, DeviceFailed) for e in r.seen)
            assert r.device.stats().running
            r.step(1)
            r.events()
            (failed,) = [e for e in r.seen if isinstance(e, DeviceFailed)]
            assert (failed.device, failed.errno) == (ident, errno.ENODEV)
            ids = {s.stream.id for s in streams}
            assert {e.stream for e in r.seen if isinstance(e, StreamReleased)} >= ids
            assert {s.stream.stats().state for s in streams} == {StreamState.ENDED}
            assert not r.device.stats().running
            r.device.step(5)  # of a clock that is gone: answered at once, nothing passes
            assert r.device.stats().position == 12 * ROUND
            assert np.array_equal(r.played(), np.concatenate([data[: 12 * ROUND]] * (ident + 1)))
            r.device.close()
            r.events()
            r.seen.clear()
            conf = DeviceConf(
                "manual",
                r.device.par,
                arg=str(r.path),
                dither=False,
                unplug_after_ns=120 * MS,
                xrun_every_ns=50 * MS,
            )
            r.device = r.engine.device_open(ident + 1, conf)
            for s in r.sources:
                s.data = b""


def test_running_counts_over_stops_of_the_clock(tmp_path: Path) -> None:
    """An idle device does not age: three goes of eight blocks each, then one more block."""
    with rig(tmp_path, unplug_after_ns=250 * MS) as r:
        for go in range(3):
            s = r.stream(noise(1920))
            r.drain(s)
            while r.device.stats().running:
                r.step()
            r.step(100)
            assert r.device.stats().cycles == (go + 1) * 8, "four of sound, four until the buffer was heard"
        r.stream(noise(48000))
        r.step(2)
        r.events()
        assert r.device.stats().cycles == 25
        assert [e.errno for e in r.seen if isinstance(e, DeviceFailed)] == [errno.ENODEV]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("ppm", 10_001, "manual: ppm=10001 is not in -10000..10000"),
        ("jitter_ns", -1, "0..1000 milliseconds"),
        ("xrun_every_ns", 9 * MS, "xrun_every=0.009 seconds are less than one block of 480 frames"),
        ("unplug_after_ns", 1 << 60, "is not in 0..86400 seconds"),
    ],
)
def test_what_cannot_be_simulated_is_refused(tmp_path: Path, key: str, value: int, words: str) -> None:
    with rig(tmp_path) as r:
        par = DevicePar(r.device.par.enc, 48000, ROUND, BUFSZ, 2, 2)
        with pytest.raises(EngineError, match=words) as refused:
            r.engine.device_open(1, DeviceConf("manual", par, **{key: value}))
        assert refused.value.errno == errno.EINVAL
