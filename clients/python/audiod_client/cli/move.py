"""`audioctl move`: a stream to another device, while it plays."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from audiod_client.cli.choice import select
from audiod_client.cli.context import Context
from audiod_client.cli.knob import stream_choices
from audiod_client.cli.output import print_json, text
from audiod_client.cli.place import select_place
from audiod_client.cli.rows import rows

__all__ = ["move"]


def move(stream: str, device: str, /, *, context: Annotated[Context, Parameter(parse=False)]) -> None:
    """Move a stream to another device while it plays: `move mpv snd/1`.

    Parameters
    ----------
    stream
        Its id (see: audioctl streams), its name, or the beginning of its name.
    device
        A sub-device (rear or snd/rear), or a device: its number, its name, or the beginning of a name.
    """
    with context.connect() as connection:
        row = select("stream", stream_choices(rows(connection, "streams")), stream)
        place = select_place(rows(connection, "devices"), device)
        answer = connection.request("stream.move", id=row["id"], device=place)
    if context.json:
        print_json({"version": 1, **answer})
    elif not context.quiet:
        where = f"snd/{text(answer, 'subdevice')}, device snd/{text(answer, 'device')}"
        print(f"stream {row['id']} ({text(row, 'name')}): {where}")
