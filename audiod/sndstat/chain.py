"""Chain: what is done to a channel's samples on their way, as sndstat's feeder chains tell it.

Mirrors the order of the engine (block.c, cycle.c): what is played is decoded,
resampled, mapped and multiplied at once, and mixed; the device's thread encodes
the mix.  What is recorded is decoded for all, then mapped and multiplied,
resampled, encoded for each.  A step that leaves the samples alone is not there.  Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from audiod_protocol.params import Enc

from audiod.sndstat.words import F32, F64, written

ARROW = " -> "
KEPT = 1024  # chains that are kept: many streams have the same
USERLAND, HARDWARE, VCHANS, NOWHERE = "userland", "hardware", "vchans", "nowhere"


@dataclass(frozen=True)
class End:
    """The samples at one end."""

    enc: Enc
    rate: int
    channels: int


def wide(enc: Enc) -> bool:
    """Whether samples of this device are computed with in double precision: more than a float holds."""
    return enc.bits == 64 if enc.flt else enc.bits > 24


def bus(stream: Enc, device: Enc) -> Enc:
    """What a stream is computed in on this device."""
    return F64 if wide(device) or (stream.flt and stream.bits == 64) else F32


class Chain:
    """A chain being written; `at` is what the samples are after the last step."""

    def __init__(self, source: str, at: End, style: str) -> None:
        self.steps = [source]
        self.style = style
        self.at = at
        self._add("root", self._word())

    def _word(self) -> str:
        return written(self.at.enc, self.at.channels, self.style)

    def _add(self, feeder: str, what: str) -> None:
        self.steps.append(f"feeder_{feeder}({what})")

    def convert(self, enc: Enc) -> None:
        if enc.same(self.at.enc):
            return
        before = self._word()
        self.at = End(enc, self.at.rate, self.at.channels)
        self._add("format", f"{before}{ARROW}{self._word()}")

    def resample(self, rate: int) -> None:
        if rate != self.at.rate:
            self._add("rate", f"{self.at.rate}{ARROW}{rate}")
            self.at = End(self.at.enc, rate, self.at.channels)

    def map(self, channels: int, *, identity: bool) -> None:
        if not identity:
            self._add("matrix", f"{self.at.channels}.0ch{ARROW}{channels}.0ch")
        self.at = End(self.at.enc, self.at.rate, channels)

    def mix(self) -> None:
        self._add("mixer", self._word())

    def volume(self, *, on: bool) -> None:
        if on:
            self._add("volume", self._word())

    def to(self, sink: str) -> str:
        return "[" + ARROW.join([*self.steps, sink]) + "]"


@lru_cache(maxsize=KEPT)
def playing(
    stream: End, device: End, parent: str, style: str, *, identity: bool, volume: bool, bypass: bool
) -> str:
    """From a program to the mix of the channel `parent`, "" where it plays into nothing.

    `identity`: its channels are the device's; `bypass`: its bytes are copied, which the engine says.
    """
    chain = Chain(USERLAND, stream, style)
    if not bypass:
        chain.convert(bus(stream.enc, device.enc))
        chain.resample(device.rate)
        if parent:
            chain.map(device.channels, identity=identity)
            chain.volume(on=volume)
    return chain.to(parent or NOWHERE)


@lru_cache(maxsize=KEPT)
def mixed(device: End, style: str, *, double: bool, bypass: bool) -> str:
    """From the mix to the hardware; `double`: somebody plays what a float does not hold."""
    if bypass:
        return Chain(VCHANS, device, style).to(HARDWARE)
    chain = Chain(
        VCHANS, End(F64 if double or wide(device.enc) else F32, device.rate, device.channels), style
    )
    chain.mix()
    chain.convert(device.enc)
    return chain.to(HARDWARE)


@lru_cache(maxsize=KEPT)
def recorded(device: End, style: str) -> str:
    """From the hardware to those that record."""
    chain = Chain(HARDWARE, device, style)
    chain.convert(F64 if wide(device.enc) else F32)
    return chain.to(VCHANS)


@lru_cache(maxsize=KEPT)
def recording(
    stream: End,
    device: End,
    parent: str,
    style: str,
    *,
    identity: bool,
    volume: bool,
    both: bool = False,
) -> str:
    """From the channel `parent` ("" silence) to a program; `both`: what is played is mixed into it."""
    chain = Chain(parent or NOWHERE, End(bus(stream.enc, device.enc), device.rate, device.channels), style)
    if parent:
        chain.map(stream.channels, identity=identity)
        chain.volume(on=volume)
        if both:
            chain.mix()
    else:
        chain.at = End(chain.at.enc, device.rate, stream.channels)
    chain.resample(stream.rate)
    chain.convert(stream.enc)
    return chain.to(USERLAND)
