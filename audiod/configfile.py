"""Configuration files: which there are, read, merged, each setting with its place.

Later files win per key.  A [[device]] of a later file with the `spec` of an
earlier one amends that device, as -f does when it names a device twice; its
sub-devices are amended by name.  Reads files, decides nothing else.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from audiod import duckingfile, schema, tomllines
from audiod.errors import ConfigError, Problem
from audiod.schema import DeviceTable, File, Listed, Problems, Setting, Table

SYSTEM = Path("/etc/audiod")
NAME = "audiod.toml"
DROP_INS = "audiod.d"
KEY_PARTS_MAX = 32  # tomllib takes quadratic time for a dotted key

_KEY = r"""(?:(?<![A-Za-z0-9_-])[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_LONG_KEY = re.compile(rf"(?:{_KEY}[ \t]*\.[ \t]*){{{KEY_PARTS_MAX}}}")
_AT_LINE = re.compile(r"(.*) \(at line ([0-9]+), column [0-9]+\)", re.DOTALL)


@dataclass
class Device:
    """A device as all files together describe it; sub-devices by name."""

    place: str
    settings: Table
    subdevices: dict[str, Table] = field(default_factory=dict)


@dataclass
class Merged:
    """What all files together say; `files` in the order in which they were read."""

    files: tuple[str, ...] = ()
    tables: dict[str, Table] = field(default_factory=dict)
    devices: list[Device] = field(default_factory=list)
    listed: dict[str, list[Listed]] = field(default_factory=dict)

    def get(self, table: str, key: str) -> Setting | None:
        return self.tables.get(table, {}).get(key)


def find(only: str | None, environ: Mapping[str, str], *, system: bool) -> list[Path]:
    """The files to read: `only` that one (--config), else those of the system or of the user.

    Raises ConfigError for a directory that cannot be read.
    """
    if only is not None:
        return [Path(only)]
    home = environ.get("XDG_CONFIG_HOME", "")
    if not home.startswith("/"):
        home = environ["HOME"] + "/.config" if environ.get("HOME", "").startswith("/") else ""
    if not system and not home:
        return []
    folder = SYSTEM if system else Path(home) / "audiod"
    try:
        drop_ins = sorted(path for path in (folder / DROP_INS).iterdir() if path.suffix == ".toml")
    except (FileNotFoundError, NotADirectoryError):
        drop_ins = []
    except OSError as error:
        raise _unreadable(folder / DROP_INS, error) from None
    main = folder / NAME
    return [main, *drop_ins] if os.path.lexists(main) else drop_ins


def read(paths: Iterable[Path]) -> Merged:
    """Read and merge these files.  Raises ConfigError with everything that is wrong in them."""
    texts = []
    for path in paths:
        try:
            texts.append((str(path), path.read_bytes()))
        except OSError as error:
            raise _unreadable(path, error) from None
    return merge(texts, follow=True)


def merge(texts: Iterable[tuple[str, bytes]], *, follow: bool = False) -> Merged:
    """The same of texts with their names; `follow`: the file of ducking that they name is read, too.

    Raises ConfigError.
    """
    problems = Problems()
    merged = Merged()
    for name, data in texts:
        merged.files += (name,)
        file = _parse(name, data, problems)
        for table, settings in file.tables.items():
            merged.tables.setdefault(table, {}).update(settings)
        _add_devices(merged.devices, file.devices, problems)
        _add_listed(merged.listed, file.listed, problems)
    _follow(merged, problems, read_it=follow)
    problems.check()
    return merged


def _add_listed(
    listed: dict[str, list[Listed]], here: Mapping[str, list[Listed]], problems: Problems
) -> None:
    """Audio types replace those of earlier files, as their order counts; others are amended by name."""
    for table, some in here.items():
        if table == "audio_type":
            listed[table] = some
            continue
        earlier = listed.setdefault(table, [])
        known = {_named(one): at for at, one in enumerate(earlier)}
        new: dict[object, str] = {}
        for one in some:
            name = _named(one)
            if name is None:
                continue  # a problem that is known already
            if name in new:
                problems.add(
                    one.place, f"{table} {name!r} is at {new[name]} already", "leave one of them out"
                )
            new[name] = one.place
            if name in known:
                earlier[known[name]] = one
            else:
                earlier.append(one)


def _named(one: Listed) -> object:
    return one.settings["name"].value if "name" in one.settings else None


def _follow(merged: Merged, problems: Problems, *, read_it: bool) -> None:
    """Take over the types and ramps of the file in QNX's syntax that is named."""
    named = merged.get("ducking", "file")
    if named is None:
        return
    for table in duckingfile.SECTIONS:
        for one in merged.listed.get(table, []):
            problems.add(
                one.place, f"{table}: those of {named.value} count", "write them there, or leave it out"
            )
            return
    if not read_it:
        return
    try:
        with open(named.value, "rb") as file:
            data = file.read(duckingfile.FILE_MAX + 1)
    except OSError as error:
        problems.add(
            named.origin, f"{named.value} cannot be read: {error.strerror}", "mend it, or choose another"
        )
        return
    merged.files += (named.value,)
    merged.listed |= duckingfile.parse(named.value, data, problems)


def _unreadable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        [Problem(str(path), f"cannot be read: {error.strerror}", "mend it, or choose another")]
    )


def _parse(name: str, data: bytes, problems: Problems) -> File:
    """One file as far as it can be understood."""
    try:
        text = data.decode()
        if found := _LONG_KEY.search(text):
            line = text.count("\n", 0, found.start()) + 1
            problems.add(f"{name}:{line}", f"a key has more than {KEY_PARTS_MAX} parts")
            return File()
        tree = tomllib.loads(text)
        lines = tomllines.index(text)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problems.add(f"{name}:{line}", "this is not UTF-8", "save the file as UTF-8")
    except RecursionError:
        problems.add(name, "arrays or tables are nested too deeply")
    except tomllib.TOMLDecodeError as error:
        found = _AT_LINE.fullmatch(str(error))
        last = len(text.rstrip().splitlines()) or 1
        what = found[1] if found else str(error).removesuffix(" (at end of document)")
        problems.add(f"{name}:{found[2] if found else last}", f"this is not TOML: {what}")
    except ValueError as error:  # an integer of more digits than Python converts
        problems.add(name, f"this is not TOML: {error}")
    else:
        return schema.read(tree, lambda path: f"{name}:{_line(lines, path)}", problems)
    return File()


def _line(lines: Mapping[tomllines.Path, int], path: tomllines.Path) -> int:
    return lines[path]


def _add_devices(devices: list[Device], tables: list[DeviceTable], problems: Problems) -> None:
    """Amend the devices that there are with those of one file, and add its others."""
    here: list[Device] = []
    for table in tables:
        spec = table.settings.get("spec")
        if spec is None:
            continue  # a problem that is known already
        same = next((d for d in devices if d.settings["spec"].value[0] == spec.value[0]), None)
        if same is None:
            same = Device(table.place, {})
            devices.append(same)
        elif same in here:
            problems.add(
                spec.origin, f"device {spec.value[0]!r} is at {same.place} already", "write its keys there"
            )
            continue
        here.append(same)
        same.settings.update(table.settings)
        _add_subdevices(devices, same, table, problems)


def _add_subdevices(devices: list[Device], device: Device, table: DeviceTable, problems: Problems) -> None:
    here: dict[str, str] = {}
    for settings in table.subdevices:
        name = settings.get("name")
        if name is None:
            continue
        owner = next((d for d in devices if name.value in d.subdevices), None)
        first = here.get(name.value)
        if owner is not None and owner is not device:
            first = owner.subdevices[name.value]["name"].origin
        if first is not None:
            problems.add(
                name.origin,
                f"sub-device {name.value!r} is defined at {first} already",
                "give each sub-device its own name",
            )
            continue
        here[name.value] = name.origin
        device.subdevices.setdefault(name.value, {}).update(settings)
