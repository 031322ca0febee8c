"""Devices and the process around them: several, missing, failing, held; sockets taken and left; signals.

Real processes; what they say to the client, the log and the shell is all of the test.
"""

import contextlib
import ctypes
import os
import resource
import signal
import socket
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest
from daemon import BIN, PATIENCE, Daemon, running
from native import Native, Refused
from neighbour import frames_of, numbered

PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1  # linux: prctl.h, capability.h


def play(client: Native, frames: np.ndarray, device: str = "default", *, end: str = "stop") -> int:
    """Play frames (n x channels, s16) on a sub-device to the end; returns the stream's number."""
    n = client.stream("play", open={"device": device}, enc="s16le", pchan=frames.shape[1], rate=48000)
    client.seen.clear()
    credit = client.call("getpar", stream=n)["par"]["appbufsz"]
    at = 0
    while at < len(frames):
        if not credit:
            credit = client.until(lambda m: m[:2] == [2, "credit"])[2][1]
        size = min(credit, len(frames) - at)
        client.write(n, frames[at : at + size].astype("<i2").tobytes())
        at, credit = at + size, credit - size
    client.call(end, stream=n)
    return n


def record(client: Native, nframes: int, device: str = "default", channels: int = 2) -> np.ndarray:
    """At least nframes from a sub-device, frames x channels."""
    n = client.stream("rec", open={"device": device}, enc="s16le", rchan=channels, rate=48000)
    raw = b"".join(m[2][1] for m in client.seen if m[:2] == [2, "data"])
    while len(raw) < nframes * channels * 2:
        raw += client.until(lambda m: m[:2] == [2, "data"])[2][1]
    client.call("flush", stream=n)
    client.call("close", stream=n)
    client.seen.clear()
    return np.frombuffer(raw, "<i2").reshape(-1, channels)


def wav(path: Path, frames: np.ndarray, rate: int = 48000) -> Path:
    with wave.open(str(path), "wb") as w:
        w.setnchannels(frames.shape[1])
        w.setsampwidth(2)
        w.setframerate(rate)
        w.writeframes(frames.astype("<i2").tobytes())
    return path


def refused_start(folder: Path, *args: str, code: int = 1, **options: object) -> str:
    """Start a daemon that must not start; what it says on stderr, one line and no traceback."""
    words = [BIN / "audiod", "--sndio", "none", "--socket", folder / "audiod.sock", "--state", "none"]
    words += ["--log-level", "warning", *args]
    done = subprocess.run(words, capture_output=True, timeout=PATIENCE, check=False, **options)  # type: ignore[call-overload]
    said: str = done.stderr.decode()
    assert done.returncode == code, (done.returncode, said)
    assert not done.stdout and "Traceback" not in said
    return said


def state(daemon: Daemon, device: int = 0) -> str:
    with Native(daemon.socket) as c:
        return str(c.call("devices")["devices"][device]["state"])


# ---- several ----


def test_two_devices_play_apart(tmp_path: Path) -> None:
    a, b = tmp_path / "a.raw", tmp_path / "b.raw"
    specs = [f"file:{a}?clock=free", "-f", f"file:{b}?clock=free", "-s", "second"]
    with running(tmp_path, "-f", *specs) as daemon, Native(daemon.socket) as c:
        one, two = numbered(0, 5000), numbered(70_000, 3000)
        play(c, one, "0")
        play(c, two, "snd/second")
        play(c, two, "1")
        names = [[s["name"] for s in d["subdevices"]] for d in c.call("devices")["devices"]]
        assert names == [["default", "0"], ["second", "1"]]
        assert [d["default"] for d in c.call("devices")["devices"]] == [True, False]
    assert np.array_equal(frames_of(a, 2, slice(0, 2)), one)
    assert np.array_equal(frames_of(b, 2, slice(0, 2)), np.concatenate([two, two]))


def test_subdevices_by_name_and_number(tmp_path: Path) -> None:
    out = tmp_path / "out.raw"
    words = ["-f", f"file:{out}?clock=free", "-c", "2:3", "-s", "rear", "-c", "0:1", "-s", "front"]
    with running(tmp_path, *words, "-s", "default") as daemon, Native(daemon.socket) as c:
        data = numbered(0, 4800)
        play(c, data, "rear")
        play(c, data, "front")
        with pytest.raises(Refused) as refused:
            play(c, data, "side")
        assert refused.value.code == "ENODEV" and "'side'" in refused.value.message
        assert all(name in refused.value.hint for name in ("rear", "front", "default", "0"))
    assert np.array_equal(frames_of(out, 4, slice(2, 4)), data)
    assert np.array_equal(frames_of(out, 4, slice(0, 2)), data)


