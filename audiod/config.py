"""Config: what the daemon shall do, frozen, made of the command line and the environment.

The only reader of environment variables and of paths' defaults.  Fits block and
buffer sizes, channels and encodings of every device together, so that whoever
reads a Config need not ask again what was left out.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from audiod_protocol.limits import RATE_MAX

from audiod.core import Format
from audiod.errors import StartError, UsageError
from audiod.options import DeviceOption, Options
from audiod.spec import DeviceSpec
from audiod.subdevice import SubDevice, SubMode

RATE = 48000  # Hz
ROUND = 480  # frames: 10 ms
NBLOCKS = 4  # blocks of a device's buffer where -b is not given; sndiod has 16, or 2 behind -z
RT_PRIO = 20  # SCHED_FIFO of device threads, the pump gets one less; below JACK's and the kernel's own
STALL = 5.0  # seconds that clock=free waits for one stream
SYSTEM_DIR = Path("/run/audiod")


@dataclass(frozen=True)
class DeviceConfig:
    """One device: `spec` as written, `format` as asked for, `hold`: open from start to end (-a)."""

    number: int
    text: str
    spec: DeviceSpec
    format: Format
    hold: bool
    autovol: bool
    dither: bool
    stall: float


@dataclass(frozen=True)
class Listen:
    """A Unix socket to listen on; `dir_mode` None: the directory is the user's own business."""

    path: Path
    dir_mode: int | None
    group: bool  # owned by group audio, where the server may give it away


@dataclass(frozen=True)
class Config:
    """The whole configuration."""

    unit: int
    listen: Listen
    devices: tuple[DeviceConfig, ...]
    subdevices: tuple[SubDevice, ...]
    realtime: bool = True
    log_level: str = "info"


def resolve(options: Options, environ: Mapping[str, str], euid: int) -> Config:
    """The Config of these options for this user.  Raises UsageError or StartError."""
    round_, bufsz = sizes(options.round, options.bufsz)
    devices = tuple(
        _device(number, option, options, round_, bufsz) for number, option in enumerate(options.devices)
    )
    return Config(
        unit=options.unit,
        listen=_listen(options, environ, euid),
        devices=devices,
        subdevices=options.subdevices,
        realtime=options.realtime,
        log_level=options.log_level or "info",
    )


def sizes(round_: int | None, bufsz: int | None) -> tuple[int, int]:
    """Block and buffer in frames from -z and -b, of which either may be missing.

    sndiod makes a buffer of two blocks out of a lone -z or -b, and of sixteen
    where neither is given; four are what our engine keeps reliably.
    """
    if round_ is None:
        round_ = ROUND if bufsz is None else max(1, bufsz // NBLOCKS)
    if bufsz is None:
        bufsz = NBLOCKS * round_
    return round_, max(2, (bufsz + round_ // 2) // round_) * round_


def _device(number: int, option: DeviceOption, options: Options, round_: int, bufsz: int) -> DeviceConfig:
    spec = option.spec
    subs = [sub for sub in options.subdevices if sub.device == number]
    if spec.round is not None or spec.bufsz is not None:
        round_, bufsz = sizes(spec.round or (None if spec.bufsz else round_), spec.bufsz)
    play, rec = _channels(spec, subs)
    if not play and not rec:
        raise UsageError(
            f"-f {option.text}: the device neither plays nor records what its sub-devices offer",
            hint="change -m, or the keys play and rec",
        )
    rate = spec.rate or options.rate or RATE
    if bufsz > RATE_MAX:
        raise UsageError(f"-f {option.text}: a buffer of {bufsz} frames", hint=f"at most {RATE_MAX}")
    return DeviceConfig(
        number=number,
        text=option.text,
        spec=spec,
        format=Format(spec.enc or option.enc, rate, round_, bufsz, play, rec),
        hold=option.hold,
        autovol=option.autovol,
        dither=True if spec.dither is None else spec.dither,
        stall=STALL if spec.stall is None else spec.stall,
    )


def _channels(spec: DeviceSpec, subs: Iterable[SubDevice]) -> tuple[int, int]:
    """Channels to ask for: what the sub-devices reach, unless the SPEC says so itself."""
    play = rec = 0
    for sub in subs:
        if sub.mode & (SubMode.PLAY | SubMode.MON):
            play = max(play, sub.pmax + 1)
        if sub.mode & SubMode.REC:
            rec = max(rec, sub.rmax + 1)
    if spec.driver == "file":
        play = play if spec.argument else 0
        rec = rec if spec.rec_path is not None else 0
    return (
        play if spec.play is None else spec.play,
        rec if spec.rec is None else spec.rec,
    )


# ---- paths ------------------------------------------------------------------------


def socket_name(unit: int) -> str:
    return f"audiod-{unit}.sock" if unit else "audiod.sock"


def _listen(options: Options, environ: Mapping[str, str], euid: int) -> Listen:
    if options.socket is not None:
        return Listen(Path(options.socket).absolute(), None, group=False)
    name = socket_name(options.unit)
    if euid == 0:
        return Listen(SYSTEM_DIR / name, 0o755, group=True)
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/"):
        return Listen(Path(runtime) / "audiod" / name, 0o700, group=False)
    return Listen(Path(f"/tmp/audiod-{euid}") / name, 0o700, group=False)


def make_directory(listen: Listen, euid: int) -> None:
    """Make the socket's directory and be sure that it is ours alone to write.

    Raises StartError if it is a symbolic link, not a directory or another's.
    """
    directory = listen.path.parent
    if listen.dir_mode is None:
        if not directory.is_dir():
            raise StartError(f"{directory}: no such directory", hint="make it, or choose another --socket")
        return
    try:
        directory.mkdir(mode=listen.dir_mode)
        directory.chmod(listen.dir_mode)  # whatever the umask was
    except FileExistsError:
        pass
    except OSError as error:
        raise StartError(
            f"{directory}: {os.strerror(error.errno or 0)}", hint="choose another place by --socket"
        ) from None
    found = os.lstat(directory)
    hint = "remove it, or choose another place by --socket"
    if not stat.S_ISDIR(found.st_mode):
        raise StartError(f"{directory}: is not a directory of its own", hint=hint)
    if found.st_uid != euid:
        raise StartError(f"{directory}: belongs to user {found.st_uid}, not to {euid}", hint=hint)
    if found.st_mode & 0o777 & ~listen.dir_mode:
        raise StartError(
            f"{directory}: mode {found.st_mode & 0o777:04o} lets others in",
            hint=f"chmod {listen.dir_mode:04o} {directory}",
        )
