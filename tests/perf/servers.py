"""What is measured: a server process and a load of N play streams on it; here audiod by its native protocol.

Each server knows how to start on a private socket, how to be loaded, and how to
say what went wrong.  What one needs and this machine lacks is said by
`missing`, never guessed around.  Those of sndio's wire are in sndioservers.py,
PulseAudio in pulse.py.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import usage
from audiod_client import Connection

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "perf"
SOURCE = Path(__file__).parent / "native_load.c"
CFLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Werror")
PATIENCE = 60  # seconds until a process that does not answer is given up
SETTLE = 0.5  # seconds between the start of the last stream and the window


@dataclass(frozen=True)
class Setup:
    """How a server is started; what it has no option for does not concern it."""

    block: int  # frames
    bufsz: int  # frames of the device's buffer
    realtime: bool = True
    loopback: bool = False  # the card hears what it plays
    device: str = "rsnd/0"  # audiod's, on the wire of sndio
    fifo: bool = False  # a server that does not ask for SCHED_FIFO is put into it


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

    @staticmethod
    def missing() -> str:
        """What it needs and is not there; empty if all is."""
        return ""

    def __init__(self, folder: Path, setup: Setup) -> None:
        self.folder = folder
        self.setup = setup
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

    def play(self, streams: int, rate: int, seconds: float, *more: object) -> Load:
        """A load that has started; it ends after `seconds`."""
        return Load(self.load("-n", streams, "-r", rate, "-t", seconds, *more))

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

    def __init__(self, folder: Path, setup: Setup) -> None:
        super().__init__(folder, setup)
        self.socket = folder / "audiod.sock"
        self.tool = compile_load()
        self.begin(["-f", "null", "--sndio", "none"], {})

    def begin(self, options: list[str], env: dict[str, str]) -> None:
        """Start it, and wait until it listens.  Raises RuntimeError with its log."""
        realtime = [] if self.setup.realtime else ["--no-realtime"]
        blocks = ["-z", str(self.setup.block), "-b", str(self.setup.bufsz)]
        common = ["--state", "none", "--log-level", "warning", *blocks, *realtime]
        binary = Path(sys.executable).with_name("audiod")
        self.spawn([binary, "--socket", self.socket, *common, *options], env, stdout=subprocess.PIPE)
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
