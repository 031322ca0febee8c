"""Cards that go away while programs play: two virtual cards (tests/lab), the real daemon and its programs.

The cards come and go without a trace in this system, so that the daemon must be told to look.
"""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from daemon import running
from lab import virtcards
from lab.virtcards import Virtcards
from native import Native, Refused
from neighbour import numbered
from sndio.card import need
from units import a_unit
from wanderer import RATE, Player, heard, states, where

__all__ = ["a_unit"]  # a fixture

FIELDS = {"rate": "[ 48000 44100 ]", "channels": "[ 1 2 ]", "format": "[ S16_LE S32_LE ]"}
FIRST, SECOND = "alsa:hw:0,0", "alsa:hw:1,0"
BOTH = ("-f", f"{FIRST}?dither=off", "-F", f"{SECOND}?dither=off")
BLOCK, BUFSZ = 480, 1920
SILENCE = RATE * 300 // 1000  # frames that may be heard by nobody


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Virtcards]:
    if lacking := virtcards.missing():
        pytest.skip(f"{lacking}: tests/check installs it where it is root and has apt")
    with virtcards.virtcards(tmp_path, **FIELDS) as made:
        monkeypatch.setenv("ALSA_CONFIG_PATH", made.env["ALSA_CONFIG_PATH"])
        yield made


