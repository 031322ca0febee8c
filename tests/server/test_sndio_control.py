"""sndiocontrol.py and board.py: what a control client sees, sets and is told, beside native ones."""

from __future__ import annotations

import errno
import io
from typing import Any

import pytest
from audiod_protocol.sndio import messages as m
from audiod_protocol.sndio.descriptors import Kind, Node
from desk import Desk, rows
from house import House
from programs import HOUSE, OTHER, TCP, opened, said

from audiod import board as boards
from audiod.cards.fader import Knob
from audiod.engine import EngineError
from audiod.sndiocontrol import SndioControl

OWN = ["output.level", "output.mute", "input.level", "input.mute"]
MODES = ["server.mode[play]", "server.mode[rec]", "server.mode[mon]"]


@pytest.fixture
def two() -> Any:
    """`default` and `rear` on device 0, `front` on device 1."""
    made = House(HOUSE)
    yield made
    made.close()


# ---- what is seen ----


@pytest.mark.parametrize("old", [False, True])
def test_what_there_is(two: House, old: bool) -> None:
    opened(two, who="mpv")
    desk = Desk(two, old=old)
    assert desk.told() == [], "nothing unasked"
    told = desk.watch()
    assert told == [
        "server.device[0]=1", "server.device[1]=0",
        "server.mode[play]=1", "server.mode[rec]=1", "server.mode[mon]=0",
        "output.level=127", "output.mute=0", "input.level=127", "input.mute=0",
        "app/mpv.level=127", "app/mpv.mute=0",
        "sync",
    ]  # fmt: skip
    level, device, mode = (desk.find(name) for name in ("app/mpv.level", "server.device[0]", MODES[0]))
    assert (level.kind, level.most, level.group, level.node0, level.node1) == (
        Kind.NUM, 127, "app", Node("mpv"), Node(),
    )  # fmt: skip
    assert (device.kind, device.most, device.node1) == (Kind.SEL, 1, Node("0"))
    assert device.display == ("" if old else "null")
    assert (mode.kind, mode.most, mode.node1) == (Kind.VEC, 1, Node("play"))
    assert desk.find("output.mute").kind is Kind.SW
    assert 0 not in desk.client.controls and len(desk.client.controls) == 11


def test_no_device_is_opened_for_it(two: House) -> None:
    Desk(two).watch()
    assert two.engine.devices == []


@pytest.mark.parametrize(
    ("opt", "devnum", "sees", "level"),
    [
        ("rear", 255, "app/rear.level", 100),
        ("front", 255, "app/front.level", 50),
        ("default", 0, "app/own.level", 100),
        ("0", 255, "app/own.level", 100),
        ("front", 1, "app/front.level", 50),
    ],
)
def test_a_client_sees_its_sub_device(two: House, opt: str, devnum: int, sees: str, level: int) -> None:
    for name, where in (("rear", "rear"), ("front", "front"), ("own", "0"), ("def", "default")):
        opened(two, who=name, opt=where)
    native = two.connect()
    native.call("control.set", name="output.level", value=100, device=0)
    native.call("control.set", name="output.level", value=50, device=1)
    desk = Desk(two, opt, devnum=devnum)
    desk.watch()
    assert [name for name in desk.knows() if name.startswith("app/") and name.endswith("level")] == [sees]
    assert desk.knows()["output.level"] == level
    assert {*OWN, *MODES} <= set(desk.knows())


def test_a_devices_own_has_no_other_to_choose(two: House) -> None:
    for number in (0, 1):
        desk = Desk(two, "default", devnum=number)
        desk.watch()
        assert [name for name in desk.knows() if "device" in name] == [f"server.device[{number}]"]
        assert desk.knows()[f"server.device[{number}]"] == 1


def test_addresses_are_the_same_for_all(two: House) -> None:
    first, second = Desk(two), Desk(two, old=True)
    first.watch(), second.watch()
    opened(two, who="mpv")
    assert {n: first.find(n).addr for n in first.knows()} == {n: second.find(n).addr for n in second.knows()}


