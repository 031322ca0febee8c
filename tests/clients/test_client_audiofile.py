"""Audio files: every bit comes back, headers of all kinds are read, and no bytes do harm."""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import soundfile
from audiod_client.cli.audiofile import AudioFileError, Format, default_enc, open_reader, open_writer
from audiod_client.cli.audiofile.au import AuWriter, read_au
from audiod_client.cli.audiofile.format import PcmReader
from audiod_client.cli.audiofile.wav import WAV_ENCS, UnknownCodec, WavWriter, read_wav
from audiod_protocol.params import Enc
from hypothesis import given, settings
from hypothesis import strategies as st

STEADY = settings(deadline=None, derandomize=True)

RAW = Format(Enc.parse("s16le"), 48000, 2)


def fmt(enc: str, rate: int = 48000, nchan: int = 2) -> Format:
    return Format(Enc.parse(enc), rate, nchan)


def ramp(nbytes: int) -> bytes:
    return bytes(i * 7 % 256 for i in range(nbytes))


def read_all(name: str, raw: Format | None = None) -> tuple[Format, bytes]:
    reader = open_reader(name, raw, RAW)
    data = b""
    try:
        while piece := reader.read(100):
            assert len(piece) % reader.format.frame == 0
            data += piece
        assert reader.nframes in (None, len(data) // reader.format.frame)
        return reader.format, data
    finally:
        reader.close()


def write_all(name: str, format: Format, data: bytes, raw: bool = False) -> None:
    writer = open_writer(name, format, raw)
    for i in range(0, len(data), 77 * format.frame):
        writer.write(data[i : i + 77 * format.frame])
    writer.close()


class Pipe(io.BytesIO):
    """Bytes that cannot be sought in."""

    def seekable(self) -> bool:
        return False

    def seek(self, *args: Any) -> int:
        raise io.UnsupportedOperation("a pipe")

    def tell(self) -> int:
        raise io.UnsupportedOperation("a pipe")

    def close(self) -> None:
        """Leave the bytes to be looked at."""


def parse_wav(data: bytes, pipe: bool = False) -> PcmReader:
    file: BinaryIO = Pipe(data) if pipe else io.BytesIO(data)
    return read_wav(file, file.read(4))


def chunk(name: bytes, data: bytes, size: int | None = None, order: str = "<") -> bytes:
    return struct.pack(f"{order}4sI", name, len(data) if size is None else size) + data + bytes(len(data) % 2)


def wav(*chunks: bytes, magic: bytes = b"RIFF") -> bytes:
    return magic + bytes(4) + b"WAVE" + b"".join(chunks)


def fmt_chunk(
    tag: int, nchan: int, rate: int, align: int, bits: int, more: bytes = b"", order: str = "<"
) -> bytes:
    body = struct.pack(f"{order}HHIIHH", tag, nchan, rate, rate * align, align, bits) + more
    return chunk(b"fmt ", body, order=order)


PCM16 = fmt_chunk(1, 2, 44100, 4, 16)


# ---- what is written is read back, by us and by others ----


@pytest.mark.parametrize("enc", WAV_ENCS)
@pytest.mark.parametrize("nchan", [1, 2, 3, 6])
@pytest.mark.parametrize("nframes", [0, 1, 333])
def test_wav_is_bit_exact(tmp_path: Path, enc: str, nchan: int, nframes: int) -> None:
    name, format = str(tmp_path / "a.wav"), fmt(enc, 44100, nchan)
    if format.enc.flt:
        data = np.linspace(-1, 1, nframes * nchan, dtype=f"f{format.enc.bps}").tobytes()
    else:
        data = ramp(nframes * format.frame)
    write_all(name, format, data)
    assert read_all(name) == (format, data)
    whole = Path(name).read_bytes()
    assert struct.unpack_from("<I", whole, 4)[0] + 8 == len(whole)
    assert len(whole) % 2 == 0
    with soundfile.SoundFile(name) as other:
        assert (other.samplerate, other.channels, other.frames) == (44100, nchan, nframes)
        if enc in ("s16le", "s32le"):
            assert bytes(other.buffer_read(dtype=f"int{format.enc.bits}")) == data
        elif format.enc.flt:
            assert bytes(other.buffer_read(dtype=f"float{format.enc.bits}")) == data


@pytest.mark.parametrize("enc", ["s8", "s16be", "s24be3", "s32be", "f32be", "f64be"])
def test_au_is_bit_exact(tmp_path: Path, enc: str) -> None:
    name, format = str(tmp_path / "a.au"), fmt(enc, 8000, 1)
    data = ramp(200 * format.frame)
    write_all(name, format, data)
    assert read_all(name) == (format, data)
    with soundfile.SoundFile(name) as other:
        assert (other.samplerate, other.channels, other.frames, other.format) == (8000, 1, 200, "AU")


@pytest.mark.parametrize(("enc", "subtype"), [("s16le", "PCM_16"), ("s24le3", "PCM_24")])
def test_flac_is_bit_exact(tmp_path: Path, enc: str, subtype: str) -> None:
    name, format = str(tmp_path / "a.flac"), fmt(enc)
    data = ramp(500 * format.frame)
    write_all(name, format, data)
    assert read_all(name) == (format, data)
    with soundfile.SoundFile(name) as other:
        assert (other.subtype, other.frames) == (subtype, 500)


def test_flac_of_eight_bits(tmp_path: Path) -> None:
    name = str(tmp_path / "a.flac")
    values = np.arange(-128, 128, dtype=np.int16) * 256
    soundfile.write(name, values, 8000, subtype="PCM_S8")
    assert read_all(name) == (fmt("s8", 8000, 1), np.arange(-128, 128, dtype=np.int8).tobytes())


@pytest.mark.parametrize("suffix", [".ogg", ".opus", ".mp3"])
def test_lossy_files_are_floats(tmp_path: Path, suffix: str) -> None:
    name, format = str(tmp_path / f"a{suffix}"), fmt("f32le", 48000, 1)
    tone = np.sin(np.arange(24000) * 0.05).astype("<f4") * 0.5
    write_all(name, format, tone.tobytes())
    got, data = read_all(name)
    assert got == format
    heard = np.frombuffer(data, "<f4")
    assert 0.4 < np.abs(heard).max() < 0.6


def test_raw(tmp_path: Path) -> None:
    name, format = str(tmp_path / "a.raw"), fmt("s20le3", 32000, 5)
    write_all(name, format, ramp(15 * 9))
    assert Path(name).read_bytes() == ramp(15 * 9)
    assert read_all(name, format) == (format, ramp(15 * 9))
    assert read_all(name)[0] == RAW
    other = str(tmp_path / "noise.bin")
    Path(other).write_bytes(b"abcdefg")
    assert read_all(other, RAW) == (RAW, b"abcd")
    with pytest.raises(AudioFileError, match="--enc"):
        open_reader(other, None, RAW)
    wavname = str(tmp_path / "x.wav")
    write_all(wavname, format, b"12345", raw=True)
    assert Path(wavname).read_bytes() == b"12345"


def test_a_header_is_believed_before_the_options(tmp_path: Path) -> None:
    name = str(tmp_path / "a.wav")
    write_all(name, fmt("s16le"), ramp(16))
    assert read_all(name, fmt("f32le", 8000, 1)) == (fmt("s16le"), ramp(16))


# ---- headers ----


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (fmt_chunk(1, 1, 8000, 1, 8), fmt("u8", 8000, 1)),
        (fmt_chunk(1, 2, 44100, 6, 20), fmt("s20le3msb", 44100)),
        (fmt_chunk(1, 2, 44100, 4, 12), fmt("s12le2msb", 44100)),
        (fmt_chunk(1, 2, 96000, 8, 24), fmt("s24le4msb", 96000)),
        (fmt_chunk(3, 2, 44100, 8, 32, bytes(2)), fmt("f32le", 44100)),
        (fmt_chunk(3, 1, 44100, 8, 64), fmt("f64le", 44100, 1)),
    ],
)
def test_formats(head: bytes, expected: Format) -> None:
    reader = parse_wav(wav(head, chunk(b"data", ramp(48))))
    assert reader.format == expected
    assert reader.read(1000) == ramp(48)