def test_it_goes_on_on_the_other_card_and_returns(tmp_path: Path, cards: Virtcards) -> None:
    with running(tmp_path, *BOTH) as daemon:
        player = Player(daemon)
        player.play_on(RATE // 2)
        assert where(daemon) == (1, None)
        cards.unplug("1")
        player.play(lambda: where(daemon)[0] == 0)
        player.play_on(RATE // 2)
        assert where(daemon) == (0, "device 1 is not there")
        while states(daemon)[1] == "lost":
            player.play_on(BLOCK)
        cards.plug("1")
        daemon.ask("devices.rescan")  # a process takes longer than the buffer lasts
        assert where(daemon) == (1, None)
        player.play_on(RATE // 2)
        player.stop()
        xruns = daemon.ask("status")["xruns"]
        assert xruns["ours"] == xruns["client"] == 0, xruns
        assert daemon.log.count("event=device.lost") == 1 and "stream.stays" not in daemon.log
    moves = np.array(player.positions)
    assert (np.diff(moves) >= 0).all() and np.diff(moves).max() <= SILENCE, "it goes on all the time"
    first, second = heard(cards.sink("0")), heard(cards.sink("1"))
    assert (np.diff(first) > 0).all() and (np.diff(second) > 0).all(), "nothing is heard twice"
    before, after = second[second < first[0]], second[second > first[-1]]
    assert len(before) > RATE // 3 and len(first) > RATE // 3 and len(after) > RATE // 3
    assert (np.diff(before) == 1).all() and (np.diff(first) == 1).all() and (np.diff(after) == 1).all()
    assert first[0] - before[-1] <= SILENCE, f"{first[0] - before[-1]} frames were heard by nobody"
    assert after[0] - first[-1] <= SILENCE


def test_without_another_card_it_is_silent_until_it_is_back(tmp_path: Path, cards: Virtcards) -> None:
    with running(tmp_path, "-f", FIRST) as daemon:
        player, own = Player(daemon), Player(daemon, "0")
        player.play_on(RATE // 4)
        cards.unplug()
        player.play(lambda: states(daemon) == ["lost"])
        player.play_on(RATE // 4)
        with Native(daemon.socket) as other, pytest.raises(Refused) as refused:
            other.call("open", mode="play")
        assert refused.value.code == "ENODEV"
        shown = daemon.ctl("devices").stdout.decode()
        assert re.search(r"^ +lost, 48 kHz.*\n +alsa: hw:0,0", shown, re.M), shown
        cards.plug()
        daemon.ctl("devices", "--rescan")
        assert states(daemon) != ["lost"]
        player.play_on(RATE // 4)
        rows = daemon.ask("streams")["streams"]
        assert {row["subdevice"] for row in rows} == {"default", "0"} and len(rows) == 2
        player.stop()
        own.client.close()
    moves = np.array(player.positions)
    assert (np.diff(moves) >= 0).all() and np.diff(moves).max() <= SILENCE


def test_what_is_recorded_goes_on_too(tmp_path: Path, cards: Virtcards) -> None:
    """Frames of the time between are silence; recorded frame n is played frame n, whatever has happened."""
    with running(tmp_path, *BOTH) as daemon, Native(daemon.socket) as c:
        n = c.call("open", mode="play,rec")["stream"]
        par = {"enc": "s16le", "pchan": 2, "rchan": 2, "rate": RATE, "appbufsz": 48000}
        c.call("setpar", stream=n, par=par)
        c.call("start", stream=n)
        raw, written = b"", 0

        def record(nframes: int) -> None:
            nonlocal raw, written
            while len(raw) < nframes * 4:
                message = c.until(lambda m: m[0] == 2 and m[1] in ("data", "credit", "onstate"))
                assert message[1] != "onstate", message
                if message[1] == "data":
                    raw += message[2][1]
                else:
                    for size in [4800] * (message[2][1] // 4800) + [message[2][1] % 4800]:
                        c.write(n, numbered(written, size).tobytes()) if size else None
                        written += size

        record(12000)
        cards.unplug("1")
        while where(daemon)[0] == 1:
            record(len(raw) // 4 + BLOCK)
        record(len(raw) // 4 + 24000)
    got = np.frombuffer(raw, "<i2").reshape(-1, 2)
    want = numbered(0, len(got))
    same = (got == want).all(axis=1)
    silent = ~got.any(axis=1)
    assert same[:9600].all(), "before"
    assert same[-12000:].all(), "and after"
    assert (~same & ~silent).sum() <= 2 * 480, "a fade, and silence"


def test_a_program_of_sndio_notices_nothing(tmp_path: Path, cards: Virtcards, a_unit: int) -> None:
    """aucat plays a file across two losses, and ends as if nothing had been."""
    need("aucat")
    source = tmp_path / "numbers.wav"
    soundfile.write(source, numbered(0, 3 * RATE), RATE, subtype="PCM_16")
    with running(tmp_path, *BOTH, sndio="", unit=a_unit) as daemon:
        env = {**daemon.env, "AUDIODEVICE": f"snd,{a_unit}/default", "HOME": str(tmp_path)}
        player = subprocess.Popen(["aucat", "-i", source], env=env)

        def played(nframes: int) -> None:
            while True:
                rows = daemon.ask("streams")["streams"]
                if rows and rows[0]["position"] >= nframes:
                    return
                assert player.poll() is None

        played(RATE // 2)
        cards.unplug("1")
        while where(daemon)[0] == 1:
            pass
        played(RATE)
        cards.plug("1")
        daemon.ask("devices.rescan")
        assert where(daemon) == (1, None)
        played(3 * RATE // 2)
        cards.unplug("0")
        played(2 * RATE)
        cards.unplug("1")
        while states(daemon)[1] != "lost":
            assert player.poll() is None
        cards.plug("0")
        daemon.ask("devices.rescan")
        assert player.wait(60) == 0
    first, second = heard(cards.sink("0")), heard(cards.sink("1"))
    assert len(first) > RATE // 4 and len(second) > RATE
    assert (np.diff(first) > 0).all() and (np.diff(second) > 0).all()


def test_hup_tries_the_best_one_again(tmp_path: Path, cards: Virtcards) -> None:
    cards.unplug("1")
    with running(tmp_path, *BOTH) as daemon:
        player = Player(daemon)
        player.play_on(BLOCK)
        assert where(daemon)[0] == 0
        cards.plug("1")
        daemon.process.send_signal(signal.SIGHUP)
        player.play(lambda: where(daemon) == (1, None))
        player.stop()


def test_a_busy_card_is_not_waited_for(tmp_path: Path, cards: Virtcards) -> None:
    with running(tmp_path, *BOTH) as daemon, cards.taken("play", "1"):
        player = Player(daemon)
        player.play_on(BLOCK)
        assert where(daemon) == (0, "device 1 is busy")
        assert "snd/default" in daemon.ctl("devices").stdout.decode()
        player.stop()
