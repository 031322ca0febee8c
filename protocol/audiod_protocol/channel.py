"""Channel status: where a stream is in the life of QNX's PCM channels, and what may be done there.

Invariant: every pair of a place and an act is in exactly one of TRANSITIONS and
REFUSALS, or is a doing of the server's that cannot be; README.md's tables are
made from them.  The life that `states` describes is the same one, as sio_open(3)
tells it: `prepare` is a start, `play_out` a stop, `discard` a flush.
No thread, no clock.
"""

from __future__ import annotations

import enum
from typing import Final

from audiod_protocol.errors import Code, Fault, FaultError

__all__ = [
    "EVENTS",
    "IGNORED",
    "NUMBERS",
    "REFUSALS",
    "STOPPED",
    "TRANSITIONS",
    "Deed",
    "Ducking",
    "Place",
    "StartMode",
    "Status",
    "StopMode",
    "advance",
    "render_statuses",
    "render_table",
]


class Status(enum.StrEnum):
    """What `status` shows.  `number` is that of QNX's headers where they have one."""

    NOTREADY = "notready"
    READY = "ready"
    PREPARED = "prepared"
    RUNNING = "running"
    UNDERRUN = "underrun"
    OVERRUN = "overrun"
    PAUSED = "paused"
    SUSPENDED = "suspended"
    UNSECURE = "unsecure"
    ERROR = "error"
    CHANGE = "change"

    @property
    def number(self) -> int:
        return NUMBERS[self]


NUMBERS: Final = {
    Status.NOTREADY: 0,
    Status.READY: 1,
    Status.PREPARED: 2,
    Status.RUNNING: 3,
    Status.UNDERRUN: 4,
    Status.OVERRUN: 5,
    Status.PAUSED: 10,
    Status.SUSPENDED: 11,  # this and the next: ours
    Status.UNSECURE: 12,
    Status.ERROR: 10000,
    Status.CHANGE: 10001,
}


class StartMode(enum.StrEnum):
    """When a prepared stream begins to run.  `number` is the engine's."""

    FULL = "full"  # its queue is full; what only records, at once
    DATA = "data"  # `frags_min` fragments are written; what only records, at once
    GO = "go"  # `go`

    @property
    def number(self) -> int:
        return list(StartMode).index(self)


class StopMode(enum.StrEnum):
    """What becomes of a running stream that is late."""

    STOP = "stop"  # it stops: UNDERRUN or OVERRUN
    ROLLOVER = "rollover"  # it goes on, as the xrun policy says
    ERASE = "erase"  # as stop, and what was recorded and not read is discarded


class Ducking(enum.IntFlag):
    """Bits of `ducking_state`."""

    ACTIVE = 1 << 0  # it takes part because it runs
    HARD_SUSPENDED = 1 << 1  # by a higher priority: resume does not help
    SOFT_SUSPENDED = 1 << 2  # by its own priority: resume helps
    PAUSED = 1 << 3  # from its suspension it goes to PAUSED, not to RUNNING
    FORCED_ACTIVE = 1 << 4  # it takes part because it was told to
    MUTE_BY_HIGHER = 1 << 5  # silent, but not preempted
    MUTE_BY_SAME = 1 << 6


EVENTS: Final = ("state", "mute", "ducking", "underrun", "overrun", "route")
"""What `subscribe` may ask for of a connection's own streams."""


class Place(enum.StrEnum):
    """Where a stream is: its status, and what the status does not tell apart."""

    NOTREADY = "notready"
    READY = "ready"
    PREPARED = "prepared"
    RUNNING = "running"
    DRAINING = "running, draining"
    UNDERRUN = "underrun"
    OVERRUN = "overrun"
    PAUSED = "paused"
    SOFT = "suspended, soft"
    HARD = "suspended, hard"
    UNSECURE = "unsecure"
    ERROR = "error"
    CHANGE = "change"

    @property
    def status(self) -> Status:
        return Status(self.value.split(",")[0])


