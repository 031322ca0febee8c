"""The example does what it says."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
from clients.fake_audiod import FakeAudiod

EXAMPLE = Path(__file__).parents[2] / "clients" / "python" / "examples" / "sine.py"


def test_sine(server: FakeAudiod) -> None:
    runpy.run_path(str(EXAMPLE))
    server.settle()
    samples = np.frombuffer(server.streams[0].written, "<i2")
    assert len(samples) == 48000
    assert np.argmax(np.abs(np.fft.rfft(samples))) == 440
