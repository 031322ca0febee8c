"""The blocking client's poll(2) face: nbio, pollfd and revents, and its timeouts."""

from __future__ import annotations

import os
import select
import socket
from pathlib import Path

import audiod_client
import pytest
from audiod_client import ServerUnreachable, StreamError
from audiod_client._link import Link
from audiod_client._native_session import NativeSession
from audiod_client.names import Address, Wire
from audiod_protocol.connection import Connection
from audiod_protocol.events import Notification
from clients.fake_audiod import ROUND, FakeAudiod, Peer


def poll(stream: audiod_client.Stream, events: int, timeout: float | None = None) -> int:
    """One turn of a program's poll loop."""
    poller = select.poll()
    for fd, mask in stream.pollfd(events):
        poller.register(fd, mask)
    if timeout is not None and not poller.poll(timeout):
        return 0
    poller.poll()
    return stream.revents()


def test_plays_by_polling(server: FakeAudiod) -> None:
    data = bytes(i % 253 for i in range(4 * 5000))
    with audiod_client.open(nbio=True) as s:
        assert s.nfds() == 1
        s.start()
        done = 0
        while done < len(data):
            events = poll(s, select.POLLOUT)
            if events & select.POLLOUT:
                count = s.write(data[done:])
                assert count > 0, "POLLOUT promised room"
                done += count
            assert events in (0, select.POLLOUT)
        assert s.stop()
    server.settle()
    assert bytes(server.streams[0].written) == data


def test_records_by_polling(server: FakeAudiod) -> None:
    with audiod_client.open(mode="rec", nbio=True) as s:
        s.start()
        got = b""
        while len(got) < 4 * 4 * ROUND:
            if poll(s, select.POLLIN) & select.POLLIN:
                data = s.read(1000)
                assert data, "POLLIN promised samples"
                got += data
        assert s.read(1000) == b""
        assert not s.revents()


def test_what_the_library_holds_already_wakes_poll_at_once(server: FakeAudiod) -> None:
    """The socket is empty, the samples are in the library: poll must not wait for the socket."""
    with audiod_client.open(mode="rec", nbio=True) as s:
        s.start()
        while s.position < 4 * ROUND:
            poll(s, select.POLLIN)
        s.read(4)
        while s.revents():
            assert poll(s, select.POLLIN) == select.POLLIN
            s.read(4 * ROUND)


def test_no_credit_no_pollout(server: FakeAudiod) -> None:
    server.on("write", lambda peer, event: None)
    with audiod_client.open(nbio=True) as s:
        s.setpar(appbufsz=10)
        s.start()
        while not s.revents():
            poll(s, select.POLLOUT)
        assert s.write(bytes(100)) == 40
        assert s.write(bytes(100)) == 0
        assert s.pollfd(select.POLLOUT) == [(s.fileno(), select.POLLIN)]
        assert s.flush()


def test_a_dead_stream_polls_as_pollhup_and_raises_in_the_next_call(server: FakeAudiod) -> None:
    def dies(peer: Peer, event: Notification) -> None:
        fault = {"code": "EPIPE", "message": "an xrun ended it", "hint": "be faster"}
        peer.tell("onstate", 0, "closed", fault)

    server.on("write", dies)
    with audiod_client.open(nbio=True) as s:
        s.setpar(appbufsz=10)
        s.start()
        while not s.write(bytes(4)):
            poll(s, select.POLLOUT)
        while not s.eof:
            poll(s, select.POLLIN)
        assert poll(s, select.POLLOUT) == select.POLLHUP
        with pytest.raises(StreamError, match="an xrun ended it"):
            s.write(bytes(4))
        assert s.write(bytes(4)) == 0


def test_revents_calls_back(server: FakeAudiod) -> None:
    moves: list[int] = []
    with audiod_client.open(mode="rec", nbio=True) as s:
        s.onmove(moves.append)
        s.start()
        while len(moves) < 5:
            poll(s, select.POLLIN)
        assert moves == [0, ROUND, ROUND, ROUND, ROUND]


def test_the_servers_last_words_are_read_when_writing_fails() -> None:
    ours, theirs = socket.socketpair()
    session = NativeSession("x")
    link = Link(ours, session, Address(Wire.NATIVE, "x"))
    fault = {"code": "EPROTO", "message": "a frame was cut", "hint": "mend it"}
    theirs.send(Connection("server").send_notification("error", [fault]))
    theirs.close()
    session.send("status", {})
    assert link.step()
    assert session.error is not None
    assert session.error.message == "a frame was cut"
    link.close()


def test_a_socket_that_is_not_for_us(server: FakeAudiod) -> None:
    Path(server.path).chmod(0)
    uid = os.geteuid()
    if uid == 0:  # whom no mode keeps out
        os.seteuid(65534)
    try:
        with pytest.raises(ServerUnreachable) as refused:
            audiod_client.Connection.connect(server.path)
    finally:
        os.seteuid(uid)
        Path(server.path).chmod(0o700)
    assert refused.value.code == "EACCES"
    assert refused.value.tried == [(server.path, "permission denied")]


def test_no_change_within_the_timeout(server: FakeAudiod) -> None:
    with audiod_client.Connection.connect() as c:
        c.subscribe("streams")
        assert c.change(timeout=0) is None
        assert c.fileno() >= 0
