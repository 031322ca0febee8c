"""What a running server uses: CPU, wake-ups and memory of its processes, thread by thread.

Read from /proc; CPU in nanoseconds' grain by each process's own clock, threads
by the scheduler's account.  A wake-up is a voluntary context switch.
Instructions, where `perf` may count them, say the same on a busy machine as on
a quiet one; CPU time does not.
"""

from __future__ import annotations

import subprocess
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class ThreadUse:
    cpu: float  # seconds
    wakeups: int
    preempted: int


@dataclass(frozen=True)
class Use:
    """Of a process and all it started, at `time` (monotonic seconds)."""

    time: float
    cpu: float  # seconds, threads that ended included
    threads: dict[int, ThreadUse] = field(default_factory=dict)
    rss_kb: int = 0
    pss_kb: int = 0


def _children(pid: int) -> list[int]:
    found = []
    for path in (PROC / str(pid) / "task").glob("*/children"):
        found += [int(word) for word in path.read_text().split()]
    return found


def tree(pid: int) -> list[int]:
    """`pid` and all its descendants."""
    pids = [pid]
    for each in pids:
        pids += _children(each)
    return pids


def _numbers(path: Path) -> dict[str, int]:
    """The lines `name: number ...` of a file of /proc."""
    found = {}
    for line in path.read_text().splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            found[name] = int(words[0])
    return found


def _thread(task: Path) -> ThreadUse:
    status = _numbers(task / "status")
    ran_ns = int((task / "schedstat").read_text().split()[0])
    return ThreadUse(ran_ns / 1e9, status["voluntary_ctxt_switches"], status["nonvoluntary_ctxt_switches"])


def now(pid: int) -> Use:
    pids = tree(pid)
    at = time.monotonic()
    cpu = sum(time.clock_gettime((~each << 3) | 2) for each in pids)  # each process's CPU clock
    threads, rss, pss = {}, 0, 0
    for each in pids:
        for task in (PROC / str(each) / "task").iterdir():
            threads[int(task.name)] = _thread(task)
        memory = _numbers(PROC / str(each) / "smaps_rollup")
        rss += memory["Rss"]
        pss += memory["Pss"]
    return Use(at, cpu, threads, rss, pss)


def between(a: Use, b: Use, roles: dict[int, str]) -> dict[str, object]:
    """Use per second from `a` to `b`: percent of one core, wake-ups; by role of thread too."""
    seconds = b.time - a.time
    cpu: defaultdict[str, float] = defaultdict(float)
    wakeups: defaultdict[str, float] = defaultdict(float)
    preempted = 0
    for tid, after in b.threads.items():
        before = a.threads.get(tid, ThreadUse(0, 0, 0))
        role = roles.get(tid, "other")
        cpu[role] += 100 * (after.cpu - before.cpu) / seconds
        wakeups[role] += (after.wakeups - before.wakeups) / seconds
        preempted += after.preempted - before.preempted
    return {
        "cpu_pct": 100 * (b.cpu - a.cpu) / seconds,
        "wakeups_s": sum(wakeups.values()),
        "preempted_s": preempted / seconds,
        "rss_kb": b.rss_kb,
        "pss_kb": b.pss_kb,
        "threads": {role: {"cpu_pct": cpu[role], "wakeups_s": wakeups[role]} for role in sorted(cpu)},
    }


def instructions(pid: int, seconds: float) -> dict[str, float]:
    """Millions a second executed by `pid` and all it started, in user space and in the kernel.

    Takes `seconds`.  Raises RuntimeError if this machine or user cannot count them.
    """
    pids = ",".join(map(str, tree(pid)))
    events = ("instructions:u", "instructions:k")
    command = ["perf", "stat", "-x;", "-e", ",".join(events), "-p", pids, "sleep", str(seconds)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        counts = [line.split(";") for line in done.stderr.splitlines()]
        found = {fields[2]: float(fields[0]) / seconds / 1e6 for fields in counts if len(fields) > 2}
        return {"user": found[events[0]], "kernel": found[events[1]]}
    except (OSError, subprocess.CalledProcessError, KeyError, ValueError) as error:
        raise RuntimeError(
            f"perf cannot count instructions here: {error}; leave out --instructions"
        ) from error
