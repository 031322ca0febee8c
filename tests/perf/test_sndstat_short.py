"""The short form of run_sndstat.py: it runs, lists what plays, and nobody has an xrun of ours by it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from run_sndstat import FORMS, run


def test_a_few_listings() -> None:
    result = run(devices=2, streams=4, count=3, block=2400)
    assert (result["devices"], result["streams"], result["listings"]) == (3, 8, 3)
    assert result["xruns"]["ours"] == 0
    assert [row["form"] for row in result["rows"]] == [" ".join(form.values()) for form in FORMS]
    assert all(row["bytes"] > 1000 and row["answers"] >= 1 and row["cpu_ms"] > 0 for row in result["rows"])
    assert result["rows"][0]["bytes"] == result["rows"][1]["bytes"] > result["rows"][2]["bytes"]
