"""Encodings, modes, policies, the `par` map, capabilities, and what the server makes of a setpar."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
from audiod_protocol import CAP, SIO_BPS, Cap, DeviceClock, Enc, FaultError, Mode, Par, Xrun, initial, resolve
from hypothesis import given, settings
from hypothesis import strategies as st

NATIVE = sys.byteorder == "little"
ORDER = "le" if NATIVE else "be"


def native(value: object) -> object:
    if isinstance(value, str) and value not in ("play", "rec"):
        return NATIVE if value == "native" else value.replace("native", ORDER)
    return value


@st.composite
def encodings(draw: st.DrawFn) -> Enc:
    if draw(st.booleans()):
        bits = draw(st.sampled_from([32, 64]))
        return Enc(bits, bits // 8, True, draw(st.booleans()), False, True)
    bits = draw(st.integers(1, 32))
    flags = st.booleans()
    return Enc(bits, draw(st.integers((bits + 7) // 8, 4)), draw(flags), draw(flags), draw(flags))


U32 = st.integers(0, 2**32 - 1)
ASKED = st.fixed_dictionaries(
    {},
    optional={
        "bits": st.integers(1, 32),
        "sig": st.booleans(),
        "le": st.booleans(),
        "msb": st.booleans(),
        "rate": U32,
        "pchan": U32,
        "rchan": U32,
        "appbufsz": U32,
        "xrun": st.sampled_from(list(Xrun)),
    },
).map(lambda given: Par(**given))


def test_encoding_names(encoding_case: dict[str, Any]) -> None:
    case = {key: native(value) for key, value in encoding_case.items()}
    enc = Enc.parse(encoding_case["name"])
    want = [case[key] for key in ("bits", "bps", "sig", "le", "msb", "flt")]
    assert [enc.bits, enc.bps, enc.sig, enc.le, enc.msb, enc.flt] == want
    assert str(enc) == case["canonical"]
    assert Enc.parse(str(enc)).same(enc)


def test_names_that_are_none(no_encoding_case: str) -> None:
    with pytest.raises(FaultError) as caught:
        Enc.parse(no_encoding_case)
    assert caught.value.fault.code == "EINVAL"
    assert caught.value.fault.hint


@settings(deadline=None, derandomize=True)
@given(encodings())
def test_every_encoding_has_a_name_that_means_it(enc: Enc) -> None:
    again = Enc.parse(str(enc))
    assert again.same(enc)
    assert (again.bits, again.bps, again.sig, again.flt) == (enc.bits, enc.bps, enc.sig, enc.flt)
    assert again.le == enc.le or enc.bps == 1
    assert again.msb == enc.msb or enc.bits == 8 * enc.bps


@settings(deadline=None, derandomize=True)
@given(encodings(), encodings())
def test_encodings_are_the_same_where_it_matters(a: Enc, b: Enc) -> None:
    alike = (a.bits, a.bps, a.sig, a.flt) == (b.bits, b.bps, b.sig, b.flt)
    alike &= a.le == b.le or a.bps == 1
    alike &= a.msb == b.msb or a.bits == 8 * a.bps
    # a byte with padding on the left has its order in its name, and then it counts
    if a.bps == 1 and a.msb and a.bits < 8:
        alike &= a.le == b.le
    assert a.same(b) == alike


@pytest.mark.parametrize(
    "bad",
    [
        {"bits": 0, "bps": 1},
        {"bits": 33, "bps": 4},
        {"bits": 9, "bps": 1},
        {"bits": 16, "bps": 5},
        {"bits": 32, "bps": 8, "flt": True},
        {"bits": 16, "bps": 2, "flt": True},
        {"bits": 32, "bps": 4, "flt": True, "msb": True},
        {"bits": 32, "bps": 4, "flt": True, "sig": False},
    ],
)
def test_no_such_encoding_can_exist(bad: dict[str, Any]) -> None:
    with pytest.raises(FaultError):
        Enc(**bad)


def test_sizes() -> None:
    assert [SIO_BPS(bits) for bits in (1, 8, 9, 16, 17, 24, 32)] == [1, 1, 2, 2, 4, 4, 4]
    assert Enc.parse("s24le3").frame_size(6) == 18


def test_modes() -> None:
    assert [str(m) for m in (Mode.PLAY, Mode.REC, Mode.PLAY | Mode.REC)] == ["play", "rec", "play,rec"]
    for text in ("play", "rec", "play,rec", "mon"):
        assert str(Mode.parse(text)) == text
    assert Mode.parse("rec,play") == Mode.PLAY | Mode.REC
    assert Mode.REC in Mode.MON and Mode.PLAY not in Mode.MON and Mode.MON not in Mode.REC
    for bad in ("", "play,mon", "play,", "rec,rec", " play", "PLAY", "play,rec,mon", "mon,rec"):
        with pytest.raises(FaultError, match="does not exist"):
            Mode.parse(bad)


def test_policies() -> None:
    assert [(str(x), x.number) for x in Xrun] == [("ignore", 0), ("sync", 1), ("error", 2)]
    for policy in Xrun:
        assert Xrun.parse(str(policy)) is policy
        assert Xrun.parse(policy.number) is policy
    for bad in (3, -1, True, 1.0, None, "IGNORE", b"sync"):
        with pytest.raises(FaultError, match="does not exist"):
            Xrun.parse(bad)


def test_negotiation(negotiation_case: dict[str, Any]) -> None:
    clock, mode = DeviceClock(**negotiation_case["device"]), Mode.parse(negotiation_case["mode"])
    answer = resolve(
        initial(clock, mode, 2, 2), Par.from_wire(negotiation_case["asked"]), clock, mode
    ).to_wire()
    for key, value in negotiation_case["answer"].items():
        assert answer.get(key) == native(value), key
        assert type(answer.get(key)) is type(native(value)), key


def test_refusals_name_what_was_wrong(refusal_case: dict[str, Any]) -> None:
    with pytest.raises(FaultError) as caught:
        Par.from_wire(refusal_case["asked"])
    fault = caught.value.fault
    assert fault.code == "EINVAL"
    assert refusal_case["says"] in f"{fault.message} ({fault.hint})"


CLOCKS = st.builds(
    DeviceClock,
    rate=st.integers(4000, 192000),
    round=st.integers(1, 8192),
    bufsz=st.just(0),
).flatmap(lambda c: st.integers(2, 20).map(lambda n: DeviceClock(c.rate, c.round, c.round * n)))
MODES = st.sampled_from([Mode.PLAY, Mode.REC, Mode.PLAY | Mode.REC, Mode.MON])


@settings(deadline=None, derandomize=True)
@given(CLOCKS, MODES, ASKED, ASKED)
def test_any_setpar_ends_in_what_the_formulas_promise(
    clock: DeviceClock, mode: Mode, one: Par, two: Par
) -> None:
    par = resolve(resolve(initial(clock, mode, 2, 2), one, clock, mode), two, clock, mode)
    assert (
        par.rate is not None and par.appbufsz is not None and par.bufsz is not None and par.round is not None
    )
    assert 4000 <= par.rate <= 192000
    assert abs(par.round * clock.rate - clock.round * par.rate) <= clock.rate // 2 or par.round == 1
    assert par.appbufsz % par.round == 0 and par.appbufsz >= par.round
    whole = clock.round * par.rate % clock.rate == 0
    assert whole or par.appbufsz >= 2 * par.round
    assert par.appbufsz <= max((1 + par.rate // clock.round) * par.round, 2 * par.round)
    # enough for the cycle that takes the most, however the ratio falls
    assert par.appbufsz >= -(-clock.round * par.rate // clock.rate)
    assert par.bufsz == par.appbufsz + clock.bufsz // clock.round * par.round + (0 if whole else 1)
    assert (par.pchan is not None) == (Mode.PLAY in mode) and (par.rchan is not None) == (Mode.REC in mode)
    assert all(1 <= n <= 64 for n in (par.pchan, par.rchan) if n is not None)
    assert par.enc is not None and par.xrun is not None
    wire = par.to_wire()
    assert Par.from_wire(wire).to_wire() == wire, "what getpar answers can be read"
    assert resolve(par, Par.from_wire(wire), clock, mode) == par, "and sent back, which changes nothing"


def test_the_first_parameters() -> None:
    par = initial(DeviceClock(48000, 480, 7680), Mode.PLAY | Mode.REC, 2, 4)
    assert str(par.enc) == "s24" + ORDER
    assert (par.rate, par.pchan, par.rchan, par.appbufsz, par.bufsz, par.round) == (
        48000,
        2,
        4,
        7680,
        15360,
        480,
    )
    assert par.xrun is Xrun.IGNORE


def test_encodings_on_top_of_each_other() -> None:
    s16, f32 = Par().with_enc(Enc.parse("s16le")), Par().with_enc(Enc.parse("f32be"))
    assert s16.merge(Par(bps=4)).enc == s16.enc, "bps without bits is ignored"
    assert str(s16.merge(Par(bits=24)).enc) == "s24le"
    assert str(s16.merge(Par(bits=24, bps=3, sig=False)).enc) == "u24le3"
    assert str(f32.merge(Par(bits=16)).enc) == "s16be", "bits mean integers"
    assert str(f32.merge(Par(bits=32)).enc) == "s32be"
    assert str(f32.merge(Par(bits=24, msb=True, sig=False)).enc) == "u24be4msb"
    assert str(f32.merge(Par(le=True)).enc) == "f32le"
    assert str(s16.merge(f32).enc) == "f32be"
    with pytest.raises(FaultError, match="float"):
        f32.merge(Par(sig=False))
    assert Par(bits=16).merge(Par(rate=8000)) == Par(bits=16, rate=8000), "not complete, not judged"


def test_par_map() -> None:
    assert Par().to_wire() == {} and Par().enc is None
    assert Par(rate=8000, xrun=Xrun.SYNC).to_wire() == {"rate": 8000, "xrun": "sync"}
    wire = Par(pchan=2).with_enc(Enc.parse("f32le")).to_wire()
    assert wire == {
        "enc": "f32le",
        "bits": 32,
        "bps": 4,
        "sig": True,
        "le": True,
        "msb": False,
        "pchan": 2,
    }
    assert Par.from_wire(wire).flt is True
    assert Par.from_wire({"sig": 0, "le": 9, "msb": True}) == Par(sig=False, le=True, msb=True)
    assert Par.from_wire({b"rate".decode(): 1, "enc": b"u8", "xrun": b"error"}).xrun is Xrun.ERROR
    for bad in (None, [], "s16le", 3):
        with pytest.raises(FaultError, match="par must be a map"):
            Par.from_wire(bad)
    with pytest.raises(FaultError, match="no field b'"):
        Par.from_wire({b"\xff": 1})
    with pytest.raises(FaultError, match="no field 5"):
        Par.from_wire({5: 1})


def test_every_field_goes_over_the_wire() -> None:
    names = {f.name for f in fields(Par)} - {"flt"}
    full = initial(DeviceClock(48000, 480, 960), Mode.PLAY | Mode.REC, 1, 1)
    assert set(full.to_wire()) == names | {"enc"}


def test_cap() -> None:
    wire = CAP.to_wire()
    assert wire["enc"] == [
        "s8",
        "u8",
        "s16be",
        "s16le",
        "s24be3",
        "s24le3",
        "s24be4msb",
        "s24le4msb",
        "f32le",
        "f64le",
    ]
    assert wire["pchan"] == wire["rchan"] == [1, 2, 4, 6, 8, 10, 12, 16]
    assert {8000, 11025, 12000, 44100, 48000, 88200, 96000, 176400, 192000} <= set(wire["rate"])
    assert len(wire["rate"]) == 15
    assert Cap.from_wire(wire).to_wire() == wire
    later = {**wire, "enc": ["s16le", "mp3"], "colours": []}
    assert [str(enc) for enc in Cap.from_wire(later).enc] == ["s16le"]


@pytest.mark.parametrize("bad", [None, [], {}, {"enc": "s16le"}, {"enc": [1]}, {"enc": [], "pchan": [True]}])
def test_cap_that_is_none(bad: object) -> None:
    with pytest.raises(FaultError, match="cap"):
        Cap.from_wire(bad)


def test_vectors_cover_the_formulas(vectors: Callable[[str, str], list[Any]]) -> None:
    cases = vectors("parameters.json", "negotiations")
    assert {case["mode"] for case in cases} == {"play", "rec", "play,rec"}
    assert any(case["answer"]["bufsz"] % case["answer"]["round"] for case in cases)
