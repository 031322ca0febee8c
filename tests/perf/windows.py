"""One measurement: of servers without clients, of a server under a load, of starts one at a time.

Shared by the programs that compare; a row is a map of numbers, some inside
maps, and `median` makes one row of the same one in several rounds.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections.abc import Iterable
from typing import Any

import usage
from servers import PATIENCE, SETTLE, Load, Server

Row = dict[str, Any]


def idle(servers: Iterable[Server], seconds: float) -> dict[str, Row]:
    """No client anywhere: all servers in the same window, by name."""
    before = {server: server.use() for server in servers}
    time.sleep(seconds)
    return {server.name: usage.between(use, server.use(), {}) for server, use in before.items()}


def window(server: Server, streams: int, rate: int, seconds: float, counted: bool, *more: object) -> Row:
    """`seconds` of a server that plays; `counted`: as long again for its instructions; `more`: for the load.

    Instructions are counted apart: to begin may stall the server for a block or
    two, and each context switch costs more.
    """
    lasts = (1.5 if counted else 1) * seconds + 2 * SETTLE
    load = server.play(streams, rate, lasts, *more)
    time.sleep(SETTLE)
    roles = server.roles()
    xruns = server.xruns()
    before = server.use()
    time.sleep(seconds)
    after = server.use()
    row = usage.between(before, after, roles)
    late = {cause: n - xruns[cause] for cause, n in server.xruns().items()}
    counts = usage.instructions(server.process.pid, seconds / 2) if counted else {}
    result = load.end()
    return row | {
        "xruns": late,
        "alive": result["alive"],
        "moved": result.get("moved", result["alive"]),
        "lag_frames": result["lag_frames_max"],
        "client_cpu_s": result["client_cpu_s"],
        "minstr_s": sum(counts.values()),
        "instructions": counts,
    }


def opens(server: Server, count: int, busy: int) -> dict[str, Row]:
    """The times of each step of `count` starts, ms, while `busy` other streams play."""
    load: Load | None = server.play(busy, 48000, PATIENCE) if busy else None
    try:
        command = server.load("-O", count, "-p", 0 if busy else 100)
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    finally:
        if load:
            load.process.terminate()
            load.end()
    result: Row = json.loads(done.stdout)
    return {name: stats for name, stats in result.items() if isinstance(stats, dict)}


def median(rows: list[Row]) -> Row:
    """Of each number, those inside maps too; of the CPU also the ends; of xruns, which are rare, the sum."""
    out: Row = {}
    for key, value in rows[0].items():
        if isinstance(value, dict):
            out[key] = median([row.get(key, {}) or value for row in rows])
        else:
            out[key] = round(statistics.median(row.get(key, 0) for row in rows), 4)
    if "cpu_pct" in out and "threads" in out:
        out["cpu_min"] = round(min(row["cpu_pct"] for row in rows), 4)
        out["cpu_max"] = round(max(row["cpu_pct"] for row in rows), 4)
    if "xruns" in rows[0]:
        out["xruns"] = {cause: sum(row["xruns"][cause] for row in rows) for cause in rows[0]["xruns"]}
    return out
