"""`audioctl volume`: show and set the level of a device or of a stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from audiod_client._blocking import Connection
from audiod_client.cli.context import Context, UsageError
from audiod_client.cli.output import clean, number, print_json, table, text
from audiod_client.errors import StreamError
from audiod_client.volume import parse_volume, show_volume

__all__ = ["volume"]


def volume(
    *words: Annotated[str, Parameter(allow_leading_hyphen=True)],
    context: Annotated[Context, Parameter(parse=False)],
) -> None:
    """Show volumes; or set one: `volume 70%`, `volume mpv -6dB`.

    VALUE is 70%, 0.7, -6dB, or a step: +5%, -5%. With one word it is the default device's level.
    With two, the first is a stream: its id, its name, or the beginning of its name.
    """
    if len(words) > 2:
        raise UsageError(f"volume takes two words at most, not {len(words)}", "volume [[STREAM] VALUE]")
    if words:
        _check(words[-1])
    with context.connect() as connection:
        if not words:
            _show(context, connection)
            return
        name, present, what = _device(connection) if len(words) == 1 else _stream(connection, words[0])
        answer = connection.request("control.set", name=name, value=parse_volume(words[-1], present))
    if context.json:
        print_json({"version": 1, **answer})
    elif not context.quiet:
        print(f"{what}: {show_volume(answer['value'])}")


def _check(word: str) -> None:
    """A value that is wrong whatever the present one is wrong usage; the server is not asked."""
    try:
        parse_volume(word, 0)
    except StreamError as err:
        raise UsageError(err.message, err.hint) from err


def _show(context: Context, connection: Connection) -> None:
    answer = connection.request("controls")
    if context.json:
        print_json(answer)
        return
    rows = [
        (f"snd/{text(row, 'device')}", text(row, "name"), show_volume(int(number(row, "value"))))
        for row in answer.get("controls") or []
    ]
    rows += [
        (text(row, "id"), text(row, "name"), show_volume(int(number(row, "volume"))))
        for row in connection.request("streams").get("streams") or []
    ]
    print("\n".join(table(context, ("WHICH", "NAME", "VOLUME"), rows, 1)))


def _device(connection: Connection) -> tuple[str, int, str]:
    """Control, present value and name of the default device's level."""
    rows = connection.request("devices").get("devices") or []
    row = next((row for row in rows if row.get("default")), None)
    if row is None:
        raise StreamError("ENODEV", "there is no default device", "see: audioctl devices")
    return "output.level", int(number(row, "volume")), f"snd/{text(row, 'device')} output.level"


def _stream(connection: Connection, selector: str) -> tuple[str, int, str]:
    row = select_stream(connection.request("streams").get("streams") or [], selector)
    what = f"stream {row['id']} ({text(row, 'name')})"
    return f"stream/{row['id']}.level", int(number(row, "volume")), what


def select_stream(rows: Sequence[Mapping[str, Any]], selector: str) -> Mapping[str, Any]:
    """The one row whose id or name is `selector`, or whose name alone begins with it.

    Raises StreamError (ENOENT, or EINVAL listing the choices if there are several).
    """
    by_id = [row for row in rows if str(row.get("id")) == selector]
    by_name = [row for row in rows if row.get("name") == selector]
    by_prefix = [row for row in rows if selector and str(row.get("name", "")).startswith(selector)]
    found = by_id or by_name or by_prefix
    if len(found) == 1:
        return found[0]
    if not found:
        names = ", ".join(f"{row.get('id')} {text(row, 'name')}" for row in rows) or "none"
        raise StreamError("ENOENT", f"no stream {clean(selector)!r}", f"there are: {names}")
    names = ", ".join(f"{row.get('id')} ({text(row, 'name')})" for row in found)
    raise StreamError("EINVAL", f"{clean(selector)!r} means {len(found)} streams: {names}", "give the number")
