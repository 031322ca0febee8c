"""The server's end of sndio's wire, without its socket: which message may come when.

`SNDIO.md` in code.  A Server takes either bytes as they come (`receive_data`,
`next_event`) or whole messages where somebody else has found their ends and deals
with samples (`decode`).  Invariant: what comes out is allowed at that point; what
is not raises RemoteProtocolError with the reason in words, after which the
connection is dead: this wire has no errors, its server just closes.  `send` raises
LocalProtocolError for what a client could not bear.  No thread, no clock.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final, Literal

from audiod_protocol.connection import NEED_DATA, NeedData
from audiod_protocol.errors import Code, Fault, LocalProtocolError, RemoteProtocolError
from audiod_protocol.sndio import messages as m
from audiod_protocol.sndio.messages import (
    MSG_SIZE,
    NO_DEVNUM,
    PROTO_VERSION,
    Cmd,
    Hello,
    WireMode,
    decode_client,
)

__all__ = ["Breach", "Event", "Kind", "Phase", "Samples", "Server", "breach_fault", "family"]


class Phase(enum.StrEnum):
    """Where a connection stands."""

    AUTH = "auth"  # nothing was said
    HELLO = "hello"  # AUTH was
    INIT = "init"  # HELLO was: parameters may change.  Control and MIDI stay here
    START = "start"
    STOP = "stop"  # STOP was said, and not yet answered
    CLOSED = "closed"  # BYE, or a breach


class Kind(enum.StrEnum):
    """What a connection is for."""

    AUDIO = "audio"
    MIDI = "MIDI"
    CONTROL = "control"


class Breach(enum.StrEnum):
    """What can be wrong with DATA and STOP; where those do not come here, who has seen them tells by this."""

    STREAM = "stream"
    MODE = "mode"
    SIZE = "size"
    FRAME = "frame"
    BLOCK = "block"
    CREDIT = "credit"
    STOP = "stop"


_BREACHES: Final = {
    Breach.STREAM: ("DATA while it is not started", "say START first, and nothing behind STOP"),
    Breach.MODE: ("DATA on a connection that only receives", "open it to play as well"),
    Breach.SIZE: ("DATA of no bytes", "send 1 or more"),
    Breach.FRAME: ("DATA that is not of whole frames", "a frame has bps * pchan bytes"),
    Breach.BLOCK: ("DATA across the end of a block", "cut it where a block of `round` frames ends"),
    Breach.CREDIT: ("DATA beyond the credit", "wait for FLOWCTL"),
    Breach.STOP: ("STOP while it is not started", "wait for the answer to the first one"),
}


def breach_fault(breach: Breach) -> Fault:
    """Why the connection is closed, for the log."""
    return Fault(Code.EPROTO, *_BREACHES[breach])


@dataclass(frozen=True)
class Samples:
    """A piece of a DATA's payload, in the order of its coming; nothing is said of frames."""

    data: bytes


Event = m.ClientMessage | Samples

_MODES: Final = {
    Kind.AUDIO: WireMode.PLAY | WireMode.REC,
    Kind.MIDI: WireMode.MIDIOUT | WireMode.MIDIIN,
    Kind.CONTROL: WireMode.CTLREAD | WireMode.CTLWRITE,
}

_OPEN: Final = (Phase.INIT, Phase.START, Phase.STOP)

# (kind, phase, command) -> the next phase; kind None: as long as there is none.
ALLOWED: Final[dict[tuple[Kind | None, Phase, Cmd], Phase]] = {
    (None, Phase.AUTH, Cmd.AUTH): Phase.HELLO,
    (None, Phase.HELLO, Cmd.HELLO): Phase.INIT,
    (Kind.AUDIO, Phase.INIT, Cmd.SETPAR): Phase.INIT,
    (Kind.AUDIO, Phase.INIT, Cmd.GETPAR): Phase.INIT,
    (Kind.AUDIO, Phase.INIT, Cmd.START): Phase.START,
    (Kind.AUDIO, Phase.START, Cmd.DATA): Phase.START,
    (Kind.AUDIO, Phase.START, Cmd.STOP): Phase.STOP,
    **{(Kind.AUDIO, phase, Cmd.SETVOL): phase for phase in _OPEN},
    (Kind.MIDI, Phase.INIT, Cmd.DATA): Phase.INIT,
    (Kind.CONTROL, Phase.INIT, Cmd.CTLSUB): Phase.INIT,
    (Kind.CONTROL, Phase.INIT, Cmd.CTLSUB_OLD): Phase.INIT,
    (Kind.CONTROL, Phase.INIT, Cmd.CTLSET): Phase.INIT,
    **{(kind, phase, Cmd.BYE): Phase.CLOSED for kind in Kind for phase in _OPEN},
    (None, Phase.AUTH, Cmd.BYE): Phase.CLOSED,
    (None, Phase.HELLO, Cmd.BYE): Phase.CLOSED,
}

