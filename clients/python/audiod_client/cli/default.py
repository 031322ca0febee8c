"""`audioctl default`: which device `default` means."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from audiod_client.cli.context import Context
from audiod_client.cli.knob import set_control
from audiod_client.cli.output import print_json, text
from audiod_client.cli.place import select_device
from audiod_client.cli.rows import rows
from audiod_client.errors import StreamError

__all__ = ["default"]


def default(device: str | None = None, /, *, context: Annotated[Context, Parameter(parse=False)]) -> None:
    """Show the default device; or set it: `default snd/1`. Streams on `default` move along while they play.

    Parameters
    ----------
    device
        Its number (1 or snd/1), its name, or the beginning of its name.
    """
    with context.connect() as connection:
        if device is not None:
            wanted = select_device(rows(connection, "devices"), device)
            set_control(connection, "server.device", wanted)
        row = next((row for row in rows(connection, "devices") if row.get("default")), None)
    if row is None:
        raise StreamError("ENODEV", "there is no default device", "see: audioctl devices")
    if context.json:
        print_json({"version": 1, "device": row.get("device"), "name": row.get("name")})
    elif device is None or not context.quiet:
        print(f"snd/{text(row, 'device')} ({text(row, 'name')})")
