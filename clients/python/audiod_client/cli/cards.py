"""What the machine has to play on and record from, as the `devices` verb tells it below the devices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from audiod_client._blocking import Connection
from audiod_client.cli.context import Context
from audiod_client.cli.output import WIDTH, bold, clean, fit, hertz, milliseconds, number, text
from audiod_client.errors import StreamError

__all__ = ["lines", "request"]

Row = Mapping[str, Any]
DIRECTIONS = ("play", "rec")


def request(connection: Connection) -> dict[str, Any]:
    """All pages of `cards` as one answer; nothing of a server that does not have it."""
    whole: dict[str, Any] = {"cards": [], "endpoints": [], "scanning": False, "error": None}
    after = None
    while True:
        try:
            answer = connection.request("cards", **({} if after is None else {"after": after}))
        except StreamError as error:
            if error.code != "ENOSYS":
                raise
            return whole
        page = answer.get("endpoints") or []
        endpoints = [*whole["endpoints"], *page]
        whole |= {key: answer.get(key, whole[key]) for key in whole} | {"endpoints": endpoints}
        after = answer.get("next")
        if after is None or not page:
            return whole


def lines(context: Context, answer: Row, everything: bool) -> Iterator[str]:
    """For people: the hardware, or `everything`, what ALSA's configuration advertises and all details too."""
    if answer.get("error"):
        yield fit(f"cards: {clean(answer['error'])}", WIDTH)
    for card in answer.get("cards") or []:
        if card.get("error"):
            yield fit(f"card {text(card, 'id')}: {text(card, 'error')}", WIDTH)
    shown = [row for row in answer.get("endpoints") or [] if everything or row.get("raw")]
    if shown:
        more = " (still looking)" if answer.get("scanning") else ""
        yield bold(context, f"this machine has{more}:")
    for row in shown:
        yield fit(f"  {text(row, 'spec')}", WIDTH)
        yield fit(f"    {text(row, 'name')}", WIDTH)
        for direction in DIRECTIONS:
            side = row.get(direction)
            if isinstance(side, Mapping):
                for line in _side(direction, side, everything):
                    yield fit(f"    {line}", WIDTH)


def _side(direction: str, side: Row, everything: bool) -> Iterator[str]:
    head = direction.ljust(5)
    if side.get("error"):
        yield f"{head}{text(side, 'error')}"
        if not everything:
            return
    if not side.get("probed"):
        if not side.get("error"):
            yield f"{head}not asked yet"
        return
    rate = number(side, "rate")
    parts = [_channels(side.get("channels") or []), _rates(side), " ".join(_texts(side, "encodings")[:3])]
    yield head + ", ".join(filter(None, parts))
    if not everything:
        return
    sizes = [f"{what} {_span(side, key, rate)}" for what, key in (("block", "round"), ("buffer", "bufsz"))]
    yield f"     {', '.join(sizes)}, {text(side, 'access')}"
    yield f"     {' '.join(_texts(side, 'encodings'))}"
    maps = side.get("maps") or []
    if side.get("maps_known") and maps:
        yield "     " + "; ".join(" ".join(map(clean, layout)) for layout in maps)
    for row in side.get("refused") or []:
        yield f"     not {text(row, 'format')}: {text(row, 'reason')}"


def _channels(counts: Sequence[Any]) -> str:
    """`1, 2 or 6-8 channels`."""
    runs: list[list[Any]] = []
    for count in counts:
        if runs and count == runs[-1][-1] + 1:
            runs[-1].append(count)
        else:
            runs.append([count])
    words = [clean(run[0]) if len(run) == 1 else f"{clean(run[0])}-{clean(run[-1])}" for run in runs]
    if not words:
        return ""
    listed = " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
    return f"{listed} channel{'' if words == ['1'] else 's'}"


def _rates(side: Row) -> str:
    """The usual ones, the least and the most of many."""
    rates = side.get("rates") or side.get("rate_range") or []
    if len(rates) > 3:
        return f"{hertz(rates[0]).partition(' ')[0]}-{hertz(rates[-1])}"
    return " ".join(hertz(rate).replace(" ", "") for rate in dict.fromkeys(rates))


def _span(side: Row, key: str, rate: float) -> str:
    span = side.get(key)
    if not isinstance(span, list) or len(span) != 2:
        return "-"
    return f"{milliseconds(span[0], rate)} to {milliseconds(span[1], rate)}"


def _texts(side: Row, key: str) -> list[str]:
    return [clean(value) for value in side.get(key) or []]
