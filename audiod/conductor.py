"""Conductor: keeps what ducking decides by in step with the streams, and has them obey.

Owns the policy in use, the members of each device and who is active there.
Invariant: once `settle` is through, the target of every stream is what `decide`
says of the members of its device.  Without a policy it holds nothing and does
nothing.  Control thread; `soon` lets many changes of one turn be one decision.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Protocol

from audiod_protocol.errors import Code, Fault, FaultError
from audiod_protocol.limits import PROTOCOL_VERSION, ROWS_MAX

from audiod import core, log
from audiod.audiotype import AudioType, Policy, ProgramRule, Ramps, by_program, ranked, segments, written
from audiod.core import Core, Row
from audiod.ducking import UNTOUCHED, Member, Target, decide

EVENTS_WAITED = 8  # of the engine, for more of them that are one decision; some hundred microseconds
NAMES_SHOWN = 8  # types that a refusal lists


class Played(Protocol):
    """What a stream's channel tells, and does."""

    row: core.Stream
    target: Target
    closed: bool
    forced: bool
    since: int
    resumed: int

    @property
    def plays(self) -> bool: ...
    @property
    def active(self) -> bool: ...
    @property
    def suspended(self) -> bool: ...
    @property
    def paused(self) -> bool: ...
    @property
    def link(self) -> Hashable: ...
    def ducking_row(self) -> Row | None: ...
    def obey(self, target: Target, ramps: Ramps) -> None: ...


def _at_once(act: Callable[[], None]) -> None:
    act()


