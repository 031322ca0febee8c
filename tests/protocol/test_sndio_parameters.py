"""SETPAR and GETPAR: sndiod's numbers, rule by rule."""

from __future__ import annotations

import sys

import pytest
from audiod_protocol import DeviceClock, FaultError, Mode, initial, resolve
from audiod_protocol.sndio.messages import WirePar
from audiod_protocol.sndio.parameters import asked, told
from hypothesis import given
from hypothesis import strategies as st

CLOCK = DeviceClock(48000, 480, 1920)


def negotiate(*requests: WirePar, mode: Mode = Mode.PLAY, clock: DeviceClock = CLOCK) -> WirePar:
    """What GETPAR tells behind these."""
    par = initial(clock, mode, 2, 2)
    for one in requests:
        par = resolve(par, asked(one), clock, mode)
    return told(par, mode)


def test_initial() -> None:
    le = int(sys.byteorder == "little")
    same = {"xrun": 0, "bps": 4, "bits": 24, "msb": 0, "le": le, "sig": 1, "rate": 48000}
    sizes = {"bufsz": 3840, "round": 480, "appbufsz": 1920}
    assert negotiate(mode=Mode.PLAY) == WirePar(mode=1, pchan=2, **same, **sizes)
    assert negotiate(mode=Mode.REC) == WirePar(mode=2, rchan=2, **same, **sizes)
    assert negotiate(mode=Mode.PLAY | Mode.REC) == WirePar(mode=3, pchan=2, rchan=2, **same, **sizes)


@pytest.mark.parametrize(
    ("request_", "rate", "round_", "appbufsz", "bufsz"),
    [
        (WirePar(), 48000, 480, 1920, 3840),
        (WirePar(rate=44100), 44100, 441, 1764, 3528),
        (WirePar(rate=44100, appbufsz=1), 44100, 441, 441, 2205),
        (WirePar(rate=44100, appbufsz=10**6), 44100, 441, 40572, 42336),
        (WirePar(rate=8000, appbufsz=4000), 8000, 80, 1360, 1680),
        (WirePar(rate=1), 4000, 40, 160, 320),
        (WirePar(rate=0), 4000, 40, 160, 320),
        (WirePar(rate=500000), 192000, 1920, 7680, 15360),
        (WirePar(rate=2**31 - 1), 192000, 1920, 7680, 15360),
        (WirePar(appbufsz=500), 48000, 480, 480, 2400),
        (WirePar(appbufsz=700), 48000, 480, 480, 2400),
        (WirePar(appbufsz=720), 48000, 480, 960, 2880),
        (WirePar(appbufsz=0), 48000, 480, 480, 2400),
        (WirePar(appbufsz=100000), 48000, 480, 48480, 50400),
        (WirePar(appbufsz=2**31 - 1), 48000, 480, 48480, 50400),
        # not integral: one frame more, and two blocks at least
        (WirePar(rate=44101), 44101, 441, 1764, 3529),
        (WirePar(rate=22051), 22051, 221, 884, 1769),
        (WirePar(rate=44101, appbufsz=1), 44101, 441, 882, 2647),
        # not the client's to say
        (WirePar(bufsz=9600, round=96), 48000, 480, 1920, 3840),
    ],
    ids=str,
)
def test_the_table_of_sndiod(request_: WirePar, rate: int, round_: int, appbufsz: int, bufsz: int) -> None:
    got = negotiate(request_)
    assert (got.rate, got.round, got.appbufsz, got.bufsz) == (rate, round_, appbufsz, bufsz)


@pytest.mark.parametrize(
    ("bits", "bps", "made"),
    [(1, None, 1), (8, None, 1), (9, None, 2), (16, None, 2), (17, None, 4), (32, None, 4),
     (8, 4, 4), (20, 3, 3), (24, 3, 3), (32, 4, 4), (1, 1, 1)],
)  # fmt: skip
def test_bits(bits: int, bps: int | None, made: int) -> None:
    got = negotiate(WirePar(bits=bits, bps=bps))
    assert (got.bits, got.bps) == (bits, made)


