"""Programs from Debian, unmodified, on audiod by sndio's wire: what they play and record is to the sample.

Each is pointed at a server of the test's own by AUDIODEVICE.  Sounds that need
no conversion are searched for sample by sample; others are tones, whose sum with
nothing else must be left.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import units
from numpy.typing import NDArray
from sndio import sounds
from sndio.card import HEAD, PATIENCE, Server, audiod, need

FRAMES = 28800
TONES = ((220.0, 1000.0, 9000.0, 19000.0), (330.0, 1500.0, 7000.0, 17000.0))  # of the left, of the right
Samples = NDArray[np.float64]


@contextmanager
def serving(folder: Path, *args: str) -> Iterator[Server]:
    """audiod on a device; its folder is the home of the programs, too."""
    with units.unit() as number:
        server = audiod(folder, number, *args, env={})
        try:
            yield server
        finally:
            server.stop()


def environment(server: Server, folder: Path, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "AUDIODEVICE": server.device,
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(folder),
        **more,
    }


@contextmanager
def running(command: list[str | Path], env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A program; killed if the test leaves it running."""
    said: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, **said)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        assert process.stdout is not None
        process.stdout.close()
        process.wait()


def run(command: list[str | Path], env: dict[str, str], server: Server) -> str:
    """A program to its end, which must be good."""
    done = subprocess.run(
        command, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False
    )
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == 0, f"{said}\n{server.log}"
    return said


