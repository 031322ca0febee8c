"""controls.py and program.py by requests: names, values, moves, pages, who may set and who hears of it."""

from __future__ import annotations

import errno
import io
from typing import Any

import pytest
from audiod_protocol.params import Enc, Mode, Par
from fakes import FakeStream
from house import Client, House, Peer, Refused

from audiod import log, policy
from audiod.core import Core, Device, Format, Stream
from audiod.engine import EngineError, Playing
from audiod.program import PROGRAMS_MAX
from audiod.subdevice import SubDevice


@pytest.fixture
def two() -> Any:
    """A server of two devices; the sub-device `rear` is the first's."""
    made = House("-f null -s rear -f loopback")
    yield made
    made.close()


def row(client: Client, ident: int) -> dict[str, Any]:
    (found,) = [r for r in client.call("streams")["streams"] if r["id"] == ident]
    return dict(found)


def values(client: Client) -> dict[Any, int]:
    """Value of each control by its name and, where there is one, its device or sub-device."""
    return {
        (r["name"], r["device"] if r["subdevice"] is None else r["subdevice"]): r["value"]
        for r in client.call("controls")["controls"]
    }


def run_of(client: Client, number: int) -> FakeStream:
    return client.conn.slots[number].stream


# ---- the list ----


def test_controls(house: House, client: Client) -> None:
    client.open()
    num = {"type": "num", "value": 127, "max": 127}
    sw = {"type": "sw", "value": 0, "max": 1}
    device = {"device": 0, "subdevice": None}
    on_default = {"device": 0, "subdevice": "default"}
    chosen = {"name": "server.device", "type": "sel", "value": 0, "max": 0}
    assert client.call("controls") == {
        "version": 1,
        "controls": [
            {**chosen, "device": None, "subdevice": "default"},
            *[
                {**sw, "name": f"server.mode.{mode}", "value": value, "device": None, "subdevice": sub}
                for sub in ("default", "0")
                for mode, value in (("play", 1), ("rec", 1), ("mon", 0))
            ],
            {"name": "output.level", **num, **device},
            {"name": "output.mute", **sw, **device},
            {"name": "input.level", **num, **device},
            {"name": "input.mute", **sw, **device},
            {"name": "app/test.level", **num, **on_default},
            {"name": "app/test.mute", **sw, **on_default},
            {"name": "stream/1.level", **num, **on_default},
            {"name": "stream/1.mute", **sw, **on_default},
        ],
        "next": None,
    }


def test_pages_hold_everything_once(house: House) -> None:
    for n in range(200):
        program = house.connect(name="".join(chr(97 + int(d)) for d in str(1000 + n)))
        program.open()
        program.open(device="0")
        program.vanish() if n % 2 else program.call("setvol", stream=0, vol=3)
    client, found, after, pages = house.connect(), [], None, 0
    while pages == 0 or after is not None:
        answer = client.call("controls", after=after)
        found += [(r["name"], r["subdevice"], r["device"]) for r in answer["controls"]]
        after, pages = answer["next"], pages + 1
    assert pages == 2
    assert len(found) == len(set(found)) == 11 + 2 * 200 + 2 * 200  # 200 open streams, their 200 programs


# ---- devices ----


def test_levels_and_mutes_of_a_device(house: House, client: Client) -> None:
    client.open()
    client.call("subscribe", topics=["controls", "devices"])
    for name, value in [("output.level", 109), ("output.mute", 1), ("input.level", 91), ("input.mute", 1)]:
        assert client.call("control.set", name=name, value=value) == {"name": name, "value": value}
    device = client.call("devices")["devices"][0]
    assert (device["volume"], device["muted"]) == (109, True)
    assert (device["input_volume"], device["input_muted"]) == (91, True)
    assert (house.device.gain, house.device.recgain) == (0.0, 0.0)
    client.call("control.set", name="output.mute", value=0)
    client.call("control.set", name="input.mute", value=0)
    assert (house.device.gain, house.device.recgain) == (0.5, 0.25)
    told = [(topic, r["name"], r["value"]) for topic, r in client.told("changed") if topic == "controls"]
    assert told == [
        ("controls", "output.level", 109),
        ("controls", "output.mute", 1),
        ("controls", "input.level", 91),
        ("controls", "input.mute", 1),
        ("controls", "output.mute", 0),
        ("controls", "input.mute", 0),
    ]
    client.call("control.set", name="input.mute", value=0)
    assert len(client.told("changed")) == 12, "what is so already is no change"


