"""Formats: libasound's samples as audiod spells them, and why it does not have the others."""

from __future__ import annotations

LAST = 52  # the highest of libasound's numbers

# those that hold more before those that hold less, little endian first: the order in which a device picks
ENCODINGS: dict[int, str] = {
    10: "s32le",
    32: "s24le3",
    6: "s24le",
    2: "s16le",
    11: "s32be",
    33: "s24be3",
    7: "s24be",
    3: "s16be",
    14: "f32le",
    15: "f32be",
    16: "f64le",
    17: "f64be",
    12: "u32le",
    34: "u24le3",
    8: "u24le",
    4: "u16le",
    13: "u32be",
    35: "u24be3",
    9: "u24be",
    5: "u16be",
    25: "s20le",
    36: "s20le3",
    40: "s18le3",
    26: "s20be",
    37: "s20be3",
    41: "s18be3",
    27: "u20le",
    38: "u20le3",
    42: "u18le3",
    28: "u20be",
    39: "u20be3",
    43: "u18be3",
    1: "u8",
    0: "s8",
}

# libasound's names of those that it has and we do not, and why not
_DSD = "one bit a sample: it can be neither mixed nor turned down"
_DIGITAL = "subframes of a digital link, not samples"
_COMPRESSED = "compressed: audiod mixes plain samples"
_OTHERS: dict[int, tuple[str, str]] = {
    18: ("IEC958_SUBFRAME_LE", _DIGITAL),
    19: ("IEC958_SUBFRAME_BE", _DIGITAL),
    20: ("MU_LAW", _COMPRESSED),
    21: ("A_LAW", _COMPRESSED),
    22: ("IMA_ADPCM", _COMPRESSED),
    23: ("MPEG", _COMPRESSED),
    24: ("GSM", _COMPRESSED),
    31: ("SPECIAL", "known to the card's driver alone"),
    44: ("G723_24", _COMPRESSED),
    45: ("G723_24_1B", _COMPRESSED),
    46: ("G723_40", _COMPRESSED),
    47: ("G723_40_1B", _COMPRESSED),
    48: ("DSD_U8", _DSD),
    49: ("DSD_U16_LE", _DSD),
    50: ("DSD_U32_LE", _DSD),
    51: ("DSD_U16_BE", _DSD),
    52: ("DSD_U32_BE", _DSD),
}


def refusal(number: int) -> tuple[str, str]:
    """The name of a format that a card has and audiod has not, and why not."""
    return _OTHERS.get(number, (f"format {number}", "audiod does not know what it is"))
