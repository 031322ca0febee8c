"""The scanner alone: limits to the byte, nothing allocated for announcements, any bytes, any split."""

from __future__ import annotations

import struct
import tracemalloc
from typing import Any

import msgpack
import pytest
from audiod_protocol import (
    ANSWER_MAX,
    DEPTH_MAX,
    MSG_MAX,
    WRITE_MAX,
    Connection,
    Event,
    FrameReader,
    LocalProtocolError,
    RemoteProtocolError,
    pack_error,
    pack_notification,
    pack_request,
    pack_response,
)
from audiod_protocol.errors import Code, Fault
from audiod_protocol.framing import unpack
from hypothesis import given, settings
from hypothesis import strategies as st

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | NAMES
    | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=20,
)
MESSAGES = st.tuples(st.just(2), NAMES.filter(bool), st.lists(VALUES, max_size=4)).map(list)


def depth(value: Any) -> int:
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 0


def read_all(data: bytes, size_max: int = MSG_MAX) -> list[bytes]:
    reader = FrameReader(size_max)
    reader.feed(data)
    out = []
    while (message := reader.next_message()) is not None:
        out.append(message)
    return out


@given(st.lists(MESSAGES, min_size=1, max_size=4), st.data())
@settings(max_examples=80, deadline=None, derandomize=True)
def test_any_messages_in_any_split(messages: list[Any], data: st.DataObject) -> None:
    wire = [msgpack.packb(message) for message in messages if depth(message) <= DEPTH_MAX]
    stream = b"".join(wire)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    reader, got = FrameReader(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        reader.feed(stream[start:end])
        while (message := reader.next_message()) is not None:
            got.append(message)
    assert got == wire
    assert reader.pending == 0
    assert [unpack(message) for message in got] == [m for m in messages if depth(m) <= DEPTH_MAX]


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_bytes_are_messages_or_a_clean_error(data: bytes) -> None:
    for role in ("server", "client"):
        _drain(Connection(role), data)


@given(st.integers(3, 4), st.binary(max_size=200))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_bytes_that_begin_well(count: int, data: bytes) -> None:
    for kind in (0, 1, 2):
        for role in ("server", "client"):
            _drain(Connection(role), bytes([0x90 | count, kind]) + data)


def _drain(wire: Connection, data: bytes) -> None:
    wire.receive_data(data)
    try:
        for _ in range(len(data) + 1):  # each event takes a byte at least
            event = wire.next_event()
            if not isinstance(event, Event):
                return
    except RemoteProtocolError as error:
        assert error.message and error.fault.code == Code.EPROTO
        return
    raise AssertionError("more events than bytes")


@given(MESSAGES, st.integers(0, 2**32), st.integers(0, 255))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_one_byte_changed(message: Any, where: int, what: int) -> None:
    data = bytearray(msgpack.packb(message))
    data[where % len(data)] = what
    _drain(Connection("server"), bytes(data))


def padded(size: int) -> bytes:
    """A valid notification of exactly `size` bytes."""
    head = b"\x93\x02\xa1x\x91\xc6"
    return head + struct.pack(">I", size - len(head) - 4) + bytes(size - len(head) - 4)


@pytest.mark.parametrize("limit", [64, MSG_MAX, ANSWER_MAX])
def test_size_to_the_byte(limit: int) -> None:
    assert read_all(padded(limit) + padded(40), limit) == [padded(limit), padded(40)]
    with pytest.raises(RemoteProtocolError, match="larger than"):
        read_all(padded(limit + 1)[:10], limit)


def test_the_limit_counts_per_message() -> None:
    assert len(read_all(padded(MSG_MAX) * 3)) == 3


def test_elements_are_counted_as_a_byte_at_least() -> None:
    body = b"\xdd" + struct.pack(">I", MSG_MAX - 5) + b"\x01" * (MSG_MAX - 5)
    assert read_all(body) == [body]
    with pytest.raises(RemoteProtocolError, match="larger than"):
        read_all(b"\xdd" + struct.pack(">I", MSG_MAX - 4))


@pytest.mark.parametrize(
    "opener", [b"\x91", b"\xdc\x00\x01", b"\xdd\x00\x00\x00\x01", b"\x81\xa1k", b"\xde\x00\x01\xa0"]
)
def test_depth_to_the_level(opener: bytes) -> None:
    inner = opener * (DEPTH_MAX - 1)
    assert read_all(b"\x91" + inner + b"\xc0") == [b"\x91" + inner + b"\xc0"]
    for innermost in (b"\x90", b"\x80", b"\x91"):
        with pytest.raises(RemoteProtocolError, match="level 17"):
            read_all(b"\x91" + inner + innermost)


def test_breadth_is_not_depth() -> None:
    message = b"\xdc\x10\x00" + b"\x91\x90" * 4096
    assert read_all(message) == [message]


def test_a_bomb_of_megabytes_stops_at_level_17() -> None:
    reader = FrameReader()
    reader.feed(b"\x91" * 4_000_000)
    with pytest.raises(RemoteProtocolError, match="level 17"):
        reader.next_message()
    assert reader.pending == 0, "what follows a breach is not kept"


@pytest.mark.parametrize(
    "head",
    [
        b"\xdb\x7f\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdf\x7f\xff\xff\xff",
    ],
)
def test_announcements_allocate_nothing(head: bytes) -> None:
    reader = FrameReader()
    tracemalloc.start()
    try:
        reader.feed(b"\x94\x00\x01" + head)
        with pytest.raises(RemoteProtocolError, match="announces"):
            reader.next_message()
        assert tracemalloc.get_traced_memory()[1] < 64 * 1024
    finally:
        tracemalloc.stop()


def test_a_byte_is_looked_at_once() -> None:
    class Counting(bytearray):
        reads = 0

        def __getitem__(self, index: Any) -> Any:
            Counting.reads += 1
            return super().__getitem__(index)

    message = msgpack.packb([2, "x", [[i, str(i)] for i in range(500)]])
    reader = FrameReader()
    reader._buf = Counting()
    for i in range(len(message)):
        reader.feed(message[i : i + 1])
        reader.next_message()
    # heads whose length is cut are read again with each byte of it, all else once, slices included
    assert Counting.reads < 2 * len(message)


def test_unpack_of_what_no_reader_has_checked() -> None:
    with pytest.raises(RemoteProtocolError, match="not an array"):
        unpack(b"\x01")
    with pytest.raises(RemoteProtocolError, match="not a MessagePack-RPC message"):
        unpack(b"\x92\x01")
    with pytest.raises(RemoteProtocolError, match="not a MessagePack-RPC message"):
        unpack(b"\x91" * 3000 + b"\xc0")


def test_packers_spell_the_four_shapes() -> None:
    assert unpack(pack_request(7, "stop", {"stream": 3})) == [0, 7, "stop", [{"stream": 3}]]
    assert unpack(pack_request(7, "devices")) == [0, 7, "devices", [{}]]
    assert unpack(pack_response(7, {"a": 1})) == [1, 7, None, {"a": 1}]
    fault = Fault(Code.ENODEV, "gone", "plug it in")
    want = [1, 7, {"code": "ENODEV", "message": "gone", "hint": "plug it in"}, None]
    assert unpack(pack_error(7, fault)) == want
    assert unpack(pack_notification("write", [3, b"ab"])) == [2, "write", [3, b"ab"]]


def test_samples_of_any_buffer() -> None:
    want = pack_notification("write", [0, bytes(6)])
    assert pack_notification("write", [0, bytearray(6)]) == want
    assert pack_notification("write", [0, memoryview(bytearray(6)).cast("h")]) == want


def test_the_largest_write_fits() -> None:
    assert len(pack_notification("write", [1023, bytes(WRITE_MAX)])) <= MSG_MAX
    for samples in (bytes(WRITE_MAX + 1), memoryview(bytearray(WRITE_MAX + 2)).cast("h")):
        with pytest.raises(LocalProtocolError, match="of samples, more than 65536") as caught:
            pack_notification("write", [0, samples])
        assert "split" in caught.value.hint


@pytest.mark.parametrize("value", [object(), 2**64, -(2**63) - 1, "\ud800", {1, 2}])
def test_what_cannot_be_packed(value: object) -> None:
    with pytest.raises(LocalProtocolError, match="cannot be sent"):
        pack_response(0, {"a": value})


def test_what_is_too_large_to_send() -> None:
    pack_request(0, "x", {"a": "b" * (MSG_MAX - 100)})
    with pytest.raises(LocalProtocolError, match="more than 81920"):
        pack_request(0, "x", {"a": "b" * MSG_MAX})
    pack_response(0, "b" * (ANSWER_MAX - 100))
    with pytest.raises(LocalProtocolError, match="more than 262144"):
        pack_response(0, "b" * ANSWER_MAX)


@pytest.mark.parametrize("id", [-1, 2**32, True, 1.0, "1", None])
def test_ids_that_are_none(id: Any) -> None:
    with pytest.raises(LocalProtocolError, match="not a message id"):
        pack_response(id, None)
