"""Why arguments were refused: msgspec's words in ours.

Pure; `validate` alone calls it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from audiod_protocol.errors import Code, Fault, FaultError
from audiod_protocol.limits import NAME_MAX
from audiod_protocol.params import wire_type

__all__ = ["explain", "nearest"]

SHOWN_MAX = 16  # names in one hint: more are no help

_WORDS = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)


def explain(
    method: str,
    names: list[str],
    choices: Mapping[str, tuple[str, ...]],
    given: Mapping[str, Any],
    text: str,
) -> FaultError:
    """A refusal of `method`, which takes `names`, of which `choices` are one of several words."""
    if found := _UNKNOWN.fullmatch(text):
        message = f"{method}: there is no argument {found[1][:NAME_MAX]!r}"
        return FaultError(Fault(Code.EINVAL, message, nearest(found[1], names)))
    if found := _MISSING.fullmatch(text):
        message = f"{method}: the argument {found[1]!r} is missing"
        return FaultError(Fault(Code.EINVAL, message, "it takes " + ", ".join(names)))
    words = _WORDS.fullmatch(text)
    assert words is not None  # every text matches
    path = words["path"] or ""
    value: Any = given
    for step in re.findall(r"[^.\[\]]+", path):
        value = value[int(step)] if isinstance(value, list) else value[step]
    expected = _expected(path.split("[")[0], words["what"], choices)
    message = f"{method}: {path}: {expected}, not {wire_type(value)} {value!r:.40}"
    return FaultError(Fault(Code.EINVAL, message, "it takes " + ", ".join(names)))


def _expected(argument: str, what: str, choices: Mapping[str, tuple[str, ...]]) -> str:
    """msgspec's expectation with the protocol's names of the types."""
    what = re.sub(r", got .*", "", what, flags=re.DOTALL).replace("`", "").replace(" | null", "")
    if not what.startswith("Expected "):
        return "it must be one of " + ", ".join(choices[argument])
    for theirs, ours in (("Expected ", "it must be "), ("int", "an integer"), ("object", "a map")):
        what = what.replace(theirs, ours)
    return what.replace(" str", " a string").replace(" array", " an array")


def nearest(word: str, words: Iterable[str]) -> str:
    """A hint for a name that does not exist."""
    words = list(words)
    close = difflib.get_close_matches(word[:NAME_MAX], words, 1)
    if close:
        return f"did you mean {close[0]!r}?"
    if len(words) > SHOWN_MAX:
        return "the protocol's specification lists them"
    return "it takes " + (", ".join(words) or "no arguments")