class Deed(enum.StrEnum):
    """What happens to a stream: the client's requests, then the server's doings."""

    SETPAR = "setpar"
    PREPARE = "prepare"
    GO = "go"
    WRITE = "write"
    PAUSE = "pause"
    RESUME = "resume"
    PLAY_OUT = "play_out"
    DISCARD = "discard"
    LINK = "link"
    FORCE = "force_ducking"
    JOIN = "join"  # its start condition holds
    STARVE = "starve"  # its queue is empty, and it stops
    CHOKE = "choke"  # its queue is full, and it stops
    HOLD = "hold"  # the ramp of its pause has ended
    DONE = "done"  # played out or discarded
    SUSPEND_SOFT = "suspend (soft)"
    SUSPEND_HARD = "suspend (hard)"
    LIFT = "lift"  # the policy lets it go on
    LIFT_PAUSED = "lift, paused"  # ... but a pause waits
    EXPOSE = "expose"  # its output is not protected any more
    FAIL = "fail"
    ALTER = "alter"  # its device is another


CLIENTS: Final = tuple(Deed)[: tuple(Deed).index(Deed.JOIN)]

STOPPED: Final = frozenset({Place.UNDERRUN, Place.OVERRUN, Place.UNSECURE, Place.ERROR, Place.CHANGE})
"""The server stopped it, which its client may not know yet."""

IGNORED: Final = frozenset((place, Deed.WRITE) for place in STOPPED)
"""Allowed, and without effect."""

_P = Place
_STARTED = (_P.PREPARED, _P.RUNNING, _P.DRAINING, _P.PAUSED, _P.SOFT, _P.HARD)
_HELD = (_P.PAUSED, _P.SOFT, _P.HARD)


def _table() -> dict[tuple[Place, Deed], Place]:
    table: dict[tuple[Place, Deed], Place] = {}

    def to(new: Place | None, deed: Deed, *places: Place) -> None:
        table.update({(place, deed): new or place for place in places})

    to(_P.READY, Deed.SETPAR, _P.NOTREADY, _P.READY, _P.PREPARED, _P.PAUSED, *STOPPED)
    to(_P.PREPARED, Deed.PREPARE, _P.READY, _P.UNDERRUN, _P.OVERRUN, _P.PAUSED, _P.UNSECURE, _P.ERROR)
    to(_P.RUNNING, Deed.GO, _P.PREPARED, _P.SOFT)
    to(None, Deed.GO, _P.HARD)
    to(None, Deed.WRITE, _P.PREPARED, _P.RUNNING, *_HELD, *STOPPED)
    to(None, Deed.PAUSE, _P.RUNNING, *_HELD)  # RUNNING: until the ramp has ended
    to(_P.RUNNING, Deed.RESUME, _P.RUNNING, _P.PAUSED, _P.SOFT)
    to(None, Deed.RESUME, _P.HARD)
    to(_P.DRAINING, Deed.PLAY_OUT, _P.PREPARED, _P.RUNNING, _P.DRAINING, _P.PAUSED)
    to(_P.DRAINING, Deed.DISCARD, *_STARTED)
    to(_P.READY, Deed.DISCARD, _P.UNDERRUN, _P.OVERRUN)
    to(None, Deed.LINK, *(place for place in Place if place not in _STARTED))
    to(None, Deed.FORCE, *(place for place in Place if place is not _P.NOTREADY))

    to(_P.RUNNING, Deed.JOIN, _P.PREPARED, _P.RUNNING)
    to(None, Deed.JOIN, _P.DRAINING)
    to(_P.UNDERRUN, Deed.STARVE, _P.PREPARED, _P.RUNNING)
    to(_P.OVERRUN, Deed.CHOKE, _P.PREPARED, _P.RUNNING)
    to(_P.PAUSED, Deed.HOLD, _P.RUNNING)
    to(_P.READY, Deed.DONE, *_STARTED)
    to(_P.SOFT, Deed.SUSPEND_SOFT, _P.RUNNING, *_HELD)
    to(_P.HARD, Deed.SUSPEND_HARD, _P.RUNNING, *_HELD)
    to(_P.RUNNING, Deed.LIFT, _P.SOFT, _P.HARD)
    to(_P.PAUSED, Deed.LIFT_PAUSED, _P.SOFT, _P.HARD)
    to(_P.UNSECURE, Deed.EXPOSE, *_STARTED)
    to(_P.ERROR, Deed.FAIL, *Place)
    to(_P.CHANGE, Deed.ALTER, *(place for place in Place if place is not _P.NOTREADY))
    to(None, Deed.ALTER, _P.NOTREADY)
    return table


