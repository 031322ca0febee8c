"""What a ramp should be, computed another way than in C: for tests that play a constant in floats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def way(curve: Sequence[tuple[float, float]], n: int) -> np.ndarray:
    """Part of the way at each of n frames, computed another way than in C."""
    t = np.arange(n) / n
    if not curve:
        return 3 * t**2 - 2 * t**3
    x, y = (np.array(v, np.float32).astype(float) for v in zip((0, 0), *curve, (1, 1), strict=True))
    k = np.searchsorted(x, t, "right") - 1
    return y[k] + (y[k + 1] - y[k]) * (t - x[k]) / (x[k + 1] - x[k])


def ones(n: int, channels: int = 2) -> np.ndarray:
    return np.ones((n, channels))


def after(start: float, goal: float, ramp: np.ndarray, n: int) -> np.ndarray:
    """The gain from the first frame of a ramp on."""
    return np.concatenate([start + (goal - start) * ramp, np.full(n, goal)])[:n]
