"""Device SPEC: `driver[:argument][?key=value&...]`, the text after `-f`.

Owns the grammar, the drivers and the keys each of them takes.  Argument and
values are percent-encoded, so that a path may hold `?`, `&` and `%`.  sndio's
names of cards, `rsnd/N` and `rsnd/default`, are other spellings of driver alsa's.
Pure: it opens nothing; the control thread calls it before the daemon starts.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from audiod_protocol.errors import FaultError
from audiod_protocol.limits import NCHAN_MAX, RATE_MAX, RATE_MIN
from audiod_protocol.params import Enc

from audiod.errors import SpecError

ROUND_MAX = 32767  # frames; sndiod's -z
BUFSZ_MAX = 192000  # frames; sndiod's -b
STALL_MAX = 3600.0  # seconds
PPM_MAX = 10000  # parts per million: one per cent
JITTER_MAX = 1000.0  # milliseconds
RUNNING_MAX = 86400.0  # seconds

ACCESSES = ("mmap", "mmap-planar", "mmap-complex", "rw", "rw-planar")  # the engine's words
DRIVERS = ("null", "file", "loopback", "manual", "alsa")
_LATER = ("oss",)
_SIMULATED = ("ppm", "jitter", "xrun_every", "unplug_after")  # docs/simulated-devices.md
_PLAIN = ("rate", "play", "rec", "enc", "round", "bufsz", "dither")
_COMMON = (*_PLAIN, *_SIMULATED)
_KEYS: dict[str, tuple[str, ...]] = {
    "null": _COMMON,
    "file": (*_COMMON, "clock", "stall"),
    "loopback": _COMMON,
    "manual": _COMMON,
    "alsa": (*_PLAIN, "access", "xrun_every", "unplug_after"),  # its clock is the card's
}
_TAKES_NONE = ("null", "loopback", "manual")  # an argument
_SAFE = "/:.,_-+@~"


@dataclass(frozen=True)
class DeviceSpec:
    """One device as its SPEC says it; None where the SPEC is silent.

    `rate` in Hz, `play` and `rec` in channels (0: without that direction),
    `round` and `bufsz` in frames, `stall` in seconds.  `rec_path` is the file
    that driver `file` records from, `access` the only way to a card's samples
    that is tried.  What a device simulates: a clock that is
    `ppm` parts per million too fast and tells of its blocks up to `jitter` ms
    late, an xrun after every `xrun_every` and its end after `unplug_after`
    seconds of running.
    """

    driver: str
    argument: str = ""
    rate: int | None = None
    play: int | None = None
    rec: int | None = None
    rec_path: str | None = None
    enc: Enc | None = None
    round: int | None = None
    bufsz: int | None = None
    dither: bool | None = None
    access: str | None = None
    free_clock: bool | None = None
    stall: float | None = None
    ppm: int | None = None
    jitter: float | None = None
    xrun_every: float | None = None
    unplug_after: float | None = None

    def __str__(self) -> str:
        text = self.driver
        if self.argument:
            text += ":" + quote(self.argument, safe=_SAFE)
        keys = []
        for field in fields(self)[2:]:
            value = getattr(self, field.name)
            if value is not None:
                key, shown = _shown(field.name, value)
                keys.append(f"{key}={quote(shown, safe=_SAFE)}")
        return text + ("?" + "&".join(keys) if keys else "")


def parse(text: str) -> DeviceSpec:
    """Read a SPEC.  Raises SpecError, which names what is wrong and what would be right."""
    head, question, query = text.partition("?")
    name, colon, raw = _card(head, text).partition(":")
    _check_driver(name, text)
    argument = _decode(raw, text)
    if colon and not argument:
        raise SpecError(f"{text}: nothing follows '{name}:'", hint=f"write {name}:ARGUMENT or only {name}")
    found: dict[str, Any] = {}
    if question:
        for item in query.split("&"):
            _read_key(found, name, item, text)
    spec = DeviceSpec(name, argument, **found)
    _check_whole(spec, text)
    return spec


def _card(head: str, text: str) -> str:
    """What precedes the keys, sndio's name of a card as driver alsa has it."""
    if head.partition("/")[0] != "rsnd":
        return head
    card = head.removeprefix("rsnd/")
    if card == "default":
        return "alsa"
    if not (_is_number(card) and len(card) <= 3):
        raise SpecError(f"{text}: there is no such card", hint="write rsnd/0 for the first, or rsnd/default")
    return f"alsa:hw:{int(card)},0"


