"""Schemas and bytes: the draft's four devices in 1,904 bytes, and the quick way as the plain one."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from audiod_protocol.limits import ANSWER_MAX
from audiod_protocol.nvlist import Nvlist, NvType, number, pack, string, unpack
from hypothesis import given, settings
from hypothesis import strategies as st
from msgpack import packb

from audiod.sndstat import packed, schema
from audiod.sndstat.model import EngineDevice, Fixed, Head, Info, Now, Snapshot, UserDevice
from audiod.sndstat.packed import Packed, page

VECTORS = {
    row["name"]: row
    for row in json.loads(
        (Path(__file__).resolve().parents[2] / "protocol/vectors/nvlist.json").read_text()
    )["lists"]
}  # fmt: skip


def head(unit: int = 0, **other: Any) -> Head:
    values: dict[str, Any] = {
        "unit": unit, "nameunit": f"pcm{unit}", "devnode": f"dsp{unit}", "desc": "null",
        "pchan": 1, "rchan": 0, "play": Info(4000, 192000, 16, 1, 64), "rec": None,
        "provider": "sound(4)", "status": "at null",
        "bitperfect": False, "pvchan": 0, "pvchanrate": 48000, "pvchanformat": 16, "rvchan": 0,
        "rvchanrate": 48000, "rvchanformat": 16,
    }  # fmt: skip
    return Head(**(values | other))


def channel(place: int, text: str = "x") -> tuple[Fixed, Now]:
    texts = ("name", "parentchan", "comm", "feederchain")
    fixed = [f"c{place}{text}" if name in texts else 7 * place + i for i, name in enumerate(Fixed._fields)]
    return Fixed(*fixed), Now(*(place * 11 + i for i in range(len(Now._fields))))


def device(unit: int, channels: int, text: str = "x", **other: Any) -> EngineDevice:
    found = [channel(n, text) for n in range(channels)]
    return EngineDevice(head(unit, **other), tuple(f for f, _ in found), tuple(n for _, n in found))


def user(name: str, **other: Any) -> UserDevice:
    values: dict[str, Any] = {"devnode": name, "desc": "d", "pchan": 1, "rchan": 1, "nameunit": name,
                              "play": Info(1, 2, 3, 4, 5), "rec": Info(6, 7, 8, 9, 10)}  # fmt: skip
    return UserDevice(**(values | other))


def test_the_drafts_example() -> None:
    """Its four devices, in the model, are the 1,904 bytes that libnv makes of its text."""
    virtual = Info(48000, 48000, 0, 0, 0)
    ours = head(
        devnode="/dev/dsp0",
        desc="Generic (0x8086) (Analog Line-out)",
        play=Info(16000, 192000, 1044987, 2, 2),
    )
    theirs = [
        UserDevice(f"/dev/{name}", "Virtual OSS", 8, 8, name, virtual, virtual)
        for name in ("pcm10", "dsp10", "lvdsp0")
    ]
    made = Packed(Snapshot((EngineDevice(ours),), tuple(theirs)), "draft")
    data = made.data()
    assert (made.size, len(data)) == (1904, 1904)
    assert hashlib.sha256(data).hexdigest().startswith("b013e60795e5025c")
    assert bytes(data).hex() == VECTORS["the draft's four devices"]["libnv"]


def test_the_manuals_example_has_the_same_names() -> None:
    """Every name in the manual's listing is in ours, with the same type."""
    (dsps,) = [pair.value for pair in unpack(bytes.fromhex(VECTORS["the manual's device"]["libnv"]))]
    ours = schema.device_pairs(device(0, 1), "final")

    def names(pairs: Nvlist) -> set[tuple[str, NvType]]:
        found = {(pair.name, pair.type) for pair in pairs}
        for pair in pairs:
            if pair.type is NvType.NVLIST:
                found |= names(pair.value)
            elif pair.type is NvType.NVLIST_ARRAY:
                found |= names(pair.value[0])
        return found

    assert names(dsps[0]) <= names(ours)
    more = {name for name, _ in names(ours) - names(dsps[0])}
    assert more == {"pminrate", "pmaxrate", "pfmts"} | {
        f"{which}buf_{what}" for which in ("hw", "sw") for what in ("format", "rate")
    }


