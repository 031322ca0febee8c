"""Device names: sndio(7)'s grammar, the environment that replaces `default`, and where sockets are.

    type [@host] [,unit] / (devnum [.opt] | opt)        type = snd
    snd@/path/to.sock[/...]                             ours: the path ends at the first socket

Invariant: `Name.parse(str(name)) == name`; the environment is read only for
None and `default`, and never in a set-id program.  Pure but for `lstat`.
"""

from __future__ import annotations

import enum
import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from audiod_client.errors import StreamError

__all__ = ["Address", "Name", "Places", "Wire", "addresses", "default_name", "is_setid", "split_device"]

UNIT_MAX = 15  # sndio's: 16 servers a host
DEVNUM_MAX = 15  # sndio's: 16 devices a server
BASE_PORT = 11025  # TCP, of unit 0
OPT_MAX = 11  # bytes of a sub-device's name, sndio's HELLO has room for 11

_GRAMMAR = "names look like snd/0, snd/rear, snd,1/rear, snd@/path/to.sock/rear or default, see sndio(7)"
_SERVER = re.compile(r"snd(?![a-z])(?:@(?P<host>[^,/]+))?(?:,(?P<unit>[0-9]+))?/(?P<device>.*)", re.DOTALL)
_DEVICE = re.compile(r"(?P<num>[0-9]+)(?:\.(?P<dotted>[^,/]+))?|(?P<opt>[^,/]+)", re.DOTALL)


def _bad(text: str, why: str, hint: str = _GRAMMAR) -> StreamError:
    return StreamError("EINVAL", f"device name {text[:80]!r}: {why}", hint)


def is_socket(path: str) -> bool:
    """Whether `path` is a socket, or leads to one through symbolic links."""
    try:
        return Path(path).is_socket()
    except OSError:  # such as ENAMETOOLONG
        return False


@dataclass(frozen=True)
class Name:
    """A parsed device name: where the server is, and which `device` to open there."""

    device: str = "default"  # what follows "snd/": "default", "0", "rear", "0.rear"
    unit: int = 0
    host: str | None = None  # sndio's wire over TCP
    path: str | None = None  # an audiod socket

    @classmethod
    def parse(cls, text: str, is_socket: Callable[[str], bool] = is_socket) -> Name:
        """Read a name.  `is_socket` decides where the path of `snd@/path` ends.

        Raises StreamError: EINVAL (not in the grammar) or ENOENT (no socket on the path).
        """
        if text == "default":
            return cls()
        if text.startswith("snd@/"):
            return cls._parse_path(text, is_socket)
        match = _SERVER.fullmatch(text)
        if match is None:
            kind = re.match(r"[a-z]*", text)
            if kind and kind[0] in ("rsnd", "rmidi"):
                raise _bad(text, "raw devices belong to the server", "give it to audiod -f, then open snd/0")
            if kind and kind[0] in ("midi", "midithru"):
                raise _bad(text, "this is a MIDI port, not an audio device")
            raise _bad(text, "not a device name")
        unit = _number(text, "unit", match["unit"] or "0", UNIT_MAX)
        return cls(_device(text, match["device"]), unit, match["host"])

    @classmethod
    def _parse_path(cls, text: str, is_socket: Callable[[str], bool]) -> Name:
        whole = text[len("snd@") :]
        end = 0
        while end < len(whole):
            end = whole.find("/", end + 1)
            if end < 0:
                end = len(whole)
            if is_socket(whole[:end]):
                rest = whole[end:]
                return cls(_device(text, rest[1:]) if rest else "default", path=whole[:end])
        raise StreamError(
            "ENOENT",
            f"device name {text[:80]!r}: no part of {whole[:80]} is a socket",
            "check the path, and that the server runs: audiod --socket PATH",
        )

    def __str__(self) -> str:
        if self.path is not None:
            return f"snd@{self.path}/{self.device}"
        host = f"@{self.host}" if self.host is not None else ""
        unit = f",{self.unit}" if self.unit else ""
        return f"snd{host}{unit}/{self.device}"


def _number(text: str, what: str, digits: str, top: int) -> int:
    if len(digits) > 9 or int(digits) > top:
        raise _bad(text, f"{what} {digits[:20]} is more than {top}")
    return int(digits)


def _device(text: str, device: str) -> str:
    """Check what follows the slash; numbers lose their leading zeros."""
    match = _DEVICE.fullmatch(device)
    if match is None:
        raise _bad(text, "what follows the slash must be a number or a sub-device's name")
    opt = match["opt"] or match["dotted"] or ""
    if match["num"] is None and device[0].isascii() and device[0].isdigit():
        raise _bad(text, "a sub-device's name starts with a letter")
    if len(opt.encode("utf-8", "surrogateescape")) > OPT_MAX:
        raise _bad(text, f"a sub-device's name has at most {OPT_MAX} bytes")
    if match["num"] is None:
        return device
    number = _number(text, "device", match["num"], DEVNUM_MAX)
    return f"{number}.{opt}" if opt else str(number)


