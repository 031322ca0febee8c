"""sndioctl, Debian's and the newest, on audiod: it lists, sets, toggles and watches what audioctl does.

Nothing here waits but for a line that must come.
"""

from __future__ import annotations

import itertools
import json
import os
import select
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
import units
from daemon import BIN, PATIENCE, Daemon, running
from native import Native
from sndio.card import HEAD, need

LINE = ["-f", "null", "-s", "default", "-s", "rear", "-f", "loopback"]


@pytest.fixture(params=["1.9", "HEAD"])
def sndioctl(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """sndioctl of each generation of libsndio."""
    if request.param == "1.9":
        need("sndioctl")
        return "sndioctl"
    prefix = os.environ.get(HEAD)
    if not prefix:
        pytest.skip(f"{HEAD} is not set: it takes the prefix that sndio's newest release is installed under")
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{prefix}/lib")
    return f"{prefix}/bin/sndioctl"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with units.unit() as number, running(tmp_path, *LINE, sndio="", unit=number) as made:
        yield made


Ctl = Callable[..., list[str]]


@pytest.fixture
def ctl(sndioctl: str, daemon: Daemon, tmp_path: Path) -> Ctl:
    """Run it to its end, which must be good unless `ok` says otherwise; the lines that it prints."""

    def run(*words: str, sub: str = "default", ok: bool = True) -> list[str]:
        command = [sndioctl, "-f", f"snd,{daemon.unit}/{sub}", *words]
        env = {**os.environ, "HOME": str(tmp_path)}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert (done.returncode == 0) is ok, (done, daemon.log)
        return (done.stdout + done.stderr).splitlines()

    return run


def levels(daemon: Daemon) -> dict[tuple[str, object], int]:
    """As native clients see them."""
    found = daemon.ask("controls")["controls"]
    return {(r["name"], r["device"] if r["subdevice"] is None else r["subdevice"]): r["value"] for r in found}


def display(sndioctl: str, name: str) -> str:
    """1.9 knows no words for devices."""
    return "" if sndioctl == "sndioctl" else f"({name})"


def test_it_lists(ctl: Ctl, sndioctl: str) -> None:
    null, loopback = (display(sndioctl, name) for name in ("null", "loopback"))
    assert ctl() == [
        "input.level=1.000",
        "input.mute=0",
        "output.level=1.000",
        "output.mute=0",
        "server.mode=play,rec",
        f"server.device=0{null}",
    ]
    assert ctl("-i") == [
        "input.level=*",
        "input.mute=*",
        "output.level=*",
        "output.mute=*",
        "server.mode=mon:*,play:*,rec:*",
        f"server.device=0{null},1{loopback}",
    ]
    assert ctl(sub="1")[-1] == f"server.device=1{loopback}"
    assert len(ctl("-d")) == 9


def test_it_sets_and_toggles(ctl: Ctl, daemon: Daemon) -> None:
    assert ctl("output.level=0.5") == ["output.level=0.504"]
    assert levels(daemon)["output.level", 0] == 64
    assert ctl("output.level=+0.1", "input.level=0") == ["input.level=0.000", "output.level=0.606"]
    assert levels(daemon)["output.level", 0] == 77 and levels(daemon)["input.level", 0] == 0
    assert ctl("output.level=-0.1") == ["output.level=0.504"]
    for muted in (1, 0):
        assert ctl("output.mute=!") == [f"output.mute={muted}"]
        assert levels(daemon)["output.mute", 0] == muted
    assert ctl("-q", "output.mute=1") == []
    daemon.ask("control.set", name="output.level", value=127)
    daemon.ask("control.set", name="output.mute", value=0)
    assert ctl("-n", "output.level", "output.mute") == ["1.000", "0"]
    assert ctl("nothing.level=1", ok=False) == ["nothing.level: no such control"]


def test_it_moves_sub_devices_and_switches_what_they_offer(ctl: Ctl, daemon: Daemon, sndioctl: str) -> None:
    null, loopback = (display(sndioctl, name) for name in ("null", "loopback"))
    daemon.ask("control.set", name="output.level", value=9, device=1)
    assert ctl("server.device=1") == [f"server.device=1{loopback}"]
    assert ctl("output.level") == ["output.level=0.071"]
    assert ctl("server.device", sub="rear") == [f"server.device=0{null}"]
    assert ctl("server.device=1", sub="rear") == [f"server.device=1{loopback}"]
    assert ctl("server.device=0") == [f"server.device=0{null}"]
    now = levels(daemon)
    assert (now["server.device", "default"], now["server.device", "rear"]) == (0, 1)
    assert ctl("server.mode=rec:1") == ["server.mode=rec"]
    assert levels(daemon)["server.mode.play", "default"] == 0
    assert ctl("server.mode=play,rec") == ["server.mode=play,rec"]
    assert levels(daemon)["server.mode.play", "default"] == 1
    assert "2[-1]: invalid value" in ctl("server.device=2", ok=False)


def test_what_is_set_behind_a_device_is_set(ctl: Ctl, daemon: Daemon) -> None:
    """sndioctl leaves at once: its last words count, in their order."""
    with daemon_stream(daemon, "player"):
        ctl("-q", "server.device=1", "app/player.level=0.25", "output.level=0.5")
    now = levels(daemon)
    assert (now["server.device", "default"], now["app/player.level", "default"]) == (1, 32)
    assert (now["output.level", 0], now["output.level", 1]) == (64, 127), "it said that first"


@contextmanager
def daemon_stream(daemon: Daemon, name: str) -> Iterator[None]:
    with Native(daemon.socket, hello=name) as client:
        client.call("open", mode="play")
        yield


def test_programs(ctl: Ctl, daemon: Daemon) -> None:
    with daemon_stream(daemon, "My-Player2"):
        assert ctl("app/myplayer.level", "app/myplayer.mute") == [
            "app/myplayer.level=1.000",
            "app/myplayer.mute=0",
        ]
        assert ctl("app/myplayer.level=0.5") == ["app/myplayer.level=0.504"]
        assert levels(daemon)["app/myplayer.level", "default"] == 64
        assert ctl("app/myplayer.mute=!") == ["app/myplayer.mute=1"]
    assert "app/myplayer.level=0.504" in ctl(), "it is remembered"
    assert ctl("app/myplayer.level=1", "app/myplayer.mute=0")
    assert not any(line.startswith("app/") for line in ctl()), "that is nothing to remember"


# ---- both at once ----


class Watching:
    """A program that prints changes as they come."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        assert process.stdout is not None
        self.lines: IO[bytes] = process.stdout

    def until(self, words: str) -> str:
        """Wait for a line that says this."""
        while select.select([self.lines], [], [], PATIENCE)[0]:
            line = self.lines.readline().decode()
            if words in line:
                return line.strip()
            if not line:
                break
        raise AssertionError(f"{words!r} was never said; {self.process.wait(PATIENCE)}")


@contextmanager
def watching(command: list[str | Path], env: dict[str, str]) -> Iterator[Watching]:
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, bufsize=0)
    try:
        yield Watching(process)
    finally:
        process.terminate()
        process.wait(PATIENCE)
        if process.stdout is not None:
            process.stdout.close()


def test_watchers_of_both_kinds_hear_of_what_either_sets(
    ctl: Ctl, sndioctl: str, daemon: Daemon, tmp_path: Path
) -> None:
    env = {**os.environ, "HOME": str(tmp_path)}
    theirs = watching([sndioctl, "-f", f"snd,{daemon.unit}/default", "-m"], env)
    ours = watching([BIN / "audioctl", "--json", "monitor"], daemon.env)
    with theirs as sndio, ours as audio:
        assert sndio.until("server.device=0")
        turn = itertools.cycle((1, 0))
        while not select.select([audio.lines], [], [], 0.02)[0]:  # until it listens
            daemon.ask("control.set", name="input.mute", value=next(turn))
        ctl("output.level=0.5")
        row = json.loads(audio.until("output.level"))
        assert (row["value"], row["event"], row["device"]) == (64, "change", 0)
        assert sndio.until("output.level=0.504").endswith("changed")
        daemon.ctl("volume", "25%")
        quarter = levels(daemon)["output.level", 0]
        assert json.loads(audio.until("output.level"))["value"] == quarter
        assert sndio.until(f"output.level={quarter / 127:.3f}")
        with daemon_stream(daemon, "guest"):
            assert sndio.until("app/guest.level=1.000").endswith("added")
            ctl("app/guest.mute=1")
            assert json.loads(audio.until('"app/guest.mute"'))["event"] in ("new", "change")
            assert sndio.until("app/guest.mute=1").endswith("changed")
            ctl("app/guest.mute=0")
            assert sndio.until("app/guest.mute=0").endswith("changed")
        assert sndio.until("app/guest.level=1.000").endswith("deleted")
        ctl("server.device=1")
        assert sndio.until("output.level=1.000").endswith("added")
        assert sndio.until("server.device=1").endswith("changed")
        assert json.loads(audio.until("server.device"))["value"] == 1
        ctl("server.mode=rec")
        assert sndio.until("server.mode=play:0").endswith("changed")
        assert json.loads(audio.until("server.mode.play"))["value"] == 0
