"""listener.py: the socket's file, stale and live, its mode, credentials, who is turned away."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import msgpack
import pytest
import trio

from audiod import listener
from audiod.config import Listen
from audiod.errors import StartError
from audiod.listener import Listener, Peer, peer_of

EUID = os.geteuid()


def listen(path: Path, mode: int | None = None) -> Listener:
    return Listener(Listen(path, mode, group=False), euid=EUID, audio_gid=None)


def connect(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    return sock


def leave_stale(path: Path) -> None:
    """What a server that was killed leaves."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


# ---- the file ----


def test_the_file_comes_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "s"
    opened = listen(path, 0o700)
    assert path.is_socket()
    assert path.stat().st_mode & 0o777 == 0o660
    assert path.parent.stat().st_mode & 0o777 == 0o700
    opened.close()
    assert not path.exists()
    opened.close()  # twice is fine


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    leave_stale(path)
    opened = listen(path)
    connect(path).close()
    opened.close()


def test_a_live_socket_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    first = listen(path)
    with pytest.raises(StartError, match="a server is running there"):
        listen(path)
    connect(path).close()
    first.close()


def test_a_live_socket_whose_backlog_is_full_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    waiting: list[socket.socket] = []
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(path))
        busy.listen(0)
        for _ in range(3):
            one = socket.socket(socket.AF_UNIX)
            one.setblocking(False)
            waiting.append(one)
            if one.connect_ex(str(path)) == errno.EAGAIN:
                break
        else:
            pytest.fail("the backlog was never full")
        with pytest.raises(StartError, match="a server is running there"):
            listen(path)
        for one in waiting:
            one.close()
    assert path.is_socket()


def test_what_is_no_socket_is_never_removed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(StartError, match="is not a socket"):
        listen(path)
    assert path.read_text() == "precious"
    leave_stale(tmp_path / "real")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")
    with pytest.raises(StartError, match="is not a socket"):
        listen(link)
    assert (tmp_path / "real").is_socket()


def test_the_file_of_a_successor_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    first = listen(path)
    path.unlink()
    second = listen(path)
    first.close()
    connect(path).close()
    second.close()


def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="too long"):
        listen(tmp_path / ("x" * 108))


def test_two_that_start_at_once(tmp_path: Path) -> None:
    """While one probes and binds, the other must not remove what it has just made."""
    with (
        listener._alone(tmp_path),
        pytest.raises(StartError, match="just starting"),
    ):
        listen(tmp_path / "s")
    listen(tmp_path / "s").close()


def test_the_group_gets_the_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[Path, int, int]] = []
    monkeypatch.setattr(os, "chown", lambda path, uid, gid: given.append((path, uid, gid)))
    path = tmp_path / "d" / "s"
    Listener(Listen(path, 0o755, group=True), euid=EUID, audio_gid=29).close()
    Listener(Listen(path, 0o755, group=False), euid=EUID, audio_gid=29).close()
    assert given == [(path, -1, 29)]


# ---- peers ----


def test_credentials() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        peer = peer_of(ours)
    assert (peer.uid, peer.gid, peer.pid) == (EUID, os.getegid(), os.getpid())
    assert peer.gids == {os.getegid(), *os.getgroups()}


async def accept_one(
    path: Path, opened: Listener, use: Callable[[], None]
) -> list[tuple[socket.socket, Peer]]:
    accepted: list[tuple[socket.socket, Peer]] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(opened.serve, lambda sock, peer: accepted.append((sock, peer)))
        use()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return accepted


async def test_a_peer_is_let_in(tmp_path: Path) -> None:
    path = tmp_path / "s"
    opened = listen(path)
    clients: list[socket.socket] = []
    ((sock, peer),) = await accept_one(path, opened, lambda: clients.append(connect(path)))
    assert peer.uid == EUID
    sock.sendall(b"hello")
    assert clients[0].recv(5) == b"hello"
    sock.close()
    clients[0].close()
    opened.close()


async def test_a_peer_is_turned_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s"
    opened = listen(path)
    stranger = Peer(EUID + 1, EUID + 1, 77, frozenset({EUID + 1}))
    monkeypatch.setattr(listener, "peer_of", lambda sock: stranger)
    clients: list[socket.socket] = []
    assert await accept_one(path, opened, lambda: clients.append(connect(path))) == []
    kind, method, (fault,) = msgpack.unpackb(clients[0].recv(4096))
    assert (kind, method, fault["code"]) == (2, "error", "EPERM")
    assert "group audio" in fault["hint"]
    assert clients[0].recv(1) == b""
    clients[0].close()
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
    opened = listen(tmp_path / "s")
    monkeypatch.setattr(trio.socket, "from_stdlib_socket", lambda sock: stumbling)
    begin = trio.current_time()
    waiting = connect(tmp_path / "s")
    try:
        with trio.move_on_after(10):
            await opened.serve(lambda sock, peer: None)
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
