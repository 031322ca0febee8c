"""Opening: one opening of a device in the engine, and the device that it is of.

Owns the engine's handle and who holds it.  Invariant: an opening whose card is
lost is never a device's opening again; what is closed has no handle.  Control thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from audiod_protocol.errors import Fault
from audiod_protocol.params import Enc

from audiod.audiotype import Ramp
from audiod.config import DeviceConfig
from audiod.core import Device
from audiod.engine import DeviceConf, DevicePar, Encoding

if TYPE_CHECKING:
    from audiod import engine


def to_engine(enc: Enc) -> Encoding:
    """The protocol's encoding as the engine's."""
    return Encoding(enc.bits, enc.bps, enc.sig, enc.le, enc.msb, enc.flt)


def from_engine(enc: Encoding) -> Enc:
    return Enc(enc.bits, enc.bps, enc.sig, enc.le, enc.msb, enc.flt)


class OpenDevice:
    """One configured device and, while it is open, its opening."""

    def __init__(self, conf: DeviceConfig, row: Device) -> None:
        self.conf = conf
        self.row = row
        self.opening: Opening | None = None
        self.lost: list[Opening] = []  # openings without a card, whose streams are silent
        self.waiting: list[Callable[[Fault | None], None]] = []  # for it to be open; empty: it is not opened
        self.opened = False  # ever: a file goes on behind what it has
        self.next: DeviceConfig | None = None  # what it is to be once it is not in use

    @property
    def in_use(self) -> bool:
        """Whether closing it would be noticed."""
        return self.opening is not None and self.opening.in_use

    @property
    def holders(self) -> int:
        """Streams that need it open."""
        return sum(opening.holders for opening in self.openings())

    def openings(self) -> list[Opening]:
        """All that are not closed."""
        return [*self.lost] if self.opening is None else [self.opening, *self.lost]

    def wanted(self) -> DeviceConf:
        """What the engine is to open."""
        spec, fmt = self.conf.spec, self.conf.format
        return DeviceConf(
            driver=spec.driver,
            arg=spec.argument,
            rec=spec.rec_path,
            access=spec.access or "",
            free_clock=bool(spec.free_clock),
            append=self.opened,
            dither=self.conf.dither,
            stall_ms=max(1, round(self.conf.stall * 1000)),
            ppm=spec.ppm or 0,
            jitter_ns=round((spec.jitter or 0) * 1e6),
            xrun_every_ns=round((spec.xrun_every or 0) * 1e9),
            unplug_after_ns=round((spec.unplug_after or 0) * 1e9),
            par=DevicePar(
                enc=to_engine(fmt.enc),
                rate=fmt.rate,
                round=fmt.round,
                bufsz=fmt.bufsz,
                pchan=fmt.play,
                rchan=fmt.rec,
            ),
        )

    def forget(self, known: dict[int, Opening]) -> None:
        """It is opened anew: events of an earlier opening that is closed are nobody's."""
        for ident in [i for i, old in known.items() if old.device is self and old.handle is None]:
            del known[ident]

    def apply(self) -> None:
        """Its card takes over the volumes, and the engine the rest of them, where it is open."""
        self.row.faders.turn()
        if self.opening is not None and self.opening.handle is not None:
            self.opening.handle.setgain(self.row.played)
            self.opening.handle.setrecgain(self.row.recorded)


class Opening:
    """A device from when it is opened until it is closed; `holders`: streams that need it."""

    def __init__(self, device: OpenDevice, ident: int, handle: engine.Device) -> None:
        self.device = device
        self.ident = ident
        self.handle: engine.Device | None = handle
        self.par: DevicePar = handle.par
        self.holders = 0
        self._bent = False  # its ramp is not the engine's own
        self.groups: dict[int, int] = {}  # link group -> members

    @property
    def current(self) -> bool:
        """Whether it is the device; else its card is lost, or it is closed."""
        return self.device.opening is self

    @property
    def in_use(self) -> bool:
        if self.handle is None:
            return False
        stats = self.handle.stats()
        return bool(self.holders or stats.running or stats.streams)

    def join_group(self, group: int, members: int) -> None:
        """Change the number of streams that a link group has by `members`."""
        self.groups[group] = self.groups.get(group, 0) + members
        if self.handle is not None:
            self.handle.setgroup(group, self.groups[group])
        if self.groups[group] <= 0:
            del self.groups[group]

    def bend(self, ramp: Ramp) -> None:
        """Volumes and mutes change by this ramp."""
        if self.handle is not None and (ramp != Ramp() or self._bent):
            self.handle.setcurve(ramp.points, nframes=ramp.ms * self.par.rate // 1000)
            self._bent = True

    def members(self, group: int) -> int:
        return self.groups.get(group, 0)

    def abandon(self, errno: int) -> int:
        """Close its card, and only that: streams play on into nothing.

        Returns an eventfd, the caller's to close, that is readable once it is closed.  Raises EngineError.
        """
        assert self.handle is not None, "it is closed"
        closed = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            self.handle.abandon(errno, closed)
        except BaseException:
            os.close(closed)
            raise
        return closed

    def close(self) -> None:
        """Close it in the engine; the device has it no more."""
        self._taken().close()

    def detach(self) -> engine.Driver:
        """The half of it that does not wait for the card; close what it returns."""
        return self._taken().detach()

    def _taken(self) -> engine.Device:
        handle, self.handle = self.handle, None
        if self.current:
            self.device.opening = None
        if self in self.device.lost:
            self.device.lost.remove(self)
        assert handle is not None, "closed twice"
        return handle
