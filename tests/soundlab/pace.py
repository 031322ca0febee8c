"""Whether audiod keeps pace with real cards: a daemon on them, a load of streams, xruns by their cause.

In soundlab's machine.  The load is tests/perf's native_load, built on the host,
where that is quick: `tool` before the machine is booted.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from daemon import running
from soundlab.kernelcards import SPECS

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "tests/perf/native_load.c"
TOOL = ROOT / "build/soundlab/native_load"
CARDS = ("dummy", "wire")
ROUND, NBLOCKS = 480, 4
STREAMS = 2  # each card


def tool() -> Path:
    """The load program, built if it is not there or old.  Raises subprocess.CalledProcessError."""
    if not TOOL.exists() or TOOL.stat().st_mtime < SOURCE.stat().st_mtime:
        TOOL.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cc", "-std=c11", "-O2", "-o", TOOL, SOURCE], check=True)
    return TOOL


def measure(folder: Path, seconds: float) -> dict[str, Any]:
    """Play on all CARDS at once: what each load saw, and the daemon's own count of xruns and log of them."""
    blocks = ["-r", "48000", "-z", str(ROUND), "-b", str(NBLOCKS * ROUND)]
    devices = [word for card in CARDS for word in ("-f", SPECS[card])]
    with running(folder, *blocks, *devices) as daemon:
        options = ["-s", daemon.socket, "-n", STREAMS, "-r", 48000, "-b", 12000, "-t", seconds]
        loads = [
            subprocess.Popen(
                [*map(str, [tool(), *options, "-d", number])],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            for number in range(len(CARDS))
        ]
        rows = [json.loads(load.communicate()[0]) for load in loads]
        formats = [device["rec_channels"] for device in daemon.ask("devices")["devices"]]
        xruns = daemon.ask("status")["xruns"]
        realtime = daemon.ask("status")["realtime"]["granted"]
        log = [line for line in daemon.log.splitlines() if "event=xrun" in line]
    for card, row, rec in zip(CARDS, rows, formats, strict=True):
        row.update(card=card, rec=rec)
    return {"seconds": seconds, "cards": rows, "xruns": xruns, "realtime": realtime, "log": log}
