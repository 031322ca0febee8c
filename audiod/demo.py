"""`audiod --demo [FILE]`: a private server and two programs that play on it into a WAV file.

The server lives in a temporary directory and touches no other.  One program
plays a chord, the other a melody at another rate and encoding; while both sound
the stream table is printed.  Everything goes the way of any program: the real
engine, the real protocol, in real time.  Control thread.
"""

from __future__ import annotations

import math
import tempfile
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import trio
from audiod_client import aio

from audiod import config, options
from audiod.errors import StartError
from audiod.server import Server

DEFAULT_FILE = "demo.wav"
SECONDS = 2.4
LOOK_AFTER = 1.2  # seconds: both sound by then
CHORD = (220.0, 277.18, 329.63)  # Hz: A major
MELODY = (440.0, 493.88, 554.37, 659.26, 554.37, 493.88, 440.0, 440.0)  # Hz, equally long notes
FADE = 0.01  # seconds, against clicks
COLUMNS = (
    "id",
    "name",
    "state",
    "rate",
    "encoding",
    "channels",
    "position",
    "latency",
    "xruns",
    "conversion",
)


def main(path: str | None) -> int:
    """Run the demo into `path` (default: demo.wav here); returns the exit code."""
    target = Path(path or DEFAULT_FILE).absolute()
    if not target.parent.is_dir():
        raise StartError(f"{target.parent}: no such directory", hint="name a file in one that exists")
    with tempfile.TemporaryDirectory(prefix="audiod-demo-") as directory:
        socket = Path(directory) / "audiod.sock"
        trio.run(_demo, socket, target)
    print(f"both were mixed into {target}: listen to it with any player")
    return 0


async def _demo(socket: Path, target: Path) -> None:
    alone = ["--state", "none", "--sndio", "none", "--socket", str(socket)]
    words = [*alone, "-f", f"file:{quote(str(target))}?clock=real"]
    server = Server(config.resolve(options.parse(words), {}, 0), look=False)
    async with trio.open_nursery() as nursery:
        await nursery.start(_serve, server)
        print(f"a private server plays into {target.name} for {SECONDS} seconds")
        async with trio.open_nursery() as programs:
            programs.start_soon(_play, socket, "chord", "s16le", 48000, chord(48000))
            programs.start_soon(_play, socket, "melody", "f32le", 44100, melody(44100))
            programs.start_soon(_look, socket)
        server.end()


async def _serve(server: Server, *, task_status: trio.TaskStatus[object]) -> None:
    await server.serve(signals=False, task_status=task_status)


async def _play(socket: Path, name: str, enc: str, rate: int, samples: array[Any]) -> None:
    async with aio.connect(str(socket), client_name=name) as connection, connection.open() as stream:
        await stream.setpar(enc=enc, rate=rate, pchan=1)
        await stream.start()
        await stream.write(samples.tobytes())
        await stream.stop()


async def _look(socket: Path) -> None:
    await trio.sleep(LOOK_AFTER)
    async with aio.connect(str(socket), client_name="demo") as connection:
        answer = await connection.request("streams")
    print(table(answer["streams"]))


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of `streams` as text, columns as wide as they need to be."""
    cells = [COLUMNS, *(tuple(str(row[column]) for column in COLUMNS) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)
    return "\n".join(line.rstrip() for line in lines)


# ---- the music: mono, one value a frame ----------------------------------------------


def chord(rate: int) -> array[int]:
    """s16 frames."""
    frames = round(SECONDS * rate)
    out = array("h", bytes(2 * frames))
    for n in range(frames):
        level = sum(math.sin(2 * math.pi * pitch * n / rate) for pitch in CHORD) / len(CHORD)
        out[n] = round(0.3 * 32767 * level * _envelope(n, frames, rate))
    return out


def melody(rate: int) -> array[float]:
    """f32 frames."""
    length = round(SECONDS * rate / len(MELODY))
    out = array("f", bytes(4 * length * len(MELODY)))
    for note, pitch in enumerate(MELODY):
        for n in range(length):
            level = 0.3 * math.sin(2 * math.pi * pitch * n / rate) * math.exp(-3 * n / length)
            out[note * length + n] = level * _envelope(n, length, rate)
    return out


def _envelope(n: int, frames: int, rate: int) -> float:
    return min(1.0, n / (FADE * rate), (frames - 1 - n) / (FADE * rate))
