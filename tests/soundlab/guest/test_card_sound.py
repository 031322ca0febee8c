"""What is played on real cards is there bit by bit, and what they record is what they play."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from daemon import Daemon
from rig import noise
from soundlab.kernelcards import Heard, sub
from soundlab.live import RATE, Live

from audiod.engine import StreamFlag

SILENCE = np.zeros((RATE // 2, 2), "<i2")


@pytest.fixture
def tune(tmp_path: Path) -> tuple[Path, bytes]:
    """A file of noise and half a second of silence, and the samples of the noise."""
    frames = noise(RATE, bits=16).astype("<i2")
    soundfile.write(tmp_path / "tune.wav", np.concatenate([frames, SILENCE]), RATE, subtype="PCM_16")
    return tmp_path / "tune.wav", frames.tobytes()


def test_a_file_on_the_hda_card_is_bit_exact(audiod: Daemon, hda: Heard, tune: tuple[Path, bytes]) -> None:
    path, samples = tune
    said = audiod.ctl("play", path)
    assert "bit-exact" in said.stderr.decode()
    assert samples in hda.data()


def test_a_file_on_the_usb_card_is_bit_exact(audiod: Daemon, usb: Heard, tune: tuple[Path, bytes]) -> None:
    path, samples = tune
    subprocess.run(["amixer", "-q", "-c", "USB", "sset", "Audio Output Volume Control", "100%"], check=True)
    audiod.ctl("play", "--device", sub("usb"), path)
    assert samples in usb.data()


def test_what_aloop_records_is_what_it_plays(live: Live) -> None:
    """Full duplex of one device: recorded frame n is played frame n."""
    frames = np.concatenate([noise(RATE // 2).astype("<i2"), SILENCE, SILENCE])
    with live.device("wire", rchan=2) as device:
        stream = live.stream(device, frames, flags=StreamFlag.PLAY | StreamFlag.REC)
        heard = live.recorded(stream, RATE)
        stream.stop(drain=False)
        live.released(stream)
    assert np.array_equal(heard, frames[:RATE])
    assert not live.xruns(), "its clock went on by itself"


def test_sndio_programs_play_and_record(audiod: Daemon, hda: Heard, tune: tuple[Path, bytes]) -> None:
    """aucat, unmodified, by sndio's socket, to a real card."""
    path, samples = tune
    env = {**os.environ, "AUDIODEVICE": f"snd,{audiod.unit}/0"}
    subprocess.run(["aucat", "-i", path], env=env, check=True)
    assert samples in hda.data()
