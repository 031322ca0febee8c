"""`audioctl monitor`: volumes, mutes and the default device, as they change."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from audiod_client.cli.context import Context
from audiod_client.cli.output import WIDTH, clean, fit, number
from audiod_client.cli.rows import Row
from audiod_client.cli.watch import watch
from audiod_client.volume import show_volume

__all__ = ["monitor"]


def monitor(*, context: Annotated[Context, Parameter(parse=False)]) -> int:
    """Print volumes, mutes and what becomes of sub-devices as they change, one a line, until ctrl-C.

    With --json, one object a line: the control's row, and `event`: new, change or gone.
    """
    return watch(context, "controls", line)


def line(row: Row) -> str:
    """The text of one change; nothing for a stream's own name of its program's control.

    What comes or goes is told once, by its level; and by its mute if it comes muted.
    """
    base, _, kind = clean(row.get("name", "")).rpartition(".")
    value, event = int(number(row, "value")), row.get("event")
    if base.startswith("stream/") or (kind == "mute" and (event == "gone" or (event == "new" and not value))):
        return ""
    if kind == "level":
        shown = show_volume(value)
    elif kind == "mute":
        shown = "muted" if value else "not muted"
    elif (base, kind) == ("server", "device"):
        base, shown = str(row.get("subdevice") or "default"), f"snd/{value}"
    else:
        base, shown = f"{base}.{kind}", f"{value}"
    sub = row.get("subdevice")
    where = row.get("device") if sub is None or base == sub else sub
    place = "" if where is None else f"snd/{clean(where)}"
    if event == "gone":
        shown = "gone"
    return fit(f"{base.removeprefix('app/'):<12} {place:<14} {shown}", WIDTH)
