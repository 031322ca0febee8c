"""A desk of players: one native client with several streams, at a whole daemon whose device the test moves.

`Desk` is tests/plain.py's daemon with one connection; a `Player` is a stream that
writes what the server grants.  Samples are read back from what the device played.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from audiod_protocol.channel import Ducking, Status
from native import Native
from plain import Plain

ROUND, APPBUF = 480, 1920


class Player:
    """One stream of a connection; what it plays is `frames`, a value a frame, on both channels."""

    def __init__(self, house: Desk, kind: str | None, frames: np.ndarray, **more: object) -> None:
        self.house = house
        self.wire = house.wire
        opened = house.ask("open", mode="play", **({} if kind is None else {"type": kind}), **more)
        self.number: int = opened["stream"]
        self.data = np.repeat(frames.astype("<i2"), 2).tobytes()
        self.at = 0
        par = {"enc": "s16le", "rate": 48000, "pchan": 2, "appbufsz": APPBUF}
        house.ask("setpar", stream=self.number, par=par)

    def prepare(self) -> Player:
        self.house.ask("prepare", stream=self.number)
        self.feed()
        return self

    def feed(self) -> None:
        """Write as much as the server wants."""
        granted = self.house.granted[self.number]
        end = granted * 4
        if end > self.at and self.data[self.at : end]:
            self.wire.write(self.number, self.data[self.at : end])
            self.at = min(end, len(self.data))
            self.house.plain.settle()

    def do(self, what: str, **more: object) -> Any:
        return self.house.ask(what, stream=self.number, **more)

    @property
    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = self.do("status")["record"]
        return found

    @property
    def status(self) -> Status:
        return Status(self.record["status"])

    @property
    def bits(self) -> Ducking:
        return Ducking(self.record["ducking_state"])

    @property
    def row(self) -> dict[str, Any]:
        (row,) = [r for r in self.house.ask("streams")["streams"] if r["stream"] == self.number]
        return dict(row)

    @property
    def left(self) -> list[float]:
        """Its gains; [1.0] if nobody ducks it."""
        ducking = self.row["ducking"]
        return [1.0] if ducking is None else list(ducking["gains"])


class Desk:
    """One client of a daemon, with several streams."""

    def __init__(self, folder: Path, text: str) -> None:
        self.plain = Plain(folder, text=text)
        self.wire: Native = self.plain.client("desk")
        self.players: list[Player] = []
        self.granted: Counter[int] = Counter()  # frames, by stream

    def listen(self) -> None:
        for message in self.wire.messages():
            if message[:2] == [2, "credit"]:
                self.granted[message[2][0]] += message[2][1]

    def ask(self, method: str, **args: object) -> Any:
        """The answer, or None if it is to come after some blocks."""
        ident = self.wire.request(method, **args)
        self.plain.settle()
        self.listen()
        come = any(m[:2] == [1, ident] for m in self.wire.seen)
        return self.wire.answer(ident) if come else None

    def player(self, kind: str | None, frames: np.ndarray | None = None, **more: object) -> Player:
        made = Player(self, kind, np.zeros(48000) if frames is None else frames, **more)
        self.players.append(made)
        return made

    def plays(self, kind: str | None, frames: np.ndarray | None = None, **more: object) -> Player:
        """A stream that runs, its first block being played."""
        made = self.player(kind, frames, **more).prepare()
        self.step()
        assert made.status in (Status.RUNNING, Status.SUSPENDED)
        return made

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            self.plain.step()
            self.listen()
            for player in self.players:
                player.feed()

    def heard(self) -> np.ndarray:
        """What the device has played, frames x 2."""
        return np.frombuffer(self.plain.played.read_bytes(), "<i2").reshape(-1, 2)

    def events(self, player: Player, event: str) -> list[dict[str, Any]]:
        self.wire.messages()
        return [
            m[2][2] for m in self.wire.seen if m[:2] == [2, "onstatus"] and m[2][:2] == [player.number, event]
        ]

    def close(self) -> None:
        self.wire.close()
        self.plain.close()
