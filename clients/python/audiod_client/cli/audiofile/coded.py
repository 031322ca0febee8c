"""FLAC, OGG, MP3 and the rest, through the soundfile package (the `files` extra), loaded only here.

Invariant: lossless files come out with exactly their bits (16 as s16le, 24 as
s24le3), lossy ones as f32le.  Samples pass as bytes, without numpy's types.
"""

from __future__ import annotations

import sys
from typing import Any

from audiod_protocol.params import Enc

from audiod_client.cli.audiofile.format import AudioFileError, Format

__all__ = ["KINDS", "CodedReader", "CodedWriter"]

# suffix: (format, subtype by encoding)
KINDS: dict[str, tuple[str, dict[str, str]]] = {
    ".flac": ("FLAC", {"s16le": "PCM_16", "s24le3": "PCM_24"}),
    ".ogg": ("OGG", {"f32le": "VORBIS"}),
    ".opus": ("OGG", {"f32le": "OPUS"}),
    ".mp3": ("MP3", {"f32le": "MPEG_LAYER_III"}),
}

# subtype: (soundfile's type of samples, ours); any other is read as f32le
SUBTYPES = {
    "PCM_S8": ("int16", "s8"),
    "PCM_U8": ("int16", "s8"),
    "PCM_16": ("int16", "s16le"),
    "PCM_24": ("int32", "s24le3"),
    "PCM_32": ("int32", "s32le"),
    "ALAC_16": ("int16", "s16le"),
    "ALAC_24": ("int32", "s24le3"),
    "ALAC_32": ("int32", "s32le"),
    "ULAW": ("int16", "s16le"),
    "ALAW": ("int16", "s16le"),
    "IMA_ADPCM": ("int16", "s16le"),
    "MS_ADPCM": ("int16", "s16le"),
    "DOUBLE": ("float64", "f64le"),
}
SIZES = {"int16": 2, "int32": 4, "float32": 4, "float64": 8}


def _soundfile() -> Any:
    try:
        import soundfile
    except ImportError as err:
        raise AudioFileError(
            "WAV, AU and raw are all that can be read and written here",
            "for FLAC, OGG and MP3: pip install 'audiod[files]'",
        ) from err
    except OSError as err:
        raise AudioFileError(f"the soundfile package does not work: {err}", "install libsndfile") from err
    return soundfile


def _tops(data: bytes, size: int, keep: int) -> bytes:
    """The `keep` most significant bytes of little-endian samples of `size` bytes."""
    out = bytearray(len(data) // size * keep)
    for i in range(keep):
        out[i::keep] = data[size - keep + i :: size]
    return bytes(out)


def _little(data: bytes, size: int) -> bytes:
    """Samples in this machine's byte order as little-endian ones."""
    if sys.byteorder == "little":
        return data
    out = bytearray(len(data))
    for i in range(size):
        out[i::size] = data[size - 1 - i :: size]
    return bytes(out)


class CodedReader:
    """A file that soundfile decodes."""

    def __init__(self, path: str) -> None:
        soundfile = _soundfile()
        try:
            self._file = soundfile.SoundFile(path)
        except soundfile.SoundFileError as err:
            raise AudioFileError(
                f"it is no audio file that is known: {getattr(err, 'error_string', err)}",
                "give raw samples their --enc, --rate and --channels",
            ) from err
        self._errors = soundfile.SoundFileError
        self._dtype, name = SUBTYPES.get(self._file.subtype, ("float32", "f32le"))
        self.format = Format(Enc.parse(name), self._file.samplerate, self._file.channels)
        frames: int = self._file.frames
        self.nframes: int | None = frames if 0 <= frames < 2**62 else None
        self.warnings: list[str] = []

    def read(self, nframes: int) -> bytes:
        try:
            data = self._some(nframes)
        except self._errors as err:
            raise AudioFileError(f"decoding failed: {err}", "the file is damaged") from err
        size, keep = SIZES[self._dtype], self.format.enc.bps
        data = _little(data, size)
        return data if size == keep else _tops(data, size, keep)

    def _some(self, nframes: int) -> bytes:
        """At most `nframes`; fewer also where the file ends before its header says so."""
        frame = SIZES[self._dtype] * self.format.nchan
        buffer = bytearray(nframes * frame)
        got: int = self._file.buffer_read_into(buffer, dtype=self._dtype)
        return bytes(buffer[: got * frame])

    def close(self) -> None:
        self._file.close()


class CodedWriter:
    """A file that soundfile encodes."""

    def __init__(self, path: str, suffix: str, format: Format) -> None:
        soundfile = _soundfile()
        self.format = format
        kind, subtypes = KINDS[suffix]
        self._errors = soundfile.SoundFileError
        try:
            self._file = soundfile.SoundFile(
                path, "w", format.rate, format.nchan, subtypes[str(format.enc)], format=kind
            )
        except soundfile.SoundFileError as err:
            raise AudioFileError(
                f"{kind} does not take {format.rate} Hz with {format.nchan} channels: {err}",
                "choose another --rate or --channels, or write WAV",
            ) from err
        self._dtype = {2: "int16", 3: "int32"}.get(format.enc.bps, "float32")

    def write(self, data: bytes) -> None:
        if self.format.enc.bps == 3:
            wide = bytearray(len(data) // 3 * 4)
            for i in range(3):
                wide[i + 1 :: 4] = data[i::3]
            data = bytes(wide)
        try:
            self._file.buffer_write(_little(data, SIZES[self._dtype]), dtype=self._dtype)
        except self._errors as err:
            raise AudioFileError(f"encoding failed: {err}", "check the disk") from err

    def close(self) -> None:
        try:
            self._file.close()
        except self._errors as err:
            raise AudioFileError(f"finishing the file failed: {err}", "check the disk") from err
