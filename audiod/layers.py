"""Layers: the command line over the files over what holds without both.

Picks the strongest setting of each key and notes where it was said.  The
devices and sub-devices of either source come out alike.  Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from audiod import duckingfile
from audiod.audiotype import Policy, ProgramRule
from audiod.configfile import Device, Merged
from audiod.errors import ConfigError, Problem, UsageError
from audiod.fallback import preferred
from audiod.options import DEVICES_MAX, PORTS, Options, Port
from audiod.schema import Problems, Setting, Table
from audiod.spec import DeviceSpec
from audiod.subdevice import SUBDEVICES_MAX, SubDevice, automatic, check_mmc

COMMAND_LINE = "command line"


@dataclass(frozen=True)
class Wanted:
    """A device as it is asked for; `place`: file:line, "command line", or "" if nobody asked.

    `alternates`: numbers of those to use in its place, the best first; `named`: where that was said.
    """

    text: str
    spec: DeviceSpec
    place: str
    settings: Table
    alternates: tuple[int, ...] = ()
    named: str = ""

    def of_spec(self, value: Any) -> Setting | None:
        """A value that the SPEC itself may have."""
        said = self.settings.get("spec")
        return None if value is None else Setting(value, said.origin if said else self.place)


class Layers:
    """The settings of the files, and the origins of what was picked."""

    def __init__(self, merged: Merged) -> None:
        self._merged = merged
        self.origins: dict[str, str] = {}

    def table(self, name: str) -> Mapping[str, Setting]:
        return self._merged.tables.get(name, {})

    def pick(self, key: str, *strongest: Setting | None, default: Any = None) -> Any:
        """The value of "table.key": the first said of `strongest`, else the files', else `default`."""
        table, _, name = key.rpartition(".")
        for setting in (*strongest, self.table(table).get(name)):
            if setting is not None:
                self.origins[key] = setting.origin
                return setting.value
        return default

    def of_device(self, at: str, key: str, one: Wanted, option: Setting | None, default: Any) -> Any:
        """A value of a device: its SPEC's, the command line's, its table's, that of [defaults]."""
        said = one.of_spec(getattr(one.spec, key))
        return self.pick(
            at + key, said, option, one.settings.get(key), self.table("defaults").get(key), default=default
        )

    def of_table(self, at: str, key: str, one: Wanted, default: Any) -> Any:
        """The same of a key that neither a SPEC nor the command line has."""
        return self.pick(at + key, one.settings.get(key), self.table("defaults").get(key), default=default)


def asked(value: Any) -> Setting | None:
    """A value of the command line; None if it was not given."""
    return None if value is None else Setting(value, COMMAND_LINE)


def devices(options: Options, merged: Merged, known: Layers) -> tuple[list[Wanted], tuple[SubDevice, ...]]:
    """The devices, and all sub-devices of them; their origins go into `known`.

    Raises ConfigError, and UsageError if the command line is about devices that the files define.
    """
    if not merged.devices or "-f" in options.placed:
        return _of_options(options, known), options.subdevices
    if options.placed:
        raise UsageError(
            f"{options.placed[-1]}: the devices are those of {merged.devices[0].place.rpartition(':')[0]}",
            hint="write it there, or give -f SPEC as well",
        )
    wanted = _alternates([_of_file(device) for device in merged.devices])
    return wanted, _subdevices(merged, known, len(wanted))


def ducking(merged: Merged, known: Layers, subdevices: Iterable[SubDevice]) -> Policy | None:
    """The policy of ducking, with which the types that sub-devices and programs are said to have agree.

    Raises ConfigError, UsageError.
    """
    problems = Problems()
    types = merged.listed.get("audio_type", [])
    ramps = merged.listed.get("vol_ramp", [])
    policy = duckingfile.policy(types, ramps, problems)
    problems.check()
    if policy is None:
        return None
    for one in types:
        known.origins["ducking.types"] = types[0].place
        name = one.settings["name"].value
        known.origins |= {f"audio_type.{name}.{key}": said.origin for key, said in one.settings.items()}
    for one in ramps:
        name = one.settings["name"].value
        known.origins |= {f"vol_ramp.{name}.{key}": said.origin for key, said in one.settings.items()}
    names = ", ".join(one.name for one in policy.types)
    for sub in subdevices:
        origin = known.origins.get(f"device.{sub.device}.subdevice.{sub.name}.type", COMMAND_LINE)
        if sub.type is None or policy.find(sub.type) is not None:
            continue
        message = f"sub-device {sub.name!r}: there is no audio type {sub.type!r}"
        if origin == COMMAND_LINE:
            raise UsageError(message, hint=f"there are {names}")
        problems.add(origin, message, f"there are {names}")
    for one in merged.listed.get("program", []):
        said = one.settings["type"]
        if policy.find(said.value) is None:
            problems.add(
                said.origin,
                f"program {one.settings['name'].value!r}: there is no audio type {said.value!r}",
                f"there are {names}",
            )
    problems.check()
    return policy