@pytest.mark.parametrize(
    ("tag", "bits", "valid", "enc"),
    [(1, 32, 24, "s24le4msb"), (1, 24, 24, "s24le3"), (1, 16, 0, "s16le"), (3, 32, 32, "f32le")],
)
def test_extensible(tag: int, bits: int, valid: int, enc: str) -> None:
    more = struct.pack("<HHIH", 22, valid, 3, tag) + bytes.fromhex("000000001000800000aa00389b71")
    head = fmt_chunk(0xFFFE, 2, 48000, bits // 4, bits, more)
    assert parse_wav(wav(head, chunk(b"data", b""))).format == fmt(enc)
    with pytest.raises(UnknownCodec):
        parse_wav(wav(fmt_chunk(0xFFFE, 2, 48000, 4, 16, more[:-1] + b"?"), chunk(b"data", b"")))


def test_other_chunks_and_the_big_endian_kin() -> None:
    odd = chunk(b"LIST", b"abc")
    data = wav(odd, PCM16, odd, chunk(b"data", ramp(8)), odd)
    assert parse_wav(data).read(100) == ramp(8)
    assert parse_wav(data, pipe=True).read(100) == ramp(8)
    big = wav(fmt_chunk(1, 2, 44100, 4, 16, order=">"), chunk(b"data", ramp(8), order=">"), magic=b"RIFX")
    reader = parse_wav(big)
    assert (reader.format, reader.read(100)) == (fmt("s16be", 44100), ramp(8))


def test_sizes_that_a_writer_did_not_know() -> None:
    for size in (0xFFFFFFFF, 0x7FFFF000):
        unknown = wav(PCM16, chunk(b"data", ramp(10), size))
        reader = parse_wav(unknown, pipe=True)
        assert (reader.nframes, reader.read(100), reader.warnings) == (None, ramp(8), [])
    reader = parse_wav(wav(PCM16, chunk(b"data", ramp(8), 0xFFFFFFFF)))
    assert (reader.nframes, reader.read(100), reader.warnings) == (2, ramp(8), [])


def test_a_truncated_file_plays_with_a_warning() -> None:
    reader = parse_wav(wav(PCM16, chunk(b"data", ramp(44100 * 4), 88200 * 4)))
    assert reader.nframes == 44100
    assert reader.warnings == ["it ends after 1.0 of 2.0 s: it was cut off"]
    assert reader.read(100_000) == ramp(44100 * 4)
    cut = parse_wav(wav(PCM16, chunk(b"data", ramp(7), 8))[:-1], pipe=True)
    assert cut.read(10) == ramp(4)
    assert cut.read(10) == b""


def test_rf64() -> None:
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 100, 8, 2, 0))
    long = wav(ds64, PCM16, chunk(b"data", ramp(8) + b"junk", 0xFFFFFFFF), magic=b"RF64")
    reader = parse_wav(long)
    assert (reader.nframes, reader.read(100)) == (2, ramp(8))


