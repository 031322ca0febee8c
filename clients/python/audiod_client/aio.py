"""The trio shell: the blocking client's twin, call by call.

    async with audiod_client.aio.open() as s:
        await s.setpar(enc="s16le", rate=48000, pchan=2)
        await s.start()
        await s.write(samples)

Invariant: all rules are in the sessions and streams; here is only waiting.
Any number of tasks may use one connection; one of them waits for the socket
and the others for it.  Cancellation: every call may be cancelled at any time
and leaves an accounted state: what was taken stays taken (`written` tells the
frames), what the server answers later is noted when it comes, and a stop that
is cut short goes on draining until flush, close or its answer.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import trio
from audiod_protocol.params import Cap, Par

from audiod_client._blocking import ModeArg
from audiod_client._link import Link, program_name, resolve, route, server_of
from audiod_client._native_channel import StatusEvent
from audiod_client._session import Change, Op
from audiod_client._sndstat import Schema, SndstatCore
from audiod_client._stream import StreamCore
from audiod_client._streaminfo import StreamInfo
from audiod_client.names import Name, Wire

__all__ = ["Connection", "Sndstat", "Stream", "connect", "open"]

T = TypeVar("T")

CONNECT_WAIT = 0.01  # seconds between looks at a connection that is not made yet


class _Waiter:
    """Lets any number of tasks wait for one socket: one to read, one to write, the rest for these two.

    Invariant: while a task waits to read, nobody else takes bytes away from the socket.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self._reading = self._writing = False
        self._others = trio.lowlevel.ParkingLot()

    def step(self) -> bool:
        """Move bytes without waiting, and wake the tasks that may have waited for them."""
        moved = self.link.step(receive=not self._reading)
        if moved:
            self._others.unpark_all()
        return moved

    async def _wait(self) -> None:
        """Return after bytes may have moved, by this task or another."""
        if self.link.session.out and not self._writing:
            self._writing = True
            try:
                await trio.lowlevel.wait_writable(self.link.sock)
            finally:
                self._writing = False
                self._others.unpark_all()
        elif not self._reading:
            self._reading = True
            try:
                await trio.lowlevel.wait_readable(self.link.sock)
            finally:
                self._reading = False
                self._others.unpark_all()
        else:
            await self._others.park()

    async def run(self, op: Op[T]) -> T:
        """An operation from its beginning to its end; a checkpoint in any case."""
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
            while True:
                next(op)
                if self.step():
                    await trio.lowlevel.checkpoint()
                else:
                    with suppress(trio.ClosedResourceError):  # the operation sees the session's error
                        await self._wait()
                    self.step()
        except StopIteration as stop:
            await trio.lowlevel.cancel_shielded_checkpoint()
            result: T = stop.value
            return result
        finally:
            op.close()

    def close(self) -> None:
        if self.link.sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self.link.sock)
            self.link.close()
            self._others.unpark_all()


class Connection:
    """A connection to the server: control calls, notifications, and any number of streams.

    From `connect`; leaving its block cuts off the streams still open.
    """

    def __init__(self, waiter: _Waiter) -> None:
        self._waiter = waiter

    @property
    def server(self) -> dict[str, Any]:
        """The answer to hello: version, server, features, unit.  Empty by sndio's wire."""
        return self._waiter.link.session.server

    @property
    def wire(self) -> Wire:
        """What is spoken: by sndio's wire there is one stream, and nothing else."""
        return self._waiter.link.session.wire

    async def request(self, method: str, **args: object) -> Any:
        """A request of the protocol and its result.  A refusal raises StreamError and is not permanent."""
        return await self._waiter.run(self._waiter.link.session.request(method, args))

    async def subscribe(self, *topics: str, events: Sequence[str] = ()) -> None:
        """From now on `change` tells the changes of these topics, and `Stream.onstatus` these events."""
        await self.request("subscribe", topics=list(topics), events=list(events) or None)

    async def change(self) -> Change:
        """The next change of a subscribed topic."""
        return await self._waiter.run(self._waiter.link.session.change())

    @asynccontextmanager
    async def sndstat(self, *, write: bool = False) -> AsyncGenerator[Sndstat]:
        """A handle of sndstat: listings of all devices; with `write` it may provide some."""
        session = self._waiter.link.session
        handle = Sndstat(self._waiter, await self._waiter.run(SndstatCore.opened(session, write)))
        try:
            yield handle
        finally:
            handle._core.abandon()
            self._waiter.step()

    @asynccontextmanager
    async def open(
        self,
        device: str = "default",
        mode: ModeArg = "play",
        *,
        name: str | None = None,
        role: str | None = None,
        link: str | None = None,
        pinned: bool = False,
    ) -> AsyncGenerator[Stream]:
        """A stream on this connection.  `device` is what follows `snd/` in a device name."""
        session = self._waiter.link.session
        opened = session.open(device, mode, name, role, link, pinned)
        stream = Stream(self._waiter, await self._waiter.run(opened))
        try:
            yield stream
        finally:
            await stream.close()


