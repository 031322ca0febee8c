"""Handles: each line of what the four ioctls and close do, by its number in the list of their semantics.

R REFRESH, G GET, A ADD_USER_DEVS, F FLUSH_USER_DEVS, C close.
"""

from __future__ import annotations

import io

import pytest
from audiod_protocol.limits import SNDSTAT_DEVICES, SNDSTAT_HANDLES
from audiod_protocol.nvlist import NvType, Pair, boolean, nested, number, pack, string, unpack
from house import Client, House, Refused
from sndstat.handles import Handle, dsps, element

from audiod.sndstat import opens

PCM = ["pcm0", "pcm1"]


def refused(code: str, handle: Handle, method: str, **args: object) -> str:
    with pytest.raises(Refused) as caught:
        handle.call(method, **args)
    assert caught.value.code == code
    return caught.value.message


# ---- REFRESH ------------------------------------------------------------------------------


def test_r1_refresh_drops_the_own_snapshot_and_nothing_else(house: House, client: Client) -> None:
    one, other = Handle(client, write=True), Handle(client)
    one.call("refresh")  # there is none: fine
    one.call("add_user", nvlist=dsps(element("a")))
    small = one.size()
    assert other.size() == small
    one.call("add_user", nvlist=dsps(element("b")))
    one.call("refresh")
    assert one.size() > small and one.names() == [*PCM, "a", "b"]
    assert other.size() == small and other.names() == [*PCM, "a"]


# ---- GET ----------------------------------------------------------------------------------


def test_g1_a_snapshot_has_all_devices_of_all_handles(house: House, client: Client) -> None:
    mine, theirs = Handle(client, write=True), Handle(house.connect(), write=True)
    mine.call("add_user", nvlist=dsps(element("mine")))
    theirs.call("add_user", nvlist=dsps(element("theirs")))
    assert mine.names() == theirs.names() == [*PCM, "mine", "theirs"]


def test_g2_nbytes_0_tells_the_size_and_keeps_it(client: Client) -> None:
    handle = Handle(client, write=True)
    size = handle.size()
    handle.call("add_user", nvlist=dsps(element("a")))
    assert handle.size() == size
    assert len(handle.packed()) == size


def test_g3_too_small_is_a_success_with_nbytes_0(client: Client) -> None:
    handle = Handle(client, write=True)
    size = handle.size()
    handle.call("add_user", nvlist=dsps(element("a")))
    for nbytes in (1, 19, size - 1):
        for form in ("nvlist", "msgpack"):
            assert handle.call("get", nbytes=nbytes, form=form) == {"nbytes": 0}
    assert handle.size() == size


def test_g4_enough_gives_exactly_the_size_and_frees(client: Client) -> None:
    handle = Handle(client, write=True)
    for room in (0, 1, 2**62):
        size = handle.size()
        answer = handle.call("get", nbytes=size + room, form="nvlist")
        assert (answer["nbytes"], len(answer["nvlist"]), answer["next"]) == (size, size, None)
        handle.call("add_user", nvlist=dsps(element("a")))
        assert handle.size() > size, "it was freed"
        handle.call("refresh")


