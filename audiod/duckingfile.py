"""Ducking's files: QNX's syntax for policies, and the Policy that it or our own configuration describes.

QNX's file is read into the settings that `[[audio_type]]` and `[[vol_ramp]]` have
in TOML; from there on both are one.  Every mistake is told with file:line.  Pure:
texts in, values out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from audiod.audiotype import FULL, LINEAR, AudioType, Policy, Preempt, Ramp, Ramps, Same
from audiod.schema import Listed, Problems, Reading
from audiod.tomllines import Path

SECTIONS = ("audio_type", "vol_ramp")
TYPES_MAX = 32  # the cost of a decision grows with them, and nobody tells more apart
FILE_MAX = 64 * 1024  # bytes: some 500 for each type
HINT = "a section is [audio_type] or [vol_ramp], a key is name=value"
# QNX requires all of these
_REQUIRED = {
    "audio_type": ("prio", "duck_same_prio_policy", "duck_same_prio_percent", "duck_lower_prio_percent"),
    "vol_ramp": (),
}


def parse(name: str | PurePath, data: bytes, problems: Problems) -> dict[str, list[Listed]]:
    """What a file in QNX's syntax says, without what is wrong in it: that goes to `problems`."""
    if len(data) > FILE_MAX:
        problems.add(str(name), f"it has {len(data)} bytes, more than {FILE_MAX}", "is this the right file?")
        return {}
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problems.add(f"{name}:{line}", "this is not UTF-8", "save the file as UTF-8")
        return {}
    lines: dict[Path, int] = {}
    found: dict[str, list[dict[str, Any]]] = {section: [] for section in SECTIONS}
    keys: dict[str, Any] | None = None
    path: Path = ()
    for number, row in enumerate(text.split("\n"), 1):
        said = row.partition("#")[0].strip()
        if not said:
            continue
        try:
            section = _section(said)
            if section is not None:
                keys = {}
                path = (section, len(found[section]))
                found[section].append(keys)
                lines[path] = number
                continue
            key, value = _pair(said)
            if keys is None:
                raise ValueError(f"{key[:40]!r} is in no section")
            if key in keys:
                raise ValueError(f"{key[:40]!r} is at line {lines[*path, key]} already")
            keys[key] = value
            lines[*path, key] = number
        except ValueError as error:
            problems.add(f"{name}:{number}", str(error), HINT)
            if keys is None or said.startswith("["):
                keys, path = {}, ()  # what follows is told of nothing
    reading = Reading(lambda path: f"{name}:{lines[path]}", problems)
    return {
        section: [
            reading.listed(one, (section, number), _REQUIRED[section], "=") for number, one in enumerate(ones)
        ]
        for section, ones in found.items()
    }


def _section(line: str) -> str | None:
    if not line.startswith("["):
        return None
    if line.endswith("]") and line[1:-1] in SECTIONS:
        return line[1:-1]
    raise ValueError(f"there is no section {line[:40]!r}")


def _pair(line: str) -> tuple[str, bool | int | str]:
    key, equals, value = (part.strip() for part in line.partition("="))
    if not equals or not key:
        raise ValueError(f"{line[:40]!r} is not name=value")
    if not value:
        raise ValueError(f"{key[:40]!r} has no value")
    if re.search(r"\s", key + value):
        raise ValueError(f"{line[:40]!r}: white space inside a name or a value")
    if value in ("true", "false"):
        return key, value == "true"
    if re.fullmatch("[0-9]{1,9}", value) and key != "name":
        return key, int(value)
    return key, value


def policy(types: Sequence[Listed], ramps: Sequence[Listed], problems: Problems) -> Policy | None:
    """The policy of these tables; None if there are no types, or none without a mistake."""
    found: list[AudioType] = []
    places: dict[str, str] = {}
    if len(types) > TYPES_MAX:
        problems.add(types[TYPES_MAX].place, f"there are more than {TYPES_MAX} audio types", "leave some out")
    for one in types:
        if "name" not in one.settings:
            continue  # a problem that is known already
        kind = _type(one, found[-1] if found else None, problems)
        first = places.setdefault(kind.name.casefold(), one.settings["name"].origin)
        if first is not one.settings["name"].origin:
            problems.add(
                one.settings["name"].origin,
                f"audio type {kind.name!r} is at {first} already",
                "give each type its own name; their case does not count",
            )
            continue
        found.append(kind)
    known = _ramps(ramps, problems)
    return Policy(tuple(found), known) if found else None


def _type(one: Listed, before: AudioType | None, problems: Problems) -> AudioType:
    """`before`: the type before it, or None: the first has the highest priority."""

    def said(key: str, default: Any) -> Any:
        setting = one.settings.get(key)
        return default if setting is None else setting.value

    level = 0 if before is None else before.level + (said("prio", "decr") == "decr")
    mates = before if before is not None and before.level == level else None
    same = said("duck_same_prio_policy", mates.same if mates else Same.LAST_WINS)
    if mates is not None and same is not mates.same:
        problems.add(
            one.settings["duck_same_prio_policy"].origin,
            f"audio type {said('name', '')!r} has {same}, but {mates.name!r}, of its priority, {mates.same}",
            "types of one priority have one duck_same_prio_policy",
        )
    both = said("preemptable", None)
    ways = [said(key, None) for key in ("preemption_by_higher", "preemption_by_same")]
    if both is False and any(way not in (None, Preempt.NO) for way in ways):
        problems.add(
            one.settings["preemptable"].origin,
            f"audio type {said('name', '')!r} is not preemptable, yet a preemption_by_ key says how it is",
            "leave one of them out",
        )
    default = Preempt.SUSPEND if both else Preempt.NO
    by_higher, by_same = (default if way is None else way for way in ways)
    return AudioType(
        said("name", ""),
        level,
        same,
        said("duck_same_prio_percent", FULL),
        said("duck_lower_prio_percent", FULL),
        by_higher,
        by_same,
        said("transient", False),
    )


def _ramps(ramps: Sequence[Listed], problems: Problems) -> Ramps:
    found: dict[str, str] = {}
    known = Ramps()
    for one in ramps:
        if not {"name", "duration"} <= one.settings.keys():
            continue  # a problem that is known already
        name = one.settings["name"]
        first = found.setdefault(name.value, name.origin)
        if first is not name.origin:
            problems.add(name.origin, f"ramp {name.value!r} is at {first} already", "leave one of them out")
        profile = one.settings.get("profile")
        ramp = Ramp(one.settings["duration"].value, LINEAR if profile is None else profile.value)
        known = replace(known, **{name.value: ramp})
    return known
