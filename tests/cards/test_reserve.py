"""Cards reserved on a bus: two of ours, and others that behave otherwise, on a real dbus-daemon."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from audiod import log
from audiod.cards import reserve
from audiod.cards.bus import Bus, Call, CallError
from audiod.cards.inventory import Card
from audiod.cards.reserve import DBUS, Reservations, ReservedError

HDA = Card(0, "HDA", "HDA Intel", "pci:0")
NAME, PATH = "org.freedesktop.ReserveDevice1.Audio0", "/org/freedesktop/ReserveDevice1/Audio0"
HERE = NAME, PATH, "org.freedesktop.ReserveDevice1"
CONF = """<busconfig>
<type>session</type><listen>unix:path={folder}/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
</busconfig>"""

needs_bus = pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="dbus-daemon is not installed")
pytestmark = needs_bus


@pytest.fixture
def logged() -> io.StringIO:
    stream = io.StringIO()
    log.setup("debug", {}, stream)
    return stream


@pytest.fixture
def address(tmp_path: Path, logged: io.StringIO) -> Iterator[str]:
    (tmp_path / "conf").write_text(CONF.format(folder=tmp_path))
    command = ["dbus-daemon", f"--config-file={tmp_path}/conf", "--nofork", "--print-address"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        yield daemon.stdout.readline().strip()
        daemon.terminate()


@asynccontextmanager
async def ours(address: str, priority: int = 10) -> AsyncIterator[Reservations]:
    made = Reservations(priority, {"DBUS_SESSION_BUS_ADDRESS": address})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.run)
        await made._ready.wait()
        assert made._bus is not None
        yield made
        nursery.cancel_scope.cancel()


class Other:
    """Another program on the bus: it has the name if `owns`, and does as `answer` says when it is asked."""

    def __init__(self, bus: Bus, asked: list[Call]) -> None:
        self.bus = bus
        self.asked = asked

    async def owner(self) -> str:
        try:
            (name,) = await self.bus.call(DBUS, "GetNameOwner", "s", (NAME,))
        except CallError:
            return ""
        return "self" if name == self.bus.name else name

    async def request(self, flags: int = 4) -> int:
        (answer,) = await self.bus.call(DBUS, "RequestName", "su", (NAME, flags))
        return int(answer)

    async def release(self) -> None:
        await self.bus.call(DBUS, "ReleaseName", "s", (NAME,))

    async def ask(self, priority: int) -> bool:
        (granted,) = await self.bus.call(HERE, "RequestRelease", "i", (priority,))
        return bool(granted)


@asynccontextmanager
async def other(
    address: str, granted: bool | Exception | None = None, *, owns: bool = False, flags: int = 5
) -> AsyncIterator[Other]:
    asked: list[Call] = []

    async def answer(call: Call) -> tuple[str, tuple[Any, ...]]:
        if call[2].endswith(".Get"):
            return "v", (("s", "Jukebox"),)
        asked.append(call)
        if isinstance(granted, Exception):
            raise granted
        if granted is None:
            await trio.sleep_forever()
        return "b", (granted,)

    bus = Bus(await Bus.connect({"DBUS_SESSION_BUS_ADDRESS": address}), answer, lambda member, body: None)
    async with trio.open_nursery() as nursery:
        await nursery.start(bus.serve)
        made = Other(bus, asked)
        if owns:
            assert await made.request(flags) == 1
        yield made
        nursery.cancel_scope.cancel()


async def until(is_so: Callable[[], bool]) -> None:
    """What the bus says comes soon."""
    with trio.fail_after(20):
        while not is_so():
            await trio.to_thread.run_sync(lambda: None)  # as good as any other wait


async def test_a_card_is_ours_as_long_as_it_is_open(address: str) -> None:
    async with ours(address) as mine, other(address) as watcher:
        await mine.take(HDA)
        mine.hold(0)
        mine.hold(0)
        assert await watcher.owner() not in ("", "self")
        mine.drop(0)
        assert await watcher.owner()
        mine.drop(0)
        await until(lambda: not mine._ours)
        with trio.fail_after(20):
            while await watcher.owner():
                await trio.lowlevel.checkpoint()


async def test_whoever_has_a_card_and_gives_it_up_is_asked_with_our_priority(
    address: str, logged: io.StringIO
) -> None:
    async with ours(address, 30) as mine, other(address, True, owns=True) as holder:
        await mine.take(HDA)
        assert await holder.owner() not in ("", "self")
        ((_, path, member, body),) = holder.asked
        assert (path, member, body) == (PATH, "org.freedesktop.ReserveDevice1.RequestRelease", (30,))
        assert "reserve.taken" in logged.getvalue() and "Jukebox" in logged.getvalue()


@pytest.mark.parametrize(
    ("granted", "why"),
    [
        (False, "which does not give it up"),
        (CallError("org.freedesktop.DBus.Error.UnknownMethod", "what?"), r"gives it up \(what\?\)"),
        (None, r"gives it up \(no answer in 0\.05 s\)"),
    ],
)
async def test_whoever_does_not_give_it_up_keeps_it(
    address: str, granted: bool | Exception | None, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if granted is None:
        monkeypatch.setattr(reserve, "RELEASE_LIMIT", 0.05)
    freed: list[int] = []
    async with ours(address) as mine, other(address, granted, owns=True) as holder:
        mine.freed = freed.append
        with pytest.raises(ReservedError, match=f"card HDA is reserved by Jukebox, .*{why}: stop it"):
            await mine.take(HDA)
        assert await holder.owner() == "self" and not freed
        await holder.release()
        await until(lambda: freed == [0])
        await mine.take(HDA)
        assert await holder.owner() not in ("", "self")


@pytest.mark.parametrize(("priority", "gives"), [(10, False), (9, False), (11, True)])
async def test_only_a_higher_priority_gets_a_card_from_us(address: str, priority: int, gives: bool) -> None:
    given_up: list[int] = []
    freed: list[int] = []

    async def give_up(number: int) -> bool:
        given_up.append(number)
        mine.drop(number)
        return True

    async with ours(address) as mine, other(address) as guest:
        mine.asked, mine.freed = give_up, freed.append
        await mine.take(HDA)
        mine.hold(0)
        assert await guest.ask(priority) is gives
        assert given_up == ([0] if gives else [])
        assert await guest.request(4 | 2) in (1, 4) or not gives
        if gives:
            assert await guest.owner() == "self" and not freed, "it is not free: somebody has asked for it"
            await guest.release()
            await until(lambda: freed == [0])


async def test_a_card_that_nobody_comes_for_is_free(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has asked for it has died, or thinks better of it."""
    monkeypatch.setattr(reserve, "TAKE_LIMIT", 0.0)
    freed: list[int] = []
    async with ours(address) as mine:
        mine.asked, mine.freed = _yes, freed.append
        await mine.take(HDA)
        mine.hold(0)
        async with other(address) as guest:
            assert await guest.ask(99) is True
        await until(lambda: freed == [0])


