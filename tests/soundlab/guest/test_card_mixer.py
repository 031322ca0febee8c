"""A card's own volume, by the kernel's drivers: what audiod sets amixer sees, and the other way round."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator

import audiod_client
import pytest
from daemon import Daemon, running

CARDS = ("HDA", "USB", "Dummy")
MASTER = {"HDA": "Master", "USB": "Audio Output Volume Control", "Dummy": "Master"}
PRESET = {"HDA": (60, -14.0), "USB": (200, None), "Dummy": (50, -15.0)}  # own values, and dB below its 0


def amixer(card: str, *words: str | int) -> tuple[int, bool, float]:
    """What the card has, once it is set to that: its own value, whether it is on, dB."""
    verb = "sset" if words else "sget"
    command = ["amixer", "-c", card, verb, MASTER[card], *map(str, words)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (raw, rest, *_) = re.findall(r"Front Left: (?:Playback )?(-?\d+) \[\d+%\](.*)", said)[0]
    db = re.search(r"\[(-?[\d.]+)dB\]", rest)
    assert db is not None, said
    return int(raw), "[off]" not in rest or "Capture" in rest, float(db[1])


class Watch:
    """The controls of a server as they change."""

    def __init__(self, daemon: Daemon, connection: audiod_client.Connection) -> None:
        self.daemon = daemon
        self.connection = connection
        connection.subscribe("controls")

    def value(self, card: str, name: str) -> int:
        for row in self.connection.request("controls")["controls"]:
            if row["name"] == name and row["device"] == CARDS.index(card):
                return int(row["value"])
        raise AssertionError(name)

    def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for changes until it is so."""
        while not is_so():
            assert self.connection.change(timeout=60) is not None

    def set(self, card: str, name: str, value: int) -> None:
        self.connection.request("control.set", name=name, value=value, device=CARDS.index(card))


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    before = {card: amixer(card) for card in CARDS}
    for card, (raw, _) in PRESET.items():
        amixer(card, raw)
    devices = [word for card in CARDS for word in ("-f", f"alsa:hw:{card}")]
    with (
        running(tmp_path_factory.mktemp("mixer"), *devices) as daemon,
        audiod_client.Connection.connect(str(daemon.socket)) as connection,
    ):
        yield Watch(daemon, connection)
    for card, (raw, on, _) in before.items():
        amixer(card, raw, *(["unmute"] if on and card != "Dummy" else []))


def near(level: int, db: float) -> bool:
    """sndio's table, a third of a dB a step, from the card's step that is next to 0 dB."""
    return abs(level - min(127, 127 + db * 18 / 6.0206)) < 2.5


@pytest.mark.parametrize("card", CARDS)
def test_opening_takes_over_what_the_card_has(watch: Watch, card: str) -> None:
    raw, db = PRESET[card]
    found = amixer(card)
    watch.until(lambda: near(watch.value(card, "output.level"), found[2]))
    assert amixer(card) == found and found[0] == raw, "nothing was set"
    assert db is None or found[2] == db


@pytest.mark.parametrize("card", CARDS)
def test_what_amixer_sets_audiod_tells(watch: Watch, card: str) -> None:
    test_opening_takes_over_what_the_card_has(watch, card)
    _, _, db = amixer(card, PRESET[card][0] + 9)
    watch.until(lambda: near(watch.value(card, "output.level"), db))
    _, _, db = amixer(card, PRESET[card][0])
    watch.until(lambda: near(watch.value(card, "output.level"), db))


@pytest.mark.parametrize("card", CARDS)
def test_what_audiod_sets_amixer_sees(watch: Watch, card: str) -> None:
    test_opening_takes_over_what_the_card_has(watch, card)
    for wanted in (127, 97, 67):
        watch.set(card, "output.level", wanted)
        while abs(amixer(card)[2] - (wanted - 127) * 6.0206 / 18) > 1:  # within a step of the card
            os.sched_yield()
        assert watch.value(card, "output.level") == wanted
    amixer(card, PRESET[card][0])


@pytest.mark.parametrize("card", ["HDA", "USB"])
def test_mute_is_the_cards_switch(watch: Watch, card: str) -> None:
    test_opening_takes_over_what_the_card_has(watch, card)
    watch.set(card, "output.mute", 1)
    while amixer(card)[1]:
        os.sched_yield()
    amixer(card, "unmute")
    watch.until(lambda: watch.value(card, "output.mute") == 0)


def test_audioctl_monitor_prints_it(watch: Watch) -> None:
    test_opening_takes_over_what_the_card_has(watch, "HDA")
    with watch.daemon.ctl_start("monitor", stdout=subprocess.PIPE) as monitor:
        assert monitor.stdout is not None
        raws = iter(range(20, 60))
        os.set_blocking(monitor.stdout.fileno(), False)
        said = b""
        while b"output" not in said:  # from when it has begun to listen on
            amixer("HDA", next(raws))
            said += monitor.stdout.read() or b""
        monitor.terminate()
    amixer("HDA", PRESET["HDA"][0])


def test_a_card_that_is_unplugged_loses_its_mixer_alone(watch: Watch) -> None:
    test_opening_takes_over_what_the_card_has(watch, "USB")
    subprocess.run(["soundlab", "unplug", "usb"], check=True)
    try:
        while "mixer.lost" not in watch.daemon.log:
            os.sched_yield()
        watch.set("USB", "output.level", 50)
        test_what_amixer_sets_audiod_tells(watch, "HDA")
    finally:
        subprocess.run(["soundlab", "plug", "usb"], check=True)
