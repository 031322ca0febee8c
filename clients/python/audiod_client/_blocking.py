"""The blocking shell: a socket, poll(2), and sio_open(3)'s calls one by one.

Invariant: all rules are in the sessions and streams; here is only waiting.
A connection and its streams belong to one thread at a time.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from audiod_protocol.params import Cap, Mode, Par

from audiod_client._link import Link, program_name, resolve, route, server_of
from audiod_client._native_channel import StatusEvent
from audiod_client._session import Change, Op
from audiod_client._sndstat import Schema, SndstatCore
from audiod_client._stream import StreamCore
from audiod_client._streaminfo import StreamInfo
from audiod_client.names import Name, Wire

__all__ = ["Connection", "Sndstat", "Stream", "open"]

T = TypeVar("T")
ModeArg = Literal["play", "rec", "play,rec", "mon"] | Mode


def _wait(link: Link, deadline: float | None = None) -> bool:
    """Move bytes, waiting for it if need be; False when the deadline passed."""
    if link.step():
        return True
    poller = select.poll()
    poller.register(link.sock, link.events())
    if deadline is None:
        poller.poll()
    else:
        left = deadline - time.monotonic()
        if left < 0 or not poller.poll(left * 1000):
            return False
    link.step()
    return True


def _run(link: Link, op: Op[T]) -> T:
    """An operation from its beginning to its end."""
    try:
        while True:
            next(op)
            _wait(link)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        op.close()


class Connection:
    """A connection to the server: control calls, notifications, and any number of streams.

    From `connect`; a context manager.  Closing it cuts off the streams still open.
    """

    def __init__(self, link: Link) -> None:
        self._link = link

    @classmethod
    def connect(
        cls, path: str | None = None, *, name: str | Name | None = None, client_name: str | None = None
    ) -> Self:
        """Connect to the socket `path`, else to the server that a device name says (default: ours).

        Raises ServerUnreachable, or StreamError if it speaks another protocol.
        """
        dial = Link.dial(route(server_of(path, name)), client_name or program_name(), block=True)
        try:
            next(dial)
        except StopIteration as stop:
            link: Link = stop.value
        try:
            _run(link, link.session.hello())
        except BaseException:
            link.close()
            raise
        return cls(link)

    @property
    def server(self) -> dict[str, Any]:
        """The answer to hello: version, server, features, unit.  Empty by sndio's wire."""
        return self._link.session.server

    @property
    def wire(self) -> Wire:
        """What is spoken: by sndio's wire there is one stream, and nothing else."""
        return self._link.session.wire

    @property
    def where(self) -> str:
        """The address of the server: a socket's path, or host:port."""
        return str(self._link.address)

    @property
    def tried(self) -> list[tuple[str, str]]:
        """(where, reason) of what was tried before this server answered."""
        return list(self._link.tried)

    def request(self, method: str, **args: object) -> Any:
        """A request of the protocol and its result.  A refusal raises StreamError and is not permanent."""
        return _run(self._link, self._link.session.request(method, args))

    def subscribe(self, *topics: str, events: Sequence[str] = ()) -> None:
        """From now on `change` tells the changes of these topics, and of no others.

        `events`: of state, mute, ducking, underrun, overrun and route, what `Stream.onstatus` tells.
        """
        self.request("subscribe", topics=list(topics), events=list(events) or None)

    def change(self, timeout: float | None = None) -> Change | None:
        """The next change; None if `timeout` seconds passed without one."""
        deadline = None if timeout is None else time.monotonic() + timeout
        op = self._link.session.change()
        try:
            while True:
                next(op)
                if not _wait(self._link, deadline):
                    return None
        except StopIteration as stop:
            change: Change = stop.value
            return change
        finally:
            op.close()

    def open(
        self,
        device: str = "default",
        mode: ModeArg = "play",
        *,
        nbio: bool = False,
        name: str | None = None,
        role: str | None = None,
        link: str | None = None,
        pinned: bool = False,
    ) -> Stream:
        """Open a stream on this connection.  `device` is what follows `snd/` in a device name.

        `pinned`: it stops (status "change") where others go on on another device.
        """
        core = _run(self._link, self._link.session.open(device, mode, name, role, link, pinned))
        return Stream(self._link, core, nbio, owner=False)

    def sndstat(self, *, write: bool = False) -> Sndstat:
        """A handle of sndstat: listings of all devices; with `write` it may provide some."""
        return Sndstat(self._link, _run(self._link, SndstatCore.opened(self._link.session, write)))

    def fileno(self) -> int:
        return self._link.sock.fileno()

    def close(self) -> None:
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Sndstat:
    """What an open file of FreeBSD's /dev/sndstat is; a context manager.

    Invariant: a listing is that of one moment: of `refresh`, of the first `size`, or of the call
    itself, and once it was read to its end the next one is made anew.
    """

    def __init__(self, link: Link, core: SndstatCore) -> None:
        self._link = link
        self._core = core

    def refresh(self) -> None:
        """REFRESH_DEVS: forget the listing that waits to be read."""
        _run(self._link, self._core.call("refresh"))

    def size(self, schema: Schema = "final") -> int:
        """GET_DEVS with nbytes 0: bytes of the packed list, which stays as it is until it was read."""
        return _run(self._link, self._core.size(schema))

    def packed(self, schema: Schema = "final") -> bytes:
        """GET_DEVS: the listing as a packed nvlist, which libnv and audiod_protocol.nvlist read."""
        return _run(self._link, self._core.packed(schema))

    def devices(self, schema: Schema = "final") -> list[dict[str, Any]]:
        """GET_DEVS: the same as maps, one a device; keys as in sndstat(4)."""
        return _run(self._link, self._core.listing(schema))

    def add(self, devices: bytes | Sequence[dict[str, Any]], *, strict: bool | None = None) -> int:
        """ADD_USER_DEVS: provide devices, a packed list with `dsps` or maps; how many there are now.

        They are in everybody's listing until `flush` or `close`, or the end of the connection.
        Raises StreamError: EPERM, EINVAL (then none was added), ENOMEM.
        """
        return _run(self._link, self._core.add(devices, strict))

    def flush(self) -> None:
        """FLUSH_USER_DEVS: take away what was added."""
        _run(self._link, self._core.call("flush_user"))

    def close(self) -> None:
        _run(self._link, self._core.call("close"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._link.session.error is None:
            self._core.abandon()
            self._link.step()


def open(
    name: str | None = None,
    mode: ModeArg = "play",
    *,
    nbio: bool = False,
    client_name: str | None = None,
    role: str | None = None,
    link: str | None = None,
) -> Stream:
    """sio_open: open a device to play, record or both, on a connection of its own.

    `name`: sndio(7), None or "default" for the user's choice (AUDIODEVICE);
    `snd@host/...` is reached by sndio's wire, and so is a local server that
    speaks nothing else: it has no mode "mon", no floats and no link groups.
    `nbio`: write and read never wait.  `role`: what it is for (music, alert);
    `link`: streams of the same link group start together.

    Raises ServerUnreachable, or StreamError (ENODEV: no such device).
    """
    where = resolve(name, mode)
    connection = Connection.connect(name=where, client_name=client_name)
    try:
        stream = connection.open(where.device, mode, nbio=nbio, role=role, link=link)
    except BaseException:
        connection.close()
        raise
    stream._owner = True
    return stream


class Stream(StreamInfo):
    """A stream, as sio_open(3)'s handle; samples are interleaved bytes in the encoding of `par`.

    An error is permanent and raised once as StreamError; after that `eof` is
    true and calls return 0, b"" or False.  A context manager: leaving it
    closes the stream, which plays out what was written.
    """

    def __init__(self, link: Link, core: StreamCore, nbio: bool, owner: bool) -> None:
        super().__init__(core)
        self._link = link
        self._nbio = nbio
        self._owner = owner

    def _call(self, op: Op[T], nothing: T) -> T:
        return _run(self._link, self._core.run(op, nothing))

    def setpar(self, par: Par | None = None, **fields: object) -> bool:
        """sio_setpar: a Par, or its fields: `enc="s16le", rate=48000, pchan=2, ...`.

        The server clamps rate, channels and appbufsz: see getpar.  A rate
        without appbufsz asks for 200 ms.  Not while started.  For `prepare` also
        start_mode (full, data, go), stop_mode (stop, rollover, erase), frag_size,
        frags_min, frags_max, time, ust_time and type.
        """
        return self._call(self._core.setpar(par, fields), False)

    def getpar(self) -> Par:
        """sio_getpar: the parameters in force.  Not while started."""
        return _run(self._link, self._core.insist(self._core.getpar()))

    def getcap(self) -> Cap:
        """sio_getcap: usual encodings, channels and rates."""
        return _run(self._link, self._core.insist(self._core.getcap()))

    def start(self) -> bool:
        """sio_start: playing begins when appbufsz frames are written, recording at once."""
        return self._call(self._core.start(), False)

    def stop(self) -> bool:
        """sio_stop: returns when all that was written has been played; the stream may start again."""
        return self._call(self._core.stop(), False)

    def flush(self) -> bool:
        """sio_flush: stop at once, discarding what was not played; the stream may start again.

        By sndio's wire a drain that was cut short cannot be: flush waits for its end, close does not.
        """
        return self._call(self._core.flush(), False)

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """sio_write: bytes taken.  All of them, waiting as needed; with nbio what there is room for."""
        self._link.step()
        count = self._call(self._core.write(data, not self._nbio), 0)
        if self._nbio:
            self._link.step()
        return count

    def read(self, nbytes: int) -> bytes:
        """sio_read: up to `nbytes`, waiting for at least some; with nbio b"" if there are none."""
        self._link.step()
        return self._call(self._core.read(nbytes, not self._nbio), b"")

    def setvol(self, vol: int) -> bool:
        """sio_setvol: 0 (silent) to 127 (full)."""
        done = self._call(self._core.setvol(vol, not self._nbio), False)
        if self._nbio:
            self._link.step()
        return done

    def onmove(self, callback: Callable[[int], None] | None) -> bool:
        """sio_onmove: `callback(delta)` from read, write and revents; delta in frames, the first is 0."""
        return self._core.on("move", callback)

    def onvol(self, callback: Callable[[int], None] | None) -> bool:
        """sio_onvol: `callback(vol)` now, and whenever the volume changes."""
        return self._core.on("vol", callback)

    def onxrun(self, callback: Callable[[str], None] | None) -> bool:
        """sio_onxrun: `callback(kind)`; kind is "play", "rec" or "device", by sndio's wire "unknown"."""
        return self._core.on("xrun", callback)

    def _channel(self, call: str, *args: object) -> bool:
        return bool(self._call(self._core.channel(call, *args), False))

    # ---- as a channel; each raises Refused when out of place, which is not permanent ----

    def prepare(self) -> bool:
        """Start by its start_mode, stop by its stop_mode; what was queued in a pause is discarded."""
        return self._channel("prepare")

    def go(self) -> bool:
        """A prepared stream runs from the next cycle, and all prepared ones of its link group."""
        return self._channel("go")

    def pause(self) -> bool:
        """Returns when the ramp down has ended; what is queued is kept."""
        return self._channel("pause")

    def resume(self) -> bool:
        """A paused stream goes on with its next frame."""
        return self._channel("resume")

    def play_out(self) -> bool:
        """As stop; refused (EAGAIN) while it is suspended."""
        return self._channel("play_out")

    def discard(self) -> bool:
        """As flush."""
        return self._channel("discard")

    def status(self, channel: str | None = None) -> dict[str, Any]:
        """The status record of "play" or "rec"; counters are those since this connection's last call."""
        return self._call(self._core.channel("status", channel), {})

    def link(self, group: str | None) -> bool:
        """Be in a link group, or in none.  Not while started."""
        return self._channel("link", group)

    def force_ducking(self, on: bool) -> bool:
        """Duck others as if it were running."""
        return self._channel("force_ducking", on)

    def onstatus(self, callback: Callable[[StatusEvent], None] | None) -> bool:
        """`callback(event)` from the stream's calls: what `Connection.subscribe(events=...)` asked for."""
        return self._core.on("status", callback)

    def fileno(self) -> int:
        return self._link.sock.fileno()

    def nfds(self) -> int:
        """sio_nfds: always 1."""
        return 1

    def pollfd(self, events: int) -> list[tuple[int, int]]:
        """sio_pollfd: (descriptor, events) to poll for, to wait for POLLIN or POLLOUT of the stream."""
        core, mask = self._core, self._link.events()
        ready = (events & select.POLLOUT and core.writable) or (events & select.POLLIN and core.readable)
        if ready or core.pending or core.error is not None:
            mask |= select.POLLOUT  # the socket is nearly always writable, so poll returns at once
        return [(self.fileno(), mask)]

    def revents(self) -> int:
        """sio_revents: after poll returned; calls back, and tells POLLIN, POLLOUT, POLLHUP of the stream."""
        self._link.step()
        core = self._core
        core.call_back()
        mask = select.POLLOUT if core.writable else 0
        mask |= select.POLLIN if core.readable else 0
        return select.POLLHUP if core.error is not None else mask

    def close(self) -> None:
        """sio_close: plays out what was written, then ends the stream.

        Raises StreamError if that failed and was not raised before.
        """
        try:
            _run(self._link, self._core.close())
        finally:
            if not self._link.session.error:
                self._link.step()
            if self._owner:
                self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
