"""The driver of sound cards: the real daemon on virtual cards (tests/lab); it plays, records, refuses."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from daemon import Daemon, running
from lab import virtcards
from lab.virtcards import Virtcards
from native import Native, Refused
from neighbour import numbered

FIELDS = {"rate": "[ 48000 44100 ]", "channels": "[ 1 2 ]", "format": "[ S16_LE S24_3LE S32_LE ]"}
SPEC = "alsa:hw:0,0"


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Virtcards]:
    if lacking := virtcards.missing():
        pytest.skip(f"{lacking}: tests/check installs it where it is root and has apt")
    with virtcards.virtcards(tmp_path, **FIELDS) as made:
        monkeypatch.setenv("ALSA_CONFIG_PATH", made.env["ALSA_CONFIG_PATH"])
        yield made


def heard(raw: bytes, dtype: str = "<i2") -> np.ndarray:
    """What a stereo card has played without the silence around it, frames x 2."""
    frames = np.frombuffer(raw, dtype).reshape(-1, 2)
    loud = np.flatnonzero(frames.any(axis=1))
    return frames[loud[0] : loud[-1] + 1] if len(loud) else frames[:0]


def play_numbers(client: Native, nframes: int) -> None:
    """Play numbered frames to the end, as fast as the server takes them."""
    n = client.stream("play", enc="s16le", pchan=2, rate=48000)
    client.write(n, b"")
    credit = client.call("getpar", stream=n)["par"]["appbufsz"]
    at = 0
    while at < nframes:
        if not credit:
            credit = client.until(lambda m: m[:2] == [2, "credit"])[2][1]
        size = min(credit, nframes - at)
        client.write(n, numbered(at, size).tobytes())
        at, credit = at + size, credit - size
    client.call("stop", stream=n)
    client.call("close", stream=n)


# ---- what is played and recorded ----


@pytest.mark.parametrize(
    ("spec", "bits"),
    [
        (SPEC, 16),
        ("rsnd/0", 16),
        (f"{SPEC}?enc=s24le3", 24),
        (f"{SPEC}?access=mmap", 16),
        (f"{SPEC}?access=rw", 16),
    ],
)
def test_a_file_is_on_the_card_bit_by_bit(
    tmp_path: Path, cards: Virtcards, music, spec: str, bits: int
) -> None:
    source = music(bits)
    with running(tmp_path, "-b", "9600", "-f", spec) as daemon:
        said = daemon.ctl("play", source)
        assert "bit-exact" in said.stderr.decode()
        assert daemon.ask("devices")["devices"][0]["name"] == spec
    raw = cards.sink()
    if bits == 24:
        raw = np.pad(np.frombuffer(raw, "u1").reshape(-1, 3), ((0, 0), (1, 0))).tobytes()
    want = soundfile.read(source, dtype="int32", always_2d=True)[0]
    got = heard(raw, "<i4" if bits == 24 else "<i2").astype(np.int32) << (16 if bits == 16 else 0)
    first, last = np.flatnonzero(want.any(axis=1))[[0, -1]]
    assert np.array_equal(got, want[first : last + 1])
    assert raw[: 9600 * 4].count(0) == 9600 * 4, "behind a buffer of silence"


def test_what_is_recorded_is_what_is_played(tmp_path: Path, cards: Virtcards) -> None:
    """The card's wire has no delay: recorded frame n is the played frame n, to the frame."""
    total = 24000
    with running(tmp_path, "-b", "9600", "-f", SPEC) as daemon, Native(daemon.socket) as c:
        par = {"enc": "s16le", "pchan": 2, "rchan": 2, "rate": 48000, "appbufsz": 48000}
        n = c.stream("play,rec", start=False)
        c.call("setpar", stream=n, par=par)
        c.call("start", stream=n)
        c.write(n, numbered(0, 48000).tobytes())
        raw = b""
        while len(raw) < total * 4:
            raw += c.until(lambda m: m[:2] == [2, "data"])[2][1]
    got = np.frombuffer(raw, "<i2").reshape(-1, 2)
    assert np.array_equal(got[:total], numbered(0, total))


