"""Server: the one nursery, what starts and ends in which order.

Start: engine, held devices, sockets, then `ready`.  End (INT, TERM): the sockets
go, streams play out for at most their buffer and a second, connections get
their last words, devices close and so finish their files.  A second signal cuts
that short.  Control thread; nothing here waits for a sample.
"""

from __future__ import annotations

import contextlib
import gc
import grp
import os
import signal
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio
from audiod_protocol.errors import FaultError

from audiod import log, policy, realtime, tcp
from audiod.config import RT_PRIO, Config
from audiod.dispatch import Dispatch
from audiod.engine import Wire
from audiod.errors import AudiodError, StartError
from audiod.linger import GREETING, Linger
from audiod.listener import Listener
from audiod.state import State
from audiod.unixsocket import UnixSocket

if TYPE_CHECKING:
    from audiod.engine import Engine

EVENTS_AT_ONCE = 100  # then accept and signals have their turn
DRAIN_GRACE = 1.0  # seconds beyond the longest buffer
CLOSE_GRACE = 1.0  # seconds for clients to read their last words
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

EngineFactory = Callable[[int], "Engine"]


def compiled_engine(rt_prio: int) -> Engine:
    """The engine in C.  Raises EngineError."""
    from audiod.engine import Engine

    return Engine(rt_prio=rt_prio, lock_memory=True)


