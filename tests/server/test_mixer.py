"""A card's own volume and the device's: what is set on either is on both, and nothing is set unasked."""

from __future__ import annotations

import io
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path

import pytest
import trio
import trio.testing
from cards.fake_panel import FakeCard, Knob
from cards.kernels import PCI, FakeKernel
from house import Client, House, Refused

from audiod import policy
from audiod.cards.fader import Use
from audiod.cards.inventory import Span
from audiod.cards.libasound import NoLibraryError
from audiod.cards.scan import Scanner
from audiod.saved import Saved, SavedDevice

HDA = {("Master", "play"): (60, 60), ("Capture", "rec"): (87, 80)}


def level_of(db: float) -> int:
    return round(127 + 18 * db / 6.0206)


@dataclass
class Desk:
    """A server whose device 0 is a card with knobs, and a client of it that is told of controls."""

    house: House
    client: Client
    card: FakeCard
    machine: FakeKernel

    def values(self, *names: str) -> list[int]:
        rows = {
            row["name"]: row["value"] for row in self.client.call("controls")["controls"] if not row["device"]
        }
        return [rows[name] for name in names]

    def set(self, name: str, value: int) -> None:
        self.client.call("control.set", name=name, value=value)

    def told(self) -> list[tuple[str, str, int]]:
        """Changes of the device's controls that the client was told of."""
        rows = [
            row
            for _, row in self.client.told("changed")
            if row["name"].startswith(("output", "input", "hw/"))
        ]
        return [(row["event"], row["name"], row["value"]) for row in rows]

    async def until(self, is_so: object) -> None:
        """Let the mixer's task and its threads run until it is so."""
        assert callable(is_so)
        with trio.fail_after(20):
            while not is_so():
                await trio.lowlevel.checkpoint()
                await trio.to_thread.run_sync(lambda: None)


@asynccontextmanager
async def desk(
    folder: Path,
    knobs: dict[tuple[str, str], Knob] | None = None,
    use: Use = Use.AUTO,
    saved: Saved | None = None,
    *,
    elements: bool = False,
    jacks: dict[str, bool] | None = None,
    common: set[str] | None = None,
) -> AsyncIterator[Desk]:
    machine = FakeKernel(folder)
    machine.plug(0, "PCH", f"{PCI}/0000:00:1f.3", "0p", "0c")
    house = House("-f alsa:hw:PCH")
    dispatch = house.dispatch
    dispatch.cards = dispatch.mixers._cards = Scanner(roots=machine.roots)
    dispatch.devices.opening = dispatch.cards.opening
    device = dispatch.devices.all[0]
    device.conf = changed(device.conf, mixer=use, elements=elements)
    if saved is not None:
        dispatch.core.controls.restore(saved)
    made = {key: Knob(list(raw)) for key, raw in HDA.items()} if knobs is None else knobs
    card = FakeCard(made, jacks=jacks or {}, common=common or set())
    dispatch.mixers.open_panel = card.open
    client = house.connect()
    client.call("subscribe", topics=["controls"])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(dispatch.mixers.run)
        await trio.testing.wait_all_tasks_blocked()
        dispatch.mixers.look()
        found = Desk(house, client, card, machine)
        yield found
        nursery.cancel_scope.cancel()
    await found.until(lambda: card.nopen == 0)  # a call that was under way closes it
    house.close()


