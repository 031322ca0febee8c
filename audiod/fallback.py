"""Fallback: on which of its alternates a sub-device should be, and why it is there.

Pure functions over plain data: callers say what each device is like and what has
happened, and are told which ones to try, in which order.  Whether one opens only
trying tells.  Invariant: a device that is known not to be there is never tried.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class OnLoss(enum.StrEnum):
    """What streams do whose device is lost."""

    FALLBACK = "fallback"  # go on on the best alternate that opens
    WAIT = "wait"  # stay, and are silent until it is back


class OnNew(enum.StrEnum):
    """What streams do that play, when another of their alternates appears."""

    RETURN = "return"  # go there if it is the better one
    STAY = "stay"
    FOLLOW = "follow"  # go to whichever came last


class Presence(enum.Enum):
    """What is known of a device before it is opened."""

    THERE = enum.auto()  # nothing is known against it
    ABSENT = enum.auto()  # its card is not in this machine
    FAILED = enum.auto()  # it is there, but has failed or was refused, and nothing has changed since
    BUSY = enum.auto()  # another program had it


class Standing(enum.Enum):
    """What the device on which a sub-device is now does."""

    PLAYS = enum.auto()
    IDLE = enum.auto()  # it is closed, and nobody is there who would hear a change
    LOST = enum.auto()  # it is gone, and its streams are silent


@dataclass(frozen=True)
class Candidate:
    """One alternate; `since`: the higher, the later it appeared, 0 from the start."""

    number: int
    presence: Presence = Presence.THERE
    since: int = 0


@dataclass(frozen=True)
class Rule:
    """What the configuration says."""

    on_loss: OnLoss = OnLoss.FALLBACK
    on_new: OnNew = OnNew.RETURN


PLAIN = Rule()  # where nothing is configured


def preferred(of: Mapping[int, int]) -> dict[int, tuple[int, ...]]:
    """By the number of each -f that has alternates: these and itself, the preferred one first.

    `of`: alternates in the order of the command line, and whose they are.
    """
    orders: dict[int, tuple[int, ...]] = {}
    for number, home in of.items():
        orders[home] = (number, *orders.get(home, (home,)))
    return orders


def attempts(known: Sequence[Candidate], current: int, standing: Standing, rule: Rule) -> list[int]:
    """The devices to try one after the other; the first that opens is the one.  Empty: nothing is to change.

    `known`: all alternates, the preferred one first.  `current` itself is in the
    answer where it is worth opening anew, and ends it where it plays.
    """
    wanted = _by_wish(known, rule.on_new)
    if standing is Standing.PLAYS:
        if rule.on_new is OnNew.STAY:
            return []
        better = wanted[: _place(wanted, current)]
        return [one.number for one in better if one.presence is Presence.THERE]
    if standing is Standing.LOST and rule.on_loss is OnLoss.WAIT:
        wanted = [one for one in wanted if one.number == current]
    there = [one.number for one in wanted if one.presence is Presence.THERE]
    doubtful = [one.number for one in wanted if one.presence in (Presence.BUSY, Presence.FAILED)]
    return there + doubtful


def expected(known: Sequence[Candidate], current: int, rule: Rule) -> int:
    """Where a sub-device without a stream will be when one comes, as far as can be known."""
    found = attempts(known, current, Standing.IDLE, rule)
    return found[0] if found else current


def reason(known: Sequence[Candidate], current: int, rule: Rule, chosen: int | None = None) -> str:
    """Why it is where it is, in a few words; empty if it is the preferred one."""
    if current == chosen:
        return "chosen"
    if not known or known[0].number == current:
        return ""
    best = known[0]
    words = _WORDS.get(best.presence)
    if words is not None:
        return f"device {best.number} {words}"
    if rule.on_new is OnNew.FOLLOW:
        return "it came last"
    return f"device {best.number} was not there when it was needed"


_WORDS = {
    Presence.ABSENT: "is not there",
    Presence.FAILED: "has failed",
    Presence.BUSY: "is busy",
}


def _by_wish(known: Sequence[Candidate], on_new: OnNew) -> list[Candidate]:
    if on_new is OnNew.FOLLOW:
        return sorted(known, key=lambda one: -one.since)
    return list(known)


def _place(wanted: Sequence[Candidate], number: int) -> int:
    """Its index; all others are better than one that is no alternate any more."""
    return next((at for at, one in enumerate(wanted) if one.number == number), len(wanted))
