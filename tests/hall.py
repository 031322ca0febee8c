"""A whole daemon and native clients of it, for tests of channel status: plain functions, nothing sleeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from native import Native
from plain import Plain
from sndiowire import SndioWire

from audiod.audiotype import Ramp, Ramps
from audiod.baton import NoDucking
from audiod.channel import Channel

ROUND = 480
PATIENCE = 10_000  # looks at what another thread does by itself: never reached when all is well
FRAME = 4
PAR = {"enc": "s16le", "rate": 48000, "pchan": 2}


class Hall:
    """The daemon and what was played; blocks of `round` frames, a device's buffer of four."""

    def __init__(self, folder: Path, round: int = ROUND) -> None:
        self.out = folder / "played.raw"
        self.round = round
        self.house = Plain(folder, f"-z {round} -b {4 * round} -f manual -f null")
        self.step, self.settle = self.house.step, self.house.settle
        self.core = self.house.dispatch.core
        self.clients: list[Native | SndioWire] = []

    def client(self, name: str = "test") -> Desk:
        desk = Desk(self, self.house.client(name))
        self.clients.append(desk.wire)
        return desk

    def ramps(self, pause: Ramp, ducking: Ramp = Ramp(0)) -> None:  # noqa: B008
        """Without a policy, but with ramps."""
        self.core.conductor = alone = NoDucking()
        alone.ramps = Ramps(pause_resume=pause, ducking=ducking)

    def played(self) -> np.ndarray:
        return np.fromfile(self.out, "<i2").reshape(-1, 2)

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.house.close()


class Desk:
    """One client."""

    def __init__(self, hall: Hall, wire: Native) -> None:
        self.hall, self.wire = hall, wire

    def send(self, method: str, **args: object) -> int:
        ident = self.wire.request(method, **args)
        self.hall.settle()
        return ident

    def answered(self, ident: int) -> bool:
        self.wire.messages()
        return any(message[:2] == [1, ident] for message in self.wire.seen)

    def ask(self, method: str, **args: object) -> Any:
        """For what needs no block to pass; the device's thread may have to look, though."""
        ident = self.send(method, **args)
        for _ in range(PATIENCE):
            if self.answered(ident):
                break
            self.hall.settle()
        else:
            raise AssertionError(f"{method} is not answered")
        return self.wire.answer(ident)

    def open(self, mode: str = "play", par: dict[str, object] | None = None, **more: object) -> int:
        number: int = self.ask("open", mode=mode, pinned=more.pop("pinned", False))["stream"]
        self.ask("setpar", stream=number, par={**PAR, "appbufsz": 4 * self.hall.round, **(par or {})}, **more)
        return number

    def write(self, number: int, frames: np.ndarray) -> None:
        self.wire.write(number, frames.astype("<i2").tobytes())
        self.hall.settle()

    def status(self, number: int = 0, **args: object) -> dict[str, Any]:
        record: dict[str, Any] = self.ask("status", stream=number, **args)["record"]
        return record

    def until(self, status: str, number: int = 0) -> None:
        """It comes there without a block that passes."""
        for _ in range(PATIENCE):
            if self.channel(number).status == status:
                return
            self.hall.settle()
        raise AssertionError(f"it is {self.channel(number).status}, not {status}")

    def told(self, method: str) -> list[list[Any]]:
        self.wire.messages()
        return [message[2] for message in self.wire.seen if message[:2] == [2, method]]

    def channel(self, number: int = 0) -> Channel:
        (row,) = [row for row in self.hall.core.streams.values() if row.number == number]
        return row.channel


def noise(nframes: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(-20000, 20000, (nframes, 2)).astype("<i2")


def flat(nframes: int, value: int = 10000) -> np.ndarray:
    return np.full((nframes, 2), value, "<i2")
