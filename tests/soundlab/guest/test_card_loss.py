"""Cards that go away while they play, and come back: the engine's part.

A clock stands in for the lost card: the stream's position goes on, and ends where all was written.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rig import noise
from soundlab.kernelcards import PROC, Heard
from soundlab.live import RATE, Live

from audiod.engine import DeviceLost, EngineError, Stream

LENGTH = 3 * RATE
DRIVERS = {
    "Dummy": Path("/sys/bus/platform/drivers/snd_dummy"),
    "HDA": Path("/sys/bus/pci/drivers/snd_hda_intel"),
}


def volume(card: str, control: str) -> None:
    """To 100 %, at which it changes nothing."""
    subprocess.run(["amixer", "-q", "-c", card, "sset", control, "100%", "unmute"], check=True)


def take(card: str) -> Callable[[], None]:
    """Takes a card away; returns what brings it back."""
    if card == "USB":
        subprocess.run(["soundlab", "unplug", "usb"], check=True)
        return _give_usb
    driver = DRIVERS[card]
    (device,) = [link.name for link in driver.iterdir() if link.is_symlink() and link.name != "module"]
    # the kernel's remove waits until nobody has the card open any more
    unbind = subprocess.Popen(["sh", "-c", f"echo {device} >{driver}/unbind"])
    return lambda: _give(card, device, unbind)


def _give_usb() -> None:
    subprocess.run(["soundlab", "plug", "usb"], check=True)
    volume("USB", "Audio Output Volume Control")


def _give(card: str, device: str, unbind: subprocess.Popen[bytes]) -> None:
    assert unbind.wait() == 0
    (DRIVERS[card] / "bind").write_text(device)
    while not (PROC / card).exists():  # HDA looks for its codecs first
        os.sched_yield()
    if card == "HDA":
        volume(card, "Master")


def moves_on(live: Live, stream: Stream, nframes: int) -> list[int]:
    """Its positions until it has gone on by so many frames."""
    positions = [stream.stats().position]
    while positions[-1] < positions[0] + nframes:
        live.pause()
        positions.append(stream.stats().position)
    return positions


@pytest.mark.parametrize("card", ["USB", "Dummy", "HDA"])
def test_a_card_goes_away_while_it_plays(live: Live, card: str) -> None:
    with live.device(f"hw:{card}", bufsz=4800) as device:
        stream = live.stream(device, noise(LENGTH).astype("<i2"))
        before = moves_on(live, stream, RATE // 2)
        give = take(card)
        after = moves_on(live, stream, RATE)
        stats = live.drained(device, stream)
        passed = device.stats().position
        lost = [event.device for event in live.seen if isinstance(event, DeviceLost)]
        with pytest.raises(EngineError, match="there is no such card"), live.device(f"hw:{card}"):
            pass
    give()
    assert lost == [device.id], "told once"
    assert after == sorted(after) and after[0] >= before[-1]
    assert stats.consumed == LENGTH and passed >= LENGTH, "all that was written has passed"
    with live.device(f"hw:{card}", bufsz=4800) as device:
        live.play(device, noise(RATE // 4).astype("<i2"))
        assert device.stats().position >= RATE // 4, "a new one plays"
    assert len([event for event in live.seen if isinstance(event, DeviceLost)]) == 1


def test_a_replugged_card_is_bit_exact(live: Live) -> None:
    take("USB")()
    heard = Heard("usb")
    frames = noise(RATE // 2).astype("<i2")
    with live.device("hw:USB") as device:
        live.play(device, np.concatenate([frames, np.zeros_like(frames)]))
    assert frames.tobytes() in heard.data()


def test_a_card_comes_with_its_module(live: Live) -> None:
    """Nobody has the card open, so the module can go; an open tells that there is none; then it is back."""
    with live.device("hw:Dummy") as device:
        live.play(device, noise(4800).astype("<i2"))
        busy = subprocess.run(["modprobe", "-r", "snd-dummy"], capture_output=True, text=True, check=False)
        assert busy.returncode != 0 and "in use" in busy.stderr
    subprocess.run(["modprobe", "-r", "snd-dummy"], check=True)
    try:
        with pytest.raises(EngineError, match="there is no such card"), live.device("hw:Dummy"):
            pass
    finally:
        subprocess.run(["modprobe", "snd-dummy"], check=True)
    with live.device("hw:Dummy") as device:
        live.play(device, noise(4800).astype("<i2"))
