"""Every encoding and access that the kernel's cards offer, and the accesses that libasound has besides."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from rig import noise
from soundlab import kernelcards
from soundlab.kernelcards import Heard
from soundlab.live import RATE, Live, encoding

from audiod.engine import EngineError, StreamFlag
from audiod.engine.values import ACCESSES

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
KERNEL = {"mmap": "MMAP_INTERLEAVED", "rw": "RW_INTERLEAVED"}  # accesses by our names and libasound's
LIBRARY = [
    *[("plugged", access) for access in ("mmap", "mmap-planar", "rw", "rw-planar")],
    *[("apart", access) for access in ("mmap-complex", "rw", "rw-planar")],
]
CARDS = ("hw:HDA", "hw:Loopback", "hw:Dummy", "hw:USB")
SILENCE = np.zeros((RATE // 4, 2), "<i2")


def test_there_is_no_other_encoding() -> None:
    assert set(kernelcards.offers("hw:Loopback", "FORMAT")) == set(ALOOP)
    assert kernelcards.offers("hw:Dummy", "FORMAT") == ["U8", "S16_LE"]
    assert kernelcards.offers("hw:HDA", "FORMAT") == kernelcards.offers("hw:USB", "FORMAT") == ["S16_LE"]


@pytest.mark.parametrize("access", KERNEL)
@pytest.mark.parametrize("name", ALOOP)
def test_an_encoding_of_aloop(live: Live, tmp_path: Path, name: str, access: str) -> None:
    """16 bits in all of them; recorded through libasound's `plug`, which knows nothing of us."""
    frames = noise(RATE // 4).astype("<i2")
    enc = encoding(ALOOP[name])
    heard = tmp_path / "heard.raw"
    options = ["-t", "raw", "-f", "S16_LE", "-c", "2", "-r", str(RATE)]
    with live.device("hw:Loopback,0,0", enc, access=access) as device:
        assert device.par.enc == enc
        params = (kernelcards.PROC / "Loopback/pcm0p/sub0/hw_params").read_text().split()
        assert name in params and KERNEL[access] in params
        recorder = subprocess.Popen(["arecord", "-q", "-D", "plughw:Loopback,1,0", *options, heard])
        try:
            while kernelcards.state("Loopback", "pcm1c") != "RUNNING":
                assert recorder.poll() is None
            live.play(device, np.concatenate([frames, SILENCE]))
        finally:
            recorder.terminate()
            recorder.wait()
    assert frames.tobytes() in heard.read_bytes()


def test_there_is_no_other_access() -> None:
    for card in CARDS:
        assert kernelcards.offers(card, "ACCESS") == list(KERNEL.values())


@pytest.mark.parametrize("card", CARDS)
def test_an_access_that_a_card_has_not(live: Live, card: str) -> None:
    for access in set(ACCESSES) - set(KERNEL):
        with pytest.raises(EngineError, match="by the only access"), live.device(card, access=access):
            pass


@pytest.mark.parametrize(("name", "access"), LIBRARY)
def test_an_access_of_the_library(live: Live, name: str, access: str) -> None:
    """In full duplex; `apart` starts its channels one after the other."""
    frames = noise(RATE // 4).astype("<i2")
    with live.device(name, rchan=2, access=access) as device:
        sound = np.concatenate([frames, SILENCE, SILENCE, SILENCE])
        stream = live.stream(device, sound, flags=StreamFlag.PLAY | StreamFlag.REC)
        heard = live.recorded(stream, RATE // 2)
        stream.stop(drain=False)
        live.released(stream)
    for channel in 0, 1:
        assert frames[:, channel].tobytes() in heard[:, channel].tobytes()


@pytest.mark.parametrize("access", KERNEL)
def test_an_access_of_the_hda_card(live: Live, hda: Heard, access: str) -> None:
    frames = noise(RATE // 4).astype("<i2")
    with live.device("hw:HDA", access=access) as device:
        live.play(device, np.concatenate([frames, SILENCE]))
    assert frames.tobytes() in hda.data()


def test_eight_bits_of_dummy(live: Live) -> None:
    with live.device("hw:Dummy", encoding("u8"), rchan=2) as device:
        assert device.par.enc == encoding("u8")
        live.play(device, np.concatenate([noise(RATE // 4).astype("<i2"), SILENCE]))
        assert device.stats().position >= RATE // 2