async def _yes(number: int) -> bool:
    return True


async def test_who_cannot_let_go_says_so(address: str) -> None:
    async with ours(address) as mine, other(address) as guest:
        await mine.take(HDA)
        mine.hold(0)
        assert await guest.ask(99) is False
        assert await guest.owner() not in ("", "self")


async def test_a_name_taken_by_force_is_lost(address: str) -> None:
    lost: list[int] = []
    async with ours(address) as mine, other(address) as bully:
        mine.lost = lost.append
        await mine.take(HDA)
        mine.hold(0)
        assert await bully.request(2) == 1
        await until(lambda: lost == [0])


async def test_the_highest_priority_cannot_be_taken_by_force(address: str) -> None:
    async with ours(address, reserve.PRIORITY_MAX) as mine, other(address) as bully:
        await mine.take(HDA)
        assert await bully.request(4 | 2) == 3


async def test_what_we_say_of_a_reservation(address: str) -> None:
    async with ours(address) as mine, other(address) as guest:
        await mine.take(HDA)
        where = NAME, PATH, "org.freedesktop.DBus.Properties"
        (told,) = await guest.bus.call(where, "GetAll", "s", (HERE[2],))
        assert told == {
            "Priority": ("i", 10),
            "ApplicationName": ("s", "audiod"),
            "ApplicationDeviceName": ("s", "hw:0"),
        }
        (one,) = await guest.bus.call(where, "Get", "ss", (HERE[2], "Priority"))
        assert one == ("i", 10)
        for path, member in ((PATH, "Dance"), (PATH.replace("0", "7"), "RequestRelease"), ("/", "Ping")):
            with pytest.raises(CallError, match=r"Unknown|there is no method|is not reserved"):
                await guest.bus.call((NAME, path, HERE[2]), member)


async def test_what_was_open_before_the_bus_was_there_is_reserved_then(
    address: str, logged: io.StringIO
) -> None:
    made = Reservations(10, {"DBUS_SESSION_BUS_ADDRESS": address})
    made.hold(0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.run)
        await until(lambda: made._ours == {0})
        async with ours(address) as second:
            second.hold(0)
            await until(lambda: "reserve.late" in logged.getvalue())
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({}, "DBUS_SESSION_BUS_ADDRESS is not set"),
        ({"XDG_RUNTIME_DIR": "/nonexistent"}, "/nonexistent/bus"),
        ({"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent"}, "No such file"),
        ({"DBUS_SESSION_BUS_ADDRESS": "nonsense"}, "nonsense"),
        ({"DBUS_SESSION_BUS_ADDRESS": "tcp:host=x,port=1"}, "not supported"),
    ],
)
async def test_without_a_bus_everything_opens(environ: dict[str, str], why: str, logged: io.StringIO) -> None:
    made = Reservations(10, environ)
    await made.run()
    await made.take(HDA)
    made.hold(0)
    made.drop(0)
    (line,) = [line for line in logged.getvalue().splitlines() if "reserve" in line]
    assert "reserve.none" in line and why in line and "debug" in line


async def test_a_bus_that_ends_takes_nothing_with_it(address: str, logged: io.StringIO) -> None:
    made = Reservations(10, {"DBUS_SESSION_BUS_ADDRESS": address})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.run)
        await made.take(HDA)
        made.hold(0)
        (pid,) = await made._bus.call(DBUS, "GetConnectionUnixProcessID", "s", (DBUS[0],))  # type: ignore[union-attr]
        os.kill(pid, 15)
    made.drop(0)
    await made.take(HDA)
    assert logged.getvalue().count("reserve.none") == 1
