"""alternates.py by requests and events: streams whose card is lost, where they go on, when they return."""

from __future__ import annotations

import errno
import io
from collections.abc import Iterator
from typing import Any

import pytest
from audiod_protocol.sndio import messages as m
from house import Client, House, Refused, SndioClient

from audiod.engine import EngineError

USB, PCH, LAST = "alsa:@usb:1:2", "alsa:hw:PCH", "alsa:default"
LOST = "its card went away (No such device): plug it in, or use another device"
NO = EngineError(errno.ENODEV, "alsa: there is no such card")


class Cards:
    """A house whose devices are cards: 0 the last resort, 1 built in, 2 on USB, the preferred one."""

    def __init__(self, line: str = f"-f {LAST} -F {PCH} -F {USB}") -> None:
        self.there: dict[
            int, bool | None
        ] = {}  # whether the card of a device is in the machine, None: unknown
        self.house = House(line, present=lambda number: self.there.get(number, True))
        self.house.dispatch.devices.opening = _pcm

    def lose(self, number: int, error: int = errno.ENODEV) -> None:
        """Unplug the card on which the device is."""
        opening = self.house.dispatch.devices.current(number)
        if error == errno.ENODEV:
            self.there[number] = False
        assert opening.handle is not None
        opening.handle.lose(error)  # type: ignore[attr-defined]
        self.house.settle()

    def plug(self, number: int, *, asked: bool = False) -> None:
        self.there[number] = True
        self.news(asked=asked)

    def news(self, *, asked: bool = False) -> None:
        self.house.dispatch.alternates.news(asked=asked)
        self.house.settle()

    def refuse(self, number: int, error: EngineError | None) -> None:
        """What opening the device comes to; None: it opens."""
        argument = self.house.dispatch.devices.all[number].conf.spec.argument
        if error is None:
            self.house.engine.refused.pop(argument)
        else:
            self.house.engine.refused[argument] = error

    def playing_on(self, client: Client, number: int) -> str:
        """The argument of the device on which the engine has a stream."""
        return str(client.conn.slots[number].stream.device.conf.arg)


def _pcm(argument: str) -> Any:
    import contextlib

    return contextlib.nullcontext(argument)


@pytest.fixture
def cards() -> Iterator[Cards]:
    made = Cards()
    yield made
    made.house.close()


def where(client: Client, name: str = "default") -> tuple[int, str | None]:
    """The device that a sub-device is on, and why."""
    for row in client.call("devices")["devices"]:
        for sub in row["subdevices"]:
            if sub["name"] == name:
                return row["device"], sub["reason"]
    raise AssertionError(name)


def state(client: Client, number: int) -> tuple[str, str | None]:
    row = client.call("devices")["devices"][number]
    return row["state"], row["reason"]


# ---- lost, and back ----


def test_streams_go_on_on_the_next_one_and_return(cards: Cards, logged: io.StringIO) -> None:
    client = cards.house.connect()
    playing, ready = client.open(start=True), client.open()
    assert where(client) == (2, None) and cards.playing_on(client, playing) == "@usb:1:2"
    first = cards.house.device
    first.run()
    client.call("subscribe", topics=["devices", "streams", "controls"])
    cards.lose(2)
    assert where(client) == (1, "device 2 is not there")
    assert cards.playing_on(client, playing) == "hw:PCH"
    assert {r["device"] for r in client.call("streams")["streams"]} == {1}
    assert client.told("onstate") == []
    assert ("controls", 1) in [
        (t, r["value"]) for t, r in client.told("changed") if r.get("name") == "server.device"
    ]
    assert state(client, 2) == ("lost", LOST), "its clock still runs"
    first.rest()
    cards.house.settle()
    assert first.closed and state(client, 2) == ("failed", LOST)

    second = cards.house.device
    second.run()
    cards.plug(2)
    assert where(client) == (2, None) and cards.playing_on(client, playing) == "@usb:1:2"
    second.rest()
    cards.house.settle()
    assert second.closed and state(client, 1) == ("closed", None)
    assert client.call("start", stream=ready) == {"stream": ready}
    assert cards.playing_on(client, ready) == "@usb:1:2"
    assert client.told("onstate") == []
    moves = [line for line in logged.getvalue().splitlines() if "default.move" in line]
    assert [line.partition("reason=")[2] for line in moves] == ['"device 2 is not there"', "preferred"]
    assert "device.lost" in logged.getvalue()


