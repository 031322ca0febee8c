"""Changes: what differs between two Configs, what becomes of it, and what a running server has then.

Pure.  A device is known by its number, a sub-device by its name.  Those that a
device's number names (and which are like `default`) are not listed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from audiod.audiotype import RAMPS, segments, written
from audiod.config import Config

AT_ONCE = "applied at once"
RESTART = "needs a restart"

Value = str | int | bool | list[int] | list[str] | None

_APPLIED = ("ducking", "audio_type", "vol_ramp", "program", "sndstat")
# of a device: what it must be closed for
_REOPENS = ("spec", "enc", "rate", "round", "bufsz", "play_channels", "rec_channels")


@dataclass(frozen=True)
class Change:
    """One key that differs; None where it is not there."""

    key: str
    old: Value
    new: Value
    effect: str

    def row(self) -> dict[str, object]:
        return {"key": self.key, "old": self.old, "new": self.new, "effect": self.effect}


def flatten(config: Config) -> dict[str, Value]:
    """Every key that counts, with its value as it would be written in a file.

    `play_channels` and `rec_channels` are not written but follow from the sub-devices and the SPEC.
    """
    keys: dict[str, Value] = {
        "server.socket": str(config.listen.path),
        "server.unit": config.unit,
        "server.realtime": config.realtime,
        "server.log_level": config.log_level,
        "server.users": config.users,
        "sndio.socket": "none" if config.sndio is None else str(config.sndio.path),
        "sndio.listen": list(config.tcp),
        "sndio.share": str(config.share),
        "sndio.streams": config.sndio_streams,
        "midi.ports": [port.text for port in config.ports],
        "midi.hold": any(port.hold for port in config.ports),
        "state.path": None if config.state.path is None else str(config.state.path),
        "state.enabled": config.state.enabled,
        "cards.reserve": config.reserve,
        "cards.priority": config.priority,
        "sndstat.provider": config.sndstat.provider,
        "sndstat.feederchain": config.sndstat.feederchain,
        "sndstat.strict": config.sndstat.strict,
    }
    for device in config.devices:
        fmt, at = device.format, f"device.{device.number}"
        keys |= {
            f"{at}.spec": device.text,
            f"{at}.enc": str(fmt.enc),
            f"{at}.rate": fmt.rate,
            f"{at}.round": fmt.round,
            f"{at}.bufsz": fmt.bufsz,
            f"{at}.play_channels": fmt.play,
            f"{at}.rec_channels": fmt.rec,
            f"{at}.hold": device.hold,
            f"{at}.autovol": device.autovol,
            f"{at}.mixer": str(device.mixer),
            f"{at}.elements": device.elements,
            f"{at}.alternates": [config.devices[number].text for number in device.alternates],
            f"{at}.on_loss": str(device.rule.on_loss),
            f"{at}.on_new": str(device.rule.on_new),
        }
        for sub in config.subdevices:
            if sub.device == device.number and not sub.name.isdigit():
                keys |= {
                    f"{at}.subdevice.{sub.name}.mode": str(sub.mode),
                    f"{at}.subdevice.{sub.name}.play": [sub.pmin, sub.pmax],
                    f"{at}.subdevice.{sub.name}.rec": [sub.rmin, sub.rmax],
                    f"{at}.subdevice.{sub.name}.volume": sub.maxvol,
                    f"{at}.subdevice.{sub.name}.join": sub.join,
                    f"{at}.subdevice.{sub.name}.type": sub.type,
                    f"{at}.subdevice.{sub.name}.mmc": sub.mmc,
                }
    return keys | _ducking(config)


def _ducking(config: Config) -> dict[str, Value]:
    """Types in their order, that is by priority; nothing where there is no policy."""
    keys: dict[str, Value] = {"ducking.file": config.ducking_file}
    policy = config.policy
    if policy is not None:
        keys["ducking.types"] = [one.name for one in policy.types]
        for one in policy.types:
            at = f"audio_type.{one.name}"
            mates = any(other.level == one.level for other in policy.types[: policy.types.index(one)])
            keys |= {
                f"{at}.prio": "same" if mates else "decr",
                f"{at}.duck_same_prio_policy": str(one.same),
                f"{at}.duck_same_prio_percent": written(one.duck_same),
                f"{at}.duck_lower_prio_percent": written(one.duck_lower),
                f"{at}.preemption_by_higher": str(one.by_higher),
                f"{at}.preemption_by_same": str(one.by_same),
                f"{at}.transient": one.transient,
            }
        for name in RAMPS:
            ramp = getattr(policy.ramps, name)
            keys |= {f"vol_ramp.{name}.duration": ramp.ms, f"vol_ramp.{name}.profile": segments(ramp.points)}
    return keys | {f"program.{rule.name}.type": rule.type for rule in config.programs}


def diff(old: Config, new: Config, busy: Collection[int] = ()) -> list[Change]:
    """What differs, and what becomes of it in a server whose devices `busy` are in use."""
    before, after = flatten(old), flatten(new)
    lost = {device.number for device in old.devices[len(new.devices) :]}
    known = {sub.name for sub in new.subdevices}
    found = []
    for key in {**before, **after}:
        was, will = before.get(key), after.get(key)
        if was != will or (key in before) != (key in after):
            found.append(Change(key, was, will, _effect(key, busy, lost, known)))
    return found


def _effect(key: str, busy: Collection[int], lost: Collection[int], known: Collection[str]) -> str:
    """`lost`: devices that are no longer configured; `known`: sub-devices that are."""
    table, *names = key.split(".")
    if table != "device":
        return AT_ONCE if key == "server.log_level" or table in _APPLIED else RESTART
    number, what = names[:2]
    if int(number) in lost:
        return AT_ONCE if what == "subdevice" and names[2] in known else RESTART
    if what in _REOPENS and int(number) in busy:
        return f"device {number} reopens when idle"
    return AT_ONCE


def applied(old: Config, new: Config) -> Config:
    """What a server that had `old` has once it was given `new`: what needs a restart is as it was.

    Devices that are no longer configured stay, with their sub-devices.
    """
    lost = old.devices[len(new.devices) :]
    names = {sub.name for sub in new.subdevices}
    kept = [sub for sub in old.subdevices if sub.device >= len(new.devices) and sub.name not in names]
    config = replace(
        new,
        unit=old.unit,
        listen=old.listen,
        system=old.system,
        sndio=old.sndio,
        tcp=old.tcp,
        share=old.share,
        sndio_streams=old.sndio_streams,
        realtime=old.realtime,
        users=old.users,
        ports=old.ports,
        state=old.state,
        reserve=old.reserve,
        priority=old.priority,
        devices=(*new.devices, *lost),
        subdevices=(*new.subdevices, *kept),
    )
    return replace(config, origins=_origins(config, old, new))


def _origins(config: Config, old: Config, new: Config) -> Mapping[str, str]:
    as_written = flatten(new)
    found = {}
    for key, value in flatten(config).items():
        said = new if key in as_written and as_written[key] == value else old
        if key in said.origins:
            found[key] = said.origins[key]
    return found
