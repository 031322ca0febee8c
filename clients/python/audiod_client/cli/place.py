"""Devices and sub-devices as people name them: 1, snd/1, rear, snd/rear, alsa:hw:0 or its beginning."""

from __future__ import annotations

from collections.abc import Sequence

from audiod_client.cli.choice import Choice, select
from audiod_client.cli.output import text
from audiod_client.cli.rows import Row

__all__ = ["select_device", "select_place"]


def _devices(rows: Sequence[Row]) -> list[Choice[str]]:
    return [
        Choice(
            str(row.get("device")),
            f"snd/{row.get('device')} ({text(row, 'name')})",
            str(row.get("device")),
            (str(row.get("name", "")),),
        )
        for row in rows
    ]


def select_device(rows: Sequence[Row], word: str) -> int:
    """The number of a device.  Raises StreamError, or UsageError if several fit."""
    return int(select("device", _devices(rows), word.removeprefix("snd/")))


def select_place(rows: Sequence[Row], word: str) -> str:
    """What `stream.move` takes: a device's number or a sub-device's name."""
    subs = [
        Choice(name, f"snd/{name}", names=(name,))
        for row in rows
        for sub in row.get("subdevices") or []
        if (name := str(sub.get("name", "")))
    ]
    return select("device", [*_devices(rows), *subs], word.removeprefix("snd/"), "give more of the name")
