"""Core: what the server knows, as plain data, and the rows that clients see.

Owns devices, sub-devices, streams and the counters; tells subscribers what
changed.  Levels and mutes are set by its `controls`.  Invariant: a stream is in `streams` from `open` to the
answer to `close`.  Control thread; no engine, no trio, no socket.
"""

from __future__ import annotations

import enum
import itertools
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audiod_protocol.limits import VOL_MAX
from audiod_protocol.params import Enc, Mode, Par

from audiod import policy
from audiod.baton import Conductor, NoDucking
from audiod.cards.fader import Faders, Knob
from audiod.controls import Controls
from audiod.fallback import PLAIN, Rule
from audiod.policy import Culprit
from audiod.program import Program
from audiod.subdevice import SubDevice

if TYPE_CHECKING:
    from audiod.channel import Channel

STREAMS_MAX = 4096  # open streams of the whole server: four times the largest goal, each may take 2 MB

TOPICS = ("streams", "devices", "cards", "controls", "ducking", "events")

Row = dict[str, object]
Subscriber = Callable[[str, Row], None]


class DeviceState(enum.StrEnum):
    CLOSED = "closed"
    IDLE = "idle"
    RUNNING = "running"
    FAILED = "failed"
    LOST = "lost"  # streams of it are silent until it is back


@dataclass(frozen=True)
class Format:
    """How a device runs: encoding, Hz, frames a block, frames of its buffer, channels."""

    enc: Enc
    rate: int
    round: int
    bufsz: int
    play: int
    rec: int

    @property
    def mode(self) -> str:
        words = (("play", self.play), ("rec", self.rec))
        return ",".join(word for word, channels in words if channels)

    @property
    def block_ns(self) -> int:
        return self.round * 1_000_000_000 // self.rate


@dataclass
class Device:
    """One configured device; `format` is what was asked for until it is open, then what it does."""

    number: int
    name: str
    driver: str
    format: Format
    autovol: bool = False
    hold: bool = False
    alternates: tuple[int, ...] = ()  # to use in its place, the best first
    rule: Rule = PLAIN
    state: DeviceState = DeviceState.CLOSED
    reason: str | None = None  # why it has failed or is lost
    volume: int = VOL_MAX
    muted: bool = False
    input_volume: int = VOL_MAX
    input_muted: bool = False
    chosen: bool = False  # somebody has set one of these, or it was kept
    xruns: int = 0
    apply: Callable[[], None] = lambda: None  # engine and card take over volumes and mutes
    faders: Faders = field(default_factory=Faders)  # what its card does of them
    knobs: dict[str, Knob] = field(default_factory=dict)  # what else its card has, by the names of controls
    turn_knob: Callable[[str, int], None] = lambda name, value: None  # its card takes one over

    @property
    def played(self) -> float:
        """The gain that everything played is multiplied by; what its card does comes behind it."""
        if self.faders.play is not None:
            return self.faders.play.gain(self.volume, self.muted)
        return policy.gain(0 if self.muted else self.volume)

    @property
    def recorded(self) -> float:
        """The gain that everything recorded is multiplied by; what its card does came before it."""
        if self.faders.rec is not None:
            return self.faders.rec.gain(self.input_volume, self.input_muted)
        return policy.gain(0 if self.input_muted else self.input_volume)


@dataclass(frozen=True)
class Measured:
    """What the engine says about a started stream, at this moment; frames at the stream's rate."""

    state: str
    position: int
    latency: int
    xruns: int


@dataclass
class Stream:
    """One open stream of a client.

    `apply(level, own)`: the engine takes over the volume of its program; `level`: it is the level that
    has changed, `own`: by this stream's client.
    """

    id: int
    number: int
    sub: SubDevice
    mode: Mode
    par: Par
    name: str
    pid: int
    uid: int | None
    program: Program
    type: str | None = None
    link: str | None = None
    wire: str = "native"
    pinned: bool = False  # it does not go on on another device by itself
    xruns: int = 0
    measure: Callable[[], Measured | None] = lambda: None
    apply: Callable[[bool, bool], None] = lambda level, own: None
    move: Callable[[SubDevice], None] = lambda sub: None
    lost: Callable[[], bool] = lambda: False  # its device is gone, and it plays into nothing
    moves: Callable[[], bool] = lambda: False  # from one device to another, just now
    fresh: bool = True  # it is alive and was never started: MMC's group waits for it
    channel: Channel = field(init=False, repr=False)  # from before anybody hears of it


