"""What is advertised and what cards have, as one list: names dropped, directions, defaults, order."""

from __future__ import annotations

import pytest

from audiod.cards.inventory import Card, Endpoint, Inventory, Side
from audiod.cards.libasound import Hint, PcmInfo
from audiod.cards.listing import ENDPOINTS_MAX, Control, endpoints

HDA = Card(0, "HDA", "HDA Intel", "pci:0000:00:1b.0", bus="pci", port="0000:00:1b.0")
NOTHING, SIDE = Inventory(), Side()
SNOOP = "Direct sample snooping device"


def listed(*hints: Hint, known: Inventory = NOTHING, **controls: Control) -> Inventory:
    return endpoints(hints, known, {int(name[1:]): control for name, control in controls.items()})


def modes(*hints: Hint) -> dict[str, str]:
    return {one.pcm: one.mode for one in listed(*hints).endpoints}


# ---- what is advertised ----


def test_clutter_is_dropped() -> None:
    clutter = ["null", "front:CARD=HDA,DEV=0"]
    clutter += [f"surround{n}:CARD=HDA,DEV=0" for n in (21, 40, 41, 50, 51, 71)]
    kept = ["default", "sysdefault:CARD=HDA", "dmix:CARD=HDA,DEV=0", "dsnoop:CARD=HDA,DEV=0", "nullify"]
    kept += ["hdmi:CARD=HDA,DEV=0", "iec958:CARD=HDA,DEV=0", "plughw:CARD=HDA,DEV=0", "hw:CARD=HDA,DEV=0"]
    assert list(modes(*(Hint(name) for name in [*clutter, *kept]))) == kept


@pytest.mark.parametrize("name", ["", "bell\a", "x" * 201, "two\nlines"])
def test_names_that_cannot_be_shown_are_dropped(name: str) -> None:
    assert modes(Hint(name), Hint("good")) == {"good": "play,rec"}


@pytest.mark.parametrize(
    ("ioid", "description", "mode"),
    [
        ("Input", "Card\nMicrophone", "rec"),
        ("Output", "Card\nSpeaker", "play"),
        (None, "Card\nBoth", "play,rec"),
        ("Sideways", "Card\nBoth", "play,rec"),  # unknown: not the end of the scan
        (None, None, "play,rec"),
        (None, "Card\nHDMI Audio Output", "play"),
        (None, "Card\nsome output", "play"),
        (None, "Card Output\nBoth", "play,rec"),  # the detail counts, not the description
        ("Output", f"bcm2835 ALSA, bcm2835 ALSA\n{SNOOP}", "rec"),
        ("Output", f"bcm2835 ALSA, bcm2835 IEC958/HDMI\n{SNOOP}", "rec"),
        (None, f"bcm2835 ALSA, bcm2835 ALSA\n{SNOOP}", "rec"),
        ("Output", f"bcm2836 ALSA, bcm2835 ALSA\n{SNOOP}", "play"),
        ("Output", "bcm2835 ALSA, bcm2835 ALSA\nDirect sample mixing device", "play"),
    ],
)
def test_directions(ioid: str | None, description: str | None, mode: str) -> None:
    assert modes(Hint("x", description, ioid)) == {"x": mode}


def test_what_records_to_an_output_is_nothing() -> None:
    assert modes(Hint("x", "Card\nLine Output", "Input")) == {}


@pytest.mark.parametrize(
    ("description", "name"),
    [
        ("Card\nSpeaker", "Card: Speaker"),
        ("Card", "Card"),
        ("Card\n", "Card"),
        ("\nSpeaker", "Speaker"),
        (None, "x"),
        ("Card\nSpeaker\nand\x1b[2J more", "Card: Speaker and [2J more"),
        ("A" * 500, "A" * 120),
    ],
)
def test_names(description: str | None, name: str) -> None:
    (one,) = listed(Hint("x", description)).endpoints
    assert (one.name, one.raw, one.spec) == (name, False, "alsa:x")


def test_an_advertised_pcm_of_a_card() -> None:
    known = Inventory((HDA,))
    one, other = listed(Hint("plughw:CARD=HDA,DEV=3"), Hint("plughw:CARD=HDA2,DEV=0"), known=known).endpoints
    assert (one.card, one.device, other.card) == (HDA.identity, 3, "")


def defaults(*names: str) -> tuple[str | None, str | None]:
    """Of playback and recording; names begin with < or > where they have one direction."""
    ioid = {"<": "Input", ">": "Output"}
    found = listed(*(Hint(n.lstrip("<>"), None, ioid.get(n[0])) for n in names)).endpoints
    play = [one.pcm for one in found if one.play is not None and one.play.default]
    rec = [one.pcm for one in found if one.rec is not None and one.rec.default]
    assert len(play) < 2 and len(rec) < 2
    return next(iter(play), None), next(iter(rec), None)


