"""`audioctl` as a program, against a fake server on a socket: output, exit codes, files, signals."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from audiod_client.cli import run
from audiod_protocol.events import Notification, Request
from clients.fake_audiod import ROUND, FakeAudiod, Peer

PCM = bytes(i * 7 % 256 for i in range(4 * 5000))
MPV = {
    "id": 7, "name": "mpv", "pid": 812, "uid": 1000, "device": 0, "subdevice": "default", "mode": "play",
    "state": "running", "rate": 44100, "encoding": "s16le", "channels": 2, "volume": 127, "position": 441000,
    "latency": 9600, "xruns": 2, "stream": 3, "conversion": "44.1 -> 48 kHz, s16le -> s24le3",
    "type": "music",
}  # fmt: skip


class Cli:
    """Runs audioctl in a directory of its own."""

    def __init__(self, server: FakeAudiod, place: Path) -> None:
        self.server = server
        self.place = place
        self.env = {**os.environ, "PYTHONIOENCODING": "utf-8", "AUDIOD_SOCKET": server.path}
        self.env.pop("NO_COLOR", None)

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "audiod_client.cli", *words]

    def __call__(self, *words: str, input: bytes = b"", **env: str) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            self.command(*words),
            input=input,
            capture_output=True,
            env=self.env | env,
            cwd=self.place,
            check=False,
        )
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        self.server.settle()
        return done

    def text(self, *words: str) -> str:
        done = self(*words)
        assert (done.returncode, done.stderr) == (0, b"")
        out = done.stdout.decode()
        assert all(len(line) <= 80 for line in out.splitlines())
        return out

    def json(self, *words: str) -> Any:
        done = self(*words)
        assert (done.returncode, done.stderr) == (0, b"")
        return json.loads(done.stdout)

    def fails(self, code: int, *words: str, **env: str) -> str:
        """The complaint of a command that ends with `code` and prints nothing else."""
        done = self(*words, **env)
        assert (done.returncode, done.stdout) == (code, b"")
        complaint = done.stderr.decode()
        assert complaint.startswith("audioctl: ")
        return complaint

    def file(self, name: str, data: bytes = PCM, enc: str = "PCM_16", rate: int = 48000) -> str:
        samples = np.frombuffer(data, "<i2").reshape(-1, 2)
        soundfile.write(self.place / name, samples, rate, subtype=enc)
        return name

    def played(self) -> bytes:
        return b"".join(bytes(stream.written) for stream in self.server.streams)


@pytest.fixture
def cli(server: FakeAudiod, tmp_path: Path) -> Cli:
    return Cli(server, tmp_path)


# ---- reading verbs ----


def test_status(cli: Cli) -> None:
    assert cli.text("status").splitlines() == [
        "audiod 0.1.0, unit 0, pid 40, up 1 h 2 min",
        "socket    /run/audiod/audiod.sock",
        "realtime  no: RLIMIT_RTPRIO is 0 (priority 10 asked for)",
        "now       1 device, 1 stream, 2 connections",
        "xruns     3: 3 client",
    ]
    assert cli.json("status", "--json")["pid"] == 40
    assert cli.json("--json", "status")["version"] == 1


def test_devices(cli: Cli) -> None:
    assert cli.text("devices").splitlines() == [
        "* snd/0        alsa:hw:0,0",
        "               running, 48 kHz s24le3, play 4, rec 2, block 10 ms, buffer 160 ms",
        "               volume 79%, 1 stream, no xruns",
        "  snd/default  play 0-1, rec 0-1, volume 100%",
        "  snd/rear     play 2-3, volume 79%",
    ]
    assert cli.json("devices", "--json")["devices"][0]["subdevices"][1]["name"] == "rear"


def test_streams(cli: Cli) -> None:
    assert cli.text("streams") == "no streams\n"
    cli.server.rows = [
        MPV,
        {**MPV, "id": 1234567, "name": "x" * 64, "pid": 4194304, "conversion": "bit-exact"},
    ]
    lines = cli.text("streams").splitlines()
    assert lines[0].split() == ["ID", "NAME", "PID", "WHERE", "STATE", "VOLUME", "LATENCY", "XRUNS"]
    assert lines[1].split() == ["7", "mpv", "812", "snd/default", "running", "100%", "218", "ms", "2"]
    assert lines[2].strip() == "play 44.1 kHz s16le stereo: 44.1 → 48 kHz, s16le → s24le3, type music"
    assert "xxx…  4194304" in lines[3]
    assert cli.json("streams", "--json") == {"version": 1, "streams": cli.server.rows}


def test_a_streams_name_cannot_steer_the_terminal(cli: Cli) -> None:
    cli.server.rows = [{**MPV, "name": "a\x1b[2Jb\nc", "conversion": "\x1b]0;x\x07", "type": "\x9b1m"}]
    for verb in ("streams", "volume"):
        out = cli.text(verb)
        assert "a?[2Jb?c" in out
        assert not any(c in out for c in "\x1b\x07\x9b")


def test_missing_keys_are_shown_as_such(cli: Cli) -> None:
    cli.server.rows = [{"id": 1}]
    assert "conversion not known" in cli.text("streams")


# ---- volume ----


def test_volume_shows(cli: Cli) -> None:
    cli.server.rows = [MPV]
    assert cli.text("volume").splitlines() == [
        "WHICH  NAME          VOLUME",
        "snd/0  output.level  79% (-9.0 dB)",
        "7      mpv           100% (0.0 dB)",
    ]
    assert cli.json("volume", "--json")["controls"][0]["value"] == 100


@pytest.mark.parametrize(
    ("value", "level"), [("70%", 89), ("0.7", 89), ("-6dB", 109), ("+5%", 106), ("-5%", 94), ("0", 0)]
)
def test_volume_of_the_default_device(cli: Cli, value: str, level: int) -> None:
    assert cli.text("volume", value).startswith("snd/0 output.level: ")
    assert cli.server.level == level
    assert cli.text("volume", value, "-q") == ""


def test_volume_of_a_stream(cli: Cli) -> None:
    cli.server.rows = [dict(MPV), {**MPV, "id": 8, "name": "mplayer"}, {**MPV, "id": 9, "name": "7up"}]
    assert cli.text("volume", "mpv", "-6dB") == "stream 7 (mpv): 86% (-6.0 dB)\n"
    assert cli.json("volume", "mpl", "-5%", "--json") == {
        "version": 1,
        "name": "stream/8.level",
        "value": 121,
    }
    cli.text("volume", "7", "10%")
    assert [row["volume"] for row in cli.server.rows] == [13, 121, 127]
    assert cli.fails(1, "volume", "mp", "1%") == (
        "audioctl: 'mp' means 2 streams: 7 (mpv), 8 (mplayer)\n  give the number\n"
    )
    assert "there are: 7 mpv, 8 mplayer, 9 7up" in cli.fails(1, "volume", "zz", "1%")


# ---- usage, and no daemon ----


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["bogus"], 'Unknown command "bogus"'),
        (["status", "more"], "more"),
        (["status", "--bogus"], "--bogus"),
        (["volume", "70"], "add the unit: 70%"),
        (["volume", "mpv", "loud"], "'loud' is not a volume"),
        (["volume", "a", "b", "c"], "two words at most"),
        (["play"], "play needs a file"),
        (["play", "--bogus"], "no option --bogus"),
        (["play", "-x"], "write ./-x"),
        (["play", "-", "-"], "played once"),
        (["play", "a.wav", "--volume", "loud"], "'loud'"),
        (["play", "a.wav", "--enc", "s99"], "--enc"),
        (["play", "a.wav", "--rate", "fast"], "--rate"),
        (["play", "a.wav", "--rate", "1"], "--rate 1"),
        (["play", "a.wav", "--channels", "65"], "--channels 65"),
        (["record"], "FILE"),
        (["record", "a.txt"], "type of file"),
        (["record", "a.flac", "--enc", "f32"], "s16le, s24le3"),
        (["record", "a.wav", "--duration", "soon"], "not a time"),
        (["record", "-", "--json"], "standard output"),
        (["--socket"], "--socket needs a path"),
    ],
)
def test_usage(words: list[str], what: str, server: FakeAudiod, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 2
    out, complaint = capsys.readouterr()
    assert out == ""
    assert complaint.startswith("audioctl: ")
    assert what in complaint


@pytest.mark.parametrize("words", [["status"], ["volume", "70%"], ["play", "a.wav"], ["record", "a.wav"]])
def test_no_daemon(cli: Cli, words: list[str]) -> None:
    complaint = cli.fails(3, *words, "--socket", "/nowhere/a.sock")
    assert complaint == (
        "audioctl: no audiod answers: tried /nowhere/a.sock (no such file or directory)\n"
        "  start it with: audiod\n"
    )
    assert cli.fails(3, "--socket=/nowhere/a.sock", *words) == complaint
    assert cli.fails(3, *words, AUDIOD_SOCKET="/nowhere/a.sock") == complaint


def test_not_permitted(cli: Cli) -> None:
    def refuse(peer: Peer, request: Request) -> None:
        peer.refuse(request, "EPERM", "stream 7 is another user's", "ask uid 1000")

    cli.server.on("control.set", refuse)
    assert cli.fails(4, "volume", "70%") == "audioctl: stream 7 is another user's\n  ask uid 1000\n"


def test_help_and_version(cli: Cli) -> None:
    out = cli.text("--help")
    assert all(
        verb in out for verb in ("status", "devices", "streams", "play", "record", "volume", "--socket")
    )
    assert "--device" in cli.text("play", "--help")
    assert cli.text("--version").startswith("audioctl ")


def test_short_verbs_load_little(cli: Cli) -> None:
    """What makes a verb slow to start stays unloaded."""
    check = (
        "import sys; from audiod_client.cli import run; code = run(['status']);"
        "slow = {'trio', 'numpy', 'soundfile', 'rich', 'structlog', 'msgspec', 'cffi', 'audiod', 'asyncio'};"
        "print(sorted(slow & set(sys.modules)), code)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, env=cli.env, check=True)
    assert done.stdout.decode().splitlines()[-1] == "[] 0"


def test_plain_files_need_no_numpy(cli: Cli) -> None:
    cli.file("a.wav")
    check = (
        "import sys; from audiod_client.cli import run; code = run(['play', 'a.wav']);"
        "print(sorted({'trio', 'numpy', 'soundfile', 'rich'} & set(sys.modules)), code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, env=cli.env, cwd=cli.place, check=True
    )
    assert done.stdout.decode().splitlines()[-1] == "[] 0"
    assert cli.played() == PCM


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
    assert "TCP" in cli.fails(1, "play", "a.wav", "--device", "snd@host/0")
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
