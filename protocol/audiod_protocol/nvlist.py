"""Packed nvlists, as FreeBSD's libnv writes and reads them (nv(9)): values to bytes and back.

Owns the wire format alone; what the names in a list mean is its caller's.
Invariant: `unpack` returns a list that `pack` can write, or raises NvlistError; it
neither recurses nor allocates for what is only announced.  Stricter than libnv:
it refuses another version, lists that are not closed as they were opened, and
bools other than 0 and 1.  No thread, no clock.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, Final

from audiod_protocol.nvtypes import (
    ADD_LIMITS,
    DEPTH_MAX,
    LISTING_LIMITS,
    Limits,
    Nvlist,
    NvlistError,
    NvType,
    Pair,
    array,
    boolean,
    nested,
    number,
    string,
)

__all__ = [
    "ADD_LIMITS",
    "LISTING_LIMITS",
    "Limits",
    "NvType",
    "Nvlist",
    "NvlistError",
    "Pair",
    "array",
    "boolean",
    "element",
    "nested",
    "number",
    "pack",
    "string",
    "unpack",
]

MAGIC: Final = 0x6C
VERSION: Final = 0
IGNORE_CASE, NO_UNIQUE, BIG_ENDIAN = 0x01, 0x02, 0x80
PUBLIC: Final = IGNORE_CASE | NO_UNIQUE
HEADER_SIZE: Final = 19  # of a list, and of a pair before its name
NAME_SIZE_MAX: Final = 2048  # bytes of a name with its NUL; a writer stays below it, as libnv's does
NUMBER_MAX: Final = 2**64 - 1
_TYPES = {int(kind): kind for kind in NvType}


# ---- out ---------------------------------------------------------------------------------


def pack(pairs: Iterable[Pair], *, big_endian: bool = False, flags: int = 0) -> bytes:
    """The list as bytes, pairs in their order.  Raises NvlistError for values that it cannot hold.

    `datasize` of a nested list is that list's length; libnv writes a number there that
    depends on what follows and takes any, so that its bytes differ from these in that field alone.
    """
    if flags & ~PUBLIC:
        raise NvlistError(f"flags 0x{flags:02x}: only IGNORE_CASE and NO_UNIQUE go in")
    return _Writer(">" if big_endian else "<", flags | (BIG_ENDIAN if big_endian else 0)).write(pairs)


def element(pairs: Iterable[Pair]) -> tuple[bytes, tuple[int, ...]]:
    """A list as an element of an NVLIST ARRAY, little-endian, and where in it headers of lists are.

    For who puts many together without packing each anew: into the `size` of each header, the 8 bytes
    at its place + 11, belongs how many bytes follow that header to the end of everything.
    """
    writer = _Writer("<", 0)
    data = writer.write(pairs)
    return data + writer.pair.pack(NvType.NEXT, 1, 0, 0) + b"\0", tuple(writer.heads)


class _Writer:
    """One list being packed; sizes that are known at the end are filled in then."""

    def __init__(self, order: str, flags: int) -> None:
        self.out = bytearray()
        self.head = struct.Struct(order + "BBBQQ")
        self.pair = struct.Struct(order + "BHQQ")
        self.word = struct.Struct(order + "Q")
        self.order = order
        self.flags = flags
        self.heads: list[int] = []  # where headers are

    def write(self, pairs: Iterable[Pair]) -> bytes:
        # each level: its pairs, the elements that follow in an array, what closes it, names, field, begin
        stack: list[tuple[Any, Any, NvType, set[str], int, int]] = []
        self._open(stack, pairs, (), NvType.NULL, -1)
        while stack:
            todo, more, closes, names, field, begin = stack[-1]
            pair = next(todo, None)
            if pair is not None:
                self._pair(stack, pair, names)
                continue
            stack.pop()
            if field >= 0:
                self.word.pack_into(self.out, field, len(self.out) - begin)
            if closes is not NvType.NULL:
                self.out += self.pair.pack(closes, 1, 0, 0) + b"\0"
            if closes is NvType.NEXT and (following := next(more, None)) is not None:
                self._open(stack, following, more, NvType.NEXT, -1)
        for at in self.heads:
            self.word.pack_into(self.out, at + 11, len(self.out) - at - HEADER_SIZE)
        return bytes(self.out)

    def _open(self, stack: list[Any], pairs: Iterable[Pair], more: Any, closes: NvType, field: int) -> None:
        if len(stack) == DEPTH_MAX:
            raise NvlistError(f"lists are nested deeper than {DEPTH_MAX} levels")
        stack.append((iter(pairs), more, closes, set(), field, len(self.out)))
        self.heads.append(len(self.out))
        self.out += self.head.pack(MAGIC, VERSION, self.flags, 0, 0)

    def _pair(self, stack: list[Any], pair: Pair, names: set[str]) -> None:
        name = _encoded(pair.name, f"the name {pair.name!r:.40}") + b"\0"
        if len(name) > NAME_SIZE_MAX:
            raise NvlistError(f"the name {pair.name!r:.40} has more than {NAME_SIZE_MAX - 1} bytes")
        if not self.flags & NO_UNIQUE:
            key = pair.name.lower() if self.flags & IGNORE_CASE else pair.name
            if key in names:
                raise NvlistError(f"two pairs are named {pair.name!r:.40}", "EEXIST")
            names.add(key)
        kind, value = pair.type, pair.value
        if kind is NvType.NVLIST:
            self.out += self.pair.pack(kind, len(name), 0, 0) + name
            self._open(stack, value, (), NvType.UP, len(self.out) - len(name) - 16)
        elif kind is NvType.NVLIST_ARRAY:
            _need(value, pair)
            self.out += self.pair.pack(kind, len(name), 0, len(value)) + name
            more = iter(value)
            self._open(stack, next(more), more, NvType.NEXT, -1)
        else:
            data = self._data(pair)
            count = len(value) if NvType.BOOL_ARRAY <= kind <= NvType.STRING_ARRAY else 0
            self.out += self.pair.pack(kind, len(name), len(data), count) + name + data

    def _data(self, pair: Pair) -> bytes:
        kind, value = pair.type, pair.value
        what = f"{pair.name!r:.40}"
        if kind is NvType.NULL and value is None:
            return b""
        if kind is NvType.BOOL:
            return bytes([_bool(value, what)])
        if kind is NvType.NUMBER:
            return self.word.pack(_number(value, what))
        if kind is NvType.STRING:
            return _encoded(value, what) + b"\0"
        if kind is NvType.BINARY and isinstance(value, bytes) and value:
            return value
        if NvType.BOOL_ARRAY <= kind <= NvType.STRING_ARRAY:
            _need(value, pair)
            if kind is NvType.BOOL_ARRAY:
                return bytes(_bool(one, what) for one in value)
            if kind is NvType.NUMBER_ARRAY:
                return struct.pack(f"{self.order}{len(value)}Q", *(_number(one, what) for one in value))
            return b"".join(_encoded(one, what) + b"\0" for one in value)
        raise NvlistError(f"{what} cannot be packed as {kind.name}")


def _need(value: Any, pair: Pair) -> None:
    if not isinstance(value, tuple | list) or not value:
        raise NvlistError(f"{pair.name!r:.40}: an array needs an element")


def _bool(value: object, what: str) -> bool:
    if not isinstance(value, bool):
        raise NvlistError(f"{what}: {value!r:.40} is no bool")
    return value


def _number(value: object, what: str) -> int:
    if type(value) is not int or not 0 <= value <= NUMBER_MAX:
        raise NvlistError(f"{what}: {value!r:.40} is no integer of 64 bits")
    return value


def _encoded(value: object, what: str) -> bytes:
    if not isinstance(value, str) or "\0" in value:
        raise NvlistError(f"{what}: {value!r:.40} is no string without NUL")
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise NvlistError(f"{what}: {value!r:.40} is no text") from None


# ---- in ----------------------------------------------------------------------------------


def unpack(
    data: bytes | bytearray | memoryview, *, flags: int = 0, limits: Limits = LISTING_LIMITS
) -> Nvlist:
    """The list that these bytes are, in either byte order; `flags` must be those that it was packed with.

    Raises NvlistError: EINVAL, EEXIST (two equal names), EILSEQ (other flags), ENOMEM (beyond a limit).
    """
    if len(data) > limits.size:
        raise NvlistError(f"{len(data)} bytes, more than {limits.size}", "ENOMEM")
    return _Reader(bytes(data), flags, limits).read()


class _Level:
    """A list that is being read, and what is to close it."""

    __slots__ = ("elements", "left", "name", "names", "pairs")

    def __init__(self, name: str, left: int, elements: list[Nvlist]) -> None:
        self.pairs: list[Pair] = []
        self.names: set[str] = set()
        self.name = name
        self.left = left  # elements of the array that follow; -1: it is no element
        self.elements = elements


class _Reader:
    def __init__(self, data: bytes, flags: int, limits: Limits) -> None:
        self.data = data
        self.limits = limits
        self.pos = 0
        self.count = 0
        if len(data) < HEADER_SIZE:
            raise NvlistError(f"{len(data)} bytes are too few for the header of a list")
        self.flags = data[2] & BIG_ENDIAN | flags
        order = ">" if data[2] & BIG_ENDIAN else "<"
        self.order = order
        self.head = struct.Struct(order + "BBBQQ")
        self.pair = struct.Struct(order + "BHQQ")
        self.stack: list[_Level] = []

    def read(self) -> Nvlist:
        self._open(_Level("", -1, []))
        while self.pos < len(self.data):
            self._pair()
        if len(self.stack) > 1:
            raise self._wrong(f"the list {self.stack[-1].name!r:.40} is not closed")
        return Nvlist(self.stack[0].pairs)

    def _wrong(self, what: str, code: str = "EINVAL") -> NvlistError:
        return NvlistError(f"{what}, at byte {self.pos}", code)

    def _open(self, level: _Level) -> None:
        """The header of a list: top, child or element of an array."""
        if len(self.stack) == self.limits.depth:
            raise self._wrong(f"lists are nested deeper than {self.limits.depth} levels")
        if len(self.data) - self.pos < HEADER_SIZE:
            raise self._wrong("the header of a list is cut off")
        magic, version, flags, descriptors, size = self.head.unpack_from(self.data, self.pos)
        if magic != MAGIC or version != VERSION:
            raise self._wrong(f"no list begins with {magic:02x} {version:02x}")
        if flags != self.flags:
            known = not flags & ~(PUBLIC | BIG_ENDIAN) and not self.stack
            raise self._wrong(f"the flags are 0x{flags:02x}", "EILSEQ" if known else "EINVAL")
        if descriptors:
            raise self._wrong(f"it comes with {descriptors} descriptors")
        if size != len(self.data) - self.pos - HEADER_SIZE:
            raise self._wrong(f"a header says {size} bytes, which are not what follows")
        self.pos += HEADER_SIZE
        self.stack.append(level)

    def _pair(self) -> None:
        data, begin = self.data, self.pos
        if len(data) - begin < HEADER_SIZE:
            raise self._wrong("the header of a pair is cut off")
        code, namesize, size, count = self.pair.unpack_from(data, begin)
        kind = _TYPES.get(code)
        if kind is None:
            raise self._wrong(f"there is no type {code}")
        at = begin + HEADER_SIZE + namesize
        if not 1 <= namesize <= NAME_SIZE_MAX or at > len(data):
            raise self._wrong(f"a name has {namesize} bytes")
        if data.find(b"\0", at - namesize, at) != at - 1:
            raise self._wrong("a name does not end with its one NUL")
        if size > len(data) - at:
            raise self._wrong(f"{size} bytes of data are announced, {len(data) - at} are there")
        self.count += 1
        if self.count > self.limits.pairs:
            raise self._wrong(f"more than {self.limits.pairs} pairs", "ENOMEM")
        if kind >= NvType.NEXT:
            if namesize != 1 or size:
                raise self._wrong("what closes a list has a name or data")
            self.pos = at
            self._close(kind)
            return
        name = str(data[at - namesize : at - 1], "utf-8", "surrogateescape")
        self._once(name)
        if kind is NvType.NVLIST:
            if not size:
                raise self._wrong(f"the list {name!r:.40} has no bytes")
            self.pos = at
            self._open(_Level(name, -1, []))
        elif kind is NvType.NVLIST_ARRAY:
            # an element takes a header and what closes it, 39 bytes; libnv checks for 19
            if size or not count or count > (len(data) - at) // (HEADER_SIZE + 1):
                raise self._wrong(f"an array of {count} lists, {size} bytes")
            self.pos = at
            self._open(_Level(name, count - 1, []))
        else:
            value = self._value(kind, at, size, count)
            self.pos = at + size
            self.stack[-1].pairs.append(Pair(name, kind, value))

    def _once(self, name: str) -> None:
        if self.flags & NO_UNIQUE:
            return
        key, names = name.lower() if self.flags & IGNORE_CASE else name, self.stack[-1].names
        if key in names:
            raise self._wrong(f"two pairs are named {name!r:.40}", "EEXIST")
        names.add(key)

    def _close(self, kind: NvType) -> None:
        level = self.stack[-1]
        if len(self.stack) == 1 or (kind is NvType.UP) is not (level.left < 0):
            raise self._wrong(f"{kind.name} closes nothing here")
        self.stack.pop()
        done = Nvlist(level.pairs)
        if kind is NvType.UP:
            self.stack[-1].pairs.append(Pair(level.name, NvType.NVLIST, done))
            return
        level.elements.append(done)
        if level.left:
            self._open(_Level(level.name, level.left - 1, level.elements))
        else:
            self.stack[-1].pairs.append(Pair(level.name, NvType.NVLIST_ARRAY, tuple(level.elements)))

    def _value(self, kind: NvType, at: int, size: int, count: int) -> Any:
        data = self.data[at : at + size]
        if kind is NvType.NULL and not size:
            return None
        if kind is NvType.BOOL and data in (b"\0", b"\1"):
            return data == b"\1"
        if kind is NvType.NUMBER and size == 8:
            return struct.unpack(self.order + "Q", data)[0]
        if kind is NvType.STRING and size and data.find(b"\0") == size - 1:
            return str(data[:-1], "utf-8", "surrogateescape")
        if kind is NvType.BINARY and size:
            return data
        if kind is NvType.BOOL_ARRAY and size == count > 0 and not data.strip(b"\0\1"):
            return tuple(byte == 1 for byte in data)
        if kind is NvType.NUMBER_ARRAY and size == 8 * count > 0:
            return struct.unpack(f"{self.order}{count}Q", data)
        if kind is NvType.STRING_ARRAY and count and data[-1:] == b"\0" and data.count(b"\0") == count:
            return tuple(str(one, "utf-8", "surrogateescape") for one in data[:-1].split(b"\0"))
        raise self._wrong(f"{size} bytes and {count} items are no {kind.name}")
