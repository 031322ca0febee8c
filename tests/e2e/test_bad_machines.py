"""Machines whose sound is not in order: the real daemon says what, why and what to do, and plays on.

On each of them a program plays all the time on a device that works: it notices
nothing.  The sub-device `other` would rather be on the bad one, and is where it can be.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from cards import asoundrc
from daemon import Daemon, running
from lab import virtcards
from lab.virtcards import Virtcards
from native import Native, Refused
from neighbour import Neighbour, frames_of, numbered

CARD = "alsa:hw:0,0"
PLAYS, SPARE, BAD = 0, 1, 2  # devices


class Machine:
    """What a row makes of the machine before the daemon starts; `stack` undoes it."""

    def __init__(self, folder: Path, environ: pytest.MonkeyPatch, stack: ExitStack) -> None:
        self.folder = folder
        self.environ = environ
        self.stack = stack

    def conf(self, text: str) -> None:
        """ALSA's configuration is this alone."""
        path = self.folder / "asoundrc"
        path.write_text(text)
        self.environ.setenv("ALSA_CONFIG_PATH", str(path))

    def cards(self, **fields: str) -> Virtcards:
        """Virtual cards."""
        if lacking := virtcards.missing():
            pytest.skip(f"{lacking}: tests/check installs it where it is root and has apt")
        made = self.stack.enter_context(virtcards.virtcards(self.folder, **fields))
        self.environ.setenv("ALSA_CONFIG_PATH", made.env["ALSA_CONFIG_PATH"])
        return made


def no_library(machine: Machine) -> None:
    """A file of its name that is no library comes first."""
    (machine.folder / "lib").mkdir()
    (machine.folder / "lib/libasound.so.2").write_text("no library")
    machine.environ.setenv("LD_LIBRARY_PATH", str(machine.folder / "lib"))


def no_dev_snd(machine: Machine) -> None:
    if Path("/dev/snd").exists():
        pytest.skip("this machine has sound cards, so it is not one without")


def hangs(machine: Machine) -> None:
    machine.conf(asoundrc.hanging(machine.folder))


def crashes(machine: Machine) -> None:
    machine.conf(asoundrc.crashing(machine.folder))


def busy(machine: Machine) -> None:
    cards = machine.cards()
    machine.stack.enter_context(cards.taken("play"))


def conf(text: str) -> Callable[[Machine], None]:
    return lambda machine: machine.conf(text)


def cards(**fields: str) -> Callable[[Machine], None]:
    return lambda machine: machine.cards(**fields) and None


@dataclass(frozen=True)
class Row:
    """`says`: words of the error, what and why; `do`: of its hint; `probed`: the scan has to find out."""

    make: Callable[[Machine], None]
    says: tuple[str, ...]
    do: str
    spec: str = CARD
    probed: bool = False


ROWS = {
    "no libasound": Row(no_library, ("there is no ALSA library on this machine",), "install the library"),
    "no /dev/snd": Row(no_dev_snd, ("no such card or PCM", "Cannot get card index for 0"), "plug it in"),
    "empty asoundrc": Row(conf(""), ("no such card or PCM", "Unknown PCM hw:0,0"), "audioctl devices --all"),
    "no asoundrc": Row(
        lambda machine: machine.environ.setenv("ALSA_CONFIG_PATH", "/nonexistent"),
        ("no such card or PCM", "Cannot access file /nonexistent"),
        "audioctl devices --all",
    ),
    "syntax error": Row(
        conf("pcm.hw {\n type hw\n ]"),
        ("cannot be opened", ":3:", "Unexpected char"),
        "mend ALSA's configuration",
    ),
    "recursion": Row(
        conf(asoundrc.RECURSIVE),
        ("cannot be opened", "Too many definition levels (looped?)"),
        "mend ALSA's configuration",
        "alsa:round",
    ),
    "a pcm that hangs": Row(
        hangs, ("asking it took more than 2 seconds",), "mend ALSA's configuration", "alsa:hang", probed=True
    ),
    "a pcm that crashes the prober": Row(
        crashes, ("asking it crashed (SIGABRT)",), "mend ALSA's configuration", "alsa:crash", probed=True
    ),
    "busy": Row(busy, ("playback is busy, another program has the card",), "stop the program that has it"),
    "refuses every format": Row(
        cards(format="[ MU_LAW ]"), ("playback has no encoding that audiod has",), "use a PCM that fits"
    ),
    "vanishes when it is set up": Row(
        cards(vanish="hw_params"), ("went away while it was opened", "No such device"), "plug it in"
    ),
    "vanishes when it is prepared": Row(
        cards(vanish="prepare"), ("went away while it was opened", "No such device"), "plug it in"
    ),
}  # fmt: skip


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    with ExitStack() as stack:
        yield Machine(tmp_path, monkeypatch, stack)


