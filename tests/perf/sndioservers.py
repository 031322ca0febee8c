"""Servers that speak sndio's wire, each on a virtual card of its own (tests/lab) and with a unit of its own.

All are loaded by sndio_load, through the machine's libsndio, and all pay for the
card alike: its copies and its timer run in the server's process.  audiod reaches
it by its alsa driver and needs no preloaded snd_pcm_link.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from servers import PATIENCE, ROOT, Audiod, Server, Setup

sys.path.insert(0, str(ROOT / "tests"))

import units

LAB = ROOT / "build" / "lab"
HEAD = "SNDIO_HEAD"  # environment: the prefix that sndio's newest release is installed under
NEEDED = "(Debian: sndiod sndio-tools libsndio-dev libasound2-dev)"

ASOUNDRC = """\
pcm_type.virtcard {{ lib "{lab}/libasound_module_pcm_virtcard.so" }}
pcm.hw {{
    @args [ CARD DEV SUBDEV ]
    @args.CARD {{ type string default "0" }}
    @args.DEV {{ type integer default 0 }}
    @args.SUBDEV {{ type integer default -1 }}
    type virtcard
    card "{card}"
    rate [ 48000 ]
    channels [ 2 ]
    format [ S16_LE ]
    source {source}
    loopback {loopback}
    sink null
    stats "{stats}"
}}
"""


def lab() -> str:
    """Builds tests/lab; what that lacks, empty if nothing."""
    made = subprocess.run(
        ["make", "-s", "-C", ROOT / "tests" / "lab"], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        return f"tests/lab does not build {NEEDED}: {made.stderr.strip()[-300:]}"
    return ""


class OnCard(Server):
    """On a card whose clock is CLOCK_MONOTONIC; `loopback`: it records what it plays, else silence."""

    def __init__(self, folder: Path, setup: Setup) -> None:
        Server.__init__(self, folder, setup)
        for each in (folder, folder.parent):  # sndiod gives up root
            each.chmod(0o755)
        self.stats = folder / "card.jsonl"
        self.stats.touch()
        self.stats.chmod(0o666)
        self.conf = folder / "asoundrc"
        self.held = ExitStack()
        self.unit = self.held.enter_context(units.unit())
        if setup.loopback:
            wire = {"source": "loopback", "loopback": "true"}
        else:
            wire = {"source": "silence", "loopback": "false"}
        card = f"perf{os.getpid()}u{self.unit}"
        self.conf.write_text(ASOUNDRC.format(lab=LAB, card=card, stats=self.stats, **wire))
        try:
            self.listen()
            self.answered()
        except BaseException:
            self.stop()
            raise

    def listen(self) -> None:
        """Start the process."""
        raise NotImplementedError

    def answered(self) -> None:
        """Wait until it takes a client.  Raises RuntimeError with its log."""
        deadline = time.monotonic() + PATIENCE / 4
        while subprocess.run(self.load("-O", 1), capture_output=True, check=False).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise self.failed("takes no client")
            time.sleep(0.05)

    def card_xruns(self) -> int:
        return self.stats.read_text().count('"event":"xrun"')

    def xruns(self) -> dict[str, int]:
        return {"card": self.card_xruns()}

    def late(self) -> list[str]:
        """What it logged of each xrun."""
        return [line for line in self.log.read_text().splitlines() if "event=xrun" in line]

    def load(self, *args: object) -> list[str | Path]:
        return [LAB / "sndio_load", "-d", f"snd,{self.unit}/default", *map(str, args)]

    def stop(self) -> None:
        try:
            if hasattr(self, "process"):
                super().stop()
        finally:
            self.held.close()


class Sndiod(OnCard):
    """Debian's sndiod, full duplex as it is by default.

    It never asks for realtime, only for a nice value.
    """

    name = "sndiod"
    limit = 8

    @staticmethod
    def missing() -> str:
        if shutil.which("sndiod") is None:
            return f"sndiod is not installed {NEEDED}"
        return lab()

    def program(self) -> tuple[str | Path, dict[str, str]]:
        """The server, and what its environment needs."""
        return "sndiod", {}

    def listen(self) -> None:
        binary, env = self.program()
        first: list[str | Path] = ["chrt", "-f", "50"] if self.setup.fifo else []
        blocks = ["-z", str(self.setup.block), "-b", str(self.setup.bufsz)]
        card = {"ALSA_CONFIG_PATH": str(self.conf), "LD_PRELOAD": str(LAB / "linkshim.so")}
        self.spawn([*first, binary, "-d", "-U", str(self.unit), *blocks, "-f", "rsnd/0"], env | card)


class SndiodHead(Sndiod):
    """sndio's newest release, built with -O2 and installed where SNDIO_HEAD says."""

    name = "sndiod-head"
    limit = 32

    @staticmethod
    def missing() -> str:
        prefix = os.environ.get(HEAD)
        if not prefix:
            return f"{HEAD} does not say where sndio's newest release is installed (--sndio-head PREFIX)"
        if not (Path(prefix) / "bin" / "sndiod").exists():
            return f"there is no {prefix}/bin/sndiod, where {HEAD} points"
        return lab()

    def program(self) -> tuple[str | Path, dict[str, str]]:
        prefix = Path(os.environ[HEAD])
        return prefix / "bin" / "sndiod", {"LD_LIBRARY_PATH": str(prefix / "lib")}


class AudiodWire(OnCard, Audiod):
    """audiod on the same card, loaded by the same program; its threads in SCHED_FIFO if the setup says so."""

    name = "audiod"

    @staticmethod
    def missing() -> str:
        return lab()

    def listen(self) -> None:
        self.socket = self.folder / "audiod.sock"
        self.begin(["-U", str(self.unit), "-f", self.setup.device], {"ALSA_CONFIG_PATH": str(self.conf)})

    def xruns(self) -> dict[str, int]:
        return Audiod.xruns(self) | {"card": self.card_xruns()}


class AudiodPlain(AudiodWire):
    """The same without realtime, as sndiod is."""

    name = "audiod-plain"

    def __init__(self, folder: Path, setup: Setup) -> None:
        super().__init__(folder, dataclasses.replace(setup, realtime=False))
