"""audiotype.py, duckingfile.py: policies in QNX's syntax and in our TOML; every mistake has its line."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiod import config, configfile, options
from audiod.audiotype import (
    FULL,
    LINEAR,
    AudioType,
    Policy,
    Preempt,
    ProgramRule,
    Ramp,
    Ramps,
    Same,
    by_program,
    percents,
    profile,
    segments,
    shown,
    spread,
    written,
)
from audiod.changes import AT_ONCE, diff, flatten
from audiod.config import Config
from audiod.duckingfile import FILE_MAX, TYPES_MAX, parse, policy
from audiod.errors import ConfigError, UsageError
from audiod.schema import Problems

ENV = {"XDG_RUNTIME_DIR": "/run/user/1000"}
NONE = Preempt.NO

QNX = """\
# a phone in a car
[audio_type]
name=voice
prio=decr                       # of the first it does not count
duck_same_prio_policy=last_wins
duck_same_prio_percent=0
duck_lower_prio_percent=ch0:50,ch1:100
preemptable=true

[audio_type]
name=nav
prio=decr
duck_same_prio_policy=mix
duck_same_prio_percent=noducking
duck_lower_prio_percent=20
preemption_by_higher=pause
[audio_type]
name=alert
prio=same
duck_same_prio_policy=mix
duck_same_prio_percent=100
duck_lower_prio_percent=0
preemption_by_same=suspend

[vol_ramp]
name=ducking
duration=60
profile=20:10,60:80,20:10
[vol_ramp]
name=pause_resume
duration=30
"""

TOML = """\
[[audio_type]]
name = "voice"
duck_same_prio_percent = 0
duck_lower_prio_percent = "ch0:50,ch1:100"
preemptable = true

[[audio_type]]
name = "nav"
duck_same_prio_policy = "mix"
duck_lower_prio_percent = 20
preemption_by_higher = "pause"

[[audio_type]]
name = "alert"
prio = "same"
duck_lower_prio_percent = 0
preemption_by_same = "suspend"

[[vol_ramp]]
name = "ducking"
duration = 60
profile = "20:10,60:80,20:10"