def test_a_device_is_closed_when_idle_and_opened_again(tmp_path: Path) -> None:
    out = tmp_path / "out.raw"
    with running(tmp_path, "-f", f"file:{out}?clock=free") as daemon, Native(daemon.socket) as c:
        data = numbered(0, 4800)
        for part in (data[:2400], data[2400:]):
            n = play(c, part)
            c.call("close", stream=n)
            c.call("subscribe", topics=["devices"])
            while c.call("devices")["devices"][0]["state"] != "closed":
                c.until(lambda m: m[:2] == [2, "changed"])
            c.seen.clear()
        assert daemon.log.count("device.open") == daemon.log.count("device.close") == 2
    assert np.array_equal(frames_of(out, 2, slice(0, 2)), data), "it goes on behind what it has"


def test_held_devices_stay_open(tmp_path: Path) -> None:
    with running(tmp_path, "-a", "on", "-f", "null", "-a", "off", "-f", "loopback") as daemon:
        assert (state(daemon, 0), state(daemon, 1)) == ("idle", "closed")


# ---- one direction ----


def test_a_file_is_recorded_and_play_into_it_is_discarded(tmp_path: Path) -> None:
    data = numbered(0, 4800)
    source = wav(tmp_path / "in.wav", data)
    with running(tmp_path, "-f", f"file?rec={source}&clock=free") as daemon, Native(daemon.socket) as c:
        assert c.call("devices")["devices"][0]["mode"] == "rec"
        assert np.array_equal(record(c, 4800)[:4800], data)
        n = play(c, data)
        assert c.call("close", stream=n) == {"stream": n}
    assert source.read_bytes()[44:] == data.tobytes(), "the file is as it was"


def test_a_device_that_only_plays_records_silence(tmp_path: Path) -> None:
    spec = f"file:{tmp_path / 'out.raw'}?clock=free"
    with running(tmp_path, "-f", spec) as daemon, Native(daemon.socket) as c:
        assert c.call("devices")["devices"][0]["mode"] == "play"
        assert not record(c, 4800).any()


# ---- devices that cannot be opened ----


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("file:{dir}/none/out.wav", "No such file or directory"),
        ("file:{dir}/out.mp3", ".wav, .au or .raw"),
        ("file:/proc/out.wav", "cannot write /proc/out.wav"),
        ("file:/dev/null.wav/x.wav", "cannot write"),
        ("file:{dir}/folder.wav", "cannot write {dir}/folder.wav"),
        ("file?rec={dir}/none.wav", "cannot read {dir}/none.wav"),
        ("file?rec={dir}/text.wav", "cannot read {dir}/text.wav"),
    ],
)
def test_a_device_that_cannot_be_opened(tmp_path: Path, spec: str, why: str) -> None:
    """On demand the client is told and the daemon lives; with -a on it does not start."""
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "text.wav").write_text("no sound at all, but as long as a header would be")
    spec, why = spec.format(dir=tmp_path), why.format(dir=tmp_path)
    with running(tmp_path, "-f", spec, "-f", "null") as daemon, Native(daemon.socket) as c:
        for _ in range(2):
            with pytest.raises(Refused) as refused:
                c.call("open", mode="play")
            assert refused.value.code == "ENODEV"
            assert why in refused.value.message and refused.value.hint
        assert c.call("devices")["devices"][0]["state"] == "failed"
        (line,) = [line for line in daemon.log.splitlines() if "device.refused" in line][:1]
        assert why in line and "level=error" in line
        assert c.call("open", mode="play", device="1")["device"] == 1, "the other one works"
    said = refused_start(tmp_path, "-a", "on", "-f", spec)
    assert why in said and "-a off" in said
    assert not (tmp_path / "audiod.sock").exists()


def test_it_opens_once_the_cause_is_mended(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    with running(tmp_path, "-f", f"file:{folder}/out.raw?clock=free") as daemon, Native(daemon.socket) as c:
        with pytest.raises(Refused):
            c.call("open", mode="play")
        folder.mkdir()
        data = numbered(0, 1000)
        play(c, data)
    assert np.array_equal(frames_of(folder / "out.raw", 2, slice(0, 2)), data)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("nul", ("nul", "null")),
        ("oss:/dev/dsp", ("not there yet", "null")),
        ("null?colour=red", ("colour", "rate")),
        ("null?rate=1", ("rate=1", "4000")),
        ("file:x.wav?clock=fre", ("clock=fre", "free")),
        ("file", ("no file is named", "file:PATH")),
        ("null?rate", ("rate", "VALUE")),
    ],
)
def test_a_spec_that_is_wrong(tmp_path: Path, spec: str, words: tuple[str, str]) -> None:
    said = refused_start(tmp_path, "-f", spec, code=2)
    assert said.startswith("audiod: ") and said.count("\n") == 1
    assert all(word in said for word in words), said


