"""Gains that control brings a stream's channels to: every ramp to the frame, whatever its curve.

Played is a constant in floats, so that what comes out is the gain itself.
"""

from pathlib import Path

import numpy as np
import pytest
from ramps import after, ones, way
from rig import F32, MON, PLAY, REC, Rig, noise, rig

from audiod.engine import EngineError

ROUND = 480
QNX = [(0.2, 0.1), (0.8, 0.9)]  # 20:10,60:80,20:10
CURVES = {
    "smoothstep": [],
    "linear": [(1.0, 1.0)],
    "three pieces": QNX,
    "a step in the middle": [(0.5, 0.0), (0.5, 1.0)],
    "sixteen points": [(i / 17, (i / 17) ** 2) for i in range(1, 17)],
}


@pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES.keys())
@pytest.mark.parametrize("nframes", [1000, 480, 77])
def test_a_ramp_is_exact_to_the_frame(tmp_path: Path, curve, nframes: int) -> None:
    with rig(tmp_path, F32) as r:
        source = r.stream(ones(9600), enc=F32)
        r.step(4)
        source.stream.aim([0.25], curve=curve, nframes=nframes)
        r.step(10)
        out = r.played()
        want = after(1, 0.25, way(curve, nframes), 10 * ROUND)
        assert np.all(out[: 4 * ROUND] == 1)
        assert np.max(np.abs(out[4 * ROUND :] - want[:, None])) < 1e-6
        assert np.all(out[4 * ROUND + nframes :] == 0.25)


