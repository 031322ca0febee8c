"""A real card that another program has open: who that is, and that it is ours once that has ended."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import soundfile
from daemon import Daemon
from soundlab.kernelcards import state, sub
from soundlab.live import RATE


def test_a_busy_card_names_the_program_that_has_it(audiod: Daemon, tmp_path: Path) -> None:
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros((RATE // 10, 2), "<i2"), RATE)
    command = ["aplay", "-q", "-D", "hw:HDA", "-f", "S16_LE", "-c", "2", "-r", "48000", "/dev/zero"]
    with subprocess.Popen(command) as aplay:
        try:
            while state("HDA") != "RUNNING":
                os.sched_yield()
            refused = audiod.ctl("play", "--device", sub("hda"), path, ok=False)
        finally:
            aplay.kill()
    assert refused.returncode == 1
    words = f"card HDA is in use by aplay (pid {aplay.pid}): stop it, or use another device"
    assert words in " ".join(refused.stderr.decode().split())
    audiod.ctl("play", "--device", sub("hda"), path)
