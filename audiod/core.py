"""Core: what the server knows, as plain data, and the rows that clients see.

Owns devices, sub-devices, streams, remembered volumes and the counters; tells
subscribers what changed.  Invariant: a stream is in `streams` from `open` to the
answer to `close`.  Control thread; no engine, no trio, no socket.
"""

from __future__ import annotations

import enum
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from audiod_protocol.limits import VOL_MAX
from audiod_protocol.params import Enc, Mode, Par

from audiod import policy
from audiod.policy import Culprit
from audiod.subdevice import SubDevice

PROGRAMS_MAX = 64  # volumes remembered per sub-device; sndiod has 8, a desktop runs more programs
STREAMS_MAX = 4096  # open streams of the whole server: four times the largest goal, each may take 2 MB

TOPICS = ("streams", "devices", "controls")

Row = dict[str, object]
Subscriber = Callable[[str, Row], None]


class DeviceState(enum.StrEnum):
    CLOSED = "closed"
    IDLE = "idle"
    RUNNING = "running"
    FAILED = "failed"


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
    state: DeviceState = DeviceState.CLOSED
    volume: int = VOL_MAX
    xruns: int = 0


@dataclass(frozen=True)
class Measured:
    """What the engine says about a started stream, at this moment; frames at the stream's rate."""

    state: str
    position: int
    latency: int
    xruns: int


@dataclass
class Stream:
    """One open stream of a client."""

    id: int
    number: int
    sub: SubDevice
    mode: Mode
    par: Par
    name: str
    pid: int
    uid: int
    volume: int = VOL_MAX
    type: str | None = None
    link: str | None = None
    xruns: int = 0
    measure: Callable[[], Measured | None] = lambda: None
    setvol: Callable[[int], None] = lambda vol: None

    @property
    def program(self) -> str:
        return policy.program(self.name)


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
    _subscribers: dict[str, dict[Subscriber, None]] = field(default_factory=dict)
    _volumes: dict[str, OrderedDict[str, int]] = field(default_factory=dict)
    _links: dict[tuple[int, str], LinkGroup] = field(default_factory=dict)
    _last_id: int = 0

    # ---- changes ----

    def subscribe(self, subscriber: Subscriber, topics: Collection[str]) -> None:
        """From now on tell `subscriber` of changes of these topics, and of no others."""
        for topic in TOPICS:
            self._subscribers.get(topic, {}).pop(subscriber, None)
            if topic in topics:
                self._subscribers.setdefault(topic, {})[subscriber] = None

    def publish(self, topic: str, event: str, row: Callable[[], Row]) -> None:
        """Tell the topic's subscribers of a change: "new", "change" or "gone"."""
        subscribers = self._subscribers.get(topic)
        if subscribers:
            told = {**row(), "event": event}
            for subscriber in list(subscribers):
                subscriber(topic, told)

    def device_changed(self, device: Device) -> None:
        self.publish("devices", "change", lambda: self.device_row(device))

    def stream_changed(self, stream: Stream) -> None:
        self.publish("streams", "change", lambda: self.stream_row(stream))

    def set_output(self, device: Device, vol: int) -> None:
        """Set a device's software master."""
        if device.volume != vol:
            device.volume = vol
            self.device_changed(device)
            self.publish("controls", "change", lambda: self.output_row(device))

    # ---- streams ----

    def next_id(self) -> int:
        """A number that no stream or link group has had since the server started."""
        self._last_id += 1
        return self._last_id

    def join_link(self, uid: int, link: str) -> int:
        """The engine's number of a link group, one per user and name as long as it has members."""
        group = self._links.setdefault((uid, link), LinkGroup(self.next_id()))
        group.members += 1
        return group.number

    def leave_link(self, uid: int, link: str) -> None:
        group = self._links[uid, link]
        group.members -= 1
        if group.members == 0:
            del self._links[uid, link]

    def add(self, stream: Stream) -> None:
        self.streams[stream.id] = stream
        self.publish("streams", "new", lambda: self.stream_row(stream))
        self.publish("controls", "new", lambda: self.level_row(stream))
        self.device_changed(self.devices[stream.sub.device])

    def remove(self, stream: Stream) -> None:
        del self.streams[stream.id]
        self.publish("streams", "gone", lambda: self.stream_row(stream))
        self.publish("controls", "gone", lambda: self.level_row(stream))
        self.device_changed(self.devices[stream.sub.device])

    def count_xrun(self, device: Device, stream: Stream | None, culprit: Culprit) -> None:
        self.xruns[culprit] += 1
        if stream is None:
            device.xruns += 1
            self.device_changed(device)
        else:
            stream.xruns += 1
            self.stream_changed(stream)

    # ---- volumes ----

    def remembered(self, sub: SubDevice, name: str) -> int:
        """The volume that this program had last on this sub-device; full if it had none."""
        return self._volumes.get(sub.name, OrderedDict()).get(policy.program(name), VOL_MAX)

    def set_volume(self, stream: Stream, vol: int) -> bool:
        """Set a stream's volume and remember it for its program; whether it changed."""
        known = self._volumes.setdefault(stream.sub.name, OrderedDict())
        known[stream.program] = vol
        known.move_to_end(stream.program)
        if len(known) > PROGRAMS_MAX:
            known.popitem(last=False)
        if stream.volume == vol:
            return False
        stream.volume = vol
        self.stream_changed(stream)
        self.publish("controls", "change", lambda: self.level_row(stream))
        return True

    # ---- rows ----

    @property
    def default_device(self) -> Device:
        return self.devices[self.subdevices["default"].device]

    def device_row(self, device: Device) -> Row:
        fmt = device.format
        subs = [sub for sub in self.subdevices.values() if sub.device == device.number]
        return {
            "device": device.number,
            "name": device.name,
            "driver": device.driver,
            "state": str(device.state),
            "mode": fmt.mode,
            "rate": fmt.rate,
            "round": fmt.round,
            "bufsz": fmt.bufsz,
            "encoding": str(fmt.enc),
            "play_channels": fmt.play,
            "rec_channels": fmt.rec,
            "default": device is self.default_device,
            "volume": device.volume,
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
            "rate": par.rate,
            "encoding": str(par.enc),
            "channels": par.pchan if Mode.PLAY in stream.mode else par.rchan,
            "volume": stream.volume,
            "position": now.position,
            "latency": now.latency,
            "xruns": stream.xruns,
            "stream": stream.number,
            "conversion": self.conversion(stream),
        }
        if stream.type is not None:
            row["type"] = stream.type
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
            volumes: tuple[int, ...] = (stream.volume, sub.maxvol, device.volume)
        else:
            channels, span, volumes = par.rchan or 0, sub.recorded(stream.mode), (VOL_MAX,)
        return policy.conversion(
            policy.Path(
                enc=par.enc,
                rate=par.rate,
                channels=channels,
                span=span,
                device_enc=fmt.enc,
                device_rate=fmt.rate,
                volumes=volumes,
                playing=Mode.PLAY in stream.mode,
            )
        )

    def level_row(self, stream: Stream) -> Row:
        return _control(f"stream/{stream.id}.level", stream.sub.device, stream.volume)

    def control_rows(self) -> list[Row]:
        rows = [_control("output.level", device.number, device.volume) for device in self.devices]
        return rows + [self.level_row(stream) for stream in self.streams.values()]

    def output_row(self, device: Device) -> Row:
        return _control("output.level", device.number, device.volume)


def _control(name: str, device: int, value: int) -> Row:
    return {"name": name, "device": device, "value": value, "max": VOL_MAX}
