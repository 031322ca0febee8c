"""When noise is added: only where a sample lies between two steps of the device."""

from pathlib import Path

import numpy as np
from rig import S24, noise, rig


def test_dither_touches_only_what_is_rounded(tmp_path: Path) -> None:
    """16 bits that a player widened to 24 arrive unchanged, silence stays silent, 24 bits are dithered."""
    (tmp_path / "24").mkdir()
    with rig(tmp_path, dither=True) as r:
        data = noise(4800)
        r.stream(data * 256, enc=S24)
        r.stream(noise(4800, seed=2), vol=0)
        r.drain()
        assert np.array_equal(r.played(), data)
    with rig(tmp_path / "24", dither=True) as r:
        r.stream(np.full((48000, 2), 64), enc=S24)  # a quarter of a step of the device
        r.drain()
        assert set(np.unique(r.played())) == {-1, 0, 1}
        assert abs(r.played().mean() - 0.25) < 0.01
