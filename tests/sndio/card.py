"""Two virtual cards (tests/lab) and the servers that can be put on them, each with a unit of its own.

Card 0 records what it plays, and all it plays is kept; card 1 records the count
of its frames.  Both are 16 bit stereo at 48 kHz with a clock of their own, so a
server meets real time here, and a test asks only for what is true at any speed.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from daemon import BIN, PATIENCE

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "build" / "lab"
BLOCK, BUFSZ = 480, 3840
HEAD = "SNDIO_HEAD"  # environment: prefix under which the newest sndio is installed
NEEDED = "tests/check installs it where it is root and has apt"

ASOUNDRC = """\
pcm_type.virtcard {{ lib "{lab}/libasound_module_pcm_virtcard.so" }}
source {{ 0 loopback 1 ramp }}
pcm.hw {{
    @args [ CARD DEV SUBDEV ]
    @args.CARD {{ type string default "0" }}
    @args.DEV {{ type integer default 0 }}
    @args.SUBDEV {{ type integer default -1 }}
    type virtcard
    card {{ @func concat strings [ "{name}-" $CARD ] }}
    rate [ 48000 ]
    channels [ 2 ]
    format [ S16_LE ]
    source {{ @func refer name {{ @func concat strings [ "source." $CARD ] }} }}
    sink {{ @func concat strings [ "{folder}/sink" $CARD ] }}
    stats {{ @func concat strings [ "{folder}/stats" $CARD ] }}
}}
"""


def need(*tools: str) -> None:
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed: {NEEDED}")


def build(target: str, **variables: str) -> Path:
    """A target of tests/lab's Makefile."""
    assigned = [f"{name}={value}" for name, value in variables.items()]
    made = subprocess.run(
        ["make", "-s", "-C", ROOT / "tests" / "lab", f"../../build/lab/{target}", *assigned],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0 and not Path("/usr/include/sndio.h").exists():
        pytest.skip(f"libsndio-dev is not installed: {NEEDED}")
    if made.returncode != 0 and not Path("/usr/include/alsa/asoundlib.h").exists():
        pytest.skip(f"libasound2-dev is not installed: {NEEDED}")
    assert made.returncode == 0, made.stderr
    return LAB / target


@functools.cache
def realtime(priority: int) -> list[str]:
    """What gives a command a realtime priority, where that is allowed: then other work cannot hold it up."""
    command = ["chrt", "-f", str(priority)]
    allowed = shutil.which("chrt") and subprocess.run([*command, "true"], capture_output=True, check=False)
    return command if allowed and allowed.returncode == 0 else []


class Cards:
    """The folder with what the cards played (sink0, sink1: raw) and reported (stats0, stats1)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.chmod(0o755)  # sndiod gives up root
        for file in ("sink0", "sink1", "stats0", "stats1"):
            (folder / file).touch()
            (folder / file).chmod(0o666)
        self.conf = folder / "asoundrc"
        self.conf.write_text(ASOUNDRC.format(lab=LAB, folder=folder, name=folder.name))
        self.env = {"ALSA_CONFIG_PATH": str(self.conf), "LD_PRELOAD": str(LAB / "linkshim.so")}

    def played(self) -> bytes:
        return (self.folder / "sink0").read_bytes()

    def count(self, event: str) -> int:
        return sum((self.folder / f"stats{n}").read_text().count(f'"event":"{event}"') for n in (0, 1))

    def forget(self) -> None:
        """Remove what the cards share between processes."""
        for n in (0, 1):
            Path(f"/dev/shm/virtcard-{self.folder.name}-{n}.wire").unlink(missing_ok=True)


@contextmanager
def cards() -> Iterator[Cards]:
    """Cards in a folder that any user can reach."""
    build("libasound_module_pcm_virtcard.so")
    build("linkshim.so")
    with tempfile.TemporaryDirectory(prefix="cards-") as folder:
        made = Cards(Path(folder))
        try:
            yield made
        finally:
            made.forget()


class Server:
    """A process that speaks sndio's wire at unit `unit`; its log is `log`."""

    def __init__(self, command: list[str | Path], env: dict[str, str], folder: Path, unit: int) -> None:
        self.unit = unit
        self.log_path = folder / "server.log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                command, env={**os.environ, **env}, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        try:
            self._wait_connectable()
        except BaseException:
            self.stop()
            raise

    def _wait_connectable(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            for folder in (f"/tmp/sndio-{os.geteuid()}", "/tmp/sndio"):
                with socket.socket(socket.AF_UNIX) as sock:
                    try:
                        sock.connect(f"{folder}/sock{self.unit}")
                    except OSError:
                        continue
                    return
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, f"takes no client: {self.log}"
            time.sleep(0.01)

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    @property
    def device(self) -> str:
        return f"snd,{self.unit}/default"

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def sndiod(folder: Path, unit: int, *args: str, env: dict[str, str], tool: str | Path = "sndiod") -> Server:
    """Debian's sndiod, or another."""
    blocks = ["-z", str(BLOCK), "-b", str(BUFSZ)]  # before -f: 1.9 takes them in order
    return Server([*realtime(2), tool, "-d", "-U", str(unit), *blocks, *args], env, folder, unit)


def audiod(folder: Path, unit: int, *args: str, env: dict[str, str]) -> Server:
    blocks = ["-z", str(BLOCK), "-b", str(BUFSZ)]
    own = ["--socket", str(folder / "audiod.sock"), "--state", str(folder / "state")]
    return Server([BIN / "audiod", *own, "-U", str(unit), *blocks, *args], env, folder, unit)
