"""The client's end of a control connection of sndio's wire: bytes in, what changed out.

`controls` is what the server has described so far, with the last value told of
each.  Invariant: what a server may not say raises RemoteProtocolError, after which
the client is dead; the methods that give bytes raise LocalProtocolError instead of
breaking the protocol.  No thread, no clock, no socket.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from audiod_protocol.connection import NEED_DATA, NeedData
from audiod_protocol.errors import LocalProtocolError, RemoteProtocolError
from audiod_protocol.sndio import messages as m
from audiod_protocol.sndio.descriptors import SIZE, SIZE_OLD, Descriptor, Kind, read
from audiod_protocol.sndio.messages import MSG_SIZE, NO_DEVNUM, WireMode

__all__ = ["Changed", "ControlClient", "Described", "Event", "Removed", "Synced"]

_HINT: Final = "this is the server's mistake: check that it is sndiod or audiod, and its version"


@dataclass(frozen=True)
class Described:
    """A control that is new, or described anew."""

    control: Descriptor


@dataclass(frozen=True)
class Removed:
    """It is there no longer; `control` as it was."""

    control: Descriptor


@dataclass(frozen=True)
class Changed:
    """It has another value."""

    control: Descriptor


@dataclass(frozen=True)
class Synced:
    """`controls` is complete."""


Event = m.Ack | Described | Removed | Changed | Synced


class ControlClient:
    """One connection; `old`: as libsndio up to 1.9, which servers up to 1.9 know alone."""

    def __init__(self, *, old: bool = False) -> None:
        self.controls: dict[int, Descriptor] = {}
        self.acked = False
        self._old = old
        self._said_hello = False
        self._buffer = bytearray()
        self._payload = 0  # bytes of descriptors that are still to come
        self._dead: RemoteProtocolError | None = None

    # ---- in ----

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Store what the socket gave; nothing is judged yet."""
        self._buffer += data

    def next_event(self) -> Event | Literal[NeedData.NEED_DATA]:
        """The next event, or NEED_DATA.  Raises RemoteProtocolError."""
        if self._dead is not None:
            raise self._dead
        try:
            while True:
                event = self._descriptor() if self._payload else self._message()
                if event is not None:
                    return event
        except RemoteProtocolError as error:
            self._dead = error
            raise

    def _take(self, count: int) -> bytes:
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def _descriptor(self) -> Event | NeedData | None:
        size = SIZE_OLD if self._old else SIZE
        if len(self._buffer) < size:
            return NEED_DATA
        self._payload -= size
        told = read(self._take(size))
        before = self.controls.pop(told.addr, None)
        if told.kind is not Kind.NONE:
            self.controls[told.addr] = told
            return Described(told)
        return None if before is None else Removed(before)

    def _message(self) -> Event | NeedData | None:
        """One message; None if there is nothing to tell of it."""
        if len(self._buffer) < MSG_SIZE:
            return NEED_DATA
        message = m.decode_server(self._take(MSG_SIZE))
        if isinstance(message, m.Ack) is self.acked:
            raise RemoteProtocolError(f"{message} came {'again' if self.acked else 'before ACK'}", _HINT)
        match message:
            case m.Ack():
                self.acked = True
                return message
            case m.Data(size):
                if size % (SIZE_OLD if self._old else SIZE):
                    raise RemoteProtocolError(f"DATA of {size} bytes holds no whole descriptors", _HINT)
                self._payload = size
                return None
            case m.Ctlset(addr, value):
                known = self.controls.get(addr)
                if known is None:
                    return None  # of a control that was not asked for, or that is gone
                self._set(known, value)
                return Changed(self.controls[addr])
            case m.Ctlsync():
                return Synced()
            case _:
                raise RemoteProtocolError(f"{message} came on a connection for control", _HINT)

    def _set(self, known: Descriptor, value: int) -> None:
        """Of a choice, one that is on puts the others off; servers do not say that."""
        if known.kind is Kind.SEL and value:
            for addr, other in self.controls.items():
                same = (other.kind, other.group, other.node0, other.func)
                if same == (Kind.SEL, known.group, known.node0, known.func):
                    self.controls[addr] = replace(other, value=0)
        self.controls[known.addr] = replace(known, value=value)

    # ---- out ----

    def hello(self, cookie: bytes, devnum: int | None, opt: str, id: int, who: str) -> bytes:
        """AUTH and HELLO: `devnum` or None, the sub-device's name `opt`, the process and its name."""
        if self._said_hello:
            raise LocalProtocolError("HELLO was said", "say it once, at the beginning")
        number = NO_DEVNUM if devnum is None else devnum
        hello = m.Hello(WireMode.CTLREAD | WireMode.CTLWRITE, number, id, opt, who)
        out = m.encode(m.Auth(cookie)) + m.encode(hello)
        self._said_hello = True
        return out

    def subscribe(self, *, desc: bool = True, val: bool = True) -> bytes:
        """Be told of descriptors, all of them first, and of values."""
        self._must_be_open()
        return m.encode(m.Ctlsub(desc, val, self._old))

    def set(self, addr: int, value: int) -> bytes:
        """Set a control; the server tells of it as of any other change."""
        self._must_be_open()
        known = self.controls.get(addr)
        if known is None or not 0 <= value <= known.most:
            raise LocalProtocolError(
                f"control {addr} cannot be set to {value}",
                "there is no such control" if known is None else f"use 0..{known.most}",
            )
        return m.encode(m.Ctlset(addr, value))

    def _must_be_open(self) -> None:
        if self._dead is not None or not self.acked:
            raise LocalProtocolError("the connection is not open", "wait for ACK")
