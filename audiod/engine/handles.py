"""Handles of the engine's objects: `Engine`, `Driver`, `Device`, `Conn`.

With `streams` and `structs` the only importer of the compiled engine.  Runs on the control thread alone, but
for `Driver`, which is any thread's: its opening and closing alone may wait.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from audiod.engine._lib import ffi, lib
from audiod.engine.errors import EngineError, check
from audiod.engine.events import (
    Event,
)
from audiod.engine.streams import Stream
from audiod.engine.structs import curve as curve_of
from audiod.engine.structs import device_par, encoding, event_of, positions
from audiod.engine.values import (
    ACCESSES,
    Clock,
    Cycle,
    DeviceConf,
    DevicePar,
    DeviceStats,
    StreamPar,
    ThreadInfo,
    Wire,
)

_ABI = 1
_ERRSZ = 1024  # a path and a reason
_PAYLOAD = 128 * 1024  # larger than MSG_MAX
_COUNTS = struct.Struct("=5q")  # struct stream_counts


class Limits:
    """Limits that the pump enforces on every connection."""

    MSG_MAX: int = lib.MSG_MAX
    MSG_DEPTH: int = lib.MSG_DEPTH
    WRITE_MAX: int = lib.WRITE_MAX
    CONN_OUT_MAX: int = lib.CONN_OUT_MAX
    CONN_NSTREAMS: int = lib.CONN_NSTREAMS


class Engine:
    """The engine with its pump thread.  `rt_prio` 0 asks for no realtime scheduling."""

    def __init__(self, *, rt_prio: int = 0, lock_memory: bool = True) -> None:
        if lib.engine_abi() != _ABI:
            raise EngineError(0, "the compiled engine does not belong to this audiod: install again")
        out = ffi.new("engine **")
        conf = ffi.new("struct engine_conf *", {"rt_prio": rt_prio, "lock_memory": int(lock_memory)})
        check(lib.engine_new(out, conf), "starting the engine")
        self._h = out[0]
        self._ev = ffi.new("struct event *")
        self._buf = ffi.new("char[]", _PAYLOAD)

    def close(self) -> None:
        """Free the engine; every device is closed and every connection freed before."""
        if self._h:
            lib.engine_free(self._h)
            self._h = ffi.NULL

    def fileno(self) -> int:
        """A descriptor that is readable when `events` has something."""
        return int(lib.engine_fd(self._h))

    def events(self) -> Iterator[Event]:
        """Every event that waits, oldest first; ends when there is none."""
        lib.engine_clear(self._h)
        while self._h and lib.engine_next(self._h, self._ev, self._buf, _PAYLOAD) > 0:
            event = event_of(self._ev, self._buf)
            if event is not None:
                yield event

    def sync(self, cookie: int) -> None:
        """Ask the pump to empty every socket and queue once, then to post `Synced(cookie)`."""
        check(lib.engine_sync(self._h, cookie), "engine_sync")

    @contextmanager
    def together(self) -> Iterator[None]:
        """Within it aims of any stream are kept back; at its end each device takes its own in one cycle."""
        lib.engine_gather(self._h, 1)
        try:
            yield
        finally:
            lib.engine_gather(self._h, 0)

    def threads(self) -> list[ThreadInfo]:
        """The engine's threads with their scheduling as the kernel reports it."""
        n = 64
        out = ffi.new("struct thread_info[]", n)
        got = check(lib.engine_threads(self._h, out, n), "engine_threads")
        return [
            ThreadInfo(
                tid=t.tid,
                device=None if t.device < 0 else t.device,
                realtime=t.policy == 1,
                prio=t.prio,
                asked=t.asked,
                err=t.err,
            )
            for t in out[0:got]
        ]

    def measure(self, streams: Sequence[Stream]) -> list[tuple[int, ...]]:
        """The five numbers of struct stream_counts of each, in one call: listings have thousands."""
        out = ffi.new("struct stream_counts[]", len(streams))
        lib.streams_count([stream._h for stream in streams], len(streams), out)
        return list(_COUNTS.iter_unpack(ffi.buffer(out)))

    def pump_usage(self) -> tuple[int, int]:
        """Wake-ups of the pump so far and its CPU time in ns."""
        wakeups, cpu = ffi.new("int64_t *"), ffi.new("int64_t *")
        lib.engine_pump_wakeups(self._h, wakeups, cpu)
        return wakeups[0], cpu[0]

    def device_open(self, ident: int, conf: DeviceConf) -> Device:
        """Open a device and start its thread.  Raises EngineError with the driver's words."""
        driver = Driver(conf)
        try:
            return self.device_attach(ident, driver)
        except BaseException:
            driver.close()
            raise

    def driver_open(self, conf: DeviceConf) -> Driver:
        """The half of `device_open` that may wait for the card: any thread.  Raises EngineError."""
        return Driver(conf)

    def device_attach(self, ident: int, driver: Driver) -> Device:
        """Start a device on an open driver, which is the device's then.  Raises EngineError: it is not."""
        return Device(self._h, ident, driver)

    def conn_new(self, ident: int, fd: int, wire: Wire = Wire.NATIVE) -> Conn:
        """Give a connected socket to the pump, which owns `fd` from here on."""
        return Conn(self._h, ident, fd, wire)


