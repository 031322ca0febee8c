"""Schema: which tables and keys a configuration file may have, and what each of them takes.

msgspec checks types and ranges, and nothing of it is seen outside; our own
readers make what the daemon works with.  Collects every problem with its place
and the nearest key that exists.  Pure.
"""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
from audiod_protocol.errors import FaultError
from audiod_protocol.limits import NCHAN_MAX, RATE_MAX, RATE_MIN
from audiod_protocol.params import Enc
from msgspec import Meta

from audiod import audiotype, spec
from audiod.audiotype import Percents, Preempt, Same
from audiod.cards.fader import Use
from audiod.errors import AudiodError, ConfigError, Problem
from audiod.fallback import OnLoss, OnNew
from audiod.options import LEVELS, PORTS_MAX, UNIT_MAX, check_host, check_port
from audiod.policy import Share
from audiod.sndstat.words import CHAIN_STYLES
from audiod.subdevice import VOLUME_MAX, SubMode, check_name
from audiod.tomllines import Path

PROBLEMS_MAX = 20  # reported at once
SNDIO_STREAMS_MAX = 2048  # each takes a connection, and there are no more of them
PRIORITY_MIN, PRIORITY_MAX = -(1 << 31), (1 << 31) - 1  # an int32 of D-Bus
_SHOWN = 40  # characters of a wrong value that are repeated


@dataclass(frozen=True)
class Setting:
    """A value and where it was said: file:line, or "command line"."""

    value: Any
    origin: str


Table = dict[str, Setting]


@dataclass
class DeviceTable:
    """One [[device]]: its settings, and its sub-devices with theirs."""

    place: str
    settings: Table = field(default_factory=dict)
    subdevices: list[Table] = field(default_factory=list)


@dataclass
class Listed:
    """One element of an array of tables: its settings, and where it begins."""

    place: str
    settings: Table


@dataclass
class File:
    """What one file says; `listed`: of LISTED, in its order."""

    tables: dict[str, Table] = field(default_factory=dict)
    devices: list[DeviceTable] = field(default_factory=list)
    listed: dict[str, list[Listed]] = field(default_factory=dict)


class Problems:
    """What was found wrong so far; too much of it ends the reading by ConfigError."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def add(self, where: str, message: str, hint: str = "") -> None:
        self.found.append(Problem(where, message, hint))
        if len(self.found) == PROBLEMS_MAX:
            raise ConfigError(self.found)

    def check(self) -> None:
        """Raise ConfigError if there is a problem."""
        if self.found:
            raise ConfigError(self.found)


@dataclass(frozen=True)
class Key:
    """What a key takes: msgspec's type, the same in words, and what makes our value of it."""

    type: Any
    expected: str
    read: Callable[[Any], Any] = lambda value: value


# ---- readers: each raises ValueError, AudiodError or FaultError --------------------------


def _path(value: str) -> str:
    if "\0" in value:
        raise ValueError("a path cannot hold a NUL")
    return value


def _line(value: str) -> str:
    if not value.isprintable():
        raise ValueError(f"{value[:_SHOWN]!r} is more than a line of text")
    return value


def _hosts(value: list[str]) -> list[str]:
    for host in value:
        if wrong := check_host(host):
            raise ValueError(f"{host[:_SHOWN]!r}: {wrong}")
    return value


def _ports(value: list[str]) -> list[str]:
    if len(value) > PORTS_MAX:
        raise ValueError(f"there are more than {PORTS_MAX} MIDI ports")
    for at, text in enumerate(value):
        if wrong := check_port(text) or ("this port is there twice" if text in value[:at] else ""):
            raise ValueError(f"{text[:_SHOWN]!r}: {wrong}")
    return value


def _spec(value: str) -> tuple[str, spec.DeviceSpec]:
    return value, spec.parse(value)


def _specs(value: list[str]) -> list[tuple[str, spec.DeviceSpec]]:
    for at, text in enumerate(value):
        if text in value[:at]:
            raise ValueError(f"{text[:_SHOWN]!r} is there twice")
    return [_spec(text) for text in value]


def _channels(value: list[int]) -> tuple[int, int]:
    first, last = value
    if first > last:
        raise ValueError(f"the first channel, {first}, is behind the last one, {last}")
    return first, last


def _mode(value: str) -> SubMode:
    words = {flag.name.lower(): flag for flag in SubMode if flag.name}
    mode = SubMode(0)
    for word in value.split(","):
        if word not in words:
            raise ValueError(f"{word!r:.{_SHOWN}} is not one of {', '.join(words)}")
        mode |= words[word]
    return mode


def _name(value: str) -> str:
    if wrong := check_name(value[:_SHOWN]):
        raise ValueError(wrong)
    return value


def _type_name(value: str) -> str:
    if wrong := audiotype.check_name(value):
        raise ValueError(wrong)
    return value


def _percents(value: int | str) -> Percents:
    return audiotype.percents(str(value))


# ---- tables -----------------------------------------------------------------------------


def _int(least: int, most: int, what: str) -> Key:
    return Key(Annotated[int, Meta(ge=least, le=most)], f"{what}, {least}..{most},")