# ---- set, and told ----


def test_both_wires_have_the_same_levels(two: House) -> None:
    native, desk, other = two.connect(), Desk(two), Desk(two, old=True)
    program = opened(two, who="mpv")
    program.say(m.Start())
    native.call("subscribe", topics=["controls"])
    desk.watch(), other.watch()
    told = desk.set("app/mpv.level", 77)
    assert told == ["app/mpv.level:77"] == other.told(), "who has set it is told, too"
    assert next((r["name"], r["value"]) for _, r in native.told("changed")) == ("app/mpv.level", 77)
    assert program.conn.sent[-1] == m.Setvol(77)
    program.say(m.Setvol(5))
    assert desk.told() == ["app/mpv.level:5"] == other.told()
    native.call("control.set", name="output.mute", value=1)
    assert desk.told() == ["output.mute:1"] == other.told()
    native.call("control.set", name="stream/1.level", value=9)
    assert desk.told() == ["app/mpv.level:9"] == other.told()
    assert desk.set("output.mute", 0) == ["output.mute:0"]
    assert desk.set("input.level", 3) == ["input.level:3"]
    assert rows(two)["input.level", 0] == 3
    assert desk.set("input.level", 3) == [], "it was so already"


def test_who_has_not_asked_is_not_told(two: House) -> None:
    silent, values, desk = Desk(two), Desk(two), Desk(two)
    values.say(values.client.subscribe(desc=False, val=True))
    desk.say(desk.client.subscribe(desc=True, val=False))
    desk.set("output.level", 3)
    assert silent.told() == [] and desk.told() == []
    assert [type(one) for one in values.conn.conn.sent] == [m.Ack, m.Ctlset]
    addr = desk.find("output.level").addr
    assert silent.say(m.encode(m.Ctlset(addr, 9))) == [], "it may set what it was not told of"
    assert rows(two)["output.level", 0] == 9


def test_programs_come_and_go(two: House) -> None:
    desk = Desk(two)
    desk.watch()
    program = opened(two, who="mpv")
    assert desk.told() == ["app/mpv.level=127", "app/mpv.mute=0", "sync"]
    opened(two, who="mpv2")
    assert desk.told() == [], "the same program"
    opened(two, who="aucat", opt="rear")
    assert desk.told() == [], "elsewhere"
    desk.set("app/mpv.level", 3)
    program.say(m.Bye())
    assert desk.told() == []
    for ident in [row["id"] for row in two.connect().call("streams")["streams"] if row["name"] == "mpv2"]:
        two.connect().call("control.set", name=f"stream/{ident}.level", value=127)
    assert desk.told() == ["app/mpv.level:127"]


def test_one_that_has_gone_is_removed_and_its_address_is_not_used_again(two: House) -> None:
    desk = Desk(two)
    desk.watch()
    program = opened(two, who="mpv")
    desk.told()
    addr = desk.find("app/mpv.level").addr
    program.say(m.Bye())
    assert desk.told() == ["-app/mpv.level", "-app/mpv.mute", "sync"]
    opened(two, who="other")
    desk.told()
    assert desk.find("app/other.level").addr > addr
    assert desk.say(m.encode(m.Ctlset(addr, 5))) == []
    assert not desk.closed, "the client may not have known"
    assert rows(two)["app/other.level", "default"] == 127


def test_addresses_begin_anew_once_all_were_used(two: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "ADDR_MAX", 30)
    desk = Desk(two)
    desk.watch()
    for n in range(20):
        program = opened(two, who="p" + chr(97 + n))
        desk.told()
        assert len(set(desk.client.controls)) == len(desk.knows()) and max(desk.client.controls) <= 30
        program.say(m.Bye())
        desk.told()
    for n in range(20):  # more than there are addresses for
        opened(two, who="q" + chr(97 + n))
    desk.told()
    assert len(desk.client.controls) <= 30 and not desk.closed
    native = rows(two)
    for name, value in desk.knows().items():
        assert native.get((name, "default"), value) == value