def test_programs_of_sndio_notice_nothing(cards: Cards) -> None:
    client = cards.house.sndio()
    client.open()
    client.say(m.Start(False))
    before = list(client.conn.sent)
    cards.lose(2)
    cards.plug(2)
    cards.lose(2)
    assert client.conn.sent == before and not client.closed
    assert client.conn.slots[0].stream.device.conf.arg == "hw:PCH"


def test_the_first_that_opens(cards: Cards) -> None:
    client = cards.house.connect()
    client.open(start=True)
    cards.refuse(1, EngineError(errno.EBUSY, "another program has it"))
    cards.lose(2)
    assert where(client) == (0, "device 2 is not there")
    cards.refuse(1, None)
    cards.news()
    assert where(client)[0] == 0, "a busy one is not tried again by itself"
    cards.news(asked=True)
    assert where(client) == (1, "device 2 is not there")


def test_without_an_alternate_they_wait_in_silence() -> None:
    cards = Cards(f"-f {USB}")
    client = cards.house.connect()
    playing, ready = client.open(start=True), client.open()
    old = cards.house.device
    old.run()
    cards.lose(0)
    assert client.told("onstate") == [] and state(client, 0) == ("lost", LOST)
    assert client.conn.slots[playing].stream.device is old
    cards.refuse(0, NO)
    with pytest.raises(Refused, match="ENODEV"):
        cards.house.connect().open()
    assert state(client, 0)[0] == "lost"
    cards.refuse(0, None)
    client.call("start", stream=ready)
    assert client.conn.slots[ready].stream.device is old, "the clock of nothing is one, too"
    cards.plug(0)
    new = cards.house.device
    assert new is not old and {s.stream.device for s in client.conn.slots.values()} == {new}
    old.rest()
    cards.house.settle()
    assert old.closed and not new.closed and state(client, 0) == ("idle", None)
    cards.house.close()


def test_when_all_are_gone_they_wait_for_any() -> None:
    cards = Cards()
    client = cards.house.connect()
    client.open(start=True)
    cards.there = {0: False, 1: False}
    cards.lose(2)
    assert where(client)[0] == 2 and state(client, 2)[0] == "lost"
    cards.plug(0)
    assert where(client) == (0, "device 2 is not there")
    cards.plug(1)
    assert where(client)[0] == 1, "a better one"
    cards.house.close()


def test_a_client_that_opens_it_brings_the_others_back() -> None:
    cards = Cards(f"-f {USB}")
    client, other = cards.house.connect(), cards.house.connect()
    client.open(start=True)
    cards.lose(0)
    other.open()
    assert client.conn.slots[0].stream.device is cards.house.device and len(cards.house.engine.devices) == 2
    cards.house.close()


def test_a_stream_of_the_device_itself_stays(cards: Cards) -> None:
    client = cards.house.connect()
    number = client.open(device="2", start=True)
    old = cards.house.device
    cards.lose(2)
    assert client.conn.slots[number].stream.device is old
    cards.plug(2)
    assert client.conn.slots[number].stream.device is cards.house.device is not old
    assert client.call("streams")["streams"][0]["subdevice"] == "2"


def test_a_card_that_fails_though_it_is_there(cards: Cards) -> None:
    """It would fail again: it is left alone until somebody asks for it."""
    client = cards.house.connect()
    client.open(start=True)
    cards.lose(2, errno.EIO)
    assert where(client) == (1, "device 2 has failed")
    cards.news()
    assert where(client)[0] == 1
    cards.news(asked=True)
    assert where(client) == (2, None)


def test_nobody_can_tell_but_by_trying(cards: Cards) -> None:
    client = cards.house.connect()
    client.open(start=True)
    cards.lose(2)
    cards.there[2] = None
    cards.refuse(2, NO)
    cards.news()
    assert where(client) == (1, "device 2 is not there")
    cards.refuse(2, None)
    cards.news()
    assert where(client) == (2, None)


def test_moves_that_come_too_fast_are_made_up_for(cards: Cards) -> None:
    client = cards.house.connect()
    number = client.open(start=True)
    devices = cards.house.dispatch.devices
    cards.lose(2)
    cards.there[2] = True
    cards.house.dispatch.alternates.news()  # nobody has heard that it has arrived
    opening = devices.current(2)
    cards.there[2] = False
    opening.handle.lose(errno.ENODEV)  # type: ignore[union-attr]
    cards.house.settle()
    assert where(client)[0] == 1 and cards.playing_on(client, number) == "hw:PCH"
    assert client.told("onstate") == []


