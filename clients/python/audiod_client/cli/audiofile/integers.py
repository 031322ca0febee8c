"""Floats as integers, for servers that take no floats.

Invariant: each sample becomes the nearest s32; what is beyond full scale is
clipped, what is no number is silence.  Runs in the caller's thread.
"""

from __future__ import annotations

import sys
from array import array

from audiod_protocol.params import Enc

from audiod_client.cli.audiofile.format import Format, Reader

__all__ = ["IntegerReader"]

FULL = 1 << 31


class IntegerReader:
    """Reads s32 in the machine's byte order from what another reader reads as floats."""

    def __init__(self, source: Reader) -> None:
        self._source = source
        self.format = Format(Enc(32, 4), source.format.rate, source.format.nchan)
        self.nframes = source.nframes
        self.warnings = source.warnings

    def read(self, nframes: int) -> bytes:
        enc = self._source.format.enc
        floats = array("f" if enc.bps == 4 else "d", self._source.read(nframes))
        if enc.le != (sys.byteorder == "little"):
            floats.byteswap()
        return array("i", [_nearest(value) if value == value else 0 for value in floats]).tobytes()

    def close(self) -> None:
        self._source.close()


def _nearest(value: float) -> int:
    return min(round(min(max(value, -1.0), 1.0) * FULL), FULL - 1)
