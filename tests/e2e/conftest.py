"""Real sound for end-to-end tests: speech by espeak-ng, music-like material by sox."""

import shutil
import subprocess
from pathlib import Path

import pytest


def need(tool: str) -> str:
    path = shutil.which(tool)
    if path is None:
        pytest.skip(f"{tool} is not installed: tests/check installs it where it is root and has apt")
    return path


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sounds")


@pytest.fixture(scope="session")
def speech(sounds: Path) -> Path:
    """A sentence, mono s16 at 22,050 Hz."""
    path = sounds / "speech.wav"
    subprocess.run(
        [need("espeak-ng"), "-w", path, "Frames are counted, blocks are mixed, nothing is lost."], check=True
    )
    return path


@pytest.fixture(scope="session")
def music(sounds: Path):
    """make(bits, suffix, rate, seconds, volume, chord) -> a stereo file with a chord, a beat and noise."""

    def make(
        bits: int,
        suffix: str = "wav",
        *,
        rate: int = 48000,
        seconds: float = 1.2,
        volume: float = 0.5,
        key: int = 0,
    ) -> Path:
        path = sounds / f"music-{bits}-{rate}-{seconds}-{volume}-{key}.{suffix}"
        if not path.exists():
            synth = ["pluck", f"%{key - 9}", "sawtooth", f"%{key - 5}"]
            subprocess.run(
                [need("sox"), "-R", "-D", "-n", "-b", str(bits), "-r", str(rate), "-c", "2", path, "synth",
                 str(seconds), *synth, "tremolo", "4", "60", "vol", str(volume)],
                check=True,
            )  # fmt: skip
        return path

    return make
