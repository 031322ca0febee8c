"""Feed: what is on its way to one receiver, a program or a port.

One piece is under way, the rest waits in an outbox.  A receiver that has taken
nothing for STALL seconds is given up until it does: what is sent to it is dropped,
and holds up nobody.  Invariant: `room` is what it can be sent without loss, or all
there ever is if it was given up.  Control thread.
"""

from __future__ import annotations

from collections.abc import Sequence

from audiod import log
from audiod.linger import Linger
from audiod.midi.outbox import BUFFER, Outbox

STALL = 2.0  # seconds: twice what a cable takes for all that an outbox keeps


class Feed:
    """`stalls` waits for it by its `ident`; `name` is for the log."""

    def __init__(self, ident: int, stalls: Linger, **name: object) -> None:
        self.ident = ident
        self._stalls = stalls
        self._outbox = Outbox()
        self._under_way = False
        self._count = 0  # pieces that it has taken
        self._waited: int | None = None  # it is waited for, since it had taken so many
        self._given_up = False
        self._log = log.get(**name)

    @property
    def room(self) -> int:
        """Bytes."""
        return BUFFER if self._given_up else self._outbox.room

    @property
    def idle(self) -> bool:
        """Whether nothing is under way, nor waits."""
        return not self._under_way and not self._outbox.used

    def put(self, messages: Sequence[bytes], source: object) -> None:
        """Send it what `source` has sent."""
        if self._given_up:
            self._outbox.dropped += len(messages)
            return
        self._outbox.put(messages, source)
        self._watch()

    def take(self, most: int) -> bytes:
        """The next piece, which is under way then; empty if there is none, or another one still is."""
        piece = b"" if self._under_way else self._outbox.take(most)
        self._under_way |= bool(piece)
        self._watch()
        return piece

    def taken(self) -> bool:
        """The piece has arrived; whether there may be more room than before."""
        more = self._given_up or bool(self._outbox.used)
        self._under_way = self._given_up = False
        self._count += 1
        return more

    def _watch(self) -> None:
        if self._under_way and self._outbox.used and self._waited is None:
            self._wait()

    def _wait(self) -> None:
        self._waited = self._count
        self._stalls.begin(self.ident)

    def stall(self) -> bool:
        """Its time is over: whether it is given up now, for it has taken nothing since."""
        before, self._waited = self._waited, None
        if not self._under_way or not self._outbox.used:
            return False
        if self._count != before:
            self._wait()
            return False
        self._given_up = True
        self._outbox.clear()
        self._log.warning("midi.slow", reason="it takes nothing: what is sent to it is dropped")
        return True

    def end(self) -> None:
        """It is gone, and what was under way with it."""
        if self._outbox.dropped:
            self._log.info("midi.dropped", messages=self._outbox.dropped)
        self._outbox.clear()
        self._outbox.dropped = 0
        self._under_way = self._given_up = False
        self._count += 1
