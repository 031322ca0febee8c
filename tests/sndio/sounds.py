"""Sounds that can be found again in what a card played: those of the conformance program, and the search.

A sound is random samples that are never 0, so every 16 frames of it are found in
one place only and silence is never part of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.int64]  # frames x 2, 16 bit values
PROBE = 16  # frames that tell one place of a sound from every other


def samples(seed: int, count: int, bits: int) -> NDArray[np.int64]:
    """What sound_next() of conform.c returns, `count` times."""
    with np.errstate(over="ignore"):
        powers = np.cumprod(np.full(count, 1664525, np.uint32), dtype=np.uint32)
        sums = np.concatenate([np.ones(1, np.uint32), powers[:-1]]).cumsum(dtype=np.uint32)
        x = powers * np.uint32(seed) + sums * np.uint32(1013904223)
    mask = 0xFFFF if bits >= 16 else (0xFFFF << (16 - bits)) & 0xFFFF
    values = (x >> np.uint32(16)).astype(np.int64) & mask
    values[values == 0] = mask & -mask
    return np.where(values >= 0x8000, values - 0x10000, values)


def played(seed: int, frames: int, bits: int, channels: str) -> Frames:
    """What a card of two channels plays of it: as the `join` of sndiod(8) says."""
    if channels == "left":  # two channels onto the left one
        both = samples(seed, 2 * frames, bits).reshape(frames, 2).sum(axis=1) // 2
        return np.stack([both, np.zeros_like(both)], axis=1)
    n = int(channels)
    wide = samples(seed, n * frames, bits).reshape(frames, n)
    if n == 1:
        return np.repeat(wide, 2, axis=1)
    joined = n // 2
    return np.rint(wide[:, : 2 * joined].reshape(frames, joined, 2).mean(axis=1)).astype(np.int64)


def stereo(raw: bytes) -> Frames:
    return np.frombuffer(raw[: len(raw) // 4 * 4], "<i2").reshape(-1, 2).astype(np.int64)


class Piece(NamedTuple):
    """`frames` frames of the sound from `index`, played at `at`."""

    index: int
    at: int
    frames: int


def pieces(sink: Frames, sound: Frames, tolerance: int = 0) -> Iterator[Piece]:
    """The sound as far as it was played, in order; silence between its pieces is passed over."""
    at = 0
    index = 0
    while index < len(sound):
        if index == 0:
            places = matches(sink[at:], sound[:1], tolerance)
            found = next((p for p in places if same(sink, at + p, sound, 0, tolerance) >= PROBE), None)
            if found is None:
                return
            at += int(found)
        else:
            loud = np.flatnonzero(sink[at:].any(axis=1))
            if not len(loud):
                return
            at += int(loud[0])
            places = matches(sound[index:], sink[at : at + 1], tolerance)
            here = next((p for p in places if same(sink, at, sound, index + p, tolerance) >= PROBE), None)
            if here is None:
                return
            index += int(here)
        frames = same(sink, at, sound, index, tolerance)
        yield Piece(index, at, frames)
        at += frames
        index += frames


def matches(where: Frames, frame: Frames, tolerance: int) -> NDArray[np.int64]:
    return np.flatnonzero((np.abs(where - frame) <= tolerance).all(axis=1))


def same(sink: Frames, at: int, sound: Frames, index: int, tolerance: int) -> int:
    """How many frames agree from there on."""
    n = min(len(sink) - at, len(sound) - index)
    wrong = (np.abs(sink[at : at + n] - sound[index : index + n]) > tolerance).any(axis=1)
    return int(np.argmax(wrong)) if wrong.any() else n


def verdict(sink: Frames, sound: Frames, tolerance: int = 0) -> str:
    """What became of a sound, in a word.

    whole: all of it in one piece; prefix: only its beginning; paused: all of it,
    with silence in between; skipped: some is missing, and the rest is where it
    would have been; none; else what pieces there are.
    """
    found = list(pieces(sink, sound, tolerance))
    if not found:
        return "none"
    first, last = found[0], found[-1]
    ended = last.index + last.frames == len(sound)
    if first.index == 0 and len(found) == 1:
        return "whole" if ended else "prefix"
    contiguous = all(a.index + a.frames == b.index for a, b in itertools.pairwise(found))
    aligned = all(p.at - p.index == first.at for p in found)
    if first.index == 0 and ended and contiguous:
        return "paused"
    if first.index == 0 and ended and aligned:
        return "skipped"
    return "pieces:" + ",".join(f"{p.index}+{p.frames}@{p.at - first.at}" for p in found)


def tones(sink: Frames, apart: int = 2400) -> list[NDArray[np.int64]]:
    """Stretches of the left channel with `apart` frames of silence on either side."""
    loud = np.flatnonzero(sink.any(axis=1))
    if not len(loud):
        return []
    cuts = np.flatnonzero(np.diff(loud) > apart)
    starts = [loud[0], *loud[cuts + 1]]
    ends = [*loud[cuts], loud[-1]]
    return [sink[a : b + 1, 0] for a, b in zip(starts, ends, strict=True)]


def pitch(tone: NDArray[np.int64]) -> float:
    """Cycles per frame, by the first and the last rising zero."""
    wave = tone[len(tone) // 8 : -len(tone) // 8].astype(float)
    up = np.flatnonzero((wave[:-1] < 0) & (wave[1:] >= 0))
    exact = up + wave[up] / (wave[up] - wave[up + 1])
    return float((len(exact) - 1) / (exact[-1] - exact[0]))
