"""ThruControl: a control connection to a thru box, behind its HELLO: `server.port[N]` and `server.thru`.

Invariant: at most one piece of news is on its way to a client that does not read.
Control thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiod_protocol.errors import RemoteProtocolError
from audiod_protocol.sndio.descriptors import DISPLAY_MAX, Descriptor, Kind, Node, fit
from audiod_protocol.sndio.messages import Ack, Ctlset, Ctlsub
from audiod_protocol.sndio.server import Server
from audiod_protocol.sndio.subscription import Subscription

from audiod.midi.thru import THRU, ThruBox

if TYPE_CHECKING:
    from audiod import engine

_FIRST = 2  # address of port 0, behind that of THRU


class ThruControl:
    """The controls of `box`."""

    def __init__(self, conn: engine.Conn, wire: Server, box: ThruBox) -> None:
        self.box = box
        self._conn = conn
        self._wire = wire
        self._sending = False
        self._subscription = Subscription(self._look)
        conn.send(wire.send(Ack()))
        box.enter()
        box.viewers[self] = None

    def end(self) -> None:
        """The connection is closed."""
        del self.box.viewers[self]
        self.box.leave()

    def message(self, data: bytes) -> None:
        """What the client says.  Raises RemoteProtocolError."""
        event = self._wire.decode(data)
        if isinstance(event, Ctlsub):
            count = len(self.box.ports)
            self._subscription.ask(event, (*range(_FIRST, _FIRST + count), _FIRST + THRU))
            self._flush()
        elif isinstance(event, Ctlset):
            self._set(event)

    def _look(self, addr: int) -> Descriptor | None:
        what, server = addr - _FIRST, Node("server")
        if what == THRU:
            return Descriptor(addr, Kind.SW, server, "thru", 1, int(self.box.hub.thru))
        if not 0 <= what < len(self.box.ports):
            return None
        return Descriptor(
            addr,
            Kind.LIST,
            server,
            "port",
            1,
            int(self.box.connected(what)),
            node1=Node(str(what)),
            display=fit(self.box.ports[what].text, DISPLAY_MAX),
        )

    def _set(self, wish: Ctlset) -> None:
        control = self._look(wish.addr)
        if control is None or wish.value > control.most:
            raise RemoteProtocolError(
                f"CTLSET of control {wish.addr} to {wish.value}, which there is not",
                "CTLSUB asks for those there are",
            )
        if wish.value == control.value:
            return
        if control.kind is Kind.SW:
            self.box.let_through(on=bool(wish.value))
        else:
            self.box.plug(wish.addr - _FIRST, on=bool(wish.value))

    def changed(self, what: int) -> None:
        self._subscription.changed(_FIRST + what)
        self._flush()

    def sent(self) -> None:
        """The client's socket has taken what was sent."""
        self._sending = False
        self._flush()

    def _flush(self) -> None:
        data = b"" if self._sending else self._subscription.take()
        if data:
            self._sending = True
            self._conn.send(data)
            self._conn.notify_sent()
