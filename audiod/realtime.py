"""Realtime: what priority to ask for, and why it was refused.

The engine's threads ask for SCHED_FIFO themselves; here the limits of the
process are read and raised as far as they go, and the threads' answers put into
words that tell one cause from another.  Control thread.
"""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from audiod.core import Row

CAP_SYS_NICE = 1 << 23


class Thread(Protocol):
    """audiod.engine.ThreadInfo, as far as it matters here."""

    @property
    def tid(self) -> int: ...
    @property
    def device(self) -> int | None: ...
    @property
    def realtime(self) -> bool: ...
    @property
    def prio(self) -> int: ...
    @property
    def asked(self) -> int: ...
    @property
    def err(self) -> int: ...


@dataclass(frozen=True)
class Limits:
    """What the system lets this process do."""

    rtprio: int  # RLIMIT_RTPRIO, the highest priority an unprivileged process gets
    privileged: bool  # CAP_SYS_NICE: no limit
    rt_runtime: int | None  # RT_GROUP_SCHED: microseconds of the cgroup; None where that does not exist


def read_limits() -> Limits:
    """The limits as they are now; RLIMIT_RTPRIO is raised to its hard limit first."""
    _, hard = resource.getrlimit(resource.RLIMIT_RTPRIO)
    resource.setrlimit(resource.RLIMIT_RTPRIO, (hard, hard))
    rtprio = 99 if hard == resource.RLIM_INFINITY else hard
    return Limits(rtprio, _privileged(), _rt_runtime())


def wanted(limits: Limits, most: int) -> int:
    """The priority to ask for: `most`, or what the limit allows if that is less but not nothing."""
    if limits.privileged or limits.rtprio == 0:
        return most  # with 0 the request fails, and the refusal is what we want to show
    return min(most, limits.rtprio)


def reason(error: int, limits: Limits) -> str:
    """Why realtime was refused with this errno, and what would help."""
    if error == errno.EPERM and not limits.privileged and limits.rtprio == 0:
        return "RLIMIT_RTPRIO is 0: set rtprio in limits.conf, or LimitRTPRIO= in the unit"
    if error == errno.EPERM and limits.rt_runtime == 0:
        return "RT_GROUP_SCHED: the cgroup has no realtime budget: set its cpu.rt_runtime_us"
    if error == errno.EPERM:
        return (
            f"EPERM although RLIMIT_RTPRIO is {limits.rtprio}: "
            "a seccomp filter or RestrictRealtime= of the unit forbids it"
        )
    return os.strerror(error)


def status(asked: int, limits: Limits, threads: Sequence[Thread]) -> Row:
    """The `realtime` map of status; threads' devices must be the configured numbers."""
    wanting = [thread for thread in threads if thread.asked > 0]
    refused = [thread for thread in wanting if not thread.realtime]
    why: str | None = None
    if asked == 0:
        why = "not asked for (--no-realtime)"
    elif refused:
        why = reason(refused[0].err, limits)
    elif not wanting:
        why = "no thread needs it yet"
    return {
        "wanted": asked,
        "granted": bool(wanting) and not refused,
        "reason": why,
        "threads": [
            {
                "tid": thread.tid,
                "device": thread.device,
                "policy": "fifo" if thread.realtime else "other",
                "priority": thread.prio,
            }
            for thread in threads
        ],
    }


def _privileged() -> bool:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) & CAP_SYS_NICE)
    except (OSError, ValueError, IndexError):
        pass
    return os.geteuid() == 0


def _rt_runtime() -> int | None:
    """cpu.rt_runtime_us of our cgroup (version 1 hierarchies only have it)."""
    try:
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            if "cpu" in names.split(","):
                group = Path(f"/sys/fs/cgroup/{names}{path}/cpu.rt_runtime_us")
                return int(group.read_text())
    except (OSError, ValueError):
        pass
    return None
