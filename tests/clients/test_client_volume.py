"""Volumes as people write them."""

from __future__ import annotations

import math

import pytest
from audiod_client.errors import StreamError
from audiod_client.volume import parse_volume, show_volume, vol_to_db
from hypothesis import given, settings
from hypothesis import strategies as st

STEADY = settings(deadline=None, derandomize=True)


@pytest.mark.parametrize(
    ("text", "present", "vol"),
    [
        ("70%", 0, 89),
        ("0.7", 0, 89),
        (".5", 0, 64),
        ("0", 9, 0),
        ("1", 9, 127),
        ("1.0", 9, 127),
        ("0%", 9, 0),
        ("100%", 9, 127),
        ("33.3%", 9, 42),
        ("-6dB", 9, 109),
        ("-6.02dB", 9, 109),
        ("0dB", 9, 127),
        ("-12.04 db", 9, 91),
        ("-999dB", 9, 0),
        ("+5%", 100, 106),
        ("-5%", 100, 94),
        ("+5%", 125, 127),
        ("-5%", 3, 0),
        ("+0.1%", 50, 51),
        ("-0.1%", 50, 49),
        ("+0%", 50, 50),
        ("5%+", 100, 106),
        ("5%-", 100, 94),
        ("+2dB", 100, 106),
        ("+6.02dB", 100, 118),
        ("2dB+", 125, 127),
        ("2dB-", 100, 94),
        ("60 dB-", 100, 0),
        ("+0.1dB", 50, 51),
        ("0dB+", 50, 50),
    ],
)
def test_volumes(text: str, present: int, vol: int) -> None:
    assert parse_volume(text, present) == vol


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("70", "add the unit: 70%"),
        ("-5", "add the unit: -5%"),
        ("101%", "100% is the loudest"),
        ("1.5", "1.0 is the loudest"),
        ("3dB", "0dB is the loudest; a step up is +3dB"),
        ("+5%-", "70%"),
        ("-2dB-", "70%"),
        ("loud", "70%"),
        ("", "70%"),
        ("%", "70%"),
        ("-0.7", "70%"),
        ("5%%", "70%"),
        ("\u0665%", "70%"),
    ],
)
def test_what_is_not_a_volume(text: str, hint: str) -> None:
    with pytest.raises(StreamError) as refused:
        parse_volume(text, 64)
    assert hint in refused.value.hint


@STEADY
@given(st.integers(0, 127))
def test_every_value_survives_percent_and_dB(vol: int) -> None:
    assert parse_volume(f"{100 * vol / 127:.3f}%", 5) == vol
    if vol:
        assert parse_volume(f"{vol_to_db(vol):.3f}dB", 5) == vol


@STEADY
@given(st.text(max_size=12) | st.text("0123456789.+-%dB ", max_size=9), st.integers(0, 127))
def test_any_text_is_a_volume_or_a_clear_error(text: str, present: int) -> None:
    try:
        vol = parse_volume(text, present)
    except StreamError as err:
        assert err.code == "EINVAL"
        assert err.hint
    else:
        assert 0 <= vol <= 127


def test_the_formula() -> None:
    assert vol_to_db(127) == 0
    assert math.isclose(vol_to_db(109), -20 * math.log10(2))
    assert round(vol_to_db(1), 1) == -42.1
    assert vol_to_db(0) == -math.inf
    assert show_volume(89) == "70% (-12.7 dB)"
    assert show_volume(0) == "0% (silent)"
