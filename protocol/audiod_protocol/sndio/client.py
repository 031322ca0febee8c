"""The client's end of sndio's wire, without its socket: bytes in, events out, and bytes to send.

`SNDIO.md` in code: handshake, parameters, credit, position, the cutting of
samples into DATA.  Invariants: `next_event` returns what a server may say at
that point or raises RemoteProtocolError, after which the client is dead; the
methods that give bytes raise LocalProtocolError instead of breaking the
protocol, and then nothing has changed; frames sent never exceed the credit,
frames sent and not yet covered by MOVE never exceed `bufsz`.  No thread, no clock.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from audiod_protocol.connection import NEED_DATA, NeedData
from audiod_protocol.errors import FaultError, LocalProtocolError, RemoteProtocolError
from audiod_protocol.limits import NCHAN_MAX
from audiod_protocol.params import SIO_BPS, Enc, Mode, Par, Xrun
from audiod_protocol.sndio import messages
from audiod_protocol.sndio.messages import DATAMAX, MSG_SIZE, NAME_SIZE, NO_DEVNUM, WireMode, WirePar

__all__ = ["Client", "Event", "Parameters", "Phase", "Samples", "short_name"]

_HINT: Final = "this is the server's mistake: check that it is sndiod or audiod, and its version"


class Phase(enum.StrEnum):
    """Where a connection stands, as its client sees it."""

    NEW = "new"  # nothing was said
    HELLO = "hello"  # HELLO was sent, ACK is not there
    INIT = "init"  # open, not started
    START = "start"  # started
    STOP = "stop"  # STOP was sent, the server's is not there
    BYE = "bye"  # BYE was sent: what still comes is of no meaning, up to the end


@dataclass(frozen=True)
class Parameters:
    """The answer to GETPAR: every field of `par` that concerns the stream's directions is set."""

    par: Par


@dataclass(frozen=True)
class Samples:
    """Recorded samples, whole frames: a DATA's payload, or as much of it as has come."""

    data: bytes


Event = (
    messages.Ack
    | Parameters
    | messages.Flowctl
    | messages.Move
    | messages.Setvol
    | messages.Xrun
    | messages.Stop
    | Samples
)


def short_name(text: str) -> str:
    """As much of a name as HELLO carries."""
    text = text.replace("\0", "")
    return text.encode(errors="replace")[: NAME_SIZE - 1].decode(errors="ignore")


