"""Queries: the requests about the server as a whole, and its controls.

`devices streams status controls control.set`: rows made of the core, numbers
read when asked for.  Holds nothing of its own.  Control thread.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

from audiod_protocol.errors import Code, Fault, FaultError
from audiod_protocol.limits import PROTOCOL_VERSION, ROWS_MAX
from audiod_protocol.validate import ControlSetArgs, StatusArgs, StreamsArgs

from audiod import __version__
from audiod.core import Core, Device, Row
from audiod.devices import Devices
from audiod.policy import Culprit

_STREAM_LEVEL = re.compile(r"stream/([0-9]{1,10})\.level")


class Queries:
    """Answers of the server; `facts` gives what only the server knows, for `status`."""

    def __init__(self, known: Core, devices: Devices, *, unit: int, facts: Callable[[], Row]) -> None:
        self.hello: Row = {"server": f"audiod {__version__}", "unit": unit}
        self._core = known
        self._devices = devices
        self._facts = facts
        self._methods: dict[str, Callable[[Any], Row]] = {
            "devices": self._list_devices,
            "streams": self._list_streams,
            "status": self._status,
            "controls": self._list_controls,
            "control.set": self._set_control,
        }

    def answer(self, method: str, args: Any) -> Row:
        """The result of a request.  Raises FaultError."""
        return self._methods[method](args)

    def _list_devices(self, args: Any) -> Row:
        rows = [self._core.device_row(device) for device in self._core.devices]
        return {"version": PROTOCOL_VERSION, "devices": rows}

    def _list_streams(self, args: StreamsArgs) -> Row:
        """At most ROWS_MAX rows in the order of ids; `next`: ask again with it as `after`, or nil."""
        after = args.after or 0
        found = [stream for ident, stream in self._core.streams.items() if ident > after]
        page = found[:ROWS_MAX]
        return {
            "version": PROTOCOL_VERSION,
            "streams": [self._core.stream_row(stream) for stream in page],
            "next": page[-1].id if len(found) > ROWS_MAX else None,
        }

    def _status(self, args: StatusArgs) -> Row:
        if args.stream is not None:
            raise FaultError(
                Fault(
                    Code.ENOTSUP, "status of one stream is not there yet", "leave out stream, or ask streams"
                )
            )
        xruns = {str(culprit): self._core.xruns[culprit] for culprit in Culprit}
        return {
            "version": PROTOCOL_VERSION,
            "server": self.hello["server"],
            "pid": os.getpid(),
            "unit": self.hello["unit"],
            "devices": len(self._core.devices),
            "streams": len(self._core.streams),
            "xruns": xruns,
            **self._facts(),
        }

    def _list_controls(self, args: Any) -> Row:
        return {"version": PROTOCOL_VERSION, "controls": self._core.control_rows()}

    def _set_control(self, args: ControlSetArgs) -> Row:
        if args.name == "output.level":
            self._devices.set_volume(self._device(args.device).number, args.value)
        elif match := _STREAM_LEVEL.fullmatch(args.name):
            stream = self._core.streams.get(int(match[1]))
            if stream is None:
                raise FaultError(
                    Fault(
                        Code.ENOENT,
                        f"there is no control {args.name!r}: no such stream",
                        "`streams` lists their ids",
                    )
                )
            stream.setvol(args.value)
        else:
            raise FaultError(
                Fault(Code.ENOENT, f"there is no control {args.name!r}", "output.level or stream/ID.level")
            )
        return {"name": args.name, "value": args.value}

    def _device(self, number: int | None) -> Device:
        if number is None:
            return self._core.default_device
        if number >= len(self._core.devices):
            raise FaultError(
                Fault(
                    Code.ENODEV, f"there is no device {number}", f"there are 0..{len(self._core.devices) - 1}"
                )
            )
        return self._core.devices[number]
