"""demo.py: the real engine and the real client, for a moment."""

from __future__ import annotations

import struct
import wave
from pathlib import Path

import pytest

from audiod import demo
from audiod.__main__ import main


def test_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(demo, "SECONDS", 0.2)
    monkeypatch.setattr(demo, "LOOK_AFTER", 0.0)
    target = tmp_path / "a b%c?.wav"
    assert main(["--demo", str(target)]) == 0
    assert str(target) in capsys.readouterr().out
    with wave.open(str(target)) as sound:
        assert (sound.getnchannels(), sound.getframerate(), sound.getsampwidth()) == (2, 48000, 2)
        data = sound.readframes(sound.getnframes())
    assert sound.getnframes() >= 9600
    frames = list(struct.iter_unpack("<hh", data))
    assert all(abs(left - right) <= 2 for left, right in frames), (
        "mono goes to both channels, but for the dither"
    )
    assert sum(abs(left) > 100 for left, _ in frames) > 8000, "both are heard"


def test_demo_where_nothing_can_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--demo", str(tmp_path / "none" / "x.wav")]) == 1
    assert "no such directory" in capsys.readouterr().err


def test_table() -> None:
    rows = [
        dict.fromkeys(demo.COLUMNS, 1) | {"name": "a"},
        dict.fromkeys(demo.COLUMNS, 22) | {"name": "long name", "conversion": "bit-exact"},
    ]
    head, first, second = demo.table(rows).splitlines()
    assert head.startswith("id  name       state")
    assert first.startswith("1   a          1")
    assert second.endswith("bit-exact")