class Server:
    """A daemon; `serve` returns when it has ended in order."""

    def __init__(
        self, config: Config, *, make_engine: EngineFactory = compiled_engine, look: bool = True
    ) -> None:
        self.config = config
        self._look_for_cards = look
        self._log = log.get()
        self._limits = realtime.read_limits()
        self._rt_prio = realtime.wanted(self._limits, RT_PRIO) if config.realtime else 0
        self._rules = policy.Rules(
            server_uid=os.geteuid(),
            group=config.users,
            gid=_gid(config.users),
            share=config.share,
            public=config.system and config.sndio is not None,
        )
        self._make_engine = make_engine
        self._ending = trio.Event()
        self._quiet = trio.Event()  # no stream is started
        self._empty = trio.Event()  # no connection is left
        self._dispatch: Dispatch

    async def serve(
        self, *, signals: bool = True, task_status: trio.TaskStatus[Dispatch] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Run until told to end.  Raises StartError if it cannot start."""
        self._dispatch = Dispatch(
            self._make_engine(self._rt_prio),
            self.config,
            rules=self._rules,
            rt_prio=self._rt_prio,
            limits=self._limits,
        )
        turn = trio.lowlevel.current_trio_token()
        self._dispatch.conductor.soon = partial(turn.run_sync_soon, idempotent=True)
        try:
            self._state = self._restored()
            await self._run(signals, task_status)
            if self._state is not None:
                await self._state.finish()
        finally:
            self._dispatch.devices.spawn = None
            self._dispatch.close()

    def end(self) -> None:
        """Begin the orderly end, as TERM does."""
        self._ending.set()

    def _restored(self) -> State | None:
        """The state file, what it holds restored; None: there is to be none."""
        place, controls = self.config.state, self._dispatch.core.controls
        if place.path is None or not place.enabled:
            return None
        state = State(place.path, self.config.unit, controls.saved)
        state.begin(controls.restore)
        controls.changed = state.changed
        return state

    async def _run(self, signals: bool, task_status: trio.TaskStatus[Dispatch]) -> None:
        dispatch = self._dispatch
        refused: FaultError | None = None
        try:
            dispatch.devices.open_held(cards=False)
        except FaultError as error:
            raise _not_held(error) from None
        with contextlib.ExitStack() as opened:
            listeners = self._listen(opened)
            async with trio.open_nursery() as nursery:
                if signals:
                    await nursery.start(self._watch_signals)
                linger = Linger(dispatch.cut)
                dispatch.on_dismissed = linger.begin
                nursery.start_soon(linger.watch)
                greeting = Linger(dispatch.unheard, GREETING)
                dispatch.on_accepted = greeting.begin
                nursery.start_soon(greeting.watch)
                nursery.start_soon(self._pass_events)
                nursery.start_soon(dispatch.mixers.run)
                await nursery.start(dispatch.patchbay.run)
                nursery.start_soon(dispatch.board.run)
                if dispatch.access.reservations is not None:
                    nursery.start_soon(dispatch.access.reservations.run)
                dispatch.devices.spawn = nursery.start_soon
                if self._state is not None:
                    nursery.start_soon(self._state.keep)
                try:
                    await dispatch.devices.open_held_cards()
                except FaultError as error:
                    refused = error
                else:
                    await self._serve(nursery, listeners, task_status)
                    opened.close()  # now that nobody waits for them any more
                    await self._end()
                nursery.cancel_scope.cancel()
        if refused is not None:
            raise _not_held(refused)
        self._log.info("server.end")

    async def _serve(
        self, nursery: trio.Nursery, listeners: list[Listener], task_status: trio.TaskStatus[Dispatch]
    ) -> None:
        """Take clients until it is to end."""
        dispatch = self._dispatch
        async with trio.open_nursery() as door:
            for listener in listeners:
                door.start_soon(listener.serve, dispatch.accept)
                dispatch.sockets.append(listener.name)
            self._log.info(
                "server.ready",
                socket=dispatch.sockets[0],
                others=" ".join(dispatch.sockets[1:]) or "none",
                pid=os.getpid(),
                unit=self.config.unit,
            )
            task_status.started(dispatch)
            look = self._look_for_cards
            run = partial(dispatch.hotplug.run, watch=look, look=look and dispatch.cards.needed)
            nursery.start_soon(run)
            await self._ending.wait()
            door.cancel_scope.cancel()

    def _listen(self, opened: contextlib.ExitStack) -> list[Listener]:
        """Every listener that the configuration asks for, the native one first.  Raises StartError."""
        config, rules = self.config, self._rules
        listeners = []

        def take(wire: Wire, *sockets: UnixSocket | tcp.TcpSocket) -> None:
            for sock in sockets:
                opened.callback(sock.close)
                listeners.append(Listener(sock, wire, rules))

        for wire, place in (Wire.NATIVE, config.listen), (Wire.SNDIO, config.sndio):
            if place is not None:
                take(wire, UnixSocket(place, euid=rules.server_uid, gid=rules.gid, group=rules.group))
        take(Wire.SNDIO, *tcp.listen(config.tcp, config.port))
        return listeners

    async def _end(self) -> None:
        dispatch = self._dispatch
        longest = dispatch.longest()
        self._log.info(
            "server.ending", streams=len(dispatch.core.streams), at_most_s=round(longest + DRAIN_GRACE, 2)
        )
        dispatch.drain()
        self._look()
        with trio.move_on_after(longest + DRAIN_GRACE):
            await self._quiet.wait()
        dispatch.close_sessions()
        self._look()
        with trio.move_on_after(CLOSE_GRACE):
            await self._empty.wait()

    def _look(self) -> None:
        if self._dispatch.ending:
            if not self._dispatch.sounding:
                self._quiet.set()
            if not self._dispatch.sessions:
                self._empty.set()

    async def _pass_events(self) -> None:
        engine = self._dispatch.engine
        while True:
            await trio.lowlevel.wait_readable(engine.fileno())
            for count, event in enumerate(engine.events(), 1):
                self._dispatch.take(event)
                self._dispatch.conductor.passed()
                if count % EVENTS_AT_ONCE == 0:
                    await trio.lowlevel.checkpoint()
            self._look()

    async def _watch_signals(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        # what remains when the receiver goes: a late TERM must not cut off the end, which finishes files
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        for number in SIGNALS:
            signal.signal(number, _too_late)
        with trio.open_signal_receiver(*SIGNALS) as received:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            task_status.started()
            await self.obey(received)

    async def obey(self, received: AsyncIterator[int]) -> None:
        """Do as the signals say."""
        async for number in received:
            name = signal.Signals(number).name
            if number == signal.SIGHUP:
                if self._ending.is_set():
                    continue  # nothing new begins
                with contextlib.suppress(AudiodError):  # logged; nothing has changed
                    self._dispatch.settings.reload()
                self._dispatch.alternates.news(asked=True)
                self._dispatch.patchbay.news()
            elif not self._ending.is_set():
                self._log.info("server.signal", signal=name)
                self._ending.set()
            else:
                self._log.info("server.signal", signal=name, reason="the second one: at once")
                self._quiet.set()
                self._empty.set()


def _not_held(error: FaultError) -> StartError:
    """A device that is to be open from start to end is not."""
    return StartError(error.fault.message, hint=f"{error.fault.hint}; -a off opens it on demand")


def _too_late(number: int, frame: object) -> None:
    """The server ends already, and no longer waits for anybody."""


def _gid(group: str) -> int | None:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None


class _Announce:
    """Says once that the server listens: to `ready`, else on standard output: scripts wait for that line."""

    def __init__(self, path: Path, ready: Callable[[], None] | None) -> None:
        self.path = path
        self.ready = ready

    def started(self, value: object = None) -> None:
        if self.ready is not None:
            self.ready()
        else:
            print(f"ready on {self.path}; in another terminal: audioctl play FILE", flush=True)


async def run(config: Config, ready: Callable[[], None] | None = None) -> None:
    """Serve until a signal ends it.  Raises StartError or EngineError if it cannot start."""
    gc.freeze()  # what is loaded stays: looking through it again and again would hold up decisions by 40 ms
    await Server(config).serve(task_status=_Announce(config.listen.path, ready))