def _check_driver(name: str, text: str) -> None:
    if name in DRIVERS:
        return
    known = ", ".join(DRIVERS)
    if name in _LATER:
        raise SpecError(f"{text}: driver {name} is not there yet", hint=f"the drivers are {known}")
    near = difflib.get_close_matches(name, DRIVERS, 1)
    guess = f"did you mean {near[0]}? " if near else ""
    raise SpecError(f"{text}: there is no driver {name!r}", hint=f"{guess}the drivers are {known}")


def _read_key(found: dict[str, Any], driver: str, item: str, text: str) -> None:
    key, equals, raw = item.partition("=")
    keys = _KEYS[driver]
    if key not in keys:
        owners = [d for d in DRIVERS if key in _KEYS[d]]
        if owners:
            raise SpecError(f"{text}: key {key} belongs to driver {', '.join(owners)}", hint=_list(driver))
        near = difflib.get_close_matches(key, keys, 1)
        guess = f"did you mean {near[0]}? " if near else ""
        raise SpecError(f"{text}: there is no key {key!r}", hint=guess + _list(driver))
    if not equals:
        raise SpecError(f"{text}: key {key} has no value", hint=f"write {key}=VALUE")
    value = _decode(raw, text)
    if key == "rec" and driver == "file" and not _is_number(value):
        field, read = _READ_PATH
    else:
        field, read = _READ[key]
    if field in found:
        raise SpecError(f"{text}: key {key} is given twice", hint="give it once")
    try:
        found[field] = read(value)
    except ValueError as error:
        raise SpecError(f"{text}: {key}={value}: {error}", hint=_MEANING[key]) from None
    except FaultError as error:
        raise SpecError(f"{text}: {key}: {error.fault.message}", hint=_MEANING[key]) from None


def _check_whole(spec: DeviceSpec, text: str) -> None:
    if spec.driver == "file":
        if not spec.argument and spec.rec_path is None:
            raise SpecError(f"{text}: no file is named", hint="write file:PATH, file?rec=PATH or both")
    elif spec.argument and spec.driver in _TAKES_NONE:
        raise SpecError(f"{text}: driver {spec.driver} takes no argument", hint=f"write {spec.driver}")
    if spec.play == 0 and spec.rec == 0:
        raise SpecError(f"{text}: the device neither plays nor records", hint="leave out play=0 or rec=0")
    if spec.round is not None and spec.bufsz is not None and spec.bufsz < 2 * spec.round:
        raise SpecError(
            f"{text}: bufsz={spec.bufsz} is less than two blocks", hint="bufsz is at least 2 * round"
        )


def _list(driver: str) -> str:
    return f"the keys of {driver} are {', '.join(_KEYS[driver])}"


def _decode(raw: str, text: str) -> str:
    if re.search(r"%(?![0-9a-fA-F]{2})", raw):
        raise SpecError(
            f"{text}: '%' is not followed by two hexadecimal digits", hint="write %25 for a percent sign"
        )
    try:
        value = unquote_to_bytes(raw.encode(errors="surrogateescape")).decode()
    except UnicodeDecodeError:
        raise SpecError(
            f"{text}: the percent-encoded bytes are not UTF-8", hint="encode the name as UTF-8"
        ) from None
    if "\0" in value:
        raise SpecError(f"{text}: %00 cannot be part of a name", hint="leave it out")
    return value


def _is_number(value: str) -> bool:
    return value.isascii() and value.isdigit()


