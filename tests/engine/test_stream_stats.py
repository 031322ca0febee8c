"""What a stream tells of itself: counts, fills and times."""

from pathlib import Path

import numpy as np
from rig import F32, MON, PLAY, REC, S24, S32, noise, rig

from audiod.engine import StreamJoined

ROUND, BUFSZ = 480, 1920


def test_underruns_and_overruns_are_counted_apart(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        source = r.stream(noise(48000), flags=PLAY | REC)
        r.step(8)
        r.step(6, feed=False)
        source.feed()
        for _ in range(12):
            r.device.step(1)
            source.feed()  # it does not read
        source.heard.append(source.stream.read(1 << 16))
        r.step(2)
        st = source.stream.stats()
        assert (st.underruns, st.overruns, st.xruns) == (1, 1, 2)


def test_filled_is_what_waits_in_its_rings(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        both = r.stream(noise(48000), flags=PLAY | REC)
        recorder = r.stream(flags=REC)
        for _ in range(6):
            r.device.step(1)
            both.feed()
        for s, play in ((both, BUFSZ), (recorder, 0)):
            st = s.stream.stats()
            assert st.filled == (play or st.captured - st.read)
            assert st.rfilled == st.captured - st.read > 0


def test_inner_is_what_its_resamplers_hold(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        st = r.stream(noise(9600), rate=44100, appbufsz=2000).stream.stats()
        assert st.inner == st.delay > 0
        assert r.stream(noise(9600)).stream.stats().inner == 0


def test_a_block_at_full_scale_is_counted_for_those_who_record_its_channel(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        data = noise(24000, scale=0.9)
        for block, channel, value in ((2, 0, 32767), (3, 1, -32768), (5, 0, 32767), (7, 0, 32766)):
            data[block * ROUND + 7, channel] = value
        data[5 * ROUND + 9, 1] = 32767  # both, in one block
        r.stream(data)
        all_, left, right = (
            r.stream(flags=REC),
            r.stream(flags=REC, rchan=1, rmin=0, rmax=0),
            r.stream(flags=REC, rchan=1, rmin=1, rmax=1),
        )
        monitor = r.stream(flags=MON)
        r.device.setrecgain(0.25)
        r.step(20)
        counts = [s.stream.stats().overranges for s in (all_, left, right, monitor)]
        assert counts == [3, 2, 2, 0]


def test_overranges_of_other_encodings(tmp_path: Path) -> None:
    for enc, top in ((S24, 1 << 23), (S32, 1 << 31), (F32, 1)):
        folder = tmp_path / str(enc.bits * 2 + enc.flt)
        folder.mkdir()
        with rig(folder, enc) as r:
            data = np.zeros((9600, 2))
            data[ROUND + 1, 0] = top - (enc is not F32)
            data[2 * ROUND + 1, 1] = -top
            data[3 * ROUND + 1, 1] = -top * 0.9999
            r.stream(data, enc=enc)
            recorder = r.stream(flags=REC, enc=enc)
            r.step(12)
            assert recorder.stream.stats().overranges == 2


def test_first_and_last_are_when_they_are_heard(tmp_path: Path) -> None:
    """In time of the cycles: a buffer behind them."""
    with rig(tmp_path) as r:
        source, recorder = r.stream(noise(9600)), r.stream(flags=REC)
        source.feed()
        ahead, period = BUFSZ * 10**9 // 48000, ROUND * 10**9 // 48000
        r.step(1)
        due = [c.due_ns for c in r.device.cycles()]
        assert source.stream.stats().first_ns == 0, "it is on its way"
        assert recorder.stream.stats().first_ns == due[0] - period
        r.step(4)
        due = [c.due_ns for c in r.device.cycles()]
        st = source.stream.stats()
        assert st.position > 0
        assert st.first_ns == due[0] + ahead - period
        assert st.last_ns == due[-1] + ahead
        assert recorder.stream.stats().last_ns == due[-1]
        joined = {e.stream: e.time_ns for e in r.told(StreamJoined)}
        assert joined == {1: due[0], 2: due[0]}
        source.stream.aim(hold=True)
        r.step(1)
        stopped = r.device.cycles()[-1].due_ns
        r.step(5)
        assert source.stream.stats().last_ns == stopped + ahead


def test_one_that_was_shorter_than_the_buffer_has_been_heard_too(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        source = r.stream(noise(720))
        r.drain()
        st, due = source.stream.stats(), [c.due_ns for c in r.device.cycles()]
        ahead, period = BUFSZ * 10**9 // 48000, ROUND * 10**9 // 48000
        assert st.first_ns == due[0] + ahead - period
        assert st.last_ns == due[1] + ahead - period // 2, "the silence behind it is not its own"
