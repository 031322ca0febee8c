"""A real `audiod` process for end-to-end tests: started on a private socket, ended by its process id."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import audiod_client

BIN = Path(sys.executable).parent
PATIENCE = 60  # seconds until a test gives up on a process: never reached when all is well


class Daemon:
    """`sndio`: where its sndio socket is; "" leaves it to the daemon, by default there is none."""

    def __init__(self, folder: Path, *args: str, sndio: str = "none", unit: int | None = None) -> None:
        self.unit = unit
        self.socket = folder / "audiod.sock"
        self.log_path = folder / "audiod.log"
        self._log = self.log_path.open("wb")
        place = ["--sndio", sndio] if sndio else []
        if unit is not None:
            place += ["-U", str(unit)]
        self.process = subprocess.Popen(
            [BIN / "audiod", "--socket", self.socket, "--state", folder / "state", *place, *args],
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=self.env,
        )
        assert self.process.stdout is not None
        self.greeting = self.process.stdout.readline().decode()
        if not self.greeting:
            self.process.wait(PATIENCE)
            raise AssertionError(f"audiod did not start: {self.log}")

    @property
    def env(self) -> dict[str, str]:
        """Environment in which clients find this daemon and no other."""
        return {**os.environ, "AUDIOD_SOCKET": str(self.socket), "NO_COLOR": "1"}

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def ctl(
        self, *args: str | Path, ok: bool = True, data: bytes | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run `audioctl` against this daemon."""
        done = subprocess.run(
            [BIN / "audioctl", *args],
            env=self.env,
            capture_output=True,
            input=data,
            timeout=PATIENCE,
            check=False,
        )
        if ok:
            assert done.returncode == 0, (done.returncode, done.stderr.decode(), self.log)
        return done

    def ctl_start(self, *args: str | Path, **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen([BIN / "audioctl", *args], env=self.env, **options)

    def ask(self, method: str, **args: object) -> Any:
        """One request on a connection of its own."""
        with audiod_client.Connection.connect(str(self.socket)) as connection:
            return connection.request(method, **args)

    def threads(self) -> dict[int, int]:
        """Context switches so far of every thread: each is a wake-up, or its end."""
        found = {}
        for status in Path(f"/proc/{self.pid}/task").glob("*/status"):
            lines = [line.split() for line in status.read_text().splitlines() if "ctxt_switches" in line]
            found[int(status.parent.name)] = sum(int(value) for _, value in lines)
        return found

    def stop(self, how: int = signal.SIGTERM) -> int:
        """End it and wait; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        status = self.process.wait(PATIENCE)
        if self.process.stdout:
            self.process.stdout.close()
        self._log.close()
        return status


@contextmanager
def running(folder: Path, *args: str, sndio: str = "none", unit: int | None = None) -> Iterator[Daemon]:
    """A daemon; with `unit` and sndio="" real libsndio finds it as snd,UNIT/default."""
    daemon = Daemon(folder, *args, sndio=sndio, unit=unit)
    try:
        yield daemon
    finally:
        daemon.stop()
