"""Where hostile clients are let loose: a real process, a neighbour that plays, and what must not change.

After each attack `unharmed`: the daemon lives, its descriptors and memory are
those of before, no xrun was its own, the neighbour is heard.  When all is over
the neighbour's file has every frame, in order.  Hostile clients play on
channels of their own.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from daemon import Daemon, running
from native import Native
from neighbour import Neighbour, frames_of, numbered

RSS_SLACK = (
    24 << 20
)  # bytes that a whole file of tests may add: malloc's arenas, pages that the pump has touched


class Street:
    """The daemon, its neighbour, and what they were before an attack."""

    def __init__(self, daemon: Daemon, neighbour: Neighbour, file: Path) -> None:
        self.daemon = daemon
        self.neighbour = neighbour
        self.file = file
        self.control = Native(daemon.socket, hello="control")
        self.control.call("status")
        self.fds = self.open_fds()
        self.rss = self.memory()
        self._log_at = 0

    def client(self, hello: str | None = "hostile") -> Native:
        self._log_at = len(self.daemon.log)
        return Native(self.daemon.socket, hello=hello)

    def open_fds(self) -> list[str]:
        fds = []
        for link in Path(f"/proc/{self.daemon.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                fds.append(str(link.readlink()).split(":")[0])
        return sorted(fds)

    def memory(self) -> int:
        """Bytes of RAM that the daemon holds."""
        return int(Path(f"/proc/{self.daemon.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def logged(self) -> str:
        """What the log has got since the last client was made."""
        return self.daemon.log[self._log_at :]

    def alone(self) -> None:
        """Wait until the neighbour and control are the only clients, without a stream that is left over."""
        with Native(self.daemon.socket) as last:
            last.answer(0)  # so those that came before it have been accepted, too
        for _ in range(100_000):
            status = self.control.call("status")
            self.control.seen.clear()
            if status["connections"] == 2 and status["streams"] == 1:
                return
        raise AssertionError(f"clients are left: {status}")

    def unharmed(self) -> None:
        self.alone()
        assert self.open_fds() == self.fds
        assert self.daemon.process.poll() is None
        assert self.memory() - self.rss < RSS_SLACK
        assert self.control.call("status")["xruns"]["ours"] == 0
        assert "client.bug" not in self.daemon.log
        self.neighbour.hears_on()


@contextlib.contextmanager
def inhabited(folder: Path, *, sndio: str = "none") -> Iterator[Street]:
    """The daemon with its neighbour; leaving it compares what the neighbour wrote with what was played.

    `sndio`: where its socket for sndio's programs is.
    """
    file = folder / "out.raw"
    words = ["-c", "2:3", "-f", f"file:{file}?dither=off", "-s", "rear", "-c", "0:1", "-s", "default"]
    with running(folder, *words, sndio=sndio) as daemon:
        neighbour = Neighbour(daemon.socket)
        neighbour.hears_on()
        street = Street(daemon, neighbour, file)
        yield street
        street.control.close()
        neighbour.finish()
        assert daemon.stop() == 0
    heard = frames_of(file, 4, slice(0, 2))
    assert np.array_equal(heard, numbered(0, neighbour.written)), "not what the neighbour wrote"


def one_error(client: Native) -> dict[str, str]:
    """The error map of a connection that is closed after exactly one."""
    words = client.last_words()
    errors = [m[2][0] for m in words if m[:2] == [2, "error"]]
    assert len(errors) == 1 and words[-1][1] == "error", words[-3:]
    client.close()
    return errors[0]


def rear(client: Native, mode: str = "play", *, start: bool = True) -> int:
    """A stream on the channels of the hostile: s16, 2 channels, 1920 frames of buffer."""
    par = {"enc": "s16le", "appbufsz": 1920}
    number = client.stream(mode, start=start, open={"device": "rear"}, **par)
    if start and mode != "rec":
        client.noted("credit", number)
    return number