class Sndstat:
    """A handle of sndstat, as `audiod_client.Sndstat`."""

    def __init__(self, waiter: _Waiter, core: SndstatCore) -> None:
        self._waiter = waiter
        self._core = core

    async def refresh(self) -> None:
        """REFRESH_DEVS: forget the listing that waits to be read."""
        await self._waiter.run(self._core.call("refresh"))

    async def size(self, schema: Schema = "final") -> int:
        """GET_DEVS with nbytes 0: bytes of the packed list, which stays as it is until it was read."""
        return await self._waiter.run(self._core.size(schema))

    async def packed(self, schema: Schema = "final") -> bytes:
        """GET_DEVS: the listing as a packed nvlist."""
        return await self._waiter.run(self._core.packed(schema))

    async def devices(self, schema: Schema = "final") -> list[dict[str, Any]]:
        """GET_DEVS: the same as maps, one a device."""
        return await self._waiter.run(self._core.listing(schema))

    async def add(self, devices: bytes | Sequence[dict[str, Any]], *, strict: bool | None = None) -> int:
        """ADD_USER_DEVS: provide devices; how many there are now.  Raises StreamError."""
        return await self._waiter.run(self._core.add(devices, strict))

    async def flush(self) -> None:
        """FLUSH_USER_DEVS: take away what was added."""
        await self._waiter.run(self._core.call("flush_user"))


@asynccontextmanager
async def connect(
    path: str | None = None, *, name: str | Name | None = None, client_name: str | None = None
) -> AsyncGenerator[Connection]:
    """Connect to the socket `path`, else to the server that a device name says (default: ours).

    Raises ServerUnreachable, or StreamError if it speaks another protocol.
    """
    server = server_of(path, name)
    ways = (
        route(server)
        if server.host is None
        else await trio.to_thread.run_sync(route, server, abandon_on_cancel=True)
    )
    dial = Link.dial(ways, client_name or program_name(), block=False)
    try:
        while True:
            next(dial)
            await trio.sleep(CONNECT_WAIT)
    except StopIteration as stop:
        waiter = _Waiter(stop.value)
    finally:
        dial.close()
    try:
        await waiter.run(waiter.link.session.hello())
        yield Connection(waiter)
    finally:
        waiter.close()


@asynccontextmanager
async def open(
    name: str | None = None,
    mode: ModeArg = "play",
    *,
    client_name: str | None = None,
    role: str | None = None,
    link: str | None = None,
) -> AsyncGenerator[Stream]:
    """sio_open, on a connection of its own; leaving the block plays out what was written.

    Arguments and errors as of `audiod_client.open`.  A cancelled block does
    not wait: what still sounds is cut.
    """
    where = resolve(name, mode)
    async with (
        connect(name=where, client_name=client_name) as connection,
        connection.open(where.device, mode, role=role, link=link) as stream,
    ):
        yield stream


