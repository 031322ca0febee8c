"""Messages found in bytes: running status, what may stand in between, long exclusive ones, noise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiod.midi.messages import SYSEX_MAX, Parser, begins, whole

# bytes that a program sends, what others get
TABLE = {
    "a note": ("90 3c 40", ["90 3c 40"]),
    "running status": ("90 3c 40 3e 40", ["90 3c 40", "90 3e 40"]),
    "running status of two bytes": ("c0 01 02", ["c0 01", "c0 02"]),
    "each voice": (
        "80 01 02 a1 01 02 b2 01 02 c3 01 d4 01 ef 01 02",
        ["80 01 02", "a1 01 02", "b2 01 02", "c3 01", "d4 01", "ef 01 02"],
    ),
    "clock inside a note": ("90 3c f8 40", ["f8", "90 3c 40"]),
    "clock inside an exclusive message": ("f0 01 fa 02 f7", ["fa", "f0 01 02 f7"]),
    "active sensing is not passed on": ("90 fe 3c 40 fe", ["90 3c 40"]),
    "undefined real-time": ("f9 fd ff", ["f9", "fd", "ff"]),
    "common messages": ("f1 01 f2 01 02 f3 03 f6", ["f1 01", "f2 01 02", "f3 03", "f6"]),
    "undefined common": ("f4 01 f5 02 90 01 02", ["90 01 02"]),
    "no running status of common messages": ("f3 03 04 05", ["f3 03"]),
    "nor behind them": ("90 01 02 f3 03 04 05", ["90 01 02", "f3 03"]),
    "exclusive": ("f0 7f 7f 06 02 f7", ["f0 7f 7f 06 02 f7"]),
    "empty exclusive": ("f0 f7", ["f0 f7"]),
    "running status goes on behind exclusive": (
        "90 01 02 f0 01 f7 03 04",
        ["90 01 02", "f0 01 f7", "90 03 04"],
    ),
    "a lone end": ("f7 90 01 02 f7 03 04", ["90 01 02", "90 03 04"]),
    "cut off by another": ("90 01 80 01 02", ["80 01 02"]),
    "exclusive cut off": ("f0 01 02 03 90 01 02", ["90 01 02"]),
    "data without a status": ("01 02 03 90 01 02", ["90 01 02"]),
}


@pytest.mark.parametrize("sent, heard", TABLE.values(), ids=TABLE)
def test_what_is_found(sent: str, heard: list[str]) -> None:
    assert [message.hex(" ") for message in Parser().feed(bytes.fromhex(sent))] == heard


@pytest.mark.parametrize("sent, heard", TABLE.values(), ids=TABLE)
def test_however_it_is_cut(sent: str, heard: list[str]) -> None:
    parser = Parser()
    found = [message for byte in bytes.fromhex(sent) for message in parser.feed(bytes((byte,)))]
    assert [message.hex(" ") for message in found] == heard


@pytest.mark.parametrize(
    "size", [2, SYSEX_MAX - 1, SYSEX_MAX, SYSEX_MAX + 1, 2 * SYSEX_MAX, 10 * SYSEX_MAX + 7]
)
def test_a_long_exclusive_message_comes_in_pieces(size: int) -> None:
    sent = b"\xf0" + bytes(n % 128 for n in range(size - 2)) + b"\xf7"
    found = Parser().feed(sent)
    assert b"".join(found) == sent
    assert max(map(len, found)) <= SYSEX_MAX
    assert len(found) == -(-size // SYSEX_MAX)
    assert [begins(piece) for piece in found] == [True] + [False] * (len(found) - 1)
    assert [whole(piece) for piece in found] == ([True] if size <= SYSEX_MAX else [False] * len(found))


def test_a_long_one_cut_off_leaves_its_pieces() -> None:
    found = Parser().feed(b"\xf0" + bytes(SYSEX_MAX) + b"\x90\x01\x02")
    assert found == [b"\xf0" + bytes(SYSEX_MAX - 1), b"\x90\x01\x02"]


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_anything_at_all(pieces: list[bytes]) -> None:
    """Cuts make no difference, and what comes out is messages: fed again it comes out the same."""
    together, cut = Parser().feed(b"".join(pieces)), Parser()
    assert [message for piece in pieces for message in cut.feed(piece)] == together
    for message in together:
        assert 1 <= len(message) <= SYSEX_MAX
        assert whole(message)  # nothing here is long
    assert Parser().feed(b"".join(together)) == together
