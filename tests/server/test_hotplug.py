"""hotplug.py and inotify.py: real folders, udev's monitor as a script, time by the autojump clock."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from audiod import hotplug
from audiod.hotplug import PENDING_MAX, SETTLE, SETTLE_MAX, Hotplug, Pending
from audiod.inotify import Happened, Inotify, Mask

CREATE, CLOSE, DELETE = Mask.CREATE, Mask.CLOSE_WRITE, Mask.DELETE


# ---- what is pending ----


def test_a_new_card_is_looked_at_when_its_file_is_ready() -> None:
    pending = Pending()
    assert not pending.take([Happened(1, CREATE, "controlC0")], 10.0)
    assert pending.next == 10.0 + PENDING_MAX
    assert pending.take([Happened(1, CLOSE, "controlC0")], 10.5)
    assert pending.next is None


def test_not_before_all_are_ready() -> None:
    pending = Pending()
    pending.take([Happened(1, CREATE, "controlC0"), Happened(1, CREATE, "controlC1")], 0.0)
    assert not pending.take([Happened(1, CLOSE, "controlC1")], 0.1)
    assert pending.take([Happened(1, Mask.ATTRIB, "controlC0")], 0.2)


def test_and_not_later_than_a_second() -> None:
    """Where nobody sets owner and mode nothing ever tells."""
    pending = Pending()
    pending.take([Happened(1, CREATE, "controlC0")], 0.0)
    pending.take([Happened(1, CREATE, "controlC1")], 0.6)
    assert not pending.expire(0.9)
    assert not pending.expire(1.0), "the other one is pending"
    assert pending.next == 0.6 + PENDING_MAX
    assert not pending.expire(1.5) and pending.expire(1.6)


def test_a_card_that_goes_is_looked_for_at_once_unless_another_comes() -> None:
    pending = Pending()
    assert pending.take([Happened(1, DELETE, "controlC0")], 0.0)
    pending.take([Happened(1, CREATE, "controlC1")], 0.0)
    assert not pending.take([Happened(1, DELETE, "controlC0")], 0.1)
    assert pending.take([Happened(1, DELETE, "controlC1")], 0.2), "it went before it was ready"
    assert pending.next is None


def test_what_is_no_news() -> None:
    pending = Pending()
    for mask, name in ((CLOSE, "controlC0"), (CREATE, "pcmC0D0p"), (DELETE, "seq"), (Mask.IGNORED, "")):
        assert not pending.take([Happened(1, mask, name)], 0.0), (mask, name)
    assert pending.next is None
    assert pending.take([Happened(-1, Mask.OVERFLOW, "")], 0.0), "something was lost"


# ---- the watcher ----


class Scans:
    """Who is called: `acted`, then `looked`, with when and whether somebody asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, bool]] = []
        self.times: list[float] = []
        self.answer = trio.Event()
        self.answer.set()

    def act(self, asked: bool) -> None:
        self.calls.append(("act", asked))
        self.times.append(trio.current_time())

    async def look(self, *, fresh: bool = False) -> None:
        await self.answer.wait()
        self.calls.append(("look", fresh))

    def take(self) -> list[tuple[str, bool]]:
        found, self.calls = self.calls, []
        return found


ONCE = [("act", False), ("look", False)]


@pytest.fixture
def scans() -> Scans:
    return Scans()


@asynccontextmanager
async def watching(
    scans: Scans, folder: Path, *, udev: Path = Path("/nowhere"), look: bool = False
) -> AsyncIterator[Hotplug]:
    made = Hotplug(scans, scans.act, folder=folder, udev=udev)
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            await made.run(look=look)

        nursery.start_soon(run)
        await trio.testing.wait_all_tasks_blocked()
        yield made
        nursery.cancel_scope.cancel()


async def quiet() -> None:
    """Until nothing happens any more."""
    await trio.sleep(10)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "snd"
    made.mkdir()
    return made


async def test_a_card_is_plugged_in_and_out(folder: Path, scans: Scans, autojump_clock: MockClock) -> None:
    async with watching(scans, folder):
        (folder / "controlC0").write_text("")  # made, and closed behind a write
        (folder / "pcmC0D0p").touch()
        await quiet()
        assert scans.take() == ONCE
        (folder / "controlC0").unlink()
        (folder / "pcmC0D0p").unlink()
        await quiet()
        assert scans.take() == ONCE