def _number(least: int, most: int) -> Callable[[str], int]:
    def read(value: str) -> int:
        if not _is_number(value[least < 0 and value[:1] in "+-" :]) or len(value) > 9:
            raise ValueError("not a number")
        number = int(value)
        if not least <= number <= most:
            raise ValueError(f"not within {least}..{most}")
        return number

    return read


def _choice(**choices: bool) -> Callable[[str], bool]:
    def read(value: str) -> bool:
        if value not in choices:
            raise ValueError(f"expected {' or '.join(choices)}")
        return choices[value]

    return read


def _word(*words: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in words:
            raise ValueError(f"expected {', '.join(words[:-1])} or {words[-1]}")
        return value

    return read


def _path(value: str) -> str:
    if not value:
        raise ValueError("the path is empty")
    return value


def _time(unit: str, most: float, *, zero: bool = False) -> Callable[[str], float]:
    def read(value: str) -> float:
        if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", value):
            raise ValueError(f"not a number of {unit}")
        time = float(value)
        if not 0 <= time <= most or (time == 0 and not zero):
            raise ValueError(f"not within 0..{most:g}" if zero else f"not within 0..{most:g}, without 0")
        return time

    return read


def _shown(field: str, value: Any) -> tuple[str, str]:
    """The key and the text of a field, as parse() reads them back."""
    if field == "rec_path":
        return "rec", f"./{value}" if _is_number(value) else value
    if field == "free_clock":
        return "clock", "free" if value else "real"
    if field == "dither":
        return "dither", "auto" if value else "off"
    if isinstance(value, float):
        return field, f"{value:.6f}".rstrip("0").rstrip(".")
    return field, str(value)


_READ_PATH: tuple[str, Callable[[str], Any]] = ("rec_path", _path)
_READ: dict[str, tuple[str, Callable[[str], Any]]] = {
    "rate": ("rate", _number(RATE_MIN, RATE_MAX)),
    "play": ("play", _number(0, NCHAN_MAX)),
    "rec": ("rec", _number(0, NCHAN_MAX)),
    "enc": ("enc", Enc.parse),
    "round": ("round", _number(1, ROUND_MAX)),
    "bufsz": ("bufsz", _number(2, BUFSZ_MAX)),
    "dither": ("dither", _choice(auto=True, off=False)),
    "access": ("access", _word(*ACCESSES)),
    "clock": ("free_clock", _choice(real=False, free=True)),
    "stall": ("stall", _time("seconds", STALL_MAX)),
    "ppm": ("ppm", _number(-PPM_MAX, PPM_MAX)),
    "jitter": ("jitter", _time("milliseconds", JITTER_MAX, zero=True)),
    "xrun_every": ("xrun_every", _time("seconds", RUNNING_MAX)),
    "unplug_after": ("unplug_after", _time("seconds", RUNNING_MAX)),
}
_MEANING = {
    "rate": f"the rate in Hz, {RATE_MIN}..{RATE_MAX}",
    "play": f"channels played, 0..{NCHAN_MAX}",
    "rec": f"channels recorded, 0..{NCHAN_MAX}; for driver file also the path to record from",
    "enc": "an encoding such as s16le, s24le3, s32le or f32le",
    "round": f"frames of a block, 1..{ROUND_MAX}",
    "bufsz": f"frames of the device's buffer, 2..{BUFSZ_MAX}",
    "dither": "auto or off",
    "access": "how a card's samples are reached; without it, the best way that works",
    "clock": "real or free",
    "stall": "seconds that clock=free waits for one stream",
    "ppm": f"how much too fast the clock runs, -{PPM_MAX}..{PPM_MAX} parts per million",
    "jitter": f"milliseconds that a block may be late, 0..{JITTER_MAX:g}, such as 2.5",
    "xrun_every": f"seconds of running between xruns, up to {RUNNING_MAX:g} and at least a block",
    "unplug_after": f"seconds of running until it is unplugged, up to {RUNNING_MAX:g} and at least a block",
}
