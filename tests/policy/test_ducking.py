"""Ducking decided on plain data: golden cases of cumulative levels, preemption, resume, links, forcing.

The last test compares with `duckingmodel`, which reads the same rules another way.
"""

from __future__ import annotations

import pytest
from duckingmodel import expected
from hypothesis import given, settings
from hypothesis import strategies as st

from audiod.audiotype import FULL, AudioType, Percents, Policy, Preempt, Same
from audiod.ducking import NOT_MUTED, NOT_SUSPENDED, UNTOUCHED, Member, Mute, Suspend, decide

SUSPEND = Preempt.SUSPEND


def kind(
    name: str,
    level: int,
    same: Same = Same.LAST_WINS,
    *,
    lower: Percents = FULL,
    mate: Percents = FULL,
    preempt: Preempt = Preempt.NO,
    transient: bool = False,
) -> AudioType:
    return AudioType(name, level, same, mate, lower, preempt, preempt, transient)


def playing(*types: str) -> list[Member]:
    """Streams 1, 2, ... of these types, started in this order."""
    return [Member(i, name, since=i) for i, name in enumerate(types, 1)]


VOICE = Policy(
    (
        kind("voice", 0, lower=(50,)),
        kind("ringtone", 1, lower=(20,)),
        kind("multimedia", 2),
    )
)

MIXED: dict[str, Percents] = {"m1": (10, 50, 100), "m2": (0, 100), "m3": FULL}
MIX = Policy(
    (*(kind(name, 0, Same.MIX, mate=left, lower=left) for name, left in MIXED.items()), kind("low", 1))
)


def gains(policy: Policy, members: list[Member]) -> list[tuple[float, ...]]:
    return [target.gains for target in decide(policy, members).values()]


# ---- cumulative levels ---------------------------------------------------------------


def test_golden_voice_ringtone_multimedia() -> None:
    told = decide(VOICE, playing("multimedia", "ringtone", "voice"))
    assert told[3] == UNTOUCHED
    assert told[2].gains == (0.5,)
    assert told[1].gains == (0.1,)
    assert told[1].ducked_by == (3, 2)
    assert told[1].why == "voice (stream 3) leaves 50%; ringtone (stream 2) leaves 20%"


def test_golden_mix() -> None:
    told = decide(MIX, playing("m1", "m2", "m3", "low"))
    assert told[1].gains == (0.0, 1.0)
    assert told[2].gains == (0.1, 0.5, 1.0)
    assert told[3].gains == told[4].gains == (0.0, 0.5, 1.0)


def test_several_streams_of_a_type_count_once() -> None:
    assert gains(VOICE, playing("voice", "voice", "multimedia"))[-1] == (0.5,)


def test_the_order_of_starting_does_not_matter_between_priorities() -> None:
    one = decide(VOICE, playing("voice", "multimedia"))
    other = decide(VOICE, playing("multimedia", "voice"))
    assert (one[1], one[2].gains) == (other[2], other[1].gains)


def test_a_type_is_found_in_any_case_and_one_without_is_the_default() -> None:
    assert gains(VOICE, playing("VOICE", "Multimedia"))[-1] == (0.5,)
    lone = [Member(1, "voice"), Member(2, None), Member(3, "not there")]
    assert [t.gains for t in decide(VOICE, lone).values()] == [(), (0.5,), (0.5,)]
    named = Policy((kind("default", 0), kind("low", 1)))
    assert named.of(None).name == "default"


def test_channels_that_are_not_named_stay() -> None:
    policy = Policy((kind("talk", 0, lower=(50, 100)), kind("music", 1)))
    assert gains(policy, playing("talk", "music"))[-1] == (0.5, 1.0)