def test_they_outlive_the_opening(house: House, client: Client) -> None:
    client.call("control.set", name="output.level", value=109)
    client.call("control.set", name="input.mute", value=1)
    client.open()
    assert (house.device.gain, house.device.recgain) == (0.5, 0.0)


def test_of_another_device(two: House) -> None:
    client = two.connect()
    client.call("control.set", name="output.level", value=1, device=1)
    got = values(client)
    assert (got["output.level", 0], got["output.level", 1]) == (127, 1)


# ---- programs ----


def test_streams_of_a_program_share_its_level(two: House) -> None:
    a, b, c = (two.connect(name=name) for name in ("Player 1", "player", "else"))
    mine, again, elsewhere = a.open(start=True), a.open(start=True), a.open(start=True, device="rear")
    theirs = b.open(start=True)
    c.open(start=True)
    a.call("setvol", stream=mine, vol=40)
    assert [run_of(a, n).vol for n in (mine, again, elsewhere)] == [40, 40, 127]
    assert (run_of(b, theirs).vol, run_of(c, 0).vol) == (40, 127)
    assert a.told("onvol") == [[again, 40]]
    assert b.told("onvol") == [[theirs, 40]]
    assert c.told("onvol") == []


def test_a_mute_keeps_the_level_and_holds_against_the_program(house: House, client: Client) -> None:
    number = client.open(start=True)
    house.engine.post(Playing(run_of(client, number).id, 0))
    client.call("setvol", stream=number, vol=90)
    client.call("control.set", name="app/test.mute", value=1)
    assert run_of(client, number).muted and run_of(client, number).vol == 90
    assert client.told("onvol") == []
    client.send("setvol", stream=number, vol=100)  # the pump sets it at once
    assert run_of(client, number).muted, "not for a moment"
    house.settle()
    client.call("setvol", stream=number, vol=100)
    assert run_of(client, number).muted and run_of(client, number).vol == 100
    assert (row(client, 1)["volume"], row(client, 1)["muted"]) == (100, True)
    assert "muted" in row(client, 1)["conversion"]
    other = client.open(start=True)
    assert run_of(client, other).muted
    assert client.told("onvol") == [[other, 100]]
    client.call("control.set", name="stream/1.mute", value=0)
    assert [(run_of(client, n).vol, run_of(client, n).muted) for n in (number, other)] == [(100, False)] * 2


def test_the_last_that_is_taken_holds_for_engine_and_rows_alike(house: House, client: Client) -> None:
    """The pump applies a client's own volume before the server has taken what another asked earlier."""
    number, other = client.open(start=True), house.connect()
    run = run_of(client, number)
    house.engine.post(Playing(run.id, 0))
    house.settle()
    for theirs, mine in [(30, 50), (60, 70)]:
        other.send("control.set", name="stream/1.level", value=theirs)
        client.send("setvol", stream=number, vol=mine)
        assert run.vol == mine
        house.settle()
        assert run.vol == mine == row(client, 1)["volume"]


def test_a_program_finds_its_values_again(house: House) -> None:
    first = house.connect(name="Player-1")
    first.call("setvol", stream=first.open(), vol=50)
    first.call("control.set", name="app/player.mute", value=1)
    first.vanish()
    again = house.connect(name="player2")
    again.open(start=True)
    (found,) = again.call("streams")["streams"]
    assert (found["volume"], found["muted"]) == (50, True)
    assert again.told("onvol") == [[0, 50]]


