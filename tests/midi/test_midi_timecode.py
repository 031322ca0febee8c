"""timecode.py: MIDI Time Code of a device's clock, as a slow reader of the specification hears it; orders."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiod.midi.timecode import DAY, RATES, Locate, Order, Timecode, frame_rate, full, parse

START, STOP = bytes.fromhex("f07f7f0602f7"), bytes.fromhex("f07f7f0601f7")


class Slave:
    """What follows the code: the time that the last eight quarter frames have said."""

    def __init__(self) -> None:
        self.pieces: list[int] = []
        self.times: list[
            tuple[int, int, int, int, int]
        ] = []  # hours, minutes, seconds, frames, code of the rate

    def hear(self, message: bytes) -> None:
        assert len(message) == 2 and message[0] == 0xF1 and message[1] < 128
        assert message[1] >> 4 == len(self.pieces), "in their order"
        self.pieces.append(message[1] & 15)
        if len(self.pieces) == 8:
            f, fh, s, sh, m, mh, h, hh = self.pieces
            self.pieces = []
            self.times.append(((hh & 1) << 4 | h, mh << 4 | m, sh << 4 | s, fh << 4 | f, hh >> 1))


@pytest.mark.parametrize(
    ("rate", "round_", "fps"),
    [
        (44100, 441, 25),  # the manual's of sndiod
        (48000, 400, 30),
        (48000, 480, 25),
        (48000, 500, 24),
        (48000, 1, 30),
        (48000, 512, 24),  # nothing fits
        (44100, 480, 24),
        (192000, 1600, 30),
    ],
)
def test_the_rate_is_one_that_the_clock_can_tell(rate: int, round_: int, fps: int) -> None:
    assert frame_rate(rate, round_) == fps == Timecode(Fraction(0), rate, round_, 4 * round_).fps


def test_as_sndiod_says_it() -> None:
    """Seen of sndiod: a full frame, then a quarter frame each block of 48000/480."""
    assert full(Fraction(0), 25) == bytes.fromhex("f07f7f010120000000f7")
    code = Timecode(Fraction(0), 48000, 480, 1920)
    assert [code.advance(480) for _ in range(4)] == [[]] * 4, "nothing is heard yet"
    assert [code.advance(480) for _ in range(10)] == [
        [bytes.fromhex(word)]
        for word in ("f100", "f110", "f120", "f130", "f140", "f150", "f160", "f172", "f102", "f110")
    ]


@pytest.mark.parametrize(
    ("rate", "round_"), [(48000, 400), (48000, 480), (48000, 500), (44100, 441), (44100, 480)]
)
def test_minutes_across_midnight_without_drift(rate: int, round_: int) -> None:
    fps = frame_rate(rate, round_)
    begin = DAY - 90
    code, slave = Timecode(Fraction(begin), rate, round_, 4 * round_), Slave()
    messages = 0
    for _ in range(200):  # a second each
        for message in code.advance(rate):
            slave.hear(message)
            messages += 1
    assert messages == (200 * rate - 4 * round_) * 4 * fps // rate
    for n, (hours, minutes, seconds, frames, kind) in enumerate(slave.times):
        at = (begin * fps + 2 * n) % (DAY * fps)
        assert ((hours * 60 + minutes) * 60 + seconds) * fps + frames == at and frames < fps
        assert RATES[fps] == kind


def test_it_goes_on_on_another_device_when_that_is_heard() -> None:
    code, slave = Timecode(Fraction(0), 48000, 480, 960), Slave()
    for message in code.advance(48000 + 960):
        slave.hear(message)
    code.move(44100, 4 * 441)
    late = 40 - 20  # milliseconds that its buffer is longer
    assert code.advance(44100 * late // 1000) == [] and len(code.advance(441)) == 1
    code.move(48000, 960)
    assert len(code.advance(480)) == 1 + late // 10, "what was to come is heard earlier"


# ---- orders ----


def test_orders() -> None:
    assert parse(START) is Order.START and parse(STOP) is Order.STOP
    assert parse(bytes.fromhex("f07f100602f7")) is Order.START, "to whichever machine"
    at = parse(bytes.fromhex("f07f7f0644060121020304 00 f7"))
    assert at == Locate(Fraction(3600 + 120 + 3) + Fraction(4, 25))
    assert parse(bytes.fromhex("f07f7f06440601 61 00 00 1d 00 f7")) == Locate(3600 + Fraction(29, 30))
    assert parse(bytes.fromhex("f07f7f06440601 41 00 00 00 00 f7")) is Order.STOP, "30 with drops"


@pytest.mark.parametrize(
    "message",
    ["90 3c 40", "f8", "f0 7e 7f 06 02 f7", "f0 7f 7f 06 f7", "f0 7f 7f 06 02 00 f7", "f0 7f 7f 06 03 f7",
     "f0 7f 7f 04 01 00 40 f7", "f0 7f 7f 06 44 06 02 20 00 00 00 00 f7", "f0 7f 7f 06 44 06 01 20 00 00 f7",
     "f0 f7", ""],
)  # fmt: skip
def test_what_is_no_order(message: str) -> None:
    assert parse(bytes.fromhex(message)) is None


@given(st.binary(max_size=20))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_anything_may_be_said(message: bytes) -> None:
    for one in (message, b"\xf0\x7f\x7f\x06" + message + b"\xf7"):
        found = parse(one)
        if isinstance(found, Locate):
            assert 0 <= found.at < DAY + 6, "frames beyond a second's are taken as they are"
            assert len(full(found.at, 25)) == 10 and max(full(found.at, 25)[1:-1]) < 128


@given(st.fractions(0, DAY - 1), st.sampled_from(sorted(RATES)))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_full_frame_is_where_it_says(at: Fraction, fps: int) -> None:
    """MMC's locate has the same fields: what it says there, it says here, to a frame."""
    said = full(at, fps)
    assert said[:5] == bytes.fromhex("f07f7f0101") and said[-1] == 0xF7
    back = parse(bytes.fromhex("f07f7f06440601") + said[5:9] + b"\0\xf7")
    assert isinstance(back, Locate) and 0 <= at - back.at < Fraction(1, fps)
