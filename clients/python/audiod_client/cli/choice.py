"""What a word on the command line means: a number, an exact name, or the beginning of one name alone.

Invariant: a choice is never guessed; several that fit are an error that lists them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from audiod_client.cli.context import UsageError
from audiod_client.cli.output import clean
from audiod_client.errors import StreamError

__all__ = ["Choice", "select"]

T = TypeVar("T")

SHOWN = 12  # choices that a complaint lists


@dataclass(frozen=True)
class Choice(Generic[T]):
    """One that may be meant: by its `index`, or by any of its `names`."""

    value: T
    label: str  # for people, in complaints
    index: str = ""
    names: tuple[str, ...] = ()
    live: bool = True  # of several that fit, those only remembered give way


def select(what: str, choices: Sequence[Choice[T]], word: str, hint: str = "give the number") -> T:
    """The value of the one choice that `word` means; `what` says in one word what is chosen from.

    Raises StreamError (ENOENT: none), or UsageError listing the choices if there are several.
    """
    found = [c for c in choices if c.index and c.index == word]
    found = found or [c for c in choices if word in c.names]
    found = found or [c for c in choices if word and any(name.startswith(word) for name in c.names)]
    found = [c for c in found if c.live] or found
    if len(found) == 1:
        return found[0].value
    if not found:
        raise StreamError("ENOENT", f"no {what} {clean(word)!r}", f"there are: {_listed(choices) or 'none'}")
    raise UsageError(f"{clean(word)!r} means {len(found)} {what}s: {_listed(found)}", hint)


def _listed(choices: Sequence[Choice[T]]) -> str:
    more = f" and {len(choices) - SHOWN} more" if len(choices) > SHOWN else ""
    return ", ".join(clean(choice.label) for choice in choices[:SHOWN]) + more
