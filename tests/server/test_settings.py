"""settings.py and Devices.adopt: a configuration shown, compared and reloaded over FakeEngine."""

from __future__ import annotations

import errno
import io
from pathlib import Path
from typing import Any

import pytest
from desk import Desk
from house import Client, House, Refused

from audiod.engine import EngineError
from audiod.listener import Peer

NULL = '[[device]]\nspec = "null"\n'
LOOP = '[[device]]\nspec = "loopback"\n'


class Town(House):
    """A house with a configuration file."""

    def __init__(self, path: Path, text: str, line: str = "") -> None:
        self.file = path / "audiod.toml"
        self.file.write_text(text)
        super().__init__(f"--config {self.file} {line}")

    def reload(self, client: Client, text: str) -> dict[str, str]:
        """Write the file and reload; the effects by key."""
        self.file.write_text(text)
        told = client.call("config.diff")
        answer = client.call("config.reload")
        assert told == answer, "diff tells what reload does"
        assert answer["version"] == 1
        return {change["key"]: change["effect"] for change in answer["changes"]}


def rows(client: Client) -> list[Any]:
    return list(client.call("devices")["devices"])


# ---- show, check, diff ----


def test_show(tmp_path: Path) -> None:
    house = Town(tmp_path, "[defaults]\nrate = 8000\n" + NULL + "hold = true", "-z 64")
    client = house.connect()
    shown = client.call("config.show")
    assert (shown["version"], shown["files"]) == (1, [str(house.file)])
    keys = {row["key"]: (row["value"], row["origin"]) for row in shown["keys"]}
    assert keys["device.0.rate"] == (8000, f"{house.file}:2")
    assert keys["device.0.hold"] == (True, f"{house.file}:5")
    assert keys["device.0.round"] == (64, "command line")
    assert keys["server.log_level"] == ("info", "default")
    assert keys["device.0.subdevice.default.play"] == ([0, 1], "default")
    exported = client.call("export", what="config")["content"]
    assert exported == {"files": shown["files"], "keys": shown["keys"]}
    house.close()


def test_check_of_a_text_changes_nothing(tmp_path: Path) -> None:
    house = Town(tmp_path, NULL)
    client = house.connect()
    told = client.call("config.check", text=NULL + "rate = 8000\n")["changes"]
    assert told == [{"key": "device.0.rate", "old": 48000, "new": 8000, "effect": "applied at once"}]
    assert client.call("config.check")["changes"] == client.call("config.diff")["changes"] == []
    with pytest.raises(Refused, match=r"text:2: device\.0\.spec: nul: there is no driver") as refused:
        client.call("config.check", text="[[device]]\nspec='nul'")
    assert refused.value.code == "EINVAL"
    assert rows(client)[0]["rate"] == 48000
    house.close()


def test_anybody_may_ask_but_not_reload(tmp_path: Path) -> None:
    house = Town(tmp_path, NULL)
    guest = house.connect(Peer(1001, 1001, 1, frozenset({29})))
    house.file.write_text(NULL + LOOP)
    assert guest.call("config.show") and guest.call("config.diff")["changes"]
    with pytest.raises(Refused) as refused:
        guest.call("config.reload")
    assert refused.value.code == "EPERM" and "1001" in refused.value.message
    assert len(rows(guest)) == 1
    root = house.connect(Peer(0, 0, 1, frozenset({0})))
    root.call("config.reload")
    assert len(rows(root)) == 2
    house.close()


# ---- reload ----


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[server]\n\nlog_levle='debug'", ":3: [server] has no key 'log_levle'; did you mean 'log_level'?"),
        ("[[device", ":1: this is not TOML"),
        (NULL + "rate = 1", ":3: device.0.rate"),
    ],
)
def test_a_bad_file_changes_nothing(tmp_path: Path, logged: io.StringIO, text: str, says: str) -> None:
    house = Town(tmp_path, NULL)
    client = house.connect()
    before = client.call("config.show"), rows(client)
    house.file.write_text(text)
    for method in ("config.reload", "config.diff", "config.check"):
        with pytest.raises(Refused) as refused:
            client.call(method)
        assert refused.value.code == "EINVAL"
        assert refused.value.message.startswith(f"{house.file}{says.partition(' ')[0]}")
    assert (client.call("config.show"), rows(client)) == before
    (line,) = [line for line in logged.getvalue().splitlines() if "config.refused" in line]
    assert f"{house.file}{says}" in line and "level=error" in line
    house.close()


