"""Values of nvlists (nv(9)): typed pairs, lists of them, and what a list may be at most.

Invariant: plain data, in the order in which it is packed; `nvlist` makes bytes of
it and back.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

__all__ = [
    "ADD_LIMITS",
    "DEPTH_MAX",
    "LISTING_LIMITS",
    "Limits",
    "NvType",
    "Nvlist",
    "NvlistError",
    "Pair",
    "array",
    "boolean",
    "nested",
    "number",
    "string",
]

DEPTH_MAX: Final = 16  # lists inside each other: the deepest known schema has 5


class NvType(enum.IntEnum):
    """Types of pairs; the last two close a list, and are no values."""

    NULL = 1
    BOOL = 2
    NUMBER = 3
    STRING = 4
    NVLIST = 5
    DESCRIPTOR = 6
    BINARY = 7
    BOOL_ARRAY = 8
    NUMBER_ARRAY = 9
    STRING_ARRAY = 10
    NVLIST_ARRAY = 11
    DESCRIPTOR_ARRAY = 12
    NEXT = 254
    UP = 255


class NvlistError(ValueError):
    """These bytes are no nvlist, or these values cannot be one; `code` as libnv's errno says it."""

    def __init__(self, message: str, code: str = "EINVAL") -> None:
        super().__init__(message)
        self.code = code


class Pair(NamedTuple):
    """A name and its typed value: None, bool, int, str, Nvlist, bytes, or a tuple of one of these."""

    name: str
    type: NvType
    value: Any


class Nvlist(tuple[Pair, ...]):
    """Pairs in their order."""

    __slots__ = ()

    def get(self, name: str, kind: NvType) -> Any:
        """The value of this name if it is of this type, else None."""
        return next((p.value for p in self if p.name == name and p.type is kind), None)

    def plain(self) -> dict[str, Any]:
        """Names and values without their types, nested lists likewise; of equal names the last counts."""
        return {pair.name: _plain(pair) for pair in self}


def _plain(pair: Pair) -> Any:
    if pair.type is NvType.NVLIST:
        return pair.value.plain()  # as deep as unpack and pack allow
    if pair.type is NvType.NVLIST_ARRAY:
        return [one.plain() for one in pair.value]
    return list(pair.value) if isinstance(pair.value, tuple) else pair.value


@dataclass(frozen=True)
class Limits:
    """What `unpack` takes at most: bytes, pairs, lists inside each other."""

    size: int
    pairs: int
    depth: int = DEPTH_MAX


ADD_LIMITS: Final = Limits(65536, 65536)  # what a program may add: FreeBSD's limit of a list that goes in
LISTING_LIMITS: Final = Limits(64 << 20, 2 << 20)  # a listing: a thousand streams take 2 MB


def number(name: str, value: int) -> Pair:
    """A NUMBER; a negative one as two's complement, as C would store it."""
    return Pair(name, NvType.NUMBER, value + (1 << 64) if value < 0 else value)


def string(name: str, value: str) -> Pair:
    return Pair(name, NvType.STRING, value)


def boolean(name: str, value: bool) -> Pair:
    return Pair(name, NvType.BOOL, value)


def nested(name: str, pairs: Iterable[Pair]) -> Pair:
    return Pair(name, NvType.NVLIST, Nvlist(pairs))


def array(name: str, lists: Iterable[Iterable[Pair]]) -> Pair:
    """An NVLIST ARRAY; it must not be empty."""
    return Pair(name, NvType.NVLIST_ARRAY, tuple(Nvlist(one) for one in lists))
