"""The servers that are measured: audiod on its null device, sndiod on the virtual card of tests/lab.

Each knows how to start on a private socket, how to be loaded with N play
streams through its own protocol, and how to say what went wrong.  What a peer
needs and this machine lacks is said by `missing`, never guessed around.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import usage
from audiod_client import Connection

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "perf"
LAB = ROOT / "build" / "lab"
SOURCE = Path(__file__).parent / "native_load.c"
CFLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Werror")
PATIENCE = 60  # seconds until a process that does not answer is given up
SETTLE = 0.5  # seconds between the start of the last stream and the window

ASOUNDRC = """\
pcm_type.virtcard {{ lib "{lab}/libasound_module_pcm_virtcard.so" }}
pcm.hw {{
    @args [ CARD DEV SUBDEV ]
    @args.CARD {{ type string default "0" }}
    @args.DEV {{ type integer default 0 }}
    @args.SUBDEV {{ type integer default -1 }}
    type virtcard
    card "perf{pid}"
    rate [ 48000 ]
    channels [ 2 ]
    format [ S16_LE ]
    source silence
    loopback false
    sink null
    stats "{stats}"
}}
"""


def compile_load(target: Path = BUILD / "native_load") -> Path:
    """native_load, built if its source is newer."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists() or target.stat().st_mtime < SOURCE.stat().st_mtime:
        made = target.with_suffix(f".{os.getpid()}")
        subprocess.run(["cc", *CFLAGS, "-o", made, SOURCE], check=True)
        made.replace(target)
    return target


class Load:
    """A load under way: all its streams have started."""

    def __init__(self, command: list[str | Path]) -> None:
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        if not line.startswith("started"):
            self.process.wait(PATIENCE)
            raise RuntimeError(f"the load did not start: {line.strip() or 'no message'}")

    def end(self) -> dict[str, Any]:
        out, _ = self.process.communicate(timeout=PATIENCE)
        result: dict[str, Any] = json.loads(out)
        return result


class Server:
    name = ""
    limit = 1 << 30  # streams it takes

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / f"{self.name}.log"

    def spawn(self, command: list[str | Path], env: dict[str, str], **options: Any) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env={**os.environ, **env}, stderr=log, **options)

    def failed(self, what: str) -> RuntimeError:
        return RuntimeError(f"{self.name} {what}: {self.log.read_text().strip()[-2000:]}")

    def use(self) -> usage.Use:
        """What it has used so far.  Raises RuntimeError with its log if it is gone."""
        try:
            return usage.now(self.process.pid)
        except OSError as error:
            raise self.failed(f"ended with status {self.process.poll()} ({error})") from None

    def roles(self) -> dict[int, str]:
        """What its threads are for; those not named are `other`."""
        return {}

    def xruns(self) -> dict[str, int]:
        """So far, by cause."""
        return {}

    def load(self, *args: object) -> list[str | Path]:
        """The command that loads it."""
        raise NotImplementedError

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


class Audiod(Server):
    name = "audiod"

    def __init__(self, folder: Path, block: int, bufsz: int, realtime: bool = True) -> None:
        super().__init__(folder)
        self.socket = folder / "audiod.sock"
        self.tool = compile_load()
        binary = Path(sys.executable).with_name("audiod")
        self.spawn(
            [binary, "--socket", self.socket, "--state", "none", "--log-level", "warning",
             "-z", str(block), "-b", str(bufsz), "-f", "null", *([] if realtime else ["--no-realtime"])],
            {},
            stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stdout is not None
        if not self.process.stdout.readline():
            self.process.wait(PATIENCE)
            raise self.failed("did not start")

    def status(self) -> dict[str, Any]:
        with Connection.connect(str(self.socket)) as connection:
            status: dict[str, Any] = connection.request("status")
            return status

    def roles(self) -> dict[int, str]:
        named = {self.process.pid: "control"}
        for thread in self.status()["realtime"]["threads"]:
            named[thread["tid"]] = "pump" if thread["device"] is None else "device"
        return named

    def xruns(self) -> dict[str, int]:
        xruns: dict[str, int] = self.status()["xruns"]
        return xruns

    def load(self, *args: object) -> list[str | Path]:
        return [self.tool, "-s", self.socket, *map(str, args)]


class Sndiod(Server):
    """Debian's sndiod, full duplex as it is by default, on a card whose clock is CLOCK_MONOTONIC.

    It never asks for realtime, only for a nice value.
    """

    name = "sndiod"
    limit = 8
    unit = 15  # another server may have unit 0

    @staticmethod
    def missing() -> str:
        """What is not there; empty if all is."""
        if shutil.which("sndiod") is None:
            return "sndiod is not installed (Debian: sndiod sndio-tools libsndio-dev libasound2-dev)"
        made = subprocess.run(
            ["make", "-s", "-C", ROOT / "tests" / "lab"], capture_output=True, text=True, check=False
        )
        if made.returncode != 0:
            return f"tests/lab does not build (libsndio-dev, libasound2-dev?): {made.stderr.strip()[-300:]}"
        return ""

    def __init__(self, folder: Path, block: int, bufsz: int, realtime: bool = True) -> None:
        super().__init__(folder)
        for each in (folder, folder.parent):  # sndiod gives up root
            each.chmod(0o755)
        self.stats = folder / "card.jsonl"
        self.stats.touch()
        self.stats.chmod(0o666)
        conf = folder / "asoundrc"
        conf.write_text(ASOUNDRC.format(lab=LAB, pid=os.getpid(), stats=self.stats))
        self.spawn(
            ["sndiod", "-d", "-U", str(self.unit), "-z", str(block), "-b", str(bufsz), "-f", "rsnd/0"],
            {"ALSA_CONFIG_PATH": str(conf), "LD_PRELOAD": str(LAB / "linkshim.so")},
        )
        deadline = time.monotonic() + PATIENCE / 4
        while subprocess.run(self.load("-O", 1), capture_output=True, check=False).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise self.failed("takes no client")
            time.sleep(0.05)

    def xruns(self) -> dict[str, int]:
        return {"card": self.stats.read_text().count('"event":"xrun"')}

    def load(self, *args: object) -> list[str | Path]:
        return [LAB / "sndio_load", "-d", f"snd,{self.unit}/default", *map(str, args)]
