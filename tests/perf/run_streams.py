"""What N streams cost: CPU, wake-ups, memory, xruns and times to start, audiod against sndiod.

    python tests/perf/run_streams.py [--streams 1,8,32,128] [--rates 48000,44100] [--block 480,256]
                                     [--buffer 2] [--seconds 2] [--rounds 3] [--no-realtime]
                                     [--instructions] [--peer sndiod|none] [--json FILE]

Each round measures every case once, server after server, so that what else the
machine does falls on all alike; the tables show medians of the rounds.  Only
ratios within one run mean anything on a shared machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from servers import Audiod, Server, Setup
from sndioservers import Sndiod
from windows import Row, idle, median, opens, window

Kinds = list[type[Server]]
THREADS = ("control", "device", "pump", "other")
BUSY = 64  # streams that play while the start of another one is timed


def numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="what N streams cost, audiod against sndiod")
    parser.add_argument("--streams", type=numbers, default=[1, 8, 32, 128], help="play streams at a time")
    parser.add_argument("--rates", type=numbers, default=[48000, 44100], help="Hz of the streams")
    parser.add_argument("--block", type=numbers, default=[480, 256], help="frames")
    parser.add_argument("--buffer", type=int, default=2, help="blocks in the buffer of device and stream")
    parser.add_argument("--seconds", type=float, default=2, help="length of one window")
    parser.add_argument("--idle-seconds", type=float, default=5, help="length of the window without streams")
    parser.add_argument("--opens", type=int, default=20, help="streams whose start is timed, a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-realtime", action="store_true", help="audiod without realtime, as sndiod is")
    parser.add_argument("--instructions", action="store_true", help="count them too, by perf")
    parser.add_argument("--peer", choices=("sndiod", "none"), default="sndiod")
    parser.add_argument("--json", type=Path, help="file for all results")
    return parser.parse_args(argv)


# ---- all of them, interleaved ------------------------------------------------------


def start_all(kinds: Kinds, folder: Path, block: int, args: argparse.Namespace) -> list[Server]:
    servers: list[Server] = []
    try:
        for kind in kinds:
            place = folder / f"{kind.name}-{len(list(folder.iterdir()))}"
            place.mkdir()
            servers.append(kind(place, Setup(block, args.buffer * block, not args.no_realtime)))
    except BaseException:
        stop_all(servers)
        raise
    return servers


def stop_all(servers: list[Server]) -> None:
    for server in servers:
        server.stop()


def measure(args: argparse.Namespace, kinds: Kinds, folder: Path) -> dict[str, Any]:
    idles: dict[str, list[Row]] = defaultdict(list)
    starts: dict[tuple[str, bool], list[Row]] = defaultdict(list)
    runs: dict[tuple[int, int, int, str], list[Row]] = defaultdict(list)
    for number in range(args.rounds):
        for block in args.block:
            for rate in args.rates:
                servers = start_all(kinds, folder, block, args)
                try:
                    if (block, rate) == (args.block[0], args.rates[0]):
                        for name, row in idle(servers, args.idle_seconds).items():
                            idles[name].append(row)
                    for streams in args.streams:
                        for server in servers:
                            if streams <= server.limit:
                                case = (block, rate, streams, server.name)
                                row = window(server, streams, rate, args.seconds, args.instructions)
                                runs[case].append(row)
                    if (block, rate) == (args.block[0], args.rates[0]):
                        for server in servers:
                            for busy in (0, min(BUSY, server.limit - 1)):
                                times = opens(server, args.opens, busy)
                                row = {name: stats["med"] for name, stats in times.items()}
                                starts[server.name, busy > 0].append(row | {"busy": busy})
                finally:
                    stop_all(servers)
        print(f"round {number + 1} of {args.rounds} done", file=sys.stderr)
    return {
        "idle": [{"server": name} | median(rows) for name, rows in idles.items()],
        "start": [{"server": name} | median(rows) for (name, _), rows in starts.items()],
        "run": [
            {"block": block, "rate": rate, "streams": streams, "server": name} | median(rows)
            for (block, rate, streams, name), rows in runs.items()
        ],
    }


def ratios(runs: list[Row]) -> list[Row]:
    """audiod's CPU and wake-ups over its peer's, where both were measured."""
    peers = {(r["block"], r["rate"], r["streams"]): r for r in runs if r["server"] != "audiod"}
    out = []
    for row in runs:
        peer = peers.get((row["block"], row["rate"], row["streams"]))
        if row["server"] == "audiod" and peer:
            case: Row = {key: row[key] for key in ("block", "rate", "streams")}
            for key in ("cpu_pct", "wakeups_s", "minstr_s", "rss_kb"):
                case[key.rpartition("_")[0]] = round(row[key] / peer[key], 3) if peer[key] else None
            out.append(case | {"peer": peer["server"]})
    return out


# ---- tables -----------------------------------------------------------------------


def table(report: dict[str, Any]) -> list[str]:
    by_case = {(r["block"], r["rate"], r["streams"]): r for r in report["ratios"]}
    lines = [
        "CPU in % of one core, also by thread: control, device, pump; wake-ups and million instructions a",
        "second; xruns of all rounds; ratio of CPU and of instructions to the peer",
        "",
        f"{'server':7}{'block':>6}{'rate':>6}{'N':>4}{'CPU':>7}{'range':>12}{'ctl':>5}{'dev':>6}{'pump':>6}"
        f"{'wakes':>7}{'Minstr':>8}{'RSS MB':>7}{'xruns':>6}{'ratio':>7}{'instr':>6}",
    ]
    for row in report["run"]:
        threads = [row["threads"].get(role, {}).get("cpu_pct") for role in THREADS[:3]]
        parts = [f"{value:.2f}" if value is not None else "" for value in threads]
        counted = f"{row['minstr_s']:.1f}" if row["minstr_s"] else ""
        ratio = by_case.get((row["block"], row["rate"], row["streams"]))
        shown = [f"{ratio[key]:.2f}" if ratio and ratio[key] else "" for key in ("cpu", "minstr")]
        if row["server"] != "audiod":
            shown = ["", ""]
        spread = f"{row['cpu_min']:.2f}-{row['cpu_max']:.2f}"
        lines.append(
            f"{row['server']:7}{row['block']:6}{row['rate']:6}{row['streams']:4}{row['cpu_pct']:7.2f}"
            f"{spread:>12}{parts[0]:>5}{parts[1]:>6}{parts[2]:>6}{row['wakeups_s']:7.0f}{counted:>8}"
            f"{row['rss_kb'] / 1024:7.1f}{sum(row['xruns'].values()):6}{shown[0]:>7}{shown[1]:>6}".rstrip()
        )
    lines += ["", "without streams:"]
    for row in report["idle"]:
        lines.append(
            f"  {row['server']:7} CPU {row['cpu_pct']:.3f} %, {row['wakeups_s']:.1f} wake-ups/s, "
            f"RSS {row['rss_kb'] / 1024:.1f} MB, PSS {row['pss_kb'] / 1024:.1f} MB"
        )
    lines += ["", "ms from connecting to the first frame heard, and in it to the answer of start:"]
    for row in report["start"]:
        ready = sum(v for k, v in row.items() if k.endswith("_ms") and "move" not in k and k != "close_ms")
        others = f"{row['busy']:.0f} others play" if row["busy"] else "nobody else plays"
        lines.append(f"  {row['server']:7} {row['begin_move_ms']:7.2f} {ready:7.2f}   {others}")
    if report["peer_missing"]:
        lines += ["", f"peer missing: {report['peer_missing']}"]
    return lines


def main(argv: list[str]) -> int:
    args = arguments(argv)
    kinds: Kinds = [Audiod]
    missing = "not asked for" if args.peer == "none" else Sndiod.missing()
    if not missing:
        kinds.append(Sndiod)
    with tempfile.TemporaryDirectory(prefix="audiod-perf-") as folder:
        report = measure(args, kinds, Path(folder))
    report["ratios"] = ratios(report["run"])
    report["peer_missing"] = missing
    report["conditions"] = {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "rounds": args.rounds,
        "seconds": args.seconds,
        "buffer": args.buffer,
        "realtime": not args.no_realtime,
    }
    print("\n".join(table(report)))
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
