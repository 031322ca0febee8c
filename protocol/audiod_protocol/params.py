"""Parameters of a stream: encoding, mode, xrun policy, `par` map, capabilities.

Values only, frozen; what is not valid cannot be constructed.  Refusals are
FaultError(EINVAL) because they answer a request.  No thread, no clock.
"""

from __future__ import annotations

import enum
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from audiod_protocol.errors import Code, Fault, FaultError
from audiod_protocol.limits import BITS_MAX, BPS_MAX

__all__ = ["CAP", "SIO_BPS", "Cap", "Enc", "Mode", "Par", "Xrun", "wire_type"]

NATIVE_LE = sys.byteorder == "little"
_U32 = 2**32 - 1


def SIO_BPS(bits: int) -> int:
    """Bytes of a sample with `bits` significant bits where none are given: 1, 2 or 4."""
    return 1 if bits <= 8 else 2 if bits <= 16 else 4


def _refuse(message: str, hint: str) -> FaultError:
    return FaultError(Fault(Code.EINVAL, message, hint))


class Mode(enum.Flag):
    """Directions of a stream.  MON records what the device plays, hence holds REC, too."""

    PLAY = 1
    REC = 2
    MON = 6

    @classmethod
    def parse(cls, text: str) -> Mode:
        """`"play"`, `"rec"`, `"play,rec"` in either order, or `"mon"`.  Raises FaultError."""
        if text == "mon":
            return cls.MON
        words = text.split(",")
        if len(words) != len(set(words)) or not set(words) <= {"play", "rec"}:
            raise _refuse(f"mode {text[:40]!r} does not exist", 'use "play", "rec", "play,rec" or "mon"')
        return cls(("play" in words) * 1 | ("rec" in words) * 2)

    def __str__(self) -> str:
        if Mode.MON in self:
            return "mon"
        return ",".join(w for m, w in ((Mode.PLAY, "play"), (Mode.REC, "rec")) if m in self)


class Xrun(enum.StrEnum):
    """What happens to a stream that is late.  `number` is sndio's."""

    IGNORE = "ignore"
    SYNC = "sync"
    ERROR = "error"

    @property
    def number(self) -> int:
        return list(Xrun).index(self)

    @classmethod
    def parse(cls, value: object) -> Xrun:
        """A name or 0, 1, 2.  Raises FaultError."""
        for policy in cls:
            if value == policy.value or (type(value) is int and value == policy.number):
                return policy
        raise _refuse(f"xrun policy {value!r:.40} does not exist", "use ignore, sync or error (0, 1 or 2)")


_ENC = re.compile(r"([su])([0-9]{1,2})(?:(le|be)(?:([1-4])(msb|lsb)?)?)?|f(32|64)(le|be)?")