@pytest.fixture(params=["1.9", "HEAD"])
def aucat(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """aucat of each generation of libsndio."""
    if request.param == "1.9":
        need("aucat")
        return "aucat"
    prefix = os.environ.get(HEAD)
    if not prefix:
        pytest.skip(f"{HEAD} is not set: it takes the prefix that sndio's newest release is installed under")
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{prefix}/lib")
    return f"{prefix}/bin/aucat"


# ---- sounds ----


def noise(path: Path, seed: int, frames: int = FRAMES) -> sounds.Frames:
    """A file of 16 bit stereo at 48 kHz that can be found again."""
    sound = sounds.samples(seed, 2 * frames, 16).reshape(frames, 2)
    soundfile.write(path, sound.astype(np.int16), 48000, subtype="PCM_16")
    return sound


def chord(path: Path, rate: int, subtype: str = "PCM_24", seconds: float = 1.5) -> None:
    """A file of TONES at -14 dB each, with soft ends."""
    t = np.arange(int(rate * seconds)) / rate
    soft = np.clip(np.minimum(t, seconds - t) / 0.05, 0, 1)
    sound = np.stack([sum(np.sin(2 * np.pi * f * t + f) for f in tones) for tones in TONES], axis=1)
    soundfile.write(path, 0.2 * sound * soft[:, None], rate, subtype=subtype)


def sound_of(path: Path) -> sounds.Frames:
    """What a file of 16 bit samples has, or one of more bits that has not more than that in them."""
    data, rate = soundfile.read(path, dtype="int32", always_2d=True)
    assert rate == 48000
    assert not (data & 0xFFFF).any()
    return data.astype(np.int64) >> 16


def assert_chord(got: Samples, rate: int) -> None:
    """TONES and nothing else above -100 dB of them, each as loud as it was."""
    loud = np.flatnonzero(np.abs(got).max(axis=1) > 0.05)
    middle = got[loud[0] + rate // 5 : loud[-1] - rate // 5]
    assert len(middle) > rate * 0.5
    t = np.arange(len(middle)) / rate
    for channel, tones in enumerate(TONES):
        waves = np.stack([wave(2 * np.pi * f * t) for f in tones for wave in (np.sin, np.cos)], axis=1)
        parts, *_ = np.linalg.lstsq(waves, middle[:, channel], rcond=None)
        rest = middle[:, channel] - waves @ parts
        levels = 20 * np.log10(np.hypot(parts[0::2], parts[1::2]) / 0.2)
        snr = 20 * np.log10(np.std(middle[:, channel]) / np.std(rest))
        assert np.abs(levels).max() < 0.05, f"dB of each tone: {levels.round(3)}"
        assert snr > 100, f"{snr:.1f} dB"


# ---- sndio's own ----


def test_aucat_plays_to_the_sample(tmp_path: Path, aucat: str) -> None:
    """It plays 24 bits, always: they are all for the device."""
    sound, out = noise(tmp_path / "in.wav", 1), tmp_path / "out.wav"
    with serving(tmp_path, "-e", "s24le3", "-f", f"file:{out}?clock=free") as server:
        run([aucat, "-i", tmp_path / "in.wav"], environment(server, tmp_path), server)
    assert sounds.verdict(sound_of(out), sound) == "whole"


def test_aucat_plays_at_another_rate(tmp_path: Path, aucat: str) -> None:
    chord(tmp_path / "in.wav", 44100)
    out = tmp_path / "out.wav"
    with serving(tmp_path, "-e", "s24le3", "-f", f"file:{out}?clock=free") as server:
        run([aucat, "-i", tmp_path / "in.wav"], environment(server, tmp_path), server)
    assert_chord(soundfile.read(out)[0], 48000)


def grown(path: Path, size: int, process: subprocess.Popen[bytes], server: Server) -> None:
    """Wait until a program has written so much."""
    deadline = time.monotonic() + PATIENCE
    while not path.exists() or path.stat().st_size < size:
        assert process.poll() is None, f"ended: {server.log}"
        assert time.monotonic() < deadline, f"no sound: {server.log}"
        time.sleep(0.01)


def test_aucat_records_what_the_device_gives(tmp_path: Path, aucat: str) -> None:
    sound, took = noise(tmp_path / "in.wav", 2, 96000), tmp_path / "took.wav"
    with serving(tmp_path, "-f", f"file?rec={tmp_path / 'in.wav'}") as server:
        env = environment(server, tmp_path)
        with running([aucat, "-e", "s16", "-o", took], env) as process:
            grown(took, 4 * FRAMES, process, server)
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 0
    got = sound_of(took)
    assert len(got) >= FRAMES - 480
    (piece,) = sounds.pieces(sound, got)
    assert piece.frames == len(got), "every frame in its turn"


def test_aucat_records_at_another_rate(tmp_path: Path, aucat: str) -> None:
    chord(tmp_path / "in.wav", 48000, seconds=3)
    took = tmp_path / "took.wav"
    with serving(tmp_path, "-e", "s24le3", "-f", f"file?rec={tmp_path / 'in.wav'}") as server:
        env = environment(server, tmp_path)
        with running([aucat, "-e", "s24le3", "-r", "44100", "-o", took], env) as process:
            grown(took, 6 * 44100 * 3 // 2, process, server)
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 0
    got, rate = soundfile.read(took)
    assert rate == 44100
    assert_chord(got, 44100)


def test_aucat_in_full_duplex_is_aligned(tmp_path: Path, aucat: str) -> None:
    """What the loopback device returns of frame n is recorded as frame n."""
    sound, took = noise(tmp_path / "in.wav", 3), tmp_path / "took.wav"
    with serving(tmp_path, "-e", "s24le3", "-f", "loopback") as server:
        env = environment(server, tmp_path)
        with running([aucat, "-e", "s16", "-o", took, "-i", tmp_path / "in.wav"], env) as process:
            grown(took, 4 * FRAMES // 2, process, server)
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 0
    got = sound_of(took)
    n = min(len(got), len(sound))
    assert n >= FRAMES // 2 - 480
    assert np.array_equal(got[:n], sound[:n])


# ---- SDL ----


def ffplay(server: Server, folder: Path, file: Path) -> None:
    sdl = {"SDL_AUDIODRIVER": "sndio", "SDL_VIDEODRIVER": "dummy"}
    command: list[str | Path] = ["ffplay", "-nodisp", "-autoexit", "-loglevel", "error", file]
    said = run(command, environment(server, folder, **sdl), server)
    assert said.strip() == ""


def test_ffplay_through_sdl_plays_to_the_sample(tmp_path: Path) -> None:
    need("ffplay")
    sound, out = noise(tmp_path / "in.wav", 4), tmp_path / "out.wav"
    with serving(tmp_path, "-f", f"file:{out}") as server:
        ffplay(server, tmp_path, tmp_path / "in.wav")
    assert sounds.verdict(sound_of(out), sound) == "whole"


# ---- mpd ----

MPD = """\
music_directory "{folder}/music"
bind_to_address "{folder}/mpd.sock"
log_file "{folder}/mpd.log"
zeroconf_enabled "no"
audio_output {{
    type "sndio"
    name "audiod"
    device "{device}"
}}
"""


class Mpd:
    """mpd with one sndio output, spoken to in its own protocol."""

    def __init__(self, folder: Path, device: str, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + PATIENCE
        self.folder = folder
        self.sock = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self.sock.connect(str(folder / "mpd.sock"))
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, self.log
                time.sleep(0.01)
        self.sock.settimeout(PATIENCE)
        self.file = self.sock.makefile("rw")
        assert self.file.readline().startswith("OK MPD")

    @property
    def log(self) -> str:
        path = self.folder / "mpd.log"
        return path.read_text() if path.exists() else "no log"

    def ask(self, command: str) -> dict[str, str]:
        self.file.write(f"{command}\n")
        self.file.flush()
        found = {}
        while (line := self.file.readline().strip()) != "OK":
            assert line and not line.startswith("ACK"), f"{command}: {line}\n{self.log}"
            name, _, value = line.partition(": ")
            found[name] = value
        return found

    def close(self) -> None:
        self.file.close()
        self.sock.close()


@contextmanager
def mpd(folder: Path, server: Server) -> Iterator[Mpd]:
    (folder / "mpd.conf").write_text(MPD.format(folder=folder, device=server.device))
    env = environment(server, folder)
    with running(["mpd", "--no-daemon", folder / "mpd.conf"], env) as process:
        client = Mpd(folder, server.device, process)
        try:
            yield client
        finally:
            client.close()
        process.terminate()
        assert process.wait(PATIENCE) == 0, client.log


def mpd_plays(folder: Path, server: Server, *names: str) -> None:
    with mpd(folder, server) as client:
        for name in names:
            client.ask(f'add "{folder}/music/{name}"')
        client.ask("play")
        while (status := client.ask("status"))["state"] != "stop":
            assert "error" not in status, status
            client.ask("idle player")
        assert "error" not in status, status


@pytest.fixture
def music(tmp_path: Path) -> Path:
    need("mpd")
    folder = tmp_path / "music"
    folder.mkdir()
    return folder


def test_mpd_plays_to_the_sample(tmp_path: Path, music: Path) -> None:
    """Two files in a row, without a gap."""
    pair = [noise(music / f"{n}.wav", n) for n in (5, 6)]
    out = tmp_path / "out.wav"
    with serving(tmp_path, "-f", f"file:{out}") as server:
        mpd_plays(tmp_path, server, "5.wav", "6.wav")
    assert sounds.verdict(sound_of(out), np.concatenate(pair)) == "whole"


def test_mpd_plays_at_another_rate(tmp_path: Path, music: Path) -> None:
    chord(music / "in.flac", 44100)
    out = tmp_path / "out.wav"
    with serving(tmp_path, "-e", "s24le3", "-f", f"file:{out}") as server:
        mpd_plays(tmp_path, server, "in.flac")
    assert_chord(soundfile.read(out)[0], 48000)


# ---- OpenAL ----

ALSOFT = """\
[general]
frequency = 48000
channels = stereo
sample-type = int16
dither = false
[wave]
file = {folder}/mixed.wav
"""


def openal(server: Server, folder: Path, driver: str) -> dict[str, str]:
    (folder / "alsoft.conf").write_text(ALSOFT.format(folder=folder))
    return environment(server, folder, ALSOFT_DRIVERS=driver, ALSOFT_CONF=str(folder / "alsoft.conf"))


def test_mpg123_through_openal_plays_what_openal_mixed(tmp_path: Path) -> None:
    """OpenAL has a level of its own; its own file writer says what it gave.

    It rounds in other places when it mixes other pieces: some samples are one off.
    mpg123 leaves when the last piece is mixed, not when it is written.
    """
    need("mpg123", "ffmpeg")
    chord(tmp_path / "in.wav", 48000, seconds=0.6)
    song, out = tmp_path / "in.mp3", tmp_path / "out.wav"
    with serving(tmp_path, "-f", f"file:{out}") as server:
        quiet: list[str | Path] = ["ffmpeg", "-hide_banner", "-loglevel", "error"]
        run([*quiet, "-i", tmp_path / "in.wav", "-b:a", "192k", song], dict(os.environ), server)
        run(["mpg123", "-q", "-o", "openal", song], openal(server, tmp_path, "wave"), server)
        run(["mpg123", "-q", "-o", "openal", song], openal(server, tmp_path, "sndio"), server)
    mixed = sound_of(tmp_path / "mixed.wav")
    loud = np.flatnonzero(mixed.any(axis=1))
    assert len(loud) > 24000
    mixed = mixed[loud[0] : loud[-1] + 1]
    got = sound_of(out)
    at = int(np.flatnonzero(got.any(axis=1))[0])
    n = len(mixed) - 4096  # a piece at most
    off = np.abs(got[at : at + n] - mixed[:n]).max(axis=1)
    assert off.max() <= 1 and np.mean(off) < 0.05


def test_ffmpeg_captures_through_openal_what_the_device_gives(tmp_path: Path) -> None:
    need("ffmpeg")
    sound, took = noise(tmp_path / "in.wav", 7, 96000), tmp_path / "took.wav"
    with serving(tmp_path, "-f", f"file?rec={tmp_path / 'in.wav'}") as server:
        env = openal(server, tmp_path, "sndio")
        capture = ["-f", "openal", "-sample_rate", "48000", "-channels", "2", "-sample_size", "16", "-i"]
        run(["ffmpeg", "-hide_banner", "-loglevel", "error", *capture, "", "-t", "0.6", took], env, server)
    got = sound_of(took)
    assert len(got) > 24000
    (piece,) = sounds.pieces(sound, got)
    assert piece.frames == len(got), "every frame in its turn"
