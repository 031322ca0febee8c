"""The scan: a scripted prober's answers put together, and the real one on real configurations."""

from __future__ import annotations

import io
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from cards import asoundrc
from cards.kernels import PCI, FakeKernel, usb_place
from lab import virtcards

from audiod import log
from audiod.cards.inventory import Endpoint, Inventory, Side, differences
from audiod.cards.kernel import Roots
from audiod.cards.scan import STRIKES_MAX, CardError, Scanner, config_stamp
from audiod.cards.worker import Died, Interrupted, NoAnswer, Worker

GOOD = Side(probed=True, formats=("s16le",), rates=(48000,), channels=(2,))


class FakeWorker:
    """A prober that answers as told; an exception is raised."""

    def __init__(self, machine: FakeKernel) -> None:
        self.machine = machine
        self.hints: Any = []
        self.numbers: Any = None
        self.cards: dict[int, Any] = {}
        self.sides: dict[str, Any] = {}
        self.asked: list[str] = []
        self.messages: list[str] = []
        self.interrupted = self.closed = 0
        self.meanwhile = lambda: None

    async def ask(self, what: str, **given: Any) -> Any:
        await trio.lowlevel.checkpoint()
        self.asked.append(" ".join(map(str, (what, *given.values()))))
        self.meanwhile()
        if what == "hints":
            answer = self.hints
        elif what == "cards":
            answer = list(self.cards) if self.numbers is None else self.numbers
        elif what == "card":
            answer = self.cards[given["number"]]
        else:
            answer = self.sides.get(given["pcm"], GOOD)
        if isinstance(answer, list) and what == "side":  # one after the other
            answer = answer.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return asdict(answer) if isinstance(answer, Side) else answer

    def interrupt(self) -> None:
        self.interrupted += 1

    async def close(self) -> None:
        self.closed += 1

    def sides_asked(self) -> list[str]:
        asked = [line.removeprefix("side ") for line in self.asked if line.startswith("side ")]
        self.asked.clear()
        return asked


DAC_CONTROL = {"id": "DAC", "name": "USB DAC", "devices": [{"device": 0, "names": {"play": "USB Audio"}}]}


@pytest.fixture
def machine(tmp_path: Path) -> FakeKernel:
    made = FakeKernel(tmp_path)
    made.plug(0, "HDA", f"{PCI}/0000:00:1b.0", "0p", "0c")
    made.plug(1, "DAC", usb_place("2"), "0p", bus="usb", usb=("1:2", ""))
    return made


@pytest.fixture
def worker(machine: FakeKernel) -> FakeWorker:
    made = FakeWorker(machine)
    analog = {"play": "Analog", "rec": "Analog"}
    made.cards = {
        0: {"id": "HDA", "name": "HDA Intel", "devices": [{"device": 0, "names": analog}]},
        1: DAC_CONTROL,
    }
    made.hints = [{"name": "default", "description": None, "direction": "Output"}]
    return made


@pytest.fixture
def scanner(machine: FakeKernel, worker: FakeWorker) -> Scanner:
    return Scanner(roots=machine.roots, worker=worker)  # type: ignore[arg-type]


HDA, DAC = "hw:CARD=HDA,DEV=0", "hw:CARD=DAC,DEV=0"


def located(scanner: Scanner, argument: str) -> str:
    with scanner.opening(argument) as pcm:
        return pcm


def errors(found: Inventory) -> dict[str, str | None]:
    return {
        f"{one.pcm} {direction}": side.error
        for one in found.endpoints
        for direction in ("play", "rec")
        if (side := one.side(direction)) is not None
    }


# ---- put together ----


async def test_everything_is_asked_and_told(scanner: Scanner, worker: FakeWorker) -> None:
    assert [one.pcm for one in scanner.inventory.endpoints] == [HDA, DAC] and not scanner.inventory.complete
    told: list[Any] = []
    scanner.on_change = lambda old, new: told.append((old, new))
    before = scanner.inventory
    found = await scanner.scan()
    assert errors(found) == dict.fromkeys(("default play", f"{HDA} play", f"{HDA} rec", f"{DAC} play"))
    assert all(one.play is not None and one.play.formats == ("s16le",) for one in found.endpoints)
    assert worker.asked[:4] == ["hints", "cards", "card 0", "card 1"]
    assert worker.sides_asked() == [
        "default play False -1 -1",
        f"{HDA} play True 0 0",
        f"{HDA} rec True 0 0",
        f"{DAC} play True 1 0",
    ]
    assert found.complete and found.error is None and scanner.inventory is found
    assert told == [(before, found)] and worker.closed == 1 and not scanner.scanning
    assert [one.play.default for one in found.endpoints if one.play] == [True, False, False]


