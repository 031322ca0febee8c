"""Fader: a card's own volume of one direction, which of its elements that is, and what our levels are on it.

Owns the choice of the element and the mapping of 0..127 to its steps: the card
takes the nearest step that is not below the wanted gain, software the rest, so
that the curve is sndio's on every card that knows its decibels.  Pure.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from audiod_protocol.limits import VOL_MAX

from audiod import policy
from audiod.cards.inventory import PLAY, Span

MUTED_DB = -9999999  # what libasound calls silence, in hundredths of a dB
SAME_DB = 17  # half of one of our steps: a difference that nobody hears is left to nobody

# Names of simple elements as drivers and libasound have them, those that act on all that is played
# (recorded) first.
_PLAYING = (
    *("Master", "PCM", "Speaker", "Headphone", "Headset", "Front", "DAC", "Digital", "Line Out", "Output"),
    *("Master Mono", "HDMI", "Playback", "Wave", "Analogue", "Analog"),
)
_RECORDING = (
    *("Capture", "ADC", "Mic", "Internal Mic", "Front Mic", "Headset Mic", "Headset", "Line", "Line In"),
    *("Digital", "Input", "Analogue", "Analog"),
)
_BESIDE = re.compile(  # what is heard beside what is played, or is not a level of it
    r"\b(Mic|Line|CD|Aux|Video|Phone|Beep|Synth|Boost|Capture|Loopback|Sidetone|Monitor|Tone|Bass|Treble|3D)\b",
    re.IGNORECASE,
)
_NOT_RECORDED = re.compile(r"\b(Boost|Sidetone|Monitor|Beep|Playback)\b", re.IGNORECASE)


class Use(enum.StrEnum):
    """What a device makes of its card's volume: what it finds there, what was kept of it, or nothing."""

    AUTO = "auto"
    RESTORE = "restore"
    SOFTWARE = "software"


@dataclass(frozen=True)
class Element:
    """A simple element of a card's mixer: what of its volume and mute each direction has."""

    name: str
    index: int = 0
    play_volume: bool = False
    play_switch: bool = False
    rec_volume: bool = False
    rec_switch: bool = False  # its own; not one that chooses between inputs
    common: bool = False  # its volume is one for both directions

    def volume(self, direction: str) -> bool:
        return self.play_volume if direction == PLAY else self.rec_volume

    def switch(self, direction: str) -> bool:
        return self.play_switch if direction == PLAY else self.rec_switch


def choose(elements: Iterable[Element], direction: str, device: int = 0) -> Element | None:
    """The element that is the volume of a PCM of a card; None: software has to be.

    Of those that have a volume in this direction and whose index is the PCM's number
    (a card's main PCM is 0): the first whose name is one that drivers give to the
    volume of everything, else the only one that is not about something beside it,
    such as a microphone heard in the loudspeaker.
    """
    known = [one for one in elements if one.volume(direction) and one.index == device]
    names, beside = (_PLAYING, _BESIDE) if direction == PLAY else (_RECORDING, _NOT_RECORDED)
    for name in names:
        for one in known:
            if one.name == name:
                return one
    left = [one for one in known if not beside.search(one.name)]
    return left[0] if len(left) == 1 else None


@dataclass(frozen=True)
class Step:
    """Where a level is on a card: its own value, and the linear gain that is software's."""

    raw: int
    gain: float = 1.0


@dataclass(frozen=True)
class Scale:
    """A card's volume in its own units; `db` tells hundredths of a dB of each; None: it knows none."""

    span: Span
    db: Callable[[int], int] | None = None

    def steps(self) -> tuple[Step, ...]:
        """The step of every level 0..127: of 127 the most of its span, of 0 the least and silence."""
        least = Step(self.span.min, 0.0)
        return (least, *(self._step(level) for level in range(1, VOL_MAX + 1)))

    def level(self, raw: int) -> int:
        """The level that comes nearest to what a card has been set to; 0 is silence alone."""
        span = self.span
        if self.db is None:
            if raw <= span.min:
                return 0
            return min(VOL_MAX, max(1, round((raw - span.min) * VOL_MAX / (span.max - span.min))))
        db = self.db(raw)
        if db <= MUTED_DB:
            return 0
        below = (db - self.db(span.max)) / 2000
        return min(VOL_MAX, max(1, round(VOL_MAX + 18 * below * math.log2(10))))

    def _step(self, level: int) -> Step:
        span, db = self.span, self.db
        if db is None:
            return Step(span.min + round(level * (span.max - span.min) / VOL_MAX))
        wanted = db(span.max) + 2000 * math.log10(policy.gain(level))
        low = _first(span, lambda raw: db(raw) >= wanted)
        near = min((low, max(low - 1, span.min)), key=lambda raw: abs(db(raw) - wanted))
        if abs(db(near) - wanted) <= SAME_DB:
            return Step(near)
        return Step(low, 10 ** ((wanted - db(low)) / 2000))


def scale(span: Span, db: Callable[[int], int | None], *, amplify: bool = False) -> Scale | None:
    """The scale of a card's volume, None if it cannot be turned; decibels that make no sense are none.

    What a card would add to full scale, above 0 dB, is not ours to use unless it is to `amplify`.
    """
    if span.min >= span.max:
        return None
    known: dict[int, int] = {}

    def told(raw: int) -> int:
        if raw not in known:
            value = db(raw)
            known[raw] = MUTED_DB if value is None else value
        return known[raw]

    if None in map(db, (span.min, span.max)):
        return Scale(span)
    low, middle, high = (told(raw) for raw in (span.min, (span.min + span.max) // 2, span.max))
    if not low < high or not low <= middle <= high:
        return Scale(span)
    if amplify or low >= 0 or high <= 0:
        return Scale(span, told)
    return Scale(Span(span.min, _first(span, lambda raw: told(raw) > 0) - 1), told)


def _first(span: Span, is_so: Callable[[int], bool]) -> int:
    """The least value from which on it is so; the most, if it is so of none."""
    low, high = span.min, span.max
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if is_so(middle) else (middle + 1, high)
    return low


@dataclass
class Fader:
    """A card's own volume of one direction, in use; `found`: the level that somebody else has set there.

    Of that one there is no rest: whoever turns the card's knob gets what the card does.
    """

    element: str
    steps: Sequence[Step] = field(repr=False)
    switch: bool = False
    found: int | None = None

    def gain(self, level: int, muted: bool) -> float:
        """What is left for software: the linear gain."""
        if muted and not self.switch:
            return 0.0
        return 1.0 if level == self.found else self.steps[level].gain


@dataclass(frozen=True)
class Knob:
    """A further knob of a card, or a jack, as it is now; `fixed`: it can only be read."""

    value: int
    most: int
    fixed: bool = False


@dataclass
class Faders:
    """What a device's card does of its volumes itself; `turn` tells it that they have been set."""

    play: Fader | None = None
    rec: Fader | None = None
    turn: Callable[[], None] = lambda: None
