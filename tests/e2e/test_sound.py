"""Real files through the real daemon, by the real command line, sample by sample."""

import signal
import subprocess
import wave
from pathlib import Path

import audiod_client
import numpy as np
import pytest
import soundfile
from daemon import PATIENCE, running

ENC = {16: "s16le", 24: "s24le3", 32: "s32le"}


def samples(path: Path) -> np.ndarray:
    """Frames x channels as 32-bit integers, exactly as the file has them."""
    data, _ = soundfile.read(path, dtype="int32", always_2d=True)
    return data


def frames_of(path: Path) -> bytes:
    with wave.open(str(path)) as w:
        return w.readframes(w.getnframes())


def assert_starts_with(got: np.ndarray, want: np.ndarray, block: int = 480) -> None:
    assert np.array_equal(got[: len(want)], want)
    assert len(got) - len(want) < block and not got[len(want) :].any(), "silence to the end of the block"


@pytest.mark.parametrize("bits", [16, 24, 32])
@pytest.mark.parametrize("clock", ["real", "free"])
def test_a_wav_comes_out_bit_identical(tmp_path: Path, music, bits: int, clock: str) -> None:
    source, out = music(bits), tmp_path / "out.wav"
    with running(tmp_path, "-e", ENC[bits], "-f", f"file:{out}?clock={clock}") as daemon:
        daemon.ctl("play", source)
    assert_starts_with(samples(out), samples(source))


@pytest.mark.parametrize("bits", [16, 24])
def test_a_flac_comes_out_bit_identical(tmp_path: Path, music, bits: int) -> None:
    source, out = music(bits, "flac"), tmp_path / "out.wav"
    with running(tmp_path, "-e", ENC[bits], "-f", f"file:{out}?clock=free") as daemon:
        done = daemon.ctl("play", source)
        assert "bit-exact" in done.stderr.decode()
    assert_starts_with(samples(out), samples(source))


def test_files_in_a_row_leave_no_gap(tmp_path: Path, music) -> None:
    files = [music(16, seconds=0.3, key=k) for k in (0, 4, 7)]
    out = tmp_path / "out.wav"
    with running(tmp_path, "-f", f"file:{out}?clock=free") as daemon:
        daemon.ctl("play", *files)
    assert_starts_with(samples(out), np.concatenate([samples(f) for f in files]))


def test_two_players_at_once_are_their_exact_sum(tmp_path: Path, music) -> None:
    """Two processes on a real clock: the second comes in wherever it does, on a block, and adds exactly."""
    long, short = music(16, seconds=4, volume=0.4), music(16, seconds=0.5, volume=0.4, key=5)
    out = tmp_path / "out.wav"
    with running(tmp_path, "-f", f"file:{out}?dither=off") as daemon:
        first = daemon.ctl_start("play", "-q", long)
        while not [
            s for s in daemon.ask("streams")["streams"] if s["state"] == "running" and s["position"] > 0
        ]:
            assert first.poll() is None
        daemon.ctl("play", short)
        assert first.poll() is None, "the long one still plays"
        assert first.wait(PATIENCE) == 0
    a, b = samples(long), samples(short)
    got = samples(out)
    rest = got[: len(a)].astype(np.int64) - a
    at = int(np.flatnonzero(rest.any(axis=1))[0])
    # the sum begins where b has its first sample that is not zero, on a block of the device
    at -= int(np.flatnonzero(b.any(axis=1))[0])
    assert at % 480 == 0 and 0 < at < len(a) - len(b)
    want = a.astype(np.int64)
    want[at : at + len(b)] += b
    assert_starts_with(got, np.clip(want, -(2**31), 2**31 - 2**16).astype(np.int32))


