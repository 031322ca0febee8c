"""sndio's messages: 40 bytes each, and what they say.

Every message is `cmd` (u32), 4 bytes of padding and 32 bytes of fields, all big
endian; a sender fills it with 0xFF first, so that a field whose top bit is 1 is
unset (None here).  Only `Data` is followed by a payload, which is not part of
this file.  Invariant: `decode_*(encode(m)) == m` for whatever the other side may
send; what it may not send raises RemoteProtocolError.  No thread, no socket.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Final

from audiod_protocol.errors import LocalProtocolError, RemoteProtocolError
from audiod_protocol.limits import VOL_MAX

__all__ = [
    "BASE_PORT",
    "COOKIE_SIZE",
    "DATAMAX",
    "MSG_SIZE",
    "NAME_SIZE",
    "NO_DEVNUM",
    "PROTO_VERSION",
    "Ack",
    "Auth",
    "Bye",
    "ClientMessage",
    "Cmd",
    "Ctlset",
    "Ctlsub",
    "Ctlsync",
    "Data",
    "Flowctl",
    "Getpar",
    "Hello",
    "Message",
    "Move",
    "ParReply",
    "ServerMessage",
    "Setpar",
    "Setvol",
    "Start",
    "Stop",
    "WireMode",
    "WirePar",
    "Xrun",
    "decode_client",
    "decode_server",
    "encode",
]

MSG_SIZE: Final = 40
DATAMAX: Final = 4096  # bytes of payload: the most that a program's library sends, and that we send
PROTO_VERSION: Final = 7
BASE_PORT: Final = 11025  # TCP; the unit is added
COOKIE_SIZE: Final = 16
NAME_SIZE: Final = 12  # bytes of `opt` and `who`, the terminating 0 included
NO_DEVNUM: Final = 255  # `devnum` of a descriptor that gives a name only

_UNSET: Final = b"\xff"


class Cmd(enum.IntEnum):
    """What a message is; 8 is not assigned."""

    ACK = 0
    GETPAR = 1
    SETPAR = 2
    START = 3
    STOP = 4
    DATA = 5
    FLOWCTL = 6
    MOVE = 7
    SETVOL = 9
    HELLO = 10
    BYE = 11
    AUTH = 12
    CTLSUB_OLD = 13
    CTLSET = 14
    CTLSYNC = 15
    CTLSUB = 16
    XRUN = 17


class WireMode(enum.IntFlag):
    """Bits of `Hello.mode` and, the first two, of a reply to GETPAR."""

    PLAY = 0x01
    REC = 0x02
    MIDIOUT = 0x04  # the client sends
    MIDIIN = 0x08  # the client receives
    CTLREAD = 0x100
    CTLWRITE = 0x200


@dataclass(frozen=True)
class WirePar:
    """Parameters as they travel; None is unset.

    `appbufsz`, `bufsz` and `round` are frames at `rate` (Hz); `mode`, `bufsz` and
    `round` are the server's to say.
    """

    mode: int | None = None
    xrun: int | None = None
    bps: int | None = None
    bits: int | None = None
    msb: int | None = None
    le: int | None = None
    sig: int | None = None
    pchan: int | None = None
    rchan: int | None = None
    rate: int | None = None
    bufsz: int | None = None
    round: int | None = None
    appbufsz: int | None = None


# How the fields of a WirePar travel, in their order; `x` is padding, which is 0xFF too.
_PAR: Final = struct.Struct(">7Bx2H4I")
_PAD: Final = 15 - 8  # where the `x` is
_PAR_WIDTHS: Final = (8,) * 7 + (16,) * 2 + (32,) * 4
_PAR_NAMES: Final = tuple(f.name for f in fields(WirePar))


@dataclass(frozen=True)
class Ack:
    """The answer to HELLO."""


@dataclass(frozen=True)
class Getpar:
    """The question for the parameters."""


@dataclass(frozen=True)
class ParReply:
    """The answer to GETPAR."""

    par: WirePar


@dataclass(frozen=True)
class Setpar:
    par: WirePar


@dataclass(frozen=True)
class Start:
    """`xrunnotify`: the client knows XRUN, and wants it."""

    xrunnotify: bool = False


@dataclass(frozen=True)
class Stop:
    """From a client: `drain` says whether to play out; unset is yes.  From the server: it has stopped."""

    drain: bool | None = None


@dataclass(frozen=True)
class Data:
    """`size` bytes of payload follow, at least 1."""

    size: int


@dataclass(frozen=True)
class Flowctl:
    """The client may send `delta` frames (MIDI: bytes) more."""

    delta: int


@dataclass(frozen=True)
class Move:
    """The position advanced by `delta` frames at the client's rate."""

    delta: int


@dataclass(frozen=True)
class Setvol:
    """`vol` 0..127."""

    vol: int


