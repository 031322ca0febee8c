"""A card's further knobs, by the kernel's drivers: those that amixer lists, set from either side."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import audiod_client
import pytest
from daemon import Daemon, running

CARDS = ("HDA", "USB", "Dummy")
CONFIG = "".join(f'[[device]]\nspec = "alsa:hw:{card}"\nelements = true\n' for card in CARDS)


def amixer(card: str, *words: str) -> str:
    done = subprocess.run(["amixer", "-c", card, *words], capture_output=True, text=True, check=True)
    return done.stdout


def further(daemon: Daemon, card: str) -> dict[str, Any]:
    """The values of its controls."""
    rows, after = [], None
    while True:
        page = daemon.ask("controls", **({} if after is None else {"after": after}))
        rows += page["controls"]
        if (after := page["next"]) is None:
            break
    return {
        row["name"]: row["value"]
        for row in rows
        if row["device"] == CARDS.index(card) and row["name"].startswith("hw/")
    }


def test_further_knobs_are_those_of_amixer(tmp_path: Path) -> None:
    (tmp_path / "audiod.toml").write_text(CONFIG)
    with (
        running(tmp_path, "--config", str(tmp_path / "audiod.toml")) as daemon,
        audiod_client.Connection.connect(str(daemon.socket)) as connection,
    ):
        connection.subscribe("controls", "devices")

        def until(is_so: Callable[[], bool]) -> None:
            while not is_so():
                assert connection.change(timeout=60) is not None

        until(lambda: all(row["fader"] for row in daemon.ask("devices")["devices"]))
        found = {card: further(daemon, card) for card in CARDS}
        assert found["HDA"] == {"hw/PCM.level": 127} and found["USB"] == {}
        dummy = found["Dummy"]
        assert {"hw/Synth.level", "hw/CD.level", "hw/CDRec.mute"} <= set(dummy)
        assert not {"hw/Master.level", "hw/MasterRec.level", "hw/CDRec.level"} & set(dummy), "one name each"
        before = amixer("Dummy", "sget", "Synth")
        daemon.ctl("volume", "snd/2/hw/Synth", "0%")
        until(lambda: "[-" in amixer("Dummy", "sget", "Synth") and amixer("Dummy", "sget", "Synth") != before)
        amixer("Dummy", "sset", "Synth", "100%")
        until(lambda: further(daemon, "Dummy")["hw/Synth.level"] == 127)
        with pytest.raises(audiod_client.StreamError, match="has no control"):
            connection.request("control.set", name="hw/Master.level", value=1, device=2)