def test_a_remembered_program_can_be_set_and_forgotten(house: House, client: Client) -> None:
    gone = house.connect(name="gone")
    gone.call("setvol", stream=gone.open(), vol=50)
    gone.vanish()
    assert values(client)["app/gone.level", "default"] == 50
    client.call("subscribe", topics=["controls"])
    client.call("control.set", name="app/gone.level", value=127)
    assert ("app/gone.level", "default") not in values(client)
    assert [r["event"] for _, r in client.told("changed")] == ["gone", "gone"]
    with pytest.raises(Refused, match="ENOENT"):
        client.call("control.set", name="app/gone.level", value=1)


def core_with(ndevices: int = 1) -> Core:
    fmt = Format(Enc.parse("s16le"), 48000, 480, 1920, 2, 2)
    devices = [Device(n, f"null?rate={n}", "null", fmt) for n in range(ndevices)]
    return Core(devices, {"default": SubDevice("default", 0)})


def stream_of(core: Core, name: str) -> Stream:
    sub = core.subdevices["default"]
    program = core.controls.programs.get(sub.name, policy.program(name))
    return Stream(core.next_id(), 0, sub, Mode.PLAY, Par(), name, 1, 1, program)


def test_no_more_programs_are_remembered_than_there_is_room_for() -> None:
    core = core_with()
    letters = "abcdefghijklmnopqrstuvwxyz"
    names = [a + b + c for a in letters for b in letters for c in letters][: PROGRAMS_MAX + 2]
    heard: list[tuple[str, str]] = []
    core.subscribe(lambda topic, told: heard.append((str(told["name"]), str(told["event"]))), ["controls"])
    held = stream_of(core, names[0])
    core.add(held)
    core.controls.set_level(held.program, 5)
    for name in names[1:]:
        stream = stream_of(core, name)
        core.add(stream)
        core.controls.set_level(stream.program, 5)
        core.remove(stream)
    kept = [program.name for program in core.controls.programs]
    assert kept == [*names[2:], names[0]], "but what has a stream is not forgotten for others"
    assert heard[-2:] == [(f"app/{names[1]}.level", "gone"), (f"app/{names[1]}.mute", "gone")]
    core.remove(held)
    assert [program.name for program in core.controls.programs] == [*names[3:], names[0]]


# ---- the default device, and moves ----


def test_server_device_moves_the_default_with_its_streams(two: House) -> None:
    client = two.connect()
    playing, rear = client.open(start=True), client.open(start=True, device="rear")
    ready = client.open()
    two.device.run()
    client.call("setvol", stream=playing, vol=40)
    client.call("subscribe", topics=["controls", "devices"])
    assert client.call("control.set", name="server.device", value=1) == {"name": "server.device", "value": 1}
    first, second = two.engine.devices
    assert [d.conf.driver for d in two.engine.devices] == ["null", "loopback"]
    assert run_of(client, playing).device is second
    assert run_of(client, playing).vol == 40
    assert run_of(client, rear).device is first
    assert [row(client, n)["device"] for n in (1, 2, 3)] == [1, 0, 1]
    assert [d["default"] for d in client.call("devices")["devices"]] == [False, True]
    assert values(client)["server.device", "default"] == 1
    assert client.open() == 3
    assert row(client, 4)["device"] == 1
    changes = [r for topic, r in client.told("changed") if r.get("name") == "server.device"]
    assert [(r["event"], r["value"], r["max"]) for r in changes] == [("change", 1, 1)]
    client.call("control.set", name="server.device", value=1)
    assert len([r for _, r in client.told("changed") if r.get("name") == "server.device"]) == 1
    for number in (playing, rear, ready, 3):
        client.call("close", stream=number)
    assert second.closed and not first.closed
    first.rest()
    two.settle()
    assert first.closed