# ---- devices ----


def test_another_device_is_chosen(two: House) -> None:
    desk, rear, native = Desk(two), Desk(two, "rear"), two.connect()
    desk.watch(), rear.watch()
    playing = opened(two, who="mpv")
    desk.told()
    playing.say(m.Start())
    native.call("control.set", name="output.level", value=9, device=1)
    told = desk.set("server.device[1]", 1)
    two.settle()
    assert told == [
        *(f"-{name}" for name in OWN),
        "output.level=9", "output.mute=0", "input.level=127", "input.mute=0",
        "server.device[1]:1",
        "sync",
    ]  # fmt: skip
    assert [row["device"] for row in native.call("streams")["streams"]] == [1]
    assert rear.told() == []
    assert rear.knows()["server.device[0]"] == 1
    assert desk.set("output.level", 10) == ["output.level:10"]
    assert rows(two)["output.level", 1] == 10 and rows(two)["output.level", 0] == 127
    assert rear.set("server.device[1]", 1)[-2:] == ["server.device[1]:1", "sync"]
    assert rows(two)["server.device", "rear"] == 1


def test_native_clients_choose_one(two: House) -> None:
    desk = Desk(two)
    desk.watch()
    two.connect().call("control.set", name="server.device", value=1)
    assert desk.told()[-2:] == ["server.device[1]:1", "sync"]
    late = Desk(two)
    late.watch()
    assert (late.knows()["server.device[0]"], late.knows()["server.device[1]"]) == (0, 1)


def test_to_leave_one_is_to_choose_another(two: House) -> None:
    """sndioctl sets all the others to 0, too, in any order."""
    desk = Desk(two)
    desk.watch()
    assert desk.set("server.device[0]", 0) == []
    assert rows(two)["server.device", "default"] == 0


def test_one_that_cannot_be_opened(two: House, logged: io.StringIO) -> None:
    two.engine.refuse_device = EngineError(errno.EBUSY, "busy with somebody else")
    desk = Desk(two)
    desk.watch()
    assert desk.set("server.device[1]", 1) == ["server.device[0]:1"], "what holds"
    assert "busy with somebody else" in said(logged, "control.refused")[0]
    assert not desk.closed


def test_what_is_said_while_a_device_is_opened_waits(two: House) -> None:
    """In the order of its coming."""
    waiting: list[Any] = []
    desk = Desk(two)
    desk.watch()
    control = two.dispatch.sessions[desk.conn.conn.id]._part  # type: ignore[union-attr]
    assert isinstance(control, SndioControl)
    open_it = control._prepare
    control._prepare = lambda sub, then: waiting.append((sub, then))
    level = desk.find("output.level").addr
    assert desk.set("server.device[1]", 1) == []
    assert desk.say(m.encode(m.Ctlset(level, 3))) == []
    assert rows(two)["output.level", 0] == 127
    open_it(*waiting.pop())
    two.settle()
    assert rows(two)["server.device", "default"] == 1
    assert rows(two)["output.level", 0] == 127, "that is not this client's any more"
    assert desk.told()[-1] == "sync" and not desk.closed
    assert desk.set("server.device[0]", 1) == []
    assert desk.say(m.encode(m.Ctlset(level, 3)), m.encode(m.Ctlset(8000, 3))) == []
    desk.conn.conn.vanish()
    two.settle()
    open_it(*waiting.pop())
    assert desk.closed
    assert rows(two)["output.level", 0] == 3, "it has set that, and left"
    assert not two.dispatch.board._controls


