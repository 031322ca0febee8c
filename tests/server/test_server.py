"""server.py: what starts and ends in which order, with FakeEngine and trio's own clock."""

from __future__ import annotations

import errno
import io
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgpack
import pytest
import trio
from fakes import FakeConn, FakeEngine
from trio.testing import MockClock, wait_all_tasks_blocked

from audiod import config, options
from audiod.config import Config
from audiod.dispatch import Dispatch
from audiod.engine import EngineError
from audiod.errors import StartError
from audiod.server import Server


class Running:
    """A server in its nursery, over a FakeEngine."""

    def __init__(self, server: Server, engine: FakeEngine, dispatch: Dispatch, path: Path) -> None:
        self.server = server
        self.engine = engine
        self.dispatch = dispatch
        self.path = path
        self._ids = iter(range(1000))

    async def connect(self) -> tuple[socket.socket, FakeConn]:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(self.path))
        await wait_all_tasks_blocked()
        conn = self.engine.conns[max(self.engine.conns)]
        await self.ask(conn, "hello", version=1, client="test")
        return sock, conn

    async def ask(self, conn: FakeConn, method: str, **args: object) -> Any:
        conn.receive(msgpack.packb([0, next(self._ids), method, [args]]))
        await wait_all_tasks_blocked()
        return conn.sent[-1]

    async def play(self) -> tuple[socket.socket, FakeConn]:
        sock, conn = await self.connect()
        await self.ask(conn, "open", mode="play")
        await self.ask(conn, "start", stream=0)
        return sock, conn


def conf_of(tmp_path: Path, line: str = "") -> Config:
    words = ["--sndio", "none", "--socket", str(tmp_path / "s"), *line.split()]
    return config.load(options.parse(words), {}, 1000)


@asynccontextmanager
async def running(tmp_path: Path, line: str = "-f null") -> AsyncIterator[Running]:
    """A server that has ended by the time the block is left."""
    engine = FakeEngine()
    conf = conf_of(tmp_path, line)
    server = Server(conf, make_engine=lambda prio: engine)  # type: ignore[arg-type,return-value]
    async with trio.open_nursery() as nursery:
        dispatch = await nursery.start(_serve, server)
        yield Running(server, engine, dispatch, conf.listen.path)
        server.end()
    assert engine.closed
    assert all(device.closed for device in engine.devices)
    assert not conf.listen.path.exists()


async def _serve(server: Server, *, task_status: trio.TaskStatus[Dispatch]) -> None:
    await server.serve(signals=False, task_status=task_status)


def closed_with(conn: FakeConn) -> list[tuple[int, str]]:
    """Streams and codes of `onstate closed`."""
    notes = [m[2] for m in conn.sent if isinstance(m, list) and m[0] == 2 and m[1] == "onstate"]
    return [(number, detail["code"]) for number, state, detail in notes if state == "closed"]


# ---- life ----


