"""What the shells see of a connection, whichever wire it speaks: bytes in and out, and operations.

Operations are generators: each `yield` means "move bytes, then resume me", the
return value is the result, and closing one early (a cancelled task, a ctrl-C)
leaves everything accounted for, because what arrives is handled on arrival,
not by whoever waits.  Invariant: after `error` is set nothing is sent or
received any more.  Runs in the caller's thread; not for several at a time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from audiod_protocol.params import Mode

from audiod_client._stream import StreamCore
from audiod_client.errors import StreamError, as_stream_error
from audiod_client.names import Wire

__all__ = ["Change", "Op", "Session", "direction"]

T = TypeVar("T")
Op = Generator[None, None, T]


@dataclass(frozen=True)
class Change:
    """A `changed` notification: `row` is the new row of `topic`, its "event" new, change or gone."""

    topic: str
    row: dict[str, Any]


class Session(ABC):
    """The client's end of one connection; `out` holds the bytes to send."""

    wire: Wire

    def __init__(self, client_name: str) -> None:
        self.client_name = client_name
        self.out = bytearray()
        self.error: StreamError | None = None
        self.server: dict[str, Any] = {}  # the answer to hello

    # ---- bytes ----

    def receive(self, data: bytes) -> None:
        """Take what the socket gave; b"" is its end.  Sets `error` instead of raising."""
        if self.error is not None:
            return
        try:
            with as_stream_error():
                if data:
                    self._take(data)
                else:
                    self._end()
        except StreamError as err:
            self.fail(err)
        if not data:
            self.fail(
                StreamError("ECONNRESET", "the server closed the connection", "see its log, then open again")
            )

    def sent(self, nbytes: int) -> None:
        """The first `nbytes` of `out` went into the socket."""
        del self.out[:nbytes]

    def fail(self, error: StreamError) -> None:
        """The connection is of no use any more: nor is any stream, nor any request."""
        if self.error is not None:
            return
        self.error = error
        self.out.clear()
        self._failed(error)

    @abstractmethod
    def _take(self, data: bytes) -> None:
        """Read messages, and tell the streams.  What it raises ends the connection."""

    @abstractmethod
    def _end(self) -> None:
        """The server closed: raise what that means, if more is known than that it did."""

    @abstractmethod
    def _failed(self, error: StreamError) -> None:
        """Tell the streams, and whoever waits."""

    # ---- operations ----

    @abstractmethod
    def hello(self) -> Op[dict[str, Any]]:
        """The handshake, before anything else."""

    @abstractmethod
    def request(self, method: str, args: Mapping[str, object]) -> Op[Any]:
        """A request of the native protocol.  A refusal is not permanent."""

    @abstractmethod
    def open(
        self,
        device: str,
        mode: str | Mode,
        name: str | None,
        role: str | None,
        link: str | None,
        pinned: bool = False,
    ) -> Op[StreamCore]:
        """Open a stream.  If nobody waits any more when it is there, it is closed again.

        The mode "mon" records what the device plays: on this side it is a stream that records.
        """

    @abstractmethod
    def change(self) -> Op[Change]:
        """Wait for the next change of a subscribed topic."""


def direction(mode: str | Mode) -> Mode:
    """What a stream of this mode does on this side.  Raises StreamError."""
    with as_stream_error():
        return mode if isinstance(mode, Mode) else Mode.REC if mode == "mon" else Mode.parse(mode)
