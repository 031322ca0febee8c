"""The core alone: both ends of the protocol in one thread, every byte and every order under control."""

from __future__ import annotations

import pytest
from audiod_client._callbacks import PENDING_MAX
from audiod_client._stream import REC_QUEUE_MAX
from audiod_protocol.limits import WRITE_MAX
from audiod_protocol.params import Enc, Par
from clients.bench import Bench, result
from hypothesis import given, settings
from hypothesis import strategies as st

STEADY = settings(deadline=None, derandomize=True)


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


@STEADY
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


def test_what_was_recorded_before_a_flush_is_not_read_after_it() -> None:
    bench = Bench("rec")
    s = bench.start()
    bench.say("onmove", 0, 2, 2, 1)
    bench.say("data", 0, b"12345678")
    op = s.flush()
    next(op)
    bench.say("data", 0, b"abcdefgh")  # on its way when the flush was sent
    bench.answer(bench.hear()[-1])
    assert result(op) is True
    bench.start()
    bench.say("onmove", 0, 2, 2, 1)
    assert s.readable == 0


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


def test_a_write_that_waits_calls_back_meanwhile() -> None:
    bench = Bench()
    s = bench.stream
    deltas: list[int] = []
    s.on("move", deltas.append)
    bench.start(1)
    op = s.run(s.write(ramp(100), True), 0)
    next(op)
    bench.say("onmove", 0, 0, 0, 1)
    next(op)
    assert deltas == [0]


def test_a_neglected_streams_callbacks_are_folded_and_no_delta_is_lost() -> None:
    bench = Bench()
    s = bench.stream
    deltas: list[int] = []
    kinds: list[str] = []
    s.on("move", deltas.append)
    s.on("xrun", kinds.append)
    bench.start()
    for n in range(3 * PENDING_MAX):
        bench.say("onmove", 0, 1, n + 1, 1)
        bench.say("onxrun", 0, "play")
        assert len(s._callbacks._notes) <= PENDING_MAX
    s.call_back()
    assert sum(deltas) == s.position == 3 * PENDING_MAX
    assert set(kinds) == {"play"}
    assert s.xruns == 3 * PENDING_MAX


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
