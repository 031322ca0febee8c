"""What a client is told of its stream, message by message and cycle by cycle, over a real socket.

The numbers in the names are the items of the list in docs/developing.md.  The
traces are sndiod's where a test does not name a departure of docs/adr/0002.  The
device: manual, 48,000 Hz, s16, blocks of 480, buffer of 1920 frames.
"""

from pathlib import Path

import numpy as np
import pytest
from native import Refused
from stage import Actor, Stage, flat, noise, play_out, sounding, stage, steps, whole

# ---- 7: positions ----


async def test_7_the_trace_of_a_stream(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.client()
        n = await c.open(start=False)
        c.request("start", stream=n)
        await st.settle()
        assert c.trace() == ["start answered", "credit 1920"]
        data = noise(1920 + 2 * 480)
        c.play(n, data[:1919])
        await st.settle()
        assert await steps(st, c, 3) == [[], [], []], "not full: time stands still"
        c.play(n, data[1919:1920])
        await st.settle()
        assert c.trace() == [], "full: it joins, but nothing has passed"
        assert await steps(st, c, 4) == [["credit 480"]] * 3 + [["onmove 0 0", "credit 480"]]
        c.play(n, data[1920:])
        await st.settle()
        assert await steps(st, c, 2) == [["onmove 480 480", "credit 480"], ["onmove 480 960", "credit 480"]]
        c.request("stop", stream=n)
        assert await steps(st, c, 1) == [["stop answered"]], "all was mixed already: an empty cycle"
        assert await steps(st, c, 5) == [[]] * 5, "nothing follows the answer"
        assert np.array_equal(sounding(st.played()), sounding(data))


async def test_7_no_move_and_no_credit_in_a_drain(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.client()
        n = await c.open()
        c.play(n, noise(1920))
        await st.settle()
        await st.step(2)
        c.play(n, noise(700))
        c.trace()
        c.request("stop", stream=n)
        await st.settle()
        assert await steps(st, c, 4) == [[], [], [], ["stop answered"]]
        assert await steps(st, c, 4) == [[]] * 4


async def test_7_a_second_stream_is_heard_a_buffer_after_it_joined(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c, d = await st.client("first"), await st.client("second")
        n = await c.open(appbufsz=9600)
        c.play(n, noise(9600))
        await st.settle()
        await st.step(7)
        m = await d.open(rate=44100)
        d.trace()
        d.play(m, np.zeros((1764, 2)))
        await st.settle()
        found = await steps(st, d, 4)
        assert found == [["credit 441"]] * 3 + [["onmove 0 0", "credit 441"]]


@pytest.mark.parametrize(("rate", "round_"), [(44100, 480), (44100, 256), (22051, 480)])
async def test_7_sums_are_exact_over_ten_seconds(tmp_path: Path, rate: int, round_: int) -> None:
    """Deltas add up to the position, this to the clock, and the credit to what the mixer took."""
    async with stage(tmp_path, f"-z {round_} -b {4 * round_} -f manual") as st:
        c = await st.client()
        n = await c.open(rate=rate, appbufsz=1 << 20)
        c.trace()
        appbufsz = c.credit[n]
        silence = bytes(4 * appbufsz)
        position = written = moved = 0
        cycles = 48000 * 10 // round_ + 4
        done = 0
        while done < cycles:
            if c.credit[n]:
                c.write(n, silence[: 4 * c.credit[n]])
                written += c.credit[n]
                c.credit[n] = 0
            await st.settle()
            many = min(12, cycles - done)
            st.device.step(many)
            done += many
            await st.settle()
            for words in c.trace():
                if words.startswith("onmove"):
                    delta, position = map(int, words.split()[1:])
                    moved += delta
                    assert moved == position and delta >= 0
            assert 0 <= written - position <= appbufsz + 4 * round_ * rate // 48000 + 1
        assert position == (cycles - 4) * round_ * rate // 48000
        taken = written + c.credit[n] - appbufsz
        assert abs(taken - cycles * round_ * rate / 48000) <= 1


# ---- 8, 11: recording ----


async def test_8_the_trace_of_a_recorder(tmp_path: Path) -> None:
    """Departure: it records from the first block, not after bufsz."""
    async with stage(tmp_path) as st:
        c = await st.client()
        n = await c.open("rec", start=False)
        c.request("start", stream=n)
        await st.settle()
        assert c.trace() == ["start answered"], "no credit for what only records"
        assert await steps(st, c, 3) == [
            ["onmove 0 0", "onmove 480 480", "data 480"],
            ["onmove 480 960", "data 480"],
            ["onmove 480 1440", "data 480"],
        ]
        c.request("stop", stream=n)
        await st.step()
        assert c.trace() == ["stop answered"]
        assert await steps(st, c, 3) == [[], [], []]


@pytest.mark.parametrize("rate", [48000, 44100, 96000])
async def test_8_data_never_runs_ahead_of_the_position(tmp_path: Path, rate: int) -> None:
    async with stage(tmp_path) as st:
        c = await st.client()
        await c.open("rec", rate=rate)
        position = got = 0
        for words in [w for cycle in await steps(st, c, 40) for w in cycle]:
            kind, *numbers = words.split()
            if kind == "onmove":
                position = int(numbers[1])
            if kind == "data":
                got += int(numbers[0])
                assert got <= position
        assert position == 40 * 480 * rate // 48000
        assert position - got <= 0.01 * rate, "and not far behind"


async def test_11_the_trace_of_full_duplex_and_its_frames(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.client()
        n = await c.open("play,rec")
        c.trace()
        data = noise(24000)
        c.play(n, data[:1900])
        await st.settle()
        assert await steps(st, c, 2) == [[], []], "what is not full to play does not record"
        c.play(n, data[1900:1920])
        await st.settle()
        assert await steps(st, c, 4) == [["credit 480"]] * 3 + [["onmove 0 0", "credit 480"]]
        at = 1920
        for cycle in range(30):
            c.play(n, data[at : at + 480])
            at += 480
            await st.settle()
            position = (cycle + 1) * 480
            want = [f"onmove 480 {position}", "credit 480", "data 480"]
            assert await steps(st, c, 1) == [want]
        assert np.array_equal(c.recorded(n), data[: len(c.recorded(n))])
        assert len(c.recorded(n)) == 30 * 480


async def test_11_duplex_joins_a_device_that_runs(tmp_path: Path) -> None:
    """Recorded frame n is played frame n, although others have been playing before."""
    async with stage(tmp_path) as st:
        bed, c = await st.client("bed"), await st.client("duplex")
        m = await bed.open(appbufsz=24000)
        bed.play(m, flat(0, 24000))
        await st.settle()
        await st.step(7)
        n = await c.open("play,rec", appbufsz=9600)
        data = noise(9600)
        c.play(n, data)
        await st.settle()
        await st.step(20)
        c.trace()
        got = c.recorded(n)
        assert len(got) > 7000 and np.array_equal(got, data[: len(got)])


# ---- 9: xruns ----


async def late(st: Stage, c: Actor, xrun: str, mode: str = "play") -> int:
    """A stream whose position is 480 and that has nothing queued any more."""
    n = await c.open(mode, xrun=xrun)
    c.play(n, noise(1920))
    await st.settle()
    await st.step(4)
    c.play(n, noise(480, seed=2))
    await st.settle()
    await st.step()
    assert c.trace()[-1] in ("credit 480", "data 480")
    return n


async def test_9_ignore(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.client()
        n = await late(st, c, "ignore")
        assert await steps(st, c, 3) == [["onmove 0 480", "onxrun play"], ["onmove 0 480"], ["onmove 0 480"]]
        more = noise(480, seed=3)
        c.play(n, more)
        await st.settle()
        assert c.trace() == []
        assert await steps(st, c, 1) == [["onmove 480 960", "credit 480"]]
        assert await steps(st, c, 1) == [["onmove 0 960", "onxrun play"]], "the next pause"
        out = st.played()
        assert not out[5 * 480 : 8 * 480].any() and np.array_equal(out[8 * 480 : 9 * 480], more)


async def test_9_ignore_needs_what_this_cycle_takes(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.client()
        n = await late(st, c, "ignore")
        c.play(n, noise(479))
        await st.settle()
        assert await steps(st, c, 1) == [["onmove 0 480", "onxrun play"]]
        c.play(n, noise(1))
        await st.settle()
        assert await steps(st, c, 1) == [["onmove 480 960", "credit 480"]]


async def test_9_sync(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.client()
        n = await late(st, c, "sync")
        assert await steps(st, c, 2) == [["onmove 480 960", "onxrun play"], ["onmove 480 1440"]]
        more = noise(1440, seed=3)
        c.play(n, more[:960])
        await st.settle()
        trace = c.trace()
        assert all(w.startswith("credit") for w in trace)
        assert sum(int(w.split()[1]) for w in trace) == 960, "too late: discarded, and credited at once"
        c.play(n, more[960:])
        await st.settle()
        assert await steps(st, c, 1) == [["onmove 480 1920", "credit 480"]]
        out = st.played()
        assert not out[5 * 480 : 7 * 480].any(), "silence where it was late"
        assert np.array_equal(out[7 * 480 : 8 * 480], more[960:]), "then what belongs at this time"


async def test_9_sync_skips_frames_not_blocks(tmp_path: Path) -> None:
    """Departure: 100 frames are queued, 380 of the first cycle and 480 of the next are missed."""
    async with stage(tmp_path) as st:
        c = await st.client()
        n = await late(st, c, "sync")
        data = noise(1440, seed=3)
        c.play(n, data[:100])
        await st.settle()
        await st.step(2)
        c.trace()
        c.play(n, data[100:])
        await st.settle()
        await st.step()
        assert np.array_equal(st.played()[7 * 480 : 8 * 480], data[960:])


async def test_9_error(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.client()
        n = await late(st, c, "error")
        (trace,) = await steps(st, c, 1)
        assert [w for w in trace if not w.startswith("onxrun")] == ["onstate closed EPIPE"]
        c.play(n, noise(480))  # under way when it died: ignored
        for method in ("getpar", "start", "stop", "setvol"):
            with pytest.raises(Refused) as refused:
                await c.ask(method, stream=n, **({"vol": 3} if method == "setvol" else {}))
            assert refused.value.code == "EPIPE"
        assert await c.ask("close", stream=n) == {"stream": n}
        assert await steps(st, c, 3) == [[], [], []]
        assert await c.open() == n, "the number is free again"


async def test_9_error_drains_without_harm(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.client()
        n = await c.open(xrun="error")
        c.trace()
        data = noise(1234)
        await play_out(st, c, n, data)
        assert np.array_equal(st.played()[:1440], whole(data))


async def test_9_rec_ignore_when_nobody_reads(tmp_path: Path) -> None:
    """The pump holds data back for a peer that does not read; then the buffer of appbufsz runs over."""
    async with stage(tmp_path) as st:
        c = await st.client()
        n = await c.open("rec", rchan=16, rate=192000, enc="s32le")
        for _ in range(100):
            st.device.step(1)
            await st.settle()
        (row,) = (await (await st.client("look")).ask("streams"))["streams"]
        assert row["xruns"] == 1 and row["state"] == "running"
        trace = c.trace()
        assert "onxrun rec" in trace or "onxrun rec" in (await steps(st, c, 2))[0]
        await steps(st, c, 4)
        before = len(c.recorded(n))
        await steps(st, c, 4)
        assert len(c.recorded(n)) == before + 4 * 1920, "it goes on"
