"""Subscription: what one client of a control connection has been told, and what it is to be told next.

The server's end.  `look(addr)` gives the control that this client sees at an
address now, or None.  Invariant: once `take` has given everything, a client that
did as told has exactly what `look` gives; what changes again before it is sent is
sent once, as it is then, so that what is kept is bounded by the controls there
are, however slowly a client reads.  No thread, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from audiod_protocol.sndio.descriptors import Descriptor, Kind, batches
from audiod_protocol.sndio.messages import MSG_SIZE, Ctlset, Ctlsub, Ctlsync, encode

__all__ = ["AT_ONCE", "FORGOTTEN_MAX", "Subscription"]

AT_ONCE: Final = 128  # descriptors, and values, in one go: a client that stopped reading holds up little
FORGOTTEN_MAX: Final = (
    1024  # addresses: whoever reads so late that more have gone meanwhile is no longer believed
)


class Subscription:
    """Of one client; nothing is told before it asks by CTLSUB."""

    def __init__(self, look: Callable[[int], Descriptor | None]) -> None:
        self._look = look
        self._descriptors = False
        self._values = False
        self._old = False  # the 92-byte form
        self._known: dict[int, Descriptor] = {}  # as it was described last
        self._describe: dict[int, None] = {}
        self._tell: dict[int, None] = {}
        self._sync = False
        self._forgotten: dict[int, None] = {}  # whose end was told

    def knew(self, addr: int) -> bool:
        """Whether the client was told of a control at this address, though it may be gone now."""
        return addr in self._known or addr in self._forgotten

    def ask(self, wish: Ctlsub, visible: Iterable[int]) -> None:
        """The client wants this from now on; `visible`: the addresses of all that it sees.

        The first wish for descriptors is answered by all of them; the same wish again is no change.
        """
        if wish.desc and not self._descriptors:
            self._old = wish.old
            gone = [addr for addr in self._known if self._look(addr) is None]
            self._describe = dict.fromkeys([*gone, *visible])
            self._sync = True
        elif not wish.desc:
            self._describe.clear()
            self._sync = False
        self._descriptors, self._values = wish.desc, wish.val
        if not (self._descriptors or self._values):
            self._tell.clear()

    def described(self, addr: int) -> None:
        """The control at `addr` has come, has gone, or is another."""
        if self._descriptors:
            self._describe[addr] = None
            self._sync = True

    def changed(self, addr: int) -> None:
        """It has another value; told once values are asked for, if they are not yet."""
        if self._descriptors or self._values:
            self._tell[addr] = None

    @property
    def waits(self) -> bool:
        """Whether there may be something to be told."""
        return bool(self._describe or self._sync or (self._values and self._tell))

    def take(self) -> bytes:
        """What is to be sent now; empty if nothing.  Descriptors, then values, then that all is told."""
        out = b"".join(batches(self._next_descriptors(), old=self._old))
        if self._describe:
            return out
        if self._values:
            out += self._next_values()
            if self._tell:
                return out
        if self._sync:
            self._sync = False
            out += encode(Ctlsync())
        return out

    def _next_descriptors(self) -> Iterable[Descriptor]:
        for addr in list(self._describe)[:AT_ONCE]:
            del self._describe[addr]
            self._tell.pop(addr, None)  # it is in the descriptor
            now, before = self._look(addr), self._known.get(addr)
            if now is not None:
                self._known[addr] = now
                self._forgotten.pop(addr, None)
                yield now
            elif before is not None:
                del self._known[addr]
                self._forgotten[addr] = None
                if len(self._forgotten) > FORGOTTEN_MAX:
                    del self._forgotten[next(iter(self._forgotten))]
                yield replace(before, kind=Kind.NONE)

    def _next_values(self) -> bytes:
        out = bytearray()
        for addr in list(self._tell):
            if len(out) >= AT_ONCE * MSG_SIZE:
                break
            del self._tell[addr]
            now = self._look(addr)
            if now is not None:
                out += encode(Ctlset(addr, now.value))
        return bytes(out)
