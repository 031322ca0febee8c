"""Peak level of a block of samples, without numpy.  Pure functions over bytes, for any encoding."""

from __future__ import annotations

import math
import sys
from array import array

from audiod_protocol.params import Enc

__all__ = ["bar", "decibels", "peak"]

FLOOR = -60.0  # dB at the left end of the bar


def peak(data: bytes, enc: Enc) -> float:
    """The largest absolute sample, 1.0 being full scale; 0.0 of no samples."""
    if enc.flt:
        floats = array("f" if enc.bps == 4 else "d", data)
        if enc.le != (sys.byteorder == "little"):
            floats.byteswap()
        top = max(max(floats), -min(floats)) if floats else 0.0
        return top if math.isfinite(top) else 0.0
    # every sample becomes the top of 32 bits, whose order is the machine's
    wide = bytearray(len(data) // enc.bps * 4)
    for i in range(enc.bps):
        significance = i if enc.le else enc.bps - 1 - i
        place = 4 - enc.bps + significance
        wide[place if sys.byteorder == "little" else 3 - place :: 4] = data[i :: enc.bps]
    full = 1 << (31 if enc.msb else 8 * (4 - enc.bps) + enc.bits - 1)
    centre = 0 if enc.sig else full
    values = array("i" if enc.sig else "I", bytes(wide))
    return max(max(values) - centre, centre - min(values)) / full if values else 0.0


def decibels(level: float) -> float:
    return 20 * math.log10(level) if level > 0 else -math.inf


def bar(level: float, width: int) -> str:
    """A bar of `width` characters from FLOOR dB to full scale."""
    share = 1 - decibels(level) / FLOOR if level > 0 else 0.0
    full = round(width * min(1.0, max(0.0, share)))
    return "#" * full + "-" * (width - full)
