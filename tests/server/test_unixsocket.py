"""unixsocket.py: the socket's file, stale and live, its directory, its owner, their modes."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from audiod import unixsocket
from audiod.config import Listen
from audiod.errors import StartError
from audiod.unixsocket import UnixSocket

EUID = os.geteuid()


def listen(path: Path, mode: int | None = None) -> UnixSocket:
    return UnixSocket(Listen(path, mode, group=False), euid=EUID)


def connect(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    return sock


def leave_stale(path: Path) -> None:
    """What a server that was killed leaves."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


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
        unixsocket._alone(Listen(tmp_path / "s", None, group=False)),
        pytest.raises(StartError, match="just starting"),
    ):
        listen(tmp_path / "s")
    listen(tmp_path / "s").close()


def test_the_group_gets_the_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[Path, int, int]] = []
    monkeypatch.setattr(os, "chown", lambda path, uid, gid: given.append((path, uid, gid)))
    path = tmp_path / "d" / "s"
    UnixSocket(Listen(path, 0o755, group=True), euid=EUID, gid=29).close()
    UnixSocket(Listen(path, 0o755, group=False), euid=EUID, gid=29).close()
    assert given == [(path, -1, 29)]


def test_the_group_is_not_the_servers_to_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "chown", refuse)
    with pytest.raises(StartError, match="may not give it to group audio") as refused:
        UnixSocket(Listen(tmp_path / "s", None, group=True), euid=EUID, gid=29, group="audio")
    assert "member of audio" in refused.value.hint
    assert not (tmp_path / "s").exists(), "nothing is left of the attempt"


# ---- sndio's place ----


@pytest.mark.parametrize("mask", [0, 0o022, 0o077, 0o777])
@pytest.mark.parametrize("dir_mode", [0o755, 0o700])
def test_modes_whatever_the_umask(tmp_path: Path, mask: int, dir_mode: int) -> None:
    place = Listen(tmp_path / "sndio" / "sock3", dir_mode, group=False, mode=0o666, option="--sndio")
    for _ in range(2):  # in a directory that it makes, and in one that is there
        with umask(mask):
            opened = UnixSocket(place, euid=EUID)
        assert place.path.stat().st_mode & 0o7777 == 0o666
        assert place.path.parent.stat().st_mode & 0o7777 == dir_mode
        opened.close()
        assert not place.path.exists()


def sndio(path: Path, dir_mode: int = 0o755, euid: int = EUID) -> UnixSocket:
    return UnixSocket(Listen(path, dir_mode, group=False, mode=0o666, option="--sndio"), euid=euid)


def test_a_directory_of_ours_is_opened_to_whom_it_is_for(tmp_path: Path) -> None:
    (tmp_path / "sndio").mkdir(mode=0o700)
    opened = sndio(tmp_path / "sndio" / "sock0")
    assert (tmp_path / "sndio").stat().st_mode & 0o777 == 0o755
    opened.close()


def test_units_are_neighbours(tmp_path: Path) -> None:
    first, second = sndio(tmp_path / "sndio" / "sock0"), sndio(tmp_path / "sndio" / "sock1")
    first.close()
    connect(second.path).close()
    second.close()


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777, 0o1777])
def test_a_directory_that_others_may_write(tmp_path: Path, mode: int) -> None:
    directory = tmp_path / "sndio"
    directory.mkdir()
    directory.chmod(mode)
    with pytest.raises(StartError, match="lets others in") as refused:
        sndio(directory / "sock0")
    assert refused.value.hint == f"chmod 0755 {directory}"
    assert list(directory.iterdir()) == [], "nothing was put there"


def test_a_directory_that_was_there_first(tmp_path: Path) -> None:
    directory = tmp_path / "sndio"
    directory.mkdir(mode=0o755)
    with pytest.raises(StartError, match=f"belongs to user {EUID}, not to {EUID + 1}") as refused:
        sndio(directory / "sock0", euid=EUID + 1)
    assert "--sndio" in refused.value.hint
    (tmp_path / "link").symlink_to(directory)
    with pytest.raises(StartError, match="not a directory of its own"):
        sndio(tmp_path / "link" / "sock0")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StartError, match="not a directory of its own"):
        sndio(tmp_path / "dangling" / "sock0")
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match="not a directory of its own"):
        sndio(tmp_path / "file" / "sock0")
    assert list(directory.iterdir()) == [] and not (tmp_path / "nowhere").exists()


def test_a_live_server_may_be_done_without(tmp_path: Path) -> None:
    path = tmp_path / "sndio" / "sock0"
    first = sndio(path)
    with pytest.raises(StartError, match="a server is running there") as refused:
        sndio(path)
    assert "-U" in refused.value.hint and "--sndio none" in refused.value.hint
    first.close()


def test_who_may_only_read_a_directory_cannot_keep_a_server_from_starting(tmp_path: Path) -> None:
    path = tmp_path / "sndio" / "sock0"
    sndio(path).close()
    held = os.open(path.parent, os.O_RDONLY)  # what any user of the machine can do, for ever
    fcntl.flock(held, fcntl.LOCK_EX)
    sndio(path).close()
    os.close(held)
    assert (path.parent / unixsocket.LOCK).stat().st_mode & 0o777 == 0o600


def test_the_system_directory_needs_its_unit_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = tmp_path / "none" / "audiod"
    monkeypatch.setattr(unixsocket, "SYSTEM_DIR", system)
    with pytest.raises(StartError, match="No such file") as refused:
        listen(system / "s", 0o755)
    assert "RuntimeDirectory=audiod" in refused.value.hint