class Stream(StreamInfo):
    """A stream, as `audiod_client.Stream`; one task may write while another reads.

    Callbacks run in the task that makes the call, between its checkpoints.
    """

    def __init__(self, waiter: _Waiter, core: StreamCore) -> None:
        super().__init__(core)
        self._waiter = waiter

    async def _call(self, op: Op[T], nothing: T) -> T:
        self._waiter.step()
        return await self._waiter.run(self._core.run(op, nothing))

    async def setpar(self, par: Par | None = None, **fields: object) -> bool:
        """sio_setpar: a Par, or its fields: `enc="s16le", rate=48000, pchan=2, ...`.  Not while started."""
        return await self._call(self._core.setpar(par, fields), False)

    async def getpar(self) -> Par:
        """sio_getpar: the parameters in force.  Not while started."""
        return await self._waiter.run(self._core.insist(self._core.getpar()))

    async def getcap(self) -> Cap:
        """sio_getcap: usual encodings, channels and rates."""
        return await self._waiter.run(self._core.insist(self._core.getcap()))

    async def start(self) -> bool:
        """sio_start: playing begins when appbufsz frames are written, recording at once."""
        return await self._call(self._core.start(), False)

    async def stop(self) -> bool:
        """sio_stop: returns when all that was written has been played.

        Cancelled, the stream goes on draining: flush or close it.
        """
        return await self._call(self._core.stop(), False)

    async def flush(self) -> bool:
        """sio_flush: stop at once, discarding what was not played; the stream may start again.

        By sndio's wire a drain that was cut short cannot be: flush waits for its end, close does not.
        """
        return await self._call(self._core.flush(), False)

    async def write(self, data: bytes | bytearray | memoryview) -> int:
        """sio_write: takes all of `data`, waiting as needed.

        Cancelled, the frames counted by `written` were taken and will be played, the rest was not.
        """
        return await self._call(self._core.write(data, True), 0)

    async def read(self, nbytes: int) -> bytes:
        """sio_read: up to `nbytes`, waiting for at least some.  Cancelled, nothing is lost."""
        return await self._call(self._core.read(nbytes, True), b"")

    async def setvol(self, vol: int) -> bool:
        """sio_setvol: 0 (silent) to 127 (full)."""
        return await self._call(self._core.setvol(vol, True), False)

    def onmove(self, callback: Callable[[int], None] | None) -> bool:
        """sio_onmove: `callback(delta)` from the stream's calls; delta in frames, the first is 0."""
        return self._core.on("move", callback)

    def onvol(self, callback: Callable[[int], None] | None) -> bool:
        """sio_onvol: `callback(vol)` now, and whenever the volume changes."""
        return self._core.on("vol", callback)

    def onxrun(self, callback: Callable[[str], None] | None) -> bool:
        """sio_onxrun: `callback(kind)`; kind is "play", "rec" or "device", by sndio's wire "unknown"."""
        return self._core.on("xrun", callback)

    async def _channel(self, call: str, *args: object) -> bool:
        return bool(await self._call(self._core.channel(call, *args), False))

    # ---- as a channel; each raises Refused when out of place, which is not permanent ----

    async def prepare(self) -> bool:
        """Start by its start_mode, stop by its stop_mode; what was queued in a pause is discarded."""
        return await self._channel("prepare")

    async def go(self) -> bool:
        """A prepared stream runs from the next cycle, and all prepared ones of its link group."""
        return await self._channel("go")

    async def pause(self) -> bool:
        """Returns when the ramp down has ended; what is queued is kept."""
        return await self._channel("pause")

    async def resume(self) -> bool:
        """A paused stream goes on with its next frame."""
        return await self._channel("resume")

    async def play_out(self) -> bool:
        """As stop; refused (EAGAIN) while it is suspended."""
        return await self._channel("play_out")

    async def discard(self) -> bool:
        """As flush."""
        return await self._channel("discard")

    async def status(self, channel: str | None = None) -> dict[str, Any]:
        """The status record of "play" or "rec"; counters are those since this connection's last call."""
        return await self._call(self._core.channel("status", channel), {})

    async def link(self, group: str | None) -> bool:
        """Be in a link group, or in none.  Not while started."""
        return await self._channel("link", group)

    async def force_ducking(self, on: bool) -> bool:
        """Duck others as if it were running."""
        return await self._channel("force_ducking", on)

    def onstatus(self, callback: Callable[[StatusEvent], None] | None) -> bool:
        """`callback(event)` from the stream's calls: what `Connection.subscribe(events=...)` asked for."""
        return self._core.on("status", callback)

    async def close(self) -> None:
        """sio_close: plays out what was written, then ends the stream.

        Raises StreamError if that failed and was not raised before.  Cancelled,
        the stream is cut off at once.
        """
        try:
            await self._waiter.run(self._core.close())
        finally:
            self._core.abandon()
            self._waiter.step()
