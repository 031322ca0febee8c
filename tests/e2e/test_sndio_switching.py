"""Programs of sndio's wire play on while sndioctl, HUP or a plug moves them, and notice nothing.

Two virtual cards (tests/lab), aucat and sndioctl of both generations; and one raw client, which
counts every message that a program might have noticed something by.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audiod_protocol.sndio import messages as m
from daemon import PATIENCE, Daemon, running
from lab import virtcards
from lab.virtcards import Virtcards
from neighbour import numbered
from sndio.card import HEAD, need
from sndiowire import Blocks, SndioWire
from units import a_unit
from wanderer import RATE, heard, where

__all__ = ["a_unit"]  # a fixture

FIELDS = {"rate": "[ 48000 44100 ]", "channels": "[ 1 2 ]", "format": "[ S16_LE S32_LE ]"}
BOTH = ("-f", "alsa:hw:0,0?dither=off", "-F", "alsa:hw:1,0?dither=off")
BLOCK, BUFSZ = 480, 1920
SILENCE = RATE * 300 // 1000  # frames that may be heard by nobody
SECONDS = 4


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Virtcards]:
    if lacking := virtcards.missing():
        pytest.skip(f"{lacking}: tests/check installs it where it is root and has apt")
    with virtcards.virtcards(tmp_path, **FIELDS) as made:
        monkeypatch.setenv("ALSA_CONFIG_PATH", made.env["ALSA_CONFIG_PATH"])
        yield made


@pytest.fixture(params=["1.9", "HEAD"])
def tools(request: pytest.FixtureRequest) -> tuple[str, dict[str, str]]:
    """The folder of sndio's programs, of each generation, and what they need in their environment."""
    if request.param == "1.9":
        need("aucat")
        need("sndioctl")
        return "", {}
    prefix = os.environ.get(HEAD)
    if not prefix:
        pytest.skip(f"{HEAD} is not set: it takes the prefix that sndio's newest release is installed under")
    return f"{prefix}/bin/", {"LD_LIBRARY_PATH": f"{prefix}/lib"}


class Aucat:
    """aucat that plays numbered frames; `ctl` is sndioctl beside it."""

    def __init__(self, daemon: Daemon, folder: Path, tools: tuple[str, dict[str, str]]) -> None:
        source = folder / "numbers.wav"
        soundfile.write(source, numbered(0, SECONDS * RATE), RATE, subtype="PCM_16")
        self.daemon = daemon
        self._bin, more = tools
        device = f"snd,{daemon.unit}/default"
        self._env = {**daemon.env, "AUDIODEVICE": device, "HOME": str(folder), **more}
        self.process = subprocess.Popen(
            [f"{self._bin}aucat", "-i", source], env=self._env, stderr=subprocess.PIPE
        )

    def ctl(self, word: str) -> None:
        subprocess.run(
            [f"{self._bin}sndioctl", word], env=self._env, timeout=PATIENCE, check=True, capture_output=True
        )

    def plays_until(self, done: Callable[[dict[str, object]], bool]) -> None:
        """Wait for its row in the list of streams to say so."""
        while True:
            rows = self.daemon.ask("streams")["streams"]
            if rows and done(rows[0]):
                return
            assert self.process.poll() is None, self.daemon.log

    def played(self, nframes: int) -> None:
        self.plays_until(lambda row: int(str(row["position"])) >= nframes)

    def ends_well(self) -> None:
        assert self.process.wait(PATIENCE) == 0
        assert self.process.stderr is not None and self.process.stderr.read() == b""
        self.process.stderr.close()


def assert_nothing_was_lost(cards: Virtcards, moves: int, *, first: int = 0) -> None:
    """Every frame was heard once, in its order, but for the silence of each move; and as it was."""
    numbers = np.sort(np.concatenate([heard(cards.sink(card)) for card in ("0", "1")]))
    assert (np.diff(numbers) > 0).all(), "nothing is heard twice"
    gaps = np.diff(numbers)
    assert numbers[0] == first and numbers[-1] == SECONDS * RATE - 1
    assert (gaps > 1).sum() <= moves and gaps.max() <= SILENCE, gaps[gaps > 1]


@contextmanager
def playing(
    folder: Path, cards: Virtcards, unit: int, tools: tuple[str, dict[str, str]]
) -> Iterator[tuple[Daemon, Aucat]]:
    with running(folder, *BOTH, sndio="", unit=unit) as daemon:
        aucat = Aucat(daemon, folder, tools)
        try:
            yield daemon, aucat
        finally:
            if aucat.process.poll() is None:
                aucat.process.kill()
                aucat.process.wait()
        xruns = daemon.ask("status")["xruns"]
        assert xruns["ours"] == 0, xruns


