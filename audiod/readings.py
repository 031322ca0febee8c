"""Readings: status records as one connection reads them.

Owns what it has been told so far of the counters that a record tells since the
last one: another connection's are its own.  Control thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from audiod_protocol.errors import Code, Fault, FaultError
from audiod_protocol.limits import PROTOCOL_VERSION
from audiod_protocol.validate import StatusArgs

from audiod import core

if TYPE_CHECKING:
    from audiod.channel import Channel
    from audiod.channelrecord import Counts
    from audiod.stream import ClientStream


class Readings:
    """Of one connection."""

    def __init__(self, known: core.Core) -> None:
        self._core = known
        self._seen: WeakKeyDictionary[Channel, Counts] = WeakKeyDictionary()

    def read(self, args: StatusArgs, mine: Mapping[int, ClientStream]) -> core.Row:
        """The answer to a status of one stream; `mine` are this connection's.  Raises FaultError."""
        row = self._find(args, mine)
        channel = row.channel
        play = channel.account.direction(args.channel)
        if play is None:
            raise FaultError(
                Fault(Code.EINVAL, f"status: the stream was opened to {row.mode}", "ask for that direction")
            )
        seen = self._seen.get(channel, (0, 0, 0))
        record = channel.account.record(channel, play, seen)
        self._seen[channel] = channel.account.told(seen, play)
        return {"version": PROTOCOL_VERSION, "record": record}

    def _find(self, args: StatusArgs, mine: Mapping[int, ClientStream]) -> core.Stream:
        if args.stream is not None and args.id is not None:
            raise FaultError(Fault(Code.EINVAL, "status: both stream and id are given", "leave out one"))
        if args.stream is not None:
            stream = mine.get(args.stream)
            if stream is not None:
                return stream.row
            raise FaultError(
                Fault(Code.EBADF, f"status: stream {args.stream} is not open", "ask for others by id")
            )
        row = self._core.streams.get(args.id or 0)
        if row is None:
            raise FaultError(
                Fault(Code.ENOENT, f"status: there is no stream {args.id}", "`streams` lists their ids")
            )
        return row