def test_one_that_does_not_fit_waits(cards: Cards, logged: io.StringIO) -> None:
    """Its buffer is smaller than a block of the other device."""
    house = House(f"-f {PCH}?round=4800 -F {USB}", present=lambda number: cards.there.get(number, True))
    house.dispatch.devices.opening = _pcm
    mine = Cards.__new__(Cards)
    mine.there, mine.house = cards.there, house
    client = house.connect()
    small = client.open()
    client.call("setpar", stream=small, par={"appbufsz": 960})
    client.call("start", stream=small)
    large = client.open()
    client.call("setpar", stream=large, par={"appbufsz": 48000})
    client.call("start", stream=large)
    mine.lose(1)
    assert where(client)[0] == 0
    assert [r["device"] for r in client.call("streams")["streams"]] == [1, 0]
    assert "stream.stays" in logged.getvalue()
    mine.plug(1)
    assert [r["device"] for r in client.call("streams")["streams"]] == [1, 1]
    assert client.conn.slots[small].stream.device is house.device
    assert client.told("onstate") == []
    house.close()


def test_link_groups_wait_together(cards: Cards) -> None:
    """One that plays would lose its common cycle: they move once they have stopped."""
    client = cards.house.connect()
    a, b = client.open(link="duo", start=True), client.open(link="duo", start=True)
    old = cards.house.device
    cards.lose(2)
    assert {s.stream.device for s in client.conn.slots.values()} == {old}
    client.call("stop", stream=a)
    client.call("stop", stream=b)
    assert {r["device"] for r in client.call("streams")["streams"]} == {1}
    assert list(cards.house.device.groups.values()) == [2]
    client.call("start", stream=a)
    assert cards.playing_on(client, a) == "hw:PCH"


# ---- policies ----


def configured(text: str) -> Cards:
    made = Cards.__new__(Cards)
    made.there = {}
    made.house = House("", present=lambda number: made.there.get(number, True), text=text)
    made.house.dispatch.devices.opening = _pcm
    return made


CONF = f'[[device]]\nspec = "{USB}"\nalternates = ["{PCH}", "{LAST}"]\n'


def test_wait() -> None:
    cards = configured(CONF + 'on_loss = "wait"\n')
    client = cards.house.connect()
    client.open(start=True)
    cards.lose(0)
    assert where(client)[0] == 0 and state(client, 0)[0] == "lost"
    with pytest.raises(Refused, match="ENODEV"):
        cards.refuse(0, NO)
        client.open()
    cards.refuse(0, None)
    cards.plug(0)
    assert where(client) == (0, None) and client.conn.slots[0].stream.device is cards.house.device
    cards.house.close()


def test_stay() -> None:
    cards = configured(CONF + 'on_new = "stay"\n')
    client = cards.house.connect()
    number = client.open(start=True)
    cards.lose(0)
    cards.plug(0)
    assert where(client) == (1, "device 0 was not there when it was needed")
    client.call("stop", stream=number)
    client.call("start", stream=number)
    assert where(client)[0] == 1
    cards.news(asked=True)
    assert where(client) == (0, None), "who asks gets the best"
    cards.house.close()


def test_follow() -> None:
    cards = configured(CONF + 'on_new = "follow"\n')
    cards.there[1] = False
    cards.news()
    client = cards.house.connect()
    client.open(start=True)
    assert where(client)[0] == 0
    cards.plug(1)
    assert where(client) == (1, "it came last")
    cards.lose(1)
    assert where(client)[0] == 0
    cards.house.close()


# ---- nobody plays ----


def test_where_the_next_one_will_be_is_told_without_opening_anything(cards: Cards) -> None:
    client = cards.house.connect()
    assert where(client) == (2, None)
    cards.there[2] = False
    cards.news()
    assert where(client) == (1, "device 2 is not there")
    assert cards.house.engine.devices == []
    cards.plug(2)
    assert where(client) == (2, None)
    rows = client.call("devices")["devices"]
    assert rows[2]["subdevices"][0]["devices"] == [2, 1, 0] and rows[0]["subdevices"][0]["devices"] == [0]


def test_the_first_use_takes_the_first_that_opens(cards: Cards) -> None:
    cards.refuse(2, NO)
    client = cards.house.connect()
    assert client.call("open", mode="play")["device"] == 1
    assert where(client) == (1, "device 2 is not there")
    cards.refuse(1, NO)
    assert client.call("open", mode="play")["device"] == 1, "it is open"
    sndio = cards.house.sndio()
    assert sndio.open() == [m.Ack()]


