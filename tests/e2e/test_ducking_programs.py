"""Ducking of real programs at a real daemon: goldens in the file that it plays into, types, reload."""

from __future__ import annotations

import json
import select
import subprocess
from collections.abc import Callable
from pathlib import Path

import audiod_client
import numpy as np
import pytest
from audiod_client import Mode
from daemon import BIN, PATIENCE, Daemon, running
from native import Native
from units import a_unit

__all__ = ["a_unit"]

RATE, APPBUF = 48000, 1920

VOICE = """\
[[audio_type]]
name = "voice"
duck_lower_prio_percent = 50
[[audio_type]]
name = "ringtone"
duck_lower_prio_percent = 20
[[audio_type]]
name = "multimedia"
"""
MIX = """\
[audio_type]
name=m1
prio=same
duck_same_prio_policy=mix
duck_same_prio_percent=ch0:10,ch1:50
duck_lower_prio_percent=ch0:10,ch1:50
[audio_type]
name=m2
prio=same
duck_same_prio_policy=mix
duck_same_prio_percent=ch0:0,ch1:100
duck_lower_prio_percent=ch0:0,ch1:100
[audio_type]
name=m3
prio=same
duck_same_prio_policy=mix
duck_same_prio_percent=noducking
duck_lower_prio_percent=noducking
[audio_type]
name=low
prio=decr
duck_same_prio_policy=mix
duck_same_prio_percent=100
duck_lower_prio_percent=100
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def until(daemon: Daemon, true: Callable[[], bool]) -> None:
    """Wait until it is so: asked after each change of a stream."""
    with Native(daemon.socket, hello="watcher") as watcher:
        watcher.call("subscribe", topics=["streams"])
        while not true():
            watcher.until(lambda m: m[:2] == [2, "changed"])


def tone(hertz: int, seconds: float) -> bytes:
    """A sine at a quarter of full scale, whole periods in 10 ms, on both channels."""
    time = np.arange(int(RATE * seconds)) / RATE
    one = np.round(8192 * np.sin(2 * np.pi * hertz * time)).astype("<i2")
    return np.repeat(one, 2).tobytes()


class Feeder(Native):
    """One started stream, fed only what is told."""

    def __init__(self, daemon: Daemon, kind: str, hertz: int) -> None:
        super().__init__(daemon.socket, hello=kind)
        par = {"enc": "s16le", "rate": RATE, "pchan": 2, "appbufsz": APPBUF}
        self.number = self.stream(open={"type": kind}, **par)
        self.data = tone(hertz, 2)
        self.at = 0

    def feed(self) -> bool:
        """Write what there is room for; whether all is written."""
        self.messages()
        granted = sum(m[2][1] for m in self.seen if m[:2] == [2, "credit"])
        if granted * 4 > self.at:
            self.write(self.number, self.data[self.at : granted * 4])
            self.at = min(granted * 4, len(self.data))
        return self.at == len(self.data)


def levels(out: np.ndarray, hertz: int) -> np.ndarray:
    """The level of a sine on each channel, in the last half second but one."""
    part = out[-RATE : -RATE // 2].astype(float)
    wave = np.exp(-2j * np.pi * hertz * np.arange(len(part)) / RATE)
    return np.abs(wave @ part) * 2 / len(part) / 8192


GOLDENS = [
    (VOICE, {"multimedia": [0.1, 0.1], "ringtone": [0.5, 0.5], "voice": [1, 1]}),
    (MIX, {"low": [0, 0.5], "m1": [0, 1], "m2": [0.1, 0.5], "m3": [0, 0.5]}),
]


@pytest.mark.parametrize(("policy", "wanted"), GOLDENS, ids=["voice", "mix"])
def test_goldens_at_the_file_device(tmp_path: Path, policy: str, wanted: dict[str, list[float]]) -> None:
    """Within 0.1 dB of what QNX's pages compute, in the file, after the ramp."""
    if policy is MIX:
        write(tmp_path / "policy.conf", policy)
        policy = f'[ducking]\nfile = "{tmp_path}/policy.conf"\n'
    conf = write(tmp_path / "c.toml", policy)
    out = tmp_path / "out.raw"
    device = f"file:{out}?clock=free&dither=off&stall=60"
    lowered = {kind for kind, left in wanted.items() if left != [1, 1]}
    hertz = {kind: 1000 * (n + 1) for n, kind in enumerate(wanted)}
    with running(tmp_path, "--config", str(conf), "-f", device) as daemon:
        feeders = [Feeder(daemon, kind, hertz[kind]) for kind in wanted]

        # the clock waits for whoever has least: nobody gets ahead of the others, or of the decisions
        for feeder in feeders:
            feeder.feed()
        until(daemon, lambda: {kind for kind, (_, left) in ducked(daemon).items() if left != [1]} == lowered)
        todo = {feeder for feeder in feeders if not feeder.feed()}
        while todo:
            ready, _, _ = select.select([feeder.sock for feeder in todo], [], [], PATIENCE)
            assert ready, "the device stands still"
            todo -= {feeder for feeder in todo if feeder.sock in ready and feeder.feed()}
        for feeder in feeders:
            feeder.request("stop", stream=feeder.number)
        for feeder in feeders:
            feeder.answer(feeder._next_id - 1)
            feeder.close()
    played = np.frombuffer(out.read_bytes(), "<i2").reshape(-1, 2)
    for kind, left in wanted.items():
        for measured, percent in zip(levels(played, hertz[kind]), left, strict=True):
            if percent == 0:
                assert measured < 1e-4, kind
            else:
                assert abs(20 * np.log10(measured / percent)) < 0.1, (kind, measured)


