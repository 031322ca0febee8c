"""Device names: sndio(7)'s grammar, the environment that replaces `default`, and where sockets are.

    type [@host] [,unit] / (devnum [.opt] | opt)        type = snd
    snd@/path/to.sock[/...]                             ours: the path ends at the first socket

Invariant: `Name.parse(str(name)) == name`; the environment is read only for
None and `default`, and never in a set-id program.  Pure but for `lstat`.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from audiod_client.errors import StreamError

__all__ = ["Name", "Places", "default_name", "is_setid", "sockets"]

UNIT_MAX = 15  # sndio's: 16 servers a host
DEVNUM_MAX = 15  # sndio's: 16 devices a server
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


def sockets(name: Name, places: Places) -> tuple[list[str], list[tuple[str, str]]]:
    """Paths to try for `name`, in order, and (path, reason) of those passed over.

    A path in the name comes first, then AUDIOD_SOCKET, then the unit's socket:
    the user's, then the system's; for root the system's alone.  Raises
    StreamError(ENOTSUP) for a host.
    """
    if name.host is not None:
        raise StreamError(
            "ENOTSUP",
            f"{name}: this client does not speak sndio's wire over TCP yet",
            "open a local device (snd/0), or use a program linked to libsndio",
        )
    if name.path is not None:
        return [name.path], []
    if not places.setid and (path := places.env.get("AUDIOD_SOCKET")):
        return [path], []
    file = f"audiod-{name.unit}.sock" if name.unit else "audiod.sock"
    system = f"{places.system}/{file}"
    if places.uid == 0:
        return [system], []
    runtime = "" if places.setid else places.env.get("XDG_RUNTIME_DIR", "")
    if runtime:
        return [f"{runtime}/audiod/{file}", system], []
    own = f"{places.tmp}/audiod-{places.uid}"
    refusal = _distrust(own, places.uid)
    if refusal:
        return [system], [(f"{own}/{file}", refusal)]
    return [f"{own}/{file}", system], []


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