@pytest.mark.parametrize(
    "request_",
    [WirePar(bits=20, bps=2), WirePar(bits=33), WirePar(bits=0), WirePar(bits=8, bps=5),
     WirePar(bits=8, bps=0), WirePar(bits=127), WirePar(xrun=3), WirePar(xrun=5)],
    ids=str,
)  # fmt: skip
def test_refused(request_: WirePar) -> None:
    with pytest.raises(FaultError) as caught:
        negotiate(request_)
    assert caught.value.fault.message and caught.value.fault.hint


def test_bytes_without_bits_are_ignored() -> None:
    assert negotiate(WirePar(bps=2)).bps == 4
    assert negotiate(WirePar(bps=77)).bps == 4
    assert negotiate(WirePar(bits=16, bps=3), WirePar(bps=2)).bps == 3


def test_any_number_but_zero_is_one() -> None:
    got = negotiate(WirePar(sig=7, le=127, msb=2))
    assert (got.sig, got.le, got.msb) == (1, 1, 1)
    got = negotiate(WirePar(sig=0, le=0, msb=0))
    assert (got.sig, got.le, got.msb) == (0, 0, 0)


def test_what_is_not_set_stays() -> None:
    first = WirePar(bits=16, le=0, sig=0, msb=1, pchan=6, rchan=3, rate=44100, appbufsz=4410, xrun=2)
    duplex = Mode.PLAY | Mode.REC
    assert negotiate(first, WirePar(), mode=duplex) == negotiate(first, mode=duplex)
    got = negotiate(first, WirePar(xrun=1), mode=duplex)
    assert (got.bits, got.le, got.sig, got.msb, got.pchan, got.rchan) == (16, 0, 0, 1, 6, 3)
    assert (got.rate, got.appbufsz, got.xrun) == (44100, 4410, 1)


@pytest.mark.parametrize(("channels", "made"), [(0, 1), (1, 1), (64, 64), (65, 64), (32767, 64)])
def test_channels_are_fitted(channels: int, made: int) -> None:
    assert negotiate(WirePar(pchan=channels)).pchan == made
    assert negotiate(WirePar(rchan=channels), mode=Mode.REC).rchan == made


def test_channels_of_the_other_direction_do_not_exist() -> None:
    assert negotiate(WirePar(pchan=2, rchan=4)).rchan is None
    assert negotiate(WirePar(pchan=2, rchan=4), mode=Mode.REC).pchan is None


@given(
    st.builds(WirePar, rate=st.none() | st.integers(0, 300000), appbufsz=st.none() | st.integers(0, 10**6)),
    st.builds(
        lambda rate, block, blocks: DeviceClock(rate, block, block * blocks),
        st.sampled_from([8000, 44100, 48000, 96000]),
        st.integers(16, 2048),
        st.integers(2, 16),
    ),
)
def test_sndiods_formulas(request_: WirePar, clock: DeviceClock) -> None:
    """Where the ratio is integral, sndiod's arithmetic to the frame; else what we say beside it."""
    got = negotiate(request_, clock=clock)
    rate = clock.rate if request_.rate is None else min(max(request_.rate, 4000), 192000)
    block = (clock.round * rate + clock.rate // 2) // clock.rate
    app = clock.bufsz
    if request_.rate is not None:
        app = clock.bufsz // clock.round * block
    if request_.appbufsz is not None:
        app = request_.appbufsz
    app += block // 2
    app -= app % block
    app = min(max(app, block), (1 + rate // clock.round) * block)
    ahead = clock.bufsz // clock.round * block
    assert (got.rate, got.round) == (rate, block)
    if clock.round * rate % clock.rate == 0:
        assert (got.appbufsz, got.bufsz) == (app, app + ahead)
    else:
        assert (got.appbufsz, got.bufsz) == (max(app, 2 * block), max(app, 2 * block) + ahead + 1)
