"""Which cards the kernel has, and the identity that stays with a card: from a kernel's files in a folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cards.kernels import PCI, FakeKernel, usb_place

from audiod.cards import kernel
from audiod.cards.inventory import Card, Endpoint, find_card
from audiod.spec import parse

DAC = "0d8c:0014"


@pytest.fixture(params=[True, False], ids=["proc", "sys alone"])
def machine(tmp_path: Path, request: pytest.FixtureRequest) -> FakeKernel:
    return FakeKernel(tmp_path, proc=request.param)


def identities(machine: FakeKernel) -> dict[int, str]:
    return {card.number: card.identity for card in kernel.find_cards(machine.roots)}


# ---- cards and their PCMs ----


def test_no_kernel_with_sound(tmp_path: Path) -> None:
    there = kernel.glance(kernel.Roots(tmp_path / "a", tmp_path / "b", tmp_path / "c"))
    assert there.cards == there.endpoints == () and not there.complete


def test_a_card_as_the_files_tell(machine: FakeKernel) -> None:
    machine.plug(0, "HDA", f"{PCI}/0000:00:1b.0", "0p", "0c", "3p")
    there = kernel.glance(machine.roots)
    (card,) = there.cards
    assert (card.id, card.bus, card.port, card.identity) == ("HDA", "pci", "0000:00:1b.0", "pci:0000:00:1b.0")
    assert (card.name, card.driver) == (("The HDA", "HDA-Intel") if machine.proc else ("HDA", ""))
    assert [(one.pcm, one.mode, one.raw, one.card, one.spec) for one in there.endpoints] == [
        ("hw:CARD=HDA,DEV=0", "play,rec", True, card.identity, "alsa:hw:CARD=HDA,DEV=0"),
        ("hw:CARD=HDA,DEV=3", "play", True, card.identity, "alsa:hw:CARD=HDA,DEV=3"),
    ]
    assert there.endpoints[0].name == ("The HDA PCM 0p" if machine.proc else "HDA PCM 0")
    assert all(one.play is not None and one.play.usable and not one.play.probed for one in there.endpoints)


def test_without_device_files_the_card_says_so(machine: FakeKernel) -> None:
    machine.plug(0, "HDA", f"{PCI}/0000:00:1b.0", "0p", "0c", nodes=False)
    there = kernel.glance(machine.roots)
    assert there.endpoints == ()
    assert there.cards[0].error is not None and "pcmC0D0" in there.cards[0].error


def test_without_one_of_them_the_other_direction_is_there(machine: FakeKernel) -> None:
    machine.plug(0, "HDA", f"{PCI}/0000:00:1b.0", "0p", "0c")
    (machine.roots.dev / "pcmC0D0p").unlink()
    there = kernel.glance(machine.roots)
    assert [one.mode for one in there.endpoints] == ["rec"] and there.cards[0].error is None


def test_what_is_not_permitted(machine: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.plug(0, "HDA", f"{PCI}/0000:00:1b.0", "0p", "0c")
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("p"))
    (one,) = kernel.glance(machine.roots).endpoints
    assert one.play is not None and "group, audio" in (one.play.error or "") and not one.play.usable
    assert one.rec is not None and one.rec.usable and one.error is None


@pytest.mark.parametrize("junk", [b"\0\1\2", b"\xff" * 5000, b"x [y]: z\n 99999999999999999999 [", b""])
def test_nonsense_in_the_files(tmp_path: Path, junk: bytes) -> None:
    machine = FakeKernel(tmp_path)
    machine.plug(0, "HDA", f"{PCI}/0000:00:1b.0", "0p")
    for path in tmp_path.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.write_bytes(junk)
    (card,) = kernel.glance(machine.roots).cards
    assert card.identity == "pci:0000:00:1b.0" and card.id.isprintable()


# ---- identity ----


def test_a_replugged_card_is_the_same_card(machine: FakeKernel) -> None:
    """Number and id are others', the bus has another number: same port, same card."""
    machine.plug(1, "Device", usb_place("2.1"), "0p", bus="usb", usb=(DAC, ""))
    first = identities(machine)[1]
    assert first == "usb:0d8c:0014@0000:00:14.0-2.1"
    machine.unplug(1)
    assert find_card(first, kernel.find_cards(machine.roots)) is None
    machine.plug(5, "Device_1", usb_place("2.1", bus=3), "0p", bus="usb", usb=(DAC, ""))
    assert identities(machine)[5] == first


