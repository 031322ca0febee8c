"""Runs `audioctl` as a program, in a directory of its own, against a fake server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from audiod_protocol.events import Request
from clients.fake_audiod import FakeAudiod, Peer

PCM = bytes(i * 7 % 256 for i in range(4 * 5000))


class Cli:
    """Runs audioctl in a directory of its own."""

    def __init__(self, server: FakeAudiod, place: Path) -> None:
        self.server = server
        self.place = place
        self.env = {**os.environ, "PYTHONIOENCODING": "utf-8", "AUDIOD_SOCKET": server.path}
        self.env.pop("NO_COLOR", None)

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "audiod_client.cli", *words]

    def __call__(self, *words: str, input: bytes = b"", **env: str) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            self.command(*words),
            input=input,
            capture_output=True,
            env=self.env | env,
            cwd=self.place,
            check=False,
        )
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        self.server.settle()
        return done

    def text(self, *words: str) -> str:
        done = self(*words)
        assert (done.returncode, done.stderr) == (0, b"")
        out = done.stdout.decode()
        assert all(len(line) <= 80 for line in out.splitlines())
        return out

    def json(self, *words: str) -> Any:
        done = self(*words)
        assert (done.returncode, done.stderr) == (0, b"")
        return json.loads(done.stdout)

    def python(self, code: str) -> str:
        """What a piece of Python prints, in this place."""
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, env=self.env, cwd=self.place, check=True
        )
        return done.stdout.decode()

    def fails(self, code: int, *words: str, **env: str) -> str:
        """The complaint of a command that ends with `code` and prints nothing else."""
        done = self(*words, **env)
        assert (done.returncode, done.stdout) == (code, b"")
        complaint = done.stderr.decode()
        assert complaint.startswith("audioctl: ")
        return complaint

    def until_gone(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """Run what watches the server; the server tells its news, then goes."""

        def subscribe(peer: Peer, request: Request) -> None:
            peer.standard(request)
            peer.sock.close()

        self.server.on("subscribe", subscribe)
        done = self(*words)
        assert done.returncode == 3
        assert done.stderr.decode() == (
            "audioctl: audiod has ended: the server closed the connection\n  start it with: audiod\n"
        )
        return done

    def file(self, name: str, data: bytes = PCM, enc: str = "PCM_16", rate: int = 48000) -> str:
        samples = np.frombuffer(data, "<i2").reshape(-1, 2)
        soundfile.write(self.place / name, samples, rate, subtype=enc)
        return name

    def played(self) -> bytes:
        return b"".join(bytes(stream.written) for stream in self.server.streams)
