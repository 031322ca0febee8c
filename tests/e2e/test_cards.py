"""Cards and the real daemon: what a machine's configuration of ALSA is like, and audiod all the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cards import asoundrc
from daemon import Daemon, running
from lab import virtcards
from lab.virtcards import Virtcards
from native import Native, Refused

FIELDS = {"rate": "[ 48000 44100 ]", "channels": "[ 1 2 ]", "format": "[ S16_LE S24_3LE ]"}
HINT = 'pcm.card0 { type empty slave.pcm "hw:0" hint.description "A card in user space" }\n'


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Virtcards]:
    if lacking := virtcards.missing():
        pytest.skip(f"{lacking}: tests/check installs it where it is root and has apt")
    with virtcards.virtcards(tmp_path, **FIELDS) as made:
        made.conf.write_text(made.conf.read_text() + HINT)
        monkeypatch.setenv("ALSA_CONFIG_PATH", made.env["ALSA_CONFIG_PATH"])
        yield made


def looked(daemon: Daemon) -> Any:
    """The answer of `cards` once the daemon has looked for them."""
    while "event=cards.found" not in daemon.log:
        assert daemon.process.poll() is None
    return daemon.ask("cards")


def test_what_there_is_is_told_and_can_be_used(tmp_path: Path, cards: Virtcards, music) -> None:
    with running(tmp_path, "-f", "null", "-f", "alsa:card0") as daemon:
        (row,) = looked(daemon)["endpoints"]
        assert (row["spec"], row["name"], row["mode"]) == ("alsa:card0", "A card in user space", "play,rec")
        assert row["play"]["encodings"] == ["s24le3", "s16le"] and row["play"]["rates"] == [44100, 48000]
        assert "A card in user space" in daemon.ctl("devices", "--all").stdout.decode()
        daemon.ctl("play", "--device", "snd/1", music(16))
    assert any(cards.sink())


def test_looking_does_not_keep_a_program_from_a_card(tmp_path: Path, cards: Virtcards, music) -> None:
    """It plays at once, while the daemon still looks, time and again."""
    for _ in range(2):
        with running(tmp_path, "-f", "alsa:card0") as daemon:
            daemon.ctl("play", music(16))
            assert looked(daemon)["error"] is None
            assert "device.refused" not in daemon.log


def test_the_start_does_not_wait_for_a_configuration_that_never_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, music
) -> None:
    """What is left goes on: the other device plays while the prober hangs, and after it was killed."""
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "fifo"))
    with running(tmp_path, "-f", "null", "-f", "alsa:hw:0") as daemon, Native(daemon.socket) as c:
        assert daemon.ask("cards")["scanning"]
        daemon.ctl("play", music(16))
        answer = looked(daemon)
        assert "took more than 2 seconds" in answer["error"] and not answer["scanning"]
        with pytest.raises(Refused) as refused:
            c.call("open", mode="play", device="1")
        assert "ALSA's configuration is not usable" in refused.value.message
        daemon.ctl("play", music(16))
        assert "ALSA's configuration is not usable" in daemon.ctl("devices").stdout.decode()


@pytest.mark.parametrize("end", [True, False])
def test_a_prober_that_hangs_does_not_outlive_the_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: bool
) -> None:
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "fifo"))
    daemon = Daemon(tmp_path, "-f", "null")
    try:
        if not end:
            looked(daemon)
        else:
            while not children(daemon.pid):
                pass
        found = children(daemon.pid)
    finally:
        assert daemon.stop() == 0
    assert bool(found) is end
    assert not any(Path(f"/proc/{pid}").exists() for pid in found)


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def test_a_plug_in_that_crashes_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, music) -> None:
    (tmp_path / "asoundrc").write_text(asoundrc.crashing(tmp_path) + asoundrc.GOOD)
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "asoundrc"))
    with running(tmp_path, "-f", "alsa:crash", "-f", "null") as daemon, Native(daemon.socket) as c:
        rows = {row["pcm"]: row for row in looked(daemon)["endpoints"]}
        assert rows["crash"]["error"] == "asking it crashed (SIGABRT)" and rows["good"]["error"] is None
        with pytest.raises(Refused) as refused:
            c.call("open", mode="play")
        assert refused.value.code == "ENODEV" and "crashed" in refused.value.message
        assert "ALSA lib" not in daemon.log
        daemon.ctl("play", "--device", "snd/1", music(16))


def test_a_machine_without_the_library_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, music
) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/libasound.so.2").write_text("no library")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path / "lib"))
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "none"))
    with running(tmp_path) as daemon:
        assert "no usable ALSA library on this machine" in looked(daemon)["error"]
        assert daemon.ask("devices")["devices"][0]["name"] == "null"
        daemon.ctl("play", music(16))


def test_looking_is_no_part_of_the_idle_daemon(tmp_path: Path, cards: Virtcards) -> None:
    """No process and no descriptor is left of it."""
    with running(tmp_path, "-f", "null") as daemon:
        looked(daemon)
        while daemon.ask("cards")["scanning"]:
            pass
        assert children(daemon.pid) == []
        links = [str(fd.readlink()) for fd in Path(f"/proc/{daemon.pid}/fd").iterdir()]
        assert not any("audiod-probe" in link for link in links)
