"""Cards as clients meet them: the answer of `cards`, its changes, devices named by identity."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cards.kernels import FakeKernel, usb_place
from house import Client, House, Refused

from audiod.cards.inventory import Card, Endpoint, Inventory, Side
from audiod.cards.rows import PAGE
from audiod.cards.scan import Scanner
from audiod.engine import EngineError

CARD = Card(0, "HDA", "HDA Intel", "pci:0000:00:1b.0", bus="pci")
SIDE = Side(probed=True, formats=("s16le",), rates=(48000,), channels=(2,))


def endpoint(number: int, **other: object) -> Endpoint:
    one = Endpoint(f"hw:CARD=HDA,DEV={number}", f"PCM {number}", CARD.identity, number, raw=True, play=SIDE)
    return replace(one, **other)


def test_pages(house: House, client: Client) -> None:
    found = tuple(map(endpoint, range(2 * PAGE + 1)))
    house.dispatch.cards.inventory = Inventory((CARD,), found, error="odd")
    after, numbers = None, []
    while True:
        answer = client.call("cards", **({} if after is None else {"after": after}))
        assert (answer["version"], answer["error"], answer["scanning"]) == (1, "odd", False)
        assert [card["identity"] for card in answer["cards"]] == [CARD.identity]
        numbers.append([row["device"] for row in answer["endpoints"]])
        after = answer["next"]
        if after is None:
            break
    assert [len(page) for page in numbers] == [PAGE, PAGE, 1]
    assert [number for page in numbers for number in page] == list(range(2 * PAGE + 1))
    beyond = client.call("cards", after=1000)
    assert beyond["endpoints"] == [] and beyond["next"] is None


def test_a_last_page_that_is_full(house: House, client: Client) -> None:
    house.dispatch.cards.inventory = Inventory((CARD,), tuple(map(endpoint, range(PAGE))))
    assert client.call("cards")["next"] is None


def test_changes_are_told(house: House, client: Client) -> None:
    client.call("subscribe", topics=["cards"])
    old = Inventory((CARD,), (endpoint(0), endpoint(1)))
    new = Inventory((CARD,), (endpoint(1, play=Side(error="busy")), endpoint(2)))
    house.dispatch.cards.on_change(old, new)
    told = [(topic, row["event"], row["device"], row["error"]) for topic, row in client.told("changed")]
    assert told == [
        ("cards", "gone", 0, None),
        ("cards", "new", 2, None),
        ("cards", "change", 1, "busy"),
    ]


# ---- devices by identity ----


@pytest.fixture
def machine(tmp_path: Path) -> FakeKernel:
    made = FakeKernel(tmp_path)
    made.plug(1, "DAC", usb_place("2"), "0p", bus="usb", usb=("1:2", ""))
    return made


def test_a_device_is_its_card_whatever_that_is_called(machine: FakeKernel) -> None:
    house = House("-f alsa:@usb:1:2@0000:00:14.0-2")
    try:
        house.dispatch.devices.opening = Scanner(roots=machine.roots).opening
        client = house.connect()
        number = client.open()
        assert house.engine.devices[-1].conf.arg == "hw:CARD=DAC,DEV=0"
        client.call("close", stream=number)
        machine.unplug(1)
        with pytest.raises(Refused, match=r"alsa: @usb:1:2@0000:00:14\.0-2: the card is not there"):
            client.open()
        assert client.call("devices")["devices"][0]["state"] == "failed"
        machine.plug(7, "DAC_1", usb_place("2"), "0p", bus="usb", usb=("1:2", ""))
        client.open()
        assert house.engine.devices[-1].conf.arg == "hw:CARD=DAC_1,DEV=0"
        assert client.call("devices")["devices"][0]["name"] == "alsa:@usb:1:2@0000:00:14.0-2"
    finally:
        house.close()


def test_a_card_that_the_engine_refuses_is_let_go(machine: FakeKernel) -> None:
    house = House("-f alsa:hw:0")
    try:
        scanner = Scanner(roots=machine.roots)
        house.dispatch.devices.opening = scanner.opening
        house.engine.refuse_device = EngineError(16, "alsa: hw:0: playback is busy")
        with pytest.raises(Refused, match="playback is busy"):
            house.connect().open()
        assert scanner._openers == 0
    finally:
        house.close()