async def test_opening_takes_over_what_the_card_has_and_sets_nothing(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        d.client.open(start=True)
        await d.until(lambda: d.told())
        assert d.values("output.level", "input.level") == [level_of(-27 * 0.75), 127]
        assert d.values("output.mute", "input.mute") == [0, 0]
        assert d.told() == [("change", "output.level", level_of(-27 * 0.75))]
        assert (d.house.device.gain, d.house.device.recgain) == (1.0, 1.0), "the card does it"
        assert d.card.log == []
        (row,) = d.client.call("streams")["streams"]
        assert "volume" not in row["conversion"]


async def test_what_is_set_here_is_on_the_card_and_software_does_the_rest(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        d.client.open(start=True)
        await d.until(lambda: d.told())
        d.set("output.level", 119)  # 2.68 dB below
        await d.until(lambda: d.card.log)
        assert d.card.log == [("Master", "play", 84, 84)], "2.25 dB of it"
        assert d.house.device.gain == pytest.approx(policy.gain(119) * 10 ** (2.25 / 20))
        d.set("output.level", 127)
        await d.until(lambda: len(d.card.log) == 2)
        assert d.card.log[1] == ("Master", "play", 87, 87) and d.house.device.gain == 1.0
        d.set("output.level", 0)
        await d.until(lambda: len(d.card.log) == 3)
        assert d.card.log[2] == ("Master", "play", 0, 0) and d.house.device.gain == 0.0
        assert d.told()[1:] == [("change", "output.level", level) for level in (119, 127, 0)], "no echo"


async def test_a_card_is_not_opened_before_its_volume_is_known(tmp_path: Path) -> None:
    """Else what begins would be quiet, and then grow: software's volume on top of the card's."""
    async with desk(tmp_path, use=Use.SOFTWARE) as d:
        d.set("output.level", 60)
        device = d.house.dispatch.devices.all[0]
        device.conf = changed(device.conf, mixer=Use.AUTO)
        await d.house.dispatch.devices.ready(device)
        assert d.told()[-1] == ("change", "output.level", level_of(-27 * 0.75))
        d.client.open(start=True)
        assert d.house.device.gain == 1.0


async def test_a_card_that_does_not_answer_holds_up_nobody_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audiod.cards.mixer.READY_LIMIT", 0.01)
    answered = threading.Event()
    async with desk(tmp_path, use=Use.SOFTWARE) as d:

        def hang(number: int) -> object:
            answered.wait()
            return d.card.open(number)

        d.house.dispatch.mixers.open_panel = hang  # type: ignore[assignment]
        device = d.house.dispatch.devices.all[0]
        device.conf = changed(device.conf, mixer=Use.AUTO)
        await d.house.dispatch.devices.ready(device)
        d.client.open(start=True)
        d.set("output.level", 60)
        assert d.house.device.gain == policy.gain(60)
        answered.set()
        await d.until(lambda: d.card.log)
        assert d.card.log[0][:2] == ("Master", "play"), "what was set meanwhile counts"


async def test_the_balance_stays(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        await d.until(lambda: d.told())
        d.set("input.level", 100)
        await d.until(lambda: d.card.log)
        assert d.card.log == [("Capture", "rec", 75, 68)]
        d.set("input.level", 1)
        await d.until(lambda: len(d.card.log) == 2)
        d.set("input.level", 100)
        await d.until(lambda: len(d.card.log) == 3)
        assert d.card.log[2] == ("Capture", "rec", 75, 68)


async def test_what_is_set_there_is_told_here(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        d.client.open(start=True)
        await d.until(lambda: d.told())
        d.set("output.level", 120)
        await d.until(lambda: d.card.log)
        d.card.turn("Master", "play", 67, 55, on=False)
        await d.until(lambda: len(d.told()) == 4)
        assert sorted(d.told()[2:]) == [
            ("change", "output.level", level_of(-15)),
            ("change", "output.mute", 1),
        ]
        assert d.house.device.gain == 1.0, "whoever turns the card's knob gets what the card does"
        d.card.turn("Capture", "rec", on=False)
        await d.until(lambda: len(d.told()) == 5)
        assert d.told()[4] == ("change", "input.mute", 1)
        assert len(d.card.log) == 1, "and nothing is set in return"


async def test_mute_is_the_cards_switch(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        d.client.open(start=True)
        await d.until(lambda: d.told())
        d.set("output.mute", 1)
        await d.until(lambda: d.card.log)
        d.set("output.mute", 0)
        await d.until(lambda: len(d.card.log) == 2)
        assert d.card.log == [("Master", "play", "off"), ("Master", "play", "on")], "and not its volume"
        assert d.house.device.gain == 1.0


async def test_a_card_without_a_switch_is_muted_by_software(tmp_path: Path) -> None:
    knobs = {("PCM", "play"): Knob([0, 0], Span(0, 255), db=None, on=None)}
    async with desk(tmp_path, knobs) as d:
        d.client.open(start=True)
        await d.until(lambda: d.told())
        assert d.values("output.level") == [0]
        d.set("output.level", 127)
        d.set("output.mute", 1)
        await d.until(lambda: d.card.log)
        assert d.card.log == [("PCM", "play", 255, 255)] and d.house.device.gain == 0.0
        d.set("input.level", 0)
        assert d.house.device.recgain == 0.0, "what the card does not have is software's as ever"


async def test_a_card_that_rounds_is_not_somebody_else(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        d.card.only = 2
        await d.until(lambda: d.told())
        d.set("output.level", 118)
        await d.until(lambda: d.card.log)
        d.card.turned()
        d.card.turn("Capture", "rec", 60, 60)
        await d.until(lambda: len(d.told()) == 3)
        assert d.told()[1:] == [
            ("change", "output.level", 118),
            ("change", "input.level", level_of(-27 * 0.75)),
        ]
        assert d.card.knobs["Master", "play"].raw == [82, 82]


async def test_a_card_that_does_not_take_it_says_what_it_has(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        d.card.only = 60
        await d.until(lambda: d.told())
        d.set("output.level", 120)
        await d.until(lambda: len(d.told()) == 3)
        assert d.told()[1:] == [("change", "output.level", level) for level in (120, level_of(-27 * 0.75))]


async def test_a_slider_is_dragged_faster_than_the_card(tmp_path: Path) -> None:
    """What is set while the card is at work comes next, and only the last of it."""
    async with desk(tmp_path) as d:
        await d.until(lambda: d.told())
        for level in range(100, 128):
            d.set("output.level", level)
        await d.until(lambda: d.card.log)
        assert d.card.log == [("Master", "play", 87, 87)]


async def test_a_card_that_vanishes_leaves_software_and_one_line(tmp_path: Path, logged: io.StringIO) -> None:
    async with desk(tmp_path) as d:
        d.client.open(start=True)
        await d.until(lambda: d.told())
        level = d.values("output.level")[0]
        d.card.unplug()
        await d.until(lambda: d.card.nopen == 0)
        assert d.house.device.gain == policy.gain(level)
        assert d.values("output.level") == [level]
        d.set("output.level", 127)
        assert d.house.device.gain == 1.0
        assert logged.getvalue().count("mixer.lost") == 1
        d.card.gone = False
        d.card.knobs["Master", "play"].raw = [87, 87]
        d.house.dispatch.mixers.look()
        await d.until(lambda: d.card.nopen == 1)


async def test_an_element_that_vanishes_is_a_card_that_does(tmp_path: Path, logged: io.StringIO) -> None:
    async with desk(tmp_path) as d:
        await d.until(lambda: d.told())
        del d.card.knobs["Master", "play"]
        d.card.turned()
        await d.until(lambda: "mixer.lost" in logged.getvalue())
        assert "'Master' is gone" in logged.getvalue()


@pytest.mark.parametrize(
    ("one", "kept"),
    [(SavedDevice("alsa:hw:PCH", 127, True), True), (SavedDevice("alsa:hw:PCH"), False), (None, False)],
)
async def test_what_was_kept_is_restored_if_asked_for(
    tmp_path: Path, one: SavedDevice | None, kept: bool
) -> None:
    saved = None if one is None else Saved(devices=[one])
    async with desk(tmp_path, use=Use.RESTORE, saved=saved) as d:
        await d.until(lambda: d.card.log if kept else d.told())
        if kept:
            assert d.card.log == [("Master", "play", 87, 87), ("Master", "play", "off")]
            assert d.values("output.level", "output.mute", "input.level") == [127, 1, 127]
        else:
            assert d.card.log == [], "nobody has ever chosen 127"


async def test_what_was_kept_is_not_restored_unasked(tmp_path: Path) -> None:
    saved = Saved(devices=[SavedDevice("alsa:hw:PCH", 20, True, 20, True)])
    async with desk(tmp_path, saved=saved) as d:
        await d.until(lambda: len(d.told()) == 4)
        assert d.values("output.level", "output.mute") == [level_of(-27 * 0.75), 0] and d.card.log == []


async def test_software_leaves_the_card_alone(tmp_path: Path) -> None:
    async with desk(tmp_path, use=Use.SOFTWARE) as d:
        d.client.open(start=True)
        d.set("output.level", 60)
        assert d.house.device.gain == policy.gain(60) and not d.card.panels
        device = d.house.dispatch.devices.all[0]
        d.house.dispatch.devices.adopt((changed(device.conf, mixer=Use.AUTO),))
        await d.until(lambda: len(d.told()) == 2)
        assert d.house.device.gain == 1.0
        d.house.dispatch.devices.adopt((changed(device.conf, mixer=Use.SOFTWARE),))
        await d.until(lambda: d.card.nopen == 0)
        assert d.house.device.gain == policy.gain(level_of(-27 * 0.75))


async def test_a_card_without_knobs_is_softwares(tmp_path: Path, logged: io.StringIO) -> None:
    async with desk(tmp_path, {}) as d:
        d.client.open(start=True)
        await d.until(lambda: "mixer.none" in logged.getvalue())
        d.set("output.level", 60)
        assert d.house.device.gain == policy.gain(60) and "mixer.lost" not in logged.getvalue()


@pytest.mark.parametrize("why", [NoLibraryError("there is no usable ALSA library"), ValueError("a bug")])
async def test_whatever_goes_wrong_the_server_runs_on(
    tmp_path: Path, logged: io.StringIO, why: Exception
) -> None:
    async with desk(tmp_path, use=Use.SOFTWARE) as d:

        def fail(number: int) -> object:
            raise why

        d.house.dispatch.mixers.open_panel = fail  # type: ignore[assignment]
        device = d.house.dispatch.devices.all[0]
        d.house.dispatch.devices.adopt((changed(device.conf, mixer=Use.AUTO),))
        await d.until(lambda: "mixer.none" in logged.getvalue() or "mixer.bug" in logged.getvalue())
        d.client.open(start=True)
        d.set("output.level", 60)
        assert d.house.device.gain == policy.gain(60)


# ---- further knobs ----


def many() -> dict[tuple[str, str], Knob]:
    return {
        ("Master", "play"): Knob([60, 60]),
        ("Speaker", "play"): Knob([87, 80]),
        ("Mic", "play"): Knob([0, 0]),
        ("Mic", "rec"): Knob([87], on=None),
        ("Auto-Mute Mode of 7.1", "play"): Knob([], on=True),
        ("Auto-Mute Mode of 5.1", "play"): Knob([], on=False),
        ("2nd Boost", "rec"): Knob([1], Span(0, 3), lambda raw: raw * 1000, on=None),
    }


def knobs_of(d: Desk) -> dict[str, tuple[str, int, int]]:
    rows = d.client.call("controls")["controls"]
    return {
        row["name"]: (row["type"], row["value"], row["max"])
        for row in rows
        if row["name"].startswith("hw/") and row["device"] == 0
    }


async def test_further_knobs_are_not_there_unasked(tmp_path: Path) -> None:
    async with desk(tmp_path, many()) as d:
        await d.until(lambda: d.house.dispatch.devices.all[0].row.faders.play is not None)
        assert knobs_of(d) == {}
        (row,) = d.client.call("devices")["devices"]
        assert (row["fader"], row["input_fader"]) == ("Master", "Mic")
        with pytest.raises(Refused, match=r"no control 'hw/Speaker\.level'"):
            d.set("hw/Speaker.level", 1)
        d.house.dispatch.mixers.look()


async def test_further_knobs_by_words_of_ours(tmp_path: Path) -> None:
    jacks = {"Headphone": False, "HDMI/DP,pcm=3": True}
    async with desk(tmp_path, many(), elements=True, jacks=jacks) as d:
        await d.until(lambda: knobs_of(d))
        assert knobs_of(d) == {
            "hw/Speaker.level": ("num", 127, 127),
            "hw/Speaker.mute": ("sw", 0, 1),
            "hw/Mic.level": ("num", 1, 127),
            "hw/Mic.mute": ("sw", 0, 1),
            "hw/AutoMuteMod.mute": ("sw", 0, 1),
            "hw/AutoMuteMo2.mute": ("sw", 1, 1),
            "hw/ndBoost.level": ("num", level_of(-20), 127),
            "hw/Headphone.plug": ("sw", 0, 1),
            "hw/HDMIDPpcm3.plug": ("sw", 1, 1),
        }
        assert {event for event, name, _ in d.told() if name.startswith("hw/")} == {"new"}


async def test_a_further_knob_in_both_directions(tmp_path: Path) -> None:
    async with desk(tmp_path, many(), elements=True, jacks={"Headphone": False}) as d:
        await d.until(lambda: knobs_of(d))
        d.client.told("changed")
        d.set("hw/Speaker.level", level_of(-12))
        d.set("hw/Speaker.mute", 1)
        await d.until(lambda: d.card.knobs["Speaker", "play"].on is False)
        assert d.card.knobs["Speaker", "play"].raw == [71, 64], "its balance stays"
        assert d.card.knobs["Master", "play"].raw == [60, 60]
        d.card.jacks["Headphone"] = True
        d.card.turn("Mic", "play", 87, 87, on=False)
        await d.until(lambda: knobs_of(d)["hw/Headphone.plug"][1])
        assert (knobs_of(d)["hw/Mic.level"][1], knobs_of(d)["hw/Mic.mute"][1]) == (127, 1)
        assert d.values("output.level", "output.mute") == [level_of(-20.25), 0]
        for name, value, why in (
            ("hw/Headphone.plug", 0, "can only be read"),
            ("hw/Mic.mute", 2, r"is 0\.\.1, not 2"),
            ("hw/None.level", 0, "has no control"),
        ):
            with pytest.raises(Refused, match=why):
                d.set(name, value)
        d.card.unplug()
        await d.until(lambda: not knobs_of(d))
        gone = [name for event, name, _ in d.told() if event == "gone"]
        assert len(gone) == 8 and all(name.startswith("hw/") for name in gone)


async def test_further_knobs_where_the_volume_is_softwares(tmp_path: Path) -> None:
    async with desk(tmp_path, many(), Use.SOFTWARE, elements=True) as d:
        await d.until(lambda: knobs_of(d))
        assert "hw/Master.level" in knobs_of(d) and "hw/MicRec.level" in knobs_of(d)
        d.set("output.level", 10)
        d.set("hw/Master.level", 0)
        await d.until(lambda: d.card.knobs["Master", "play"].raw == [0, 0])
        assert d.card.log == [("Master", "play", 0, 0)]
        assert d.house.dispatch.devices.all[0].row.played == policy.gain(10)


class Viewer:
    """Somebody with sndioctl."""

    subdevice = "default"

    def __getattr__(self, name: str) -> object:
        return lambda *args: None


async def test_programs_of_sndio_see_them_too(tmp_path: Path) -> None:
    async with desk(tmp_path, many(), elements=True, jacks={"Headphone": True}) as d:
        await d.until(lambda: knobs_of(d))
        board, viewer = d.house.dispatch.board, Viewer()
        board.attach(viewer)
        seen = [board.find("default", addr) for addr in board.visible("default")]
        told = {
            (one.descriptor.group, one.descriptor.node0.name, one.descriptor.func): one.descriptor.value
            for one in seen
            if one is not None
        }
        assert told["hw", "Speaker", "level"] == 127 and told["hw", "Headphone", "plug"] == 1
        assert told["hw", "AutoMuteMo2", "mute"] == 1
        board.detach(viewer)


async def test_a_volume_of_both_directions_is_one_knob(tmp_path: Path) -> None:
    knobs = {("Master", "play"): Knob([60])} | {
        (name, direction): Knob([87], on=on)
        for name, on in (("CD", True), ("Aux", None))
        for direction in ("play", "rec")
    }
    async with desk(tmp_path, knobs, elements=True, common={"CD", "Aux"}) as d:
        await d.until(lambda: knobs_of(d))
        assert set(knobs_of(d)) == {"hw/CD.level", "hw/CD.mute", "hw/CDRec.mute", "hw/Aux.level"}