def test_what_a_sub_device_offers(two: House) -> None:
    desk, native = Desk(two), two.connect()
    desk.watch()
    assert desk.set("server.mode[play]", 0) == ["server.mode[play]:0"]
    assert desk.set("server.mode[mon]", 1) == ["server.mode[mon]:1"]
    assert rows(two)["server.mode.play", "default"] == 0
    native.call("control.set", name="server.mode.play", value=1)
    assert desk.told() == ["server.mode[play]:1"]
    own = Desk(two, "0")
    own.watch()
    assert own.knows()["server.mode[play]"] == 1
    assert own.set("server.mode[play]", 0) == ["server.mode[play]:0"]


# ---- what a card has ----


def test_what_is_turned_on_a_card_itself(two: House) -> None:
    desk, elsewhere = Desk(two), Desk(two, "front")
    desk.watch(), elsewhere.watch()
    two.dispatch.core.controls.heard(two.dispatch.core.devices[0], {"output.level": 9, "output.mute": 1})
    two.settle_board()
    assert desk.told() == ["output.level:9", "output.mute:1"]
    assert elsewhere.told() == []


def test_further_knobs_of_a_card_and_its_jacks(two: House, logged: io.StringIO) -> None:
    controls, device = two.dispatch.core.controls, two.dispatch.core.devices[0]
    turned: list[tuple[str, int]] = []
    device.turn_knob = lambda name, value: turned.append((name, value))
    desk, elsewhere = Desk(two, old=True), Desk(two, "front")
    desk.watch(), elsewhere.watch()
    knobs = {"hw/Headphone.level": Knob(5, 127), "hw/MicBoost.mute": Knob(0, 1)}
    knobs["hw/Headphone.plug"] = Knob(1, 1, fixed=True)
    controls.elements.appeared(device, knobs)
    two.settle_board()
    assert desk.told() == ["hw/Headphone.level=5", "hw/MicBoost.mute=0", "hw/Headphone.plug=1", "sync"]
    assert desk.find("hw/MicBoost.mute").kind is Kind.SW
    assert desk.set("hw/Headphone.level", 100) == ["hw/Headphone.level:100"]
    assert turned == [("hw/Headphone.level", 100)]
    controls.elements.heard(device, {"hw/Headphone.plug": 0, "hw/Headphone.level": 99})
    two.settle_board()
    assert desk.told() == ["hw/Headphone.plug:0", "hw/Headphone.level:99"]
    assert desk.set("hw/Headphone.plug", 1) == ["hw/Headphone.plug:0"], "it can only be read"
    assert len(said(logged, "control.refused")) == 1 and len(turned) == 1
    assert desk.set("server.device[1]", 1)[0] == "-output.level"
    assert not any(name.startswith("hw/") for name in desk.knows())
    assert desk.set("server.device[0]", 1)[-1] == "sync"
    assert desk.knows()["hw/Headphone.level"] == 99
    controls.elements.gone(device)
    two.settle_board()
    assert sorted(desk.told()) == ["-hw/Headphone.level", "-hw/Headphone.plug", "-hw/MicBoost.mute", "sync"]
    assert elsewhere.told() == []


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"name": "card/Mic Boost.level", "type": "num", "max": 3, "value": 1}, "card/MicBoost.level"),
        ({"name": "spkr[12].mute", "type": "sw", "max": 1, "value": 1}, "spkr[12].mute"),
        ({"name": "a/b/Much-Too-Long-A-Name.function", "type": "num", "max": 9, "value": 0},
         "ab/MuchTooLong.function"),
        ({"name": "card/Input.source", "type": "enum", "max": 9, "value": 0}, None),
        ({"name": "strange", "type": "num", "max": 9, "value": 0}, None),
    ],
)  # fmt: skip
def test_other_elements_of_a_card(two: House, row: dict[str, Any], name: str | None) -> None:
    desk, elsewhere = Desk(two), Desk(two, "front")
    desk.watch(), elsewhere.watch()
    row |= {"device": 0, "subdevice": None}
    two.dispatch.core.publish("controls", "new", lambda: row)
    two.settle_board()
    assert desk.told() == ([] if name is None else [f"{name}={row['value']}", "sync"])
    assert elsewhere.told() == []
    if name is not None:
        assert desk.find(name).most == row["max"]
        two.dispatch.core.publish("controls", "change", lambda: {**row, "max": 20, "value": 11})
        two.settle_board()
        assert desk.told() == [f"{name}=11", "sync"], "described anew"


