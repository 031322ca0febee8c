"""Fixtures of the clients' tests: a fake server on a short path, and both clients on it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from clients.audioctl import Cli
from clients.fake_audiod import FakeAudiod, fake_audiod
from clients.shells import Shell


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAudiod]:
    """A fake audiod that AUDIOD_SOCKET points to."""
    for name in ("AUDIODEVICE", "AUDIOPLAYDEVICE", "AUDIORECDEVICE"):
        monkeypatch.delenv(name, raising=False)
    with tempfile.TemporaryDirectory() as place, fake_audiod(Path(place) / "a.sock") as server:
        monkeypatch.setenv("AUDIOD_SOCKET", server.path)
        yield server


@pytest.fixture(params=["blocking", "trio"])
def shell(request: pytest.FixtureRequest, server: FakeAudiod) -> Shell:
    return Shell(request.param, server)


@pytest.fixture
def cli(server: FakeAudiod, tmp_path: Path) -> Cli:
    """`audioctl` with that server."""
    return Cli(server, tmp_path)
