"""From a decision on ducking to the engine: `python tests/perf/run_ducking.py [ROUNDS]`.

A whole server in this process, its clients in another.  In each round a voice
begins and ends over N - 1 streams of music.  Told is the time from when control
hears that the voice runs (or has ended) until the engine has the new gains of
every stream of music, and from the cycle of the voice's first frame until then.
"""

from __future__ import annotations

import gc
import statistics
import sys
import tempfile
import time
from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import trio

sys.path.insert(0, str(Path(__file__).parents[1]))

from native import Native

from audiod import config, configfile, log, options
from audiod import engine as eng
from audiod.dispatch import Dispatch
from audiod.server import Server

COUNTS = (2, 10, 50, 200)
GOAL_MS = 5.0
POLICY = """\
[[audio_type]]
name = "voice"
duck_lower_prio_percent = 30
[[audio_type]]
name = "music"
duck_same_prio_policy = "mix"
"""
PAR = {"enc": "s16le", "rate": 48000, "pchan": 2, "appbufsz": 1920}


@dataclass(frozen=True)
class Moment:
    """ns of CLOCK_MONOTONIC, and of CPU that the control thread has had."""

    at: int
    cpu: int

    @classmethod
    def now(cls) -> Moment:
        return cls(time.monotonic_ns(), time.thread_time_ns())


@dataclass(frozen=True)
class Decision:
    """ms from the event to the engine, of these on the CPU, and from the first frame (None: it ended)."""

    wall: float
    cpu: float
    frame: float | None


@dataclass
class Clockwork:
    """What was seen of one count: when control heard, when the engine had it all."""

    heard: list[tuple[Moment, int]] = field(default_factory=list)  # and ns of the first frame, or 0
    # numbers alone: objects would be looked through by the garbage collector
    aimed: array[int] = field(default_factory=lambda: array("q"))
    cpu: array[int] = field(default_factory=lambda: array("q"))

    def watch(self) -> None:
        take, aim = Dispatch.take, eng.Stream.aim

        def taking(dispatch: Dispatch, event: eng.Event) -> None:
            if isinstance(event, eng.StreamJoined | eng.StreamStopped):
                joined = event.time_ns if isinstance(event, eng.StreamJoined) else 0
                self.heard.append((Moment.now(), joined))
            take(dispatch, event)

        def aiming(stream: eng.Stream, *args: Any, **named: Any) -> int:
            number = aim(stream, *args, **named)
            self.aimed.append(time.monotonic_ns())
            self.cpu.append(time.thread_time_ns())
            return number

        Dispatch.take = taking  # type: ignore[method-assign]
        eng.Stream.aim = aiming  # type: ignore[method-assign]

    def decisions(self, streams: int) -> list[Decision]:
        """Those that all these streams had to obey."""
        found = []
        after = [moment.at for moment, _ in self.heard[1:]] + [1 << 63]
        for (heard, joined), end in zip(self.heard, after, strict=True):
            first, beyond = bisect_left(self.aimed, heard.at), bisect_left(self.aimed, end)
            if beyond - first >= streams:
                at, cpu = self.aimed[beyond - 1], self.cpu[beyond - 1]
                frame = (at - joined) / 1e6 if joined else None
                found.append(Decision((at - heard.at) / 1e6, (cpu - heard.cpu) / 1e6, frame))
        return found


def play(path: str, count: int, rounds: int) -> None:
    """The clients: one with all the music, one with the voice."""
    with Native(path) as music, Native(path) as voice:
        for _ in range(count - 1):
            number = music.stream(open={"type": "music"}, **PAR)
            music.write(number, bytes(4 * 1920))
        voice.call("subscribe", topics=["ducking"])
        number = voice.stream(start=False, open={"type": "voice"}, **PAR)

        def told(active: bool) -> None:
            voice.until(
                lambda m: (
                    m[:2] == [2, "changed"]
                    and active == any(one["type"] == "voice" for one in m[2][1]["active"])
                )
            )

        for _ in range(rounds):
            voice.call("start", stream=number)
            voice.write(number, bytes(4 * 1920))
            told(True)
            voice.call("flush", stream=number)
            told(False)


async def measure(count: int, rounds: int, folder: Path) -> Clockwork:
    work = Clockwork()
    text = POLICY + '[[device]]\nspec = "null"\n'
    words = ["--no-realtime", "--sndio", "none", "--socket", str(folder / "s"), "--state", "none"]
    conf = config.resolve(options.parse(words), {}, 1000, configfile.merge([("f", text.encode())]))
    server = Server(conf)
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(server.serve, signals=False))
        work.watch()
        client = [sys.executable, __file__, "play", str(folder / "s"), str(count), str(rounds)]
        await trio.run_process(client)
        server.end()
    return work


def main(rounds: int) -> int:
    log.set_level("error")
    gc.freeze()  # as the daemon does
    take, aim = Dispatch.take, eng.Stream.aim
    print(
        "| streams | decisions | to the engine: median | 99 % | worst | CPU, worst | from the first frame |"
    )
    print("|---|---|---|---|---|---|---|")
    slow = late = 0
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as folder:
            work = trio.run(measure, count, rounds, Path(folder))
        Dispatch.take, eng.Stream.aim = take, aim  # type: ignore[method-assign]
        found = work.decisions(count - 1)
        wall = sorted(one.wall for one in found)
        cpu = max(one.cpu for one in found)
        slow += sum(one.cpu >= GOAL_MS for one in found)
        late += sum(ms >= GOAL_MS for ms in wall)
        frame = statistics.median(one.frame for one in found if one.frame is not None)
        cells = (statistics.median(wall), wall[len(wall) * 99 // 100], wall[-1], cpu, frame)
        print(f"| {count} | {len(found)} | " + " | ".join(f"{ms:.2f} ms" for ms in cells) + " |", flush=True)
    print(f"\n{late} decisions took {GOAL_MS:g} ms or more, {slow} of them on the CPU; the others waited")
    return 1 if slow else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["play"]:
        play(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