def test_sndioctl_puts_it_on_the_other_card_and_back(
    tmp_path: Path, cards: Virtcards, a_unit: int, tools: tuple[str, dict[str, str]]
) -> None:
    with playing(tmp_path, cards, a_unit, tools) as (daemon, aucat):
        aucat.played(RATE // 2)
        assert where(daemon) == (1, None)
        for turn, number in enumerate((0, 1, 0), 2):
            aucat.ctl(f"server.device={number}")
            aucat.plays_until(lambda row, number=number: row["device"] == number)
            aucat.played(turn * RATE // 2)
        assert where(daemon)[0] == 0
        aucat.ends_well()
    assert_nothing_was_lost(cards, 3)
    assert all(len(heard(cards.sink(card))) > RATE for card in ("0", "1"))


def test_hup_puts_it_on_the_better_card_that_has_come(
    tmp_path: Path, cards: Virtcards, a_unit: int, tools: tuple[str, dict[str, str]]
) -> None:
    cards.unplug("1")
    with playing(tmp_path, cards, a_unit, tools) as (daemon, aucat):
        aucat.played(RATE // 2)
        daemon.process.send_signal(signal.SIGHUP)
        aucat.played(RATE)
        assert where(daemon)[0] == 0, "it has not come yet"
        cards.plug("1")
        daemon.process.send_signal(signal.SIGHUP)
        aucat.plays_until(lambda row: row["device"] == 1)
        daemon.process.send_signal(signal.SIGHUP)
        aucat.played(2 * RATE)
        aucat.ends_well()
    assert_nothing_was_lost(cards, 1)
    assert len(heard(cards.sink("1"))) > RATE


def test_a_mode_that_is_taken_and_given_back(
    tmp_path: Path, cards: Virtcards, a_unit: int, tools: tuple[str, dict[str, str]]
) -> None:
    """server.mode: what it plays is not heard meanwhile, and time goes on."""
    with playing(tmp_path, cards, a_unit, tools) as (daemon, aucat):
        aucat.played(RATE // 2)
        daemon.ask("control.set", name="server.mode.play", value=0, subdevice="default")
        aucat.played(3 * RATE // 2)
        daemon.ask("control.set", name="server.mode.play", value=1, subdevice="default")
        aucat.ends_well()
    numbers = heard(cards.sink("1"))
    gaps = np.diff(numbers)
    assert numbers[0] == 0 and numbers[-1] == SECONDS * RATE - 1 and (gaps > 0).all()
    assert (gaps > 1).sum() == 1 and RATE // 2 < gaps.max() < 3 * RATE // 2


class Counter(SndioWire):
    """A program that plays and records and looks at every message."""

    def begin(self) -> None:
        self.open(m.WireMode.PLAY | m.WireMode.REC)
        par = self.par(m.WirePar(bits=16, bps=2, sig=1, le=1, pchan=2, rchan=2, rate=RATE, appbufsz=9600))
        assert par.round == BLOCK
        self.blocks = Blocks(4, BLOCK)
        self.credit = self.written = self.position = 0
        self.told: list[int] = []
        self.taken = len(self.seen)
        self.send(m.Start(True))

    def go_on(self, done: Callable[[], bool]) -> None:
        """Play what may be played, until `done`."""
        while not done():
            if self.taken == len(self.seen):
                self.until(lambda message: True)
            self._take(self.seen[self.taken])
            self.taken += 1

    def _take(self, message: m.ServerMessage) -> None:
        assert isinstance(message, m.Flowctl | m.Move | m.Data | m.Setvol), message
        if isinstance(message, m.Flowctl):
            self.credit += message.delta
            self.send(self.blocks.cut(numbered(self.written, message.delta).tobytes()))
            self.written += message.delta
        elif isinstance(message, m.Move):
            assert message.delta >= 0
            self.position += message.delta
            self.told.append(message.delta)
        elif isinstance(message, m.Data):
            assert message.size % 4 == 0


def test_a_program_is_told_of_nothing(tmp_path: Path, cards: Virtcards, a_unit: int) -> None:
    """Neither an xrun nor a volume nor a jump of its position; credit and samples for all that has passed."""
    place = f"/tmp/sndio/sock{a_unit}" if os.geteuid() == 0 else f"/tmp/sndio-{os.geteuid()}/sock{a_unit}"
    with running(tmp_path, *BOTH, sndio="", unit=a_unit) as daemon:
        with Counter(place) as program:
            program.begin()
            for number in (0, 1, 0, 1):
                reached = program.position + RATE // 4
                program.go_on(lambda least=reached: program.position >= least)
                daemon.ask("control.set", name="server.device", value=number)
                assert where(daemon)[0] == number
            # each cycle says both: its positions, then its credit
            reached = program.position + RATE // 4
            program.go_on(lambda: program.position >= reached and program.taken == len(program.seen))
            ahead = program.credit - 9600 - program.position
            assert -2 * BLOCK <= ahead <= SILENCE, "credit for all that was played, and for no more"
            assert len(program.heard) // 4 <= program.position, "nothing before its time"
            assert max(program.told) <= SILENCE and not any(isinstance(s, m.Xrun) for s in program.seen)
            program.send(m.Stop(True))
            program.until(lambda message: isinstance(message, m.Stop))
        xruns = daemon.ask("status")["xruns"]
        assert xruns["ours"] == xruns["client"] == 0, xruns
