"""The short form of run_sndio.py: 32 programs of sndio play through audiod and its alsa driver, and it shows.

Real clocks and real processes; what is asserted does not depend on how long anything takes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PERF = Path(__file__).parent
ROOT = PERF.parents[1]
STREAMS = 32
WAKEUPS = 8  # a block, at any number of streams: sndiod makes six for each stream


@pytest.fixture(scope="module")
def lab() -> None:
    """sndio_load and the card, which need libsndio-dev and libasound2-dev."""
    made = subprocess.run(
        ["make", "-s", "-C", ROOT / "tests" / "lab"], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        pytest.skip("tests/lab does not build: install libsndio-dev and libasound2-dev")


def run(report: Path, *options: str) -> tuple[dict[str, Any], str]:
    command = [sys.executable, PERF / "run_sndio.py", "--rounds", "1", *options, "--json", report]
    env = {key: value for key, value in os.environ.items() if key != "SNDIO_HEAD"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    assert all(len(line) <= 130 for line in done.stdout.splitlines())
    return json.loads(report.read_text()), done.stdout


@pytest.mark.usefixtures("lab")
def test_streams_of_libsndio_play_at_a_cost_that_does_not_grow_in_wakeups(tmp_path: Path) -> None:
    options = f"--streams 1,{STREAMS} --rates 44100 --block 256 --buffers 2:0 --seconds 0.5"
    options += " --parts cost,idle,start --servers audiod,sndiod-head --idle-seconds 0.2 --opens 2"
    result, text = run(tmp_path / "report.json", *options.split())
    one, many = result["cost"]
    for row, streams in ((one, 1), (many, STREAMS)):
        assert (row["server"], row["streams"]) == ("audiod", streams)
        assert row["alive"] == streams, "each stream plays to the end"
        assert row["xruns"]["ours"] == 0
        assert {"control", "device", "pump"} <= set(row["threads"]), "each thread of the engine is charged"
        assert 0 < row["wakeups_block"] < WAKEUPS
    alone, among = sorted(result["start"], key=lambda start: start["busy"])
    assert (alone["busy"], among["busy"]) == (0, 64)
    for start in (alone, among):
        assert start["open_ms"]["n"] == 2
        assert start["begin_move_ms"]["med"] > start["start_to_move_ms"]["med"] > 0
    (idle,) = result["idle"]
    assert idle["server"] == "audiod"
    assert "SNDIO_HEAD" in result["missing"]["sndiod-head"]
    assert "sndiod-head missing: SNDIO_HEAD does not say" in text


@pytest.mark.usefixtures("lab")
def test_a_round_trip_is_the_buffers_to_the_frame(tmp_path: Path) -> None:
    """Through libsndio, the pump, the engine, the alsa driver, the card, and all the way back."""
    options = "--parts latency --servers audiod --latency-block 480 --impulses 5"
    for _ in range(3):
        result, _ = run(tmp_path / "report.json", *options.split())
        if "latency" not in result:
            pytest.skip("this user may not enter SCHED_FIFO: run as root, or set rtprio in limits.conf")
        (row,) = result["latency"]
        if sum(row["xruns"].values()) == 0:
            break  # else the machine held a program up for longer than the buffers last
    assert sum(row["xruns"].values()) == 0, row["log"]
    assert row["bufsz"] == 4 * 480 and row["got"] == 5 and row["lost"] == 0
    assert row["trip_frames"]["min"] == row["trip_frames"]["max"] == row["bufsz"]
    assert row["align_frames"]["min"] == row["align_frames"]["max"] == 0, "recorded frame n is played frame n"
