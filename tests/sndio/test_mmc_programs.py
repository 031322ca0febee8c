"""Programs that MIDI starts together: aucat and midicat, unmodified, on a virtual card with its own clock.

What the card has played is the sum of what both programs play, frame by frame from
its first frame on.  The time code is compared with that of Debian's sndiod.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import audiod_client
import numpy as np
import pytest
import soundfile
import units
from sndio import sounds
from sndio.card import PATIENCE, Cards, Server, audiod, cards, need, sndiod

START, STOP = bytes.fromhex("f07f7f0602f7"), bytes.fromhex("f07f7f0601f7")
PROBE = bytes.fromhex("903c40")
LOCATE = bytes.fromhex("f07f7f06440601 21 02 03 04 00 f7")
FULL = bytes.fromhex("f07f7f0101")
FRAMES = 24000
QUARTERS = 24  # quarter frames that are compared: three times
TAPE = ["-t", "slave", "-s", "tape"]


class Studio:
    """A server on a card, and the programs of a test; all of them are ended with it."""

    def __init__(self, made: Cards, server: Server, stack: ExitStack) -> None:
        self.cards = made
        self.server = server
        self.tape = f"snd,{server.unit}/tape"
        self._stack = stack
        self.env = {**os.environ, "HOME": str(made.folder), "XDG_RUNTIME_DIR": str(made.folder)}

    def begin(self, *command: str | Path) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self._stack.callback(_end, process)
        return process

    def play(self, seed: int) -> tuple[subprocess.Popen[bytes], sounds.Frames]:
        """aucat with a sound that can be found again, half as loud as it might be."""
        path = self.cards.folder / f"in{seed}.wav"
        sound = sounds.samples(seed, 2 * FRAMES, 16).reshape(FRAMES, 2) // 2
        soundfile.write(path, sound.astype(np.int16), 48000, subtype="PCM_16")
        return self.begin("aucat", "-f", self.tape, "-i", path), sound

    def listen(self) -> Path:
        """midicat that writes down what it hears, once it hears."""
        path = self.cards.folder / "heard"
        path.touch()
        self.begin("midicat", "-d", "-q", self.tape, "-o", path)

        def hears() -> bool:
            self.say(PROBE)
            return PROBE in path.read_bytes()

        self.until(hears, "a program at the port")
        return path

    def plays(self) -> bool:
        """Whether the server, whichever it is, knows aucat."""
        done = subprocess.run(["sndioctl", "-f", self.tape], env=self.env, capture_output=True, check=True)
        return b"app/aucat" in done.stdout

    def say(self, message: bytes) -> None:
        path = self.cards.folder / "say"
        path.write_bytes(message)
        done = subprocess.run(
            ["midicat", "-q", self.tape, "-i", path], env=self.env, timeout=PATIENCE, capture_output=True
        )
        assert done.returncode == 0, done.stderr

    def rows(self) -> list[dict[str, object]]:
        """audiod's own: the streams, as its other clients see them."""
        with audiod_client.Connection.connect(str(self.cards.folder / "audiod.sock")) as connection:
            return list(connection.request("streams")["streams"])

    def waiting(self, n: int) -> None:
        """Until so many programs wait with full buffers."""
        self.until(lambda: sum(row["state"] == "priming" for row in self.rows()) == n, f"{n} that wait")

    def until(self, holds: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < deadline, f"{what}: {self.server.log}"
            time.sleep(0.01)

    def played(self, card: int = 0) -> sounds.Frames:
        """What a card has played, from the first frame that is not silent on."""
        raw = (self.cards.folder / f"sink{card}").read_bytes()
        sound = np.frombuffer(raw[: len(raw) // 4 * 4], "<i2").reshape(-1, 2).astype(np.int64)
        loud = np.flatnonzero(sound.any(axis=1))
        return sound[loud[0] :] if len(loud) else sound[:0]


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait(PATIENCE)
    assert process.stderr is not None
    process.stderr.close()


@contextmanager
def studio(start: Callable[..., Server] = audiod, *sizes: str) -> Iterator[Studio]:
    """`sizes`: of blocks and buffer; sndiod 1.9 takes them in their order, before -f."""
    need("aucat")
    need("midicat")
    need("sndioctl")
    spec = "rsnd/0?dither=off" if start is audiod else "rsnd/0"
    with cards() as made, units.unit() as number, ExitStack() as stack:
        other = ["-t", "off", "-f", spec.replace("0", "1", 1)]
        server = start(made.folder, number, *sizes, "-f", spec, *TAPE, *other, env=made.env)
        stack.callback(server.stop)
        yield Studio(made, server, stack)


def finished(*processes: subprocess.Popen[bytes]) -> None:
    for process in processes:
        assert process.wait(PATIENCE) == 0, process.stderr and process.stderr.read()


def test_two_programs_begin_with_the_same_frame_of_the_card() -> None:
    with studio() as s:
        one, first = s.play(1)
        two, second = s.play(2)
        s.waiting(2)
        assert s.played().size == 0
        s.say(START)
        finished(one, two)
        s.until(lambda: len(s.played()) >= FRAMES, "the end of both")
        assert np.array_equal(s.played()[:FRAMES], first + second)


def test_programs_that_have_left_keep_nobody_waiting() -> None:
    """One is killed while it waits, one ends by itself; under sndiod neither start would ever come."""
    with studio() as s:
        killed, _ = s.play(3)
        ended, _ = s.play(4)
        stays, sound = s.play(5)
        s.waiting(3)
        killed.send_signal(signal.SIGKILL)
        ended.send_signal(signal.SIGINT)  # stops its stream, which is answered though nothing has played
        ended.wait(PATIENCE)
        s.waiting(1)
        s.say(START)
        finished(stays)
        s.until(lambda: len(s.played()) >= FRAMES, "the end")
        assert np.array_equal(s.played()[:FRAMES], sound)


def test_who_comes_later_begins_with_the_next_start() -> None:
    with studio() as s:
        one, first = s.play(6)
        s.waiting(1)
        s.say(START)
        finished(one)
        s.until(lambda: len(s.played()) >= FRAMES, "the end")
        two, second = s.play(7)
        three, third = s.play(8)
        s.waiting(2)
        s.say(START)
        assert {row["state"] for row in s.rows()} == {"priming"}, "it runs already"
        s.say(STOP)
        s.say(START)
        finished(two, three)

        def again() -> sounds.Frames:
            rest = s.played()[FRAMES:]
            loud = np.flatnonzero(rest.any(axis=1))
            return rest[loud[0] :] if len(loud) else rest[:0]

        s.until(lambda: len(again()) >= FRAMES, "the end of both")
        assert np.array_equal(again()[:FRAMES], second + third)
        assert np.array_equal(s.played()[:FRAMES], first)


def test_those_that_wait_are_moved_together_and_begin_together_there() -> None:
    with studio() as s:
        one, first = s.play(10)
        two, second = s.play(11)
        s.waiting(2)
        subprocess.run(
            ["sndioctl", "-f", s.tape, "server.device=1"], env=s.env, check=True, capture_output=True
        )
        s.until(lambda: {row["device"] for row in s.rows()} == {1}, "that both are moved")
        s.waiting(2)
        s.say(START)
        finished(one, two)
        s.until(lambda: len(s.played(1)) >= FRAMES, "the end of both")
        assert np.array_equal(s.played(1)[:FRAMES], first + second)
        assert s.played(0).size == 0


def timecode(start: Callable[..., Server], *sizes: str) -> bytes:
    """What midicat hears while a program plays that was told to begin at 01:02:03, from the full frame on."""
    with studio(start, *sizes) as s:
        heard = s.listen()
        s.say(LOCATE)
        play, _ = s.play(9)
        s.until(s.plays, "the program that plays")
        s.say(START)
        s.until(lambda: heard.read_bytes().count(b"\xf1") >= QUARTERS, "quarter frames")
        s.say(STOP)
        finished(play)
        # without what other programs have said
        data = heard.read_bytes().replace(START, b"").replace(STOP, b"")
        return data[data.rindex(FULL) :]


@pytest.mark.parametrize(("block", "code"), [(480, 1), (500, 0)])
def test_the_time_code_is_that_of_sndiod(block: int, code: int) -> None:
    need("sndiod")
    sizes = ["-z", str(block), "-b", str(4 * block)]
    theirs, ours = timecode(sndiod, *sizes), timecode(audiod, *sizes)
    n = len(FULL) + 5 + 2 * QUARTERS
    assert ours[:n] == theirs[:n], (theirs.hex(" "), ours.hex(" "))
    assert ours[5] == code << 5 | 1, "the hour of LOCATE, and which frames"


def test_thirty_frames_a_second() -> None:
    """sndiod has no such block on this card: it takes multiples of 32 frames from ALSA."""
    ours = timecode(audiod, "-z", "400", "-b", "1600")
    first = bytes.fromhex("f104 f110 f123 f130 f142 f150 f161 f176")
    assert ours[:10] == FULL + bytes.fromhex("61 02 03 04 f7") and ours[10:26] == first
