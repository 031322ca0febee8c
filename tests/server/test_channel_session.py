"""What sessions make of channels, with a scripted engine: devices that fail, ends, requests that wait."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from house import Client, House, Refused

from audiod.engine import StartMode


def status(client: Client, number: int = 0) -> dict[str, Any]:
    record: dict[str, Any] = client.call("status", stream=number)["record"]
    return record


def test_a_pinned_stream_whose_device_fails_may_try_again(house: House, client: Client) -> None:
    number = client.open(pinned=True)
    client.call("setpar", stream=number, par={})
    client.call("prepare", stream=number)
    house.device.fail(errno.ENODEV)
    house.settle()
    assert status(client)["status"] == "error"
    ((stream, state, detail),) = client.told("onstate")
    assert (stream, state, detail["code"]) == (number, "error", "ENODEV") and detail["reason"]
    house.engine.refused["null"] = house.engine.refused[""] = OSErrorOfEngine()
    with pytest.raises(Refused, match="ENODEV"):
        client.call("prepare", stream=number)
    assert status(client)["status"] == "error"
    house.engine.refused.clear()
    before = len(house.engine.devices)
    client.call("prepare", stream=number)
    assert status(client)["status"] == "prepared" and len(house.engine.devices) == before + 1
    client.call("discard", stream=number)
    assert status(client)["status"] == "ready"


def OSErrorOfEngine() -> Any:
    from audiod.engine import EngineError

    return EngineError(errno.ENODEV, "it is not there")


def test_one_that_is_not_pinned_dies_with_its_device(house: House, client: Client) -> None:
    number = client.open(start=True)
    house.device.fail(errno.ENODEV)
    house.settle()
    assert status(client)["status"] == "error"
    assert client.told("onstate")[0][1] == "closed"
    with pytest.raises(Refused, match="EPIPE"):
        client.call("prepare", stream=number)


@pytest.mark.parametrize(
    ("modes", "xrun", "start", "policy"),
    [
        ({}, "ignore", StartMode.FULL, 2),
        ({"start_mode": "data", "stop_mode": "erase"}, "sync", StartMode.DATA, 2),
        ({"start_mode": "go", "stop_mode": "rollover"}, "sync", StartMode.GO, 1),
        ({"stop_mode": "rollover"}, "error", StartMode.FULL, 0),
    ],
)
def test_what_the_engine_is_told(
    house: House, client: Client, modes: dict[str, str], xrun: str, start: StartMode, policy: int
) -> None:
    number = client.open()
    par = {"enc": "s16le", "pchan": 2, "xrun": xrun}
    client.call("setpar", stream=number, par=par, frag_size=400, frags_min=3, **modes)
    client.call("prepare", stream=number)
    told = house.engine.streams[-1].par
    assert (told.start, told.start_min, told.xrun) == (start, 300, policy)
    client.call("discard", stream=number)
    client.call("start", stream=number)
    told = house.engine.streams[-1].par
    names = ["ignore", "sync", "error"]
    assert (told.start, told.xrun) == (StartMode.FULL, names.index(xrun)), "sndio's own rules"


def test_parameters_wait_for_what_is_discarded(house: House, client: Client) -> None:
    number = client.open()
    client.call("prepare", stream=number)
    asked = client.send("setpar", stream=number, par={"rate": 44100}, start_mode="go")
    again = client.send("prepare", stream=number)
    house.settle()
    assert client.answer(asked)["par"]["rate"] == 44100
    assert client.answer(asked)["channel"]["start_mode"] == "go"
    answered = client.answer(again)
    assert answered == {"stream": number} and status(client)["status"] == "prepared"
    assert house.engine.streams[-1].par.start is StartMode.GO
    with pytest.raises(Refused, match="EBUSY"):
        client.call("start", stream=number)
    other = client.open(start=True)
    with pytest.raises(Refused, match="EBUSY"):
        client.call("setpar", stream=other, par={})


def test_the_server_ends(house: House, client: Client) -> None:
    number = client.open()
    house.dispatch.drain()
    with pytest.raises(Refused, match="ESHUTDOWN"):
        client.call("prepare", stream=number)


def test_events_are_those_asked_for(house: House, client: Client) -> None:
    assert client.call("subscribe", topics=[], events=["state", "state"])["events"] == ["state"]
    number = client.open()
    client.call("prepare", stream=number)
    run = house.engine.streams[-1]
    run.join()
    house.settle()
    told = [(d["old"], d["new"]) for _, event, d in client.told("onstatus")]
    assert told == [("ready", "prepared"), ("prepared", "running")]
    client.call("subscribe", topics=[], events=[])
    client.call("discard", stream=number)
    assert len(client.told("onstatus")) == 2


def test_a_program_that_vanishes_in_a_pause(house: House, client: Client) -> None:
    number = client.open()
    client.call("prepare", stream=number)
    run = house.engine.streams[-1]
    run.join()
    house.engine.ramping = True
    house.settle()
    asked = client.send("pause", stream=number)
    house.settle()
    assert client.answer(asked) is None
    client.vanish()
    assert not house.dispatch.core.streams
