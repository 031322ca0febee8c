"""A whole server on a clock that the test moves: trio, the compiled engine, a socket, a `manual` device.

`settle` returns when every byte that clients sent was acted on and every answer
lies in their sockets; `step` lets blocks pass and settles.  Hence traces are
exact and nothing sleeps.  Everything but the engine's threads runs in the test.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import trio
import trio.testing
from audiod_protocol.sndio import messages as m
from audiod_protocol.sndio.messages import NO_DEVNUM
from native import Message, Native, Refused
from sndiowire import Blocks, SndioWire

from audiod import config, options
from audiod.config import Config
from audiod.dispatch import Dispatch
from audiod.engine import Device, Event, Synced
from audiod.server import Server

NUMPY = {"s16le": "<i2", "s24le": "<i4", "s32le": "<i4", "f32le": "<f4"}
_STOP = m.Stop(True)
SETTLING = 4  # rounds: request, its answer, what that sets off, and the answer to this


class Actor(Native):
    """A client on stage; `trace` is what it was told, in words, recorded samples are kept in `heard`."""

    def __init__(self, stage: Stage, name: str) -> None:
        super().__init__(stage.path, hello=name)
        self.stage = stage
        self.heard: dict[int, list[bytes]] = {}
        self.credit: dict[int, int] = {}
        self._sizes: dict[int, tuple[int, int]] = {}  # bytes of a frame: played, recorded
        self._encs: dict[int, str] = {}

    async def ask(self, method: str, **args: object) -> Any:
        """Send a request, settle; its result, or raises Refused.  What else came stays for `trace`."""
        ident = self.request(method, **args)
        await self.stage.settle()
        self.messages()
        for message in self.seen:
            if message[:2] == [1, ident]:
                self.seen.remove(message)
                if message[2] is not None:
                    raise Refused(message[2])
                return message[3]
        raise AssertionError(f"{method} is not answered; there came {self.seen}")

    async def open(self, mode: str = "play", device: str = "default", *, start: bool = True,
                   link: str | None = None, enc: str = "s16le", **par: object) -> int:  # fmt: skip
        """Open, set parameters (2 channels unless told), start; returns the number."""
        number: int = (await self.ask("open", mode=mode, device=device, link=link))["stream"]
        asked: dict[str, object] = {"enc": enc, **par}
        for side, key in (("play", "pchan"), ("rec", "rchan")):
            if side in mode.split(","):
                asked.setdefault(key, 2)
        got = (await self.ask("setpar", stream=number, par=asked))["par"]
        self._sizes[number] = (got["bps"] * got.get("pchan", 0), got["bps"] * got.get("rchan", 0))
        self._encs[number] = enc
        self.heard[number] = []
        if start:
            await self.ask("start", stream=number)
        return number

    # ---- samples ----

    def play(self, number: int, frames: np.ndarray) -> None:
        """Write frames x channels, whatever the credit; the caller minds it."""
        self.write(number, frames.astype(NUMPY[self._encs[number]]).tobytes())

    def recorded(self, number: int) -> np.ndarray:
        """Frames x channels, all that came so far."""
        raw = np.frombuffer(b"".join(self.heard[number]), NUMPY[self._encs[number]])
        return raw.reshape(-1, self._sizes[number][1] // raw.itemsize)

    # ---- what came ----

    def trace(self) -> list[str]:
        """What came since the last call, a text each: `credit 480`, `onmove 480 960`, `stop answered`."""
        self.messages()
        new, self.seen = self.seen, []
        return [self._words(message) for message in new]

    def _words(self, message: Message) -> str:
        if message[0] == 1:
            outcome = "answered" if message[2] is None else f"refused {message[2]['code']}"
            return f"{self.asked[message[1]]} {outcome}"
        method, params = message[1], message[2]
        if method == "data":
            number, samples = params
            self.heard[number].append(samples)
            return f"data {len(samples) // self._sizes[number][1]}"
        if method == "credit":
            self.credit[params[0]] = self.credit.get(params[0], 0) + params[1]
        if method == "onmove":
            assert len(params) == 4 and params[3] > 0
            return f"onmove {params[1]} {params[2]}"
        if method == "onstate":
            return f"onstate {params[1]} {params[2]['code']}"
        return " ".join([method, *map(str, params[1:])])


class SndioActor(SndioWire):
    """A program of sndio's on stage; `par` is the last answer to GETPAR, `credit` the sum of FLOWCTL."""

    par: m.WirePar

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.path.with_name("sndio"))
        self.stage = stage
        self.credit = 0
        self._blocks = Blocks(1, 1)

    def frame(self, channels: int | None) -> int:
        return (self.par.bps or 0) * (channels or 0)

    async def start(self, *, xrunnotify: bool = False) -> None:
        self._blocks = Blocks(self.frame(self.par.pchan), self.par.round or 0)
        self.credit = 0
        self.send(m.Start(xrunnotify))
        await self.stage.settle()

    async def say(self, *messages: m.Message | bytes) -> list[str]:
        """Send, settle; what came."""
        self.send(*messages)
        await self.stage.settle()
        return self.trace()

    async def play(self, frames: np.ndarray) -> list[str]:
        """Send frames x channels of 16 bits, whatever the credit; the caller minds it."""
        return await self.say(self._blocks.cut(frames.astype("<i2").tobytes()))

    def recorded(self) -> np.ndarray:
        """Frames x channels, all that came so far."""
        return np.frombuffer(bytes(self.heard), "<i2").reshape(-1, self.par.rchan or 1)

    def trace(self) -> list[str]:
        """What came since the last call, a text each: `FLOWCTL 480`, `MOVE 0`, `DATA 480` (frames), `EOF`."""
        was = self.eof
        words = [self._words(message) for message in self.messages()]
        return words + ["EOF"] * (self.eof and not was)

    def _words(self, message: m.ServerMessage) -> str:
        match message:
            case m.Flowctl(delta):
                self.credit += delta
                return f"FLOWCTL {delta}"
            case m.Move(delta):
                return f"MOVE {delta}"
            case m.Setvol(vol):
                return f"SETVOL {vol}"
            case m.Data(size):
                assert size <= m.DATAMAX and size % self.frame(self.par.rchan) == 0
                return f"DATA {size // self.frame(self.par.rchan)}"
            case m.ParReply(par):
                self.par = par
                return "GETPAR"
        return type(message).__name__.upper()


