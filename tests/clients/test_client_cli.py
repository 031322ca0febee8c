"""`audioctl` as a program: what the reading verbs show, volumes, usage and exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from audiod_client.cli import run
from audiod_protocol.events import Request
from clients.audioctl import PCM, Cli
from clients.fake_audiod import FakeAudiod, Peer
from clients.rows import DUCKED, DUCKING, MPV, WAITS

# ---- reading verbs ----


def test_status(cli: Cli) -> None:
    assert cli.text("status").splitlines() == [
        "audiod 0.1.0, unit 0, pid 40, up 1 h 2 min",
        "socket    /run/audiod/audiod.sock",
        "realtime  no: RLIMIT_RTPRIO is 0 (priority 10 asked for)",
        "default   snd/0 alsa:hw:0,0",
        "now       1 device, 1 stream, 2 connections",
        "xruns     3: 3 client",
    ]
    assert cli.json("status", "--json")["pid"] == 40
    assert cli.json("--json", "status")["version"] == 1


def test_status_of_a_stream(cli: Cli) -> None:
    cli.server.rows = [dict(MPV)]
    lines = cli.text("status", "mpv").splitlines()
    assert lines[:5] == [
        "stream 7 (mpv), snd/default",
        "play      suspended",
        "queue     3840 of 7680 bytes, fragment 3",
        "processed 1764000 bytes, 64 in the resampler",
        "late      2 underruns, 1 overrange",
    ]
    assert lines[5].startswith("ducking   type music: suspended by a higher priority; to be paused after ")
    assert lines[6].startswith("started   2027-01-1") and lines[6].endswith(":00.250") and len(lines) == 7
    assert cli.json("status", "7", "--json")["records"][0]["status"] == "suspended"
    cli.server.rows = [{**MPV, "mode": "mon"}]
    assert cli.text("status", "7").splitlines()[1].startswith("rec ")
    cli.server.rows = [{**MPV, "mode": "play,rec", "type": None}]
    assert [line[:5] for line in cli.text("status", "7").splitlines()[1:8:6]] == ["play ", "rec  "]


def test_devices(cli: Cli) -> None:
    assert cli.text("devices").splitlines() == [
        "* snd/0        alsa:hw:0,0",
        "               running, 48 kHz s24le3, play 4, rec 2, block 10 ms, buffer 160 ms",
        "               volume 79% by Master, 1 stream, no xruns",
        "  snd/default  play 0-1, rec 0-1, volume 100%",
        "  snd/rear     play 2-3, volume 79%",
    ]
    assert cli.json("devices", "--json")["devices"][0]["subdevices"][1]["name"] == "rear"
    cli.server.desk.devices[0]["subdevices"][1]["mmc"] = True
    assert cli.text("devices").splitlines()[-1].endswith("volume 79%, streams wait for MMC")
    cli.server.desk.devices[0]["subdevices"][1] |= {"mmc": False, "reason": "device 3 is not there"}
    cli.server.desk.devices[0] |= {"state": "lost", "reason": "No such device"}
    lost = cli.text("devices", "--rescan").splitlines()
    assert "lost, 48 kHz" in lost[1] and lost[2].strip() == "No such device"
    assert lost[5].endswith("volume 79%") and lost[6].strip() == "here because device 3 is not there"
    assert cli.server.desk.rescanned == 1
    cli.server.desk.devices[0] |= {"muted": True, "input_muted": True}
    assert "volume 79% by Master (muted), input muted, 1 stream" in cli.text("devices")


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
    cli.server.rows = [{**MPV, "muted": True}]
    assert " muted " in cli.text("streams")
    cli.server.rows = [{**MPV, "channel": "paused"}]
    assert cli.text("streams").splitlines()[1].split()[4] == "paused"
    cli.server.rows = [{**MPV, "wire": "sndio", "uid": None, "type": None}]
    assert cli.text("streams").splitlines()[-1].endswith(", through sndio")


def test_ducking(cli: Cli) -> None:
    assert cli.text("ducking") == "no audio types are configured: nobody ducks anybody\n"
    assert "ducking" not in cli.text("status")
    cli.server.desk.ducking = DUCKING
    cli.server.rows = [{**MPV, "ducking": DUCKED}, {**MPV, "id": 8, "name": "sip", "type": "voice"}]
    assert cli.text("ducking").splitlines() == [
        "voice > music",
        "TYPE     LEAVES LOWER  LEAVES SAME  BY         PREEMPTED BY",
        "voice             50%         100%  last_wins  nobody",
        "music  ch0:50,ch1:100         100%  last_wins  higher (suspend)  transient",
        "  program espeak*: voice",
        "snd/0: voice: stream 8; music: streams 7, 10",
        "  7 mpv, music: ch0 10%, ch1 50% left",
        "    voice (stream 8) leaves 50%",
        "    ?ringtone (stream 9) leaves ch0 20%, others 100%",
        "snd/1: nobody plays",
    ]
    assert "ducking   voice > music; 1 ducked" in cli.text("status")
    lines = cli.text("streams").splitlines()
    assert lines[3].strip() == "ducked: ch0 10%, ch1 50% left"
    assert lines[4].strip() == "voice (stream 8) leaves 50%"
    assert len(lines) == 8  # of the other nothing is told
    cli.server.rows = [{**MPV, "ducking": WAITS}]
    assert "ducked: waits\n" in cli.text("streams")
    assert cli.json("ducking", "--json")["streams"][0]["ducking"] == WAITS


def test_long_lists_are_asked_for_in_pages(cli: Cli) -> None:
    cli.server.desk.page = 2
    cli.server.rows = [{**MPV, "id": id} for id in range(5)]
    assert [row["id"] for row in cli.json("streams", "--json")["streams"]] == [0, 1, 2, 3, 4]
    assert len(cli.server.requests("streams")) == 3
    assert cli.text("volume", "4", "50%") == "stream 4 (mpv): 50% (-21.1 dB)\n"
    assert len(cli.json("volume", "--json")["controls"]) == 6


def test_a_streams_name_cannot_steer_the_terminal(cli: Cli) -> None:
    cli.server.rows = [{**MPV, "name": "a\x1b[2Jb\nc", "conversion": "\x1b]0;x\x07", "type": "\x9b1m"}]
    for words in (("streams",), ("volume",), ("volume", "7")):
        out = cli.text(*words)
        assert "a?[2Jb?c" in out
        assert not any(c in out for c in "\x1b\x07\x9b")


def test_missing_keys_are_shown_as_such(cli: Cli) -> None:
    cli.server.rows = [{"id": 1}]
    assert "conversion not known" in cli.text("streams")


# ---- usage, and no daemon ----


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["bogus"], 'Unknown command "bogus"'),
        (["status", "mpv", "more"], "more"),
        (["status", "--bogus"], "--bogus"),
        (["volume", "70"], "add the unit: 70%"),
        (["volume", "mpv", "loud"], "'loud' is not a volume"),
        (["volume", "a", "b", "c"], "Unused Tokens"),
        (["volume", "--bogus"], "no option --bogus"),
        (["mute", "mpv", "loud"], "mute is on or off"),
        (["config", "bogus"], "bogus"),
        (["config", "check", "--bogus"], "no option --bogus"),
        (["export", "bogus"], "bogus"),
        (["move", "mpv"], "DEVICE"),
        (["completion", "tcsh"], "tcsh"),
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
        (["record", "a.wav", "--until-silence", "-1"], "out of range"),
        (["play", "-", "--loop"], "without --loop"),
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


SHORT = [["status"], ["volume", "+5%"], ["mute"], ["default"], ["streams", "--json"], ["config", "show"]]


@pytest.mark.parametrize("words", SHORT)
def test_short_verbs_load_little(words: list[str], cli: Cli) -> None:
    """What makes a verb slow to start stays unloaded, other verbs among it."""
    check = (
        f"import sys; from audiod_client.cli import VERBS, run; code = run({words});"
        "slow = {'trio', 'numpy', 'soundfile', 'rich', 'structlog', 'msgspec', 'cffi', 'audiod', 'asyncio',"
        " 'docstring_parser', 'subprocess', 'importlib.metadata', 'audiod_client.aio'};"
        f"slow |= {{f'audiod_client.cli.{{verb}}' for verb in VERBS if verb != {words[0]!r}}};"
        "print(sorted(slow & set(sys.modules)), code)"
    )
    assert cli.python(check).splitlines()[-1] == "[] 0"


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


def test_the_benchmark_of_starting_up_runs() -> None:
    bench = Path(__file__).parents[1] / "perf/bench_cli.py"
    done = subprocess.run([sys.executable, bench, "1"], capture_output=True, check=True)
    lines = done.stdout.decode().splitlines()
    assert lines[0].split()[:3] == ["python", "-c", "pass"] and lines[0].endswith(" 1.0 x")
    assert {"status", "volume", "--help"} <= {word for line in lines for word in line.split()}
