"""listener.py: credentials, who is let in and who is turned away, on each wire; a failing accept."""

from __future__ import annotations

import errno
import io
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import msgpack
import pytest
import trio

from audiod import listener, tcp
from audiod.config import Listen
from audiod.engine import Wire
from audiod.listener import Listener, Opened, Peer, peer_of
from audiod.policy import Rules, Share
from audiod.unixsocket import UnixSocket

EUID = os.geteuid()
RULES = Rules(server_uid=EUID)
STRANGER = Peer(EUID + 1, EUID + 1, 77, frozenset({EUID + 1}))


def opened_at(path: Path) -> UnixSocket:
    return UnixSocket(Listen(path, None, group=False), euid=EUID)


def connect(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    return sock


def test_credentials() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        peer = peer_of(ours)
    assert (peer.uid, peer.gid, peer.pid) == (EUID, os.getegid(), os.getpid())
    assert peer.gids == {os.getegid(), *os.getgroups()}


async def accept_one(
    opened: Opened, use: Callable[[], None], wire: Wire = Wire.NATIVE, rules: Rules = RULES
) -> list[tuple[socket.socket, Peer, Wire]]:
    accepted: list[tuple[socket.socket, Peer, Wire]] = []
    async with trio.open_nursery() as nursery:
        door = Listener(opened, wire, rules)
        nursery.start_soon(door.serve, lambda *one: accepted.append(one))
        use()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return accepted


@pytest.mark.parametrize("wire", Wire)
async def test_a_peer_is_let_in(tmp_path: Path, wire: Wire) -> None:
    path = tmp_path / "s"
    opened = opened_at(path)
    clients: list[socket.socket] = []
    ((sock, peer, spoken),) = await accept_one(opened, lambda: clients.append(connect(path)), wire)
    assert (peer.uid, spoken) == (EUID, wire)
    sock.sendall(b"hello")
    assert clients[0].recv(5) == b"hello"
    sock.close()
    clients[0].close()
    opened.close()


async def test_a_peer_is_turned_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: io.StringIO
) -> None:
    path = tmp_path / "s"
    opened = opened_at(path)
    monkeypatch.setattr(listener, "peer_of", lambda sock: STRANGER)
    clients: list[socket.socket] = []
    assert await accept_one(opened, lambda: clients.append(connect(path))) == []
    kind, method, (fault,) = msgpack.unpackb(clients[0].recv(4096))
    assert (kind, method, fault["code"]) == (2, "error", "EPERM")
    assert "group audio" in fault["hint"]
    assert clients[0].recv(1) == b""
    assert f"uid={EUID + 1} pid=77" in logged.getvalue() and f"socket={path}" in logged.getvalue()
    clients[0].close()
    opened.close()


@pytest.mark.parametrize(
    ("rules", "let_in"),
    [
        (Rules(EUID), False),  # a user's server
        (Rules(EUID, public=True), True),  # the machine's: its cookie will decide
        (Rules(EUID, public=True, share=Share.GROUP), False),
    ],
)
async def test_sndios_wire_has_no_words_for_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: io.StringIO, rules: Rules, let_in: bool
) -> None:
    path = tmp_path / "s"
    opened = opened_at(path)
    monkeypatch.setattr(listener, "peer_of", lambda sock: STRANGER)
    clients: list[socket.socket] = []
    accepted = await accept_one(opened, lambda: clients.append(connect(path)), Wire.SNDIO, rules)
    assert bool(accepted) == let_in
    for sock, _, _ in accepted:
        sock.close()
    assert clients[0].recv(1) == b""
    assert ("client.refused" in logged.getvalue()) != let_in
    assert let_in or "may not use this server" in logged.getvalue()
    clients[0].close()
    opened.close()


async def test_a_peer_over_tcp() -> None:
    (opened,) = tcp.listen(["127.0.0.1"], 0)
    clients: list[socket.socket] = []

    def call() -> None:
        clients.append(socket.create_connection(opened.sock.getsockname()))

    ((sock, peer, wire),) = await accept_one(opened, call, Wire.SNDIO)
    host, port = clients[0].getsockname()
    assert peer == Peer(None, None, None, frozenset(), f"{host}:{port}") and wire is Wire.SNDIO
    assert peer.facts == {"address": f"127.0.0.1:{port}"} and str(peer) == f"127.0.0.1:{port} over TCP"
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), "a dead host does not keep the session"
    sock.close()
    clients[0].close()
    opened.close()


async def test_a_peer_that_has_gone_already(logged: io.StringIO) -> None:
    """Reset before it was accepted: nobody hears of it but the log."""
    (opened,) = tcp.listen(["127.0.0.1"], 0)

    def call() -> None:
        with socket.create_connection(opened.sock.getsockname()) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    assert await accept_one(opened, call, Wire.SNDIO) == []
    assert "its credentials cannot be read" in logged.getvalue()
    opened.close()


class Stumbling:
    """A listening socket whose accept fails in the given ways, then never returns."""

    def __init__(self, *errnos: int) -> None:
        self.errnos = list(errnos)

    async def accept(self) -> None:
        if self.errnos:
            number = self.errnos.pop(0)
            raise OSError(number, os.strerror(number))
        await trio.sleep_forever()


async def serve_stumbling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stumbling: Stumbling) -> float:
    opened = opened_at(tmp_path / "s")
    monkeypatch.setattr(trio.socket, "from_stdlib_socket", lambda sock: stumbling)
    begin = trio.current_time()
    waiting = connect(tmp_path / "s")
    try:
        with trio.move_on_after(10):
            await Listener(opened, Wire.NATIVE, RULES).serve(lambda sock, peer, wire: None)
    finally:
        waiting.close()
        opened.close()
    assert stumbling.errnos == []
    return trio.current_time() - begin


async def test_transient_errors_of_accept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    stumbling = Stumbling(errno.ECONNABORTED, errno.EINTR, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
    assert await serve_stumbling(tmp_path, monkeypatch, stumbling) == pytest.approx(10)


async def test_other_errors_of_accept_are_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        await serve_stumbling(tmp_path, monkeypatch, Stumbling(errno.EBADF))
