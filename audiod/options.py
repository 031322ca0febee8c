"""The command line: sndiod's letters, in sndiod's order, and our long options.

Order matters as in sndiod: -a -e -w apply to the next -f or -F (-a to -q, too), -c -C -j
-m -t -v to the next -s (and all but -t, at the end, to the sub-device `default` where none
was defined); -r -b -z are global, the last one wins.  getopt keeps that order.  Pure: text
in, frozen Options out; the environment and the file system are config.py's.
"""

from __future__ import annotations

import getopt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from audiod_protocol.errors import FaultError
from audiod_protocol.limits import NCHAN_MAX, RATE_MAX, RATE_MIN
from audiod_protocol.params import Enc

from audiod import spec
from audiod.audiotype import check_name as check_type
from audiod.errors import UsageError
from audiod.fallback import preferred
from audiod.policy import Share
from audiod.spec import DeviceSpec
from audiod.subdevice import SUBDEVICES_MAX, VOLUME_MAX, SubDevice, SubMode, automatic, check_mmc, check_name

LETTERS = "a:b:c:C:de:F:f:hj:L:m:Q:q:r:s:t:U:v:w:z:"
LONG = (
    "config=",
    "share=",
    "sndio=",
    "socket=",
    "state=",
    "system",
    "check",
    "demo",
    "help",
    "version",
    "no-realtime",
    "log-level=",
)
LEVELS = ("debug", "info", "warning", "error")
DEVICES_MAX = 16  # sndiod's DEV_NMAX
UNIT_MAX = 15  # sndio's
HOSTS_MAX = 64  # of -L
HOST_LENGTH_MAX = 255  # of a name in the DNS
PORTS_MAX = 16  # sndio's names of them, midi/0 to midi/15
PORT_LENGTH_MAX = 4095  # Linux: of a path
PORTS = tuple(f"rmidi/{number}" for number in range(8))  # sndiod's, where no -q is given


@dataclass(frozen=True)
class DeviceOption:
    """One -f or -F with the letters that preceded it; `of`: number of the -f that it is an alternate of."""

    text: str
    spec: DeviceSpec
    enc: Enc | None
    hold: bool
    autovol: bool
    of: int | None = None


@dataclass(frozen=True)
class Port:
    """One -q with the -a that preceded it; `text` as written: rmidi/N, a path, or a name of ALSA."""

    text: str
    hold: bool = False


@dataclass(frozen=True)
class Options:
    """The command line, read; sizes in frames, None where nothing was said."""

    devices: tuple[DeviceOption, ...]
    subdevices: tuple[SubDevice, ...]
    rate: int | None = None
    round: int | None = None
    bufsz: int | None = None
    unit: int | None = None
    socket: str | None = None
    sndio: str | None = None  # a path, or "none"
    listen: tuple[str, ...] = ()  # hosts, "-" for all addresses
    ports: tuple[Port, ...] = ()  # of MIDI; empty: nothing was said
    debug: bool = False  # -d: under the name of sndiod also to stay in the foreground
    share: str | None = None
    system: bool = False
    state: str | None = None  # a directory, or "none"
    log_level: str | None = None
    realtime: bool | None = None
    config: str | None = None
    check: bool = False
    demo: bool = False
    demo_file: str | None = None
    help: bool = False
    version: bool = False
    defaulted: bool = False  # no -f was given
    placed: tuple[str, ...] = ()  # -f, -F and -s as given, and the letters that count for them


@dataclass(frozen=True)
class _Letters:
    """The letters as they stand while the command line is read."""

    enc: Enc | None = None
    hold: bool = False
    autovol: bool = False
    play: tuple[int, int] = (0, 1)
    rec: tuple[int, int] = (0, 1)
    join: bool = True
    mode: SubMode = SubMode.PLAY | SubMode.REC
    mmc: bool = False
    maxvol: int = VOLUME_MAX


def parse(argv: Sequence[str], default: str = "null") -> Options:
    """Read the arguments behind the program's name.  Raises UsageError, one line.

    `default`: SPEC of the device where none is named.
    """
    try:
        pairs, rest = getopt.gnu_getopt(list(argv), LETTERS, list(LONG))
    except getopt.GetoptError as error:
        raise UsageError(str(error), hint="audiod --help lists the options") from None
    reading = _Reading(default)
    for letter, value in pairs:
        reading.take(letter, value)
    return reading.done(rest)


