"""choices.py: sub-devices that somebody puts on another device, or lets offer something else."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from audiod_protocol.sndio import messages as m
from fakes import FakeStream
from house import Client, House, Refused
from programs import opened

from audiod.engine import EngineError, StreamFlag

PLAY, REC, MON = StreamFlag.PLAY, StreamFlag.REC, StreamFlag.MON
NOPLAY, NOREC = StreamFlag.NOPLAY, StreamFlag.NOREC


@pytest.fixture
def two() -> Any:
    """`default` and `rear` on device 0, `front` on device 1."""
    made = House("-f null -s rear -f loopback -s front")
    yield made
    made.close()


def value(client: Client, name: str, sub: str = "default") -> int:
    (found,) = (r for r in client.call("controls")["controls"] if (r["name"], r["subdevice"]) == (name, sub))
    return int(found["value"])


def where(client: Client) -> list[tuple[str, int]]:
    return [(row["subdevice"], row["device"]) for row in client.call("streams")["streams"]]


def run_of(house: House) -> FakeStream:
    return house.engine.streams[-1]


def test_each_sub_device_has_its_own(two: House) -> None:
    client = two.connect()
    client.call("subscribe", topics=["controls"])
    assert [value(client, "server.device", sub) for sub in ("default", "rear", "front")] == [0, 0, 1]
    client.open(device="rear", start=True)
    client.open(start=True)
    client.call("control.set", name="server.device", value=1, subdevice="rear")
    two.settle()
    assert where(client) == [("rear", 1), ("default", 0)]
    assert [value(client, "server.device", sub) for sub in ("default", "rear", "front")] == [0, 1, 1]
    told = [(row["name"], row["subdevice"], row["value"]) for _, row in client.told("changed")]
    assert [one for one in told if one[0] == "server.device"] == [("server.device", "rear", 1)]
    assert client.call("devices")["devices"][0]["default"]
    client.call("control.set", name="server.device", value=0, subdevice="rear")
    two.settle()
    assert where(client) == [("rear", 0), ("default", 0)]


def test_a_choice_stays(two: House) -> None:
    """What moves sub-devices by itself minds it, and it survives a restart."""
    client = two.connect()
    client.call("control.set", name="server.device", value=1, subdevice="rear")
    two.dispatch.alternates.news(asked=True)
    assert value(client, "server.device", "rear") == 1
    state = client.call("export", what="state")["content"]
    assert state["chosen"] == [{"subdevice": "rear", "device": "loopback"}]
    again = House("-f null -s rear -f loopback -s front")
    again.dispatch.core.controls.restore(two.dispatch.core.controls.saved())
    assert value(again.connect(), "server.device", "rear") == 1
    again.close()
    client.call("control.set", name="server.device", value=0, subdevice="rear")
    assert client.call("export", what="state")["content"]["chosen"] == [], "that is as configured"


def test_what_was_chosen_for_a_sub_device_that_is_no_more(two: House) -> None:
    client = two.connect()
    client.call("control.set", name="server.device", value=1, subdevice="rear")
    saved = two.dispatch.core.controls.saved()
    again = House("-f null -f loopback")
    again.dispatch.core.controls.restore(saved)
    assert value(again.connect(), "server.device") == 0
    again.close()


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ({"name": "server.device", "value": 2, "subdevice": "rear"}, "ENODEV: there is no device 2"),
        ({"name": "server.device", "value": 0, "subdevice": "side"}, "ENODEV: there is no sub-device 'side'"),
        ({"name": "server.device", "value": 1, "subdevice": "0"}, "EINVAL: .* device 0's own"),
        ({"name": "server.mode.play", "value": 2}, "EINVAL: .* is 0..1, not 2"),
        ({"name": "server.mode.loud", "value": 1}, "ENOENT"),
        ({"name": "server.mode.rec", "value": 1, "subdevice": "side"}, "ENODEV"),
    ],
)
def test_what_is_refused(two: House, args: dict[str, Any], why: str) -> None:
    with pytest.raises(Refused, match=why):
        two.connect().call("control.set", **args)


def test_a_devices_own_may_be_told_to_stay(two: House) -> None:
    two.connect().call("control.set", name="server.device", value=1, subdevice="1")


def test_one_that_cannot_be_opened_is_not_chosen(two: House) -> None:
    client = two.connect()
    two.engine.refuse_device = EngineError(errno.EBUSY, "busy")
    for sub in ("rear", "default"):
        with pytest.raises(Refused, match="busy"):
            client.call("control.set", name="server.device", value=1, subdevice=sub)
        assert value(client, "server.device", sub) == 0
    assert two.dispatch.core.controls.choices.devices == {}


# ---- what it offers ----


def test_what_a_sub_device_offers_is_switched_while_it_plays(two: House) -> None:
    """Streams go on, in silence or heard again, and play at the same pace."""
    client = two.connect()
    client.call("subscribe", topics=["controls", "devices"])
    opened(two, 3).say(m.Start())
    run = run_of(two)
    assert run.par.flags == PLAY | REC
    client.call("control.set", name="server.mode.play", value=0)
    two.settle()
    assert run.par.flags == PLAY | NOPLAY | REC
    client.call("control.set", name="server.mode.rec", value=0)
    two.settle()
    assert run.par.flags == PLAY | NOPLAY | REC | NOREC
    client.call("control.set", name="server.mode.mon", value=1)
    two.settle()
    assert run.par.flags == PLAY | NOPLAY | MON
    assert [value(client, f"server.mode.{mode}") for mode in ("play", "rec", "mon")] == [0, 0, 1]
    told = [row for topic, row in client.told("changed") if topic == "devices" and row["device"] == 0]
    assert {sub["name"]: sub["mode"] for sub in told[-1]["subdevices"]} == {
        "default": "mon",
        "rear": "play,rec",
        "0": "play,rec",
    }
    for mode, wanted in (("play", 1), ("rec", 1), ("mon", 0)):
        client.call("control.set", name=f"server.mode.{mode}", value=wanted)
        two.settle()
    assert run.par.flags == PLAY | REC
    assert len(two.engine.streams) == 1, "it is the same stream"


def test_streams_that_start_later_and_others(two: House) -> None:
    client = two.connect()
    mine, other = opened(two), opened(two, opt="rear")
    client.call("control.set", name="server.mode.play", value=0)
    mine.say(m.Start())
    assert run_of(two).par.flags == PLAY | NOPLAY
    other.say(m.Start())
    assert run_of(two).par.flags == PLAY
    opened(two).say(m.Start())
    assert run_of(two).par.flags == PLAY | NOPLAY
    opened(two, devnum=0).say(m.Start())
    assert run_of(two).par.flags == PLAY, "the device's own is another sub-device"


def test_switched_before_it_has_arrived(two: House) -> None:
    """What a stream cannot do yet it does once it can."""
    client = two.connect()
    opened(two).say(m.Start())
    run = run_of(two)
    for on in (0, 1, 0):  # nobody settles in between
        ident = client.send("control.set", name="server.mode.play", value=on)
    two.settle()
    assert client.answer(ident) == {"name": "server.mode.play", "value": 0}
    assert run.par.flags == PLAY | NOPLAY


def test_what_is_so_already_is_no_change(two: House) -> None:
    client = two.connect()
    client.call("subscribe", topics=["controls"])
    client.call("control.set", name="server.mode.play", value=1)
    client.call("control.set", name="server.device", value=0)
    assert client.told("changed") == []
