"""Ports on what the machine has: pseudo-terminals, FIFOs, files; lost, back again, and shared."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import trio
from audiod_protocol.errors import Fault

from audiod import log
from audiod.midi.feed import STALL
from audiod.midi.messages import Parser
from audiod.midi.outbox import BUFFER
from audiod.midi.patchbay import Patchbay
from audiod.midi.port import Port, State

NOTE = bytes.fromhex("903c40")
PATIENCE = 3  # seconds until a test gives up: never reached when all is well


@pytest.fixture(autouse=True)
def logged() -> io.StringIO:
    stream = io.StringIO()
    log.setup("debug", {}, stream)
    return stream


class Program:
    """A program at a port's hub."""

    def __init__(self, port: Port, room: int = BUFFER) -> None:
        self.port = port
        self.heard = b""
        self.room = room
        self._news = trio.Event()
        port.hub.join(self)

    def take(self, messages: Sequence[bytes], source: object) -> None:
        self.heard += b"".join(messages)
        self._news.set()

    def relieved(self) -> None:
        pass

    def say(self, midi: bytes) -> None:
        self.port.hub.pass_on(Parser().feed(midi), self)

    async def hears(self, midi: bytes) -> None:
        with trio.fail_after(PATIENCE):
            while len(self.heard) < len(midi):
                self._news = trio.Event()
                await self._news.wait()
        assert self.heard == midi
        self.heard = b""


@asynccontextmanager
async def ports(*names: str, hold: bool = False) -> AsyncIterator[Patchbay]:
    bay = Patchbay([(name, hold) for name in names], clock=trio.current_time)
    async with trio.open_nursery() as nursery:
        await nursery.start(bay.run)
        yield bay
        nursery.cancel_scope.cancel()


async def acquired(port: Port) -> Fault | None:
    """Acquire it."""
    found: list[Fault | None] = []
    done = trio.Event()

    def then(fault: Fault | None) -> None:
        found.append(fault)
        done.set()

    port.acquire(then)
    with trio.fail_after(PATIENCE):
        await done.wait()
    return found[0]


async def until(port: Port, state: State) -> None:
    with trio.fail_after(PATIENCE):
        while port.state is not state:  # noqa: ASYNC110 - nothing in the daemon waits for it
            await trio.sleep(0.001)


async def read(fd: int, size: int) -> bytes:
    data = b""
    with trio.fail_after(PATIENCE):
        while len(data) < size:
            await trio.lowlevel.wait_readable(fd)
            data += os.read(fd, size - len(data))
    return data


