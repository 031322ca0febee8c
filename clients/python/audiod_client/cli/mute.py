"""`audioctl mute`: silence a device, a program or what is recorded, and lift it again."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from audiod_client.cli.context import Context, UsageError
from audiod_client.cli.knob import find_knob
from audiod_client.cli.output import clean, print_json

__all__ = ["mute"]

STATES = ("on", "off", "!")


def mute(
    which: str | None = None,
    state: str | None = None,
    /,
    *,
    context: Annotated[Context, Parameter(parse=False)],
) -> None:
    """Mute the default device's output; or another: `mute mpv`, `mute input off`, `mute snd/1 !`.

    The level is kept meanwhile: what is lifted sounds as before.

    Parameters
    ----------
    which
        output, input, snd/1, snd/1/input, a stream's id, a program's name or its beginning, NAME@SUBDEVICE.
    state
        on (also if left out), off, or !: the other one.
    """
    if which in STATES and state is None:
        which, state = None, which
    if state not in (None, *STATES):
        raise UsageError(f"mute is on or off, not {clean(state)!r}", "write on, off, or ! for the other one")
    with context.connect() as connection:
        knob = find_knob(connection, which)
        wanted = not knob.muted if state == "!" else state != "off"
        answer = knob.set(connection, "mute", int(wanted))
    if context.json:
        print_json(answer)
    elif not context.quiet:
        print(f"{clean(knob.label)}: {knob.show()}")
