"""Bytes to whole messages and back: the incremental scanner and the packers.

The scanner walks the MessagePack heads without recursion and without looking
at the same byte twice, and checks size, depth, keys and types *before* the
message is unpacked, so that no peer can make the unpacker recurse or allocate
for what was only announced.  No thread, no socket.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgpack

from audiod_protocol.errors import Breach, Fault, LocalProtocolError, RemoteProtocolError, breach_fault
from audiod_protocol.limits import ANSWER_MAX, DEPTH_MAX, ID_MAX, MSG_MAX, WRITE_MAX

__all__ = [
    "NOTIFICATION",
    "REQUEST",
    "RESPONSE",
    "FrameReader",
    "pack_error",
    "pack_notification",
    "pack_request",
    "pack_response",
    "unpack",
]

REQUEST, RESPONSE, NOTIFICATION = 0, 1, 2


# What a first byte announces: (kind, bytes of the length field or of the value, fixed count).
_SCALAR, _STR, _ARRAY, _MAP, _EXT, _BAD = range(6)


def _head(byte: int) -> tuple[int, int, int]:
    if byte <= 0x7F or byte >= 0xE0:
        return _SCALAR, 0, 0
    if byte <= 0x8F:
        return _MAP, 0, byte & 0x0F
    if byte <= 0x9F:
        return _ARRAY, 0, byte & 0x0F
    if byte <= 0xBF:
        return _STR, 0, byte & 0x1F
    return {
        0xC0: (_SCALAR, 0, 0),
        0xC2: (_SCALAR, 0, 0),
        0xC3: (_SCALAR, 0, 0),
        0xC4: (_STR, 1, 0),
        0xC5: (_STR, 2, 0),
        0xC6: (_STR, 4, 0),
        0xCA: (_SCALAR, 4, 0),
        0xCB: (_SCALAR, 8, 0),
        0xCC: (_SCALAR, 1, 0),
        0xCD: (_SCALAR, 2, 0),
        0xCE: (_SCALAR, 4, 0),
        0xCF: (_SCALAR, 8, 0),
        0xD0: (_SCALAR, 1, 0),
        0xD1: (_SCALAR, 2, 0),
        0xD2: (_SCALAR, 4, 0),
        0xD3: (_SCALAR, 8, 0),
        0xD9: (_STR, 1, 0),
        0xDA: (_STR, 2, 0),
        0xDB: (_STR, 4, 0),
        0xDC: (_ARRAY, 2, 0),
        0xDD: (_ARRAY, 4, 0),
        0xDE: (_MAP, 2, 0),
        0xDF: (_MAP, 4, 0),
        0xC1: (_BAD, 0, 0),
    }.get(byte, (_EXT, 0, 0))


_HEADS = tuple(_head(b) for b in range(256))


def _breach(breach: Breach, detail: str) -> RemoteProtocolError:
    fault = breach_fault(breach)
    return RemoteProtocolError(f"{fault.message}: {detail}", fault.hint)


class FrameReader:
    """Cuts a stream of bytes into whole messages.

    `feed` only stores; `next_message` returns the bytes of one checked message,
    or None while it is incomplete.  After a RemoteProtocolError every further
    call raises it again: there is no way back into step.
    """

    def __init__(self, size_max: int = MSG_MAX, depth_max: int = DEPTH_MAX) -> None:
        self.size_max = size_max
        self.depth_max = depth_max
        self._buf = bytearray()
        self._pos = 0  # scanned so far
        # elements still to come of each open container; a map holds 2 * pairs and ~ marks it
        self._left: list[int] = []
        self._maps: list[bool] = []
        self._error: RemoteProtocolError | None = None

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        self._buf += data

    @property
    def pending(self) -> int:
        """Bytes held that are not yet a whole message: not 0 at end of file means it was cut."""
        return len(self._buf)

    def next_message(self) -> bytes | None:
        if self._error is None:
            try:
                return self._scan()
            except RemoteProtocolError as error:
                self._error = error
                self._buf.clear()
        raise self._error

    def _scan(self) -> bytes | None:
        buf, end, left, maps = self._buf, len(self._buf), self._left, self._maps
        pos = self._pos
        while pos < end:
            byte = buf[pos]
            kind, width, count = _HEADS[byte]
            if not left and (kind != _ARRAY or pos):
                raise _breach(Breach.FORMAT, f"it begins with byte 0x{byte:02x}, which is not an array")
            if left and maps[-1] and left[-1] % 2 == 0 and kind != _STR:
                raise _breach(
                    Breach.FORMAT, f"a map's key begins with byte 0x{byte:02x}, which is not a string"
                )
            if kind >= _EXT:
                what = "which MessagePack never uses" if kind == _BAD else "an extension type"
                raise _breach(Breach.FORMAT, f"byte 0x{byte:02x}, {what}")
            after = pos + 1 + width
            if kind != _SCALAR and width:
                if after > end:
                    break
                count = int.from_bytes(buf[pos + 1 : after], "big")
            if kind == _STR:
                after += count
            elif kind in (_ARRAY, _MAP):
                count *= 1 + (kind == _MAP)
                if len(left) >= self.depth_max:
                    raise _breach(Breach.DEPTH, f"level {len(left) + 1}")
            # an element takes a byte at least, so what cannot fit is known now
            if after + (count if kind in (_ARRAY, _MAP) else 0) > self.size_max:
                raise _breach(Breach.SIZE, f"it announces {count} more at byte {pos}")
            if after > end:
                break
            pos = after
            if left:
                left[-1] -= 1
            if kind in (_ARRAY, _MAP):
                left.append(count)
                maps.append(kind == _MAP)
            while left and left[-1] == 0:
                left.pop()
                maps.pop()
            if not left:
                return self._cut(pos)
        self._pos = pos
        return None

    def _cut(self, size: int) -> bytes:
        message = bytes(memoryview(self._buf)[:size])
        del self._buf[:size]
        self._pos = 0
        return message


def _pairs(pairs: list[tuple[object, object]]) -> dict[object, object]:
    """A map with its names as str, the last of equal ones winning whatever their spelling."""
    return {name(key): value for key, value in pairs}


def name(value: object) -> object:
    """A name as str, were it sent as str or as bin; anything else (bin that is not text too) as it is."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    return value


