"""Simulated faults as clients see them, and the commands of docs/simulated-devices.md as they stand there."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from daemon import BIN, PATIENCE, running
from native import Native, Refused
from neighbour import frames_of, numbered
from stage import noise, stage, steps

DOCS = Path(__file__).parents[2] / "docs" / "simulated-devices.md"


async def test_an_xrun_is_told_once_and_the_position_stands_still(tmp_path: Path) -> None:
    async with stage(tmp_path, "-f manual?xrun_every=0.06") as st:
        c = await st.client()
        n = await c.open("play,rec", appbufsz=4800)
        data = noise(9600)
        c.play(n, data[:4800])
        await st.settle()
        c.trace()
        await st.step(6)
        assert [w for w in c.trace() if not w.startswith("credit")][-2:] == ["onmove 480 960", "data 480"]
        c.play(n, data[4800:7680])
        assert await steps(st, c, 1) == [["onxrun device"]]
        told = [[w for w in words if not w.startswith("credit")] for words in await steps(st, c, 5)]
        assert told == [[f"onmove 480 {960 + 480 * k}", "data 480"] for k in range(1, 6)]
        want = data[: len(c.recorded(n))].copy()
        want[960:2880] = 0  # what was queued when it ran dry
        assert len(want) == 3360 and np.array_equal(c.recorded(n), want)


async def test_unplugged_in_the_middle_and_back_at_the_next_open(tmp_path: Path) -> None:
    async with stage(tmp_path, "-f manual?unplug_after=0.05") as st:
        for _ in range(2):
            c, other = await st.client(), await st.client()
            n, m = await c.open(appbufsz=9600), await other.open("rec")
            idle = await other.open(start=False)
            c.play(n, noise(9600))
            await st.settle()
            other.trace(), c.trace()
            await st.step(5)
            before = c.trace() + other.trace()
            assert not [w for w in before if w.startswith("onstate")]
            await st.step()
            assert c.trace() == ["onstate closed ENODEV"]
            assert other.trace().count("onstate closed ENODEV") == 2
            assert (await c.ask("devices"))["devices"][0]["state"] == "failed"
            for actor, number in ((c, n), (other, m), (other, idle)):
                with pytest.raises(Refused) as refused:
                    await actor.ask("start", stream=number)
                assert refused.value.code == "EPIPE"
                await actor.ask("close", stream=number)


def test_two_clients_see_it_go_and_the_daemon_lives(tmp_path: Path) -> None:
    out = tmp_path / "out.raw"
    spec = f"file:{out}?clock=free&unplug_after=0.5"
    data = numbered(0, 48000)
    with running(tmp_path, "-f", spec) as daemon, Native(daemon.socket) as a, Native(daemon.socket) as b:
        for again in (1, 2):
            for client in (a, b):
                client.seen.clear()
            n = a.stream("play", enc="s16le", rate=48000, appbufsz=48000)
            m = b.stream("play", start=False, enc="s16le", rate=48000, appbufsz=48000)
            a.write(n, data.tobytes())
            for client, number in ((a, n), (b, m)):
                note = client.noted("onstate", number, "closed")
                assert note[2][2]["code"] == "ENODEV" and "went away" in note[2][2]["message"]
                with pytest.raises(Refused) as refused:
                    client.call("start", stream=number)
                assert refused.value.code == "EPIPE"
            while a.call("devices")["devices"][0]["state"] != "failed":
                pass
            for client, number in ((a, n), (b, m)):
                client.call("close", stream=number)
            assert daemon.process.poll() is None
            assert daemon.log.count("device.failed") == daemon.log.count("device.open") == again
    assert np.array_equal(frames_of(out, 2, slice(0, 2)), np.concatenate([data[:24000]] * 2))


def test_its_xruns_are_the_drivers_on_a_real_clock_too(tmp_path: Path) -> None:
    spec = "null?xrun_every=0.05&ppm=10000&jitter=2"
    with running(tmp_path, "-f", spec) as daemon, Native(daemon.socket) as c:
        n = c.stream("rec")
        for _ in range(8):  # a busy machine may add some that are the scheduler's
            c.noted("onxrun", n, "device")
            c.seen.clear()
        assert c.call("status")["xruns"]["driver"] > 0
        c.call("close", stream=n)


def test_a_key_out_of_range_is_refused_at_the_start(tmp_path: Path) -> None:
    for spec, words in (
        ("null?ppm=20000", "not within -10000..10000"),
        ("null?xrun_every=0.001", "less than one block of 480 frames"),
    ):
        done = subprocess.run(
            [BIN / "audiod", "--sndio", "none", "--socket", tmp_path / "s", "-a", "on", "-f", spec],
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode and words in done.stderr.decode()


def test_the_worked_example(tmp_path: Path) -> None:
    """The first block of commands is the server's, the others are typed one after the other."""
    server, *typed = re.findall(r"^```sh\n(.*?)^```", DOCS.read_text(), re.M | re.S)
    assert server.startswith("audiod ") and len(typed) == 4
    place: Any = {
        "cwd": tmp_path,
        "env": {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "NO_COLOR": "1"},
    }
    with (tmp_path / "log").open("wb") as log:
        daemon = subprocess.Popen(
            ["bash", "-c", f"exec {server}"], stdout=subprocess.PIPE, stderr=log, **place
        )
    assert daemon.stdout is not None
    try:
        assert b"ready on" in daemon.stdout.readline()
        done = subprocess.run(
            ["bash", "-eu", "-c", "echo ====\n".join(typed)],
            capture_output=True,
            timeout=PATIENCE,
            check=False,
            **place,
        )
        assert done.returncode == 0, done.stderr.decode()
        played, seen, length, again = done.stdout.decode().split("====\n")
        assert played == "the player says that it failed: good\n"
        assert "device 0 (" in done.stderr.decode() and "went away" in done.stderr.decode()
        assert "4: 4 driver" in seen and re.search(r"^ +failed, 48 kHz", seen, re.M)
        assert length == "10.0\n"
        assert json.loads(again)["xruns"]["driver"] == 6
    finally:
        daemon.terminate()
        daemon.wait(PATIENCE)
        daemon.stdout.close()
    assert (tmp_path / "log").read_text().count("device.failed") == 1
