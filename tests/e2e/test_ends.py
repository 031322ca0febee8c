"""How a stream ends, and begins again, over a real socket: stop, flush, close.

The numbers in the names are the items of the list in docs/developing.md.  The
device: manual, 48,000 Hz, s16, blocks of 480, buffer of 1920 frames.
"""

from pathlib import Path

import numpy as np
import pytest
from native import Refused
from stage import flat, noise, play_out, sounding, stage, steps, whole

# ---- 10: ends ----


async def test_10_a_drain_plays_half_a_buffer(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.client()
        n = await c.open()
        c.trace()
        data = noise(700)
        c.play(n, data)
        c.request("stop", stream=n)
        await st.settle()
        assert c.trace() == []
        assert await steps(st, c, 2) == [[], ["stop answered"]]
        assert np.array_equal(st.played(), whole(data))


async def test_10_a_flush_does_not(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.client()
        n = await c.open()
        c.play(n, flat(20000, 1920))
        await st.settle()
        await st.step(1)
        c.trace()
        c.request("flush", stream=n)
        await st.settle()
        assert await steps(st, c, 2) in ([["flush answered"], []], [[], ["flush answered"]])
        await st.step(2)
        out = st.played()[:, 0].astype(int)
        assert np.all(out[:480] == 20000) and not out[960:].any()
        assert np.max(np.abs(np.diff(out[:961]))) < 70, "faded, not cut"


async def test_10_flush_before_it_began(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.client()
        n = await c.open()
        c.trace()
        c.play(n, noise(700))
        c.request("flush", stream=n)
        await st.step()
        assert c.trace() == ["flush answered"]
        await st.step(3)
        assert not st.played().any()


async def test_10_stop_of_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.client()
        n = await c.open()
        c.trace()
        c.request("stop", stream=n)
        await st.step(2)
        assert c.trace() == ["stop answered"]


async def test_10_a_flush_cuts_a_drain_short_and_both_are_answered(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.client()
        n = await c.open(appbufsz=9600)
        c.play(n, noise(9600))
        await st.settle()
        await st.step(2)
        c.trace()
        c.request("stop", stream=n)
        await st.step(2)
        assert c.trace() == []
        c.request("flush", stream=n)
        await st.step(2)
        assert c.trace() == ["stop answered", "flush answered"]


async def test_10_close_drains(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.client()
        n = await c.open()
        c.trace()
        data = noise(1000)
        c.play(n, data)
        c.request("close", stream=n)
        await st.settle()
        assert await steps(st, c, 4) == [[], [], ["close answered"], []]
        assert np.array_equal(st.played()[:1440], whole(data))
        with pytest.raises(Refused) as refused:
            await c.ask("getpar", stream=n)
        assert refused.value.code == "EBADF"


async def test_10_again_after_a_stop_from_zero_with_other_parameters(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.client()
        n = await c.open()
        c.play(n, noise(1920))
        await st.settle()
        with pytest.raises(Refused) as refused:
            await c.ask("setpar", stream=n, par={"rate": 8000})
        assert refused.value.code == "EBUSY"
        await st.step(8)
        c.request("stop", stream=n)
        await st.step(6)
        assert c.trace()[-1] == "stop answered"
        par = (await c.ask("setpar", stream=n, par={"appbufsz": 2400}))["par"]
        assert (par["enc"], par["appbufsz"]) == ("s16le", 2400), "the others are kept"
        c.request("start", stream=n)
        await st.settle()
        assert c.trace() == ["start answered", "credit 2400"], "credit begins anew"
        data = noise(2400, seed=5)
        c.play(n, data)
        await st.settle()
        assert await steps(st, c, 4) == [["credit 480"]] * 3 + [["onmove 0 0", "credit 480"]], "position too"
        await st.step()
        assert np.array_equal(sounding(st.played())[-2400:], data)


async def test_10_start_right_behind_stop(tmp_path: Path) -> None:
    """All sent at once: taken in order, whatever has to wait waits."""
    async with stage(tmp_path) as st:
        c = await st.client()
        n = await c.open()
        c.trace()
        first, second = noise(500), noise(480, seed=4)
        c.play(n, first)
        for method in ("stop", "getpar", "start"):
            c.request(method, stream=n)
        await st.settle()
        assert c.trace() == ["getpar answered", "start refused EBUSY"], "it still drains"
        await st.step(2)
        assert c.trace() == ["stop answered"]
        c.request("start", stream=n)
        await st.settle()
        assert c.trace() == ["start answered", "credit 1920"]
        await play_out(st, c, n, second)
        assert np.array_equal(st.played(), np.concatenate([whole(first), second]))
