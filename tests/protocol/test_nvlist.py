"""Packed nvlists: the vectors both ways, what is refused, round trips, limits; a peer, if there is one."""

from __future__ import annotations

import hashlib
import json
import re
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from audiod_protocol import nvlist
from audiod_protocol.nvlist import (
    ADD_LIMITS,
    Limits,
    Nvlist,
    NvlistError,
    NvType,
    Pair,
    array,
    boolean,
    nested,
    number,
    pack,
    string,
    unpack,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from nvfuzz import fuzz_nvlist
from protocol.libnv import PREFIX, Libnv, library

VECTORS = json.loads(
    (Path(__file__).resolve().parents[2] / "protocol/vectors/nvlist.json").read_text(encoding="utf-8")
)
LISTS = {row["name"]: row for row in VECTORS["lists"]}
CHANGES = {row["what"]: row for row in VECTORS["changes"]}


def pairs_of(rows: list[Any]) -> Nvlist:
    return Nvlist(pair_of(*row) for row in rows)


def pair_of(name: str, kind: str, value: Any) -> Pair:
    found = NvType[kind]
    if found is NvType.NVLIST:
        value = pairs_of(value)
    elif found is NvType.NVLIST_ARRAY:
        value = tuple(map(pairs_of, value))
    elif found is NvType.BINARY:
        value = bytes.fromhex(value["$bin"])
    elif isinstance(value, list):
        value = tuple(value)
    return Pair(name, found, value)


# ---- the vectors --------------------------------------------------------------------------


@pytest.mark.parametrize("name", LISTS)
def test_bytes_of_libnv_both_ways(name: str) -> None:
    row = LISTS[name]
    pairs, theirs = pairs_of(row["pairs"]), bytes.fromhex(row["libnv"])
    assert (len(theirs), hashlib.sha256(theirs).hexdigest()) == (row["bytes"], row["sha256"])
    assert unpack(theirs) == pairs
    ours = pack(pairs)
    assert ours.hex() == row.get("ours", row["libnv"])
    assert unpack(ours) == pairs
    other = pack(pairs, big_endian=True)
    assert other.hex() == row["big_endian"] and other[2] == 0x80
    assert unpack(other) == pairs


def datasizes(data: bytes) -> list[int]:
    """Where the size of a nested list is written, in bytes that libnv made."""
    found, pos, end = [], 19, len(data)
    while pos < end:
        kind, names, size, _ = struct.unpack_from("<BHQQ", data, pos)
        if kind == NvType.NVLIST:
            found += range(pos + 3, pos + 11)
        skip = 19 if kind in (NvType.NVLIST, NvType.NVLIST_ARRAY) else size
        pos += 19 + names + skip
        if kind == NvType.NEXT and pos < end and data[pos] == nvlist.MAGIC:
            pos += 19  # the next element; there is no type 0x6c
    return found


@pytest.mark.parametrize("name", LISTS)
def test_nothing_else_differs_from_libnvs_bytes(name: str) -> None:
    theirs = bytes.fromhex(LISTS[name]["libnv"])
    ours = pack(pairs_of(LISTS[name]["pairs"]))
    assert len(ours) == len(theirs)
    masked = set(datasizes(theirs))
    assert {at for at in range(len(ours)) if ours[at] != theirs[at]} <= masked
    if not masked:
        assert "ours" not in LISTS[name]


def test_examples_of_the_references() -> None:
    """Sizes and digests that were measured with libnv before any of this was written."""
    wanted = {
        "three scalars": (94, "7e59ef3d6033f022"),
        "nested": (130, "6aff542e335dea29"),
        "array of lists": (176, "19559a275c6d1c5a"),
        "the draft's user devices": (429, "da53411762742f3e"),
        "the draft's four devices": (1904, "b013e60795e5025c"),
        "the manual's device": (2174, "fd22ac362c263c28"),
    }
    assert {name: (LISTS[name]["bytes"], LISTS[name]["sha256"][:16]) for name in wanted} == wanted
    assert pack([]).hex() == "6c" + "00" * 18


def test_the_honest_size_of_a_nested_list() -> None:
    data = pack([nested("p", [number("r", 48000)]), boolean("z", False)])
    assert struct.unpack_from("<Q", data, 22) == (48,)  # header and pair; libnv writes 70
    assert struct.unpack_from("<Q", bytes.fromhex(LISTS["nested"]["libnv"]), 22) == (70,)


@pytest.mark.parametrize("what", CHANGES)
def test_what_is_refused(what: str) -> None:
    row = CHANGES[what]
    data = bytes.fromhex(row["hex"])
    if row["ours"] == "accepted":
        assert row["libnv"] == "accepted", "we are the stricter"
        unpack(data)
        return
    with pytest.raises(NvlistError) as caught:
        unpack(data)
    assert caught.value.code == row["ours"]


def test_stricter_than_libnv() -> None:
    """Each tolerance of libnv that is not copied, by name."""
    assert {what for what, row in CHANGES.items() if row["libnv"] == "accepted" != row["ours"]} == {
        "version 1",
        "BOOL_ARRAY with a byte 7",
        "an inner version 1",
        "an inner flag 0x02",
        "a child list that is not closed",
        "a child list closed by NEXT",
        "an element closed by UP",
        "NVLIST_ARRAY with a datasize",
        "an UP with a name",
        "17 lists inside each other",
    }


def test_flags_are_those_of_the_caller() -> None:
    data = pack([number("a", 1)], flags=nvlist.IGNORE_CASE)
    assert unpack(data, flags=nvlist.IGNORE_CASE) == (number("a", 1),)
    with pytest.raises(NvlistError) as caught:
        unpack(data)
    assert caught.value.code == "EILSEQ"
    for flags, other in ((nvlist.IGNORE_CASE, "A"), (0, "a")):
        with pytest.raises(NvlistError, match="two pairs are named"):
            pack([number("a", 1), number(other, 2)], flags=flags)
    twice = pack([number("a", 1), number("a", 2)], flags=nvlist.NO_UNIQUE)
    assert unpack(twice, flags=nvlist.NO_UNIQUE) == (number("a", 1), number("a", 2))
    with pytest.raises(NvlistError, match="only IGNORE_CASE and NO_UNIQUE"):
        pack([], flags=0x80)


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (number("a", 2**64), "64 bits"),
        (Pair("a", NvType.NUMBER, True), "64 bits"),
        (Pair("a", NvType.BOOL, 1), "no bool"),
        (string("a", "x\0y"), "without NUL"),
        (string("a", "\ud800"), "no text"),
        (number("a\0", 1), "the name"),
        (number("n" * 2048, 1), "more than 2047 bytes"),
        (Pair("a", NvType.BINARY, b""), "cannot be packed as BINARY"),
        (Pair("a", NvType.NULL, 0), "cannot be packed as NULL"),
        (Pair("a", NvType.NUMBER_ARRAY, ()), "needs an element"),
        (array("a", []), "needs an element"),
        (Pair("a", NvType.DESCRIPTOR, 3), "cannot be packed as DESCRIPTOR"),
        (Pair("a", NvType.UP, None), "cannot be packed as UP"),
    ],
)
def test_values_that_do_not_go_in(pair: Pair, words: str) -> None:
    with pytest.raises(NvlistError, match=words):
        pack([pair])


