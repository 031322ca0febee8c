"""What one direction of a PCM says: a scripted library, and the real one's names."""

from __future__ import annotations

import ctypes
import errno
import re
from pathlib import Path
from typing import Any

import msgpack
import pytest
from audiod_protocol.limits import ANSWER_MAX
from audiod_protocol.params import Enc
from cards.fake_asound import (
    DSD_U32_BE,
    FLOAT_LE,
    IEC958_LE,
    MU_LAW,
    S16_LE,
    S24_3LE,
    S24_LE,
    S32_LE,
    Can,
    FakeLibrary,
    Script,
)

from audiod.cards import chmap, formats, libasound
from audiod.cards.inventory import Card, Endpoint, Side, Span
from audiod.cards.probe import ACCESS, FRAMES_MAX, RATES, Prober, probe_side
from audiod.cards.rows import PAGE, card_row, endpoint_row

ROOT = Path(__file__).resolve().parents[2]


def probed(script: Script | None, **given: Any) -> tuple[Side, FakeLibrary]:
    library = FakeLibrary({("x", "play"): script} if script else {})
    side = probe_side(library, "x", "play", **given)  # type: ignore[arg-type]
    assert library.nopen == 0, "what was opened is closed"
    return side, library


def side_of(**fields: Any) -> Side:
    return probed(Script(**fields))[0]


# ---- formats ----


def test_all_formats_and_why_not_the_others() -> None:
    side = side_of(formats={S16_LE, S24_3LE, S24_LE, S32_LE, FLOAT_LE, IEC958_LE, MU_LAW, DSD_U32_BE, 29})
    assert side.formats == ("s32le", "s24le3", "s24le", "s16le", "f32le")
    refused = dict(side.refused)
    assert list(refused) == ["IEC958_SUBFRAME_LE", "MU_LAW", "format 29", "DSD_U32_BE"]
    assert "link" in refused["IEC958_SUBFRAME_LE"] and "one bit" in refused["DSD_U32_BE"]
    assert "compressed" in refused["MU_LAW"] and side.error is None


@pytest.mark.parametrize("only", [{IEC958_LE}, {DSD_U32_BE, MU_LAW}, set()])
def test_a_card_that_refuses_every_format(only: set[int]) -> None:
    side = side_of(formats=only)
    assert side.error == "it has no encoding that audiod has" and not side.usable
    assert len(side.refused) == len(only) and side.bufsz is None


def test_formats_are_the_engines() -> None:
    """The numbers, the encodings and the order of alsa.c."""
    rows = re.findall(
        r"\{ (\d+), (INT|FLT)\((\d+), (\d)(?:, (\d), (\d))?\) \}", (ROOT / "audiod/engine/alsa.c").read_text()
    )
    assert len(rows) == len(formats.ENCODINGS) == 34
    for (number, kind, bits, second, sig, le), (ours, text) in zip(
        rows, formats.ENCODINGS.items(), strict=True
    ):
        enc = Enc.parse(text)
        assert int(number) == ours and str(enc) == text
        if kind == "INT":
            assert (enc.bits, enc.bps, enc.sig, enc.le) == (int(bits), int(second), sig == "1", le == "1")
            assert not enc.flt
        else:
            assert enc.flt and (enc.bits, enc.le) == (int(bits), second == "1")


def test_the_librarys_own_names() -> None:
    library = libasound.Library()
    for number in range(formats.LAST + 1):
        name = library.call("pcm_format_name", number)
        if number in formats.ENCODINGS:
            plain = formats.ENCODINGS[number].upper()
            wanted = (
                {"F32": "FLOAT", "F64": "FLOAT64"}.get(plain[:3], plain[:-2]) if plain[0] == "F" else plain
            )
            match = re.fullmatch(r"([SU])(\d+)(?:_(3)?([LB]E))?", name.decode())
            if match:
                sign, bits, three, order = match.groups()
                wanted, name = plain, f"{sign}{bits}{order or ''}{three or ''}".encode()
            else:
                wanted = f"{wanted}_{plain[-2:]}"
            assert name.decode() == wanted
        elif name is not None:
            assert formats.refusal(number)[0] == name.decode()
        else:
            assert formats.refusal(number)[0] == f"format {number}"


# ---- access, rates, channels, sizes ----


def test_access_in_the_order_of_preference() -> None:
    assert [side_of(access={n, 4}).access for n in ACCESS] == list(ACCESS.values())
    side, library = probed(Script(access={3}))
    assert side.access == "read/write interleaved"
    assert [value for what, value in library.opened[0].calls if what == "access"] == [0, 1, 2, 3]


def test_no_access() -> None:
    side = side_of(access=set())
    assert side.error is not None and "cannot be reached" in side.error and not side.probed


def test_discrete_rates_besides_the_range() -> None:
    side = side_of(can=Can(rates=(8000, 192000), only=(44100, 48000, 96000, 12345)))
    assert (side.rates, side.rate_range) == ((44100, 48000, 96000), Span(8000, 192000))
    assert side_of(can=Can(rates=(1, 4_000_000_000))).rates == RATES
    assert len(RATES) == 14