@pytest.mark.parametrize(("same", "winner"), [(Same.LAST_WINS, 3), (Same.FIRST_WINS, 1)])
def test_one_wins(same: Same, winner: int) -> None:
    policy = Policy((kind("a", 0, same, mate=(30,)), kind("b", 0, same, mate=(60,))))
    members = playing("a", "b", "a")
    told = decide(policy, members)
    for ident, target in told.items():
        assert target.gains == (() if ident == winner else (0.3,))
        assert target.ducked_by == (() if ident == winner else (winner,))


def test_who_wins_when_the_winner_stops() -> None:
    policy = Policy((kind("a", 0, mate=(30,)), kind("b", 0, mate=(60,))))
    assert gains(policy, playing("a", "b", "a")[:2]) == [(0.6,), ()]


# ---- preemption ------------------------------------------------------------------------

CALLS = Policy(
    (
        kind("call", 0, lower=(0,)),
        kind("nav", 1, mate=(0,), preempt=SUSPEND),
        kind("alert", 1, mate=(0,), preempt=SUSPEND),
        kind("music", 2, preempt=SUSPEND),
        kind("beep", 2),
    )
)


def test_a_higher_priority_suspends_hard_and_one_that_cannot_be_preempted_is_mute() -> None:
    told = decide(CALLS, playing("music", "beep", "call"))
    assert told[1].suspend == Suspend.HARD and told[1].gains == (0.0,) and told[1].muted_by == NOT_MUTED
    assert told[2].suspend == NOT_SUSPENDED and told[2].gains == (0.0,) and told[2].muted_by == Mute.HIGHER
    assert told[1].why.endswith("suspended by a higher priority")


def test_the_same_priority_suspends_softly_and_both_do_both() -> None:
    told = decide(CALLS, playing("nav", "alert"))
    assert told[1].suspend == Suspend.SOFT and told[2] == UNTOUCHED
    both = decide(CALLS, [*playing("nav", "alert"), Member(3, "call", since=3)])
    # alert does not run either, so that it is the call alone that keeps nav
    assert both[1].suspend == both[2].suspend == Suspend.HARD


def test_hard_and_soft_together() -> None:
    mate = AudioType("mate", 1, Same.LAST_WINS, (0,))
    policy = Policy((kind("call", 0, lower=(0,)), mate, kind("nav", 1, preempt=SUSPEND)))
    told = decide(policy, playing("nav", "mate", "call"))
    assert told[1].suspend == Suspend.HARD | Suspend.SOFT
    assert told[2].muted_by == Mute.HIGHER


def test_a_suspended_stream_does_not_act_on_lower_ones() -> None:
    policy = Policy(
        (
            kind("call", 0, lower=(0, 100)),
            kind("nav", 1, lower=(30,), preempt=SUSPEND),
            kind("music", 2),
        )
    )
    mono = [Member(1, "call", since=1), Member(2, "nav", since=2, channels=1), Member(3, "music", since=3)]
    told = decide(policy, mono)
    assert told[2].suspend == Suspend.HARD  # nothing is left of its only channel
    assert told[3].gains == (0.0, 1.0)


def test_all_channels_must_be_silent() -> None:
    policy = Policy((kind("call", 0, lower=(0, 100)), kind("music", 1, preempt=SUSPEND)))
    told = decide(policy, playing("call", "music"))
    assert told[2].suspend == NOT_SUSPENDED and told[2].gains == (0.0, 1.0)


def test_silent_by_both_together() -> None:
    policy = Policy(
        (
            kind("call", 0, lower=(0, 100)),
            kind("nav", 1, mate=(100, 0, 100)),
            kind("alert", 1, preempt=SUSPEND),
        )
    )
    told = decide(policy, playing("alert", "nav", "call"))
    assert told[1].suspend == Suspend.HARD | Suspend.SOFT


def test_pause_instead_of_suspend() -> None:
    music = AudioType("music", 1, Same.LAST_WINS, FULL, FULL, Preempt.PAUSE)
    told = decide(Policy((kind("call", 0, lower=(0,)), music)), playing("music", "call"))
    assert told[1].suspend == Suspend.HARD | Suspend.AUTOPAUSE


