"""The engine's signal processing, driven through ctypes: encodings, exact ratios, quality.

Owns a shared library of the four DSP files, built once a session for each level
of the CPU that this machine has.  Everything is compared with plain Python or
numpy; nothing here depends on time.
"""

from __future__ import annotations

import ctypes as ct
import math
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

ENGINE = Path(__file__).resolve().parents[2] / "audiod" / "engine"
SOURCES = [str(ENGINE / f"{name}.c") for name in ("conv", "gain", "fade", "cmap", "resamp", "resamp_design")]
CFLAGS = ["-std=c11", "-O2", "-ffp-contract=off", "-shared", "-fPIC"]

Samples = npt.NDArray[Any]


class Enc(ct.Structure):
    _fields_ = [(name, ct.c_uint8) for name in ("bits", "bps", "sig", "le", "msb", "flt")]


class Conv(ct.Structure):
    _fields_ = [
        ("enc", Enc),
        *((name, ct.CFUNCTYPE(None, *[ct.c_void_p] * 3, ct.c_size_t)) for name in ("dec32", "dec64")),
        *((name, ct.CFUNCTYPE(None, *[ct.c_void_p] * 3, ct.c_size_t)) for name in ("enc32", "enc64")),
        *((name, ct.CFUNCTYPE(None, *[ct.c_void_p] * 4, ct.c_size_t)) for name in ("dit32", "dit64")),
    ]


class Gain(ct.Structure):
    _fields_ = [("start", ct.c_double), ("to", ct.c_double), ("pos", ct.c_uint), ("len", ct.c_uint)]


class Cmap(ct.Structure):
    _fields_ = [(name, ct.c_uint) for name in ("inch", "onch", "istart", "ostart", "width", "join", "expand")]


def build(directory: Path, level: int | None) -> ct.CDLL:
    lib = directory / f"dsp{'' if level is None else level}.so"
    shim = directory / "level.c"
    shim.write_text('#include "kern.h"\nint level(void);\nint level(void) { return kern_level(); }\n')
    flags = [] if level is None else [f"-DKERN_LEVEL={level}"]
    subprocess.run(
        ["cc", *CFLAGS, *flags, f"-I{ENGINE}", str(shim), *SOURCES, "-o", str(lib), "-lm"], check=True
    )
    dsp = ct.CDLL(str(lib))
    dsp.resamp_delay.restype = ct.c_double
    dsp.resamp_delay.argtypes = [ct.c_void_p]
    dsp.resamp_need.restype = dsp.resamp_yield.restype = ct.c_uint
    dsp.resamp_need.argtypes = dsp.resamp_yield.argtypes = [ct.c_void_p, ct.c_uint]
    dsp.resamp_new.argtypes = [ct.c_void_p, *[ct.c_uint] * 3, ct.c_int, ct.c_uint]
    dsp.resamp_run.argtypes = [ct.c_void_p, ct.c_void_p, ct.c_uint, ct.c_void_p, ct.c_uint]
    dsp.resamp_free.argtypes = [ct.c_void_p]
    dsp.clip_count32.restype = dsp.clip_count64.restype = ct.c_size_t
    dsp.gain_set.argtypes = [ct.c_void_p, ct.c_double]
    dsp.gain_ramp.argtypes = [ct.c_void_p, ct.c_double, ct.c_uint]
    dsp.cmap_init.argtypes = [ct.c_void_p, ct.c_uint, *[ct.c_int] * 2, ct.c_uint, *[ct.c_int] * 3]
    for name in ("cmap_mix32", "cmap_mix64"):
        getattr(dsp, name).argtypes = [*[ct.c_void_p] * 4, ct.c_size_t]
    return dsp


@pytest.fixture(scope="session")
def dsp(tmp_path_factory: pytest.TempPathFactory) -> ct.CDLL:
    return build(tmp_path_factory.mktemp("dsp"), None)


@pytest.fixture(scope="session")
def levels(dsp: ct.CDLL, tmp_path_factory: pytest.TempPathFactory) -> list[ct.CDLL]:
    """One library a level, from the baseline to the best that this machine can run."""
    directory = tmp_path_factory.mktemp("levels")
    return [build(directory, level) for level in range(dsp.level() + 1)]


# ---- encodings ---------------------------------------------------------------

