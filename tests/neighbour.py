"""A well-behaved client beside hostile ones: it plays numbered frames all the time, in a thread of its own.

Whatever others do, every frame that it wrote must be in the device's file, in
order and unchanged.  Frames are unlike each other and never silence, so that a
pause of this very process (under IGNORE nothing is lost by it) is told from a
fault.
"""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
from native import Native

TOP = 32000


def numbered(first: int, nframes: int) -> np.ndarray:
    """Frames first..: the number's low part in channel 0, its high part in channel 1, neither of them 0."""
    n = np.arange(first, first + nframes)
    return np.stack([n % TOP + 1, n // TOP + 1], axis=1).astype("<i2")


class Neighbour:
    """Plays from its making to `finish`; `written` is in frames."""

    def __init__(self, socket: Path) -> None:
        self.client = Native(socket, hello="neighbour")
        self.number = self.client.stream("play", start=False)
        par = {"enc": "s16le", "pchan": 2, "rate": 48000, "appbufsz": 24000}
        self.client.call("setpar", stream=self.number, par=par)
        self.client.call("start", stream=self.number)
        self.written = 0
        self.position = 0
        self._ending = threading.Event()
        self._moved = threading.Condition()
        self.fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._play()
        except BaseException as error:
            self.fault = error
        with self._moved:
            self._moved.notify_all()

    def _play(self) -> None:
        for message in self.client.seen:
            self._take(message)
        while not self._ending.is_set():
            self._take(self.client.until(lambda message: True))
            self.client.seen.clear()
        self.client.call("stop", stream=self.number)

    def _take(self, message: list) -> None:
        if message[:2] == [2, "credit"]:
            n = message[2][1]
            self.client.write(self.number, numbered(self.written, n).tobytes())
            self.written += n
        elif message[:2] == [2, "onmove"]:
            with self._moved:
                self.position = message[2][2]
                self._moved.notify_all()
        elif message[0] == 2 and message[1] not in ("onxrun",):
            raise AssertionError(f"the neighbour was told {message}")

    def hears_on(self) -> None:
        """Wait until two more blocks of it were heard: it plays."""
        with self._moved:
            goal = self.position + 960
            while self.position < goal and self.fault is None:
                assert self._moved.wait(60), "the neighbour is not heard any more"
        assert self.fault is None, self.fault

    def finish(self) -> None:
        self._ending.set()
        self._thread.join(60)
        self.client.close()
        assert self.fault is None, self.fault


def frames_of(path: Path, channels: int, pair: slice) -> np.ndarray:
    """The frames of a raw or WAV file of 16 bits that are not silence in these two channels."""
    raw = path.read_bytes()
    if raw[:4] == b"RIFF":
        raw = raw[raw.index(b"data") + 8 :]
    frames = np.frombuffer(raw[: len(raw) // (2 * channels) * 2 * channels], "<i2")
    frames = frames.reshape(-1, channels)[:, pair]
    return frames[frames.any(axis=1)]