# command -> where a server may say it
_SAYS: Final[dict[Cmd, tuple[Phase, ...]]] = {
    Cmd.ACK: (Phase.INIT,),
    Cmd.GETPAR: (Phase.INIT,),
    Cmd.MOVE: (Phase.START,),
    Cmd.XRUN: (Phase.START,),
    Cmd.FLOWCTL: (Phase.START,),
    Cmd.SETVOL: (Phase.START, Phase.STOP),
    Cmd.DATA: (Phase.START, Phase.STOP),
    Cmd.STOP: (Phase.START, Phase.STOP),
}
_SAYS_MIDI: Final[dict[Cmd, tuple[Phase, ...]]] = dict.fromkeys(
    (Cmd.ACK, Cmd.FLOWCTL, Cmd.DATA), (Phase.INIT,)
)
_SAYS_CONTROL: Final[dict[Cmd, tuple[Phase, ...]]] = dict.fromkeys(
    (Cmd.ACK, Cmd.DATA, Cmd.CTLSET, Cmd.CTLSYNC), (Phase.INIT,)
)
_SAYINGS: Final = {Kind.AUDIO: _SAYS, Kind.MIDI: _SAYS_MIDI, Kind.CONTROL: _SAYS_CONTROL}

_WHEN: Final = {
    Phase.AUTH: ("before AUTH", "say AUTH, then HELLO, and wait for ACK"),
    Phase.HELLO: ("before HELLO", "say HELLO behind AUTH, and wait for ACK"),
    Phase.INIT: ("while it is not started", "say START first"),
    Phase.START: ("while it is started", "say STOP first, and wait for the server's"),
    Phase.STOP: ("while it stops", "wait for the server's STOP"),
    Phase.CLOSED: ("behind BYE", "connect again"),
}


def family(devnum: int) -> int | None:
    """Of a `devnum`: 0 audio devices, 1 MIDI thru boxes, 2 MIDI ports; None: HELLO gives a name only.

    Raises RemoteProtocolError.
    """
    if devnum == NO_DEVNUM:
        return None
    if devnum >> 4 > 2:
        raise RemoteProtocolError(
            f"device number {devnum} is of no kind", "use snd, midithru or midi, 0 to 15"
        )
    return devnum >> 4


