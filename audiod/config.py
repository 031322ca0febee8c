"""Config: what the daemon shall do, frozen, made of the command line, the files and the environment.

The only reader of environment variables and of paths' defaults.  Fits block and
buffer sizes, channels and encodings of every device together, so that whoever
reads a Config need not ask again what was left out.  The command line is
stronger than files; its -f replace their devices.
"""

from __future__ import annotations

import ctypes
import grp
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audiod_protocol.limits import RATE_MAX
from audiod_protocol.params import Enc
from audiod_protocol.sndio.messages import BASE_PORT

from audiod import configfile, layers
from audiod.audiotype import Policy, ProgramRule
from audiod.cards import kernel
from audiod.cards.fader import Use
from audiod.cards.kernel import ROOTS, Roots
from audiod.configfile import Merged
from audiod.core import Device, Format
from audiod.errors import ConfigError, Problem, UsageError
from audiod.fallback import PLAIN, Rule
from audiod.layers import COMMAND_LINE, Layers, Wanted, asked
from audiod.options import Options, Port
from audiod.policy import Share, best_endpoint
from audiod.schema import Setting
from audiod.sndstat.words import Style
from audiod.spec import DeviceSpec
from audiod.subdevice import SubDevice, SubMode

RATE = 48000  # Hz
ROUND = 480  # frames: 10 ms
NBLOCKS = 4  # blocks of a device's buffer where -b is not given; sndiod has 16, or 2 behind -z
ENC = Enc.parse("s16")
RT_PRIO = 20  # SCHED_FIFO of device threads, the pump gets one less; below JACK's and the kernel's own
STALL = 5.0  # seconds that clock=free waits for one stream
SYSTEM_DIR = Path("/run/audiod")
STATE_DIR = Path("/var/lib/audiod")
SNDIO_DIR = Path("/tmp/sndio")  # where libsndio looks; of one user's server: with "-UID" behind it
SNDIO_STREAMS = 1024  # streams of sndio's wire at a time; each may take a connection and a MB
USERS = "audio"
ALSA = "libasound.so.2"
PRIORITY = 10  # of reservations; WirePlumber has -20, PulseAudio 0, JACK the most there is
NONE = "none"


@dataclass(frozen=True)
class DeviceConfig:
    """One device: `spec` as written, `format` as asked for, `hold`: open from start to end (-a).

    `alternates`: numbers of the devices to use in its place, the best first.
    """

    number: int
    text: str
    spec: DeviceSpec
    format: Format
    hold: bool
    autovol: bool
    dither: bool
    stall: float
    alternates: tuple[int, ...] = ()
    rule: Rule = PLAIN
    mixer: Use = Use.AUTO
    elements: bool = False

    def row(self) -> Device:
        """As clients see it, not open."""
        return Device(
            self.number,
            self.text,
            self.spec.driver,
            self.format,
            autovol=self.autovol,
            hold=self.hold,
            alternates=self.alternates,
            rule=self.rule,
        )


@dataclass(frozen=True)
class Listen:
    """A Unix socket to listen on; `dir_mode` None: the directory is the user's own business."""

    path: Path
    dir_mode: int | None
    group: bool  # owned by the group of its users
    mode: int = 0o660
    option: str = "--socket"  # that would have it elsewhere


@dataclass(frozen=True)
class State:
    """Where volumes and the like are kept; `path` None: this user has no place for it."""

    path: Path | None = None
    enabled: bool = True


@dataclass(frozen=True)
class Source:
    """What a Config was made of, so that it can be made anew; `search`: files are looked for."""

    options: Options
    environ: Mapping[str, str]
    euid: int
    search: bool = False

    @property
    def system(self) -> bool:
        """Whether the server is the machine's, not one user's.

        Root's is, one that is told so, and one whose unit file says
        RuntimeDirectory=audiod: only systemd's system manager names that one.
        """
        named = self.environ.get("RUNTIME_DIRECTORY", "").split(":")
        return self.euid == 0 or self.options.system or str(SYSTEM_DIR) in named

    def read(self, text: str | None = None) -> Config:
        """The Config of the files as they are now, or of `text` in their place.

        Raises ConfigError, UsageError.
        """
        if text is not None:
            merged = configfile.merge([("text", text.encode())])
        elif self.search:
            merged = configfile.read(configfile.find(self.options.config, self.environ, system=self.system))
        else:
            merged = Merged()
        return _resolve(self, merged)


