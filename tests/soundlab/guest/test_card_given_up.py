"""A real card that another program wants: it is closed, and its stream is silent until it is free again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import trio
from daemon import Daemon, running
from soundlab.kernelcards import PROC, state
from soundlab.live import RATE

from audiod.cards.bus import Bus, Call
from audiod.cards.reserve import DBUS

CARD = "Dummy"
CONF = """<busconfig>
<type>session</type><listen>unix:path={folder}/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
</busconfig>"""
ALONE = 4 | 2  # in the place of whoever has the name, and not in a queue for it


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A session's bus."""
    (tmp_path / "conf").write_text(CONF.format(folder=tmp_path))
    command = ["dbus-daemon", f"--config-file={tmp_path}/conf", "--nofork", "--print-address"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as bus:
        assert bus.stdout is not None
        where = bus.stdout.readline().strip()
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", where)
        yield where
        bus.terminate()


@pytest.fixture
def daemon(tmp_path: Path, address: str) -> Iterator[Daemon]:
    with running(tmp_path, "-f", f"alsa:hw:{CARD}") as started:
        while (found := started.ask("cards"))["scanning"] or found["error"]:  # the machine may be slow
            if not found["scanning"]:
                started.ask("devices.rescan")
        yield started


@pytest.fixture
def player(tmp_path: Path, daemon: Daemon) -> Iterator[subprocess.Popen[bytes]]:
    soundfile.write(tmp_path / "silence.wav", np.zeros((RATE, 2), "<i2"), RATE)
    started = daemon.ctl_start("play", "--loop", tmp_path / "silence.wav", stderr=subprocess.DEVNULL)
    yield started
    started.terminate()
    started.wait()


async def _answer(call: Call) -> tuple[str, tuple[Any, ...]]:
    return "b", (False,)


def play_beside() -> None:
    """Another program has the card, for a tenth of a second."""
    words = ["-f", "S16_LE", "-c", "2", "-r", str(RATE), "-s", str(RATE // 10), "/dev/zero"]
    subprocess.run(["aplay", "-q", "-D", f"hw:{CARD}", *words], check=True)


async def test_a_card_is_given_up_and_taken_back(
    address: str, daemon: Daemon, player: subprocess.Popen[bytes]
) -> None:
    number = (PROC / CARD).readlink().name.removeprefix("card")
    name = f"org.freedesktop.ReserveDevice1.Audio{number}"
    where = name, "/" + name.replace(".", "/"), "org.freedesktop.ReserveDevice1"

    def position() -> int:
        (row,) = daemon.ask("streams")["streams"]
        return int(row["position"])

    async def until_it_is(what: str) -> None:
        while state(CARD) != what:
            assert player.poll() is None, daemon.log
            await trio.lowlevel.checkpoint()
            os.sched_yield()

    await until_it_is("RUNNING")
    connection = await Bus.connect({"DBUS_SESSION_BUS_ADDRESS": address})
    bus = Bus(connection, _answer, lambda member, body: None)
    async with trio.open_nursery() as nursery:
        await nursery.start(bus.serve)
        assert await bus.call(where, "RequestRelease", "i", (0,), 60.0) == (False,), "ours is 10"
        assert await bus.call(where, "RequestRelease", "i", (99,), 60.0) == (True,)
        assert state(CARD) == "closed", "before it says so"
        await bus.call(DBUS, "RequestName", "su", (name, ALONE))
        play_beside()
        before = position()
        while position() < before + RATE // 4:
            assert player.poll() is None
        (row,) = daemon.ask("devices")["devices"]
        assert row["state"] == "lost" and "another program has reserved its card" in row["reason"]
        assert state(CARD) == "closed"
        await bus.call(DBUS, "ReleaseName", "s", (name,))
        await until_it_is("RUNNING")
        nursery.cancel_scope.cancel()
    assert position() >= before and "event=stream.dead" not in daemon.log
