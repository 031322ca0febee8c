"""Program: the level and mute that all streams of one program on one sub-device share.

Owns the programs that have streams and those that are remembered for when they
come back.  Invariant: what is remembered differs from the initial values, and
there are at most PROGRAMS_MAX of them; the one used longest ago is forgotten
first.  Plain data; control thread.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audiod_protocol.limits import VOL_MAX

if TYPE_CHECKING:
    from audiod.core import Stream

PROGRAMS_MAX = 1024  # remembered without a stream; sndiod has 8 a sub-device. A file of some 60 KB


@dataclass(eq=False)
class Program:
    """A program on a sub-device; `name` as policy.program makes it, `key` orders lists."""

    key: int
    subdevice: str
    name: str
    level: int = VOL_MAX
    muted: bool = False
    streams: dict[int, Stream] = field(default_factory=dict)

    @property
    def volume(self) -> int:
        """What is heard of it: 0 while muted."""
        return 0 if self.muted else self.level

    @property
    def initial(self) -> bool:
        return self.level == VOL_MAX and not self.muted


class Programs:
    """All programs that are there; iterated from the one used longest ago on."""

    def __init__(self) -> None:
        self._idle: OrderedDict[tuple[str, str], Program] = OrderedDict()
        self._used: dict[tuple[str, str], Program] = {}
        self._last_key = 0

    def __iter__(self) -> Iterator[Program]:
        yield from self._idle.values()
        yield from self._used.values()

    def find(self, subdevice: str, name: str) -> Program | None:
        key = subdevice, name
        return self._used.get(key) or self._idle.get(key)

    def get(self, subdevice: str, name: str) -> Program:
        """The program; a new one is there once a stream enters it or it is remembered."""
        found = self.find(subdevice, name)
        if found is None:
            self._last_key += 1
            found = Program(self._last_key, subdevice, name)
        return found

    def enter(self, stream: Stream) -> bool:
        """The stream is its program's; whether the program was not there before."""
        program = stream.program
        key = program.subdevice, program.name
        new = self._idle.pop(key, None) is None and key not in self._used
        self._used[key] = program
        program.streams[stream.id] = stream
        return new

    def leave(self, stream: Stream) -> list[Program]:
        """The opposite of enter; programs that are there no longer."""
        program = stream.program
        del program.streams[stream.id]
        if program.streams:
            return []
        del self._used[program.subdevice, program.name]
        return self.remember(program)

    def remember(self, program: Program) -> list[Program]:
        """After a change of one without streams: keep or forget it.  Programs that are there no longer."""
        if program.streams:
            return []
        key = program.subdevice, program.name
        self._idle.pop(key, None)
        if program.initial:
            return [program]
        self._idle[key] = program
        return [self._idle.popitem(last=False)[1]] if len(self._idle) > PROGRAMS_MAX else []
