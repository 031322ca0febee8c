"""Kernel MIDI: ALSA's raw ports as audiod's, with sequencers and a synthesiser of ALSA's at their other end.

snd-virmidi is a card whose raw MIDI ports are ports of the kernel's sequencer too.
Bytes are compared: what midicat sends is what the programs say that they have heard.
"""

from __future__ import annotations

import re
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import units
from daemon import Daemon, running

CARD = "VirMIDI"
MESSAGES = ["903c40", "b20764", "c105", "e30140", "d422", "803c40"]
SONG = bytes.fromhex("".join(MESSAGES))


def until(so: Callable[[], bool]) -> None:
    """The test's own alarm ends what never comes."""
    while not so():
        time.sleep(0.02)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Its ports are there from the start, the card is not: by ALSA's name, and as a device of the kernel."""
    subprocess.run(["modprobe", "snd-seq-midi"], check=False)
    folder = tmp_path_factory.mktemp("midi")
    assert CARD not in Path("/proc/asound/cards").read_text()
    names = [f"alsa:hw:CARD={CARD},DEV=0", "/dev/snd/midiC9D1", "virtual"]
    ports = [word for name in names for word in ("-a", "on", "-q", name)]
    with units.unit() as unit, running(folder, "-f", "null", *ports, sndio="", unit=unit) as made:
        until(lambda: made.log.count("midi.port.refused") == 2)
        subprocess.run(["modprobe", "snd-virmidi", "index=9"], check=True)
        until(lambda: made.log.count("midi.port.open") == 3)  # `virtual` needs no card
        yield made


def say(daemon: Daemon, folder: Path, midi: bytes, port: int = 0) -> None:
    (folder / "said").write_bytes(midi)
    subprocess.run(["midicat", "-q", f"midi,{daemon.unit}/{port}", "-i", folder / "said"], check=True)


@contextmanager
def listening(command: list[str | Path], out: Path, sign: str) -> Iterator[Path]:
    """A program whose words go into a file, from its `sign` of life on."""
    with out.open("wb") as words:
        process = subprocess.Popen(
            ["stdbuf", "-oL", *command], stdin=subprocess.PIPE, stdout=words, stderr=subprocess.STDOUT
        )
        try:
            until(lambda: sign in out.read_text(errors="replace") or process.poll() is not None)
            yield out
        finally:
            process.kill()
            process.communicate()


def raw(device: int) -> str:
    """The sequencer's name of the card's raw port."""
    return f"Virtual Raw MIDI 9-{device}"


def test_a_sequencer_hears_what_a_program_sends_to_the_port(daemon: Daemon, tmp_path: Path) -> None:
    with listening(["aseqdump", "-p", raw(0)], tmp_path / "heard", "Waiting for data") as heard:
        say(daemon, tmp_path, SONG + b"\xf0" + bytes(range(100)) + b"\xf7")
        until(lambda: "System exclusive" in heard.read_text())
        lines = [
            " ".join(line.split()) for line in heard.read_text().splitlines() if re.match(r" *\d+:0 ", line)
        ]
    told = [line.partition(" ")[2] for line in lines]
    assert told[:6] == [
        "Note on 0, note 60, velocity 64",
        "Control change 2, controller 7, value 100",
        "Program change 1, program 5",
        "Pitch bend 3, value 1",
        "Channel aftertouch 4, value 34",
        "Note off 0, note 60, velocity 64",
    ], lines
    exclusive = "".join(line.partition("exclusive")[2] for line in told[6:])
    assert bytes.fromhex(exclusive) == b"\xf0" + bytes(range(100)) + b"\xf7"


def test_a_program_hears_what_a_sequencer_plays(daemon: Daemon, tmp_path: Path) -> None:
    """aplaymidi plays a file to the card; the kernel makes running status of it."""
    events = [SONG[:3], b"\x90\x3e\x40", b"\x90\x40\x40", *(bytes.fromhex(one) for one in MESSAGES[1:])]
    track = b"".join(b"\x01" + event for event in events) + b"\x00\xff\x2f\x00"
    header = b"MThd" + struct.pack(">IHHH", 6, 0, 1, 480)
    (tmp_path / "song.mid").write_bytes(header + b"MTrk" + struct.pack(">I", len(track)) + track)
    heard = tmp_path / "heard"
    opened = daemon.log.count("midi.open")
    midicat = subprocess.Popen(["midicat", "-q", f"midi,{daemon.unit}/0", "-o", heard])
    try:
        until(lambda: daemon.log.count("midi.open") > opened)
        subprocess.run(["aplaymidi", "-p", raw(0), tmp_path / "song.mid"], check=True)
        wanted = b"".join(events)
        until(lambda: len(heard.read_bytes()) >= len(wanted))
        assert heard.read_bytes()[: len(wanted)] == wanted
    finally:
        midicat.kill()
        midicat.wait()


def test_a_synthesiser_hears_the_kernels_device(daemon: Daemon, tmp_path: Path) -> None:
    """fluidsynth, of the sequencer, at the port that is opened by its path."""
    options = ["-d", "-m", "alsa_seq", "-a", "file", "-o", f"audio.file.name={tmp_path / 'out.wav'}"]
    font = "/usr/share/sounds/sf2/TimGM6mb.sf2"
    synth = ["fluidsynth", *options, "-o", "midi.alsa_seq.id=synth", font]
    with listening(synth, tmp_path / "synth", "help topics") as heard:
        until(lambda: "(synth)" in subprocess.run(["aconnect", "-o"], capture_output=True, text=True).stdout)
        there = re.search(
            r"client (\d+): '[^']*\(synth\)'",
            subprocess.run(["aconnect", "-o"], capture_output=True, text=True).stdout,
        )
        assert there is not None
        subprocess.run(["aconnect", raw(1), f"{there[1]}:0"], check=True)
        say(daemon, tmp_path, SONG, port=1)
        wanted = [
            "noteon 0 60 64",
            "cc 2 7 100",
            "prog 1 5",
            "pitch 3 8193",
            "cpress 4 34",
            "noteoff 0 60 64",
        ]

        def events() -> list[str]:
            return re.findall(r"event_pre_(\w+ [\d ]*\d)", heard.read_text())

        until(lambda: len(events()) >= len(wanted))
        assert events() == wanted


def test_a_virtual_port_of_the_sequencer(daemon: Daemon, tmp_path: Path) -> None:
    """libasound makes it, without a card: notes go in and out by the sequencer."""
    there = re.search(
        r"client (\d+): [^\n]*\n +\d+ 'Virtual RawMIDI",
        subprocess.run(["aconnect", "-o"], capture_output=True, text=True, check=True).stdout,
    )
    assert there is not None
    with listening(["aseqdump", "-p", f"{there[1]}:0"], tmp_path / "heard", "Waiting for data") as heard:
        say(daemon, tmp_path, SONG, port=2)
        until(lambda: "Note off" in heard.read_text())
        assert "Note on 0, note 60, velocity 64" in " ".join(heard.read_text().split())