[[vol_ramp]]
name = "pause_resume"
duration = 30
"""

SAME_AS_BOTH = Policy(
    (
        AudioType("voice", 0, Same.LAST_WINS, (0,), (50, 100, 100), Preempt.SUSPEND, Preempt.SUSPEND),
        AudioType("nav", 1, Same.MIX, FULL, (20,), Preempt.PAUSE, NONE),
        AudioType("alert", 1, Same.MIX, (100,), (0,), NONE, Preempt.SUSPEND),
    ),
    Ramps(pause_resume=Ramp(30, LINEAR), ducking=Ramp(60, ((0.2, 0.1), (0.8, 0.9), (1.0, 1.0)))),
)


def of_qnx(text: str | bytes) -> Policy | None:
    problems = Problems()
    listed = parse("f", text.encode() if isinstance(text, str) else text, problems)
    found = policy(listed.get("audio_type", []), listed.get("vol_ramp", []), problems)
    problems.check()
    return found


def of_text(text: str, line: str = "", *more: str) -> Config:
    texts = [(f"f{n}" if n else "f", one.encode()) for n, one in enumerate((text, *more))]
    return config.resolve(options.parse(line.split()), ENV, 1000, configfile.merge(texts, follow=True))


def wrong(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        of_text(text)
    return caught.value.line().splitlines()


def test_both_syntaxes_say_the_same(tmp_path: Path) -> None:
    assert of_qnx(QNX) == SAME_AS_BOTH
    assert of_text(TOML).policy == SAME_AS_BOTH
    (tmp_path / "policy.conf").write_text(QNX)
    read = of_text(f'[ducking]\nfile = "{tmp_path}/policy.conf"')
    assert read.policy == SAME_AS_BOTH
    assert read.files == ("f", f"{tmp_path}/policy.conf")
    assert read.origins["audio_type.nav.prio"] == f"{tmp_path}/policy.conf:12"


def test_the_examples_of_the_manual_say_the_same() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/man/audiod.toml.5.scd").read_text()
    of_name = dict(re.findall(r"^```\n# (ducking\.\w+)\n(.*?)^```$", page, re.M | re.S))
    ours, qnx = of_text(of_name["ducking.toml"]).policy, of_qnx(of_name["ducking.conf"])
    assert ours is not None and qnx is not None
    assert ours.ramps == qnx.ramps
    for one, other in zip(ours.types, qnx.types, strict=True):
        assert spread(one.duck_lower, 2) == spread(other.duck_lower, 2)
        assert replace(one, duck_lower=FULL) == replace(other, duck_lower=FULL)


def test_line_ends_of_either_kind() -> None:
    assert of_qnx(QNX.replace("\n", "\r\n")) == SAME_AS_BOTH


def test_without_types_there_is_no_policy() -> None:
    assert of_qnx("# nothing\n") is None
    assert of_text("").policy is None


TYPE = """\
[audio_type]
name=a
prio=same
duck_same_prio_policy=mix
duck_same_prio_percent=0
duck_lower_prio_percent=0
"""


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        (TYPE.replace("name=a\n", ""), "f:1:", "the audio_type has no name; write name=..."),
        (TYPE.replace("prio=same\n", ""), "f:1:", "has no prio"),
        (TYPE.replace("duck_same_prio_policy=mix\n", ""), "f:1:", "has no duck_same_prio_policy"),
        (TYPE.replace("duck_same_prio_percent=0\n", ""), "f:1:", "has no duck_same_prio_percent"),
        (TYPE.replace("duck_lower_prio_percent=0\n", ""), "f:1:", "has no duck_lower_prio_percent"),
        (TYPE.replace("prio=same", "prio=lower"), "f:3:", "same or decr is expected, not the string 'lower'"),
        (TYPE.replace("=mix", "=all"), "f:4:", "one of last_wins, first_wins, mix is expected"),
        (TYPE.replace("name=a", "name="), "f:2:", "'name' has no value"),
        (TYPE.replace("name=a", "name=a b"), "f:2:", "white space inside"),
        (TYPE.replace("name=a", "na me=a"), "f:2:", "white space inside"),
        (TYPE.replace("name=a", "name"), "f:2:", "'name' is not name=value"),
        (TYPE.replace("percent=0", "percent=101", 1), "f:5:", "101 is more than 100 percent"),
        (TYPE.replace("percent=0", "percent=-1", 1), "f:5:", "'-1' is not 0..100"),
        (TYPE.replace("percent=0", "percent=ch64:1", 1), "f:5:", "no channel 64"),
        (TYPE.replace("percent=0", "percent=ch1:1,ch1:2", 1), "f:5:", "channel 1 is there twice"),
        (TYPE.replace("percent=0", "percent=true", 1), "f:5:", "not the boolean true"),
        (TYPE + "preemptable=yes", "f:7:", "true or false is expected, not the string 'yes'"),
        (TYPE + "preemption_by_same=stop", "f:7:", "one of no, suspend, pause is expected"),
        (TYPE + "preemptable=false\npreemption_by_same=pause", "f:7:", "is not preemptable, yet"),
        (TYPE + "vol_tbl=x", "f:7:", "[audio_type.0] has no key 'vol_tbl'"),
        (TYPE + "name=b", "f:7:", "'name' is at line 2 already"),
        (TYPE + TYPE, "f:8:", "audio type 'a' is at f:2 already"),
        (TYPE + TYPE.replace("name=a", "name=A"), "f:8:", "their case does not count"),
        (TYPE + TYPE.replace("=a", "=b").replace("mix", "last_wins"), "f:10:", "'b' has last_wins, but 'a'"),
        ("name=a\n", "f:1:", "'name' is in no section"),
        ("[audio_types]\nname=a", "f:1:", "there is no section '[audio_types]'"),
        ("[audio_type\nname=a", "f:1:", "there is no section '[audio_type'"),
        ("[vol_ramp]\nname=ducking", "f:1:", "the vol_ramp has no duration"),
        ("[vol_ramp]\nname=fade\nduration=1", "f:2:", "one of volume_mute, pause_resume, ducking"),
        ("[vol_ramp]\nname=ducking\nduration=10001", "f:3:", "0..10000"),
        ("[vol_ramp]\nname=ducking\nduration=1\nprofile=20:10,60:80", "f:4:", "sum to 80% of time and 90%"),
        ("[vol_ramp]\nname=ducking\nduration=1\nprofile=20-10", "f:4:", "'20-10' is not a segment"),
        ("[vol_ramp]\nname=ducking\nduration=1\n" * 2, "f:5:", "ramp 'ducking' is at f:2 already"),
        (b"[audio_type]\nname=\xff", "f:2:", "this is not UTF-8"),
        ("#" * (FILE_MAX + 1), "f:", "more than 65536"),
    ],
)  # fmt: skip
def test_mistakes(text: str | bytes, where: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        of_qnx(text)
    # the first is the mistake; a name that cannot be read is missing, too
    line, *_ = caught.value.line().splitlines()
    assert line.startswith(where) and words in line


def test_too_many_types() -> None:
    text = "".join(TYPE.replace("name=a", f"name=a{n}") for n in range(TYPES_MAX + 1))
    with pytest.raises(ConfigError, match=r"f:193: there are more than 32 audio types"):
        of_qnx(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[[audio_type]]\nprio='same'", "f:1: audio_type.0: the audio_type has no name; write name = ..."),
        ("[[audio_type]]\nname='a b'", "f:2: audio_type.0.name: 'a b': white space"),
        ("[[audio_type]]\nname='a'\nduck_lower_prio_percent=200", "f:3: audio_type.0.duck_lower_prio_"),
        ("[[audio_type]]\nname='a'\nduck=1", "f:3: [audio_type.0] has no key 'duck'"),
        ("[audio_type]\nname='a'", "f:1: audio_type: an array of tables is expected"),
        ("[[program]]\nname='mpv'", "f:1: program.0: the program has no type"),
        ("[[program]]\nname='a'\ntype='b'\n" * 2, "f:4: program 'a' is at f:1 already"),
        ("[[audio_type]]\nname='a'\n[[program]]\nname='m'\ntype='b'", "f:5: program 'm': there is no audio"),
        (
            "[[audio_type]]\nname='a'\n[[device]]\nspec='null'\n[[device.subdevice]]\nname='x'\ntype='b'",
            "f:7: sub-device 'x': there is no audio type 'b'; there are a",
        ),
        ("[ducking]\nfile='x'", "f:2: ducking.file: an absolute path"),
        ("[ducking]\nfile='/nonexistent'", "f:2: /nonexistent cannot be read: No such file"),
        ("[ducking]\nfile='/x'\n[[audio_type]]\nname='a'", "f:3: audio_type: those of /x count"),
    ],
)  # fmt: skip
def test_mistakes_in_toml(text: str, found: str) -> None:
    assert wrong(text)[0].startswith(found)


def test_what_is_wrong_in_the_other_file_has_its_own_place(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("[audio_type]\nname=a\n")
    lines = wrong(f"[ducking]\nfile='{tmp_path}/p'")
    assert len(lines) == 4 and all(line.startswith(f"{tmp_path}/p:1: ") for line in lines)


def test_a_text_that_a_client_sends_opens_no_file() -> None:
    text = "[ducking]\nfile='/nonexistent'"
    read = config.resolve(options.parse([]), ENV, 1000, configfile.merge([("text", text.encode())]))
    assert read.ducking_file == "/nonexistent" and read.policy is None


# ---- who has which type -------------------------------------------------------------------


def test_types_of_sub_devices_and_programs() -> None:
    text = (
        "[[program]]\nname='mpv*'\ntype='music'\n"
        "[[device]]\nspec='null'\n[[device.subdevice]]\nname='ring'\ntype='alert'"
    )
    conf = of_text(text)
    assert conf.policy is None  # a type that nobody defines is kept and shown
    assert conf.programs == (ProgramRule("mpv*", "music"),)
    assert next(sub for sub in conf.subdevices if sub.name == "ring").type == "alert"
    assert conf.origins["program.mpv*.type"] == "f:3"
    assert flatten(conf)["device.0.subdevice.ring.type"] == "alert"


def test_the_first_rule_that_matches_counts() -> None:
    rules = (ProgramRule("MPV", "film"), ProgramRule("m*", "music"), ProgramRule("?pd", "x"))
    assert [by_program(rules, name) for name in ("mpv", "Mpd", "xpd", "aucat")] == [
        "film",
        "music",
        "x",
        None,
    ]


def test_sub_device_on_the_command_line() -> None:
    (ring, *_) = options.parse(["-s", "ring,type=alert"]).subdevices
    assert (ring.name, ring.type) == ("ring", "alert")
    for bad in ("ring,typ=alert", "ring,type=", "ring,type=a b", "ring,"):
        with pytest.raises(UsageError, match="-s ring: "):
            options.parse(["-s", bad])
    with pytest.raises(UsageError, match="sub-device 'ring': there is no audio type 'b'"):
        of_text("[[audio_type]]\nname='a'", "-s ring,type=b")


# ---- several files, changes ----------------------------------------------------------------


def test_later_files() -> None:
    first = (
        "[[audio_type]]\nname='a'\n[[program]]\nname='x'\ntype='a'\n[[vol_ramp]]\nname='ducking'\nduration=1"
    )
    later = "[[audio_type]]\nname='b'\n[[audio_type]]\nname='a'\n[[vol_ramp]]\nname='ducking'\nduration=2"
    conf = of_text(first, "", later, "[[program]]\nname='x'\ntype='b'")
    assert conf.policy is not None
    assert [one.name for one in conf.policy.types] == ["b", "a"]
    assert conf.policy.ramps.ducking == Ramp(2, LINEAR)
    assert conf.programs == (ProgramRule("x", "b"),)


def test_changes_are_applied_at_once() -> None:
    old, new = of_text(TOML), of_text(TOML.replace("= 20", '= "noducking"').replace("= 30", "= 40"))
    assert [(c.key, c.old, c.new, c.effect) for c in diff(old, new)] == [
        ("audio_type.nav.duck_lower_prio_percent", 20, 100, AT_ONCE),
        ("vol_ramp.pause_resume.duration", 30, 40, AT_ONCE),
    ]
    assert {c.effect for c in diff(old, of_text("[[program]]\nname='x'\ntype='y'"))} == {AT_ONCE}
    keys = flatten(old)
    assert keys["ducking.types"] == ["voice", "nav", "alert"]
    assert [keys[f"audio_type.{name}.prio"] for name in ("voice", "nav", "alert")] == ["decr", "decr", "same"]
    assert keys["vol_ramp.ducking.profile"] == "20:10,60:80,20:10"
    assert keys["vol_ramp.volume_mute.profile"] is None


# ---- numbers and their spelling -----------------------------------------------------------------


@given(st.lists(st.integers(0, 100), min_size=1, max_size=64))
def test_percents_are_written_as_they_are_read(some: list[int]) -> None:
    text = ",".join(f"ch{i}:{value}" for i, value in enumerate(some))
    assert percents(text) == (*some, 100)
    assert written(percents(text)) == text
    assert percents(str(some[0])) == (some[0],) and written((some[0],)) == some[0]


def test_percents_as_people_read_them() -> None:
    assert percents("noducking") == FULL
    assert percents("ch1:50") == (100, 50, 100)
    assert shown((50,)) == "50%" and shown((10, 50, 100)) == "ch0 10%, ch1 50%, others 100%"


def test_profiles() -> None:
    points = profile("20:10,60:80,20:10")
    assert segments(points) == "20:10,60:80,20:10"
    assert segments(LINEAR) == "100:100" and segments(()) is None
    for bad in ("", "100", "0:0", "50:50,50:49", "1:1," * 16 + "84:84"):
        with pytest.raises(ValueError, match=r"segment|sum"):
            profile(bad)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        of_qnx(data)
    except ConfigError as error:
        assert all(line.startswith("f:") for line in error.line().splitlines())