def test_a_file_that_is_gone_changes_nothing(tmp_path: Path) -> None:
    house = Town(tmp_path, NULL + "hold=true")
    client = house.connect()
    house.file.unlink()
    with pytest.raises(Refused, match="cannot be read: No such file"):
        client.call("config.reload")
    assert rows(client)[0]["name"] == "null"
    house.close()


def test_the_log_level(tmp_path: Path, logged: io.StringIO) -> None:
    house = Town(tmp_path, NULL)
    client = house.connect()
    quiet = {"server.log_level": "applied at once"}
    assert house.reload(client, NULL + "[server]\nlog_level='error'") == quiet
    at = len(logged.getvalue())
    client.open()
    assert "stream.open" not in logged.getvalue()[at:]
    house.reload(client, NULL)
    client.open()
    assert "stream.open" in logged.getvalue()[at:]
    house.close()


def test_streams_are_left_alone(tmp_path: Path) -> None:
    """Ten play while everything that can change does: the engine hears of none of it."""
    rear = "[[device.subdevice]]\nname='rear'\nplay=[0,1]\n"
    house = Town(tmp_path, NULL + rear)
    client, other = house.connect(), house.connect()
    for _ in range(10):
        client.open(device="rear", start=True)
    house.device.run()
    house.settle()
    device, streams = house.device, list(house.engine.streams)
    said, subs = list(client.conn.sent), [s.sub for s in house.dispatch.core.streams.values()]
    effects = house.reload(
        other,
        "[defaults]\nrate=96000\n[server]\nlog_level='debug'\n" + NULL
        + "autovol=true\nhold=true\nenc='s32le'\n[[device.subdevice]]\nname='front'\nplay=[2,5]\n" + LOOP,
    )  # fmt: skip
    assert effects["device.0.rate"] == effects["device.0.play_channels"] == "device 0 reopens when idle"
    assert effects["device.0.subdevice.rear.play"] == effects["device.1.spec"] == "applied at once"
    assert house.engine.devices == [device] and not device.closed
    assert house.engine.streams == streams and not any(s.freed or s.flushed for s in streams)
    assert [s.par.flags for s in streams] == [streams[0].par.flags] * 10
    assert client.conn.sent == said, "their client is told nothing"
    assert [s.sub for s in house.dispatch.core.streams.values()] == subs
    assert (rows(other)[0]["rate"], rows(other)[0]["encoding"]) == (48000, "s16le"), "it runs as before"
    with pytest.raises(Refused, match="no sub-device 'rear'"):
        other.open(device="rear")
    house.close()


# ---- devices ----


def test_an_idle_device_takes_its_new_parameters_at_once(tmp_path: Path) -> None:
    house = Town(tmp_path, NULL)
    client = house.connect()
    assert house.reload(client, NULL + "rate=8000\nround=64") == {
        "device.0.rate": "applied at once",
        "device.0.round": "applied at once",
        "device.0.bufsz": "applied at once",
    }
    assert (rows(client)[0]["rate"], rows(client)[0]["state"]) == (8000, "closed")
    client.open()
    assert (house.device.conf.par.rate, house.device.conf.par.round) == (8000, 64)
    house.close()


def test_a_held_device_that_is_idle_is_reopened(tmp_path: Path) -> None:
    house = Town(tmp_path, NULL + "hold=true")
    house.dispatch.devices.open_held()
    client = house.connect()
    first = house.device
    house.reload(client, NULL + "hold=true\nrate=8000")
    assert first.closed and house.device is not first
    assert (house.device.conf.par.rate, house.device.closed) == (8000, False)
    house.close()


