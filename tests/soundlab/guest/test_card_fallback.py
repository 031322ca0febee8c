"""A USB card is unplugged while a program plays: it goes on on another card, and returns when it is back.

What was heard where is read from the host's files; frames are numbered, so that
those which nobody heard are counted, not timed.  Nobody tells the daemon that
cards come and go: it hears of it by itself.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from daemon import Daemon, running
from soundlab.kernelcards import SPECS, Heard
from wanderer import RATE, Player, heard, where

SILENCE = RATE  # frames that may be heard by nobody; emulated on a busy host: tests/e2e asks for 300 ms
HDA, USB = 0, 1


def set_volume() -> None:
    """To 100 %, at which it changes nothing."""
    command = ["amixer", "-q", "-c", "USB", "sset", "Audio Output Volume Control", "100%", "unmute"]
    subprocess.run(command, check=True)


def soundlab(verb: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["soundlab", verb, "usb"])


def play_until(player: Player, daemon: Daemon, device: int) -> None:
    while where(daemon)[0] != device:
        player.play_on(RATE // 5)  # to ask is work for the server


def test_a_program_goes_on_on_another_card_and_returns(
    tmp_path: Path, hda: Heard, usb: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALSA_CONFIG_PATH")  # so that a card that is not there need not be tried
    set_volume()
    devices = ("-f", f"{SPECS['hda']}?dither=off", "-F", f"{SPECS['usb']}?dither=off")
    with running(tmp_path, "-b", "2400", *devices) as daemon:
        daemon.ask("devices.rescan")
        player = Player(daemon, appbufsz=24000)
        assert where(daemon) == (USB, None)
        player.play_on(RATE)
        away = soundlab("unplug")
        play_until(player, daemon, HDA)
        player.play_on(RATE)
        assert away.wait() == 0
        on_usb = heard(usb.data())
        back = soundlab("plug")
        play_until(player, daemon, USB)
        assert back.wait() == 0
        set_volume()
        exact = player.written  # from here on, at this volume
        player.play_on(2 * RATE)
        player.stop()
        log = daemon.log
    assert log.count("event=device.lost") == 1, log
    on_hda, again = heard(hda.data()), heard(usb.whole())
    again = again[again >= exact]
    for run in (on_usb, on_hda, again):
        assert len(run) > RATE // 2 and (np.diff(run) > 0).all(), "in order, nothing twice"
    assert on_usb[0] == 0
    assert on_hda[0] - on_usb[-1] <= SILENCE, f"{on_hda[0] - on_usb[-1]} frames were heard by nobody"
    moves = np.array(player.positions)
    assert (np.diff(moves) >= 0).all() and np.diff(moves).max() <= SILENCE, "it goes on all the time"
