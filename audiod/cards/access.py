"""Access: cards are opened with the leave of the other programs that want them, and given up to them.

Invariant: a card is reserved before it is opened and until the last opening of it is
closed; what is given up is closed before the other is told so.  Control thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EBUSY
from typing import TYPE_CHECKING

import trio

from audiod import log
from audiod.cards import busy, kernel
from audiod.cards.inventory import Card
from audiod.cards.reserve import Reservations, ReservedError
from audiod.engine import EngineError

if TYPE_CHECKING:
    from audiod.alternates import Alternates
    from audiod.cards.mixer import Mixers
    from audiod.cards.scan import Scanner
    from audiod.core import Core
    from audiod.devices import Devices
    from audiod.opening import OpenDevice, Opening

GIVE_UP_LIMIT = 4.0  # seconds that a card may take to close; whoever asks waits for five
TAKEN = "another program has reserved its card: its streams come back when that lets go of it"


class Access:
    """The cards of a server's devices; without `reservations` nobody is asked."""

    def __init__(
        self,
        core: Core,
        devices: Devices,
        alternates: Alternates,
        cards: Scanner,
        mixers: Mixers,
        reservations: Reservations | None,
    ) -> None:
        self.reservations = reservations
        self._core = core
        self._devices = devices
        self._alternates = alternates
        self._cards = cards
        self._mixers = mixers
        self._of: dict[int, int] = {}  # card of each opening, by its ident
        self._closed = trio.Event()
        self._log = log.get()
        devices.opening, devices.ready = self.opening, self.ready
        devices.on_begin, devices.on_end = self._begun, self._ended
        if reservations is not None:
            reservations.asked = self.give_up
            reservations.lost = self._lost
            reservations.freed = lambda number: alternates.news(asked=True)

    async def ready(self, device: OpenDevice) -> None:
        """A card is about to be opened: have it for us, and know its volume.  Raises EngineError(EBUSY)."""
        found = self._card(device.conf.spec.argument)
        if found is not None and self.reservations is not None:
            try:
                await self.reservations.take(found[0])
            except ReservedError as error:
                raise EngineError(EBUSY, f"alsa: {error}") from None
        await self._mixers.ready(device.row.number)

    @contextmanager
    def opening(self, argument: str) -> Iterator[str]:
        """As Scanner.opening; the error of a busy card says who has it."""
        found = self._card(argument)
        try:
            with self._cards.opening(argument) as pcm:
                yield pcm
        except BaseException as error:
            if found is None:
                raise
            card, device = found
            if self.reservations is not None:  # it is of no use to us
                self.reservations.hold(card.number)
                self.reservations.drop(card.number)
            if isinstance(error, EngineError) and error.errno == EBUSY:
                raise EngineError(EBUSY, f"alsa: {busy.explain(card, device, self._cards.roots)}") from error
            raise

    async def give_up(self, number: int) -> bool:
        """Close whatever has this card open; whether that was done.

        Its streams go on elsewhere, or in silence until it is free again.
        """
        there = [opening for opening in self._openings() if self._of.get(opening.ident) == number]
        if not all(self._movable(opening) for opening in there):
            return False
        for opening in there:
            if self._devices.spawn is not None:
                self._devices.spawn(self._abandon, opening)
        with trio.move_on_after(GIVE_UP_LIMIT):
            while number in self._of.values():
                self._closed = trio.Event()
                await self._closed.wait()
        return number not in self._of.values()

    # ---- within ----

    async def _abandon(self, opening: Opening) -> None:
        """Close its card and tell its streams, however long the card takes."""
        try:
            closed = opening.abandon(EBUSY)
        except EngineError as error:  # it is closed when its streams have left
            self._log.warning("card.kept", device=opening.device.row.number, reason=error.strerror)
            self._devices.lost(opening.ident, EBUSY, TAKEN)
            return
        try:
            self._devices.lost(opening.ident, EBUSY, TAKEN)
            await trio.lowlevel.wait_readable(closed)
        finally:
            os.close(closed)
        self._ended(opening.ident)

    def _movable(self, opening: Opening) -> bool:
        """Whether its streams can come back: those of a link group stay together, wherever they are."""
        number = opening.device.row.number
        streams = [stream for stream in self._core.streams.values() if stream.sub.device == number]
        return all(stream.link is None for stream in streams)

    def _lost(self, number: int) -> None:
        if self._devices.spawn is not None:
            self._devices.spawn(self.give_up, number)

    def _begun(self, ident: int, argument: str) -> None:
        found = self._card(argument)
        if found is not None:
            self._of[ident] = found[0].number
            if self.reservations is not None:
                self.reservations.hold(found[0].number)

    def _ended(self, ident: int) -> None:
        number = self._of.pop(ident, None)
        if number is not None and self.reservations is not None:
            self.reservations.drop(number)
        self._closed.set()

    def _openings(self) -> list[Opening]:
        return [opening for device in self._devices.all for opening in device.openings()]

    def _card(self, argument: str) -> tuple[Card, int] | None:
        pcm = kernel.resolve(argument, self._cards.roots)
        return None if pcm is None else kernel.find_pcm(pcm, self._cards.roots)
