"""What the conformance test judges by tells good from bad: sounds cut or held up, traces that differ."""

from __future__ import annotations

import numpy as np
import pytest
from sndio import sounds, traces
from sndio.traces import Difference

SOUND = sounds.played(7, 2000, 16, "2")
SILENCE = np.zeros((480, 2), np.int64)


def sink(*parts: sounds.Frames) -> sounds.Frames:
    return np.concatenate([SILENCE, *parts, SILENCE])


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        ([SOUND], "whole"),
        ([SOUND[:700]], "prefix"),
        ([SOUND[:700], SILENCE, SOUND[700:]], "paused"),
        ([SOUND[:480], SILENCE, SOUND[960:]], "skipped"),
        ([SOUND[1:]], "none"),
        ([], "none"),
        ([SOUND[:700], SOUND[701:]], "pieces:0+700@0,701+1299@700"),
        ([SOUND[:700], SILENCE, SOUND[701:]], "pieces:0+700@0,701+1299@1180"),
        ([SOUND[:480], SILENCE, SOUND[960:1500]], "pieces:0+480@0,960+540@960"),
    ],
)
def test_what_became_of_a_sound(parts: list[sounds.Frames], verdict: str) -> None:
    assert sounds.verdict(sink(*parts), SOUND) == verdict


def test_one_sample_that_is_one_off_is_seen() -> None:
    off = SOUND.copy()
    off[1000, 1] += 1
    assert sounds.verdict(sink(off), SOUND) == "prefix"
    assert sounds.verdict(sink(off), SOUND, tolerance=1) == "whole"


def test_channels_of_a_sound_are_joined_as_the_manual_says() -> None:
    four = sounds.samples(3, 4, 14)
    assert np.array_equal(sounds.played(3, 1, 14, "4")[0], [(four[0] + four[2]) / 2, (four[1] + four[3]) / 2])
    assert np.array_equal(sounds.played(3, 1, 14, "3")[0], four[:2])
    assert np.array_equal(sounds.played(3, 1, 14, "1")[0], four[[0, 0]])
    assert np.array_equal(sounds.played(3, 1, 14, "left")[0], [(four[0] + four[1]) / 2, 0])


def test_lines_are_read_as_they_are_written() -> None:
    assert traces.parse("readiness/not full n=1 events=0x1") == (
        "readiness/not full",
        {"n": "1", "events": "0x1"},
    )
    assert traces.parse("rates/rate=8000 rate=8000") == ("rates/rate=8000", {"rate": "8000"})
    assert traces.parse("stop/full @sound seed=1")[1] == {"@sound": "", "seed": "1"}


ROWS = [
    Difference("any", "a/*", "n", "*", "+1", "one more"),
    Difference("HEAD", "b/x", "v", "yes", "no", "of the newest"),
]


@pytest.mark.parametrize(
    ("library", "theirs", "ours", "wrong", "met"),
    [
        ("1.9", ["a/k n=1 m=2"], ["a/k n=1 m=2"], 0, 0),
        ("1.9", ["a/k n=1 m=2"], ["a/k n=2 m=2"], 0, 1),
        ("1.9", ["a/k n=1 m=2"], ["a/k n=3 m=2"], 1, 0),
        ("1.9", ["a/k n=1 m=2"], ["a/k n=2 m=3"], 1, 1),
        ("HEAD", ["b/x v=yes"], ["b/x v=no"], 0, 1),
        ("1.9", ["b/x v=yes"], ["b/x v=no"], 1, 0),
        ("1.9", ["c/x v=1", "c/x v=2"], ["c/x v=1"], 1, 0),
        ("1.9", ["c/x v=1"], ["c/x v=1", "c/y v=1"], 1, 0),
        ("1.9", ["c/x v=1", "c/x v=2"], ["c/x v=2", "c/x v=1"], 2, 0),
    ],
)
def test_differences_are_found(
    library: str, theirs: list[str], ours: list[str], wrong: int, met: int
) -> None:
    found, rows = traces.compare(library, theirs, ours, ROWS)
    assert (len(found), len(rows)) == (wrong, met)


def test_the_table_is_read_whole() -> None:
    rows = traces.table()
    assert len(rows) > 20
    assert all(row.library in ("any", "1.9", "HEAD") and row.why for row in rows)
