"""Desk: the volumes of one card as one thread at a time sees them: what they are, what they are set to.

Owns what is known of each element in use, so that a knob that somebody else has
turned is told from an echo of our own.  No task: `mixer` calls it in a thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from audiod.cards import fader
from audiod.cards.fader import Element, Fader, Scale, Step
from audiod.cards.inventory import DIRECTIONS, REC, Span
from audiod.cards.panel import Reading


class Knobs(Protocol):
    """What a desk needs of a `panel.Panel`."""

    def close(self) -> None: ...
    def descriptors(self) -> list[int]: ...
    def handle(self) -> None: ...
    def elements(self) -> list[Element]: ...
    def span(self, element: Element, direction: str) -> Span: ...
    def db(self, element: Element, direction: str, raw: int) -> int | None: ...
    def read(self, element: Element, direction: str) -> Reading: ...
    def turn(self, element: Element, direction: str, raw: tuple[int, ...]) -> None: ...
    def switch(self, element: Element, direction: str, on: bool) -> None: ...


@dataclass
class Wanted:
    """What a direction is to be set to; `level` None: its volume stays as it is."""

    level: int | None
    muted: bool


@dataclass(frozen=True)
class Found:
    """What somebody else has set; None: that is as it was."""

    level: int | None = None
    muted: bool | None = None


@dataclass
class _Side:
    element: Element
    scale: Scale
    steps: tuple[Step, ...]
    known: Reading
    below: tuple[int, ...] = ()  # how far each channel is set below the loudest: somebody's balance

    def balance(self) -> None:
        self.below = tuple(max(self.known.raw) - raw for raw in self.known.raw)

    def placed(self, level: int) -> tuple[int, ...]:
        """The value of each channel at this level."""
        return tuple(max(self.scale.span.min, self.steps[level].raw - below) for below in self.below)


class Desk:
    """The elements that are the volumes of PCM number `device` of a card."""

    def __init__(self, knobs: Knobs, device: int) -> None:
        self._knobs = knobs
        self._sides: dict[str, _Side] = {}
        elements = knobs.elements()
        for direction in DIRECTIONS:
            element = fader.choose(elements, direction, device)
            if element is not None:
                self._add(direction, element)

    def _add(self, direction: str, element: Element) -> None:
        knobs = self._knobs
        scale = fader.scale(
            knobs.span(element, direction),
            lambda raw: knobs.db(element, direction, raw),
            amplify=direction == REC,  # a microphone needs it
        )
        reading = knobs.read(element, direction)
        if scale is not None and reading.raw:
            side = self._sides[direction] = _Side(element, scale, scale.steps(), reading)
            side.balance()

    def faders(self) -> dict[str, Fader]:
        """The volumes that the card has, by direction."""
        return {
            direction: Fader(side.element.name, side.steps, side.known.on is not None)
            for direction, side in self._sides.items()
        }

    def found(self) -> dict[str, Found]:
        """How they are set."""
        return {direction: _told(side, side.known) for direction, side in self._sides.items()}

    def turn(self, wanted: Mapping[str, Wanted]) -> dict[str, Found]:
        """Set what is wanted, and find what somebody else has set meanwhile.  Raises AlsaError."""
        self._knobs.handle()
        found = {}
        for direction, side in self._sides.items():
            want = wanted.get(direction)
            now = self._knobs.read(side.element, direction)
            if want is not None:
                self._note(side, now)
                asked = self._set(direction, side, want)
                now = self._knobs.read(side.element, direction)
                side.known = _near(asked, now)
            if now != side.known:
                level = None if now.raw == side.known.raw else side.scale.level(max(now.raw))
                found[direction] = Found(level, None if now.on == side.known.on else not now.on)
                self._note(side, now)
        return found

    @staticmethod
    def _note(side: _Side, now: Reading) -> None:
        moved, side.known = now.raw != side.known.raw, now
        if moved:
            side.balance()

    def _set(self, direction: str, side: _Side, want: Wanted) -> Reading:
        """What it should be then."""
        now = side.known
        raw = now.raw if want.level is None else side.placed(want.level)
        if raw != now.raw:
            self._knobs.turn(side.element, direction, raw)
        if now.on is not None and now.on == want.muted:
            self._knobs.switch(side.element, direction, not want.muted)
        self._knobs.handle()  # the echo
        return Reading(raw, None if now.on is None else not want.muted)

    def close(self) -> None:
        self._knobs.close()


def _near(asked: Reading, now: Reading) -> Reading:
    """What was asked for, as the card has it if it has only rounded; else somebody else was there, too."""
    same = all(abs(one - other) <= 1 for one, other in zip(asked.raw, now.raw, strict=True))
    return Reading(now.raw if same else asked.raw, asked.on)


def _told(side: _Side, now: Reading) -> Found:
    return Found(side.scale.level(max(now.raw)), None if now.on is None else not now.on)
