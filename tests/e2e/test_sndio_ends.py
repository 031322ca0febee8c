"""How connections of sndio's wire end, how many there may be, and what neighbours notice: nothing.

The device: manual, 48,000 Hz, s16, blocks of 480, buffer of 1920 frames; at the end
of the file, a process.
"""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audiod_protocol.sndio import messages as m
from daemon import running
from sndiowire import Blocks, SndioWire
from stage import SndioActor, flat, noise, sounding, stage, steps, stopped

from audiod import log

# ---- what closes the connection ----

Say = m.Message | bytes | str

BREACHES: list[tuple[int, list[Say], str]] = [  # mode, what is said, words of the reason
    (1, [m.Data(4), bytes(4)], "DATA while it is not started"),
    (1, [m.Start(), m.Data(3), bytes(3)], "DATA"),  # before the pump has the stream, or behind
    (2, [m.Start(), "settle", m.Data(4), bytes(4)], "only receives"),
    (1, [m.Start(), "settle", m.Data(3), bytes(3)], "not of whole frames"),
    (1, [m.Start(), "settle", m.Data(481 * 4)], "across the end of a block"),
    (1, [m.Start(), "settle", bytes.fromhex("00000005") + bytes(36)], "DATA of no bytes"),
    (1, [m.Start(), "settle", m.Getpar()], "GETPAR while it is started"),
    (1, [m.Start(), "settle", m.Start()], "START while it is started"),
    (1, [m.Stop()], "STOP while it is not started"),
    (1, [m.Start(), "settle", m.Data(4), bytes(4), m.Stop(), m.Stop()], "STOP while it is not started"),
    (1, [bytes.fromhex("00000009") + bytes(4) + b"\0\0\0\x80" + bytes(28)], "volume 128"),
    (1, [m.Setpar(m.WirePar(bits=33))], "bits must be 1..32"),
    (1, [m.Ctlset(1, 1)], "CTLSET on a connection for audio"),
    (1, [m.Ack()], "ACK is no message that a client sends"),
    (1, [b"\0\0\0\x08" + bytes(36)], "command 8"),
    (1, [b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: lost\r\n"], "no message that a client sends"),
]


@pytest.fixture
def logged() -> io.StringIO:
    """What the server logs."""
    stream = io.StringIO()
    log.setup("info", {}, stream)
    return stream


@pytest.mark.parametrize(("mode", "said", "why"), BREACHES, ids=[why for *_, why in BREACHES])
async def test_what_closes_the_connection(
    tmp_path: Path, logged: io.StringIO, mode: int, said: list[Say], why: str
) -> None:
    async with stage(tmp_path) as st:
        neighbour, c = await st.sndio(), await st.sndio(mode, start=False)
        data = noise(4800)
        await neighbour.play(data[:1920])
        neighbour.trace()
        at = 1920
        for one in said:
            if isinstance(one, str):
                await st.settle()
                c.trace()
            else:
                c.send(one)
        await st.settle()
        assert c.trace()[-1:] == ["EOF"]
        (line,) = [line for line in logged.getvalue().splitlines() if "client.breach" in line]
        assert why in line
        for _ in range(6):
            await st.step()
            assert await neighbour.play(data[at : at + 480]) != ["EOF"]
            at += 480
        assert np.array_equal(st.played()[: 6 * 480], data[: 6 * 480]), "nobody else notices"


async def test_more_than_the_credit(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.sndio()
        c.trace()
        assert await c.play(noise(1920)) == []
        assert await c.play(noise(1)) == ["EOF"]


async def test_a_stop_behind_the_last(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        c = await st.sndio()
        c.trace()
        await c.play(noise(1920))
        assert await stopped(st, c) == ["STOP"]
        assert await c.say(m.Stop(True)) == ["EOF"]


async def test_bye_closes_whatever_it_was_doing(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        hello, ready, playing, draining = (
            SndioActor(st),
            await st.sndio(start=False),
            await st.sndio(),
            await st.sndio(),
        )
        for actor in (playing, draining):
            await actor.play(noise(1920))
        draining.send(m.Stop())
        await st.step()
        for actor in (hello, ready, playing, draining):
            actor.trace()
            assert await actor.say(m.Bye()) == ["EOF"]
        assert not st.dispatch.core.streams
        hello.close()


async def test_a_client_dies_within_data(tmp_path: Path) -> None:
    """What it had queued is gone, its neighbour plays on."""
    async with stage(tmp_path) as st:
        neighbour, c = await st.sndio(), await st.sndio()
        data = noise(4800, scale=0.5)
        await neighbour.play(data[:1920])
        await c.play(flat(1000, 1919))
        c.send(m.encode(m.Data(4)) + b"\1\2\3")
        await st.settle()
        c.close()
        await st.settle()
        assert len(st.dispatch.core.streams) == 1
        at = 1920
        for _ in range(5):
            await st.step()
            await neighbour.play(data[at : at + 480])
            at += 480
        assert np.array_equal(st.played()[: 5 * 480], data[: 5 * 480])


# ---- many, and the end ----


async def test_a_hundred_streams(tmp_path: Path) -> None:
    """More than sndiod's 32: all heard, their sum exact."""
    async with stage(tmp_path) as st:
        actors = [await st.sndio(who="crowd") for _ in range(100)]
        data = noise(1920, scale=0.01)
        for actor in actors:
            await actor.play(data)
        await st.step(4)
        for actor in actors:
            assert actor.trace()[-5:] == [*["FLOWCTL 480"] * 3, "MOVE 0", "FLOWCTL 480"]
        assert np.array_equal(st.played()[: 4 * 480], np.clip(data * 100, -32768, 32767))


async def test_the_server_ends_behind_what_was_sent(tmp_path: Path) -> None:
    async with stage(tmp_path) as st:
        ready, playing = await st.sndio(start=False), await st.sndio()
        data = noise(700)
        await playing.play(data)
        playing.trace()
        st.dispatch.drain()
        await st.settle()
        assert ready.trace() == ["EOF"]
        found = list(itertools.chain(*await steps(st, playing, 5)))
        assert found == ["EOF"]
        await st.step(8)
        assert np.array_equal(sounding(st.played()), sounding(data))


# ---- a process ----


def test_the_configured_number_of_streams(tmp_path: Path) -> None:
    (tmp_path / "conf.toml").write_text("[sndio]\nstreams = 40\n")
    place = tmp_path / "sndio"
    with running(tmp_path, "--config", str(tmp_path / "conf.toml"), "-f", "null", sndio=str(place)) as daemon:
        programs = [SndioWire(place) for _ in range(40)]
        for program in programs:
            program.open()
        with SndioWire(place) as late_:
            late_.greet()
            assert late_.closed() == []
        assert "there are 40 streams on sndio's wire" in daemon.log
        assert len(json.loads(daemon.ctl("streams", "--json").stdout)["streams"]) == 40
        programs[0].send(m.Bye())
        assert programs[0].closed() == []
        programs[0].close()
        programs[0] = SndioWire(place)
        programs[0].open()
        for program in programs:
            program.close()


def test_a_program_plays_to_a_process(tmp_path: Path) -> None:
    """Within the credit, as libsndio does; every frame is in the file, in its place."""
    place, out = tmp_path / "sndio", tmp_path / "out.wav"
    data = noise(100_000)
    raw = data.astype("<i2").tobytes()
    with running(tmp_path, "-f", f"file:{out}?clock=free", sndio=str(place)) as daemon:
        with SndioWire(place) as program:
            program.open(who="aucat")
            par = program.par(m.WirePar(bits=16, sig=1, le=1, pchan=2, rate=48000, appbufsz=9600))
            assert par.round is not None and par.appbufsz == 9600
            blocks = Blocks(4, par.round)
            program.send(m.Start(True))
            at = moved = 0
            first = program.until(lambda message: isinstance(message, m.Flowctl))
            credit = first.delta if isinstance(first, m.Flowctl) else 0
            assert credit == 9600
            taken = len(program.seen)
            while at < len(raw):
                program.send(blocks.cut(raw[at : at + 4 * credit]))
                at += 4 * credit
                credit = 0
                while at < len(raw) and not credit:
                    program.until(lambda message: isinstance(message, m.Flowctl))
                    for message in program.seen[taken:]:
                        if isinstance(message, m.Flowctl):
                            credit += message.delta
                        elif isinstance(message, m.Move):
                            moved += message.delta
                    taken = len(program.seen)
                    assert 0 <= moved <= at // 4
            program.send(m.Stop(True))
            program.until(lambda message: isinstance(message, m.Stop))
            assert m.Xrun() not in program.seen
            program.send(m.Bye())
            assert program.closed() == []
        assert daemon.stop() == 0
    played, rate = soundfile.read(out, dtype="int16")
    assert rate == 48000
    assert np.array_equal(sounding(played), sounding(data))