class Stage:
    """The server; `played` is what its device has played."""

    def __init__(self, folder: Path, conf: Config, dispatch: Dispatch) -> None:
        self.path = conf.listen.path
        self.file = folder / "played.raw"
        self.dispatch = dispatch
        self._actors: list[Actor | SndioActor] = []
        self._synced = trio.Event()
        self._take = dispatch.take
        dispatch.take = self._taken  # type: ignore[method-assign]

    def _taken(self, event: Event) -> None:
        self._take(event)
        if isinstance(event, Synced):
            self._synced.set()

    @property
    def device(self) -> Device:
        return self.dispatch.devices.handle(0)

    async def settle(self) -> None:
        for _ in range(SETTLING):
            await trio.testing.wait_all_tasks_blocked()
            self._synced = trio.Event()
            self.dispatch.engine.sync(1)
            await self._synced.wait()

    async def step(self, n: int = 1) -> None:
        """Let n blocks pass; clients hear of each by itself."""
        for _ in range(n):
            self.device.step(1)
            await self.settle()

    async def client(self, name: str = "test") -> Actor:
        actor = Actor(self, name)
        self._actors.append(actor)
        await self.settle()
        assert actor.trace() == ["hello answered"]
        return actor

    async def sndio(self, mode: int = 1, opt: str = "default", *, devnum: int = NO_DEVNUM,
                    who: str = "test", xrunnotify: bool = False, start: bool = True, bits: int = 16,
                    **par: int) -> SndioActor:  # fmt: skip
        """A program of sndio's that has opened, asked for these parameters (s16, 2 channels), and started."""
        actor = SndioActor(self)
        self._actors.append(actor)
        actor.greet(mode, opt, devnum=devnum, who=who)
        asked = {"pchan": 2, "rchan": 2, "le": 1, **par}
        actor.send(m.Setpar(m.WirePar(bits=bits, **asked)), m.Getpar())
        await self.settle()
        ack, reply = actor.messages()
        assert ack == m.Ack() and isinstance(reply, m.ParReply)
        actor.par = reply.par
        if start:
            await actor.start(xrunnotify=xrunnotify)
        return actor

    async def close(self) -> None:
        """All clients go, and their streams with them."""
        for actor in self._actors:
            actor.close()
        await self.settle()
        for _ in range(100):
            if not self.dispatch.sounding:
                break
            await self.step()

    def played(self) -> np.ndarray:
        """Frames x channels in steps of 16 bits, without the silence queued at the start."""
        raw = np.frombuffer(self.file.read_bytes(), "<i2") if self.file.exists() else np.zeros(0, "<i2")
        return raw.reshape(-1, self.device.par.pchan)