def test_two_streams_of_a_link_group_start_together(
    tmp_path: Path, music, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = (music(16, seconds=0.5, volume=0.4, key=k) for k in (0, 5))
    out = tmp_path / "out.wav"
    with running(tmp_path, "-f", f"file:{out}?clock=free") as daemon:
        monkeypatch.setenv("AUDIOD_SOCKET", str(daemon.socket))
        pcm = [frames_of(p) for p in (a, b)]
        streams = [audiod_client.open("default", "play", link="duet", nbio=True) for _ in pcm]
        for s in streams:
            s.setpar(enc="s16le", rate=48000, pchan=2)
            s.start()
        offsets = [0, 0]
        while any(o < len(p) for o, p in zip(offsets, pcm, strict=True)):
            for i, s in enumerate(streams):
                offsets[i] += s.write(pcm[i][offsets[i] :])
        for s in streams:
            s.close()
    assert_starts_with(samples(out), samples(a) + samples(b))


def test_speech_at_another_rate_is_converted(tmp_path: Path, speech: Path) -> None:
    """22,050 Hz mono to 48 kHz stereo: said on the way, and within 100 dB of a reference conversion."""
    out = tmp_path / "out.wav"
    with running(tmp_path, "-e", "s24le3", "-f", f"file:{out}?clock=free&dither=off") as daemon:
        done = daemon.ctl("play", speech)
        assert "22.05" in done.stderr.decode() and "48 kHz" in done.stderr.decode()
    got = samples(out).astype(float) / 2**31
    assert np.array_equal(got[:, 0], got[:, 1])
    said = samples(speech)[:, 0].astype(float) / 2**31
    # the band-limited signal at 48 kHz by Fourier, beyond doubt where the signal is
    n = len(said)
    pad = 1 << 14
    spectrum = np.fft.rfft(np.pad(said, pad))
    m = round((n + 2 * pad) * 48000 / 22050)
    size = round(m / 320) * 320  # a whole ratio 320/147 for the transform
    n147 = size * 147 // 320
    said = np.pad(said, (pad, n147 - n - pad))
    spectrum = np.fft.rfft(said)
    full = np.zeros(size // 2 + 1, complex)
    full[: len(spectrum)] = spectrum
    want = np.fft.irfft(full, size) * size / n147
    want = want[pad * 320 // 147 :]
    delay = best_delay(want, got[:, 0])
    k = min(len(want), len(got) - delay) - 2000
    assert 0 <= delay < 200
    error = fractional(want[:k], got[delay : delay + k, 0])
    level = np.sqrt(np.mean(want[:k] ** 2))
    assert 20 * np.log10(level / error) > 60, "speech has content up to its very band edge"


def best_delay(want: np.ndarray, got: np.ndarray) -> int:
    n = 1 << 17
    cross = np.fft.irfft(np.conj(np.fft.rfft(want[:48000], n)) * np.fft.rfft(got[:50000], n), n)
    return int(np.argmax(cross[:1000]))


def fractional(want: np.ndarray, got: np.ndarray) -> float:
    """RMS of the difference after the best shift of less than a frame."""
    w, g = np.fft.rfft(want * np.hanning(len(want))), np.fft.rfft(got * np.hanning(len(got)))
    f = np.arange(len(w)) / len(want)
    inside = f < 9500 / 48000
    shifts = np.linspace(-1, 1, 401)
    errors = [np.sum(np.abs((w * np.exp(-2j * np.pi * f * s) - g)[inside]) ** 2) for s in shifts]
    return float(np.sqrt(2 * min(errors) / len(want) ** 2 / np.mean(np.hanning(len(want)) ** 2)))


def test_recording_returns_what_was_played_aligned(
    tmp_path: Path, music, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = music(16)
    pcm = frames_of(source)
    with running(tmp_path, "-f", "loopback") as daemon:
        monkeypatch.setenv("AUDIOD_SOCKET", str(daemon.socket))
        with audiod_client.open("default", "play,rec") as stream:
            stream.setpar(enc="s16le", rate=48000, pchan=2, rchan=2)
            stream.start()
            stream.write(pcm[: 4 * 9600])
            sent, heard = 4 * 9600, bytearray()
            while len(heard) < len(pcm) - 4 * 12000:
                heard += stream.read(4 * 480)
                sent += stream.write(pcm[sent : sent + 4 * 480])
            stream.flush()
    assert bytes(heard) == pcm[: len(heard)]


def test_record_by_the_command_line(tmp_path: Path, music) -> None:
    """What a loopback device plays is in the file that `audioctl record` writes, to the sample."""
    source, took = music(16), tmp_path / "took.wav"
    with running(tmp_path, "-f", "loopback", "-a", "on") as daemon:
        recorder = daemon.ctl_start("record", "-q", "--duration", "3", took)
        while not [s for s in daemon.ask("streams")["streams"] if s["state"] == "running"]:
            assert recorder.poll() is None
        daemon.ctl("play", source)
        assert recorder.wait(PATIENCE) == 0
    want, got = samples(source), samples(took)
    assert len(got) == 3 * 48000
    at = int(np.flatnonzero(got.any(axis=1))[0]) - int(np.flatnonzero(want.any(axis=1))[0])
    assert np.array_equal(got[at : at + len(want)], want)


def test_record_ended_by_hand_is_a_whole_file(tmp_path: Path) -> None:
    took = tmp_path / "took.wav"
    with running(tmp_path, "-f", "loopback") as daemon:
        recorder = daemon.ctl_start("record", "-q", took)
        while not [s for s in daemon.ask("streams")["streams"] if s["position"] > 4800]:
            assert recorder.poll() is None
        recorder.send_signal(signal.SIGINT)
        assert recorder.wait(PATIENCE) == 0
    assert len(samples(took)) >= 4800


def test_play_ended_by_hand_leaves_the_daemon_well(tmp_path: Path, music) -> None:
    out = tmp_path / "out.wav"
    with running(tmp_path, "-f", f"file:{out}") as daemon:
        player = daemon.ctl_start("play", "-q", music(16, seconds=4), stderr=subprocess.DEVNULL)
        while not [s for s in daemon.ask("streams")["streams"] if s["position"] > 0]:
            assert player.poll() is None
        player.send_signal(signal.SIGINT)
        assert player.wait(PATIENCE) == 130
        assert daemon.ask("streams")["streams"] == []
        daemon.ctl("play", music(16, seconds=0.3))
        assert daemon.stop() == 0
    assert 0 < len(samples(out)) < 4 * 48000


def test_standard_input_and_output(tmp_path: Path, music) -> None:
    source, out = music(16), tmp_path / "out.wav"
    with running(tmp_path, "-f", f"file:{out}?clock=free") as daemon:
        daemon.ctl("play", "-", data=source.read_bytes())
        raw = samples(source).astype(np.int64) >> 16
        daemon.ctl("play", "--enc", "s16le", "--rate", "48000", "--channels", "2", "-",
                   data=raw.astype("<i2").tobytes())  # fmt: skip
    want = samples(source)
    whole = -(-len(want) // 480) * 480
    got = samples(out)
    assert np.array_equal(got[: len(want)], want)
    assert_starts_with(got[whole:], want)


def test_a_file_to_record_from(tmp_path: Path, music) -> None:
    source, took = music(16), tmp_path / "took.wav"
    with running(tmp_path, "-f", f"file?rec={source}") as daemon:
        daemon.ctl("record", "--duration", "1", took)
    assert np.array_equal(samples(took), samples(source)[: len(samples(took))])


def test_an_unreadable_file_costs_only_itself(tmp_path: Path, music) -> None:
    out, bad = tmp_path / "out.wav", tmp_path / "bad.wav"
    bad.write_bytes(b"RIFF\x10\0\0\0WAVEjunk")
    source = music(16, seconds=0.3)
    with running(tmp_path, "-f", f"file:{out}?clock=free") as daemon:
        done = daemon.ctl("play", bad, tmp_path / "none.wav", source, ok=False)
        assert done.returncode == 1
        err = done.stderr.decode()
        assert "bad.wav" in err and "none.wav" in err
    assert_starts_with(samples(out), samples(source))


def test_term_drains_what_plays_and_finishes_the_file(tmp_path: Path, music) -> None:
    source, out = music(16, seconds=4), tmp_path / "out.wav"
    with running(tmp_path, "-f", f"file:{out}") as daemon:
        player = daemon.ctl_start("play", "-q", source, stderr=subprocess.PIPE)
        while not [s for s in daemon.ask("streams")["streams"] if s["position"] > 0]:
            assert player.poll() is None
        assert daemon.stop(signal.SIGTERM) == 0
        assert not daemon.socket.exists()
        assert player.wait(PATIENCE) == 1
        assert player.stderr is not None
        assert "server" in player.stderr.read().decode()
        player.stderr.close()
    got, want = samples(out), samples(source)
    n = int(np.flatnonzero(got.any(axis=1))[-1])
    assert n > 4800 and np.array_equal(got[:n], want[:n])
