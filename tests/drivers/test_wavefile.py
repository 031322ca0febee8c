"""libsndfile, sox and Python's wave read what the file driver wrote, and it records what they wrote.

The samples go through the whole engine on the free clock, in the device's own
encoding, so that every byte is determined.
"""

from __future__ import annotations

import select
import shutil
import subprocess
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiod.engine import (
    Device,
    DeviceConf,
    DevicePar,
    DeviceStopped,
    Encoding,
    Engine,
    Event,
    StreamFlag,
    StreamPar,
    StreamReleased,
)

ROUND = 480
FRAMES = 5 * ROUND

U8 = Encoding(8, 1, sig=False)
S8 = Encoding(8, 1)
S16 = Encoding(16, 2)
S16BE = Encoding(16, 2, le=False)
S24 = Encoding(24, 3)
S24BE = Encoding(24, 3, le=False)
S32 = Encoding(32, 4)
S32BE = Encoding(32, 4, le=False)
F32 = Encoding(32, 4, flt=True)
F32BE = Encoding(32, 4, le=False, flt=True)
F64 = Encoding(64, 8, flt=True)
F64BE = Encoding(64, 8, le=False, flt=True)

# suffix, encoding, libsndfile's name of it, sox's line about it
FILES = [
    (".wav", U8, "PCM_U8", "8-bit Unsigned Integer PCM"),
    (".wav", S16, "PCM_16", "16-bit Signed Integer PCM"),
    (".wav", S24, "PCM_24", "24-bit Signed Integer PCM"),
    (".wav", S32, "PCM_32", "32-bit Signed Integer PCM"),
    (".wav", F32, "FLOAT", "32-bit Floating Point PCM"),
    (".wav", F64, "DOUBLE", "64-bit Floating Point PCM"),
    (".au", S8, "PCM_S8", "8-bit Signed Integer PCM"),
    (".au", S16BE, "PCM_16", "16-bit Signed Integer PCM"),
    (".au", S24BE, "PCM_24", "24-bit Signed Integer PCM"),
    (".au", S32BE, "PCM_32", "32-bit Signed Integer PCM"),
    (".au", F32BE, "FLOAT", "32-bit Floating Point PCM"),
    (".au", F64BE, "DOUBLE", "64-bit Floating Point PCM"),
]


def samples(enc: Encoding, channels: int) -> tuple[np.ndarray, bytes]:
    """FRAMES x channels as floats in -1..1 that `enc` holds exactly, and their bytes."""
    rng = np.random.default_rng(enc.bits + channels)
    bits = 24 if enc.flt else enc.bits
    steps = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), (FRAMES, channels))
    values = steps / (1 << (bits - 1))
    order = "<" if enc.le else ">"
    if enc.flt:
        return values, values.astype(f"{order}f{enc.bps}").tobytes()
    if not enc.sig:
        steps = steps + (1 << (bits - 1))
    wide = steps.astype("<i8").view(np.uint8).reshape(-1, 8)[:, : enc.bps]
    return values, np.ascontiguousarray(wide if enc.le else wide[:, ::-1]).tobytes()


class Rig:
    """One engine with one file device on the free clock."""

    def __init__(self, enc: Encoding, *, channels: int, play: str = "", rec: str | None = None) -> None:
        self.engine = Engine()
        self.seen: list[Event] = []
        par = DevicePar(enc, 48000, ROUND, 4 * ROUND, channels if play else 0, channels if rec else 0)
        self.device: Device = self.engine.device_open(
            0, DeviceConf("file", par, arg=play, rec=rec, free_clock=True, dither=False)
        )

    def wait(self, kind: type[Event]) -> None:
        """Until the engine has told of an event of this kind."""
        poll = select.poll()
        poll.register(self.engine.fileno(), select.POLLIN)
        while not any(isinstance(e, kind) for e in self.seen):
            assert poll.poll(60_000), f"the engine never told {kind}"
            self.seen += self.engine.events()

    def run(self, flags: StreamFlag, enc: Encoding, channels: int, data: bytes = b"") -> bytes:
        """Plays data, or records FRAMES, from the device's start to its stop."""
        top = channels - 1
        par = StreamPar(
            enc, flags, self.device.par.rate, channels, channels, FRAMES, pmax=top, rmax=top, xrun=0
        )
        stream = self.device.stream_new(1, par)
        stream.start()
        got = b""
        if data:
            assert stream.write(data) == FRAMES
        else:
            while len(got) < FRAMES * channels * enc.bps:
                got += stream.read(FRAMES)
        stream.stop(drain=bool(data))
        self.wait(StreamReleased)
        self.wait(DeviceStopped)
        stream.free()
        return got


