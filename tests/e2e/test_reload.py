"""The configuration of real processes: what --check prints, and reloads under ten playing streams."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from daemon import BIN, PATIENCE, Daemon
from native import Native, Refused

NSTREAMS = 10
NFRAMES = 24000


def check(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "audiod", "--check", *words], capture_output=True, text=True, timeout=PATIENCE, check=False
    )


# ---- --check ----


def test_check_of_a_good_file(tmp_path: Path) -> None:
    file = tmp_path / "good.toml"
    file.write_text(
        "[[device]]\nspec = 'null'\nrate = 44100\n[[device.subdevice]]\nname = 'rear'\nplay = [2, 3]\n"
    )
    done = check("--config", file)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"file {file}" and lines[-1] == "ok"
    assert "device 0: null: play,rec, s16le, 44100 Hz" in done.stdout
    assert "snd/rear: play,rec, play 2:3" in done.stdout


def test_check_tells_all_that_is_wrong_with_its_lines(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text("[server]\nunti = 1\n\n[[device]]\nspec = 'nul'\n")
    done = check("--config", file)
    assert (done.returncode, done.stdout) == (1, "")
    first, second = done.stderr.splitlines()
    assert first == f"{file}:2: [server] has no key 'unti'; did you mean 'unit'?"
    assert second.startswith(f"{file}:5: device.0.spec: nul: there is no driver 'nul'; did you mean null?")


def test_check_of_what_is_not_there_and_of_a_wrong_command_line(tmp_path: Path) -> None:
    done = check("--config", tmp_path / "none.toml")
    assert done.returncode == 1 and done.stderr.startswith(
        f"{tmp_path}/none.toml: cannot be read: No such file"
    )
    assert check("--config").returncode == 2
    file = tmp_path / "good.toml"
    file.write_text("[[device]]\nspec = 'null'\n")
    done = check("--config", file, "-s", "rear")
    assert done.returncode == 2 and f"-s: the devices are those of {file}" in done.stderr


def test_it_does_not_start_with_a_wrong_file(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text("unit = 1\n")
    alone = ["--sndio", "none", "--socket", tmp_path / "s", "--state", "none"]
    words = [BIN / "audiod", *alone, "--config", file]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{file}:1: there is no table or key 'unit'; unit belongs to [server]\n"
    assert not (tmp_path / "s").exists()


# ---- reload ----


def conf(folder: Path, more: str = "", head: str = "") -> str:
    spec = f"file:{folder}/out.raw?clock=free&dither=off"
    return f"{head}[[device]]\nspec = '{spec}'\n{more}"


CHANGES = [
    ("rate = 96000\nautovol = true\n", "[server]\nlog_level = 'debug'\n"),
    ("[[device.subdevice]]\nname = 'default'\nplay = [2, 3]\nvolume = 10\n", ""),
    ("hold = true\n[[device]]\nspec = 'null'\nhold = true\n", ""),
    ("enc = 's32le'\n[[device.subdevice]]\nname = 'rear'\nplay = [4, 7]\n", "[server]\nunit = 3\n"),
]


def played(folder: Path, *, reload: bool) -> np.ndarray:
    """What a device has got of ten streams that start in one cycle, with reloads on the way or without."""
    folder.mkdir()
    file = folder / "audiod.toml"
    file.write_text(conf(folder))
    rng = np.random.default_rng(7)
    data = rng.integers(-3000, 3000, (NSTREAMS, NFRAMES, 2)).astype("<i2")
    daemon = Daemon(folder, "--config", str(file))
    try:
        with Native(daemon.socket) as c, Native(daemon.socket) as other:
            numbers = [
                c.stream("play", start=False, open={"link": "all"}, enc="s16le", rate=48000)
                for _ in range(NSTREAMS)
            ]
            for n in numbers:
                c.call("start", stream=n)
            written = dict.fromkeys(numbers, 0)
            turn = 0
            while min(written.values()) < NFRAMES:
                credit = {
                    n: sum(m[2][1] for m in c.seen if m[1] == "credit" and m[2][0] == n) for n in numbers
                }
                for n in numbers:
                    upto = min(credit[n], NFRAMES)
                    if upto > written[n]:
                        c.write(n, data[n, written[n] : upto].tobytes())
                        written[n] = upto
                turn += 1
                if reload and turn <= 2 * len(CHANGES):
                    disturb(daemon, other, file, turn)
                if min(written.values()) < NFRAMES:
                    c.until(lambda m: m[:2] == [2, "credit"])
                    c.messages()
            assert turn > 2 * len(CHANGES)
            for n in numbers:
                c.request("stop", stream=n)
            c.noted("onmove", numbers[0])
            for ident in [i for i, method in c.asked.items() if method == "stop"]:
                c.answer(ident)
            if reload:
                (row,) = [r for r in other.call("devices")["devices"] if r["device"] == 0]
                assert (row["rate"], row["xruns"]) == (48000, 0)
    finally:
        assert daemon.stop() == 0
    assert "client.bug" not in daemon.log
    out = np.fromfile(folder / "out.raw", "<i2").reshape(-1, 2)
    assert np.array_equal(out[:NFRAMES], data.sum(axis=0)), "all that was written, frame for frame"
    return out


def disturb(daemon: Daemon, other: Native, file: Path, turn: int) -> None:
    """On odd turns another configuration, on even ones a wrong file."""
    if turn % 2:
        more, head = CHANGES[turn // 2]
        file.write_text(conf(file.parent, more, head))
        assert other.call("config.reload")["changes"]
        return
    file.write_text(conf(file.parent) + "[[devise]]\n")
    with pytest.raises(Refused, match="did you mean 'device'"):
        other.call("config.reload")
    at = daemon.log.count("config.refused")
    daemon.process.send_signal(signal.SIGHUP)
    while daemon.log.count("config.refused") == at:
        other.call("status")


def test_ten_streams_play_on_through_reloads(tmp_path: Path) -> None:
    still = played(tmp_path / "still", reload=False)
    disturbed = played(tmp_path / "disturbed", reload=True)
    assert np.array_equal(still, disturbed)
