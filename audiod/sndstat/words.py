"""Words of OSS: formats and capabilities as sndstat writes them, latency levels, volumes in percent.

Values are those of FreeBSD's sys/soundcard.h and sound(4); other systems' differ.
Pure; no thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from audiod_protocol.limits import VOL_MAX
from audiod_protocol.params import Enc

CHAIN_STYLES: Final = ("hex", "name")  # how formats are written in feeder chains


@dataclass(frozen=True)
class Style:
    """How a listing is written: who provides the engine's devices, formats in feeder chains.

    `strict`: what programs add is judged by all of the kernel's rules.
    """

    provider: str = "sound(4)"
    feederchain: str = "hex"
    strict: bool = False


# ---- formats: an encoding, channels in bits 20..26, of them those for low frequencies in bit 27 ----

ENCODING_MASK: Final = 0xF00FFFFF
CHANNELS_SHIFT, CHANNELS_MAX = 20, 127
EXT_SHIFT, EXT_MAX = 27, 1

AFMT: Final = {
    "mulaw": 0x00000001,
    "alaw": 0x00000002,
    "ima_adpcm": 0x00000004,
    "u8": 0x00000008,
    "s16le": 0x00000010,
    "s16be": 0x00000020,
    "s8": 0x00000040,
    "u16le": 0x00000080,
    "u16be": 0x00000100,
    "mpeg": 0x00000200,
    "ac3": 0x00000400,
    "s32le": 0x00001000,
    "s32be": 0x00002000,
    "u32le": 0x00004000,
    "u32be": 0x00008000,
    "s24le": 0x00010000,  # three bytes, our s24le3
    "s24be": 0x00020000,
    "u24le": 0x00040000,
    "u24be": 0x00080000,
    "f32le": 0x10000000,
    "f32be": 0x20000000,
}
G711: Final = AFMT["mulaw"] | AFMT["alaw"]
INTEGERS: Final = sum(value for name, value in AFMT.items() if name[0] in "su")
CONVERTIBLE: Final = G711 | INTEGERS  # what FreeBSD's feeders convert
OURS: Final = INTEGERS | AFMT["f32le"] | AFMT["f32be"]  # what ours do and OSS has a word for

F32 = Enc(32, 4, flt=True)
F64 = Enc(64, 8, flt=True)


def encoding(enc: Enc) -> int:
    """The bit of the encoding whose container this is: of as many bytes; 0: OSS has none (f64)."""
    order = "le" if enc.le else "be"
    if enc.flt:
        return AFMT[f"f32{order}"] if enc.bits == 32 else 0
    return AFMT[("s" if enc.sig else "u") + (str(8 * enc.bps) + order if enc.bps > 1 else "8")]


def exact(enc: Enc) -> bool:
    """Whether samples in this encoding are valid in the one that `encoding` gives, value for value."""
    return enc.bits == 32 if enc.flt else enc.bits == 8 * enc.bps or enc.msb


def word(bits: int, channels: int, ext: int = 0) -> int:
    """A format: `ext` of the `channels` are for low frequencies (5.1: 6 and 1)."""
    return bits | min(channels, CHANNELS_MAX) << CHANNELS_SHIFT | min(ext, EXT_MAX) << EXT_SHIFT


def split(value: int) -> tuple[int, int, int]:
    """Encoding, channels and those of them for low frequencies of a format."""
    return value & ENCODING_MASK, value >> CHANNELS_SHIFT & CHANNELS_MAX, value >> EXT_SHIFT & EXT_MAX


_NAMES = {value: name for name, value in AFMT.items()}


def name(value: int) -> str:
    """A format in words, as newer tools write it: `s16le:2.0`."""
    bits, channels, ext = split(value)
    return f"{_NAMES.get(bits, f'0x{bits:08x}')}:{channels - ext}.{ext}"


@lru_cache(maxsize=1024)
def format_of(enc: Enc, channels: int) -> int:
    """The format of samples in this encoding."""
    return word(encoding(enc), channels)


@lru_cache(maxsize=1024)
def written(enc: Enc, channels: int, style: str) -> str:
    """A format as feeder chains have it, "hex" or "name".

    Where no word of OSS says exactly that, the encoding is written by our name in either style.
    """
    if not exact(enc):
        return f"{enc}:{channels}.0"
    value = format_of(enc, channels)
    return f"0x{value:08x}" if style == "hex" else name(value)


# ---- capabilities ---------------------------------------------------------------------------

CAP: Final = {
    "REVISION": 0x000000FF,  # a mask
    "DUPLEX": 0x00000100,
    "REALTIME": 0x00000200,
    "BATCH": 0x00000400,
    "COPROC": 0x00000800,
    "TRIGGER": 0x00001000,
    "MMAP": 0x00002000,
    "MULTI": 0x00004000,
    "BIND": 0x00008000,
    "INPUT": 0x00010000,
    "OUTPUT": 0x00020000,
    "VIRTUAL": 0x00040000,
    "ANALOGOUT": 0x00100000,
    "ANALOGIN": 0x00200000,
    "DIGITALOUT": 0x00400000,
    "DIGITALIN": 0x00800000,
    "SPECIAL": 0x01000000,
    "CH_MASK": 0x06000000,
    "CH_ANY": 0x00000000,
    "CH_MONO": 0x02000000,
    "CH_STEREO": 0x04000000,
    "CH_MULTI": 0x06000000,
    "HIDDEN": 0x08000000,
    "FREERATE": 0x10000000,
    "MODEM": 0x20000000,
    "DEFAULT": 0x40000000,
}


def caps(*, playing: bool, virtual: bool) -> int:
    """The capabilities of a channel, by the kernel's rule."""
    found = CAP["REALTIME"] | CAP["MMAP"] | CAP["TRIGGER"] | CAP["OUTPUT" if playing else "INPUT"]
    return found | CAP["VIRTUAL"] if virtual else found


# ---- latency and volume ------------------------------------------------------------------------

LEVELS: Final = tuple(min(256 << level, 131072) for level in range(11))  # frames at 48 kHz
LEVEL_RATE: Final = 48000


def latency(frames: int, rate: int) -> int:
    """The level, 0..10, whose buffering is nearest to so many frames at `rate` Hz."""
    wanted = frames * LEVEL_RATE / rate
    return min(range(len(LEVELS)), key=lambda level: abs(LEVELS[level] - wanted))


def percent(volume: int) -> int:
    """A volume 0..127 as 0..100."""
    return (200 * volume + VOL_MAX) // (2 * VOL_MAX)
