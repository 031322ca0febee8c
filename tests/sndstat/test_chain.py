"""Feeder chains: each step that the engine takes, in its order, and none that it does not."""

from __future__ import annotations

from typing import Any

import pytest
from audiod_protocol.params import Enc

from audiod.sndstat import chain
from audiod.sndstat.chain import End

S16, S24, S24P, S32 = map(Enc.parse, ("s16le", "s24le", "s24le3", "s32le"))
F32, F64 = map(Enc.parse, ("f32le", "f64le"))
DEVICE = End(S16, 48000, 2)
PLAY, REC = "pcm0:play:dsp0.p0", "pcm0:record:dsp0.r0"


def played(stream: End, device: End = DEVICE, style: str = "name", **how: Any) -> str:
    given: dict[str, Any] = {"identity": stream.channels == device.channels, "volume": False, "bypass": False}
    return chain.playing(stream, device, how.pop("parent", PLAY), style, **(given | how))


@pytest.mark.parametrize(
    ("stream", "device", "steps"),
    [
        (End(S16, 48000, 2), DEVICE, "feeder_root(s16le:2.0) -> feeder_format(s16le:2.0 -> f32le:2.0)"),
        (End(F32, 48000, 2), DEVICE, "feeder_root(f32le:2.0)"),
        (End(F64, 48000, 2), DEVICE, "feeder_root(f64le:2.0)"),
        (End(S24, 48000, 2), DEVICE, "feeder_root(s24le:2.0) -> feeder_format(s24le:2.0 -> f32le:2.0)"),
        (
            End(F32, 48000, 2), End(S32, 48000, 2),
            "feeder_root(f32le:2.0) -> feeder_format(f32le:2.0 -> f64le:2.0)",
        ),
        (End(F32, 44100, 2), DEVICE, "feeder_root(f32le:2.0) -> feeder_rate(44100 -> 48000)"),
        (End(F32, 48000, 1), DEVICE, "feeder_root(f32le:1.0) -> feeder_matrix(1.0ch -> 2.0ch)"),
        (
            End(S16, 44100, 6), DEVICE,
            "feeder_root(s16le:6.0) -> feeder_format(s16le:6.0 -> f32le:6.0) -> feeder_rate(44100 -> 48000) "
            "-> feeder_matrix(6.0ch -> 2.0ch)",
        ),
    ],
)  # fmt: skip
def test_playing(stream: End, device: End, steps: str) -> None:
    assert played(stream, device) == f"[userland -> {steps} -> {PLAY}]"


def test_volume_is_the_last() -> None:
    assert played(End(F32, 44100, 2), volume=True) == (
        "[userland -> feeder_root(f32le:2.0) -> feeder_rate(44100 -> 48000)"
        f" -> feeder_volume(f32le:2.0) -> {PLAY}]"
    )


def test_what_is_copied_is_not_converted() -> None:
    assert played(DEVICE, bypass=True) == f"[userland -> feeder_root(s16le:2.0) -> {PLAY}]"
    assert chain.mixed(DEVICE, "hex", double=False, bypass=True) == (
        "[vchans -> feeder_root(0x00200010) -> hardware]"
    )


def test_what_is_discarded_is_resampled_all_the_same() -> None:
    assert played(End(S16, 44100, 2), parent="", volume=True) == (
        "[userland -> feeder_root(s16le:2.0) -> feeder_format(s16le:2.0 -> f32le:2.0)"
        " -> feeder_rate(44100 -> 48000) -> nowhere]"
    )


def test_style() -> None:
    assert played(DEVICE, style="hex") == (
        f"[userland -> feeder_root(0x00200010) -> feeder_format(0x00200010 -> 0x10200000) -> {PLAY}]"
    )


def test_the_mix() -> None:
    def mixed(enc: Enc, **how: bool) -> str:
        return chain.mixed(End(enc, 48000, 2), "name", **({"double": False, "bypass": False} | how))

    assert mixed(S16) == (
        "[vchans -> feeder_root(f32le:2.0) -> feeder_mixer(f32le:2.0)"
        " -> feeder_format(f32le:2.0 -> s16le:2.0) -> hardware]"
    )
    assert "feeder_mixer(f64le:2.0) -> feeder_format(f64le:2.0 -> s16le:2.0)" in mixed(S16, double=True)
    assert "feeder_mixer(f64le:2.0) -> feeder_format(f64le:2.0 -> s32le:2.0)" in mixed(S32)
    assert mixed(F32) == "[vchans -> feeder_root(f32le:2.0) -> feeder_mixer(f32le:2.0) -> hardware]"


def test_recording() -> None:
    def recorded(stream: End, parent: str = REC, **how: bool) -> str:
        given = {"identity": stream.channels == 2, "volume": False}
        return chain.recording(stream, DEVICE, parent, "name", **(given | how))

    assert chain.recorded(DEVICE, "name") == (
        "[hardware -> feeder_root(s16le:2.0) -> feeder_format(s16le:2.0 -> f32le:2.0) -> vchans]"
    )
    assert recorded(DEVICE) == (
        f"[{REC} -> feeder_root(f32le:2.0) -> feeder_format(f32le:2.0 -> s16le:2.0) -> userland]"
    )
    assert recorded(End(S24P, 44100, 1), volume=True) == (
        f"[{REC} -> feeder_root(f32le:2.0) -> feeder_matrix(2.0ch -> 1.0ch) -> feeder_volume(f32le:1.0)"
        " -> feeder_rate(48000 -> 44100) -> feeder_format(f32le:1.0 -> s24le:1.0) -> userland]"
    )
    assert "feeder_mixer(f32le:2.0)" in recorded(DEVICE, both=True)
    assert recorded(End(F64, 48000, 2), PLAY) == f"[{PLAY} -> feeder_root(f64le:2.0) -> userland]"
    assert recorded(DEVICE, "").startswith("[nowhere -> feeder_root(f32le:2.0) -> feeder_format(")
