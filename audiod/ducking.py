"""Ducking: who makes whom softer, silent or wait, from plain data.

Owns the one function `decide`: the streams that play on one device, and the
policy -> what becomes of each.  Invariant: the outcome depends on nothing but the
arguments.  Semantics: QNX's audio concurrency management; where it is silent
docs/adr/0018 says what we do.  Pure; control thread.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from audiod.audiotype import AudioType, Percents, Policy, Preempt, Same, least, shown, spread

Gains = tuple[float, ...]  # of channel 0, 1, ...; the last one is that of all further ones, () is 1

IDS_SHOWN = 8  # streams that one clause of a reason names


class Suspend(enum.IntFlag):
    """Why a stream waits, numbered as QNX's status event does."""

    HARD = 1  # by a higher priority: resume does not help
    SOFT = 2  # by its own priority: resume helps
    AUTOPAUSE = 4  # it will be paused, not running, once it is lifted


class Mute(enum.IntFlag):
    """Who silences a stream that plays on, numbered as QNX's mute event does."""

    SAME = 1
    HIGHER = 2


NOT_SUSPENDED = Suspend(0)
NOT_MUTED = Mute(0)
_MUTES = {
    (False, False): NOT_MUTED,
    (False, True): Mute.SAME,
    (True, False): Mute.HIGHER,
    (True, True): Mute.SAME | Mute.HIGHER,
}


@dataclass(frozen=True)
class Member:
    """One stream that plays, or may, as far as ducking is concerned.

    `active`: it runs, is paused or suspended.  `paused`: it does not run again by itself.  `since`: when it
    began to take part, in an order common to all; `resumed`: when its client last resumed it out of a soft
    suspension, in the same order (0: not).  `link`: streams of one such group are one.  `forced`: it acts
    on others, whatever else.  `channels`: that it plays.
    """

    id: int
    type: str | None = None
    active: bool = True
    since: int = 0
    link: Hashable | None = None
    forced: bool = False
    paused: bool = False
    resumed: int = 0
    channels: int = 2

    @property
    def takes_part(self) -> bool:
        """Whether it acts on others unless it is suspended."""
        return self.forced or (self.active and not self.paused)

    @property
    def order(self) -> int:
        return max(self.since, self.resumed)


@dataclass(frozen=True)
class Target:
    """What becomes of a stream; `ducked_by`: ids of those that do it, `why`: the same in words."""

    gains: Gains = ()
    suspend: Suspend = NOT_SUSPENDED
    muted_by: Mute = NOT_MUTED
    ducked_by: tuple[int, ...] = ()
    why: str = ""


UNTOUCHED = Target()


def decide(policy: Policy, members: Iterable[Member]) -> dict[int, Target]:
    """The target of each of the streams of one device, by id.

    That of one that is not active: what it would start with, never muted.
    """
    levels: dict[int, list[_Stream]] = {}
    for member in sorted(members, key=lambda m: (m.order, m.id)):
        kind = policy.of(member.type)
        levels.setdefault(kind.level, []).append(_Stream(member, kind))
    found: dict[int, Target] = {}
    known: dict[Hashable, Target] = {}
    above: list[_Acting] = []
    for level in sorted(levels):
        streams = levels[level]
        for one in streams:
            one.higher = [cause for acting in above if (cause := acting.on(one))]
        _SETTLE[streams[0].type.same](streams)
        above.append(_Acting([one for one in streams if one.acts], _lower))
        found |= {one.member.id: _target(one, known) for one in streams}
    return found


def multiplied(parts: Iterable[Percents]) -> Gains:
    """The product of percents as factors, channel by channel; () if it is 1 everywhere."""
    gains = [1.0]
    for part in parts:
        width = max(len(gains), len(part))
        gains = [_at(gains, i) * (_at(part, i) / 100) for i in range(width)]
    while len(gains) > 1 and gains[-1] == gains[-2]:
        gains.pop()
    return () if gains == [1.0] else tuple(gains)


# ---- within --------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Cause:
    """What streams of one level do to another; channels of which nothing is left as bits, 0 the lowest.

    `lasting`: the same bits without what transient streams do.
    """

    percents: Percents
    zero: int
    lasting: int
    by: dict[AudioType, list[int]]
    of: Callable[[AudioType], Percents]

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(ident for ids in self.by.values() for ident in ids)

    @property
    def clauses(self) -> Iterable[str]:
        return (f"{one.name} ({_streams(ids)}) leaves {shown(self.of(one))}" for one, ids in self.by.items())


