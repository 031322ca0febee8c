"""Python is off the path of samples: with the control thread held, sound goes on and ends.

One thread of the daemon is stopped by ptrace for two seconds while clients play
on a real clock.  The same check with the pump held must fail, and shows by that
that it can.
"""

import ctypes
import os
import struct
import threading
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import audiod_client
import pytest
from daemon import running

SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000
HOLD_S = 2.0
RATE = 48000

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def ptrace(request: int, tid: int) -> None:
    if libc.ptrace(request, tid, None, None) < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"ptrace {request:#x} of {tid}: {os.strerror(error)}")


@contextmanager
def held(tid: int) -> Iterator[None]:
    """One thread does not run; ptrace calls come from one thread, this one."""
    ptrace(SEIZE, tid)
    ptrace(INTERRUPT, tid)
    os.waitpid(tid, WALL)
    try:
        yield
    finally:
        ptrace(DETACH, tid)


def pattern(nframes: int, start: int) -> bytes:
    """Stereo s16 frames, each unlike its neighbours."""
    return b"".join(
        struct.pack("<hh", (i * 7919 + start) % 20011 - 10005, (i * 104729) % 9973 - 5000)
        for i in range(nframes)
    )


def play_through(tid_of, daemon, seconds: float) -> dict[str, object]:
    """Play `seconds` with a thread held for the middle of it; what happened, in plain values."""
    pcm = pattern(int(RATE * (seconds + 1)), 0)
    seen: dict[str, object] = {}
    with audiod_client.open("default", "play") as bed, audiod_client.open("default", "play") as last:
        # buffers that outlast what a busy machine does to this process
        bed.setpar(enc="s16le", rate=RATE, pchan=2, appbufsz=24000)
        last.setpar(enc="s16le", rate=RATE, pchan=2, appbufsz=14400, xrun="error")
        moves: list[int] = []
        bed.onmove(moves.append)
        bed.start()
        bed.write(pcm[: RATE * 2])  # half a second: it plays
        last.start()
        last.write(bytes(4 * 14400))
        answered = threading.Event()
        with held(tid_of()):
            before = sum(moves)

            def finish() -> None:
                try:
                    last.write(bytes(4 * 2400))
                    last.stop()
                    answered.set()
                except audiod_client.StreamError:
                    pass

            worker = threading.Thread(target=finish, daemon=True)
            worker.start()
            feeder = threading.Thread(
                target=bed.write, args=(pcm[RATE * 2 : RATE * 2 + int(RATE * seconds) * 4],), daemon=True
            )
            feeder.start()
            seen["answered while held"] = answered.wait(seconds)
            feeder.join(2 * seconds)
            seen["heard while held"] = sum(moves) - before
            seen["all taken while held"] = not feeder.is_alive()
        feeder.join(30)
        worker.join(30)
        bed.stop()
    seen["sent"] = pcm[: RATE * 2 + int(RATE * seconds) * 4]
    return seen


@pytest.fixture
def ptrace_allowed() -> None:
    scope = Path("/proc/sys/kernel/yama/ptrace_scope")
    if os.geteuid() != 0 and scope.exists() and scope.read_text().strip() not in ("0", "1"):
        pytest.skip("this machine does not let a process trace its child (ptrace_scope); run as root")


@pytest.mark.usefixtures("ptrace_allowed")
def test_streams_play_and_end_while_python_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out.wav"
    with running(tmp_path, "-f", f"file:{out}", "-b", "9600") as daemon:
        monkeypatch.setenv("AUDIOD_SOCKET", str(daemon.socket))
        seen = play_through(lambda: daemon.pid, daemon, HOLD_S)
        assert daemon.ask("status")["xruns"]["ours"] == 0
    assert seen["answered while held"], "the ERROR stream drained and was answered without Python"
    assert seen["all taken while held"]
    assert seen["heard while held"] > RATE  # two seconds were due; half of it allows for slow machines
    sent = seen["sent"]
    with wave.open(str(out)) as w:
        got = w.readframes(w.getnframes())
    assert isinstance(sent, bytes)
    assert got[: len(sent)] == sent and not any(got[len(sent) :]), "not a sample missing"


@pytest.mark.usefixtures("ptrace_allowed")
def test_the_check_fails_with_the_pump_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The breach: what python must never be needed for is what the pump does."""
    with running(tmp_path, "-f", f"file:{tmp_path / 'out.wav'}", "-b", "9600") as daemon:
        monkeypatch.setenv("AUDIOD_SOCKET", str(daemon.socket))

        def pump() -> int:
            rows = daemon.ask("status")["realtime"]["threads"]
            return next(t["tid"] for t in rows if t["device"] is None)

        seen = play_through(pump, daemon, 0.5)
    assert not seen["answered while held"] and seen["heard while held"] == 0
