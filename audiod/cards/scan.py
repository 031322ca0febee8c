"""Scan: asks every endpoint what it can do, in the background, and keeps the answers.

Invariant: `inventory` is always whole and is replaced at once; one bad endpoint
spoils no other; a card that somebody else, or this server, has open is not opened.
Control thread; whoever opens a card does it in `opening`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from errno import EINVAL, ENODEV
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import trio

from audiod import log
from audiod.cards import kernel, listing
from audiod.cards.inventory import DIRECTIONS, Endpoint, Inventory, Side
from audiod.cards.kernel import ROOTS, Roots
from audiod.cards.libasound import Hint
from audiod.cards.listing import Control
from audiod.cards.worker import Died, Interrupted, NoAnswer, Worker

STRIKES_MAX = 3  # deaths of the prober in a row; it is the machine then, not an endpoint
INTERRUPTS_MAX = 3  # of one question, then it is not asked again
CACHE_MAX = 1024  # sides
CONFIGS = (
    *("/usr/share/alsa/alsa.conf", "/usr/share/alsa/alsa.conf.d", "/etc/alsa/conf.d", "/etc/asound.conf"),
    *("~/.asoundrc", "~/.config/alsa/asoundrc"),
)

T = TypeVar("T")
Stamp = tuple[object, ...]


class CardError(Exception):
    """A card must not, or cannot, be opened; `str()` says why."""

    errno = EINVAL


class AbsentError(CardError):
    """It is not in this machine."""

    errno = ENODEV


@dataclass(frozen=True)
class _Question:
    """One direction of one endpoint."""

    endpoint: Endpoint
    direction: str
    card: int  # number, -1 for none


class Scanner:
    """What cards there are; `on_change` is called with the inventory before and the one now."""

    def __init__(self, *, roots: Roots = ROOTS, worker: Worker | None = None) -> None:
        self.inventory = kernel.glance(roots)
        self.on_change: Callable[[Inventory, Inventory], None] = lambda old, new: None
        self.scanning = False
        self.roots = roots
        self._worker = worker or Worker()
        self._cache: dict[tuple[str, str, str], tuple[Stamp, Side]] = {}
        self._deadly: dict[str, str] = {}  # PCMs that the prober has died of, "" for all
        self._lock = trio.Lock()
        self._strikes = 0
        self._openers = 0  # who are about to open a card
        self._closed = trio.lowlevel.ParkingLot()
        self._log = log.get()

    @property
    def needed(self) -> bool:
        """Whether there may be anything to find: a card, or a configuration made for this process."""
        return bool(self.inventory.cards or self.roots.dev.is_dir() or os.environ.get("ALSA_CONFIG_PATH"))

    @contextmanager
    def opening(self, argument: str) -> Iterator[str]:
        """The PCM to open for the argument of a SPEC; meanwhile no card is asked.

        Raises CardError: its card is not there, or the prober has died of it, and so might we.
        """
        pcm = self._locate(argument)
        self._openers += 1
        if self.scanning:
            self._worker.interrupt()
        try:
            yield pcm
        finally:
            self._openers -= 1
            if not self._openers:
                self._closed.unpark_all()

    def _locate(self, argument: str) -> str:
        pcm = kernel.resolve(argument, self.roots)
        if pcm is None:
            there = ", ".join(f"@{card.identity}" for card in kernel.find_cards(self.roots))
            raise AbsentError(f"{argument}: the card is not there" + (f", but {there}" if there else ""))
        why = self.refuses(pcm)
        if why is not None:
            raise CardError(f"{pcm}: {why}")
        return pcm

    def refuses(self, pcm: str) -> str | None:
        """Why this PCM must not be opened in our process: the prober has died of it.  None: it may."""
        return self._deadly.get("") or self._deadly.get(pcm or "default")

    async def look(self, *, fresh: bool = False) -> None:
        """Scan for a task whose others do not suffer from its bugs."""
        try:
            await self.scan(fresh=fresh)
        except Exception:
            self._log.exception("cards.bug")

    async def scan(self, *, fresh: bool = False) -> Inventory:
        """Look for everything anew; `fresh`: ask also those that have answered before."""
        async with self._lock:
            self.scanning, self._strikes = True, 0
            if fresh:
                self._cache.clear()
            try:
                found = await self._scan()
            finally:
                self.scanning = False
                with trio.CancelScope(shield=True):
                    await self._worker.close()
        old, self.inventory = self.inventory, found
        for what in found.messages:
            self._log.debug("cards.alsa", said=what)
        self._log.info(
            "cards.found",
            cards=len(found.cards),
            endpoints=len(found.endpoints),
            failed=sum(one.error is not None for one in found.endpoints),
            reason=found.error,
        )
        if old != found:
            self.on_change(old, found)
        return found

    async def _scan(self) -> Inventory:
        known = kernel.glance(self.roots)
        deadly: dict[str, str] = {}
        error, hints, messages = await self._hints(deadly)
        numbers = await self._numbers(known) if error is None else []
        controls = {number: await self._control(number) for number in numbers}
        found = listing.endpoints(hints, known, controls)
        answered = await self._sides(found, deadly, None if error is None else f"{error}")
        self._deadly = deadly
        messages += [f"{one.pcm}: {said}" for one in answered for said in one.messages]
        return replace(found, endpoints=tuple(answered), error=error, messages=tuple(messages), complete=True)

    async def _ask(self, kind: type[T], what: str, **given: Any) -> T:
        """As Worker.ask, again if interrupted; counts the deaths."""
        if self._strikes >= STRIKES_MAX:
            raise Died("asking it was given up: too much before it failed")
        for _ in range(INTERRUPTS_MAX):
            while self._openers:
                await self._closed.park()
            try:
                answer = msgspec.convert(await self._worker.ask(what, **given), kind)
            except Interrupted:
                continue
            except Died:
                self._strikes += 1
                raise
            except NoAnswer:
                self._strikes = 0
                raise
            except msgspec.ValidationError as error:
                self._strikes += 1
                raise Died(f"asking it gave nonsense: {error}") from None
            self._strikes = 0
            return answer
        raise NoAnswer("the card was needed while it was asked")

    async def _hints(self, deadly: dict[str, str]) -> tuple[str | None, list[Hint], list[str]]:
        """Why ALSA cannot be used at all; else what its configuration advertises."""
        try:
            hints = await self._ask(list[Hint], "hints")
            return None, hints, list(self._worker.messages)
        except Died as error:
            why = str(error).removeprefix("asking it ")
            deadly[""] = f"ALSA's configuration is not usable: reading it {why}"
            return deadly[""], [], list(self._worker.messages)
        except NoAnswer as error:
            said = self._worker.messages
            return f"{error}" + (f" ({said[0]})" if said else ""), [], list(said)

    async def _numbers(self, known: Inventory) -> list[int]:
        try:
            return await self._ask(list[int], "cards")
        except NoAnswer as error:
            self._log.warning("cards.unlisted", reason=str(error))
            return [card.number for card in known.cards]

    async def _control(self, number: int) -> Control:
        try:
            return await self._ask(Control, "card", number=number)
        except NoAnswer as error:
            self._log.warning("cards.card_failed", card=number, reason=str(error))
            return Control(error=str(error))

    # ---- one direction after the other ----

    async def _sides(self, found: Inventory, deadly: dict[str, str], error: str | None) -> list[Endpoint]:
        config, cards = config_stamp(os.environ), {card.identity: card for card in found.cards}
        for key in [key for key in self._cache if key[0] and key[0] not in cards]:
            del self._cache[key]  # plugged in again it is asked again
        answered = []
        for endpoint in found.endpoints:
            messages: list[str] = []
            for direction in DIRECTIONS:
                side = endpoint.side(direction)
                if side is None or side.error is not None:
                    continue
                if error is not None:
                    told = Side(error=error)
                else:
                    card = cards.get(endpoint.card)
                    # what is on one card is spared when another one comes; what is on none may be on any
                    stamp = (config, *cards) if card is None else config
                    question = _Question(endpoint, direction, -1 if card is None else card.number)
                    told = await self._side(question, stamp, deadly, messages)
                endpoint = endpoint.with_side(direction, replace(told, default=side.default))
            answered.append(replace(endpoint, messages=tuple(dict.fromkeys(messages))))
        return answered

    async def _side(
        self, question: _Question, stamp: Stamp, deadly: dict[str, str], messages: list[str]
    ) -> Side:
        endpoint, direction = question.endpoint, question.direction
        key = (endpoint.card, endpoint.pcm, direction)
        cached = self._cache.get(key)
        last = cached[1] if cached is not None and cached[0] == stamp else None
        busy = self._busy(question)
        if busy is not None:
            return replace(last or Side(), error=busy or None)
        if last is not None:
            return last
        try:
            side = await self._ask(
                Side,
                "side",
                pcm=endpoint.pcm,
                direction=direction,
                raw=endpoint.raw,
                card=question.card,
                device=-1 if endpoint.device is None else endpoint.device,
            )
            messages += self._worker.messages
        except NoAnswer as error:
            messages += self._worker.messages
            if isinstance(error, Died):
                deadly[endpoint.pcm] = str(error)
                self._log.warning("cards.endpoint_failed", pcm=endpoint.pcm, reason=str(error))
            return Side(error=str(error))
        if side.probed and len(self._cache) < CACHE_MAX:
            self._cache[key] = stamp, side
        return side

    def _busy(self, question: _Question) -> str | None:
        """Who has it open, "" if this server; None: nobody, as far as the kernel tells."""
        if question.card < 0:
            return None
        device = question.endpoint.device or 0  # what names a card alone is its first
        threads = kernel.holders(question.card, device, question.direction, self.roots)
        if not threads:
            return None
        if any(Path(f"/proc/self/task/{thread}").exists() for thread in threads):
            return ""
        names = ", ".join(dict.fromkeys(_program(thread) for thread in threads))
        return f"it is busy: {names} has it open"


def config_stamp(environ: Mapping[str, str], files: tuple[str, ...] = CONFIGS) -> Stamp:
    """Changes when a file of libasound's configuration does."""
    named = environ.get("ALSA_CONFIG_PATH", "")
    return tuple(
        (path, *_stat(Path(os.path.expanduser(path))))  # noqa: PTH111 raises where there is no home
        for path in (*files, *filter(None, named.split(":")))
    )


def _stat(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _program(thread: int) -> str:
    try:
        name = Path(f"/proc/{thread}/comm").read_text(errors="replace").strip()
    except OSError:
        return f"process {thread}"
    return f"{name} (pid {thread})"
