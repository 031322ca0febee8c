"""`audioctl streams`: who plays and records, in what format, and what is done to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import Parameter

from audiod_client.cli.context import Context
from audiod_client.cli.output import (
    WIDTH,
    arrow,
    channels,
    ducked,
    fit,
    hertz,
    milliseconds,
    number,
    print_json,
    table,
    text,
)
from audiod_client.cli.rows import rows
from audiod_client.volume import VOL_MAX

__all__ = ["streams"]

ODD = ("notready", "underrun", "overrun", "paused", "suspended", "unsecure", "error", "change")


def streams(*, context: Annotated[Context, Parameter(parse=False)]) -> None:
    """List streams; below each the conversion between it and its device, and who makes it softer or wait."""
    with context.connect() as connection:
        found = rows(connection, "streams")
    if context.json:
        print_json({"version": 1, "streams": found})
        return
    if not found:
        print("no streams")
        return
    heads = (">ID", "NAME", ">PID", "WHERE", "STATE", ">VOLUME", ">LATENCY", ">XRUNS")
    lines = table(context, heads, [_stream(row) for row in found], 1)
    indent = " " * (max(2, *(len(text(row, "id")) for row in found)) + 2)
    print(lines[0])
    for line, row in zip(lines[1:], found, strict=True):
        print(line)
        print(fit(indent + _what(row), WIDTH))
        for at, why in enumerate(ducked(row)):
            print(fit(f"{indent}{'  ' if at else 'ducked: '}{why}", WIDTH))


def _stream(row: Mapping[str, Any]) -> tuple[str, ...]:
    rate = number(row, "rate")
    return (
        text(row, "id"),
        text(row, "name"),
        text(row, "pid"),
        f"snd/{text(row, 'subdevice')}",
        _state(row),
        "muted" if row.get("muted") else f"{100 * number(row, 'volume') / VOL_MAX:.0f}%",
        milliseconds(number(row, "latency"), rate),
        text(row, "xruns"),
    )


def _state(row: Mapping[str, Any]) -> str:
    """What its channel says, where that is more."""
    channel = text(row, "channel", "")
    return channel if channel in ODD else text(row, "state")


def _what(row: Mapping[str, Any]) -> str:
    rate, nchan = hertz(number(row, "rate")), channels(int(number(row, "channels")))
    format = f"{text(row, 'mode')} {rate} {text(row, 'encoding')} {nchan}"
    parts = [f"{format}: {arrow(text(row, 'conversion', 'conversion not known'))}"]
    parts += [f"{key} {text(row, key)}" for key in ("type", "link") if row.get(key)]
    if row.get("wire") == "sndio":
        parts.append("through sndio")
    return ", ".join(parts)
