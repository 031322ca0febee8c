"""A connection that speaks audiod's own protocol: requests and their answers, any number of streams, changes.

Invariant: each request has one `Call`, which is finished when its answer comes,
whether or not anybody waits.  Runs in the caller's thread.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audiod_protocol.connection import NEED_DATA, Connection
from audiod_protocol.errors import Fault, RemoteProtocolError
from audiod_protocol.events import Notification, Response
from audiod_protocol.limits import NAME_MAX, PROTOCOL_VERSION
from audiod_protocol.params import Mode

from audiod_client._native_channel import ChannelStream
from audiod_client._native_stream import NativeStream
from audiod_client._session import Change, Op, Session, direction
from audiod_client.errors import StreamError, as_stream_error
from audiod_client.names import Wire

__all__ = ["CHANGES_MAX", "Call", "NativeSession"]

CHANGES_MAX = 1024  # rows kept for a subscriber that does not read; then it must read the lists again


@dataclass
class Call:
    """A request that was sent: `result` or `error` is its answer once it is `done`."""

    method: str
    then: Callable[[Call], None] | None = None  # on arrival of the answer, whether or not anybody waits
    done: bool = False
    result: Any = None
    error: StreamError | None = None
    abandoned: bool = False  # nobody waits any more

    def finish(self, result: Any, error: StreamError | None) -> None:
        self.result, self.error = result, error
        try:
            with as_stream_error():
                if self.then is not None:
                    self.then(self)
        except StreamError as err:
            self.error = err
            raise
        finally:
            self.done = True


class NativeSession(Session):
    """The client's end of one connection."""

    wire = Wire.NATIVE

    def __init__(self, client_name: str) -> None:
        super().__init__(client_name[:NAME_MAX] or "python")
        self.streams: dict[int, NativeStream] = {}
        self._wire = Connection("client")
        self._calls: dict[int, Call] = {}
        self._changes: deque[Change] = deque()
        self._lost_changes = False

    # ---- bytes ----

    def _take(self, data: bytes) -> None:
        self._wire.receive_data(data)
        while self.error is None and (event := self._wire.next_event()) is not NEED_DATA:
            if isinstance(event, Response):
                self._answer(event)
            elif isinstance(event, Notification):
                self._notify(event)

    def _end(self) -> None:
        self._wire.receive_eof()

    def _failed(self, error: StreamError) -> None:
        for stream in list(self.streams.values()):
            stream.fail(error)
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.finish(None, error)

    def _answer(self, event: Response) -> None:
        call = self._calls.pop(event.id)
        call.finish(event.result, None if event.error is None else StreamError.of_fault(event.error))

    def _notify(self, event: Notification) -> None:
        method, params = event.method, event.params
        if method == "error":
            self.fail(StreamError.of_fault(Fault.from_wire(params[0])))
        elif method == "changed":
            if len(self._changes) >= CHANGES_MAX:
                self._changes.clear()
                self._lost_changes = True
            self._changes.append(Change(params[0], params[1]))
        elif params and (stream := self.streams.get(params[0])) is not None:
            stream.notify(method, params)

    # ---- requests ----

    def post(self, method: str, params: Sequence[object]) -> None:
        """Queue a notification."""
        with as_stream_error():
            self.out += self._wire.send_notification(method, params)

    def send(
        self, method: str, args: Mapping[str, object], then: Callable[[Call], None] | None = None
    ) -> Call:
        """Queue a request; nobody need wait for its answer.  Raises StreamError."""
        if self.error is not None:
            raise self.error
        with as_stream_error():
            number, data = self._wire.send_request(method, **args)
        call = self._calls[number] = Call(method, then)
        self.out += data
        return call

    def wait(self, call: Call) -> Op[Any]:
        """The result of a call, or its error raised."""
        try:
            while not call.done:
                yield
        finally:
            call.abandoned = not call.done
        if call.error is not None:
            raise call.error
        return call.result

    def request(self, method: str, args: Mapping[str, object]) -> Op[Any]:
        return (yield from self.wait(self.send(method, args)))

    def hello(self) -> Op[dict[str, Any]]:
        args = {"version": PROTOCOL_VERSION, "client": self.client_name, "pid": os.getpid(), "features": []}
        self.server = _map("hello", (yield from self.request("hello", args)))
        return self.server

    def open(
        self,
        device: str,
        mode: str | Mode,
        name: str | None,
        role: str | None,
        link: str | None,
        pinned: bool = False,
    ) -> Op[NativeStream]:
        opened: list[NativeStream] = []

        def arrived(call: Call) -> None:
            if call.error is not None:
                return
            row = _map("open", call.result)
            number = row.get("stream")
            if type(number) is not int or number in self.streams:
                raise RemoteProtocolError(f"open answered with the stream {number!r:.40}")
            stream = ChannelStream(self, number, wanted, row)
            self.streams[number] = stream
            opened.append(stream)
            if call.abandoned:
                stream.abandon()

        wanted = direction(mode)
        named = "mon" if mode == "mon" else str(wanted)
        args: dict[str, object] = {"device": device, "mode": named, "transport": "inline"}
        more: dict[str, object] = {"name": name, "type": role, "link": link, "pinned": pinned or None}
        args |= {key: value for key, value in more.items() if value is not None}
        yield from self.wait(self.send("open", args, arrived))
        return opened[0]

    # ---- changes ----

    def change(self) -> Op[Change]:
        """As the base says.  Raises StreamError(EOVERFLOW) once if CHANGES_MAX came without being read."""
        while True:
            if self._lost_changes:
                self._lost_changes = False
                raise StreamError(
                    "EOVERFLOW",
                    f"more than {CHANGES_MAX} changes came without being read, and the oldest were dropped",
                    "read the lists again (devices, streams, controls), and read changes more often",
                )
            if self._changes:
                return self._changes.popleft()
            if self.error is not None:
                raise self.error
            yield


def _map(method: str, result: Any) -> dict[str, Any]:
    if not isinstance(result, dict):
        raise StreamError(
            "EPROTO", f"the server's answer to {method} is not a map", "check that both have the same version"
        )
    return result
