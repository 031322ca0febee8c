"""policy.best_endpoint: which card plays when nobody has named one."""

from __future__ import annotations

import itertools

import pytest

from audiod.cards.inventory import Card, Endpoint, Inventory, Side
from audiod.policy import best_endpoint

BROKEN = Side(error="busy")
SILENT = Side(probed=True)  # it has no encoding that we have

# card number, bus, kernel's driver, PCM: what is better comes first, each by one reason
ORDER = [
    ("a usb card", 3, "usb", "USB-Audio", "USB Audio", 0, Side()),
    ("another", 4, "usb", "USB-Audio", "USB Audio", 0, Side()),
    ("built in", 1, "pci", "HDA-Intel", "ALC887 Analog", 0, Side()),
    ("its next PCM", 1, "pci", "HDA-Intel", "ALC887 Alt Analog", 2, Side()),
    ("of a board", 0, "platform", "simple-card", "HiFi", 0, Side()),
    ("where the kernel does not say", 6, "", "", "PCM 0", 0, Side()),
    ("a digital output of usb", 2, "usb", "USB-Audio", "USB Audio S/PDIF", 1, Side()),
    ("HDMI", 5, "pci", "HDA-Intel", "HDMI 0", 3, Side()),
    ("pretended", 0, "platform", "Dummy", "Dummy PCM", 0, Side()),
    ("pretended, too", 1, "platform", "Loopback", "Loopback PCM", 0, Side()),
    ("of no use", 3, "usb", "USB-Audio", "USB Audio", 0, BROKEN),
    ("of no use, either", 4, "usb", "USB-Audio", "USB Audio", 0, SILENT),
]


def made(row: tuple[str, int, str, str, str, int, Side]) -> tuple[Card, Endpoint]:
    what, number, bus, driver, pcm, device, side = row
    card = Card(number, f"C{number}", "Some Digital Card", f"{bus}:{what}", bus=bus, driver=driver)
    return card, Endpoint(f"{what}:{pcm}", f"{card.name} {pcm}", card.identity, device, raw=True, play=side)


@pytest.mark.parametrize(
    ("better", "worse"), [*itertools.pairwise(ORDER)], ids=lambda row: row[0].replace(" ", "-")
)
def test_each_is_better_than_the_next(better, worse) -> None:
    there = [made(better), made(worse)]
    for cards, endpoints in (zip(*there, strict=True), zip(*reversed(there), strict=True)):
        best = best_endpoint(Inventory(tuple(cards), tuple(endpoints)))
        assert best is not None and best == there[0][1]


def test_the_best_of_all() -> None:
    cards, endpoints = zip(*map(made, reversed(ORDER)), strict=True)
    best = best_endpoint(Inventory(cards, endpoints))
    assert best is not None and best == made(ORDER[0])[1]


def test_what_does_not_play_or_is_not_a_card_does_not_count() -> None:
    card, one = made(ORDER[0])
    records = Endpoint("hw:0", "mic", card.identity, 0, raw=True, rec=Side())
    converted = Endpoint("default", "Default", card.identity, play=Side(default=True))
    stray = Endpoint("hw:9", "x", "usb:gone", 0, raw=True, play=Side())
    assert best_endpoint(Inventory((card,), (records, converted, stray))) is None
    assert best_endpoint(Inventory()) is None
    assert best_endpoint(Inventory((card,), (records, converted, stray, one))) == one
