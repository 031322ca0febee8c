"""Hub: a MIDI thru box.  What one end sends all others get, never itself.

Ends are programs and hardware ports.  Programs hear ports and, in a hub that is
`thru`, each other; ports hear programs, and never each other.  Who only listens, as
the server itself does, is told of whole messages.  Invariant: a sender never waits
here and never fails for a receiver: each keeps what it can (outbox.py).  Control
thread; no task, no socket.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from audiod.midi.messages import whole
from audiod.midi.outbox import BUFFER

Listener = Callable[[bytes, object], None]


class End(Protocol):
    """One program or port at a hub."""

    @property
    def room(self) -> int:
        """Bytes that it can take now without dropping any."""

    def take(self, messages: Sequence[bytes], source: object) -> None:
        """What `source` has sent: whole messages, or pieces of a long system exclusive one."""

    def relieved(self) -> None:
        """Those that it sends to may have more room than before, or are others."""


class Hub:
    """`name` is for the log: what programs open."""

    def __init__(self, name: str, *, thru: bool = True) -> None:
        self.name = name
        self.programs: list[End] = []
        self.ports: list[End] = []
        self._thru = thru
        self._listeners: list[Listener] = []

    # ---- ends ----

    def join(self, end: End, *, port: bool = False) -> None:
        """Connect a program, or a port."""
        (self.ports if port else self.programs).append(end)
        self.changed()

    def leave(self, end: End) -> None:
        """Disconnect it; it may be gone already."""
        for ends in (self.programs, self.ports):
            if end in ends:
                ends.remove(end)
                self.changed()

    @property
    def thru(self) -> bool:
        """Whether programs hear each other."""
        return self._thru

    @thru.setter
    def thru(self, on: bool) -> None:
        self._thru = on
        self.changed()

    def changed(self) -> None:
        """An end has more room, or there are others: who waits for that is told."""
        for end in (*self.programs, *self.ports):
            end.relieved()

    # ---- messages ----

    def listen(self, callback: Listener) -> Callable[[], None]:
        """Tell `callback(message, source)` of every whole message that anybody sends.

        Call what it returns to end that.
        System exclusive messages of more than SYSEX_MAX bytes are not told.
        """
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    def send(self, message: bytes, source: object) -> None:
        """One whole message to every end but `source`, and to listeners."""
        self.pass_on((message,), source)

    def pass_on(self, messages: Sequence[bytes], source: object) -> None:
        """What a Parser has found, in its order, to every end that hears `source`, and to listeners."""
        if not messages:
            return
        for end in self.hearing(source):
            end.take(messages, source)
        for listener in tuple(self._listeners):
            for message in messages:
                if whole(message):
                    listener(message, source)

    def hearing(self, source: object) -> list[End]:
        """The ends that get what `source` sends; one that is no end, such as the server, is heard by all."""
        if any(end is source for end in self.ports):
            return list(self.programs)
        if not self._thru and any(end is source for end in self.programs):
            return list(self.ports)
        return [end for end in (*self.programs, *self.ports) if end is not source]

    def room(self, source: object) -> int:
        """Bytes that `source` may send without any being dropped."""
        return min((end.room for end in self.hearing(source)), default=BUFFER)
