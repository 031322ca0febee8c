"""A libasound that says what a test has written down: audiod.cards.libasound.Library in plain Python."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from audiod.cards.libasound import AlsaError, Hint, PcmInfo

S16_LE, S24_LE, S24_3LE, S32_LE, FLOAT_LE = 2, 6, 32, 10, 14
IEC958_LE, MU_LAW, DSD_U32_BE = 18, 20, 52


def refuse(number: int) -> AlsaError:
    return AlsaError(number, os.strerror(number))


@dataclass
class Can:
    """What a PCM can do in one pass."""

    channels: tuple[int, ...] = (2,)
    rates: tuple[int, int] = (48000, 48000)
    only: tuple[int, ...] = ()  # rates within the range that it has; empty: all of them
    period_ms: tuple[int, int] = (1, 100)
    buffer_ms: tuple[int, int] = (2, 1000)


@dataclass
class Script:
    """One direction of one PCM; `converted`: what the second pass finds, None for the hardware."""

    formats: set[int] = field(default_factory=lambda: {S16_LE})
    access: set[int] = field(default_factory=lambda: {0, 1, 2, 3, 4})
    can: Can = field(default_factory=Can)
    converted: Can | None = None
    chmaps: list[tuple[int, ...]] = field(default_factory=list)
    refuses: int = 0  # errno of its open
    combines: bool = True  # format, channels and rate can be set at once


class FakePcm:
    def __init__(self, script: Script) -> None:
        self.script = script
        self.can = script.can
        self.calls: list[tuple[str, int]] = []
        self.rate = 0
        self.is_hardware = script.converted is None

    def chmaps(self) -> list[tuple[int, ...]]:
        return self.script.chmaps

    def any(self, *, resample: bool) -> None:
        self.calls.append(("any", resample))
        self.can = self.script.converted if resample and self.script.converted else self.script.can
        self.rate = 0

    def set_access(self, access: int) -> None:
        self.calls.append(("access", access))
        if access not in self.script.access:
            raise refuse(errno.EINVAL)

    def _set(self, what: str, value: int, there: bool) -> None:
        self.calls.append((what, value))
        if not there or not self.script.combines:
            raise refuse(errno.EINVAL)

    def set_format(self, number: int) -> None:
        self._set("format", number, self.has_format(number))

    def set_channels(self, count: int) -> None:
        self._set("channels", count, self.has_channels(count))

    def set_rate(self, rate: int) -> None:
        self._set("rate", rate, self.has_rate(rate))
        self.rate = rate

    def has_format(self, number: int) -> bool:
        return number in self.script.formats

    def has_channels(self, count: int) -> bool:
        return count in self.can.channels

    def has_rate(self, rate: int) -> bool:
        least, most = self.can.rates
        return least <= rate <= most and (not self.can.only or rate in self.can.only)

    def channels(self) -> tuple[int, int]:
        return (min(self.can.channels), max(self.can.channels)) if self.can.channels else (1, 0)

    def rates(self) -> tuple[int, int]:
        return self.can.rates

    def period_sizes(self) -> tuple[int, int]:
        return self._frames(self.can.period_ms)

    def buffer_sizes(self) -> tuple[int, int]:
        return self._frames(self.can.buffer_ms)

    def _frames(self, ms: tuple[int, int]) -> tuple[int, int]:
        """Once the rate is known both ends are at it; before, as far apart as the rates are."""
        slow, fast = (self.rate, self.rate) if self.rate else self.can.rates
        return ms[0] * slow // 1000, ms[1] * fast // 1000


@dataclass
class FakeLibrary:
    scripts: dict[tuple[str, str], Script] = field(default_factory=dict)
    hardware: dict[tuple[int, int, str], list[tuple[int, ...]]] = field(default_factory=dict)
    hinted: list[Hint] = field(default_factory=list)
    there: dict[int, tuple[str, str, list[PcmInfo]]] = field(default_factory=dict)
    opened: list[FakePcm] = field(default_factory=list)
    nopen: int = 0

    def reread(self) -> None:
        pass

    def hints(self) -> list[Hint]:
        return self.hinted

    def cards(self) -> list[int]:
        return list(self.there)

    def card(self, number: int) -> tuple[str, str, list[PcmInfo]]:
        return self.there[number]

    def hardware_chmaps(self, card: int, device: int, direction: str) -> list[tuple[int, ...]]:
        return self.hardware.get((card, device, direction), [])

    @contextmanager
    def open(self, pcm: str, direction: str) -> Iterator[FakePcm]:
        script = self.scripts.get((pcm, direction))
        if script is None or script.refuses:
            raise refuse(script.refuses if script else errno.ENOENT)
        self.opened.append(FakePcm(script))
        self.nopen += 1
        try:
            yield self.opened[-1]
        finally:
            self.nopen -= 1