def test_a_default_that_cannot_be_opened_is_refused(two: House) -> None:
    client = two.connect()
    client.open(start=True)
    two.engine.refuse_device = EngineError(errno.EBUSY, "somebody else has it")
    with pytest.raises(Refused, match=r"ENODEV.*somebody else has it"):
        client.call("control.set", name="server.device", value=1)
    assert values(client)["server.device", "default"] == 0
    assert row(client, 1)["device"] == 0
    two.engine.refuse_device = None
    client.call("control.set", name="server.device", value=1)
    assert row(client, 1)["device"] == 1


def test_a_stream_too_small_for_the_new_default_stays() -> None:
    house = House("-f null -f null?round=4800")
    client = house.connect()
    small = client.open(start=True)
    client.call("setpar", stream=client.open(), par={"appbufsz": 9600})
    client.call("start", stream=1)
    client.call("control.set", name="server.device", value=1)
    assert [row(client, n)["device"] for n in (1, 2)] == [0, 1]
    assert run_of(client, small).device is house.engine.devices[0]
    client.call("close", stream=small)
    assert house.engine.devices[0].closed
    house.close()


def test_stream_move(two: House) -> None:
    client, other = two.connect(), two.connect(name="mixer")
    number = client.open(start=True)
    client.call("setvol", stream=number, vol=40)
    answer = other.call("stream.move", id=1, device="1")
    assert answer == {"id": 1, "device": 1, "subdevice": "1"}
    assert run_of(client, number).device is two.engine.devices[1]
    assert (row(client, 1)["subdevice"], row(client, 1)["volume"]) == ("1", 40)
    assert client.told("onvol") == [], "the level came along"
    assert values(client)["app/test.level", "1"] == 40
    two.settle()
    assert two.engine.devices[0].closed
    assert other.call("stream.move", id=1, device="snd/rear")["device"] == 0
    assert other.call("stream.move", id=1, device="rear")["device"] == 0


def test_a_moved_stream_takes_the_level_that_its_program_has_there(two: House) -> None:
    client = two.connect()
    number, there = client.open(start=True), client.open(device="rear")
    client.call("setvol", stream=there, vol=60)
    client.call("stream.move", id=1, device="rear")
    assert run_of(client, number).vol == 60
    assert client.told("onvol") == [[number, 60]]
    client.call("setvol", stream=there, vol=61)
    assert run_of(client, number).vol == 61


def test_a_stream_that_moves_already(two: House) -> None:
    client = two.connect()
    client.open(start=True)
    first = client.send("stream.move", id=1, device="1")
    second = client.send("stream.move", id=1, device="rear")
    two.settle()
    assert client.answer(first)["device"] == 1
    with pytest.raises(Refused, match="EBUSY"):
        client.answer(second)


@pytest.mark.parametrize(
    ("method", "args", "code"),
    [
        ("stream.move", {"id": 9, "device": "1"}, "ENOENT"),
        ("stream.move", {"id": 1, "device": "9"}, "ENODEV"),
        ("stream.move", {"id": 1, "device": "2"}, "EINVAL"),
        ("control.set", {"name": "server.device", "value": 3}, "ENODEV"),
        ("control.set", {"name": "output.mute", "value": 2}, "EINVAL"),
        ("control.set", {"name": "app/test.mute", "value": 127}, "EINVAL"),
        ("control.set", {"name": "input.level", "value": 0, "device": 3}, "ENODEV"),
        ("control.set", {"name": "app/test.level", "value": 0, "subdevice": "rear"}, "ENODEV"),
        ("control.set", {"name": "app/test.level", "value": 0, "subdevice": "1"}, "ENOENT"),
        ("control.set", {"name": "app/nobody.level", "value": 0}, "ENOENT"),
        ("control.set", {"name": "app/Test.level", "value": 0}, "ENOENT"),
        ("control.set", {"name": "app/test", "value": 0}, "ENOENT"),
        ("control.set", {"name": "output.level.x", "value": 0}, "ENOENT"),
        ("control.set", {"name": "stream/9.mute", "value": 0}, "ENOENT"),
        ("control.set", {"name": "stream/1.volume", "value": 0}, "ENOENT"),
    ],
)
def test_refusals_change_nothing(method: str, args: dict[str, Any], code: str) -> None:
    house = House("-f null -f loopback -f null?round=4800")
    client = house.connect()
    client.open(start=True)
    before = client.call("controls"), client.call("streams"), client.call("devices")["devices"][0]
    with pytest.raises(Refused) as refused:
        client.call(method, **args)
    assert refused.value.code == code
    assert (client.call("controls"), client.call("streams"), client.call("devices")["devices"][0]) == before
    house.close()