@dataclass(eq=False)
class _Stream:
    """One member while it is decided on; `same` changes while its level settles."""

    member: Member
    type: AudioType
    higher: list[_Cause] = field(default_factory=list)
    same: _Cause | None = None
    settled: Suspend = NOT_SUSPENDED  # it waits for others of its priority, for these reasons

    def flags(self) -> Suspend:
        """Why it waits, as things stand."""
        if self.settled or (not self.higher and self.same is None):
            return self.settled
        hard, soft = self._silenced([c.lasting for c in self.higher], self.same.lasting if self.same else 0)
        return self._preempted(hard, soft) if hard or soft else NOT_SUSPENDED

    def mute(self) -> Mute:
        if not self.member.active:
            return NOT_MUTED
        higher, same = self._silenced([c.zero for c in self.higher], self.same.zero if self.same else 0)
        return _MUTES[higher, same]

    def _preempted(self, hard: bool, soft: bool) -> Suspend:
        flags = NOT_SUSPENDED
        for flag, caused, how in (
            (Suspend.HARD, hard, self.type.by_higher),
            (Suspend.SOFT, soft, self.type.by_same),
        ):
            if caused and how is not Preempt.NO:
                flags |= flag | (Suspend.AUTOPAUSE if how is Preempt.PAUSE else NOT_SUSPENDED)
        return flags

    def _silenced(self, above: Iterable[int], same: int) -> tuple[bool, bool]:
        """Whether nothing is left of it by higher priorities, and by its own; by both if only together."""
        whole, higher = (1 << max(1, self.member.channels)) - 1, 0
        for bits in above:
            higher |= bits
        if higher | same != whole:
            return False, False
        return higher == whole or same != whole, same == whole or higher != whole

    @property
    def candidate(self) -> bool:
        """Whether it may act within its level, before that settles: not if it is suspended from above."""
        return self.member.takes_part and (self.member.forced or not self.flags())

    @property
    def acts(self) -> bool:
        return self.member.forced or (self.member.takes_part and not self.flags())

    def with_(self, other: _Stream) -> bool:
        """Whether the two are one stream."""
        return other is self or (self.member.link is not None and self.member.link == other.member.link)


class _Acting:
    """Streams of one level that act on others by `percents` of their types; remembers what came out."""

    def __init__(
        self,
        streams: Sequence[_Stream],
        percents: Callable[[AudioType], Percents],
        *,
        own: bool = True,  # on those of their own type, too
    ) -> None:
        self._streams = [one for one in streams if min(percents(one.type)) < 100]
        self._links = {one.member.link for one in self._streams if one.member.link is not None}
        self._percents = percents
        self._own = own
        self._known: dict[tuple[int, Hashable, str], _Cause | None] = {}

    def on(self, one: _Stream) -> _Cause | None:
        """What they do to this one, or None if that is nothing."""
        link = one.member.link if one.member.link in self._links else None
        key = max(1, one.member.channels), link, "" if self._own else one.type.name
        if key not in self._known:
            self._known[key] = self._cause(*key)
        return self._known[key]

    def _cause(self, channels: int, link: Hashable, kind: str) -> _Cause | None:
        by: dict[AudioType, list[int]] = {}
        for other in self._streams:
            member = other.member
            if (link is None or member.link != link) and (not kind or other.type.name != kind):
                by.setdefault(other.type, []).append(member.id)
        by = {one: ids for one, ids in by.items() if min(spread(self._percents(one), channels)) < 100}
        if not by:
            return None
        lasting = [self._percents(one) for one in by if not one.transient]
        percents = least([self._percents(one) for one in by])
        return _Cause(
            percents, _zero(percents, channels), _zero(least(lasting), channels), by, self._percents
        )


def _lower(kind: AudioType) -> Percents:
    return kind.duck_lower


def _same(kind: AudioType) -> Percents:
    return kind.duck_same


def _last_wins(streams: Sequence[_Stream]) -> None:
    # one that is not active yet would be the last
    _wins(
        [one for one in streams if one.member.active or one.member.forced],
        lambda one: (one.member.order, one.member.id),
    )


def _first_wins(streams: Sequence[_Stream]) -> None:
    _wins(streams, lambda one: (one.member.resumed, -one.member.since, -one.member.id))


