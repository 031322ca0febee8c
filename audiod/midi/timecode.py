"""Timecode: MIDI Time Code made of a device's clock, and the orders of MIDI Machine Control.

Bytes of the MIDI 1.0 Detailed Specification (MTC, MMC); which frame rate, and that time
begins a buffer before the first sample is heard, as in sndiod.  Pure.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from fractions import Fraction

RATES = {24: 0, 25: 1, 30: 3}  # frames a second, and how MTC calls them; 2 is 30 with drops
QUARTERS = 4  # messages a frame; eight of them say one time, every other frame
DAY = 24 * 3600  # seconds; then it begins anew

_SYSEX, _END = 0xF0, 0xF7
_REALTIME = 0x7F
_ALL = 0x7F  # every machine
_MTC, _FULL = 0x01, 0x01
_MMC, _STOP, _START, _LOCATE = 0x06, 0x01, 0x02, 0x44
_LOCATE_HEAD = b"\x06\x01"  # six bytes follow: a target
_QUARTER = 0xF1


class Order(enum.Enum):
    START = enum.auto()
    STOP = enum.auto()


@dataclass(frozen=True)
class Locate:
    """Where the next start begins, in seconds."""

    at: Fraction


def parse(message: bytes) -> Order | Locate | None:
    """What a whole message orders, to whichever machine; None: nothing that we know.

    A target in frames that MTC has, but we do not send (30 with drops), is a stop.
    """
    if len(message) < 6 or message[:2] != bytes((_SYSEX, _REALTIME)) or message[-1] != _END:
        return None
    body = message[3:-1]
    if body == bytes((_MMC, _STOP)):
        return Order.STOP
    if body == bytes((_MMC, _START)):
        return Order.START
    if len(body) != 9 or body[:2] != bytes((_MMC, _LOCATE)) or body[2:4] != _LOCATE_HEAD:
        return None
    hours, minutes, seconds, frames = body[4:8]  # hundredths of a frame are passed over
    fps = next((fps for fps, code in RATES.items() if code == hours >> 5), None)
    if fps is None:
        return Order.STOP
    return Locate(Fraction(((hours & 31) * 60 + minutes) * 60 + seconds) % DAY + Fraction(frames, fps))


def frame_rate(rate: int, round_: int) -> int:
    """Frames a second of a device's clock: the first rate whose quarter frames are whole blocks, else 24."""
    return next((fps for fps in (30, 25) if rate % (QUARTERS * fps * round_) == 0), 24)


def full(at: Fraction, fps: int) -> bytes:
    """A full frame message: go there."""
    hours, minutes, seconds, frames = _split(at, fps)
    time = (hours | RATES[fps] << 5, minutes, seconds, frames)
    return bytes((_SYSEX, _REALTIME, _ALL, _MTC, _FULL, *time, _END))


class Timecode:
    """A time that runs; frames are the device's, seconds exact.  `at`: where it begins."""

    def __init__(self, at: Fraction, rate: int, round_: int, bufsz: int) -> None:
        self.fps = frame_rate(rate, round_)
        self._rate = rate
        self._delay = Fraction(bufsz, rate)
        self._since = -self._delay  # seconds since the last quarter frame
        self._at = at
        self._piece = 0  # of the eight that say one time

    def advance(self, frames: int) -> list[bytes]:
        """The quarter frames that are due now that so many frames of the device have passed."""
        self._since += Fraction(frames, self._rate)
        quarter = Fraction(1, QUARTERS * self.fps)
        found = []
        while self._since >= quarter:
            self._since -= quarter
            found.append(self._quarter())
        return found

    def move(self, rate: int, bufsz: int) -> None:
        """Its device is another one: what is queued there is heard earlier or later."""
        delay = Fraction(bufsz, rate)
        self._since += self._delay - delay
        self._rate, self._delay = rate, delay

    def _quarter(self) -> bytes:
        hours, minutes, seconds, frames = _split(self._at, self.fps)
        value = (frames, seconds, minutes, hours | RATES[self.fps] << 5)[self._piece >> 1]
        nibble = value >> 4 if self._piece & 1 else value & 15
        message = bytes((_QUARTER, self._piece << 4 | nibble))
        self._piece = (self._piece + 1) & 7
        if self._piece == 0:
            self._at = (self._at + Fraction(2, self.fps)) % DAY
        return message


def _split(at: Fraction, fps: int) -> tuple[int, int, int, int]:
    """Hours, minutes, seconds, frames; a part of a frame is dropped."""
    frames = int(at % DAY * fps)
    seconds, frames = divmod(frames, fps)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return hours, minutes, seconds, frames
