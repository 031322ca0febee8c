"""What a card costs and what its faults are counted as: the real daemon on virtual cards (tests/lab)."""

from __future__ import annotations

import re
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from daemon import Daemon, running
from lab import virtcards
from lab.virtcards import Virtcards
from native import Native
from neighbour import numbered

SPEC = "alsa:hw:0,0"
RATE, BLOCK = 48000, 480
CYCLES = 2000
SOUNDING = 50  # one of so many cycles is heard
WATCH_S = 1.0


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Virtcards]:
    if lacking := virtcards.missing():
        pytest.skip(f"{lacking}: tests/check installs it where it is root and has apt")
    with virtcards.virtcards(tmp_path) as made:
        monkeypatch.setenv("ALSA_CONFIG_PATH", made.env["ALSA_CONFIG_PATH"])
        yield made


def state(daemon: Daemon) -> str:
    return str(daemon.ask("devices")["devices"][0]["state"])


def descriptors(daemon: Daemon) -> list[str]:
    """What each of the daemon's descriptors is."""
    folder = Path(f"/proc/{daemon.pid}/fd")
    return sorted(re.sub(r"\[.*\]", "", str(fd.readlink())) for fd in folder.iterdir())


def tasks(daemon: Daemon) -> set[int]:
    """The ids of its threads."""
    return {int(task.name) for task in Path(f"/proc/{daemon.pid}/task").iterdir()}


def waits(daemon: Daemon, tid: int) -> int:
    """How often a thread has waited for something so far, and was woken."""
    status = Path(f"/proc/{daemon.pid}/task/{tid}/status").read_text()
    return int(re.findall(r"^voluntary_ctxt_switches:\s*(\d+)$", status, re.M)[0])


def cpu_ticks(daemon: Daemon) -> int:
    fields = Path(f"/proc/{daemon.pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


# ---- opened and closed ----


def test_many_openings_leak_nothing(tmp_path: Path, cards: Virtcards) -> None:
    """The card is opened and closed 2,000 times, at times to play a block, with few descriptors to spare."""
    with running(tmp_path, "-f", SPEC) as daemon, Native(daemon.socket) as c:

        def cycle(sounding: bool) -> None:
            n = c.stream(start=False)
            if sounding:
                c.call("setpar", stream=n, par={"enc": "s16le", "pchan": 2, "rate": RATE})
                c.call("start", stream=n)
                c.write(n, numbered(0, 4 * BLOCK).tobytes())
                c.until(lambda message: message[:2] == [2, "onmove"])
                c.call("flush", stream=n)
            c.call("close", stream=n)
            while c.call("devices")["devices"][0]["state"] != "closed":
                pass
            c.seen.clear()

        cycle(sounding=True)  # what is kept for good is there now
        before, threads = descriptors(daemon), len(tasks(daemon))
        limit = len(before) + 24
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (limit, limit))
        for number in range(CYCLES):
            cycle(number % SOUNDING == 0)
        assert descriptors(daemon) == before
        assert len(tasks(daemon)) <= threads + 1, "trio keeps a thread for a while"
        log = daemon.log
    opened = [row for row in cards.stats() if row["event"] == "close" and row["dir"] == "play"]
    assert len(opened) >= CYCLES + 1
    assert log.count("event=device.open ") == log.count("event=device.close ") == CYCLES + 1


# ---- idle, and not ----


@pytest.mark.parametrize("hold", [False, True])
def test_a_card_that_is_idle_costs_nothing(tmp_path: Path, cards: Virtcards, hold: bool) -> None:
    """Closed, or kept open by -a: not one wake-up, no time of a processor."""
    rest = "idle" if hold else "closed"
    with running(tmp_path, *(["-a", "on"] if hold else []), "-f", SPEC) as daemon:
        with Native(daemon.socket) as c:
            n = c.stream(enc="s16le", pchan=2, rate=RATE)
            c.write(n, numbered(0, 4 * BLOCK).tobytes())
            c.until(lambda message: message[:2] == [2, "onmove"])
            playing = sum(daemon.threads().values())
            c.call("stop", stream=n)
            c.call("close", stream=n)
        while state(daemon) != rest or "event=cards.found" not in daemon.log:
            pass
        assert sum(daemon.threads().values()) > playing, "the check sees what wakes up"
        before = None
        while before != daemon.threads():  # the answers to `state` have left
            before, ticks = daemon.threads(), cpu_ticks(daemon)
            time.sleep(0.05)
        time.sleep(WATCH_S)  # the thing measured is a span of real time
        assert daemon.threads() == before
        assert cpu_ticks(daemon) == ticks


