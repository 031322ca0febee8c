"""The machine is suspended while it plays and records, and wakes up again: the streams go on.

It runs in a pytest of its own, the machine's last: the kernel suspends all
drivers (by its own test of them, pm_test, then it wakes at once), but that of
the host's file system does not come back.  So all that is needed afterwards is
in memory before.
"""

from __future__ import annotations

import ctypes
import linecache
from pathlib import Path

import numpy as np
import pytest
import soundlab.live
from neighbour import numbered
from soundlab.kernelcards import state
from soundlab.live import BUFSZ, RATE, Live

from audiod.engine import StreamFlag

POWER = Path("/sys/power")
TEST_TIME = Path("/sys/module/suspend/parameters/pm_test_delay")  # seconds that it stays suspended
ALL = 3  # MCL_CURRENT | MCL_FUTURE
LENGTH = 3 * RATE


def suspend(how: str) -> None:
    """As deep as pm_test's `how`: freezer, devices, ...  Returns when it has woken up."""
    (POWER / "pm_test").write_text(how)
    (POWER / "state").write_text("freeze")
    (POWER / "pm_test").write_text("none")


@pytest.mark.parametrize("how", ["freezer", "devices"])
def test_streams_go_on_after_a_suspend(live: Live, how: str) -> None:
    """First the processes alone, then the cards as well; it records what it plays, before and after."""
    TEST_TIME.write_text("1")
    for file in __file__, soundlab.live.__file__:
        linecache.getlines(file)
    assert ctypes.CDLL(None).mlockall(ALL) == 0
    with live.device("wire", rchan=2) as device:
        stream = live.stream(device, numbered(0, LENGTH), flags=StreamFlag.PLAY | StreamFlag.REC)
        before = live.recorded(stream, RATE // 2)
        suspend(how)
        after = live.recorded(stream, RATE)
        assert state("Loopback") == "RUNNING"
        stream.stop(drain=False)
        live.released(stream)
    assert np.array_equal(before, numbered(0, len(before)))
    assert len(live.xruns()) == 1
    silent = ~after.any(axis=1)
    assert 0 < silent.sum() <= BUFSZ, "what was queued is gone"
    want = numbered(len(before), len(after))
    assert np.array_equal(after[~silent], want[~silent]), "all else is where it was, in between and after"
    assert not silent[-1]
