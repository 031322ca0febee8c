"""Descriptors: what a control connection of sndio's wire says of each control, in both sizes.

A DATA on it carries whole descriptors, 128 bytes each or, to clients of libsndio
up to 1.9, their first 92.  Invariant: every byte that says nothing is 0, so that
nothing of ours leaks; `read(pack(d)) == d` for what fits.  No thread, no socket.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from audiod_protocol.errors import LocalProtocolError, RemoteProtocolError
from audiod_protocol.sndio.messages import Data, encode

__all__ = [
    "ADDR_MAX",
    "BATCH_MAX",
    "DISPLAY_MAX",
    "SIZE",
    "SIZE_OLD",
    "WORD_MAX",
    "Descriptor",
    "Kind",
    "Node",
    "batches",
    "fit",
    "read",
]

SIZE: Final = 128
SIZE_OLD: Final = 92  # CTLSUB_OLD's: without `display`
BATCH_MAX: Final = 2048  # bytes in one DATA: libsndio keeps 16 descriptors
WORD_MAX: Final = 11  # bytes of a name that every libsndio knows whole; HEAD's keeps 15
DISPLAY_MAX: Final = 31  # bytes; 1.10 shows 11 of them
ADDR_MAX: Final = 0xFFFF

_HINT: Final = "this is the server's mistake: check that it is sndiod or audiod, and its version"
_LAYOUT: Final = struct.Struct(">16sh2x16sh2x16s16sB1xHHH16x32s")
assert _LAYOUT.size == SIZE


class Kind(enum.IntEnum):
    """What a control is."""

    NONE = 0  # it is there no longer
    NUM = 2  # a number
    SW = 3  # off or on
    VEC = 4  # a number, one of several of `node0` told apart by `node1`
    LIST = 5  # likewise, off or on
    SEL = 6  # likewise, and one of them is on


@dataclass(frozen=True)
class Node:
    """What a control acts on; `unit` -1: there is one."""

    name: str = ""
    unit: int = -1


@dataclass(frozen=True)
class Descriptor:
    """A control, with its value 0..`most`: `group/node0.func`, of a VEC, LIST or SEL `[node1]`."""

    addr: int
    kind: Kind
    node0: Node
    func: str
    most: int
    value: int
    node1: Node = Node()
    group: str = ""
    display: str = ""

    def pack(self, *, old: bool = False) -> bytes:
        """Its bytes.  Raises LocalProtocolError if it does not fit."""
        try:
            data = _LAYOUT.pack(
                *_node(self.node0),
                *_node(self.node1),
                _text(self.func, 16),
                _text(self.group, 16),
                self.kind,
                self.addr,
                self.most,
                self.value,
                b"" if old else _text(self.display, 32),
            )
        except (struct.error, UnicodeEncodeError) as error:
            raise LocalProtocolError(f"{self} cannot be sent: {error}", "use values that fit") from error
        return data[:SIZE_OLD] if old else data


def _node(node: Node) -> tuple[bytes, int]:
    return _text(node.name, 16), node.unit


def _text(text: str, size: int) -> bytes:
    """As a field of `size` bytes has it, the 0 included; what is behind it struct fills with zeros."""
    data = text.encode()
    if len(data) >= size or 0 in data:
        raise LocalProtocolError(f"the text {text!r} cannot be sent", f"use {size - 1} bytes at most")
    return data


def fit(text: str, size: int) -> str:
    """As much of a text as a field of at most `size` bytes holds, without control characters."""
    return "".join(c for c in text if c.isprintable()).encode(errors="replace")[:size].decode(errors="ignore")


def batches(descriptors: Iterable[Descriptor], *, old: bool = False) -> Iterator[bytes]:
    """DATA messages with their payload, as few as there can be."""
    payload = b""
    for one in descriptors:
        data = one.pack(old=old)
        if len(payload) + len(data) > BATCH_MAX:
            yield encode(Data(len(payload))) + payload
            payload = b""
        payload += data
    if payload:
        yield encode(Data(len(payload))) + payload


def read(data: bytes) -> Descriptor:
    """The opposite of `pack`: of SIZE or SIZE_OLD bytes.  Raises RemoteProtocolError."""
    if len(data) not in (SIZE, SIZE_OLD):
        raise RemoteProtocolError(f"a descriptor of {len(data)} bytes", _HINT)
    name0, unit0, name1, unit1, func, group, kind, addr, most, value, display = _LAYOUT.unpack(
        data.ljust(SIZE, b"\0")
    )
    try:
        known = Kind(kind)
    except ValueError:
        raise RemoteProtocolError(f"a control of type {kind}", _HINT) from None
    return Descriptor(
        addr,
        known,
        Node(_word(name0), unit0),
        _word(func),
        most,
        value,
        Node(_word(name1), unit1),
        _word(group),
        _word(display),
    )


def _word(field: bytes) -> str:
    name, end, _ = field.partition(b"\0")
    if not end:
        raise RemoteProtocolError("a name in a descriptor does not end", _HINT)
    return name.decode(errors="backslashreplace")
