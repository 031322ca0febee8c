"""Policy: every choice of the daemon, as pure functions over plain data.

Who may connect, which sub-device a name means, whose fault an xrun was, what a
volume is worth (what `setpar` results in is audiod_protocol.negotiation's).  No
clock, no engine, no trio: callers hand in what they measured.  Mechanism never
chooses, this file never acts.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from audiod_protocol.errors import Code, Fault, FaultError
from audiod_protocol.limits import VOL_MAX
from audiod_protocol.params import Enc
from audiod_protocol.sndio.messages import NO_DEVNUM

from audiod.cards.inventory import Card, Endpoint, Inventory
from audiod.subdevice import SubDevice

T = TypeVar("T")


# ---- who gets in --------------------------------------------------------------


class Share(enum.StrEnum):
    """Who shares the server through sndio's wire: one session's programs, or all of a group."""

    SESSION = "session"
    GROUP = "group"


class Way(enum.Enum):
    """How a peer reaches the server."""

    NATIVE = enum.auto()
    SNDIO = enum.auto()
    TCP = enum.auto()  # sndio's wire, and nobody vouches for who it is


class Session(enum.Enum):
    """The session of sndio's wire, as one peer with its cookie finds it."""

    UNASKED = enum.auto()  # it has not shown a cookie yet
    FREE = enum.auto()
    OWN = enum.auto()  # its cookie is the owner's
    ANOTHERS = enum.auto()


class Standing(enum.Enum):
    """How a peer is let in: a guest neither owns nor needs the session."""

    GUEST = enum.auto()
    MEMBER = enum.auto()


@dataclass(frozen=True)
class Rules:
    """Who may use the server at all.

    `public`: its sndio socket is for every user of the machine.  `gid` is the
    number of `group`, None if there is no such group.
    """

    server_uid: int
    group: str = "audio"
    gid: int | None = None
    share: Share = Share.SESSION
    public: bool = False


def admit(
    rules: Rules, way: Way, uid: int | None, gids: Collection[int], session: Session, owner: str = ""
) -> Standing | Fault:
    """Whether, and as what, a peer with these credentials may use the server, or why not.

    Asked when a peer connects and, on sndio's wire, again once it has shown its
    cookie.  `owner` says whose the session is.
    """
    if way is not Way.TCP:
        if uid == 0:
            return Standing.GUEST
        known = uid == rules.server_uid or (rules.gid is not None and rules.gid in gids)
        if way is Way.NATIVE or rules.share is Share.GROUP:
            return Standing.GUEST if known else _stranger(rules, uid)
        if not known and not rules.public:
            return _stranger(rules, uid)
    if session is Session.ANOTHERS:
        return Fault(
            Code.EPERM,
            f"its cookie is not that of the session, which belongs to {owner}",
            "wait until that one's programs have ended, copy its ~/.sndio/cookie, "
            "or let the members of a group share the server: [sndio] share",
        )
    return Standing.MEMBER


def _stranger(rules: Rules, uid: int | None) -> Fault:
    return Fault(
        Code.EPERM,
        f"user {uid} may not use this server: it belongs to user {rules.server_uid} "
        f"and to members of group {rules.group}",
        f"run the program as that user, or add the user to group {rules.group} and log in again",
    )


def may_configure(uid: int | None, *, server_uid: int | None) -> Fault | None:
    """Whether this user may change the server's configuration: None, or why not."""
    if uid is not None and uid in (0, server_uid):
        return None
    return Fault(
        Code.EPERM,
        f"user {uid} may not change the configuration: the server belongs to user {server_uid}",
        "do it as that user or as root",
    )


# ---- which device ----------------------------------------------------------------


_DIGITAL = re.compile(r"\b(HDMI|DisplayPort|DP|S/?PDIF|IEC958|Digital)\b", re.IGNORECASE)
_PRETENDED = ("Dummy", "Loopback")  # kernel drivers of cards that nobody hears
_BUSES = ("usb", "pci")  # somebody has plugged it in; it is built in; what else there may be


def best_endpoint(there: Inventory) -> Endpoint | None:
    """What plays when no device is configured; None: nothing can.

    The hardware itself, of one card for good, so that nothing converts behind our
    back.  In this order counts that it can be used, as far as is known; that it is
    heard, not snd-dummy or snd-aloop; that it is analog: behind a digital output
    or HDMI there need not be anything; its bus, USB before PCI before others; the
    lower number of the card, then of the PCM.
    """
    cards = {card.identity: card for card in there.cards}
    known = [one for one in there.endpoints if one.raw and one.play is not None and one.card in cards]
    return min(known, key=lambda one: _worth(one, cards[one.card]), default=None)


def _worth(one: Endpoint, card: Card) -> tuple[int, ...]:
    assert one.play is not None
    return (
        not one.play.usable,
        card.driver in _PRETENDED,
        _DIGITAL.search(one.name.removeprefix(card.name)) is not None,
        _BUSES.index(card.bus) if card.bus in _BUSES else len(_BUSES),
        card.number,
        one.device or 0,
    )


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


def addressed(devnum: int, opt: str, subdevices: Mapping[str, SubDevice]) -> SubDevice:
    """The sub-device that `devnum` and `opt` of sndio's HELLO mean.  Raises FaultError(ENODEV).

    `opt` alone is a name; with a device's number, `default` is that device's own
    sub-device, and any other name must be of that device.
    """
    alone = devnum == NO_DEVNUM
    found = resolve(str(devnum) if opt == "default" and not alone else opt, subdevices)
    if not alone and found.device != devnum:
        raise FaultError(
            Fault(
                Code.ENODEV,
                f"sub-device {opt!r} is not on device {devnum}, but on {found.device}",
                f"open snd/{opt}, which is the same wherever it is",
            )
        )
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

    `volumes` are those that are multiplied, 0..127 each, and `gain` is a linear one; `playing` False: from
    the device to the stream.
    """

    enc: Enc
    rate: int
    channels: int
    span: int
    device_enc: Enc
    device_rate: int
    volumes: Sequence[int] = ()
    gain: float = 1.0
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
    level = path.gain
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
