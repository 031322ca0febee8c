"""A stream on sndio's wire: its calls as messages, and what the server's messages say.

Invariants: samples leave only within the credit, and only while less than
`bufsz` frames were not covered by a position; nothing is assumed of the server
but what the protocol's client role has checked.  Runs in the caller's thread.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from audiod_protocol.params import CAP, Cap, Par
from audiod_protocol.sndio import messages
from audiod_protocol.sndio.client import Client, Event, Parameters, Phase, Samples
from audiod_protocol.states import Act

from audiod_client._stream import STARTED, StreamCore
from audiod_client.errors import StreamError, as_stream_error

if TYPE_CHECKING:
    from audiod_client._sndio_session import SndioSession

__all__ = ["SndioStream"]

T = TypeVar("T")
Op = Generator[None, None, T]

INTEGERS = replace(CAP, enc=tuple(enc for enc in CAP.enc if not enc.flt))


class SndioStream(StreamCore):
    """The one stream of a connection, from HELLO on."""

    session: SndioSession

    def __init__(
        self, session: SndioSession, client: Client, name: str, device: int | None, subdevice: str
    ) -> None:
        super().__init__(session, 0, client.mode, device, subdevice)
        self.client = client
        self.name = name  # what follows "snd/"

    @property
    def credit(self) -> int:
        return self.client.room

    # ---- what the server tells ----

    def notify(self, event: Event) -> None:
        """An event of the protocol's client role."""
        if isinstance(event, Parameters):
            enc = event.par.enc
            assert enc is not None
            self._use(event.par, enc)
        elif self.closed or self.error is not None:
            return
        elif isinstance(event, messages.Move):
            self._moved(event.delta, self.position + event.delta, 0)
        elif isinstance(event, Samples):
            self._record(event.data)
        elif isinstance(event, messages.Setvol):
            self._set_vol(event.vol)
        elif isinstance(event, messages.Xrun):
            self._late("unknown")  # the wire does not tell which
        elif isinstance(event, messages.Stop):
            self.state = self._act(Act.ANSWER)

    # ---- calls ----

    def _setpar(self, asked: Par) -> Op[None]:
        if asked.flt:
            raise StreamError(
                "ENOTSUP",
                f"setpar: sndio's wire carries integer samples only, not {asked.enc}",
                "convert them, to s32le or s24le3",
            )
        with as_stream_error():
            self.session.post(self.client.setpar(asked))
        yield from self._answered()

    def _getpar(self) -> Op[None]:
        with as_stream_error():
            self.session.post(self.client.getpar())
        yield from self._answered()

    def _answered(self) -> Op[None]:
        """Wait until all that tasks have asked is answered, as START must not overtake an answer."""
        while self.client.asked:
            yield
            self._live()

    def _getcap(self) -> Op[Cap]:
        """As sio_getcap's: a table that no server is asked for."""
        yield from ()
        return INTEGERS

    def _tell_vol(self, vol: int) -> None:
        self.session.post(self.client.setvol(vol))

    def _start(self) -> Op[None]:
        yield from ()
        with as_stream_error():
            self.session.post(self.client.start())

    def _send_samples(self, samples: memoryview) -> None:
        self.session.post(self.client.write(samples))

    def _end(self, drain: bool) -> Op[None]:
        """As the base says.  A drain that goes on cannot be cut short: STOP is said once."""
        if self.client.phase is Phase.START:
            self.session.post(self.client.stop(drain))
        while self.client.phase is Phase.STOP:
            yield
            self._live()

    def _close(self) -> Op[None]:
        """Play out, say BYE, and wait for the server to close: then it has forgotten the stream."""
        if self.state in STARTED:
            self.state = self._act(Act.STOP)
        yield from self._end(True)
        self._let_go()
        while self.session.error is None:
            yield
            self.call_back()

    def _let_go(self) -> None:
        if self.client.phase not in (Phase.NEW, Phase.BYE):
            self.session.post(self.client.bye())
