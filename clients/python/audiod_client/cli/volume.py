"""`audioctl volume`: show and set the level of a device or of a program."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from audiod_client._blocking import Connection
from audiod_client.cli.context import Context, UsageError
from audiod_client.cli.knob import Knob, all_knobs, find_knob
from audiod_client.cli.output import clean, print_json, table, text
from audiod_client.errors import StreamError
from audiod_client.volume import parse_volume

__all__ = ["volume"]

Hyphen = Parameter(allow_leading_hyphen=True)

TOGGLE = "!"


def volume(
    which: Annotated[str | None, Hyphen] = None,
    value: Annotated[str | None, Hyphen] = None,
    /,
    *,
    context: Annotated[Context, Parameter(parse=False)],
) -> None:
    """Show volumes; or set one: `volume 70%`, `volume mpv -6dB`, `volume input +5%`.

    Without VALUE the volumes are shown; a VALUE alone is the default device's output.
    Each program has one volume on a sub-device, for all its streams; it is remembered.

    Parameters
    ----------
    which
        output, input, snd/1, snd/1/input, hw/Speaker, a stream's id, a program's name or its beginning,
        NAME@SUBDEVICE.
    value
        70%, 0.7, -6dB (a level), or a step: +5%, -5%, +2dB, 2dB-; ! mutes, and again !, sounds again.
    """
    for word in (which, value):
        if word is not None and word.startswith("--"):
            raise UsageError(f"volume has no option {clean(word)}", "see: audioctl volume --help")
    if which is not None and value is None and _is_value(which):
        which, value = None, which
    if value is not None:
        _check(value)
    with context.connect() as connection:
        try:
            knobs = [find_knob(connection, which)] if which is not None or value else all_knobs(connection)
        except StreamError as err:
            if value is None and err.code == "ENOENT" and which is not None and which.isdecimal():
                raise UsageError(
                    f"there is no stream {which}", f"for a volume add the unit: {which}%"
                ) from err
            raise
        if value is None:
            _show(context, knobs)
        else:
            _set(context, connection, knobs[0], value)


def _is_value(word: str) -> bool:
    """Whether a lone word is meant as a value; what looks like one but is wrong is complained about.

    A bare integer is not: it is a stream's id, and must never be taken for full volume.
    """
    return re.fullmatch(r"!|[+-].*|[0-9]*\.[0-9]*|.*%[+-]?|[0-9.]+\s?[dD][bB][+-]?", word) is not None


def _check(word: str) -> None:
    """A value that is wrong whatever the present one is wrong usage; the server is not asked."""
    try:
        if word != TOGGLE:
            parse_volume(word, 0)
    except StreamError as err:
        raise UsageError(err.message, err.hint) from err


def _set(context: Context, connection: Connection, knob: Knob, value: str) -> None:
    if value == TOGGLE:
        answer = knob.set(connection, "mute", int(not knob.muted))
    else:
        answer = knob.set(connection, "level", parse_volume(value, knob.level))
    if context.json:
        print_json(answer)
    elif not context.quiet:
        print(f"{clean(knob.label)}: {knob.show()}")


def _show(context: Context, knobs: Sequence[Knob]) -> None:
    if context.json:
        print_json({"version": 1, "controls": [row for knob in knobs for row in knob.rows]})
        return
    cells = []
    for knob in knobs:
        if knob.base.startswith("stream/"):
            print(f"{clean(knob.label)}: {knob.show()}")
            return
        streams = ", ".join(f"{text(row, 'id')} {text(row, 'name')}" for row in knob.streams) or "-"
        cells.append((clean(knob.which), clean(knob.where), knob.show(), streams))
    print("\n".join(table(context, ("WHICH", "ON", "VOLUME", "STREAMS"), cells, 3)))
