"""Every encoding that the kernel's cards offer: what is played is the same to libasound's own converter."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from audiod_protocol.params import Enc
from rig import noise
from soundlab import kernelcards
from soundlab.live import RATE, Live

from audiod.opening import to_engine

# those of aloop, by libasound's names and ours
ALOOP = {
    "S16_LE": "s16le",
    "S16_BE": "s16be",
    "S24_LE": "s24le4",
    "S24_BE": "s24be4",
    "S24_3LE": "s24le3",
    "S24_3BE": "s24be3",
    "S32_LE": "s32le",
    "S32_BE": "s32be",
    "FLOAT_LE": "f32le",
    "FLOAT_BE": "f32be",
}
SILENCE = np.zeros((RATE // 4, 2), "<i2")


def test_there_is_no_other_encoding() -> None:
    assert set(kernelcards.offers("hw:Loopback", "FORMAT")) == set(ALOOP)
    assert kernelcards.offers("hw:Dummy", "FORMAT") == ["U8", "S16_LE"]
    assert kernelcards.offers("hw:HDA", "FORMAT") == kernelcards.offers("hw:USB", "FORMAT") == ["S16_LE"]


@pytest.mark.parametrize("name", ALOOP)
def test_an_encoding_of_aloop(live: Live, tmp_path: Path, name: str) -> None:
    """16 bits in all of them; recorded through libasound's `plug`, which knows nothing of us."""
    frames = noise(RATE // 4).astype("<i2")
    enc = to_engine(Enc.parse(ALOOP[name]))
    heard = tmp_path / "heard.raw"
    options = ["-t", "raw", "-f", "S16_LE", "-c", "2", "-r", str(RATE)]
    with live.device("hw:Loopback,0,0", enc) as device:
        assert device.par.enc == enc
        assert name in (kernelcards.PROC / "Loopback/pcm0p/sub0/hw_params").read_text().split()
        recorder = subprocess.Popen(["arecord", "-q", "-D", "plughw:Loopback,1,0", *options, heard])
        try:
            while kernelcards.state("Loopback", "pcm1c") != "RUNNING":
                assert recorder.poll() is None
            live.play(device, np.concatenate([frames, SILENCE]))
        finally:
            recorder.terminate()
            recorder.wait()
    assert frames.tobytes() in heard.read_bytes()


def test_eight_bits_of_dummy(live: Live) -> None:
    with live.device("hw:Dummy", to_engine(Enc.parse("u8")), rchan=2) as device:
        assert device.par.enc == to_engine(Enc.parse("u8"))
        live.play(device, np.concatenate([noise(RATE // 4).astype("<i2"), SILENCE]))
        assert device.stats().position >= RATE // 2
