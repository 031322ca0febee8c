"""A stream on audiod's own protocol: which requests its calls are, and what its notifications say.

Invariant: a request's answer is accounted for when it comes, whether or not
anybody still waits.  Runs in the caller's thread.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar

from audiod_protocol.errors import Fault
from audiod_protocol.limits import WRITE_MAX
from audiod_protocol.params import Cap, Mode, Par
from audiod_protocol.states import Act, State

from audiod_client._stream import STARTED, StreamCore
from audiod_client.errors import StreamError, as_stream_error

if TYPE_CHECKING:
    from audiod_client._native_session import Call, NativeSession

__all__ = ["NativeStream"]

T = TypeVar("T")
Op = Generator[None, None, T]


class NativeStream(StreamCore):
    """One of a session's streams, from the server's answer to `open`."""

    session: NativeSession

    def __init__(self, session: NativeSession, number: int, mode: Mode, opened: dict[str, Any]) -> None:
        super().__init__(session, number, mode, opened.get("device"), opened.get("subdevice"))
        self._credit = 0
        self._close_sent = False
        self._ending = 0  # stop and flush requests without an answer

    @property
    def credit(self) -> int:
        return self._credit

    # ---- what the server tells ----

    def notify(self, method: str, params: list[Any]) -> None:
        """A notification for this stream, its shape already checked."""
        if self.closed or self.error is not None:
            return
        if method == "onmove":
            self._moved(*params[1:])
        elif method == "credit":
            if self.state in STARTED:
                self._credit += params[1]
        elif method == "data":
            self._record(params[1])
        elif method == "onvol":
            self._set_vol(params[1])
        elif method == "onxrun":
            self._late(params[1])
        elif method == "onstate" and params[1] != "closed":
            self._halted(params[1], params[2] or {})
        elif method == "onstatus":
            self._heard(params[1], params[2])
        elif method == "onstate":
            self.state = State.DEAD
            fault = Fault("EIO", "the server ended the stream without a reason", "see its log")
            if params[2] is not None:
                fault = Fault.from_wire(params[2])
            self.fail(StreamError.of_fault(fault))

    @abstractmethod
    def _halted(self, state: str, detail: dict[str, Any]) -> None:
        """The server has stopped it, or says what this version does not know."""

    @abstractmethod
    def _heard(self, event: str, detail: dict[str, Any]) -> None:
        """Something happened to its channel."""

    # ---- requests ----

    def _setpar(self, asked: Par) -> Op[None]:
        yield from self._par_request("setpar", {"par": asked.to_wire()})

    def _getpar(self) -> Op[None]:
        yield from self._par_request("getpar", {})

    def _par_request(self, method: str, args: dict[str, object]) -> Op[None]:
        result = yield from self.session.request(method, {"stream": self.number, **args})
        self._take_par(method, result)

    def _take_par(self, method: str, result: Any) -> None:
        with as_stream_error():
            par = Par.from_wire(result.get("par") if isinstance(result, dict) else None)
            enc = par.enc
        if enc is None or not (par.rate and (par.pchan or par.rchan)):
            raise StreamError("EPROTO", f"the answer to {method} is not complete", "update the server")
        self._use(par, enc)

    def _getcap(self) -> Op[Cap]:
        result = yield from self.session.request("getcap", {"stream": self.number})
        with as_stream_error():
            return Cap.from_wire(result.get("cap") if isinstance(result, dict) else None)

    def _tell_vol(self, vol: int) -> None:
        self._send("setvol", {"vol": vol}, self._refused)

    def _start(self) -> Op[None]:
        self._credit = 0
        yield from self.session.wait(self._send("start", {}))

    def _send_samples(self, samples: memoryview) -> None:
        most = WRITE_MAX // self._pframe * self._pframe
        for begin in range(0, len(samples), most):
            self.session.post("write", [self.number, samples[begin : begin + most]])
        self._credit -= len(samples) // self._pframe

    def _end(self, drain: bool) -> Op[None]:
        self._ending += 1
        yield from self.session.wait(self._send("stop" if drain else "flush", {}, self._ended))

    def _ended(self, call: Call) -> None:
        self._ending -= 1
        self._refused(call)
        if not self._ending and self.state is State.DRAINING:
            self.state = self._act(Act.ANSWER)
            self._credit = 0

    def _close(self) -> Op[None]:
        self.state = self._act(Act.CLOSE)
        call = self._send_close()
        while not call.done:
            yield
            self.call_back()
        self._live()
        if call.error is not None:
            raise call.error

    def _let_go(self) -> None:
        if self._close_sent:
            return
        if self.state in STARTED or self.state is State.DRAINING:
            self._send("flush", {})
        self._send_close()

    def _send_close(self) -> Call:
        self._close_sent = True
        return self._send("close", {}, self._gone)

    def _gone(self, _call: Call) -> None:
        if self.session.streams.get(self.number) is self:
            del self.session.streams[self.number]

    def _send(self, method: str, args: dict[str, object], then: Callable[[Call], None] | None = None) -> Call:
        return self.session.send(method, {"stream": self.number, **args}, then)

    def _refused(self, call: Call) -> None:
        if call.error is not None:
            self.fail(call.error)
