"""Desk: the volumes of one card as one thread at a time sees them: what they are, what they are set to.

Owns what is known of each element in use, so that a knob that somebody else has
turned is told from an echo of our own.  No task: `mixer` calls it in a thread.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from audiod_protocol.sndio.descriptors import WORD_MAX

from audiod.cards import fader
from audiod.cards.fader import Element, Fader, Scale, Step
from audiod.cards.inventory import DIRECTIONS, REC, Span
from audiod.cards.panel import Reading

FURTHER_MAX = 64  # volumes and switches of one card: twice what codecs with many inputs have
JACKS_MAX = 32
REC_WORD = "Rec"  # behind the name of what is recorded, where an element is heard, too


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
    def jacks(self) -> dict[str, bool]: ...


@dataclass
class Wanted:
    """What a volume is to be set to; None: that stays as it is."""

    level: int | None = None
    muted: bool | None = None


@dataclass(frozen=True)
class Found:
    """What somebody else has set; None: that is as it was."""

    level: int | None = None
    muted: bool | None = None


@dataclass
class _Side:
    direction: str
    element: Element
    scale: Scale | None  # None: it has a switch alone
    steps: tuple[Step, ...]
    known: Reading
    below: tuple[int, ...] = ()  # how far each channel is set below the loudest: somebody's balance

    def balance(self) -> None:
        if not self.known.raw:
            return
        self.below = tuple(max(self.known.raw) - raw for raw in self.known.raw)

    def level(self, reading: Reading) -> int | None:
        return None if self.scale is None else self.scale.level(max(reading.raw))

    def placed(self, level: int) -> tuple[int, ...]:
        """The value of each channel at this level."""
        assert self.scale is not None, "it has no volume"
        return tuple(max(self.scale.span.min, self.steps[level].raw - below) for below in self.below)


class Desk:
    """The volumes of a card: of its PCM number `device` by direction, `further` ones by words of ours."""

    def __init__(self, knobs: Knobs, device: int, *, faders: bool = True, further: bool = False) -> None:
        self._knobs = knobs
        self._sides: dict[str, _Side] = {}
        elements = knobs.elements()
        for direction in DIRECTIONS if faders else ():
            element = fader.choose(elements, direction, device)
            if element is not None:
                self._add(direction, direction, element)
        if further:
            self._add_further(elements)
        self._plugged = knobs.jacks() if further else {}
        self._jacks = words(sorted(self._plugged), JACKS_MAX)

    def _add_further(self, elements: list[Element]) -> None:
        used = {(side.element, side.direction) for side in self._sides.values()}
        left: dict[str, tuple[Element, str]] = {}
        for element in elements:
            sides = [d for d in DIRECTIONS if element.volume(d) or element.switch(d)]
            for direction in sides:
                one = element
                if element.common and direction == REC:  # its volume is there already
                    one = replace(element, rec_volume=False)
                    if not one.rec_switch:
                        continue
                name = element.name + (str(element.index) if element.index else "")
                if len(sides) > 1 and direction == REC:
                    name += REC_WORD
                if (element, direction) not in used:
                    left.setdefault(name, (one, direction))
        for word, name in words(left, FURTHER_MAX).items():
            element, direction = left[name]
            self._add(word, direction, element, most=True)

    def _add(self, key: str, direction: str, element: Element, *, most: bool = False) -> None:
        """`most`: up to what it has, also if that is more than full scale."""
        knobs, scale = self._knobs, None
        if element.volume(direction):
            scale = fader.scale(
                knobs.span(element, direction),
                lambda raw: knobs.db(element, direction, raw),
                amplify=most or direction == REC,  # a microphone needs it
            )
        reading = knobs.read(element, direction)
        if (scale is not None and reading.raw) or (most and reading.on is not None):
            steps = () if scale is None else scale.steps()
            side = self._sides[key] = _Side(direction, element, scale, steps, reading)
            side.balance()

    def faders(self) -> dict[str, Fader]:
        """The volumes that the card has, by direction."""
        return {
            direction: Fader(side.element.name, side.steps, side.known.on is not None)
            for direction, side in self._sides.items()
            if direction in DIRECTIONS
        }

    def found(self) -> dict[str, Found]:
        """How they are set."""
        return {key: _told(side, side.known) for key, side in self._sides.items()}

    def jacks(self) -> dict[str, bool]:
        """Whether something is plugged in, by words of ours."""
        return {word: self._plugged.get(name, False) for word, name in self._jacks.items()}

    def turn(self, wanted: Mapping[str, Wanted]) -> dict[str, Found]:
        """Set what is wanted, and find what somebody else has set meanwhile.  Raises AlsaError."""
        self._knobs.handle()
        if self._jacks:
            self._plugged = self._knobs.jacks()
        found = {}
        for key, side in self._sides.items():
            want = wanted.get(key)
            now = self._knobs.read(side.element, side.direction)
            if want is not None:
                self._note(side, now)
                asked = self._set(side, want)
                now = self._knobs.read(side.element, side.direction)
                side.known = _near(asked, now)
            if now != side.known:
                level = None if now.raw == side.known.raw else side.level(now)
                found[key] = Found(level, None if now.on == side.known.on else not now.on)
                self._note(side, now)
        return found

    @staticmethod
    def _note(side: _Side, now: Reading) -> None:
        moved, side.known = now.raw != side.known.raw, now
        if moved:
            side.balance()

    def _set(self, side: _Side, want: Wanted) -> Reading:
        """What it should be then."""
        now = side.known
        raw = now.raw if want.level is None else side.placed(want.level)
        on = now.on if now.on is None or want.muted is None else not want.muted
        if raw != now.raw:
            self._knobs.turn(side.element, side.direction, raw)
        if on is not None and on != now.on:
            self._knobs.switch(side.element, side.direction, on)
        self._knobs.handle()  # the echo
        return Reading(raw, on)

    def close(self) -> None:
        self._knobs.close()


def _near(asked: Reading, now: Reading) -> Reading:
    """What was asked for, as the card has it if it has only rounded; else somebody else was there, too."""
    same = all(abs(one - other) <= 1 for one, other in zip(asked.raw, now.raw, strict=True))
    return Reading(now.raw if same else asked.raw, asked.on)


def _told(side: _Side, now: Reading) -> Found:
    return Found(side.level(now), None if now.on is None else not now.on)


def words(names: Iterable[str], most: int) -> dict[str, str]:
    """The first `most` names by words that sndioctl takes: letters and digits, short, no two the same."""
    found: dict[str, str] = {}
    for name in itertools.islice(names, most):
        plain = re.sub(r"^[0-9_]+", "", re.sub(r"[^A-Za-z0-9_]", "", name)) or "Element"
        tails = itertools.chain([""], map(str, itertools.count(2)))
        word = next(w for tail in tails if (w := plain[: WORD_MAX - len(tail)] + tail) not in found)
        found[word] = name
    return found
