"""FakeEngine: the engine's handles as small classes, without C, threads or samples.

Same methods as audiod.engine's Engine, Device, Stream and Conn.  What the pump
and the device threads would do is done at once, or when the test says so; what
they would tell the daemon waits in `events`.  `FakeConn.receive` is the pump's
side of a socket: it answers stop and flush of a started stream, takes write,
applies setvol and forwards the rest, as pump.c does; FakeSndioConn's is the same
on sndio's wire.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgpack
from audiod_protocol.sndio import messages as m
from fakestream import FakeStream as FakeStream

from audiod.engine import (
    CloseReason,
    ConnClosed,
    ConnSent,
    Cycle,
    DeviceConf,
    DeviceFailed,
    DeviceLost,
    DevicePar,
    DeviceStarted,
    DeviceStats,
    DeviceStopped,
    EndReason,
    EngineError,
    Event,
    Message,
    ProtocolBreach,
    ProtocolReason,
    StreamEnded,
    StreamFlag,
    StreamPar,
    StreamReleased,
    StreamState,
    StreamStopped,
    ThreadInfo,
    Wire,
)


class FakeEngine:
    """The engine; `holding` makes stops wait for FakeConn.drained, `ramping` holds for FakeStream.held."""

    def __init__(self, rt_prio: int = 0) -> None:
        self.rt_prio = rt_prio
        self.queue: deque[Event] = deque()
        self.devices: list[FakeDevice] = []
        self.conns: dict[int, FakeConn] = {}
        self.streams: list[FakeStream] = []
        self.refuse_device: EngineError | None = None
        self.refused: dict[str, EngineError] = {}  # by the driver's argument
        self.refuse_stream: EngineError | None = None
        self.refuse_conn: EngineError | None = None
        self.release_first = False  # StreamReleased overtakes StreamStopped
        self.holding = False
        self.ramping = False  # a hold waits for FakeStream.held
        self.closed = False
        self.thread_list: list[ThreadInfo] = []
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def post(self, *events: Event) -> None:
        self.queue.extend(events)
        os.eventfd_write(self._fd, 1)

    # ---- audiod.engine.Engine ----

    def close(self) -> None:
        assert all(device.closed for device in self.devices), "a device is still open"
        if not self.closed:
            self.closed = True
            os.close(self._fd)

    def fileno(self) -> int:
        return self._fd

    def events(self) -> Iterator[Event]:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._fd)
        while self.queue:
            yield self.queue.popleft()

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        yield

    def threads(self) -> list[ThreadInfo]:
        return self.thread_list

    def measure(self, streams: list[FakeStream]) -> list[tuple[int, ...]]:
        return [(stream.written, 0, 0, 0, 0) for stream in streams]

    def device_open(self, ident: int, conf: DeviceConf) -> FakeDevice:
        return self.device_attach(ident, self.driver_open(conf))

    def driver_open(self, conf: DeviceConf) -> FakeDriver:
        refused = self.refuse_device or self.refused.get(conf.arg)
        if refused is not None:
            raise refused
        return FakeDriver(conf)

    def device_attach(self, ident: int, driver: FakeDriver) -> FakeDevice:
        device = FakeDevice(self, ident, driver.conf)
        self.devices.append(device)
        return device

    def conn_new(self, ident: int, fd: int, wire: Wire = Wire.NATIVE) -> FakeConn:
        if self.refuse_conn is not None:
            raise self.refuse_conn
        make = FakeSndioConn if wire is Wire.SNDIO else FakeConn
        self.conns[ident] = conn = make(self, ident, fd)
        return conn


class FakeDriver:
    """Half a device: what may wait for the card."""

    def __init__(self, conf: DeviceConf) -> None:
        self.conf = conf
        self.closed = False

    def close(self) -> None:
        assert not self.closed, "closed twice"
        self.closed = True


class FakeDevice:
    def __init__(self, engine: FakeEngine, ident: int, conf: DeviceConf) -> None:
        self.engine = engine
        self.id = ident
        self.conf = conf
        self.par: DevicePar = conf.par
        self.missing = ""
        self.closed = False
        self.running = False
        self.gain = self.recgain = 1.0
        self.curve: tuple[tuple[tuple[float, float], ...], int] | None = None  # of volumes, and its frames
        self.groups: dict[int, int] = {}
        self.waits: list[tuple[int, int | None]] = []  # what was said of MMC: run and pending, None: joined
        self.started: list[FakeStream] = []
        self.abandoned = False
        self.slow = False  # its card takes its time to close

    def abandon(self, errno: int, fd: int) -> None:
        assert not self.closed, "its card is closed already"
        self.abandoned = True
        self.engine.post(DeviceLost(self.id, errno))
        if not self.slow:
            os.eventfd_write(fd, 1)

    def close(self) -> None:
        assert not self.closed, "closed twice"
        self.closed = True
        self._end()

    def detach(self) -> FakeDriver:
        self.close()
        return FakeDriver(self.conf)

    def setgain(self, gain: float) -> None:
        self.gain = gain

    def setrecgain(self, gain: float) -> None:
        self.recgain = gain

    def setcurve(self, curve: Sequence[tuple[float, float]] = (), *, nframes: int) -> None:
        self.curve = tuple(curve), nframes

    def setgroup(self, group: int, nmembers: int) -> None:
        self.groups[group] = nmembers

    def cycles(self, most: int) -> list[Cycle]:
        return []

    def mmc(self, run: int, pending: int = 0, *, joined: bool = False) -> None:
        assert not self.closed
        self.waits.append((run, None if joined else pending))

    def stats(self) -> DeviceStats:
        return DeviceStats(0, 0, 0, 0, 0, 0, self.running, len(self.started))

    def stream_new(self, ident: int, par: StreamPar) -> FakeStream:
        assert not self.closed, "a stream of a closed device"
        if self.engine.refuse_stream is not None:
            raise self.engine.refuse_stream
        stream = FakeStream(self, ident, par)
        self.engine.streams.append(stream)
        return stream

    # ---- the test's side ----

    def run(self) -> None:
        """The first stream has joined: the clock runs."""
        self.running = True
        self.engine.post(DeviceStarted(self.id))

    def rest(self) -> None:
        """No stream is left and the buffer has run out."""
        self.running = False
        self.engine.post(DeviceStopped(self.id))

    def fail(self, errno: int) -> None:
        """Somebody pulled the plug."""
        self.running = False
        self._end()
        self.engine.post(DeviceFailed(self.id, errno))

    def lose(self, errno: int) -> None:
        """Somebody pulled the plug of a card: its streams live on."""
        self.engine.post(DeviceLost(self.id, errno))

    def _end(self) -> None:
        for stream in list(self.started):
            stream.conn.end(stream.number, EndReason.DEVICE)


@dataclass
class Slot:
    """One stream number, as the pump has it."""

    stream: FakeStream
    draining: bool = False
    drained: bool = True
    answer: bytes = b""
    request: int | None = None  # id of the stop that the answer is for


@dataclass
class FakeConn:
    engine: FakeEngine
    id: int
    fd: int
    sent: list[object] = field(default_factory=list)
    slots: dict[int, Slot] = field(default_factory=dict)
    closing: bool = False
    freed: bool = False
    relayed: bool = False  # all that it sends is control's
    awaited: bool = False  # control waits for it to read
    deaf: bool = False  # the peer does not read: what is queued stays queued
    waiting: int = 0  # bytes in its socket

    def read(self, data: bytes) -> list[object]:
        """What the client makes of it."""
        return [msgpack.unpackb(data)]

    # ---- audiod.engine.Conn ----

    def send(self, data: bytes) -> None:
        assert not self.freed
        if self.fd < 0:
            return  # what is sent to a closed connection is dropped
        self.sent += self.read(data)
        with contextlib.suppress(BrokenPipeError, BlockingIOError):  # `sent` has it all
            os.write(self.fd, data)

    def notify_sent(self) -> None:
        assert not self.freed
        self.awaited = True
        self.heard()

    def unread(self) -> int:
        return self.waiting

    def relay(self) -> None:
        self.relayed = True

    def tell(self, number: int, data: bytes) -> None:
        if number in self.slots and not self.slots[number].draining:
            self.send(data)

    def start(self, stream: FakeStream, number: int, answer: bytes) -> None:
        assert number not in self.slots, "started twice"
        if self.fd < 0:
            stream.state = StreamState.ENDED
            self.engine.post(StreamReleased(stream.id))
            return
        stream.conn, stream.number = self, number
        stream.state = StreamState.PRIMING
        stream.device.started.append(stream)
        self.slots[number] = Slot(stream)
        self.send(answer)

    def stop(self, number: int, *, drain: bool, answer: bytes = b"") -> None:
        assert len(answer) <= 64, "longer than pump.c's ANSWER_MAX"
        slot = self.slots.get(number)
        if slot is None or slot.draining:
            return
        slot.draining, slot.drained, slot.answer = True, drain, answer
        slot.stream.state = StreamState.DRAINING
        if not self.engine.holding or not drain:
            self.drained(number)

    def close(self, *, flush: bool = True) -> None:
        assert not self.freed
        if self.fd >= 0 and (not self.closing or not flush) and not (flush and self.deaf):
            self.vanish(CloseReason.SELF)
        self.closing = True

    def free(self) -> None:
        assert not self.freed
        self.freed = True

    # ---- the test's side: the pump and the client ----

    def heard(self) -> None:
        """What was queued is on its way, unless the peer does not read."""
        if self.awaited and not self.deaf and self.fd >= 0:
            self.awaited = False
            self.engine.post(ConnSent(self.id))

    def receive(self, data: bytes) -> None:
        """A message of the client."""
        kind, *rest = msgpack.unpackb(data)
        if kind == 0 and self._answers(*rest):
            return
        self.engine.post(Message(self.id, data))

    def _answers(self, ident: int, method: str, params: list[dict[str, int]]) -> bool:
        args = params[0] if params and isinstance(params[0], dict) else {}
        slot = self.slots.get(args.get("stream", -1))
        if slot is None or slot.draining:
            return False
        if method in ("stop", "flush") and len(args) == 1:
            answer = msgpack.packb([1, ident, None, {"stream": args["stream"]}])
            slot.request = ident
            self.stop(args["stream"], drain=method == "stop", answer=answer)
            return True
        if method == "close":
            self.stop(args["stream"], drain=True)
        elif method == "setvol" and 0 <= args.get("vol", -1) <= 127:
            slot.stream.setvol(args["vol"])
        return False

    def drained(self, number: int) -> None:
        """What was written has been played: the stop is answered."""
        slot = self.slots[number]
        if slot.answer:
            self.send(slot.answer)
        self.let_go(number)
        events: list[Event] = [StreamStopped(slot.stream.id, slot.drained), StreamReleased(slot.stream.id)]
        self.engine.post(*(reversed(events) if self.engine.release_first else events))

    def let_go(self, number: int) -> None:
        slot = self.slots.pop(number)
        slot.stream.state = StreamState.ENDED
        slot.stream.device.started.remove(slot.stream)

    def end_xrun(self, number: int) -> None:
        """The engine ends a stream whose policy is error."""
        self.end(number, EndReason.XRUN)

    def end(self, number: int, reason: EndReason) -> None:
        """The engine ends a stream; a stop that waits is left to the daemon."""
        slot = self.slots[number]
        self.let_go(number)
        self.engine.post(StreamEnded(slot.stream.id, reason, slot.request), StreamReleased(slot.stream.id))

    def vanish(self, reason: CloseReason = CloseReason.EOF, errno: int = 0) -> None:
        """The socket is closed; streams that ran are let go."""
        os.close(self.fd)
        self.fd = -1
        runs = [slot.stream.id for slot in self.slots.values()]
        for number in list(self.slots):
            self.let_go(number)
        self.engine.post(ConnClosed(self.id, reason, errno), *(StreamReleased(run) for run in runs))


@dataclass
class FakeSndioConn(FakeConn):
    """The same of sndio's wire: one stream, number 0; `sent` are messages."""

    sent: list[object] = field(default_factory=list)
    credit: int = 0  # frames

    def read(self, data: bytes) -> list[object]:
        found: list[object] = []
        while data:
            message, data = m.decode_server(data[: m.MSG_SIZE]), data[m.MSG_SIZE :]
            found.append(message)
            if isinstance(message, m.Data):  # of a control connection: its payload comes as bytes
                found.append(data[: message.size])
                data = data[message.size :]
        return found

    def start(self, stream: FakeStream, number: int, answer: bytes) -> None:
        assert number == 0 and answer == b"", "START has no answer"
        super().start(stream, number, answer)
        if self.slots and StreamFlag.PLAY in stream.par.flags:
            self.credit = stream.par.appbufsz
            self.send(m.encode(m.Flowctl(self.credit)))

    def stop(self, number: int, *, drain: bool, answer: bytes = b"") -> None:
        self.credit = 0
        super().stop(number, drain=drain, answer=answer)

    def receive(self, data: bytes) -> None:
        """A message of the client, without the samples of DATA; of a relayed one bytes."""
        if self.relayed:
            self.engine.post(Message(self.id, data))
            return
        cmd, number, slot = int.from_bytes(data[:4], "big"), int.from_bytes(data[8:12], "big"), None
        if 0 in self.slots and not self.slots[0].draining:
            slot = self.slots[0]
        if cmd == m.Cmd.BYE:
            self.vanish(CloseReason.BYE)
        elif cmd == m.Cmd.DATA:
            why = self._breach(slot, number)
            if why is None:
                self.credit -= number // _frame(slot.stream.par)
            else:
                self.engine.post(ProtocolBreach(self.id, why, 0))
                for running in list(self.slots):
                    self.engine.post(StreamReleased(self.slots[running].stream.id))
                    self.let_go(running)
        elif cmd == m.Cmd.STOP and slot is not None:
            self.stop(0, drain=data[8] != 0, answer=m.encode(m.Stop()))
        else:
            if cmd == m.Cmd.SETVOL and slot is not None and number <= 127:
                slot.stream.setvol(number)
            self.engine.post(Message(self.id, data))

    def _breach(self, slot: Slot | None, size: int) -> ProtocolReason | None:
        if slot is None:
            return ProtocolReason.STREAM
        par = slot.stream.par
        if StreamFlag.PLAY not in par.flags:
            return ProtocolReason.MODE
        if size == 0:
            return ProtocolReason.SIZE
        if size % _frame(par):
            return ProtocolReason.FRAME
        if size // _frame(par) > par.round:
            return ProtocolReason.BLOCK
        return ProtocolReason.CREDIT if size // _frame(par) > self.credit else None

    def end(self, number: int, reason: EndReason) -> None:
        """The engine ends the stream, and the connection with it."""
        super().end(number, reason)
        self.vanish(CloseReason.SELF)


def _frame(par: StreamPar) -> int:
    return par.enc.bps * par.pchan
