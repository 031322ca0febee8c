"""Stream, the handle of one stream of the engine.  Control thread alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from audiod.engine._lib import ffi, lib
from audiod.engine.errors import check
from audiod.engine.structs import curve as curve_of
from audiod.engine.structs import stream_par
from audiod.engine.values import StreamPar, StreamState, StreamStats

if TYPE_CHECKING:
    from audiod.engine.handles import Device


class Stream:
    """One stream from start to stop.  Free it after StreamReleased (or if never started)."""

    def __init__(self, device: object, ident: int, par: StreamPar) -> None:
        self.id = ident
        self.par = par
        out = ffi.new("stream **")
        check(lib.stream_new(device, ident, stream_par(par), out), "making a stream")
        self._h = out[0]

    def free(self) -> None:
        if self._h:
            lib.stream_free(self._h)
            self._h = ffi.NULL

    def start(self) -> None:
        """Start without a connection; `write` and `read` are its ends."""
        check(lib.stream_start(self._h), "starting a stream")

    def stop(self, *, drain: bool = True) -> None:
        check(lib.stream_stop(self._h, int(drain)), "stopping a stream")

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Frames taken of `data`, interleaved in the stream's encoding (without a connection only)."""
        frame = self.par.enc.bps * self.par.pchan
        buf = ffi.from_buffer(data)
        return check(lib.stream_write(self._h, buf, len(buf) // frame), "writing to a stream")

    def read(self, nframes: int) -> bytes:
        """At most `nframes` recorded frames (without a connection only)."""
        frame = self.par.enc.bps * self.par.rchan
        buf = ffi.new("char[]", max(1, nframes * frame))
        got = check(lib.stream_read(self._h, buf, nframes), "reading from a stream")
        return bytes(ffi.buffer(buf, got * frame))

    def move(self, device: Device, par: StreamPar) -> None:
        """Play on `device` from now on, with a fade; StreamMoved tells when.  `par`: as for a new stream.

        Raises EngineError: EINVAL if the buffer is smaller than a block of that device, EBUSY while it moves.
        """
        check(lib.stream_move(self._h, device._h, stream_par(par)), "moving a stream")
        self.par = par

    def setvol(self, vol: int) -> None:
        lib.stream_setvol(self._h, vol)

    def setmute(self, on: bool) -> None:
        """Silent whatever its volume; the ramp is that of a volume."""
        lib.stream_setmute(self._h, on)

    def go(self) -> None:
        """Join at the next cycle whatever its start waits for; with all started streams of its link group."""
        check(lib.stream_go(self._h), "letting a stream go")

    def aim(
        self,
        gains: Sequence[float] = (),
        *,
        curve: Sequence[tuple[float, float]] = (),
        nframes: int = 0,
        hold: bool = False,
    ) -> int:
        """Bring the gains of its channels (0..1, the last for all beyond; none: all 1) to `gains`.

        From the gains as they are, in `nframes` of the device, from the next block on; 0 is one block, or
        at once if it does not sound.  `curve`: points (part of the time, part of the way) that straight
        lines from (0, 0) to (1, 1) go over, at most 16; empty: a smoothstep.  The last call wins.

        With `hold` the ramp goes to silence, in whole blocks, and there the stream stands still, which
        StreamHeld tells with the number that is returned; an aim without it lets it run on from that
        silence.  Draining, a held stream runs on at `gains`.  Raises EngineError: EINVAL.
        """
        number = lib.stream_aim(self._h, list(gains), len(gains), curve_of(curve), nframes, int(hold))
        return check(number, "changing the gains of a stream")

    def stats(self) -> StreamStats:
        s = ffi.new("struct stream_stats *")
        lib.stream_getstats(self._h, s)
        return StreamStats(
            position=s.position,
            time_ns=s.time_ns,
            written=s.written,
            consumed=s.consumed,
            captured=s.captured,
            read=s.read,
            xruns=s.xruns,
            lost=s.lost,
            state=StreamState(s.state),
            vol=s.vol,
            bypass=bool(s.bypass),
            delay=s.delay,
            cycles=s.cycles,
            fed=s.fed,
            underruns=s.underruns,
            overruns=s.overruns,
            overranges=s.overranges,
            first_ns=s.first_ns,
            last_ns=s.last_ns,
            filled=s.filled,
            rfilled=s.rfilled,
        )
