"""fallback.py, table by table: which devices are tried in which order, and what is said of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiod.fallback import (
    Candidate,
    OnLoss,
    OnNew,
    Presence,
    Rule,
    Standing,
    attempts,
    expected,
    reason,
)

PLAYS, IDLE, LOST = Standing.PLAYS, Standing.IDLE, Standing.LOST
LETTERS = {"+": Presence.THERE, "-": Presence.ABSENT, "!": Presence.FAILED, "b": Presence.BUSY}


def of(text: str) -> list[Candidate]:
    """Devices in the order of preference: `2+ 1- 0!` or, with when they appeared, `2+5`."""
    return [Candidate(int(w[0]), LETTERS[w[1]], int(w[2:] or 0)) for w in text.split()]


RETURN = Rule()
STAY = Rule(on_new=OnNew.STAY)
FOLLOW = Rule(on_new=OnNew.FOLLOW)
WAIT = Rule(on_loss=OnLoss.WAIT)


@pytest.mark.parametrize(
    ("known", "current", "standing", "rule", "tried"),
    [
        # the device is lost: the next best, those that failed before behind all others
        ("2- 1+ 0+", 2, LOST, RETURN, [1, 0]),
        ("2- 1- 0+", 2, LOST, RETURN, [0]),
        ("2- 1- 0-", 2, LOST, RETURN, []),
        ("2- 1! 0+", 2, LOST, RETURN, [0, 1]),
        ("2- 1b 0!", 2, LOST, RETURN, [1, 0]),
        ("2+ 1- 0+", 1, LOST, RETURN, [2, 0]),
        ("2- 1+ 0+", 2, LOST, STAY, [1, 0]),
        # it is back, and its streams are still there in silence
        ("2+ 1- 0-", 2, LOST, RETURN, [2]),
        ("2+ 1+ 0+", 2, LOST, STAY, [2, 1, 0]),
        # the one that came last, then as before
        ("2- 1+ 0+", 2, LOST, FOLLOW, [1, 0]),
        ("2-9 1+ 0+3", 2, LOST, FOLLOW, [0, 1]),
        # they wait for theirs
        ("2- 1+ 0+", 2, LOST, WAIT, []),
        ("2! 1+ 0+", 2, LOST, WAIT, [2]),
        ("2+ 1+ 0+", 2, LOST, WAIT, [2]),
        # they play, and another appears
        ("2+4 1+ 0+", 1, PLAYS, RETURN, [2]),
        ("2+4 1+4 0+", 0, PLAYS, RETURN, [2, 1]),
        ("2! 1+ 0+", 0, PLAYS, RETURN, [1]),
        ("2b 1- 0+", 0, PLAYS, RETURN, []),
        ("2+ 1+4 0+", 2, PLAYS, RETURN, []),
        ("2+4 1+ 0+", 1, PLAYS, STAY, []),
        ("2+ 1+4 0+", 2, PLAYS, FOLLOW, [1]),
        ("2+ 1+4 0+5", 2, PLAYS, FOLLOW, [0, 1]),
        ("2+ 1-4 0+5", 0, PLAYS, FOLLOW, []),
        ("2+ 1+ 0+", 1, PLAYS, FOLLOW, [2]),
        ("2+4 1+ 0+", 1, PLAYS, WAIT, [2]),
        # it plays on one that is none of them any more
        ("1+ 0+", 7, PLAYS, RETURN, [1, 0]),
        # nobody plays
        ("2+ 1+ 0+", 0, IDLE, RETURN, [2, 1, 0]),
        ("2! 1+ 0-", 2, IDLE, STAY, [1, 2]),
        ("2- 1+", 2, IDLE, WAIT, [1]),
        ("0+", 0, IDLE, RETURN, [0]),
        ("", 0, IDLE, RETURN, []),
    ],
)
def test_attempts(known: str, current: int, standing: Standing, rule: Rule, tried: list[int]) -> None:
    assert attempts(of(known), current, standing, rule) == tried


CANDIDATES = st.lists(
    st.builds(Candidate, st.integers(0, 5), st.sampled_from(Presence), st.integers(0, 3)),
    unique_by=lambda one: one.number,
)
RULES = st.builds(Rule, st.sampled_from(OnLoss), st.sampled_from(OnNew))


@given(CANDIDATES, st.integers(0, 5), st.sampled_from(Standing), RULES)
def test_what_is_tried(known: list[Candidate], current: int, standing: Standing, rule: Rule) -> None:
    found = attempts(known, current, standing, rule)
    by_number = {one.number: one for one in known}
    assert len(set(found)) == len(found)
    assert all(by_number[number].presence is not Presence.ABSENT for number in found)
    if standing is PLAYS:
        assert current not in found, "what plays is not opened anew"
        assert all(by_number[number].presence is Presence.THERE for number in found)
    elif standing is LOST and rule.on_loss is OnLoss.WAIT:
        assert found in ([], [current])
    else:
        assert set(found) == {one.number for one in known if one.presence is not Presence.ABSENT}
    assert expected(known, current, rule) in {current, *by_number}


@pytest.mark.parametrize(
    ("known", "current", "rule", "number"),
    [
        ("2+ 1+ 0+", 0, RETURN, 2),
        ("2- 1+ 0+", 2, RETURN, 1),
        ("2! 1! 0+", 2, RETURN, 0),
        ("2- 1- 0-", 1, RETURN, 1),
        ("2- 1+ 0+", 2, WAIT, 1),
        ("2+ 1+ 0+2", 2, FOLLOW, 0),
    ],
)
def test_where_the_next_stream_will_be(known: str, current: int, rule: Rule, number: int) -> None:
    assert expected(of(known), current, rule) == number


@pytest.mark.parametrize(
    ("known", "current", "rule", "chosen", "words"),
    [
        ("2+ 1+", 2, RETURN, None, ""),
        ("2+ 1+", 1, RETURN, 1, "chosen"),
        ("2- 1+", 1, RETURN, None, "device 2 is not there"),
        ("2! 1+", 1, RETURN, None, "device 2 has failed"),
        ("2b 1+", 1, RETURN, None, "device 2 is busy"),
        ("2+ 1+3", 1, FOLLOW, None, "it came last"),
        ("2+ 1+", 1, STAY, None, "device 2 was not there when it was needed"),
        ("", 1, RETURN, None, ""),
    ],
)
def test_reason(known: str, current: int, rule: Rule, chosen: int | None, words: str) -> None:
    assert reason(of(known), current, rule, chosen) == words
