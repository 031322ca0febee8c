"""What programs of sndio cost and feel under audiod, sndiod and PulseAudio: one load, one kind of card.

    python tests/perf/run_sndio.py [--parts cost,idle,start,latency] [--streams 1,8,32,64,128,256]
                                   [--rates 48000,44100] [--block 480,256] [--buffers 2:0,16:0]
                                   [--seconds 2] [--rounds 3] [--instructions] [--sndio-head PREFIX]
                                   [--servers audiod,audiod-plain,sndiod,sndiod-head,pulseaudio]
                                   [--latency-block 480,256,128,96,64] [--minute] [--json FILE]

All but PulseAudio are loaded by sndio_load through the machine's libsndio and
play to a virtual card (tests/lab) in their own process.  Each round measures
every case once, server after server, so that what else the machine does falls
on all alike.  Only ratios within one run mean anything on a shared machine.

cost     CPU, wake-ups, instructions, memory and xruns with N streams playing
idle     the same without any
start    open, setpar and getpar, start to first move, close: alone and among others
latency  full duplex through the card's loopback while one core is kept busy, every server in
         SCHED_FIFO; --minute: one minute of it at a block of 96
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pulse import PulseAudio
from servers import PATIENCE, Server, Setup
from sndioservers import HEAD, AudiodPlain, AudiodWire, OnCard, Sndiod, SndiodHead
from sndiotables import tables
from windows import Row, idle, median, opens, window

KINDS: dict[str, type[Server]] = {
    kind.name: kind for kind in (AudiodWire, AudiodPlain, Sndiod, SndiodHead, PulseAudio)
}
PARTS = ("cost", "idle", "start", "latency")
PEERS_MOST = 32  # streams: beyond, audiod alone is measured
BUSY = 64  # streams that play while the start of another one is timed
MINUTE_BLOCK = 96
MINUTE = 510  # impulses: one each 0.12 s


def numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def buffers(text: str) -> list[tuple[int, int]]:
    """DEVICE:CLIENT, both in blocks; 0 of the client is what libsndio asks for by itself, 200 ms."""
    pairs = [tuple(map(int, word.split(":"))) for word in text.split(",")]
    return [(device, client) for device, client in pairs]


def names(allowed: tuple[str, ...]) -> Any:
    def parse(text: str) -> list[str]:
        words = text.split(",")
        if wrong := set(words) - set(allowed):
            raise argparse.ArgumentTypeError(f"{', '.join(wrong)}: not one of {', '.join(allowed)}")
        return words

    return parse


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="what programs of sndio cost, audiod against its peers")
    parser.add_argument("--parts", type=names(PARTS), default=list(PARTS), help="of " + ",".join(PARTS))
    parser.add_argument("--servers", type=names(tuple(KINDS)), default=list(KINDS), help=",".join(KINDS))
    parser.add_argument("--sndio-head", help=f"prefix of sndio's newest release (default: ${HEAD})")
    parser.add_argument("--device", default="rsnd/0", help="audiod's, by its alsa driver the card")
    parser.add_argument("--streams", type=numbers, default=[1, 8, 32, 64, 128, 256], help="at a time")
    parser.add_argument("--rates", type=numbers, default=[48000, 44100], help="Hz of the streams")
    parser.add_argument("--block", type=numbers, default=[480, 256], help="frames")
    parser.add_argument("--buffers", type=buffers, default=[(2, 0), (16, 0)], help=buffers.__doc__)
    parser.add_argument("--seconds", type=float, default=2, help="length of one window")
    parser.add_argument("--idle-seconds", type=float, default=5, help="length of the window without streams")
    parser.add_argument("--opens", type=int, default=40, help="starts that are timed, a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--instructions", action="store_true", help="count them too, by perf")
    parser.add_argument("--latency-block", type=numbers, default=[480, 256, 128, 96, 64], help="frames")
    parser.add_argument("--impulses", type=int, default=40, help="measured at each block")
    parser.add_argument("--minute", action="store_true", help=f"one minute at a block of {MINUTE_BLOCK}")
    parser.add_argument("--json", type=Path, help="file for all results")
    args = parser.parse_args(argv)
    if args.sndio_head:
        os.environ[HEAD] = args.sndio_head
    return args


@contextlib.contextmanager
def running(kinds: list[type[Server]], folder: Path, setup: Setup) -> Iterator[list[Server]]:
    with contextlib.ExitStack() as held:
        servers = []
        for kind in kinds:
            place = folder / f"{kind.name}-{len(list(folder.iterdir()))}"
            place.mkdir()
            servers.append(kind(place, setup))
            held.callback(servers[-1].stop)
        yield servers


# ---- cost, idle, start -----------------------------------------------------------


def takes(server: Server, streams: int) -> bool:
    return streams <= server.limit and (isinstance(server, AudiodWire) or streams <= PEERS_MOST)


def costs(args: argparse.Namespace, kinds: list[type[Server]], folder: Path) -> list[Row]:
    rows: dict[tuple[int, int, int, int, int, str], list[Row]] = defaultdict(list)
    cases = [(b, z, r) for b in args.buffers for z in args.block for r in args.rates]
    for number in range(args.rounds):
        for (device, client), block, rate in cases:
            setup = Setup(block, device * block, device=args.device)
            more = ["-x", *(["-b", client * block * rate // 48000] if client else [])]
            with running(kinds, folder, setup) as servers:
                for streams in args.streams:
                    for server in servers:
                        if takes(server, streams):
                            row = window(server, streams, rate, args.seconds, args.instructions, *more)
                            rows[device, client, block, rate, streams, server.name].append(row)
        print(f"cost: round {number + 1} of {args.rounds} done", file=sys.stderr)
    keys = ("device_blocks", "client_blocks", "block", "rate", "streams", "server")
    return [dict(zip(keys, case, strict=True)) | summary(found, case[2]) for case, found in rows.items()]


def summary(rows: list[Row], block: int) -> Row:
    """The rounds' median; `each`: what ratios are made of, round by round."""
    row = median(rows)
    row["wakeups_block"] = round(row["wakeups_s"] * block / 48000, 2)
    row["each"] = {key: [each[key] for each in rows] for key in ("cpu_pct", "minstr_s", "wakeups_s")}
    return row


