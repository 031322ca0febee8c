"""tcp.py: which sockets the names of -L make, and what is said where they cannot be made."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import socket
from collections.abc import Iterator

import pytest

from audiod import tcp
from audiod.errors import StartError
from audiod.tcp import TcpSocket


@pytest.fixture
def port() -> Iterator[int]:
    """A port that was free just now, of both families."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
    yield number


@contextlib.contextmanager
def listening(names: list[str], port: int) -> Iterator[list[TcpSocket]]:
    opened = tcp.listen(names, port)
    try:
        yield opened
    finally:
        for one in opened:
            one.close()


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


def test_nothing_is_asked_for() -> None:
    assert tcp.listen([], 11025) == []


def test_one_address(port: int) -> None:
    with listening(["127.0.0.1"], port) as (opened,):
        assert opened.name == f"127.0.0.1:{port}"
        assert opened.sock.getsockname() == ("127.0.0.1", port)
        assert opened.sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        with socket.create_connection(("127.0.0.1", port)):
            pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    with listening(["127.0.0.1"], port):
        pass  # though connections of the last one linger in TIME_WAIT


def test_all_addresses(port: int) -> None:
    """IPv6 has a socket of its own, where the machine has IPv6: both may have the port."""
    with listening([tcp.ALL], port) as opened:
        names = {one.name for one in opened}
        assert names == {f"0.0.0.0:{port}"} | ({f"[::]:{port}"} if has_ipv6() else set())
        for one in opened:
            if one.sock.family == socket.AF_INET6:
                assert one.sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


def test_ipv6(port: int, logged: io.StringIO) -> None:
    """A machine without IPv6 says so; one with it serves it."""
    if not has_ipv6():
        with pytest.raises(StartError, match=f"-L ::1: .*{port}"):
            tcp.listen(["::1"], port)
        return
    with listening(["::1"], port) as (opened,):
        assert opened.name == f"[::1]:{port}"
        with socket.create_connection(("::1", port)) as client:
            assert tcp.shown(client.getpeername()) == opened.name


def test_an_address_that_two_names_mean_is_one_socket(port: int) -> None:
    with listening(["127.0.0.1", "localhost", "127.0.0.1"], port) as opened:
        names = [one.name for one in opened]
        assert names.count(f"127.0.0.1:{port}") == 1 and len(set(names)) == len(names)


@pytest.mark.parametrize("name", ["a\0b", "x" * 300, "é" * 70])
def test_what_cannot_be_a_name(name: str) -> None:
    with pytest.raises(StartError, match=r"^-L ") as refused:
        tcp.listen([name], 11025)
    assert refused.value.hint


def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(tcp.socket, "getaddrinfo", unknown)
    with pytest.raises(StartError, match="-L studio: Name or service not known"):
        tcp.listen(["studio"], 11025)


def test_an_address_of_another_machine(port: int) -> None:
    with pytest.raises(StartError, match=r"-L 192\.0\.2\.1: .*Cannot assign") as refused:
        tcp.listen(["192.0.2.1"], port)
    assert "address of this machine" in refused.value.hint


def test_a_port_that_is_taken(port: int) -> None:
    """What was opened before is closed again."""
    with socket.socket() as other:
        other.bind(("127.0.0.2", port))
        other.listen()
        with pytest.raises(
            StartError, match=f"-L 127.0.0.2: 127.0.0.2:{port}: Address already in use"
        ) as refused:
            tcp.listen(["127.0.0.1", "127.0.0.2"], port)
        assert "-U" in refused.value.hint
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


def test_a_family_that_the_machine_lacks_is_left_out(
    port: int, monkeypatch: pytest.MonkeyPatch, logged: io.StringIO
) -> None:
    real = socket.socket

    def without_ipv6(family: int, kind: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
        return real(family, kind)

    both = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
    ]
    monkeypatch.setattr(tcp.socket, "getaddrinfo", lambda *args, **options: both)
    monkeypatch.setattr(tcp.socket, "socket", without_ipv6)
    with listening(["here"], port) as (opened,):
        assert opened.name == f"127.0.0.1:{port}"
    assert "listener.without" in logged.getvalue() and f"[::1]:{port}" in logged.getvalue()
    del both[1]
    with pytest.raises(StartError, match="not supported"):
        tcp.listen(["here"], port)