def test_a_port_is_named_where_it_is_needed(machine: FakeKernel) -> None:
    def specs() -> list[str]:
        return [one.spec for one in kernel.glance(machine.roots).endpoints]

    machine.plug(0, "A", usb_place("1"), "0p", bus="usb", usb=(DAC, ""))
    machine.plug(1, "HDA", f"{PCI}/0000:00:1b.0", "0p")
    assert specs() == [f"alsa:@usb:{DAC}", "alsa:hw:CARD=HDA,DEV=0"]
    machine.plug(2, "B", usb_place("2"), "0p", "1p", bus="usb", usb=(DAC, "S1"))
    whole = f"alsa:@usb:{DAC}@0000:00:14.0-1"
    assert specs() == [whole, "alsa:hw:CARD=HDA,DEV=0", f"alsa:@usb:{DAC}:S1", f"alsa:@usb:{DAC}:S1,1"]
    machine.plug(3, "C", usb_place("3"), "0p", bus="usb", usb=(DAC, "S1"))
    assert specs()[2::2] == [f"alsa:@usb:{DAC}:S1@0000:00:14.0-2", f"alsa:@usb:{DAC}:S1@0000:00:14.0-3"]
    for one in kernel.glance(machine.roots).endpoints:
        assert kernel.resolve(parse(one.spec).argument, machine.roots) == one.pcm


def test_twins_are_told_apart_by_port(machine: FakeKernel) -> None:
    for serial in ("", "0000"):
        left, right = (2, 3) if serial else (0, 1)
        machine.plug(
            left, f"L{serial}", usb_place("1" if serial else "3"), "0p", bus="usb", usb=(DAC, serial)
        )
        machine.plug(
            right, f"R{serial}", usb_place("2" if serial else "4"), "0p", bus="usb", usb=(DAC, serial)
        )
    found = identities(machine)
    assert len(set(found.values())) == 4
    cards = kernel.find_cards(machine.roots)
    for number, identity in found.items():
        assert find_card(identity, cards) == cards[number]


def test_a_card_with_a_serial_is_found_at_another_port(machine: FakeKernel) -> None:
    machine.plug(0, "DAC", usb_place("1"), "0p", bus="usb", usb=(DAC, "A-1"))
    first = identities(machine)[0]
    assert first == "usb:0d8c:0014:A-1@0000:00:14.0-1"
    machine.unplug(0)
    machine.plug(1, "DAC", usb_place("7"), "0p", bus="usb", usb=(DAC, "A-1"))
    machine.plug(2, "DAC_1", usb_place("8"), "0p", bus="usb", usb=(DAC, "A-2"))
    cards = kernel.find_cards(machine.roots)
    assert find_card(first, cards) == cards[0]
    assert find_card(first, cards, but=[cards[0].identity]) is None, "somebody else means that one"


def test_a_card_without_a_serial_is_not_found_at_another_port(machine: FakeKernel) -> None:
    machine.plug(0, "DAC", usb_place("1"), "0p", bus="usb", usb=(DAC, ""))
    assert find_card("usb:0d8c:0014@0000:00:14.0-2", kernel.find_cards(machine.roots)) is None


def test_the_beginning_of_an_identity_is_enough() -> None:
    cards = [
        Card(0, "A", "A", "usb:1:2:X@p-1"),
        Card(1, "B", "B", "usb:1:2:Y@p-2"),
        Card(2, "C", "C", "usb:1:22@p-3"),
        Card(3, "D", "D", "pci:0000:00:1b.0"),
    ]
    numbers = {"usb:1:2": 0, "usb:1:2:Y": 1, "usb:1:22": 2, "pci": 3, "pci:0000:00:1b.0": 3, "usb:1:2:X@": 0}
    numbers |= {"usb:1:2:Y@p-9": 1}
    numbers |= dict.fromkeys(("usb:1:2:", "usb:1:3", "us", "", "usb:1:22@"))
    found = {wanted: find_card(wanted, cards) for wanted in numbers}
    assert {wanted: card and card.number for wanted, card in found.items()} == numbers


