"""`audioctl record` as a program: samples, files, options and signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import wave

import pytest
import soundfile
from audiod_protocol.events import Request
from clients.audioctl import Cli
from clients.fake_audiod import ROUND, Peer

# ---- record ----


def recorded(nframes: int) -> bytes:
    return bytes(i % 251 for i in range(4 * nframes))


def test_records_for_a_time(cli: Cli) -> None:
    done = cli("record", "a.wav", "--duration", "0.025")
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.decode() == "a.wav: 0:00.0, 48 kHz s16le stereo, bit-exact\n"
    with wave.open(str(cli.place / "a.wav")) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, 48000, 2)
        assert file.readframes(9999) == recorded(1200)
    assert cli.server.methods()[-2:] == ["flush", "close"]


def test_record_options(cli: Cli) -> None:
    words = [
        "--device",
        "snd/rear",
        "--enc",
        "s24le3",
        "--rate",
        "96000",
        "--channels",
        "1",
        "--duration",
        "0.001",
    ]
    assert cli("record", "a.flac", *words, "--name", "tape", "--type", "voice").returncode == 0
    opened = cli.server.requests("open")[0]
    assert (opened["device"], opened["mode"], opened["name"], opened["type"]) == (
        "rear",
        "rec",
        "tape",
        "voice",
    )
    par = cli.server.requests("setpar")[0]["par"]
    assert (par["enc"], par["rate"], par["rchan"]) == ("s24le3", 96000, 1)
    with soundfile.SoundFile(cli.place / "a.flac") as file:
        assert (file.samplerate, file.channels, file.subtype, file.frames) == (96000, 1, "PCM_24", 96)


def test_records_to_standard_output(cli: Cli) -> None:
    done = cli("record", "-q", "-", "--duration", "0.02")
    assert done.stdout[:4] == b"RIFF"
    assert done.stdout.endswith(recorded(960))
    assert cli("record", "-q", "-", "--raw", "--duration", "0.02").stdout == recorded(960)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_file(cli: Cli, number: int) -> None:
    cli.server.rec_blocks = 40  # more than the writer keeps back
    path = cli.place / "a.wav"
    with subprocess.Popen(
        cli.command("record", "a.wav", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=cli.env,
        cwd=cli.place,
    ) as process:
        assert process.stderr is not None
        process.stderr.readline()
        while path.stat().st_size < 1000 and process.poll() is None:
            pass
        process.send_signal(number)
        out, _ = process.communicate()
    assert process.returncode == 0
    frames = json.loads(out)["frames"]
    assert frames
    with wave.open(str(path)) as file:
        assert file.getnframes() == frames
        assert file.readframes(frames) == recorded(frames)


def test_nothing_recorded_is_told_by_the_exit_code(cli: Cli) -> None:
    def streams(peer: Peer, request: Request) -> None:
        os.kill(peer.pid, signal.SIGINT)
        peer.standard(request)

    cli.server.rec_blocks = 0
    cli.server.on("streams", streams)
    done = cli("record", "-q", "a.wav")
    assert (done.returncode, done.stderr) == (130, b"")
    with wave.open(str(cli.place / "a.wav")) as file:
        assert file.getnframes() == 0


def test_the_server_goes_while_recording_and_the_file_is_finished(cli: Cli) -> None:
    def streams(peer: Peer, request: Request) -> None:
        peer.standard(request)
        peer.sock.close()

    cli.server.on("streams", streams)
    done = cli("record", "-q", "a.wav")
    assert done.returncode == 1
    assert b"the server closed the connection" in done.stderr
    with wave.open(str(cli.place / "a.wav")) as file:
        assert file.getnframes() in (0, 4 * ROUND)


def test_a_file_that_cannot_be_written(cli: Cli) -> None:
    assert "no such file or directory" in cli.fails(1, "record", "-q", "no/a.wav")
    (cli.place / "full.wav").symlink_to("/dev/full")
    assert "no space left" in cli.fails(1, "record", "-q", "full.wav", "--duration", "0.01")


def test_what_the_server_clamps_is_said(cli: Cli) -> None:
    def clamp(peer: Peer, request: Request) -> None:
        request.args["par"]["rchan"] = min(request.args["par"].get("rchan", 2), 2)
        peer.standard(request)

    cli.server.on("setpar", clamp)
    done = cli("record", "-q", "a.wav", "--channels", "4", "--duration", "0.01")
    assert done.stderr == b"audioctl: --channels 4 is not to be had, recording 2\n"
