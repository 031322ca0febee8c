"""Levels, mutes and monitors, sample by sample: the whole server on a clock that the test moves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from stage import flat, noise, stage


async def test_a_monitor_records_what_is_played(tmp_path: Path) -> None:
    async with stage(tmp_path, "-m play -f manual") as st:
        player, second, watcher = await st.client("a"), await st.client("b"), await st.client("watcher")
        one, two = noise(4800, scale=0.4), noise(4800, seed=2, scale=0.4)
        mon = await watcher.open("mon")
        for actor, data in ((player, one), (second, two)):
            actor.play(await actor.open(appbufsz=4800), data)
        await st.settle()
        await st.step(30)
        watcher.trace()
        heard = watcher.recorded(mon)
        at = int(np.flatnonzero(heard.any(axis=1))[0])
        assert np.array_equal(heard[at : at + 4800], one + two)
        assert np.array_equal(st.played()[:4800], one + two)


async def test_a_mute_fades_and_the_level_comes_back(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        player, mixer = await st.client("player"), await st.client("mixer")
        player.play(await player.open(appbufsz=9600), flat(20000, 9600))
        await st.settle()
        await st.step(2)
        for value in (1, 0):
            await mixer.ask("control.set", name="app/player.mute", value=value)
            await st.step(4)
        out = st.played()[:, 0].astype(int)
        assert np.all(out[:960] == 20000) and np.all(out[1440:2880] == 0) and np.all(out[3360:4800] == 20000)
        assert np.max(np.abs(np.diff(out[:4800]))) < 80, "a fade, no click"
        assert not [word for word in player.trace() if word.startswith("onvol")]


async def test_output_mute_silences_all_and_a_monitor_hears_it(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        player, mixer = await st.client("player"), await st.client("mixer")
        mon = await mixer.open("mon")
        await mixer.ask("control.set", name="output.mute", value=1)
        player.play(await player.open(appbufsz=4800), flat(20000, 4800))
        await st.settle()
        await st.step(20)
        mixer.trace()
        assert not st.played()[480:].any()
        assert not mixer.recorded(mon)[-2400:].any()


async def test_input_level_is_a_gain_of_what_is_recorded_alone(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        recorder = await st.client("recorder")
        await recorder.ask("control.set", name="input.level", value=109)
        duplex = await recorder.open("play,rec", appbufsz=4800)
        recorder.play(duplex, flat(20000, 4800))
        await st.settle()
        await st.step(9)
        recorder.trace()
        assert np.all(st.played()[:4320] == 20000)
        got = recorder.recorded(duplex)
        assert np.all(got[got.any(axis=1)] == 10000) and got.any()


async def test_streams_of_one_program_ramp_together(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        a, b = await st.client("Player 1"), await st.client("player")
        numbers = []
        for actor in (a, b):
            numbers.append(await actor.open(appbufsz=4800))
            actor.play(numbers[-1], flat(10000, 4800))
        await st.settle()
        await st.step(4)
        a.trace(), b.trace()
        await a.ask("setvol", stream=numbers[0], vol=109)
        await st.step(2)
        told = [[word for word in actor.trace() if word.startswith("onvol")] for actor in (a, b)]
        assert told == [[], ["onvol 109"]]
        out = st.played()[:, 0]
        assert np.all(out[4 * 480 - 1] == 20000) and np.all(out[-480:] == 10000)