class Server:
    """One connection.  `hello` is there from HELLO on, and with it `kind`."""

    def __init__(self) -> None:
        self.phase = Phase.AUTH
        self.kind: Kind | None = None
        self.hello: Hello | None = None
        self._owed: dict[Cmd, int] = {Cmd.ACK: 0, Cmd.GETPAR: 0}  # answers
        self._buffer = bytearray()
        self._payload = 0  # bytes of a DATA that are still to come
        self._frame = 1  # bytes
        self._round = 0  # bytes of a block, 0: anything goes
        self._in_block = 0  # bytes since its beginning
        self._credit = 0  # bytes that the client may send
        self._dead: RemoteProtocolError | None = None

    # ---- in ----

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Store what the socket gave; nothing is judged yet."""
        if self.phase is not Phase.CLOSED:
            self._buffer += data

    def receive_eof(self) -> None:
        """The client closed.  Raises RemoteProtocolError if it did so within a message."""
        if self._dead is None and self.phase is not Phase.CLOSED and (self._buffer or self._payload):
            raise RemoteProtocolError("the client closed within a message", "it has crashed, or was killed")

    def next_event(self) -> Event | Literal[NeedData.NEED_DATA]:
        """The next event, or NEED_DATA; behind BYE nothing comes.  Raises RemoteProtocolError."""
        if self._dead is not None:
            raise self._dead
        if self.phase is Phase.CLOSED:
            return NEED_DATA
        if self._payload:
            piece = self._take(min(len(self._buffer), self._payload))
            self._payload -= len(piece)
            return Samples(piece) if piece else NEED_DATA
        if len(self._buffer) < MSG_SIZE:
            return NEED_DATA
        return self.decode(self._take(MSG_SIZE))

    def decode(self, message: bytes) -> m.ClientMessage:
        """One whole message, judged.  Raises RemoteProtocolError, from then on at each call."""
        if self._dead is not None:
            raise self._dead
        try:
            event = decode_client(message)
            self._judge(Cmd(int.from_bytes(message[:4], "big")), event)
        except RemoteProtocolError as error:
            self._dead = error
            self.phase = Phase.CLOSED
            self._buffer.clear()
            raise
        if self.phase is Phase.CLOSED:
            self._buffer.clear()
        return event

    def _take(self, count: int) -> bytes:
        with memoryview(self._buffer) as view:
            data = bytes(view[:count])
        del self._buffer[:count]
        return data

    def _judge(self, cmd: Cmd, event: m.ClientMessage) -> None:
        following = ALLOWED.get((self.kind, self.phase, cmd))
        if following is None:
            raise self._refusal(cmd)
        match event:
            case m.Hello():
                self.kind = _kind(event)
                self.hello = event
                self._owed[Cmd.ACK] = 1
            case m.Getpar():
                self._owed[Cmd.GETPAR] += 1
            case m.Data(size):
                self._data(size)
            case m.Start() | m.Stop():
                self._credit = self._in_block = 0
        self.phase = following

    def _refusal(self, cmd: Cmd) -> RemoteProtocolError:
        """Why this may not come here."""
        if cmd in (Cmd.AUTH, Cmd.HELLO) and self.phase not in (Phase.AUTH, Phase.CLOSED):
            again = cmd is Cmd.AUTH or self.phase is not Phase.HELLO
            if again:
                return RemoteProtocolError(f"{cmd.name} for the second time", "say it once, at the beginning")
        kinds = {kind for kind, _, one in ALLOWED if one is cmd and kind is not None}
        if self.kind is not None and kinds and self.kind not in kinds:
            return RemoteProtocolError(
                f"{cmd.name} on a connection for {self.kind}",
                f"open one for {' or '.join(sorted(kinds))}",
            )
        when, hint = _WHEN[self.phase]
        return RemoteProtocolError(f"{cmd.name} {when}", hint)

    def _data(self, size: int) -> None:
        assert self.hello is not None
        if not self.hello.mode & (WireMode.PLAY | WireMode.MIDIOUT):
            raise _broken(Breach.MODE)
        if size % self._frame:
            raise _broken(Breach.FRAME)
        if self._round and size > self._round - self._in_block:
            raise _broken(Breach.BLOCK)
        if size > self._credit:
            raise _broken(Breach.CREDIT)
        self._credit -= size
        self._in_block = (self._in_block + size) % self._round if self._round else 0
        self._payload = size

    # ---- out ----

    def begin(self, frame: int, round: int) -> None:
        """Behind START: a frame that the client sends has `frame` bytes, a block `round` frames."""
        if self.phase is not Phase.START:
            raise LocalProtocolError(
                f"the stream cannot begin: the connection is in {self.phase}", "await START"
            )
        self._frame, self._round = frame, frame * round

    def stopped(self) -> None:
        """Whoever moves the samples has taken the client's STOP, if it is still there, and answered it."""
        if self.phase in (Phase.START, Phase.STOP):
            self.phase = Phase.INIT
            self._credit = 0

    def send(self, message: m.ServerMessage) -> bytes:
        """Bytes of a message.  Raises LocalProtocolError where a client does not expect it."""
        data = m.encode(message)
        cmd = Cmd(int.from_bytes(data[:4], "big"))
        says: dict[Cmd, tuple[Phase, ...]] = {} if self.kind is None else _SAYINGS[self.kind]
        if self.phase not in says.get(cmd, ()):
            raise LocalProtocolError(
                f"{cmd.name} cannot be said in {self.phase}",
                "between START and STOP a stream speaks, not else",
            )
        if cmd in self._owed:
            if not self._owed[cmd]:
                raise LocalProtocolError(f"{cmd.name} was not asked for", "answer each question once")
            self._owed[cmd] -= 1
        if isinstance(message, m.Flowctl):
            self._credit += message.delta * self._frame
        elif isinstance(message, m.Stop):
            self.stopped()
        return data


def _broken(breach: Breach) -> RemoteProtocolError:
    return RemoteProtocolError(*_BREACHES[breach])


def _kind(hello: Hello) -> Kind:
    """What a HELLO asks for.  Raises RemoteProtocolError if that is nothing."""
    if hello.version != PROTO_VERSION:
        raise RemoteProtocolError(
            f"HELLO of version {hello.version}", f"version {PROTO_VERSION} is spoken here"
        )
    kind = next((k for k, bits in _MODES.items() if hello.mode and hello.mode | int(bits) == int(bits)), None)
    if kind is None:
        raise RemoteProtocolError(
            f"HELLO of mode {hello.mode:#x}", "play and record, or MIDI, or control: one kind a connection"
        )
    group = family(hello.devnum)
    if group and not (kind is Kind.MIDI or (kind is Kind.CONTROL and group == 1)):
        raise RemoteProtocolError(
            f"HELLO for {kind} to {'midithru' if group == 1 else 'midi'}/{hello.devnum & 15}",
            "sound and its controls are at snd/",
        )
    return kind
