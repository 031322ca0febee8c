"""Arguments of each request, checked by msgspec: the only file that imports it.

Invariant: METHODS lists every method of the protocol; `validate` returns the
arguments as a struct with every value in range, or raises FaultError(EINVAL)
that names the argument, what was expected and what came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from audiod_protocol.channel import EVENTS, StartMode, StopMode
from audiod_protocol.errors import Code, Fault, FaultError
from audiod_protocol.explain import explain, nearest
from audiod_protocol.limits import (
    LIST_MAX,
    NAME_MAX,
    NSTREAMS,
    PROTOCOL_VERSION,
    SNDSTAT_DEVICES,
    SNDSTAT_HANDLES,
    TEXT_MAX,
    VOL_MAX,
)
from audiod_protocol.params import Mode, Par

__all__ = [
    "METHODS",
    "ConfigCheckArgs",
    "ConfigDiffArgs",
    "ConfigReloadArgs",
    "ConfigShowArgs",
    "ControlSetArgs",
    "ControlsArgs",
    "DevicesArgs",
    "DevicesRescanArgs",
    "DuckingArgs",
    "ExportArgs",
    "ForceDuckingArgs",
    "HelloArgs",
    "LinkArgs",
    "Method",
    "MoveArgs",
    "OpenArgs",
    "SetparArgs",
    "SetvolArgs",
    "SndstatAddUserArgs",
    "SndstatArgs",
    "SndstatGetArgs",
    "SndstatOpenArgs",
    "StatusArgs",
    "StreamArgs",
    "StreamsArgs",
    "SubscribeArgs",
    "validate",
]

StreamNumber = Annotated[int, Meta(ge=0, lt=NSTREAMS)]
Name = Annotated[str, Meta(min_length=1, max_length=NAME_MAX)]
Volume = Annotated[int, Meta(ge=0, le=VOL_MAX)]
Number = Annotated[int, Meta(ge=0, lt=2**31)]
Topic = Literal["streams", "devices", "cards", "controls", "ducking", "events"]
Transport = Literal["inline", "shm"]
Export = Literal["state", "config"]
Form = Literal["msgpack", "nvlist"]
Schema = Literal["final", "draft"]
Direction = Literal["play", "rec"]
StatusEvent = Literal["state", "mute", "ducking", "underrun", "overrun", "route"]
Start = Literal["full", "data", "go"]
Stop = Literal["stop", "rollover", "erase"]
Bytes = Annotated[int, Meta(ge=1, lt=2**31)]
_CHOICES: dict[str, tuple[str, ...]] = {
    name: get_args(kind)
    for name, kind in {
        "topics": Topic,
        "transport": Transport,
        "what": Export,
        "channel": Direction,
        "events": StatusEvent,
        "start_mode": Start,
        "stop_mode": Stop,
        "form": Form,
        "schema": Schema,
    }.items()
}
assert get_args(StatusEvent) == EVENTS
assert get_args(Start) == tuple(StartMode) and get_args(Stop) == tuple(StopMode)


class _Args(Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all: an argument that does not exist is an error."""


class HelloArgs(Struct, frozen=True):
    """The one request whose unknown arguments are ignored: by it versions meet."""

    version: int
    client: Name
    pid: Number | None = None
    features: Annotated[list[Name], Meta(max_length=LIST_MAX)] = []


class OpenArgs(_Args, frozen=True):
    mode: str
    device: Name = "default"
    transport: Transport = "inline"
    name: Name | None = None
    type: Name | None = None
    link: Name | None = None
    pinned: bool = False

    @property
    def directions(self) -> Mode:
        return Mode.parse(self.mode)


class StreamArgs(_Args, frozen=True):
    """Arguments of a request that needs nothing but a stream's number."""

    stream: StreamNumber


class SetparArgs(StreamArgs, frozen=True):
    par: Par
    time: bool | None = None
    ust_time: bool | None = None
    start_mode: Start | None = None
    stop_mode: Stop | None = None
    frag_size: Bytes | None = None
    frags_min: Bytes | None = None
    frags_max: Bytes | None = None
    type: Name | None = None


class LinkArgs(StreamArgs, frozen=True):
    group: Name | None = None


class ForceDuckingArgs(StreamArgs, frozen=True):
    on: bool


class SetvolArgs(StreamArgs, frozen=True):
    vol: Volume


class DevicesArgs(_Args, frozen=True):
    pass


class DevicesRescanArgs(_Args, frozen=True):
    pass


