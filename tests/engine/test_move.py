"""A started stream moves to another device: a fade, no frame lost, a position that never goes back."""

from pathlib import Path

import numpy as np
import pytest
from rig import F32, PLAY, REC, S16, Second, move, noise, rig

from audiod.engine import EngineError, StreamState


def test_what_is_queued_goes_on_there_with_the_very_next_frame(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        to = Second(r, tmp_path)
        data = np.full((9600, 2), 10000) + np.arange(9600)[:, None] % 1000
        r.stream(data)
        r.step(5)
        positions = [r.sources[0].stream.stats().position]
        move(r, to)
        here = r.played()
        played_here = r.sources[0].stream.stats().consumed
        for _ in range(40):
            to.device.step(1)
            r.sources[0].feed()
            positions.append(r.sources[0].stream.stats().position)
            if r.sources[0].offset == len(r.sources[0].data):
                r.sources[0].stream.stop(drain=True)
        there = to.played()
        fade = 480
        assert np.array_equal(here[: 5 * 480], data[: 5 * 480])
        assert played_here == 6 * 480 and np.abs(here[played_here - 1 :]).max() < 100, (
            "it faded out in one block"
        )
        assert np.array_equal(there[fade : 9600 - played_here], data[played_here + fade :])
        assert np.all(np.diff(there[:fade, 0].astype(int)) > -1000) and there[0, 0] == 0
        assert positions == sorted(positions)
        assert positions[-1] > 7000
        to.device.close()


@pytest.mark.parametrize("rate", [44100, 96000])
def test_to_a_device_at_another_rate(tmp_path: Path, rate: int) -> None:
    with rig(tmp_path) as r:
        to = Second(r, tmp_path, rate=rate, round=256)
        r.stream(np.full((96000, 2), 10000), appbufsz=4800)
        r.step(10)
        move(r, to)
        before = r.sources[0].stream.stats()
        for _ in range(rate // 256 + 1):
            to.device.step(1)
            r.sources[0].feed()
        after = r.sources[0].stream.stats()
        seconds = (rate // 256 + 1) * 256 / rate
        assert abs(after.consumed - before.consumed - 48000 * seconds) <= 2
        assert np.all(np.abs(to.played()[2048:] - 10000) <= 2)
        to.device.close()


def test_duplex_stays_aligned_after_a_move(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        to = Second(r, tmp_path)
        data = noise(48000, scale=0.5)
        duplex = r.stream(data, flags=PLAY | REC)
        r.step(12)
        move(r, to)
        duplex.heard.append(duplex.stream.read(1 << 16))
        for _ in range(30):
            to.device.step(1)
            duplex.feed()
            duplex.heard.append(duplex.stream.read(1 << 16))
        got = duplex.recorded()
        assert len(got) > 25 * 480
        assert np.array_equal(got[-480 * 10 :], data[len(got) - 480 * 10 : len(got)])
        to.device.close()


def test_a_stream_that_waits_for_its_buffer_moves_at_once(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        to = Second(r, tmp_path)
        r.stream(noise(480))  # a quarter of its buffer
        move(r, to)
        r.sources[0].stream.stop(drain=True)
        for _ in range(6):
            to.device.step(1)
        assert to.played()[:480].any()
        assert r.released() == {1}
        to.device.close()


@pytest.mark.parametrize("drain", [True, False])
def test_a_stop_in_mid_move_is_a_stop(tmp_path: Path, drain: bool) -> None:
    with rig(tmp_path) as r:
        to = Second(r, tmp_path)
        r.stream(np.full((1920, 2), 9000))
        r.step(2)
        r.sources[0].stream.move(to.device, r.sources[0].stream.par)
        r.sources[0].stream.stop(drain=drain)
        for _ in range(8):
            r.step(1, feed=False)
            r.events()
            to.device.step(1)
        assert r.released() == {1}
        to.device.close()


def test_refused_where_a_block_is_larger_than_the_buffer(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        to = Second(r, tmp_path, round=4800)
        r.stream(noise(4800))
        with pytest.raises(EngineError):
            r.sources[0].stream.move(to.device, r.sources[0].stream.par)
        r.drain()
        assert r.sources[0].stream.stats().state == StreamState.ENDED
        to.device.close()


def test_the_target_is_closed_in_mid_move(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        to = Second(r, tmp_path)
        r.stream(np.full((9600, 2), 9000))
        r.step(2)
        r.sources[0].stream.move(to.device, r.sources[0].stream.par)
        to.device.close()
        for _ in range(6):
            r.step(1, feed=False)
            r.events()
        assert r.released() == {1}


def test_the_source_may_close_once_it_has_moved(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        to = Second(r, tmp_path)
        other = r.stream(noise(9600, scale=0.1), enc=S16)
        r.stream(np.full((19200, 2), 0.25), enc=F32)
        r.step(3)
        move(r, to, 1)
        r.device.close()
        assert other.stream.stats().state == StreamState.ENDED
        for _ in range(5):
            to.device.step(1)
            r.sources[1].feed()
        assert r.sources[1].stream.stats().state == StreamState.RUNNING
        assert np.all(np.abs(to.played()[480:] - 8192) <= 1)
        to.device.close()