# ---- devices that fail while they play ----


def test_a_disk_that_is_full_ends_the_streams_not_the_daemon(tmp_path: Path) -> None:
    """RLIMIT_FSIZE: the file may not grow beyond 100 KB, and SIGXFSZ must not kill the daemon."""
    out = tmp_path / "out.raw"
    spec = f"file:{out}"
    with running(tmp_path, "-f", spec, "-f", "null") as daemon, Native(daemon.socket) as c:
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        n = c.stream("play", enc="s16le", rate=48000, appbufsz=48000)
        m = c.stream("rec", enc="s16le", rate=48000)
        idle = c.call("open", mode="play")["stream"]
        c.write(n, b"\1\0" * 2 * 48000)
        for number in (n, m, idle):
            note = c.noted("onstate", number, "closed")
            assert note[2][2]["code"] == "ENODEV" and "went away" in note[2][2]["message"]
        for number in (n, m, idle):
            with pytest.raises(Refused) as refused:
                c.call("start", stream=number)
            assert refused.value.code == "EPIPE"
            c.call("close", stream=number)
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        (line,) = [line for line in daemon.log.splitlines() if "device.failed" in line]
        assert "File too large" in line and "level=error" in line
        assert c.call("devices")["devices"][0]["state"] == "failed"
        assert c.call("open", mode="play", device="1")["device"] == 1
        assert daemon.process.poll() is None
        c.seen.clear()
        play(c, numbered(0, 480))
        assert c.call("devices")["devices"][0]["state"] in ("running", "idle"), (
            "the next stream opens it again"
        )
    assert (len(out.read_bytes()) - 480 * 4) % 4 == 0
    assert np.array_equal(frames_of(out, 2, slice(0, 2))[-480:], numbered(0, 480))


def test_a_drain_that_the_device_does_not_survive_is_refused(tmp_path: Path) -> None:
    with running(tmp_path, "-f", f"file:{tmp_path / 'out.raw'}") as daemon, Native(daemon.socket) as c:
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        n = c.stream("play", enc="s16le", rate=48000, appbufsz=48000)
        c.write(n, b"\1\0" * 2 * 48000)
        with pytest.raises(Refused) as refused:
            c.call("stop", stream=n)
        assert refused.value.code in ("ENODEV", "EPIPE")
        c.call("close", stream=n)
        assert c.call("status")["streams"] == 0


# ---- the socket ----


def test_a_socket_left_by_a_dead_server_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "audiod.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with running(tmp_path, "-f", "null") as daemon, Native(daemon.socket) as c:
        assert c.call("status")["pid"] == daemon.pid
    assert not path.exists()


def test_a_killed_server_leaves_a_socket_that_the_next_replaces(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, "-f", "null")
    assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL and daemon.socket.exists()
    with running(tmp_path, "-f", "null") as again, Native(again.socket) as c:
        assert c.call("status")["pid"] == again.pid


def test_the_socket_of_a_living_server_is_not_taken(tmp_path: Path) -> None:
    with running(tmp_path, "-f", "null") as daemon, Native(daemon.socket) as c:
        said = refused_start(tmp_path, "-f", "null")
        assert "a server is running there" in said and "-U" in said
        assert c.call("status")["pid"] == daemon.pid, "and it has not noticed"
        with Native(daemon.socket) as another:
            another.call("status")


def test_what_is_no_socket_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "audiod.sock").write_text("precious")
    assert "is not a socket" in refused_start(tmp_path, "-f", "null")
    assert (tmp_path / "audiod.sock").read_text() == "precious"


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    said = refused_start(tmp_path / "none", "-f", "null")
    assert "no such directory" in said and "--socket" in said


