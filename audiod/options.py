"""The command line: sndiod's letters, in sndiod's order, and our long options.

Order matters as in sndiod: -a -e -w apply to the next -f or -F, -c -C -j -m -v to the
next -s (and, at the end, to the sub-device `default` where none was defined);
-r -b -z are global, the last one wins.  getopt keeps that order.  Pure: text
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
from audiod.subdevice import SUBDEVICES_MAX, VOLUME_MAX, SubDevice, SubMode, automatic, check_name

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

USAGE = """\
usage: audiod [-d] [-a on|off] [-b nframes] [-C min:max] [-c min:max] [-e enc]
              [-F SPEC] [-f SPEC] [-j on|off] [-L addr] [-m mode] [-r rate]
              [-s name[,type=TYPE]] [-U unit] [-v volume] [-w on|off] [-z nframes]
              [--config FILE] [--socket PATH] [--sndio PATH|none]
              [--share session|group] [--state DIR|none] [--system]
              [--log-level LEVEL] [--no-realtime]
              [--check | --demo [FILE] | --help | --version]

  for the device that follows as -f or -F:
    -a on|off    open it at start and keep it open (default: off, on demand)
    -e enc       its encoding (default: s16)
    -w on|off    lower the volume of its streams as their number grows (default: off)
  -f SPEC        a device: driver[:argument][?key=value&...]
                 drivers: alsa:PCM, null, file:PATH, loopback (default: the
                 best sound card, else null); rsnd/0 is the first card
  -F SPEC        an alternate of the last -f: used rather than that one, and than
                 the -F before it, as long as it is there
  for the sub-device that follows as -s:
    -c min:max   channels it may play on, -C min:max record from (default: 0:1)
    -j on|off    join or expand channels (default: on)
    -m mode      play, rec, mon, separated by commas (default: play,rec)
    -v volume    most volume of a stream, 0..127 (default: 127)
  -s name        a sub-device of the last -f; programs open it as snd/name;
                 name,type=TYPE: with the audio type of those that say none
  for all devices:
    -r rate      Hz (default: 48000)
    -z nframes   block (default: 480, or a quarter of -b)
    -b nframes   buffer (default: four blocks)
  -U unit        number of this server, 0..15 (default: 0)
  -L addr        be there for sndio's programs on TCP, too: port 11025 + unit of
                 this address, or of all (-); may be repeated
  -d             log more
  --config FILE  read FILE, not audiod.toml and audiod.d/*.toml of /etc/audiod (root)
                 or ~/.config/audiod; what is given here wins, -f replaces its devices
  --sndio PATH   where sndio's programs find it (default: /tmp/sndio/sockU of a system
                 server, /tmp/sndio-UID/sockU of a user's), or nowhere: none
  --share who    that may play and record by it at the same time: session (programs
                 with one cookie, default) or group (all members of the users' group)
  --system       be the server of the whole machine, though not started by root
  --state DIR    remember volumes and the default device in DIR (default: /var/lib/audiod
                 as root, ~/.local/state/audiod), or nowhere: none
  --check        say what it would do, or what is wrong in the files, and end
"""


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

    def take(self, letter: str, value: str) -> None:
        if letter in _LATER:
            _refuse_later(letter, value)
        if letter in _LETTER or letter in ("-f", "-F", "-s"):
            self.opts = replace(self.opts, placed=(*self.opts.placed, letter))
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
        elif letter == "-f":
            self.last = self._device(value)
        elif letter == "-F":
            self._alternate(value)
        elif letter == "-s":
            self._subdevice(value)

    def done(self, rest: Sequence[str]) -> Options:
        if rest and not (self.opts.demo and len(rest) == 1):
            raise UsageError(f"{rest[-1]}: unexpected argument", hint="a device is given as -f SPEC")
        if not self.devices:
            self._default_device()
        found, self.subdevices = self.subdevices, []
        orders = preferred({n: device.of for n, device in enumerate(self.devices) if device.of is not None})
        found = [replace(sub, device=orders.get(sub.device, (sub.device,))[0]) for sub in found]
        default = self._made("default", orders.get(0, (0,))[0])
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
        return SubDevice(name, device, now.mode, *now.play, *now.rec, now.maxvol, now.join)

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


def _debug(letter: str, value: str) -> str:
    return "debug"


def _mmc(letter: str, value: str) -> None:
    if value not in ("off", "slave"):
        raise UsageError(f"{letter} {value}: off or slave expected", hint="write -t off")
    if value == "slave":
        raise UsageError("-t slave is not there yet: no MIDI control", hint="leave it out or write -t off")


def _refuse_later(letter: str, value: str) -> None:
    if letter == "-t":
        _mmc(letter, value)
        return
    raise UsageError(f"{letter} is not there yet: {_LATER[letter]}", hint="leave it out")


_LETTER: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "-a": ("hold", _onoff),
    "-c": ("play", _range),
    "-C": ("rec", _range),
    "-e": ("enc", _enc),
    "-j": ("join", _onoff),
    "-m": ("mode", _mode),
    "-v": ("maxvol", _number(0, VOLUME_MAX, "the volume")),
    "-w": ("autovol", _onoff),
}
_GLOBAL: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "-b": ("bufsz", _number(4, spec.BUFSZ_MAX, "the buffer size")),
    "-d": ("log_level", _debug),
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
_LATER = {
    "-Q": "no MIDI ports",
    "-q": "no MIDI ports",
    "-t": "no MIDI control",
}