class CardsArgs(_Args, frozen=True):
    after: Number | None = None


class StreamsArgs(_Args, frozen=True):
    after: Number | None = None


class StatusArgs(_Args, frozen=True):
    stream: StreamNumber | None = None
    id: Number | None = None
    channel: Direction | None = None


class MoveArgs(_Args, frozen=True):
    id: Number
    device: Name


class ControlsArgs(_Args, frozen=True):
    after: Number | None = None


class ControlSetArgs(_Args, frozen=True):
    name: Name
    value: Volume
    device: Number | None = None
    subdevice: Name | None = None


class DuckingArgs(_Args, frozen=True):
    pass


class SubscribeArgs(_Args, frozen=True):
    topics: Annotated[list[Topic], Meta(max_length=LIST_MAX)]
    events: Annotated[list[StatusEvent], Meta(max_length=LIST_MAX)] = []


class ExportArgs(_Args, frozen=True):
    what: Export


class ConfigShowArgs(_Args, frozen=True):
    pass


class ConfigCheckArgs(_Args, frozen=True):
    text: Annotated[str, Meta(max_length=TEXT_MAX)] | None = None


class ConfigDiffArgs(_Args, frozen=True):
    pass


class ConfigReloadArgs(_Args, frozen=True):
    pass


class SndstatOpenArgs(_Args, frozen=True):
    write: bool = False


class SndstatArgs(_Args, frozen=True):
    """Arguments of a request about a handle of sndstat."""

    handle: Annotated[int, Meta(ge=0, lt=SNDSTAT_HANDLES)]


class SndstatGetArgs(SndstatArgs, frozen=True):
    nbytes: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    form: Form = "msgpack"
    schema: Schema = "final"
    after: Number | None = None


class SndstatAddUserArgs(SndstatArgs, frozen=True):
    nvlist: bytes | None = None
    dsps: Annotated[list[dict[str, Any]], Meta(max_length=SNDSTAT_DEVICES)] | None = None
    strict: bool | None = None


@dataclass(frozen=True)
class Method:
    """One request: its arguments' struct, its result's keys and the codes that may refuse it."""

    name: str
    args: type[Struct]
    result: tuple[str, ...]
    errors: tuple[Code, ...] = ()


def _methods(*methods: Method) -> dict[str, Method]:
    return {method.name: method for method in methods}


_OF_STREAM = (Code.EBADF, Code.EPIPE)
_OF_CHANNEL = (*_OF_STREAM, Code.EBADFD)

