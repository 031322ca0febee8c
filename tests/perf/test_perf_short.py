"""The short form of run_streams.py: that the load plays and the report can be read, not how fast.

Real clock and real processes, so nothing here depends on how long anything takes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PERF = Path(__file__).parent
STRICT = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Werror")
STREAMS = 8


def test_the_load_compiles_without_a_warning_and_says_what_is_wrong(tmp_path: Path) -> None:
    tool = tmp_path / "native_load"
    built = subprocess.run(
        ["cc", *STRICT, "-o", tool, PERF / "native_load.c"], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    nobody = subprocess.run([tool, "-s", tmp_path / "nobody"], capture_output=True, text=True, check=False)
    assert nobody.returncode == 1
    assert "nobody: No such file or directory" in nobody.stderr
    assert subprocess.run([tool], capture_output=True, check=False).returncode == 64


def test_eight_streams_play_and_are_accounted_for(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    options = "--rates 48000 --block 480 --seconds 1 --idle-seconds 0.2 --opens 2 --rounds 1 --peer none"
    command = [sys.executable, PERF / "run_streams.py", "--streams", str(STREAMS), *options.split()]
    command += ["--json", report]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    result = json.loads(report.read_text())
    (row,) = result["run"]
    assert (row["server"], row["streams"], row["block"], row["rate"]) == ("audiod", STREAMS, 480, 48000)
    assert row["alive"] == row["moved"] == STREAMS, "each stream has been heard"
    assert set(row["xruns"]) == {"client", "scheduler", "driver", "ours"}
    assert {"control", "device", "pump"} <= set(row["threads"]), "each thread of the engine is charged"
    assert row["cpu_pct"] > 0
    assert row["rss_kb"] >= row["pss_kb"] > 0
    (idle,) = result["idle"]
    assert idle["server"] == "audiod"
    alone, among = sorted(result["start"], key=lambda start: start["busy"])
    assert (alone["busy"], among["busy"]) == (0, 64)
    for start in (alone, among):
        assert start["begin_move_ms"] >= start["start_move_ms"] > 0
    assert result["ratios"] == []
    assert "peer missing: not asked for" in done.stdout
    assert all(len(line) <= 100 for line in done.stdout.splitlines())
