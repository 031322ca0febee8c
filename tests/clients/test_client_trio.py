"""What only the trio client has: tasks that share a connection, and cancellation at any point."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack

import audiod_client.aio
import pytest
import trio
import trio.testing
from audiod_client import StreamError
from audiod_protocol.connection import Connection
from audiod_protocol.events import Notification, Request
from clients.fake_audiod import ROUND, FakeAudiod, Peer

PCM = bytes(i % 253 for i in range(4 * 3000))


def silent(peer: Peer, event: Request | Notification) -> None:
    """A server that does not answer."""


async def test_tasks_share_a_connection(server: FakeAudiod) -> None:
    statuses = []

    async def play(connection: audiod_client.aio.Connection) -> None:
        async with connection.open() as s:
            await s.start()
            for i in range(0, len(PCM), 100):
                await s.write(PCM[i : i + 100])
            await s.stop()

    async def record(connection: audiod_client.aio.Connection) -> None:
        async with connection.open(mode="rec") as s:
            await s.start()
            got = 0
            while got < 4 * 4 * ROUND:
                got += len(await s.read(333))
            await s.flush()

    async def ask(connection: audiod_client.aio.Connection) -> None:
        for _ in range(20):
            statuses.append(await connection.request("status"))

    async with audiod_client.aio.connect() as connection, trio.open_nursery() as nursery:
        for task in (play, play, record, ask, ask):
            nursery.start_soon(task, connection)
    assert len(statuses) == 40
    server.settle()
    assert [bytes(s.written) for s in server.streams if s.mode.name == "PLAY"] == [PCM, PCM]


async def test_the_reader_that_is_cancelled_hands_over(server: FakeAudiod) -> None:
    """The task that waits for the socket goes; another that needs it must take its place."""
    gate = threading.Event()
    answered = []

    def status(peer: Peer, request: Request) -> None:
        gate.wait()
        peer.standard(request)

    async def wait_forever(connection: audiod_client.aio.Connection, scope: trio.CancelScope) -> None:
        with scope:
            await connection.change()

    async def ask(connection: audiod_client.aio.Connection) -> None:
        answered.append(await connection.request("status"))

    server.on("status", status)
    async with audiod_client.aio.connect() as connection, trio.open_nursery() as nursery:
        scope = trio.CancelScope()
        nursery.start_soon(wait_forever, connection, scope)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(ask, connection)
        await trio.testing.wait_all_tasks_blocked()
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        gate.set()
    assert len(answered) == 1


async def test_a_cancelled_write_is_accounted_for(server: FakeAudiod) -> None:
    server.on("write", silent)
    async with audiod_client.aio.open() as s:
        await s.setpar(appbufsz=100)
        await s.start()
        await s.write(PCM[:4])  # so the credit is there
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(s.write, PCM[4:])
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
        assert scope.cancelled_caught
        assert (s.written, s.credit) == (100, 0)
        await s.stop()
    server.settle()
    assert bytes(server.streams[0].written) == PCM[:400]


async def test_a_cancelled_block_does_not_wait_for_the_drain(server: FakeAudiod) -> None:
    with trio.CancelScope() as scope:
        async with audiod_client.aio.open() as s:
            await s.start()
            await s.write(PCM[:400])
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert s.eof
    server.settle()
    assert server.methods()[-2:] == ["flush", "close"]


async def test_a_drain_that_never_ends_can_be_cancelled(server: FakeAudiod) -> None:
    server.on("stop", silent)
    server.on("close", silent)
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery, audiod_client.aio.open() as s:
            await s.start()
            nursery.start_soon(s.stop)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    assert scope.cancelled_caught
    server.settle()
    assert server.methods()[-3:] == ["stop", "flush", "close"]


async def test_a_cancelled_open_closes_what_comes_later(server: FakeAudiod) -> None:
    held: list[tuple[Peer, Request]] = []
    server.on("open", lambda peer, request: held.append((peer, request)))

    def status(peer: Peer, request: Request) -> None:
        for opener, opening in held:
            opener.standard(opening)
        peer.standard(request)

    server.on("status", status)
    async with audiod_client.aio.connect() as connection:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                async def opening() -> None:
                    async with connection.open():
                        raise AssertionError("it was cancelled")

                nursery.start_soon(opening)
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
        await connection.request("status")
        await connection.request("devices")
    server.settle()
    assert server.methods() == ["hello", "open", "status", "close", "devices"]
    assert server.streams[0].state == "closed"


async def test_every_call_is_a_checkpoint(server: FakeAudiod) -> None:
    async with audiod_client.aio.open() as s:
        await s.start()
        with trio.testing.assert_checkpoints():
            await s.write(b"")
        with trio.testing.assert_checkpoints():
            await s.write(b"abcd")
        with trio.testing.assert_checkpoints():
            await s.setvol(3)
        with trio.CancelScope() as scope:
            scope.cancel()
            await s.write(b"abcd")
        assert scope.cancelled_caught
        assert s.written == 1


async def test_closing_the_connection_wakes_the_tasks_that_wait_for_it(server: FakeAudiod) -> None:
    errors = []

    async def wait(connection: audiod_client.aio.Connection) -> None:
        with pytest.raises(StreamError) as closed:
            await connection.change()
        errors.append(closed.value.code)

    async with trio.open_nursery() as nursery, audiod_client.aio.connect() as connection:
        nursery.start_soon(wait, connection)
        nursery.start_soon(wait, connection)
        await trio.testing.wait_all_tasks_blocked()
    assert errors == ["EBADF", "EBADF"]


async def test_a_write_ends_early_when_another_task_stops_the_stream(server: FakeAudiod) -> None:
    server.on("write", silent)
    counts = []
    async with audiod_client.aio.open() as s, trio.open_nursery() as nursery:
        await s.start()
        await s.write(PCM[:4])  # so the credit is there

        async def write() -> None:
            counts.append(await s.write(PCM))

        nursery.start_soon(write)
        await trio.testing.wait_all_tasks_blocked()
        await s.flush()
    assert counts == [959 * 4]
    server.settle()


async def test_connecting_waits_while_the_backlog_is_full(
    tmp_path_factory: pytest.TempPathFactory, autojump_clock: trio.testing.MockClock
) -> None:
    path = str(tmp_path_factory.mktemp("b") / "s")
    connected = []

    async def connect() -> None:
        async with audiod_client.aio.connect(path) as connection:
            connected.append(connection.server["unit"])

    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen(0)
        others = []
        with pytest.raises(BlockingIOError):
            while True:
                others.append(stack.enter_context(socket.socket(socket.AF_UNIX)))
                others[-1].setblocking(False)
                others[-1].connect(path)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connect)
            await trio.sleep(1)
            assert not connected
            for _ in others[:-1]:
                listener.accept()[0].close()
            await trio.lowlevel.wait_readable(listener)
            peer = stack.enter_context(listener.accept()[0])
            await trio.lowlevel.wait_readable(peer)
            wire = Connection("server")
            wire.receive_data(peer.recv(4096))
            hello = wire.next_event()
            assert isinstance(hello, Request)
            peer.send(wire.send_response(hello.id, {"version": 1, "server": "x", "features": [], "unit": 3}))
    assert connected == [3]


@pytest.mark.parametrize("leaver", range(5))
async def test_whoever_waits_for_a_full_socket_may_leave(server: FakeAudiod, leaver: int) -> None:
    """One task waits to write, one to read, the rest for them: each of them may be cancelled."""
    gate = threading.Event()
    held: list[Request] = []
    answered = []

    def bulk(peer: Peer, request: Request) -> None:
        gate.wait()
        held.append(request)
        if len(held) == 10:  # not before, so that nobody is woken by an answer
            for request in held:
                peer.answer(request)

    async def ask(connection: audiod_client.aio.Connection, number: int, scope: trio.CancelScope) -> None:
        with scope:
            await connection.request("bulk", filling="x" * 75_000)
            answered.append(number)

    server.on("bulk", bulk)
    scopes = [trio.CancelScope() for _ in range(10)]
    async with audiod_client.aio.connect() as connection, trio.open_nursery() as nursery:
        for number, scope in enumerate(scopes):
            nursery.start_soon(ask, connection, number, scope)
            await trio.testing.wait_all_tasks_blocked()
        scopes[leaver].cancel()
        await trio.testing.wait_all_tasks_blocked()
        gate.set()
    assert sorted(answered) == [number for number in range(10) if number != leaver]
