"""Where sndio's programs find the server, who may come in there, and whose it is then.

Real processes and sockets.  Connections say AUTH and HELLO as libsndio does; the
answer is ACK, or the end of the connection with the reason in the server's log.
"""

from __future__ import annotations

import contextlib
import grp
import os
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from audiod_protocol.sndio import messages as m
from daemon import BIN, PATIENCE, running
from units import a_unit
from users import ALICE, BOB, SERVER, as_user, needs_root, service

__all__ = ["a_unit"]

EUID = os.geteuid()
OWN = Path("/tmp/sndio") if EUID == 0 else Path(f"/tmp/sndio-{EUID}")
HERS, HIS = b"a" * 16, b"b" * 16
AUDIO = 29  # in Debian


class Program:
    """A connection of sndio's wire that has said who it is."""

    def __init__(self, sock: socket.socket, cookie: bytes) -> None:
        self.sock = sock
        sock.settimeout(PATIENCE)
        hello = m.Hello(mode=1, devnum=m.NO_DEVNUM, id=os.getpid(), opt="default", who="test")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before it was heard
            sock.sendall(m.encode(m.Auth(cookie)) + m.encode(hello))

    @property
    def admitted(self) -> bool:
        try:
            answer = self.sock.recv(m.MSG_SIZE, socket.MSG_WAITALL)
        except ConnectionResetError:
            return False
        assert answer in (b"", m.encode(m.Ack()))
        return answer != b""

    def close(self) -> None:
        """Leave, and wait until the server has noticed."""
        self.sock.sendall(m.encode(m.Bye()))
        assert self.sock.recv(1) == b""
        self.sock.close()


@pytest.fixture
def programs() -> Iterator[list[Program]]:
    made: list[Program] = []
    yield made
    for one in made:
        one.sock.close()


def by_path(path: Path, cookie: bytes = HERS) -> Program:
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect(str(path))
    except OSError:
        sock.close()
        raise
    return Program(sock, cookie)


def by_tcp(host: str, unit: int, cookie: bytes = HERS) -> Program:
    return Program(socket.create_connection((host, m.BASE_PORT + unit)), cookie)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# ---- the file ----


def test_it_is_where_libsndio_looks(tmp_path: Path, a_unit: int) -> None:
    path = OWN / f"sock{a_unit}"
    with running(tmp_path, "-f", "null", unit=a_unit, sndio="") as daemon:
        assert (mode(path), mode(OWN)) == (0o666, 0o755 if EUID == 0 else 0o700)
        assert path.stat().st_uid == OWN.stat().st_uid == EUID
        assert daemon.ask("status")["sockets"] == [str(daemon.socket), str(path)]
        program = by_path(path)
        assert program.admitted
        program.close()
    assert not path.exists()


def test_a_killed_servers_socket_is_replaced_a_live_ones_never(tmp_path: Path, a_unit: int) -> None:
    path = OWN / f"sock{a_unit}"
    with running(tmp_path, "-f", "null", unit=a_unit, sndio="") as killed:
        killed.stop(signal.SIGKILL)
    assert path.is_socket()
    with running(tmp_path, "-f", "null", unit=a_unit, sndio="") as daemon:
        said = refused_start(tmp_path, "-U", str(a_unit))
        assert f"{path}: a server is running there" in said
        assert "-U" in said and "--sndio none" in said
        program = by_path(path)
        assert program.admitted, daemon.log
        program.close()


def test_a_live_sndiods_socket_is_left_alone(tmp_path: Path, a_unit: int) -> None:
    """As a live server of any kind: this one has sndiod's backlog of 1, and it is full."""
    path = tmp_path / "sock"
    with socket.socket(socket.AF_UNIX) as sndiod, contextlib.ExitStack() as waiting:
        sndiod.bind(str(path))
        sndiod.listen(1)
        for _ in range(4):
            one = waiting.enter_context(socket.socket(socket.AF_UNIX))
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect(str(path))
        assert "a server is running there" in refused_start(tmp_path, "--sndio", str(path))
    assert path.is_socket()


