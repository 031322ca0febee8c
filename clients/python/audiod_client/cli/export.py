"""`audioctl export`: the server's state or configuration, for programs."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from audiod_client.cli.context import Context
from audiod_client.cli.output import print_json

__all__ = ["export"]


def export(
    what: Literal["state", "config"], /, *, context: Annotated[Context, Parameter(parse=False)]
) -> None:
    """Print what audiod has now as JSON, to be kept or compared.

    Parameters
    ----------
    what
        state: volumes, mutes and the default device; config: the configuration in force.
    """
    with context.connect() as connection:
        print_json(connection.request("export", what=what))
