"""When the machine fails: a disk that is full, no descriptors left, audio files cut at every length.

Real processes.  (A socket that is taken, a device that cannot be opened and a
file size limit that ends streams are in test_devices.py.)
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import struct
import subprocess
import sys
import wave
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from daemon import Daemon, running
from native import Native, Refused
from neighbour import frames_of, numbered

MS_NODEV_NOSUID = 4 | 2
SMALL = 256 * 1024  # bytes of a disk that is full soon


# ---- a disk that is full ----


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder of a file system of SMALL bytes, and what a write beyond them is told.

    Where mounting is not allowed, a folder as any other: the process gets a limit then.
    """
    folder = tmp_path / "disk"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"size={SMALL}".encode()
    mounted = libc.mount(b"tmpfs", str(folder).encode(), b"tmpfs", MS_NODEV_NOSUID, options) == 0
    yield folder, os.strerror(errno.ENOSPC if mounted else errno.EFBIG)
    assert not mounted or libc.umount2(str(folder).encode(), 0) == 0, "a file on it is still open"


def test_a_full_disk_under_one_device_leaves_the_other_playing(
    small_disk: tuple[Path, str], tmp_path: Path
) -> None:
    folder, why = small_disk
    out, other = folder / "out.wav", tmp_path / "other.raw"
    specs = ["-f", f"file:{out}?clock=free", "-f", f"file:{other}?clock=free"]
    with running(tmp_path, *specs) as daemon, Native(daemon.socket) as c:
        if why == os.strerror(errno.EFBIG):
            resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (SMALL, resource.RLIM_INFINITY))
        n = c.stream("play", enc="s16le", rate=48000, appbufsz=48000)
        seconds = 2 * SMALL // (4 * 48000) + 2
        with contextlib.suppress(Refused, EOFError):
            for _ in range(seconds * 48000 // 480):
                c.until(lambda m: m[:2] in ([2, "credit"], [2, "onstate"]))
                if c.seen[-1][1] == "onstate":
                    break
                c.write(n, b"\1\0" * 2 * c.seen[-1][2][1])
        note = c.noted("onstate", n, "closed")[2][2]
        assert note["code"] == "ENODEV" and "went away" in note["message"] and note["hint"]
        logged_by_now(daemon, c, "device.failed")
        (line,) = [line for line in daemon.log.splitlines() if "device.failed" in line]
        assert why in line and "level=error" in line
        assert c.call("close", stream=n) == {"stream": n}
        assert c.call("devices")["devices"][0]["state"] == "failed"

        data = numbered(0, 9600)
        played = daemon.ctl("play", "--device", "snd/1", wav(tmp_path / "in.wav", data))
        assert played.returncode == 0, "the other device plays"
        full = daemon.ctl("play", "--device", "snd/0", tmp_path / "in.wav", ok=False)
        assert full.returncode in (0, 1) and b"Traceback" not in full.stderr
        assert daemon.process.poll() is None
        assert daemon.stop() == 0, "the daemon itself ends as ever"
    assert np.array_equal(frames_of(other, 2, slice(0, 2)), data)
    assert out.stat().st_size <= SMALL


def logged_by_now(daemon: Daemon, client: Native, event: str) -> None:
    """Ask the daemon until its log has the event."""
    for _ in range(100_000):
        if event in daemon.log:
            return
        client.call("status")
    raise AssertionError(f"{event} is never logged: {daemon.log}")


def wav(path: Path, frames: np.ndarray) -> Path:
    with wave.open(str(path), "wb") as w:
        w.setnchannels(frames.shape[1])
        w.setsampwidth(2)
        w.setframerate(48000)
        w.writeframes(frames.astype("<i2").tobytes())
    return path


# ---- no descriptor left ----


def no_more_descriptors(pid: int) -> tuple[int, int]:
    """Lower its limit to what it has open; returns what the limit was.  Its descriptors have no gaps."""
    used = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used, hard))
    return soft, hard