# ---- whose type is what ---------------------------------------------------------------------

PROGRAMS = (
    VOICE
    + """
[[program]]
name = "esp*"
type = "voice"
[[device]]
spec = "null"
[[device.subdevice]]
name = "ring"
type = "ringtone"
"""
)


def sndio_stream(unit: int, name: str, sub: str = "default") -> audiod_client.Stream:
    """A program of sndio's that plays."""
    stream = audiod_client.open(f"snd,{unit}/{sub}", Mode.PLAY, client_name=name)
    par = stream.getpar()
    assert stream.start()
    stream.write(bytes((par.appbufsz or 0) * (par.pchan or 0) * (par.bps or 0)))
    return stream


def ducked(daemon: Daemon) -> dict[str, tuple[str, list[float]]]:
    """By name: the type of each stream, and what is left of it."""
    return {
        row["name"]: (row["type"], (row["ducking"] or {"gains": [1.0]})["gains"])
        for row in daemon.ask("streams")["streams"]
    }


def test_types_of_programs_that_cannot_say_theirs(tmp_path: Path, a_unit: int) -> None:
    conf = write(tmp_path / "c.toml", PROGRAMS)
    with running(tmp_path, "--config", str(conf), sndio="", unit=a_unit) as daemon:
        mpv = sndio_stream(a_unit, "mpv")
        until(daemon, lambda: ducked(daemon) == {"mpv": ("multimedia", [1.0])})
        ring = sndio_stream(a_unit, "x", "ring")
        until(daemon, lambda: ducked(daemon) == {"mpv": ("multimedia", [0.2]), "x": ("ringtone", [1.0])})
        speak = sndio_stream(a_unit, "espeak")
        wanted = {"mpv": ("multimedia", [0.1]), "x": ("ringtone", [0.5]), "espeak": ("voice", [1.0])}
        until(daemon, lambda: ducked(daemon) == wanted)
        text = daemon.ctl("streams").stdout.decode()
        assert "ducked: 10% left" in text and "voice (stream 3) leaves 50%" in text
        shown = json.loads(daemon.ctl("ducking", "--json").stdout)
        assert [one["type"] for one in shown["devices"][0]["active"]] == ["voice", "ringtone", "multimedia"]
        assert {row["name"] for row in shown["streams"]} == {"mpv", "x"}
        assert "voice > ringtone > multimedia; 2 ducked" in daemon.ctl("status").stdout.decode()
        for stream in (mpv, ring, speak):
            stream.close()
        until(daemon, lambda: not ducked(daemon))


