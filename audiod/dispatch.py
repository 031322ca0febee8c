"""Dispatch: who an event of the engine is for.

Owns the sessions, the ids under which streams run in the engine, and the order
of an orderly end.  No task and no waiting: `take` is called with one event after
the other on the control thread, and everything that follows happens in it.
"""

from __future__ import annotations

import itertools
import os
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from audiod_protocol.errors import Code, Fault

from audiod import engine as eng
from audiod import log, policy, realtime, trouble
from audiod.alternates import Alternates, Present
from audiod.board import Board
from audiod.cards import kernel
from audiod.cards.access import Access
from audiod.cards.inventory import Inventory, differences
from audiod.cards.mixer import Mixers
from audiod.cards.reserve import Reservations
from audiod.cards.rows import endpoint_row
from audiod.cards.scan import Scanner
from audiod.conductor import Conductor
from audiod.config import Config
from audiod.core import Core, Row
from audiod.devices import CARDS, Devices
from audiod.engine import Wire
from audiod.hotplug import Hotplug
from audiod.listener import Peer, turn_away
from audiod.midi.control import ControlPorts
from audiod.midi.patchbay import Patchbay
from audiod.mmc import Mmc
from audiod.ownership import Ownership
from audiod.queries import Queries
from audiod.session import Session
from audiod.settings import Settings
from audiod.sndiosession import SndioSession
from audiod.sndstat.listing import Listing
from audiod.sndstat.opens import Opens
from audiod.stream import ClientStream

if TYPE_CHECKING:
    from audiod.engine import Engine, Event

CONNECTIONS_MAX = 2048  # each may take a MB of the pump's memory when it is used to the full

MUTE = Fault(Code.EPROTO, "it has not said who it is", "say hello right after connecting")
SHUTDOWN = Fault(Code.ESHUTDOWN, "the server is ending", "connect again once it is back")


