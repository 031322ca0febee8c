"""One connection without its socket: bytes in, events out, and bytes to send back.

Invariant: `next_event` and `decode` return valid events or raise
RemoteProtocolError, after which the connection is dead; the `send_*` methods
return bytes or raise LocalProtocolError, after which nothing has changed.
The client role keeps the ids that wait for an answer.  The server role keeps
none: the engine answers some requests by itself, in order.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from audiod_protocol import framing
from audiod_protocol.errors import (
    Breach,
    Code,
    Fault,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
    breach_fault,
)
from audiod_protocol.events import NOTIFICATIONS, BadRequest, Event, Notification, Request, Response
from audiod_protocol.framing import name
from audiod_protocol.limits import ANSWER_MAX, ID_MAX, MSG_MAX

__all__ = ["NEED_DATA", "Connection", "NeedData", "Role"]

_NO_MESSAGE = breach_fault(Breach.FORMAT).message


class Role(enum.StrEnum):
    CLIENT = "client"
    SERVER = "server"


class NeedData(enum.Enum):
    """What `next_event` returns when no whole message is there."""

    NEED_DATA = enum.auto()


NEED_DATA: Final = NeedData.NEED_DATA


class Connection:
    """Either end of a connection: `Connection("client")` or `Connection("server")`."""

    def __init__(self, role: Role | Literal["client", "server"]) -> None:
        self.role = Role(role)
        self._size_max = MSG_MAX if self.role is Role.SERVER else ANSWER_MAX
        self._reader = framing.FrameReader(self._size_max)
        self._waiting: dict[int, str] = {}
        self._next_id = 0

    # ---- in ----

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Store what the socket gave; nothing is judged yet."""
        self._reader.feed(data)

    def receive_eof(self) -> None:
        """The peer closed.  Raises RemoteProtocolError if it did so within a message."""
        if self._reader.pending:
            raise RemoteProtocolError(
                f"the peer closed within a message, {self._reader.pending} bytes into it",
                "it has crashed, or was killed",
            )

    def next_event(self) -> Event | Literal[NeedData.NEED_DATA]:
        """The next message, or NEED_DATA.  Raises RemoteProtocolError."""
        message = self._reader.next_message()
        return NEED_DATA if message is None else self._event(message)

    def decode(self, message: bytes) -> Event:
        """The event of exactly one whole message.  Raises RemoteProtocolError."""
        reader = framing.FrameReader(self._size_max)
        reader.feed(message)
        whole = reader.next_message()
        if whole is None or reader.pending:
            raise RemoteProtocolError(
                f"{len(message)} bytes are not exactly one message", "this is the sender's mistake"
            )
        return self._event(whole)

    def _event(self, message: bytes) -> Event:
        try:
            return self._read(framing.unpack(message))
        except ProtocolError as error:
            said = error.message
            if self.role is Role.SERVER and not said.startswith(_NO_MESSAGE):
                said = f"{_NO_MESSAGE}: {said}"  # as README.md promises a client whose connection ends
            raise RemoteProtocolError(said, error.hint) from error

    def _read(self, fields: list[Any]) -> Event:
        kind = fields[0] if fields else None
        if self.role is Role.SERVER and kind == framing.REQUEST and len(fields) == 4 and type(kind) is int:
            return _request(fields)
        if self.role is Role.CLIENT and kind == framing.RESPONSE and len(fields) == 4 and type(kind) is int:
            return self._response(fields)
        if kind == framing.NOTIFICATION and len(fields) == 3 and type(kind) is int:
            return self._notification(fields)
        wanted = "[0, id, method, [args]]" if self.role is Role.SERVER else "[1, id, error, result]"
        raise RemoteProtocolError(
            f"a message of type {kind!r:.40} with {len(fields)} elements",
            f"send {wanted} or [2, method, params]",
        )

    def _response(self, fields: list[Any]) -> Response:
        _, id, error, result = fields
        error, result = _names(error), _names(result)
        event = Response(id, None if error is None else Fault.from_wire(error), result)
        if self._waiting.pop(id, None) is None:
            raise RemoteProtocolError(
                f"an answer to request {id}, which is not waiting", "answer each request once"
            )
        return event

    def _notification(self, fields: list[Any]) -> Notification:
        method, params = name(fields[1]), fields[2]
        note = NOTIFICATIONS.get(method) if isinstance(method, str) else None
        if note is not None and isinstance(params, list):
            if note.to_server is not (self.role is Role.SERVER):
                raise RemoteProtocolError(f"{method} goes the other way", "look up who sends it")
            params = [
                value if kind == "samples" else _names(value)
                for (_, kind), value in zip(note.params, params, strict=False)
            ] + params[len(note.params) :]
        return Notification(method, params)  # type: ignore[arg-type]  # it checks itself

    # ---- out ----

    @property
    def waiting(self) -> Mapping[int, str]:
        """Requests without an answer so far: id to method (client)."""
        return self._waiting

    def send_request(self, method: str, **args: object) -> tuple[int, bytes]:
        """A request with the next free id; arguments that are None are left out."""
        self._must_be(Role.CLIENT)
        id = self._next_id
        while id in self._waiting:
            id = id + 1 if id < ID_MAX else 0
        given = {key: value for key, value in args.items() if value is not None}
        try:
            Request(id, method, given)
        except ProtocolError as error:
            raise LocalProtocolError(error.message, error.hint) from error
        data = framing.pack_request(id, method, given)
        self._waiting[id] = method
        self._next_id = id + 1 if id < ID_MAX else 0
        return id, data

    def send_response(self, id: int, result: object) -> bytes:
        """A request's result (server)."""
        self._must_be(Role.SERVER)
        return framing.pack_response(id, result)

    def send_error(self, id: int, fault: Fault) -> bytes:
        """A request's refusal (server)."""
        self._must_be(Role.SERVER)
        return framing.pack_error(id, fault)

    def send_notification(self, method: str, params: Sequence[object]) -> bytes:
        """A notification that this side may send."""
        note = NOTIFICATIONS.get(method)
        if note is not None and note.to_server is not (self.role is Role.CLIENT):
            raise LocalProtocolError(f"the {self.role} does not send {method}", "look up who sends it")
        try:
            Notification(method, list(params))
        except ProtocolError as error:
            raise LocalProtocolError(error.message, error.hint) from error
        return framing.pack_notification(method, params)

    def _must_be(self, role: Role) -> None:
        if self.role is not role:
            raise LocalProtocolError(f"only the {role} does that", f'construct Connection("{role}")')


def _request(fields: list[Any]) -> Request | BadRequest:
    _, id, method, params = fields
    method = name(method)
    if params == []:
        return Request(id, method, {})  # type: ignore[arg-type]
    if isinstance(params, list) and len(params) == 1 and isinstance(params[0], dict):
        args = {key: _names(value) for key, value in params[0].items()}
        if all(isinstance(key, str) for key in args):
            return Request(id, method, args)  # type: ignore[arg-type]
    what = f"{len(params)} values" if isinstance(params, list) else type(params).__name__
    fault = Fault(
        Code.EINVAL,
        f"{method!r:.40} takes named arguments, [ {{name: value}} ], not {what}",
        "send one map inside an array; an empty array means no arguments",
    )
    return BadRequest(id, method, fault)  # type: ignore[arg-type]


def _names(value: Any) -> Any:
    """Each bin as the name that it is (depth is bounded by the scanner); samples do not come here."""
    if isinstance(value, list):
        return [_names(item) for item in value]
    if isinstance(value, dict):
        return {key: _names(item) for key, item in value.items()}
    return name(value)