class Conductor:
    """Decides on ducking for all devices; `on_ramps` hears of other ramps than those before."""

    def __init__(
        self, known: Core, policy: Policy | None = None, programs: Sequence[ProgramRule] = ()
    ) -> None:
        self.policy = policy
        self.programs = tuple(programs)
        self.soon: Callable[[Callable[[], None]], None] = _at_once
        self.together: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext  # the engine's
        self.on_ramps: Callable[[], None] = lambda: None
        self._core = known
        self._channels: dict[int, Played] = {}
        self._members: dict[int, dict[int, Member]] = {}  # by device and stream
        self._where: dict[int, int] = {}  # stream -> device
        self._forced: dict[int, int] = {}  # since when streams are forced, in the order of all
        self._dirty: dict[int, None] = {}  # devices to decide on
        self._active: dict[int, Row] = {}  # as told last
        self._settling = False
        self._waited = 0  # events since something has changed
        self._log = log.get()

    # ---- what streams and sessions ask ----

    @property
    def ducks(self) -> bool:
        """Whether there is a policy."""
        return self.policy is not None

    @property
    def ramps(self) -> Ramps:
        return Ramps() if self.policy is None else self.policy.ramps

    def check(self, type: str) -> None:
        """Raises FaultError(EINVAL) if there is a policy without a type of this name."""
        if self.policy is not None and self.policy.find(type) is None:
            names = ", ".join(one.name for one in self.policy.types[:NAMES_SHOWN])
            if len(self.policy.types) > NAMES_SHOWN:
                names += f" and {len(self.policy.types) - NAMES_SHOWN} more, as `ducking` tells"
            raise FaultError(
                Fault(Code.EINVAL, f"there is no audio type {type!r}", f"there are {names}; or leave it out")
            )

    def kind(self, row: core.Stream) -> str | None:
        """The audio type that counts for a stream: its own, its sub-device's, its program's, the default."""
        said = row.type or row.sub.type or by_program(self.programs, row.name)
        return said if self.policy is None else self.policy.of(said).name

    def changed(self, channel: Played) -> None:
        """Something is otherwise with a stream: opened, running, paused, resumed, forced, moved, closed."""
        if self.policy is None:
            return
        ident, where = channel.row.id, channel.row.sub.device
        before = self._where.get(ident)
        old = None if before is None else self._members[before][ident]
        new = None if channel.closed or not channel.plays else self._member(channel)
        if before == where and old == new:
            return
        if before is not None:
            self._leave(ident, before)
        if new is not None:
            self._channels[ident] = channel
            self._members.setdefault(where, {})[ident] = new
            self._where[ident] = where
            self._dirty[where] = None
        if self._dirty and not self._settling:
            self.soon(self.settle)

    def passed(self) -> None:
        """An event of the engine has been dealt with: what waits for more of them does not wait for many."""
        if self._dirty:
            self._waited += 1
            if self._waited >= EVENTS_WAITED:
                self.settle()

    def settle(self) -> None:
        """Decide on all devices where something has changed."""
        if self._settling:
            return
        self._settling = True
        self._waited = 0
        try:
            while self._dirty and self.policy is not None:
                self._decide(next(iter(self._dirty)), self.policy)
        finally:
            self._settling = False

    def adopt(self, policy: Policy | None, programs: Sequence[ProgramRule]) -> None:
        """Another policy is in use, or none; streams that play are decided on anew."""
        if policy == self.policy and tuple(programs) == self.programs:
            return
        before = self.ramps
        channels = [stream.channel for stream in self._core.streams.values()]
        self.policy, self.programs = policy, tuple(programs)
        self._channels.clear()
        self._members.clear()
        self._where.clear()
        self._forced.clear()
        self._dirty.clear()
        if policy is None:
            for channel in channels:
                if channel.target != UNTOUCHED:
                    channel.obey(UNTOUCHED, self.ramps)
            for device, row in self._active.items():
                if row["active"]:
                    self._core.publish("ducking", "change", partial(self._active_row, device))
            self._active.clear()
        for channel in channels:
            self.changed(channel)
            self._core.stream_changed(channel.row)
        if self.ramps != before:
            self.on_ramps()

    # ---- who is told ----

    def answer(self) -> Row:
        """The policy, and which types are active on each device."""
        types = () if self.policy is None else self.policy.types
        return {
            "version": PROTOCOL_VERSION,
            "order": None if self.policy is None else ranked(self.policy),
            "types": [_type_row(one, types) for one in types],
            "ramps": [
                {"name": name, "duration": ramp.ms, "profile": segments(ramp.points)}
                for name, ramp in vars(self.ramps).items()
            ],
            "programs": [{"name": rule.name, "type": rule.type} for rule in self.programs],
            "devices": [self._active_row(device.number) for device in self._core.devices] if types else [],
        }

    def summary(self) -> Row | None:
        """The policy in words and how many streams others duck, or None without one."""
        if self.policy is None:
            return None
        ducked = sum(channel.ducking_row() is not None for channel in self._channels.values())
        return {"order": ranked(self.policy), "ducked": ducked}

    # ---- within ----

    def _member(self, channel: Played) -> Member:
        row = channel.row
        active = channel.active or channel.suspended or channel.paused
        if not channel.forced:
            self._forced.pop(row.id, None)
        elif row.id not in self._forced:
            self._forced[row.id] = self._core.next_order()
        return Member(
            row.id,
            self.kind(row),
            active=active,
            since=max(channel.since if active else 0, self._forced.get(row.id, 0)),
            link=channel.link,
            forced=channel.forced,
            paused=channel.paused,
            resumed=channel.resumed if active else 0,
            channels=row.par.pchan or 1,
        )

    def _leave(self, ident: int, device: int) -> None:
        del self._members[device][ident], self._where[ident], self._channels[ident]
        self._dirty[device] = None

    def _decide(self, device: int, policy: Policy) -> None:
        del self._dirty[device]
        targets = decide(policy, self._members.get(device, {}).values())
        with self.together():
            for ident, target in targets.items():
                channel = self._channels.get(ident)
                if channel is not None and channel.target != target:
                    before = channel.target.suspend
                    channel.obey(target, policy.ramps)
                    if before != target.suspend and self._members[device][ident].active:
                        what = "ducking.suspend" if target.suspend else "ducking.lift"
                        self._log.info(what, stream=ident, reason=target.why)
        row = self._active_row(device)
        if row != self._active.get(device, {"device": device, "active": []}):
            self._active[device] = row
            self._core.publish("ducking", "change", lambda: row)

    def _active_row(self, device: int) -> Row:
        """Who acts on others there, by type; at most ROWS_MAX streams of each are named."""
        found: dict[str, list[core.Stream]] = {}
        for ident, member in self._members.get(device, {}).items():
            channel = self._channels[ident]
            if member.forced or (member.takes_part and not channel.target.suspend):
                found.setdefault(member.type or "", []).append(channel.row)
        types = () if self.policy is None else self.policy.types
        return {
            "device": device,
            "active": [
                {
                    "type": one.name,
                    "prio": _prio(one, types),
                    "streams": [row.id for row in found[one.name][:ROWS_MAX]],
                    "pids": list(dict.fromkeys(row.pid for row in found[one.name][:ROWS_MAX])),
                }
                for one in types
                if one.name in found
            ],
        }


def _prio(one: AudioType, types: Sequence[AudioType]) -> int:
    """Its priority as a number: the higher the more, 1 the least."""
    return types[-1].level - one.level + 1


def _type_row(one: AudioType, types: Sequence[AudioType]) -> Row:
    return {
        "name": one.name,
        "prio": _prio(one, types),
        "duck_same_prio_policy": str(one.same),
        "duck_same_prio_percent": written(one.duck_same),
        "duck_lower_prio_percent": written(one.duck_lower),
        "preemption_by_higher": str(one.by_higher),
        "preemption_by_same": str(one.by_same),
        "transient": one.transient,
    }
