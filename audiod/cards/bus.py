"""Bus: one connection to the session's D-Bus, by jeepney, where both are there.

Owns the connection: what we call has a time limit, what calls us is answered, and
signals are handed on.  Control thread; nothing wakes up but for a message.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import trio

LIMIT = 2.0  # seconds for the connection, and for answers of the bus itself

Call = tuple[str, str, str, tuple[Any, ...]]  # who calls, path, interface.member, arguments
Answer = tuple[str, tuple[Any, ...]]  # signature and values
Heard = Callable[[str, tuple[Any, ...]], None]


class NoBusError(Exception):
    """There is no session's bus, or nothing to reach it with; `str()` says what is missing."""


class CallError(Exception):
    """A call has failed: `name` is D-Bus's of the error, `str()` its words."""

    def __init__(self, name: str, words: str = "") -> None:
        super().__init__(words or name)
        self.name = name


class Bus:
    """A connection; `answer` is asked for what calls us, `heard` is told of signals to us."""

    def __init__(self, connection: Any, answer: Callable[[Call], Awaitable[Answer]], heard: Heard) -> None:
        self._connection = connection
        self._answer = answer
        self._heard = heard
        self.name = str(connection.unique_name)
        self._waiting: dict[int, tuple[trio.Event, list[Any]]] = {}

    @staticmethod
    async def connect(environ: Mapping[str, str]) -> Any:
        """The connection that a Bus needs.  Raises NoBusError."""
        address = environ.get("DBUS_SESSION_BUS_ADDRESS", "")
        runtime = environ.get("XDG_RUNTIME_DIR", "")
        if not address and runtime.startswith("/"):
            address = f"unix:path={runtime}/bus"
        if not address:
            raise NoBusError("there is no session's bus: DBUS_SESSION_BUS_ADDRESS is not set")
        try:
            from jeepney.io.trio import open_dbus_connection
        except ImportError:
            raise NoBusError("jeepney is not installed: pip install 'audiod[reserve]'") from None
        try:
            with trio.fail_after(LIMIT):
                return await open_dbus_connection(address)
        except Exception as error:  # of the address, of the socket, of the other side
            raise NoBusError(f"{address}: {error or type(error).__name__}") from None

    async def call(
        self,
        where: tuple[str, str, str],
        member: str,
        signature: str = "",
        body: tuple[Any, ...] = (),
        limit: float = LIMIT,
    ) -> tuple[Any, ...]:
        """Call a method of (name, path, interface) on the bus.  Raises CallError."""
        from jeepney import DBusAddress, MessageType, new_method_call

        name, path, interface = where
        message = new_method_call(DBusAddress(path, name, interface), member, signature or None, body)
        serial = next(self._connection.outgoing_serial)
        event = trio.Event()
        answers: list[Any] = []
        self._waiting[serial] = event, answers
        try:
            with trio.fail_after(limit):
                await self._connection.send(message, serial=serial)
                await event.wait()
        except trio.TooSlowError:
            raise CallError("org.freedesktop.DBus.Error.Timeout", f"no answer in {limit:g} s") from None
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise CallError("org.freedesktop.DBus.Error.Disconnected", str(error)) from None
        finally:
            del self._waiting[serial]
        reply = answers[0] if answers else None
        if reply is None:
            raise CallError("org.freedesktop.DBus.Error.Disconnected", "the bus is gone")
        if reply.header.message_type is MessageType.error:
            words = next((str(word) for word in reply.body if isinstance(word, str)), "")
            raise CallError(_field(reply, "error_name"), words)
        return tuple(reply.body)

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Take what comes, until the bus is gone."""
        from jeepney import MessageType

        try:
            async with trio.open_nursery() as nursery:
                task_status.started()
                while True:
                    try:
                        message = await self._connection.receive()
                    except (trio.EndOfChannel, trio.BrokenResourceError, trio.ClosedResourceError):
                        break
                    kind = message.header.message_type
                    if kind is MessageType.method_call:
                        nursery.start_soon(self._called, message)
                    elif kind is MessageType.signal:
                        if _field(message, "sender") == "org.freedesktop.DBus":
                            self._heard(_field(message, "member"), tuple(message.body))
                    else:
                        self._replied(message)
                nursery.cancel_scope.cancel()
        finally:
            for event, _ in self._waiting.values():
                event.set()
            with trio.CancelScope(shield=True):
                await self._connection.aclose()

    def _replied(self, message: Any) -> None:
        found = self._waiting.get(_field(message, "reply_serial") or 0)
        if found is not None:
            event, answers = found
            answers.append(message)
            event.set()

    async def _called(self, message: Any) -> None:
        from jeepney import MessageFlag, new_error, new_method_return

        sender, path = _field(message, "sender"), _field(message, "path")
        member = f"{_field(message, 'interface')}.{_field(message, 'member')}"
        try:
            signature, values = await self._answer((sender, path, member, tuple(message.body)))
            reply = new_method_return(message, signature or None, values)
        except CallError as error:
            reply = new_error(message, error.name, "s", (str(error),))
        if not message.header.flags & MessageFlag.no_reply_expected:
            try:
                await self._connection.send(reply)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return  # `serve` finds out


def _field(message: Any, name: str) -> Any:
    from jeepney import HeaderFields

    return message.header.fields.get(HeaderFields[name], "")
