"""Policy: every choice of the daemon, as pure functions over plain data.

Who may connect, which sub-device a name means, whose fault an xrun was, what a
volume is worth (what `setpar` results in is audiod_protocol.negotiation's).  No
clock, no engine, no trio: callers hand in what they measured.  Mechanism never
chooses, this file never acts.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from audiod_protocol.errors import Code, Fault, FaultError
from audiod_protocol.limits import VOL_MAX
from audiod_protocol.params import Enc

T = TypeVar("T")

DRIVER_PREFERENCE = ("alsa", "oss", "null")  # real cards first; null is everywhere


# ---- who gets in --------------------------------------------------------------


def may_connect(
    uid: int, gids: Collection[int], *, server_uid: int, audio_gid: int | None, group: str = "audio"
) -> Fault | None:
    """Whether a peer with these credentials may use the server: None, or why not.

    Members of `group` may, whose number is `audio_gid` (None: there is no such group).
    """
    if uid in (0, server_uid):
        return None
    if audio_gid is not None and audio_gid in gids:
        return None
    return Fault(
        Code.EPERM,
        f"user {uid} may not use this server: it belongs to user {server_uid} "
        f"and to members of group {group}",
        f"run the program as that user, or add the user to group {group} and log in again",
    )


def may_configure(uid: int, *, server_uid: int | None) -> Fault | None:
    """Whether this user may change the server's configuration: None, or why not."""
    if uid in (0, server_uid):
        return None
    return Fault(
        Code.EPERM,
        f"user {uid} may not change the configuration: the server belongs to user {server_uid}",
        "do it as that user or as root",
    )


# ---- which device ----------------------------------------------------------------


def best_driver(available: Collection[str]) -> str:
    """The driver of the default device when none is configured."""
    return next(driver for driver in DRIVER_PREFERENCE if driver in available)


def resolve(name: str, subdevices: Mapping[str, T]) -> T:
    """The sub-device that `name` means: what follows `snd/` in sndio(7), with or without it.

    Raises FaultError(ENODEV) with the names there are.
    """
    short = name.removeprefix("snd/")
    found = subdevices.get(short)
    if found is None:
        known = ", ".join(subdevices)
        raise FaultError(Fault(Code.ENODEV, f"there is no sub-device {name!r}", f"there are: {known}"))
    return found


# ---- volume --------------------------------------------------------------------


def gain(vol: int) -> float:
    """Linear gain of a volume 0..127, sndio's table: a third of a dB a step, 127 exactly 1."""
    if vol == 0:
        return 0.0
    return float(round(2.0 ** (23 + (vol - VOL_MAX) / 18))) / float(1 << 23)


def program(name: str) -> str:
    """The name under which a program's volume is kept: sndio's rule, at most 11 letters."""
    letters = "".join(c for c in name.lower() if "a" <= c <= "z")[:11]
    return letters or "noname"


# ---- whose xrun ------------------------------------------------------------------


class Culprit(enum.StrEnum):
    """Who made an xrun.  OURS unless the numbers show another."""

    CLIENT = "client"
    SCHEDULER = "scheduler"
    DRIVER = "driver"
    OURS = "ours"


def classify(
    *,
    driver: bool,
    due_ns: int,
    wake_ns: int,
    arrival_ns: int,
    swept_ns: int,
    block_ns: int,
    rec: bool = False,
) -> Culprit:
    """Whose fault an xrun was; times in CLOCK_MONOTONIC ns, 0 where unknown.

    The thread woke more than half a block after the cycle was due: the
    scheduler's.  The driver reported it though we were in time: the driver's.
    The client's last bytes came after the guard time, a quarter block before
    due, or its socket was known empty then: the client's.  One that records
    (`rec`) is at fault if its data had to wait for it to read since the last
    cycle; `swept_ns` is when that was seen last.
    """
    if due_ns and wake_ns - due_ns > block_ns // 2:
        return Culprit.SCHEDULER
    if driver:
        return Culprit.DRIVER
    if rec:
        return Culprit.CLIENT if due_ns and swept_ns > due_ns - 2 * block_ns else Culprit.OURS
    guard = due_ns - block_ns // 4
    if due_ns and (arrival_ns > guard or swept_ns >= guard):
        return Culprit.CLIENT
    return Culprit.OURS


# ---- what is done to the samples ----------------------------------------------------


@dataclass(frozen=True)
class Path:
    """One direction of a stream and where it meets the device; `span` is the sub-device's width.

    `volumes` are those that are multiplied, 0..127 each; `playing` False: from the device to the stream.
    """

    enc: Enc
    rate: int
    channels: int
    span: int
    device_enc: Enc
    device_rate: int
    volumes: Sequence[int] = ()
    playing: bool = True


def conversion(path: Path) -> str:
    """What is done to the samples on the way, in words; "bit-exact" if nothing is."""
    steps = []
    if path.rate != path.device_rate:
        steps.append(_arrow(path, _khz(path.rate), _khz(path.device_rate)) + " kHz")
    if not path.enc.same(path.device_enc):
        steps.append(_arrow(path, path.enc, path.device_enc))
    if path.channels != path.span:
        steps.append(_arrow(path, path.channels, path.span) + " channels")
    level = 1.0
    for vol in path.volumes:
        level *= gain(vol)
    if level == 0.0:
        steps.append("muted")
    elif level != 1.0:
        steps.append(f"volume {level * 100:.3g}%")
    return ", ".join(steps) or "bit-exact"


def _arrow(path: Path, stream: object, device: object) -> str:
    return f"{stream} -> {device}" if path.playing else f"{device} -> {stream}"


def _khz(rate: int) -> str:
    return f"{rate / 1000:.10g}"
