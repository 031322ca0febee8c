"""sndio's wire end to end, message by message and cycle by cycle, over its real socket.

The traces are sndiod's where protocol/SNDIO.md does not name a departure.  The
device: manual, 48,000 Hz, s16, blocks of 480, buffer of 1920 frames.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from audiod_protocol.sndio import messages as m
from stage import SndioActor, Stage, flat, noise, sounding, stage, steps, stopped, whole

# ---- parameters ----

OBSERVED = [  # asked -> rate, round, appbufsz, bufsz
    (m.WirePar(), 48000, 480, 1920, 3840),
    (m.WirePar(rate=44100), 44100, 441, 1764, 3528),
    (m.WirePar(rate=44100, appbufsz=1), 44100, 441, 441, 2205),
    (m.WirePar(rate=44100, appbufsz=1_000_000), 44100, 441, 40572, 42336),
    (m.WirePar(rate=8000, appbufsz=4000), 8000, 80, 1360, 1680),
    (m.WirePar(rate=1), 4000, 40, 160, 320),
    (m.WirePar(rate=500_000), 192_000, 1920, 7680, 15360),
    (m.WirePar(appbufsz=500), 48000, 480, 480, 2400),
    (m.WirePar(appbufsz=700), 48000, 480, 480, 2400),
    (m.WirePar(appbufsz=100_000), 48000, 480, 48480, 50400),
    # departures: a block is no whole number of frames here
    (m.WirePar(rate=44101), 44101, 441, 1764, 3529),
    (m.WirePar(rate=22051), 22051, 221, 884, 1769),
    (m.WirePar(rate=22051, appbufsz=1), 22051, 221, 442, 1327),
]


async def test_parameters_are_sndiods_table(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        for asked, *numbers in OBSERVED:
            c = SndioActor(st)
            c.greet()
            assert await c.say(m.Setpar(asked), m.Getpar()) == ["ACK", "GETPAR"]
            assert [c.par.rate, c.par.round, c.par.appbufsz, c.par.bufsz] == numbers
            assert await c.say(m.Bye()) == ["EOF"]
            c.close()


async def test_the_library_s_way_in(tmp_path: Path) -> None:
    """The bytes of a real program, as Debian's aucat sends them to play 44.1 kHz."""
    sent = [
        "0000000cffffffff0bcd6ccf5bf1fe5f367d39542634c295" + "ff" * 16,
        "0000000affffffff000107ff00002a1f64656661756c7400ffffffff617563617400ffffffffffff",
        "00000002ffffffffffff04180001ffff0002ffff0000ac44ffffffffffffffff00002274ffffffff",
        "00000001ffffffff" + "ff" * 32,
    ]
    async with stage(tmp_path) as st:
        c = SndioActor(st)
        assert await c.say(*map(bytes.fromhex, sent)) == ["ACK", "GETPAR"]
        assert m.encode(m.ParReply(c.par)).hex() == (
            "00000001ffffffff01000418000101ff0002ffff0000ac4400002958000001b900002274ffffffff"
        )
        assert await c.say(bytes.fromhex("00000003ffffffff" + "ff" * 32)) == ["FLOWCTL 8820"]
        assert await stopped(st, c, bytes.fromhex("00000004ffffffff01" + "ff" * 31)) == ["STOP"]
        assert await c.say(bytes.fromhex("0000000bffffffff" + "ff" * 32)) == ["EOF"]
        c.close()


@pytest.mark.parametrize("rate", [4000, 8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 192000])
async def test_the_credit_is_what_the_answer_said(tmp_path: Path, rate: int) -> None:
    async with stage(tmp_path) as st:
        c = await st.sndio(rate=rate)
        assert c.trace() == [f"FLOWCTL {c.par.appbufsz}"]


# ---- play ----


