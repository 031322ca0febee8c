"""The core alone: what is refused, cut short or broken, and that it stays accounted for."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from audiod_client._native_session import CHANGES_MAX
from audiod_client._par import make_par
from audiod_client.errors import StreamError
from audiod_protocol.errors import Fault
from audiod_protocol.events import Request
from audiod_protocol.params import Par
from clients.bench import Bench, result
from hypothesis import given, settings
from hypothesis import strategies as st

STEADY = settings(deadline=None, derandomize=True)

FULL = {"code": "ENODEV", "message": "it went away", "hint": "plug it in"}


def ramp(nbytes: int) -> bytes:
    return bytes(i % 251 for i in range(nbytes))


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


def test_a_close_that_is_refused_is_an_error() -> None:
    bench = Bench()
    op = bench.stream.close()
    next(op)
    (close,) = [e for e in bench.hear() if e.method == "close"]
    bench.session.receive(bench.wire.send_error(close.id, Fault("EIO", "it failed", "see the log")))
    with pytest.raises(StreamError, match="it failed"):
        next(op)
    assert bench.stream.closed


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


@STEADY
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