@pytest.mark.parametrize("mode", ["play", "play,rec"])
def test_its_thread_wakes_up_once_a_block(tmp_path: Path, cards: Virtcards, mode: str) -> None:
    span = RATE // 2
    with (
        running(tmp_path, "-z", str(BLOCK), "-b", str(8 * BLOCK), "-f", SPEC) as daemon,
        Native(daemon.socket) as c,
    ):
        before = tasks(daemon)
        par = {"rchan": 2} if "rec" in mode else {}
        n = c.stream(mode, enc="s16le", pchan=2, rate=RATE, appbufsz=span + 20 * BLOCK, **par)
        new = tasks(daemon) - before
        c.write(n, numbered(0, span + 20 * BLOCK).tobytes())

        def position() -> int:
            return int(c.until(lambda message: message[:2] == [2, "onmove"])[2][2])

        first = position()
        begun = {tid: waits(daemon, tid) for tid in new}
        while (last := position()) < first + span:
            pass
        spent = {tid: waits(daemon, tid) - count for tid, count in begun.items()}
        c.call("flush", stream=n)
    blocks = (last - first) // BLOCK
    # the helper of a card sleeps; what has begun or ended meanwhile is a block or two
    assert sorted(spent.values())[:-1] == [0] * (len(spent) - 1), spent
    assert blocks * 3 // 4 <= max(spent.values()) <= blocks + 2, (spent, blocks)


# ---- xruns ----


def heard(cards: Virtcards) -> np.ndarray:
    frames = np.frombuffer(cards.sink(), "<i2").reshape(-1, 2)
    return frames[frames.any(axis=1)]


def xruns(daemon: Daemon) -> dict[str, int]:
    return {cause: count for cause, count in daemon.ask("status")["xruns"].items() if count}


def test_a_card_that_runs_dry_by_itself_is_started_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time and again: each is the driver's, told to the stream, and no frame is lost by it."""
    if lacking := virtcards.missing():
        pytest.skip(f"{lacking}: tests/check installs it where it is root and has apt")
    with virtcards.virtcards(tmp_path, dry_after="9600") as cards:
        monkeypatch.setenv("ALSA_CONFIG_PATH", cards.env["ALSA_CONFIG_PATH"])
        with running(tmp_path, "-f", f"{SPEC}?rec=0") as daemon, Native(daemon.socket) as c:
            n = c.stream(enc="s16le", pchan=2, rate=RATE, appbufsz=RATE)
            c.write(n, numbered(0, RATE).tobytes())
            c.call("stop", stream=n)
            found = xruns(daemon)
            lines = [line for line in daemon.log.splitlines() if "event=xrun" in line]
        dry = [row for row in cards.stats() if row["event"] == "xrun"]
        assert sum(found.values()) == len(dry) >= 4, found
        assert found.keys() <= {"driver", "scheduler"} and found["driver"], "each has a cause, none is ours"
        assert any("culprit=driver" in line for line in lines)
        assert np.array_equal(heard(cards), numbered(0, RATE)), "all was heard, in order"


def test_a_client_that_is_late_is_named(tmp_path: Path, cards: Virtcards) -> None:
    with running(tmp_path, "-f", SPEC) as daemon, Native(daemon.socket) as c:
        n = c.stream(enc="s16le", pchan=2, rate=RATE, appbufsz=4 * BLOCK)
        c.write(n, numbered(0, 4 * BLOCK).tobytes())
        c.noted("onxrun", n)
        c.write(n, numbered(4 * BLOCK, 4 * BLOCK).tobytes())
        c.call("stop", stream=n)
        assert set(xruns(daemon)) == {"client"}
    assert not [row for row in cards.stats() if row["event"] == "xrun"], "the card is not told"
    assert np.array_equal(heard(cards), numbered(0, 8 * BLOCK))
