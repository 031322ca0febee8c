"""Configurations of ALSA for tests: PCMs that are fine, hang, crash, or are nothing at all."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

GOOD = """\
pcm.good { type null hint { show on description "A good one
that discards" } }
"""
OTHER = """\
pcm.other { type null hint { show on description "Another" } }
"""
RECURSIVE = """\
pcm.round { type plug slave.pcm "about" hint.description "Round and about" }
pcm.about { type plug slave.pcm "round" hint.description "About and round" }
"""
CRASH = "#include <stdlib.h>\n__attribute__((constructor)) static void die(void) { abort(); }\n"


def hanging(folder: Path) -> str:
    """Its recording opens a FIFO that nobody writes to."""
    if not (folder / "fifo").exists():
        os.mkfifo(folder / "fifo")
    return (
        f'pcm.hang {{ type file slave.pcm {{ type null }} file /dev/null infile "{folder}/fifo" '
        'hint.description "Hangs when it records" }\n'
    )


def crashing(folder: Path) -> str:
    """A plug-in that takes its process along."""
    (folder / "crash.c").write_text(CRASH)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "crash.so", folder / "crash.c"], check=True)
    return (
        f'pcm_type.crash {{ lib "{folder}/crash.so" }}\n'
        'pcm.crash { type crash hint.description "Crashes" }\n'
    )  # fmt: skip