async def test_the_trace_of_a_stream(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.sndio()
        assert c.trace() == ["FLOWCTL 1920"]
        data = noise(1920 + 2 * 480)
        assert await c.play(data[:1919]) == []
        assert await steps(st, c, 3) == [[], [], []], "not full: time stands still"
        assert await c.play(data[1919:1920]) == [], "full: it joins, but nothing has passed"
        assert await steps(st, c, 4) == [["FLOWCTL 480"]] * 3 + [["MOVE 0", "FLOWCTL 480"]]
        assert await c.play(data[1920:]) == []
        assert await steps(st, c, 2) == [["MOVE 480", "FLOWCTL 480"]] * 2
        assert await stopped(st, c) == ["STOP"]
        assert await steps(st, c, 5) == [[]] * 5, "nothing follows"
        assert np.array_equal(sounding(st.played()), sounding(data))


async def test_no_move_and_no_credit_in_a_drain(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.sndio()
        data = noise(1920 + 700)
        await c.play(data[:1920])
        await st.step(2)
        await c.play(data[1920:])
        c.trace()
        assert await c.say(m.Stop(None)) == []
        assert await steps(st, c, 4) == [[], [], [], ["STOP"]]
        assert await steps(st, c, 4) == [[]] * 4
        assert np.array_equal(st.played()[: len(data)], data)


async def test_a_drain_begins_what_had_not(tmp_path: Path) -> None:
    """Less than the buffer was sent, and not a whole block at its end: heard all the same."""
    async with stage(tmp_path) as st:
        c = await st.sndio()
        data = noise(700)
        await c.play(data)
        c.trace()
        assert await c.say(m.Stop(True)) == []
        found = list(itertools.chain(*await steps(st, c, 4)))
        assert found == ["STOP"]
        assert np.array_equal(sounding(whole(st.played())), sounding(whole(data)))


async def test_flush_discards(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.sndio()
        c.trace()
        await c.play(noise(1000))
        assert await stopped(st, c, m.Stop(False)) == ["STOP"]
        assert await steps(st, c, 6) == [[]] * 6
        assert not st.played().any(), "nothing had begun"
        await c.start()
        await c.play(noise(1920))
        await st.step(1)
        c.trace()
        assert await stopped(st, c, m.Stop(False)) == ["STOP"]
        await st.step(8)
        assert len(sounding(st.played())) < 1920, "it faded out"


async def test_restart_on_the_same_connection(tmp_path: Path) -> None:
    """Positions begin at 0 again, blocks too; parameters hold, and may change."""
    async with stage(tmp_path) as st:
        c = await st.sndio(start=False)
        seen = []
        for rate in (48000, 44100, 48000):
            par = m.WirePar(rate=rate, appbufsz=4 * rate // 100)
            assert await c.say(m.Setpar(par), m.Getpar()) == ["GETPAR"]
            await c.start()
            assert c.trace() == [f"FLOWCTL {4 * rate // 100}"]
            await c.play(noise(4 * rate // 100))
            seen.append(await steps(st, c, 4))
            assert await stopped(st, c, m.Stop(False)) == ["STOP"]
        block = 480
        assert seen[0] == seen[2] == [[f"FLOWCTL {block}"]] * 3 + [["MOVE 0", f"FLOWCTL {block}"]]
        assert seen[1] == [["FLOWCTL 441"]] * 3 + [["MOVE 0", "FLOWCTL 441"]]


@pytest.mark.parametrize(("rate", "round_"), [(44100, 480), (44100, 256), (22051, 480), (48000, 256)])
async def test_rates_are_exact_over_ten_seconds(tmp_path: Path, rate: int, round_: int) -> None:
    """Deltas add up to the clock's time, and the credit to what the mixer took, at any block."""
    async with stage(tmp_path, f"-z {round_} -b {4 * round_} -f manual") as st:
        c = await st.sndio(rate=rate, appbufsz=1 << 20)
        c.trace()
        appbufsz, bufsz = c.par.appbufsz or 0, c.par.bufsz or 0
        written = moved = 0
        cycles = 48000 * 10 // round_ + 4
        done = granted = 0
        while done < cycles:
            count = c.credit - granted
            granted = c.credit
            await c.play(flat(0, count))
            written += count
            many = min(12, cycles - done)
            st.device.step(many)
            done += many
            await st.settle()
            for words in c.trace():
                if words.startswith("MOVE"):
                    moved += int(words.split()[1])
            assert 0 <= written - moved <= bufsz, "what libsndio counts on"
        assert moved == (cycles - 4) * round_ * rate // 48000
        assert abs(c.credit - appbufsz - cycles * round_ * rate / 48000) <= 1


async def test_data_in_pieces(tmp_path: Path) -> None:
    """Cut anywhere within a block, and its bytes sent one by one."""
    async with stage(tmp_path) as st:
        c = await st.sndio()
        c.trace()
        data = noise(1920)
        raw = data.astype("<i2").tobytes()
        at = 0
        for count in (1, 99, 380, 480, 100, 200, 180, 479, 1):
            piece = raw[4 * at : 4 * (at + count)]
            at += count
            head = m.encode(m.Data(len(piece)))
            if count < 100:
                for byte in head + piece:
                    c.send(bytes([byte]))
            else:
                c.send(head + piece[:7])
                await st.settle()
                c.send(piece[7:])
        assert at == 1920
        await st.settle()
        assert c.trace() == []
        await st.step(8)
        assert np.array_equal(sounding(st.played())[: len(data)], data)


async def test_a_volume_between_data_takes_effect_in_its_place(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.sndio()
        await c.play(flat(16000, 1920))
        await st.step(8)
        await c.say(m.Setvol(0))
        c.trace()
        await c.play(flat(16000, 1920))
        await st.step(8)
        assert st.played()[0, 0] == 16000 and st.played()[-1, 0] == 0


# ---- record ----


async def test_the_trace_of_a_recorder(tmp_path: Path) -> None:
    """MOVE precedes the DATA that it is about.  Departure: it records from the first block."""
    async with stage(tmp_path) as st:
        c = await st.sndio(2)
        assert c.trace() == [], "no credit"
        assert await steps(st, c, 3) == [
            ["MOVE 0", "MOVE 480", "DATA 480"],
            ["MOVE 480", "DATA 480"],
            ["MOVE 480", "DATA 480"],
        ]
        assert (await stopped(st, c))[-1] == "STOP"
        assert await steps(st, c, 3) == [[], [], []]


async def test_data_has_4096_bytes_at_most(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.sndio(2, rchan=8)
        assert (await steps(st, c, 2))[1] == ["MOVE 480", "DATA 256", "DATA 224"]


@pytest.mark.parametrize("rate", [44100, 96000, 22051])
async def test_data_never_runs_ahead_of_the_position(tmp_path: Path, rate: int) -> None:
    async with stage(tmp_path) as st:
        c = await st.sndio(2, rate=rate)
        moved = got = in_block = 0
        for words in [w for cycle in await steps(st, c, 40) for w in cycle]:
            kind, number = words.split()
            if kind == "MOVE":
                moved += int(number)
            else:
                got += int(number)
                in_block += int(number)
                assert got <= moved
                assert in_block <= (c.par.round or 0), "it does not cross the end of a block"
                in_block %= c.par.round or 0
        assert moved == 40 * 480 * rate // 48000
        assert moved - got <= 0.01 * rate, "and not far behind"


async def test_full_duplex(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.sndio(3)
        assert c.trace() == ["FLOWCTL 1920"]
        data = noise(24000)
        await c.play(data[:1900])
        assert await steps(st, c, 2) == [[], []], "what is not full to play does not record"
        assert await c.play(data[1900:1920]) == []
        assert await steps(st, c, 4) == [["FLOWCTL 480"]] * 3 + [["MOVE 0", "FLOWCTL 480"]]
        for cycle in range(30):
            assert await c.play(data[1920 + 480 * cycle : 2400 + 480 * cycle]) == []
            assert await steps(st, c, 1) == [["MOVE 480", "FLOWCTL 480", "DATA 480"]]
        assert np.array_equal(c.recorded(), data[: 30 * 480]), "recorded frame n is played frame n"


# ---- xruns ----


async def late(st: Stage, xrun: int, **more: int | bool) -> SndioActor:
    """A stream whose position is 480 and that has nothing queued any more."""
    c = await st.sndio(xrun=xrun, **more)  # type: ignore[arg-type]
    await c.play(noise(1920))
    await st.step(4)
    await c.play(noise(480, seed=2))
    await st.step()
    assert c.trace()[-2:] == ["MOVE 480", "FLOWCTL 480"]
    return c


@pytest.mark.parametrize("notify", [False, True])
async def test_ignore(tmp_path: Path, notify: bool) -> None:
    async with stage(tmp_path) as st:
        c = await late(st, 0, xrunnotify=notify)
        told = ["XRUN"] * notify
        assert await steps(st, c, 3) == [["MOVE 0", *told], ["MOVE 0"], ["MOVE 0"]]
        more = noise(480, seed=3)
        assert await c.play(more) == []
        assert await steps(st, c, 1) == [["MOVE 480", "FLOWCTL 480"]]
        assert await steps(st, c, 1) == [["MOVE 0", *told]], "the next pause"
        out = st.played()
        assert not out[5 * 480 : 8 * 480].any() and np.array_equal(out[8 * 480 : 9 * 480], more)


@pytest.mark.parametrize("notify", [False, True])
async def test_sync(tmp_path: Path, notify: bool) -> None:
    async with stage(tmp_path) as st:
        c = await late(st, 1, xrunnotify=notify)
        assert await steps(st, c, 2) == [["MOVE 480", *["XRUN"] * notify], ["MOVE 480"]]
        more = noise(1440, seed=3)
        before = c.credit
        trace = await c.play(more[:960])
        assert all(words.startswith("FLOWCTL") for words in trace)
        assert c.credit - before == 960, "too late: discarded, and credited at once"
        await c.play(more[960:])
        assert await steps(st, c, 1) == [["MOVE 480", "FLOWCTL 480"]]
        out = st.played()
        assert not out[5 * 480 : 7 * 480].any(), "silence where it was late"
        assert np.array_equal(out[7 * 480 : 8 * 480], more[960:]), "then what belongs at this time"


@pytest.mark.parametrize("notify", [False, True])
async def test_error(tmp_path: Path, notify: bool) -> None:
    async with stage(tmp_path) as st:
        other = await st.sndio(start=False)
        c = await late(st, 2, xrunnotify=notify)
        (trace,) = await steps(st, c, 1)
        assert trace == ["EOF"], "without a word"
        assert await other.say(m.Getpar()) == ["GETPAR"]
        assert len(st.dispatch.core.streams) == 1


# ---- volume ----


async def test_volumes_are_shared_by_the_program(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        one, two, other = [await st.sndio(who=who) for who in ("mpv", "MPV-2", "aucat")]
        for actor in (one, two, other):
            assert actor.trace() == ["FLOWCTL 1920"]
        assert await one.say(m.Setvol(40)) == []
        assert two.trace() == ["SETVOL 40"]
        assert other.trace() == []
        third = await st.sndio(who="mpv")
        assert third.trace() == ["FLOWCTL 1920", "SETVOL 40"]
        native = await st.client()
        await native.ask("control.set", name="app/mpv.level", value=90)
        assert [actor.trace() for actor in (one, two, third)] == [["SETVOL 90"]] * 3
        assert await stopped(st, two) == ["STOP"]
        await native.ask("control.set", name="app/mpv.level", value=91)
        assert two.trace() == [], "silent where it is not started"


# ---- where ----


async def test_sub_devices(tmp_path: Path) -> None:
    async with stage(tmp_path, "-f manual -c 0:3 -s wide -c 2:3 -s rear") as st:
        rear = await st.sndio(opt="rear", devnum=0)
        await rear.play(flat(5, 1920))
        await st.step(4)
        assert st.played()[:480].tolist() == [[0, 0, 5, 5]] * 480
        for opt, devnum in (("rear", 1), ("none", 255), ("default", 1)):
            c = SndioActor(st)
            c.greet(opt=opt, devnum=devnum)
            await st.settle()
            assert c.trace() == ["EOF"]
            c.close()


async def test_a_monitor(tmp_path: Path) -> None:
    async with stage(tmp_path, "-f manual -m play,mon -s mon") as st:
        listener, player = await st.sndio(2, "mon"), await st.sndio()
        data = noise(4800)
        await player.play(data[:1920])
        at = 1920
        for _ in range(6):
            await st.step()
            await player.play(data[at : at + 480])
            at += 480
            listener.trace()
        heard = sounding(listener.recorded())
        assert len(heard) and np.array_equal(heard, sounding(data)[: len(heard)])


async def test_it_shows_like_any_other(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.sndio(who="mpv", rate=44100)
        native = await st.client()
        (row,) = (await native.ask("streams"))["streams"]
        assert (row["name"], row["wire"], row["stream"], row["state"]) == ("mpv", "sndio", 0, "priming")
        await c.play(flat(0, 1764))
        await st.step()
        await c.play(flat(0, 441))
        await st.step(4)
        (row,) = (await native.ask("streams"))["streams"]
        assert (row["state"], row["rate"], row["position"]) == ("running", 44100, 441)
