"""The short form of tests/perf/run_soundlab.py: cards play and record at 4 blocks of 480, no xrun is ours.

Others happen: an emulated machine stands still for a tenth of a second now and then.
"""

from __future__ import annotations

from pathlib import Path

from soundlab import pace


def test_it_keeps_pace_with_dummy_and_aloop(tmp_path: Path) -> None:
    result = pace.measure(tmp_path, 4)
    assert result["realtime"], "the threads have SCHED_FIFO"
    assert result["xruns"]["ours"] == 0, result["log"]
    assert result["xruns"]["driver"] == 0, result["log"]
    assert [row["card"] for row in result["cards"]] == list(pace.CARDS)
    for row in result["cards"]:
        assert row["alive"] == row["moved"] == pace.STREAMS, "each stream has been heard to the end"
        assert row["rec"] == 2, "it records as well"
