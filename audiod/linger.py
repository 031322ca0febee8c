"""Linger: nobody is waited for longer than a time of grace.

A connection that is being closed has its last words in its socket; a peer that
never reads them would keep the connection, its descriptor and its memory for
ever.  So would one that never says who it is.  No wake-up while nobody is waited
for.  Control thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio

GRACE = 5.0  # seconds to read one's last words; a program that lives needs none of them
GREETING = 10.0  # seconds to say who one is: sndio's library says it as it connects


class Linger:
    """Connections by id, in the order in which the wait began; `cut` ends it after `grace` seconds."""

    def __init__(
        self,
        cut: Callable[[int], None],
        grace: float = GRACE,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self._cut = cut
        self._grace = grace
        self._clock = clock
        self._due: deque[tuple[float, int]] = deque()
        self._some = trio.Event()

    def begin(self, ident: int) -> None:
        """Wait for this connection; it may be closed already when its time comes."""
        self._due.append((self._clock() + self._grace, ident))
        self._some.set()

    async def watch(self) -> None:
        """Cut off, for ever, whoever takes longer."""
        while True:
            await self._some.wait()
            while self._due:
                due, ident = self._due[0]
                await trio.sleep(max(0.0, due - self._clock()))
                self._due.popleft()
                self._cut(ident)
            self._some = trio.Event()