@pytest.mark.parametrize("nframes", [1, 479, 481, 2000])
def test_how_blocks_cut_a_ramp_does_not_matter(tmp_path: Path, nframes: int) -> None:
    played = []
    for round in (48, 480):
        folder = tmp_path / str(round)
        folder.mkdir()
        with rig(folder, F32, round=round, bufsz=1920) as r:
            source = r.stream(ones(9600), enc=F32)
            r.step(1920 // round)
            source.stream.aim([0.1, 0.7], curve=QNX, nframes=nframes)
            r.step(4800 // round)
            played.append(r.played()[:4800])
    assert np.array_equal(*played)


def test_a_new_goal_halfway_is_reached_from_there_without_a_jump(tmp_path: Path) -> None:
    with rig(tmp_path, F32) as r:
        source = r.stream(ones(19200), enc=F32)
        r.step(4)
        source.stream.aim([0.0], nframes=4800)
        r.step(5)
        source.stream.aim([0.8], curve=QNX, nframes=960)
        r.step(10)
        out = r.played()[:, 0]
        there = 1 - way([], 4800)[2400]
        want = after(there, 0.8, way(QNX, 960), 4800)
        assert np.max(np.abs(out[9 * ROUND : 19 * ROUND] - want)) < 1e-6
        assert np.max(np.abs(np.diff(out))) < 0.002, "no jump"


def test_each_channel_has_its_own_and_the_last_is_for_the_rest(tmp_path: Path) -> None:
    with rig(tmp_path, F32, pchan=4) as r:
        source = r.stream(ones(9600, 4), enc=F32, pmax=3)
        r.step(4)
        source.stream.aim([0.5, 0.25], nframes=480)
        r.step(2)
        source.stream.aim([1, 0.5, 0, 0.125], nframes=480)
        r.step(2)
        source.stream.aim(nframes=480)
        r.step(2)
        out = r.played()
        assert np.all(out[5 * ROUND : 6 * ROUND] == [0.5, 0.25, 0.25, 0.25])
        assert np.all(out[7 * ROUND : 8 * ROUND] == [1, 0.5, 0, 0.125])
        assert np.all(out[9 * ROUND :] == 1)
        assert np.max(np.abs(np.diff(out, axis=0))) < 0.005


def test_they_are_the_streams_own_channels_before_the_map(tmp_path: Path) -> None:
    """Joined: the sum of both, each with its gain.  Behind it comes the volume."""
    with rig(tmp_path, F32) as r:
        source = r.stream(ones(4800, 4), enc=F32, vol=109)
        source.stream.aim([1, 0.5, 0, 0])
        r.step(5)
        assert np.allclose(r.played(), np.array([0.5, 0.25]) * 0.5)


def test_before_it_sounds_it_is_there_at_once(tmp_path: Path) -> None:
    with rig(tmp_path, F32) as r:
        source = r.stream(ones(4800), enc=F32, start=False)
        source.stream.aim([0.5], nframes=48000)
        source.stream.start()
        source.feed()
        r.step(3)
        assert np.all(r.played() == 0.5)


def test_no_time_at_all_is_one_block(tmp_path: Path) -> None:
    with rig(tmp_path, F32) as r:
        source = r.stream(ones(4800), enc=F32)
        r.step(2)
        source.stream.aim([0.0])
        r.step(2)
        want = after(1, 0, way([], ROUND), 2 * ROUND)
        assert np.max(np.abs(r.played()[2 * ROUND :, 0] - want)) < 1e-6


def test_the_last_of_several_wins(tmp_path: Path) -> None:
    with rig(tmp_path, F32) as r:
        source = r.stream(ones(9600), enc=F32)
        r.step(2)
        numbers = [source.stream.aim([i / 100], nframes=480) for i in range(50)]
        assert numbers == list(range(1, 51))
        r.step(3)
        assert np.all(np.abs(r.played()[3 * ROUND :] - 0.49) < 1e-6)


@pytest.mark.parametrize("rate", [44100, 96000])
def test_the_ramp_counts_frames_of_the_device(tmp_path: Path, rate: int) -> None:
    with rig(tmp_path, F32) as r:
        source = r.stream(ones(2 * rate), enc=F32, rate=rate, appbufsz=rate // 10)
        r.step(10)
        source.stream.aim([0.5], nframes=960)
        r.step(4)
        out = r.played()[10 * ROUND :, 0]
        assert np.max(np.abs(out - after(1, 0.5, way([], 960), len(out)))) < 1e-4


def test_a_stream_that_is_whole_again_is_copied_again(tmp_path: Path) -> None:
    with rig(tmp_path, dither=True) as r:
        data = noise(48000)
        source = r.stream(data)
        r.step(4)
        assert source.stream.stats().bypass
        source.stream.aim([0.5], nframes=480)
        r.step(4)
        assert not source.stream.stats().bypass
        source.stream.aim(nframes=480)
        r.step(4)
        assert source.stream.stats().bypass
        out = r.played()
        assert np.array_equal(out[: 4 * ROUND], data[: 4 * ROUND])
        assert np.array_equal(out[9 * ROUND : 12 * ROUND], data[9 * ROUND : 12 * ROUND])
        half = out[5 * ROUND : 8 * ROUND] - data[5 * ROUND : 8 * ROUND] / 2
        assert np.max(np.abs(half)) <= 1.5 and half.any(), "scaled, and dithered"


def test_what_others_play_and_what_is_recorded_are_not_touched(tmp_path: Path) -> None:
    with rig(tmp_path, F32) as r:
        source = r.stream(ones(48000) / 4, enc=F32)
        r.stream(ones(48000) / 2, enc=F32)
        recorder = r.stream(flags=REC, enc=F32)
        monitor = r.stream(flags=MON, enc=F32)
        for s in (source, recorder, monitor):
            s.stream.aim([0.0], nframes=480)
        r.step(12)
        assert np.all(r.played()[ROUND:] == 0.5)
        heard = recorder.recorded()[5 * ROUND :]
        assert len(heard) and np.all(heard == 0.5)
        assert np.all(monitor.recorded()[ROUND:] == 0.5)


def test_a_flush_of_a_ducked_stream_fades_from_there(tmp_path: Path) -> None:
    with rig(tmp_path, F32) as r:
        source = r.stream(ones(9600), enc=F32)
        source.stream.aim([0.25])
        r.step(4)
        source.stream.stop(drain=False)
        r.step(2)
        out = r.played()[:, 0]
        assert np.all(out[: 4 * ROUND] == 0.25) and np.max(np.abs(np.diff(out[: 5 * ROUND]))) < 0.001
        assert r.released() == {1}


@pytest.mark.parametrize(
    "bad",
    [
        {"gains": [1.5]},
        {"gains": [-0.1]},
        {"gains": [float("nan")]},
        {"gains": [1.0] * 65},
        {"curve": [(0.5, 1.5)]},
        {"curve": [(0.5, float("nan"))]},
        {"curve": [(0.5, 0.1), (0.4, 0.2)]},
        {"curve": [(i / 17, 0) for i in range(17)]},
        {"nframes": (1 << 24) + 1},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(tmp_path: Path, bad: dict[str, object]) -> None:
    with rig(tmp_path, F32) as r:
        source = r.stream(ones(4800), enc=F32)
        r.step(2)
        with pytest.raises(EngineError):
            source.stream.aim(**bad)
        r.step(2)
        assert np.all(r.played() == 1)


# ---- the ramp of volumes ----


def volume(r: Rig) -> None:
    r.sources[0].stream.setvol(0)


def mute(r: Rig) -> None:
    r.sources[0].stream.setmute(True)


def master(r: Rig) -> None:
    r.device.setgain(0)


@pytest.mark.parametrize("change", [volume, mute, master])
@pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES.keys())
def test_volumes_change_along_the_devices_curve(tmp_path: Path, curve, change) -> None:
    with rig(tmp_path, F32) as r:
        r.device.setcurve(curve, nframes=1200)
        r.stream(ones(9600), enc=F32)
        r.step(3)
        change(r)
        r.step(5)
        assert np.max(np.abs(r.played()[3 * ROUND :, 0] - after(1, 0, way(curve, 1200), 5 * ROUND))) < 1e-6


def test_a_new_curve_takes_over_ramps_under_way_without_a_jump(tmp_path: Path) -> None:
    with rig(tmp_path, F32) as r:
        r.device.setcurve([(1.0, 1.0)], nframes=4800)
        r.stream(ones(19200), enc=F32)
        r.step(3)
        r.sources[0].stream.setvol(0)
        r.step(5)
        r.device.setcurve(QNX, nframes=960)
        r.step(4)
        out = r.played()[:, 0]
        assert np.max(np.abs(out[8 * ROUND :] - after(0.5, 0, way(QNX, 960), 4 * ROUND))) < 1e-6
        assert np.max(np.abs(np.diff(out))) < 0.002


def test_the_recording_gain_follows_it_too(tmp_path: Path) -> None:
    with rig(tmp_path, F32) as r:
        r.device.setcurve([(1.0, 1.0)], nframes=960)
        r.stream(ones(48000), enc=F32)
        recorder = r.stream(flags=PLAY | REC, enc=F32, frames=np.zeros((48000, 2)))
        r.step(12)
        r.device.setrecgain(0.5)
        n = len(recorder.recorded())
        r.step(4)
        got = recorder.recorded()[n:, 0]
        assert np.max(np.abs(got - after(1, 0.5, np.arange(960) / 960, len(got)))) < 1e-6


def test_a_curve_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    with rig(tmp_path, F32) as r, pytest.raises(EngineError):
        r.device.setcurve([(0.5, 2.0)], nframes=480)
