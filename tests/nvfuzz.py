"""Packed nvlists with something wrong in them, as a function of the seed.

Each input is the bytes of a good list (the vectors', and random ones) with one to
six changes: bits and bytes, sizes and counts, pieces cut, doubled, moved, of other
lists.  Every one must decode, to a list that packs and unpacks to itself, or be
refused by NvlistError: nothing else, and soon.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from pathlib import Path

from audiod_protocol.nvlist import ADD_LIMITS, NvlistError, NvType, Pair, pack, unpack

VECTORS = Path(__file__).resolve().parents[1] / "protocol/vectors/nvlist.json"
STRANGE = (0, 1, 2, 7, 8, 18, 19, 20, 127, 255, 2**16 - 1, 2**31, 2**32, 2**40, 2**63, 2**64 - 1)


def seeds() -> list[bytes]:
    """The good lists of the vectors, in both byte orders, and the odd ones."""
    held = json.loads(VECTORS.read_text())
    rows = [row[key] for row in held["lists"] for key in ("libnv", "ours", "big_endian") if key in row]
    return [bytes.fromhex(one) for one in rows + [row["hex"] for row in held["changes"]]]


def random_list(rng: random.Random, depth: int = 0) -> list[Pair]:
    """Some pairs of any type, of lists at most four levels."""
    kinds = [kind for kind in NvType if kind < NvType.NEXT and "DESCRIPTOR" not in kind.name]
    made = []
    for place in range(rng.randrange(5)):
        kind = rng.choice(kinds)
        name, count = f"{'abc'[place % 3]}{place}", rng.randrange(1, 4)
        if kind in (NvType.NVLIST, NvType.NVLIST_ARRAY) and depth == 3:
            kind = NvType.NULL
        value = random_value(rng, NvType(kind - 6) if kind.name.endswith("ARRAY") else kind, depth)
        if kind.name.endswith("ARRAY"):
            value = (value,) * count
        made.append(Pair(name, kind, value))
    return made


def random_value(rng: random.Random, kind: NvType, depth: int) -> object:
    match kind:
        case NvType.BOOL:
            return rng.random() < 0.5
        case NvType.NUMBER:
            return rng.choice(STRANGE)
        case NvType.STRING:
            return "x" * rng.randrange(9)
        case NvType.BINARY:
            return rng.randbytes(rng.randrange(1, 4))
        case NvType.NVLIST:
            return random_list(rng, depth + 1)
        case _:
            return None


def mutate(rng: random.Random, good: bytes, other: bytes) -> bytes:
    data = bytearray(good)
    whats = 3 if rng.random() < 0.5 else 8  # the first three leave the size as it is
    for _ in range(1 if rng.random() < 0.5 else rng.randrange(2, 7)):
        at = rng.randrange(len(data) + 1)
        what = rng.randrange(whats)
        if what == 0 and data:
            data[at - 1] ^= 1 << rng.randrange(8)
        elif what == 1 and data:
            data[at - 1] = rng.choice((0, 1, 2, 5, 11, 0x6C, 0x80, 254, 255))
        elif what == 2:
            data[at : at + 8] = rng.choice(STRANGE).to_bytes(8, rng.choice(("little", "big")))
        elif what == 3:
            del data[at : at + rng.randrange(1, 40)]
        elif what == 4:
            data[at:at] = data[at : at + rng.randrange(1, 80)]
        elif what == 5:
            begin = rng.randrange(len(other) + 1)
            data[at:at] = other[begin : begin + rng.randrange(1, 80)]
        elif what == 6:
            del data[at:]
        else:
            data[at:at] = rng.randbytes(rng.randrange(1, 9))
    if rng.random() < 0.5 and len(data) >= 19:  # or nothing but the outer size is ever found wrong
        data[11:19] = (len(data) - 19).to_bytes(8, "big" if data[2] & 0x80 else "little")
    return bytes(data)


def fuzz_nvlist(seed: int, count: int) -> dict[str, float]:
    """How many were accepted and refused, and the longest time that one took in ms (CPU)."""
    rng = random.Random(seed)
    known = seeds()
    counts: Counter[str] = Counter()
    longest = 0.0
    for number in range(count):
        if number % 16 == 0:
            made = pack(random_list(rng), big_endian=rng.random() < 0.3)
        data = mutate(rng, made if number % 2 else rng.choice(known), rng.choice(known))
        begin = time.thread_time()
        try:
            found = unpack(data, limits=ADD_LIMITS)
        except NvlistError as error:
            counts[error.code] += 1
            assert error.code in ("EINVAL", "EEXIST", "EILSEQ", "ENOMEM") and len(str(error)) < 200
        else:
            counts["accepted"] += 1
            again = pack(found)
            assert unpack(again) == found, f"seed {seed}, input {number}: {data.hex()}"
        longest = max(longest, time.thread_time() - begin)
    return {"inputs": count, **counts, "longest_ms": round(1000 * longest, 2)}