@dataclass(frozen=True)
class Config:
    """The whole configuration.

    `system`: it is the machine's, not one user's.  `sndio`: the socket of sndio's
    wire, None for none; `tcp`: hosts whose addresses speak it, too, "-" for all of
    this machine.  `sndio_streams`: most streams at a time on that wire.  `ports`: of
    MIDI, midi/N in their order.  `reserve`: cards are reserved on the session's bus, with `priority`.
    `policy`: of ducking, None for none; `ducking_file`: where it is from, unless the
    files themselves have it; `programs`: which programs have which audio type.
    `origins`: which key of changes.flatten was said where, unless it is a default.
    """

    unit: int
    listen: Listen
    devices: tuple[DeviceConfig, ...]
    subdevices: tuple[SubDevice, ...]
    system: bool = False
    sndio: Listen | None = None
    tcp: tuple[str, ...] = ()
    share: Share = Share.SESSION
    sndio_streams: int = SNDIO_STREAMS
    realtime: bool = True
    log_level: str = "info"
    users: str = USERS
    ports: tuple[Port, ...] = ()
    state: State = State()
    reserve: bool = True
    priority: int = PRIORITY
    policy: Policy | None = None
    ducking_file: str | None = None
    programs: tuple[ProgramRule, ...] = ()
    sndstat: Style = field(default_factory=Style)
    files: tuple[str, ...] = field(default=(), compare=False)
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)
    source: Source | None = field(default=None, compare=False)

    @property
    def port(self) -> int:
        """Where sndio's wire is spoken over TCP."""
        return BASE_PORT + self.unit


def default_device(roots: Roots = ROOTS, library: str = ALSA) -> str:
    """SPEC of the best card that plays, where the library of cards is, else of none."""
    best = best_endpoint(kernel.glance(roots))
    if best is None:
        return "null"
    try:
        ctypes.CDLL(library)
    except OSError:
        return "null"
    return best.spec


def load(options: Options, environ: Mapping[str, str], euid: int) -> Config:
    """Read the files for this user and resolve.  Raises ConfigError, UsageError."""
    return Source(options, environ, euid, search=True).read()


def resolve(
    options: Options,
    environ: Mapping[str, str],
    euid: int,
    merged: Merged | None = None,
    *,
    search: bool = False,
) -> Config:
    """The Config of these options and files for this user.  Raises ConfigError, UsageError."""
    return _resolve(Source(options, environ, euid, search), Merged() if merged is None else merged)