async def test_a_file_that_nobody_writes_is_waited_for_a_second(
    folder: Path, scans: Scans, autojump_clock: MockClock
) -> None:
    async with watching(scans, folder):
        (folder / "controlC0").symlink_to("/dev/null")
        started = trio.current_time()
        await quiet()
        assert scans.take() == ONCE
        assert scans.times[-1] - started == pytest.approx(PENDING_MAX + SETTLE)


async def test_others_that_use_a_card_are_no_news(
    folder: Path, scans: Scans, autojump_clock: MockClock
) -> None:
    (folder / "controlC0").touch()
    async with watching(scans, folder):
        for _ in range(3):
            (folder / "controlC0").write_text("volume")
            (folder / "timer").touch()
            await quiet()
        assert scans.take() == []


async def test_many_at_once_are_looked_at_once(folder: Path, scans: Scans, autojump_clock: MockClock) -> None:
    async with watching(scans, folder):
        for number in range(8):
            (folder / f"controlC{number}").write_text("")
            await trio.sleep(SETTLE / 2)
        await quiet()
        assert scans.take() == ONCE
        for _ in range(100):  # one whose plug has a bad contact
            (folder / "controlC0").unlink()
            (folder / "controlC0").write_text("")
            await trio.sleep(SETTLE / 2)
        await quiet()
        acted = scans.take().count(("act", False))
        assert 100 * SETTLE / 2 / SETTLE_MAX - 1 <= acted <= 100 * SETTLE / 2 / SETTLE_MAX + 1


async def test_the_folder_comes_with_the_first_card_and_goes_with_the_last(
    tmp_path: Path, scans: Scans, autojump_clock: MockClock
) -> None:
    folder = tmp_path / "snd"
    async with watching(scans, folder):
        for _ in range(3):
            (tmp_path / "else").touch()
            (tmp_path / "else").unlink()
            await quiet()
            assert scans.take() == []
            folder.mkdir()
            await quiet()
            assert scans.take() == ONCE
            (folder / "controlC0").write_text("")
            await quiet()
            assert scans.take() == ONCE
            shutil.rmtree(folder)
            await quiet()
            assert scans.take() == ONCE


async def test_news_while_it_looks_are_acted_upon_at_once_and_looked_at_behind_it(
    folder: Path, scans: Scans, autojump_clock: MockClock
) -> None:
    async with watching(scans, folder):
        scans.answer = trio.Event()
        (folder / "controlC0").write_text("")
        await quiet()
        assert scans.take() == [("act", False)], "it is being asked"
        (folder / "controlC0").unlink()
        await quiet()
        assert scans.take() == [("act", False)], "streams do not wait for cards that take their time"
        scans.answer.set()
        await quiet()
        assert scans.take() == [("look", False), ("look", False)]


async def test_idle_means_no_wake_up(folder: Path, scans: Scans, autojump_clock: MockClock) -> None:
    """Nothing is scheduled: the clock has nowhere to jump but to our own deadline."""
    async with watching(scans, folder):
        assert trio.lowlevel.current_statistics().seconds_to_next_deadline == float("inf")
        (folder / "controlC0").write_text("")
        await quiet()
        assert trio.lowlevel.current_statistics().seconds_to_next_deadline == float("inf")


# ---- by hand ----


async def test_a_look_by_hand(folder: Path, scans: Scans, autojump_clock: MockClock) -> None:
    done: list[int] = []
    async with watching(scans, folder) as watcher:
        started = trio.current_time()
        watcher.rescan(lambda: done.append(1))
        watcher.rescan(lambda: done.append(2))
        await trio.testing.wait_all_tasks_blocked()
        assert scans.take() == [("act", True), ("look", True)] and done == [1, 2]
        assert trio.current_time() == started, "it does not wait for more"
        (folder / "controlC0").write_text("")
        await trio.testing.wait_all_tasks_blocked()
        watcher.rescan(lambda: done.append(3))
        await quiet()
        assert ("act", True) in scans.take() and done == [1, 2, 3]


async def test_the_first_look_is_at_the_start(folder: Path, scans: Scans, autojump_clock: MockClock) -> None:
    async with watching(scans, folder, look=True):
        assert scans.take() == [("look", False)]


# ---- what goes wrong ----


async def test_without_inotify_it_says_so_and_looks_by_hand(
    folder: Path,
    scans: Scans,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    logged: io.StringIO,
) -> None:
    def full() -> Inotify:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(hotplug, "Inotify", full)
    done: list[int] = []
    async with watching(scans, folder) as watcher:
        watcher.rescan(lambda: done.append(1))
        await quiet()
    assert done == [1]
    (line,) = [line for line in logged.getvalue().splitlines() if "hotplug.off" in line]
    assert "Too many open files" in line and "audioctl devices --rescan" in line