def test_g5_a_snapshot_is_kept_until_its_last_piece_was_given(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no copy that can fail here: what could not be given yet is what `after` is for."""
    monkeypatch.setattr(opens, "PIECE_MAX", 1000)
    handle = Handle(client, write=True)
    first = handle.call("get", form="nvlist")
    assert len(first["nvlist"]) == first["next"] == 1000
    handle.call("add_user", nvlist=dsps(element("a")))
    assert handle.size() == first["nbytes"]
    again = handle.call("get", form="nvlist")
    assert again == first, "without `after` it begins again"
    data = handle.packed()
    assert data.startswith(first["nvlist"])
    assert [pair.name for pair in unpack(data)] == ["dsps"]
    assert handle.size() > first["nbytes"]


def test_g6_it_is_frozen(house: House, client: Client) -> None:
    handle, other = Handle(client), Handle(house.connect(), write=True)
    size = handle.size()
    other.call("add_user", nvlist=dsps(element("late")))
    client.open()
    packed = handle.packed()
    assert len(packed) == size
    (names,) = [pair.value for pair in unpack(packed)]
    assert [one.get("nameunit", NvType.STRING) for one in names] == PCM
    assert handle.names() == [*PCM, "late"], "the next one is made anew, without refresh"


def test_g6_in_both_forms(client: Client) -> None:
    handle = Handle(client)
    before = handle.size()
    client.open()
    assert handle.size(schema="draft") < handle.size() == before
    assert handle.call("get", nbytes=1, form="nvlist") == {"nbytes": 0}
    rows = handle.rows()
    assert not any("vp" in row["name"] for row in rows[0]["provider_info"]["channel_info"])


def test_g7_two_handles_see_two_moments(client: Client) -> None:
    old, new = Handle(client, write=True), Handle(client)
    size = old.size()
    old.call("add_user", nvlist=dsps(element("a")))
    assert new.size() > size == old.size()


def test_g8_no_device_is_a_list_without_dsps() -> None:
    from audiod.sndstat.model import Snapshot
    from audiod.sndstat.packed import Packed, page

    assert Packed(Snapshot(), "final").data() == Packed(Snapshot(), "draft").data() == pack([])
    assert Packed(Snapshot(), "final").size == 19
    assert page(Snapshot(), "final", 0) == ([], False, None)


def test_g9_order(house: House, client: Client) -> None:
    first, second, third = (Handle(client, write=True) for _ in range(3))
    third.call("add_user", nvlist=dsps(element("c1")))
    first.call("add_user", nvlist=dsps(element("a1"), element("a2")))
    second.call("add_user", nvlist=dsps(element("b1")))
    first.call("add_user", nvlist=dsps(element("a3")))
    assert second.names() == [*PCM, "a1", "a2", "a3", "b1", "c1"]


def test_after_needs_a_snapshot(client: Client) -> None:
    handle = Handle(client)
    assert "no listing to go on with" in refused("EINVAL", handle, "get", after=5)
    handle.size()
    answer = handle.call("get", after=10**6)
    assert (answer["dsps"], answer["next"]) == ([], None)


# ---- ADD_USER_DEVS ------------------------------------------------------------------------


def test_a1_it_adds_and_replaces_nothing(client: Client) -> None:
    handle = Handle(client, write=True)
    for count in (1, 2, 3):
        assert handle.call("add_user", nvlist=dsps(element("same")))["devices"] == count
    assert handle.names() == [*PCM, "same", "same", "same"]


def test_a2_eperm_is_the_first_of_all_tests(client: Client) -> None:
    handle = Handle(client)
    for args in ({"nvlist": dsps(element("a"))}, {"nvlist": bytes(65537)}, {"nvlist": b""}, {}):
        assert "read only" in refused("EPERM", handle, "add_user", **args)
    refused("EPERM", handle, "flush_user")


def test_a2_65536_bytes_and_not_one_more(client: Client) -> None:
    handle = Handle(client, write=True)
    spare = 65536 - len(dsps(element("a", string("more", ""))))
    largest = dsps(element("a", string("more", "x" * spare)))
    assert len(largest) == 65536
    handle.call("add_user", nvlist=largest)
    message = refused("ENOMEM", handle, "add_user", nvlist=largest + b"\0")
    assert "65537 bytes" in message
    refused("ENOMEM", handle, "add_user", nvlist=bytes(65537))
    assert handle.names() == [*PCM, "a"]


def test_a2_of_maps_their_packed_size_counts(client: Client) -> None:
    handle = Handle(client, write=True)
    row = {"devnode": "a", "desc": "", "pchan": 0, "rchan": 0, "more": ""}
    spare = 65536 - len(dsps([string("devnode", "a"), string("desc", ""), number("pchan", 0),
                              number("rchan", 0), string("more", "")]))  # fmt: skip
    handle.call("add_user", dsps=[{**row, "more": "x" * spare}])
    refused("ENOMEM", handle, "add_user", dsps=[{**row, "more": "x" * (spare + 1)}])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 40,
        pack([]),
        pack([string("dsps", "x")]),
        pack([nested("dsps", [])]),
        pack([Pair("DSPS", NvType.NVLIST_ARRAY, (element("a"),))]),
        pack([Pair("dsps", NvType.NVLIST_ARRAY, (element("a"),))], flags=1),
        pack([Pair("dsps", NvType.NVLIST_ARRAY, (element("a"),))], flags=2),
        dsps(element("a"))[:-1],
    ],
)
def test_a3_no_list_or_no_dsps(client: Client, data: bytes) -> None:
    handle = Handle(client, write=True)
    refused("EINVAL", handle, "add_user", nvlist=data)
    assert handle.names() == PCM


def test_a3_one_of_two_ways(client: Client) -> None:
    handle = Handle(client, write=True)
    refused("EINVAL", handle, "add_user")
    refused("EINVAL", handle, "add_user", nvlist=dsps(element("a")), dsps=[])
    refused("EINVAL", handle, "add_user", dsps=[])


def test_a3_either_byte_order(client: Client) -> None:
    handle = Handle(client, write=True)
    handle.call(
        "add_user", nvlist=pack([Pair("dsps", NvType.NVLIST_ARRAY, (element("big"),))], big_endian=True)
    )
    assert handle.names() == [*PCM, "big"]


def test_a4_one_bad_element_adds_none(client: Client) -> None:
    handle = Handle(client, write=True)
    bad = [pair for pair in element("bad") if pair.name != "rchan"]
    for place in range(3):
        elements = [element("good1"), element("good2")]
        elements.insert(place, bad)
        assert f"dsps[{place}] has no NUMBER 'rchan'" in refused(
            "EINVAL", handle, "add_user", nvlist=dsps(*elements)
        )
    assert handle.names() == PCM
    assert handle.call("add_user", nvlist=dsps(element("good")))["devices"] == 1


def test_a5_the_own_snapshot_stays(client: Client) -> None:
    handle = Handle(client, write=True)
    size = handle.size()
    handle.call("add_user", nvlist=dsps(element("a")))
    assert handle.size() == size
    handle.call("refresh")
    assert handle.size() > size


def test_a6_nothing_of_the_list_comes_back(client: Client) -> None:
    handle = Handle(client, write=True)
    assert handle.call("add_user", nvlist=dsps(element("a"))) == {"handle": 0, "devices": 1}


# ---- FLUSH_USER_DEVS, close ---------------------------------------------------------------


def test_f1_flush_takes_the_own_away_and_keeps_the_snapshot(house: House, client: Client) -> None:
    mine, theirs = Handle(client, write=True), Handle(house.connect(), write=True)
    mine.call("flush_user")  # none: fine
    mine.call("add_user", nvlist=dsps(element("a"), element("b")))
    theirs.call("add_user", nvlist=dsps(element("c")))
    size = mine.size()
    mine.call("flush_user")
    assert mine.size() == size
    assert theirs.names() == [*PCM, "c"]
    mine.call("refresh")
    assert mine.names() == [*PCM, "c"]


def test_c1_close_and_the_end_of_a_connection(house: House, client: Client, logged: io.StringIO) -> None:
    reader = Handle(client)
    provider = house.connect(name="virtual_oss")
    one, two = Handle(provider, write=True), Handle(provider, write=True)
    one.call("add_user", nvlist=dsps(element("a")))
    two.call("add_user", nvlist=dsps(element("b")))
    assert reader.names() == [*PCM, "a", "b"]
    one.call("close")
    refused("EBADF", one, "get")
    refused("EBADF", one, "close")
    assert reader.names() == [*PCM, "b"]
    size = reader.size()
    provider.vanish()
    assert reader.size() == size, "a snapshot that was taken before keeps it"
    reader.call("refresh")
    assert reader.names() == PCM
    assert logged.getvalue().count("sndstat.gone") == 2
    assert Handle(house.connect(), write=True).number == 0


def test_handles_are_those_of_one_connection(house: House, client: Client) -> None:
    handles = [Handle(client) for _ in range(SNDSTAT_HANDLES)]
    assert [handle.number for handle in handles] == list(range(SNDSTAT_HANDLES))
    with pytest.raises(Refused, match="EMFILE"):
        Handle(client)
    handles[3].call("close")
    assert Handle(client).number == 3
    other = house.connect()
    with pytest.raises(Refused, match=r"EBADF: sndstat\.get: there is no handle 0"):
        other.call("sndstat.get", handle=0)


def test_no_such_request(client: Client) -> None:
    with pytest.raises(Refused, match="ENOSYS"):
        client.call("sndstat.frobnicate")


# ---- what everybody may take ---------------------------------------------------------------


def test_a_handle_provides_so_many_devices(client: Client) -> None:
    handle = Handle(client, write=True)
    small = [string("devnode", ""), string("desc", ""), number("pchan", 0), number("rchan", 0)]
    for _ in range(4):
        handle.call("add_user", nvlist=dsps(*[small] * (SNDSTAT_DEVICES // 4)))
    assert "1024" in refused("ENOMEM", handle, "add_user", nvlist=dsps(small))
    handle.call("flush_user")
    handle.call("add_user", nvlist=dsps(small))


def test_all_programs_together_take_so_many_bytes(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opens, "USERS_BYTES_MAX", 100_000)
    heavy = element("h", string("provider", "p"), nested("provider_info", [string("s", "x" * 40_000)]))
    one, two = Handle(client, write=True), Handle(client, write=True)
    one.call("add_user", nvlist=dsps(heavy))
    two.call("add_user", nvlist=dsps(heavy))
    refused("ENOMEM", two, "add_user", nvlist=dsps(heavy))
    one.call("close")
    two.call("add_user", nvlist=dsps(heavy))


def test_all_snapshots_together_take_so_many_bytes(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = Handle(client), Handle(client)
    monkeypatch.setattr(opens, "SNAPSHOTS_BYTES_MAX", one.size() + 1)
    refused("ENOMEM", two, "get", nbytes=0)
    one.call("refresh")
    assert two.size()
    two.call("close")
    assert one.size()


def test_added_and_gone_are_logged(client: Client, logged: io.StringIO) -> None:
    handle = Handle(client, write=True)
    handle.call("add_user", nvlist=dsps(element("a", boolean("odd", True)), element("b")))
    assert "sndstat.add" in logged.getvalue() and "a b" in logged.getvalue()
    handle.call("flush_user")
    assert "sndstat.gone" in logged.getvalue()