def test_a_directory_without_rights(tmp_path: Path) -> None:
    """Root gives up what lets it write anywhere (CAP_DAC_OVERRIDE) first."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o555)
    libc = ctypes.CDLL(None)

    def weaken() -> None:
        libc.prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)

    said = refused_start(folder, "-f", "null", preexec_fn=weaken)
    assert "Permission denied" in said and "--socket" in said


def test_a_path_too_long_for_a_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    said = refused_start(deep, "-f", "null")
    assert "AF_UNIX path too long" in said and "--socket" in said


# ---- signals ----


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_ends(tmp_path: Path, number: int) -> None:
    out = tmp_path / "out.raw"
    daemon = Daemon(tmp_path, "-f", f"file:{out}")
    with Native(daemon.socket) as c:
        n = c.stream("play", enc="s16le", rate=48000, appbufsz=4800)
        data = numbered(0, 4800)
        c.write(n, data.tobytes())
        c.noted("onmove", n)
        daemon.process.send_signal(number)
        words = c.last_words()
    assert daemon.stop() == 0 and not daemon.socket.exists()
    ends = [(m[1], m[2][-1]["code"]) for m in words if m[0] == 2 and m[1] in ("onstate", "error")]
    assert ends == [("onstate", "ESHUTDOWN"), ("error", "ESHUTDOWN")]
    assert np.array_equal(frames_of(out, 2, slice(0, 2)), data), "what was written is played"
    assert f"signal={signal.Signals(number).name}" in daemon.log and "server.end" in daemon.log


def test_a_second_term_is_immediate(tmp_path: Path) -> None:
    """A second of sound has been written; it is not waited for."""
    out = tmp_path / "out.raw"
    daemon = Daemon(tmp_path, "-f", f"file:{out}", "-b", "48000", "-z", "4800")
    with Native(daemon.socket) as c:
        n = c.stream("play", enc="s16le", rate=48000, appbufsz=96000)
        c.write(n, numbered(0, 52800).tobytes())
        c.noted("credit", n)
        daemon.process.send_signal(signal.SIGTERM)
        while "server.ending" not in daemon.log:
            pass
        daemon.process.send_signal(signal.SIGTERM)
        words = c.last_words()
        assert daemon.stop() == 0
    assert "the second one: at once" in daemon.log
    assert [m[1] for m in words if m[0] == 2 and m[1] in ("onstate", "error")] == ["onstate", "error"]
    assert len(frames_of(out, 2, slice(0, 2))) < 52800, "it was cut"


def test_hup_without_files_changes_nothing(tmp_path: Path) -> None:
    with running(tmp_path, "-f", "null") as daemon, Native(daemon.socket) as c:
        daemon.process.send_signal(signal.SIGHUP)
        while "config.reload" not in daemon.log:
            c.call("status")
        assert c.call("status")["pid"] == daemon.pid


def test_a_closed_standard_error_does_not_end_it(tmp_path: Path) -> None:
    words = [BIN / "audiod", "--sndio", "none", "--socket", tmp_path / "s", "--state", "none", "-f", "null"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stderr.close()
    with contextlib.closing(Native(tmp_path / "s")) as c:
        c.answer(0)
        n = c.stream("play")
        c.call("close", stream=n)
        assert c.call("status")["pid"] == process.pid
    process.terminate()
    assert process.wait(PATIENCE) == 0
    process.stdout.close()


# ---- realtime ----


def test_realtime_that_is_not_asked_for(tmp_path: Path) -> None:
    with running(tmp_path, "--no-realtime", "-a", "on", "-f", "null") as daemon, Native(daemon.socket) as c:
        realtime = c.call("status")["realtime"]
        assert (realtime["wanted"], realtime["granted"]) == (0, False)
        assert "--no-realtime" in realtime["reason"]
        assert sorted(t["device"] is None for t in realtime["threads"]) == [False, True]
        for thread in realtime["threads"]:
            assert os.sched_getscheduler(thread["tid"]) == os.SCHED_OTHER
            assert thread["policy"] == "other"


def test_realtime_is_what_the_kernel_says(tmp_path: Path) -> None:
    with running(tmp_path, "-a", "on", "-f", "null", "-f", "loopback") as daemon, Native(daemon.socket) as c:
        realtime = c.call("status")["realtime"]
        while not all(thread["tid"] for thread in realtime["threads"]):  # one has not run yet
            realtime = c.call("status")["realtime"]
        threads = {t["device"]: t for t in realtime["threads"]}
        assert realtime["wanted"] > 0 and set(threads) == {None, 0, 1}
        fifo = []
        for thread in threads.values():
            really = os.sched_getscheduler(thread["tid"]) & ~getattr(os, "SCHED_RESET_ON_FORK", 0)
            fifo.append(really == os.SCHED_FIFO)
            assert thread["policy"] == ("fifo" if really == os.SCHED_FIFO else "other")
            assert thread["priority"] == os.sched_getparam(thread["tid"]).sched_priority
        assert realtime["granted"] == all(fifo)
        assert (realtime["reason"] is None) == all(fifo)
        assert all(fifo) or "realtime.refused" in daemon.log
        if all(fifo):
            assert threads[None]["priority"] == threads[0]["priority"] - 1, "the pump is one below"