def test_the_umask_changes_nothing(tmp_path: Path, a_unit: int) -> None:
    for mask in ("000", "077", "177"):
        place = tmp_path / mask
        place.mkdir()
        done = f'umask {mask}; exec "$0" "$@"'
        words = [BIN / "audiod", "--socket", place / "n", "--state", "none", "-U", str(a_unit), "-f", "null"]
        with subprocess.Popen(["sh", "-c", done, *words], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stdout.readline()
            try:
                assert (mode(place / "n"), mode(OWN / f"sock{a_unit}")) == (0o660, 0o666)
                assert mode(OWN) == (0o755 if EUID == 0 else 0o700)
            finally:
                process.terminate()
                assert process.wait(PATIENCE) == 0


def test_without(tmp_path: Path, a_unit: int) -> None:
    with running(tmp_path, "-f", "null", unit=a_unit, sndio="none") as daemon:
        assert daemon.ask("status")["sockets"] == [str(daemon.socket)]
        assert not (OWN / f"sock{a_unit}").exists()


def test_in_another_place(tmp_path: Path, a_unit: int) -> None:
    path = tmp_path / "elsewhere"
    with running(tmp_path, "-f", "null", unit=a_unit, sndio=str(path)):
        program = by_path(path)
        assert program.admitted
        program.close()
        assert not (OWN / f"sock{a_unit}").exists()
    assert not path.exists()


def refused_start(folder: Path, *args: str) -> str:
    done = subprocess.run(
        [BIN / "audiod", "--socket", folder / "other.sock", "--state", "none", "-f", "null", *args],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert not (folder / "other.sock").exists(), "nothing is left of the attempt"
    return done.stderr.splitlines()[-1]


# ---- whose it is ----


def test_the_session_ends_with_its_last_member(tmp_path: Path, a_unit: int, programs: list[Program]) -> None:
    """sndiod counts the first alone.  As root: over TCP, where root is nobody."""
    with running(tmp_path, "-f", "null", "-L", "127.0.0.1", unit=a_unit) as daemon:
        first, second = by_tcp("127.0.0.1", a_unit, HERS), by_tcp("127.0.0.1", a_unit, HERS)
        programs += first, second
        assert first.admitted and second.admitted
        first.close()
        stranger = by_tcp("127.0.0.1", a_unit, HIS)
        programs.append(stranger)
        assert not stranger.admitted
        host, port = second.sock.getsockname()
        assert f"which belongs to {host}:{port} over TCP" in daemon.log
        second.close()
        programs.append(by_tcp("127.0.0.1", a_unit, HIS))
        assert programs[-1].admitted
        cookies = (HERS, HIS)
        assert not any(c.decode() in daemon.log or c.hex() in daemon.log for c in cookies), "a secret"


def test_a_stream_from_another_machine_belongs_to_no_user(
    tmp_path: Path, a_unit: int, programs: list[Program]
) -> None:
    with running(tmp_path, "-f", "null", "-L", "127.0.0.1", unit=a_unit) as daemon:
        programs.append(by_tcp("127.0.0.1", a_unit))
        assert programs[-1].admitted
        (row,) = daemon.ask("streams")["streams"]
        assert (row["uid"], row["name"]) == (None, "test")
        daemon.ctl("streams")
        daemon.ctl("streams", "--json")


@needs_root
def test_root_is_let_into_any_session(tmp_path: Path, a_unit: int, programs: list[Program]) -> None:
    path = OWN / f"sock{a_unit}"
    with running(tmp_path, "-f", "null", unit=a_unit, sndio=""):
        programs.append(by_path(path, HIS))
        with as_user(ALICE):
            programs.append(by_path(path, HERS))
        programs.append(by_path(path, HIS))
        with as_user(BOB):
            stranger = by_path(path, HIS)
        programs.append(stranger)
        assert [one.admitted for one in programs] == [True, True, True, False]


# ---- a service that is not root ----


@needs_root
def test_every_users_programs_find_a_service(tmp_path: Path, programs: list[Program]) -> None:
    """The unit file says User= and RuntimeDirectory=audiod, no more."""
    unit_file = {"RUNTIME_DIRECTORY": "/run/audiod"}
    made = f"mkdir -m 755 /run/audiod && chown {SERVER}:{SERVER} /run/audiod"
    audio = _gid("audio")
    with service(tmp_path, env=unit_file, prepare=made, groups=[audio]) as server:
        directory, path = server.path("/tmp/sndio"), server.path("/tmp/sndio/sock0")
        assert (directory.stat().st_uid, mode(directory)) == (SERVER, 0o755)
        assert (path.stat().st_uid, mode(path)) == (SERVER, 0o666)
        native = server.path("/run/audiod/audiod.sock")
        assert (native.stat().st_gid, mode(native)) == (audio, 0o660)
        with as_user(ALICE):
            programs.append(by_path(path, HERS))
        with as_user(BOB):
            programs.append(by_path(path, HIS))
        assert [one.admitted for one in programs] == [True, False]
        assert f"uid={BOB}" in server.log and f"belongs to user {ALICE}, process {os.getpid()}" in server.log
        programs[0].close()
        with as_user(BOB):
            programs.append(by_path(path, HIS))
            with pytest.raises(PermissionError), socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(native))
        assert programs[-1].admitted
        with as_user(BOB, audio), socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(native))