def test_negative_numbers_are_twos_complement() -> None:
    assert number("pid", -1).value == 2**64 - 1
    assert pack([number("pid", -1)])[-8:] == b"\xff" * 8


def test_get_and_plain() -> None:
    made = unpack(
        pack([string("s", "x"), nested("n", [number("a", 1)]), array("l", [[], [boolean("b", True)]])])
    )
    assert made.get("s", NvType.STRING) == "x" and made.get("s", NvType.NUMBER) is None
    assert made.get("t", NvType.STRING) is None
    assert made.plain() == {"s": "x", "n": {"a": 1}, "l": [{}, {"b": True}]}


# ---- limits -------------------------------------------------------------------------------


def deep(levels: int) -> list[Pair]:
    pairs: list[Pair] = []
    for _ in range(levels - 1):
        pairs = [nested("p", pairs)]
    return pairs


def test_depth() -> None:
    assert unpack(pack(deep(16))) == tuple(deep(16))
    with pytest.raises(NvlistError, match="deeper than 16"):
        pack(deep(17))
    with pytest.raises(NvlistError, match="deeper than 16"):
        unpack(bytes.fromhex(CHANGES["17 lists inside each other"]["hex"]))


def test_a_bomb_of_lists_costs_nothing() -> None:
    """65,536 bytes that go as deep as they can, and arrays that announce what cannot follow."""
    head = struct.Struct("<BBBQQ")
    bomb = bytearray()
    while len(bomb) < 65536 - 40:
        bomb += head.pack(0x6C, 0, 0, 0, 65536 - len(bomb) - 19) + struct.pack("<BHQQ", 5, 2, 19, 0) + b"p\0"
    bomb += bytes(65536 - len(bomb))
    tracemalloc.start()
    try:
        with pytest.raises(NvlistError, match="deeper"):
            unpack(bytes(bomb), limits=ADD_LIMITS)
        with pytest.raises(NvlistError, match="array of 1099511627776 lists"):
            unpack(bytes.fromhex(CHANGES["2^40 elements"]["hex"]))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_size_to_the_byte() -> None:
    frame = len(pack([Pair("b", NvType.BINARY, b"x")])) - 1
    largest = pack([Pair("b", NvType.BINARY, bytes(ADD_LIMITS.size - frame))])
    assert len(largest) == 65536 and len(unpack(largest, limits=ADD_LIMITS)) == 1
    with pytest.raises(NvlistError) as caught:
        unpack(largest + b"\0", limits=ADD_LIMITS)
    assert caught.value.code == "ENOMEM"