@dataclass(frozen=True)
class Enc:
    """Encoding of one sample: `bits` significant ones in `bps` bytes.

    `sig` signed (else offset binary), `le` little endian, `msb` aligned to the
    top of the bytes (else to the bottom), `flt` IEEE float.
    """

    bits: int
    bps: int
    sig: bool = True
    le: bool = NATIVE_LE
    msb: bool = False
    flt: bool = False

    def __post_init__(self) -> None:
        if self.flt:
            if (self.bits, self.bps) not in ((32, 4), (64, 8)) or not self.sig or self.msb:
                raise _refuse(
                    f"no float encoding is made of bits {self.bits}, bps {self.bps}, "
                    f"sig {self.sig}, msb {self.msb}",
                    "use f32le, f32be, f64le or f64be",
                )
        elif not 1 <= self.bits <= BITS_MAX:
            raise _refuse(
                f"bits must be 1..{BITS_MAX}, not {self.bits}", "for 64 bits use the float encoding f64le"
            )
        elif not (self.bits + 7) // 8 <= self.bps <= BPS_MAX:
            raise _refuse(
                f"{self.bits} bits do not go into {self.bps} bytes a sample",
                f"use bps {(self.bits + 7) // 8}..{BPS_MAX}, or leave it out",
            )

    @classmethod
    def parse(cls, text: str) -> Enc:
        """From `[su]bits[le|be[bytes[msb|lsb]]]` or `f32|f64[le|be]`.  Raises FaultError."""
        match = _ENC.fullmatch(text)
        if match is None:
            raise _refuse(
                f"encoding {text[:40]!r} does not exist", "for example s16le, u8, s24le3, s24le4msb or f32le"
            )
        sign, bits, order, size, align, fbits, forder = match.groups()
        if fbits:
            return cls(int(fbits), int(fbits) // 8, True, _order(forder), False, True)
        nbits = int(bits)
        return cls(nbits, int(size) if size else SIO_BPS(nbits), sign == "s", _order(order), align == "msb")

    def frame_size(self, nchan: int) -> int:
        """Bytes of a frame of `nchan` channels."""
        return self.bps * nchan

    def same(self, other: Enc) -> bool:
        """Whether the bytes mean the same: `le` and `msb` count only where they matter."""
        return str(self) == str(other)

    def __str__(self) -> str:
        order = "le" if self.le else "be"
        if self.flt:
            return f"f{self.bits}{order}"
        name = f"{'s' if self.sig else 'u'}{self.bits}"
        if self.bps == 1 and not (self.msb and self.bits < 8):
            return name
        name += order
        align = self.msb and self.bits < 8 * self.bps
        if align or self.bps != SIO_BPS(self.bits):
            name += str(self.bps)
        return name + "msb" if align else name


def _order(word: str | None) -> bool:
    return NATIVE_LE if word is None else word == "le"


@dataclass(frozen=True)
class Par:
    """sndio's sio_par: every field None means "not set", as after sio_initpar.

    `appbufsz`, `bufsz` and `round` are frames at the stream's `rate` (Hz);
    `bufsz` and `round` are the server's to say and never asked for.
    """

    bits: int | None = None
    bps: int | None = None
    sig: bool | None = None
    le: bool | None = None
    msb: bool | None = None
    flt: bool | None = None
    rate: int | None = None
    pchan: int | None = None
    rchan: int | None = None
    appbufsz: int | None = None
    xrun: Xrun | None = None
    bufsz: int | None = None
    round: int | None = None

    @property
    def enc(self) -> Enc | None:
        """The encoding, once all of its fields are set."""
        if None in (self.bits, self.bps, self.sig, self.le, self.msb):
            return None
        return Enc(
            self.bits or 0, self.bps or 0, bool(self.sig), bool(self.le), bool(self.msb), bool(self.flt)
        )

    def with_enc(self, enc: Enc) -> Par:
        return replace(self, bits=enc.bits, bps=enc.bps, sig=enc.sig, le=enc.le, msb=enc.msb, flt=enc.flt)

    def merge(self, asked: Par) -> Par:
        """These parameters with the set ones of `asked` on top, by setpar's rules of encodings.

        `bits` without `bps` takes SIO_BPS(bits); `bps` without `bits` is ignored;
        `bits` without a float name means integers.  Raises FaultError if no such
        encoding exists.  Clamping is the server's (`negotiation`).
        """
        new = {f.name: v for f in fields(asked) if (v := getattr(asked, f.name)) is not None}
        if asked.bits is None:
            new.pop("bps", None)
        else:
            new.setdefault("bps", SIO_BPS(asked.bits))
            new.setdefault("flt", False)
        par = replace(self, **new)
        _ = par.enc  # an encoding that does not exist raises here
        return par

    def to_wire(self) -> dict[str, object]:
        """The `par` map: the set fields, and the encoding's name once it is complete."""
        out: dict[str, object] = {}
        if (enc := self.enc) is not None:
            out["enc"] = str(enc)
        for f in fields(self):
            value = getattr(self, f.name)
            if value is not None and f.name != "flt":
                out[f.name] = str(value) if isinstance(value, Xrun) else value
        return out

    @classmethod
    def from_wire(cls, value: object) -> Par:
        """Read a `par` map.  Raises FaultError(EINVAL), naming the field."""
        if not isinstance(value, Mapping):
            raise _refuse(
                f"par must be a map, not {wire_type(value)}", 'for example {"enc": "s16le", "rate": 48000}'
            )
        got: dict[str, object] = {}
        enc: Enc | None = None
        for key, item in value.items():
            if key not in _READ:
                raise _refuse(f"par has no field {key!r:.40}", _nearest(str(key), _READ))
            if item is None:
                continue
            if key == "enc":
                enc = _read_enc(item)
            else:
                got[key] = _READ[key](key, item)
        par = cls(**got)  # type: ignore[arg-type]
        if par.bits is not None and enc is None:
            Enc(par.bits, SIO_BPS(par.bits) if par.bps is None else par.bps)
        return par if enc is None else par._agree(enc)

    def _agree(self, enc: Enc) -> Par:
        """With `enc` filled in; a field that was given too and means another thing is refused."""
        for f in ("bits", "bps", "sig", "le", "msb"):
            given, meant = getattr(self, f), getattr(enc, f)
            if given is None or given == meant:
                continue
            if f == "le" and enc.bps == 1:
                continue
            if f == "msb" and enc.bits == 8 * enc.bps and not enc.flt:
                continue
            raise _refuse(
                f"par's enc {str(enc)!r} and its {f} {given!r} do not agree",
                f"leave one of them out, or set {f} {meant!r}",
            )
        keep = {f: v for f in ("le", "msb") if (v := getattr(self, f)) is not None}
        return replace(self.with_enc(enc), **keep)


def wire_type(value: object) -> str:
    """MessagePack's name of a value's type."""
    names = {dict: "map", list: "array", tuple: "array", bytes: "bin", type(None): "nil"}
    return names.get(type(value), type(value).__name__)


def _nearest(word: str, words: Mapping[str, object]) -> str:
    import difflib  # only errors need it

    close = difflib.get_close_matches(word, words, 1)
    return f"did you mean {close[0]!r}?" if close else "it takes " + ", ".join(words)


def _read_enc(value: object) -> Enc:
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    if not isinstance(value, str):
        raise _refuse(f"par's enc must be a string, not {wire_type(value)}", "for example s16le")
    return Enc.parse(value)


def _read_int(key: str, value: object) -> int:
    if type(value) is not int:
        raise _refuse(
            f"par's {key} must be an integer, not {wire_type(value)}",
            "leave it out to keep the present value",
        )
    if not 0 <= value <= _U32:
        raise _refuse(f"par's {key} {value} is out of range", f"use 0..{_U32}")
    return value


def _read_bool(key: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    return _read_int(key, value) != 0


def _read_xrun(key: str, value: object) -> Xrun:
    return Xrun.parse(value.decode("ascii", "replace") if isinstance(value, bytes) else value)


_READ = {
    "enc": _read_int,
    "bits": _read_int,
    "bps": _read_int,
    "sig": _read_bool,
    "le": _read_bool,
    "msb": _read_bool,
    "rate": _read_int,
    "pchan": _read_int,
    "rchan": _read_int,
    "appbufsz": _read_int,
    "xrun": _read_xrun,
    "bufsz": _read_int,
    "round": _read_int,
}


@dataclass(frozen=True)
class Cap:
    """What sio_getcap tells: a static table of usual values, not a promise about one device."""

    enc: tuple[Enc, ...]
    pchan: tuple[int, ...]
    rchan: tuple[int, ...]
    rate: tuple[int, ...]

    def to_wire(self) -> dict[str, list[object]]:
        return {
            "enc": [str(e) for e in self.enc],
            "pchan": list(self.pchan),
            "rchan": list(self.rchan),
            "rate": list(self.rate),
        }

    @classmethod
    def from_wire(cls, value: object) -> Cap:
        """Read a `cap` map; encodings of a later version are skipped.  Raises FaultError."""
        if not isinstance(value, Mapping):
            raise _refuse(f"cap must be a map, not {wire_type(value)}", "this is the server's mistake")
        lists: dict[str, list[Any]] = {}
        for key in ("enc", "pchan", "rchan", "rate"):
            kind = str if key == "enc" else int
            items = value.get(key)
            if not isinstance(items, list) or not all(type(item) is kind for item in items):
                raise _refuse(
                    f"cap's {key} must be an array of {kind.__name__}", "this is the server's mistake"
                )
            lists[key] = items
        known = tuple(Enc.parse(text) for text in lists["enc"] if _ENC.fullmatch(text))
        return cls(known, tuple(lists["pchan"]), tuple(lists["rchan"]), tuple(lists["rate"]))


_NCHANS = (1, 2, 4, 6, 8, 10, 12, 16)
_ENCS = "s8 u8 s16be s16le s24be3 s24le3 s24be4msb s24le4msb f32le f64le"

CAP = Cap(
    enc=tuple(Enc.parse(e) for e in _ENCS.split()),
    pchan=_NCHANS,
    rchan=_NCHANS,
    rate=tuple(base * k for k in (1, 2, 4, 8, 16) for base in (8000, 11025, 12000)),
)
