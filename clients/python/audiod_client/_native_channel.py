"""A native stream as a channel: prepared, paused, resumed, and asked for its status.

Invariants: a refusal is raised as Refused and changes nothing; what the server
stops by itself is written to no more until it is prepared again.  Runs in the
caller's thread.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from audiod_protocol.channel import STOPPED
from audiod_protocol.params import Mode, Par
from audiod_protocol.states import State

from audiod_client._native_stream import NativeStream
from audiod_client._stream import STARTED
from audiod_client.errors import Refused, StreamError

if TYPE_CHECKING:
    from audiod_client._native_session import Call, NativeSession

__all__ = ["ChannelStream", "StatusEvent"]

T = TypeVar("T")
Op = Generator[None, None, T]


@dataclass(frozen=True)
class StatusEvent:
    """An `onstatus` notification: `event` state, mute, ducking, underrun, overrun or route, and its facts."""

    event: str
    detail: dict[str, Any] = field(default_factory=dict)


class ChannelStream(NativeStream):
    """Every stream of the native protocol."""

    def __init__(self, session: NativeSession, number: int, mode: Mode, opened: dict[str, Any]) -> None:
        super().__init__(session, number, mode, opened)
        self._why: Refused | None = None  # the server has stopped it
        self._playing_out = False

    def channel(self, call: str, *args: Any) -> Op[Any]:
        return (yield from getattr(self, f"_channel_{call}")(*args))

    # ---- what the server tells ----

    def _halted(self, state: str, detail: dict[str, Any]) -> None:
        if state not in STOPPED:
            return
        self._rest()
        again = "set its parameters again, then prepare it" if state == "change" else "prepare it again"
        reason = detail.get("reason") or "the server does not say why"
        self._why = Refused("EBADFD", f"stream {self.number} has stopped ({state}): {reason}", again)

    def _heard(self, event: str, detail: dict[str, Any]) -> None:
        self._callbacks.note("status", StatusEvent(event, detail))

    def _start(self) -> Op[None]:
        self._why = None
        return super()._start()

    def _rest(self) -> None:
        """It is not started any more."""
        self.state = State.READY
        self.prepared = False
        self._credit = 0
        self._partial = b""
        self._recorded.clear()

    # ---- calls ----

    def _ask(self, method: str, **args: object) -> Op[Any]:
        return (yield from self._answer(self._send(method, args)))

    def _answer(self, call: Call) -> Op[Any]:
        """The result of a request; its refusal as Refused."""
        try:
            return (yield from self.session.wait(call))
        except StreamError as err:
            if self.session.error is not None or self.error is not None:
                raise
            raise Refused(err.code, err.message, err.hint) from err

    def _channel_setpar(self, asked: Par, more: dict[str, object]) -> Op[bool]:
        def done(call: Call) -> None:
            if call.error is None and self.state in STARTED:
                self._rest()

        call = self._send("setpar", {"par": asked.to_wire(), **more}, done)
        self._take_par("setpar", (yield from self._answer(call)))
        self._why = None
        return True

    def _channel_prepare(self) -> Op[bool]:
        yield from self._getpar()

        def done(call: Call) -> None:
            if call.error is None:
                self._rest()
                self._begin()
                self._why = None
                self.prepared = True
                self.state = State.PRIMING

        yield from self._answer(self._send("prepare", {}, done))
        return True

    def _channel_go(self) -> Op[bool]:
        yield from self._ask("go")
        return True

    def _channel_pause(self) -> Op[bool]:
        yield from self._ask("pause")
        return True

    def _channel_resume(self) -> Op[bool]:
        yield from self._ask("resume")
        return True

    def _channel_play_out(self) -> Op[bool]:
        if self.state in STARTED:
            yield from self._complete_frame()
        self._playing_out = True

        def done(call: Call) -> None:
            self._playing_out = False
            if call.error is None:
                self._rest()

        yield from self._answer(self._send("play_out", {}, done))
        return True

    def _channel_discard(self) -> Op[bool]:
        def done(call: Call) -> None:
            if call.error is None:
                self._rest()
                self._why = None

        yield from self._answer(self._send("discard", {}, done))
        return True

    def _channel_status(self, channel: str | None) -> Op[dict[str, Any]]:
        args = {} if channel is None else {"channel": channel}
        result = yield from self._ask("status", **args)
        record = result.get("record") if isinstance(result, dict) else None
        if not isinstance(record, dict):
            raise StreamError("EPROTO", "the answer to status is not complete", "update the server")
        return record

    def _channel_link(self, group: str | None) -> Op[bool]:
        yield from self._ask("link", group=group)
        return True

    def _channel_force_ducking(self, on: bool) -> Op[bool]:
        yield from self._ask("force_ducking", on=on)
        return True

    def _direction(self, mode: Mode, what: str) -> None:
        if mode in self.mode and self.error is None:
            if self._why is not None:
                raise self._why
            if self._playing_out and what == "write":
                raise Refused(
                    "EBADFD", f"write: stream {self.number} plays out", "wait for the end of play_out"
                )
        super()._direction(mode, what)