# ---- a slow one, and the end ----


def test_who_does_not_read_costs_nothing_and_finds_what_holds(two: House) -> None:
    slow, quick = Desk(two), Desk(two)
    slow.watch(), quick.watch()
    slow.conn.conn.deaf = True
    for value in range(1000):
        quick.set("output.level", value % 128)
        quick.set("input.level", 127 - value % 128)
    for n in range(20):
        opened(two, who="p" + chr(97 + n)).say(m.Bye())
    opened(two, who="last")
    held = sum(len(one) if isinstance(one, bytes) else m.MSG_SIZE for one in slow.conn.conn.sent)
    assert held < 4000, "the first piece, and no more"
    slow.conn.conn.deaf = False
    slow.conn.conn.heard()
    two.settle()
    slow.told(), quick.told()
    assert slow.knows() == quick.knows()
    assert slow.client.controls == quick.client.controls


def test_much_goes_in_pieces_each_once_the_last_was_read(two: House) -> None:
    for n in range(300):
        name = "p" + "".join(chr(97 + int(digit)) for digit in str(n))
        opened(two, who=name).say(m.Setvol(3), m.Bye())
    desk = Desk(two)
    desk.conn.conn.deaf = True
    first = desk.watch()
    assert 0 < len(first) < 200 and "sync" not in first
    desk.conn.conn.deaf = False
    desk.conn.conn.heard()
    two.settle()
    rest = desk.told()
    assert rest.count("sync") == 1 and rest[-1] == "sync"
    assert len(desk.client.controls) == 9 + 2 * 300


def test_nobody_looks_any_more(two: House) -> None:
    board, core = two.dispatch.board, two.dispatch.core
    desk, rear = Desk(two), Desk(two, "rear")
    desk.watch(), rear.watch()
    assert core._subscribers["controls"]
    desk.say(m.encode(m.Bye()))
    assert desk.closed and board._controls
    rear.conn.conn.vanish()
    two.settle()
    assert not core._subscribers["controls"] and not board._controls and not board._scopes
    again = Desk(two)
    again.watch()
    assert min(again.client.controls) == 1


def test_its_sub_device_is_no_longer_configured(logged: io.StringIO) -> None:
    house = House("-f null -s rear")
    desk, other = Desk(house, "rear"), Desk(house)
    desk.watch(), other.watch()
    house.dispatch.settings._take("rear", None)
    house.settle()
    assert desk.closed and not other.closed
    assert "no sub-device 'rear' any more" in said(logged, "client.refused")[0]
    house.close()


def test_the_server_ends(two: House) -> None:
    desk = Desk(two)
    desk.watch()
    two.dispatch.drain()
    two.settle()
    assert not desk.closed, "what still plays can be turned down"
    two.dispatch.close_sessions()
    two.settle()
    assert desk.closed


# ---- who may ----


def test_it_is_of_the_session(two: House) -> None:
    desk = Desk(two)
    stranger = two.sndio(OTHER)
    stranger.say(m.Auth(b"x" * 16))
    assert stranger.closed
    desk.say(m.encode(m.Bye()))
    late = two.sndio(TCP)
    assert late.open(0x300, cookie=b"x" * 16) == [m.Ack()]


@pytest.mark.parametrize("mode", [0x100, 0x200, 0x300])
def test_modes_are_the_librarys_to_mind(two: House, mode: int) -> None:
    """As under sndiod: whoever may read may set; libsndio does not let a program that did not ask."""
    desk, client = Desk(two), two.sndio()
    desk.watch()
    assert client.open(mode) == [m.Ack()]
    assert client.say(m.Ctlset(desk.find("output.level").addr, 3)) == []
    assert rows(two)["output.level", 0] == 3
