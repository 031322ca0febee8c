"""Formats, capabilities, levels: the values of OSS."""

from __future__ import annotations

import pytest
from audiod_protocol.params import Enc

from audiod.sndstat import words


def test_golden_values() -> None:
    assert words.CONVERTIBLE == 0x000FF1FB == 1044987, "what the draft's device has as pfmts"
    assert words.OURS == 0x300FF1F8
    assert words.word(words.AFMT["s16le"], 2) == 0x00200010
    assert words.word(words.AFMT["s32le"], 2) == 0x00201000
    assert words.word(words.AFMT["s16le"], 6, 1) == 0x08600010
    assert len(set(words.AFMT.values())) == len(words.AFMT)
    assert not any(value & ~words.ENCODING_MASK for value in words.AFMT.values())
    assert words.word(0, 1000) == 127 << 20


def test_words_and_back() -> None:
    for bits in words.AFMT.values():
        for channels, ext in ((1, 0), (2, 0), (6, 1), (127, 0)):
            assert words.split(words.word(bits, channels, ext)) == (bits, channels, ext)
    assert words.name(0x08600010) == "s16le:5.1"
    assert words.name(0x00200010) == "s16le:2.0"
    assert words.name(0x00200800) == "0x00000800:2.0"


@pytest.mark.parametrize(
    ("enc", "name", "exact"),
    [
        ("u8", "u8", True), ("s8", "s8", True), ("s16le", "s16le", True), ("s16be", "s16be", True),
        ("u16le", "u16le", True), ("s24le3", "s24le", True), ("u24be3", "u24be", True),
        ("s32le", "s32le", True), ("u32be", "u32be", True), ("f32le", "f32le", True),
        ("f32be", "f32be", True),
        ("s24le", "s32le", False), ("s24le4msb", "s32le", True), ("s20le3", "s24le", False),
        ("s20le3msb", "s24le", True), ("s12le2", "s16le", False), ("s7", "s8", False),
    ],
)  # fmt: skip
def test_encodings(enc: str, name: str, exact: bool) -> None:
    found = Enc.parse(enc)
    assert words.encoding(found) == words.AFMT[name]
    assert words.exact(found) is exact
    assert words.written(found, 2, "name") == (f"{name}:2.0" if exact else f"{found}:2.0")
    assert words.written(found, 2, "hex").startswith("0x") is exact


def test_f64_has_no_word() -> None:
    assert words.format_of(words.F64, 2) == 0x00200000
    assert words.written(words.F64, 2, "hex") == words.written(words.F64, 2, "name") == f"{words.F64}:2.0"


def test_capabilities() -> None:
    assert words.caps(playing=True, virtual=False) == 0x23200
    assert words.caps(playing=False, virtual=False) == 0x13200
    assert words.caps(playing=True, virtual=True) == 0x63200
    assert words.caps(playing=False, virtual=True) == 0x53200
    bits = [
        value
        for name, value in words.CAP.items()
        if name not in ("REVISION", "CH_MASK", "CH_MULTI", "CH_ANY")
    ]
    assert all(value & value - 1 == 0 for value in bits) and len(set(bits)) == len(bits)


def test_latency() -> None:
    assert words.LEVELS[:3] == (256, 512, 1024) and words.LEVELS[9:] == (131072, 131072)
    assert [words.latency(256 << level, 48000) for level in range(10)] == list(range(10))
    assert words.latency(1, 48000) == 0 and words.latency(1 << 24, 8000) == 9
    assert words.latency(941, 44100) == 2, "21.3 ms at any rate"


def test_volume() -> None:
    assert [words.percent(volume) for volume in (0, 1, 57, 64, 127)] == [0, 1, 45, 50, 100]