@contextlib.contextmanager
def played_on(daemon: Daemon, folder: Path) -> Iterator[None]:
    """Meanwhile a program plays, and all of it is heard."""
    neighbour = Neighbour(daemon.socket)
    neighbour.hears_on()
    yield
    neighbour.hears_on()
    neighbour.finish()
    (row,) = [row for row in daemon.ask("devices")["devices"] if row["device"] == PLAYS]
    assert row["xruns"] == 0
    daemon.stop()
    got = frames_of(folder / "plays.raw", 2, slice(0, 2))
    assert np.array_equal(got, numbered(0, neighbour.written))


def server(folder: Path, spec: str) -> AbstractContextManager[Daemon]:
    plays = f"file:{folder / 'plays.raw'}"
    return running(folder, "-f", plays, "-s", "default", "-f", "null", "-F", spec, "-s", "other")


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_it_says_what_and_why_and_plays_on(tmp_path: Path, machine: Machine, row: Row) -> None:
    row.make(machine)
    with server(tmp_path, row.spec) as daemon, played_on(daemon, tmp_path):
        while row.probed and "event=cards.found" not in daemon.log:
            assert daemon.process.poll() is None
        with Native(daemon.socket) as c:
            with pytest.raises(Refused) as refused:
                c.call("open", mode="play", device=str(BAD))
            assert refused.value.code == "ENODEV"
            assert f"device {BAD} ({row.spec}) cannot be opened: alsa: " in refused.value.message
            assert all(words in refused.value.message for words in row.says), refused.value.message
            assert row.do in refused.value.hint
            assert c.call("open", mode="play", device="other")["device"] == SPARE, "what is left is used"
        lines = [line for line in daemon.log.splitlines() if "event=device.refused" in line]
        assert lines and all("level=error" in line and row.says[0] in line for line in lines)
        assert not any(line.startswith("ALSA lib") for line in daemon.log.splitlines()), "its own words"
        (shown,) = [one for one in daemon.ask("devices")["devices"] if one["device"] == BAD]
        assert shown["state"] == "failed" and row.says[0] in shown["reason"]
        told = daemon.ctl("play", "--device", f"snd/{BAD}", "-", ok=False, data=b"")
        words = " ".join(told.stderr.decode().split())
        assert told.returncode == 1 and f"({row.spec}) cannot be opened: alsa: " in words and row.do in words
        assert daemon.process.poll() is None


def test_a_card_that_vanishes_when_it_is_started(tmp_path: Path, machine: Machine) -> None:
    """It could be opened: the stream goes on on what is left."""
    machine.cards(vanish="start")
    with server(tmp_path, CARD) as daemon, played_on(daemon, tmp_path), Native(daemon.socket) as c:
        n = c.stream(open={"device": "other"}, enc="s16le", pchan=2, rate=48000, appbufsz=9600)
        c.write(n, numbered(0, 9600).tobytes())
        c.until(lambda message: message[:2] == [2, "onmove"] and message[2][2] >= 4800)
        (stream,) = [one for one in daemon.ask("streams")["streams"] if one["subdevice"] == "other"]
        assert stream["device"] == SPARE
        assert daemon.log.count("event=device.lost") == 1
        assert "its card went away (No such device): plug it in, or use another device" in daemon.log
        c.call("stop", stream=n)


def test_a_pcm_that_hangs_before_it_is_known_to(tmp_path: Path, machine: Machine) -> None:
    """Whoever opens it waits, and nobody else; the server ends all the same."""
    hangs(machine)
    with server(tmp_path, "alsa:hang") as daemon, played_on(daemon, tmp_path), Native(daemon.socket) as c:
        waiting = c.request("open", mode="play", device=str(BAD))
        with Native(daemon.socket) as other:
            assert other.call("open", mode="play", device=str(SPARE))["device"] == SPARE
        assert not any(message[0] == 1 and message[1] == waiting for message in c.messages())