@pytest.mark.parametrize(
    "data",
    [
        wav(),
        wav(PCM16),
        wav(chunk(b"data", ramp(8))),
        wav(chunk(b"fmt ", bytes(15)), chunk(b"data", b"")),
        wav(fmt_chunk(1, 0, 44100, 4, 16), chunk(b"data", b"")),
        wav(fmt_chunk(1, 2, 0, 4, 16), chunk(b"data", b"")),
        wav(fmt_chunk(1, 2, 44100, 5, 16), chunk(b"data", b"")),
        wav(fmt_chunk(1, 2, 44100, 16, 64), chunk(b"data", b"")),
        wav(fmt_chunk(3, 2, 44100, 4, 16), chunk(b"data", b"")),
        wav(fmt_chunk(1, 65, 44100, 130, 16), chunk(b"data", b"")),
        b"RIFF\0\0\0\0AVI ",
    ],
)
def test_what_is_no_wav(data: bytes) -> None:
    with pytest.raises(AudioFileError) as refused:
        parse_wav(data)
    assert refused.value.hint


def test_codecs_go_to_soundfile(tmp_path: Path) -> None:
    name = str(tmp_path / "law.wav")
    soundfile.write(name, np.zeros(10), 8000, subtype="ULAW")
    assert read_all(name) == (fmt("s16le", 8000, 1), bytes(20))
    with pytest.raises(UnknownCodec, match="mu-law"):
        parse_wav(Path(name).read_bytes())


SAMPLE_WAV = wav(chunk(b"LIST", b"abc"), PCM16, chunk(b"data", ramp(64)))


@STEADY
@given(
    st.lists(st.tuples(st.integers(0, len(SAMPLE_WAV) - 1), st.integers(0, 255)), max_size=6),
    st.integers(0, len(SAMPLE_WAV)),
    st.booleans(),
)
def test_no_damage_does_harm(edits: list[tuple[int, int]], length: int, pipe: bool) -> None:
    data = bytearray(SAMPLE_WAV)
    for place, value in edits:
        data[place] = value
    try:
        reader = parse_wav(bytes(data[:length]), pipe)
    except AudioFileError as err:
        assert err.message
        return
    got = reader.read(2**40)
    assert len(got) <= len(data)
    assert len(got) % reader.format.frame == 0


