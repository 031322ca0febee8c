"""A player whose every frame has a number, and what of them was heard: for devices that come and go."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from daemon import Daemon
from native import Native
from neighbour import TOP, numbered

RATE = 48000
RUN = 100  # frames that follow each other: not by chance in a fade


def heard(raw: bytes) -> np.ndarray:
    """The numbers of the frames that a card has played, in its order; silence and fades left out."""
    frames = np.frombuffer(raw[: len(raw) // 4 * 4], "<i2").reshape(-1, 2).astype(np.int64)
    numbers = (frames[:, 1] - 1) * TOP + frames[:, 0] - 1
    runs = np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1)
    return np.concatenate([run for run in runs if len(run) > RUN and run[0] >= 0])


class Player:
    """Numbered frames played over the native protocol; `moves` are the positions that it was told."""

    def __init__(self, daemon: Daemon, device: str = "default", *, appbufsz: int = 9600) -> None:
        self.client = Native(daemon.socket)
        opened = self.client.call("open", mode="play", device=device)
        self.number = opened["stream"]
        par = {"enc": "s16le", "pchan": 2, "rate": RATE, "appbufsz": appbufsz}
        self.client.call("setpar", stream=self.number, par=par)
        self.client.call("start", stream=self.number)
        self.written = 0
        self.positions: list[int] = []

    def play(self, done: Callable[[], bool]) -> None:
        """Feed it until `done`."""
        while not done():
            message = self.client.until(lambda m: m[0] == 2 and m[1] in ("credit", "onmove", "onstate"))
            assert message[1] != "onstate", message
            if message[1] == "onmove":
                self.positions.append(message[2][2])
            else:
                credit = message[2][1]
                self.client.write(self.number, numbered(self.written, credit).tobytes())
                self.written += credit

    def play_on(self, nframes: int) -> None:
        until = (self.positions[-1] if self.positions else 0) + nframes
        self.play(lambda: bool(self.positions) and self.positions[-1] >= until)

    def stop(self) -> None:
        self.client.call("stop", stream=self.number)
        self.client.call("close", stream=self.number)
        self.client.close()


def where(daemon: Daemon, name: str = "default") -> tuple[int, str | None]:
    for row in daemon.ask("devices")["devices"]:
        for sub in row["subdevices"]:
            if sub["name"] == name:
                return row["device"], sub["reason"]
    raise AssertionError(name)


def states(daemon: Daemon) -> list[str]:
    return [row["state"] for row in daemon.ask("devices")["devices"]]