class Driver:
    """An open driver: the half of opening a device that may wait for the card.  Any thread, one at a time.

    `missing` is what there is not, in words: a direction that was asked for and
    could not be had; empty if nothing.
    """

    def __init__(self, conf: DeviceConf) -> None:
        """Open it.  Raises EngineError with the driver's words."""
        self._h = ffi.NULL
        self._keep = [ffi.new("char[]", s.encode()) for s in (conf.driver, conf.arg, conf.rec or "")]
        self._conf = c = ffi.new("struct device_conf *")
        keep = self._keep
        c.driver, c.arg = keep[0], keep[1]
        c.rec = keep[2] if conf.rec is not None else ffi.NULL
        c.free_clock, c.append = conf.free_clock, conf.append
        c.access = 1 + ACCESSES.index(conf.access) if conf.access else 0
        c.dither, c.stall_ms = conf.dither, conf.stall_ms
        c.ppm, c.jitter_ns = conf.ppm, conf.jitter_ns
        c.xrun_every_ns, c.unplug_after_ns = conf.xrun_every_ns, conf.unplug_after_ns
        c.par = device_par(conf.par)
        out, err = ffi.new("driver **"), ffi.new("char[]", _ERRSZ)
        rc = lib.driver_open(c, out, err, _ERRSZ)
        self.missing = ffi.string(err).decode(errors="replace")
        if rc < 0:
            raise EngineError(-rc, self.missing or os.strerror(-rc))
        self._h = out[0]

    def close(self) -> None:
        """Close it, unless a device has it; may wait for the card."""
        if self._h:
            handle, self._h = self._h, ffi.NULL
            lib.driver_close(handle)


