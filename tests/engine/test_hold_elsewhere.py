"""Held streams on a clock that is not driven, and on their way between devices."""

from pathlib import Path

import numpy as np
from ramps import way
from rig import PLAY, S16, Rig, Second, Source, move, rig

from audiod.engine import (
    Device,
    DeviceConf,
    DevicePar,
    DeviceStopped,
    StartMode,
    Stream,
    StreamHeld,
    StreamJoined,
    StreamPar,
    StreamReleased,
    StreamState,
)

ROUND, BUFSZ = 480, 1920
HELD, RUNNING = StreamState.HELD, StreamState.RUNNING


def state(source: Source) -> StreamState:
    return source.stream.stats().state


def free(r: Rig, path: Path, stall_ms: int = 60000) -> Device:
    conf = DeviceConf(
        "file", DevicePar(S16, 48000, ROUND, BUFSZ, 2, 0), arg=str(path), free_clock=True, stall_ms=stall_ms
    )
    r.others.append(r.engine.device_open(7, conf))
    return r.others[-1]


def stream(r: Rig, device: Device, ident: int, mode: StartMode = StartMode.FULL) -> Stream:
    made = device.stream_new(ident, StreamPar(S16, PLAY, 48000, 2, 2, BUFSZ, start=mode))
    r.sources.append(Source(made, None))
    return made


def test_free_clock_does_not_wait_for_one_that_is_held(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        device = free(r, tmp_path / "free.wav")
        a, b = (stream(r, device, i) for i in (101, 102))
        a.aim(hold=True)
        block = np.full((BUFSZ, 2), 1000, "<i2").tobytes()
        for s in (a, b):
            s.start()
            assert s.write(block) == BUFSZ
        for _ in range(30):
            r.wait(lambda: b.stats().written - b.stats().consumed < BUFSZ)
            b.write(block)
        assert a.stats().state == HELD and a.stats().consumed == 0
        b.stop(drain=True)
        r.wait(lambda: StreamReleased(102) in r.seen)
        r.wait(lambda: DeviceStopped(7) in r.seen)
        a.aim()
        a.stop(drain=True)
        r.wait(lambda: StreamReleased(101) in r.seen)
        assert a.stats().consumed == BUFSZ


def test_free_clock_stands_still_with_one_that_starves_and_one_that_is_held(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        device = free(r, tmp_path / "free.wav", stall_ms=1)
        held, starving = (stream(r, device, i) for i in (101, 102))
        held.aim(hold=True)
        for s in (held, starving):
            s.start()
            s.write(bytes(BUFSZ * 4))
        r.wait(lambda: starving.stats().xruns == 1)

        last = BUFSZ // ROUND + 1  # with that of the xrun
        r.wait(lambda: device.stats().cycles >= last)
        for _ in range(20_000):
            r.events()
        assert device.stats().cycles == last


def test_free_clock_does_not_wait_for_one_that_waits_for_control(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        device = free(r, tmp_path / "free.wav")
        waiting, other = stream(r, device, 101, StartMode.GO), stream(r, device, 102)
        waiting.start()
        other.start()
        other.write(bytes(BUFSZ * 4))
        other.stop(drain=True)
        r.wait(lambda: StreamReleased(102) in r.seen)
        assert waiting.stats().state == StreamState.PRIMING


def test_it_moves_to_another_device_and_runs_on_there(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        to = Second(r, tmp_path)
        data = np.full((9600, 2), 10000)
        source = r.stream(data)
        r.step(5)
        source.stream.aim(hold=True)
        r.step(2)
        before = source.stream.stats()
        move(r, to)
        to.device.step(3)
        after = source.stream.stats()
        assert after.state == HELD and after.consumed == before.consumed
        assert not to.device.stats().running, "nothing plays there yet"
        assert r.told(StreamHeld) == [StreamHeld(1, 1)] and len(r.told(StreamJoined)) == 1
        source.stream.aim(nframes=480)
        for _ in range(6):
            to.device.step(1)
            source.feed()
        out = to.played()[:, 0]
        assert np.max(np.abs(out[:480] - 10000 * way([], 480))) <= 1 and np.all(out[480 : 6 * 480] == 10000)
        assert source.stream.stats().consumed == before.consumed + 6 * 480
        to.device.close()


def test_an_aim_on_the_way_to_another_device_is_there_on_arrival(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        to = Second(r, tmp_path)
        source = r.stream(np.full((9600, 2), 10000))
        r.step(5)
        source.stream.aim(hold=True)
        r.step(2)
        move(r, to)
        source.stream.aim([0.5])
        for _ in range(4):
            to.device.step(1)
            source.feed()
        assert state(source) == RUNNING
        assert np.all(to.played()[480 : 4 * 480] == 5000)
        to.device.close()