@dataclass(frozen=True)
class Hello:
    """`mode` WireMode bits, `id` the client's pid, `opt` a sub-device's name, `who` the program's."""

    mode: int
    devnum: int
    id: int
    opt: str
    who: str
    version: int = PROTO_VERSION


@dataclass(frozen=True)
class Bye:
    """The client is done; the server closes."""


@dataclass(frozen=True)
class Auth:
    """`cookie` is COOKIE_SIZE bytes that the programs of one user share."""

    cookie: bytes


@dataclass(frozen=True)
class Ctlsub:
    """Whether to be told of descriptors and of values; `old`: in the 92-byte form."""

    desc: bool
    val: bool
    old: bool = False


@dataclass(frozen=True)
class Ctlset:
    addr: int
    value: int


@dataclass(frozen=True)
class Ctlsync:
    """A batch of descriptors is complete."""


@dataclass(frozen=True)
class Xrun:
    """The stream is late; only for clients that asked for it in START."""


ClientMessage = Getpar | Setpar | Start | Stop | Data | Setvol | Hello | Bye | Auth | Ctlsub | Ctlset
ServerMessage = Ack | ParReply | Stop | Data | Flowctl | Move | Setvol | Ctlset | Ctlsync | Xrun
Message = ClientMessage | ServerMessage


# ---- to bytes -------------------------------------------------------------------


def encode(message: Message) -> bytes:
    """The 40 bytes of a message.  Raises LocalProtocolError if a field does not fit."""
    try:
        cmd, body = _body(message)
    except (struct.error, UnicodeEncodeError) as error:
        raise LocalProtocolError(f"{message} cannot be sent: {error}", "use values that fit") from error
    return struct.pack(">I4s", cmd, _UNSET * 4) + body.ljust(MSG_SIZE - 8, _UNSET)


def _body(message: Message) -> tuple[Cmd, bytes]:
    match message:
        case Setpar(par):
            return Cmd.SETPAR, _pack_par(par)
        case ParReply(par):
            return Cmd.GETPAR, _pack_par(par)
        case Start(xrunnotify):
            return Cmd.START, b"\1" if xrunnotify else b""
        case Stop(drain):
            return Cmd.STOP, b"" if drain is None else bytes([drain])
        case Data(size):
            return Cmd.DATA, struct.pack(">I", _at_least(1, size, "size"))
        case Flowctl(delta):
            return Cmd.FLOWCTL, struct.pack(">i", delta)
        case Move(delta):
            return Cmd.MOVE, struct.pack(">i", delta)
        case Setvol(vol):
            if not 0 <= vol <= VOL_MAX:
                raise LocalProtocolError(f"volume {vol} cannot be sent", f"use 0..{VOL_MAX}")
            return Cmd.SETVOL, struct.pack(">I", vol)
        case Hello():
            head = struct.pack(">HBBI", message.mode, message.version, message.devnum, message.id)
            return Cmd.HELLO, head + _pack_name(message.opt) + _pack_name(message.who)
        case Auth(cookie):
            if len(cookie) != COOKIE_SIZE:
                raise LocalProtocolError(
                    f"a cookie of {len(cookie)} bytes cannot be sent", f"use {COOKIE_SIZE}"
                )
            return Cmd.AUTH, cookie
        case Ctlsub(desc, val, old):
            return (Cmd.CTLSUB_OLD if old else Cmd.CTLSUB), bytes([desc, val])
        case Ctlset(addr, value):
            return Cmd.CTLSET, struct.pack(">HH", addr, value)
        case Ack() | Getpar() | Bye() | Ctlsync() | Xrun():
            return _BARE[type(message)], b""


_BARE: Final[dict[type, Cmd]] = {
    Ack: Cmd.ACK,
    Getpar: Cmd.GETPAR,
    Bye: Cmd.BYE,
    Ctlsync: Cmd.CTLSYNC,
    Xrun: Cmd.XRUN,
}


def _at_least(least: int, value: int, what: str) -> int:
    if value < least:
        raise LocalProtocolError(f"{what} {value} cannot be sent", f"use {least} or more")
    return value


def _pack_par(par: WirePar) -> bytes:
    values = []
    for name, width in zip(_PAR_NAMES, _PAR_WIDTHS, strict=True):
        value = getattr(par, name)
        if value is None:
            value = 2**width - 1
        elif not 0 <= value < 2 ** (width - 1):
            raise LocalProtocolError(
                f"parameter {name} {value} cannot be sent", f"use 0..{2 ** (width - 1) - 1}"
            )
        values.append(int(value))
    body = bytearray(_PAR.pack(*values))
    body[_PAD] = 0xFF
    return bytes(body)


def _pack_name(text: str) -> bytes:
    name = text.encode()
    if len(name) >= NAME_SIZE or 0 in name:
        raise LocalProtocolError(f"the name {text!r} cannot be sent", f"use {NAME_SIZE - 1} bytes at most")
    return (name + b"\0").ljust(NAME_SIZE, _UNSET)


