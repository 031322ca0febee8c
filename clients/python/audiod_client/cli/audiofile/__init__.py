"""Audio files: which reader or writer a name or its first bytes ask for.

WAV, AU and raw are ours and bit-exact; everything else goes through the
soundfile package, which is loaded only then.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import BinaryIO, cast

from audiod_protocol.params import Enc

from audiod_client.cli.audiofile import au, coded, wav
from audiod_client.cli.audiofile.format import (
    AudioFileError,
    Format,
    PcmReader,
    Reader,
    Writer,
    read_exactly,
    storable,
)
from audiod_client.cli.audiofile.integers import IntegerReader

__all__ = [
    "AudioFileError",
    "Format",
    "IntegerReader",
    "Reader",
    "Writer",
    "default_enc",
    "open_reader",
    "open_writer",
]

RAW_SUFFIXES = (".raw", ".pcm")


class _Unread:
    """A pipe some of whose first bytes were looked at."""

    def __init__(self, file: BinaryIO, head: bytes) -> None:
        self._file = file
        self._head = head

    def seekable(self) -> bool:
        return False

    def read(self, count: int) -> bytes:
        if not self._head:
            return self._file.read(count)
        data, self._head = self._head[:count], self._head[count:]
        return data

    def close(self) -> None:
        self._file.close()


def open_reader(name: str, raw: Format | None, raw_default: Format) -> Reader:
    """A reader of the file `name`, "-" being standard input.

    `raw` is the format of samples without a header, if the user gave one: a
    file without a known header is then taken for raw.  Without it only
    standard input and *.raw are, in the format `raw_default`.  Raises AudioFileError.
    """
    if name == "-":
        file = cast(BinaryIO, sys.stdin.buffer)
    else:
        try:
            file = cast(BinaryIO, io.BufferedReader(io.FileIO(name)))
        except OSError as err:
            raise AudioFileError(f"it cannot be opened: {(err.strerror or str(err)).lower()}") from err
    try:
        return _reader(file, name, raw, raw_default)
    except OSError as err:
        file.close()
        raise AudioFileError(f"it cannot be read: {(err.strerror or str(err)).lower()}") from err
    except BaseException:
        file.close()
        raise


def _reader(file: BinaryIO, name: str, raw: Format | None, raw_default: Format) -> Reader:
    head = read_exactly(file, 4)
    try:
        if head in wav.MAGICS:
            return wav.read_wav(file, head)
        if head == au.MAGIC:
            return au.read_au(file)
    except wav.UnknownCodec:
        if name == "-":
            raise
        file.close()
        return coded.CodedReader(name)
    if name == "-":
        if head in (b"fLaC", b"OggS") or head[:3] == b"ID3":
            raise AudioFileError("from a pipe only WAV, AU and raw samples play", "play it by its name")
        return PcmReader(cast(BinaryIO, _Unread(file, head)), raw or raw_default, None)
    if Path(name).suffix.lower() in RAW_SUFFIXES or (raw is not None and head not in (b"fLaC", b"OggS")):
        if file.seekable():
            file.seek(0)
        else:
            file = cast(BinaryIO, _Unread(file, head))
        return PcmReader(file, raw or raw_default, None)
    if not head:
        raise AudioFileError("it is empty")
    file.close()
    return coded.CodedReader(name)


def _kind(name: str, raw: bool) -> str:
    return ".raw" if raw else ".wav" if name == "-" else Path(name).suffix.lower()


def default_enc(name: str, enc: Enc | None, raw: bool = False) -> Enc:
    """The encoding that the file `name` stores: `enc` if the user gave one, else the usual.

    Raises AudioFileError if that type of file has none for it.
    """
    kind = _kind(name, raw)
    wanted = enc or Enc.parse("s16le")
    if kind in coded.KINDS:
        stored = tuple(coded.KINDS[kind][1])
        return storable(enc or Enc.parse(stored[0]), stored, kind[1:].upper())
    if kind in (".wav", ".wave"):
        return storable(wanted, wav.WAV_ENCS, "WAV")
    if kind in (".au", ".snd"):
        return storable(wanted, au.AU_ENCS, "AU")
    if kind in RAW_SUFFIXES:
        return wanted
    raise AudioFileError(
        f"the type of file {kind or name!r} is not known", "use .wav, .au, .raw, .flac, .ogg, .opus or .mp3"
    )


def open_writer(name: str, format: Format, raw: bool = False) -> Writer:
    """A new file `name` of the type that its suffix says, or `raw`; "-": WAV on standard output.

    Raises AudioFileError.
    """
    kind = _kind(name, raw)
    if kind in coded.KINDS:
        return coded.CodedWriter(name, kind, format)
    try:
        file = cast(BinaryIO, io.BufferedWriter(io.FileIO(os.dup(1) if name == "-" else name, "w")))
        try:
            if kind in RAW_SUFFIXES:
                return RawWriter(file, format)
            return au.AuWriter(file, format) if kind in (".au", ".snd") else wav.WavWriter(file, format)
        except BaseException:
            file.close()
            raise
    except OSError as err:
        raise AudioFileError(f"it cannot be written: {(err.strerror or str(err)).lower()}") from err


class RawWriter:
    """Samples and nothing else."""

    def __init__(self, file: BinaryIO, format: Format) -> None:
        self.format = format
        self._file = file

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def close(self) -> None:
        self._file.close()
