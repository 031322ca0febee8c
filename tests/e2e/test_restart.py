"""Real daemons that end, crash and start again: what they remember, and what may be wrong with it."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import msgpack
import pytest
from daemon import Daemon, running
from native import Native

LINE = ("-f", "null", "-s", "rear", "-f", "loopback")


def controls(daemon: Daemon) -> dict[Any, int]:
    with Native(daemon.socket) as client:
        rows, after = [], None
        while not rows or after is not None:
            answer = client.call("controls", after=after)
            rows += answer["controls"]
            after = answer["next"]
        return {
            (r["name"], r["device"] if r["subdevice"] is None else r["subdevice"]): r["value"] for r in rows
        }


def set_all(daemon: Daemon) -> None:
    with Native(daemon.socket, hello="My Player") as player:
        for device, vol in (("default", 40), ("rear", 50)):
            number = player.call("open", mode="play", device=device)["stream"]
            player.call("setvol", stream=number, vol=vol)
        player.call("control.set", name="app/myplayer.mute", value=1, subdevice="rear")
        player.call("control.set", name="output.level", value=30, device=1)
        player.call("control.set", name="input.mute", value=1, device=0)
        player.call("control.set", name="server.device", value=1)


def test_a_restart_restores_everything(tmp_path: Path) -> None:
    with running(tmp_path, *LINE) as daemon:
        set_all(daemon)
        before = daemon.ask("export", what="state")
    with running(tmp_path, *LINE) as daemon:
        found = controls(daemon)
        assert found["app/myplayer.level", "default"] == 40
        assert (found["app/myplayer.level", "rear"], found["app/myplayer.mute", "rear"]) == (50, 1)
        assert (found["output.level", 1], found["input.mute", 0]) == (30, 1)
        assert found["server.device", "default"] == 1
        assert daemon.ask("export", what="state") == before
        with Native(daemon.socket, hello="myplayer") as player:
            player.stream(appbufsz=4800)
            player.noted("onvol", 0, 40)
            (row,) = player.call("streams")["streams"]
            assert (row["volume"], row["device"]) == (40, 1)


def test_a_crash_costs_no_more_than_the_last_changes(tmp_path: Path) -> None:
    with running(tmp_path, *LINE) as daemon:
        set_all(daemon)
    for _ in range(3):
        with running(tmp_path, *LINE) as daemon:
            with Native(daemon.socket) as client:
                client.call("control.set", name="output.level", value=99)
            daemon.stop(signal.SIGKILL)
    with running(tmp_path, *LINE) as daemon:
        found = controls(daemon)
        assert found["app/myplayer.level", "default"] == 40
        assert found["output.level", 1] in (30, 99)
        assert "state.bad" not in daemon.log


def test_units_do_not_share_a_file(tmp_path: Path) -> None:
    for unit in ("0", "1"):
        with running(tmp_path, "-U", unit) as daemon, Native(daemon.socket) as client:
            assert controls(daemon)["output.level", 0] == 127
            client.call("control.set", name="output.level", value=5)
    assert {p.name for p in (tmp_path / "state").iterdir()} == {"state.msgpack", "state-1.msgpack"}


def test_none_keeps_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        with running(tmp_path, "--state", "none") as daemon, Native(daemon.socket) as client:
            assert controls(daemon)["output.level", 0] == 127
            client.call("control.set", name="output.level", value=5)
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    "bad", [b"", b"\xc1", b"\x81\xa7version\x02", b"\x82\xa7version\x01\xa8programs\x05"]
)
def test_a_bad_file_does_not_stop_the_start(tmp_path: Path, bad: bytes) -> None:
    file = tmp_path / "state" / "state.msgpack"
    file.parent.mkdir()
    file.write_bytes(bad)
    with running(tmp_path) as daemon, Native(daemon.socket) as client:
        assert daemon.log.count("state.bad") == 1
        assert f"{file}.bad-1" in daemon.log
        client.call("control.set", name="output.level", value=5)
    assert (file.parent / "state.msgpack.bad-1").read_bytes() == bad
    assert msgpack.unpackb(file.read_bytes())["devices"][0]["level"] == 5


def test_no_place_for_a_file_is_one_warning(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with running(tmp_path, "--state", str(tmp_path / "file" / "state")) as daemon:
        with Native(daemon.socket) as client:
            client.call("control.set", name="output.level", value=5)
            assert client.call("devices")["devices"][0]["volume"] == 5
        assert daemon.stop() == 0
        assert daemon.log.count("level=warning") == 1
        assert "state.un" in daemon.log and "Not a directory" in daemon.log


def test_ten_thousand_programs(tmp_path: Path) -> None:
    letters = "abcdefghij"
    names = [a + b + c + d for a in letters for b in letters for c in letters for d in letters]
    programs = [{"subdevice": "default", "program": name, "level": 9, "mute": False} for name in names]
    file = tmp_path / "state" / "state.msgpack"
    file.parent.mkdir()
    file.write_bytes(msgpack.packb({"version": 1, "programs": programs}))
    with running(tmp_path) as daemon:
        found = controls(daemon)
        assert found[f"app/{names[-1]}.level", "default"] == 9
        assert len(daemon.ask("export", what="state")["content"]["programs"]) == 1024
        with Native(daemon.socket, hello=names[-1]) as client:
            client.stream(appbufsz=4800)
            client.noted("onvol", 0, 9)
            client.call("setvol", stream=0, vol=8)
    kept = msgpack.unpackb(file.read_bytes())["programs"]
    assert [program["program"] for program in kept] == names[-1024:]
    assert {program["level"] for program in kept[:-1]} == {9} and kept[-1]["level"] == 8


def test_a_subscriber_that_does_not_read_disturbs_nobody(tmp_path: Path) -> None:
    with running(tmp_path) as daemon, Native(daemon.socket) as deaf:
        deaf.call("subscribe", topics=["controls", "events", "streams"])
        with Native(daemon.socket, hello="player") as player:
            numbers = [player.stream(appbufsz=4800) for _ in range(4)]
            level = 0
            while "client.slow" not in daemon.log:
                for _ in range(100):
                    level = 1 + level % 126
                    player.call("setvol", stream=numbers[0], vol=level)
                player.seen.clear()
            rows = player.call("streams")["streams"]
            assert [row["volume"] for row in rows] == [level] * 4
            assert player.call("status")["connections"] == 1
        assert daemon.log.count("client.slow") == 1