# ---- from bytes -----------------------------------------------------------------


def decode_client(data: bytes) -> ClientMessage:
    """What a server has received.  Raises RemoteProtocolError: it is nothing that a client sends."""
    cmd, body = _cut(data)
    read = _FROM_CLIENT.get(cmd)
    if read is None:
        raise RemoteProtocolError(f"{_named(cmd)} is no message that a client sends", _HINT)
    return read(body)


def decode_server(data: bytes) -> ServerMessage:
    """What a client has received.  Raises RemoteProtocolError: it is nothing that a server sends."""
    cmd, body = _cut(data)
    read = _FROM_SERVER.get(cmd)
    if read is None:
        raise RemoteProtocolError(f"{_named(cmd)} is no message that a server sends", _HINT)
    return read(body)


_HINT: Final = "speak version 7 of sndio's protocol, as libsndio 1.9 to 1.10 does"


def _cut(data: bytes) -> tuple[int, bytes]:
    if len(data) != MSG_SIZE:
        raise RemoteProtocolError(f"a message has {len(data)} bytes, not {MSG_SIZE}", _HINT)
    return int.from_bytes(data[:4], "big"), bytes(data[8:])


def _named(cmd: int) -> str:
    try:
        return Cmd(cmd).name
    except ValueError:
        return f"command {cmd}"


def _u32(body: bytes) -> int:
    return int.from_bytes(body[:4], "big")


def _i32(body: bytes) -> int:
    return int.from_bytes(body[:4], "big", signed=True)


def _read_par(body: bytes) -> WirePar:
    got = _PAR.unpack_from(body)
    return WirePar(
        **{
            name: None if value >> (width - 1) else value
            for name, width, value in zip(_PAR_NAMES, _PAR_WIDTHS, got, strict=True)
        }
    )


def _read_flag(byte: int) -> bool | None:
    return None if byte & 0x80 else byte != 0


def _read_data(body: bytes) -> Data:
    size = _i32(body)
    if size <= 0:
        raise RemoteProtocolError(f"DATA announces {size} bytes", "send 1 or more")
    return Data(size)


def _read_vol(body: bytes) -> Setvol:
    vol = _u32(body)
    if vol > VOL_MAX:
        raise RemoteProtocolError(f"volume {vol} does not exist", f"use 0..{VOL_MAX}")
    return Setvol(vol)


def _read_hello(body: bytes) -> Hello:
    mode, version, devnum, ident = struct.unpack_from(">HBBI", body)
    opt, who = _read_name(body[8:20], "opt"), _read_name(body[20:32], "who")
    return Hello(mode, devnum, ident, opt, who, version)


def _read_name(field: bytes, what: str) -> str:
    """Up to the 0; what follows it is of no meaning.  Names are for people: bytes that are no text show."""
    name, end, _ = field.partition(b"\0")
    if not end:
        raise RemoteProtocolError(f"HELLO's {what} does not end", "end it with a 0 byte")
    return name.decode(errors="backslashreplace")


def _read_ctlsub(body: bytes, *, old: bool) -> Ctlsub:
    return Ctlsub(body[0] != 0, body[1] != 0, old)


def _read_ctlset(body: bytes) -> Ctlset:
    addr, value = struct.unpack_from(">HH", body)
    return Ctlset(addr, value)


_FROM_CLIENT: Final[dict[int, Callable[[bytes], ClientMessage]]] = {
    Cmd.GETPAR: lambda _: Getpar(),
    Cmd.SETPAR: lambda body: Setpar(_read_par(body)),
    Cmd.START: lambda body: Start(_read_flag(body[0]) is True),
    Cmd.STOP: lambda body: Stop(_read_flag(body[0])),
    Cmd.DATA: _read_data,
    Cmd.SETVOL: _read_vol,
    Cmd.HELLO: _read_hello,
    Cmd.BYE: lambda _: Bye(),
    Cmd.AUTH: lambda body: Auth(body[:COOKIE_SIZE]),
    Cmd.CTLSUB_OLD: lambda body: _read_ctlsub(body, old=True),
    Cmd.CTLSUB: lambda body: _read_ctlsub(body, old=False),
    Cmd.CTLSET: _read_ctlset,
}

_FROM_SERVER: Final[dict[int, Callable[[bytes], ServerMessage]]] = {
    Cmd.ACK: lambda _: Ack(),
    Cmd.GETPAR: lambda body: ParReply(_read_par(body)),
    Cmd.STOP: lambda body: Stop(_read_flag(body[0])),
    Cmd.DATA: _read_data,
    Cmd.FLOWCTL: lambda body: Flowctl(_i32(body)),
    Cmd.MOVE: lambda body: Move(_i32(body)),
    Cmd.SETVOL: _read_vol,
    Cmd.CTLSET: _read_ctlset,
    Cmd.CTLSYNC: lambda _: Ctlsync(),
    Cmd.XRUN: lambda _: Xrun(),
}
