"""A card with knobs that a test turns: audiod.cards.panel.Panel in plain Python.

What is set on the card is seen by a panel once it has handled the event, as
libasound has it; `Card.turned` tells who waits for the descriptor.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from errno import ENODEV

from audiod.cards.fader import Element
from audiod.cards.inventory import Span
from audiod.cards.libasound import AlsaError
from audiod.cards.panel import Reading


@dataclass
class Knob:
    """One direction of an element; `db` None: it knows no decibels; `on` None: it has no switch."""

    raw: list[int]
    span: Span = field(default_factory=lambda: Span(0, 87))  # as an HDA codec has
    db: Callable[[int], int] | None = lambda raw: (raw - 87) * 75
    on: bool | None = True  # raw of nothing: it has a switch alone


@dataclass
class FakeCard:
    """Knobs by name and direction; `only` are the values that it takes, where it rounds down to them."""

    knobs: dict[tuple[str, str], Knob] = field(default_factory=dict)
    gone: bool = False
    only: int = 1
    jacks: dict[str, bool] = field(default_factory=dict)
    common: set[str] = field(default_factory=set)  # of one volume for both directions
    panels: list[FakePanel] = field(default_factory=list)
    log: list[tuple[object, ...]] = field(default_factory=list)

    def open(self, number: int) -> FakePanel:
        self.check()
        panel = FakePanel(self)
        self.panels.append(panel)
        return panel

    def check(self) -> None:
        if self.gone:
            raise AlsaError(ENODEV, os.strerror(ENODEV))

    def turned(self) -> None:
        """There are events."""
        for panel in self.panels:
            if not panel.closed:
                os.eventfd_write(panel.fd, 1)

    def turn(self, name: str, direction: str, *raw: int, on: bool | None = None) -> None:
        """Somebody at the card, or with another program."""
        knob = self.knobs[name, direction]
        if raw:
            knob.raw = list(raw)
        if on is not None:
            knob.on = on
        self.turned()

    def unplug(self) -> None:
        self.gone = True
        self.turned()

    @property
    def nopen(self) -> int:
        return sum(not panel.closed for panel in self.panels)


class FakePanel:
    def __init__(self, card: FakeCard) -> None:
        self.card = card
        self.closed = False
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._seen: dict[tuple[str, str], Reading] = {}
        self._look()

    def _look(self) -> None:
        self._seen = {key: Reading(tuple(knob.raw), knob.on) for key, knob in self.card.knobs.items()}

    def close(self) -> None:
        assert not self.closed, "closed twice"
        self.closed = True
        os.close(self.fd)

    def descriptors(self) -> list[int]:
        return [self.fd]

    def handle(self) -> None:
        assert not self.closed
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.fd)
        self.card.check()
        self._look()

    def elements(self) -> list[Element]:
        names = dict.fromkeys(name for name, _ in self.card.knobs)
        return [self._element(name) for name in names]

    def _element(self, name: str) -> Element:
        play, rec = (self.card.knobs.get((name, direction)) for direction in ("play", "rec"))
        return Element(
            name,
            play_volume=play is not None and bool(play.raw),
            play_switch=play is not None and play.on is not None,
            rec_volume=rec is not None and bool(rec.raw),
            rec_switch=rec is not None and rec.on is not None,
            common=name in self.card.common,
        )

    def _knob(self, element: Element, direction: str) -> Knob:
        self.card.check()
        knob = self.card.knobs.get((element.name, direction))
        if knob is None:
            raise AlsaError(ENODEV, f"its element {element.name!r} is gone")
        return knob

    def span(self, element: Element, direction: str) -> Span:
        return self._knob(element, direction).span

    def db(self, element: Element, direction: str, raw: int) -> int | None:
        db = self._knob(element, direction).db
        return None if db is None else db(raw)

    def read(self, element: Element, direction: str) -> Reading:
        self._knob(element, direction)
        return self._seen[element.name, direction]

    def turn(self, element: Element, direction: str, raw: Sequence[int]) -> None:
        knob = self._knob(element, direction)
        assert all(knob.span.min <= value <= knob.span.max for value in raw)
        assert len(raw) == len(knob.raw)
        self.card.log.append((element.name, direction, *raw))
        knob.raw = [value - value % self.card.only for value in raw]
        self._seen[element.name, direction] = Reading(tuple(raw), knob.on)
        self.card.turned()

    def jacks(self) -> dict[str, bool]:
        return dict(self.card.jacks)

    def switch(self, element: Element, direction: str, on: bool) -> None:
        self.card.log.append((element.name, direction, "on" if on else "off"))
        self._knob(element, direction).on = on
        self.card.turned()