def _wins(streams: Sequence[_Stream], rank: Callable[[_Stream], tuple[int, ...]]) -> None:
    """One stream ducks all others of its level; where it is transient so does the first that is not."""
    candidates = [one for one in streams if one.candidate]
    if not candidates:
        return
    winner = max(candidates, key=rank)
    lasting = max((one for one in candidates if not one.type.transient), key=rank, default=winner)
    both = _Acting([winner] if lasting is winner else [winner, lasting], _same)
    alone = _Acting([winner], _same)
    for one in streams:
        if not one.with_(winner):
            one.same = (alone if one is lasting else both).on(one)


def _mix(streams: Sequence[_Stream]) -> None:
    """Each gets the strictest of the other types' percents; if types silence each other the newest wins."""
    running = [one for one in streams if one.candidate]
    _mixed(streams, running)
    resumed = max(running, key=lambda one: one.member.resumed, default=None)
    if resumed is not None and resumed.member.resumed and Suspend.SOFT in resumed.flags():
        displaced = [one for one in running if _gives_way(one, resumed)]
        for one in displaced:
            one.settled = one._preempted(hard=False, soft=True)
        running = [one for one in running if one not in displaced]
        _mixed(streams, running)
    while ends := [one for one in running if not one.member.forced and one.flags()]:
        newest = {one.type.name: one.member.order for one in running}  # running is in that order
        oldest = min(ends, key=lambda one: newest[one.type.name]).type
        ends = [one for one in ends if one.type is oldest]
        for one in ends:
            one.settled = one.flags()
        running = [one for one in running if one not in ends]
        _mixed(streams, running)


def _gives_way(one: _Stream, resumed: _Stream) -> bool:
    """Whether this one waits so that another, which it had silenced or helped to, can go on."""
    return (
        one.member.active
        and not one.member.forced
        and one.type is not resumed.type
        and not one.with_(resumed)
        and one.type.by_same is not Preempt.NO
        and not one.type.transient
        and _zero(one.type.duck_same, max(1, resumed.member.channels)) != 0
        and one.member.order < resumed.member.resumed
    )


def _mixed(streams: Sequence[_Stream], running: Sequence[_Stream]) -> None:
    acting = _Acting(running, _same, own=False)
    for one in streams:
        one.same = acting.on(one)


_SETTLE = {Same.LAST_WINS: _last_wins, Same.FIRST_WINS: _first_wins, Same.MIX: _mix}


def _target(one: _Stream, known: dict[Hashable, Target]) -> Target:
    """The outcome for one; `known`: those of others, as most are alike."""
    suspend = one.flags()
    causes = [*one.higher, *([one.same] if one.same else [])]
    if not causes and not suspend:
        return UNTOUCHED
    mute = NOT_MUTED if suspend else one.mute()
    key = (int(suspend), int(mute), bool(one.settled), *map(id, causes))
    if key not in known:
        known[key] = _told(one, causes, suspend, mute)
    return known[key]


def _told(one: _Stream, causes: Sequence[_Cause], suspend: Suspend, mute: Mute) -> Target:
    clauses = [clause for cause in causes for clause in cause.clauses]
    if one.settled:
        clauses.append("others of its priority go on in its place")
    if suspend:
        words = ((Suspend.HARD, "a higher"), (Suspend.SOFT, "its own"))
        by = " and ".join(word for flag, word in words if flag in suspend)
        clauses.append(f"suspended by {by} priority")
    elif mute:
        clauses.append("silent, but not preempted")
    return Target(
        (0.0,) if suspend else multiplied(cause.percents for cause in causes),
        suspend,
        mute,
        sum((cause.ids for cause in causes), ()),
        "; ".join(clauses),
    )


def _at(values: Sequence[float], channel: int) -> float:
    """The value of a channel: beyond the last that of the last."""
    return values[min(channel, len(values) - 1)]


def _zero(percents: Percents, channels: int) -> int:
    """The channels of which nothing is left, as bits."""
    return sum(1 << i for i, percent in enumerate(spread(percents, channels)) if percent == 0)


def _streams(ids: Sequence[int]) -> str:
    named = ", ".join(map(str, ids[:IDS_SHOWN]))
    more = f" and {len(ids) - IDS_SHOWN} more" if len(ids) > IDS_SHOWN else ""
    return f"stream{'s' if len(ids) > 1 else ''} {named}{more}"