@pytest.mark.parametrize("hold", [True, False])
def test_a_device_in_use_changes_when_it_is_let_go(tmp_path: Path, hold: bool) -> None:
    held = "hold=true\n" if hold else ""
    house = Town(tmp_path, NULL + held)
    client = house.connect()
    number = client.open(start=True)
    first = house.device
    first.run()
    house.settle()
    assert house.reload(client, LOOP + held + "rate=8000") == {
        "device.0.spec": "device 0 reopens when idle",
        "device.0.rate": "device 0 reopens when idle",
    }
    assert client.call("config.diff")["changes"] == [], "what was accepted is not told again"
    client.call("close", stream=number)
    assert not first.closed, "its buffer is still heard"
    assert (rows(client)[0]["name"], rows(client)[0]["rate"]) == ("null", 48000)
    first.rest()
    house.settle()
    assert first.closed
    assert (rows(client)[0]["name"], rows(client)[0]["driver"], rows(client)[0]["rate"]) == (
        ("loopback", "loopback", 8000)
    )
    assert (len(house.engine.devices) == 2) == hold
    client.open()
    assert (house.device.conf.driver, house.device.conf.par.rate) == ("loopback", 8000)
    house.close()


def test_a_change_that_is_taken_back_before_the_device_is_idle(tmp_path: Path) -> None:
    house = Town(tmp_path, NULL)
    client = house.connect()
    number = client.open(start=True)
    house.reload(client, NULL + "rate=8000")
    house.reload(client, NULL)
    client.call("close", stream=number)
    client.open()
    assert house.device.conf.par.rate == 48000
    house.close()


def test_a_device_that_fails_comes_back_with_its_new_parameters(tmp_path: Path) -> None:
    house = Town(tmp_path, NULL)
    client = house.connect()
    client.open(start=True)
    house.reload(client, NULL + "rate=8000")
    house.device.fail(errno.ENODEV)
    house.settle()
    client.open()
    assert house.device.conf.par.rate == 8000
    house.close()


def test_hold_counts_at_once(tmp_path: Path) -> None:
    house = Town(tmp_path, NULL)
    client = house.connect()
    house.reload(client, NULL + "hold=true")
    device = house.device
    assert not device.closed
    house.reload(client, NULL)
    assert device.closed
    house.engine.refuse_device = EngineError(errno.EBUSY, "somebody else has it")
    house.reload(client, NULL + "hold=true")
    assert rows(client)[0]["state"] == "failed"
    house.engine.refuse_device = None
    client.open()
    assert rows(client)[0]["state"] == "idle"
    house.close()


def test_a_file_device_goes_on_behind_what_it_has_unless_it_is_another_file(tmp_path: Path) -> None:
    house = Town(tmp_path, "[[device]]\nspec='file:/x.raw'")
    client = house.connect()
    client.call("close", stream=client.open())
    house.reload(client, "[[device]]\nspec='file:/x.raw'\nhold=true")
    assert house.device.conf.append
    house.reload(client, "[[device]]\nspec='file:/y.raw'\nhold=true")
    assert (house.device.conf.arg, house.device.conf.append) == ("/y.raw", False)
    house.close()


def test_devices_are_added_and_those_left_out_stay(tmp_path: Path) -> None:
    house = Town(tmp_path, NULL)
    client = house.connect()
    client.call("subscribe", topics=["devices", "controls"])
    house.reload(client, NULL + LOOP)
    news = [row for topic, row in client.told("changed") if row["event"] == "new"]
    assert [row["name"] for row in news if "driver" in row] == ["loopback"]
    assert {(row["name"], row["device"]) for row in news if "driver" not in row} == {
        *((f"{way}.{what}", 1) for way in ("output", "input") for what in ("level", "mute")),
        *((f"server.mode.{mode}", None) for mode in ("play", "rec", "mon")),
    }
    client.call("control.set", name="output.level", value=9, device=1)
    assert client.call("open", mode="play", device="1")["device"] == 1
    assert {*house.reload(client, NULL).values()} == {"needs a restart"}
    assert [row["name"] for row in rows(client)] == ["null", "loopback"]
    assert client.call("open", mode="play", device="1")["device"] == 1
    assert {c["effect"] for c in client.call("config.diff")["changes"]} == {"needs a restart"}
    house.close()