@pytest.mark.parametrize(
    ("rates", "only", "chosen", "told"),
    [
        ((1, 4_000_000_000), (), 48000, Span(4000, 768000)),
        ((8000, 44100), (), 44100, Span(8000, 44100)),
        ((88200, 192000), (), 88200, Span(88200, 192000)),
        ((48000, 48000), (), 48000, Span(48000, 48000)),
        ((50000, 60000), (), 50000, Span(50000, 60000)),  # none of the usual ones
        ((7000, 7500), (), 7500, Span(7000, 7500)),
    ],
)
def test_the_rate_that_would_be_chosen(rates: Any, only: Any, chosen: int, told: Span) -> None:
    side = side_of(can=Can(rates=rates, only=only))
    assert (side.rate, side.rate_range, side.error) == (chosen, told, None)


@pytest.mark.parametrize("rates", [(1, 3999), (768001, 4_000_000_000)])
def test_no_plausible_rate(rates: tuple[int, int]) -> None:
    side = side_of(can=Can(rates=rates))
    assert side.error == "it has no rate in 4000..768000 Hz" and side.rate_range is None


def test_the_latency_is_that_at_the_chosen_rate() -> None:
    """Not at the highest: 2..1000 ms of 48 kHz, whatever else the card can."""
    side = side_of(can=Can(rates=(8000, 192000)))
    assert (side.rate, side.round, side.bufsz) == (48000, Span(48, 4800), Span(96, 48000))


def test_the_chosen_format_and_channels_are_set_before_sizes_are_asked() -> None:
    _, library = probed(Script(formats={S16_LE, S32_LE}, can=Can(channels=(1, 4, 6), rates=(44100, 96000))))
    assert library.opened[0].calls[-3:] == [("format", S32_LE), ("channels", 1), ("rate", 48000)]


def test_a_card_that_cannot_combine_what_it_can() -> None:
    side = side_of(combines=False)
    assert side.error is None and side.bufsz == Span(96, 48000)


def test_sizes_without_end_are_cut() -> None:
    side = side_of(can=Can(buffer_ms=(1, 1 << 50)))
    assert side.bufsz == Span(48, FRAMES_MAX)


@pytest.mark.parametrize(
    ("there", "told"), [((1, 2), (1, 2)), ((2, 6, 8), (2, 6, 8)), ((60, 64, 70), (60, 64))]
)
def test_channels(there: tuple[int, ...], told: tuple[int, ...]) -> None:
    assert side_of(can=Can(channels=there)).channels == told


@pytest.mark.parametrize("there", [(65, 128), ()])
def test_no_number_of_channels(there: tuple[int, ...]) -> None:
    assert side_of(can=Can(channels=there)).error == "it has no number of channels in 1..64"


# ---- raw and converted ----


def test_the_hardware_is_asked_once_without_resampling() -> None:
    side, library = probed(Script(can=Can(only=(48000,))))
    assert [value for what, value in library.opened[0].calls if what == "any"] == [False]
    assert side.rates == (48000,)


def test_what_is_converted_is_asked_again_with_resampling() -> None:
    """Rates, channels and latency are what comes out of it; formats are the first pass's."""
    script = Script(
        formats={S16_LE},
        can=Can(channels=(2,), rates=(48000, 48000)),
        converted=Can(channels=(1, 2, 3), rates=(4000, 192000), buffer_ms=(10, 20)),
    )
    side, library = probed(script)
    assert [value for what, value in library.opened[0].calls if what == "any"] == [False, True]
    assert (side.channels, side.rate_range, side.bufsz) == ((1, 2, 3), Span(4000, 192000), Span(480, 960))
    assert side.formats == ("s16le",)
    again, _ = probed(script, raw=True)
    assert again.channels == (2,), "raw stays raw"


# ---- channel maps ----


def test_the_hardware_tells_its_maps_before_it_is_opened() -> None:
    library = FakeLibrary(
        {("x", "play"): Script(chmaps=[(2,)])}, hardware={(1, 3, "play"): [(3, 4), (3, 4, 8)]}
    )
    side = probe_side(library, "x", "play", raw=True, card=1, device=3)  # type: ignore[arg-type]
    assert side.chmaps == (("fl", "fr"), ("fl", "fr", "lfe")) and side.chmaps_known


def test_the_open_pcm_tells_them_otherwise() -> None:
    side = side_of(chmaps=[(4, 3), (4, 3), (), (0, 1)])
    assert side.chmaps == (("fr", "fl"), ("unknown", "na")) and side.chmaps_known


def test_the_usual_ones_where_a_card_says_nothing() -> None:
    side = side_of(can=Can(channels=(2, 6)))
    assert not side.chmaps_known and {len(layout) for layout in side.chmaps} == {2, 6}
    assert side.chmaps[0] == ("fl", "fr")