# ---- udev ----


class Udev:
    """pyudev, as far as it is used; the monitor's end is a pipe."""

    def __init__(self) -> None:
        self.queue: list[SimpleNamespace] = []
        self.filtered: list[str] = []
        self.started = False
        self.inotify = Inotify()  # a descriptor that can be made readable
        self.Context = lambda: "context"
        self.Monitor = SimpleNamespace(from_netlink=lambda context: self)

    def filter_by(self, subsystem: str) -> None:
        self.filtered.append(subsystem)

    def start(self) -> None:
        self.started = True

    def fileno(self) -> int:
        return self.inotify.fileno()

    def poll(self, timeout: float) -> SimpleNamespace | None:
        assert timeout == 0, "it never waits"
        self.inotify.read()
        return self.queue.pop(0) if self.queue else None


@pytest.fixture
def udev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Udev]:
    made = Udev()
    made.inotify.watch(tmp_path, Mask.CREATE)
    monkeypatch.setitem(sys.modules, "pyudev", made)  # type: ignore[arg-type]
    yield made
    made.inotify.close()


async def test_udev_tells_when_its_rules_are_done(
    tmp_path: Path, folder: Path, scans: Scans, autojump_clock: MockClock, udev: Udev
) -> None:
    (tmp_path / "control").touch()
    async with watching(scans, folder, udev=tmp_path / "control"):
        assert udev.started and udev.filtered == ["sound"]

        made: list[object] = []

        async def say(*told: tuple[str, str]) -> list[tuple[str, bool]]:
            udev.queue += [SimpleNamespace(action=action, sys_name=name) for action, name in told]
            (tmp_path / f"x{len(made)}").touch()
            made.append(told)
            await quiet()
            return scans.take()

        assert await say(("add", "pcmC0D0p")) == [], "its card comes last"
        assert await say(("add", "pcmC0D0c"), ("add", "controlC0"), ("change", "card0")) == ONCE
        assert await say(("remove", "pcmC0D0p"), ("remove", "card0")) == ONCE
        (folder / "controlC0").write_text("")
        await quiet()
        assert scans.take() == [], "one of the two is enough"


def test_pyudev_is_as_we_take_it() -> None:
    """The real one, of a machine on which nothing happens."""
    import pyudev

    monitor = pyudev.Monitor.from_netlink(pyudev.Context())
    monitor.filter_by("sound")
    monitor.start()
    assert monitor.fileno() >= 0 and monitor.poll(timeout=0) is None
    assert {"action", "sys_name"} <= set(dir(pyudev.Device))


async def test_pyudev_is_of_no_use_where_udev_does_not_run(
    tmp_path: Path, folder: Path, scans: Scans, autojump_clock: MockClock, udev: Udev
) -> None:
    async with watching(scans, folder, udev=tmp_path / "control"):
        (folder / "controlC0").write_text("")
        await quiet()
        assert scans.take() == ONCE and not udev.started


async def test_inotify_serves_where_there_is_no_pyudev(
    tmp_path: Path, folder: Path, scans: Scans, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "control").touch()
    monkeypatch.setitem(sys.modules, "pyudev", None)  # type: ignore[arg-type]
    async with watching(scans, folder, udev=tmp_path / "control"):
        (folder / "controlC0").write_text("")
        await quiet()
        assert scans.take() == ONCE


# ---- inotify ----


def test_inotify_tells_names(tmp_path: Path) -> None:
    inotify = Inotify()
    assert inotify.read() == []
    watch = inotify.watch(tmp_path, Mask.CREATE | Mask.DELETE)
    (tmp_path / "a").touch()
    (tmp_path / ("b" * 200)).touch()
    (tmp_path / "a").unlink()
    assert inotify.read() == [
        Happened(watch, Mask.CREATE, "a"),
        Happened(watch, Mask.CREATE, "b" * 200),
        Happened(watch, Mask.DELETE, "a"),
    ]
    inotify.unwatch(watch)
    assert [one.mask for one in inotify.read()] == [Mask.IGNORED]
    inotify.unwatch(watch)
    with pytest.raises(FileNotFoundError):
        inotify.watch(tmp_path / "no", Mask.CREATE)
    with pytest.raises(NotADirectoryError):
        inotify.watch(tmp_path / ("b" * 200), Mask.CREATE)
    inotify.close()
