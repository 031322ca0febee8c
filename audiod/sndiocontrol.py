"""SndioControl: a control connection of sndio's wire, behind its HELLO: what its client sees and sets.

Invariant: at most one piece of news is on its way to a client that does not read;
all that changes meanwhile is put together, so that one that has stopped costs
nobody anything and has what there is when it goes on.  Control thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from audiod_protocol.errors import Code, Fault, FaultError, RemoteProtocolError
from audiod_protocol.sndio.descriptors import Descriptor
from audiod_protocol.sndio.messages import Ctlset, Ctlsub
from audiod_protocol.sndio.server import Server
from audiod_protocol.sndio.subscription import Subscription

from audiod import log
from audiod.backlog import Backlog, Prepare
from audiod.board import Board, Control
from audiod.core import Core

if TYPE_CHECKING:
    from audiod import engine


class SndioControl:
    """The controls of `subdevice`; `refuse` and `turn_away` close the connection and say why in the log."""

    def __init__(
        self,
        ident: int,
        conn: engine.Conn,
        wire: Server,
        subdevice: str,
        *,
        known: Core,
        board: Board,
        prepare: Prepare,
        refuse: Callable[[Fault], None],
        turn_away: Callable[[Fault], None],
    ) -> None:
        self.subdevice = subdevice
        self._conn = conn
        self._wire = wire
        self._core = known
        self._board = board
        self._prepare = prepare
        self._refuse = refuse
        self._turn_away = turn_away
        self._backlog = Backlog()  # what is said while a device is opened
        self._sending = False
        self._gone = False
        self._subscription = Subscription(self._look)
        self._log = log.get(client=ident)
        board.attach(self)

    def end(self) -> None:
        """The connection is closed; what its client has said counts, for most set something and leave."""
        self._gone = True
        if not self._backlog.waits:
            self._board.detach(self)

    def _look(self, addr: int) -> Descriptor | None:
        found = self._board.find(self.subdevice, addr)
        return None if found is None else found.descriptor

    # ---- what the client says ----

    def message(self, data: bytes) -> None:
        """Raises RemoteProtocolError."""
        if self._backlog.keeps(data, self._refuse):
            return
        event = self._wire.decode(data)
        if isinstance(event, Ctlsub):
            self._subscription.ask(event, self._board.visible(self.subdevice))
            self._board.told(self)
        elif isinstance(event, Ctlset):
            self._set(event)

    def _late(self, data: bytes) -> None:
        try:
            self.message(data)
        except RemoteProtocolError as error:
            self._refuse(error.fault)

    def _set(self, wish: Ctlset) -> None:
        """Raises RemoteProtocolError: there is no such control, or value."""
        control = self._board.find(self.subdevice, wish.addr)
        if control is None:
            if self._subscription.knew(wish.addr):
                return  # it has gone, and the client may not know yet
            raise RemoteProtocolError(
                f"CTLSET of control {wish.addr}, which there is not", "CTLSUB asks for those there are"
            )
        most = control.descriptor.most
        if wish.value > most:
            raise RemoteProtocolError(
                f"CTLSET: control {wish.addr} is 0..{most}, not {wish.value}",
                "its descriptor says how much it may be",
            )
        if wish.value == control.descriptor.value:
            return
        if control.choice is not None:
            self._choose(control, control.choice)
        else:
            self._apply(control, wish.value)

    def _choose(self, control: Control, number: int) -> None:
        """Have the device opened before the sub-device is moved there; what the client says waits."""
        own = self._core.subdevices.get(str(number))
        if control.descriptor.value or own is None:
            return  # it is there already: one is left by choosing another

        def then(fault: Fault | None) -> None:
            self._backlog.waits = False
            if fault is None:
                self._apply(control, number)
            else:
                self._refused(control, fault)
            self._backlog.go_on(self._late)
            if self._gone:
                self.end()

        self._backlog.waits = True
        self._prepare(own, then)

    def _apply(self, control: Control, value: int) -> None:
        try:
            self._core.controls.set(control.name, value, control.device, control.subdevice)
        except FaultError as error:
            self._refused(control, error.fault)

    def _refused(self, control: Control, fault: Fault) -> None:
        """It cannot be had: this wire has no word for that but what still holds."""
        self._log.warning("control.refused", control=control.name, reason=fault.message, hint=fault.hint)
        for addr in self._board.visible(self.subdevice):
            known = self._board.find(self.subdevice, addr)
            if known is not None and known.key[:2] == control.key[:2] and known.descriptor.value:
                self.changed(addr)
        if control.choice is None:
            self.changed(control.descriptor.addr)
        self._board.told(self)

    # ---- what it is told ----

    def described(self, addr: int) -> None:
        self._subscription.described(addr)

    def changed(self, addr: int) -> None:
        self._subscription.changed(addr)

    def flush(self) -> None:
        """Send what there is, unless what was sent before is still to be read."""
        data = b"" if self._sending or self._gone else self._subscription.take()
        if data:
            self._sending = True
            self._conn.send(data)
            self._conn.notify_sent()

    def sent(self) -> None:
        """The client's socket has taken what was sent."""
        self._sending = False
        self.flush()

    def orphaned(self) -> None:
        """Its sub-device is no longer configured."""
        self._turn_away(
            Fault(
                Code.ENODEV,
                f"there is no sub-device {self.subdevice!r} any more",
                "open one of those there are",
            )
        )
