"""Hot-plug: hears that cards have come or gone, and looks again.

By udev where it runs and pyudev is there, else by inotify on /dev/snd.  Invariant:
a card that has just come is looked at when its control file may be used, or a second
later; what comes in a bunch is looked at once; nothing wakes up but for news.  Who
asks for a look by hand is told when it has been done, whether or not cards can be
heard of.  Control thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import trio

from audiod import log
from audiod.inotify import Happened, Inotify, Mask

PENDING_MAX = 1.0  # seconds that a control file is waited for after it was made
SETTLE = 0.05  # seconds of silence after which a bunch of news is over
SETTLE_MAX = 0.5  # seconds that it may last
UDEV = Path("/run/udev/control")  # is there where udev runs
CONTROL = "controlC"  # first letters of a card's control file

_NEWS = Mask.CREATE | Mask.MOVED_TO | Mask.DELETE | Mask.MOVED_FROM
_READY = Mask.CLOSE_WRITE | Mask.ATTRIB


class Pending:
    """Control files that were made and are not ready yet.

    A card's files are made, then get their owner and mode; only then another
    program may use them.  A card that goes is waited for by nobody.
    """

    def __init__(self) -> None:
        self._until: dict[str, float] = {}  # file, and when it is waited for no longer

    def take(self, happened: Iterable[Happened], now: float) -> bool:
        """Whether it is time to look at the cards, after this has happened."""
        news = False
        for one in happened:
            if one.mask & Mask.OVERFLOW:
                news = True
            elif not one.name.startswith(CONTROL):
                continue
            elif one.mask & (Mask.CREATE | Mask.MOVED_TO):
                self._until[one.name] = now + PENDING_MAX
            elif one.mask & (Mask.DELETE | Mask.MOVED_FROM):
                self._until.pop(one.name, None)
                news = True
            elif one.mask & _READY and one.name in self._until:
                del self._until[one.name]
                news = True
        return self.expire(now) or (news and not self._until)

    def expire(self, now: float) -> bool:
        """Wait no longer for what is late; whether there was any, and nothing else is pending."""
        late = [name for name, until in self._until.items() if until <= now]
        for name in late:
            del self._until[name]
        return bool(late) and not self._until

    @property
    def next(self) -> float | None:
        """When to call `expire`, None: nothing is pending."""
        return min(self._until.values(), default=None)


class Cards(Protocol):
    """Who looks (audiod.cards.scan)."""

    async def look(self, *, fresh: bool = False) -> None: ...


class Hotplug:
    """`act(asked)` is called whenever cards may have come or gone, `asked`: or somebody wants it.

    Then `cards` are asked what they can do.  `folder` is where the kernel has the files of cards.
    """

    def __init__(
        self, cards: Cards, act: Callable[[bool], None], *, folder: Path = Path("/dev/snd"), udev: Path = UDEV
    ) -> None:
        self._cards = cards
        self._act = act
        self._folder = folder
        self._udev = udev
        self._news = trio.Event()
        self._due = trio.Event()  # a look
        self._asked: list[Callable[[], None]] = []
        self._done: list[Callable[[], None]] = []  # who has asked for the look that is due
        self._log = log.get()

    # ---- by hand ----

    def rescan(self, then: Callable[[], None]) -> None:
        """Look again, and at everything; `then` is called when that has been done."""
        self._asked.append(then)
        self._news.set()

    # ---- tasks ----

    async def run(self, *, watch: bool = True, look: bool = True) -> None:
        """Serve for ever; `look` at the cards at once, `watch` for those that come and go."""
        async with trio.open_nursery() as nursery:
            if watch:
                nursery.start_soon(self._watch)
            nursery.start_soon(self._look)
            if look:
                self._due.set()
            while True:
                await self._news.wait()
                await self._settle()
                self._news, asked = trio.Event(), self._asked
                self._asked = []
                self._act(bool(asked))
                self._done += asked
                self._due.set()

    async def _look(self) -> None:
        """Ask the cards; what comes meanwhile is acted upon at once, and looked at behind it."""
        while True:
            await self._due.wait()
            self._due, done, self._done = trio.Event(), self._done, []
            await self._cards.look(fresh=bool(done))
            for then in done:
                then()

    async def _settle(self) -> None:
        """Until a bunch of news is over; who asks by hand has no bunch."""
        with trio.move_on_after(SETTLE_MAX):
            while not self._asked:
                self._news = trio.Event()
                with trio.move_on_after(SETTLE) as quiet:
                    await self._news.wait()
                if quiet.cancelled_caught:
                    break

    async def _watch(self) -> None:
        """Nothing that goes wrong here ends the server: cards can still be looked for by hand."""
        try:
            monitor = self._monitor()
            if monitor is not None:
                await self._hear(monitor)
            else:
                await self._listen()
        except Exception as error:
            self._log.warning(
                "hotplug.off", reason=f"{error}", hint="after plugging in a card: audioctl devices --rescan"
            )

    def _monitor(self) -> Any:
        """Of udev; None where it does not run, or there is no pyudev."""
        if not self._udev.exists():
            return None
        try:
            import pyudev

            monitor = pyudev.Monitor.from_netlink(pyudev.Context())
            monitor.filter_by("sound")
            monitor.start()
        except (ImportError, OSError) as error:  # also where there is no libudev
            self._log.debug("hotplug.no_udev", reason=f"{error}")
            return None
        self._log.debug("hotplug.on", by="udev")
        return monitor

    async def _hear(self, monitor: Any) -> None:
        """udev tells of a file when its rules are done, so that nothing is pending."""
        while True:
            await trio.lowlevel.wait_readable(monitor.fileno())
            while (device := monitor.poll(timeout=0)) is not None:
                if device.sys_name.startswith(("card", CONTROL)) or device.action == "remove":
                    self._news.set()

    async def _listen(self) -> None:
        pending = Pending()
        with contextlib.closing(Inotify()) as inotify:
            self._log.debug("hotplug.on", by="inotify")
            while True:
                await self._appear(inotify)
                await self._follow(inotify, pending)

    async def _appear(self, inotify: Inotify) -> None:
        """Until there is the folder, which is made with the first card."""
        above = inotify.watch(self._folder.parent, Mask.CREATE | Mask.MOVED_TO)
        late = False
        while not self._folder.is_dir():
            await trio.lowlevel.wait_readable(inotify.fileno())
            inotify.read()
            late = True
        inotify.unwatch(above)
        if late:
            self._news.set()

    async def _follow(self, inotify: Inotify, pending: Pending) -> None:
        """Until the folder is gone, with the last card."""
        try:
            watch = inotify.watch(self._folder, _NEWS | _READY)
        except FileNotFoundError:
            return
        while True:
            at = pending.next
            with trio.move_on_at(float("inf") if at is None else at):
                await trio.lowlevel.wait_readable(inotify.fileno())
            happened = [one for one in inotify.read() if one.watch in (watch, -1)]
            if pending.take(happened, trio.current_time()):
                self._news.set()
            if any(one.mask & Mask.IGNORED for one in happened):
                self._news.set()
                return
