"""Inventory: the cards of this machine and the endpoints to play on and record from, as plain data.

Frozen values that compare equal when nothing has changed; made by `kernel`
(which cards there are, at once) and `scan` (what they can do).  Imports the
standard library alone, for the prober, too.  No thread, no clock, no file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

PLAY, REC = "play", "rec"
DIRECTIONS = (PLAY, REC)


@dataclass(frozen=True)
class Card:
    """One card of the kernel.

    `identity` names it for good: `BUS:NAME`, of USB `usb:VENDOR:PRODUCT[:SERIAL]@PORT`.
    `number` and `id` ("HDA", hw:CARD=HDA) are the kernel's, and another's after a replug.
    """

    number: int
    id: str
    name: str
    identity: str
    bus: str = ""  # "usb", "pci", "platform", ...; "" where the kernel does not say
    port: str = ""  # where it is plugged in: "0000:00:14.0-2.1", the controller and its ports
    usb_id: str = ""  # "046d:0a44"
    serial: str = ""
    driver: str = ""  # of the kernel, "HDA-Intel"
    error: str | None = None  # why its control interface cannot be read
    short: str = ""  # the identity without the port, where no other card here is meant by that


@dataclass(frozen=True)
class Span:
    """From the least to the most, both inclusive."""

    min: int
    max: int


@dataclass(frozen=True)
class Side:
    """What one direction of an endpoint can do; empty where a probe has not said, or failed.

    Times in frames are at `rate` Hz, the one that audiod would choose here.
    """

    error: str | None = None  # why it cannot be used, or not be asked, now
    probed: bool = False  # what follows is what it said, now or when it was last asked
    default: bool = False  # it is libasound's own default of this direction
    access: str = ""  # the best way to its samples: "mmap interleaved", ...
    formats: tuple[str, ...] = ()  # encodings as audiod spells them, those that hold more first
    refused: tuple[tuple[str, str], ...] = ()  # formats of the card that audiod does not have, and why
    rates: tuple[int, ...] = ()  # the usual ones that it does exactly
    rate_range: Span | None = None  # all that it takes, within what is plausible
    channels: tuple[int, ...] = ()
    chmaps: tuple[tuple[str, ...], ...] = ()  # positions in the order of channels
    chmaps_known: bool = False  # the card has said so; else they are the usual ones
    rate: int = 0  # at which the next two are
    round: Span | None = None  # frames of a block
    bufsz: Span | None = None  # frames of the buffer: its latency

    @property
    def usable(self) -> bool:
        """Whether nothing speaks against it; of one that was not asked yet, nothing does."""
        return self.error is None and (not self.probed or bool(self.formats))


@dataclass(frozen=True)
class Endpoint:
    """One PCM by the name that libasound opens; `play` or `rec` None: it lacks that direction."""

    pcm: str
    name: str
    card: str = ""  # identity of its card; "" where it has none
    device: int | None = None  # its number on the card
    raw: bool = False  # the hardware itself; else the library may convert
    description: str = ""
    play: Side | None = None
    rec: Side | None = None
    spec: str = ""  # what to write behind -f: for good, if `card` is
    messages: tuple[str, ...] = ()  # what libasound said while it was asked

    def side(self, direction: str) -> Side | None:
        return self.play if direction == PLAY else self.rec

    def with_side(self, direction: str, side: Side) -> Endpoint:
        return replace(self, play=side) if direction == PLAY else replace(self, rec=side)

    @property
    def mode(self) -> str:
        return ",".join(direction for direction in DIRECTIONS if self.side(direction) is not None)

    @property
    def error(self) -> str | None:
        """Why it is of no use, where all that it has is of none."""
        sides = [side for side in (self.play, self.rec) if side is not None]
        reasons = [side.error for side in sides if side.error is not None]
        return reasons[0] if reasons and len(reasons) == len(sides) else None


@dataclass(frozen=True)
class Inventory:
    """Everything that was found.  `error`: why less was found than there may be."""

    cards: tuple[Card, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    error: str | None = None
    messages: tuple[str, ...] = field(default=(), compare=False)  # of libasound, while it listed them
    complete: bool = False  # every endpoint was asked; else this is what the kernel alone says

    def find(self, wanted: str, but: Collection[str] = ()) -> Card | None:
        """The card of an identity, see `find_card`."""
        return find_card(wanted, self.cards, but)

    def endpoint(self, pcm: str) -> Endpoint | None:
        return next((one for one in self.endpoints if one.pcm == pcm), None)

    def of_card(self, identity: str) -> tuple[Endpoint, ...]:
        return tuple(one for one in self.endpoints if one.card == identity)


def find_card(wanted: str, cards: Iterable[Card], but: Collection[str] = ()) -> Card | None:
    """The card that an identity, or the beginning of one up to a `:` or `@`, means; None: it is not there.

    A card with a serial number that is not where it was is found where it is now,
    unless that one is in `but`: identities that others mean.  Without a serial the
    port is what tells two equal cards apart: there only it counts.
    """
    known = list(cards)
    for card in known:
        if card.identity == wanted:
            return card
    head, at, _ = wanted.rpartition("@")
    if at and head.count(":") >= 3:
        wanted = head
    elif at:
        return None
    return next((card for card in known if card.identity not in but and _begins(card, wanted)), None)


def shortened(cards: Iterable[Card]) -> list[Card]:
    """The cards, `short` set: a port is named only where it is needed to tell equal cards apart."""
    known = list(cards)
    found = []
    for card in known:
        head, at, _ = card.identity.rpartition("@")
        alone = at and sum(_begins(other, head) for other in known) == 1
        found.append(replace(card, short=head if alone else card.identity))
    return found


def _begins(card: Card, head: str) -> bool:
    return (card.identity + ":").startswith((head + ":", head + "@"))


def differences(old: Inventory, new: Inventory) -> list[tuple[str, Endpoint]]:
    """Endpoints that are "gone", "new", or another than before ("change"), in this order."""
    before = {(one.card, one.pcm): one for one in old.endpoints}
    after = {(one.card, one.pcm): one for one in new.endpoints}
    found = [("gone", one) for key, one in before.items() if key not in after]
    found += [("new", one) for key, one in after.items() if key not in before]
    found += [("change", one) for key, one in after.items() if before.get(key, one) != one]
    return found
