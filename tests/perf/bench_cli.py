"""How long the command line takes to start, against bare Python: `python tests/perf/bench_cli.py [ROUNDS]`.

Ratios, because a busy machine slows both alike: the commands take turns, the
fastest run of each counts.  A server is not needed: what is measured is
loading, and finding that nobody answers.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
NOBODY = {**os.environ, "AUDIOD_SOCKET": "/nonexistent/audiod.sock"}
BARE = "python -c pass"
COMMANDS: dict[str, list[str | Path]] = {
    BARE: [sys.executable, "-c", "pass"],
    "import audiod_client": [sys.executable, "-c", "import audiod_client"],
    "import cyclopts": [sys.executable, "-c", "import cyclopts"],
    "audioctl status": [BIN / "audioctl", "status"],
    "audioctl volume +5%": [BIN / "audioctl", "volume", "+5%"],
    "audioctl mute !": [BIN / "audioctl", "mute", "!"],
    "audioctl (TAB: a verb)": [BIN / "audioctl", "__complete", "vo"],
    "audioctl (TAB: an option)": [BIN / "audioctl", "__complete", "play", "--"],
    "audioctl --help": [BIN / "audioctl", "--help"],
}


def measure(rounds: int) -> dict[str, float]:
    """Seconds of the fastest run of each."""
    best = dict.fromkeys(COMMANDS, float("inf"))
    for _ in range(rounds):
        for name, command in COMMANDS.items():
            begin = time.perf_counter()
            subprocess.run(command, env=NOBODY, capture_output=True, check=False)
            best[name] = min(best[name], time.perf_counter() - begin)
    return best


def report(best: dict[str, float]) -> list[str]:
    return [
        f"{name:<28}{1000 * seconds:7.1f} ms {seconds / best[BARE]:6.1f} x" for name, seconds in best.items()
    ]


if __name__ == "__main__":
    print("\n".join(report(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 10))))