async def test_ready_when_it_listens(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        assert house.path.is_socket()
        sock, conn = await house.connect()
        answer = await house.ask(conn, "status")
        assert answer[3]["sockets"] == [str(house.path)]
        sock.close()


async def test_many_events_at_once_leave_room_for_others(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        sock, conn = await house.connect()
        for ident in range(1000):
            conn.receive(msgpack.packb([0, ident, "controls", []]))
        other, _ = await house.connect()
        assert len(conn.sent) == 1001
        sock.close()
        other.close()


# ---- start that fails ----


async def test_a_held_device_that_cannot_be_opened(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.refuse_device = EngineError(errno.ENOENT, "there is no such thing")
    server = Server(conf_of(tmp_path, "-a on -f null"), make_engine=lambda prio: engine)  # type: ignore[arg-type,return-value]
    with pytest.raises(StartError, match="there is no such thing"):
        await server.serve(signals=False)
    assert engine.closed
    assert not (tmp_path / "s").exists()


async def test_a_socket_that_is_taken(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        engine = FakeEngine()
        second = Server(house.server.config, make_engine=lambda prio: engine)  # type: ignore[arg-type,return-value]
        with pytest.raises(StartError, match="a server is running there"):
            await second.serve(signals=False)
        assert engine.closed
        assert house.path.is_socket()


async def test_no_realtime_is_asked_for_when_told_so(tmp_path: Path) -> None:
    asked: list[int] = []

    def make(prio: int) -> Any:
        asked.append(prio)
        raise EngineError(errno.ENOMEM, "no")

    for line in ("--no-realtime", ""):
        with pytest.raises(EngineError):
            await Server(conf_of(tmp_path, line), make_engine=make).serve(signals=False)
    assert asked[0] == 0
    assert asked[1] > 0


# ---- end ----


async def test_the_end_drains_and_tells(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as house:
        sock, conn = await house.play()
        await house.ask(conn, "open", mode="rec")
        begin = trio.current_time()
    assert trio.current_time() == begin  # nobody waited for anything
    assert sorted(closed_with(conn)) == [(0, "ESHUTDOWN"), (1, "ESHUTDOWN")]
    kind, method, (fault,) = conn.sent[-1]  # type: ignore[misc]
    assert (kind, method, fault["code"]) == (2, "error", "ESHUTDOWN")
    assert conn.freed
    sock.close()


async def test_the_end_waits_for_a_drain(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as house:
        house.engine.holding = True
        sock, conn = await house.play()
        house.server.end()
        await trio.sleep(0.5)
        assert closed_with(conn) == []
        assert (await house.ask(conn, "open", mode="play"))[2]["code"] == "ESHUTDOWN"  # nothing new begins
        assert (await house.ask(conn, "config.reload"))[2]["code"] == "ESHUTDOWN"
        assert (await house.ask(conn, "streams"))[2] is None  # but questions are answered
        assert not house.path.exists()  # but nobody else is let in
        conn.drained(0)
        begin = trio.current_time()
    assert trio.current_time() == begin
    assert closed_with(conn) == [(0, "ESHUTDOWN")]
    sock.close()


async def test_the_end_waits_for_what_the_device_holds(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with running(tmp_path) as house:
        sock, conn = await house.play()
        device = house.engine.devices[0]
        device.run()
        await wait_all_tasks_blocked()
        house.server.end()
        await trio.sleep(0.02)
        assert closed_with(conn) == [(0, "ESHUTDOWN")]  # all is mixed, not all is heard
        assert not device.closed
        device.rest()
        begin = trio.current_time()
    assert trio.current_time() == begin
    sock.close()


async def test_the_end_waits_no_longer_than_the_buffer_and_a_second(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with running(tmp_path) as house:
        house.engine.holding = True
        sock, conn = await house.play()
        begin = trio.current_time()
    assert trio.current_time() - begin == pytest.approx(1.08)  # bufsz is 3840 frames at 48 kHz
    assert closed_with(conn) == [(0, "ESHUTDOWN")]
    sock.close()


async def test_the_end_waits_no_longer_than_a_second_for_one_who_does_not_read(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as house:
        sock, _ = await house.connect()
        monkeypatch.setattr(FakeConn, "close", lambda self, flush=True: None)
        begin = trio.current_time()
    assert trio.current_time() - begin == pytest.approx(1.0)
    sock.close()


async def test_a_late_client_hears_that_the_server_ends(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        ours, theirs = socket.socketpair()
        house.dispatch.ending = True
        from audiod.listener import peer_of

        house.dispatch.accept(ours, peer_of(ours))
        with theirs:
            assert b"ESHUTDOWN" in theirs.recv(1000)


async def signals(*numbers: int) -> AsyncIterator[int]:
    for number in numbers:
        yield number


async def test_the_second_signal_is_immediate(
    tmp_path: Path, autojump_clock: MockClock, logged: io.StringIO
) -> None:
    async with running(tmp_path) as house:
        house.engine.holding = True
        sock, conn = await house.play()
        begin = trio.current_time()
        await house.server.obey(signals(signal.SIGTERM, signal.SIGHUP, signal.SIGINT))
    assert "config.reload" not in logged.getvalue(), "nothing new begins"
    assert trio.current_time() == begin
    assert closed_with(conn) == [(0, "ESHUTDOWN")]
    sock.close()


async def test_hup_reads_the_files_again(tmp_path: Path, logged: io.StringIO) -> None:
    file = tmp_path / "audiod.toml"
    file.write_text('[[device]]\nspec = "null"\n')
    async with running(tmp_path, f"--config {file}") as house:
        file.write_text('[[device]]\nspec = "null"\n[[device]]\nspec = "loopback"\n')
        await house.server.obey(signals(signal.SIGHUP))
        assert [device.name for device in house.dispatch.core.devices] == ["null", "loopback"]
        file.write_text("[[devise]]\n")
        await house.server.obey(signals(signal.SIGHUP))
        sock, _ = await house.play()
        sock.close()
    assert "event=config.reload" in logged.getvalue()
    assert f"{file}:1: there is no table or key 'devise'; did you mean 'device'?" in logged.getvalue()
