"""Linger: a connection that is being closed is not waited for longer than GRACE.

Its last words lie in its socket; a peer that never reads them would keep the
connection, its descriptor and its memory for ever.  No wake-up while none
lingers.  Control thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio

GRACE = 5.0  # seconds to read one's last words; a program that lives needs none of them


class Linger:
    """Connections by id, in the order in which their closing began; `cut` closes one at once."""

    def __init__(self, cut: Callable[[int], None]) -> None:
        self._cut = cut
        self._due: deque[tuple[float, int]] = deque()
        self._some = trio.Event()

    def begin(self, ident: int) -> None:
        """This connection is being closed; it may be closed already when its time comes."""
        self._due.append((trio.current_time() + GRACE, ident))
        self._some.set()

    async def watch(self) -> None:
        """Cut off, for ever, whoever lingers."""
        while True:
            await self._some.wait()
            while self._due:
                due, ident = self._due[0]
                await trio.sleep_until(due)
                self._due.popleft()
                self._cut(ident)
            self._some = trio.Event()
