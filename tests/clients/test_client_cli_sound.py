"""What `play --loop`, `record --what-plays` and `record --until-silence` do with the samples."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import wave
from array import array

import pytest
from audiod_client.cli.audiofile import Format
from audiod_client.cli.silence import Silence
from audiod_protocol.events import Request
from audiod_protocol.params import Enc
from clients.audioctl import PCM, Cli
from clients.fake_audiod import Peer
from hypothesis import given
from hypothesis import strategies as st

# ---- silence ----

RATE = 1000  # so that what is looked at at once is 10 frames
FORMAT = Format(Enc.parse("s16le"), RATE, 1)


def samples(*parts: tuple[int, int]) -> bytes:
    """(value, frames) one after the other."""
    return b"".join(array("h", [value] * frames).tobytes() for value, frames in parts)


def kept(data: bytes, seconds: float, cuts: list[int]) -> int | None:
    """Frames that belong to the recording, the samples coming in pieces; None: it goes on."""
    silence = Silence(FORMAT, seconds)
    places = [0, *sorted({2 * cut for cut in cuts if 0 < 2 * cut < len(data)}), len(data)]
    for begin, end in itertools.pairwise(places):
        frames = silence.keep(data[begin:end])
        if frames is not None:
            return begin // 2 + frames
    return None


@pytest.mark.parametrize(
    ("parts", "frames"),
    [
        ([(0, 500)], None),  # no sound yet
        ([(0, 300), (9000, 50), (0, 99)], None),
        ([(0, 300), (9000, 50), (0, 100)], 450),
        ([(0, 300), (9000, 50), (0, 5000)], 450),
        ([(9000, 50), (0, 90), (-9000, 1), (0, 5000)], 250),  # a click in between, seen by tenths
        ([(9000, 3), (0, 5000)], 110),
        ([(9000, 50), (100, 5000)], 150),  # 100 is -50.3 dB
        ([(9000, 50), (110, 5000)], None),  # and 110 -49.5 dB
    ],
)
def test_silence_ends_a_recording(parts: list[tuple[int, int]], frames: int | None) -> None:
    assert kept(samples(*parts), 0.1, []) == frames


@given(
    st.lists(st.tuples(st.sampled_from([0, 0, 50, 9000]), st.integers(1, 60)), max_size=8),
    st.lists(st.integers(1, 300), max_size=12),
    st.sampled_from([0.001, 0.015, 0.04]),
)
def test_how_the_samples_are_cut_makes_no_difference(
    parts: list[tuple[int, int]], cuts: list[int], seconds: float
) -> None:
    data = samples(*parts)
    assert kept(data, seconds, cuts) == kept(data, seconds, [])


def blocks(*parts: tuple[int, int]) -> bytes:
    return b"".join(array("h", [value] * 2 * frames).tobytes() for value, frames in parts)


def records(cli: Cli, data: bytes) -> None:
    """Let the server record this, and silence afterwards."""

    def start(peer: Peer, request: Request) -> None:
        number = request.args["stream"]
        peer.answer(request, stream=number)
        peer.tell("onmove", number, 0, 0, 1)
        peer.tell("onmove", number, 48000, 48000, 2)
        for begin in range(0, 4 * 48000, 32768):
            piece = (data + bytes(4 * 48000))[begin : min(begin + 32768, 4 * 48000)]
            peer.tell("data", number, piece)

    cli.server.on("start", start)


def test_until_silence(cli: Cli) -> None:
    sound = blocks((0, 4800), (7000, 9600))
    records(cli, sound)
    answer = cli.json("record", "-q", "a.wav", "--until-silence", "0.25", "--json")
    assert answer["frames"] == 4800 + 9600 + 12000
    with wave.open(str(cli.place / "a.wav")) as file:
        assert file.readframes(99999) == sound + bytes(4 * 12000)
    assert cli.server.methods()[-2:] == ["flush", "close"]


def test_until_silence_or_for_a_time(cli: Cli) -> None:
    records(cli, blocks((7000, 9600)))
    words = ["record", "-q", "a.wav", "--json", "--until-silence"]
    assert cli.json(*words, "0.1", "--duration", "0.25")["frames"] == 12000
    assert cli.json(*words, "0.1", "--duration", "0.35")["frames"] == 14400


# ---- what plays ----


def test_what_plays(cli: Cli) -> None:
    done = cli("record", "-q", "a.wav", "--what-plays", "--duration", "0.01", AUDIOPLAYDEVICE="snd/rear")
    assert (done.returncode, done.stderr) == (0, b"")
    (opened,) = cli.server.requests("open")
    assert (opened["mode"], opened["device"]) == ("mon", "rear")
    assert "rchan" not in cli.server.requests("setpar")[0]["par"]
    with wave.open(str(cli.place / "a.wav")) as file:
        assert file.getnframes() == 480
    assert cli("record", "-q", "b.wav", "--duration", "0.01", AUDIOPLAYDEVICE="snd/rear").returncode == 0
    assert cli.server.requests("open")[1]["mode"] == "rec"
    assert cli.server.requests("open")[1]["device"] == "default"


# ---- loop ----


def test_loop_plays_again_and_again_without_a_gap(cli: Cli) -> None:
    cli.file("a.wav", PCM[:4000])
    cli.file("b.wav", PCM[4000:8000])
    with subprocess.Popen(
        cli.command("play", "--loop", "a.wav", "b.wav", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=cli.env,
        cwd=cli.place,
    ) as process:
        assert process.stdout is not None
        while len(cli.played()) < 5 * 8000:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, complaint = process.communicate()
    cli.server.settle()
    assert process.returncode == 130
    lines = complaint.decode().splitlines()
    assert lines == [f"{file}.wav: 0:00.0, 48 kHz s16le stereo, bit-exact" for file in "ab"]
    played = cli.played()
    assert played == (PCM[:8000] * (len(played) // 8000 + 1))[: len(played)]
    assert cli.server.methods().count("start") == 1
    first, _ = json.JSONDecoder().raw_decode(out.decode())
    assert (first["file"], first["frames"]) == ("a.wav", 1000)


def test_loop_ends_where_nothing_can_be_played(cli: Cli) -> None:
    cli.file("empty.wav", b"")
    done = cli("play", "--loop", "no.wav", "empty.wav")
    assert done.returncode == 1
    assert done.stderr.count(b"no.wav: it cannot be opened") == 1