def test_it_wakes_once_a_block_for_both_directions(tmp_path: Path, cards: Virtcards, music) -> None:
    with running(tmp_path, "-f", SPEC) as daemon:
        daemon.ctl("play", music(16))
    ends = {row["dir"]: row for row in cards.stats() if row["event"] == "close"}
    assert set(ends) == {"play", "rec"}
    assert ends["play"]["period"] == ends["rec"]["period"] == 480
    assert ends["play"]["irqs"] == 0, "one direction is waited for"
    assert 0 < ends["rec"]["irqs"] <= ends["rec"]["frames"] // 480
    # a block each, and one that was recorded and not taken any more
    assert ends["rec"]["transfers"] <= ends["rec"]["frames"] // 480 + 1
    # a block each, and those of the silence in front
    assert ends["play"]["transfers"] <= ends["play"]["frames"] // 480 + 4 * ends["play"]["starts"]


def test_rec_0_leaves_the_other_direction_to_others(tmp_path: Path, cards: Virtcards, music) -> None:
    with cards.taken("rec"), running(tmp_path, "-f", f"{SPEC}?rec=0") as daemon:
        daemon.ctl("play", music(16))
    assert {row["dir"] for row in cards.stats()} == {"play"}
    assert len(heard(cards.sink())) > 0


def test_a_card_that_only_plays_for_us_plays(tmp_path: Path, cards: Virtcards, music) -> None:
    with cards.taken("rec"), running(tmp_path, "-f", SPEC) as daemon:
        daemon.ctl("play", music(16))
        (line,) = [line for line in daemon.log.splitlines() if "device.open" in line]
        assert "play=2" in line and "rec=0" in line
        (line,) = [line for line in daemon.log.splitlines() if "device.incomplete" in line]
        assert "recording is busy, another program has the card" in line
    assert len(heard(cards.sink())) > 0


def test_the_card_decides_what_it_is(tmp_path: Path, cards: Virtcards) -> None:
    """Near values are taken, and told."""
    spec = f"{SPEC}?rate=46000&play=5&enc=u8&round=17&bufsz=100000"
    with running(tmp_path, "-f", spec) as daemon, Native(daemon.socket) as c:
        c.stream("play", start=False)
        (line,) = [line for line in daemon.log.splitlines() if "device.open" in line]
        assert "play=2" in line and "encoding=s32" in line and "rate=4" in line


def test_it_is_closed_when_idle(tmp_path: Path, cards: Virtcards) -> None:
    with running(tmp_path, "-f", SPEC) as daemon, Native(daemon.socket) as c:
        play_numbers(c, 480)
        while daemon.ask("devices")["devices"][0]["state"] != "closed":
            pass
        with cards.taken("play"), cards.taken("rec"):
            pass
        play_numbers(c, 480)


# ---- xruns ----


def test_a_card_that_runs_dry_goes_on(tmp_path: Path, cards: Virtcards) -> None:
    """The daemon is stopped for longer than the card's buffer lasts: the card's clock goes on without it."""
    with running(tmp_path, "-f", SPEC) as daemon, Native(daemon.socket) as c:
        n = c.stream("play", enc="s16le", pchan=2, rate=48000, appbufsz=24000)
        c.write(n, numbered(0, 24000).tobytes())
        c.noted("onmove", n)
        daemon.process.send_signal(signal.SIGSTOP)
        until = time.monotonic() + 3 * 1920 / 48000
        while time.monotonic() < until:
            pass
        daemon.process.send_signal(signal.SIGCONT)
        c.call("stop", stream=n)
        xruns = daemon.ask("status")["xruns"]
        assert xruns["scheduler"] > 0 and xruns["ours"] == xruns["driver"] == 0, xruns
    assert [row["dir"] for row in cards.stats() if row["event"] == "xrun"]
    got = heard(cards.sink())
    assert np.array_equal(got[got.any(axis=1)], numbered(0, 24000)), "all was heard, in order"


