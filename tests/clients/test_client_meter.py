"""The level meter, against exact values in every encoding."""

from __future__ import annotations

import struct

import pytest
from audiod_client.cli.meter import bar, decibels, peak
from audiod_protocol.params import Enc
from hypothesis import given, settings
from hypothesis import strategies as st

STEADY = settings(deadline=None, derandomize=True)

ENCS = [
    "u8",
    "s8",
    "s16le",
    "s16be",
    "u16le",
    "u16be",
    "s24le3",
    "s24be3",
    "u24le3",
    "s24le",
    "s24be",
    "s24le4msb",
    "s24be4msb",
    "s20le3",
    "u20be4msb",
    "s12le2msb",
    "s32le",
    "s32be",
    "u32le",
]


def encode(value: int, enc: Enc) -> bytes:
    """A sample of `enc` with this signed value of its bits."""
    number = value if enc.sig else value + (1 << (enc.bits - 1))
    if enc.msb:
        number <<= 8 * enc.bps - enc.bits
    return number.to_bytes(enc.bps, "little" if enc.le else "big", signed=enc.sig)


@STEADY
@given(name=st.sampled_from(ENCS), share=st.lists(st.floats(-1, 0.99), min_size=1, max_size=9))
def test_peak_of_integers(name: str, share: list[float]) -> None:
    enc = Enc.parse(name)
    full = 1 << (enc.bits - 1)
    values = [int(s * full) for s in share]
    data = b"".join(encode(value, enc) for value in values)
    assert peak(data, enc) == max(abs(v) for v in values) / full


@pytest.mark.parametrize("name", ["f32le", "f32be", "f64le", "f64be"])
def test_peak_of_floats(name: str) -> None:
    order, kind = "<" if name.endswith("le") else ">", "f" if "32" in name else "d"
    enc = Enc.parse(name)
    assert peak(struct.pack(f"{order}3{kind}", 0.25, -0.75, 0.5), enc) == 0.75
    assert peak(struct.pack(f"{order}2{kind}", 2.5, 0), enc) == 2.5
    assert peak(struct.pack(f"{order}2{kind}", float("inf"), 0), enc) == 0.0


@pytest.mark.parametrize("name", [*ENCS, "f32le", "f64le"])
def test_no_samples(name: str) -> None:
    assert peak(b"", Enc.parse(name)) == 0.0


def test_bar() -> None:
    assert bar(0.0, 6) == "------"
    assert bar(1.0, 6) == "######"
    assert bar(7.0, 6) == "######"
    assert bar(10**-1.5, 6) == "###---"
    assert bar(1e-9, 6) == "------"
    assert decibels(1.0) == 0.0
