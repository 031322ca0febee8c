"""Pace: how much MIDI the server takes in, of all senders together.

A cable carries 3,125 bytes a second; a program on a socket may send a thousand times
as much, and each byte costs the control thread some time.  Invariant: what was taken
costs at most RATE a second, over any time longer than a burst; who may not go on yet
waits in a line, and is called when it may.  No wake-up while nobody waits.  Control
thread.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import trio

from audiod import log

RATE = 300_000  # units a second, a byte to one receiver is one: some 100 cables, a tenth of a CPU
BURST = 40_000  # units that may come at once: every credit of a dozen programs
MESSAGE = 8  # units that a message of the wire costs beside its bytes
NAP = 0.005  # seconds: who waits is not served one byte at a time


class Pace:
    """Of one server; `clock` tells seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left: float = BURST
        self._at = clock()
        self._line: deque[Callable[[], None]] = deque()
        self._some = trio.Event()
        self._log = log.get()

    def spend(self, units: int) -> None:
        """So much was taken in: it may be more than there is, and then the next ones wait longer."""
        self._refill()
        self._left -= units

    @property
    def ready(self) -> bool:
        """Whether somebody may be let send more."""
        self._refill()
        return self._left > 0

    def wait(self, go: Callable[[], None]) -> None:
        """Call `go` when there is something left, and others have had their turn."""
        self._line.append(go)
        self._some.set()

    async def run(self) -> None:
        """Serve for ever."""
        while True:
            await self._some.wait()
            while self._line:
                if self.ready:
                    self._serve(self._line.popleft())
                else:
                    await trio.sleep(max(NAP, -self._left / RATE))
            self._some = trio.Event()

    def _serve(self, go: Callable[[], None]) -> None:
        try:
            go()
        except Exception:
            # a bug of ours, met by this sender: the others have their turn
            self._log.exception("midi.bug")

    def _refill(self) -> None:
        now = self._clock()
        self._left = min(BURST, self._left + (now - self._at) * RATE)
        self._at = now
