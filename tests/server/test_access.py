"""Cards that others have, or want: whose name is told, who is asked, and who gets them."""

from __future__ import annotations

import errno
import io
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from audiod_protocol.errors import FaultError
from cards.kernels import PCI, FakeKernel
from house import Client, House, Refused

from audiod.cards.access import Access
from audiod.cards.inventory import Card
from audiod.cards.reserve import ReservedError
from audiod.cards.scan import Scanner
from audiod.engine import EngineError

PCH, DAC = 0, 1  # numbers of the cards


class Bus:
    """Reservations without a bus: `keeps` are cards of others, who say no."""

    def __init__(self) -> None:
        self.keeps: dict[int, str] = {}
        self.held: list[int] = []
        self.taken: list[int] = []
        self.asked: Any = None
        self.lost: Any = None
        self.freed: Any = None

    async def take(self, card: Card) -> None:
        await trio.lowlevel.checkpoint()
        self.taken.append(card.number)
        if card.number in self.keeps:
            raise ReservedError(f"card {card.id} is reserved by {self.keeps[card.number]}")

    def hold(self, number: int) -> None:
        self.held.append(number)

    def drop(self, number: int) -> None:
        self.held.remove(number)


class Place:
    """A house with two cards: device 0 is PCH, 1 is its alternate DAC, which is preferred."""

    def __init__(self, folder: Path, line: str = "-f alsa:hw:PCH -F alsa:hw:DAC,0") -> None:
        self.kernel = FakeKernel(folder)
        for number, ident in ((PCH, "PCH"), (DAC, "DAC")):
            self.kernel.plug(number, ident, f"{PCI}/0000:00:0{number + 1}.0", "0p")
        self.house = House(line, present=lambda number: True)
        self.bus = Bus()
        dispatch = self.house.dispatch
        dispatch.cards = Scanner(roots=self.kernel.roots)
        self.access = dispatch.access = Access(
            dispatch.core,
            dispatch.devices,
            dispatch.alternates,
            dispatch.cards,
            dispatch.mixers,
            self.bus,  # type: ignore[arg-type]
        )

    @asynccontextmanager
    async def tasks(self) -> Any:
        """The server's nursery, in which cards are opened."""
        async with trio.open_nursery() as nursery:
            self.house.dispatch.devices.spawn = nursery.start_soon
            yield
            self.house.dispatch.devices.spawn = None
            await self.settle()
            nursery.cancel_scope.cancel()

    async def settle(self) -> None:
        threads = trio.to_thread.current_default_thread_limiter()
        rounds = 20
        while rounds:  # in a row, in which no card is being opened or closed
            rounds = 20 if threads.borrowed_tokens else rounds - 1
            self.house.settle()
            await trio.to_thread.run_sync(lambda: None)

    async def call(self, client: Client, method: str, **args: object) -> Any:
        ident = client.send(method, **args)
        await self.settle()
        return client.answer(ident)

    async def playing(self, client: Client, **args: object) -> int:
        number: int = (await self.call(client, "open", mode="play", **args))["stream"]
        await self.call(client, "start", stream=number)
        return number


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.house.close()
    assert made.bus.held == [], "what is closed is not held"


# ---- others have it ----


def test_a_busy_card_names_who_has_it(place: Place) -> None:
    pcm = place.kernel.roots.proc / "card1/pcm0p"
    (pcm / "sub0").mkdir(parents=True)
    (pcm / "info").write_text("subdevices_count: 1\nsubdevices_avail: 0\n")
    (pcm / "sub0/status").write_text("state: RUNNING\nowner_pid   : 1\n")
    busy = EngineError(errno.EBUSY, "alsa: hw:DAC,0: playback is busy")
    place.house.engine.refused = {
        "hw:DAC,0": busy,
        "hw:PCH": EngineError(errno.EIO, "alsa: hw:PCH: it burns"),
    }
    name = Path("/proc/1/comm").read_text().strip()
    client = place.house.connect()
    with pytest.raises(Refused) as refused:
        client.open(device="1")
    assert refused.value.message.endswith(
        f"alsa: card DAC is in use by {name} (pid 1): stop it, or use another device"
    )
    with pytest.raises(Refused, match="hw:PCH: it burns"):
        client.open(device="0")


def test_a_busy_pcm_without_a_card_is_as_the_engine_says(tmp_path: Path) -> None:
    place = Place(tmp_path, "-f alsa:default")
    place.house.engine.refuse_device = EngineError(errno.EBUSY, "alsa: default: playback is busy")
    with pytest.raises(Refused, match="alsa: default: playback is busy"):
        place.house.connect().open()
    place.house.close()


async def test_a_card_is_reserved_before_it_is_opened_and_until_it_is_closed(place: Place) -> None:
    client = place.house.connect()
    async with place.tasks():
        first, second = await place.playing(client), await place.playing(client)
        assert place.bus.taken == [DAC] and place.bus.held == [DAC]
        for number in (first, second):
            await place.call(client, "close", stream=number)
        assert place.bus.held == []


