"""The core alone: both ends of the protocol in one thread, every byte and every order under control."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from audiod_client._par import make_par
from audiod_client._session import CHANGES_MAX, Session
from audiod_client._stream import NEWS_MAX, REC_QUEUE_MAX, StreamCore
from audiod_client.errors import StreamError
from audiod_protocol.connection import NEED_DATA, Connection
from audiod_protocol.errors import Fault
from audiod_protocol.events import Request
from audiod_protocol.limits import WRITE_MAX
from audiod_protocol.params import Enc, Par
from hypothesis import given
from hypothesis import strategies as st

S16 = Par(rate=48000, pchan=2, rchan=2, appbufsz=960, bufsz=2880, round=480).with_enc(Enc.parse("s16le"))
FULL = {"code": "ENODEV", "message": "it went away", "hint": "plug it in"}


class Bench:
    """A session, and the server's end of it in the test's hand."""

    def __init__(self, mode: str = "play", par: Par = S16) -> None:
        self.session = Session("bench")
        self.wire = Connection("server")
        self.par = par
        self.heard: list[Any] = []
        opening = self.session.open("default", mode, None, None, None)
        opened = {"stream": 0, "device": 0, "subdevice": "d", "mode": mode}
        self.stream: StreamCore = self.finish(opening, opened)

    def hear(self) -> list[Any]:
        """What the client has sent since the last time."""
        self.wire.receive_data(bytes(self.session.out))
        self.session.sent(len(self.session.out))
        events = []
        while (event := self.wire.next_event()) is not NEED_DATA:
            events.append(event)
        self.heard += events
        return events

    def say(self, method: str, *params: object) -> None:
        self.session.receive(self.wire.send_notification(method, list(params)))

    def answer(self, request: Request, result: object = None) -> None:
        self.session.receive(self.wire.send_response(request.id, result or {"stream": 0}))

    def finish(self, op: Generator[None, None, Any], *results: object) -> Any:
        """Run an operation, answering its requests one after the other (getpar: by itself)."""
        answers = list(results)
        try:
            while True:
                next(op)
                events = self.hear()
                assert events, "the operation waits for nothing that it asked for"
                for event in events:
                    if isinstance(event, Request):
                        if event.method == "getpar":
                            self.answer(event, {"par": self.par.to_wire()})
                        else:
                            self.answer(event, answers.pop(0) if answers else None)
        except StopIteration as stop:
            return stop.value

    def start(self, credit: int = 0) -> StreamCore:
        assert self.finish(self.stream.run(self.stream.start(), False))
        if credit:
            self.say("credit", 0, credit)
        return self.stream

    def samples(self) -> bytes:
        """All the samples that the client has sent."""
        self.hear()
        return b"".join(e.params[1] for e in self.heard if e.method == "write")


def result(op: Generator[None, None, Any]) -> Any:
    """The result of an operation that must not wait."""
    with pytest.raises(StopIteration) as stop:
        next(op)
    return stop.value.value


def ramp(nbytes: int) -> bytes:
    return bytes(i % 251 for i in range(nbytes))


# ---- credit ----


def test_nothing_is_written_before_credit() -> None:
    bench = Bench()
    s = bench.start()
    assert not s.writable
    assert result(s.write(ramp(40), False)) == 0
    assert bench.samples() == b""


def test_a_write_stops_at_the_credit_and_goes_on_with_more() -> None:
    bench = Bench()
    s = bench.start(10)
    op = s.write(ramp(100), True)
    next(op)
    assert bench.samples() == ramp(40)
    assert (s.credit, s.written) == (0, 10)
    next(op)
    bench.say("credit", 0, 4)
    next(op)
    assert bench.samples() == ramp(56)
    bench.say("credit", 0, 100)
    next(op)
    assert bench.samples() == ramp(100)
    assert result(op) == 100
    assert s.credit == 114 - 25


def test_a_write_returns_only_when_its_bytes_left() -> None:
    bench = Bench()
    s = bench.start(10)
    op = s.write(ramp(4), True)
    next(op)
    assert bench.session.out
    next(op)
    bench.hear()
    assert result(op) == 4


def test_nonblocking_takes_what_fits() -> None:
    bench = Bench()
    s = bench.start(10)
    assert result(s.write(ramp(100), False)) == 40
    assert result(s.write(ramp(100), False)) == 0


def test_large_writes_are_cut_into_whole_frames_within_the_limit() -> None:
    par = Par(rate=48000, pchan=3, rchan=2, appbufsz=1, bufsz=1, round=1).with_enc(Enc.parse("s24le3"))
    bench = Bench(par=par)
    s = bench.start(40_000)
    assert result(s.write(ramp(9 * 40_000), False)) == 9 * 40_000
    pieces = [len(e.params[1]) for e in bench.hear()]
    assert sum(pieces) == 9 * 40_000
    assert all(piece <= WRITE_MAX and piece % 9 == 0 for piece in pieces)
    assert bench.samples() == ramp(9 * 40_000)


@given(
    pieces=st.lists(st.integers(0, 50), max_size=12),
    grants=st.lists(st.integers(0, 12), min_size=1, max_size=12),
)
def test_any_pieces_and_any_credit_give_the_same_bytes(pieces: list[int], grants: list[int]) -> None:
    bench = Bench()
    s = bench.start()
    taken, given = 0, 0
    data = ramp(sum(pieces))
    for turn in range(max(len(pieces), len(grants))):
        if turn < len(grants):
            bench.say("credit", 0, grants[turn])
            given += grants[turn]
        if turn < len(pieces):
            taken += result(s.write(data[taken : taken + pieces[turn]], False))
        assert s.written == len(bench.samples()) // 4 == taken // 4
        assert taken <= 4 * given
        assert s.credit == given - s.written
    assert bench.samples() == data[: taken - taken % 4]


def test_stop_completes_a_frame_that_was_begun() -> None:
    bench = Bench()
    s = bench.start(1)
    assert result(s.write(b"\1\2\3", False)) == 3
    assert bench.samples() == b""
    assert bench.finish(s.stop())
    assert bench.samples() == b"\1\2\3\0"
    assert [e.method for e in bench.heard][-2:] == ["write", "stop"]


def test_stop_waits_for_credit_to_complete_a_frame() -> None:
    bench = Bench()
    s = bench.start(2)
    assert result(s.write(bytes(7), False)) == 7
    assert s.credit == 1
    assert result(s.write(bytes(3), False)) == 1  # the frame's last byte takes the rest of the credit
    s._partial = b"x"
    op = s.stop()
    next(op)
    bench.hear()
    assert "stop" not in [e.method for e in bench.heard]
    bench.say("credit", 0, 1)
    next(op)
    assert [e.method for e in bench.hear()] == ["write", "stop"]


def test_flush_discards_a_frame_that_was_begun() -> None:
    bench = Bench()
    s = bench.start(1)
    result(s.write(b"\1\2\3", False))
    assert bench.finish(s.flush())
    assert bench.samples() == b""
    bench.start(5)
    result(s.write(ramp(8), False))
    assert bench.samples() == ramp(8)


def test_a_stopped_stream_keeps_no_credit() -> None:
    bench = Bench()
    s = bench.start(100)
    result(s.write(ramp(4), False))
    bench.finish(s.stop())
    assert s.credit == 0
    bench.start()
    assert (s.credit, s.written, s.position) == (0, 0, 0)


# ---- position and recording ----


def test_reading_never_passes_the_position() -> None:
    bench = Bench("rec")
    s = bench.start()
    bench.say("onmove", 0, 0, 0, 5)
    bench.say("onmove", 0, 2, 2, 6)
    bench.say("data", 0, ramp(16))  # four frames, two of them not covered yet
    assert s.readable == 8
    assert result(s.read(100, False)) == ramp(16)[:8]
    assert result(s.read(100, False)) == b""
    bench.say("onmove", 0, 2, 4, 7)
    assert result(s.read(3, True)) == ramp(16)[8:11]
    assert result(s.read(100, True)) == ramp(16)[11:]
    assert (s.position, s.time_ns, s.latency) == (4, 7, 0)


def test_a_blocking_read_returns_as_soon_as_there_is_some() -> None:
    bench = Bench("rec")
    s = bench.start()
    op = s.read(1000, True)
    next(op)
    bench.say("onmove", 0, 0, 0, 5)
    next(op)
    bench.say("onmove", 0, 1, 1, 5)
    next(op)
    bench.say("data", 0, b"abcd")
    assert result(op) == b"abcd"


def test_read_of_nothing_does_not_wait() -> None:
    bench = Bench("rec")
    s = bench.start()
    assert result(s.read(0, True)) == b""


def test_latency_of_both_directions() -> None:
    bench = Bench("play,rec")
    s = bench.start(100)
    result(s.write(bytes(40), False))
    assert s.latency == 10
    bench.say("onmove", 0, 0, 0, 5)
    bench.say("onmove", 0, 4, 4, 9)
    assert s.latency == 6


def test_deltas_are_called_back_one_by_one_zero_first_in_the_next_call() -> None:
    bench = Bench()
    s = bench.stream
    deltas: list[int] = []
    assert s.on("move", deltas.append)
    bench.start(100)
    for delta, position in ((0, 0), (480, 480), (480, 960)):
        bench.say("onmove", 0, delta, position, 1)
    assert deltas == []
    result(s.run(s.write(b"", False), 0))
    assert deltas == [0, 480, 480]


def test_a_neglected_streams_callbacks_are_folded_and_no_delta_is_lost() -> None:
    bench = Bench()
    s = bench.stream
    deltas: list[int] = []
    kinds: list[str] = []
    s.on("move", deltas.append)
    s.on("xrun", kinds.append)
    bench.start()
    for n in range(3 * NEWS_MAX):
        bench.say("onmove", 0, 1, n + 1, 1)
        bench.say("onxrun", 0, "play")
        assert len(s._news) <= NEWS_MAX
    s.call_back()
    assert sum(deltas) == s.position == 3 * NEWS_MAX
    assert set(kinds) == {"play"}
    assert s.xruns == 3 * NEWS_MAX


def test_a_callback_that_raises_loses_nothing_and_is_not_the_streams_error() -> None:
    bench = Bench()
    s = bench.stream
    seen: list[int] = []

    def callback(delta: int) -> None:
        seen.append(delta)
        if delta == 1:
            raise KeyError("mine")

    s.on("move", callback)
    bench.start(10)
    bench.say("onmove", 0, 1, 1, 1)
    bench.say("onmove", 0, 2, 3, 1)
    with pytest.raises(KeyError):
        next(s.run(s.write(b"abcd", False), 0))
    assert s.error is None
    assert result(s.run(s.write(b"abcd", False), 0)) == 4
    assert seen == [1, 2]


def test_recording_that_is_never_read_ends_the_stream_not_the_memory() -> None:
    bench = Bench("play,rec")
    s = bench.start()
    block = bytes(WRITE_MAX)
    for _ in range(REC_QUEUE_MAX // WRITE_MAX):
        bench.say("data", 0, block)
    assert s.error is None
    bench.say("data", 0, block)
    assert s.error is not None
    assert s.error.code == "EOVERFLOW"
    assert not s._recorded
    bench.say("data", 0, block)
    assert not s._recorded


# ---- what is refused ----


def fails(bench: Bench, op: Generator[None, None, Any], code: str) -> None:
    """The operation raises, the stream is dead, and everything returns nothing from then on."""
    s = bench.stream
    with pytest.raises(StreamError) as raised:
        bench.finish(s.run(op, None))
    assert raised.value.code == code
    assert raised.value.hint
    assert s.error is raised.value
    assert result(s.run(s.write(b"", True), 0)) == 0
    assert result(s.run(s.start(), False)) is False
    with pytest.raises(StreamError):
        next(s.insist(s.getpar()))


def test_parameters_are_illegal_after_start() -> None:
    for call in ("setpar", "getpar"):
        bench = Bench()
        s = bench.start()
        fails(bench, s.setpar(None, {"rate": 44100}) if call == "setpar" else s.getpar(), "EBUSY")


def test_callbacks_are_registered_before_start() -> None:
    bench = Bench()
    s = bench.start()
    with pytest.raises(StreamError, match="it is started"):
        s.on("move", print)
    assert s.on("move", print) is False


def test_starting_twice() -> None:
    bench = Bench()
    s = bench.start()
    fails(bench, s.start(), "EBUSY")


def test_stopping_what_was_not_started() -> None:
    for call in ("stop", "flush"):
        bench = Bench()
        fails(bench, getattr(bench.stream, call)(), "EINVAL")


def test_writing_before_start_and_in_the_wrong_direction() -> None:
    bench = Bench()
    fails(bench, bench.stream.write(b"abcd", True), "EINVAL")
    bench = Bench("rec")
    fails(bench, bench.start().write(b"abcd", True), "EINVAL")
    bench = Bench("play")
    fails(bench, bench.start().read(4, True), "EINVAL")


@pytest.mark.parametrize("vol", [-1, 128, "loud"])
def test_volumes_out_of_range(vol: Any) -> None:
    bench = Bench()
    fails(bench, bench.stream.setvol(vol, True), "EINVAL")


def test_bad_parameters_are_refused_without_asking_the_server() -> None:
    for fields in ({"enc": "s99"}, {"speed": 1}, {"rate": "fast"}, {"enc": "s16le", "bits": 24}):
        bench = Bench()
        bench.hear()
        fails(bench, bench.stream.setpar(None, fields), "EINVAL")
        assert not bench.session.out


def test_setpar_rules() -> None:
    assert make_par(None, {"rate": 44100}) == Par(rate=44100, appbufsz=8820)
    assert make_par(None, {"rate": 44100, "appbufsz": 100}) == Par(rate=44100, appbufsz=100)
    assert make_par(None, {"bufsz": 500, "round": 7, "appbufsz": 9}) == Par(appbufsz=500)
    assert make_par(None, {"pchan": 2}) == Par(pchan=2)
    assert make_par(Par(rate=8000, round=3), {}) == Par(rate=8000, appbufsz=1600)
    assert make_par(None, {"enc": "f32le"}).to_wire()["enc"] == "f32le"
    with pytest.raises(StreamError):
        make_par(Par(), {"rate": 1})


def test_an_incomplete_answer_is_the_servers_fault() -> None:
    for par in ({}, {"enc": "s16le"}, {"enc": "s16le", "rate": 0, "pchan": 2}, None, 3):
        bench = Bench()
        with pytest.raises(StreamError):
            bench.finish(bench.stream.run(bench.stream.setpar(None, {"rate": 8000}), False), {"par": par})


# ---- volume ----


def test_onvol_tells_the_present_volume_at_once_and_echoes_are_not_repeated() -> None:
    bench = Bench()
    s = bench.stream
    heard: list[int] = []
    s.on("vol", heard.append)
    result_op = s.run(s.setvol(50, False), False)
    assert result(result_op) is True
    assert heard == [127, 50]
    bench.say("onvol", 0, 50)
    s.call_back()
    assert heard == [127, 50]
    bench.say("onvol", 0, 60)
    s.call_back()
    assert heard == [127, 50, 60]


def test_a_refused_volume_fails_the_stream_later() -> None:
    bench = Bench()
    s = bench.stream
    assert result(s.run(s.setvol(50, False), False))
    (request,) = [e for e in bench.hear() if isinstance(e, Request) and e.method == "setvol"]
    bench.session.receive(bench.wire.send_error(request.id, Fault("EPERM", "not yours", "ask its owner")))
    assert s.error is not None
    assert s.error.code == "EPERM"
    with pytest.raises(StreamError, match="not yours"):
        next(s.run(s.start(), False))


# ---- operations that are cut short ----


def test_a_write_cut_short_is_accounted_for() -> None:
    bench = Bench()
    s = bench.start(10)
    op = s.run(s.write(ramp(100), True), 0)
    next(op)
    op.close()
    assert s.written == 10
    assert bench.samples() == ramp(40)
    bench.say("credit", 0, 5)
    assert result(s.run(s.write(ramp(100)[40:60], False), 0)) == 20
    assert bench.samples() == ramp(60)


def test_a_stop_cut_short_drains_and_may_be_flushed() -> None:
    bench = Bench()
    s = bench.start(10)
    op = s.run(s.stop(), False)
    next(op)
    op.close()
    (stop,) = [e for e in bench.hear() if e.method == "stop"]
    assert s.state == "draining"
    flush = s.run(s.flush(), False)
    next(flush)
    (request,) = bench.hear()
    assert request.method == "flush"
    bench.answer(stop)
    assert s.state == "draining"
    bench.answer(request)
    assert result(flush) is True
    assert s.state == "ready"


def test_a_stop_cut_short_ends_by_its_answer() -> None:
    bench = Bench()
    s = bench.start(10)
    op = s.run(s.stop(), False)
    next(op)
    op.close()
    bench.answer(bench.hear()[-1])
    assert s.state == "ready"
    bench.start()


def test_an_open_cut_short_closes_the_stream_that_comes() -> None:
    bench = Bench()
    op = bench.session.open("default", "play", None, None, None)
    next(op)
    op.close()
    bench.answer(bench.hear()[-1], {"stream": 1})
    (close,) = bench.hear()
    assert (close.method, close.args) == ("close", {"stream": 1})
    bench.answer(close)
    assert list(bench.session.streams) == [0]


def test_abandoning_a_started_stream_cuts_it_off_and_frees_its_number() -> None:
    bench = Bench()
    s = bench.start(10)
    bench.hear()
    s.abandon()
    s.abandon()
    requests = bench.hear()
    assert [e.method for e in requests] == ["flush", "close"]
    for request in requests:
        bench.answer(request)
    assert not bench.session.streams
    assert s.closed


def test_closing_sends_one_close_even_if_the_stream_dies_of_it() -> None:
    bench = Bench()
    s = bench.start(10)
    op = s.close()
    next(op)
    (close,) = [e for e in bench.hear() if e.method == "close"]
    bench.say("onstate", 0, "closed", FULL)
    with pytest.raises(StreamError, match="went away"):
        bench.answer(close)
        next(op)
    assert not bench.session.out
    assert not bench.session.streams
    assert result(s.run(s.start(), False)) is False


# ---- the connection ----


def test_the_death_of_the_connection_is_that_of_streams_and_requests() -> None:
    bench = Bench()
    s = bench.stream
    op = bench.session.request("status", {})
    next(op)
    bench.session.receive(b"")
    with pytest.raises(StreamError, match="closed the connection"):
        next(op)
    assert s.error is bench.session.error
    with pytest.raises(StreamError):
        next(bench.session.request("status", {}))
    assert not bench.session.out


@pytest.mark.parametrize(
    "junk",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x94\x01\xcd\xff\xff\xc0\xc0", b"\x93\x02\xa6credit\x92\x00\xff", b"\xc1"],
)
def test_a_server_that_breaks_the_protocol(junk: bytes) -> None:
    bench = Bench()
    bench.session.receive(junk)
    assert bench.session.error is not None
    assert bench.session.error.code == "EPROTO"
    assert bench.stream.error is bench.session.error


def test_an_open_answered_with_nonsense() -> None:
    for answer in ({}, {"stream": "one"}, {"stream": 0}, 17):
        bench = Bench()
        with pytest.raises(StreamError) as raised:
            bench.finish(bench.session.open("default", "play", None, None, None), answer)
        assert raised.value.code == "EPROTO"


@given(st.binary(max_size=200))
def test_no_bytes_of_a_server_do_more_than_end_the_connection(junk: bytes) -> None:
    bench = Bench("play,rec")
    bench.start()
    bench.session.receive(junk)
    bench.session.receive(b"")
    assert bench.session.error is not None


def test_notifications_of_unknown_streams_and_names_are_ignored() -> None:
    bench = Bench()
    bench.say("credit", 9, 5)
    bench.say("later", "invention")
    bench.say("onstate", 0, "suspended", {"by": "policy"})
    assert bench.session.error is None
    assert bench.stream.error is None


def test_changes_that_are_not_read_are_bounded_and_the_loss_is_told_once() -> None:
    bench = Bench()
    for n in range(CHANGES_MAX + 3):
        bench.say("changed", "streams", {"event": "new", "id": n})
    with pytest.raises(StreamError) as lost:
        next(bench.session.change())
    assert lost.value.code == "EOVERFLOW"
    assert result(bench.session.change()).row["id"] == CHANGES_MAX
