"""A handle of sndstat, for both shells: listings put together from their pages, devices that are added.

Invariant: operations send requests and read answers, whose shapes they check;
the shells wait.  Semantics: sndstat(4), as protocol/README.md tells them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from audiod_client._session import Op, Session
from audiod_client.errors import StreamError

__all__ = ["Schema", "SndstatCore"]

Schema = Literal["final", "draft"]
Row = dict[str, Any]


class SndstatCore:
    """One handle, from `opened`."""

    def __init__(self, session: Session, handle: int) -> None:
        self._session = session
        self.handle = handle

    @classmethod
    def opened(cls, session: Session, write: bool) -> Op[SndstatCore]:
        answer = yield from session.request("sndstat.open", {"write": write})
        return cls(session, int(answer["handle"]))

    def call(self, method: str, **args: object) -> Op[Any]:
        given = {key: value for key, value in args.items() if value is not None}
        return (yield from self._session.request(f"sndstat.{method}", {"handle": self.handle, **given}))

    def abandon(self) -> None:
        """Close it without waiting for the answer: what it provides goes."""
        if self._session.error is None:
            op = self.call("close")
            next(op, None)
            op.close()

    def size(self, schema: Schema) -> Op[int]:
        answer = yield from self.call("get", nbytes=0, schema=schema)
        return int(answer["nbytes"])

    def packed(self, schema: Schema) -> Op[bytes]:
        pieces: list[bytes] = []
        after: int | None = None
        while True:
            answer = yield from self.call("get", form="nvlist", schema=schema, after=after)
            piece = answer["nvlist"]  # bytes that happen to be text come as text
            pieces.append(piece.encode() if isinstance(piece, str) else piece)
            after = answer["next"]
            if after is None:
                break
        data = b"".join(pieces)
        if len(data) != answer["nbytes"]:
            raise _wrong(f"a list of {answer['nbytes']} bytes came with {len(data)}")
        return data

    def listing(self, schema: Schema) -> Op[list[Row]]:
        rows: list[Row] = []
        after: int | None = None
        while True:
            answer = yield from self.call("get", schema=schema, after=after)
            found = answer["dsps"]
            if answer["continues"]:
                if not rows or not found:
                    raise _wrong("a page goes on with nothing")
                rows[-1]["provider_info"]["channel_info"] += found[0]["provider_info"]["channel_info"]
                found = found[1:]
            rows += found
            after = answer["next"]
            if after is None:
                return rows

    def add(self, devices: bytes | Sequence[Row], strict: bool | None) -> Op[int]:
        if isinstance(devices, bytes | bytearray | memoryview):
            answer = yield from self.call("add_user", nvlist=bytes(devices), strict=strict)
        else:
            answer = yield from self.call("add_user", dsps=list(devices), strict=strict)
        return int(answer["devices"])


def _wrong(what: str) -> StreamError:
    return StreamError("EPROTO", f"sndstat.get: {what}", "check that both have the same version")
