"""A rig for tests of the engine: one manual device, streams without sockets, samples as numpy.

The device's clock advances only by `step`, and what was played is read back
from the file that the manual driver writes: frames x channels, without the
silence queued at its start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from audiod.engine import (
    Device,
    DeviceConf,
    DevicePar,
    Encoding,
    Engine,
    Event,
    StartMode,
    Stream,
    StreamFlag,
    StreamMoved,
    StreamPar,
    StreamReleased,
)

S16 = Encoding(16, 2)
S24 = Encoding(24, 4)
S24P = Encoding(24, 3)
S32 = Encoding(32, 4)
F32 = Encoding(32, 4, flt=True)
F64 = Encoding(64, 8, flt=True)
PLAY, REC, MON, AUTOVOL = StreamFlag.PLAY, StreamFlag.REC, StreamFlag.MON, StreamFlag.AUTOVOL
NUMPY = {S16: "<i2", S24: "<i4", S32: "<i4", F32: "<f4", F64: "<f8"}


class Source:
    """One stream with the frames that its client would write as fast as it may."""

    def __init__(self, stream: Stream, frames: np.ndarray | None) -> None:
        self.stream = stream
        self.data = b"" if frames is None else frames.astype(NUMPY[stream.par.enc]).tobytes()
        self.offset = 0
        self.heard: list[bytes] = []
        self.moves: list[int] = []

    def feed(self, most: int | None = None) -> int:
        """Write what fits (at most `most` frames); returns frames."""
        frame = self.stream.par.enc.bps * self.stream.par.pchan
        end = len(self.data) if most is None else self.offset + most * frame
        n = self.stream.write(self.data[self.offset : end])
        self.offset += n * frame
        return n

    def recorded(self) -> np.ndarray:
        par = self.stream.par
        return np.frombuffer(b"".join(self.heard), NUMPY[par.enc]).reshape(-1, par.rchan)


class Rig:
    def __init__(
        self,
        path: Path,
        enc: Encoding = S16,
        *,
        rate: int = 48000,
        round: int = 480,
        bufsz: int = 1920,
        pchan: int = 2,
        rchan: int = 2,
        dither: bool = False,
        **sim: int,
    ) -> None:
        self.path = path / "played.raw"
        self.engine = Engine()
        par = DevicePar(enc, rate, round, bufsz, pchan, rchan)
        self.device: Device = self.engine.device_open(
            0, DeviceConf("manual", par, arg=str(self.path) if pchan else "", dither=dither, **sim)
        )
        self.others: list[Device] = []  # closed in the end, if they are not yet
        self.sources: list[Source] = []
        self.seen: list[Event] = []

    def close(self) -> None:
        for device in (self.device, *self.others):
            device.close()
        self.events()
        for source in self.sources:
            source.stream.free()
        self.engine.close()

    def stream(
        self,
        frames: np.ndarray | None = None,
        *,
        flags: StreamFlag = PLAY,
        enc: Encoding = S16,
        start: bool = True,
        mode: StartMode = StartMode.FULL,
        **par: object,
    ) -> Source:
        """A stream that plays `frames` (n x channels) in `enc`; other fields as StreamPar.

        `start`: it is started and has what fits its buffer; `mode`: what its start waits for.
        """
        base = StreamPar(enc, flags, self.device.par.rate, 2, 2, self.device.par.bufsz, start=mode)
        if frames is not None:
            base = replace(base, pchan=frames.shape[1])
        source = Source(self.device.stream_new(len(self.sources) + 1, replace(base, **par)), frames)
        self.sources.append(source)
        if start:
            source.stream.start()
            if source.data:
                source.feed()
        return source

    def step(self, n: int = 1, *, feed: bool = True) -> None:
        """n blocks; around each, clients write what fits and read what there is."""
        for _ in range(n):
            self.device.step(1)
            for s in self.sources:
                if feed and s.data:
                    s.feed()
                if s.stream.par.flags & (REC | MON):
                    s.heard.append(s.stream.read(1 << 16))
                s.moves.append(s.stream.stats().position)

    def drain(self, *sources: Source) -> None:
        """Play all that the sources have, stop them, and step until they are released."""
        todo = list(sources or self.sources)
        for _ in range(100_000):
            waiting = {s.stream.id for s in todo} - self.released()
            if not waiting:
                return
            for s in todo:
                if s.stream.id in waiting and s.offset == len(s.data):
                    s.stream.stop(drain=True)
            self.step()
        raise AssertionError("the streams never drained")

    def events(self) -> list[Event]:
        new = list(self.engine.events())
        self.seen += new
        return new

    def told(self, *kinds: type[Event]) -> list[Event]:
        """All events of these kinds so far, oldest first."""
        self.events()
        return [e for e in self.seen if isinstance(e, kinds)]

    def wait(self, found: Callable[[], bool]) -> None:
        """Until something is so that comes by itself."""
        for _ in range(200_000):
            self.events()
            if found():
                return
        raise AssertionError("it never came")

    def released(self) -> set[int]:
        self.events()
        return {e.stream for e in self.seen if isinstance(e, StreamReleased)}

    def played(self) -> np.ndarray:
        """Frames x channels in device steps."""
        par = self.device.par
        raw = self.path.read_bytes()
        if par.enc == S24P:
            b = np.frombuffer(raw, np.uint8).reshape(-1, 3).astype(np.int32)
            v = (b[:, 0] | b[:, 1] << 8 | b[:, 2] << 16) << 8 >> 8
            return v.reshape(-1, par.pchan)
        return np.frombuffer(raw, NUMPY[par.enc]).reshape(-1, par.pchan)


class Second:
    """Another manual device of the same engine."""

    def __init__(
        self, r: Rig, folder: Path, *, rate: int = 48000, round: int = 480, enc: Encoding = S16
    ) -> None:
        self.path = folder / "second.raw"
        par = DevicePar(S16, rate, round, 4 * round, 2, 2)
        self.device: Device = r.engine.device_open(
            9, DeviceConf("manual", par, arg=str(self.path), dither=False)
        )
        r.others.append(self.device)

    def played(self) -> np.ndarray:
        return np.fromfile(self.path, "<i2").reshape(-1, 2)


def move(r: Rig, to: Second, n: int = 0, **par: object) -> None:
    """Ask, and let the first device run until it has let go."""
    source = r.sources[n]
    source.stream.move(to.device, replace(source.stream.par, **par))
    for _ in range(4):
        r.device.step(1)
        r.events()
    for _ in range(2000):
        r.events()
        if any(isinstance(e, StreamMoved) for e in r.seen):
            return
    r.engine.sync(1)
    while not any(isinstance(e, StreamMoved) for e in r.seen):
        r.events()


@contextmanager
def rig(path: Path, enc: Encoding = S16, **par: object) -> Iterator[Rig]:
    r = Rig(path, enc, **par)
    try:
        yield r
    finally:
        r.close()


def noise(
    nframes: int, channels: int = 2, *, seed: int = 1, bits: int = 16, scale: float = 1.0
) -> np.ndarray:
    """Full-scale integers that repeat nowhere."""
    top = 1 << (bits - 1)
    rng = np.random.default_rng(seed)
    return (rng.integers(-top, top, (nframes, channels)) * scale).astype(np.int64)


def padded(frames: np.ndarray, round: int) -> np.ndarray:
    """As a drain plays it: silence to the end of the last block."""
    extra = -len(frames) % round
    return np.concatenate([frames, np.zeros((extra, frames.shape[1]), frames.dtype)])


def blocks(moves: Iterable[int]) -> list[int]:
    """Differences of positions, from the first that is not negative."""
    seen = [m for m in moves if m >= 0]
    return [seen[0], *[b - a for a, b in pairwise(seen)]] if seen else []