def test_no_descriptors_left_is_said_once_and_is_over_when_one_is_free(tmp_path: Path) -> None:
    """It must not spin: each time it looks again, it is told of by a pause, not by a line or a loop."""
    with running(tmp_path, "-f", "null") as daemon, contextlib.ExitStack() as stack:
        inside = [stack.enter_context(Native(daemon.socket)) for _ in range(3)]
        for c in inside:
            c.answer(0)
        soft, hard = no_more_descriptors(daemon.pid)
        outside = stack.enter_context(Native(daemon.socket))  # the kernel has taken it, the daemon cannot
        logged_by_now(daemon, inside[0], "listener.overload")
        before = sum(daemon.threads().values())
        for _ in range(200):
            assert inside[1].call("status")["connections"] == 3, "who is inside is served"
        assert daemon.log.count("listener.overload") == 1
        asked = 201  # each request wakes the pump and control, and the answer the pump
        assert sum(daemon.threads().values()) - before < 20 * asked, "it spins"
        with pytest.raises(Refused) as refused:
            inside[0].call("open", mode="play", device="nowhere")
        assert refused.value.code == "ENODEV"
        inside.pop().close()
        assert outside.answer(0)["version"] == 1, "one has gone, the next one comes in"
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (soft, hard))
        with Native(daemon.socket) as late:
            assert late.call("status")["connections"] == 4
        assert daemon.log.count("listener.overload") == 1


def test_a_device_that_finds_no_descriptor_is_refused(tmp_path: Path) -> None:
    spec = f"file:{tmp_path / 'out.wav'}?clock=free"
    with running(tmp_path, "-f", spec) as daemon, Native(daemon.socket) as c:
        c.answer(0)
        soft, hard = no_more_descriptors(daemon.pid)
        with pytest.raises(Refused) as refused:
            c.call("open", mode="play")
        assert refused.value.code == "ENODEV" and "Too many open files" in refused.value.message
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (soft, hard))
        assert c.call("open", mode="play")["stream"] == 0, "and works again"


# ---- audio files that are cut ----


def au_file(frames: np.ndarray) -> bytes:
    head = struct.pack(">4s5I", b".snd", 28, frames.size * 2, 3, 48000, frames.shape[1])
    return head + b"note" + frames.astype(">i2").tobytes()


def wav_file(frames: np.ndarray) -> bytes:
    """With a chunk before and one behind the samples, one of them of odd length."""
    data = frames.astype("<i2").tobytes()
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, frames.shape[1], 48000, 48000 * 4, 4, 16)
    body = b"WAVE" + struct.pack("<4sI", b"note", 5) + b"hello\0" + fmt
    body += struct.pack("<4sI", b"data", len(data)) + data + struct.pack("<4sI", b"LIST", 4) + b"INFO"
    return struct.pack("<4sI", b"RIFF", len(body)) + body


PLAYER = """\
import sys
from audiod_client.cli import main
for line in sys.stdin:
    path = line.strip()
    sys.argv = ["audioctl", "play", path]
    status = 0
    try:
        main()
    except SystemExit as end:
        status = end.code
    sys.stderr.flush()
    print(f"\\x1e{path}\\x1f{status}", file=sys.stderr, flush=True)
"""


@pytest.mark.parametrize(("suffix", "make"), [("wav", wav_file), ("au", au_file)])
def test_a_file_cut_at_each_length(tmp_path: Path, suffix: str, make) -> None:
    """Each prefix plays what it has, or is refused with a reason: never a traceback, never another status."""
    whole = make(numbered(0, 24))
    paths = []
    for n in range(len(whole) + 1):
        paths.append(tmp_path / f"{n:03}.{suffix}")
        paths[-1].write_bytes(whole[:n])
    with running(tmp_path, "-f", f"file:{tmp_path / 'out.raw'}?clock=free") as daemon:
        done = subprocess.run(
            [sys.executable, "-c", PLAYER],
            input="".join(f"{path}\n" for path in paths),
            env=daemon.env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert "client.breach" not in daemon.log and "client.bug" not in daemon.log
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    results = {}
    said = done.stderr.split("\x1e")
    for words, end in pairwise(said):
        name, _, rest = end.partition("\x1f")
        status = rest.split("\n", 1)[0]
        words = words.split("\n", 1)[1] if "\x1f" in words else words
        results[Path(name)] = (status, words.strip())
    assert list(results) == paths
    for path, (status, words) in results.items():
        assert status in ("0", "1", "None"), (path, status, words)
        assert status != "1" or (path.name in words and len(words) > len(path.name) + 10), (path, words)
    refused = [path for path, (status, _) in results.items() if status == "1"]
    assert paths[0] in refused and paths[20] in refused, "a header that is cut is refused"
    assert paths[-1] not in refused, "the whole file plays"