@asynccontextmanager
async def stage(folder: Path, line: str = "-f manual") -> AsyncIterator[Stage]:
    """A server with this command line; its first device writes what it plays into a file."""
    alone = ["--no-realtime", "-a", "on", "--sndio", str(folder / "sndio"), "--socket", str(folder / "s")]
    opts = options.parse([*alone, *line.split()])
    conf = config.resolve(opts, {}, 1000)
    first = conf.devices[0]
    spec = replace(first.spec, argument=str(folder / "played.raw"), dither=False)
    devices = (replace(first, spec=spec, dither=False), *conf.devices[1:])
    conf = replace(conf, devices=devices)
    server = Server(conf)
    async with trio.open_nursery() as nursery:

        async def serve(*, task_status: trio.TaskStatus[Dispatch]) -> None:
            await server.serve(signals=False, task_status=task_status)

        made = Stage(folder, conf, await nursery.start(serve))
        try:
            yield made
        finally:
            await made.close()
            server.end()


def noise(nframes: int, channels: int = 2, *, seed: int = 1, scale: float = 1.0) -> np.ndarray:
    """16-bit noise that repeats nowhere, frames x channels."""
    rng = np.random.default_rng(seed)
    return (rng.integers(-32768, 32768, (nframes, channels)) * scale).astype(np.int64)


def flat(value: int, nframes: int, channels: int = 2) -> np.ndarray:
    return np.full((nframes, channels), value)


# ---- what tests do on it ----


async def steps(st: Stage, actor: Actor | SndioActor, n: int) -> list[list[str]]:
    """The trace of each of the next n cycles."""
    found = []
    for _ in range(n):
        await st.step()
        found.append(actor.trace())
    return found


async def play_out(st: Stage, actor: Actor, number: int, frames: np.ndarray, *, end: str = "stop") -> None:
    """Write all frames within credit, end the stream and wait for the answer."""
    at = 0
    for _ in range(10_000):
        n = min(len(frames) - at, actor.credit.get(number, 0))
        if n > 0:
            actor.play(number, frames[at : at + n])
            actor.credit[number] -= n
            at += n
        if at == len(frames):
            break
        await st.step()
        actor.trace()
    actor.request(end, stream=number)
    for _ in range(10_000):
        await st.settle()
        if f"{end} answered" in actor.trace():
            return
        await st.step()
    raise AssertionError(f"{end} is never answered")


async def stopped(st: Stage, c: SndioActor, stop: m.Message | bytes = _STOP) -> list[str]:
    """Say STOP; what comes up to the server's, some cycles later."""
    found = await c.say(stop)
    for _ in range(100):
        if "STOP" in found:
            return found
        await st.step()
        found += c.trace()
    raise AssertionError(f"STOP is never answered; there came {found}")


def sounding(frames: np.ndarray) -> np.ndarray:
    """From the first to the last frame that is not silence."""
    at = np.flatnonzero(frames.any(axis=1))
    return frames[at[0] : at[-1] + 1] if len(at) else frames[:0]


def whole(frames: np.ndarray, round_: int = 480) -> np.ndarray:
    """With silence to the end of the last block."""
    rest = -len(frames) % round_
    return np.concatenate([frames, np.zeros((rest, frames.shape[1]), frames.dtype)])
