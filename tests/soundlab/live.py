"""The engine on real cards, in this process: devices by ALSA names, streams whose buffer holds all they play.

The cards' clocks are real, so a call here takes as long as the sound; what is
asserted is what was heard and recorded, to the frame, never how long it took.
"""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from audiod_protocol.params import Enc

from audiod.engine import (
    Device,
    DeviceConf,
    DevicePar,
    DeviceStopped,
    Encoding,
    Engine,
    Event,
    Stream,
    StreamFlag,
    StreamPar,
    StreamReleased,
    StreamStats,
    Xrun,
    XrunKind,
)

S16 = Encoding(16, 2)
RATE, ROUND = 48000, 480
BUFSZ = 24000  # frames: an emulated machine may stand still for a tenth of a second
PATIENCE = 60  # seconds: never reached when all is well


def encoding(name: str) -> Encoding:
    """As a SPEC has it: s24le3, f32be, ..."""
    enc = Enc.parse(name)
    return Encoding(enc.bits, enc.bps, enc.sig, enc.le, enc.msb, enc.flt)


class Live:
    def __init__(self) -> None:
        self.engine = Engine(rt_prio=20)
        self.seen: list[Event] = []
        self._idents = iter(range(1, 1 << 30))

    def close(self) -> None:
        self.engine.close()

    @contextmanager
    def device(
        self,
        name: str,
        enc: Encoding = S16,
        *,
        round: int = ROUND,
        bufsz: int = BUFSZ,
        pchan: int = 2,
        rchan: int = 0,
        **keys: object,
    ) -> Iterator[Device]:
        """A card, open; raises EngineError as the engine does."""
        par = DevicePar(enc, RATE, round, bufsz, pchan, rchan)
        conf = DeviceConf("alsa", par, arg=name, **keys)
        device = self.engine.device_open(next(self._idents), conf)
        try:
            yield device
        finally:
            device.close()
            self.events()

    def stream(
        self,
        device: Device,
        frames: np.ndarray,
        *,
        enc: Encoding = S16,
        flags: StreamFlag = StreamFlag.PLAY,
    ) -> Stream:
        """A started stream that plays all of `frames` (n x 2, in `enc`); REC records, too."""
        par = StreamPar(enc, flags, RATE, 2, 2, len(frames))
        stream = device.stream_new(next(self._idents), par)
        stream.start()
        assert stream.write(frames.tobytes()) == len(frames)
        return stream

    def recorded(self, stream: Stream, nframes: int) -> np.ndarray:
        """The next n frames that a stream of 16 bits records, n x 2."""
        raw = b""
        while len(raw) < nframes * 4:
            raw += stream.read(nframes - len(raw) // 4)
            self.pause()
        return np.frombuffer(raw, "<i2").reshape(-1, 2)

    def events(self) -> list[Event]:
        new = list(self.engine.events())
        self.seen += new
        return new

    def wait(self) -> None:
        """Until the engine has something to tell."""
        ready, _, _ = select.select([self.engine.fileno()], [], [], PATIENCE)
        assert ready, f"nothing happens any more; the last: {self.seen[-3:]}"
        self.events()

    def pause(self) -> None:
        """For a block, until something may have changed that nothing tells of."""
        select.select([self.engine.fileno()], [], [], ROUND / RATE)
        self.events()

    def released(self, stream: Stream) -> StreamStats:
        """Wait until a stopped stream is done with, and free it; what it was at the end."""
        while not any(isinstance(e, StreamReleased) and e.stream == stream.id for e in self.seen):
            self.wait()
        stats = stream.stats()
        stream.free()
        return stats

    def drained(self, device: Device, stream: Stream) -> StreamStats:
        """Wait until a device's only stream was heard to its end and the clock stands still."""
        stream.stop(drain=True)
        stats = self.released(stream)
        while DeviceStopped(device.id) not in self.seen:
            self.wait()
        return stats

    def play(self, device: Device, frames: np.ndarray, enc: Encoding = S16) -> None:
        """Play it to its end."""
        self.drained(device, self.stream(device, frames, enc=enc))

    def xruns(self) -> list[Xrun]:
        """Those of the devices, not of a stream that had nothing more to play."""
        return [event for event in self.seen if isinstance(event, Xrun) and event.kind is XrunKind.DEVICE]
