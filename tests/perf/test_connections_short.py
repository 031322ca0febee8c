"""The short form of run_connections.py: the same run with 250 connections, and it fails where it should."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PERF = Path(__file__).parent


def test_connections_come_and_go_beside_a_neighbour_who_does_not_notice(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [sys.executable, PERF / "run_connections.py", "--connections", "250", "--batch", "50"]
    done = subprocess.run([*command, "--json", report], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(report.read_text())
    assert set(result["connections"]) == {"good", "asks", "rude", "killed", "silent"}
    assert sum(result["connections"].values()) == 250
    assert len(result["rss_kb"]) == 5 and min(result["rss_kb"]) > 0
    assert result["neighbour_frames"] > 0 and result["xruns"]["ours"] == 0
