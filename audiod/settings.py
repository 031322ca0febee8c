"""Settings: the configuration that the running server has, and how it gets another one.

Owns the current Config.  A reload reads everything anew, finds what differs and
applies that alone: streams that run hear nothing of it.  What is wrong in a file
leaves everything as it was.  Control thread; reads files, waits for nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from audiod_protocol.errors import Code, Fault, FaultError
from audiod_protocol.limits import PROTOCOL_VERSION

from audiod import changes, log
from audiod.changes import Change
from audiod.conductor import Conductor
from audiod.config import Config
from audiod.core import Core, Row
from audiod.devices import Devices
from audiod.errors import AudiodError, ConfigError
from audiod.subdevice import SubDevice


class Settings:
    """The configuration in use; `owner`: the user who may change it, besides root."""

    def __init__(self, config: Config, core: Core, devices: Devices, conductor: Conductor) -> None:
        self.config = config
        self.owner = None if config.source is None else config.source.euid
        self._core = core
        self._devices = devices
        self.conductor = conductor
        self._log = log.get()
        self.methods: dict[str, Callable[[Any], Row]] = {
            "config.show": lambda args: self.show(),
            "config.check": lambda args: self._told(lambda: self.compare(args.text)),
            "config.diff": lambda args: self._told(self.compare),
            "config.reload": lambda args: self._told(self.reload),
        }

    def show(self) -> Row:
        """Every key in use, and where it was said."""
        origins = self.config.origins
        keys = [
            {"key": key, "value": value, "origin": origins.get(key, "default")}
            for key, value in changes.flatten(self.config).items()
        ]
        return {"version": PROTOCOL_VERSION, "files": list(self.config.files), "keys": keys}

    def compare(self, text: str | None = None) -> list[Change]:
        """What a reload would change, of the files or of `text` in their place.  Raises AudiodError."""
        return changes.diff(self.config, self._read(text), self._devices.busy())

    def reload(self) -> list[Change]:
        """Read the files anew and apply what differs.  Raises AudiodError; then nothing has changed."""
        try:
            new = self._read()
        except AudiodError as error:
            problems = map(str, error.problems) if isinstance(error, ConfigError) else [error.line()]
            for problem in problems:
                self._log.error("config.refused", reason=problem)
            raise
        found = changes.diff(self.config, new, self._devices.busy())
        for change in found:
            self._log.info(
                "config.change", key=change.key, old=change.old, new=change.new, effect=change.effect
            )
        self._apply(changes.applied(self.config, new))
        self._log.info("config.reload", changes=len(found), files=" ".join(new.files))
        return found

    def _read(self, text: str | None = None) -> Config:
        return self.config if self.config.source is None else self.config.source.read(text)

    def _apply(self, config: Config) -> None:
        old, self.config = self.config, config
        if config.log_level != old.log_level:
            log.set_level(config.log_level)
        self._devices.adopt(config.devices)
        before = {sub.name: sub for sub in old.subdevices}
        after = {sub.name: sub for sub in config.subdevices}
        touched = set()
        for name in {**before, **after}:
            if before.get(name) != after.get(name):
                touched |= {sub.device for sub in (before.get(name), after.get(name)) if sub is not None}
                self._take(name, after.get(name))
        self._devices.on_subdevices()
        self.conductor.adopt(config.policy, config.programs)
        for number in sorted(touched):
            self._core.device_changed(self._core.devices[number])

    def _take(self, name: str, sub: SubDevice | None) -> None:
        """A sub-device has changed, or is gone (None); streams keep the one that they were opened on."""
        known = self._core.subdevices
        before = known.get(name)
        configured = self._core.configured
        if sub is None:
            del known[name], configured[name]
            self._core.controls.choices.configured(before, None)
            return
        if name in known and known[name].device != configured[name].device:
            known[name] = replace(sub, device=known[name].device)  # it was moved: that counts
        else:
            known[name] = sub
        configured[name] = sub
        self._core.controls.choices.configured(before, known[name])

    def _told(self, act: Callable[[], list[Change]]) -> Row:
        try:
            found = act()
        except AudiodError as error:
            raise FaultError(
                Fault(
                    Code.EINVAL,
                    error.line() if isinstance(error, ConfigError) else str(error),
                    "nothing was changed; " + (error.hint or "mend it and try again"),
                )
            ) from error
        return {"version": PROTOCOL_VERSION, "changes": [change.row() for change in found]}