async def test_one_bad_direction_spoils_no_other(scanner: Scanner, worker: FakeWorker) -> None:
    worker.sides[HDA] = [NoAnswer("no"), Died("asking it crashed (SIGSEGV)")]
    worker.messages = ["ALSA lib x.c:1 boo"]
    found = await scanner.scan()
    assert errors(found) == {
        "default play": None,
        f"{HDA} play": "no",
        f"{HDA} rec": "asking it crashed (SIGSEGV)",
        f"{DAC} play": None,
    }
    assert "ALSA lib x.c:1 boo" in found.messages
    assert found.endpoints[1].messages == ("ALSA lib x.c:1 boo",)


async def test_a_card_that_cannot_be_asked(scanner: Scanner, worker: FakeWorker) -> None:
    worker.cards[0] = NoAnswer("Permission denied")
    found = await scanner.scan()
    assert errors(found)[f"{HDA} play"] == "its card cannot be asked: Permission denied"
    assert errors(found)[f"{DAC} play"] is None
    assert not any(HDA in line for line in worker.sides_asked())


async def test_cards_that_cannot_be_listed_are_the_kernels(scanner: Scanner, worker: FakeWorker) -> None:
    worker.numbers = NoAnswer("odd")
    assert set(errors(await scanner.scan()).values()) == {None}


@pytest.mark.parametrize("nonsense", [{"formats": 1}, 7, None, [[]]])
async def test_nonsense_is_of_that_endpoint_alone(
    scanner: Scanner, worker: FakeWorker, nonsense: Any
) -> None:
    worker.sides[DAC] = nonsense
    found = errors(await scanner.scan())
    assert (found.pop(f"{DAC} play") or "").startswith("asking it gave nonsense")
    assert set(found.values()) == {None}


async def test_a_bug_of_ours_is_logged(scanner: Scanner, worker: FakeWorker) -> None:
    worker.hints = ZeroDivisionError("ours")
    told: list[Any] = []
    log.setup("error", stream=io.StringIO())
    listener = lambda facts: told.append(facts()["event"])  # noqa: E731
    log.listen(listener)
    await scanner.look()
    log.unlisten(listener)
    assert told == ["cards.bug"] and worker.closed == 1 and not scanner.scanning


async def test_no_library(scanner: Scanner, worker: FakeWorker) -> None:
    worker.hints = NoAnswer("there is no usable ALSA library")
    worker.messages = []
    found = await scanner.scan()
    assert found.error == "there is no usable ALSA library"
    assert set(errors(found).values()) == {found.error} and [one.pcm for one in found.endpoints] == [HDA, DAC]
    assert worker.asked == ["hints"]


async def test_after_some_deaths_the_rest_is_not_asked(scanner: Scanner, worker: FakeWorker) -> None:
    worker.hints = [{"name": f"x{n}", "description": None, "direction": "Input"} for n in range(9)]
    worker.sides = {f"x{n}": Died("asking it took long") for n in range(2, 9)}
    found = errors(await scanner.scan())
    assert worker.sides_asked()[-1].startswith(f"x{1 + STRIKES_MAX} ")
    assert found["x1 rec"] is None and found[f"x{1 + STRIKES_MAX} rec"] == "asking it took long"
    assert found["x8 rec"] == found[f"{HDA} play"] == "asking it was given up: too much before it failed"
    worker.sides.clear()
    assert set(errors(await scanner.scan()).values()) == {None}, "the next scan begins anew"


# ---- busy ----