class _Reading:
    """The state of one reading, from left to right."""

    def __init__(self, default: str) -> None:
        self.default = default  # SPEC of the device, if there is no -f
        self.now = _Letters()
        self.devices: list[DeviceOption] = []
        self.subdevices: list[SubDevice] = []
        self.last: int | None = None
        self.opts = Options(devices=(), subdevices=())
        self._holds = False  # -a was given: for a device, or for a port?

    def take(self, letter: str, value: str) -> None:
        if letter == "-a":
            self._holds = True
        elif letter in ("-q", "-Q"):
            self._holds = False
        elif letter in _LETTER or letter in ("-f", "-F", "-s"):
            self._place(letter)
        if letter in _LETTER:
            field, read = _LETTER[letter]
            change: dict[str, Any] = {field: read(letter, value)}
            self.now = replace(self.now, **change)
        elif letter in _GLOBAL:
            field, read = _GLOBAL[letter]
            change = {field: read(letter, value)}
            self.opts = replace(self.opts, **change)
        elif letter == "-L":
            self._host(value)
        elif letter in ("-q", "-Q"):
            self._port(letter, value)
        elif letter == "-d":
            self.opts = replace(self.opts, log_level="debug", debug=True)
        elif letter == "-f":
            self.last = self._device(value)
        elif letter == "-F":
            self._alternate(value)
        elif letter == "-s":
            self._subdevice(value)

    def _place(self, *letters: str) -> None:
        """Note letters that are about devices."""
        held = ("-a",) if self._holds else ()
        self._holds = False
        self.opts = replace(self.opts, placed=(*self.opts.placed, *held, *letters))

    def done(self, rest: Sequence[str]) -> Options:
        self._place()
        if rest and not (self.opts.demo and len(rest) == 1):
            raise UsageError(f"{rest[-1]}: unexpected argument", hint="a device is given as -f SPEC")
        if not self.devices:
            self._default_device()
        found, self.subdevices = self.subdevices, []
        orders = preferred({n: device.of for n, device in enumerate(self.devices) if device.of is not None})
        found = [replace(sub, device=orders.get(sub.device, (sub.device,))[0]) for sub in found]
        if wrong := check_mmc(found):
            raise UsageError(f"-t slave: {wrong}", hint="let one of them be of -t off")
        default = replace(self._made("default", orders.get(0, (0,))[0]), mmc=False)
        for sub in automatic(found, len(self.devices), default):
            self._add(sub)
        return replace(
            self.opts,
            devices=tuple(self.devices),
            subdevices=tuple(self.subdevices),
            demo_file=rest[0] if rest else None,
        )

    def _alternate(self, text: str) -> None:
        if self.last is None:
            self.last = self._default_device()
        if any(device.text == text for device in self.devices):
            raise UsageError(f"-F {text}: this device is given already", hint="name another one")
        self._device(text, of=self.last)

    def _device(self, text: str, of: int | None = None) -> int:
        for number, device in enumerate(self.devices):
            if device.text == text:
                return number
        if len(self.devices) == DEVICES_MAX:
            raise UsageError(f"{text}: more than {DEVICES_MAX} devices", hint="leave some out")
        now = self.now
        self.devices.append(DeviceOption(text, spec.parse(text), now.enc, now.hold, now.autovol, of))
        return len(self.devices) - 1

    def _host(self, host: str) -> None:
        if wrong := check_host(host):
            raise UsageError(f"-L {host!r:.40}: {wrong}", hint="name an address, or - for all of them")
        if len(self.opts.listen) == HOSTS_MAX:
            raise UsageError(f"-L {host}: more than {HOSTS_MAX} addresses", hint="- is all of them")
        self.opts = replace(self.opts, listen=(*self.opts.listen, host))

    def _port(self, letter: str, text: str) -> None:
        if wrong := check_port(text):
            raise UsageError(f"{letter} {text!r:.40}: {wrong}", hint="such as rmidi/0 or /dev/snd/midiC1D0")
        ports = self.opts.ports
        if any(port.text == text for port in ports):
            return  # as with -f: the first one counts
        if len(ports) == PORTS_MAX:
            raise UsageError(f"{letter} {text}: more than {PORTS_MAX} MIDI ports", hint="leave some out")
        self.opts = replace(self.opts, ports=(*ports, Port(text, self.now.hold)))

    def _default_device(self) -> int:
        self.opts = replace(self.opts, defaulted=True)
        return self._device(self.default)

    def _subdevice(self, text: str) -> None:
        name, comma, option = text.partition(",")
        kind = option.removeprefix("type=") if comma else None
        if kind is not None and (not option.startswith("type=") or check_type(kind)):
            wrong = check_type(kind) if option.startswith("type=") else f"{option!r:.40}: no such option"
            raise UsageError(f"-s {name}: {wrong}", hint="write -s name, or -s name,type=TYPE")
        wrong = check_name(name)
        if wrong is not None:
            raise UsageError(f"-s {wrong}", hint="a name such as rear")
        if any(sub.name == name for sub in self.subdevices):
            raise UsageError(f"-s {name}: already defined", hint="give each sub-device its own name")
        if self.last is None:
            self.last = self._default_device()
        self._add(replace(self._made(name, self.last), type=kind))

    def _made(self, name: str, device: int) -> SubDevice:
        now = self.now
        return SubDevice(name, device, now.mode, *now.play, *now.rec, now.maxvol, now.join, mmc=now.mmc)

    def _add(self, sub: SubDevice) -> None:
        if len(self.subdevices) == SUBDEVICES_MAX:
            raise UsageError(
                f"{sub.name}: more than {SUBDEVICES_MAX} sub-devices",
                hint="each device adds one named by its number: leave some out",
            )
        self.subdevices.append(sub)


