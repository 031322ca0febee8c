"""mmc.py by requests, MIDI messages and events: who is waited for, on which device, what MIDI is told.

What the engine makes of it is tests/engine/test_mmc_group.py.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from audiod_protocol.sndio import messages as m
from house import Client, House
from programs import said

from audiod.engine import ClockTicked, EngineError, GroupJoined, StreamFlag

START, STOP = bytes.fromhex("f07f7f0602f7"), bytes.fromhex("f07f7f0601f7")
AN_HOUR = bytes.fromhex("f07f7f0644060121000000 00f7")  # 25 frames a second
FULL = "f07f7f0101{}f7"
LINE = "-f null -F loopback -s default -t slave -s tape -s click -f manual -t off -s else"


class Ear:
    """A MIDI program at a control port."""

    def __init__(self, house: House, name: str) -> None:
        self.hub = house.dispatch.patchbay.control(name)
        self.heard: list[str] = []
        self.room = 3125
        self.hub.join(self)

    def take(self, messages: Any, source: object) -> None:
        self.heard += [message.hex() for message in messages]

    def relieved(self) -> None: ...

    def say(self, message: bytes) -> None:
        self.hub.send(message, self)


@pytest.fixture
def house() -> Iterator[House]:
    made = House(LINE)
    yield made
    made.close()


@pytest.fixture
def ear(house: House) -> Ear:
    return Ear(house, "tape")


def waits(house: House, device: int = -1) -> list[tuple[int, int | None]]:
    return house.engine.devices[device].waits


def join(house: House, run: int, device: int = -1) -> None:
    """The engine has let them join."""
    house.engine.post(GroupJoined(house.engine.devices[device].id, run))
    house.settle()


def tick(house: House, run: int, frames: int, device: int = -1) -> None:
    house.engine.post(ClockTicked(house.engine.devices[device].id, run, frames))
    house.settle()


def test_streams_of_such_a_subdevice_wait_others_do_not(house: House) -> None:
    client = house.connect()
    for name, flagged in (("tape", True), ("click", True), ("default", False), ("0", False)):
        number = client.open(device=f"snd/{name}", start=True)
        assert (StreamFlag.MMC in client.conn.slots[number].stream.par.flags) == flagged, name


def test_start_waits_for_who_was_opened_and_not_started(house: House, ear: Ear) -> None:
    client = house.connect()
    first, second = client.open(device="snd/tape"), client.open(device="snd/click")
    client.open(device="snd/default")
    ear.say(START)
    assert waits(house) == [(1, 2)]
    client.call("start", stream=first)
    assert waits(house)[-1] == (1, 1)
    client.call("start", stream=second)
    assert waits(house)[-1] == (1, 0)
    third = client.open(device="snd/tape")
    assert waits(house)[-1] == (1, 1), "one that comes before they have begun is waited for, too"
    client.call("close", stream=third)
    assert waits(house)[-1] == (1, 0), "and not when it has gone"


def test_who_has_stopped_or_died_or_left_keeps_nobody(house: House, ear: Ear) -> None:
    """The bug of sndiod: a slot that was once in the group blocks it for good."""
    client, gone = house.connect(), house.connect()
    stopped = client.open(device="snd/tape", start=True)
    client.call("stop", stream=stopped)
    gone.open(device="snd/tape")
    gone.open(device="snd/click", start=True)
    ear.say(START)
    assert waits(house)[-1] == (1, 1)
    gone.vanish()
    assert waits(house)[-1] == (1, 0)
    client.call("start", stream=stopped)
    assert waits(house)[-1] == (1, 0), "started again, the engine knows it"


def test_sndio_programs_are_waited_for_from_hello_on(house: House, ear: Ear) -> None:
    client = house.sndio()
    client.open(1, "tape")
    ear.say(START)
    assert waits(house) == [(1, 1)]
    assert client.par().xrun == 1, "IGNORE is SYNC there"
    client.say(m.Setpar(m.WirePar(xrun=0)))
    assert client.par().xrun == 1
    client.say(m.Setpar(m.WirePar(xrun=2)))
    assert client.par().xrun == 2, "ERROR is not"
    client.say(m.Start())
    assert waits(house)[-1] == (1, 0)


def test_native_streams_are_in_step_too(house: House) -> None:
    client = house.connect()
    for name, policy in (("tape", "sync"), ("default", "ignore")):
        assert client.call("getpar", stream=client.open(device=f"snd/{name}"))["par"]["xrun"] == policy


def test_the_device_is_open_from_start_to_stop(house: House, ear: Ear) -> None:
    ear.say(START)
    assert not house.device.closed and waits(house) == [(1, 0)]
    ear.say(START)
    assert waits(house) == [(1, 0)], "it is started already"
    ear.say(STOP)
    assert waits(house) == [(1, 0), (0, 0)] and house.device.closed
    ear.say(STOP)
    ear.say(START)
    assert waits(house) == [(2, 0)], "another run, on a device that was opened anew"
    ear.say(STOP)


def test_a_device_that_cannot_be_opened_is_a_line_in_the_log(
    house: House, ear: Ear, logged: io.StringIO
) -> None:
    house.engine.refuse_device = EngineError(errno.EIO, "it burns")
    ear.say(START)
    assert len(said(logged, "mmc.refused")) == 1 and "it burns" in logged.getvalue()
    house.engine.refuse_device = None
    ear.say(START)
    assert waits(house)[-1][1] == 0
    ear.say(STOP)


def test_only_ports_of_such_subdevices_take_orders(house: House) -> None:
    for name in ("default", "0", "else"):
        Ear(house, name).say(START)
    assert not house.engine.devices
    Ear(house, "click").say(START)
    assert len(house.engine.devices) == 1
    Ear(house, "tape").say(STOP)
    assert house.device.closed, "it is one group"


def test_the_time_is_told_to_all_ports_of_the_device_while_it_runs(house: House, ear: Ear) -> None:
    others = [Ear(house, name) for name in ("click", "default", "1", "0", "else")]
    ear.say(START)
    join(house, 1)
    assert ear.heard == [FULL.format("20000000")]
    for _ in range(6):
        tick(house, 1, 480)
    quarters = ["f100", "f110"]  # 1920 frames are its buffer
    assert ear.heard[1:] == quarters
    heard = [other.heard for other in others]
    assert heard[0] == [START.hex()] * 0 + ear.heard and heard[2] == ear.heard, "device 1's"
    assert not heard[4], "another device's"
    ear.say(STOP)
    tick(house, 1, 480)
    assert ear.heard[1:] == quarters, "a tick that was on its way"


def test_locate_is_told_at_once_and_is_where_the_next_start_begins(house: House, ear: Ear) -> None:
    ear.say(AN_HOUR)
    assert ear.heard == [FULL.format("21000000")]
    ear.say(START)
    join(house, 1)
    assert ear.heard[1:] == [FULL.format("21000000")]
    ear.say(AN_HOUR.replace(b"\x21", b"\x22"))
    assert waits(house)[-1] == (0, 0), "it stops a clock that runs"
    ear.say(START)
    join(house, 2)
    assert ear.heard[-1] == FULL.format("22000000")
    ear.say(STOP)


def test_late_words_of_the_engine_are_nobodys(house: House, ear: Ear) -> None:
    ear.say(START)
    ear.say(STOP)
    join(house, 1)
    ear.say(START)
    join(house, 1)
    assert ear.heard == []
    join(house, 2)
    assert len(ear.heard) == 1
    ear.say(STOP)


def test_it_ends_with_the_server(house: House, ear: Ear) -> None:
    ear.say(START)
    join(house, 1)
    house.device.run()
    house.dispatch.drain()
    assert waits(house)[-1] == (0, 0), "a clock that ran on would have the server wait for it"
    ear.say(START)
    assert waits(house)[-1] == (0, 0)


# ---- other devices ----


def play(client: Client, name: str) -> Any:
    return client.conn.slots[client.open(device=f"snd/{name}", start=True)].stream


def test_all_of_them_move_together(house: House, ear: Ear) -> None:
    """`tape` and `click` are on device 1, the preferred one; somebody chooses 0 for one of them."""
    client = house.connect()
    tape, click = play(client, "tape"), play(client, "click")
    ear.say(START)
    client.call("control.set", name="server.device", value=0, subdevice="tape")
    rows = client.call("devices")["devices"]
    names = {sub["name"]: row["device"] for row in rows for sub in row["subdevices"]}
    assert (names["tape"], names["click"], names["default"]) == (0, 0, 1)
    assert tape.device is click.device is house.device
    assert waits(house, 0)[-1] == (0, 0) and waits(house)[-1] == (1, 0)
    house.dispatch.alternates.news(asked=True)
    house.settle()
    assert tape.device is click.device is house.device, "they are where one of them was chosen to be"


def test_a_clock_that_runs_goes_on_there(house: House, ear: Ear) -> None:
    ear.say(START)
    join(house, 1)
    tick(house, 1, 4 * 480)
    client = house.connect()
    client.call("control.set", name="server.device", value=0, subdevice="click")
    assert waits(house)[-1] == (1, None)
    tick(house, 1, 480, device=0)
    assert len(ear.heard) == 1, "the old one's does not count"
    tick(house, 1, 480)
    assert ear.heard[1:] == ["f100"]
    ear.say(STOP)
    assert house.device.closed and house.engine.devices[0].closed


def test_a_device_that_fails_ends_it_or_hands_it_on(logged: io.StringIO) -> None:
    house = House("-f null -t slave -s tape")
    ear = Ear(house, "tape")
    ear.say(START)
    join(house, 1)
    house.device.fail(errno.EIO)
    house.settle()
    assert len(said(logged, "mmc.stop")) == 1
    ear.say(START)
    join(house, 2)
    assert len(ear.heard) == 2, "it can be started again"
    ear.say(STOP)
    house.close()


# ---- other configurations ----


def test_a_reload_may_make_them_wait_or_not(tmp_path: Path) -> None:
    file = tmp_path / "audiod.toml"
    text = "[[device]]\nspec='null'\n[[device.subdevice]]\nname='tape'\nmmc={}\n"
    file.write_text(text.format("false"))
    house = House(f"--config {file}")
    ear = Ear(house, "tape")
    ear.say(START)
    assert not house.engine.devices
    file.write_text(text.format("true"))
    house.dispatch.settings.reload()
    ear.say(START)
    assert len(house.engine.devices) == 1
    file.write_text(text.format("false"))
    house.dispatch.settings.reload()
    assert house.device.closed
    ear.say(START)
    assert len(house.engine.devices) == 1
    house.close()
