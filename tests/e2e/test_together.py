"""What streams are to each other, over real sockets: monitors, sub-devices, many, linked, gone.

The numbers in the names are the items of the list in docs/developing.md.  The
device: manual, 48,000 Hz, s16, blocks of 480, buffer of 1920 frames.
"""

from pathlib import Path

import numpy as np
import pytest
from stage import flat, noise, sounding, stage, steps

# ---- 12: monitoring; what a sub-device lacks ----


async def test_12_a_monitor_is_aligned_with_what_is_played(tmp_path: Path) -> None:
    async with stage(tmp_path, "-f manual -m play,mon -s mon -m play,rec -s default") as st:
        c, ear = await st.client("player"), await st.client("ear")
        n = await c.open("play,rec", device="mon", appbufsz=9600)
        m = await ear.open("rec", device="mon")
        data = noise(9600)
        c.play(n, data)
        await st.settle()
        await st.step(16)
        c.trace(), ear.trace()
        got = c.recorded(n)
        assert len(got) > 5000 and np.array_equal(got, data[: len(got)]), "its own playback included"
        heard = sounding(ear.recorded(m))
        assert len(heard) > 5000 and np.array_equal(heard, data[: len(heard)])


async def test_12_a_monitor_hears_the_mix_and_master(tmp_path: Path) -> None:
    async with stage(tmp_path, "-f manual -m mon -s ear -m play,rec -s default") as st:
        c = await st.client()
        ear = await c.open("rec", device="ear")
        await c.ask("control.set", name="output.level", value=109)
        await st.step(2)
        for _ in range(2):
            c.play(await c.open(appbufsz=4800), flat(10000, 4800))
        await st.settle()
        await st.step(14)
        c.trace()
        assert np.all(sounding(c.recorded(ear)) == 10000)


async def test_a_direction_that_is_not_offered_is_silent(tmp_path: Path) -> None:
    async with stage(tmp_path, "-f manual -m rec -s in -m play -s out -m play,rec -s default") as st:
        c = await st.client()
        bed = await c.open(appbufsz=9600)
        c.play(bed, flat(5000, 9600))
        deaf = await c.open("play,rec", device="out", appbufsz=4800)
        mute = await c.open("play", device="in", appbufsz=4800)
        c.play(deaf, flat(1000, 4800))
        c.play(mute, flat(100, 4800))
        await st.settle()
        await st.step(10)
        c.trace()
        assert np.all(st.played()[:4800] == 6000), "what `in` was given is discarded"
        assert len(c.recorded(deaf)) > 2000 and not c.recorded(deaf).any()
        assert c.credit[mute] == 4800 + 4800, "and consumed"


async def test_subdevices_have_their_own_channels(tmp_path: Path) -> None:
    async with stage(tmp_path, "-f manual -c 2:3 -C 2:3 -s rear -c 0:1 -C 0:1 -s default") as st:
        c = await st.client()
        front, rear = noise(4800), noise(4800, seed=2)
        a = await c.open(device="default", appbufsz=4800)
        b = await c.open(device="snd/rear", appbufsz=4800)
        ear = await c.open("rec", device="rear")
        c.play(a, front)
        c.play(b, rear)
        await st.settle()
        await st.step(14)
        c.trace()
        assert np.array_equal(st.played()[:4800], np.hstack([front, rear]))
        heard = sounding(c.recorded(ear))
        assert np.array_equal(heard, rear[: len(heard)]) and len(heard) > 4000


# ---- 18: many ----