def test_xruns_and_an_end_can_be_told(tmp_path: Path, cards: Virtcards) -> None:
    """A stream outlives its card; the next one has it opened anew."""
    spec = f"{SPEC}?xrun_every=0.1&unplug_after=0.35"
    with running(tmp_path, "-f", spec) as daemon, Native(daemon.socket) as c:
        n = c.stream("play", enc="s16le", pchan=2, rate=48000, appbufsz=48000)
        c.write(n, numbered(0, 48000).tobytes())
        while daemon.ask("devices")["devices"][0]["state"] != "lost":
            pass
        assert daemon.ask("status")["xruns"]["driver"] == 3
        c.call("stop", stream=n)
        assert not [told for told in c.seen if told[1] == "onstate"]
        c.call("close", stream=n)
        while daemon.ask("devices")["devices"][0]["state"] == "lost":
            pass
        play_numbers(c, 480)
        assert daemon.log.count("device.lost") == 1 and daemon.log.count("device.open") == 2


# ---- what cannot be ----


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("alsa:nosuch", "nosuch: there is no such card or PCM for playback"),
        ("alsa:nosuch", "Unknown PCM nosuch"),
        ("alsa:hw:0,x", "Parameter DEV must be an integer"),
        ("alsa", "default: there is no such card or PCM"),
        ("alsa:hw:0,0?access=mmap-planar", "has no encoding that audiod has, by the only access"),
    ],
)
def test_a_card_that_is_not_there(tmp_path: Path, cards: Virtcards, spec: str, words: str) -> None:
    with running(tmp_path, "-f", spec, "-f", "null") as daemon, Native(daemon.socket) as c:
        with pytest.raises(Refused) as refused:
            c.call("open", mode="play")
        assert refused.value.code == "ENODEV" and words in refused.value.message
        assert "ALSA lib" not in daemon.log, "the library's own words do not go to stderr"
        assert c.call("open", mode="play", device="1")["device"] == 1


def test_a_card_that_is_busy(tmp_path: Path, cards: Virtcards) -> None:
    with running(tmp_path, "-f", SPEC) as daemon, Native(daemon.socket) as c:
        with cards.taken("play"), pytest.raises(Refused) as refused:
            c.call("open", mode="play")
        assert "hw:0,0: playback is busy, another program has the card" in refused.value.message
        play_numbers(c, 480)
    assert len(heard(cards.sink())) == 480


@pytest.mark.parametrize("text", ["", "pcm.hw { type virtcard", "\0\1\2\3", "pcm.hw { type nothing }\n"])
def test_a_configuration_that_is_no_good(tmp_path: Path, cards: Virtcards, text: str) -> None:
    cards.conf.write_text(text)
    with running(tmp_path, "-f", SPEC, "-f", "null") as daemon, Native(daemon.socket) as c:
        with pytest.raises(Refused) as refused:
            c.call("open", mode="play")
        assert refused.value.code == "ENODEV" and "hw:0,0" in refused.value.message
        assert "ALSA lib" not in daemon.log
        assert c.call("open", mode="play", device="1")["device"] == 1


def test_a_machine_without_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cards: Virtcards
) -> None:
    """A file of its name that is no library comes first."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/libasound.so.2").write_text("no library")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path / "lib"))
    with running(tmp_path, "-f", SPEC, "-f", "null") as daemon, Native(daemon.socket) as c:
        for _ in range(2):
            with pytest.raises(Refused) as refused:
                c.call("open", mode="play")
            assert "there is no ALSA library on this machine" in refused.value.message
            assert "libasound2" in refused.value.message
        assert c.call("open", mode="play", device="1")["device"] == 1


def test_a_machine_without_cards_plays_into_silence(tmp_path: Path) -> None:
    if list(Path("/dev/snd").glob("pcmC*D*p")):
        pytest.skip("this machine has a sound card")
    daemon = Daemon(tmp_path)
    try:
        assert daemon.ask("devices")["devices"][0]["name"] == "null"
    finally:
        daemon.stop()
