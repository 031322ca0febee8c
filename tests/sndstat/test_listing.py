"""Listings of a server: devices, their channels and those of streams, as they come, change and go."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from audiod_protocol.nvlist import pack
from house import ME, Client, House
from sndstat.handles import Handle

from audiod.cards.inventory import Card, Endpoint, Inventory, Side
from audiod.engine import DeviceStats
from audiod.sndstat import channel, schema
from audiod.sndstat.listing import Listing

OWN = ["pcm0:play:dsp0.p0", "pcm0:record:dsp0.r0"]


def channels(client: Client, number: int = 0) -> list[dict[str, Any]]:
    handle = Handle(client)
    found: list[dict[str, Any]] = handle.rows()[number]["provider_info"]["channel_info"]
    handle.call("close")
    return found


def names(client: Client, number: int = 0) -> list[str]:
    found = channels(client, number)
    assert [one["unit"] for one in found] == list(range(len(found)))
    return [one["name"] for one in found]


def test_channels_come_and_go_with_streams(house: House, client: Client) -> None:
    assert names(client) == OWN
    first, second = client.open(), client.open("play,rec")
    client.open("mon", device="1")
    play, both = "pcm0:virtual_play:dsp0.vp", "pcm0:virtual_record:dsp0.vr0"
    assert names(client) == [*OWN, f"{play}0", f"{play}1", both]
    assert names(client, 1)[2:] == ["pcm1:virtual_record:dsp1.vr0"]
    client.call("close", stream=first)
    assert names(client) == [*OWN, f"{play}1", both], "the others keep their numbers"
    client.open()
    assert names(client) == [*OWN, f"{play}1", both, f"{play}0"], "the lowest that is free"
    client.call("close", stream=second)
    row = Handle(client).rows()[0]["provider_info"]
    assert (row["pvchan"], row["rvchan"]) == (1, 0)


def test_a_stream_that_moves(house: House, client: Client) -> None:
    client.open()
    client.open()
    assert len(names(client)) == 4
    ident = client.call("streams")["streams"][0]["id"]
    client.call("stream.move", id=ident, device="1")
    assert names(client)[2:] == ["pcm0:virtual_play:dsp0.vp1"]
    assert names(client, 1)[2:] == ["pcm1:virtual_play:dsp1.vp0"]
    assert channels(client, 1)[2]["parentchan"] == "pcm1:play:dsp1.p0"


def test_a_device_that_is_closed_has_no_buffer_and_no_user(client: Client) -> None:
    own, _ = channels(client)
    assert (own["pid"], own["comm"], own["hwbuf_size"], own["swbuf_size"]) == (2**64 - 1, "<UNUSED>", 0, 0)
    client.open()
    own = channels(client)[0]
    assert own["pid"] == os.getpid() and own["comm"] == Path("/proc/self/comm").read_text().strip()
    assert (own["hwbuf_size"], own["hwbuf_blksz"], own["hwbuf_blkcnt"]) == (7680, 1920, 4)
    assert own["hwbuf_free"] == 7680 and own["caps"] == 0x23200 and own["latency"] == 3


def test_who_uses_it(house: House) -> None:
    for peer, comm in (
        (replace(ME, pid=os.getpid()), Path("/proc/self/comm").read_text().strip()),
        (replace(ME, pid=2**30), "<UNKNOWN>"),
    ):
        client = house.connect(peer)
        client.open()
        assert channels(client)[-1]["comm"] == comm
        assert channels(client)[-1]["pid"] == peer.pid
    remote = house.connect(replace(ME, uid=None, pid=None))
    remote.open()
    assert channels(remote)[-1]["comm"] == "<UNKNOWN>"
    assert channels(remote)[-1]["pid"] == 2**64 - 1, "nobody vouches for it"


def test_volumes(client: Client) -> None:
    stream = client.open(start=True)
    client.call("setvol", stream=stream, vol=57)
    mine = channels(client)[-1]
    assert (mine["left_volume"], mine["right_volume"]) == (45, 45)
    assert "feeder_volume(0x10200000)" in mine["feederchain"]
    client.call("control.set", name="app/test.mute", value=1)
    assert channels(client)[-1]["left_volume"] == 0
    client.call("control.set", name="app/test.mute", value=0)
    client.call("setvol", stream=stream, vol=127)
    assert "feeder_volume" not in channels(client)[-1]["feederchain"]
    client.call("control.set", name="output.level", value=64)
    own, rec, mine = channels(client)
    assert (own["left_volume"], rec["left_volume"]) == (50, 100)
    assert "feeder_volume" in mine["feederchain"], "the device's level is applied to each stream"


def test_parameters(client: Client) -> None:
    stream = client.open()
    client.call("setpar", stream=stream, par={"enc": "s16le", "rate": 44100, "pchan": 1, "appbufsz": 882})
    mine = channels(client)[-1]
    assert (mine["format"], mine["rate"], mine["latency"]) == (0x00100010, 44100, 2)
    assert (mine["swbuf_size"], mine["swbuf_blksz"], mine["swbuf_blkcnt"]) == (1764, 882, 2)
    assert (mine["hwbuf_format"], mine["hwbuf_rate"], mine["hwbuf_size"]) == (0x00200010, 48000, 0)
    assert all(mine[f"{which}_fmt"] == mine[f"{which}_format"] for which in ("hwbuf", "swbuf"))


def test_what_waits_in_a_stream(house: House, client: Client) -> None:
    stream = client.open(start=True)
    client.call("setvol", stream=stream, vol=127)
    house.engine.streams[-1].written = 100
    mine = channels(client)[-1]
    assert (mine["swbuf_ready"], mine["swbuf_free"]) == (100 * 8, mine["swbuf_size"] - 800)


def test_a_running_device(house: House, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.open(start=True)
    house.device.run()
    house.settle()
    stats = DeviceStats(77, 0, 3, 0, 0, 0, True, 1)
    monkeypatch.setattr(type(house.device), "stats", lambda self: stats)
    own, rec, _ = channels(client)
    assert (own["interrupts"], own["feedcount"], own["xruns"]) == (77, 77, 3)
    assert (own["hwbuf_ready"], own["hwbuf_free"]) == (7680, 0), "each cycle fills it"
    assert (rec["hwbuf_ready"], rec["hwbuf_free"]) == (0, 7680)
    monkeypatch.undo()


def test_what_cannot_play() -> None:
    house = House("-m rec -f null")
    try:
        client = house.connect()
        (row,) = Handle(client).rows()
        assert (row["pchan"], row["rchan"]) == (0, 1) and "info_play" not in row and "pfmts" not in row
        client.open("play,rec")
        found = channels(client)
        assert [one["parentchan"] for one in found] == ["", "", "pcm0:record:dsp0.r0"]
        assert found[1]["feederchain"].endswith("-> nowhere]")
    finally:
        house.close()


def test_cards_by_name() -> None:
    house = House("-f alsa:hw:CARD=DAC,DEV=0 -f alsa:@usb:1:2@3")
    try:
        card = Card(1, "DAC", "USB DAC", "usb:1:2@3", bus="usb")
        one = Endpoint("hw:CARD=DAC,DEV=0", "USB DAC, Audio", card.identity, 0, raw=True, play=Side())
        house.dispatch.cards.inventory = Inventory((card,), (one,))
        rows = Handle(house.connect()).rows()
        assert [row["desc"] for row in rows] == ["USB DAC, Audio", "USB DAC"]
        assert rows[0]["provider_info"]["status"] == "at alsa hw:CARD=DAC,DEV=0"
        house.dispatch.cards.inventory = Inventory()
        assert Handle(house.connect()).rows()[1]["desc"] == "alsa @usb:1:2@3"
    finally:
        house.close()


def test_the_configuration_has_a_say() -> None:
    text = "[[device]]\nspec='null'\n[sndstat]\nprovider='audiod'\nfeederchain='name'\nstrict=true\n"
    house = House("", text=text)
    try:
        client = house.connect()
        client.open()
        handle = Handle(client, write=True)
        (row,) = handle.rows()
        assert row["provider"] == "audiod"
        chain = row["provider_info"]["channel_info"][0]["feederchain"]
        assert "feeder_format(f32le:2.0 -> s16le:2.0)" in chain
        draft = [{"devnode": "x", "desc": "", "pchan": 1, "rchan": 0}]
        with pytest.raises(Exception, match="neither info_play"):
            handle.call("add_user", dsps=draft)
        assert handle.call("add_user", dsps=draft, strict=False)["devices"] == 1
    finally:
        house.close()


def test_what_is_kept_is_never_old(house: House, client: Client) -> None:
    """After anything that happens to streams, a listing is that of one that knows nothing yet."""
    rng = random.Random(3)
    opens = house.dispatch.opens
    listing = opens._listing
    streams: list[int] = []
    for _ in range(150):
        what = rng.randrange(6)
        if what == 0 or not streams:
            streams.append(
                client.open(rng.choice(["play", "rec", "play,rec", "mon"]), device=rng.choice("01"))
            )
        elif what == 1:
            client.call("close", stream=streams.pop(rng.randrange(len(streams))))
        elif what == 2:
            client.call("setvol", stream=rng.choice(streams), vol=rng.randrange(128))
        elif what == 3:
            par = {"enc": rng.choice(["s16le", "f32le", "f64le"]), "rate": rng.choice([44100, 48000])}
            client.call("setpar", stream=rng.choice(streams), par=par)
        elif what == 4:
            name = rng.choice(["output.level", "input.level", "output.mute"])
            client.call("control.set", name=name, value=rng.randrange(2), device=rng.randrange(2))
        else:
            ident = rng.choice(client.call("streams")["streams"])["id"]
            client.call("stream.move", id=ident, device=rng.choice("01"))
        dispatch = house.dispatch
        new = Listing(dispatch.core, dispatch.devices, dispatch.cards, dispatch.settings, dispatch._handles)
        for ident, known in listing._known.items():  # but for the numbers, which are remembered
            if ident in dispatch.core.streams:
                stream = dispatch.core.streams[ident]
                fresh = new._known[ident] = type(known)(stream, known.comm)
                for old, one in zip(known.channels, fresh.channels, strict=True):
                    one.place, one.number = old.place, old.number
        new._free = {key: list(heap) for key, heap in listing._free.items()}
        new._next = dict(listing._next)
        took = listing.take()
        assert took == new.take()
        assert pack(schema.tree(took, "final"))


def test_numbers_are_each_ones_own(house: House, client: Client) -> None:
    streams = [client.open("play,rec") for _ in range(20)]
    rng = random.Random(5)
    for _ in range(60):
        found = names(client)
        assert len(set(found)) == len(found)
        client.call("close", stream=streams.pop(rng.randrange(len(streams))))
        streams.append(client.open("play,rec"))
        numbers = sorted(int(name.rpartition(".vp")[2]) for name in names(client) if ".vp" in name)
        assert numbers == list(range(20))


def test_a_command_that_is_no_text(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(channel, "PROC", tmp_path)
    (tmp_path / "7").mkdir()
    (tmp_path / "7/comm").write_bytes(b"a\xffb\n")
    (tmp_path / "8").mkdir()
    (tmp_path / "8/comm").write_bytes(b"x" * 40 + b"\n")
    (tmp_path / "9").mkdir()
    (tmp_path / "9/comm").write_bytes(b"\n")
    assert [channel.comm_of(pid) for pid in (7, 8, 9, 10)] == ["a\ufffdb", "x" * 19, "<UNKNOWN>", "<UNKNOWN>"]
