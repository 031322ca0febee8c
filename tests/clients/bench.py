"""A client's core on a bench: the server's end is in the test's hand, every byte and every order."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from audiod_client._native_session import NativeSession
from audiod_client._native_stream import NativeStream
from audiod_protocol.connection import NEED_DATA, Connection
from audiod_protocol.events import Request
from audiod_protocol.params import Enc, Par

S16 = Par(rate=48000, pchan=2, rchan=2, appbufsz=960, bufsz=2880, round=480).with_enc(Enc.parse("s16le"))


class Bench:
    """A session, and the server's end of it in the test's hand."""

    def __init__(self, mode: str = "play", par: Par = S16) -> None:
        self.session = NativeSession("bench")
        self.wire = Connection("server")
        self.par = par
        self.heard: list[Any] = []
        opening = self.session.open("default", mode, None, None, None)
        opened = {"stream": 0, "device": 0, "subdevice": "d", "mode": mode}
        self.stream: NativeStream = self.finish(opening, opened)

    def hear(self) -> list[Any]:
        """What the client has sent since the last time."""
        self.wire.receive_data(bytes(self.session.out))
        self.session.sent(len(self.session.out))
        events = []
        while (event := self.wire.next_event()) is not NEED_DATA:
            events.append(event)
        self.heard += events
        return events

    def say(self, method: str, *params: object) -> None:
        self.session.receive(self.wire.send_notification(method, list(params)))

    def answer(self, request: Request, result: object = None) -> None:
        self.session.receive(self.wire.send_response(request.id, result or {"stream": 0}))

    def finish(self, op: Generator[None, None, Any], *results: object) -> Any:
        """Run an operation, answering its requests one after the other (getpar: by itself)."""
        answers = list(results)
        try:
            while True:
                next(op)
                events = self.hear()
                assert events, "the operation waits for nothing that it asked for"
                for event in events:
                    if isinstance(event, Request):
                        if event.method == "getpar":
                            self.answer(event, {"par": self.par.to_wire()})
                        else:
                            self.answer(event, answers.pop(0) if answers else None)
        except StopIteration as stop:
            return stop.value

    def start(self, credit: int = 0) -> NativeStream:
        assert self.finish(self.stream.run(self.stream.start(), False))
        if credit:
            self.say("credit", 0, credit)
        return self.stream

    def samples(self) -> bytes:
        """All the samples that the client has sent."""
        self.hear()
        return b"".join(e.params[1] for e in self.heard if e.method == "write")


def result(op: Generator[None, None, Any]) -> Any:
    """The result of an operation that must not wait."""
    with pytest.raises(StopIteration) as stop:
        next(op)
    return stop.value.value
