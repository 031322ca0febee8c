"""Who is let in, row by row of tests/access.py: real users, real sockets, a service of the machine.

Every kind of connection that sndio's wire has comes in by the same rule; each refusal is in the
log with its reason, and nobody who is there notices.
"""

from __future__ import annotations

import contextlib
import grp
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import units
from access import Row, rows
from audiod_protocol.sndio import messages as m
from users import ALICE, BOB, PATIENCE, SERVER, Service, as_user, needs_root, service

SAME, OTHER = b"a" * 16, b"b" * 16
PLAY, MIDI, CONTROL = m.WireMode.PLAY, m.WireMode.MIDIIN, m.WireMode.CTLREAD
PLACES = {"native": "/run/audiod/audiod-{}.sock", "unix": "/tmp/sndio/sock{}"}


class Door:
    """A service with one policy; `unit` is that of its TCP port."""

    def __init__(self, server: Service, unit: int, audio: int) -> None:
        self.server = server
        self.unit = unit
        self.users = {"root": (0,), "server": (SERVER,), "alice": (ALICE, audio), "bob": (BOB,)}

    def connect(self, who: str, by: str) -> socket.socket:
        """Raises OSError."""
        with as_user(*self.users[who]):
            if by == "tcp":
                return socket.create_connection(("127.0.0.1", m.BASE_PORT + self.unit), PATIENCE)
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(PATIENCE)
            try:
                sock.connect(str(self.server.path(PLACES[by].format(self.unit))))
            except OSError:
                sock.close()
                raise
            return sock

    def refusals(self) -> list[str]:
        return [line for line in self.server.log.splitlines() if "event=client.refused" in line]


@contextlib.contextmanager
def opened(share: str, folder: Path) -> Iterator[Door]:
    try:
        audio = grp.getgrnam("audio").gr_gid
    except KeyError:
        pytest.skip("there is no group audio here: nothing to show of its members")
    with units.unit() as unit:
        made = f"mkdir -m 755 /run/audiod && chown {SERVER}:{SERVER} /run/audiod"
        words = ["-U", str(unit), "-L", "127.0.0.1", "--share", share]
        unit_file = {"RUNTIME_DIRECTORY": "/run/audiod"}
        with service(folder, *words, env=unit_file, prepare=made, groups=[audio]) as server:
            yield Door(server, unit, audio)


def hello(sock: socket.socket, cookie: bytes, mode: int) -> bool:
    """Say who it is, as libsndio does; whether it was let in."""
    devnum = 16 if mode == MIDI else m.NO_DEVNUM
    said = m.Hello(mode=mode, devnum=devnum, id=os.getpid(), opt="default", who="test")
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before it was heard
        sock.sendall(m.encode(m.Auth(cookie)) + m.encode(said))
    try:
        answer = sock.recv(m.MSG_SIZE, socket.MSG_WAITALL)
    except ConnectionResetError:
        return False
    assert answer in (b"", m.encode(m.Ack()))
    return answer != b""


def leave(sock: socket.socket) -> None:
    """Go, and wait until the server has noticed: so that nobody is in a session that is over."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        sock.sendall(m.encode(m.Bye()))
    with contextlib.suppress(ConnectionResetError):
        while sock.recv(4096):
            pass
    sock.close()


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Door]]:
    """A service for each policy."""
    with contextlib.ExitStack() as stack:
        shares = {row.share for row in rows()}
        yield {share: stack.enter_context(opened(share, tmp_path_factory.mktemp(share))) for share in shares}


@needs_root
@pytest.mark.parametrize("row", rows(), ids=str)
def test_row(doors: dict[str, Door], row: Row) -> None:
    door, there = doors[row.share], None
    if row.there:
        there = door.connect(row.there, row.there_by)
        assert hello(there, SAME, PLAY)
    cookies = (SAME, OTHER) if row.same_cookie is None else (SAME if row.same_cookie else OTHER,)
    for who, admitted in row.admitted.items():
        if row.by == "native":
            _native(door, who, admitted)
            continue
        for cookie in cookies:
            for mode in (PLAY, MIDI, CONTROL):
                before = len(door.refusals())
                sock = door.connect(who, row.by)
                assert hello(sock, cookie, mode) == admitted, (who, mode)
                leave(sock)
                told = door.refusals()[before:]
                assert len(told) == (not admitted), "each refusal is a line in the log, nothing else is"
                for line in told:
                    assert "reason=" in line and "hint=" in line
                    assert f"uid={door.users[who][0]} " in line if row.by == "unix" else "address=" in line
    assert OTHER.hex() not in door.server.log and OTHER.decode() not in door.server.log
    if there is not None:
        there.sendall(m.encode(m.Getpar()))
        assert isinstance(m.decode_server(there.recv(m.MSG_SIZE, socket.MSG_WAITALL)), m.ParReply), (
            "it plays on"
        )
        leave(there)


def _native(door: Door, who: str, admitted: bool) -> None:
    """Whom the socket's file keeps out never comes as far as the server."""
    try:
        door.connect(who, "native").close()
    except PermissionError:
        assert not admitted, who
    else:
        assert admitted, who


@needs_root
def test_what_is_one_users_own_is_that_users_and_roots(tmp_path: Path) -> None:
    with service(tmp_path, "--socket", "/tmp/native.sock") as server:
        path = str(server.path(f"/tmp/sndio-{SERVER}/sock0"))
        for uid, admitted in ((SERVER, True), (0, True), (ALICE, False), (BOB, False)):
            with as_user(uid) if uid else contextlib.nullcontext(), socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(PATIENCE)
                try:
                    sock.connect(path)
                except PermissionError:
                    assert not admitted
                else:
                    assert admitted and hello(sock, SAME, PLAY)
                    leave(sock)
