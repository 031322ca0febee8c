"""A reference model of ducking: the rules of adr/0018 word by word, per channel and per pair of streams.

Slow and without any structure in common with audiod.ducking: what the tests compare it with.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import wraps
from typing import Any

from audiod.audiotype import AudioType, Percents, Policy, Preempt, Same
from audiod.ducking import Member

HARD, SOFT, AUTOPAUSE = 1, 2, 4
BY_SAME, BY_HIGHER = 1, 2

Expected = tuple[list[float], int, int, set[int]]  # factor per channel, suspended, muted, ducked by


def left(percents: Percents, channel: int) -> int:
    return percents[channel] if channel < len(percents) else percents[-1]


def linked(a: Member, b: Member) -> bool:
    return a.id == b.id or (a.link is not None and a.link == b.link)


def newest(member: Member) -> int:
    return max(member.since, member.resumed)


Ask = Callable[..., Any]


def once(ask: Ask) -> Ask:
    """Remember the answers, which would else be asked for again and again."""

    @wraps(ask)
    def answer(model: Model, *about: Any) -> Any:
        key = (ask.__name__, *(a.id if isinstance(a, Member) else a for a in about))
        if key not in model.known:
            model.known[key] = ask(model, *about)
        return model.known[key]

    return answer


class Model:
    """One table of streams; every question is answered from it alone, once until `waiting` changes."""

    def __init__(self, policy: Policy, members: Sequence[Member]) -> None:
        self.policy = policy
        self.members = members
        self.waiting: dict[int, int] = {}  # settled in a mix: id -> flags
        self.known: dict[tuple[Hashable, ...], Any] = {}
        for level in sorted({self.type(m).level for m in members}):
            if self.policy_of(level) is Same.MIX:
                self.settle(level)

    @once
    def type(self, member: Member) -> AudioType:
        wanted = (member.type or "").casefold()
        for one in self.policy.types:
            if one.name.casefold() == wanted:
                return one
        for one in self.policy.types:
            if one.name.casefold() == "default":
                return one
        return self.policy.types[-1]

    def policy_of(self, level: int) -> Same:
        return next(one.same for one in self.policy.types if one.level == level)

    def at(self, level: int) -> list[Member]:
        return [m for m in self.members if self.type(m).level == level]

    # ---- who acts

    def part(self, m: Member) -> bool:
        return m.forced or (m.active and not m.paused)

    @once
    def candidates(self, level: int) -> list[Member]:
        """Of those that take part: not those that higher priorities alone suspend."""
        found = []
        for m in self.at(level):
            alone = m.active and self.zero_higher(m, True) and self.type(m).by_higher is not Preempt.NO
            if self.part(m) and (m.forced or not alone):
                found.append(m)
        return found

    @once
    def acts_below(self, m: Member) -> bool:
        return m.forced or (self.part(m) and not self.suspended(m))

    # ---- by whom

    @once
    def above(self, x: Member, channel: int, lasting: bool) -> list[tuple[Member, int, int]]:
        """(who, level, percent) of higher priorities."""
        found = []
        for m in self.members:
            kind = self.type(m)
            if lasting and kind.transient:
                continue
            if kind.level < self.type(x).level and not linked(m, x) and self.acts_below(m):
                found.append((m, kind.level, left(kind.duck_lower, channel)))
        return found

    @once
    def beside(self, x: Member) -> list[Member]:
        """Those of its own priority that act on it."""
        level = self.type(x).level
        if self.policy_of(level) is Same.MIX:
            return [
                m
                for m in self.candidates(level)
                if m.id not in self.waiting and not linked(m, x) and self.type(m) is not self.type(x)
            ]
        some = self.candidates(level)
        if self.policy_of(level) is Same.LAST_WINS:
            if not x.active and not x.forced:
                return []
            some = sorted(some, key=lambda m: (newest(m), m.id), reverse=True)
        else:
            some = sorted(some, key=lambda m: (-m.resumed, m.since, m.id))
        if not some or linked(some[0], x):
            return []
        first = some[0]
        rest = [m for m in some if not self.type(m).transient]
        acting = [first]
        if rest and rest[0].id not in (first.id, x.id):
            acting.append(rest[0])
        return [m for m in acting if not linked(m, x)]

    # ---- how much

    @once
    def factor_higher(self, x: Member, channel: int, lasting: bool) -> float:
        by_level: dict[int, int] = {}
        for _, level, percent in self.above(x, channel, lasting):
            by_level[level] = min(by_level.get(level, 100), percent)
        product = 1.0
        for percent in by_level.values():
            product *= percent / 100
        return product

    @once
    def factor_same(self, x: Member, channel: int, lasting: bool) -> float:
        kinds = [self.type(m) for m in self.beside(x)]
        return (
            min([left(k.duck_same, channel) for k in kinds if not (lasting and k.transient)] or [100]) / 100
        )

    @once
    def zero_higher(self, x: Member, lasting: bool) -> bool:
        return all(self.factor_higher(x, c, lasting) == 0 for c in range(x.channels))

    @once
    def zero_same(self, x: Member, lasting: bool) -> bool:
        return all(self.factor_same(x, c, lasting) == 0 for c in range(x.channels))

    @once
    def causes(self, x: Member, lasting: bool) -> tuple[bool, bool]:
        for c in range(x.channels):
            if self.factor_higher(x, c, lasting) * self.factor_same(x, c, lasting) > 0:
                return False, False
        higher, same = self.zero_higher(x, lasting), self.zero_same(x, lasting)
        return (higher, same) if higher or same else (True, True)

    # ---- what follows

    def preempted(self, x: Member) -> int:
        higher, same = self.causes(x, True)
        kind, flags = self.type(x), 0
        if higher and kind.by_higher is not Preempt.NO:
            flags |= HARD | (AUTOPAUSE if kind.by_higher is Preempt.PAUSE else 0)
        if same and kind.by_same is not Preempt.NO:
            flags |= SOFT | (AUTOPAUSE if kind.by_same is Preempt.PAUSE else 0)
        return flags

    def suspended(self, x: Member) -> int:
        return self.waiting.get(x.id) or self.preempted(x)

    def muted(self, x: Member) -> int:
        if not x.active or self.suspended(x):
            return 0
        higher, same = self.causes(x, False)
        return (BY_HIGHER if higher else 0) | (BY_SAME if same else 0)

    def settle(self, level: int) -> None:
        kinds = [one for one in self.policy.types if one.level == level]
        back = max(self.candidates(level), key=lambda m: (m.resumed, newest(m), m.id), default=None)
        if back is not None and back.resumed and self.suspended(back) & SOFT:
            for m in self.candidates(level):
                kind = self.type(m)
                silences = any(left(kind.duck_same, c) == 0 for c in range(back.channels))
                yields = kind.by_same is not Preempt.NO and m.active and not m.forced
                lasting = not kind.transient and kind is not self.type(back)
                if silences and yields and lasting and not linked(m, back) and newest(m) < back.resumed:
                    self.waiting[m.id] = SOFT | (AUTOPAUSE if kind.by_same is Preempt.PAUSE else 0)
        while True:
            self.known.clear()
            running = [m for m in self.candidates(level) if m.id not in self.waiting]
            ends = [m for m in running if not m.forced and self.suspended(m)]
            if not ends:
                return
            age = {k.name: max([newest(m) for m in running if self.type(m) is k] or [-1]) for k in kinds}
            oldest = min((self.type(m) for m in ends), key=lambda k: age[k.name])
            flags = {m.id: self.suspended(m) for m in ends if self.type(m) is oldest}
            self.waiting |= flags


def expected(policy: Policy, members: Sequence[Member], x: Member) -> Expected:
    """What shall become of one of these streams."""
    model = Model(policy, members)
    channels = range(x.channels)
    suspend = model.suspended(x)
    factors = [model.factor_higher(x, c, False) * model.factor_same(x, c, False) for c in channels]
    by = {m.id for c in channels for m, _, percent in model.above(x, c, False) if percent < 100}
    by |= {m.id for m in model.beside(x) if any(left(model.type(m).duck_same, c) < 100 for c in channels)}
    return [0.0 for _ in channels] if suspend else factors, suspend, model.muted(x), by
