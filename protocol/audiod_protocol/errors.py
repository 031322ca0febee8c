"""Errors: the wire's error map, its symbols, and the exceptions of this package.

Invariant: `RemoteProtocolError` means that the peer broke the protocol,
`LocalProtocolError` that our own caller did, `FaultError` carries an error map
of the wire.  Any other exception out of this package is a bug in it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from audiod_protocol.limits import DEPTH_MAX, MSG_MAX, WRITE_MAX

__all__ = [
    "Breach",
    "Code",
    "Fault",
    "FaultError",
    "LocalProtocolError",
    "ProtocolError",
    "RemoteProtocolError",
    "breach_fault",
]


class Code(enum.StrEnum):
    """Symbols of the error map.  A receiver accepts others too and treats them like EIO."""

    EAGAIN = "EAGAIN"  # not now: it lacks data, or waits for another stream
    EBADF = "EBADF"  # no such stream on this connection
    EBADFD = "EBADFD"  # not in this state of the stream's channel
    EBUSY = "EBUSY"  # not in this state of the stream
    EINVAL = "EINVAL"  # an argument is wrong
    EIO = "EIO"  # the device failed, or something unforeseen
    EMFILE = "EMFILE"  # a limit on the number of streams is reached
    ENODEV = "ENODEV"  # no such device, or it cannot be opened, or it went away
    ENOENT = "ENOENT"  # no such control
    ENOMEM = "ENOMEM"  # more than the server keeps for a client, or for all of them
    ENOSYS = "ENOSYS"  # no such method
    ENOTSUP = "ENOTSUP"  # known, but not by this server
    EPERM = "EPERM"  # not allowed for this user
    EPIPE = "EPIPE"  # an xrun ended the stream (policy error)
    EPROTO = "EPROTO"  # the protocol was broken, or another version is spoken
    ESHUTDOWN = "ESHUTDOWN"  # the server is ending


@dataclass(frozen=True)
class Fault:
    """The wire's error map: what happened and why, and what to do about it."""

    code: str
    message: str
    hint: str = ""

    def to_wire(self) -> dict[str, str]:
        return {"code": str(self.code), "message": self.message, "hint": self.hint}

    @classmethod
    def from_wire(cls, value: object) -> Fault:
        """Read an error map; keys beyond the three are ignored.  Raises RemoteProtocolError."""
        if not isinstance(value, Mapping):
            raise RemoteProtocolError(
                f"an error must be a map, not {type(value).__name__}", "send {code, message, hint}"
            )
        words = []
        for key in ("code", "message", "hint"):
            word = value.get(key)
            if word is None and key == "hint":
                word = ""
            if not isinstance(word, str):
                raise RemoteProtocolError(
                    f"an error's {key} must be a string, not {type(word).__name__}",
                    "send {code, message, hint}",
                )
            words.append(word)
        return cls(*words)

    def __str__(self) -> str:
        tail = f" ({self.hint})" if self.hint else ""
        return f"{self.code}: {self.message}{tail}"


class ProtocolError(Exception):
    """Base of this package's errors: what happened, and a hint for whoever can mend it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class LocalProtocolError(ProtocolError):
    """Our own side tried what the protocol does not allow; nothing was sent."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol: send `error` with `fault`, then close the connection."""

    @property
    def fault(self) -> Fault:
        return Fault(Code.EPROTO, self.message, self.hint)


class FaultError(Exception):
    """A request is refused with this Fault; the connection lives on."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


class Breach(enum.StrEnum):
    """The ways to break the protocol that end a connection."""

    FORMAT = "format"
    DEPTH = "depth"
    SIZE = "size"
    WRITE = "write"
    STREAM = "stream"
    MODE = "mode"
    FRAME = "frame"
    CREDIT = "credit"


_BREACHES: dict[Breach, tuple[str, str]] = {
    Breach.FORMAT: (
        "the bytes received are not a MessagePack-RPC message",
        "connect with a MessagePack-RPC client; sndio programs use sndio's own socket",
    ),
    Breach.DEPTH: (
        f"a message is nested deeper than {DEPTH_MAX} levels",
        "send flat arguments: no request needs more than five levels",
    ),
    Breach.SIZE: (
        f"a message is larger than {MSG_MAX} bytes, or its samples than {WRITE_MAX}",
        "split what is written: any number of whole frames may go in one write",
    ),
    Breach.WRITE: (
        "the parameters of write are not [stream, bin]",
        "send the stream's number and the samples as one bin",
    ),
    Breach.STREAM: (
        "write to a stream that does not exist or is not started",
        "write only between the answer to start and sending stop, flush or close",
    ),
    Breach.MODE: (
        "write to a stream that was not opened to play",
        'open it with mode "play" or "play,rec"',
    ),
    Breach.FRAME: (
        "a write carries no samples, or not whole frames",
        "a frame is bps * pchan bytes; send a multiple of it",
    ),
    Breach.CREDIT: (
        "a write is larger than the stream's credit",
        "write at most the sum of all credit received since start, minus what was written",
    ),
}


def breach_fault(breach: Breach, stream: int | None = None) -> Fault:
    """The Fault of the `error` notification that precedes the close."""
    message, hint = _BREACHES[breach]
    return Fault(Code.EPROTO, message if stream is None else f"stream {stream}: {message}", hint)