def test_a_paused_stream_acts_on_nobody_but_is_suspended() -> None:
    nav, alert = playing("nav", "alert")
    told = decide(CALLS, [nav, Member(2, "alert", since=2, paused=True)])
    assert told[1] == UNTOUCHED
    assert told[2].suspend == Suspend.SOFT
    assert decide(CALLS, [nav, alert])[1].suspend == Suspend.SOFT


def test_resume_of_a_soft_suspension_preempts_the_others() -> None:
    told = decide(CALLS, [Member(1, "nav", since=1, resumed=3), Member(2, "alert", since=2)])
    assert told[1] == UNTOUCHED and told[2].suspend == Suspend.SOFT


def test_resume_where_the_first_wins() -> None:
    policy = Policy((kind("a", 0, Same.FIRST_WINS, mate=(0,), preempt=SUSPEND),))
    assert [t.suspend for t in decide(policy, playing("a", "a")).values()] == [NOT_SUSPENDED, Suspend.SOFT]
    told = decide(policy, [Member(1, "a", since=1), Member(2, "a", since=2, resumed=3)])
    assert [t.suspend for t in told.values()] == [Suspend.SOFT, NOT_SUSPENDED]


def test_resume_in_a_mix() -> None:
    policy = Policy(
        (kind("loud", 0, Same.MIX, mate=(0,), preempt=SUSPEND), kind("soft", 0, Same.MIX, preempt=SUSPEND))
    )
    assert decide(policy, playing("loud", "soft"))[2].suspend == Suspend.SOFT
    told = decide(policy, [Member(1, "loud", since=1), Member(2, "soft", since=2, resumed=3)])
    assert told[2] == UNTOUCHED
    assert told[1].suspend == Suspend.SOFT and told[1].why.startswith("others of its priority go on")


def test_what_starts_after_a_resume_in_a_mix_does_not_give_way() -> None:
    policy = Policy(
        (kind("loud", 0, Same.MIX, mate=(0,), preempt=SUSPEND), kind("soft", 0, Same.MIX, preempt=SUSPEND))
    )
    soft = Member(2, "soft", since=2, resumed=3)
    told = decide(policy, [soft, Member(3, "loud", since=4)])
    assert told[2].suspend == Suspend.SOFT and told[3] == UNTOUCHED


def test_of_types_that_silence_each_other_in_a_mix_the_newest_goes_on() -> None:
    policy = Policy(tuple(kind(n, 0, Same.MIX, mate=(0,), preempt=SUSPEND) for n in ("a", "b", "c")))
    told = decide(policy, playing("a", "b", "c", "a"))
    assert [t.suspend for t in told.values()] == [NOT_SUSPENDED, Suspend.SOFT, Suspend.SOFT, NOT_SUSPENDED]


def test_a_transient_type_makes_nobody_wait() -> None:
    policy = Policy(
        (
            kind("click", 0, lower=(0,), mate=(0,), transient=True),
            kind("nav", 0, mate=(0,), preempt=SUSPEND),
            kind("music", 1, preempt=SUSPEND),
        )
    )
    told = decide(policy, playing("music", "click"))
    assert told[1].muted_by == Mute.HIGHER and told[1].suspend == NOT_SUSPENDED
    # and who waits for another goes on waiting while one clicks
    told = decide(policy, playing("nav", "nav", "click"))
    assert told[1].suspend == Suspend.SOFT
    assert told[2].muted_by == Mute.SAME and told[2].suspend == NOT_SUSPENDED


# ---- links, forcing, streams that do not play ---------------------------------------------