_BOOL = Key(bool, "true or false")
_ABSOLUTE = Key(Annotated[str, Meta(pattern="^/")], "an absolute path", _path)
_CHANNELS = Key(
    Annotated[list[Annotated[int, Meta(ge=0, lt=NCHAN_MAX)]], Meta(min_length=2, max_length=2)],
    f"[first, last] channel, 0..{NCHAN_MAX - 1},",
    _channels,
)
_FORMAT = {
    "rate": _int(RATE_MIN, RATE_MAX, "a rate in Hz"),
    "round": _int(1, spec.ROUND_MAX, "frames of a block"),
    "bufsz": _int(4, spec.BUFSZ_MAX, "frames of a buffer"),
    "enc": Key(str, "an encoding such as s16le or s24le3", Enc.parse),
}
_RULE = {
    "on_loss": Key(Literal[tuple(map(str, OnLoss))], "one of " + ", ".join(OnLoss), OnLoss),
    "on_new": Key(Literal[tuple(map(str, OnNew))], "one of " + ", ".join(OnNew), OnNew),
}
TABLES: dict[str, dict[str, Key]] = {
    "server": {
        "socket": _ABSOLUTE,
        "unit": _int(0, UNIT_MAX, "a unit"),
        "realtime": _BOOL,
        "log_level": Key(Literal[LEVELS], "one of " + ", ".join(LEVELS)),
        "users": Key(Annotated[str, Meta(min_length=1)], "the name of a group"),
    },
    "defaults": _FORMAT | _RULE,
    "sndio": {
        "socket": Key(Annotated[str, Meta(pattern="^(/|none$)")], 'an absolute path or "none"', _path),
        "listen": Key(list[str], "an array of addresses", _hosts),
        "share": Key(Literal[tuple(map(str, Share))], "one of " + ", ".join(Share)),
        "streams": _int(1, SNDIO_STREAMS_MAX, "a number of streams"),
    },
    "midi": {"ports": Key(list[str], "an array of MIDI ports", _ports), "hold": _BOOL},
    "state": {"path": _ABSOLUTE, "enabled": _BOOL},
    "ducking": {"file": _ABSOLUTE},
    "cards": {"reserve": _BOOL, "priority": _int(PRIORITY_MIN, PRIORITY_MAX, "a priority")},
    "sndstat": {
        "provider": Key(str, "a name", _line),
        "feederchain": Key(Literal[CHAIN_STYLES], "one of " + ", ".join(CHAIN_STYLES)),
        "strict": _BOOL,
    },
}
DEVICE = {
    "spec": Key(str, "a device such as null or file:PATH", _spec),
    "alternates": Key(list[str], "an array of devices", _specs),
    "hold": _BOOL,
    "autovol": _BOOL,
    "mixer": Key(Literal[tuple(map(str, Use))], "one of " + ", ".join(Use)),
    "elements": _BOOL,
} | (_FORMAT | _RULE)
SUBDEVICE = {
    "name": Key(str, "a name", _name),
    "play": _CHANNELS,
    "rec": _CHANNELS,
    "mode": Key(str, "play, rec and mon, separated by commas,", _mode),
    "join": _BOOL,
    "mmc": _BOOL,
    "volume": _int(0, VOLUME_MAX, "a volume"),
    "type": Key(str, "the name of an audio type", _type_name),
}
_PERCENTS = Key(int | str, "a percentage, 0..100, noducking or channels such as ch0:50,ch1:100,", _percents)
_PREEMPT = Key(Literal[tuple(map(str, Preempt))], "one of " + ", ".join(Preempt), Preempt)
_TYPE = Key(str, "the name of an audio type", _type_name)
LISTED: dict[str, dict[str, Key]] = {
    "audio_type": {
        "name": _TYPE,
        "prio": Key(Literal["same", "decr"], "same or decr"),
        "duck_same_prio_policy": Key(Literal[tuple(map(str, Same))], "one of " + ", ".join(Same), Same),
        "duck_same_prio_percent": _PERCENTS,
        "duck_lower_prio_percent": _PERCENTS,
        "preemptable": _BOOL,
        "preemption_by_higher": _PREEMPT,
        "preemption_by_same": _PREEMPT,
        "transient": _BOOL,
    },
    "vol_ramp": {
        "name": Key(Literal[audiotype.RAMPS], "one of " + ", ".join(audiotype.RAMPS)),
        "duration": _int(0, audiotype.RAMP_MS_MAX, "milliseconds"),
        "profile": Key(str, "segments such as 20:10,60:80,20:10", audiotype.profile),
    },
    "program": {
        "name": Key(Annotated[str, Meta(min_length=1)], "the name of a program"),
        "type": _TYPE,
    },
}
_REQUIRED = {
    "audio_type": ("name",),
    "vol_ramp": ("name", "duration"),
    "program": ("name", "type"),
}
_TOP = (*TABLES, "device", *LISTED)
_EVERY = {**TABLES, "device": DEVICE, "device.subdevice": SUBDEVICE, **LISTED}


