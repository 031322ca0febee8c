"""Arguments of each request, checked by msgspec: the only file that imports it.

Invariant: METHODS lists every method of the protocol; `validate` returns the
arguments as a struct with every value in range, or raises FaultError(EINVAL)
that names the argument, what was expected and what came.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from audiod_protocol.errors import Code, Fault, FaultError
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
from audiod_protocol.params import Mode, Par, wire_type

__all__ = [
    "METHODS",
    "CloseArgs",
    "ConfigCheckArgs",
    "ConfigDiffArgs",
    "ConfigReloadArgs",
    "ConfigShowArgs",
    "ControlSetArgs",
    "ControlsArgs",
    "DevicesArgs",
    "DevicesRescanArgs",
    "ExportArgs",
    "FlushArgs",
    "GetcapArgs",
    "GetparArgs",
    "HelloArgs",
    "Method",
    "MoveArgs",
    "OpenArgs",
    "SetparArgs",
    "SetvolArgs",
    "SndstatAddUserArgs",
    "SndstatArgs",
    "SndstatGetArgs",
    "SndstatOpenArgs",
    "StartArgs",
    "StatusArgs",
    "StopArgs",
    "StreamArgs",
    "StreamsArgs",
    "SubscribeArgs",
    "validate",
]

StreamNumber = Annotated[int, Meta(ge=0, lt=NSTREAMS)]
Name = Annotated[str, Meta(min_length=1, max_length=NAME_MAX)]
Volume = Annotated[int, Meta(ge=0, le=VOL_MAX)]
Number = Annotated[int, Meta(ge=0, lt=2**31)]
Topic = Literal["streams", "devices", "cards", "controls", "events"]
Transport = Literal["inline", "shm"]
Export = Literal["state", "config"]
Form = Literal["msgpack", "nvlist"]
Schema = Literal["final", "draft"]
_LITERALS = {"topics": Topic, "transport": Transport, "what": Export, "form": Form, "schema": Schema}


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

    @property
    def directions(self) -> Mode:
        return Mode.parse(self.mode)


class StreamArgs(_Args, frozen=True):
    """Arguments of a request that needs nothing but a stream's number."""

    stream: StreamNumber


class SetparArgs(StreamArgs, frozen=True):
    par: Par


class GetparArgs(StreamArgs, frozen=True):
    pass


class GetcapArgs(StreamArgs, frozen=True):
    pass


class StartArgs(StreamArgs, frozen=True):
    pass


class StopArgs(StreamArgs, frozen=True):
    pass


class FlushArgs(StreamArgs, frozen=True):
    pass


class CloseArgs(StreamArgs, frozen=True):
    pass


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


class SubscribeArgs(_Args, frozen=True):
    topics: Annotated[list[Topic], Meta(max_length=LIST_MAX)]


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

METHODS: Final = _methods(
    Method("hello", HelloArgs, ("version", "server", "features", "unit"), (Code.EPROTO,)),
    Method(
        "open",
        OpenArgs,
        ("stream", "device", "subdevice", "mode"),
        (Code.ENODEV, Code.ENOTSUP, Code.EMFILE),
    ),
    Method("setpar", SetparArgs, ("par",), (*_OF_STREAM, Code.EBUSY)),
    Method("getpar", GetparArgs, ("par",), _OF_STREAM),
    Method("getcap", GetcapArgs, ("cap",), _OF_STREAM),
    Method("start", StartArgs, ("stream",), (*_OF_STREAM, Code.EBUSY, Code.ENODEV, Code.EIO)),
    Method("stop", StopArgs, ("stream",), _OF_STREAM),
    Method("flush", FlushArgs, ("stream",), _OF_STREAM),
    Method("close", CloseArgs, ("stream",), (Code.EBADF,)),
    Method("setvol", SetvolArgs, ("stream",), _OF_STREAM),
    Method("devices", DevicesArgs, ("version", "devices")),
    Method("devices.rescan", DevicesRescanArgs, ("version",), (Code.EBUSY,)),
    Method("cards", CardsArgs, ("version", "cards", "endpoints", "scanning", "error", "next")),
    Method("streams", StreamsArgs, ("version", "streams", "next")),
    Method(
        "status",
        StatusArgs,
        (
            *("version", "server", "pid", "unit", "uptime", "sockets", "realtime"),
            *("default", "devices", "streams", "connections", "xruns"),
        ),
        (Code.ENOTSUP,),
    ),
    Method(
        "stream.move",
        MoveArgs,
        ("id", "device", "subdevice"),
        (Code.ENOENT, Code.ENODEV, Code.EBUSY, Code.EPIPE),
    ),
    Method("controls", ControlsArgs, ("version", "controls", "next")),
    Method("control.set", ControlSetArgs, ("name", "value"), (Code.ENOENT, Code.ENODEV)),
    Method("subscribe", SubscribeArgs, ("topics",)),
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
            Fault(Code.ENOSYS, f"there is no method {method[:NAME_MAX]!r}", _nearest(method, METHODS))
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
        raise _explain(known, given, str(error)) from error
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


_WORDS = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)


def _explain(method: Method, given: Mapping[str, Any], text: str) -> FaultError:
    """msgspec's words in ours."""
    names = [field.name for field in msgspec.structs.fields(method.args)]
    if found := _UNKNOWN.fullmatch(text):
        message = f"{method.name}: there is no argument {found[1][:NAME_MAX]!r}"
        return FaultError(Fault(Code.EINVAL, message, _nearest(found[1], names)))
    if found := _MISSING.fullmatch(text):
        message = f"{method.name}: the argument {found[1]!r} is missing"
        return FaultError(Fault(Code.EINVAL, message, "it takes " + ", ".join(names)))
    words = _WORDS.fullmatch(text)
    assert words is not None  # every text matches
    path = words["path"] or ""
    value: Any = given
    for step in re.findall(r"[^.\[\]]+", path):
        value = value[int(step)] if isinstance(value, list) else value[step]
    expected = _expected(path.split("[")[0], words["what"])
    message = f"{method.name}: {path}: {expected}, not {wire_type(value)} {value!r:.40}"
    return FaultError(Fault(Code.EINVAL, message, "it takes " + ", ".join(names)))


def _expected(argument: str, what: str) -> str:
    """msgspec's expectation with the protocol's names of the types."""
    what = re.sub(r", got .*", "", what, flags=re.DOTALL).replace("`", "").replace(" | null", "")
    if not what.startswith("Expected "):
        return "it must be one of " + ", ".join(get_args(_LITERALS[argument]))
    for theirs, ours in (("Expected ", "it must be "), ("int", "an integer"), ("object", "a map")):
        what = what.replace(theirs, ours)
    return what.replace(" str", " a string").replace(" array", " an array")


def _nearest(word: str, words: Iterable[str]) -> str:
    words = list(words)
    close = difflib.get_close_matches(word[:NAME_MAX], words, 1)
    return f"did you mean {close[0]!r}?" if close else "it takes " + (", ".join(words) or "no arguments")
