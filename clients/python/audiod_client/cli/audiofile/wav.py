"""WAV: RIFF, RIFX, RF64 and BW64 read chunk by chunk, so that pipes work too; RIFF and RF64 written.

Invariant: samples are never touched.  A header whose size is not known yet
says 0xFFFFFFFF, so that a file whose writer was killed still plays whole.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from audiod_protocol.params import Enc

from audiod_client.cli.audiofile.format import AudioFileError, Format, PcmReader, read_exactly, skip

__all__ = ["MAGICS", "WAV_ENCS", "UnknownCodec", "WavWriter", "read_wav"]

MAGICS = (b"RIFF", b"RIFX", b"RF64", b"BW64")
WAV_ENCS = ("u8", "s16le", "s24le3", "s32le", "f32le", "f64le")

UNKNOWN = 0xFFFFFFFF  # a size that the writer did not know
STREAMED = 0x7FFFF000  # from here on, in a pipe, a size is a way of saying that too
FMT_MAX = 1 << 16  # bytes looked at of a fmt chunk

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
CODECS = {2: "MS ADPCM", 6: "A-law", 7: "mu-law", 0x11: "IMA ADPCM", 0x31: "GSM", 0x50: "MPEG", 0x55: "MP3"}


class UnknownCodec(AudioFileError):
    """The samples are not PCM or float: another reader may know them."""


def read_wav(file: BinaryIO, magic: bytes) -> PcmReader:
    """A reader of the WAV file whose first four bytes, `magic`, were taken.  Raises AudioFileError."""
    order = ">" if magic == b"RIFX" else "<"
    if read_exactly(file, 8)[4:] != b"WAVE":
        raise AudioFileError("it is a RIFF file, but not WAVE", "convert it with another program")
    format: Format | None = None
    long_size: int | None = None
    while len(head := read_exactly(file, 8)) == 8:
        name, size = struct.unpack(f"{order}4sI", head)
        if name == b"data":
            if format is None:
                raise AudioFileError("its samples come before their format", "the file is damaged")
            return PcmReader(file, format, _data_size(size, long_size, file.seekable()))
        known = b""
        if name in (b"fmt ", b"ds64"):
            known = read_exactly(file, min(size, FMT_MAX))
        if name == b"fmt ":
            format = _format(known, order)
        elif name == b"ds64" and len(known) >= 16:
            long_size = int.from_bytes(known[8:16], "little")
        skip(file, size - len(known) + size % 2)
    raise AudioFileError("it has no samples: the file ends before them", "it was cut off, or never finished")


def _data_size(size: int, long_size: int | None, seekable: bool) -> int | None:
    if size == UNKNOWN:
        return None if long_size in (None, 2**64 - 1) else long_size
    return None if not seekable and size >= STREAMED else size


def _format(chunk: bytes, order: str) -> Format:
    if len(chunk) < 16:
        raise AudioFileError(f"its format has {len(chunk)} bytes, not 16 at least", "the file is damaged")
    tag, nchan, rate, _, align, bits = struct.unpack_from(f"{order}HHIIHH", chunk)
    valid = bits
    if tag == EXTENSIBLE:
        if len(chunk) < 40 or chunk[26:40] != GUID_TAIL:
            raise UnknownCodec("its samples are in an unknown encoding", "convert it with another program")
        valid, _, tag = struct.unpack_from(f"{order}HIH", chunk, 18)
    if tag not in (PCM, FLOAT):
        codec = CODECS.get(tag, f"codec 0x{tag:04x}")
        raise UnknownCodec(f"its samples are {codec}", "install soundfile, or convert it to PCM")
    bps, rest = divmod(align, nchan) if nchan else (0, 1)
    sizes = (4, 8) if tag == FLOAT else (1, 2, 3, 4)
    if rest or bps not in sizes or (tag == FLOAT and bits != 8 * bps):
        raise AudioFileError(
            f"{nchan} channels of {bits} bits in {align} bytes a frame is not a format", "the file is damaged"
        )
    le = order == "<"
    if tag == FLOAT:
        return Format(Enc(8 * bps, bps, True, le, False, True), rate, nchan)
    if bps == 1:
        return Format(Enc(8, 1, False), rate, nchan)
    # WAV puts the bits that count at the top of the bytes
    valid = valid if 0 < valid < 8 * bps else 8 * bps
    return Format(Enc(valid, bps, True, le, valid < 8 * bps), rate, nchan)


class WavWriter:
    """Writes to `file`; if that can seek, the header is completed in the end."""

    def __init__(self, file: BinaryIO, format: Format) -> None:
        self.format = format
        self._file = file
        self._seekable = file.seekable()
        self._begin = file.tell() if self._seekable else 0
        self._size = 0
        file.write(self._header())
        file.flush()

    def _header(self, done: bool = False) -> bytes:
        """The header; until it is `done`, its sizes are unknown.  Its length never changes."""
        enc, nchan, frame = self.format.enc, self.format.nchan, self.format.frame
        tag = FLOAT if enc.flt else PCM
        extensible = nchan > 2
        fmt = struct.pack(
            "<HHIIHH",
            EXTENSIBLE if extensible else tag,
            nchan,
            self.format.rate,
            min(self.format.rate * frame, UNKNOWN),
            frame,
            8 * enc.bps,
        )
        if extensible:
            fmt += struct.pack("<HHIH", 22, enc.bits, 0, tag) + GUID_TAIL
        elif enc.flt:
            fmt += bytes(2)
        chunks = struct.pack("<4sI", b"fmt ", len(fmt)) + fmt
        if enc.flt:
            nframes = min(self._size // frame, UNKNOWN) if done else UNKNOWN
            chunks += struct.pack("<4sII", b"fact", 4, nframes)
        room = 36 if self._seekable else 0  # a ds64 chunk, should the file grow beyond 4 GiB
        riff = 4 + room + len(chunks) + 8 + self._size + self._size % 2
        long = done and riff >= UNKNOWN
        known = done and not long
        head = struct.pack("<4sI4s", b"RF64" if long else b"RIFF", riff if known else UNKNOWN, b"WAVE")
        if long:
            head += struct.pack("<4sIQQQI", b"ds64", 28, riff, self._size, self._size // frame, 0)
        elif room:
            head += struct.pack("<4sI", b"JUNK", 28) + bytes(28)
        return head + chunks + struct.pack("<4sI", b"data", self._size if known else UNKNOWN)

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._size += len(data)

    def close(self) -> None:
        try:
            if self._seekable:
                self._file.write(bytes(self._size % 2))
                self._file.seek(self._begin)
                self._file.write(self._header(done=True))
        finally:
            self._file.close()
