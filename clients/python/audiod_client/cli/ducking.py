"""`audioctl ducking`: which audio types there are, who is active, and who makes whom softer or wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import Parameter

from audiod_client.cli.context import Context
from audiod_client.cli.output import WIDTH, bold, clean, ducked, fit, print_json, table, text
from audiod_client.cli.rows import rows

__all__ = ["ducking"]


def ducking(*, context: Annotated[Context, Parameter(parse=False)]) -> None:
    """Show the audio types by priority, who plays of them, and what that does to others."""
    with context.connect() as connection:
        policy = connection.request("ducking")
        found = [row for row in rows(connection, "streams") if row.get("ducking")]
    if context.json:
        keys = ("id", "name", "pid", "device", "type", "ducking")
        told = {key: policy.get(key) for key in ("order", "types", "ramps", "programs", "devices")}
        print_json({"version": 1, **told, "streams": [{key: row.get(key) for key in keys} for row in found]})
        return
    if not policy.get("types"):
        print("no audio types are configured: nobody ducks anybody")
        return
    print(bold(context, fit(text(policy, "order"), WIDTH)))
    heads = ("TYPE", ">LEAVES LOWER", ">LEAVES SAME", "BY", "PREEMPTED BY", "")
    for line in table(context, heads, [_type(one) for one in policy["types"]], 0):
        print(line)
    for rule in policy.get("programs") or []:
        print(fit(f"  program {text(rule, 'name')}: {text(rule, 'type')}", WIDTH))
    for device in policy.get("devices") or []:
        active = "; ".join(_active(one) for one in device.get("active") or [])
        print(fit(f"snd/{text(device, 'device')}: {active or 'nobody plays'}", WIDTH))
        for row in found:
            if row.get("device") == device.get("device"):
                left, *why = ducked(row)
                print(fit(f"  {text(row, 'id')} {text(row, 'name')}, {text(row, 'type')}: {left}", WIDTH))
                for clause in why:
                    print(fit(f"    {clause}", WIDTH))


def _type(one: Mapping[str, Any]) -> tuple[str, ...]:
    ways = {who: clean(one.get(f"preemption_by_{who}") or "no") for who in ("higher", "same")}
    preempted = [f"{who} ({how})" for who, how in ways.items() if how != "no"]
    return (
        text(one, "name"),
        _percents(one.get("duck_lower_prio_percent")),
        _percents(one.get("duck_same_prio_percent")),
        text(one, "duck_same_prio_policy"),
        ", ".join(preempted) or "nobody",
        "transient" if one.get("transient") else "",
    )


def _percents(value: object) -> str:
    return f"{value}%" if isinstance(value, int) else clean(value)


def _active(one: Mapping[str, Any]) -> str:
    ids = [str(ident) for ident in one.get("streams") or []]
    return f"{text(one, 'type')}: stream{'' if len(ids) == 1 else 's'} {', '.join(ids)}"
