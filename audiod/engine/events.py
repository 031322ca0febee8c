"""What the engine tells Python; `Engine.events` yields these.

Plain frozen data, without the compiled engine.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class CloseReason(enum.IntEnum):
    EOF = 0
    ERROR = 1
    SELF = 2
    SLOW = 3
    BYE = 4


class ProtocolReason(enum.IntEnum):
    FORMAT = 1
    DEPTH = 2
    SIZE = 3
    WRITE = 4
    STREAM = 5
    MODE = 6
    FRAME = 7
    CREDIT = 8
    BLOCK = 9
    STOP = 10


class EndReason(enum.IntEnum):
    XRUN = 1
    DEVICE = 2


class XrunKind(enum.IntEnum):
    PLAY = 0
    REC = 1
    DEVICE = 2


@dataclass(frozen=True)
class Message:
    """One whole message of a client, never one with samples of a started stream; of a relayed one bytes."""

    conn: int
    data: bytes


@dataclass(frozen=True)
class ConnClosed:
    conn: int
    reason: CloseReason
    errno: int


@dataclass(frozen=True)
class ConnSent:
    """Its socket has taken all that was queued when `Conn.notify_sent` was called."""

    conn: int


@dataclass(frozen=True)
class ProtocolBreach:
    """The pump stopped reading this connection; answer with an error and `Conn.close(flush=True)`."""

    conn: int
    reason: ProtocolReason
    number: int


@dataclass(frozen=True)
class StreamStopped:
    stream: int
    drained: bool


@dataclass(frozen=True)
class StreamReleased:
    stream: int


@dataclass(frozen=True)
class Playing:
    """Its first frame is heard or recorded, when the device's clock had passed `device_frame` frames."""

    stream: int
    device_frame: int


@dataclass(frozen=True)
class StreamJoined:
    """It waits for no start any more: its first frames were taken, or recorded, in the cycle of `time_ns`.

    CLOCK_MONOTONIC ns.  One that joins held has had no cycle; it is told at once.
    """

    stream: int
    time_ns: int


@dataclass(frozen=True)
class StreamHeld:
    """The ramp of a `Stream.aim` with hold, whose number `aim` is, has ended: it stands still."""

    stream: int
    aim: int = 0


@dataclass(frozen=True)
class Xrun:
    """An xrun with the numbers that classify it; times in CLOCK_MONOTONIC ns, 0 unknown."""

    stream: int
    device: int
    kind: XrunKind
    due_ns: int
    wake_ns: int
    arrival_ns: int
    swept_ns: int
    missing: int


@dataclass(frozen=True)
class StreamEnded:
    """Ended by the engine; `request` is the id of a stop or flush that it leaves without an answer."""

    stream: int
    reason: EndReason
    request: int | None = None


@dataclass(frozen=True)
class StreamMoved:
    """It has followed `Stream.move`; its old device may be closed."""

    stream: int


@dataclass(frozen=True)
class DeviceStarted:
    device: int


@dataclass(frozen=True)
class DeviceStopped:
    device: int


@dataclass(frozen=True)
class DeviceFailed:
    device: int
    errno: int


@dataclass(frozen=True)
class DeviceLost:
    """Its card is gone or broken: its clock goes on and its streams play into nothing, until it is closed."""

    device: int
    errno: int


@dataclass(frozen=True)
class GroupJoined:
    """All streams that waited for MMC have joined in one cycle; see `Device.mmc`."""

    device: int
    run: int


@dataclass(frozen=True)
class ClockTicked:
    """So many frames of a device's clock have passed since this run's group joined, or since the last."""

    device: int
    run: int
    frames: int


@dataclass(frozen=True)
class Synced:
    cookie: int


@dataclass(frozen=True)
class ThreadStarted:
    tid: int
    device: int | None
    errno: int


Event = (
    Message
    | ConnClosed
    | ConnSent
    | ProtocolBreach
    | StreamStopped
    | StreamReleased
    | Playing
    | StreamJoined
    | StreamHeld
    | Xrun
    | StreamEnded
    | StreamMoved
    | DeviceStarted
    | DeviceStopped
    | DeviceFailed
    | DeviceLost
    | GroupJoined
    | ClockTicked
    | Synced
    | ThreadStarted
)