# ---- values -----------------------------------------------------------------


def _number(least: int, most: int, what: str) -> Callable[[str, str], int]:
    def read(letter: str, value: str) -> int:
        if value.isascii() and value.isdigit() and len(value) <= 9 and least <= int(value) <= most:
            return int(value)
        raise UsageError(
            f"{letter} {value}: {what} is not within {least}..{most}", hint="give a whole number"
        )

    return read


def _onoff(letter: str, value: str) -> bool:
    if value not in ("on", "off"):
        raise UsageError(f"{letter} {value}: on or off expected", hint=f"write {letter} on or {letter} off")
    return value == "on"


def _range(letter: str, value: str) -> tuple[int, int]:
    low, colon, high = value.partition(":")
    if colon and all(side.isascii() and side.isdigit() and len(side) < 4 for side in (low, high)):
        least, most = int(low), int(high)
        if least <= most < NCHAN_MAX:
            return least, most
    raise UsageError(
        f"{letter} {value}: bad channel range",
        hint=f"write min:max with 0 <= min <= max <= {NCHAN_MAX - 1}, such as 0:1",
    )


def _mode(letter: str, value: str) -> SubMode:
    mode = SubMode(0)
    words = {"play": SubMode.PLAY, "rec": SubMode.REC, "mon": SubMode.MON, "midi": SubMode(0)}
    for word in value.split(","):
        if word not in words:
            raise UsageError(f"{letter} {value}: bad mode", hint="play, rec and mon, separated by commas")
        mode |= words[word]
    if not mode:
        raise UsageError(f"{letter} {value}: no mode with sound in it", hint="play, rec or mon")
    return mode


def _enc(letter: str, value: str) -> Enc:
    try:
        return Enc.parse(value)
    except FaultError as error:
        raise UsageError(f"{letter}: {error.fault.message}", hint="such as s16, s24le3 or s32le") from None


def _level(letter: str, value: str) -> str:
    if value not in LEVELS:
        raise UsageError(f"{letter} {value}: no such level", hint=f"the levels are {', '.join(LEVELS)}")
    return value


def check_host(host: str) -> str:
    """What is wrong with the name of a host, or nothing."""
    if not host or len(host) > HOST_LENGTH_MAX or not host.isprintable() or " " in host:
        return "this cannot be the name or the address of a host"
    return ""


def check_port(text: str) -> str:
    """What is wrong with the name of a MIDI port, or nothing; only opening it tells the rest."""
    if not text or len(text) > PORT_LENGTH_MAX or not text.isprintable():
        return "this cannot be the name of a MIDI port"
    return ""


def _share(letter: str, value: str) -> str:
    if value not in tuple(Share):
        raise UsageError(f"{letter} {value}: no such policy", hint=f"there are {', '.join(Share)}")
    return value


def _path(letter: str, value: str) -> str:
    if not value or "\0" in value:
        raise UsageError(f"{letter} {value!r}: not a path", hint=f"write {letter} PATH")
    return value


def _true(letter: str, value: str) -> bool:
    return True


def _false(letter: str, value: str) -> bool:
    return False


def _mmc(letter: str, value: str) -> bool:
    if value not in ("off", "slave"):
        raise UsageError(f"{letter} {value}: off or slave expected", hint="write -t off or -t slave")
    return value == "slave"


_LETTER: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "-a": ("hold", _onoff),
    "-c": ("play", _range),
    "-C": ("rec", _range),
    "-e": ("enc", _enc),
    "-j": ("join", _onoff),
    "-m": ("mode", _mode),
    "-t": ("mmc", _mmc),
    "-v": ("maxvol", _number(0, VOLUME_MAX, "the volume")),
    "-w": ("autovol", _onoff),
}
_GLOBAL: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "-b": ("bufsz", _number(4, spec.BUFSZ_MAX, "the buffer size")),
    "-h": ("help", _true),
    "-r": ("rate", _number(RATE_MIN, RATE_MAX, "the rate")),
    "-U": ("unit", _number(0, UNIT_MAX, "the unit")),
    "-z": ("round", _number(1, spec.ROUND_MAX, "the block size")),
    "--check": ("check", _true),
    "--config": ("config", _path),
    "--demo": ("demo", _true),
    "--help": ("help", _true),
    "--log-level": ("log_level", _level),
    "--no-realtime": ("realtime", _false),
    "--share": ("share", _share),
    "--sndio": ("sndio", _path),
    "--socket": ("socket", _path),
    "--state": ("state", _path),
    "--system": ("system", _true),
    "--version": ("version", _true),
}
