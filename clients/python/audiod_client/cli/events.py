"""`audioctl events`: what audiod logs, as it happens."""

from __future__ import annotations

import json
import time
from typing import Annotated

from cyclopts import Parameter

from audiod_client.cli.context import Context
from audiod_client.cli.output import clean
from audiod_client.cli.rows import Row
from audiod_client.cli.watch import watch

__all__ = ["events"]


def events(*, context: Annotated[Context, Parameter(parse=False)]) -> int:
    """Print what audiod logs, one event a line, until ctrl-C.

    With --json, one object a line: `event` names it, `time` is in seconds since 1970, the rest are its facts.
    """
    return watch(context, "events", line)


def line(row: Row) -> str:
    """`12:30:01.250 warning xrun  stream=7 cause=client`."""
    when = row.get("time")
    if isinstance(when, int | float):
        parts = time.strftime("%H:%M:%S", time.localtime(when))
        shown = f"{parts}.{int(when * 1000) % 1000:03d}"
    else:
        shown = clean(when or "-")
    level = row.get("level", "info")
    mark = "" if level == "info" else f"{clean(level)} "
    facts = " ".join(
        f"{clean(key)}={_value(value)}"
        for key, value in row.items()
        if key not in ("event", "time", "level") and value is not None
    )
    return f"{shown} {mark}{clean(row.get('event', '-'))}  {facts}".rstrip()


def _value(value: object) -> str:
    text = clean(value).lower() if isinstance(value, bool) else clean(value)
    return json.dumps(text, ensure_ascii=False) if not text or set(text) & set(' "=') else text
