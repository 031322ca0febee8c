"""The report of run_sndio.py as lines of text: costs, ratios beside the goals, idle, starts, latency."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

Row = dict[str, Any]
Case = tuple[int, int, int, int, int]
OURS = ("audiod", "audiod-plain")
GOALS = {("sndiod", 8): 0.35, ("sndiod-head", 32): 0.35, ("sndiod", 1): 1.0, ("sndiod-head", 1): 1.0,
         ("pulseaudio", 32): 1.0}  # fmt: skip
SLOPES = ((8, 128), (128, 256))  # the cost of one more stream between these numbers


def tables(report: Row) -> Iterator[str]:
    if "cost" in report:
        yield from costs(report["cost"])
        yield from ratios(report["cost"])
        yield from slopes(report["cost"])
    if "idle" in report:
        yield from idle(report["idle"])
    if "start" in report:
        yield from starts(report["start"])
    if "latency" in report:
        yield from latency(report["latency"])
    for name, lack in report["missing"].items():
        yield f"{name} missing: {lack}"


def case(row: Row) -> Case:
    return (row["device_blocks"], row["client_blocks"], row["block"], row["rate"], row["streams"])


def shown(case_: Case) -> str:
    device, client, block, rate, streams = case_
    return f"{device:3}:{client:<2}{block:4}{rate:6}{streams:4}"


HEADS = f"{'buf':6}{'blk':>4}{'rate':>6}{'N':>4}"


def costs(rows: list[Row]) -> Iterator[str]:
    yield "CPU in % of one core, also by audiod's threads control, device, pump; wake-ups a second, a block;"
    yield "million instructions a second; xruns of all rounds: ours, others', the card's; the load's lag in"
    yield "frames (counting instructions stalls a server once, after the window); streams alive at the end."
    yield "buf: blocks of the device's buffer : of the client's, 0 is what libsndio asks for, 200 ms"
    yield ""
    yield (
        f"{'server':13}{HEADS}{'CPU':>7}{'range':>13}{'ctl':>5}{'dev':>6}{'pump':>6}{'wakes':>7}{'/blk':>6}"
        f"{'Minstr':>8}{'RSS MB':>7}{'ours':>5}{'else':>5}{'card':>5}{'lag':>6}{'alive':>6}"
    )
    for row in sorted(rows, key=case):
        threads = [row["threads"].get(role, {}).get("cpu_pct") for role in ("control", "device", "pump")]
        control, device, pump = (f"{value:.2f}" if value is not None else "" for value in threads)
        spread = f"{row['cpu_min']:.2f}-{row['cpu_max']:.2f}"
        counted = f"{row['minstr_s']:.1f}" if row["minstr_s"] else ""
        ours, others, card = late(row["xruns"])
        yield (
            f"{row['server']:13}{shown(case(row))}{row['cpu_pct']:7.2f}{spread:>13}{control:>5}{device:>6}"
            f"{pump:>6}{row['wakeups_s']:7.0f}{row['wakeups_block']:6.1f}{counted:>8}"
            f"{row['rss_kb'] / 1024:7.1f}{ours:>5}{others:>5}{card:>5}{row['lag_frames']:6.0f}"
            f"{row['alive']:6.0f}"
        )


def late(xruns: dict[str, int]) -> tuple[str, str, str]:
    """ours, others', the card's; empty where the server cannot say."""
    others = [n for cause, n in xruns.items() if cause not in ("ours", "card")]
    said = (xruns.get("ours"), sum(others) if others else None, xruns.get("card"))
    ours, else_, card = ("" if n is None else str(n) for n in said)
    return ours, else_, card


def ratios(rows: list[Row]) -> Iterator[str]:
    """Median over the rounds of the ratio within each round."""
    by_case: dict[Case, dict[str, Row]] = {}
    for row in rows:
        by_case.setdefault(case(row), {})[row["server"]] = row
    yield ""
    yield "audiod over its peer, median of the rounds' ratios: CPU, instructions, wake-ups; the goal for CPU"
    yield ""
    yield f"{'server':13}{'over':13}{HEADS}{'CPU':>7}{'instr':>7}{'wakes':>7}{'goal':>6}"
    for case_, servers in sorted(by_case.items()):
        for name in OURS:
            for peer in sorted(servers.keys() - set(OURS)):
                if name not in servers:
                    continue
                a, b = servers[name]["each"], servers[peer]["each"]
                cpu, instr, wakes = (ratio(a[key], b[key]) for key in ("cpu_pct", "minstr_s", "wakeups_s"))
                goal = GOALS.get((peer, case_[4]))
                yield (
                    f"{name:13}{peer:13}{shown(case_)}{cpu:>7}{instr:>7}{wakes:>7}"
                    f"{f'{goal:.2f}' if goal else '':>6}"
                ).rstrip()


def ratio(a: list[float], b: list[float]) -> str:
    each = [x / y for x, y in zip(a, b, strict=True) if y]
    return f"{statistics.median(each):.2f}" if each and any(a) else ""


def slopes(rows: list[Row]) -> Iterator[str]:
    """What one more stream costs: linear if both are alike."""
    found: dict[tuple[str, int, int, int, int], dict[int, Row]] = {}
    for row in rows:
        if row["server"] in OURS:
            found.setdefault((row["server"], *case(row)[:4]), {})[row["streams"]] = row
    lines = []
    for (name, device, client, block, rate), at in sorted(found.items()):
        parts = [
            f"{a} to {b}: {(at[b]['cpu_pct'] - at[a]['cpu_pct']) / (b - a):.4f} %"
            + (
                f" {(at[b]['minstr_s'] - at[a]['minstr_s']) / (b - a):.3f} Minstr"
                if at[a]["minstr_s"]
                else ""
            )
            for a, b in SLOPES
            if a in at and b in at
        ]
        if parts:
            lines.append(f"  {name:13}{device:3}:{client:<2}{block:4}{rate:6}  {',  '.join(parts)}")
    if lines:
        yield from ("", "one more stream a second, N from", *lines)


def idle(rows: list[Row]) -> Iterator[str]:
    yield from ("", "without streams:")
    for row in rows:
        yield (
            f"  {row['server']:13} CPU {row['cpu_pct']:.3f} %, {row['wakeups_s']:.1f} wake-ups/s, "
            f"RSS {row['rss_kb'] / 1024:.1f} MB, PSS {row['pss_kb'] / 1024:.1f} MB"
        )


STEPS = {"open_ms": "open", "setpar_getpar_ms": "setpar+getpar", "start_to_move_ms": "start to move",
         "begin_move_ms": "all", "close_ms": "close"}  # fmt: skip


def starts(rows: list[Row]) -> Iterator[str]:
    yield from (
        "",
        "ms, median and 99th percentile, of each step of a start, and from connecting to the first frame",
    )
    yield f"  {'server':13}{'others':>7}{'n':>5}" + "".join(f"{title:>16}" for title in STEPS.values())
    for row in sorted(rows, key=lambda row: (row["busy"] > 0, row["server"])):
        cells = [f"{row[step]['med']:.2f} {row[step]['p99']:.2f}" for step in STEPS]
        count = row["open_ms"]["n"]
        yield f"  {row['server']:13}{row['busy']:7}{count:5}" + "".join(f"{cell:>16}" for cell in cells)


def latency(rows: list[Row]) -> Iterator[str]:
    yield ""
    yield "round trip, one core kept busy, servers in SCHED_FIFO: ms by the wall, frames of the position;"
    yield "due: the buffers of device and client, frames; off: recorded frame minus played one"
    yield (
        f"  {'server':13}{'blk':>4}{'n':>5}{'lost':>5}{'ms':>8}{'p99':>8}{'max':>8}{'due':>6}{'frames':>12}"
        f"{'off':>9}{'ours':>5}{'else':>5}{'card':>5}{'lag':>7}"
    )
    for row in rows:
        ours, others, card = late(row["xruns"])
        if not row["got"]:
            yield f"  {row['server']:13}{row['block']:4}    nothing heard; xruns {row['xruns']}"
            continue
        wall, trip, off = row["wall_ms"], row["trip_frames"], row["align_frames"]
        yield (
            f"  {row['server']:13}{row['block']:4}{row['got']:5}{row['lost']:5}{wall['med']:8.2f}"
            f"{wall['p99']:8.2f}{wall['max']:8.2f}{row['bufsz']:6}{ends(trip):>12}{ends(off):>9}{ours:>5}{others:>5}{card:>5}"
            f"{row['lag_frames']:7.0f}"
        )
        yield from (f"      {line}" for line in row["log"])


def ends(stats: Row) -> str:
    low, high = f"{stats['min']:.0f}", f"{stats['max']:.0f}"
    return low if low == high else f"{low}-{high}"