def test_whoever_may_connect_may_set(house: House, client: Client) -> None:
    client.open(start=True)
    guest = house.connect(Peer(1001, 1001, 99, frozenset({29})), name="guest")
    guest.call("control.set", name="stream/1.level", value=3)
    guest.call("control.set", name="output.level", value=4)
    assert client.told("onvol") == [[0, 3]]
    assert house.device.gain == policy.gain(4)


# ---- what survives, and what happens ----


def test_export_of_the_state(two: House) -> None:
    client = two.connect()
    client.call("setvol", stream=client.open(), vol=7)
    client.call("control.set", name="input.mute", value=1, device=0)
    client.call("control.set", name="server.device", value=1)
    full = {"level": 127, "mute": False, "input_level": 127, "input_mute": False}
    assert client.call("export", what="state") == {
        "version": 1,
        "what": "state",
        "content": {
            "default_device": "loopback",
            "devices": [{"name": "null", **full, "input_mute": True}, {"name": "loopback", **full}],
            "programs": [{"subdevice": "default", "program": "test", "level": 7, "mute": False}],
            "chosen": [],
        },
    }
    client.call("control.set", name="server.device", value=0)
    assert client.call("export", what="state")["content"]["default_device"] is None, "as configured"


def test_events_are_what_is_logged(house: House, client: Client) -> None:
    log.setup("error", {}, io.StringIO())  # whatever is shown
    client.call("subscribe", topics=["events"])
    other = house.connect(name="other")
    other.open(start=True)
    house.device.fail(errno.ENODEV)
    other.vanish()
    rows = [r for topic, r in client.told("changed") if topic == "events"]
    names = [r["event"] for r in rows]
    assert names[:4] == ["client.hello", "device.open", "stream.open", "stream.start"]
    assert {"device.failed", "stream.dead", "client.closed"} <= set(names)
    assert "client.connected" not in names, "that is for developers"
    assert all(isinstance(r["time"], float) and r["level"] in ("info", "error") for r in rows)
    failed = next(r for r in rows if r["event"] == "device.failed")
    assert (failed["device"], failed["errno"], failed["level"]) == (0, errno.ENODEV, "error")
    assert next(r for r in rows if r["event"] == "stream.open")["mode"] == "play"


def test_events_are_told_to_subscribers_alone(house: House, client: Client, logged: io.StringIO) -> None:
    client.call("subscribe", topics=["streams"])
    house.connect(name="other").open()
    assert [topic for topic, _ in client.told("changed")] == ["streams"]
    assert "event=stream.open" in logged.getvalue()


def test_a_bug_is_an_event_without_its_traceback(house: House, client: Client) -> None:
    client.call("subscribe", topics=["events"])
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        log.get(client=1).exception("client.bug", what=object(), long="x" * 5000)
    told = client.told("changed")[-1][1]
    assert (told["event"], told["client"], len(told["long"])) == ("client.bug", 1, 1024)
    assert isinstance(told["what"], str) and "exc_info" not in told and "exception" not in told
