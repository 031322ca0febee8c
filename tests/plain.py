"""A whole daemon without trio: Dispatch, the compiled engine, sockets, a `manual` device; tests pump it.

For tests that must be plain functions, such as hypothesis's machines.  `settle`
returns when every byte that clients sent was acted on and every answer lies in
their sockets; `step` lets blocks pass and settles.
"""

from __future__ import annotations

import select
import socket
from dataclasses import replace
from pathlib import Path

from native import PATIENCE, Native

from audiod import config, configfile, options
from audiod.dispatch import Dispatch
from audiod.engine import Device, Engine, Synced
from audiod.listener import peer_of

SETTLING = 4  # rounds: request, its answer, what that sets off, and the answer to this


class Plain:
    """The daemon; its first device is held open and moves by `step` alone.

    `text`: of its configuration; what is played is in `played`, undithered.
    """

    def __init__(self, folder: Path, line: str = "-f manual", text: str = "") -> None:
        words = ["--no-realtime", "-a", "on", "--sndio", "none", "--socket", str(folder / "s"), *line.split()]
        merged = configfile.merge([("f", text.encode())])
        conf = config.resolve(options.parse(words), {}, 1000, merged)
        first = conf.devices[0]
        self.played = folder / "played.raw"
        spec = replace(first.spec, argument=str(self.played))
        conf = replace(conf, devices=(replace(first, spec=spec, dither=False), *conf.devices[1:]))
        self.dispatch = Dispatch(Engine(), conf)
        self.dispatch.devices.open_held()
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(folder / "s"))
        self._listening.listen()
        self.path = folder / "s"

    @property
    def device(self) -> Device:
        return self.dispatch.devices.handle(0)

    def client(self, name: str | None) -> Native:
        """A connection that has said hello, unless `name` is None."""
        made = Native(self.path, hello=name)
        sock, _ = self._listening.accept()
        self.dispatch.accept(sock, peer_of(sock))
        self.settle()
        return made

    def settle(self) -> None:
        engine = self.dispatch.engine
        for _ in range(SETTLING):
            engine.sync(1)
            synced = False
            while not synced:
                assert select.select([engine.fileno()], [], [], PATIENCE)[0], "the engine is silent"
                for event in engine.events():
                    self.dispatch.take(event)
                    synced |= isinstance(event, Synced)

    def step(self, n: int = 1) -> None:
        for _ in range(n):
            self.device.step(1)
            self.settle()

    def close(self) -> None:
        """All clients must have gone: their streams play out, then devices and engine are closed."""
        self.settle()
        for _ in range(1000):
            if not self.dispatch.sounding:
                break
            self.step()
        assert not self.dispatch.sounding, "a stream is never let go of"
        assert not self.dispatch.sessions and not self.dispatch.core.streams
        assert self.device.stats().streams == 0
        self._listening.close()
        self.dispatch.close()
        self.path.unlink()
