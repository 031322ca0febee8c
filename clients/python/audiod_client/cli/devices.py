"""`audioctl devices`: the devices of the server, and what there is to make more of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from audiod_client.cli import cards
from audiod_client.cli.context import Context
from audiod_client.cli.output import (
    WIDTH,
    bold,
    clean,
    fit,
    hertz,
    milliseconds,
    number,
    plural,
    print_json,
    text,
)
from audiod_client.volume import VOL_MAX

__all__ = ["devices"]


def devices(
    *,
    all: Annotated[bool, Parameter(name="--all", negative="")] = False,
    rescan: Annotated[bool, Parameter(name="--rescan", negative="")] = False,
    sndstat: Annotated[bool, Parameter(name="--sndstat", negative="")] = False,
    nvlist: Annotated[str | None, Parameter(name="--nvlist", allow_leading_hyphen=True)] = None,
    context: Annotated[Context, Parameter(parse=False)],
) -> None:
    """List devices, their sub-devices, and the machine's cards; a star marks the default.

    Parameters
    ----------
    all
        of cards tell everything, and what ALSA's configuration offers besides
    rescan
        look for cards first, and let each sub-device be on the best of its devices
    sndstat
        list them as FreeBSD's sndstat does, those that programs provide included; with --all also channels
    nvlist
        write that listing into this file, as a packed nvlist; - is standard output
    """
    with context.connect() as connection:
        if rescan:
            connection.request("devices.rescan")
        if sndstat or nvlist is not None:
            from audiod_client.cli.sndstat import show

            show(context, connection, nvlist, all)
            return
        answer = connection.request("devices")
        there = cards.request(connection)
    if context.json:
        answer |= there
        print_json(answer)
        return
    _print_devices(context, answer.get("devices") or [])
    for line in cards.lines(context, there, all):
        print(line)


def _print_devices(context: Context, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        print("no devices: start audiod with -f, or let it find a card")
        return
    names = [text(sub, "name") for row in rows for sub in row.get("subdevices") or []]
    indent = len("* snd/") + max(2, *(len(name) for name in names)) + 2 if names else 10
    for row in rows:
        star = "*" if row.get("default") else " "
        head = f"{star} snd/{text(row, 'device')}".ljust(indent)
        print(bold(context, fit(head + text(row, "name"), WIDTH)))
        for line in _device(row):
            print(fit(" " * indent + line, WIDTH))
        for sub in row.get("subdevices") or []:
            first, *more = _subdevice(sub)
            print(fit(f"  snd/{text(sub, 'name')}".ljust(indent) + first, WIDTH))
            for line in more:
                print(fit(" " * indent + line, WIDTH))


def _device(row: Mapping[str, Any]) -> list[str]:
    rate = number(row, "rate")
    sides = ", ".join(
        f"{side} {count}"
        for side, key in (("play", "play_channels"), ("rec", "rec_channels"))
        if (count := row.get(key))
    )
    block, buffer = (milliseconds(number(row, key), rate) for key in ("round", "bufsz"))
    format = f"{hertz(rate)} {text(row, 'encoding')}, {sides or 'no channels'}"
    reason = [clean(row["reason"])] if row.get("reason") else []
    return [
        f"{text(row, 'state')}, {format}, block {block}, buffer {buffer}",
        *reason,
        f"volume {_percent(row)}{_fader(row)}{_muted(row)}, {plural(row, 'streams')}, {plural(row, 'xruns')}",
    ]


def _muted(row: Mapping[str, Any]) -> str:
    """What of the two mutes is on."""
    both = (("muted", " (muted)"), ("input_muted", ", input muted"))
    return "".join(shown for key, shown in both if row.get(key))


def _fader(row: Mapping[str, Any]) -> str:
    """Whose the volume is, where it is the card's."""
    return f" by {clean(row['fader'])}" if row.get("fader") else ""


def _subdevice(row: Mapping[str, Any]) -> list[str]:
    parts = []
    for side in ("play", "rec"):
        span = row.get(side)
        if side in str(row.get("mode", "")).split(",") and isinstance(span, list) and len(span) == 2:
            parts.append(f"{side} {clean(span[0])}-{clean(span[1])}")
    parts.append(f"volume {_percent(row)}")
    if row.get("join") is False:
        parts.append("no join")
    if row.get("autovol"):
        parts.append("autovol")
    if row.get("mmc"):
        parts.append("streams wait for MMC")
    reason = clean(row.get("reason") or "")
    why = [reason if reason == "chosen" else f"here because {reason}"] if reason else []
    return [", ".join(parts), *why]


def _percent(row: Mapping[str, Any]) -> str:
    return f"{100 * number(row, 'volume') / VOL_MAX:.0f}%"
