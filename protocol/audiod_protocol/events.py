"""Events: the messages of the protocol as frozen values that check themselves.

Invariant: a message that the protocol does not know cannot be constructed; the
constructor raises ProtocolError, which the connection turns into Local or Remote.
Arguments and results are judged elsewhere (`validate`); shapes are judged here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from audiod_protocol.errors import Fault, ProtocolError
from audiod_protocol.limits import ID_MAX, NSTREAMS, VOL_MAX, WRITE_MAX

__all__ = ["NOTIFICATIONS", "BadRequest", "Event", "Note", "Notification", "Request", "Response"]


def _refuse(what: str, why: str, hint: str) -> ProtocolError:
    return ProtocolError(f"{what}: {why}", hint)


def _check_id(what: str, id: object) -> None:
    if type(id) is not int or not 0 <= id <= ID_MAX:
        raise _refuse(what, f"the message id is {id!r:.40}", f"message ids are integers 0..{ID_MAX}")


def _check_name(what: str, name: object) -> None:
    if not isinstance(name, str) or not name:
        raise _refuse(what, f"the method is {name!r:.40}", "the method is a name, as UTF-8")


@dataclass(frozen=True)
class Request:
    """`[0, id, method, [args]]`: the peer waits for an answer with this id."""

    id: int
    method: str
    args: dict[str, Any]

    def __post_init__(self) -> None:
        _check_id("request", self.id)
        _check_name("request", self.method)
        if not isinstance(self.args, dict) or not all(isinstance(k, str) for k in self.args):
            raise _refuse(
                f"request {self.method}", "its arguments are not a map of names", "send [ {name: value} ]"
            )


@dataclass(frozen=True)
class BadRequest:
    """A request whose parameters are not `[ {args} ]`: answer it with `fault`, and go on."""

    id: int
    method: str
    fault: Fault

    def __post_init__(self) -> None:
        _check_id("request", self.id)
        _check_name("request", self.method)


@dataclass(frozen=True)
class Response:
    """`[1, id, error, result]`: the answer to the request with this id; `error` None is success."""

    id: int
    error: Fault | None = None
    result: Any = None

    def __post_init__(self) -> None:
        _check_id("response", self.id)
        if self.error is not None and (self.result is not None or not isinstance(self.error, Fault)):
            raise _refuse(
                "response", "it has an error and a result", "exactly one of them may be other than nil"
            )


@dataclass(frozen=True)
class Notification:
    """`[2, method, params]`: no answer.  Those that the protocol knows have its parameters."""

    method: str
    params: list[Any]

    def __post_init__(self) -> None:
        _check_name("notification", self.method)
        if not isinstance(self.params, list):
            raise _refuse(f"notification {self.method}", "its parameters are not an array", "send [ ... ]")
        note = NOTIFICATIONS.get(self.method)
        if note is None:
            return
        # a later server may say more; a client may not
        if len(self.params) < len(note.params) or (note.to_server and len(self.params) > len(note.params)):
            raise _refuse(self.method, f"it has {len(self.params)} parameters", f"send {note}")
        for (name, kind), value in zip(note.params, self.params, strict=False):
            if not _KINDS[kind](value):
                raise _refuse(self.method, f"its {name} is {value!r:.40}", f"send {note}")


Event = Request | BadRequest | Response | Notification


@dataclass(frozen=True)
class Note:
    """One notification of the protocol: who sends it, and its parameters as (name, kind)."""

    method: str
    to_server: bool
    params: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return f"{self.method} [{', '.join(name for name, _ in self.params)}]"


def _int(value: object) -> bool:
    return type(value) is int and -(2**63) <= value < 2**63


_KINDS: Final[dict[str, Callable[[Any], bool]]] = {
    "stream": lambda v: type(v) is int and 0 <= v < NSTREAMS,
    "samples": lambda v: isinstance(v, bytes | bytearray | memoryview) and memoryview(v).nbytes <= WRITE_MAX,
    "frames": lambda v: type(v) is int and 0 <= v < 2**32,
    "int": _int,
    "vol": lambda v: type(v) is int and 0 <= v <= VOL_MAX,
    "name": lambda v: isinstance(v, str) and v != "",
    "map": lambda v: isinstance(v, dict),
    "map or nil": lambda v: v is None or isinstance(v, dict),
}

_STREAM = ("stream", "stream")


def _notes(*notes: Note) -> dict[str, Note]:
    return {note.method: note for note in notes}


NOTIFICATIONS: Final = _notes(
    Note("write", True, (_STREAM, ("samples", "samples"))),
    Note("data", False, (_STREAM, ("samples", "samples"))),
    Note("credit", False, (_STREAM, ("frames", "frames"))),
    Note("onmove", False, (_STREAM, ("delta", "int"), ("position", "int"), ("time_ns", "int"))),
    Note("onvol", False, (_STREAM, ("vol", "vol"))),
    Note("onxrun", False, (_STREAM, ("kind", "name"))),
    Note("onstate", False, (_STREAM, ("state", "name"), ("detail", "map or nil"))),
    Note("onstatus", False, (_STREAM, ("event", "name"), ("detail", "map"))),
    Note("changed", False, (("topic", "name"), ("row", "map"))),
    Note("error", False, (("fault", "map"),)),
)
