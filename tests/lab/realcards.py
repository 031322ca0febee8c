"""Real kernel cards on a machine that has none: runs a command in soundlab's virtual machine.

What that is, and has, is in soundlab/README.md.  One machine at a time for all
test runs of this host: two would make each other stall.
"""

from __future__ import annotations

import fcntl
import functools
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

SOUNDLAB = Path(__file__).resolve().parent / "soundlab" / "soundlab"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
FAILED = 125  # soundlab's exit status where the lab itself failed


@functools.cache
def missing() -> str:
    """What this machine lacks to have such cards, empty if nothing; installs and caches what can be."""
    done = subprocess.run([SOUNDLAB, "setup"], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    said = [line for line in done.stderr.splitlines() if line.startswith("soundlab: ")]
    return said[-1] if said else f"soundlab: setup ended with {done.returncode}: {done.stderr[-200:]}"


@contextmanager
def machine(
    command: Sequence[str | Path], out: Path, *, cards: Sequence[str], timeout: float, log: IO[bytes]
) -> Iterator[subprocess.Popen[bytes]]:
    """Boots, and runs `command` as root in this process's directory; stdout is a pipe, stderr goes to `log`.

    `out` is the guest's `$SOUNDLAB_OUT`; hda.wav and usb.wav are there.
    """
    with open(CACHE / "soundlab" / "tests.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        options = ["--out", out, "--cards", ",".join(cards), "--timeout", str(timeout)]
        process = subprocess.Popen(
            [SOUNDLAB, "run", *options, "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        assert process.stdout is not None
        try:
            yield process
        finally:
            process.terminate()
            process.wait()
            process.stdout.close()
