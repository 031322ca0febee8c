"""Changes of gain cannot be heard: they leave next to nothing above 4 kHz of a 997 Hz sine.

The sine plays at full scale, in floats so that nothing else makes noise; the
change comes at each of several phases of it.  Measured is the peak, in time, of
all that lies above 4 kHz: harder than any line of a spectrum.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rig import F32, PLAY, Rig, rig

from audiod.policy import gain

RATE, ROUND, SINE, EDGE = 48000, 480, 997.0, 4000.0
MINUS_20_DB = 67  # 60 steps of a third of a dB below 127
PHASES = np.arange(6) / 6
BLOCKS = 40

Change = Callable[[Rig, int], None]


def volume(to: int, start: int = 127) -> tuple[int, int, Change]:
    return start, 127, lambda r, at: r.sources[0].stream.setvol(to) if at == BLOCKS // 2 else None


def master(to: int, start: int = 127) -> tuple[int, int, Change]:
    return 127, start, lambda r, at: r.device.setgain(gain(to)) if at == BLOCKS // 2 else None


CHANGES = {
    "volume down by 20 dB": volume(MINUS_20_DB),
    "volume up by 20 dB": volume(127, MINUS_20_DB),
    "mute": volume(0),
    "unmute": volume(127, 0),
    "master down by 20 dB": master(MINUS_20_DB),
    "master up by 20 dB": master(127, MINUS_20_DB),
    "master muted": master(0),
    "master unmuted": master(127, 0),
}


def played(path: Path, change: tuple[int, int, Change], phase: float, **par: object) -> np.ndarray:
    """What is played of the sine, channel 0, while the change happens in the middle."""
    path.mkdir()
    n = np.arange((BLOCKS + 8) * ROUND)
    sine = np.sin(2 * np.pi * (SINE * n / RATE + phase))
    vol, level, change_at = change
    with rig(path, F32, rate=RATE, round=ROUND, pchan=1) as r:
        r.device.setgain(gain(level))
        r.step(2)
        r.stream(sine[:, None], flags=PLAY, enc=F32, vol=vol, **par)
        for at in range(BLOCKS):
            change_at(r, at)
            r.step()
        out = r.played()[:, 0].astype(float)
    at = np.flatnonzero(out)
    return out[at[0] :] if vol and level else out


def above(signal: np.ndarray, edge: float = EDGE) -> float:
    """Peak in dBFS of what lies above `edge` Hz; the ends are faded so softly that they add nothing."""
    n = len(signal)
    fade = np.minimum(1, np.minimum(np.arange(n), np.arange(n)[::-1]) / (n / 4))
    spectrum = np.fft.rfft(signal * np.sin(np.pi / 2 * fade) ** 4)
    spectrum[np.fft.rfftfreq(n, 1 / RATE) < edge] = 0
    return float(20 * np.log10(np.max(np.abs(np.fft.irfft(spectrum, n))) + 1e-12))


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_leaves_nothing_above_4_khz(tmp_path: Path, change: tuple[int, int, Change]) -> None:
    levels = {p: above(played(tmp_path / f"{p:.2f}", change, p)) for p in PHASES}
    assert max(levels.values()) < -80, levels


def test_no_change_leaves_nothing_at_all(tmp_path: Path) -> None:
    """What the measurement itself adds is far below what it looks for."""
    steady = 127, 127, lambda r, at: None
    assert above(played(tmp_path / "steady", steady, 0.3)) < -120


def test_a_step_would_be_found(tmp_path: Path) -> None:
    """The same sine with its gain changed at once, at the phase that hides it best."""
    n = np.arange(BLOCKS * ROUND)
    sine = np.sin(2 * np.pi * SINE * n / RATE)
    middle = len(n) // 2
    zero = middle + int(np.argmin(np.abs(sine[middle : middle + 200])))
    stepped = np.where(n < zero, 1.0, gain(MINUS_20_DB)) * sine
    assert above(stepped) > -45