class Dispatch:
    """The daemon without its tasks."""

    def __init__(
        self,
        engine: Engine,
        config: Config,
        *,
        rules: policy.Rules | None = None,
        rt_prio: int = 0,
        limits: realtime.Limits | None = None,
        cards: Scanner | None = None,
        clock: Callable[[], float] = time.monotonic,
        present: Present | None = None,
    ) -> None:
        self.engine = engine
        self.core = Core(
            devices=[device.row() for device in config.devices],
            subdevices={sub.name: sub for sub in config.subdevices},
        )
        self.devices = Devices(engine, self.core, config.devices)
        self.devices.on_failed = self._device_failed
        self.devices.on_lost = lambda number, errno: self.alternates.lost(number, errno)
        self.cards = cards or Scanner()
        self.cards.on_change = self._cards_changed
        self.mixers = Mixers(self.devices, self.cards, self.core.controls)
        self.devices.on_configured = self.mixers.look
        self.sessions: dict[int, Session | SndioSession] = {}
        self.board = Board(self.core)
        self.ownership = Ownership(rules or policy.Rules(server_uid=os.geteuid()))
        self.patchbay = Patchbay(((port.text, port.hold) for port in config.ports), clock)
        self._control_ports = ControlPorts(self.core, self.patchbay)
        self.sockets: list[str] = []
        self.ending = False
        self.on_accepted: Callable[[int], None] = lambda ident: None
        self.on_dismissed: Callable[[int], None] = lambda ident: None
        self.alternates = Alternates(self.core, self.devices, present or self._present)
        self.mmc = Mmc(self.core, self.devices, self.patchbay.control, self.alternates.prepare)
        self.alternates.on_placed = self.mmc.placed
        self.devices.on_subdevices = self._configured
        reservations = Reservations(config.priority) if config.reserve else None
        self.access = Access(self.core, self.devices, self.alternates, self.cards, self.mixers, reservations)
        self.conductor = Conductor(self.core, config.policy, config.programs)
        self.conductor.on_ramps = lambda: self.devices.bend(self.conductor.ramps.volume_mute)
        self.conductor.on_ramps()
        self.conductor.together = engine.together
        self.core.conductor = self.conductor
        self.settings = Settings(config, self.core, self.devices, self.conductor)
        self.hotplug = Hotplug(self.cards, self._cards_looked, folder=self.cards.roots.dev)
        self._queries = Queries(self.core, self.settings, self.cards, unit=config.unit, facts=self._facts)
        self._streams: dict[int, ClientStream] = {}
        self.opens = Opens(Listing(self.core, self.devices, self.cards, self.settings, self._handles))
        self._runs = itertools.count(1)
        self._idents = itertools.count(1)
        self._rt_prio = rt_prio
        self._limits = limits or realtime.read_limits()
        self._rt_told = False
        self._sndio_streams = config.sndio_streams
        self._clock = clock
        self._started = clock()
        log.listen(self._logged)
        self._log = log.get()

    # ---- connections ----

    def accept(self, sock: socket.socket, peer: Peer, wire: Wire = Wire.NATIVE) -> None:
        """Take a connected socket of a peer that may use the server."""
        if self.ending:
            turn_away(sock, SHUTDOWN, wire)
            return
        if len(self.sessions) >= CONNECTIONS_MAX:
            self._log.warning("client.refused", **peer.facts, reason="too many connections")
            turn_away(
                sock,
                Fault(Code.EMFILE, f"the server has {CONNECTIONS_MAX} connections", "close some of them"),
                wire,
            )
            return
        ident = next(self._idents)
        sock.setblocking(False)
        try:
            conn = self.engine.conn_new(ident, sock.fileno(), wire)
        except eng.EngineError as error:
            self._log.error("client.refused", **peer.facts, reason=error.strerror)
            turn_away(
                sock, Fault(Code.EIO, f"the server has no memory for it: {error.strerror}", "try again"), wire
            )
            return
        sock.detach()
        self._log.debug("client.connected", client=ident, **peer.facts)
        self.sessions[ident] = self._session(ident, conn, peer, wire)
        self.on_accepted(ident)

    def _session(self, ident: int, conn: eng.Conn, peer: Peer, wire: Wire) -> Session | SndioSession:
        if wire is Wire.SNDIO:
            return SndioSession(
                ident,
                conn,
                peer,
                known=self.core,
                devices=self.devices,
                runs=self,
                owners=self.ownership,
                streams_max=self._sndio_streams,
                dismissed=self._dismissed,
                prepare=self.alternates.prepare,
                patchbay=self.patchbay,
                board=self.board,
            )
        return Session(
            ident,
            conn,
            peer,
            known=self.core,
            devices=self.devices,
            runs=self,
            answers=self._queries,
            dismissed=self._dismissed,
            prepare=self.alternates.prepare,
            rescan=self.hotplug.rescan,
            opens=self.opens,
        )

    def _dismissed(self, ident: int) -> None:
        self.on_dismissed(ident)

    # ---- ids of started streams ----

    def begin(self, stream: ClientStream) -> int:
        """A new id for a stream that is about to start."""
        run = next(self._runs)
        self._streams[run] = stream
        return run

    def end(self, run: int) -> None:
        self._streams.pop(run, None)

    def _handles(self) -> dict[int, eng.Stream]:
        return {stream.row.id: stream.handle for stream in self._streams.values()}

    # ---- events ----

    def take(self, event: Event) -> None:
        """Let whoever an event is for act on it; those of what is gone are nobody's."""
        match event:
            case eng.Message(conn, data):
                self._message(conn, data)
            case eng.ConnClosed(conn, why, number):
                self._closed(conn, why, number)
            case eng.ConnSent(conn):
                self._sent(conn)
            case eng.ProtocolBreach(conn, why, number):
                self._breach(conn, why, number)
            case eng.StreamStopped(run, _):
                self._of(run, ClientStream.stopped)
            case eng.StreamReleased(run):
                self._of(run, self._released)
            case eng.StreamEnded(run, reason, request):
                self._of(run, lambda stream: stream.ended(reason, request))
            case eng.StreamMoved(run):
                self._of(run, self._moved)
            case eng.StreamJoined(run, _):
                self._of(run, lambda stream: stream.channel.joined())
            case eng.StreamHeld(run, aim):
                self._of(run, lambda stream: stream.channel.held(aim))
            case eng.Playing(run, _):
                self._of(run, ClientStream.playing)
            case eng.Xrun():
                self._xrun(event)
            case eng.DeviceStarted(ident):
                self.devices.started(ident)
            case eng.DeviceStopped(ident):
                self.devices.stopped(ident)
            case eng.DeviceFailed(ident, number):
                self.devices.failed(ident, number, os.strerror(number))
            case eng.GroupJoined():
                self.mmc.joined(event)
            case eng.ClockTicked():
                self.mmc.ticked(event)
            case eng.DeviceLost(ident, number):
                self.devices.lost(ident, number, trouble.lost(number))
            case eng.ThreadStarted():
                self._thread(event)
            case eng.Synced():
                pass  # the answer to engine.sync, which only tests ask for

    def _message(self, ident: int, data: bytes) -> None:
        session = self.sessions.get(ident)
        if session is None:
            return
        try:
            session.message(data)
        except Exception:
            # a bug of ours, met by this client: the others shall not hear of it
            self._log.exception("client.bug", client=ident)
            if not session.closing:
                session.refuse(
                    Fault(Code.EIO, "the server failed on this message", "report it, with audiod's log")
                )

    def _closed(self, ident: int, why: eng.CloseReason, number: int) -> None:
        session = self.sessions.pop(ident, None)
        if session is None:
            return
        if why is eng.CloseReason.SLOW:
            self._log.warning("client.slow", client=ident, reason="it does not read what it is sent")
        else:
            reason = os.strerror(number) if why is eng.CloseReason.ERROR else why.name.lower()
            self._log.info("client.closed", client=ident, reason=reason)
        session.lost()

    def _breach(self, ident: int, why: eng.ProtocolReason, number: int) -> None:
        session = self.sessions.get(ident)
        if session is not None:
            session.breach(why.name, number)

    def _sent(self, ident: int) -> None:
        session = self.sessions.get(ident)
        if isinstance(session, SndioSession):
            session.sent()

    def unheard(self, ident: int) -> None:
        """Its time to say who it is has passed: close it if it has not."""
        session = self.sessions.get(ident)
        if session is not None and not session.greeted and not session.closing:
            session.refuse(MUTE)

    def cut(self, ident: int) -> None:
        """Close a connection whose peer has not read its last words, if it still is there."""
        session = self.sessions.get(ident)
        if session is not None:
            self._log.warning("client.cut", client=ident, reason="it does not read why it is closed")
            session.conn.close(flush=False)

    def _released(self, stream: ClientStream) -> None:
        stream.released()
        self.alternates.moved(stream.row)

    def _moved(self, stream: ClientStream) -> None:
        stream.moved()
        self.alternates.moved(stream.row)
        self.mmc.tell()

    def _of(self, run: int, act: Callable[[ClientStream], None]) -> None:
        stream = self._streams.get(run)
        if stream is not None:
            act(stream)

    def _xrun(self, event: eng.Xrun) -> None:
        device = self.devices.find(event.device)
        stream = self._streams.get(event.stream)
        if device is None or (event.stream and stream is None):
            return
        culprit = policy.classify(
            driver=event.kind is eng.XrunKind.DEVICE,
            due_ns=event.due_ns,
            wake_ns=event.wake_ns,
            arrival_ns=event.arrival_ns,
            swept_ns=event.swept_ns,
            block_ns=device.format.block_ns,
            rec=event.kind is eng.XrunKind.REC,
        )
        row = None if stream is None else stream.row
        self.core.count_xrun(device, row, culprit)
        if stream is not None:
            stream.channel.late(event.kind)
        count = device.xruns if row is None else row.xruns
        if count & (count - 1) == 0:  # the 1st, 2nd, 4th ...: a client that stumbles all day fills no disk
            self._log.warning(
                "xrun",
                device=device.number,
                stream=None if row is None else row.id,
                name=None if row is None else row.name,
                kind=event.kind.name.lower(),
                culprit=str(culprit),
                missing=event.missing,
                count=count,
                late_us=(event.wake_ns - event.due_ns) // 1000 if event.due_ns else None,
            )

    def _logged(self, facts: Callable[[], Row]) -> None:
        """What is logged is an event for whoever has subscribed to them."""
        self.core.publish("events", None, facts)

    def _thread(self, event: eng.ThreadStarted) -> None:
        if event.errno and not self._rt_told:
            self._rt_told = True
            self._log.warning("realtime.refused", reason=realtime.reason(event.errno, self._limits))

    def _configured(self) -> None:
        self.alternates.configured()
        self.mmc.configured()

    def _device_failed(self, number: int, errno: int) -> None:
        """Streams that were not started move or die here, started ones are ended by the engine."""
        self.alternates.lost(number, errno, lambda: self._end_ready(trouble.gone(self.core.devices[number])))

    def _end_ready(self, fault: Fault) -> None:
        self.mmc.failed()
        for session in list(self.sessions.values()):
            for stream in list(session.streams.values()):
                if stream.seat.on.handle is None and stream.run is None:
                    stream.fail(fault)

    def _cards_changed(self, old: Inventory, new: Inventory) -> None:
        for event, one in differences(old, new):
            self.core.publish("cards", event, partial(endpoint_row, one))
        self.mixers.look()

    def _cards_looked(self, asked: bool) -> None:
        """What there is may be something else: move streams before cards are asked what they can do."""
        self.alternates.news(asked=asked)
        self.patchbay.news()

    def _present(self, number: int) -> bool | None:
        """Whether the card of a device is in the machine, None: only opening it tells."""
        spec = self.devices.all[number].conf.spec
        return kernel.present(spec.argument, self.cards.roots) if spec.driver == CARDS else None

    # ---- the end ----

    @property
    def sounding(self) -> bool:
        """Whether a stream is still started, or what it played still in the buffer of its device."""
        return bool(self._streams or self.devices.running())

    def longest(self) -> float:
        """Seconds that the fullest buffer of a started stream, or of a device, takes to play."""
        pars = [stream.row.par for stream in self._streams.values()]
        sizes = [(par.bufsz or 0) / (par.rate or 1) for par in pars]
        sizes += [device.format.bufsz / device.format.rate for device in self.devices.running()]
        return max(sizes, default=0.0)

    def drain(self) -> None:
        """Let no one in, play out what was written, tell every stream that the server ends."""
        self.ending = True
        self.mmc.end()
        for session in list(self.sessions.values()):
            session.ending = SHUTDOWN
            for stream in list(session.streams.values()):
                stream.shut(SHUTDOWN)

    def close_sessions(self) -> None:
        """End what still plays and close every connection once its last words are sent."""
        self.ending = True
        for session in list(self.sessions.values()):
            for stream in list(session.streams.values()):
                stream.die(SHUTDOWN)
            if not session.closing:
                session.dismiss(SHUTDOWN)

    def close(self) -> None:
        """Close devices, which finishes files, and the engine."""
        self.devices.close_all()
        self.engine.close()
        log.unlisten(self._logged)

    # ---- status ----

    def _facts(self) -> Row:
        threads = []
        for thread in self.engine.threads():
            device = None if thread.device is None else self.devices.find(thread.device)
            number = None if device is None else device.number
            threads.append(
                eng.ThreadInfo(thread.tid, number, thread.realtime, thread.prio, thread.asked, thread.err)
            )
        return {
            "uptime": round(self._clock() - self._started, 3),
            "sockets": list(self.sockets),
            "realtime": realtime.status(self._rt_prio, self._limits, threads),
            "connections": len(self.sessions),
        }
