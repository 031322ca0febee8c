"""What programs add: each rule of a field, as FreeBSD's kernel has it, and ours of sockets and maps."""

from __future__ import annotations

from typing import Any

import pytest
from audiod_protocol.errors import FaultError
from audiod_protocol.nvlist import Pair, boolean, nested, number, pack, string
from sndstat.handles import INFO, dsps, element

from audiod.sndstat.model import NO_INFO, Info, UserDevice
from audiod.sndstat.provided import taken

FULL = Info(8000, 96000, 0x10, 1, 2)
FLAT = [number("pminrate", 1), number("pmaxrate", 2), number("pfmts", 3)]


def one(*more: Pair, strict: bool = True, drop: str = "", play: int = 1, rec: int = 0) -> UserDevice:
    """The one device of a list; `drop`: names that are left out."""
    pairs = [pair for pair in element("dsp9", *more, play=play, rec=rec) if pair.name not in drop.split()]
    (found,) = taken(dsps(pairs), strict=strict)
    return found


def wrong(*more: Pair, **how: Any) -> str:
    with pytest.raises(FaultError) as caught:
        one(*more, **how)
    assert caught.value.fault.code == "EINVAL" and caught.value.fault.hint
    return caught.value.fault.message


def test_what_is_mandatory() -> None:
    for name in ("devnode", "desc", "pchan", "rchan"):
        assert f"dsps[0] has no {'STRING' if name[0] == 'd' else 'NUMBER'} {name!r}" in wrong(drop=name)
        other = boolean(name, True)
        assert "has no" in wrong(other), "another type does not count"
    assert one(string("devnode", ""), string("desc", "")).devnode == ""
    assert one(string("devnode", "/dev/with/slashes")).devnode == "/dev/with/slashes"


def test_channels() -> None:
    nothing = one(play=0, rec=0, drop="info_play info_rec")
    assert (nothing.pchan, nothing.rchan, nothing.play, nothing.rec) == (0, 0, None, None)
    cut = one(number("pchan", 2**32 + 3), number("rchan", 2**32))
    assert (cut.pchan, cut.rchan) == (3, 0), "32 bits are kept"


def test_nameunit() -> None:
    assert one().nameunit == "dsp9"
    assert one(string("nameunit", "pcm9")).nameunit == "pcm9"
    assert one(string("nameunit", "")).nameunit == ""
    assert one(number("nameunit", 9)).nameunit == "dsp9", "another type counts as absent"


@pytest.mark.parametrize("side", ["play", "rec"])
def test_what_a_direction_can_do(side: str) -> None:
    how = {"play": 1, "rec": 0} if side == "play" else {"play": 0, "rec": 1}
    flat = [number(f"{side[0]}{key}", value) for key, value in (("minrate", 1), ("maxrate", 2), ("fmts", 3))]

    def info(device: UserDevice) -> Info | None:
        assert (device.rec if side == "play" else device.play) is None
        return device.play if side == "play" else device.rec

    assert info(one(**how)) == FULL
    assert info(one(*flat, **how)) == FULL, "the list decides"
    assert info(one(*flat, drop=f"info_{side}", **how)) == Info(1, 2, 3, 0, 0)
    assert info(one(*flat, string(f"info_{side}", "x"), **how)) == Info(1, 2, 3, 0, 0)
    for field in INFO:
        left = [pair for pair in INFO if pair is not field]
        message = wrong(nested(f"info_{side}", left), *flat, **how)
        assert f"info_{side} has no NUMBER {field.name!r}" in message
    for missing in flat:
        left = [pair for pair in flat if pair is not missing]
        assert f"neither info_{side} nor" in wrong(*left, drop=f"info_{side}", **how)
        assert info(one(*left, drop=f"info_{side}", strict=False, **how)) == NO_INFO
    odd = [number("min_rate", 9), number("max_rate", 2**32 + 1), *INFO[2:]]
    assert info(one(nested(f"info_{side}", odd), **how)) == Info(9, 1, 0x10, 1, 2), (
        "the least may be the most"
    )


