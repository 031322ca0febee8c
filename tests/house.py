"""A daemon without tasks for tests: Dispatch over FakeEngine, and clients of it.

Everything happens when the test calls it, in the order it calls it; `settle`
lets the daemon take what waits.  Clients speak real MessagePack-RPC.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable
from typing import Any

import msgpack
from audiod_protocol.sndio import messages as m
from fakes import FakeConn, FakeDevice, FakeEngine, FakeSndioConn

from audiod import config, configfile, options, policy, realtime
from audiod.dispatch import Dispatch
from audiod.engine import Wire
from audiod.listener import Peer

LIMITS = realtime.Limits(rtprio=0, privileged=False, rt_runtime=None)
ME = Peer(1000, 1000, 4321, frozenset({1000}))


class Refused(Exception):
    """An error answer: `code` and the whole map."""

    def __init__(self, fault: dict[str, str]) -> None:
        super().__init__(f"{fault['code']}: {fault['message']} ({fault['hint']})")
        assert fault["message"] and fault["hint"], "an error says what and what to do"
        self.code = fault["code"]
        self.message = fault["message"]


class House:
    """The daemon; `now` is its clock in seconds, `text` a configuration file, `present` as for Alternates."""

    def __init__(
        self, line: str = "-f null", *, text: str = "", present: Callable[[int], bool | None] | None = None
    ) -> None:
        self.engine = FakeEngine()
        self.now = 100.0
        opts, env = options.parse(line.split()), {"XDG_RUNTIME_DIR": "/run/user/1000"}
        if text:
            conf = config.resolve(opts, env, 1000, configfile.merge([("text", text.encode())]))
        else:
            conf = config.load(opts, env, 1000)
        self.dispatch = Dispatch(
            self.engine,  # type: ignore[arg-type]
            conf,
            rules=policy.Rules(server_uid=1000),
            limits=LIMITS,
            clock=lambda: self.now,
            present=present,
        )
        self.dispatch.hotplug.rescan = self._rescanned  # type: ignore[method-assign]
        self._others: list[socket.socket] = []

    def _rescanned(self, then: Callable[[], None]) -> None:
        """There is no task that looks."""
        self.dispatch.alternates.news(asked=True)
        then()

    def connect(self, peer: Peer = ME, *, hello: bool = True, name: str = "test") -> Client:
        client = Client(self, self._accepted(peer, Wire.NATIVE))
        if hello:
            client.call("hello", version=1, client=name)
        return client

    def sndio(self, peer: Peer = ME) -> SndioClient:
        """A client on sndio's wire, which has not said anything."""
        conn = self._accepted(peer, Wire.SNDIO)
        assert isinstance(conn, FakeSndioConn)
        return SndioClient(self, conn)

    def _accepted(self, peer: Peer, wire: Wire) -> FakeConn:
        ours, theirs = socket.socketpair()
        self._others.append(theirs)
        before = set(self.engine.conns)
        self.dispatch.accept(ours, peer, wire)
        (ident,) = set(self.engine.conns) - before
        return self.engine.conns[ident]

    def settle(self) -> None:
        """The daemon takes every event that waits, and those that follow."""
        while self._taken():
            self.dispatch.board.flush()

    def settle_board(self) -> None:
        """What has changed without an event of the engine's is told."""
        self.dispatch.board.flush()
        self.settle()

    def _taken(self) -> bool:
        events = list(self.engine.events())
        for event in events:
            self.dispatch.take(event)
        return bool(events)

    @property
    def device(self) -> FakeDevice:
        """The device that was opened last."""
        return self.engine.devices[-1]

    def close(self) -> None:
        self.dispatch.close_sessions()
        self.settle()
        for device in self.engine.devices:
            if device.running:
                device.rest()
        self.settle()
        self.dispatch.close()
        for other in self._others:
            other.close()
        assert not self.dispatch.sessions
        assert not self.dispatch.sounding
        assert not self.dispatch.core.streams
        assert all(stream.freed for stream in self.engine.streams), "an engine stream was not freed"
        assert all(conn.freed for conn in self.engine.conns.values()), "a conn was not freed"


class Client:
    """One connection, seen from the client."""

    def __init__(self, house: House, conn: FakeConn) -> None:
        self.house = house
        self.conn = conn
        self._ids = itertools.count()

    def send(self, method: str, **args: object) -> int:
        """Send a request; nobody takes it yet."""
        ident = next(self._ids)
        self.conn.receive(msgpack.packb([0, ident, method, [args]]))
        return ident

    def answer(self, ident: int) -> Any:
        """The result of a request, Refused, or None if it is not answered."""
        found = [m for m in self.conn.sent if isinstance(m, list) and m[0] == 1 and m[1] == ident]
        assert len(found) <= 1, "answered twice"
        if not found:
            return None
        if found[0][2] is not None:
            raise Refused(found[0][2])
        return found[0][3]

    def call(self, method: str, **args: object) -> Any:
        ident = self.send(method, **args)
        self.house.settle()
        return self.answer(ident)

    def notify(self, method: str, *params: object) -> None:
        self.conn.receive(msgpack.packb([2, method, list(params)]))
        self.house.settle()

    def told(self, method: str) -> list[list[Any]]:
        """Parameters of the notifications of this name so far."""
        return [m[2] for m in self.conn.sent if isinstance(m, list) and m[0] == 2 and m[1] == method]

    def open(self, mode: str = "play", *, start: bool = False, **args: object) -> int:
        number: int = self.call("open", mode=mode, **args)["stream"]
        if start:
            self.call("start", stream=number)
        return number

    def vanish(self) -> None:
        """The program dies."""
        self.conn.vanish()
        self.house.settle()


class SndioClient:
    """One connection of sndio's wire, seen from the client."""

    def __init__(self, house: House, conn: FakeSndioConn) -> None:
        self.house = house
        self.conn = conn

    def send(self, *messages: m.Message | bytes) -> None:
        """The pump has them; the daemon has not looked yet."""
        for message in messages:
            if self.conn.fd >= 0:  # else nobody reads it
                self.conn.receive(message if isinstance(message, bytes) else m.encode(message))

    def say(self, *messages: m.Message | bytes) -> list[object]:
        """The daemon takes them; returns what came of it."""
        before = len(self.conn.sent)
        self.send(*messages)
        self.house.settle()
        return self.conn.sent[before:]

    def open(
        self,
        mode: int = 1,
        opt: str = "default",
        *,
        cookie: bytes = bytes(16),
        devnum: int = m.NO_DEVNUM,
        who: str = "test",
        pid: int = 77,
    ) -> list[object]:
        """AUTH and HELLO in one go."""
        return self.say(m.Auth(cookie), m.Hello(mode, devnum, pid, opt, who))

    def par(self) -> m.WirePar:
        """Ask for the parameters."""
        (reply,) = self.say(m.Getpar())
        assert isinstance(reply, m.ParReply)
        return reply.par

    @property
    def closed(self) -> bool:
        return self.conn.freed
