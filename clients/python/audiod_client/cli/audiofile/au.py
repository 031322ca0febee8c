"""AU (Sun, NeXT): six big-endian numbers, then big-endian samples, read and written as they are."""

from __future__ import annotations

import struct
from typing import BinaryIO

from audiod_protocol.params import Enc

from audiod_client.cli.audiofile.format import AudioFileError, Format, PcmReader, read_exactly, skip
from audiod_client.cli.audiofile.wav import UnknownCodec

__all__ = ["AU_ENCS", "MAGIC", "AuWriter", "read_au"]

MAGIC = b".snd"
UNKNOWN = 0xFFFFFFFF
NUMBERS = {2: "s8", 3: "s16be", 4: "s24be3", 5: "s32be", 6: "f32be", 7: "f64be"}
AU_ENCS = tuple(NUMBERS.values())


def read_au(file: BinaryIO) -> PcmReader:
    """A reader of the AU file whose first four bytes were taken already.  Raises AudioFileError."""
    head = read_exactly(file, 20)
    if len(head) < 20:
        raise AudioFileError("its header is cut off", "the file is damaged")
    offset, size, number, rate, nchan = struct.unpack(">IIIII", head)
    if number not in NUMBERS:
        raise UnknownCodec(f"its encoding has number {number}", "install soundfile, or convert it to PCM")
    if offset < 24:
        raise AudioFileError(f"its samples begin at byte {offset}, in its header", "the file is damaged")
    format = Format(Enc.parse(NUMBERS[number]), rate, nchan)
    skip(file, offset - 24)
    return PcmReader(file, format, None if size == UNKNOWN else size)


class AuWriter:
    """Writes to `file`; if that can seek, the header is completed in the end."""

    def __init__(self, file: BinaryIO, format: Format) -> None:
        self.format = format
        self._file = file
        self._size = 0
        self._begin = file.tell() if file.seekable() else 0
        file.write(self._header(UNKNOWN))
        file.flush()

    def _header(self, size: int) -> bytes:
        number = {name: number for number, name in NUMBERS.items()}[str(self.format.enc)]
        return MAGIC + struct.pack(">IIIII", 24, size, number, self.format.rate, self.format.nchan)

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._size += len(data)

    def close(self) -> None:
        try:
            if self._file.seekable() and self._size < UNKNOWN:
                self._file.seek(self._begin)
                self._file.write(self._header(self._size))
        finally:
            self._file.close()
