"""Text for people: tables within 80 columns, units, and JSON for programs.

Invariant: what comes from other programs (names of streams, say) cannot steer
the terminal: it passes `clean`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from audiod_client.cli.context import Context

__all__ = [
    "WIDTH",
    "arrow",
    "bold",
    "channels",
    "clean",
    "ducked",
    "fit",
    "hertz",
    "milliseconds",
    "number",
    "plural",
    "print_json",
    "print_json_line",
    "table",
    "text",
    "uptime",
]

WIDTH = 80


def clean(value: object) -> str:
    """As one printable line: anything that is not a character to see becomes a question mark."""
    return "".join(c if c.isprintable() else "?" for c in str(value))


def text(row: Mapping[str, Any], key: str, missing: str = "-") -> str:
    """A value of a row to show."""
    value = row.get(key)
    return missing if value is None or value == "" else clean(value)


def number(row: Mapping[str, Any], key: str) -> float:
    value = row.get(key)
    return value if isinstance(value, int | float) else 0


def fit(line: str, width: int) -> str:
    """The line, cut with an ellipsis if it is wider."""
    if len(line) <= width:
        return line
    return line[: max(0, width - 1)] + ("…" if _unicode() else "~")


def _unicode() -> bool:
    return (sys.stdout.encoding or "").lower().startswith("utf")


def arrow(conversion: str) -> str:
    """A conversion as people read it: `44.1 → 48 kHz, s16le → s24le3`."""
    conversion = clean(conversion)
    return conversion.replace("->", "→") if _unicode() else conversion


def hertz(rate: float) -> str:
    return f"{rate / 1000:g} kHz" if rate >= 1000 else f"{rate:g} Hz"


def milliseconds(frames: float, rate: float) -> str:
    if not rate:
        return "-"
    ms = 1000 * frames / rate
    return f"{ms:.0f} ms" if abs(ms) >= 10 else f"{ms:.1f} ms"


def channels(count: int) -> str:
    return {1: "mono", 2: "stereo"}.get(count, f"{count} ch")


def plural(row: Mapping[str, Any], key: str) -> str:
    """A count and what it counts, `key` in the plural: `1 stream`, `no xruns`."""
    count = number(row, key)
    return f"{count:g} {key[:-1] if count == 1 else key}" if count else f"no {key}"


def ducked(row: Mapping[str, Any]) -> list[str]:
    """What ducking does to a stream, then who does it and why, a line each; [] for nothing."""
    what = row.get("ducking")
    if not isinstance(what, dict):
        return []
    if what.get("suspended"):
        left = "waits"
    else:
        percents = [f"{100 * gain:.3g}%" for gain in what.get("gains") or [1]]
        shown = percents if len(percents) == 1 else [f"ch{i} {percent}" for i, percent in enumerate(percents)]
        left = f"{', '.join(shown)} left"
    return [left, *clean(what.get("why") or "nobody knows why").split("; ")]


def uptime(seconds: float) -> str:
    """The two largest units: `1 h 2 min`."""
    left = int(seconds)
    parts: list[str] = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def bold(context: Context, line: str) -> str:
    return f"\x1b[1m{line}\x1b[0m" if context.color else line


def table(context: Context, heads: Sequence[str], rows: Sequence[Sequence[str]], flexible: int) -> list[str]:
    """Lines of a table within WIDTH; column `flexible` gives way.  Heads that start with > align right."""
    names = [head.lstrip(">") for head in heads]
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    spare = WIDTH - (sum(widths) + 2 * (len(widths) - 1))
    if spare < 0:
        widths[flexible] = max(4, widths[flexible] + spare)

    def line(cells: Sequence[str]) -> str:
        out = []
        for cell, width, head in zip(cells, widths, heads, strict=True):
            cell = fit(cell, width)
            out.append(cell.rjust(width) if head.startswith(">") else cell.ljust(width))
        return fit("  ".join(out).rstrip(), WIDTH)

    return [bold(context, line(names)), *(line(row) for row in rows)]


def print_json(value: object) -> None:
    """One JSON document; bytes cannot come in it."""
    print(json.dumps(value, indent=2, ensure_ascii=True, sort_keys=False))


def print_json_line(value: object) -> None:
    """One JSON document in one line, at once: for output that goes on."""
    print(json.dumps(value, ensure_ascii=True, separators=(",", ":")), flush=True)