def _resolve(source: Source, merged: Merged) -> Config:
    options = source.options
    known = Layers(merged)
    wanted, subdevices = layers.devices(options, merged, known)
    devices = []
    reach = {number: (number, *one.alternates) for number, one in enumerate(wanted)}
    for number, one in enumerate(wanted):
        try:
            devices.append(_device(number, one, options, known, subdevices, reach))
        except _Unfit as error:
            if one.place == COMMAND_LINE:
                raise UsageError(f"-f {one.text}: {error}", hint=error.hint) from None
            raise ConfigError([Problem(one.place, f"device {one.text}: {error}", error.hint)]) from None
    policy = layers.ducking(merged, known, subdevices)
    unit: int = known.pick("server.unit", asked(options.unit), default=0)
    users = known.pick("server.users", default=USERS)
    if "server.users" in known.origins:
        _check_group(users, known.origins["server.users"])
    return Config(
        unit=unit,
        listen=_listen(known, source, unit),
        devices=tuple(devices),
        subdevices=subdevices,
        system=source.system,
        sndio=_sndio(known, source, unit),
        tcp=tuple(known.pick("sndio.listen", asked(options.listen or None), default=())),
        share=Share(known.pick("sndio.share", asked(options.share), default=Share.SESSION)),
        sndio_streams=known.pick("sndio.streams", default=SNDIO_STREAMS),
        realtime=known.pick("server.realtime", asked(options.realtime), default=True),
        log_level=known.pick("server.log_level", asked(options.log_level), default="info"),
        users=users,
        ports=layers.ports(options, known),
        state=_state(known, source),
        reserve=known.pick("cards.reserve", default=True),
        priority=known.pick("cards.priority", default=PRIORITY),
        policy=policy,
        ducking_file=known.pick("ducking.file"),
        programs=layers.programs(merged, known),
        sndstat=Style(
            provider=known.pick("sndstat.provider", default=Style.provider),
            feederchain=known.pick("sndstat.feederchain", default=Style.feederchain),
            strict=known.pick("sndstat.strict", default=Style.strict),
        ),
        files=merged.files,
        origins=known.origins,
        source=source,
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


class _Unfit(Exception):
    """A device that cannot be as it is asked for."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def _device(
    number: int,
    one: Wanted,
    options: Options,
    known: Layers,
    subdevices: Iterable[SubDevice],
    reach: Mapping[int, tuple[int, ...]],
) -> DeviceConfig:
    """`reach`: by the number of a sub-device's device those that it may be on."""
    spec = one.spec
    at = f"device.{number}."
    # the strongest that says one of the two says both
    said: tuple[Mapping[str, Any], ...] = (
        {key: one.of_spec(getattr(spec, key)) for key in ("round", "bufsz")},
        {"round": asked(options.round), "bufsz": asked(options.bufsz)},
        one.settings,
        known.table("defaults"),
    )
    for layer in said:
        both = layer.get("round"), layer.get("bufsz")
        if any(both):
            break
    round_, bufsz = sizes(*(setting and setting.value for setting in both))
    for key, setting in zip(("round", "bufsz"), both, strict=True):
        origin = setting or next(filter(None, both), None)
        if origin is not None:
            known.origins[at + key] = origin.origin
    play, rec = _channels(spec, [sub for sub in subdevices if number in reach.get(sub.device, (sub.device,))])
    if not play and not rec:
        raise _Unfit(
            "the device neither plays nor records what its sub-devices offer",
            "change -m, or the keys play and rec"
            if one.place == COMMAND_LINE
            else "change the mode of its sub-devices, or the keys play and rec",
        )
    rate: int = known.of_device(at, "rate", one, asked(options.rate), RATE)
    if bufsz > RATE_MAX:
        raise _Unfit(f"a buffer of {bufsz} frames", f"at most {RATE_MAX}")
    known.pick(at + "spec", one.settings.get("spec"))
    known.pick(at + "alternates", Setting(one.alternates, one.named) if one.named else None)
    return DeviceConfig(
        number=number,
        text=one.text,
        spec=spec,
        format=Format(known.of_device(at, "enc", one, None, ENC), rate, round_, bufsz, play, rec),
        hold=known.pick(at + "hold", one.settings.get("hold"), default=False),
        autovol=known.pick(at + "autovol", one.settings.get("autovol"), default=False),
        mixer=Use(known.pick(at + "mixer", one.settings.get("mixer"), default=Use.AUTO)),
        elements=known.pick(at + "elements", one.settings.get("elements"), default=False),
        dither=True if spec.dither is None else spec.dither,
        stall=STALL if spec.stall is None else spec.stall,
        alternates=one.alternates,
        rule=Rule(
            known.of_table(at, "on_loss", one, PLAIN.on_loss), known.of_table(at, "on_new", one, PLAIN.on_new)
        ),
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


def _listen(known: Layers, source: Source, unit: int) -> Listen:
    socket = known.pick("server.socket", asked(source.options.socket))
    if socket is not None:
        return Listen(Path(socket).absolute(), None, group="server.users" in known.origins)
    name = socket_name(unit)
    if source.system:
        return Listen(SYSTEM_DIR / name, 0o755, group=True)
    runtime = source.environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/"):
        return Listen(Path(runtime) / "audiod" / name, 0o700, group=False)
    return Listen(Path(f"/tmp/audiod-{source.euid}") / name, 0o700, group=False)


def _sndio(known: Layers, source: Source, unit: int) -> Listen | None:
    """Where libsndio looks the directory says who may reach it; a user's elsewhere is as the native one."""
    said = known.pick("sndio.socket", asked(source.options.sndio))
    if said == NONE:
        return None
    everybody = said is None or source.system
    mode, group = (0o666, False) if everybody else (0o660, "server.users" in known.origins)
    if said is not None:
        return Listen(Path(said).absolute(), None, group, mode, "--sndio")
    directory = SNDIO_DIR if source.system else SNDIO_DIR.with_name(f"{SNDIO_DIR.name}-{source.euid}")
    return Listen(directory / f"sock{unit}", 0o755 if source.system else 0o700, group, mode, "--sndio")


def _state(known: Layers, source: Source) -> State:
    options, environ = source.options, source.environ
    path: Path | None = STATE_DIR
    if not source.system:
        home = environ.get("XDG_STATE_HOME", "")
        if not home.startswith("/"):
            home = environ["HOME"] + "/.local/state" if environ.get("HOME", "").startswith("/") else ""
        path = Path(home) / "audiod" if home else None
    off = options.state == NONE
    said = known.pick("state.path", None if off else asked(options.state))
    enabled = known.pick("state.enabled", asked(False if off else None), default=True)
    return State(Path(said).absolute() if said else path, enabled)


def _check_group(name: str, origin: str) -> None:
    try:
        grp.getgrnam(name)
    except KeyError:
        raise ConfigError(
            [Problem(origin, f"server.users: there is no group {name!r}", "addgroup makes it")]
        ) from None