async def test_18_more_connections_than_sndiod_has(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        data = [noise(960, seed=i, scale=1 / 64) for i in range(40)]
        actors = [await st.client(f"c{i}") for i in range(40)]
        for actor, frames in zip(actors, data, strict=True):
            n = await actor.open(appbufsz=960)
            actor.play(n, frames)
        await st.settle()
        await st.step(2)
        assert np.array_equal(st.played(), sum(data))
        for actor in actors:
            assert actor.trace() == ["credit 960", "credit 480", "credit 480"]


async def test_18_many_streams_of_one_connection(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.client()
        data = [noise(960, seed=i, scale=1 / 128) for i in range(100)]
        numbers = [await c.open(appbufsz=960) for _ in data]
        assert numbers == list(range(100))
        for n, frames in zip(numbers, data, strict=True):
            c.play(n, frames)
        await st.settle()
        await st.step(2)
        assert np.array_equal(st.played(), sum(data))
        for n in numbers[10:20]:
            c.request("flush", stream=n)
            c.request("close", stream=n)
        await st.step(2)
        assert [await c.open(start=False) for _ in range(3)] == [10, 11, 12], "the lowest that is free"


# ---- 19: link groups ----


async def test_19_streams_of_a_link_group_start_in_one_cycle(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        one, two = await st.client("one"), await st.client("two")
        a, b = await one.open(link="duet", appbufsz=4800), await two.open(link="duet", appbufsz=4800)
        one.trace(), two.trace()
        x, y = noise(4800, scale=0.4), noise(4800, seed=2, scale=0.4)
        one.play(a, x)
        await st.settle()
        assert await steps(st, one, 3) == [[], [], []], "it waits for the other"
        two.play(b, y)
        await st.settle()
        await st.step(6)
        want = ["credit 480"] * 3 + ["onmove 0 0", "credit 480", "onmove 480 480", "credit 480"]
        assert one.trace()[: len(want)] == want
        assert two.trace()[: len(want)] == want
        await st.step(5)
        assert np.array_equal(st.played()[:4800], x + y)


async def test_19_a_member_that_goes_is_not_waited_for(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        one, two = await st.client("one"), await st.client("two")
        a = await one.open(link="duet")
        await two.open(link="duet")
        data = noise(1920)
        one.play(a, data)
        await st.settle()
        await st.step(2)
        assert not st.played().any()
        two.close()
        await st.settle()
        await st.step(5)
        assert np.array_equal(st.played()[:1920], data)


# ---- 20: others' ends ----


@pytest.mark.parametrize("end", ["mid-message", "mid-frame", "quiet", "garbage", "beyond credit"])
async def test_20_a_client_that_vanishes_disturbs_nobody(tmp_path: Path, end: str) -> None:
    """The other's channels hold its frames and nothing else; the one that went fades out."""
    async with stage(tmp_path, "-f manual -c 2:3 -s rear -c 0:1 -s default") as st:
        c, guest = await st.client(), await st.client("guest")
        data = noise(4800)
        n, m = await c.open(appbufsz=4800), await guest.open(device="rear", appbufsz=4800)
        c.play(n, data)
        guest.play(m, flat(20000, 4800))
        await st.settle()
        await st.step(3)
        if end == "mid-message":
            guest.send(b"\x93\x02\xa5write\x92\x00\xc5\x10\x00" + bytes(100))
        elif end == "mid-frame":
            guest.note("write", m, bytes(4 * 480 - 1))
        elif end == "garbage":
            guest.send(b"\xc1\xc1\xc1")
        elif end == "beyond credit":
            guest.play(m, flat(1, 4800))
        if end in ("mid-frame", "garbage", "beyond credit"):
            await st.settle()
            guest.messages()
            errors = [x[2][0] for x in guest.seen if x[:2] == [2, "error"]]
            assert [e["code"] for e in errors] == ["EPROTO"] and guest.eof
            assert guest.seen[-1][1] == "error", "the last word"
        guest.close()
        await st.settle()
        await st.step(8)
        out = st.played().astype(int)
        assert np.array_equal(out[:4800, :2], data)
        assert np.all(out[:1440, 2:] == 20000) and not out[1440 + 480 :, 2:].any()
        assert np.max(np.abs(np.diff(out[:, 2]))) < 70
        rows = (await c.ask("streams"))["streams"]
        assert [r["name"] for r in rows] == ["test"]
        assert st.device.stats().xruns == 0