def split_device(device: str) -> tuple[int | None, str]:
    """The number and the sub-device that `device` ("rear", "0", "0.rear") means on sndio's wire."""
    match = _DEVICE.fullmatch(_device(f"snd/{device}", device))
    assert match is not None
    number = None if match["num"] is None else int(match["num"])
    return number, match["opt"] or match["dotted"] or "default"


def is_setid() -> bool:
    """Whether this program runs with another's rights, so that the environment is not to be trusted."""
    return os.getuid() != os.geteuid() or os.getgid() != os.getegid()


def default_name(name: str | None, mode: str, env: Mapping[str, str], setid: bool) -> str:
    """The name to open: the environment's in place of None and `default`, by sndio's rules.

    `mode` is "play", "rec" or "play,rec".  An empty variable counts as unset.
    """
    if name is not None and name != "default":
        return name
    if setid:
        return "default"
    narrow = {"play": "AUDIOPLAYDEVICE", "rec": "AUDIORECDEVICE"}.get(mode, "")
    return env.get(narrow) or env.get("AUDIODEVICE") or "default"


@dataclass(frozen=True)
class Places:
    """What decides where sockets are: the user, the environment, whether to trust it."""

    uid: int
    env: Mapping[str, str]
    setid: bool = False
    system: str = "/run/audiod"
    tmp: str = "/tmp"

    @classmethod
    def here(cls) -> Places:
        return cls(os.geteuid(), os.environ, is_setid())


class Wire(enum.StrEnum):
    """What is spoken on a connection: audiod's own protocol, or sndio's."""

    NATIVE = "native"
    SNDIO = "sndio"


@dataclass(frozen=True)
class Address:
    """Where a server may listen: a socket's path, or a host and its port."""

    wire: Wire
    place: str
    port: int | None = None

    def __str__(self) -> str:
        if self.port is None:
            return self.place
        return f"[{self.place}]:{self.port}" if ":" in self.place else f"{self.place}:{self.port}"


def addresses(name: Name, places: Places) -> tuple[list[Address], list[tuple[str, str]]]:
    """Where to try for `name`, in order, and (path, reason) of what is passed over.

    A host is sndio's wire over TCP.  A path in the name comes first, then
    AUDIOD_SOCKET; without either the unit's socket: the user's, then the
    system's (for root the system's alone), then sndio's, again the user's
    and the system's.
    """
    if name.host is not None:
        return [Address(Wire.SNDIO, name.host, BASE_PORT + name.unit)], []
    if name.path is not None:
        return [Address(Wire.NATIVE, name.path)], []
    if not places.setid and (path := places.env.get("AUDIOD_SOCKET")):
        return [Address(Wire.NATIVE, path)], []
    file = f"audiod-{name.unit}.sock" if name.unit else "audiod.sock"
    found: list[Address] = []
    passed: list[tuple[str, str]] = []

    def look(wire: Wire, directory: str, file: str, private: bool = False) -> None:
        path = f"{directory}/{file}"
        if private and (refusal := _distrust(directory, places.uid)):
            passed.append((path, refusal))
        else:
            found.append(Address(wire, path))

    runtime = "" if places.setid else places.env.get("XDG_RUNTIME_DIR", "")
    if places.uid != 0 and runtime:
        look(Wire.NATIVE, f"{runtime}/audiod", file)
    elif places.uid != 0:
        look(Wire.NATIVE, f"{places.tmp}/audiod-{places.uid}", file, private=True)
    look(Wire.NATIVE, places.system, file)
    look(Wire.SNDIO, f"{places.tmp}/sndio-{places.uid}", f"sock{name.unit}", private=True)
    look(Wire.SNDIO, f"{places.tmp}/sndio", f"sock{name.unit}")
    return found, passed


def _distrust(directory: str, uid: int) -> str:
    """Why a directory in a place that everyone can write to is not ours; empty if it is or is absent."""
    try:
        info = Path(directory).lstat()
    except OSError:
        return ""
    if stat.S_ISLNK(info.st_mode):
        return "its directory is a symbolic link"
    if not stat.S_ISDIR(info.st_mode):
        return "its directory is not one"
    if info.st_uid != uid:
        return "its directory is another user's"
    if stat.S_IMODE(info.st_mode) != 0o700:
        return f"its directory has mode {stat.S_IMODE(info.st_mode):04o}, not 0700"
    return ""
