"""`audioctl` against a real server: its verbs do what they say, and its JSON is as the schemas say."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import wave
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clients.schema import SCHEMAS, problems
from daemon import Daemon, running

LOUD = 12345
CONFIG = """
[[device]]
spec = "loopback"

[[device]]
spec = "null"
[[device.subdevice]]
name = "rear"

[state]
enabled = false
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Daemon]:
    config = tmp_path / "audiod.toml"
    config.write_text(CONFIG)
    with running(tmp_path, "--config", str(config), "--no-realtime") as daemon:
        yield daemon


@pytest.fixture
def player(server: Daemon, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program that plays a constant, "My Player", on and on."""
    file = tmp_path / "a.wav"
    with wave.open(str(file), "wb") as out:
        out.setparams((2, 2, 48000, 0, "NONE", ""))
        out.writeframes(array("h", [LOUD] * 96000).tobytes())
    with server.ctl_start("play", "-q", "--loop", "--name", "My Player", file) as process:
        until(lambda: [row["state"] for row in server.ask("streams")["streams"]] == ["running"])
        yield process
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130


def until(true: Callable[[], bool]) -> None:
    while not true():
        pass


def ask(server: Daemon, name: str, *words: str) -> Any:
    """The answer of a verb, as its schema says."""
    answer = json.loads(server.ctl(*words, "--json").stdout)
    assert problems(answer, SCHEMAS[name]) == []
    return answer


@pytest.mark.usefixtures("player")
def test_a_day(server: Daemon, tmp_path: Path) -> None:
    ask(server, "status", "status")
    assert len(ask(server, "devices", "devices")["devices"]) == 2
    (stream,) = ask(server, "streams", "streams")["streams"]
    ident = str(stream["id"])

    # levels
    for which in ("output", "snd/1/input", ident, "My Pl"):
        assert ask(server, "volume", "volume", which)["controls"]
        assert ask(server, "set", "volume", which, "90%")["value"] == 114
    ask(server, "set", "mute", "snd/1/input")
    ask(server, "set", "volume", "My Player", "2dB-")
    names = {(row["name"], row["value"]) for row in ask(server, "volume", "volume")["controls"]}
    assert {("app/myplayer.level", 108), ("app/myplayer.mute", 0)} <= names
    assert server.ctl("volume", ident).stdout == f"stream {ident} (My Player): 85% (-6.4 dB)\n".encode()

    # what plays
    for which in ("output", "myplayer"):
        ask(server, "set", "volume", which, "100%")
    file = str(tmp_path / "b.wav")
    report = ask(server, "play", "record", "-q", file, "--what-plays", "--duration", "0.2")
    assert report["frames"] == 9600
    with wave.open(file) as heard:
        assert heard.readframes(99999)[-4:] == array("h", [LOUD] * 2).tobytes()
    ask(server, "set", "mute", "myplayer")
    silent = ask(server, "play", "record", "-q", file, "--what-plays", "--duration", "0.2")
    with wave.open(file) as heard:
        assert silent["frames"] == 9600 and heard.readframes(99999)[-4:] == bytes(4)

    # places
    assert ask(server, "move", "move", "My", "rear") == {
        "version": 1, "id": stream["id"], "device": 1, "subdevice": "rear",
    }  # fmt: skip
    assert ask(server, "move", "move", ident, "snd/default")["device"] == 0
    assert ask(server, "default", "default", "null") == {"version": 1, "device": 1, "name": "null"}
    assert ask(server, "streams", "streams")["streams"][0]["device"] == 1

    # configuration
    assert "spec" in str(ask(server, "config-show", "config", "show"))
    path = tmp_path / "audiod.toml"
    path.write_text(CONFIG + "[defaults]\nrate = 44100\n")
    changes = ask(server, "config-changes", "config", "diff")["changes"]
    assert changes and changes == ask(server, "config-changes", "config", "check")["changes"]
    assert ask(server, "config-changes", "config", "reload")["changes"] == changes
    assert ask(server, "config-changes", "config", "diff")["changes"] == []
    path.write_text(CONFIG + "[defaults]\nrat = 44100\n")
    for verb in ("check", "reload"):
        refused = server.ctl("config", verb, ok=False)
        assert (refused.returncode, refused.stdout) == (1, b"")
        assert b"audiod.toml:13:" in refused.stderr
    for what in ("state", "config"):
        ask(server, "export", "export", what)


def watching(server: Daemon, verb: str) -> subprocess.Popen[bytes]:
    """What watches, once it has printed something of what is changed and logged here again and again."""
    process = server.ctl_start(verb, "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    level = 0
    while not select.select([process.stdout], [], [], 0)[0]:
        level = 1 - level
        server.ask("control.set", name="output.level", value=level)
    return process


def test_watching(server: Daemon) -> None:
    with watching(server, "monitor") as monitor, watching(server, "events") as events:
        assert monitor.stdout is not None
        server.ctl("mute")
        rows: list[dict[str, Any]] = []
        while not rows or rows[-1]["name"] != "output.mute":
            rows.append(json.loads(monitor.stdout.readline()))
        assert rows[-1]["value"] == 1
        monitor.send_signal(signal.SIGINT)
        assert (monitor.wait(), monitor.stderr and monitor.stderr.read()) == (0, b"")

        assert server.stop() == 0
        out, complaint = events.communicate()
        assert (events.returncode, complaint.splitlines()[1]) == (3, b"  start it with: audiod")
        told = [json.loads(line) for line in out.splitlines()]
        assert "server.ending" in [row["event"] for row in told]
    assert [p for row in rows for p in problems(row, SCHEMAS["monitor"])] == []
    assert [p for row in told for p in problems(row, SCHEMAS["events"])] == []
