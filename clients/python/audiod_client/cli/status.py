"""`audioctl status`: the server, or one stream, in a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import Parameter

from audiod_client.cli.context import Context
from audiod_client.cli.output import WIDTH, bold, clean, fit, number, plural, print_json, text, uptime

__all__ = ["status"]


def status(stream: str | None = None, /, *, context: Annotated[Context, Parameter(parse=False)]) -> None:
    """Show whether audiod runs, since when, and how it does; or what a stream does: `status mpv`.

    Parameters
    ----------
    stream
        Its id (see: audioctl streams), its name, or the beginning of its name.
    """
    with context.connect() as connection:
        if stream is not None:
            from audiod_client.cli.channel import show

            show(connection, stream, context)
            return
        row = connection.request("status")
    if context.json:
        print_json(row)
        return
    head = f"{text(row, 'server')}, unit {text(row, 'unit')}, pid {text(row, 'pid')}"
    print(bold(context, f"{head}, up {uptime(number(row, 'uptime'))}"))
    lines = [("socket", clean(path)) for path in row.get("sockets") or ["none"]]
    lines.append(("realtime", _realtime(row.get("realtime") or {})))
    lines.append(("default", _default(row.get("default") or {})))
    lines.append(("now", ", ".join(plural(row, key) for key in ("devices", "streams", "connections"))))
    lines.append(("xruns", _xruns(row.get("xruns") or {})))
    if ducking := row.get("ducking"):
        lines.append(("ducking", f"{text(ducking, 'order')}; {text(ducking, 'ducked')} ducked"))
    for name, value in lines:
        print(fit(f"{name:<10}{value}", WIDTH))


def _realtime(row: Mapping[str, Any]) -> str:
    threads = [t for t in row.get("threads") or [] if isinstance(t, dict)]
    fifo = sum(t.get("policy") == "fifo" for t in threads)
    if row.get("granted"):
        return f"yes: {fifo} of {len(threads)} threads, priority {text(row, 'wanted')}"
    if not row.get("wanted"):
        return "not asked for"
    return f"no: {text(row, 'reason', 'the reason is not known')} (priority {text(row, 'wanted')} asked for)"


def _default(row: Mapping[str, Any]) -> str:
    reason = row.get("reason")
    why = f", {clean(reason)}" if reason else ""
    return f"snd/{text(row, 'device')} {text(row, 'name')}{why}" if row else "none"


def _xruns(row: Mapping[str, Any]) -> str:
    total = sum(v for v in row.values() if isinstance(v, int))
    if not total:
        return "none"
    return f"{total}: " + ", ".join(f"{value} {clean(key)}" for key, value in row.items() if value)
