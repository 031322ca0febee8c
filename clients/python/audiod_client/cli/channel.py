"""`audioctl status STREAM`: the status record of each direction of a stream."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from audiod_protocol.channel import Ducking

from audiod_client._blocking import Connection
from audiod_client.cli.choice import select
from audiod_client.cli.context import Context
from audiod_client.cli.knob import stream_choices
from audiod_client.cli.output import WIDTH, bold, fit, number, plural, print_json, text
from audiod_client.cli.rows import Row, rows

__all__ = ["show"]

_DUCKING = {
    Ducking.ACTIVE: "takes part",
    Ducking.HARD_SUSPENDED: "suspended by a higher priority",
    Ducking.SOFT_SUSPENDED: "suspended by its own priority",
    Ducking.PAUSED: "to be paused after that",
    Ducking.FORCED_ACTIVE: "told to take part",
    Ducking.MUTE_BY_HIGHER: "silenced by a higher priority",
    Ducking.MUTE_BY_SAME: "silenced by its own priority",
}


def show(connection: Connection, word: str, context: Context) -> None:
    """Print the status of the stream that `word` means.  Raises StreamError, UsageError."""
    row = select("stream", stream_choices(rows(connection, "streams")), word)
    records = [
        connection.request("status", id=row["id"], channel=channel)["record"]
        for channel in ("play", "rec")
        if channel in str(row.get("mode")).replace("mon", "rec")
    ]
    if context.json:
        print_json({"version": 1, "id": row["id"], "records": records})
        return
    print(bold(context, f"stream {row['id']} ({text(row, 'name')}), snd/{text(row, 'subdevice')}"))
    for record in records:
        for name, value in _lines(row, record):
            print(fit(f"{name:<10}{value}", WIDTH))


def _lines(row: Row, record: Row) -> Iterator[tuple[str, str]]:
    yield text(record, "channel"), text(record, "status")
    size = number(record, "count") + number(record, "free")
    yield "queue", f"{number(record, 'count'):.0f} of {size:.0f} bytes, fragment {text(record, 'frag')}"
    inside = f", {text(record, 'subbuffered')} in the resampler" if record.get("subbuffered") else ""
    yield "processed", f"{text(record, 'scount')} bytes{inside}"
    late = {f"{key}s": record.get(key) for key in ("underrun", "overrun", "overrange")}
    counts = [plural(late, key) for key in late if late[key]]
    if counts:
        yield "late", ", ".join(counts)
    bits = Ducking(int(number(record, "ducking_state")))
    words = [word for bit, word in _DUCKING.items() if bit in bits]
    if record.get("why"):
        words.append(text(record, "why"))
    kind = f"type {text(row, 'type')}: " if row.get("type") else ""
    yield "ducking", kind + ("; ".join(words) or "takes no part")
    for key, name in (("stime", "started"), ("stop_time", "stopped")):
        if isinstance(when := record.get(key), Mapping):
            yield name, _clock(when)


def _clock(when: Mapping[str, Any]) -> str:
    """The time of this place, to the millisecond."""
    seconds = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(int(number(when, "sec"))))
    return f"{seconds}.{int(number(when, 'usec')) // 1000:03d}"
