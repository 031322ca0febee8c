"""Audio types: what a ducking policy says, as plain values, and how its numbers are written.

Owns the types by priority, their percents and the ramps; `ducking.decide` makes
decisions of them.  Invariant: a Policy has a type, and all types of one priority
have one same-priority policy.  Percents say what is left of a stream: 100 all, 0
nothing.  Values and spelling as in QNX's policy files.  Pure.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import pairwise

from audiod_protocol.limits import NCHAN_MAX

Percents = tuple[int, ...]  # of channel 0, 1, ...; the last one is that of all further channels

FULL: Percents = (100,)
NAME_MAX = 31  # bytes; QNX's list of active types has 32 for one, with a NUL
RAMP_MS_MAX = 10_000  # a fade of more than ten seconds is no reaction to anything
RAMPS = ("volume_mute", "pause_resume", "ducking")  # names of ramps
POINTS_MAX = 16  # of a curve; what the engine takes


class Same(enum.StrEnum):
    """Who ducks whom among streams of one priority."""

    LAST_WINS = "last_wins"
    FIRST_WINS = "first_wins"
    MIX = "mix"


class Preempt(enum.StrEnum):
    """What a stream of which nothing is left does: play on silently, wait, or wait and be paused then."""

    NO = "no"
    SUSPEND = "suspend"
    PAUSE = "pause"


@dataclass(frozen=True)
class Ramp:
    """How a change of gain goes: `points` (time, volume) of a curve from (0, 0) to (1, 1), the last included.

    () is the smooth step that every other change of gain has.
    """

    ms: int = 10
    points: tuple[tuple[float, float], ...] = ()


LINEAR = ((1.0, 1.0),)


@dataclass(frozen=True)
class Ramps:
    """The ramp of each occasion."""

    volume_mute: Ramp = Ramp()
    pause_resume: Ramp = Ramp()
    ducking: Ramp = Ramp()


@dataclass(frozen=True)
class AudioType:
    """A type of streams; `level` 0 is the highest priority."""

    name: str
    level: int
    same: Same
    duck_same: Percents = FULL
    duck_lower: Percents = FULL
    by_higher: Preempt = Preempt.NO
    by_same: Preempt = Preempt.NO
    transient: bool = False  # it makes others softer, but none wait


@dataclass(frozen=True)
class Policy:
    """Types from the highest priority to the lowest, at least one; the case of names does not count."""

    types: tuple[AudioType, ...]
    ramps: Ramps = Ramps()
    _named: dict[str, AudioType] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_named", {one.name.casefold(): one for one in self.types})

    def find(self, name: str) -> AudioType | None:
        """The type of this name, in any case."""
        return self._named.get(name.casefold())

    @property
    def default(self) -> AudioType:
        """That of streams without one: the type named default, else the lowest."""
        return self._named.get("default", self.types[-1])

    def of(self, name: str | None) -> AudioType:
        """The type that counts for a stream said to be of `name`."""
        return (None if name is None else self.find(name)) or self.default


def shown(percents: Percents) -> str:
    """Percents as people write them: 50%, or ch0 10%, ch1 50%, others 100%."""
    if len(percents) == 1:
        return f"{percents[0]}%"
    listed = [f"ch{i} {percent}%" for i, percent in enumerate(percents[:-1])]
    return ", ".join([*listed, f"others {percents[-1]}%"])


@dataclass(frozen=True)
class ProgramRule:
    """Programs whose name matches `name` (a pattern with * and ?, in any case) play streams of `type`."""

    name: str
    type: str


def by_program(rules: Sequence[ProgramRule], program: str) -> str | None:
    """The type that the first rule for a program of this name gives it."""
    name = program.casefold()
    return next((one.type for one in rules if fnmatchcase(name, one.name.casefold())), None)


def check_name(name: str) -> str | None:
    """What is wrong with the name of an audio type, or None."""
    if not name or len(name.encode()) > NAME_MAX:
        return f"{name[:40]!r} has not 1..{NAME_MAX} bytes"
    if not name.isprintable() or " " in name:
        return f"{name[:40]!r}: white space and characters that cannot be seen are not allowed"
    return None


def ranked(policy: Policy) -> str:
    """The types by priority, as in: voice > nav = alert > music."""
    text = policy.types[0].name
    for before, one in pairwise(policy.types):
        text += f" {'=' if one.level == before.level else '>'} {one.name}"
    return text


def percents(text: str) -> Percents:
    """What is left: 0..100, noducking, or by channel as in ch0:50,ch1:100 (those not named: 100).

    Raises ValueError.
    """
    if text == "noducking":
        return FULL
    if re.fullmatch("[0-9]{1,3}", text):
        return (_percent(text),)
    by_channel: dict[int, int] = {}
    for part in text.split(","):
        found = re.fullmatch("ch([0-9]{1,2}):([0-9]{1,3})", part)
        if found is None:
            raise ValueError(f"{part[:40]!r} is not 0..100, noducking or a channel such as ch0:50")
        channel = int(found[1])
        if channel >= NCHAN_MAX:
            raise ValueError(f"there is no channel {channel}, the last one is {NCHAN_MAX - 1}")
        if channel in by_channel:
            raise ValueError(f"channel {channel} is there twice")
        by_channel[channel] = _percent(found[2])
    return (*(by_channel.get(i, 100) for i in range(max(by_channel) + 1)), 100)


def written(percents: Percents) -> int | str:
    """The opposite of `percents`."""
    if len(percents) == 1:
        return percents[0]
    return ",".join(f"ch{channel}:{percent}" for channel, percent in enumerate(percents[:-1]))


def profile(text: str) -> tuple[tuple[float, float], ...]:
    """The points of a curve written as segments time%:volume%, each column summing to 100.

    Raises ValueError.
    """
    points = []
    time = volume = 0
    for part in text.split(","):
        found = re.fullmatch("([0-9]{1,3}):([0-9]{1,3})", part)
        if found is None:
            raise ValueError(f"{part[:40]!r} is not a segment such as 20:10, in percent of time and volume")
        time, volume = time + int(found[1]), volume + int(found[2])
        points.append((time / 100, volume / 100))
    if time != 100 or volume != 100:
        raise ValueError(f"the segments sum to {time}% of time and {volume}% of volume, not to 100%")
    if len(points) > POINTS_MAX:
        raise ValueError(f"there are {len(points)} segments, more than {POINTS_MAX}")
    return tuple(points)


def segments(points: Sequence[tuple[float, float]]) -> str | None:
    """The opposite of `profile`; None for the smooth step, which is not made of segments."""
    before, found = (0, 0), []
    for time, volume in points:
        here = round(time * 100), round(volume * 100)
        found.append(f"{here[0] - before[0]}:{here[1] - before[1]}")
        before = here
    return ",".join(found) or None


def spread(percents: Percents, channels: int) -> Percents:
    """Percents of exactly so many channels."""
    return percents[:channels] + percents[-1:] * (channels - len(percents))


def least(parts: Sequence[Percents]) -> Percents:
    """The strictest of several, channel by channel; of none: all."""
    width = max(map(len, parts), default=1)
    return tuple(min((spread(part, width)[i] for part in parts), default=100) for i in range(width))


def _percent(digits: str) -> int:
    if int(digits) > 100:
        raise ValueError(f"{digits} is more than 100 percent")
    return int(digits)
