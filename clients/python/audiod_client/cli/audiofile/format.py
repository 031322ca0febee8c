"""What all audio files share: their format, their errors, and reading and writing plain samples.

Invariant: a reader gives whole frames, exactly as they stand in the file, and
whatever the bytes of a file are, it gives frames or raises AudioFileError.
Runs in the caller's thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from audiod_protocol.limits import NCHAN_MAX
from audiod_protocol.params import Enc

__all__ = ["AudioFileError", "Format", "PcmReader", "Reader", "Writer", "read_exactly", "skip", "storable"]

READ_SIZE = 1 << 20  # most bytes asked of a file at once, whatever it announces


class AudioFileError(Exception):
    """A file cannot be read or written: what is wrong with it, and what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


@dataclass(frozen=True)
class Format:
    """Frames of `nchan` samples in encoding `enc`, `rate` of them a second."""

    enc: Enc
    rate: int
    nchan: int

    def __post_init__(self) -> None:
        if not 1 <= self.nchan <= NCHAN_MAX:
            raise AudioFileError(f"it has {self.nchan} channels", f"1 to {NCHAN_MAX} can be played")
        if not 1 <= self.rate < 2**31:
            raise AudioFileError(f"its rate is {self.rate} Hz", "the file is damaged")

    @property
    def frame(self) -> int:
        """Bytes of a frame."""
        return self.enc.frame_size(self.nchan)


class Reader(Protocol):
    """An open file: `nframes` is its length where that is known, `warnings` what was odd about it."""

    format: Format
    nframes: int | None
    warnings: list[str]

    def read(self, nframes: int) -> bytes:
        """Up to `nframes` frames; b"" at the end.  Raises AudioFileError."""

    def close(self) -> None: ...


class Writer(Protocol):
    """A file being written."""

    format: Format

    def write(self, data: bytes) -> None:
        """Append whole frames.  Raises AudioFileError."""

    def close(self) -> None:
        """Finish the file: its header tells its length."""


def read_exactly(file: BinaryIO, count: int) -> bytes:
    """`count` bytes, fewer only at the end of the file; memory grows with what is there, not with `count`."""
    pieces: list[bytes] = []
    while count > 0 and (piece := file.read(min(count, READ_SIZE))):
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def skip(file: BinaryIO, count: int) -> None:
    """Pass over `count` bytes, of a pipe too."""
    while count > 0 and (piece := file.read(min(count, READ_SIZE))):
        count -= len(piece)


def bytes_left(file: BinaryIO) -> int | None:
    """What is left of a file; None for a pipe."""
    if not file.seekable():
        return None
    here = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(here)
    return max(0, end - here)


class PcmReader:
    """Plain samples from where `file` stands: `announced` bytes of them, None if the header does not tell."""

    def __init__(self, file: BinaryIO, format: Format, announced: int | None) -> None:
        self.format = format
        self.warnings: list[str] = []
        self._file = file
        left = bytes_left(file)
        if announced is not None and left is not None and left < announced:
            there, wanted = left // format.frame / format.rate, announced // format.frame / format.rate
            self.warnings.append(f"it ends after {there:.1f} of {wanted:.1f} s: it was cut off")
        sizes = [size for size in (announced, left) if size is not None]
        self._left = min(sizes) if sizes else None
        self.nframes = None if self._left is None else self._left // format.frame

    def read(self, nframes: int) -> bytes:
        count = nframes * self.format.frame
        if self._left is not None:
            count = min(count, self._left // self.format.frame * self.format.frame)
        try:
            data = read_exactly(self._file, count)
        except OSError as err:
            raise AudioFileError(f"reading failed: {err.strerror or err}", "check the disk") from err
        if self._left is not None:
            self._left -= len(data)
        return data[: len(data) // self.format.frame * self.format.frame]

    def close(self) -> None:
        self._file.close()


def storable(enc: Enc, kinds: Iterable[str], what: str) -> Enc:
    """The one of `kinds` that holds the same values as `enc`, so that storing it loses nothing."""
    for kind in kinds:
        stored = Enc.parse(kind)
        if (stored.bits, stored.flt) == (enc.bits, enc.flt):
            return stored
    raise AudioFileError(f"{what} files do not store {enc}", "they store " + ", ".join(kinds))