def test_what_is_there_when() -> None:
    def keys(pairs: list[Any]) -> set[str]:
        return {pair.name for pair in pairs}

    play = {"pminrate", "pmaxrate", "pfmts", "info_play"}
    rec = {"rminrate", "rmaxrate", "rfmts", "info_rec"}
    always = {"from_user", "nameunit", "devnode", "desc", "pchan", "rchan", "provider"}
    assert keys(schema.head_pairs(head(), "final")) == always | play | {"provider_info"}
    assert keys(schema.head_pairs(head(play=None, pchan=0), "final")) == always | {"provider_info"}
    assert keys(schema.user_pairs(user("u"), "final")) == always | play | rec
    assert keys(schema.user_pairs(user("u", play=None, socket="/x"), "final")) == always | rec | {"socket"}
    info = Nvlist([number("a", 1)])
    kept = schema.user_pairs(user("u", provider="p", provider_info=info), "final")
    assert kept[-1] == ("provider_info", NvType.NVLIST, info)
    assert keys(schema.user_pairs(user("u", provider="p", provider_info=info, socket="/x"), "draft")) == (
        always - {"provider"}
    ) | (play | rec) - {"info_play", "info_rec"}


def check(snapshot: Snapshot) -> None:
    for form in ("final", "draft"):
        made = Packed(snapshot, form)
        wanted = pack(schema.tree(snapshot, form))
        assert made.size == len(wanted)
        assert made.data() == wanted
        assert unpack(bytes(made.data())) == schema.tree(snapshot, form)


def test_no_channels_and_no_devices() -> None:
    check(Snapshot())
    check(Snapshot((device(0, 0),)))
    check(Snapshot((), (user("a"),)))
    assert "channel_info" not in str(schema.tree(Snapshot((device(0, 0),)), "final"))


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


@given(
    st.lists(st.tuples(st.integers(0, 5), TEXTS, TEXTS), max_size=4),
    st.lists(st.tuples(TEXTS, TEXTS, st.booleans()), max_size=4),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_the_quick_way_is_the_plain_one(ours: list[Any], theirs: list[Any]) -> None:
    info = Nvlist([number("a", 1), *[string(f"s{i}", "x" * i) for i in range(3)]])
    devices = [device(n, count, text, desc=desc, provider=text) for n, (count, text, desc) in enumerate(ours)]
    users = [user(name, provider=provider, provider_info=info if more else None, socket="/s" if more else "")
             for name, provider, more in theirs]  # fmt: skip
    check(Snapshot(tuple(devices), tuple(users)))


def test_what_stays_is_packed_once() -> None:
    made = device(0, 3)
    first = Packed(Snapshot((made,)), "final").data()
    kept = [fixed.packed for fixed in made.fixed]
    again = EngineDevice(made.head, made.fixed, tuple(now._replace(xruns=99) for now in made.now))
    second = Packed(Snapshot((again,)), "final").data()
    assert all(fixed.packed is before for fixed, before in zip(again.fixed, kept, strict=True))
    assert first != second and unpack(bytes(second)) == schema.tree(Snapshot((again,)), "final")


# ---- pages ----------------------------------------------------------------------------------


def pages(snapshot: Snapshot, form: Any = "final") -> tuple[list[dict[str, Any]], int]:
    rows: list[dict[str, Any]] = []
    after: int | None = 0
    count = 0
    while after is not None:
        found, continues, following = page(snapshot, form, after)
        assert len(packb([1, 0, None, {"dsps": found}])) < ANSWER_MAX - 4096
        assert following is None or following > after
        if continues:
            assert set(found[0]) == {"nameunit", "provider_info"}
            rows[-1]["provider_info"]["channel_info"] += found.pop(0)["provider_info"]["channel_info"]
        rows += found
        after = following
        count += 1
    return rows, count


def test_pages_put_together_are_the_tree() -> None:
    heavy = Nvlist([string("s", "x" * 60_000)])
    snapshot = Snapshot(
        (device(0, 700, "y" * 200), device(1, 0), device(2, 900), device(3, 1)),
        tuple(user(f"u{n}", provider="p", provider_info=heavy) for n in range(7)),
    )
    rows, count = pages(snapshot)
    assert count > 6
    assert rows == [one.plain() for one in schema.tree(snapshot, "final")[0].value]
    rows, count = pages(snapshot, "draft")
    assert rows == [one.plain() for one in schema.tree(snapshot, "draft")[0].value]


@pytest.mark.parametrize("room", [1, 500, 1500, 4000])
def test_pages_of_any_size(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "PAGE_MAX", room)
    snapshot = Snapshot((device(0, 3), device(1, 0), device(2, 5)), (user("a"), user("b")))
    rows, count = pages(snapshot)
    assert rows == [one.plain() for one in schema.tree(snapshot, "final")[0].value]
    assert count > 3 or room == 4000


def test_text_that_is_no_utf8_can_be_sent() -> None:
    (row,), _, _ = page(Snapshot((), (user("a\udcff"),)), "final", 0)
    assert row["nameunit"] == "a\ufffd" and packb(row)
    assert Packed(Snapshot((), (user("a\udcff"),)), "final").data().count(b"a\xff\0") == 2
