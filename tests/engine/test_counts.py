"""What a listing asks of many streams at once: blocks that each was there for and fed in, and what waits."""

from pathlib import Path

import numpy as np
from rig import PLAY, REC, noise, rig


def test_counts_of_many_streams(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        full = r.stream(noise(96000))
        dry = r.stream(noise(1920))  # as much as its buffer holds, then nothing
        late = r.stream(noise(1920), xrun=1)
        recs = r.stream(flags=REC, appbufsz=4800)
        waits = r.stream(noise(480))  # never joins: its buffer is not full
        new = r.stream(noise(480), start=False)
        for _ in range(8):
            r.device.step(1)  # nobody reads
            full.feed()
        told = r.engine.measure([one.stream for one in (full, dry, late, recs, waits, new)])
        assert len(told) == 6 and r.engine.measure([]) == []
        for source, counts in zip((full, dry, late, recs, waits), told, strict=False):
            stats = source.stream.stats()
            queued = stats.written - stats.consumed if PLAY in source.stream.par.flags else 0
            assert counts[:2] == (max(queued, 0), stats.captured - stats.read)
            assert counts[2:4] == (stats.cycles, stats.fed)
        assert told[0][2:4] == (8, 8)
        assert told[1][2:4] == (8, 4), "IGNORE: a block that was missed was not fed"
        assert told[2][2:4] == (8, 8), "SYNC: silence goes through in its place"
        assert told[3][2] == 8 and told[3][1] > 0
        assert told[4][2:] == (0, 0, 0) and told[4][0] == 480
        assert told[5][2:] == (0, 0, 0) and told[5][0] == 0


def test_a_lone_stream_is_told_to_be_copied(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        one = r.stream(noise(96000))
        r.step(1)
        one.feed()
        assert r.engine.measure([one.stream])[0][4] == 1
        other = r.stream(np.zeros((96000, 2), int))
        r.step(2)
        assert [counts[4] for counts in r.engine.measure([one.stream, other.stream])] == [0, 0]
