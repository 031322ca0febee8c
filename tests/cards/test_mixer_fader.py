"""Which element of a card is its volume, and what 0..127 are on it."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from audiod_protocol.limits import VOL_MAX
from hypothesis import given
from hypothesis import strategies as st

from audiod import policy
from audiod.cards.fader import MUTED_DB, SAME_DB, Element, Fader, choose, scale
from audiod.cards.inventory import Span

HALF_STEP = 20 * math.log10(policy.gain(127) / policy.gain(126)) / 2


def play(name: str, index: int = 0) -> Element:
    return Element(name, index, play_volume=True, play_switch=True)


def rec(name: str) -> Element:
    return Element(name, rec_volume=True)


# ---- the choice ----


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["Headphone", "Master", "PCM"], "Master"),  # HDA
        (["Mic", "Headset"], "Headset"),  # a USB headset, whose Mic is heard in its ears
        (["PCM", "Speaker"], "PCM"),
        (["Audio Output Volume Control"], "Audio Output Volume Control"),  # nobody else's name
        (["Beep", "Line Boost", "Sink"], "Sink"),
        (["Left", "Right"], None),  # which of them?
        (["Mic", "Line", "CD", "Beep"], None),  # all are heard beside it
        (["PCM ", "pcm"], None),
        ([], None),
    ],
)
def test_which_element_is_the_volume(names: list[str], chosen: str | None) -> None:
    found = choose([rec("Capture"), *map(play, names)], "play")
    assert (found.name if found else None) == chosen


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["Mic", "Capture", "Line"], "Capture"),
        (["Front Mic Boost", "Internal Mic Boost"], None),
        (["Mic"], "Mic"),
        (["Funnel"], "Funnel"),
    ],
)
def test_which_element_is_the_gain_of_what_is_recorded(names: list[str], chosen: str | None) -> None:
    found = choose([play("Master"), *map(rec, names)], "rec")
    assert (found.name if found else None) == chosen


def test_a_further_pcm_has_the_elements_of_its_number() -> None:
    elements = [play("Master"), play("PCM"), play("PCM", 3)]
    assert choose(elements, "play", 3) == play("PCM", 3)
    assert choose(elements, "play", 7) is None


def test_an_element_without_a_volume_is_none() -> None:
    assert choose([Element("Master", play_switch=True), play("PCM")], "play") == play("PCM")


# ---- the scale ----


def heard(level: int, span: Span, db: Callable[[int], int]) -> float:
    """The gain of card and software together, in dB below the most."""
    step = scale(span, db, amplify=True).steps()[level]  # type: ignore[union-attr]
    return (db(step.raw) - db(span.max)) / 100 + 20 * math.log10(step.gain)


@given(
    least=st.integers(-100, 0),
    size=st.integers(1, 300),
    unit=st.integers(1, 600),
    top=st.integers(-3000, 3000),
    level=st.integers(1, VOL_MAX),
)
def test_card_and_software_together_follow_the_table(
    least: int, size: int, unit: int, top: int, level: int
) -> None:
    span = Span(least, least + size)

    def db(raw: int) -> int:
        return top + (raw - span.max) * unit

    wanted = 20 * math.log10(policy.gain(level))
    assert heard(level, span, db) == pytest.approx(wanted, abs=SAME_DB / 100 + 0.001)
    step = scale(span, db, amplify=True).steps()[level]  # type: ignore[union-attr]
    assert 0 < step.gain <= 1, "software never makes it louder"
    reached = (db(step.raw) - top) / 100
    assert reached >= wanted - SAME_DB / 100 - 0.001, "nor has it to"
    below = (db(step.raw - 1) - top) / 100 if step.raw > span.min else -math.inf
    assert below < wanted, "the card does as much of it as it can"


def test_the_ends() -> None:
    steps = scale(Span(0, 87), lambda raw: (raw - 87) * 75).steps()  # type: ignore[union-attr]
    assert (steps[127].raw, steps[127].gain) == (87, 1.0)
    assert (steps[0].raw, steps[0].gain) == (0, 0.0)
    assert len(steps) == 128 and list(steps) == sorted(steps, key=lambda step: step.raw)


def test_a_fine_card_does_all_of_it() -> None:
    steps = scale(Span(0, 25600), lambda raw: raw - 25600).steps()  # type: ignore[union-attr]
    assert all(step.gain == 1.0 for step in steps[1:])


def test_a_card_without_decibels_goes_evenly() -> None:
    known = scale(Span(-50, 100), lambda raw: None)
    assert known is not None
    steps = known.steps()
    assert [steps[level].raw for level in (0, 1, 64, 127)] == [-50, -49, 26, 100]
    assert steps[0].gain == 0.0 and {step.gain for step in steps[1:]} == {1.0}
    assert [known.level(raw) for raw in (-50, -49, 26, 100)] == [0, 1, 64, 127]


@pytest.mark.parametrize(
    "db",
    [
        lambda raw: 0,  # all the same
        lambda raw: -raw,  # upside down
        lambda raw: 5 if raw == 50 else raw - 100,  # there and back
        lambda raw: None if raw == 100 else raw,
    ],
)
def test_decibels_that_make_no_sense_are_none(db: Callable[[int], int | None]) -> None:
    known = scale(Span(0, 100), db)
    assert known is not None and known.db is None


def test_what_cannot_be_turned_is_no_volume() -> None:
    assert scale(Span(1, 1), lambda raw: raw) is None


def test_reading_what_was_set_gives_the_level_back() -> None:
    """Where the card's steps are not coarser than ours; else one that is as near."""
    known = scale(Span(0, 255), lambda raw: (raw - 255) * 25)
    assert known is not None
    assert [known.level(step.raw) for step in known.steps()][1:] == list(range(1, 128))


def test_what_a_card_adds_to_full_scale_is_not_used_but_for_a_microphone() -> None:
    """As QEMU's USB card: -128 to +8 dB."""
    span, least = Span(0, 256), -12800

    def db(raw: int) -> int:
        return min(800, least + raw * 5311 // 100)

    known, loud = scale(span, db), scale(span, db, amplify=True)
    assert known is not None and loud is not None
    assert -60 < db(known.steps()[127].raw) <= 0 and known.steps()[127].gain == 1.0
    assert known.level(256) == 127, "somebody has it louder"
    assert loud.steps()[127].raw == 256 and loud.level(known.steps()[127].raw) == 103


def test_silence_alone_is_0() -> None:
    known = scale(Span(0, 100), lambda raw: MUTED_DB if raw == 0 else (raw - 100) * 100)
    assert known is not None
    assert known.level(0) == 0 and known.level(1) == 1, "99 dB below, but heard"
    quiet = scale(Span(0, 10), lambda raw: (raw - 10) * 300)
    assert quiet is not None and quiet.level(0) == 37
    assert known.steps()[1].raw > 0


def test_of_what_somebody_has_set_there_is_no_rest() -> None:
    steps = scale(Span(0, 10), lambda raw: (raw - 10) * 300).steps()  # type: ignore[union-attr]
    fader = Fader("Master", steps, switch=True)
    assert fader.gain(120, False) == pytest.approx(10 ** (-7 * HALF_STEP * 2 / 20), rel=1e-3)
    fader.found = 120
    assert fader.gain(120, False) == 1.0 and fader.gain(119, False) < 1.0
    assert fader.gain(120, True) == 1.0, "its switch does it"
    assert Fader("PCM", steps).gain(120, True) == 0.0
