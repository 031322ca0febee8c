"""The table of channel status, each cell of it, and the specification's picture of it."""

from __future__ import annotations

import re

import pytest
from audiod_protocol import Code, Ducking, FaultError, Place, StartMode, Status
from audiod_protocol.channel import (
    CLIENTS,
    IGNORED,
    NUMBERS,
    REFUSALS,
    STOPPED,
    TRANSITIONS,
    Deed,
    advance,
    render_statuses,
    render_table,
)

SUSPENDED = {Place.SOFT, Place.HARD}


@pytest.mark.parametrize("place", list(Place))
@pytest.mark.parametrize("deed", list(Deed))
def test_every_pair_is_decided(place: Place, deed: Deed) -> None:
    if (place, deed) in TRANSITIONS:
        assert advance(place, deed) is TRANSITIONS[place, deed]
        assert (place, deed) not in REFUSALS
    elif deed not in CLIENTS:
        with pytest.raises(ValueError, match="cannot"):
            advance(place, deed)
    else:
        with pytest.raises(FaultError) as caught:
            advance(place, deed, 12)
        fault = caught.value.fault
        assert fault.code == (REFUSALS[place, deed] or Code.EPROTO)
        assert fault.message == f"{deed}: stream 12 is {place}" and fault.hint


@pytest.mark.parametrize(
    ("deeds", "places"),
    [
        ("setpar prepare join starve prepare", "ready prepared running underrun prepared"),
        ("setpar prepare join choke discard", "ready prepared running overrun ready"),
        ("setpar prepare go pause hold resume", "ready prepared running running paused running"),
        ("setpar prepare go pause hold prepare", "ready prepared running running paused prepared"),
        ("setpar prepare go pause hold setpar", "ready prepared running running paused ready"),
        ("setpar prepare play_out join done", "ready prepared running,draining running,draining ready"),
        ("setpar prepare alter setpar prepare", "ready prepared change ready prepared"),
        ("setpar prepare join fail prepare", "ready prepared running error prepared"),
        ("setpar prepare join expose prepare", "ready prepared running unsecure prepared"),
        ("setpar prepare join discard done", "ready prepared running running,draining ready"),
    ],
)
def test_lives(deeds: str, places: str) -> None:
    place, seen = Place.NOTREADY, []
    for deed in deeds.split():
        place = advance(place, Deed(deed))
        seen.append(place.replace(" ", ""))
    assert seen == places.split()


def test_suspensions() -> None:
    for was in (Place.RUNNING, Place.PAUSED):
        assert advance(was, Deed.SUSPEND_HARD) is Place.HARD
        assert advance(was, Deed.SUSPEND_SOFT) is Place.SOFT
    for deed in (Deed.RESUME, Deed.GO):
        assert advance(Place.SOFT, deed) is Place.RUNNING
        assert advance(Place.HARD, deed) is Place.HARD
    for place in SUSPENDED:
        assert advance(place, Deed.PAUSE) is place
        assert advance(place, Deed.LIFT) is Place.RUNNING
        assert advance(place, Deed.LIFT_PAUSED) is Place.PAUSED
        assert advance(place, Deed.DISCARD) is Place.DRAINING
        assert REFUSALS[place, Deed.PLAY_OUT] is Code.EAGAIN


def test_codes_of_refusals() -> None:
    odd = {
        (deed, code)
        for (place, deed), code in REFUSALS.items()
        if code is not Code.EBADFD and deed is not Deed.WRITE
    }
    assert odd == {
        (Deed.SETPAR, Code.EBUSY),
        (Deed.LINK, Code.EBUSY),
        (Deed.PLAY_OUT, Code.EAGAIN),
        (Deed.FORCE, Code.EINVAL),
    }
    assert REFUSALS[Place.NOTREADY, Deed.FORCE] is Code.EINVAL
    assert {place for place, deed in REFUSALS if deed is Deed.WRITE} == {
        Place.NOTREADY,
        Place.READY,
        Place.DRAINING,
    }


def test_whatever_the_server_has_stopped_ignores_writes_and_can_be_begun_again() -> None:
    assert {place for place, _ in IGNORED} == STOPPED
    for place in STOPPED:
        again = advance(place, Deed.SETPAR) if place is Place.CHANGE else place
        assert advance(again, Deed.PREPARE) is Place.PREPARED


def test_every_place_can_be_reached_and_left() -> None:
    for place in Place:
        if place is not Place.NOTREADY:
            assert any(new is place and old is not place for (old, _), new in TRANSITIONS.items())
        assert any(old is place and new is not place for (old, _), new in TRANSITIONS.items())


def test_numbers_and_bits() -> None:
    assert set(NUMBERS) == set(Status) and len(set(NUMBERS.values())) == len(Status)
    assert [status.number for status in list(Status)[:6]] == [0, 1, 2, 3, 4, 5]
    assert (Status.PAUSED.number, Status.ERROR.number, Status.CHANGE.number) == (10, 10000, 10001)
    assert {place.status for place in Place} == set(Status)
    assert [mode.number for mode in (StartMode.FULL, StartMode.DATA, StartMode.GO)] == [0, 1, 2]
    assert [int(bit) for bit in Ducking] == [1, 2, 4, 8, 16, 32, 64]


def test_readme_shows_the_table(readme: str) -> None:
    for name, text in (("channel table", render_table()), ("statuses", render_statuses())):
        found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", readme, re.DOTALL)
        assert found and found[1] == text, name
