"""A raw client of the native protocol: any bytes out, whole messages in, nothing checked on the way.

`Native` is one blocking socket.  Against a process `call` and `until` wait for
what must come; against a server in the same thread `messages` takes what is
there.  It holds to no rule of the protocol, so that tests can break each of them.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack

PATIENCE = 60  # seconds until a test gives up on an answer: never reached when all is well
Message = list[Any]


class Refused(Exception):
    """The server refused a request; `code` and `message` are those of its error map."""

    def __init__(self, error: dict[str, str]) -> None:
        super().__init__(f"{error['code']}: {error['message']} ({error['hint']})")
        self.code, self.message, self.hint = error["code"], error["message"], error["hint"]


class Native:
    """One connection; `seen` keeps every message in the order of its coming."""

    def __init__(self, path: Path | str, *, hello: str | None = "test") -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(path))  # waits where the backlog is full; with a timeout it would not
        self.sock.settimeout(PATIENCE)
        self.seen: list[Message] = []
        self.asked: dict[int, str] = {}  # id -> method
        self.eof = False
        self._unpacker = msgpack.Unpacker(raw=False, strict_map_key=False)
        self._next_id = 0
        if hello is not None:
            self.request("hello", version=1, client=hello)

    def __enter__(self) -> Native:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    # ---- out ----

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def request(self, method: str, **args: object) -> int:
        """Send a request and do not wait; returns its id."""
        ident, self._next_id = self._next_id, self._next_id + 1
        self.asked[ident] = method
        self.send(request(ident, method, **args))
        return ident

    def note(self, method: str, *params: object) -> None:
        self.send(msgpack.packb([2, method, list(params)]))

    def write(self, stream: int, data: bytes) -> None:
        """One or more `write`, cut at 64 KB."""
        for at in range(0, len(data), 61440):
            self.note("write", stream, data[at : at + 61440])

    # ---- in ----

    def _take(self) -> list[Message]:
        new: list[Message] = list(self._unpacker)
        self.seen += new
        return new

    def messages(self) -> list[Message]:
        """What has come and was not taken yet, without waiting."""
        self.sock.settimeout(0)
        while not self.eof:
            try:
                data = self.sock.recv(1 << 18)
            except BlockingIOError:
                break
            except ConnectionResetError:
                data = b""
            self.eof = not data
            self._unpacker.feed(data)
        self.sock.settimeout(PATIENCE)
        return self._take()

    def until(self, wanted: Callable[[Message], bool]) -> Message:
        """Wait for a message; EOFError if the server closes first."""
        while True:
            for message in self._unpacker:
                self.seen.append(message)
                if wanted(message):
                    return message
            try:
                data = self.sock.recv(1 << 18)
            except ConnectionResetError:
                data = b""
            if not data:
                self.eof = True
                raise EOFError(f"closed; the last it said: {self.seen[-3:]}")
            self._unpacker.feed(data)

    def answer(self, ident: int) -> Any:
        """The result of a request; raises Refused."""
        for message in self.seen:
            if message[0] == 1 and message[1] == ident:
                break
        else:
            message = self.until(lambda m: m[0] == 1 and m[1] == ident)
        if message[2] is not None:
            raise Refused(message[2])
        return message[3]

    def call(self, method: str, **args: object) -> Any:
        """Send a request and wait for its result; raises Refused."""
        return self.answer(self.request(method, **args))

    def noted(self, method: str, *params: object) -> Message:
        """Wait for a notification that begins with these params (one that came before counts)."""

        def wanted(message: Message) -> bool:
            return message[:2] == [2, method] and message[2][: len(params)] == list(params)

        return next((m for m in self.seen if wanted(m)), None) or self.until(wanted)

    def last_words(self) -> list[Message]:
        """Everything until the server closes; what was taken before is not repeated."""
        before = len(self.seen)
        with contextlib.suppress(EOFError):
            self.until(lambda message: False)
        return self.seen[before:]

    # ---- streams ----

    def stream(self, mode: str = "play", *, start: bool = True, open: dict[str, object] | None = None,
               **par: object) -> int:  # fmt: skip
        """Open, set parameters, start; returns its number.  Waits for the answers."""
        number: int = self.call("open", mode=mode, **(open or {}))["stream"]
        if par:
            self.call("setpar", stream=number, par=par)
        if start:
            self.call("start", stream=number)
        return number


def request(ident: int, method: str, **args: object) -> bytes:
    data: bytes = msgpack.packb([0, ident, method, [args]])
    return data
