"""What the `devices` verb prints with `--sndstat`: devices and channels as FreeBSD's sndstat tells them.

The text is that of `cat /dev/sndstat`, with channels below where all is wanted.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from audiod_client._blocking import Connection
from audiod_client.cli.context import Context, UsageError
from audiod_client.cli.output import WIDTH, bold, clean, fit, hertz, number, print_json, text

__all__ = ["show"]

Row = Mapping[str, Any]
STDOUT = "-"
NOBODY = 2**64 - 1


def show(context: Context, connection: Connection, nvlist: str | None, all: bool) -> None:
    """Print the listing, or write it packed into the file `nvlist`."""
    with connection.sndstat() as handle:
        if nvlist is not None:
            if context.json:
                raise UsageError("--nvlist writes bytes, and --json text", "leave one of them out")
            _write(nvlist, handle.packed())
            return
        rows = handle.devices()
    if context.json:
        print_json({"version": 1, "dsps": rows})
        return
    default = next((row["device"] for row in connection.request("devices")["devices"] if row["default"]), 0)
    for line in _lines(context, rows, f"pcm{default}", all):
        print(line)


def _write(path: str, data: bytes) -> None:
    if path == STDOUT:
        sys.stdout.buffer.write(data)
        return
    try:
        Path(path).write_bytes(data)
    except OSError as err:
        reason = (err.strerror or str(err)).lower()
        raise UsageError(f"{path}: {reason}", "name a file that can be written") from err


def _lines(context: Context, rows: list[dict[str, Any]], default: str, all: bool) -> Iterator[str]:
    ours = [row for row in rows if not row["from_user"]]
    theirs = [row for row in rows if row["from_user"]]
    yield bold(context, "Installed devices:" if ours else "No devices installed.")
    for row in ours:
        yield _device(row) + (" default" if row["nameunit"] == default else "")
        if all:
            for channel in row.get("provider_info", {}).get("channel_info", []):
                yield from _channel(channel)
    yield bold(
        context, "Installed devices from userspace:" if theirs else "No devices installed from userspace."
    )
    for row in theirs:
        yield _device(row)
        if row.get("socket"):
            yield f"  by {clean(row['socket'])}"


def _device(row: Row) -> str:
    sides = "/".join(side for side, key in (("play", "pchan"), ("rec", "rchan")) if number(row, key))
    return f"{text(row, 'nameunit')}: <{text(row, 'desc', '')}> ({sides or 'nothing'})"


def _channel(row: Row) -> Iterator[str]:
    who = "" if row["pid"] == NOBODY else f", {text(row, 'comm')} ({row['pid']})"
    volume = f"volume {row['left_volume']}:{row['right_volume']}"
    late = f", {row['xruns']} xruns" if row["xruns"] else ""
    yield fit(f"  {text(row, 'name')}: {hertz(number(row, 'rate'))}, {volume}{late}{who}", WIDTH)
    line = "   "
    for word in clean(row["feederchain"]).replace(" -> feeder", "\0-> feeder").split("\0"):
        if len(line) + 1 + len(word) > WIDTH and line.strip():
            yield line
            line = "     "
        line += f" {word}"
    yield line
