"""The wire table: every valid message in every spelling, every kind of garbage.

Each is read whole, byte by byte, and with the next message behind it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from audiod_protocol import (
    NEED_DATA,
    Connection,
    Event,
    Fault,
    Notification,
    RemoteProtocolError,
    Request,
    Response,
    Role,
)

EventOf = Callable[[dict[str, Any]], Event]
NEXT = bytes.fromhex("9302a4 6c617465 90".replace(" ", ""))  # [2, "late", []]


def receiver(to: str, event: Event | None = None) -> Connection:
    """A connection that awaits the answer, if `event` is one."""
    wire = Connection(Role(to))
    if isinstance(event, Response):
        wire._waiting[event.id] = "open"
    return wire


def same(got: object, want: object) -> bool:
    """Equal, and of the same types; NaN equals itself here."""
    if isinstance(want, float) and math.isnan(want):
        return isinstance(got, float) and math.isnan(got)
    if isinstance(want, dict):
        return (
            isinstance(got, dict) and got.keys() == want.keys() and all(same(got[k], want[k]) for k in want)
        )
    if isinstance(want, list):
        return isinstance(got, list) and len(got) == len(want) and all(map(same, got, want))
    if isinstance(want, bytes):
        return isinstance(got, bytes) and got == want
    return type(got) is type(want) and got == want


def same_event(got: object, want: Event) -> bool:
    return type(got) is type(want) and all(
        same(getattr(got, name), getattr(want, name)) for name in want.__dataclass_fields__
    )


def test_each_spelling_whole(message_case: dict[str, Any], event_of: EventOf) -> None:
    want = event_of(message_case["event"])
    for spelling in message_case["spellings"]:
        wire = receiver(message_case["to"], want)
        wire.receive_data(bytes.fromhex(spelling["hex"]))
        got = wire.next_event()
        assert same_event(got, want), spelling["how"]
        assert wire.next_event() is NEED_DATA
        wire.receive_eof()


def test_each_spelling_by_itself(message_case: dict[str, Any], event_of: EventOf) -> None:
    want = event_of(message_case["event"])
    for spelling in message_case["spellings"]:
        wire = receiver(message_case["to"], want)
        assert same_event(wire.decode(bytes.fromhex(spelling["hex"])), want), spelling["how"]


def test_each_spelling_byte_by_byte(message_case: dict[str, Any], event_of: EventOf) -> None:
    want = event_of(message_case["event"])
    for spelling in message_case["spellings"]:
        wire = receiver(message_case["to"], want)
        data = bytes.fromhex(spelling["hex"])
        for i in range(len(data) - 1):
            wire.receive_data(data[i : i + 1])
            assert wire.next_event() is NEED_DATA, (spelling["how"], i)
        with pytest.raises(RemoteProtocolError, match="closed within a message"):
            wire.receive_eof()
        wire.receive_data(memoryview(data)[-1:])
        assert same_event(wire.next_event(), want), spelling["how"]


def test_each_spelling_with_trailing_data(message_case: dict[str, Any], event_of: EventOf) -> None:
    want = event_of(message_case["event"])
    for spelling in message_case["spellings"]:
        wire = receiver(message_case["to"], want)
        data = bytes.fromhex(spelling["hex"])
        wire.receive_data(data + NEXT + NEXT[:4])
        assert same_event(wire.next_event(), want), spelling["how"]
        assert wire.next_event() == Notification("late", [])
        assert wire.next_event() is NEED_DATA
        wire.receive_data(NEXT[4:])
        assert wire.next_event() == Notification("late", [])
        with pytest.raises(RemoteProtocolError, match="not exactly one message"):
            receiver(message_case["to"], want).decode(data + NEXT)


def send(peer: Connection, event: Event) -> bytes:
    if isinstance(event, Request):
        peer._next_id = event.id
        id, data = peer.send_request(event.method, **event.args)
        assert id == event.id
        return data
    if isinstance(event, Response):
        if event.error is not None:
            return peer.send_error(event.id, event.error)
        return peer.send_response(event.id, event.result)
    assert isinstance(event, Notification)
    return peer.send_notification(event.method, event.params)


def test_what_we_send_is_the_smallest_spelling(message_case: dict[str, Any], event_of: EventOf) -> None:
    spelling, want = message_case["spellings"][0], event_of(message_case["event"])
    data = send(Connection("client" if message_case["to"] == "server" else "server"), want)
    ours = spelling["how"] == "smallest" and message_case["name"] != "devices, no arguments at all"
    if isinstance(want, Request) and None in want.args.values():
        ours = False  # None means "left out" here
        want = Request(want.id, want.method, {k: v for k, v in want.args.items() if v is not None})
    assert (data.hex() == spelling["hex"]) is ours
    assert same_event(receiver(message_case["to"], want).decode(data), want)


def test_spellings_differ(vectors: Callable[[str, str], list[Any]]) -> None:
    for case in vectors("messages.json", "messages"):
        hexes = [spelling["hex"] for spelling in case["spellings"]]
        assert len(set(hexes)) == len(hexes), case["name"]
    kinds = {
        case["event"]["method"] for case in vectors("messages.json", "messages") if "method" in case["event"]
    }
    assert {"hello", "write", "data", "onmove", "error"} <= kinds


def feed_until_error(wire: Connection, data: bytes, step: int) -> RemoteProtocolError | None:
    """The error, once the bytes so far show it."""
    for i in range(0, len(data), step):
        wire.receive_data(data[i : i + step])
        try:
            while wire.next_event() is not NEED_DATA:
                pass
        except RemoteProtocolError as error:
            return error
    return None


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_garbage_is_a_breach(garbage_case: dict[str, Any], step: int) -> None:
    data = bytes.fromhex(garbage_case["hex"])
    wire = receiver(garbage_case["to"])
    error = feed_until_error(wire, data, step)
    assert error is not None, "nobody noticed"
    assert garbage_case["says"] in f"{error.message} ({error.hint})"
    words = {
        "format": "not a MessagePack-RPC message",
        "depth": "nested deeper than 16",
        "size": "larger than",
        "message": "",
    }
    assert words[garbage_case["breach"]] in error.message
    assert error.hint
    assert error.fault == Fault("EPROTO", error.message, error.hint)


def test_garbage_by_itself(garbage_case: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError):
        receiver(garbage_case["to"]).decode(bytes.fromhex(garbage_case["hex"]))


def test_what_follows_garbage(garbage_case: dict[str, Any]) -> None:
    wire = receiver(garbage_case["to"])
    assert feed_until_error(wire, bytes.fromhex(garbage_case["hex"]), 10_000)
    wire.receive_data(NEXT)
    if (
        garbage_case["breach"] == "message"
    ):  # the stream of bytes is still in step; whoever heard of it closes
        assert wire.next_event() == Notification("late", [])
        return
    with pytest.raises(RemoteProtocolError):
        wire.next_event()


def test_a_message_before_the_garbage_is_delivered() -> None:
    wire = Connection("server")
    wire.receive_data(NEXT + b"\xc1")
    assert wire.next_event() == Notification("late", [])
    with pytest.raises(RemoteProtocolError, match="0xc1"):
        wire.next_event()
