"""Baton: who decides on ducking, as streams and sessions see it.

Owns no state; `NoDucking` is what is there until a policy is configured.  Pure;
control thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from audiod.audiotype import Ramps

if TYPE_CHECKING:
    from audiod import core
    from audiod.channel import Channel


class Conductor(Protocol):
    """Who decides on ducking.

    `changed` hears of everything that it decides by: a stream is opened, runs, is paused, resumed, ended,
    forced, moved, linked, typed or closed.  It answers with `obey`, perhaps at once, of any stream.
    """

    @property
    def ducks(self) -> bool:
        """Whether there is a policy."""

    @property
    def ramps(self) -> Ramps: ...

    def changed(self, channel: Channel) -> None: ...

    def check(self, type: str) -> None:
        """Raises FaultError(EINVAL) if the policy has no such type."""

    def kind(self, row: core.Stream) -> str | None:
        """The audio type that counts for a stream."""


class NoDucking:
    """There is no policy."""

    ducks = False
    ramps = Ramps()

    def changed(self, channel: Channel) -> None: ...

    def check(self, type: str) -> None: ...

    def kind(self, row: core.Stream) -> str | None:
        return row.type or row.sub.type