def test_pairs_to_the_number() -> None:
    data = pack([nested("a", [number("b", 1)]), number("c", 2)])  # three, and the one that closes
    assert unpack(data, limits=Limits(1000, 4))
    with pytest.raises(NvlistError) as caught:
        unpack(data, limits=Limits(1000, 3))
    assert caught.value.code == "ENOMEM"


# ---- any list, any bytes ------------------------------------------------------------------

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
BYTES_AS_TEXT = st.binary(max_size=12).map(
    lambda raw: raw.replace(b"\0", b"").decode("utf-8", "surrogateescape")
)
NUMBERS = st.integers(0, 2**64 - 1)


def typed(kind: NvType, values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[NvType, Any]]:
    return values.map(lambda value: (kind, value))


def arrays(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, min_size=1, max_size=4).map(tuple)


PLAIN = st.one_of(
    typed(NvType.NULL, st.none()),
    typed(NvType.BOOL, st.booleans()),
    typed(NvType.NUMBER, NUMBERS),
    typed(NvType.STRING, NAMES | BYTES_AS_TEXT),
    typed(NvType.BINARY, st.binary(min_size=1, max_size=12)),
    typed(NvType.BOOL_ARRAY, arrays(st.booleans())),
    typed(NvType.NUMBER_ARRAY, arrays(NUMBERS)),
    typed(NvType.STRING_ARRAY, arrays(NAMES)),
)


def lists(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Nvlist]:
    return st.dictionaries(NAMES | BYTES_AS_TEXT, values, max_size=4).map(
        lambda found: Nvlist(Pair(name, kind, value) for name, (kind, value) in found.items())
    )


ANY: st.SearchStrategy[Nvlist] = lists(
    st.recursive(
        PLAIN,
        lambda inner: typed(NvType.NVLIST, lists(inner)) | typed(NvType.NVLIST_ARRAY, arrays(lists(inner))),
        max_leaves=20,
    )
)


@given(ANY, st.booleans())
@settings(max_examples=300, deadline=None, derandomize=True)
def test_round_trip(pairs: Nvlist, big_endian: bool) -> None:
    data = pack(pairs, big_endian=big_endian)
    assert unpack(data) == pairs
    assert pack(unpack(data), big_endian=big_endian) == data


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_any_bytes(data: bytes) -> None:
    for begin in (b"", bytes([0x6C, 0, 0]) + bytes(8) + len(data).to_bytes(8, "little")):
        try:
            unpack(begin + data, limits=ADD_LIMITS)
        except NvlistError as error:
            assert re.match("EINVAL|EEXIST|EILSEQ", error.code)


def test_mutated_lists_decode_or_fail_cleanly() -> None:
    """The short form of tests/perf/fuzz_nvlist.py, whose report has a million of them."""
    counts = fuzz_nvlist(seed=1, count=10_000)
    assert sum(counts[code] for code in ("accepted", "EINVAL", "EEXIST", "EILSEQ")) == 10_000
    assert min(counts["accepted"], counts["EINVAL"], counts["EILSEQ"]) > 100 and counts["EEXIST"], counts


# ---- a peer, where there is one -----------------------------------------------------------


@pytest.fixture(scope="module")
def peer() -> Libnv:
    path = library()
    if path is None:
        pytest.skip(f"{PREFIX} names no build of libnv; the bytes that it made are in the vectors")
    return Libnv(path)


def test_the_vectors_are_the_peers(peer: Libnv) -> None:
    for name, row in LISTS.items():
        pairs = pairs_of(row["pairs"])
        theirs = peer.pack(pairs)
        assert theirs.hex() == row["libnv"], name
        assert peer.repack(pack(pairs)) == theirs, f"{name}: from our bytes libnv makes its own"


def test_the_peer_refuses_as_the_vectors_say(peer: Libnv) -> None:
    for what, row in CHANGES.items():
        got = peer.repack(bytes.fromhex(row["hex"]))
        assert ("refused" if got is None else "accepted") == row["libnv"], what


@given(pairs=ANY)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_the_peer_and_we_agree(peer: Libnv, pairs: Nvlist) -> None:
    theirs = peer.pack(pairs)
    assert unpack(theirs) == pairs
    assert peer.repack(pack(pairs)) == theirs
