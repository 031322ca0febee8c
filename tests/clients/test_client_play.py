"""`audioctl play` as a program: samples, files, options and signals."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess

import numpy as np
import pytest
import soundfile
from audiod_protocol.events import Notification, Request
from clients.audioctl import PCM, Cli
from clients.fake_audiod import Peer
from units import unit

# ---- play ----


def test_plays_a_file_bit_exactly(cli: Cli) -> None:
    done = cli("play", cli.file("a.wav"))
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.decode() == "a.wav: 0:00.1, 48 kHz s16le stereo, bit-exact\n"
    assert cli.played() == PCM
    assert cli.server.methods()[-1] == "close"


def test_files_of_one_format_play_without_a_gap(cli: Cli) -> None:
    cli.file("a.wav")
    cli.file("b.flac")
    done = cli("play", "-q", "a.wav", "b.flac", "a.wav")
    assert (done.returncode, done.stderr) == (0, b"")
    assert cli.played() == PCM * 3
    assert cli.server.methods().count("start") == 1


def test_another_format_restarts_the_stream(cli: Cli) -> None:
    cli.file("a.wav")
    cli.file("b.wav", rate=44100)
    cli.file("c.wav", enc="FLOAT")
    done = cli("play", "a.wav", "b.wav", "c.wav")
    assert done.returncode == 0
    assert done.stderr.decode().splitlines()[2] == "c.wav: 0:00.1, 48 kHz f32le stereo, f32le → s16le"
    calls = [m for m in cli.server.methods() if m in ("start", "stop", "flush", "close")]
    assert calls == ["start", "stop", "start", "stop", "start", "close"]
    assert [r["par"]["rate"] for r in cli.server.requests("setpar")] == [48000, 44100, 48000]
    assert cli.played()[: 2 * len(PCM)] == PCM * 2


def test_24_bits_of_flac_arrive_as_24(cli: Cli) -> None:
    samples = (np.arange(-1000, 1000, dtype="<i4") * 4001) << 8
    soundfile.write(cli.place / "a.flac", samples, 96000, subtype="PCM_24")
    assert cli("play", "a.flac").returncode == 0
    assert cli.server.requests("setpar")[0]["par"]["enc"] == "s24le3"
    assert cli.played() == samples.tobytes()[0:0] + b"".join(v.tobytes()[1:] for v in samples)


def test_unreadable_files_are_named_and_passed_over(cli: Cli) -> None:
    cli.file("good.wav")
    (cli.place / "bad.mp3").write_bytes(b"junk" * 99)
    done = cli("play", "-q", "none.wav", "good.wav", "bad.mp3", "good.wav")
    assert done.returncode == 1
    lines = done.stderr.decode().splitlines()
    assert lines[0] == "audioctl: none.wav: it cannot be opened: no such file or directory"
    assert any(line.startswith("audioctl: bad.mp3: it is no audio file that is known") for line in lines[1:])
    assert cli.played() == PCM * 2


def test_a_truncated_file_plays_with_a_warning(cli: Cli) -> None:
    path = cli.place / cli.file("a.wav")
    path.write_bytes(path.read_bytes()[:-4000])
    done = cli("play", "-q", "a.wav")
    assert done.returncode == 0
    assert b"it was cut off" in done.stderr
    assert cli.played() == PCM[:-4000]


def test_standard_input(cli: Cli) -> None:
    wav = (cli.place / cli.file("a.wav")).read_bytes()
    assert cli("play", "-q", "-", input=wav).returncode == 0
    assert cli.played() == PCM
    cli.server.streams.clear()
    words = ["play", "-q", "-", "--enc", "s24le3", "--rate", "44100", "--channels", "1"]
    assert cli(*words, input=PCM[:3000]).returncode == 0
    assert cli.played() == PCM[:3000]
    par = cli.server.requests("setpar")[1]["par"]
    assert (par["enc"], par["rate"], par["pchan"]) == ("s24le3", 44100, 1)
    assert b"play it by its name" in cli("play", "-", input=b"fLaC" + bytes(99)).stderr


def test_play_options(cli: Cli) -> None:
    cli.file("a.wav")
    words = ["--device", "snd/rear", "--volume", "-6dB", "--name", "bell", "--type", "alert", "--link", "duo"]
    assert cli("play", "a.wav", *words).returncode == 0
    assert cli.server.requests("hello")[0]["client"] == "bell"
    assert cli.server.requests("open")[0] == {
        "device": "rear", "mode": "play", "transport": "inline", "name": "bell", "type": "alert",
        "link": "duo",
    }  # fmt: skip
    assert cli.server.requests("setvol")[0]["vol"] == 109


def test_the_environment_names_the_device(cli: Cli) -> None:
    cli.file("a.wav")
    assert cli("play", "a.wav", AUDIOPLAYDEVICE="snd/rear", AUDIODEVICE="snd/0").returncode == 0
    assert (
        cli("play", "a.wav", AUDIODEVICE=f"snd@{cli.server.path}/0", AUDIOD_SOCKET="/nowhere").returncode == 0
    )
    assert [r["device"] for r in cli.server.requests("open")] == ["rear", "0"]
    with unit() as number:
        complaint = cli.fails(3, "play", "a.wav", "--device", f"snd@127.0.0.1,{number}/0")
        assert f"127.0.0.1:{11025 + number} (connection refused)" in complaint
    assert "sndio(7)" in cli.fails(1, "play", "a.wav", "--device", "hw:0")


def test_play_as_json(cli: Cli) -> None:
    cli.file("a.wav", enc="FLOAT")
    done = cli("play", "-q", "--json", "a.wav")
    assert json.loads(done.stdout) == {
        "version": 1, "file": "a.wav", "frames": 5000, "rate": 48000, "encoding": "f32le", "channels": 2,
        "conversion": "f32le -> s16le",
    }  # fmt: skip


def test_a_rate_that_the_server_does_not_take(cli: Cli) -> None:
    def clamp(peer: Peer, request: Request) -> None:
        request.args["par"]["rate"] = min(request.args["par"]["rate"], 192000)
        peer.standard(request)

    cli.server.on("setpar", clamp)
    cli.file("high.wav", rate=384000)
    cli.file("low.wav")
    done = cli("play", "-q", "high.wav", "low.wav")
    assert done.returncode == 1
    assert b"does not take 384 kHz" in done.stderr
    assert cli.played() == PCM


def test_the_stream_dies_while_playing(cli: Cli) -> None:
    def dies(peer: Peer, event: Notification) -> None:
        fault = {"code": "ENODEV", "message": "device snd/0 went away", "hint": "plug it in"}
        peer.tell("onstate", 0, "closed", fault)

    cli.server.on("write", dies)
    done = cli("play", "-q", cli.file("a.wav"))
    assert done.returncode == 1
    assert done.stderr == b"audioctl: device snd/0 went away\n  plug it in\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_playing_cleanly_though_the_device_stands_still(cli: Cli, number: int) -> None:
    signals = iter([number])

    def write(peer: Peer, event: Notification) -> None:
        for first in signals:
            os.kill(peer.pid, first)

    cli.server.on("write", write)
    done = cli("play", "-q", cli.file("a.wav", PCM * 4))  # more than the credit, which never grows
    assert (done.returncode, done.stderr) == (128 + number, b"")
    assert cli.server.methods()[-2:] == ["flush", "close"]


def test_ctrl_c_ends_the_wait_for_a_pipe(cli: Cli) -> None:
    with subprocess.Popen(
        cli.command("play", "-q", "-"), stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=cli.env
    ) as process:
        assert process.stdin is not None

        def interrupt(peer: Peer, request: Request) -> None:
            peer.standard(request)
            process.send_signal(signal.SIGINT)

        cli.server.on("streams", interrupt)
        process.stdin.write(PCM[:400])
        process.stdin.flush()
        assert process.wait() == 130
    cli.server.settle()
    assert cli.server.methods()[-2:] == ["flush", "close"]


def test_progress_on_a_terminal(cli: Cli) -> None:
    cli.file("a.wav", rate=44100)
    main, end = pty.openpty()
    with subprocess.Popen(
        cli.command("play", "a.wav"), stdin=end, stdout=end, stderr=end, env=cli.env, cwd=cli.place
    ) as process:
        os.close(end)
        shown = b""
        while piece := _read(main):
            shown += piece
        assert process.wait() == 0
    os.close(main)
    assert shown.count(b"\n") == 1
    line = shown.decode().replace("\r\n", "\n").rstrip("\n").split("\r")[-1].rstrip()
    assert line.startswith("a.wav  0:00.1 / 0:00.1  [")
    assert line.endswith("dB  bit-exact")
    assert len(line) < 80


def _read(fd: int) -> bytes:
    """From a terminal, whose end is an error."""
    try:
        return os.read(fd, 4096)
    except OSError:
        return b""