async def test_a_card_that_somebody_keeps_is_another_reason_to_be_elsewhere(
    place: Place, logged: io.StringIO
) -> None:
    place.bus.keeps = {DAC: "Jukebox"}
    client = place.house.connect()
    async with place.tasks():
        number = await place.playing(client)
        assert client.conn.slots[number].stream.device.conf.arg == "hw:PCH"
        assert "alsa: card DAC is reserved by Jukebox" in logged.getvalue()
        place.bus.keeps = {}
        place.bus.freed(DAC)
        await place.settle()
        assert client.conn.slots[number].stream.device.conf.arg == "hw:DAC,0", "it is taken back"


# ---- others want it ----


async def test_a_card_is_given_up_and_its_streams_go_on_elsewhere(place: Place) -> None:
    client = place.house.connect()
    async with place.tasks():
        number = await place.playing(client)
        device = place.house.device
        asked: list[bool] = []
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                asked.append(await place.bus.asked(DAC))
                assert device.abandoned and DAC not in place.bus.held

            nursery.start_soon(ask)
            await place.settle()
        assert asked == [True] and device.closed
        assert client.conn.slots[number].stream.device.conf.arg == "hw:PCH"
        assert client.told("onstate") == []


async def test_streams_without_an_alternate_are_silent_until_it_is_free(place: Place) -> None:
    client = place.house.connect()
    async with place.tasks():
        number = await place.playing(client, device="1")
        first = place.house.device
        first.run()
        with trio.fail_after(20):
            assert await place.bus.asked(DAC) is True
        assert first.abandoned and not first.closed, "the card is closed, its stream plays on"
        assert client.conn.slots[number].stream.device is first and place.bus.held == []
        (_, row) = client.call("devices")["devices"]
        assert row["state"] == "lost" and "another program has reserved its card" in row["reason"]
        place.bus.keeps = {DAC: "Jukebox"}
        with pytest.raises(Refused, match="reserved by Jukebox"):
            await place.call(place.house.connect(), "open", mode="play", device="1")
        place.bus.keeps = {}
        place.bus.freed(DAC)
        await place.settle()
        first.rest()
        await place.settle()
        assert client.conn.slots[number].stream.device is not first and first.closed
        assert place.bus.held == [DAC] and client.told("onstate") == []


async def test_a_card_that_is_kept_open_comes_back_by_itself(tmp_path: Path) -> None:
    place = Place(tmp_path, "-a on -f alsa:hw:DAC,0")
    async with place.tasks():
        await place.house.dispatch.devices.open_held_cards()
        assert place.bus.taken == [DAC], "reserved first"
        with trio.fail_after(20):
            assert await place.bus.asked(DAC) is True
        assert place.bus.held == [] and place.house.device.closed
        place.bus.freed(DAC)
        await place.settle()
        assert place.bus.taken == [DAC, DAC] and place.bus.held == [DAC]
    place.house.close()


async def test_a_card_that_is_to_be_kept_open_and_is_reserved_is_refused(tmp_path: Path) -> None:
    place = Place(tmp_path, "-a on -f alsa:hw:DAC,0")
    place.bus.keeps = {DAC: "Jukebox"}
    async with place.tasks():
        with pytest.raises(FaultError, match="reserved by Jukebox"):
            await place.house.dispatch.devices.open_held_cards()
    place.house.close()


async def test_a_link_group_that_could_not_come_back_keeps_its_card(place: Place) -> None:
    client = place.house.connect()
    async with place.tasks():
        number = await place.playing(client, link="pair")
        with trio.fail_after(20):
            assert await place.bus.asked(DAC) is False
        assert client.conn.slots[number].stream.device.conf.arg == "hw:DAC,0"
        assert not place.house.device.closed and place.bus.held == [DAC]


async def test_a_card_that_is_not_used_is_given_up_at_once(place: Place) -> None:
    async with place.tasks():
        with trio.fail_after(20):
            assert await place.bus.asked(PCH) is True


async def test_a_card_that_does_not_close_in_time_is_not_given_up(
    place: Place, autojump_clock: trio.testing.MockClock
) -> None:
    client = place.house.connect()
    async with place.tasks():
        number = await place.playing(client)
        device = place.house.device
        device.run()  # its clock runs until the buffer is empty, which is never told here
        device.slow = True
        assert await place.bus.asked(DAC) is False
        await place.settle()
        assert client.conn.slots[number].stream.device.conf.arg == "hw:PCH", "its streams have left"
        device.rest()
        await place.settle()


async def test_a_card_that_was_taken_is_left(place: Place) -> None:
    client = place.house.connect()
    async with place.tasks():
        number = await place.playing(client)
        place.bus.lost(DAC)
        await place.settle()
        assert client.conn.slots[number].stream.device.conf.arg == "hw:PCH" and place.bus.held == [PCH]
