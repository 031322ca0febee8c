"""The core of a stream on sndio's wire alone: every byte and every order in the test's hand."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from audiod_client._sndio_session import SndioSession
from audiod_client._sndio_stream import SndioStream
from audiod_client._stream import REC_QUEUE_MAX
from audiod_client.errors import StreamError
from audiod_client.names import Address, Wire
from audiod_protocol import NEED_DATA
from audiod_protocol.sndio import messages as m
from audiod_protocol.sndio.server import Samples, Server
from clients.bench import result
from clients.fake_sndiod import BUFSZ, PAR, ROUND
from hypothesis import given, settings
from hypothesis import strategies as st

STEADY = settings(deadline=None, derandomize=True)
FRAME = 8


@pytest.fixture(autouse=True, scope="module")
def no_home() -> Generator[None]:
    """Cookies are made up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("HOME", raising=False)
        yield


class Bench:
    """A started stream, and the server's end of it in the test's hand."""

    def __init__(self, mode: str = "play,rec") -> None:
        self.session = SndioSession("bench", Address(Wire.SNDIO, "/bench"))
        self.server = Server()
        self.played = bytearray()
        self.stream: SndioStream = self.finish(self.session.open("default", mode, None, None, None))
        assert self.finish(self.stream.run(self.stream.start(), False))
        self.hear()

    def hear(self, count: int | None = None) -> None:
        """The server takes what the client has sent, and answers what has an answer."""
        data = bytes(self.session.out[:count])
        self.session.sent(len(data))
        self.server.receive_data(data)
        while (event := self.server.next_event()) is not NEED_DATA:
            match event:
                case m.Hello():
                    self.say(m.Ack())
                case m.Getpar():
                    self.say(m.ParReply(PAR))
                case m.Start():
                    self.server.begin(FRAME, ROUND)
                case Samples(data):
                    self.played += data

    def say(self, *messages: m.ServerMessage, samples: bytes = b"") -> None:
        self.session.receive(b"".join(self.server.send(message) for message in messages) + samples)

    def finish(self, op: Generator[None, None, Any]) -> Any:
        try:
            while True:
                next(op)
                assert self.session.out, "the operation waits for nothing that it asked for"
                self.hear()
        except StopIteration as stop:
            return stop.value


def test_a_stream_that_is_never_read_ends() -> None:
    bench = Bench("rec")
    block = bytes(m.DATAMAX)
    for _ in range(REC_QUEUE_MAX // m.DATAMAX + 1):
        assert not bench.stream.error
        bench.say(m.Data(len(block)), samples=block)
    with pytest.raises(StreamError, match="never read") as late:
        result(bench.stream.run(bench.stream.read(1, True), b""))
    assert late.value.code == "EOVERFLOW"


def test_what_was_recorded_is_read_only_as_far_as_the_position() -> None:
    bench = Bench("rec")
    s = bench.stream
    bench.say(m.Move(0), m.Data(4000), samples=bytes(range(250)) * 16)
    assert (s.readable, result(s.read(4000, False))) == (0, b"")
    bench.say(m.Move(2))
    assert result(s.read(4000, False)) == bytes(range(16))
    bench.say(m.Move(10**6))
    assert len(result(s.read(4000, False))) == 4000 - 16


ACT = st.one_of(
    st.tuples(st.just("write"), st.integers(1, 20_000)),
    st.tuples(st.just("read"), st.integers(1, 20_000)),
    st.tuples(st.sampled_from(["credit", "move"]), st.integers(0, 1000)),
    st.tuples(st.just("record"), st.integers(1, 512)),
    st.tuples(st.just("hear"), st.integers(1, 10_000)),
)


@STEADY
@given(st.lists(ACT, max_size=50))
def test_no_order_of_things_takes_more_than_there_is(acts: list[tuple[str, int]]) -> None:
    """The server may tell positions that make no sense: the rules hold by its own numbers."""
    bench = Bench()
    s = bench.stream
    written, recorded, got = bytearray(), bytearray(), bytearray()
    for act, n in acts:
        if act == "write":
            data = bytes((len(written) + i) % 251 for i in range(n))
            written += data[: result(s.write(data, False))]
        elif act == "read":
            got += result(s.read(n, False))
        elif act == "credit":
            bench.say(m.Flowctl(n))
        elif act == "move":
            bench.say(m.Move(n))
        elif act == "record":
            data = bytes((len(recorded) + i) % 249 for i in range(FRAME * n))
            bench.say(m.Data(len(data)), samples=data)
            recorded += data
        else:
            bench.hear(n)
        assert s.written - s.position <= BUFSZ
        assert len(got) <= FRAME * s.position
        assert s.error is None
    bench.hear()
    assert bench.played == written[: len(written) // FRAME * FRAME]
    assert got == recorded[: len(got)]


NOISE = st.binary(min_size=40, max_size=90) | st.sampled_from(
    [
        m.encode(m.Ack()),
        m.encode(m.Stop()),
        m.encode(m.ParReply(PAR)),
        m.encode(m.Flowctl(-5)),
        m.encode(m.Data(7)),
    ]
)


@STEADY
@given(noise=NOISE, cuts=st.lists(st.integers(1, 40), max_size=8))
def test_garbage_is_one_error_and_then_nothing(noise: bytes, cuts: list[int]) -> None:
    bench = Bench()
    s = bench.stream
    for cut in cuts:
        bench.session.receive(noise[:cut])
        noise = noise[cut:]
    bench.session.receive(noise + b"\xff" * 40)
    with pytest.raises(StreamError) as broken:
        result(s.run(s.write(bytes(8), True), 0))
    assert broken.value.code == "EPROTO"
    assert broken.value.hint
    assert result(s.run(s.write(bytes(8), True), 0)) == 0
    assert result(s.run(s.read(8, True), b"")) == b""
    assert result(s.run(s.stop(), False)) is False
    assert result(s.close()) is None
    assert not bench.session.out