async def test_what_another_has_open_is_not_asked_but_still_known(
    scanner: Scanner, worker: FakeWorker, machine: FakeKernel
) -> None:
    await scanner.scan()
    worker.asked.clear()
    machine.take(0, "0p", os.getppid())
    found = await scanner.scan()
    play = found.endpoints[1].play
    assert play is not None and play.error is not None and not play.usable
    assert play.error.startswith("it is busy: ")
    assert play.error.endswith(f" (pid {os.getppid()}) has it open") and "process" not in play.error
    assert play.probed and play.formats == ("s16le",), "as it last said"
    await scanner.scan(fresh=True)
    assert worker.sides_asked() == ["default play False -1 -1", f"{HDA} rec True 0 0", f"{DAC} play True 1 0"]


async def test_what_we_have_open_is_in_order(
    scanner: Scanner, worker: FakeWorker, machine: FakeKernel
) -> None:
    machine.take(0, "0p", os.getpid())
    found = await scanner.scan()
    assert found.endpoints[1].play == Side() and found.endpoints[1].play.usable
    machine.take(1, "0p", 4194305)  # beyond the largest pid: whoever it was has gone
    found = await scanner.scan()
    assert errors(found)[f"{DAC} play"] == "it is busy: process 4194305 has it open"
    assert found.endpoints[2].play is not None and found.endpoints[2].play.probed, "as it last said"


async def test_what_names_a_card_alone_is_its_first_device(
    scanner: Scanner, worker: FakeWorker, machine: FakeKernel
) -> None:
    worker.hints = [{"name": "sysdefault:CARD=HDA", "description": None, "direction": "Output"}]
    machine.take(0, "0p", os.getpid())
    found = await scanner.scan()
    assert errors(found)["sysdefault:CARD=HDA play"] is None
    assert not any(line.startswith("sysdefault") for line in worker.sides_asked())


async def test_opening_a_card_interrupts_the_question(scanner: Scanner, worker: FakeWorker) -> None:
    assert located(scanner, "hw:0,0") == "hw:0,0"
    assert worker.interrupted == 0, "nothing is asked now"
    worker.sides[HDA] = [Interrupted("x"), Interrupted("x"), GOOD, GOOD]
    worker.meanwhile = lambda: None if worker.interrupted else located(scanner, "hw:0,0") and None
    worker.sides[DAC] = Interrupted("x")
    found = errors(await scanner.scan())
    assert worker.interrupted == 1
    assert found[f"{DAC} play"] == "the card was needed while it was asked"


async def test_a_card_by_its_identity(scanner: Scanner, machine: FakeKernel) -> None:
    assert located(scanner, "@usb:1:2@0000:00:14.0-2") == DAC
    machine.unplug(1)
    with pytest.raises(CardError, match=r"the card is not there, but @pci:0000:00:1b\.0"):
        located(scanner, "@usb:1:2@0000:00:14.0-2")
    machine.plug(4, "DAC_9", usb_place("2"), "0p", bus="usb", usb=("1:2", ""))
    assert located(scanner, "@usb:1:2@0000:00:14.0-2") == "hw:CARD=DAC_9,DEV=0", "no scan is needed for it"


async def test_what_the_prober_died_of_is_not_opened(scanner: Scanner, worker: FakeWorker) -> None:
    worker.sides["default"] = Died("asking it took more than 2 seconds")
    await scanner.scan()
    for argument in ("default", ""):
        with pytest.raises(CardError, match="asking it took more than 2 seconds"):
            located(scanner, argument)
    assert located(scanner, HDA) == HDA
    worker.hints = Died("asking it crashed (SIGABRT)")
    await scanner.scan()
    with pytest.raises(
        CardError, match=r"ALSA's configuration is not usable: reading it crashed \(SIGABRT\)"
    ):
        located(scanner, HDA)
    worker.hints, worker.sides = [], {}
    await scanner.scan()
    assert located(scanner, HDA) == HDA


async def test_nothing_is_asked_while_a_card_is_opened(scanner: Scanner, worker: FakeWorker) -> None:
    async with trio.open_nursery() as nursery:
        with scanner.opening(HDA):
            nursery.start_soon(scanner.scan)
            await trio.testing.wait_all_tasks_blocked()
            assert worker.asked == [] and scanner.scanning
            with scanner.opening(DAC):
                pass
            await trio.testing.wait_all_tasks_blocked()
            assert worker.asked == []
    assert scanner.inventory.complete and worker.interrupted == 1
    with pytest.raises(ZeroDivisionError), scanner.opening(HDA):
        raise ZeroDivisionError
    await scanner.scan()