def test_what_needs_a_restart_is_told_and_left(tmp_path: Path) -> None:
    house = Town(tmp_path, NULL)
    client = house.connect()
    effects = house.reload(client, NULL + "[server]\nunit=3\nsocket='/x/y'\nrealtime=false\nusers='root'")
    assert set(effects.values()) == {"needs a restart"} and len(effects) == 5, (
        "sndio's socket follows the unit"
    )
    keys = {row["key"]: row["value"] for row in client.call("config.show")["keys"]}
    assert (keys["server.unit"], keys["server.realtime"]) == (0, True), "what it has is shown"
    assert client.call("status")["unit"] == 0
    effects = house.reload(client, NULL + "[sndio]\nsocket='none'\nlisten=['-']\nshare='group'\nstreams=2")
    assert set(effects.values()) == {"needs a restart"} and len(effects) == 4
    assert house.dispatch.settings.config.sndio_streams == 1024
    house.close()


# ---- sub-devices ----


def test_subdevices_count_for_streams_opened_from_then_on(tmp_path: Path) -> None:
    sub = "[[device.subdevice]]\nname='rear'\n"
    house = Town(tmp_path, NULL + "enc='s16le'\n" + sub + "play=[0,3]")
    client = house.connect()
    client.open(device="rear", start=True)
    client.call("subscribe", topics=["devices"])
    before = [stream.sub for stream in house.dispatch.core.streams.values()]
    house.reload(client, NULL + sub + "play=[2,3]\nvolume=60\njoin=false")
    assert [stream.sub for stream in house.dispatch.core.streams.values()] == before
    (told,) = {str(row["subdevices"]) for _, row in client.told("changed")}
    assert "'volume': 60" in told
    client.open(device="rear", start=True)
    old, new = (stream.par for stream in house.engine.streams)
    assert (old.pmin, old.pmax, old.maxvol, old.join) == (0, 3, 127, True)
    assert (new.pmin, new.pmax, new.maxvol, new.join) == (2, 3, 60, False)
    house.close()


def test_control_clients_are_told_of_what_is_configured_otherwise(tmp_path: Path) -> None:
    rear = "[[device.subdevice]]\nname='rear'\n"
    house = Town(tmp_path, NULL + rear)
    client, desk, gone = house.connect(), Desk(house), Desk(house, "rear")
    desk.watch(), gone.watch()
    assert [c.display for c in desk.client.controls.values() if c.func == "device"] == ["null"]
    house.reload(client, NULL + rear + LOOP)
    assert desk.told() == ["server.device[1]=0", "sync"]
    house.reload(client, "[[device]]\nspec='null?ppm=50'\n" + rear + LOOP)
    assert desk.told() == ["server.device[0]=1", "sync"]
    assert desk.find("server.device[0]").display == "null?ppm=50"
    house.reload(client, "[[device]]\nspec='null?ppm=50'\n" + LOOP)
    assert gone.closed and not desk.closed
    house.close()


def test_the_device_that_somebody_chose_for_default_stays(tmp_path: Path) -> None:
    default = "[[device.subdevice]]\nname='default'\n"
    house = Town(tmp_path, NULL + default + LOOP)
    client = house.connect()

    def where() -> int:
        return int(client.call("open", mode="play")["device"])

    house.reload(client, NULL + LOOP + default)
    assert where() == 1, "as configured"
    client.call("control.set", name="server.device", value=0)
    house.reload(client, NULL + LOOP + default + "volume=5")
    assert where() == 0, "as chosen"
    assert rows(client)[0]["subdevices"][0]["volume"] == 5
    house.close()


def test_a_server_that_was_started_without_files(tmp_path: Path) -> None:
    house = House("-f null -f loopback")
    client = house.connect()
    assert client.call("config.show")["files"] == []
    assert client.call("config.reload")["changes"] == []
    house.close()