def test_streams_of_one_link_group_are_one() -> None:
    members = [
        Member(1, "voice", since=1, link="g"),
        Member(2, "multimedia", since=2, link="g"),
        Member(3, "multimedia", since=3),
    ]
    assert gains(VOICE, members) == [(), (), (0.5,)]
    policy = Policy((kind("a", 0, mate=(30,)),))
    members = [Member(1, "a", since=1, link="g"), Member(2, "a", since=2, link="g"), Member(3, "a", since=0)]
    assert gains(policy, members) == [(0.3,), (), ()]


def test_forced_ducking_acts_without_playing() -> None:
    music = Member(1, "multimedia", since=1)
    phone = Member(2, "voice", active=False, since=2, forced=True)
    assert decide(VOICE, [music, phone])[1].gains == (0.5,)
    assert decide(VOICE, [music, Member(2, "voice", active=False)])[1] == UNTOUCHED
    told = decide(CALLS, [Member(1, "music", since=1), Member(2, "call", active=False, since=2, forced=True)])
    assert told[1].suspend == Suspend.HARD


def test_what_a_stream_would_start_with() -> None:
    told = decide(CALLS, [Member(1, "call", since=1), Member(2, "music", active=False)])
    assert told[2].gains == (0.0,) and told[2].suspend == Suspend.HARD and told[2].ducked_by == (1,)
    policy = Policy((kind("a", 0, mate=(30,)),))
    assert decide(policy, [Member(1, "a", since=1), Member(2, "a", active=False)])[2] == UNTOUCHED


# ---- anything else: compared with the model ------------------------------------------------

PERCENTS = st.sampled_from([FULL, (0,), (50,), (20,), (0, 100), (100, 0, 100), (10, 50, 100), (0, 0, 100)])


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    types: list[AudioType] = []
    for level in range(draw(st.integers(1, 4))):
        same = draw(st.sampled_from(list(Same)))
        for _ in range(draw(st.integers(1, 3))):
            types.append(
                AudioType(
                    f"t{len(types)}",
                    level,
                    same,
                    draw(PERCENTS),
                    draw(PERCENTS),
                    draw(st.sampled_from(list(Preempt))),
                    draw(st.sampled_from(list(Preempt))),
                    draw(st.integers(0, 4)) == 0,
                )
            )
    return Policy(tuple(types))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Policy, list[Member]]:
    policy = draw(policies())
    count = draw(st.integers(0, 12))
    orders = draw(st.permutations(range(1, 2 * count + 1)))
    members = []
    for ident in range(count):
        since, later = sorted(orders[2 * ident : 2 * ident + 2])
        members.append(
            Member(
                ident,
                draw(st.sampled_from([*(one.name for one in policy.types), None])),
                active=draw(st.booleans()) or draw(st.booleans()),
                since=since,
                link=draw(st.sampled_from([None, None, None, None, "g", "h"])),
                forced=draw(st.integers(0, 5)) == 0,
                paused=draw(st.integers(0, 5)) == 0,
                resumed=later if draw(st.integers(0, 3)) == 0 else 0,
                channels=draw(st.sampled_from([1, 2, 2, 2, 4])),
            )
        )
    return policy, members


@settings(max_examples=400, deadline=None)
@given(cases())
def test_any_case_is_what_the_model_says(case: tuple[Policy, list[Member]]) -> None:
    policy, members = case
    told = decide(policy, members)
    assert told.keys() == {member.id for member in members}
    for member in members:
        target, (left, suspend, mute, by) = told[member.id], expected(policy, members, member)
        width = max(1, member.channels)
        heard = [target.gains[min(i, len(target.gains) - 1)] if target.gains else 1.0 for i in range(width)]
        assert heard == pytest.approx(left), member
        assert (int(target.suspend), int(target.muted_by)) == (suspend, mute), member
        assert set(target.ducked_by) == by, member
        assert len(set(target.ducked_by)) == len(target.ducked_by)


@given(cases())
def test_the_order_of_the_arguments_does_not_matter(case: tuple[Policy, list[Member]]) -> None:
    policy, members = case
    assert decide(policy, members) == decide(policy, members[::-1])