def unpack(message: bytes) -> list[Any]:
    """Unpack one message that a FrameReader has checked.  Raises RemoteProtocolError."""
    try:
        value = msgpack.unpackb(message, raw=False, strict_map_key=False, object_pairs_hook=_pairs)
    except UnicodeDecodeError as error:
        raise RemoteProtocolError(
            f"a string is not UTF-8: {error.reason} at its byte {error.start}",
            "encode names as UTF-8; send other bytes as bin",
        ) from error
    except (ValueError, msgpack.UnpackException) as error:
        raise _breach(Breach.FORMAT, str(error) or type(error).__name__) from error
    if not isinstance(value, list):
        raise _breach(Breach.FORMAT, "it is not an array")
    return value


def _pack(message: list[object], size_max: int) -> bytes:
    try:
        data: bytes = msgpack.packb(message, use_bin_type=True)
    except (TypeError, ValueError, OverflowError) as error:
        raise LocalProtocolError(f"this cannot be sent: {error}", "use plain MessagePack values") from error
    if len(data) > size_max:
        raise LocalProtocolError(
            f"the message has {len(data)} bytes, more than {size_max}", "split it into smaller ones"
        )
    return data


def _id(id: int) -> int:
    if type(id) is not int or not 0 <= id <= ID_MAX:
        raise LocalProtocolError(f"{id!r} is not a message id", f"use an integer 0..{ID_MAX}")
    return id


def pack_request(id: int, method: str, args: Mapping[str, object] | None = None) -> bytes:
    """`[0, id, method, [args]]`.  Raises LocalProtocolError, as all of these."""
    return _pack([REQUEST, _id(id), method, [dict(args or {})]], MSG_MAX)


def pack_response(id: int, result: object) -> bytes:
    """`[1, id, nil, result]`."""
    return _pack([RESPONSE, _id(id), None, result], ANSWER_MAX)


def pack_error(id: int, fault: Fault) -> bytes:
    """`[1, id, {code, message, hint}, nil]`."""
    return _pack([RESPONSE, _id(id), fault.to_wire(), None], ANSWER_MAX)


def pack_notification(method: str, params: Sequence[object]) -> bytes:
    """`[2, method, params]`; samples (any buffer) of at most WRITE_MAX bytes."""
    for param in params:
        if isinstance(param, bytes | bytearray | memoryview) and memoryview(param).nbytes > WRITE_MAX:
            raise LocalProtocolError(
                f"{method} carries {memoryview(param).nbytes} bytes of samples, more than {WRITE_MAX}",
                "split them: any number of whole frames may go in one message",
            )
    return _pack([NOTIFICATION, method, list(params)], ANSWER_MAX)