def read(tree: Mapping[str, Any], where: Callable[[Path], str], problems: Problems) -> File:
    """What a parsed file says, without what is wrong in it: that goes to `problems`."""
    return Reading(where, problems).file(tree)


class Reading:
    """One reading; paths are as tomllines has them."""

    def __init__(self, where: Callable[[Path], str], problems: Problems) -> None:
        self.where = where
        self.problems = problems

    def file(self, tree: Mapping[str, Any]) -> File:
        file = File()
        for name, value in tree.items():
            if name in TABLES:
                file.tables[name] = self._table(value, (name,), TABLES[name])
            elif name == "device":
                for number, one in enumerate(self._list(value, (name,))):
                    file.devices.append(self._device(one, (name, number)))
            elif name in LISTED:
                for number, one in enumerate(self._list(value, (name,))):
                    file.listed.setdefault(name, []).append(self.listed(one, (name, number)))
            else:
                self._unknown((name,), _TOP)
        return file

    def _device(self, value: Any, path: Path) -> DeviceTable:
        self._need(value, path, "spec", "device")
        device = DeviceTable(self.where(path), self._table(value, path, DEVICE, "subdevice"))
        subs = value.get("subdevice", []) if isinstance(value, dict) else []
        for number, one in enumerate(self._list(subs, (*path, "subdevice"))):
            here = (*path, "subdevice", number)
            self._need(one, here, "name", "sub-device")
            device.subdevices.append(self._table(one, here, SUBDEVICE))
        return device

    def listed(self, value: Any, path: Path, required: Sequence[str] = (), assign: str = " = ") -> Listed:
        """An element of one of LISTED; `required`: keys that must be there besides its own."""
        name = str(path[0])
        for key in dict.fromkeys((*_REQUIRED[name], *required)):
            self._need(value, path, key, name, assign)
        return Listed(self.where(path), self._table(value, path, LISTED[name]))

    def _need(self, value: Any, path: Path, name: str, what: str, assign: str = " = ") -> None:
        if isinstance(value, dict) and name not in value:
            self.problems.add(
                self.where(path), f"{_dotted(path)}: the {what} has no {name}", f"write {name}{assign}..."
            )

    def _list(self, value: Any, path: Path) -> list[Any]:
        if isinstance(value, list):
            return value
        self.problems.add(
            self.where(path),
            f"{_dotted(path)}: an array of tables is expected, not {_shown(value)}",
            f"write [[{'.'.join(str(step) for step in path if isinstance(step, str))}]]",
        )
        return []

    def _table(self, value: Any, path: Path, keys: Mapping[str, Key], inner: str = "") -> Table:
        if not isinstance(value, dict):
            self.problems.add(self.where(path), f"{_dotted(path)}: a table is expected, not {_shown(value)}")
            return {}
        table = {}
        for name, one in value.items():
            here = (*path, name)
            if name in keys:
                try:
                    table[name] = Setting(self._value(one, keys[name]), self.where(here))
                except (ValueError, AudiodError, FaultError) as error:
                    self.problems.add(self.where(here), f"{_dotted(here)}: {_message(error)}", _hint(error))
            elif name != inner:
                self._unknown(here, [*keys, inner] if inner else keys)
        return table

    def _value(self, value: Any, key: Key) -> Any:
        try:
            checked = msgspec.convert(value, key.type)
        except msgspec.ValidationError:
            raise ValueError(f"{key.expected} is expected, not {_shown(value)}") from None
        return key.read(checked)

    def _unknown(self, path: Path, known: Iterable[str]) -> None:
        *table, name = path
        key, names = str(name)[:64], list(known)
        owner = next((owner for owner, keys in _EVERY.items() if key in keys), None)
        near = difflib.get_close_matches(key, names, 1)
        if owner is not None:
            hint = f"{key} belongs to " + (f"[{owner}]" if owner in TABLES else f"[[{owner}]]")
        elif near:
            hint = f"did you mean {near[0]!r}?"
        else:
            hint = "there are " + ", ".join(names)
        inside = f"[{_dotted(tuple(table))}] has no key" if table else "there is no table or key"
        self.problems.add(self.where(path), f"{inside} {key!r}", hint)


def _dotted(path: Path) -> str:
    return ".".join(str(step)[:64] for step in path)


def _shown(value: object) -> str:
    """A value of TOML with its type, shortened."""
    kind = next(name for types, name in _KINDS if isinstance(value, types))
    if isinstance(value, dict | list):
        return f"a {kind}" if kind == "table" else f"an {kind}"
    text = repr(value) if isinstance(value, str) else str(value).lower()
    return f"the {kind} {text:.{_SHOWN}}"


_KINDS: tuple[tuple[Any, str], ...] = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "float"),
    (str, "string"),
    (list, "array"),
    (dict, "table"),
    ((datetime.datetime, datetime.date, datetime.time), "date"),
)


def _message(error: Exception) -> str:
    return error.fault.message if isinstance(error, FaultError) else str(error)


def _hint(error: Exception) -> str:
    if isinstance(error, FaultError):
        return error.fault.hint
    return error.hint if isinstance(error, AudiodError) else ""
