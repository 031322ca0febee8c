"""`audioctl play` and `record` as programs, by sndio's wire over TCP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audiod_protocol.sndio import messages as m
from audiod_protocol.sndio.messages import WirePar
from clients.fake_sndiod import BLOCKS, ROUND, FakeSndiod, Peer, fake_sndiod, ramp
from units import unit

PCM = bytes(i * 7 % 256 for i in range(4 * 5000))


@dataclass
class Cli:
    """Runs audioctl with AUDIODEVICE naming the server."""

    server: FakeSndiod
    place: Path
    device: str

    @property
    def env(self) -> dict[str, str]:
        return {
            **os.environ,
            "HOME": str(self.place),
            "AUDIODEVICE": self.device,
            "PYTHONIOENCODING": "utf-8",
        }

    def __call__(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            self.command(*words), capture_output=True, env=self.env, cwd=self.place, check=False
        )
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        self.server.settle()
        return done

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "audiod_client.cli", *words]


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    with unit() as number, fake_sndiod(("127.0.0.1", 11025 + number)) as server:
        yield Cli(server, tmp_path, f"snd@127.0.0.1,{number}/0")


def samples(place: Path, name: str, subtype: str = "PCM_16") -> None:
    frames = np.frombuffer(PCM, "<i2").reshape(-1, 2)
    data = frames if subtype.startswith("PCM") else frames / 32768
    soundfile.write(place / name, data, 48000, subtype=subtype)


def test_plays_files_bit_exactly(cli: Cli) -> None:
    samples(cli.place, "a.wav")
    samples(cli.place, "b.flac")
    done = cli("play", "a.wav", "b.flac", "--name", "Jukebox", "--volume", "50%")
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.decode().splitlines() == [
        f"{n}: 0:00.1, 48 kHz s16le stereo" for n in ("a.wav", "b.flac")
    ]
    assert bytes(cli.server.peers[0].written) == PCM * 2
    assert " ".join(cli.server.names()) == "Auth Hello Setvol Setpar Getpar Getpar Getpar Start Stop Bye"
    (hello,) = cli.server.said(m.Hello)
    assert isinstance(hello, m.Hello)
    assert (hello.devnum, hello.opt, hello.who) == (0, "default", "Jukebox")
    assert cli.server.said(m.Setvol) == [m.Setvol(64)]


@pytest.mark.parametrize(("subtype", "enc"), [("FLOAT", "f32le"), ("DOUBLE", "f64le")])
def test_floats_are_played_as_integers(cli: Cli, subtype: str, enc: str) -> None:
    samples(cli.place, "a.wav", subtype)
    done = cli("play", "--json", "a.wav")
    assert done.returncode == 0
    assert done.stderr.decode() == f"a.wav: 0:00.1, 48 kHz {enc} stereo, {enc} → s32le\n"
    assert json.loads(done.stdout)["conversion"] == f"{enc} -> s32le"
    played = np.frombuffer(bytes(cli.server.peers[0].written), "<i4")
    assert np.array_equal(played, np.frombuffer(PCM, "<i2").astype("<i4") << 16)


def test_what_floats_become_at_the_ends_of_the_scale(cli: Cli) -> None:
    values = [0.0, 1.0, -1.0, 2.5, -2.5, np.inf, -np.inf, np.nan, 2**-31, 1.5 * 2**-31, 0.5]
    top, bottom = 2**31 - 1, -(2**31)
    soundfile.write(cli.place / "a.wav", np.array(values, "<f4"), 48000, subtype="FLOAT")
    assert cli("play", "-q", "a.wav").returncode == 0
    played = np.frombuffer(bytes(cli.server.peers[0].written), "<i4").tolist()
    assert played == [0, top, bottom, top, bottom, top, bottom, 0, 1, 2, 2**30]


def test_records_what_the_server_sends(cli: Cli) -> None:
    done = cli("record", "--json", "--duration", "0.02", "a.wav")
    assert done.returncode == 0
    assert done.stderr.decode() == "a.wav: 0:00.0, 48 kHz s16le stereo\n"
    assert json.loads(done.stdout)["frames"] == 2 * ROUND
    taken, rate = soundfile.read(cli.place / "a.wav", dtype="int16")
    assert (taken.astype("<i2").tobytes(), rate) == (ramp(0, 4 * 2 * ROUND), 48000)
    assert 2 * ROUND < BLOCKS * ROUND
    assert cli.server.said(m.Setpar) == [
        m.Setpar(WirePar(bps=2, bits=16, msb=0, le=1, sig=1)),
        m.Setpar(WirePar(rate=48000, appbufsz=24000)),
    ]
    assert cli.server.said(m.Stop) == [m.Stop(drain=False)]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["record", "--what-plays", "a.wav"], "sndio's wire cannot ask for what the device plays"),
        (["record", "a.ogg"], "integer samples only, not f32le"),
        (["play", "--link", "duo", "a.wav"], "link groups"),
    ],
)
def test_what_the_wire_lacks(cli: Cli, words: list[str], why: str) -> None:
    samples(cli.place, "a.wav")
    done = cli(*words)
    assert done.returncode == 1
    assert why in done.stderr.decode()


def test_a_host_in_the_name_wins_over_the_socket(cli: Cli) -> None:
    samples(cli.place, "a.wav")
    assert cli("--socket", "/nowhere", "play", "-q", "a.wav", "--device", cli.device).returncode == 0
    assert bytes(cli.server.peers[0].written) == PCM


def test_the_wire_is_loaded_only_where_it_is_spoken(cli: Cli) -> None:
    code = (
        "import sys, audiod_client\n"
        "loaded = lambda: sorted(name for name in sys.modules if 'sndio' in name)\n"
        "print(loaded())\n"
        f"audiod_client.open({cli.device!r}).close()\n"
        "print(len(loaded()) > 3)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=cli.env, check=True
    )
    assert done.stdout == "[]\nTrue\n"


def test_ctrl_c_ends_playing_though_the_device_stands_still(cli: Cli) -> None:
    programs: list[subprocess.Popen[bytes]] = []

    def start(peer: Peer, message: m.ClientMessage) -> None:
        peer.wire.begin(4, ROUND)
        programs[0].send_signal(signal.SIGINT)

    cli.server.on(m.Start, start)
    with subprocess.Popen(cli.command("play", "-q", "-"), env=cli.env, stdin=subprocess.PIPE) as program:
        programs.append(program)
        assert program.stdin is not None
        program.stdin.write(PCM)  # only now does it start
        program.stdin.flush()
        assert program.wait() == 130
    cli.server.settle()
    assert " ".join(cli.server.names()[-3:]) == "Start Stop Bye"
    assert cli.server.said(m.Stop) == [m.Stop(drain=False)]
