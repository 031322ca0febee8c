"""One stream without its socket: sio_open(3)'s rules, whichever wire carries it.

Invariants: frames written never exceed the credit; bytes read never exceed the
frames that onmove covered; `error` is permanent and raised once.  What the
server tells is only noted on arrival; callbacks run in the stream's own calls,
in the caller's thread.  A subclass says how the stream's wire does each thing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar

from audiod_protocol.limits import VOL_MAX
from audiod_protocol.params import Cap, Enc, Mode, Par
from audiod_protocol.states import Act, State, advance

from audiod_client._callbacks import Callbacks
from audiod_client._par import make_par
from audiod_client.errors import Refused, StreamError, as_stream_error

if TYPE_CHECKING:
    from audiod_client._session import Session

__all__ = ["REC_QUEUE_MAX", "STARTED", "StreamCore"]

T = TypeVar("T")
N = TypeVar("N")
Op = Generator[None, None, T]

REC_QUEUE_MAX = 4 * 1024 * 1024  # bytes recorded but not read (20 s of s16 stereo); 2 * bufsz if more

STARTED = (State.PRIMING, State.RUNNING)

CHANNEL_KEYS = ("time", "ust_time", "start_mode", "stop_mode", "frag_size", "frags_min", "frags_max", "type")


class StreamCore(ABC):
    """State of one open stream; frames are counted at its rate."""

    def __init__(self, session: Session, number: int, mode: Mode, device: object, subdevice: object) -> None:
        self.session = session
        self.number = number
        self.mode = mode
        self.device = device
        self.subdevice = subdevice
        self.state = State.READY
        self.par: Par | None = None
        self.error: StreamError | None = None
        self.closed = False
        self.prepared = False  # begun by prepare, not by start
        self.vol = VOL_MAX
        self.xruns = 0
        self.written = 0  # frames handed to the library since start
        self.position = 0  # frames of the device's clock since start
        self.time_ns = 0  # CLOCK_MONOTONIC of that position; 0: not known
        self._raised = False
        self._partial = b""  # less than a frame, until the rest of it is written
        self._recorded = bytearray()
        self._read = 0  # bytes given to the caller since start
        self._pframe = self._rframe = 0  # bytes of a frame
        self._callbacks = Callbacks()

    # ---- what a wire does in its own way ----

    @property
    @abstractmethod
    def credit(self) -> int:
        """Frames that may still be written."""

    @abstractmethod
    def _setpar(self, asked: Par) -> Op[None]:
        """Ask for parameters; `_use` takes the answer."""

    @abstractmethod
    def _getpar(self) -> Op[None]:
        """Ask for the parameters in force; `_use` takes the answer."""

    @abstractmethod
    def _getcap(self) -> Op[Cap]: ...

    @abstractmethod
    def _tell_vol(self, vol: int) -> None:
        """Send the volume; nobody waits for an answer."""

    @abstractmethod
    def _start(self) -> Op[None]: ...

    @abstractmethod
    def _send_samples(self, samples: memoryview) -> None:
        """Send whole frames, not more than the credit, which this uses up."""

    @abstractmethod
    def _end(self, drain: bool) -> Op[None]:
        """Play out or not, and wait until it is done; then the stream is ready again."""

    @abstractmethod
    def _close(self) -> Op[None]:
        """End a stream that may be started: play out, and wait until it is done."""

    @abstractmethod
    def _let_go(self) -> None:
        """End the stream without waiting."""

    def channel(self, call: str, *args: Any) -> Op[Any]:
        """A call about its channel; the wire may have none.  Raises Refused."""
        yield from ()
        raise Refused(
            "ENOTSUP",
            f"{call}: sndio's wire has no channel status",
            "ask an audiod on its own socket: AUDIOD_SOCKET",
        )

    # ---- errors ----

    def fail(self, error: StreamError) -> None:
        """The stream is of no use any more; the first reason stands."""
        if self.error is None and not self.closed:
            self.error = error
        self._recorded.clear()

    def _usable(self) -> bool:
        """Raise the error the first time, then be False."""
        if self.error is not None and not self._raised:
            self._raised = True
            raise self.error
        return self.error is None

    def _live(self) -> None:
        if self.error is not None:
            raise self.error

    def _act(self, act: Act) -> State:
        with as_stream_error():
            return advance(self.state, act, self.number)

    def run(self, op: Op[T], nothing: N) -> Op[T | N]:
        """`op` as a call of the user's: callbacks run, errors stick, a dead stream gives `nothing`."""
        try:
            self.call_back()
            if not self._usable():
                return nothing
            while True:
                try:
                    next(op)
                except StopIteration as stop:
                    self.call_back()
                    result: T = stop.value
                    return result
                except Refused:
                    raise
                except StreamError as err:
                    self.fail(err)
                    self._raised = True
                    raise
                yield
                self.call_back()
        finally:
            op.close()

    def insist(self, op: Op[T]) -> Op[T]:
        """As `run`, for calls that have nothing to return: they raise the error each time."""
        result = yield from self.run(op, None)
        if result is None:
            raise self.error or StreamError("EBADF", f"stream {self.number} is closed", "open another one")
        return result

    # ---- callbacks ----

    def on(self, kind: str, callback: Callable[[Any], None] | None) -> bool:
        """Register for "move" (delta), "vol" (volume), "xrun" (kind) or "status" (event); None: no more."""
        if not self._usable():
            return False
        if self.state is not State.READY:
            self._raised = True
            self.fail(
                StreamError(
                    "EBUSY", f"on{kind} of stream {self.number}: it is started", "call it before start"
                )
            )
            self._live()
        self._callbacks.register(kind, callback)
        if callback is not None and kind == "vol":
            callback(self.vol)
        return True

    def call_back(self) -> None:
        """Run the callbacks of what was noted."""
        self._callbacks.run()

    # ---- what the server tells ----

    def _moved(self, delta: int, position: int, time_ns: int) -> None:
        self.position, self.time_ns = position, time_ns
        if self.state is State.PRIMING:
            self.state = State.RUNNING
        self._callbacks.note("move", delta)

    def _record(self, samples: bytes) -> None:
        if self.state not in STARTED:
            return
        self._recorded += samples
        bufsz = (self.par.bufsz or 0) if self.par else 0
        if len(self._recorded) > max(REC_QUEUE_MAX, 2 * bufsz * self._rframe):
            self.fail(
                StreamError(
                    "EOVERFLOW",
                    f"stream {self.number} records, but {len(self._recorded)} bytes were never read",
                    "read as often as you write, or open it to play only",
                )
            )

    def _set_vol(self, vol: int) -> None:
        if vol != self.vol:
            self.vol = vol
            self._callbacks.note("vol", vol)

    def _late(self, kind: str) -> None:
        self.xruns += 1
        self._callbacks.note("xrun", kind)

    def _use(self, par: Par, enc: Enc) -> None:
        """These are the parameters in force."""
        self.par = par
        self._pframe = enc.frame_size(par.pchan or 0) if Mode.PLAY in self.mode else 0
        self._rframe = enc.frame_size(par.rchan or 0) if Mode.REC in self.mode else 0

    # ---- parameters ----

    def setpar(self, par: Par | None, fields: dict[str, object]) -> Op[bool]:
        more = {key: fields.pop(key) for key in CHANNEL_KEYS if key in fields}
        if more or self.prepared:
            yield from self.channel("setpar", make_par(par, fields), more)
        else:
            self._act(Act.SETPAR)
            yield from self._setpar(make_par(par, fields))
        return True

    def getpar(self) -> Op[Par]:
        self._act(Act.SETPAR)  # as sio_getpar: not while started
        yield from self._getpar()
        assert self.par is not None
        return self.par

    def getcap(self) -> Op[Cap]:
        self._act(Act.GETCAP)
        return (yield from self._getcap())

    def setvol(self, vol: int, block: bool) -> Op[bool]:
        """Sent at once, not waited for: a refusal fails the stream later, as in sio_setvol."""
        self._act(Act.SETVOL)
        if type(vol) is not int or not 0 <= vol <= VOL_MAX:
            raise StreamError("EINVAL", f"volume {vol!r:.40} is out of range", f"use 0..{VOL_MAX}")
        self._tell_vol(vol)
        self._set_vol(vol)
        while block and self.session.out:
            yield
        self._live()
        return True

    # ---- start and stop ----

    def start(self) -> Op[bool]:
        self._act(Act.START)
        yield from self.getpar()
        self._begin()
        self.state = self._act(Act.START)
        yield from self._start()
        return True

    def _begin(self) -> None:
        self.written = self.position = self.time_ns = self._read = 0
        self.prepared = False

    def stop(self) -> Op[bool]:
        """Drain.  Cut short, it goes on: the stream is draining until it is done, or flush is called."""
        self._act(Act.STOP)
        yield from self._complete_frame()
        self.state = self._act(Act.STOP)
        self._recorded.clear()
        yield from self._end(True)
        return True

    def flush(self) -> Op[bool]:
        self._partial = b""
        self.state = self._act(Act.FLUSH)
        self._recorded.clear()
        yield from self._end(False)
        return True

    def _complete_frame(self) -> Op[None]:
        """A frame begun is filled up with zeros, so that nothing written is lost."""
        while self._partial:
            if self.credit:
                self._take(memoryview(bytes(self._pframe - len(self._partial))))
            else:
                yield
                self._live()

    def close(self) -> Op[None]:
        """Drain and free the stream; never fails for an error that was raised already."""
        try:
            if self._usable():
                if self.state in STARTED:
                    yield from self._complete_frame()
                yield from self._close()
        except StreamError as err:
            self.fail(err)
            self._raised = True
            raise
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of the stream without waiting: what still sounds is cut."""
        if self.closed:
            return
        if self.session.error is None:
            self._let_go()
        self.fail(StreamError("EBADF", f"stream {self.number} is closed", "open another one"))
        self._raised = True
        self.closed = True

    # ---- samples ----

    @property
    def writable(self) -> bool:
        """Whether write would take something (POLLOUT)."""
        return self.error is None and self.state in STARTED and self.credit > 0

    @property
    def readable(self) -> int:
        """Bytes that read may return now: received, and covered by the position."""
        if self.error is not None or self.state not in STARTED:
            return 0
        return max(0, min(len(self._recorded), self.position * self._rframe - self._read))

    @property
    def pending(self) -> bool:
        """Whether callbacks wait for the next call."""
        return self._callbacks.pending

    @property
    def latency(self) -> int:
        """Frames written and not yet heard; of a stream that only records: recorded and not yet read."""
        if Mode.PLAY in self.mode:
            return self.written - self.position
        return self.position - (self._read // self._rframe if self._rframe else 0)

    def write(self, data: bytes | bytearray | memoryview, block: bool) -> Op[int]:
        """Bytes taken.  Cut short, `written` tells how many frames were."""
        self._direction(Mode.PLAY, "write")
        view = memoryview(data).cast("B")
        done = self._take(view)
        while block and (done < len(view) or self.session.out):
            yield
            self._live()
            if self.state not in STARTED:
                break  # another task stopped it
            done += self._take(view[done:])
        return done

    def read(self, nbytes: int, block: bool) -> Op[bytes]:
        """At most `nbytes`, as soon as there are some."""
        self._direction(Mode.REC, "read")
        while block and nbytes > 0 and not self.readable:
            yield
            self._live()
            if self.state not in STARTED:
                break  # another task stopped it
        count = max(0, min(nbytes, self.readable))
        data = bytes(memoryview(self._recorded)[:count])
        del self._recorded[:count]
        self._read += count
        return data

    def _direction(self, mode: Mode, what: str) -> None:
        if mode not in self.mode:
            raise StreamError(
                "EINVAL",
                f"{what}: stream {self.number} was opened to {self.mode}",
                'open it with mode "play,rec" for both',
            )
        if self.state not in STARTED:
            raise StreamError("EINVAL", f"{what}: stream {self.number} is not started", "call start first")

    def _take(self, data: memoryview) -> int:
        """Send as much of `data` as the credit allows; a frame begun is kept back.  Returns bytes."""
        frame = self._pframe
        count = min(len(data), self.credit * frame - len(self._partial))
        if count <= 0:
            return 0
        samples = data[:count] if not self._partial else memoryview(self._partial + data[:count])
        whole = len(samples) // frame * frame
        if whole:
            self._send_samples(samples[:whole])
        self._partial = bytes(samples[whole:])
        self.written += whole // frame
        return count