class Client:
    """One connection, which is one stream, opened to `mode` (PLAY, REC or both)."""

    def __init__(self, mode: Mode) -> None:
        self.mode = mode
        self.phase = Phase.NEW
        self.par: Par | None = None  # the last answer to GETPAR
        self.asked = 0  # GETPARs without an answer
        self.credit = 0  # frames that the server has room for
        self.outstanding = 0  # frames sent and not covered by MOVE
        self._in_block = 0  # frames sent since the last block's end
        self._owed = 0  # negative sum of deltas, which the next ones make good
        self._buffer = bytearray()
        self._payload = 0  # bytes of a DATA that are still to come
        self._dead: RemoteProtocolError | None = None

    # ---- in ----

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Store what the socket gave; nothing is judged yet."""
        if self.phase is not Phase.BYE:
            self._buffer += data

    def receive_eof(self) -> None:
        """The server closed.  Raises RemoteProtocolError if it did so within a message."""
        inside = bool(self._buffer or self._payload)
        if inside and self._dead is None and self.phase is not Phase.BYE:
            raise RemoteProtocolError(
                "the server closed within a message", "it has crashed, was killed, or is no server of sndio's"
            )

    def next_event(self) -> Event | Literal[NeedData.NEED_DATA]:
        """The next event, or NEED_DATA.  Raises RemoteProtocolError."""
        if self._dead is not None:
            raise self._dead
        try:
            while self.phase is not Phase.BYE:
                event = self._samples() if self._payload else self._message()
                if event is not None:
                    return event
        except RemoteProtocolError as error:
            self._dead = error
            self._buffer.clear()
            raise
        return NEED_DATA

    def _samples(self) -> Event | NeedData:
        frame = self._frame(Mode.REC)
        count = min(len(self._buffer), self._payload) // frame * frame
        if not count:
            return NEED_DATA
        self._payload -= count
        return Samples(self._take(count))

    def _take(self, count: int) -> bytes:
        with memoryview(self._buffer) as view:
            data = bytes(view[:count])
        del self._buffer[:count]
        return data

    def _message(self) -> Event | NeedData | None:
        """One message; None if there is nothing to tell of it."""
        if len(self._buffer) < MSG_SIZE:
            return NEED_DATA
        message = messages.decode_server(self._take(MSG_SIZE))
        read, phases = _READ.get(type(message), (None, ()))
        if read is None or self.phase not in phases:
            name = "GETPAR" if isinstance(message, messages.ParReply) else type(message).__name__.upper()
            raise RemoteProtocolError(f"{name} came while the stream was in {self.phase.upper()}", _HINT)
        return read(self, message)

    def _ack(self, message: messages.Ack) -> Event:
        self.phase = Phase.INIT
        return message

    def _par_reply(self, message: messages.ParReply) -> Event:
        if not self.asked:
            raise RemoteProtocolError("GETPAR was answered without being asked", _HINT)
        self.asked -= 1
        self.par = _read_par(message.par, self.mode)
        return Parameters(self.par)

    def _flowctl(self, message: messages.Flowctl) -> Event | None:
        if message.delta < 0:
            raise RemoteProtocolError(f"FLOWCTL takes {-message.delta} frames of credit back", _HINT)
        if self.phase is not Phase.START or Mode.PLAY not in self.mode:
            return None
        self.credit += message.delta
        return message

    def _move(self, message: messages.Move) -> Event | None:
        self._owed += message.delta
        if self._owed < 0:
            return None
        delta, self._owed = self._owed, 0
        self.outstanding -= delta
        return messages.Move(delta)

    def _tell(self, message: messages.Setvol | messages.Xrun) -> Event:
        return message

    def _data(self, message: messages.Data) -> None:
        if Mode.REC not in self.mode:
            raise RemoteProtocolError("DATA came to a stream that only plays", _HINT)
        frame = self._frame(Mode.REC)
        if message.size % frame:
            raise RemoteProtocolError(
                f"DATA has {message.size} bytes, which are no whole frames of {frame} bytes", _HINT
            )
        self._payload = message.size

    def _stop(self, message: messages.Stop) -> Event:
        self.phase = Phase.INIT
        return message

    def _frame(self, mode: Mode) -> int:
        """Bytes of a frame in one direction, 1 as long as it is not known."""
        if self.par is None or self.par.enc is None:
            return 1
        nchan = self.par.pchan if mode is Mode.PLAY else self.par.rchan
        return self.par.enc.frame_size(nchan or 1)

    # ---- out ----

    def hello(self, cookie: bytes, devnum: int | None, opt: str, id: int, who: str) -> bytes:
        """AUTH and HELLO: `devnum` or None, the sub-device's name `opt`, the process and its name."""
        self._must_be(Phase.NEW)
        mode = WireMode.PLAY if Mode.PLAY in self.mode else WireMode(0)
        mode |= WireMode.REC if Mode.REC in self.mode else WireMode(0)
        number = NO_DEVNUM if devnum is None else devnum
        hello = messages.Hello(mode, number, id, opt, short_name(who))
        out = messages.encode(messages.Auth(cookie)) + messages.encode(hello)
        self.phase = Phase.HELLO
        return out

    def setpar(self, par: Par) -> bytes:
        """SETPAR and GETPAR: the set fields of `par`, clamped as the server would; Parameters answers.

        Raises FaultError (no such encoding) or LocalProtocolError (floats).
        """
        self._must_be(Phase.INIT)
        setpar = messages.encode(messages.Setpar(_write_par(par)))
        return setpar + self.getpar()

    def getpar(self) -> bytes:
        """GETPAR; Parameters answers."""
        self._must_be(Phase.INIT)
        self.asked += 1
        return messages.encode(messages.Getpar())

    def start(self) -> bytes:
        """START, asking to be told of xruns (servers up to 1.10 do not)."""
        self._must_be(Phase.INIT)
        if self.par is None or self.asked:
            raise LocalProtocolError("START needs the answer to GETPAR", "wait for Parameters")
        self.phase = Phase.START
        self.credit = self.outstanding = self._in_block = self._owed = 0
        return messages.encode(messages.Start(xrunnotify=True))

    @property
    def room(self) -> int:
        """Frames that may be sent now."""
        if self.phase is not Phase.START or Mode.PLAY not in self.mode or self.par is None:
            return 0
        return max(0, min(self.credit, (self.par.bufsz or 0) - self.outstanding))

    def write(self, samples: bytes | memoryview) -> bytes:
        """The DATA messages that carry whole frames, `room` of them at most."""
        self._must_be(Phase.START)
        frame, round = self._frame(Mode.PLAY), (self.par and self.par.round) or 1
        count = len(samples) // frame
        if count * frame != len(samples) or count > self.room:
            raise LocalProtocolError(
                f"{len(samples)} bytes cannot be sent now",
                f"send whole frames ({frame} bytes), {self.room} of them at most",
            )
        out = bytearray()
        done = 0
        while done < count:
            n = min(count - done, round - self._in_block, DATAMAX // frame)
            out += messages.encode(messages.Data(n * frame))
            out += samples[done * frame : (done + n) * frame]
            self._in_block = (self._in_block + n) % round
            done += n
        self.credit -= count
        self.outstanding += count
        return bytes(out)

    def stop(self, drain: bool) -> bytes:
        """STOP: play out, or not.  Stop answers, until which positions still come."""
        self._must_be(Phase.START)
        self.phase = Phase.STOP
        return messages.encode(messages.Stop(drain))

    def setvol(self, vol: int) -> bytes:
        """SETVOL, 0..127; it is not answered."""
        self._must_be(Phase.INIT, Phase.START, Phase.STOP)
        return messages.encode(messages.Setvol(vol))

    def bye(self) -> bytes:
        """BYE: the server closes at once; what it had not played is lost."""
        self._must_be(Phase.HELLO, Phase.INIT, Phase.START, Phase.STOP)
        self.phase = Phase.BYE
        self._buffer.clear()
        return messages.encode(messages.Bye())

    def _must_be(self, *phases: Phase) -> None:
        if self._dead is not None or self.phase not in phases:
            now = "dead" if self._dead is not None else self.phase.upper()
            raise LocalProtocolError(
                f"the stream is in {now}", "this is for " + " or ".join(p.upper() for p in phases)
            )


_SOUNDING: Final = (Phase.START, Phase.STOP)
_READ: Final[dict[type, tuple[Callable[..., Event | None], tuple[Phase, ...]]]] = {
    messages.Ack: (Client._ack, (Phase.HELLO,)),
    messages.ParReply: (Client._par_reply, (Phase.INIT,)),
    messages.Flowctl: (Client._flowctl, _SOUNDING),
    messages.Move: (Client._move, _SOUNDING),
    messages.Xrun: (Client._tell, _SOUNDING),
    messages.Setvol: (Client._tell, _SOUNDING),
    messages.Data: (Client._data, _SOUNDING),
    messages.Stop: (Client._stop, (Phase.STOP,)),
}


def _write_par(par: Par) -> WirePar:
    """What SETPAR carries; numbers too large to travel become the largest, which the server clamps."""
    if par.flt:
        raise LocalProtocolError("sndio's wire carries no floats", "convert to integers, such as s24le")
    bps = None
    if par.bits is not None:
        bps = SIO_BPS(par.bits) if par.bps is None else par.bps
        Enc(par.bits, bps)  # one that does not exist raises here
    return WirePar(
        xrun=None if par.xrun is None else par.xrun.number,
        bps=bps,
        bits=par.bits,
        msb=_flag(par.msb),
        le=_flag(par.le),
        sig=_flag(par.sig),
        pchan=_clamp(par.pchan, NCHAN_MAX),
        rchan=_clamp(par.rchan, NCHAN_MAX),
        rate=_clamp(par.rate, 2**31 - 1),
        appbufsz=_clamp(par.appbufsz, 2**31 - 1),
    )


def _flag(value: bool | None) -> int | None:
    return None if value is None else int(value)


def _clamp(value: int | None, top: int) -> int | None:
    return None if value is None else max(0, min(value, top))


def _read_par(wire: WirePar, mode: Mode) -> Par:
    """The answer to GETPAR.  Raises RemoteProtocolError if a stream could not be run by it."""
    flags = (wire.sig, wire.le, wire.msb)
    if wire.bits is None or wire.bps is None or None in flags:
        raise RemoteProtocolError("the answer to GETPAR has no encoding", _HINT)
    try:
        enc = Enc(wire.bits, wire.bps, bool(wire.sig), bool(wire.le), bool(wire.msb))
        xrun = Xrun.parse(wire.xrun)
    except FaultError as error:
        raise RemoteProtocolError(f"the answer to GETPAR: {error.fault.message}", _HINT) from error
    for way, what, nchan in ((Mode.PLAY, "pchan", wire.pchan), (Mode.REC, "rchan", wire.rchan)):
        if way in mode and not 1 <= (nchan or 0) <= NCHAN_MAX:
            raise RemoteProtocolError(f"the answer to GETPAR: {what} is {nchan}", _HINT)
    for what in ("rate", "round", "appbufsz", "bufsz"):
        if not getattr(wire, what):
            raise RemoteProtocolError(f"the answer to GETPAR: {what} is {getattr(wire, what)}", _HINT)
    if (wire.bufsz or 0) < (wire.appbufsz or 0):
        raise RemoteProtocolError(
            f"the answer to GETPAR: bufsz {wire.bufsz} is less than appbufsz {wire.appbufsz}", _HINT
        )
    return Par(
        rate=wire.rate,
        pchan=wire.pchan if Mode.PLAY in mode else None,
        rchan=wire.rchan if Mode.REC in mode else None,
        appbufsz=wire.appbufsz,
        xrun=xrun,
        bufsz=wire.bufsz,
        round=wire.round,
    ).with_enc(enc)