METHODS: Final = _methods(
    Method("hello", HelloArgs, ("version", "server", "features", "unit"), (Code.EPROTO,)),
    Method(
        "open",
        OpenArgs,
        ("stream", "device", "subdevice", "mode"),
        (Code.ENODEV, Code.ENOTSUP, Code.EMFILE),
    ),
    Method("setpar", SetparArgs, ("par", "channel"), (*_OF_STREAM, Code.EBUSY)),
    Method("getpar", StreamArgs, ("par", "channel"), _OF_STREAM),
    Method("getcap", StreamArgs, ("cap",), _OF_STREAM),
    Method("start", StreamArgs, ("stream",), (*_OF_STREAM, Code.EBUSY, Code.EBADFD, Code.ENODEV, Code.EIO)),
    Method("stop", StreamArgs, ("stream",), _OF_STREAM),
    Method("flush", StreamArgs, ("stream",), _OF_STREAM),
    Method("close", StreamArgs, ("stream",), (Code.EBADF,)),
    Method("setvol", SetvolArgs, ("stream",), _OF_STREAM),
    Method("prepare", StreamArgs, ("stream",), (*_OF_CHANNEL, Code.ENODEV, Code.EIO)),
    Method("go", StreamArgs, ("stream",), (*_OF_CHANNEL, Code.EAGAIN)),
    Method("pause", StreamArgs, ("stream",), (*_OF_CHANNEL, Code.EAGAIN)),
    Method("resume", StreamArgs, ("stream",), (*_OF_CHANNEL, Code.EAGAIN)),
    Method("play_out", StreamArgs, ("stream",), (*_OF_CHANNEL, Code.EAGAIN)),
    Method("discard", StreamArgs, ("stream",), _OF_CHANNEL),
    Method("link", LinkArgs, ("stream", "group"), (*_OF_STREAM, Code.EBUSY)),
    Method("force_ducking", ForceDuckingArgs, ("stream", "on"), _OF_STREAM),
    Method("devices", DevicesArgs, ("version", "devices")),
    Method("devices.rescan", DevicesRescanArgs, ("version",), (Code.EBUSY,)),
    Method("cards", CardsArgs, ("version", "cards", "endpoints", "scanning", "error", "next")),
    Method("streams", StreamsArgs, ("version", "streams", "next")),
    Method(
        "status",
        StatusArgs,
        (
            *("version", "server", "pid", "unit", "uptime", "sockets", "realtime"),
            *("default", "devices", "streams", "connections", "xruns", "ducking"),
        ),
        (Code.EBADF, Code.ENOENT),
    ),
    Method(
        "stream.move",
        MoveArgs,
        ("id", "device", "subdevice"),
        (Code.ENOENT, Code.ENODEV, Code.EBUSY, Code.EPIPE),
    ),
    Method("controls", ControlsArgs, ("version", "controls", "next")),
    Method("control.set", ControlSetArgs, ("name", "value"), (Code.ENOENT, Code.ENODEV)),
    Method("ducking", DuckingArgs, ("version", "order", "types", "ramps", "programs", "devices")),
    Method("subscribe", SubscribeArgs, ("topics", "events")),
    Method("export", ExportArgs, ("version", "what", "content")),
    Method("config.show", ConfigShowArgs, ("version", "files", "keys")),
    Method("config.check", ConfigCheckArgs, ("version", "changes")),
    Method("config.diff", ConfigDiffArgs, ("version", "changes")),
    Method("config.reload", ConfigReloadArgs, ("version", "changes"), (Code.EPERM,)),
    Method("sndstat.open", SndstatOpenArgs, ("handle",), (Code.EMFILE,)),
    Method("sndstat.refresh", SndstatArgs, ("handle",), (Code.EBADF,)),
    Method(
        "sndstat.get",
        SndstatGetArgs,
        ("nbytes", "dsps", "continues", "nvlist", "next"),
        (Code.EBADF, Code.ENOMEM),
    ),
    Method(
        "sndstat.add_user",
        SndstatAddUserArgs,
        ("handle", "devices"),
        (Code.EBADF, Code.EPERM, Code.ENOMEM),
    ),
    Method("sndstat.flush_user", SndstatArgs, ("handle",), (Code.EBADF, Code.EPERM)),
    Method("sndstat.close", SndstatArgs, ("handle",), (Code.EBADF,)),
)


def validate(method: str, args: Mapping[str, Any]) -> Struct:
    """The arguments of `method` as its struct (METHODS[method].args).

    nil counts as not given.  Raises FaultError: ENOSYS for a method that does
    not exist, EPROTO for another version in hello, else EINVAL.
    """
    known = METHODS.get(method)
    if known is None:
        raise FaultError(
            Fault(Code.ENOSYS, f"there is no method {method[:NAME_MAX]!r}", nearest(method, METHODS))
        )
    given = {key: value for key, value in args.items() if value is not None}
    if method == "hello":
        _check_version(given.get("version"))
    if method == "setpar" and "par" in given:
        given["par"] = Par.from_wire(given["par"])
    if isinstance(given.get("nvlist"), str):  # bytes that happen to be text
        given["nvlist"] = given["nvlist"].encode("utf-8", "surrogatepass")
    try:
        struct = msgspec.convert(given, known.args)
    except msgspec.ValidationError as error:
        names = [field.name for field in msgspec.structs.fields(known.args)]
        raise explain(method, names, _CHOICES, given, str(error)) from error
    if isinstance(struct, OpenArgs):
        _ = struct.directions
    if not isinstance(struct, ConfigCheckArgs):  # that text has lines
        for key, value in given.items():
            _check_text(method, key, value)
    return struct


def _check_version(version: object) -> None:
    if type(version) is int and version != PROTOCOL_VERSION:
        raise FaultError(
            Fault(
                Code.EPROTO,
                f"hello: this server speaks version {PROTOCOL_VERSION}, not {version}",
                f"say hello again with version {PROTOCOL_VERSION}",
            )
        )


def _check_text(method: str, key: str, value: object) -> None:
    """Names end up in logs and on terminals: none may hold control characters."""
    for text in value if isinstance(value, list) else (value,):
        if isinstance(text, str) and any(c < " " or "\x7f" <= c <= "\x9f" for c in text):
            raise FaultError(
                Fault(Code.EINVAL, f"{method}: {key} holds control characters", "send printable text")
            )