def test_when_none_opens_the_reason_of_the_first_is_told(cards: Cards) -> None:
    client = cards.house.connect()
    for number in range(3):
        cards.refuse(number, EngineError(errno.EIO, f"reason {number}"))
    with pytest.raises(Refused, match="reason 2"):
        client.open()
    sndio: SndioClient = cards.house.sndio()
    assert sndio.open() == [] and sndio.closed


def test_an_absent_card_is_in_the_answer_where_all_are(cards: Cards) -> None:
    cards.there = {0: False, 1: False, 2: False}
    cards.news()
    for number in range(3):
        cards.refuse(number, EngineError(errno.ENODEV, f"no card {number}"))
    with pytest.raises(Refused, match="no card"):
        cards.house.connect().open()


# ---- chosen ----


def test_the_chosen_one_comes_first(cards: Cards) -> None:
    client = cards.house.connect()
    client.open(start=True)
    client.call("control.set", name="server.device", value=0)
    assert where(client) == (0, "chosen")
    rows = client.call("devices")["devices"]
    assert rows[0]["subdevices"][0]["devices"] == [0, 2, 1]
    cards.lose(0)
    assert where(client) == (2, "device 0 is not there")
    cards.plug(0)
    assert where(client) == (0, "chosen")
    cards.lose(0)
    client.call("control.set", name="server.device", value=2)
    cards.plug(0)
    assert where(client) == (2, None), "chosen is what the configuration says, too"


def test_choosing_what_it_has_fallen_back_to(cards: Cards) -> None:
    client = cards.house.connect()
    client.open(start=True)
    cards.lose(2)
    client.call("control.set", name="server.device", value=1)
    assert where(client) == (1, "chosen")
    cards.plug(2)
    assert where(client) == (1, "chosen")


def test_one_that_cannot_be_opened_is_not_chosen(cards: Cards) -> None:
    client = cards.house.connect()
    cards.refuse(0, NO)
    with pytest.raises(Refused, match="ENODEV"):
        client.call("control.set", name="server.device", value=0)
    assert where(client) == (2, None)
    cards.lose(2) if cards.house.dispatch.devices.is_open(2) else cards.news()
    assert cards.house.dispatch.core.controls.choices.chosen("default") is None


# ---- drivers that end their streams ----


def test_a_device_that_fails_ends_what_plays_and_not_what_waits() -> None:
    house = House("-f loopback -F null")
    client = house.connect()
    playing, ready = client.open(start=True), client.open()
    house.device.fail(errno.ENODEV)
    house.settle()
    assert [(n, s) for n, s, _ in client.told("onstate")] == [(playing, "closed")]
    assert where(client) == (0, "device 1 is not there")
    client.call("start", stream=ready)
    assert client.conn.slots[ready].stream.device.conf.driver == "loopback"
    house.close()


def test_a_held_device_is_opened_again_when_it_is_back() -> None:
    cards = Cards(f"-a on -f {USB}")
    cards.house.dispatch.devices.open_held()
    client = cards.house.connect()
    cards.lose(0)
    assert cards.house.device.closed and state(client, 0)[0] == "failed"
    cards.plug(0)
    assert not cards.house.device.closed and state(client, 0) == ("idle", None)
    cards.house.close()


# ---- by hand ----


def test_a_look_by_hand_brings_the_best_one(cards: Cards) -> None:
    client = cards.house.connect()
    client.open(start=True)
    cards.lose(2, errno.EIO)
    assert where(client)[0] == 1
    assert client.call("devices.rescan") == {"version": 1}
    assert where(client) == (2, None)
    assert client.call("status")["default"] == {"device": 2, "name": USB, "reason": None}
    cards.lose(2)
    assert client.call("status")["default"] == {"device": 1, "name": PCH, "reason": "device 2 is not there"}


def test_a_look_takes_its_time(cards: Cards) -> None:
    """It is answered when it is done, others go on, and one that is gone is not told."""
    waiting: list[Any] = []
    cards.house.dispatch.hotplug.rescan = waiting.append  # type: ignore[method-assign]
    client, other = cards.house.connect(), cards.house.connect()
    first, second = client.send("devices.rescan"), other.send("devices.rescan")
    cards.house.settle()
    assert client.open() == 0 and client.answer(first) is None
    with pytest.raises(Refused, match="EBUSY"):
        client.call("devices.rescan")
    other.vanish()
    for then in waiting:
        then()
    assert client.answer(first) == {"version": 1} and other.answer(second) is None
    again = client.send("devices.rescan")
    cards.house.settle()
    waiting[-1]()
    assert client.answer(again) == {"version": 1}
