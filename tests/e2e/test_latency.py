"""What `audioctl streams` says of a stream's latency, against what a virtual card (tests/lab) has heard when.

The card tells at which frame of the clock it has started and keeps what it has
played, so that one click in it dates every frame of the stream, by arithmetic.
"""

from __future__ import annotations

import json
import select
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
from audiod_protocol.sndio import messages as m
from daemon import Daemon, running
from lab import virtcards
from lab.virtcards import Virtcards
from native import Native
from sndiowire import Blocks, SndioWire

CARD = 48000  # Hz
ROUND = 480
APPBUFSZ = 24000  # frames: so much this very process may be late
CLICK = 6000  # the frame of the stream that has it
NFRAMES = 72000
TRIES = 5  # of which something has held up this machine for longer than the buffers last
MOST = 0.95  # of the answers are to be right: others came while something held up the card's thread


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Virtcards]:
    if lacking := virtcards.missing():
        pytest.skip(f"{lacking}: tests/check installs it where it is root and has apt")
    with virtcards.virtcards(tmp_path) as made:
        monkeypatch.setenv("ALSA_CONFIG_PATH", made.env["ALSA_CONFIG_PATH"])
        yield made


class Player(Protocol):
    client: Native | SndioWire

    def credit(self) -> int:
        """Wait for more of it."""

    def write(self, frames: np.ndarray) -> None: ...


class NativePlayer:
    def __init__(self, daemon: Daemon, rate: int) -> None:
        self.client = Native(daemon.socket)
        self.number = self.client.stream(enc="s16le", pchan=2, rate=rate, appbufsz=APPBUFSZ)

    def credit(self) -> int:
        return self.client.until(lambda message: message[:2] == [2, "credit"])[2][1]

    def write(self, frames: np.ndarray) -> None:
        self.client.write(self.number, frames.tobytes())


class SndioPlayer:
    def __init__(self, daemon: Daemon, rate: int) -> None:
        self.client = SndioWire(daemon.socket.parent / "sndio.sock")
        self.client.open()
        par = self.client.par(m.WirePar(bits=16, sig=1, le=1, pchan=2, rate=rate, appbufsz=APPBUFSZ))
        assert par.rate == rate
        self.blocks = Blocks(4, par.round)
        self.client.send(m.Start())

    def credit(self) -> int:
        message = self.client.until(lambda message: isinstance(message, m.Flowctl))
        assert isinstance(message, m.Flowctl)
        return message.delta

    def write(self, frames: np.ndarray) -> None:
        self.client.send(self.blocks.cut(frames.tobytes()))


@dataclass(frozen=True)
class Told:
    """`latency` was told at about this time (CLOCK_MONOTONIC, ns), with so many frames written."""

    ns: float
    written: int
    latency: int


def play(daemon: Daemon, player: Player) -> tuple[list[Told], int, int]:
    """Keep the stream's buffer full and ask all the time.

    Returns what was told, what `audioctl` has printed, and how many xruns there were.
    """
    told: list[Told] = []
    printed: bytes = b""
    command: subprocess.Popen[bytes] | None = None
    written = 0
    with Native(daemon.socket) as asker:
        while written < NFRAMES or command is None or command.poll() is None:
            credit = player.credit()
            frames = np.zeros((credit, 2), "<i2")
            if written <= CLICK < written + credit:
                frames[CLICK - written] = 20000
            player.write(frames)
            written += credit
            if written < NFRAMES // 2:
                continue
            if command is None:
                command = daemon.ctl_start("streams", "--json", stdout=subprocess.PIPE)
            while not select.select([player.client.sock], [], [], 0)[0]:
                before = time.monotonic_ns()
                (row,) = asker.call("streams")["streams"]
                told.append(Told((before + time.monotonic_ns()) / 2, written, row["latency"]))
        printed, _ = command.communicate()
    player.client.close()
    (row,) = json.loads(printed)["streams"]
    return told, row["latency"], sum(daemon.ask("status")["xruns"].values())


@pytest.mark.parametrize("wire", [NativePlayer, SndioPlayer])
@pytest.mark.parametrize(("rate", "bufsz"), [(48000, 3840), (48000, 9600), (44100, 4800)])
def test_the_latency_told_is_the_one_measured(
    tmp_path: Path, cards: Virtcards, wire: type[NativePlayer | SndioPlayer], rate: int, bufsz: int
) -> None:
    place = str(tmp_path / "sndio.sock")
    for attempt in range(TRIES):
        for file in (cards.folder / "0.sink", cards.folder / "0.stats"):
            file.unlink(missing_ok=True)
        options = "-z", str(ROUND), "-b", str(bufsz), "-f", "alsa:hw:0,0"
        with running(tmp_path, *options, sndio=place) as daemon:
            told, printed, xruns = play(daemon, wire(daemon, rate))
        if not xruns:
            break
        assert attempt + 1 < TRIES, daemon.log
    (start,) = [row for row in cards.stats() if row["event"] == "start" and row["dir"] == "play"]
    sound = np.frombuffer(cards.sink(), "<i2").reshape(-1, 2)[:, 0].astype(int)
    click = int(np.abs(sound).argmax())
    written = np.array([one.written for one in told])
    now = np.array([one.ns for one in told]) * CARD / 1e9  # in frames of the card's clock
    heard = start["f0"] + click + (written - CLICK) * CARD / rate
    measured = (heard - now) * rate / CARD
    latencies = np.array([one.latency for one in told])
    block = ROUND * rate / CARD
    right = np.abs(latencies - measured) <= block
    assert right.mean() >= MOST, (latencies - measured)[~right]
    assert abs(np.median(latencies - measured)) <= 3 / 4 * block, (
        "it goes by whole blocks, and is no more off"
    )
    assert latencies.min() <= printed <= latencies.max()