@dataclass
class LinkGroup:
    """Streams of one user that start in one cycle."""

    number: int
    members: int = 0


@dataclass
class Core:
    """Everything the server knows, and who wants to hear about it."""

    devices: list[Device] = field(default_factory=list)
    subdevices: dict[str, SubDevice] = field(default_factory=dict)
    streams: dict[int, Stream] = field(default_factory=dict)
    xruns: Counter[Culprit] = field(default_factory=Counter)
    carried: Counter[str] = field(default_factory=Counter)  # open streams by their wire
    _subscribers: dict[str, dict[Subscriber, None]] = field(default_factory=dict)
    _links: dict[tuple[int | None, str], LinkGroup] = field(default_factory=dict)
    _last_id: int = 0
    _orders: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    conductor: Conductor = field(default_factory=NoDucking)

    def __post_init__(self) -> None:
        self.controls = Controls(self)
        self.configured = dict(self.subdevices)  # as the configuration has them
        self.orders: dict[str, tuple[int, ...]] = {}  # devices that a sub-device may be on, the best first
        self.reasons: dict[str, str] = {}  # why a sub-device is where it is
        self.on_waiting: Callable[[], None] = lambda: None  # something about streams that wait for MMC

    # ---- changes ----

    def subscribe(self, subscriber: Subscriber, topics: Collection[str]) -> None:
        """From now on tell `subscriber` of changes of these topics, and of no others."""
        for topic in TOPICS:
            self._subscribers.get(topic, {}).pop(subscriber, None)
            if topic in topics:
                self._subscribers.setdefault(topic, {})[subscriber] = None

    def publish(self, topic: str, event: str | None, row: Callable[[], Row]) -> None:
        """Tell the topic's subscribers of a change: "new", "change" or "gone"; None: the row tells itself."""
        subscribers = self._subscribers.get(topic)
        if subscribers:
            told = row() if event is None else {**row(), "event": event}
            for subscriber in list(subscribers):
                subscriber(topic, told)

    def add_device(self, device: Device) -> None:
        """A further device is configured; its number is the next one."""
        self.devices.append(device)
        self.publish("devices", "new", lambda: self.device_row(device))
        self.controls.added(device)

    def device_changed(self, device: Device) -> None:
        self.publish("devices", "change", lambda: self.device_row(device))

    def stream_changed(self, stream: Stream) -> None:
        if stream.sub.mmc:
            self.on_waiting()
        self.publish("streams", "change", lambda: self.stream_row(stream))

    # ---- streams ----

    def next_id(self) -> int:
        """A number that no stream or link group has had since the server started."""
        self._last_id += 1
        return self._last_id

    def next_order(self) -> int:
        """The next place in the order in which streams began to run."""
        return next(self._orders)

    def join_link(self, uid: int | None, link: str) -> int:
        """The engine's number of a link group, one per user and name as long as it has members."""
        group = self._links.setdefault((uid, link), LinkGroup(self.next_id()))
        group.members += 1
        return group.number

    def leave_link(self, uid: int | None, link: str) -> None:
        group = self._links[uid, link]
        group.members -= 1
        if group.members == 0:
            del self._links[uid, link]

    def add(self, stream: Stream) -> None:
        self.streams[stream.id] = stream
        self.carried[stream.wire] += 1
        self.publish("streams", "new", lambda: self.stream_row(stream))
        self.controls.opened(stream)
        self.device_changed(self.devices[stream.sub.device])
        if stream.sub.mmc:
            self.on_waiting()

    def remove(self, stream: Stream) -> None:
        del self.streams[stream.id]
        self.carried[stream.wire] -= 1
        self.publish("streams", "gone", lambda: self.stream_row(stream))
        self.controls.closed(stream)
        self.device_changed(self.devices[stream.sub.device])
        if stream.sub.mmc:
            self.on_waiting()

    def count_xrun(self, device: Device, stream: Stream | None, culprit: Culprit) -> None:
        self.xruns[culprit] += 1
        if stream is None:
            device.xruns += 1
            self.device_changed(device)
        else:
            stream.xruns += 1
            self.stream_changed(stream)

    # ---- rows ----

    @property
    def configured_default(self) -> int:
        """Where the sub-device `default` is unless there is a reason."""
        return self.configured["default"].device

    @property
    def default_device(self) -> Device:
        """The device that the sub-device `default` belongs to."""
        return self.devices[self.subdevices["default"].device]

    def device_row(self, device: Device) -> Row:
        fmt = device.format
        subs = [sub for sub in self.subdevices.values() if sub.device == device.number]
        return {
            "device": device.number,
            "name": device.name,
            "driver": device.driver,
            "state": str(device.state),
            "reason": device.reason,
            "mode": fmt.mode,
            "rate": fmt.rate,
            "round": fmt.round,
            "bufsz": fmt.bufsz,
            "encoding": str(fmt.enc),
            "play_channels": fmt.play,
            "rec_channels": fmt.rec,
            "default": device is self.default_device,
            "volume": device.volume,
            "muted": device.muted,
            "input_volume": device.input_volume,
            "input_muted": device.input_muted,
            "fader": None if device.faders.play is None else device.faders.play.element,
            "input_fader": None if device.faders.rec is None else device.faders.rec.element,
            "subdevices": [self._sub_row(sub, device) for sub in subs],
            "xruns": device.xruns,
            "streams": sum(s.sub.device == device.number for s in self.streams.values()),
        }

    def _sub_row(self, sub: SubDevice, device: Device) -> Row:
        return {
            "name": sub.name,
            "mode": str(sub.mode),
            "play": [sub.pmin, sub.pmax],
            "rec": [sub.rmin, sub.rmax],
            "volume": sub.maxvol,
            "join": sub.join,
            "autovol": device.autovol,
            "mmc": sub.mmc,
            "devices": list(self.orders.get(sub.name, (device.number,))),
            "reason": self.reasons.get(sub.name) or None,
        }

    def stream_row(self, stream: Stream) -> Row:
        par = stream.par
        now = stream.measure() or Measured("ready", 0, 0, stream.xruns)
        row: Row = {
            "id": stream.id,
            "name": stream.name,
            "pid": stream.pid,
            "uid": stream.uid,
            "device": stream.sub.device,
            "subdevice": stream.sub.name,
            "mode": str(stream.mode),
            "state": now.state,
            "channel": str(stream.channel.status),
            "rate": par.rate,
            "encoding": str(par.enc),
            "channels": par.pchan if Mode.PLAY in stream.mode else par.rchan,
            "volume": stream.program.level,
            "muted": stream.program.muted,
            "position": now.position,
            "latency": now.latency,
            "xruns": stream.xruns,
            "stream": stream.number,
            "wire": stream.wire,
            "conversion": self.conversion(stream),
            "ducking": stream.channel.ducking_row(),
        }
        kind = self.conductor.kind(stream)
        if kind is not None:
            row["type"] = kind
        if stream.link is not None:
            row["link"] = stream.link
        return row

    def conversion(self, stream: Stream) -> str:
        """What is done to this stream's samples on their way, in words."""
        par, sub = stream.par, stream.sub
        device = self.devices[sub.device]
        fmt = device.format
        assert par.enc is not None and par.rate is not None
        if Mode.PLAY in stream.mode:
            channels, span = par.pchan or 0, sub.play_channels
            volumes: tuple[int, ...] = (stream.program.volume, sub.maxvol)
            gain = device.played
        else:
            channels, span = par.rchan or 0, sub.recorded(stream.mode)
            volumes, gain = (), 1.0 if Mode.MON in stream.mode else device.recorded
        return policy.conversion(
            policy.Path(
                enc=par.enc,
                rate=par.rate,
                channels=channels,
                span=span,
                device_enc=fmt.enc,
                device_rate=fmt.rate,
                volumes=volumes,
                gain=gain,
                playing=Mode.PLAY in stream.mode,
            )
        )