def check_recorded(got: bytes, raw: bytes) -> None:
    """The file in one piece; a stream that attaches at the end of the first block misses that one."""
    block = len(raw) * ROUND // FRAMES
    missed = raw.index(got[:block])
    assert missed in (0, block)
    assert got[: len(raw) - missed] == raw[missed:]


@pytest.fixture
def rigs() -> Iterator[list[Rig]]:
    made: list[Rig] = []
    yield made
    for rig in made:
        rig.device.close()
        rig.engine.close()


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize(("suffix", "enc", "subtype", "line"), FILES)
def test_others_read_what_was_played(
    rigs: list[Rig], tmp_path: Path, suffix: str, enc: Encoding, subtype: str, line: str, channels: int
) -> None:
    path = tmp_path / f"played{suffix}"
    values, raw = samples(enc, channels)
    rig = Rig(enc, channels=channels, play=str(path))
    rigs.append(rig)
    assert rig.device.par.enc == enc
    rig.run(StreamFlag.PLAY, enc, channels, raw)
    # the device has stopped, but is still open: the file is whole
    info = soundfile.info(path)
    assert (info.frames, info.samplerate, info.channels, info.subtype) == (FRAMES, 48000, channels, subtype)
    got, _ = soundfile.read(path, dtype="float64", always_2d=True)
    assert np.array_equal(got, values)
    if suffix == ".wav" and not enc.flt and enc.bits <= 16 and channels <= 2:
        with wave.open(str(path)) as f:
            assert f.getparams()[:4] == (channels, enc.bps, 48000, FRAMES)
            assert f.readframes(FRAMES + 1) == raw
    sox = shutil.which("sox")  # tests/check installs it, or says that it could not
    if sox:
        out = subprocess.run([sox, "--i", path], capture_output=True, text=True, check=True)
        assert line in out.stdout
        # sox has this one doubt about every extensible header of floats, libsndfile's too
        doubt = enc.flt and channels > 2 and suffix == ".wav"
        assert "missing extended part" in out.stderr if doubt else out.stderr == ""


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize(("suffix", "enc", "subtype", "line"), FILES)
def test_what_others_wrote_is_recorded(
    rigs: list[Rig], tmp_path: Path, suffix: str, enc: Encoding, subtype: str, line: str, channels: int
) -> None:
    path = tmp_path / f"other{suffix}"
    values, raw = samples(enc, channels)
    # as integers: libsndfile scales floats by one step less than full scale
    data = values if enc.flt else (values * 2**31).astype(np.int32)
    soundfile.write(path, data, 48000, subtype=subtype)
    rig = Rig(S16, channels=channels, rec=str(path))
    rigs.append(rig)
    assert rig.device.par.enc == enc, line
    assert rig.device.par.rchan == channels
    check_recorded(rig.run(StreamFlag.REC, enc, channels), raw)


def test_extensible_files_of_others_are_recorded(rigs: list[Rig], tmp_path: Path) -> None:
    path = tmp_path / "other.wav"
    values, raw = samples(S24, 2)
    soundfile.write(path, (values * 2**31).astype(np.int32), 48000, subtype="PCM_24", format="WAVEX")
    rig = Rig(S16, channels=2, rec=str(path))
    rigs.append(rig)
    assert rig.device.par.enc == S24
    check_recorded(rig.run(StreamFlag.REC, S24, 2), raw)
