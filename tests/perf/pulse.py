"""PulseAudio with its null sink and its native protocol, loaded by one pacat for each stream.

Its sink mixes as much at a time as the latencies that its clients ask for allow.
They ask for four blocks with requests of one: the sink then works in blocks
of that length, as the others do, and two more wait in each stream.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from servers import PATIENCE, Load, Server, Setup

TOOLS = ("pulseaudio", "pacat", "pactl")
BYTES = 4  # of a frame, s16 stereo


class Pacats(Load):
    """N pacats; they play until they are ended."""

    def __init__(self, server: PulseAudio, command: list[str], streams: int) -> None:
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.before = spent.ru_utime + spent.ru_stime
        self.players = [subprocess.Popen(command, env=server.env) for _ in range(streams)]
        self.process = self.players[0]
        deadline = time.monotonic() + PATIENCE
        while server.playing() < streams:
            if time.monotonic() > deadline or any(player.poll() is not None for player in self.players):
                self.end()
                raise server.failed("takes no client")
            time.sleep(0.05)

    def end(self) -> dict[str, Any]:
        alive = sum(player.poll() is None for player in self.players)
        for player in self.players:
            player.terminate()
        for player in self.players:
            player.wait(PATIENCE)
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = spent.ru_utime + spent.ru_stime - self.before
        return {"alive": alive, "lag_frames_max": 0, "client_cpu_s": cpu}


class PulseAudio(Server):
    name = "pulseaudio"

    @staticmethod
    def missing() -> str:
        absent = [tool for tool in TOOLS if shutil.which(tool) is None]
        if absent:
            return f"{', '.join(absent)} not installed (Debian: pulseaudio pulseaudio-utils)"
        return ""

    def __init__(self, folder: Path, setup: Setup) -> None:
        super().__init__(folder, setup)
        self.socket = folder / "native"
        self.env = {
            **os.environ,
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "PULSE_RUNTIME_PATH": str(folder),
            "PULSE_SERVER": f"unix:{self.socket}",
        }
        modules = (
            "module-null-sink rate=48000 channels=2 format=s16le",
            f"module-native-protocol-unix socket={self.socket} auth-anonymous=1",
        )
        loading = [word for module in modules for word in ("-L", module)]
        options = ["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"]
        self.spawn(["pulseaudio", *options, *loading], self.env)
        try:
            self.answered()
        except BaseException:
            self.stop()
            raise

    def answered(self) -> None:
        deadline = time.monotonic() + PATIENCE / 4
        with socket.socket(socket.AF_UNIX) as door:
            while door.connect_ex(str(self.socket)) != 0:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise self.failed("takes no client")
                time.sleep(0.05)

    def playing(self) -> int:
        """Streams it has."""
        listing = ["pactl", "list", "short", "sink-inputs"]
        done = subprocess.run(listing, env=self.env, capture_output=True, text=True, check=True)
        return len(done.stdout.splitlines())

    def play(self, streams: int, rate: int, seconds: float, *more: object) -> Load:
        """`more` is for the other program that loads, and not looked at."""
        noise = self.folder / f"{rate}.raw"
        if not noise.exists():
            noise.write_bytes(random.Random(1).randbytes(int((seconds + PATIENCE) * rate) * BYTES))
        block = 1000 * self.setup.block // 48000  # ms
        latency = [f"--latency-msec={4000 * self.setup.block // 48000}", f"--process-time-msec={block}"]
        command = ["pacat", "--playback", "--raw", f"--rate={rate}", "--channels=2", "--format=s16le"]
        return Pacats(self, [*command, *latency, str(noise)], streams)