def programs(merged: Merged, known: Layers) -> tuple[ProgramRule, ...]:
    """The rules for programs that cannot say their type, in their order."""
    found = []
    for one in merged.listed.get("program", []):
        name, kind = one.settings["name"], one.settings["type"]
        known.origins[f"program.{name.value}.type"] = kind.origin
        found.append(ProgramRule(name.value, kind.value))
    return tuple(found)


def ports(options: Options, known: Layers) -> tuple[Port, ...]:
    """The MIDI ports: the command line's, each with the -a before it, else the files'."""
    if options.ports:
        known.pick("midi.ports", asked(options.ports))
        return options.ports
    names = known.pick("midi.ports", default=PORTS)
    hold = known.pick("midi.hold", default=False)
    return tuple(Port(text, hold) for text in names)


def _of_options(options: Options, known: Layers) -> list[Wanted]:
    place = "" if options.defaulted and "-f" not in options.placed else COMMAND_LINE
    found = []
    for option in options.devices:
        settings = {"enc": asked(option.enc), "hold": asked(option.hold or None)}
        settings["autovol"] = asked(option.autovol or None)
        settings["spec"] = Setting((option.text, option.spec), place) if place else None
        found.append(
            Wanted(option.text, option.spec, place, {k: s for k, s in settings.items() if s is not None})
        )
    of = {number: option.of for number, option in enumerate(options.devices) if option.of is not None}
    for first, *others in preferred(of).values():
        found[first] = replace(found[first], alternates=tuple(others), named=COMMAND_LINE)
    if not {"-a", "-e", "-w", "-f", "-F"}.issuperset(options.placed):
        for sub in options.subdevices:
            for key in ("play", "rec", "mode", "join", "volume", "type", "mmc"):
                known.origins[f"device.{sub.device}.subdevice.{sub.name}.{key}"] = COMMAND_LINE
    return found


def _of_file(device: Device) -> Wanted:
    text, spec = device.settings["spec"].value
    return Wanted(text, spec, device.place, device.settings)


def _alternates(wanted: list[Wanted]) -> list[Wanted]:
    """With those that no table of their own describes behind all others, like the one that names them."""
    numbers = {one.text: number for number, one in enumerate(wanted)}
    found = list(wanted)
    for number, one in enumerate(wanted):
        said = one.settings.get("alternates")
        if said is None:
            continue
        like = {k: s for k, s in one.settings.items() if k not in ("spec", "alternates", "hold")}
        for text, spec in said.value:
            if text == one.text:
                raise ConfigError([Problem(said.origin, f"{text!r} is the device itself", "leave it out")])
            if text not in numbers:
                numbers[text] = len(found)
                settings = {**like, "spec": Setting((text, spec), said.origin)}
                found.append(Wanted(text, spec, said.origin, settings))
        found[number] = replace(one, alternates=tuple(numbers[t] for t, _ in said.value), named=said.origin)
    if len(found) > DEVICES_MAX:
        message = f"there are more than {DEVICES_MAX} devices, alternates included"
        raise ConfigError([Problem(found[DEVICES_MAX].place, message, "leave some out")])
    return found


def _subdevices(merged: Merged, known: Layers, ndevices: int) -> tuple[SubDevice, ...]:
    named = []
    for number, device in enumerate(merged.devices):
        for name, table in device.subdevices.items():
            named.append(_subdevice(number, name, table))
            for key, setting in table.items():
                known.origins[f"device.{number}.subdevice.{name}.{key}"] = setting.origin
    if wrong := check_mmc(named):
        other = [sub for sub in named if sub.mmc][-1]
        place = known.origins[f"device.{other.device}.subdevice.{other.name}.mmc"]
        raise ConfigError([Problem(place, wrong, "let one of them be without mmc")])
    subs = automatic(named, ndevices, SubDevice("default", 0))
    if len(subs) > SUBDEVICES_MAX:
        last = next(d for d in reversed(merged.devices) if d.subdevices or d is merged.devices[0])
        message = f"there are more than {SUBDEVICES_MAX} sub-devices, with one for each device"
        raise ConfigError([Problem(last.place, message, "leave some out")])
    return tuple(subs)


def _subdevice(number: int, name: str, table: Table) -> SubDevice:
    plain = SubDevice(name, number)

    def said(key: str, default: Any) -> Any:
        return table[key].value if key in table else default

    play, rec = said("play", (plain.pmin, plain.pmax)), said("rec", (plain.rmin, plain.rmax))
    return SubDevice(
        name,
        number,
        mode=said("mode", plain.mode),
        pmin=play[0],
        pmax=play[1],
        rmin=rec[0],
        rmax=rec[1],
        maxvol=said("volume", plain.maxvol),
        join=said("join", plain.join),
        type=said("type", plain.type),
        mmc=said("mmc", plain.mmc),
    )