def test_sub_device_of_the_command_line(tmp_path: Path) -> None:
    conf = write(tmp_path / "c.toml", VOICE)
    words = ["--config", str(conf), "-f", "null", "-s", "call,type=voice", "-s", "default"]
    with running(tmp_path, *words) as daemon, Native(daemon.socket) as c:
        c.stream(open={"device": "call"})
        (row,) = daemon.ask("streams")["streams"]
        assert (row["subdevice"], row["type"]) == ("call", "voice")


def test_audioctl_says_which_types_there_are(tmp_path: Path) -> None:
    conf = write(tmp_path / "c.toml", VOICE)
    with running(tmp_path, "--config", str(conf), "-f", "null") as daemon:
        sound = write(tmp_path / "a.raw", "\0" * 4096)
        done = daemon.ctl("play", "--type", "gong", sound, ok=False)
        assert done.returncode == 1
        assert b"there is no audio type 'gong'" in done.stderr
        assert b"there are voice, ringtone, multimedia" in done.stderr
        daemon.ctl("play", "--type", "ringtone", sound)


# ---- reload ---------------------------------------------------------------------------------


def test_a_reload_counts_at_once_and_a_wrong_one_not_at_all(tmp_path: Path) -> None:
    conf = write(tmp_path / "c.toml", VOICE)
    with running(tmp_path, "--config", str(conf), "-f", "null") as daemon:
        music, voice = Native(daemon.socket, hello="music"), Native(daemon.socket, hello="voice")
        for client, kind in ((music, "multimedia"), (voice, "voice")):
            number = client.stream(open={"type": kind}, enc="s16le", pchan=2, appbufsz=APPBUF)
            client.write(number, bytes(4 * APPBUF))
        until(daemon, lambda: ducked(daemon) == {"music": ("multimedia", [0.5]), "voice": ("voice", [1.0])})
        conf.write_text(VOICE.replace("= 50", "= 25"))
        done = daemon.ctl("config", "reload").stdout.decode()
        assert "audio_type.voice.duck_lower_prio_percent: 50 -> 25\n  applied at once" in done
        until(daemon, lambda: ducked(daemon)["music"] == ("multimedia", [0.25]))
        conf.write_text(VOICE.replace("= 50", "= 101"))
        wrong = daemon.ctl("config", "reload", ok=False)
        assert wrong.returncode == 1 and f"{conf}:3: audio_type.0.duck_lower".encode() in wrong.stderr
        assert ducked(daemon)["music"] == ("multimedia", [0.25])
        assert f"{conf}:3:" in daemon.log
        conf.write_text(VOICE.replace('"voice"', '"speech"'))
        daemon.ctl("config", "reload")
        # its type is gone: it has the default one, and ducks nobody
        until(
            daemon, lambda: ducked(daemon) == {"music": ("multimedia", [1.0]), "voice": ("multimedia", [1.0])}
        )
        conf.write_text("")
        daemon.ctl("config", "reload")
        assert "ducking" not in daemon.ctl("status").stdout.decode()
        assert ducked(daemon)["voice"] == ("voice", [1.0])
        music.close()
        voice.close()


def test_a_wrong_policy_at_the_start_ends_it(tmp_path: Path) -> None:
    policy = write(tmp_path / "policy.conf", MIX.replace("=mix", "=blend", 1))
    conf = write(tmp_path / "c.toml", f'[ducking]\nfile = "{policy}"\n')
    done = subprocess.run(
        [BIN / "audiod", "--config", conf, "--socket", tmp_path / "s"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"{policy}:4: audio_type.0.duck_same_prio_policy: one of last_wins" in done.stderr