INTEGERS = [
    (bits, bps, sig, le, msb, 0)
    for bits in range(1, 33)
    for bps in range((bits + 7) // 8, 5)
    for sig in (0, 1)
    for le in (0, 1)
    for msb in (0, 1)
]
FLOATS = [(32, 4, 1, 1, 0, 1), (32, 4, 1, 0, 0, 1), (64, 8, 1, 1, 0, 1), (64, 8, 1, 0, 0, 1)]
Encoding = tuple[int, int, int, int, int, int]


def converter(dsp: ct.CDLL, enc: Encoding) -> Conv:
    conv = Conv()
    assert dsp.conv_init(ct.byref(conv), ct.byref(Enc(*enc))) == 0
    return conv


def decode(conv: Conv, data: bytes, dtype: type) -> Samples:
    n = len(data) // conv.enc.bps
    out = np.full(n, np.nan, dtype)
    kernel = conv.dec32 if dtype is np.float32 else conv.dec64
    kernel(ct.addressof(conv), ct.cast(ct.c_char_p(data), ct.c_void_p), out.ctypes.data, n)
    return out


def encode(conv: Conv, samples: Samples) -> bytes:
    samples = np.ascontiguousarray(samples)
    out = ct.create_string_buffer(len(samples) * conv.enc.bps)
    kernel = conv.enc32 if samples.dtype == np.float32 else conv.enc64
    kernel(ct.addressof(conv), samples.ctypes.data, ct.addressof(out), len(samples))
    return out.raw


def pack(enc: Encoding, values: list[int], rubbish: int = 0) -> bytes:
    """Signed values as bytes; `rubbish` fills the padding, which is canonical without."""
    bits, bps, sig, le, msb, _ = enc
    pad = 8 * bps - bits
    out = bytearray()
    for value in values:
        word = value if sig else value + (1 << (bits - 1))
        if msb:
            word = word << pad | rubbish & ((1 << pad) - 1)
        elif rubbish:
            word = word & ((1 << bits) - 1) | rubbish << bits
        out += (word & ((1 << 8 * bps) - 1)).to_bytes(bps, "little" if le else "big")
    return bytes(out)


def round_trip(dsp: ct.CDLL, enc: Encoding, values: list[int], rubbish: int) -> None:
    bits = enc[0]
    conv = converter(dsp, enc)
    canonical = pack(enc, values)
    want = np.array(values, np.float64) / 2.0 ** (bits - 1)
    for data in (canonical, pack(enc, values, rubbish)):
        wide, narrow = decode(conv, data, np.float64), decode(conv, data, np.float32)
        assert np.array_equal(wide, want)
        assert np.array_equal(narrow, want.astype(np.float32))
        assert encode(conv, wide) == canonical
        if bits <= 24:
            assert encode(conv, narrow) == canonical


def test_every_integer_encoding_round_trips(dsp: ct.CDLL) -> None:
    for enc in INTEGERS:
        low, high = -(1 << (enc[0] - 1)), (1 << (enc[0] - 1)) - 1
        values = {low, low + 1, low // 2, low // 3, -1, 0, 1, high // 3, high // 2, high - 1, high}
        round_trip(dsp, enc, [v for v in sorted(values) if low <= v <= high], 0xA5A5A5A5)


@settings(deadline=None, max_examples=300)
@given(data=st.data(), enc=st.sampled_from(INTEGERS), rubbish=st.integers(1, 2**32 - 1))
def test_any_values_round_trip(dsp: ct.CDLL, data: st.DataObject, enc: Encoding, rubbish: int) -> None:
    half = 1 << (enc[0] - 1)
    values = data.draw(st.lists(st.integers(-half, half - 1), min_size=1, max_size=70))
    round_trip(dsp, enc, values, rubbish)


@settings(deadline=None, max_examples=300)
@given(
    enc=st.sampled_from(INTEGERS),
    steps=st.lists(st.one_of(st.floats(width=32), st.integers(-9, 9).map(lambda k: k / 2)), min_size=1),
    full=st.booleans(),
)
def test_any_float_is_rounded_and_clipped(
    dsp: ct.CDLL, enc: Encoding, steps: list[float], full: bool
) -> None:
    """To nearest, halves to even; NaN is 0.  `full` moves the values to full scale."""
    half = 1 << (enc[0] - 1)
    conv = converter(dsp, enc)
    # a power of two, and sums that f64 holds: the scaled values are exact
    wide = np.array([(s + half if full and math.isfinite(s) and abs(s) < 2**20 else s) / half for s in steps])
    for samples in (wide, wide.astype(np.float32)):
        values = []
        for x in samples.astype(np.float64) * half:
            if math.isnan(x):
                values.append(0)
            elif math.isinf(x):
                values.append(half - 1 if x > 0 else -half)
            else:
                values.append(max(-half, min(half - 1, round(x))))
        assert encode(conv, samples) == pack(enc, values)


@pytest.mark.parametrize("enc", [e for e in INTEGERS if e[1] == (e[0] + 7) // 8 and e[2:] == (1, 1, 0, 0)])
def test_a_long_run_is_its_parts(dsp: ct.CDLL, enc: Encoding) -> None:
    """However kernels cut it: 1,303 samples at once, and 7 at a time, from any address."""
    conv, bps = converter(dsp, enc), enc[1]
    data = np.random.default_rng(3).bytes(1303 * bps)
    for dtype, dither in ((np.float32, conv.dit32), (np.float64, conv.dit64)):
        samples = decode(conv, data, dtype)
        parts = [decode(conv, data[at * bps : (at + 7) * bps], dtype) for at in range(0, 1303, 7)]
        assert np.array_equal(samples, np.concatenate(parts))
        assert encode(conv, samples) == b"".join(encode(conv, part) for part in parts)
        seeds, outs = (
            [ct.c_uint32(9), ct.c_uint32(9)],
            [ct.create_string_buffer(1303 * bps) for _ in range(2)],
        )
        dither(ct.addressof(conv), ct.addressof(seeds[0]), samples.ctypes.data, ct.addressof(outs[0]), 1303)
        for at, part in zip(range(0, 1303, 7), parts, strict=True):
            to = ct.addressof(outs[1]) + at * bps
            dither(ct.addressof(conv), ct.addressof(seeds[1]), part.ctypes.data, to, len(part))
        assert outs[0].raw == outs[1].raw
        assert seeds[0].value == seeds[1].value


@pytest.mark.parametrize("enc", FLOATS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_round_trip(dsp: ct.CDLL, enc: Encoding, dtype: type) -> None:
    conv = converter(dsp, enc)
    order = "<" if enc[3] else ">"
    wire = np.dtype(f"{order}f{enc[1]}")
    samples = np.random.default_rng(1).uniform(-4, 4, 1001).astype(np.float32)
    samples[:6] = [0.0, -0.0, 1.0, -1.0, 256.0, -256.0]
    data = encode(conv, samples.astype(dtype))
    assert data == samples.astype(wire).tobytes()
    assert np.array_equal(decode(conv, data, dtype), samples.astype(dtype))
    wild = np.array([np.nan, np.inf, -np.inf, 300.0, -300.0, 1e-40], wire)
    assert decode(conv, wild.tobytes(), dtype).tolist() == [0, 256, -256, 256, -256, dtype(wild[5])]


@settings(deadline=None, max_examples=60)
@given(
    enc=st.sampled_from(INTEGERS),
    values=st.lists(st.floats(-1.125, 1.125, width=32), min_size=1, max_size=99),
    ends=st.booleans(),
)
def test_clip_count(dsp: ct.CDLL, enc: Encoding, values: list[float], ends: bool) -> None:
    """A sample counts if rounding it (halves upwards at the top) leaves the range."""
    half = Fraction(1 << (enc[0] - 1))
    conv = converter(dsp, enc)
    if ends:
        values = [*values, 1.0, -1.0, float(np.nextafter(np.float32(1), np.float32(0)))]
    wide = np.array(values)
    want = sum(
        Fraction(v) * half >= half - Fraction(1, 2) or Fraction(v) * half < -half - Fraction(1, 2)
        for v in values
    )
    narrow = wide.astype(np.float32)
    assert dsp.clip_count64(ct.byref(conv), ct.c_void_p(wide.ctypes.data), len(wide)) == want
    assert dsp.clip_count32(ct.byref(conv), ct.c_void_p(narrow.ctypes.data), len(wide)) == want


# ---- resampler -----------------------------------------------------------------


class Resamp:
    """One resampler; samples are frames x channels."""

    def __init__(self, dsp: ct.CDLL, irate: int, orate: int, nch: int, dtype: type, max_nout: int = 480):
        self.dsp, self.nch, self.dtype = dsp, nch, dtype
        self.state = ct.c_void_p()
        code = dsp.resamp_new(ct.byref(self.state), irate, orate, nch, dtype is np.float64, max_nout)
        assert code == 0
        self.delay = dsp.resamp_delay(self.state) / irate  # seconds

    def run(self, samples: Samples, nout: int) -> Samples:
        out: Samples = np.full((nout, self.nch), np.nan, self.dtype)
        samples = np.ascontiguousarray(samples, self.dtype)
        self.dsp.resamp_run(self.state, samples.ctypes.data, len(samples), out.ctypes.data, nout)
        return out

    def need(self, nout: int) -> int:
        return int(self.dsp.resamp_need(self.state, nout))

    def yields(self, nin: int) -> int:
        return int(self.dsp.resamp_yield(self.state, nin))

    def __enter__(self) -> Resamp:
        return self

    def __exit__(self, *_: object) -> None:
        self.dsp.resamp_free(self.state)


def convert(dsp: ct.CDLL, samples: Samples, irate: int, orate: int, dtype: type, block: int = 480) -> Samples:
    """Input-driven, in blocks of `block` input frames, start-up and all."""
    with Resamp(dsp, irate, orate, samples.shape[1], dtype, block * orate // irate + 1) as r:
        parts = []
        for at in range(0, len(samples), block):
            part = samples[at : at + block]
            parts.append(r.run(part, r.yields(len(part))))
        return np.concatenate(parts)


def tone(freq: float, rate: int, nframes: int) -> Samples:
    phase = 2 * np.pi * freq / rate * np.arange(nframes) + 0.3
    return 0.89 * np.stack([np.sin(phase), np.cos(phase)], 1)


def measure(out: Samples, freq: float, rate: int) -> tuple[float, float]:
    """Gain in dB of the tone, and its distance in dB to all that is not the tone."""
    phase = 2 * np.pi * freq / rate * np.arange(len(out))
    basis = np.stack([np.sin(phase), np.cos(phase), np.ones(len(out))], 1)
    fit, *_ = np.linalg.lstsq(basis, out, rcond=None)
    amplitude = math.hypot(fit[0], fit[1])
    rest = math.sqrt(float(np.mean((out - basis @ fit) ** 2)))
    return 20 * math.log10(amplitude / 0.89), 20 * math.log10(amplitude / math.sqrt(2) / rest)


@pytest.mark.parametrize(
    ("irate", "orate", "snr32"),
    [
        (44100, 48000, 140),
        (48000, 44100, 140),
        (48000, 96000, 140),
        (96000, 48000, 140),
        (8000, 48000, 140),
        (11025, 48000, 140),
        (32000, 48000, 140),
        (44101, 48000, 140),  # interpolated phases
        (192000, 44100, 140),
        (4000, 192000, 140),
        (192000, 4000, 135),  # 3873 taps: the rounding of f32 sums grows with them
        (191999, 4001, 140),
    ],
)
def test_resampler_quality(dsp: ct.CDLL, irate: int, orate: int, snr32: float) -> None:
    scale = min(1.0, min(irate, orate) / 44100)
    for freq, flat in (
        (997 * scale, 0.001),
        (10000 * scale, 0.001),
        (19000 * scale, 0.001),
        (20000 * scale, 0.01),
    ):
        samples = tone(freq, irate, max(irate // 4, 6000))
        for dtype, snr in ((np.float32, snr32), (np.float64, 150)):
            with Resamp(dsp, irate, orate, 2, dtype) as r:
                settled = int(2 * r.delay * orate) + 2
            out: Samples = convert(dsp, samples, irate, orate, dtype)[settled:].astype(np.float64)
            for channel in range(2):
                gain, distance = measure(out[:, channel], freq, orate)
                assert distance >= snr, (freq, dtype)
                assert abs(gain) < flat, (freq, dtype)


@pytest.mark.parametrize(("irate", "orate"), [(44100, 48000), (48000, 44100)])
def test_resampler_is_flat_and_quick(dsp: ct.CDLL, irate: int, orate: int) -> None:
    with Resamp(dsp, irate, orate, 2, np.float32) as r:
        assert r.delay <= 0.001
    for freq in (20, 15000, 19500, 19800, 20000):
        out = convert(dsp, tone(freq, irate, 9000), irate, orate, np.float32)[300:].astype(np.float64)
        assert abs(measure(out[:, 0], freq, orate)[0]) < 0.01


@pytest.mark.parametrize(("irate", "orate", "freq"), [(96000, 48000, 28500), (192000, 44100, 30000)])
def test_downsampling_removes_what_does_not_fit(dsp: ct.CDLL, irate: int, orate: int, freq: int) -> None:
    out = convert(dsp, tone(freq, irate, 9000), irate, orate, np.float64)[600:]
    assert np.max(np.abs(out)) < 0.89 * 10 ** (-135 / 20)


RATES = st.sampled_from([4000, 8000, 11025, 44100, 44101, 48000, 96000, 191999, 192000])


@settings(deadline=None, max_examples=80)
@given(
    irate=RATES,
    orate=RATES,
    runs=st.lists(st.tuples(st.booleans(), st.integers(0, 900)), min_size=1, max_size=12),
)
def test_ratio_is_exact(dsp: ct.CDLL, irate: int, orate: int, runs: list[tuple[bool, int]]) -> None:
    """need and yield are the smallest and the largest counts that keep outputs behind inputs."""
    ratio = Fraction(irate, orate)
    taken = made = 0
    with Resamp(dsp, irate, orate, 1, np.float32, 64) as r:
        for by_input, n in runs:
            if by_input:
                nin, nout = n, r.yields(n)
                assert made + nout == (taken + nin) // ratio
            else:
                nin, nout = r.need(n), n
                assert taken + nin == max(taken, math.ceil((made + nout) * ratio))
            out = r.run(np.zeros((nin, 1)), nout)
            assert not np.any(out)  # also: every frame was written
            taken += nin
            made += nout


def test_extreme_gain_of_input_survives(dsp: ct.CDLL) -> None:
    """Float input is clamped to 256: the resampler neither overflows nor clips it."""
    out = convert(dsp, 256 * tone(997, 44100, 4410), 44100, 48000, np.float32)
    assert 220 < np.max(np.abs(out)) < 240


# ---- levels of the CPU ------------------------------------------------------------


def all_kernels(dsp: ct.CDLL) -> list[bytes]:
    """The bytes that every kernel makes of the same noise."""
    rng = np.random.default_rng(7)
    noise = rng.uniform(-1.2, 1.2, 1003)
    noise[::97] = [0, 1, -1, 2, -2, np.inf, -np.inf, np.nan, 0.5, 0.25, 1e-9]
    results = []
    for enc in [(8, 1, 0, 1, 0, 0), (16, 2, 1, 1, 0, 0), (24, 3, 1, 1, 0, 0), (24, 4, 1, 1, 0, 0),
                (32, 4, 1, 1, 0, 0), (20, 3, 0, 0, 1, 0), *FLOATS]:  # fmt: skip
        conv = converter(dsp, enc)
        data = rng.bytes(1003 * enc[1])
        for dtype in (np.float32, np.float64):
            results.append(decode(conv, data, dtype).tobytes())
            results.append(encode(conv, noise.astype(dtype)))
            seed = ct.c_uint32(5)
            out = ct.create_string_buffer(1003 * enc[1])
            dither = conv.dit32 if dtype is np.float32 else conv.dit64
            source = noise.astype(dtype)
            dither(ct.addressof(conv), ct.addressof(seed), source.ctypes.data, ct.addressof(out), 1003)
            results.append(out.raw)
    finite = rng.uniform(-1, 1, (777, 6))
    for dtype, name in ((np.float32, "cmap_mix32"), (np.float64, "cmap_mix64")):
        for inch, onch in [(1, 1), (2, 2), (1, 2), (6, 2), (2, 6), (3, 5)]:
            cmap, gain = Cmap(), Gain()
            dsp.cmap_init(ct.byref(cmap), inch, 0, inch - 1, onch, 0, onch - 1, 1)
            dsp.gain_set(ct.byref(gain), 0.3)
            dsp.gain_ramp(ct.byref(gain), 0.9, 480)
            source = np.ascontiguousarray(finite[:, :inch], dtype)
            bus = np.ascontiguousarray(finite[::-1, :onch], dtype)
            getattr(dsp, name)(
                ct.byref(cmap), ct.byref(gain), source.ctypes.data, bus.ctypes.data, len(source)
            )
            results.append(bus.tobytes())
        for nch in (1, 2, 3, 6):
            for irate, orate in ((44100, 48000), (48000, 44101), (96000, 44100)):
                results.append(convert(dsp, finite[:, :nch], irate, orate, dtype, 100).tobytes())
    return results


def test_all_levels_of_the_cpu_give_the_same_bits(levels: list[ct.CDLL]) -> None:
    want = all_kernels(levels[0])
    for dsp in levels[1:]:
        got = all_kernels(dsp)
        assert [i for i, (a, b) in enumerate(zip(want, got, strict=True)) if a != b] == []
