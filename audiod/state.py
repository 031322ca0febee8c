"""State: the file that volumes, mutes and the default device survive a restart in.

Invariant: the file is whole at any time, an older one or a newer one: written
beside it, synced, renamed.  What cannot be read is moved aside, never written
over.  Nothing here is fatal: a server without its file runs on.  Read before
the server starts; written from a thread, so that the control thread never waits
for a disk.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import trio

from audiod import log
from audiod.saved import BadState, Saved, pack, unpack

SETTLE = 2.0  # seconds from a change to the write: whoever drags a slider makes one write, not hundreds
END_GRACE = 2.0  # seconds that the end waits for a disk
SIZE_MAX = 8 << 20  # bytes of a file that we read: a hundred times the largest that we write
ASIDE_MAX = 99  # damaged files kept; then the last is replaced


class State:
    """The state file of one server; `take` gives what is to be kept now."""

    def __init__(self, directory: Path, unit: int, take: Callable[[], Saved]) -> None:
        self.path = directory / (f"state-{unit}.msgpack" if unit else "state.msgpack")
        self._take = take
        self._changed = trio.Event()
        self._written = b""  # what needs not be written, because the file holds it or nothing has changed
        self._failed = False  # the last write did
        self._off = False  # there is a file that we may neither read nor replace
        self._last = 0  # number of the last write
        self._writing = threading.Lock()
        self._log = log.get()

    def changed(self) -> None:
        """What `take` gives is something else: write it soon."""
        self._changed.set()

    # ---- reading ----

    def begin(self, restore: Callable[[Saved], None]) -> None:
        """Restore what is kept; from now on `take` is compared with that."""
        restore(self.read())
        self._written = pack(self._take())

    def read(self) -> Saved:
        """What an earlier server has kept; nothing where there is no file, or none that can be used."""
        try:
            saved = unpack(self._bytes())
        except FileNotFoundError:
            return Saved()
        except OSError as error:
            self._off = True
            reason = f"{error.strerror}: nothing will be remembered"
            self._log.warning("state.unreadable", path=str(self.path), reason=reason)
            return Saved()
        except BadState as bad:
            self._set_aside(bad)
            return Saved()
        self._log.info("state.read", path=str(self.path), programs=len(saved.programs))
        return saved

    def _bytes(self) -> bytes:
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise BadState("it is no file")
            with open(fd, "rb", closefd=False) as file:
                data = file.read(SIZE_MAX + 1)
        finally:
            os.close(fd)
        if len(data) > SIZE_MAX:
            raise BadState(f"it is larger than {SIZE_MAX} bytes")
        return data

    def _set_aside(self, bad: BadState) -> None:
        numbers = range(1, ASIDE_MAX + 1)
        names = (self.path.with_name(f"{self.path.name}.bad-{number}") for number in numbers)
        aside = next((name for name in names if not os.path.lexists(name)), None)
        aside = aside or self.path.with_name(f"{self.path.name}.bad-{ASIDE_MAX}")
        try:
            self.path.rename(aside)
        except OSError as error:
            self._off = True
            reason = f"{bad}; and cannot be moved aside: {error.strerror}: nothing will be remembered"
            self._log.warning("state.bad", path=str(self.path), reason=reason)
        else:
            self._log.warning("state.bad", path=str(self.path), moved_to=str(aside), reason=str(bad))

    # ---- writing ----

    async def keep(self) -> None:
        """Write SETTLE seconds after a change, for ever."""
        while True:
            await self._changed.wait()
            await trio.sleep(SETTLE)
            self._changed = trio.Event()
            await self._save()

    async def finish(self) -> None:
        """Write what is not written yet; the last thing that a server does."""
        with trio.move_on_after(END_GRACE, shield=True):
            await self._save()

    async def _save(self) -> None:
        data = pack(self._take())
        if self._off or data == self._written:
            return
        try:
            self._last += 1
            await trio.to_thread.run_sync(self._write, data, self._last, abandon_on_cancel=True)
        except OSError as error:
            if not self._failed:
                self._failed = True
                reason = f"{error.strerror}: changes are lost at the end, until it can be written again"
                self._log.warning("state.unwritable", path=str(self.path), reason=reason)
        else:
            if self._failed:
                self._failed = False
                self._log.info("state.written", path=str(self.path))
            self._written = data

    def _write(self, data: bytes, number: int) -> None:
        """In a thread; one that waits for its disk when the server ends may meet the last one."""
        with self._writing:
            if number == self._last:
                self._replace(data)

    def _replace(self, data: bytes) -> None:
        directory = self.path.parent
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = self.path.with_name(f"{self.path.name}.tmp")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with open(os.open(beside, flags, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
        except OSError:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