def idles(args: argparse.Namespace, kinds: list[type[Server]], folder: Path) -> list[Row]:
    rows: dict[str, list[Row]] = defaultdict(list)
    for _ in range(args.rounds):
        with running(kinds, folder, Setup(480, 960, device=args.device)) as servers:
            for name, row in idle(servers, args.idle_seconds).items():
                rows[name].append(row)
    return [{"server": name} | median(found) for name, found in rows.items()]


def starts(args: argparse.Namespace, kinds: list[type[Server]], folder: Path) -> list[Row]:
    """Each step's quantiles over the starts of all rounds."""
    kinds = [kind for kind in kinds if issubclass(kind, OnCard)]
    times: dict[tuple[str, int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for number in range(args.rounds):
        with running(kinds, folder, Setup(480, 960, device=args.device)) as servers:
            for server in servers:
                for busy in (0, min(BUSY, server.limit - 1)):
                    for step, stats in opens(server, args.opens, busy).items():
                        times[server.name, busy][step] += stats["all"]
        print(f"start: round {number + 1} of {args.rounds} done", file=sys.stderr)
    return [
        {"server": name, "busy": busy} | {step: quantiles(all_) for step, all_ in steps.items()}
        for (name, busy), steps in times.items()
    ]


def quantiles(times: list[float]) -> Row:
    ordered = sorted(times)
    return {
        "n": len(ordered),
        "med": ordered[len(ordered) // 2],
        "p99": ordered[len(ordered) * 99 // 100],
        "max": ordered[-1],
    }


# ---- latency ---------------------------------------------------------------------


@contextlib.contextmanager
def one_core_busy() -> Iterator[None]:
    """A process that does nothing but run, on one core of this machine."""
    core = min(os.sched_getaffinity(0))
    spins = f"import os; os.sched_setaffinity(0, {{{core}}})\nwhile True: pass"
    spinner = subprocess.Popen([sys.executable, "-c", spins])
    try:
        yield
    finally:
        spinner.kill()
        spinner.wait()


def fifo() -> str:
    """Why this user may not enter SCHED_FIFO; empty if he may."""
    done = subprocess.run(["chrt", "-f", "5", "true"], capture_output=True, text=True, check=False)
    return done.stderr.strip()


def latency(server: OnCard, block: int, impulses: int) -> Row:
    """The load is in SCHED_FIFO too, below its server: it is the server that is measured."""
    before = server.xruns()
    logged = len(server.late())
    command = ["chrt", "-f", "5", *server.load("-L", impulses, "-b", 2 * block)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10 * PATIENCE, check=True)
    row: Row = json.loads(done.stdout)
    for stats in row.values():
        if isinstance(stats, dict):
            stats.pop("all")
    late = {cause: n - before[cause] for cause, n in server.xruns().items()}
    return row | {"server": server.name, "block": block, "xruns": late, "log": server.late()[logged:]}


def latencies(args: argparse.Namespace, kinds: list[type[Server]], folder: Path) -> list[Row]:
    kinds = [kind for kind in kinds if issubclass(kind, OnCard) and kind is not AudiodPlain]
    runs = [(block, args.impulses) for block in args.latency_block]
    runs += [(MINUTE_BLOCK, MINUTE)] if args.minute else []
    rows = []
    for block, impulses in runs:
        setup = Setup(block, 2 * block, loopback=True, fifo=True, device=args.device)
        with running(kinds, folder, setup) as servers, one_core_busy():
            for server in servers:
                assert isinstance(server, OnCard)
                rows.append(latency(server, block, impulses))
        print(f"latency: block {block} done", file=sys.stderr)
    return rows


# ----------------------------------------------------------------------------------


def main(argv: list[str]) -> int:
    args = arguments(argv)
    missing = {name: KINDS[name].missing() for name in args.servers}
    kinds = [KINDS[name] for name, lack in missing.items() if not lack]
    report: dict[str, Any] = {"missing": {name: lack for name, lack in missing.items() if lack}}
    for lack in report["missing"].values():
        print(f"missing: {lack}", file=sys.stderr)
    refused = fifo() if "latency" in args.parts else ""
    if refused:
        print(f"no latency: {refused}", file=sys.stderr)
        args.parts.remove("latency")
    parts = {"cost": costs, "idle": idles, "start": starts, "latency": latencies}
    with tempfile.TemporaryDirectory(prefix="audiod-perf-") as folder:
        for part in args.parts:
            report[part] = parts[part](args, kinds, Path(folder))
    report["conditions"] = {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "rounds": args.rounds,
        "seconds": args.seconds,
    }
    print("\n".join(tables(report)))
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