@contextmanager
def reading(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        yield fd
    finally:
        os.close(fd)


def emptied(fd: int) -> int:
    """Read all that is there: its bytes."""
    size = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            size += len(os.read(fd, 65536))
    return size


class Terminal:
    """A pseudo-terminal: `fd` is the hardware, `path` what is opened as its port."""

    def __init__(self, path: Path) -> None:
        self.fd, slave = os.openpty()
        os.set_blocking(self.fd, False)
        new = path.with_name("new")
        new.symlink_to(os.ttyname(slave))
        os.close(slave)
        new.rename(path)

    def unplug(self, path: Path | None = None) -> None:
        if path is not None:
            path.unlink()
        os.close(self.fd)


async def test_a_device_goes_both_ways_and_is_raw(tmp_path: Path) -> None:
    there = Terminal(tmp_path / "port")
    every = bytes(byte for byte in range(0x80)) * 3  # what a line of text would change among it
    async with ports(str(tmp_path / "port")) as bay:
        (port,) = bay.ports
        assert await acquired(port) is None
        a, b = Program(port), Program(port)
        sent = b"\xf0" + every + b"\xf7" + NOTE
        os.write(there.fd, sent)
        await a.hears(sent)
        await b.hears(sent)
        a.say(sent)
        assert await read(there.fd, len(sent)) == sent
        assert b.heard == b""  # programs of a port hear it, not each other
        port.release()
        await until(port, State.CLOSED)
    there.unplug()


async def test_it_is_opened_for_the_first_and_closed_behind_the_last(
    tmp_path: Path, logged: io.StringIO
) -> None:
    there = Terminal(tmp_path / "port")
    async with ports(str(tmp_path / "port")) as bay:
        (port,) = bay.ports
        assert port.state is State.CLOSED
        assert await acquired(port) is None
        assert await acquired(port) is None
        port.release()
        await trio.testing.wait_all_tasks_blocked()
        assert port.state is State.OPEN
        program = Program(port)
        program.say(NOTE)
        port.release()  # at once: what was sent still leaves
        await until(port, State.CLOSED)
        assert await read(there.fd, 3) == NOTE
        assert await acquired(port) is None
        assert logged.getvalue().count("midi.port.open") == 2
    there.unplug()


async def test_what_is_not_there_is_refused_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    names = [str(tmp_path / "missing"), str(tmp_path / "folder")]
    async with ports(*names) as bay:
        for port, why in zip(bay.ports, ("No such file", "neither"), strict=True):
            fault = await acquired(port)
            assert fault is not None and why in fault.message and port.text in fault.message
            await until(port, State.CLOSED)
            assert port.users == 0


async def test_a_port_that_is_lost_comes_back_to_its_programs(tmp_path: Path, logged: io.StringIO) -> None:
    path = tmp_path / "port"
    there = Terminal(path)
    async with ports(str(path)) as bay:
        (port,) = bay.ports
        assert await acquired(port) is None
        program = Program(port)
        there.unplug(path)
        await until(port, State.LOST)
        program.say(NOTE)  # into nothing
        assert (await acquired(port)) is not None  # who comes now is refused
        there = Terminal(path)
        await until(port, State.OPEN)
        program.say(b"\xc0\x01")
        assert await read(there.fd, 2) == b"\xc0\x01"
        os.write(there.fd, NOTE)
        await program.hears(NOTE)
        port.release()
        await until(port, State.CLOSED)
    there.unplug()
    assert "midi.port.lost" in logged.getvalue()


async def test_a_lost_port_that_nobody_wants_any_more_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "port"
    there = Terminal(path)
    async with ports(str(path)) as bay:
        (port,) = bay.ports
        assert await acquired(port) is None
        there.unplug(path)
        await until(port, State.LOST)
        port.release()
        await until(port, State.CLOSED)


async def test_a_held_port_is_opened_at_the_start_or_when_it_comes(tmp_path: Path) -> None:
    path = tmp_path / "later" / "port"
    async with ports(str(path), hold=True) as bay:
        (port,) = bay.ports
        await until(port, State.LOST)
        path.parent.mkdir()
        there = Terminal(path)
        await until(port, State.OPEN)
        assert port.users == 0
    there.unplug()


async def test_news_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What inotify does not tell of, such as a rescan finds."""
    path = tmp_path / "port"
    async with ports(str(path), hold=True) as bay:
        (port,) = bay.ports
        await until(port, State.LOST)
        monkeypatch.setattr(port, "_folder", tmp_path / "elsewhere")
        port.news()
        await trio.testing.wait_all_tasks_blocked()
        there = Terminal(path)
        bay.news()
        await until(port, State.OPEN)
    there.unplug()


async def test_a_fifo_to_be_read(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    async with ports(f"{path}?mode=in") as bay:
        (port,) = bay.ports
        assert await acquired(port) is None
        program = Program(port)
        program.say(NOTE)  # goes nowhere
        for _ in range(2):  # writers come and go
            path.write_bytes(NOTE + b"\x3d\x40")
            await program.hears(NOTE + b"\x90\x3d\x40")


@pytest.mark.parametrize("mode", ["", "?mode=out"])
async def test_a_fifo_to_be_written(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    async with ports(f"{path}{mode}") as bay:
        (port,) = bay.ports
        assert await acquired(port) is None
        Program(port).say(NOTE)
        with reading(path) as fd:
            assert await read(fd, 3) == NOTE


async def test_a_file_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    async with ports(str(path), f"{path}?mode=in") as bay:
        port, wrong = bay.ports
        assert await acquired(port) is None
        Program(port).say(NOTE * 1000)
        port.release()
        await until(port, State.CLOSED)
        assert path.read_bytes() == b"before" + NOTE * 1000
        fault = await acquired(wrong)
        assert fault is not None and "a file is written" in fault.message


async def test_a_fast_source_is_held_up_by_a_slow_program_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    async with ports(f"{path}?mode=in") as bay:
        (port,) = bay.ports
        assert await acquired(port) is None
        program = Program(port, room=100)
        sent = NOTE * 500
        path.write_bytes(sent)
        await program.hears(sent)
        program.room = 0
        path.write_bytes(NOTE)
        await trio.testing.wait_all_tasks_blocked()
        assert program.heard == b""
        program.room = BUFFER
        port.hub.changed()
        await program.hears(NOTE)


async def test_a_port_that_takes_nothing_holds_nobody_up_for_long(
    tmp_path: Path, logged: io.StringIO, mock_clock: trio.testing.MockClock
) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    async with ports(f"{path}?mode=out") as bay:
        (port,) = bay.ports
        assert await acquired(port) is None
        program = Program(port)
        while port.hub.room(program) > 300:  # the FIFO, which nobody reads, then what waits for it
            program.say(NOTE * 100)
            await trio.testing.wait_all_tasks_blocked()
        for _ in range(2):  # it has taken something in the first while
            mock_clock.jump(STALL)
            await trio.testing.wait_all_tasks_blocked()
        assert "midi.slow" in logged.getvalue()
        assert port.hub.room(program) == BUFFER
        with reading(path) as fd:
            while emptied(fd):
                await trio.testing.wait_all_tasks_blocked()
            program.say(b"\xc0\x05")
            assert await read(fd, 2) == b"\xc0\x05"
        mock_clock.rate = 1
        port.release()
        await until(port, State.CLOSED)


async def test_a_port_at_a_thru_box(tmp_path: Path) -> None:
    there = Terminal(tmp_path / "port")
    async with ports(str(tmp_path / "port")) as bay:
        (port,) = bay.ports
        assert await acquired(port) is None
        own, box = Program(port), bay.thru(0)
        port.connect(box)
        port.connect(box)
        box.send(NOTE, "somebody")
        assert await read(there.fd, 3) == NOTE
        port.disconnect(box)
        port.disconnect(box)
        box.send(b"\xc0\x01", "somebody")
        own.say(b"\xc0\x02")
        assert await read(there.fd, 2) == b"\xc0\x02"
    there.unplug()


async def test_a_thru_box_holds_its_ports_while_it_is_used(tmp_path: Path) -> None:
    there = Terminal(tmp_path / "port")
    async with ports(str(tmp_path / "port"), str(tmp_path / "missing")) as bay:
        port, missing = bay.ports
        box = bay.box(3)
        box.enter()
        box.plug(0, on=True)
        box.plug(1, on=True)
        await until(port, State.OPEN)
        await until(missing, State.CLOSED)
        assert (box.connected(0), box.connected(1)) == (True, False)
        box.hub.send(NOTE, "somebody")
        assert await read(there.fd, 3) == NOTE
        box.leave()
        await until(port, State.CLOSED)
        box.enter()  # it is still wanted there
        await until(port, State.OPEN)
        box.plug(0, on=False)
        await until(port, State.CLOSED)
        box.plug(0, on=True)
        box.leave()  # before it is open
        assert port.state is State.OPENING
        await until(port, State.CLOSED)
        assert port.users == 0
    there.unplug()