# ---- what is remembered ----


async def test_answers_are_kept_until_the_configuration_changes(
    scanner: Scanner, worker: FakeWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = tmp_path / "asoundrc"
    conf.write_text("one")
    monkeypatch.setenv("ALSA_CONFIG_PATH", f"/nonexistent:{conf}")
    first = await scanner.scan()
    assert len(worker.sides_asked()) == 4
    assert await scanner.scan() == first and worker.sides_asked() == []
    await scanner.scan(fresh=True)
    assert len(worker.sides_asked()) == 4
    conf.write_text("another")
    await scanner.scan()
    assert len(worker.sides_asked()) == 4


async def test_failures_are_asked_again(scanner: Scanner, worker: FakeWorker) -> None:
    worker.sides[HDA] = [NoAnswer("busy"), Side(error="busy")]
    assert errors(await scanner.scan())[f"{HDA} play"] == "busy"
    worker.sides[HDA] = GOOD
    worker.asked.clear()
    assert set(errors(await scanner.scan()).values()) == {None}
    assert worker.sides_asked() == [f"{HDA} play True 0 0", f"{HDA} rec True 0 0"]


async def test_another_card_is_asked_and_what_depends_on_cards(
    scanner: Scanner, worker: FakeWorker, machine: FakeKernel
) -> None:
    await scanner.scan()
    worker.asked.clear()
    machine.unplug(1)
    del worker.cards[1]
    told: list[list[tuple[str, str]]] = []
    scanner.on_change = lambda old, new: told.append(
        [(event, one.pcm) for event, one in differences(old, new)]
    )
    await scanner.scan()
    assert told == [[("gone", DAC)]]
    assert worker.sides_asked() == ["default play False -1 -1"], "the other card is not opened for that"
    machine.plug(1, "DAC", usb_place("2"), "0p", bus="usb", usb=("1:2", ""))
    worker.cards[1] = DAC_CONTROL
    await scanner.scan()
    assert worker.sides_asked() == ["default play False -1 -1", f"{DAC} play True 1 0"], "it may be another"


def test_the_stamp_of_the_configuration(tmp_path: Path) -> None:
    one = tmp_path / "one"
    names = (str(one), str(tmp_path / "none"), "~nobody-of-this-name/x")
    empty = config_stamp({}, names)
    assert config_stamp({}, names) == empty
    one.write_text("x")
    assert (first := config_stamp({}, names)) != empty
    os.utime(one, ns=(1, 1))
    assert config_stamp({}, names) != first
    assert config_stamp({"ALSA_CONFIG_PATH": str(one)}, names) != config_stamp({}, names)


def test_differences() -> None:
    a, b, c = (Endpoint(name, name, play=Side()) for name in "abc")
    old, new = Inventory((), (a, b)), Inventory((), (replace(b, name="B"), c))
    assert differences(old, new) == [("gone", a), ("new", c), ("change", new.endpoints[0])]
    assert differences(old, old) == []


# ---- the real prober on real configurations ----


NOWHERE = Roots(*(Path("/nonexistent/sound"),) * 3)
LIMIT = 1.0  # seconds for an answer of the real prober: what hangs costs a test as much


async def scanned(conf: str | Path, folder: Path, **env: str) -> Scanner:
    if isinstance(conf, str):
        (folder / "asoundrc").write_text(conf)
        conf = folder / "asoundrc"
    worker = Worker(env={**os.environ, "ALSA_CONFIG_PATH": str(conf), **env}, limit=LIMIT)
    made = Scanner(roots=NOWHERE, worker=worker)
    await made.scan()
    return made


async def test_a_hint_as_it_is(tmp_path: Path) -> None:
    (one,) = (await scanned(asoundrc.GOOD, tmp_path)).inventory.endpoints
    assert (one.pcm, one.name, one.mode, one.raw) == ("good", "A good one: that discards", "play,rec", False)
    assert one.play is not None and one.play.error is None and len(one.play.formats) == 34
    assert one.play.rates == (
        8000,
        11025,
        16000,
        22050,
        32000,
        44100,
        48000,
        64000,
        88200,
        96000,
        176400,
        192000,
        352800,
        384000,
    )
    assert {name for name, _ in one.play.refused} > {"DSD_U8", "IEC958_SUBFRAME_LE"}
    assert one.play.channels == tuple(range(1, 65)) and one.play.access == "mmap interleaved"
    assert one.play.default and one.messages == ()


@pytest.mark.parametrize("conf", ["", "# nothing\n", "ctl.x { type hw card 0 }\n"])
async def test_an_empty_configuration(tmp_path: Path, conf: str) -> None:
    found = (await scanned(conf, tmp_path)).inventory
    assert found.endpoints == () and found.error is None and found.complete


@pytest.mark.parametrize("conf", ["pcm.x { type", "\0\1\2", "pcm.x }", "</nonexistent/conf>\n"])
async def test_a_configuration_that_cannot_be_read(tmp_path: Path, conf: str) -> None:
    made = await scanned(conf, tmp_path)
    assert made.inventory.endpoints == () and made.inventory.error is not None
    assert "ALSA lib" in made.inventory.error, "where in it"
    assert located(made, "hw:0") == "hw:0", "it does no harm: the driver says the same"


async def test_recursion_without_end(tmp_path: Path) -> None:
    found = (await scanned(asoundrc.RECURSIVE + asoundrc.GOOD, tmp_path)).inventory
    assert [one.error is None for one in found.endpoints] == [False, False, True]


async def test_a_plug_in_that_hangs_and_one_that_crashes(tmp_path: Path) -> None:
    conf = asoundrc.crashing(tmp_path) + asoundrc.hanging(tmp_path) + asoundrc.GOOD
    made = await scanned(conf, tmp_path)
    found = errors(made.inventory)
    assert found.pop("crash play") == found.pop("crash rec") == "asking it crashed (SIGABRT)"
    assert found.pop("hang rec") == "asking it took more than 1 seconds"
    assert found == {"hang play": None, "good play": None, "good rec": None}
    for pcm in ("crash", "hang"):
        with pytest.raises(CardError, match=f"{pcm}: asking it"):
            located(made, pcm)


async def test_a_configuration_that_never_ends(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "asoundrc.fifo")
    made = await scanned(tmp_path / "asoundrc.fifo", tmp_path)
    assert made.inventory.error == "ALSA's configuration is not usable: reading it took more than 1 seconds"
    with pytest.raises(CardError):
        located(made, "hw:0")


async def test_a_machine_without_the_library(tmp_path: Path) -> None:
    (tmp_path / "libasound.so.2").write_text("no library")
    found = (await scanned(asoundrc.GOOD, tmp_path, LD_LIBRARY_PATH=str(tmp_path))).inventory
    assert found.error is not None and "no usable ALSA library on this machine" in found.error


async def test_edits_show_without_a_restart(tmp_path: Path) -> None:
    made = await scanned(asoundrc.GOOD, tmp_path)
    (tmp_path / "asoundrc").write_text(asoundrc.OTHER)
    assert [one.pcm for one in (await made.scan()).endpoints] == ["other"]


async def test_a_card_in_user_space(tmp_path: Path) -> None:
    if lacking := virtcards.missing():
        pytest.skip(f"{lacking}: tests/check installs it where it is root and has apt")
    fields = {"rate": "[ 48000 44100 ]", "channels": "[ 1 2 ]", "format": "[ S16_LE S24_3LE ]"}
    fields |= {"period_min": "64", "period_max": "512", "buffer_min": "256", "buffer_max": "4096"}
    with virtcards.virtcards(tmp_path, **fields) as cards:
        named = 'pcm.card0 { type empty slave.pcm "hw:0" hint.description "A card in user space" }\n'
        conf = cards.conf.read_text()
        (one,) = (await scanned(conf + named, tmp_path)).inventory.endpoints
        for side in (one.play, one.rec):
            assert side is not None and side.error is None
            assert (side.formats, side.rates, side.channels) == (("s24le3", "s16le"), (44100, 48000), (1, 2))
            assert side.round is not None and side.bufsz is not None
            assert (side.rate, side.round.max, side.bufsz.max) == (48000, 512, 4096)
        with cards.taken("play"):
            (one,) = (await scanned(conf + named, tmp_path)).inventory.endpoints
            assert one.play is not None and one.play.error == "playback is busy, a program has it open"
            assert one.rec is not None and one.rec.error is None