def test_defaults() -> None:
    assert defaults("x", "sysdefault:CARD=A", "default", "default:CARD=A", "sysdefault:CARD=B") == (
        "default:CARD=A",
        "default:CARD=A",
    )
    assert defaults("x", "sysdefault", "sysdefault:CARD=A", "y") == ("sysdefault:CARD=A",) * 2
    assert defaults("<a", ">b", ">c") == ("b", "a")
    assert defaults(">a", "<default", ">sysdefault") == ("sysdefault", "default")
    assert defaults("defaults", "systemdefault") == ("defaults", "defaults")
    assert defaults() == (None, None)


# ---- the hardware ----


def of_kernel(*devices: int, side: Side = SIDE) -> Inventory:
    found = [
        Endpoint(f"hw:CARD=HDA,DEV={n}", f"of the kernel {n}", HDA.identity, n, raw=True, play=side)
        for n in devices
    ]
    return Inventory((HDA,), tuple(found))


def test_cards_behind_what_is_advertised_both_directions_each() -> None:
    devices = [
        PcmInfo(0, {"play": "Analog", "rec": "Analog"}),
        PcmInfo(3, {"play": "HDMI 0"}),
        PcmInfo(4, {}),
    ]
    found = listed(Hint("default"), known=of_kernel(0, 3), c0=Control("HDA", "HDA Intel", devices))
    rows = [(one.pcm, one.name, one.mode, one.raw, one.spec) for one in found.endpoints]
    assert rows == [
        ("default", "default", "play,rec", False, "alsa:default"),
        ("hw:CARD=HDA,DEV=0", "HDA Intel Analog", "play,rec", True, "alsa:hw:CARD=HDA,DEV=0"),
        ("hw:CARD=HDA,DEV=3", "HDA Intel HDMI 0", "play", True, "alsa:hw:CARD=HDA,DEV=3"),
    ]


def test_the_hardware_is_no_default_and_not_listed_twice() -> None:
    control = Control("HDA", "HDA Intel", [PcmInfo(0, {"play": "Analog"})])
    (one,) = listed(Hint("hw:CARD=HDA,DEV=0", "as advertised"), known=of_kernel(0), c0=control).endpoints
    assert one.raw and one.play is not None and not one.play.default


def test_a_card_that_cannot_be_asked_is_listed_with_why_and_spoils_no_other() -> None:
    usb = Card(1, "USB", "USB DAC", "usb:1:2@3", bus="usb", port="3")
    known = Inventory((HDA, usb), of_kernel(0).endpoints)
    good = Control("USB", "USB DAC", [PcmInfo(0, {"play": "USB Audio"}), PcmInfo(1, {"play": "S/PDIF"})])
    found = listed(known=known, c0=Control(error="Permission denied"), c1=good)
    broken, *others = found.endpoints
    assert broken.error == "its card cannot be asked: Permission denied"
    assert [card.error for card in found.cards] == ["Permission denied", None]
    assert [(one.spec, one.error) for one in others] == [
        ("alsa:@usb:1:2@3", None),
        ("alsa:@usb:1:2@3,1", None),
    ]


def test_what_the_kernel_forbids_stays_forbidden() -> None:
    known = of_kernel(0, side=Side(error="not permitted"))
    control = Control("HDA", "HDA", [PcmInfo(0, {"play": "Analog", "rec": "Analog"})])
    for given in ({}, {"c0": control}, {"c0": Control(error="gone")}):
        (one,) = listed(known=known, **given).endpoints
        assert one.play is not None and one.play.error == "not permitted"


def test_a_card_that_the_kernels_files_do_not_have() -> None:
    found = listed(c7=Control("Odd", "Odd card", [PcmInfo(0, {"rec": ""})]))
    assert [(card.number, card.identity) for card in found.cards] == [(7, "id:Odd")]
    assert [(one.pcm, one.name) for one in found.endpoints] == [("hw:CARD=Odd,DEV=0", "Odd card PCM 0")]


def test_many() -> None:
    """What is advertised gives way, the hardware does not."""
    control = Control("HDA", "HDA", [PcmInfo(0, {"play": "Analog"})])
    found = listed(*(Hint(f"x{n}") for n in range(1000)), known=of_kernel(0), c0=control).endpoints
    assert len(found) == ENDPOINTS_MAX and found[-1].raw and found[-2].pcm == f"x{ENDPOINTS_MAX - 2}"
