"""Programs that speak MIDI, unmodified: what each of them says arrives at the others byte by byte.

midicat of sndio's, to and from programs, ports and other machines; fluidsynth, a
synthesiser, at a port; ScummVM, which plays its games' music by sndio's MIDI.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import units
from audiod_protocol.sndio.messages import BASE_PORT
from daemon import PATIENCE, Daemon, running
from sndio.card import Server, audiod, need, sndiod

SOUNDFONT = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
GAME = Path("/usr/share/scummvm/beneath-a-steel-sky")
# every kind of message, none of them cut short by running status; exclusive ones of all lengths
NOTES = b"".join(bytes((0x90 | n % 16, n % 128, 1 + n % 127)) for n in range(2000))
SONG = b"".join(
    [
        bytes.fromhex("f07e7f0901f7 c005 903c40 a03c22 b00764 d011 e00140 f107 f20102 f303 f6 f8 fa 803c40"),
        *(b"\xf0" + bytes(n % 128 for n in range(size)) + b"\xf7" for size in (0, 15, 510, 511, 5000)),
        NOTES,
    ]
)
DUMP = b"\xf0" + bytes(n * 5 % 128 for n in range(60000)) + b"\xf7"


@contextmanager
def serving(folder: Path, *ports: str) -> Iterator[Daemon]:
    """audiod with these MIDI ports, where midicat finds it."""
    with units.unit() as unit:
        args = [word for port in ports for word in ("-a", "on", "-q", port)]
        with running(folder, "-L", "127.0.0.1", "-f", "null", *args, sndio="", unit=unit) as daemon:
            yield daemon


def until(so: Callable[[], bool], why: Callable[[], str] = lambda: "") -> None:
    deadline = time.monotonic() + PATIENCE
    while not so():
        assert time.monotonic() < deadline, why()
        time.sleep(0.01)


class Midicat:
    """One that writes what it hears into a file."""

    def __init__(self, daemon: Daemon, folder: Path, name: str) -> None:
        need("midicat")
        self.path = folder / f"heard-{name.replace('/', '-')}"
        opened = daemon.log.count("midi.open")
        self.process = subprocess.Popen(
            ["midicat", "-q", name, "-o", self.path], env={**os.environ, "HOME": str(folder)}
        )
        until(lambda: daemon.log.count("midi.open") > opened, lambda: daemon.log)

    def hears(self, midi: bytes) -> None:
        until(lambda: self.path.stat().st_size >= len(midi), lambda: f"{self.path.stat().st_size} bytes")
        assert self.path.read_bytes() == midi

    def __enter__(self) -> Midicat:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()


def say(folder: Path, name: str, midi: bytes) -> None:
    """midicat sends this."""
    (folder / "saying").write_bytes(midi)
    subprocess.run(
        ["midicat", "-q", name, "-i", folder / "saying"],
        env={**os.environ, "HOME": str(folder)},
        check=True,
        timeout=PATIENCE,
    )


def test_midicat_to_midicat(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        box, other = f"midithru,{daemon.unit}/0", f"midithru,{daemon.unit}/1"
        with Midicat(daemon, tmp_path, box) as heard, Midicat(daemon, tmp_path, other) as apart:
            say(tmp_path, box, SONG + DUMP)
            heard.hears(SONG + DUMP)
            apart.hears(b"")


def test_midicat_over_tcp_and_from_box_to_box(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        unit = daemon.unit
        assert str(BASE_PORT + (unit or 0)) in daemon.log
        first, second = f"midithru@127.0.0.1,{unit}/4", f"midithru,{unit}/5"
        with Midicat(daemon, tmp_path, second) as heard:
            opened = daemon.log.count("midi.open")
            between = subprocess.Popen(
                ["midicat", "-q", first, "-q", second], env={**os.environ, "HOME": str(tmp_path)}
            )
            try:
                until(lambda: daemon.log.count("midi.open") == opened + 2, lambda: daemon.log)
                say(tmp_path, first, SONG)
                heard.hears(SONG)
            finally:
                between.kill()
                between.wait()


def test_midicat_at_a_port_hears_and_plays_the_hardware(tmp_path: Path) -> None:
    """A pseudo-terminal is the hardware; it is replaced under the program, which goes on."""
    need("midicat")
    path = tmp_path / "port"

    def plug() -> int:
        hardware, port = os.openpty()
        (tmp_path / "new").symlink_to(os.ttyname(port))
        os.close(port)
        (tmp_path / "new").rename(path)
        return hardware

    def played(fd: int, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += os.read(fd, size - len(data))
        return data

    hardware = plug()
    with serving(tmp_path, str(path)) as daemon:
        port = f"midi,{daemon.unit}/0"
        with Midicat(daemon, tmp_path, port) as heard:
            os.write(hardware, NOTES[:600])
            heard.hears(NOTES[:600])
            say(tmp_path, port, NOTES[:3000])
            assert played(hardware, 3000) == NOTES[:3000]
            path.unlink()
            os.close(hardware)
            until(lambda: "midi.port.lost" in daemon.log)
            hardware = plug()
            until(lambda: daemon.log.count("midi.port.open") == 2, lambda: daemon.log)
            os.write(hardware, b"\xc0\x07")
            heard.hears(NOTES[:600] + b"\xc0\x07")
            say(tmp_path, port, b"\xc0\x08")
            assert played(hardware, 2) == b"\xc0\x08"
    os.close(hardware)


EVENTS = [  # a message, and what fluidsynth says that it has heard
    ("9045 7f", "noteon 0 69 127"),
    ("c105", "prog 1 5"),
    ("b20764", "cc 2 7 100"),
    ("e30140", "pitch 3 8193"),
    ("d422", "cpress 4 34"),
    ("804540", "noteoff 0 69 64"),
]


def test_a_synthesiser_at_a_port_plays_what_midicat_sends(tmp_path: Path) -> None:
    """fluidsynth reads raw MIDI from a FIFO that is audiod's port: event by event."""
    need("midicat", "fluidsynth")
    fifo, wav, said = (tmp_path / name for name in ("fifo", "out.wav", "synth"))
    os.mkfifo(fifo)
    with serving(tmp_path, str(fifo)) as daemon:
        options = ["-m", "oss", "-o", f"midi.oss.device={fifo}", "-a", "file", "-o", f"audio.file.name={wav}"]
        with said.open("wb") as out:
            synth = subprocess.Popen(
                ["stdbuf", "-oL", "fluidsynth", "-d", *options, SOUNDFONT],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        try:
            say(tmp_path, f"midi,{daemon.unit}/0", bytes.fromhex("".join(message for message, _ in EVENTS)))
            wanted = [event for _, event in EVENTS]

            def heard() -> list[str]:
                return re.findall(r"event_pre_(\w+ [\d ]*\d)", said.read_text())

            until(lambda: len(heard()) >= len(wanted) or synth.poll() is not None, said.read_text)
            assert heard() == wanted, said.read_text()
        finally:
            synth.kill()  # also where it still waits for its FIFO
            synth.communicate()


def music(start: Callable[..., Server], folder: Path, size: int, *device: str) -> bytes:
    """The first bytes that ScummVM sends by sndio's MIDI as it starts a game."""
    folder.mkdir()
    with units.unit() as unit:
        server = start(folder, unit, *device, env={})
        box = f"midithru,{unit}/0"
        env = {**os.environ, "HOME": str(folder), "MIDIDEVICE": box, "SDL_VIDEODRIVER": "dummy"}
        env["SDL_AUDIODRIVER"] = "dummy"
        heard = folder / "heard"
        running = [subprocess.Popen(["midicat", "-q", box, "-o", heard], env=env)]
        try:
            while not (heard.exists() and heard.stat().st_size):  # then midicat is there
                say(folder, box, b"\xf8")
            command = ["/usr/games/scummvm", "-e", "sndio", "-p", str(GAME), "sky"]
            running.append(
                subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            )
            until(lambda: len(heard.read_bytes().strip(b"\xf8")) >= size, lambda: server.log)
            return heard.read_bytes().strip(b"\xf8")[:size]
        finally:
            for process in running:
                process.send_signal(signal.SIGKILL)
                process.wait()
            server.stop()


@pytest.mark.skipif(not GAME.exists(), reason="Debian's scummvm and beneath-a-steel-sky are not installed")
def test_a_game_sends_the_same_as_to_sndiod(tmp_path: Path) -> None:
    need("midicat", "sndiod")
    reset = bytes.fromhex("f07e7f0901f7 f041104212 40007f0041f7 f07e7f0901f7")
    ours = music(audiod, tmp_path / "audiod", len(reset), "-f", "null")
    assert ours == reset
    assert ours == music(sndiod, tmp_path / "sndiod", len(reset), "-f", "rsnd/0")
