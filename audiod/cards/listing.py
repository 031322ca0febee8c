"""Listing: what the configuration advertises and what the cards have, made one list of endpoints.

Which names are dropped, in which direction the others are, which one is
libasound's default.  The advertised ones come first, in their order, then the
hardware.  Pure functions over plain data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from audiod.cards import kernel
from audiod.cards.inventory import DIRECTIONS, PLAY, REC, Card, Endpoint, Inventory, Side
from audiod.cards.libasound import Hint, PcmInfo

ENDPOINTS_MAX = 256
PCM_MAX = 200  # letters of a PCM's name
NAME_MAX = 120  # letters of a name or a description

_CLUTTER = (
    "front:",
    "surround21:",
    "surround40:",
    "surround41:",
    "surround50:",
    "surround51:",
    "surround71:",
)
# the Raspberry Pi's driver says of what records that it plays
_PI = ("bcm2835 ALSA, bcm2835 ALSA", "bcm2835 ALSA, bcm2835 IEC958/HDMI")
_PI_SNOOP = "Direct sample snooping device"
_INPUT, _OUTPUT = "Input", "Output"
_OF_CARD = re.compile(r":(?:.*,)?CARD=([^,]+)")
_OF_DEVICE = re.compile(r":.*\bDEV=(\d+)")


@dataclass(frozen=True)
class Control:
    """What a card's control interface says; `error`: why it says nothing."""

    id: str = ""
    name: str = ""
    devices: Sequence[PcmInfo] = ()
    error: str | None = None


def endpoints(hints: Iterable[Hint], known: Inventory, controls: Mapping[int, Control]) -> Inventory:
    """All endpoints, none of which was asked what it can do; `known` is what the kernel says."""
    cards = _cards(known.cards, controls)
    raw = [one for card in cards for one in _raw(card, known, controls.get(card.number))]
    names = {one.pcm for one in raw}
    advertised = [
        _advertised(hint, cards) for hint in hints if not _dropped(hint.name) and hint.name not in names
    ]
    unique = {one.pcm: one for one in advertised if one.mode}
    # a card's hardware is never left out for what is advertised
    room = max(0, ENDPOINTS_MAX - len(raw))
    found = _with_defaults(list(unique.values())[:room]) + raw
    return replace(known, cards=cards, endpoints=tuple(found[:ENDPOINTS_MAX]))


# ---- what is advertised ------------------------------------------------------------------


def _dropped(name: str) -> bool:
    """Of no use, or no name that can be shown."""
    if not name.isprintable() or not 0 < len(name) <= PCM_MAX:
        return True
    return name == "null" or name.startswith(_CLUTTER)


def directions(hint: Hint) -> tuple[str, ...]:
    """Of an advertised PCM."""
    description, _, detail = (hint.description or "").partition("\n")
    if description in _PI and detail == _PI_SNOOP:
        return (REC,)
    if hint.direction == _INPUT:
        found: tuple[str, ...] = (REC,)
    elif hint.direction == _OUTPUT:
        found = (PLAY,)
    else:
        found = DIRECTIONS
    if "Output" in detail or "output" in detail:
        found = tuple(direction for direction in found if direction != REC)
    return found


def _advertised(hint: Hint, cards: Iterable[Card]) -> Endpoint:
    description, _, detail = (hint.description or "").partition("\n")
    found = directions(hint)
    card, device = _OF_CARD.search(hint.name), _OF_DEVICE.search(hint.name)
    return Endpoint(
        hint.name,
        _clean(": ".join(filter(None, (description, detail))) or hint.name),
        next((one.identity for one in cards if card and card[1] in (one.id, str(one.number))), ""),
        int(device[1]) if device else None,
        play=Side() if PLAY in found else None,
        rec=Side() if REC in found else None,
        spec=f"alsa:{kernel.quoted(hint.name)}",
    )


def _with_defaults(found: list[Endpoint]) -> list[Endpoint]:
    """Of each direction the last `default`, else the last `sysdefault`, else the first there is."""
    for direction in DIRECTIONS:
        there = [place for place, one in enumerate(found) if one.side(direction) is not None]
        named = [
            [place for place in there if found[place].pcm.partition(":")[0] == word][-1:]
            for word in ("default", "sysdefault")
        ]
        for place in [*named[0], *named[1], *there][:1]:
            side = found[place].side(direction)
            assert side is not None
            found[place] = found[place].with_side(direction, replace(side, default=True))
    return found


# ---- the hardware -------------------------------------------------------------------------


def _cards(known: Sequence[Card], controls: Mapping[int, Control]) -> tuple[Card, ...]:
    numbers = {card.number: card for card in known}
    for number, control in controls.items():
        card = numbers.get(number) or Card(number, control.id, control.name, f"id:{control.id or number}")
        name = control.name or card.name
        error = card.error or control.error
        numbers[number] = replace(card, id=card.id or control.id, name=_clean(name), error=error)
    return tuple(numbers[number] for number in sorted(numbers))


def _raw(card: Card, known: Inventory, control: Control | None) -> list[Endpoint]:
    """The PCMs of a card: its control interface knows, else the kernel's files."""
    of_kernel = {one.device: one for one in known.endpoints if one.card == card.identity}
    if control is None or control.error is not None:
        error = None if control is None else f"its card cannot be asked: {control.error}"
        return [_unasked(one, error) for one in of_kernel.values()]
    found = []
    for info in control.devices:
        kernels = of_kernel.get(info.device)
        sides = {
            direction: (kernels.side(direction) if kernels is not None else None) or Side()
            for direction in info.names
        }
        if sides:
            one = kernel.endpoint(card, info.device, info.names, sides)
            found.append(replace(one, name=_clean(one.name)))
    return found


def _unasked(one: Endpoint, error: str | None) -> Endpoint:
    for direction in DIRECTIONS:
        side = one.side(direction)
        if side is not None and side.error is None and error is not None:
            one = one.with_side(direction, replace(side, error=error))
    return one


def _clean(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:NAME_MAX]