@STEADY
@given(st.binary(max_size=64))
def test_no_au_header_does_harm(data: bytes) -> None:
    try:
        reader = read_au(io.BytesIO(data))
    except AudioFileError:
        return
    assert len(reader.read(2**40)) <= len(data)


# ---- writing ----


def test_a_killed_writer_leaves_a_file_that_plays_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with path.open("wb") as file:
        writer = WavWriter(file, fmt("s16le"))
        writer.write(ramp(400))
        file.flush()
        assert read_all(str(path)) == (fmt("s16le"), ramp(400))


@pytest.mark.parametrize("writer", [WavWriter, AuWriter])
def test_a_pipe_gets_a_header_without_sizes(writer: Any) -> None:
    pipe = Pipe()
    out = writer(pipe, fmt("s16be" if writer is AuWriter else "s16le"))
    out.write(ramp(40))
    out.close()
    data = pipe.getvalue()
    reader = read_au(Pipe(data[4:])) if writer is AuWriter else parse_wav(data, pipe=True)
    assert reader.nframes is None
    assert reader.read(100) == ramp(40)


def test_beyond_4_gib_it_becomes_rf64() -> None:
    file = io.BytesIO()
    file.close = lambda: None  # type: ignore[method-assign]
    out = WavWriter(file, fmt("f32le"))
    begin = len(file.getvalue())
    out.write(ramp(80))
    out._size = 2**32 + 80  # as if that much had been written
    out.close()
    data = file.getvalue()
    assert data[:4] == b"RF64"
    assert struct.unpack_from("<QQQ", data, 20) == (begin - 8 + 2**32 + 80, 2**32 + 80, (2**32 + 80) // 8)
    assert len(data) == begin + 80
    assert parse_wav(data).warnings
    assert parse_wav(data).read(100) == ramp(80)


def test_a_file_is_written_from_where_it_stands() -> None:
    file = io.BytesIO(b"before")
    file.close = lambda: None  # type: ignore[method-assign]
    file.seek(6)
    out = WavWriter(file, fmt("s16le"))
    out.write(ramp(8))
    out.close()
    assert file.getvalue()[:6] == b"before"
    assert parse_wav(file.getvalue()[6:]).read(10) == ramp(8)


@pytest.mark.parametrize(
    ("name", "enc", "stored"),
    [
        ("a.wav", None, "s16le"),
        ("A.WAV", "s24le", "s24le3"),
        ("a.wav", "s8", "u8"),
        ("a.wav", "f32be", "f32le"),
        ("-", "s32be", "s32le"),
        ("a.au", "s16le", "s16be"),
        ("a.raw", "s20le3", "s20le3"),
        ("a.flac", None, "s16le"),
        ("a.flac", "s24le4msb", "s24le3"),
        ("a.ogg", None, "f32le"),
    ],
)
def test_what_is_stored(name: str, enc: str | None, stored: str) -> None:
    assert str(default_enc(name, Enc.parse(enc) if enc else None)) == stored


@pytest.mark.parametrize(
    ("name", "enc"), [("a.wav", "s20le3"), ("a.flac", "f32le"), ("a.ogg", "s16le"), ("a.txt", None)]
)
def test_what_is_not_stored(name: str, enc: str | None) -> None:
    with pytest.raises(AudioFileError) as refused:
        default_enc(name, Enc.parse(enc) if enc else None)
    assert refused.value.hint


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    for name in ("none.wav", "none.flac"):
        with pytest.raises(AudioFileError, match="no such file"):
            open_reader(str(tmp_path / name), None, RAW)
    with pytest.raises(AudioFileError, match="directory"):
        open_reader(str(tmp_path), None, RAW)
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(AudioFileError, match="empty"):
        open_reader(str(tmp_path / "empty"), None, RAW)
    with pytest.raises(AudioFileError, match="written"):
        open_writer(str(tmp_path / "no" / "x.wav"), RAW)


def test_without_soundfile_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.flac").write_bytes(b"fLaC1234")
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(AudioFileError, match="pip install"):
        open_reader(str(tmp_path / "a.flac"), None, RAW)


def test_garbage_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(b"this is not music" * 10)
    with pytest.raises(AudioFileError, match="no audio file"):
        open_reader(str(tmp_path / "a.mp3"), None, RAW)
