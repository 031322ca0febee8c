"""What audiod knows of real cards: the kernel's files, libasound's answers, and who is who after a replug."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import trio
from soundlab.kernelcards import offers, state

from audiod.cards import formats, kernel
from audiod.cards.inventory import PLAY, Endpoint, Inventory
from audiod.cards.libasound import Library
from audiod.cards.scan import Scanner
from audiod.config import default_device

HARDWARE = {
    "hw:CARD=HDA,DEV=0": "play",
    "hw:CARD=Loopback,DEV=0": "play,rec",
    "hw:CARD=Loopback,DEV=1": "play,rec",
    "hw:CARD=Dummy,DEV=0": "play,rec",
    "hw:CARD=USB,DEV=0": "play",
}


def scan() -> Inventory:
    return trio.run(Scanner().scan)


def hardware(found: Inventory) -> dict[str, Endpoint]:
    return {one.pcm: one for one in found.endpoints if one.raw}


@contextmanager
def playing(pcm: str, card: str) -> Iterator[int]:
    """The id of a program that has the card open."""
    command = ["aplay", "-q", "-D", pcm, "-f", "S16_LE", "-c", "2", "-r", "48000", "/dev/zero"]
    with subprocess.Popen(command) as program:
        try:
            while state(card) != "RUNNING":
                os.sched_yield()
            yield program.pid
        finally:
            program.send_signal(signal.SIGKILL)


def test_the_kernel_and_the_library_agree() -> None:
    found = scan()
    assert found.complete and found.error is None
    assert [card.id for card in found.cards if card.id in "HDA Loopback Dummy USB"] == [
        "HDA",
        "Loopback",
        "Dummy",
        "USB",
    ]
    assert {pcm: one.mode for pcm, one in hardware(found).items()} == HARDWARE
    seen = {one.pcm: (one.card, one.mode, one.spec) for one in kernel.glance().endpoints}
    assert seen == {pcm: (one.card, one.mode, one.spec) for pcm, one in hardware(found).items()}
    assert not any(one.pcm == "null" or one.pcm.startswith(("front:", "surround")) for one in found.endpoints)
    names = [one.pcm for one in found.endpoints]
    assert names.index("hw:CARD=HDA,DEV=0") > names.index("plughw:CARD=USB,DEV=0"), "the hardware comes last"


def test_what_the_hardware_can_do_is_what_aplay_says() -> None:
    """Its formats; and as the drivers of these cards are written: rates, channels, maps, sizes."""
    library = Library()
    names = {text: library.call("pcm_format_name", n).decode() for n, text in formats.ENCODINGS.items()}
    found = hardware(scan())
    for pcm, one in found.items():
        assert one.error is None and one.play is not None and one.play.probed
        ours = {names[text] for text in one.play.formats} | {name for name, _ in one.play.refused}
        assert ours == set(offers(pcm, "FORMAT"))
    usb, loopback = found["hw:CARD=USB,DEV=0"].play, found["hw:CARD=Loopback,DEV=0"].rec
    assert usb is not None and loopback is not None
    assert (usb.rates, usb.channels, usb.chmaps, usb.chmaps_known) == ((48000,), (2,), (("fl", "fr"),), True)
    assert loopback.channels == tuple(range(1, 33)) and {44100, 48000, 96000, 192000} <= set(loopback.rates)
    assert usb.bufsz is not None and usb.bufsz.max == 2 * 48000, "at its rate"


def test_a_card_is_itself_wherever_it_is_called_what() -> None:
    (before,) = [card for card in kernel.find_cards() if card.id == "USB"]
    assert before.bus == "usb" and before.identity.startswith("usb:46f4:0002:")
    assert before.short == before.identity.partition("@")[0]
    argument = f"@{before.short}"
    assert kernel.resolve(argument) == kernel.resolve(f"@{before.identity}") == "hw:CARD=USB,DEV=0"
    assert default_device() == f"alsa:{argument}", "the one that was plugged in"
    subprocess.run(["soundlab", "unplug", "usb"], check=True)
    try:
        assert kernel.resolve(argument) is None and default_device() == "alsa:hw:CARD=HDA,DEV=0"
        assert "hw:CARD=USB,DEV=0" not in hardware(scan())
    finally:
        subprocess.run(["soundlab", "plug", "usb"], check=True)
        subprocess.run(
            ["amixer", "-q", "-c", "USB", "sset", "Audio Output Volume Control", "100%", "unmute"], check=True
        )
    assert [card for card in kernel.find_cards() if card.id == "USB"] == [before]


def test_a_program_that_plays_is_named_and_not_disturbed() -> None:
    with playing("hw:HDA", "HDA") as pid:
        one = hardware(scan())["hw:CARD=HDA,DEV=0"]
        assert one.play is not None and one.play.error == f"it is busy: aplay (pid {pid}) has it open"
        assert kernel.holders(0, 0, PLAY) == [pid] and state("HDA") == "RUNNING"
    assert hardware(scan())["hw:CARD=HDA,DEV=0"].error is None