@needs_root
def test_a_group_may_share_a_service(tmp_path: Path, programs: list[Program]) -> None:
    words = ["--system", "--socket", "/tmp/native.sock", "--share", "group"]
    with service(tmp_path, *words) as server:
        path = server.path("/tmp/sndio/sock0")
        audio = _gid("audio")
        with as_user(ALICE, audio):
            programs.append(by_path(path, HERS))
        with as_user(BOB, audio):
            programs.append(by_path(path, HIS))
        with as_user(SERVER):
            programs.append(by_path(path, HIS))
        programs.append(by_path(path, HIS))  # root
        with as_user(BOB):
            programs.append(by_path(path, HERS))
        assert [one.admitted for one in programs] == [True, True, True, True, False]
        assert f"user {BOB} may not use this server" in server.log


@needs_root
def test_what_is_one_users_own_is_closed_to_others(tmp_path: Path, programs: list[Program]) -> None:
    """Without --system the service is that user's own server."""
    with service(tmp_path, "--socket", "/tmp/native.sock") as server:
        directory = server.path(f"/tmp/sndio-{SERVER}")
        assert (directory.stat().st_uid, mode(directory)) == (SERVER, 0o700)
        assert not server.path("/tmp/sndio").exists()
        with as_user(ALICE), pytest.raises(PermissionError):
            by_path(directory / "sock0")
        with as_user(SERVER):
            programs.append(by_path(directory / "sock0"))
        assert programs[-1].admitted


@needs_root
@pytest.mark.parametrize(
    ("squat", "said"),
    [
        (f"mkdir -m 755 /tmp/sndio && chown {ALICE} /tmp/sndio", f"belongs to user {ALICE}, not to {SERVER}"),
        (
            f"mkdir /tmp/hers && chown {SERVER} /tmp/hers && ln -s hers /tmp/sndio",
            "not a directory of its own",
        ),
        (f"mkdir -m 1777 /tmp/sndio && chown {SERVER} /tmp/sndio", "lets others in"),
        ("touch /tmp/sndio", "not a directory of its own"),
    ],
)
def test_somebody_was_there_first(tmp_path: Path, squat: str, said: str) -> None:
    with (
        pytest.raises(AssertionError, match=f"audiod: /tmp/sndio: .*{said}.*"),
        service(tmp_path, "--system", "--socket", "/tmp/native.sock", prepare=squat),
    ):
        pass


def _gid(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        pytest.skip(f"there is no group {group} here: nothing to show of its members")


# ---- TCP ----


def test_tcp_is_off_by_default(tmp_path: Path, a_unit: int) -> None:
    with (
        running(tmp_path, "-f", "null", unit=a_unit),
        pytest.raises(ConnectionRefusedError),
    ):
        by_tcp("127.0.0.1", a_unit)


def test_tcp_on_chosen_addresses(tmp_path: Path, a_unit: int, programs: list[Program]) -> None:
    with running(tmp_path, "-f", "null", "-L", "127.0.0.1", "-L", "127.0.0.2", unit=a_unit) as daemon:
        port = m.BASE_PORT + a_unit
        assert daemon.ask("status")["sockets"][1:] == [f"127.0.0.1:{port}", f"127.0.0.2:{port}"]
        assert f"127.0.0.2:{port}" in daemon.ctl("status").stdout.decode()
        for host in "127.0.0.1", "127.0.0.2":
            programs.append(by_tcp(host, a_unit))
            assert programs[-1].admitted
        with pytest.raises(ConnectionRefusedError):
            by_tcp("127.0.0.3", a_unit)


def test_tcp_on_all_addresses(tmp_path: Path, a_unit: int, programs: list[Program]) -> None:
    with running(tmp_path, "-f", "null", "-L", "-", unit=a_unit) as daemon:
        port = m.BASE_PORT + a_unit
        hosts = ["127.0.0.1", *(["::1"] if f"[::]:{port}" in daemon.ask("status")["sockets"] else [])]
        for host in hosts:
            programs.append(by_tcp(host, a_unit))
            assert programs[-1].admitted, host


def test_a_port_that_is_taken(tmp_path: Path, a_unit: int) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", m.BASE_PORT + a_unit))
        other.listen()
        said = refused_start(tmp_path, "-U", str(a_unit), "--sndio", "none", "-L", "127.0.0.1")
        assert f"-L 127.0.0.1: 127.0.0.1:{m.BASE_PORT + a_unit}: Address already in use" in said


def test_no_native_protocol_over_tcp(tmp_path: Path, a_unit: int) -> None:
    """A request of the native protocol is garbage there, and its end is in the log."""
    with running(tmp_path, "-f", "null", "-L", "127.0.0.1", unit=a_unit) as daemon:
        with socket.create_connection(("127.0.0.1", m.BASE_PORT + a_unit)) as sock:
            sock.settimeout(PATIENCE)
            sock.sendall(
                b"\x94\x00\x00\xa5hello\x91\x82\xa7version\x01\xa6client\xa1x".ljust(m.MSG_SIZE, b"\xc0")
            )
            with contextlib.suppress(ConnectionResetError):
                assert sock.recv(1) == b""
        assert "address=127.0.0.1:" in daemon.log
