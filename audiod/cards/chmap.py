"""Channel maps: libasound's positions as words, and the layouts that are usual where a card says nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

CHMAPS_MAX = 24  # of a direction: more are not told
POSITIONS_MAX = 32  # of a map: one of more channels says nothing but that they are many

# libasound's numbers: 0 unknown, 1 not there ("na"), then these 35
POSITIONS = (
    *("unknown", "na", "mono", "fl", "fr", "rl", "rr", "fc", "lfe", "sl", "sr", "rc", "flc", "frc", "rlc"),
    *("rrc", "flw", "frw", "flh", "fch", "frh", "tc", "tfl", "tfr", "tfc", "trl", "trr", "trc", "tflc"),
    *("tfrc", "tsl", "tsr", "llfe", "rlfe", "bc", "blc", "brc"),
)
_MASK = 0xFFFF  # above it are flags: inverted phase, the driver's own meaning
_OWN = 1 << 17

USUAL = tuple(
    tuple(words.split())
    for words in (
        "mono",
        "fl fr",
        "fl fr lfe",
        "fl fr fc",
        "fl fr rc",
        "fl fr rl rr",
        "fl fr sl sr",
        "fl fr fc lfe",
        "fl fr fc rc",
        "fl fr rl rr fc",
        "fl fr sl sr fc",
        "fl fr rl rr lfe",
        "fl fr fc rc lfe",
        "fl fr rl rr fc lfe",
        "fl fr sl sr fc lfe",
        "fl fr sl sr flc frc",
        "fl fr rl rr fc rc",
        "fl fr sl sr fc rc lfe",
        "fl fr rl rr fc lfe rc",
        "fl fr rl rr fc sl sr",
        "fl fr rl rr fc lfe sl sr",
        "fl fr rl rr fc lfe flc frc",
        "fl fr sl sr fc lfe flc frc",
        "fl fr rl rr fc rc sl sr",
    )
)


def word(position: int) -> str:
    """A position's word; of one that libasound has no meaning for, "unknown"."""
    place = position & _MASK
    return "unknown" if position & _OWN or place >= len(POSITIONS) else POSITIONS[place]


def number(position: str) -> int:
    """libasound's number of a word; what it does not know is its 0, unknown."""
    return POSITIONS.index(position) if position in POSITIONS else 0


def told(maps: Iterable[Sequence[int]]) -> tuple[tuple[str, ...], ...]:
    """What a card says, each layout once, in its order."""
    words = dict.fromkeys(
        tuple(word(position) for position in one) for one in maps if 0 < len(one) <= POSITIONS_MAX
    )
    return tuple(words)[:CHMAPS_MAX]


def usual(channels: Iterable[int]) -> tuple[tuple[str, ...], ...]:
    """The layouts that are usual for these numbers of channels."""
    counts = set(channels)
    return tuple(layout for layout in USUAL if len(layout) in counts)
