"""The life of a stream, as both sides see it: one table, and its picture.

Invariant: every (state, act) pair is in exactly one of TRANSITIONS, IGNORED and
REFUSALS or is impossible; `README.md`'s diagram is made from the same table.
States are per stream number of one connection.  No thread, no clock.
"""

from __future__ import annotations

import enum
from typing import Final

from audiod_protocol.errors import Code, Fault, FaultError

__all__ = [
    "ACTS",
    "REFUSALS",
    "TRANSITIONS",
    "Act",
    "State",
    "advance",
    "allowed",
    "refused",
    "render_mermaid",
    "render_table",
]


class State(enum.StrEnum):
    """Of a stream number; `streams` shows ready, priming, running and draining."""

    CLOSED = "closed"  # the number is free
    READY = "ready"  # open, not started: parameters may change
    PRIMING = "priming"  # started, nothing heard or recorded yet
    RUNNING = "running"  # the device's clock moves it
    DRAINING = "draining"  # stop or flush was sent, its answer is not there
    CLOSING = "closing"  # close was sent, its answer is not there
    DEAD = "dead"  # the server ended it: onstate "closed" was sent


class Act(enum.StrEnum):
    """What happens to a stream: the client's messages, then the server's doings."""

    OPEN = "open"
    SETPAR = "setpar"
    GETPAR = "getpar"
    GETCAP = "getcap"
    SETVOL = "setvol"
    START = "start"
    WRITE = "write"
    STOP = "stop"
    FLUSH = "flush"
    CLOSE = "close"
    MOVE = "move"  # the first frame reaches the device: the first onmove
    ANSWER = "answer"  # stop, flush or close is answered
    DIE = "die"  # the server ends the stream


ACTS: Final = tuple(Act)
_CLIENT: Final = tuple(act for act in Act if act not in (Act.MOVE, Act.ANSWER, Act.DIE))

C, R, P, U, D, G, X = State
_STARTED = (P, U)
_OPEN = (R, P, U, D)


def _table() -> dict[tuple[State, Act], State]:
    table = {
        (C, Act.OPEN): R,
        (R, Act.SETPAR): R,
        (R, Act.START): P,
        (P, Act.MOVE): U,
        (D, Act.ANSWER): R,
        (G, Act.ANSWER): C,
        (X, Act.CLOSE): C,
    }
    for state in _OPEN:
        table |= {(state, Act.GETPAR): state, (state, Act.GETCAP): state, (state, Act.SETVOL): state}
        table |= {(state, Act.CLOSE): G, (state, Act.DIE): X}
    for state in _STARTED:
        table |= {(state, Act.WRITE): state, (state, Act.STOP): D, (state, Act.FLUSH): D}
    table[(D, Act.STOP)] = table[(D, Act.FLUSH)] = D
    table[(G, Act.DIE)] = G
    table[(X, Act.WRITE)] = X
    return table


TRANSITIONS: Final = _table()

_NOT_OPEN = (Code.EBADF, "is not open", "open returns a stream's number; close ends it")
_GOING = (Code.EBADF, "is being closed", "wait for the answer to close, then open again")
_DEAD = (Code.EPIPE, "was ended by the server", "close it, which frees its number; onstate told the reason")
_RUNS = (Code.EBUSY, "is started", "stop or flush it first")
_DRAINS = (Code.EBUSY, "is draining", "wait for the answer to stop, or flush to cut it short")
_RESTS = (Code.EINVAL, "is not started", "start it first")
_TWICE = (Code.EBUSY, "is open", "the server chooses a free number")


def _refusals() -> dict[tuple[State, Act], tuple[Code, str, str]]:
    why = {C: _NOT_OPEN, R: _RESTS, P: _RUNS, U: _RUNS, D: _DRAINS, G: _GOING, X: _DEAD}
    out: dict[tuple[State, Act], tuple[Code, str, str]] = {
        (s, a): why[s] for s in State for a in _CLIENT if (s, a) not in TRANSITIONS
    }
    return out | {(s, Act.OPEN): _TWICE for s in State if s is not C}


REFUSALS: Final = _refusals()


def allowed(state: State, act: Act) -> bool:
    """Whether `advance` would succeed."""
    return (state, act) in TRANSITIONS


def advance(state: State, act: Act, stream: int | None = None) -> State:
    """The state after `act`.

    Raises FaultError with what the server answers when the client's act is out
    of place.  (A refused `write` has no answer: it is a breach and ends the
    connection.)  Raises ValueError for a doing of the server's that cannot be.
    """
    new = TRANSITIONS.get((state, act))
    if new is not None:
        return new
    refusal = REFUSALS.get((state, act))
    if refusal is None:
        raise ValueError(f"a stream that is {state} cannot {act}")
    raise FaultError(_fault(str(act), stream, *refusal))


def refused(state: State, what: str, stream: int) -> FaultError:
    """What any request about a stream that is not there, dead or being closed is answered."""
    return FaultError(_fault(what, stream, *REFUSALS[state, Act.START]))


def _fault(what: str, stream: int | None, code: Code, why: str, hint: str) -> Fault:
    which = "the stream" if stream is None else f"stream {stream}"
    return Fault(code, f"{what}: {which} {why}", hint)


def render_mermaid() -> str:
    """The diagram of README.md, in mermaid's notation; acts that change nothing are left out."""
    edges: dict[tuple[State, State], list[str]] = {}
    for (old, act), new in TRANSITIONS.items():
        if old is not new:
            edges.setdefault((old, new), []).append(act.value)
    lines = ["stateDiagram-v2", f"    [*] --> {C}"]
    lines += [f"    {old} --> {new}: {', '.join(acts)}" for (old, new), acts in edges.items()]
    return "\n".join(lines) + "\n"


def render_table() -> str:
    """The table of README.md: the next state, or the code of the refusal, of each client's act."""
    lines = ["| state | " + " | ".join(_CLIENT) + " |", "|---" * (len(_CLIENT) + 1) + "|"]
    for state in State:
        cells = [str(state)]
        for act in _CLIENT:
            cells.append(_cell(state, act))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(state: State, act: Act) -> str:
    new = TRANSITIONS.get((state, act))
    if new is not None:
        return "same" if new is state else str(new)
    if act is Act.WRITE:
        return "breach"
    return "" if act is Act.OPEN else str(REFUSALS[state, act][0])