def test_a_direction_that_is_not_there_is_not_looked_at() -> None:
    device = one(nested("info_rec", []), play=1, rec=0)
    assert device.rec is None and device.play == FULL


def test_provider() -> None:
    info = nested("provider_info", [number("anything", 1), nested("deep", [string("s", "x")])])
    assert one().provider == "" and one(info).provider_info is None, "dropped without a provider"
    assert one(string("provider", ""), info).provider_info is None
    kept = one(string("provider", "virtual_oss"), info)
    assert (kept.provider, kept.provider_info) == ("virtual_oss", info.value)
    assert one(string("provider", "p"), string("provider_info", "x")).provider_info is None
    assert one(number("provider", 1), info).provider == ""


def test_what_is_ignored() -> None:
    assert one(boolean("from_user", False), number("unit", 7), number("pvchan", 3), string("x", "y")) == one()


def test_the_drafts_minimal_example_is_refused_by_the_kernels_rules_alone() -> None:
    how: dict[str, Any] = {"drop": "info_play info_rec nameunit provider", "play": 1, "rec": 0}
    assert one(strict=False, **how).play == NO_INFO
    assert "neither info_play nor pminrate, pmaxrate, pfmts" in wrong(strict=True, **how)


def test_socket() -> None:
    assert one(string("socket", "/run/x.sock")).socket == "/run/x.sock"
    assert one().socket == one(number("socket", 1)).socket == one(string("socket", "")).socket == ""
    longest = "/" + "x" * 106
    assert one(string("socket", longest)).socket == longest
    for path in (longest + "x", "run/x.sock", "x"):
        assert "socket is no absolute path" in wrong(string("socket", path))


# ---- maps -----------------------------------------------------------------------------------


def test_maps_are_the_same() -> None:
    row = {
        "devnode": "dsp9", "desc": "dsp9's description", "pchan": 1, "rchan": 0,
        "info_play": {"min_rate": 8000, "max_rate": 96000, "formats": 16, "min_chn": 1, "max_chn": 2},
        "provider": "p", "provider_info": {"a": [1, 2], "b": [True], "c": ["x"], "d": [{"e": -1}], "f": None,
                                           "g": b"\xff\x00"},
    }  # fmt: skip
    (found,) = taken({"dsps": [row]}, strict=True)
    assert (found.nameunit, found.play) == ("dsp9", FULL)
    assert found.provider_info is not None
    assert found.provider_info.plain() == {
        "a": [1, 2], "b": [True], "c": ["x"], "d": [{"e": 2**64 - 1}], "f": None, "g": b"\xff\x00",
    }  # fmt: skip
    assert pack(found.provider_info)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"x": 1.5}, "float has no place"),
        ({"x": []}, "0 types"),
        ({"x": [1, "a"]}, "2 types"),
        ({"x": [[1]]}, "list has no place"),
        ({"x": "a\0b"}, "cannot be an nvlist"),
        ({"x": -(2**63) - 2**63}, "dsps"),
        ({"x": 2**64}, "cannot be an nvlist"),
        ({"x": b""}, "cannot be an nvlist"),
        ({"a\0": 1}, "cannot be an nvlist"),
    ],
)
def test_maps_that_are_no_list(more: dict[str, Any], words: str) -> None:
    row = {"devnode": "", "desc": "", "pchan": 0, "rchan": 0, **more}
    if words == "dsps":
        taken({"dsps": [row]}, strict=True)  # two's complement of 64 bits: -2^64 is 0
        return
    with pytest.raises(FaultError, match=words):
        taken({"dsps": [row]}, strict=True)


def test_maps_of_any_depth_are_refused() -> None:
    deep: Any = 1
    for _ in range(40):
        deep = {"x": deep}
    with pytest.raises(FaultError, match="deeper than 16"):
        taken({"dsps": [{"devnode": "", "desc": "", "pchan": 0, "rchan": 0, "x": deep}]}, strict=False)