def test_positions_both_ways() -> None:
    names = [chmap.word(number) for number in range(2, 37)]
    assert len(set(names)) == 35 and [chmap.number(name) for name in names] == list(range(2, 37))
    lib = ctypes.CDLL(libasound.LIBRARY)
    lib.snd_pcm_chmap_name.restype = ctypes.c_char_p
    assert [lib.snd_pcm_chmap_name(n).decode().lower() for n in range(37)] == list(chmap.POSITIONS)
    assert chmap.word(3 | 1 << 16) == "fl", "its phase inverted"
    assert chmap.word(3 | 1 << 17) == chmap.word(37) == chmap.word(0xFFFF) == "unknown"
    assert chmap.number("somewhere") == 0
    for layout in chmap.USUAL:
        assert len(set(layout)) == len(layout) and set(layout) <= set(chmap.POSITIONS[2:])
    assert len(set(chmap.USUAL)) == chmap.CHMAPS_MAX


def test_many_maps() -> None:
    side = side_of(chmaps=[(0,) * 33, *((n,) for n in range(2, 37))])
    assert len(side.chmaps) == chmap.CHMAPS_MAX


# ---- failing ----


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EBUSY, "playback is busy"),
        (errno.EACCES, "group, audio"),
        (errno.ENOENT, "there is no such card or PCM for playback"),
        (errno.ENODEV, "there is no such card or PCM for playback"),
        (errno.EIO, "playback cannot be asked: Input/output error"),
    ],
)
def test_a_pcm_that_cannot_be_opened(number: int, words: str) -> None:
    side, _ = probed(Script(refuses=number))
    assert side.error is not None and words in side.error and not side.probed


def test_requests_and_their_answers() -> None:
    library = FakeLibrary(
        {("x", "play"): Script()}, there={3: ("A", "Card A", [libasound.PcmInfo(0, {"rec": "m"})])}
    )
    library.hinted = [libasound.Hint("x", None, "Input")]
    prober = Prober(lambda: library)  # type: ignore[arg-type,return-value]
    assert prober.answer({"ask": "hints"}) == {
        "result": [{"name": "x", "description": None, "direction": "Input"}]
    }
    assert prober.answer({"ask": "cards"}) == {"result": [3]}
    assert prober.answer({"ask": "card", "number": 3})["result"]["devices"] == [
        {"device": 0, "names": {"rec": "m"}}
    ]
    side = prober.answer({"ask": "side", "pcm": "x", "direction": "play"})["result"]
    assert side["formats"] == ("s16le",) and side["bufsz"] == {"min": 96, "max": 48000}


def test_a_machine_without_the_library() -> None:
    prober = Prober(lambda: libasound.Library("libnothing.so.0"))
    for _ in range(2):
        answer = prober.answer({"ask": "hints"})
        assert "no usable ALSA library" in answer["error"] and "libasound2" in answer["error"]
    assert "snd_strerror" in Prober(lambda: libasound.Library("libc.so.6")).answer({"ask": "cards"})["error"]


# ---- what clients are told ----


def test_a_page_of_the_wordiest_endpoints_fits_an_answer() -> None:
    """As many of everything as there can be, of the greatest length that it can have."""
    side = Side(
        error="e" * 300,
        formats=tuple(formats.ENCODINGS.values()),
        refused=tuple(formats.refusal(n) for n in range(formats.LAST + 1) if n not in formats.ENCODINGS),
        rates=RATES,
        rate_range=Span(4000, 768000),
        channels=tuple(range(1, 65)),
        chmaps=tuple(("unknown",) * chmap.POSITIONS_MAX for _ in range(chmap.CHMAPS_MAX)),
        access="read/write non-interleaved",
        rate=768000,
        round=Span(FRAMES_MAX, FRAMES_MAX),
        bufsz=Span(FRAMES_MAX, FRAMES_MAX),
    )
    one = Endpoint("p" * 200, "n" * 120, "c" * 200, 9, description="", play=side, rec=side, spec="s" * 600)
    cards = [
        Card(n, "i" * 16, "n" * 120, "c" * 200, "usb", "p" * 100, "u" * 9, "s" * 64, "d" * 32)
        for n in range(32)
    ]
    answer = {"cards": [card_row(c) for c in cards], "endpoints": [endpoint_row(one)] * PAGE}
    assert len(msgpack.packb(answer)) < ANSWER_MAX * 9 // 10


def test_rows() -> None:
    side = side_of(formats={S16_LE, DSD_U32_BE})
    row: Any = endpoint_row(Endpoint("hw:0", "A", raw=True, play=side))
    assert (row["card"], row["device"], row["rec"], row["mode"], row["error"]) == (
        None,
        None,
        None,
        "play",
        None,
    )
    assert row["play"]["encodings"] == ["s16le"] and row["play"]["bufsz"] == [96, 48000]
    assert row["play"]["refused"] == [{"format": "DSD_U32_BE", "reason": formats.refusal(DSD_U32_BE)[1]}]
    bad: Any = endpoint_row(Endpoint("hw:0", "A", play=Side(error="no"), rec=Side()))
    assert (bad["play"]["error"], bad["play"]["rate"], bad["play"]["access"], bad["error"]) == (
        "no",
        None,
        None,
        None,
    )