class Device:
    """An open device with its thread.  `missing`: as its driver's."""

    def __init__(self, engine: object, ident: int, driver: Driver) -> None:
        self.id = ident
        self._h = ffi.NULL
        out, err = ffi.new("device **"), ffi.new("char[]", _ERRSZ)
        rc = lib.device_attach(engine, ident, driver._conf, driver._h, out, err, _ERRSZ)
        if rc < 0:
            raise EngineError(-rc, ffi.string(err).decode(errors="replace") or os.strerror(-rc))
        self._h = out[0]
        self._driver = driver
        driver._h = ffi.NULL
        self.missing = driver.missing
        par = ffi.new("struct device_par *")
        lib.device_getpar(self._h, par)
        self.par = DevicePar(
            enc=encoding(par.enc),
            rate=par.rate,
            round=par.round,
            bufsz=par.bufsz,
            pchan=par.pchan,
            rchan=par.rchan,
            clock=Clock(par.clock),
            pmap=positions(par.pmap, par.pchan),
            rmap=positions(par.rmap, par.rchan),
        )

    def close(self) -> None:
        """Close it: its streams get StreamEnded and StreamReleased; waits for its thread and the card."""
        if self._h:
            self.detach().close()

    def detach(self) -> Driver:
        """The half of `close` that does not wait for the card; close the driver that it returns."""
        self._driver._h = lib.device_detach(self._h)
        self._h = ffi.NULL
        return self._driver

    def step(self, nblocks: int = 1) -> None:
        """manual only: let blocks pass; returns when they were mixed."""
        check(lib.device_step(self._h, nblocks), "device_step")

    def setgain(self, gain: float) -> None:
        """The software master, linear."""
        lib.device_setgain(self._h, gain)

    def setrecgain(self, gain: float) -> None:
        """The gain of what is recorded, linear."""
        lib.device_setrecgain(self._h, gain)

    def setcurve(self, curve: Sequence[tuple[float, float]] = (), *, nframes: int) -> None:
        """How changes of volume, mute and masters go from now on; `curve` and `nframes` as in `Stream.aim`.

        Raises EngineError: EINVAL.
        """
        check(lib.device_setcurve(self._h, curve_of(curve), nframes), "setting the ramp of volumes")

    def setgroup(self, group: int, nmembers: int) -> None:
        """Streams of a link group start in one cycle when so many are ready."""
        lib.device_setgroup(self._h, group, nmembers)

    def abandon(self, errno: int, fd: int) -> None:
        """Close the card, and only it: streams go on into nothing.

        `fd`, an eventfd, is readable once it is closed.  Raises EngineError: ENOTSUP, it is no card; EMFILE.
        """
        check(lib.device_abandon(self._h, errno, fd), "giving a card up")

    def mmc(self, run: int, pending: int = 0, *, joined: bool = False) -> None:
        """Let the streams that wait for MMC join in one cycle, once all are ready and `pending` is 0.

        Once for each `run`, 0: they wait; `joined`: they have joined on another device, go on with the clock.
        """
        lib.device_mmc(self._h, run, lib.MMC_JOINED if joined else pending)

    def stats(self) -> DeviceStats:
        s = ffi.new("struct device_stats *")
        lib.device_getstats(self._h, s)
        return DeviceStats(
            cycles=s.cycles,
            position=s.position,
            xruns=s.xruns,
            clipped=s.clipped,
            bypassed=s.bypassed,
            cpu_ns=s.cpu_ns,
            running=bool(s.running),
            streams=s.streams,
        )

    def cycles(self, most: int = 1024) -> list[Cycle]:
        """The records of the last cycles, newest last."""
        out = ffi.new("struct cycle[]", most)
        got = check(lib.device_getcycles(self._h, out, most), "device_getcycles")
        return [
            Cycle(c.seq, c.due_ns, c.wake_ns, c.end_ns, c.nblocks, c.nstreams, c.nxruns, bool(c.flags & 1))
            for c in out[0:got]
        ]

    def stream_new(self, ident: int, par: StreamPar) -> Stream:
        """Make a stream of this device; it does nothing until it is started."""
        return Stream(self._h, ident, par)


class Conn:
    """One client's socket in the pump.  Free it after ConnClosed."""

    def __init__(self, engine: object, ident: int, fd: int, wire: Wire = Wire.NATIVE) -> None:
        self.id = ident
        out = ffi.new("conn **")
        check(lib.conn_new(engine, ident, fd, int(wire), out), "taking a connection")
        self._h = out[0]

    def send(self, data: bytes) -> None:
        """Queue bytes; what is sent keeps the order of the calls."""
        if self._h:
            lib.conn_send(self._h, data, len(data))

    def tell(self, number: int, data: bytes) -> None:
        """Queue a notification about a stream; dropped if it has stopped meanwhile."""
        if self._h:
            check(lib.conn_tell(self._h, number, data, len(data)), "telling a client")

    def relay(self) -> None:
        """Of sndio's wire: from here on all that it sends is told as it comes; nothing is the pump's."""
        if self._h:
            check(lib.conn_relay(self._h), "relaying a client")

    def notify_sent(self) -> None:
        """Ask for ConnSent once the socket has taken all that is queued; asked twice, it may be one."""
        if self._h:
            check(lib.conn_await(self._h), "awaiting a client")

    def start(self, stream: Stream, number: int, answer: bytes) -> None:
        """Start `stream` as the client's `number`; credit, onmove and data follow the answer."""
        check(lib.conn_start(self._h, stream._h, number, answer, len(answer)), "starting a stream")

    def stop(self, number: int, *, drain: bool, answer: bytes = b"") -> None:
        """Stop as if the client had asked; the answer is queued behind all else of the stream."""
        check(lib.conn_stop(self._h, number, int(drain), answer, len(answer)), "stopping a stream")

    def end(self, number: int, message: bytes = b"") -> None:
        """End a stream at once; what the client still writes to `number` is ignored."""
        check(lib.conn_end(self._h, number, message, len(message)), "ending a stream")

    def unread(self) -> int:
        """Bytes that wait in its socket; those of streams that have plenty are not read at once."""
        return int(lib.conn_unread(self._h)) if self._h else 0

    def close(self, *, flush: bool = True) -> None:
        """Close after what is queued was sent, or at once."""
        if self._h:
            lib.conn_close(self._h, int(flush))

    def free(self) -> None:
        if self._h:
            lib.conn_free(self._h)
            self._h = ffi.NULL
