"""Any sequence of aims, of several streams at once, against a model that knows nothing of blocks' insides.

The model computes frame by frame in double; what was played must be its sum.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ramps import way
from rig import F32, Rig, Source, rig

from audiod.engine import StreamHeld, StreamState

ROUND, NSTREAMS, NBLOCKS = 48, 4, 400
CURVES = ([], [(1.0, 1.0)], [(0.2, 0.1), (0.8, 0.9)], [(0.0, 0.5), (0.5, 0.5)])


class Model:
    """One stream of two channels: where its gains are, frame by frame."""

    def __init__(self, level: float) -> None:
        self.level = level
        self.now = np.ones(2)
        self.ahead = np.ones((0, 2))  # of the ramp, the frames to come
        self.goal = np.ones(2)
        self.holding = self.held = self.sounds = False
        self.taken = self.tells = 0
        self.number = 0

    def aim(self, gains: list[float], curve: list[tuple[float, float]], nframes: int, hold: bool) -> None:
        goal = np.zeros(2) if hold else np.array([*gains, *gains[-1:], 1, 1][:2] if gains else [1.0, 1.0])
        goal = goal.astype(np.float32).astype(float)
        self.number += 1
        n = nframes or ROUND
        if hold:
            n = -(-n // ROUND) * ROUND
        if not self.sounds or np.array_equal(self.now, goal):
            n = 0
        part = way(curve, n)[:, None] if n else np.ones((0, 1))
        self.ahead, self.goal = self.now + (goal - self.now) * part, goal
        if not n:
            self.now = goal
        if hold:
            self.tells += self.held  # each is told
            self.holding = not self.held
        else:
            self.holding = self.held = False
        self._arrive()

    def _arrive(self) -> None:
        if self.holding and not len(self.ahead):
            self.holding, self.held, self.sounds = False, True, True  # from silence from here on
            self.tells += 1

    def block(self) -> np.ndarray:
        if self.held:
            return np.zeros((ROUND, 2))
        self.sounds = True
        self.taken += ROUND
        head, self.ahead = self.ahead[:ROUND], self.ahead[ROUND:]
        gains = np.concatenate([head, np.tile(self.goal, (ROUND - len(head), 1))])
        self.now = self.ahead[0] if len(self.ahead) else self.goal
        self._arrive()
        return gains * self.level


def play(r: Rig, dice: np.random.Generator) -> tuple[np.ndarray, list[Model], list[Source]]:
    levels = [0.5, 0.25, 0.125, 0.0625]
    r.stream(np.zeros((NBLOCKS * ROUND * 2, 2)), enc=F32)  # the clock runs also while all the others are held
    sources = [r.stream(np.full((NBLOCKS * ROUND * 2, 2), v), enc=F32) for v in levels]
    models = [Model(v) for v in levels]
    played = []
    for _ in range(NBLOCKS):
        for source, model in zip(sources, models, strict=True):
            if dice.random() < 0.15:
                gains = [float(g) for g in dice.integers(0, 11, dice.integers(0, 3)) / 10]
                curve = CURVES[dice.integers(len(CURVES))]
                nframes = int(dice.choice([0, 1, 17, 48, 96, 100, 480]))
                hold = bool(dice.random() < 0.4)
                assert source.stream.aim(gains, curve=curve, nframes=nframes, hold=hold) == model.number + 1
                model.aim(gains, curve, nframes, hold)
        r.step()
        played.append(sum(model.block() for model in models))
        assert [s.stream.stats().state == StreamState.HELD for s in sources] == [m.held for m in models]
    return np.concatenate(played), models, sources


@pytest.mark.parametrize("seed", range(12))
def test_any_sequence_of_aims(tmp_path: Path, seed: int) -> None:
    with rig(tmp_path, F32, round=ROUND, bufsz=4 * ROUND) as r:
        want, models, sources = play(r, np.random.default_rng(seed))
        assert np.max(np.abs(r.played() - want)) < 2e-6
        assert [s.stream.stats().consumed for s in sources] == [m.taken for m in models]
        assert not any(s.stream.stats().xruns for s in sources)
        held = r.told(StreamHeld)
        for source, model in zip(sources, models, strict=True):
            assert sum(e.stream == source.stream.id for e in held) == model.tells > 3
