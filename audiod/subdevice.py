"""Sub-device: the view of a device that programs open (`opt` in sndio).

Owns the frozen value and the rule for its name.  Every stream belongs to one
sub-device, which says what it may do and on which channels of the device.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from audiod_protocol.params import Mode

NAME_MAX = 11  # letters; sndio's wire has 12 bytes for it, with a NUL
SUBDEVICES_MAX = 16  # sndiod's OPT_NMAX, the automatic ones included
VOLUME_MAX = 127


class SubMode(enum.Flag):
    """What a sub-device offers: play, rec (what the device records), mon (what the device plays)."""

    PLAY = 1
    REC = 2
    MON = 4

    def __str__(self) -> str:
        return ",".join(flag.name.lower() for flag in SubMode if flag in self and flag.name)


@dataclass(frozen=True)
class SubDevice:
    """One sub-device; channel ranges are inclusive and count from 0.

    `mmc`: its streams wait for MMC's start, as with sndiod's -t slave.
    """

    name: str
    device: int
    mode: SubMode = SubMode.PLAY | SubMode.REC
    pmin: int = 0
    pmax: int = 1
    rmin: int = 0
    rmax: int = 1
    maxvol: int = VOLUME_MAX
    join: bool = True
    type: str | None = None  # audio type of streams that do not say theirs
    mmc: bool = False

    @property
    def play_channels(self) -> int:
        return self.pmax - self.pmin + 1

    def recorded(self, mode: Mode) -> int:
        """Channels that a stream of this mode records from: those played, if it monitors."""
        return self.play_channels if Mode.MON in mode else self.rmax - self.rmin + 1


def check_name(name: str) -> str | None:
    """What is wrong with the name of a sub-device, or None."""
    if len(name) > NAME_MAX:
        return f"{name!r} has more than {NAME_MAX} letters"
    if not re.fullmatch("[A-Za-z]+", name):
        return f"{name!r}: only letters are allowed"
    return None


def check_mmc(subs: Iterable[SubDevice]) -> str:
    """What is wrong with those that MMC starts together, or nothing."""
    first: SubDevice | None = None
    for sub in subs:
        if sub.mmc:
            first = first or sub
            if sub.device != first.device:
                return (
                    f"sub-devices {first.name} and {sub.name} are to start together by MMC "
                    "but are of different devices, whose clocks differ"
                )
    return ""


def automatic(subs: Iterable[SubDevice], ndevices: int, default: SubDevice) -> list[SubDevice]:
    """`subs`, `default` unless one has that name, and one for each device, named by its number.

    Those that are named by numbers are else like the one named default, but for MMC: the
    devices themselves never wait, and a group of MMC has one device.
    """
    found = list(subs)
    named = next((sub for sub in found if sub.name == default.name), None)
    if named is None:
        found.append(default)
    return found + [replace(named or default, name=str(n), device=n, mmc=False) for n in range(ndevices)]
