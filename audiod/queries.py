"""Queries: the requests about the server as a whole, and its controls.

`devices cards streams status controls control.set stream.move export`: rows made of
the core, numbers read when asked for.  Holds nothing of its own.  Control thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from audiod_protocol.errors import Code, Fault, FaultError
from audiod_protocol.limits import PROTOCOL_VERSION, ROWS_MAX
from audiod_protocol.validate import (
    CardsArgs,
    ControlsArgs,
    ControlSetArgs,
    ExportArgs,
    MoveArgs,
    StatusArgs,
    StreamsArgs,
)

from audiod import __version__, policy
from audiod.cards.rows import PAGE, card_row, endpoint_row
from audiod.cards.scan import Scanner
from audiod.core import Core, Row
from audiod.policy import Culprit
from audiod.settings import Settings


class Queries:
    """Answers of the server; `facts` gives what only the server knows, for `status`."""

    def __init__(
        self, known: Core, settings: Settings, cards: Scanner, *, unit: int, facts: Callable[[], Row]
    ) -> None:
        self.hello: Row = {"server": f"audiod {__version__}", "unit": unit}
        self._core = known
        self._settings = settings
        self._cards = cards
        self._facts = facts
        self._conductor = settings.conductor
        self._methods: dict[str, Callable[[Any], Row]] = {
            "devices": self._list_devices,
            "cards": self._list_cards,
            "streams": self._list_streams,
            "status": self._status,
            "controls": self._list_controls,
            "control.set": self._set_control,
            "stream.move": self._move,
            "export": self._export,
            "ducking": lambda args: self._conductor.answer(),
            **settings.methods,
        }

    def answer(self, method: str, args: Any, uid: int | None) -> Row:
        """The result of a request of this user.  Raises FaultError."""
        if method == "config.reload":
            fault = policy.may_configure(uid, server_uid=self._settings.owner)
            if fault is not None:
                raise FaultError(fault)
        return self._methods[method](args)

    def _list_devices(self, args: Any) -> Row:
        rows = [self._core.device_row(device) for device in self._core.devices]
        return {"version": PROTOCOL_VERSION, "devices": rows}

    def _list_cards(self, args: CardsArgs) -> Row:
        """At most PAGE endpoints in their order; `next`: ask again with it as `after`, or nil."""
        first = args.after or 0
        found = self._cards.inventory
        return {
            "version": PROTOCOL_VERSION,
            "cards": [card_row(card) for card in found.cards],
            "endpoints": [endpoint_row(one) for one in found.endpoints[first : first + PAGE]],
            "scanning": self._cards.scanning,
            "error": found.error,
            "next": first + PAGE if first + PAGE < len(found.endpoints) else None,
        }

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
        xruns = {str(culprit): self._core.xruns[culprit] for culprit in Culprit}
        return {
            "version": PROTOCOL_VERSION,
            "server": self.hello["server"],
            "pid": os.getpid(),
            "unit": self.hello["unit"],
            "default": self._default(),
            "devices": len(self._core.devices),
            "streams": len(self._core.streams),
            "xruns": xruns,
            "ducking": self._conductor.summary(),
            **self._facts(),
        }

    def _default(self) -> Row:
        device = self._core.default_device
        return {
            "device": device.number,
            "name": device.name,
            "reason": self._core.reasons.get("default") or None,
        }

    def _list_controls(self, args: ControlsArgs) -> Row:
        """Of at most ROWS_MAX devices, programs and streams; `next`: ask again with it as `after`, or nil."""
        rows, following = self._core.controls.page(args.after)
        return {"version": PROTOCOL_VERSION, "controls": rows, "next": following}

    def _set_control(self, args: ControlSetArgs) -> Row:
        self._core.controls.set(args.name, args.value, args.device, args.subdevice)
        return {"name": args.name, "value": args.value}

    def _move(self, args: MoveArgs) -> Row:
        stream = self._core.streams.get(args.id)
        if stream is None:
            raise FaultError(Fault(Code.ENOENT, f"there is no stream {args.id}", "`streams` lists their ids"))
        sub = policy.resolve(args.device, self._core.subdevices)
        if sub != stream.sub:
            stream.move(sub)
        return {"id": stream.id, "device": sub.device, "subdevice": sub.name}

    def _export(self, args: ExportArgs) -> Row:
        if args.what == "config":
            content = {key: value for key, value in self._settings.show().items() if key != "version"}
        else:
            content = self._core.controls.saved().to_wire()
        return {"version": PROTOCOL_VERSION, "what": args.what, "content": content}
