"""syslog.py: what the system's log gets of a server that has no stderr, and that nobody waits for it."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from audiod import log
from audiod.syslog import LINE_MAX, Syslog


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "log"))
        sock.setblocking(False)
        yield sock


def test_a_line_is_a_message_with_its_priority(reader: socket.socket, tmp_path: Path) -> None:
    stream = Syslog(str(tmp_path / "log"))
    log.setup("info", {}, stream, numbered=True)
    log.get().warning("client.refused", uid=7, reason="it was\nlate")
    stream.close()
    text = reader.recv(4096).decode()
    found = re.fullmatch(r"<(\d+)>audiod\[(\d+)\]: event=client.refused uid=7 (.*)", text)
    assert found, text
    assert (int(found[1]), int(found[2])) == (3 * 8 + 4, os.getpid()), "daemon.warning, of this process"
    assert found[3] == 'reason="it was\\nlate"'
    with pytest.raises(BlockingIOError):
        reader.recv(1)


def test_what_has_no_priority_and_what_is_long(reader: socket.socket, tmp_path: Path) -> None:
    with Syslog(str(tmp_path / "log"), "x") as stream:
        stream.write("half ")
        stream.write("a line\n<3>" + "y" * 5000 + "\n")
        assert reader.recv(4096) == b"<30>x[%d]: half a line" % os.getpid()
        assert len(reader.recv(8192)) == LINE_MAX


def test_nobody_waits_for_it(reader: socket.socket, tmp_path: Path) -> None:
    with Syslog(str(tmp_path / "log")) as stream:
        for _ in range(10_000):  # far more than a socket keeps
            stream.write("x" * 1000 + "\n")
        got = 0
        try:
            while reader.recv(4096):
                got += 1
        except BlockingIOError:
            pass
        assert 0 < got < 10_000
        stream.write("and goes on\n")
        assert reader.recv(4096).endswith(b"and goes on")


def test_without_one_all_is_lost_and_nothing_fails(tmp_path: Path) -> None:
    with Syslog(str(tmp_path / "nothing")) as stream:
        assert stream.write("a line\n") == 7
