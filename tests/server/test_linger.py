"""linger.py: a connection that is closed, and whose peer does not read why, is not waited for."""

from __future__ import annotations

import io
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgpack
import trio
from fakes import FakeConn, FakeEngine
from stage import stage
from trio.testing import MockClock, wait_all_tasks_blocked

from audiod import config, options
from audiod.dispatch import Dispatch
from audiod.engine import ProtocolBreach, ProtocolReason
from audiod.linger import GRACE, GREETING
from audiod.server import Server


class Door:
    """A server over FakeEngine whose clients break the protocol."""

    def __init__(self, path: Path, engine: FakeEngine, dispatch: Dispatch) -> None:
        self.path, self.engine, self.dispatch = path, engine, dispatch
        self.socks: list[socket.socket] = []

    async def guest(self) -> FakeConn:
        sock = socket.socket(socket.AF_UNIX)
        self.socks.append(sock)
        sock.connect(str(self.path))
        await wait_all_tasks_blocked()
        return self.engine.conns[max(self.engine.conns)]

    async def rude(self, *, deaf: bool) -> FakeConn:
        conn = await self.guest()
        conn.deaf = deaf
        self.engine.post(ProtocolBreach(conn.id, ProtocolReason.FORMAT, -1))
        await wait_all_tasks_blocked()
        return conn


@asynccontextmanager
async def door(folder: Path) -> AsyncIterator[Door]:
    engine = FakeEngine()
    opts = options.parse(["--sndio", "none", "--socket", str(folder / "s"), "-f", "null"])
    server = Server(config.resolve(opts, {}, 1000), make_engine=lambda prio: engine)  # type: ignore[arg-type,return-value]

    async def serve(*, task_status: trio.TaskStatus[Dispatch]) -> None:
        await server.serve(signals=False, task_status=task_status)

    async with trio.open_nursery() as nursery:
        made = Door(folder / "s", engine, await nursery.start(serve))
        yield made
        for sock in made.socks:
            sock.close()
        server.end()


async def test_who_does_not_read_is_cut_off_after_the_grace(
    tmp_path: Path, mock_clock: MockClock, logged: io.StringIO
) -> None:
    async with door(tmp_path) as d:
        first = await d.rude(deaf=True)
        mock_clock.jump(GRACE / 2)
        second = await d.rude(deaf=True)
        assert not first.freed, "it has its time"
        mock_clock.jump(GRACE / 2)
        await wait_all_tasks_blocked()
        assert first.freed and not second.freed, "each has its own"
        assert set(d.dispatch.sessions) == {second.id}
        mock_clock.jump(GRACE / 2)
        await wait_all_tasks_blocked()
        assert second.freed and not d.dispatch.sessions
        assert logged.getvalue().count("client.cut") == 2
        third = await d.rude(deaf=True)
        mock_clock.jump(GRACE)
        await wait_all_tasks_blocked()
        assert third.freed, "and again later"


async def test_who_reads_is_gone_before(tmp_path: Path, mock_clock: MockClock, logged: io.StringIO) -> None:
    async with door(tmp_path) as d:
        conn = await d.rude(deaf=False)
        assert conn.freed
        mock_clock.jump(2 * GRACE)
        await wait_all_tasks_blocked()
        assert "client.cut" not in logged.getvalue()


async def test_a_real_socket_that_is_full(tmp_path: Path, mock_clock: MockClock) -> None:
    """The compiled engine: answers fill the socket's buffer, the last words wait behind them."""
    async with stage(tmp_path) as st:
        c = await st.client()
        sessions = st.dispatch.sessions
        ident = next(iter(sessions))
        waiting = c.sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        answer = len(msgpack.packb(await c.ask("devices")))
        for _ in range(waiting // answer + 20):
            c.request("devices")
        c.send(b"\xc1")
        await st.settle()
        assert sessions[ident].closing, "it has been told, and cannot read it"
        mock_clock.jump(GRACE)
        await st.settle()
        assert ident not in sessions
        words = c.last_words()
        assert all(m[0] == 1 for m in words[:-1]), "what was in the socket still is"


async def test_who_never_says_who_it_is_is_closed_and_told(
    tmp_path: Path, mock_clock: MockClock, logged: io.StringIO
) -> None:
    async with door(tmp_path) as d:
        silent = await d.guest()
        polite = await d.guest()
        polite.receive(msgpack.packb([0, 1, "hello", [{"version": 1, "client": "polite"}]]))
        await wait_all_tasks_blocked()
        mock_clock.jump(GREETING)
        await wait_all_tasks_blocked()
        assert silent.freed and not polite.freed
    assert "it has not said who it is" in logged.getvalue()