TRANSITIONS: Final = _table()

_PAR_FIRST = "set its parameters first"
_PREPARE = "prepare it first"
_END_FIRST = "play_out or discard first"
_HINTS: Final = {
    Place.NOTREADY: _PAR_FIRST,
    Place.READY: _PREPARE,
    Place.PREPARED: "let it run first, by go or by its start mode",
    Place.RUNNING: _END_FIRST,
    Place.DRAINING: "wait for the answer to play_out, or discard to cut it short",
    Place.UNDERRUN: _PREPARE,
    Place.OVERRUN: _PREPARE,
    Place.PAUSED: "resume it, or discard",
    Place.SOFT: "resume it, or discard",
    Place.HARD: "wait for what has suspended it, or discard",
    Place.UNSECURE: _PREPARE,
    Place.ERROR: _PREPARE,
    Place.CHANGE: _PAR_FIRST,
}


def _refusals() -> dict[tuple[Place, Deed], Code | None]:
    """None: a breach."""
    out: dict[tuple[Place, Deed], Code | None] = {
        (place, deed): Code.EBADFD for place in Place for deed in CLIENTS if (place, deed) not in TRANSITIONS
    }
    out |= {key: None for key in out if key[1] is Deed.WRITE}
    out |= {key: Code.EBUSY for key in out if key[1] in (Deed.SETPAR, Deed.LINK)}
    out |= {(place, Deed.PLAY_OUT): Code.EAGAIN for place in (_P.SOFT, _P.HARD)}
    return out | {(_P.NOTREADY, Deed.FORCE): Code.EINVAL}


REFUSALS: Final = _refusals()


def advance(place: Place, deed: Deed, stream: int | None = None) -> Place:
    """The place after `deed`.

    Raises FaultError with what the server answers when the client's deed is out
    of place.  (A refused `write` has no answer: it is a breach and ends the
    connection.)  Raises ValueError for a doing of the server's that cannot be.
    """
    new = TRANSITIONS.get((place, deed))
    if new is not None:
        return new
    if (place, deed) not in REFUSALS:
        raise ValueError(f"a stream that is {place} cannot {deed}")
    which = "the stream" if stream is None else f"stream {stream}"
    code = REFUSALS[place, deed] or Code.EPROTO
    raise FaultError(Fault(code, f"{deed}: {which} is {place}", _HINTS[place]))


def render_statuses() -> str:
    """The numbers of the states, for README.md."""
    names = ", ".join(f"{status} {status.number}" for status in Status)
    return f"{names}\n"


def render_table() -> str:
    """The table of README.md: the next state, or the code of the refusal, of each request and doing."""
    lines = ["| state | " + " | ".join(CLIENTS) + " |", "|---" * (len(CLIENTS) + 1) + "|"]
    lines += [f"| {place} | " + " | ".join(_cell(place, deed) for deed in CLIENTS) + " |" for place in Place]
    lines += ["", "| of the server | from | to |", "|---|---|---|"]
    for deed in Deed:
        if deed in CLIENTS:
            continue
        news: dict[Place, list[str]] = {}
        for place in Place:
            new = TRANSITIONS.get((place, deed))
            if new is not None and new is not place:
                news.setdefault(new, []).append(str(place))
        lines += [f"| {deed} | {' · '.join(places)} | {new} |" for new, places in news.items()]
    return "\n".join(lines) + "\n"


def _cell(place: Place, deed: Deed) -> str:
    if (place, deed) in IGNORED:
        return "ignored"
    new = TRANSITIONS.get((place, deed))
    if new is not None:
        return "same" if new is place else str(new)
    return str(REFUSALS[place, deed] or "breach")