@pytest.mark.parametrize(
    ("place", "bus", "identity"),
    [
        (f"{PCI}/0000:00:1b.0", "pci", "pci:0000:00:1b.0"),
        ("platform/snd_aloop.0", "platform", "platform:snd_aloop.0"),
        ("platform/soc/soc:sound", "platform", "platform:soc:sound"),
        ("odd/na me/x,y", "weird", "weird:x_y"),
    ],
)
def test_of_other_buses(machine: FakeKernel, place: str, bus: str, identity: str) -> None:
    machine.plug(0, "X", place, "0p", bus=bus)
    assert identities(machine) == {0: identity}


def test_a_serial_is_made_a_plain_word(machine: FakeKernel) -> None:
    machine.plug(0, "X", usb_place("1"), "0p", bus="usb", usb=(DAC, "a b:c@d,é/" + "9" * 100))
    identity = identities(machine)[0]
    assert identity == f"usb:{DAC}:{'a_b_c_d_' + '9' * 56}@0000:00:14.0-1"
    assert parse(f"alsa:@{identity}").argument == f"@{identity}"


def test_a_kernel_that_does_not_say_where(tmp_path: Path) -> None:
    machine = FakeKernel(tmp_path)
    machine.plug(0, "HDA", f"{PCI}/0000:00:1b.0", "0p")
    machine.plug(1, "Device", usb_place("1"), "0p", bus="usb", usb=(DAC, ""))
    (tmp_path / "proc/card1/usbid").write_text(f"{DAC}\n")
    bare = kernel.Roots(machine.roots.proc, machine.roots.dev, tmp_path / "none")
    assert [card.identity for card in kernel.find_cards(bare)] == ["id:HDA", f"usb:{DAC}@id-Device"]
    assert [one.pcm for one in kernel.glance(bare).endpoints] == ["hw:CARD=HDA,DEV=0", "hw:CARD=Device,DEV=0"]


# ---- names ----


def test_resolve(machine: FakeKernel) -> None:
    machine.plug(1, "Device_1", usb_place("2"), "0p", "1p", bus="usb", usb=(DAC, ""))
    identity = identities(machine)[1]
    for one in kernel.glance(machine.roots).endpoints:
        assert kernel.resolve(parse(one.spec).argument, machine.roots) == one.pcm
    assert kernel.resolve(f"@{identity},7", machine.roots) == "hw:CARD=Device_1,DEV=7"
    assert kernel.resolve("@usb:1:2", machine.roots) is None
    for pcm in ("", "hw:0,0", "plughw:CARD=X,DEV=0", "a@b"):
        assert kernel.resolve(pcm, machine.roots) == pcm


def test_the_specs_of_odd_names_are_read_back() -> None:
    for name in ("a?b", "50%", "x:y,z"):
        assert parse(f"alsa:{kernel.quoted(name)}").argument == name


def test_holders(tmp_path: Path) -> None:
    machine = FakeKernel(tmp_path)
    machine.plug(0, "HDA", f"{PCI}/0000:00:1b.0", "0p", "0c")
    assert kernel.holders(0, 0, "play", machine.roots) == []
    machine.take(0, "0p", 4711)
    assert kernel.holders(0, 0, "play", machine.roots) == [4711]
    assert kernel.holders(0, 0, "rec", machine.roots) == []


def test_an_endpoint_of_no_use_is_one_of_which_nothing_is() -> None:
    bad, good = kernel.Side(error="x"), kernel.Side()
    assert Endpoint("a", "a", play=bad).error == "x"
    assert Endpoint("a", "a", play=bad, rec=good).error is None
    assert Endpoint("a", "a").error is None
