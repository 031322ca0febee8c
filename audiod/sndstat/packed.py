"""Packed: a listing as bytes of an nvlist, and in pages as maps, without walking what has not changed.

A thousand channels of thirty pairs each are too many to be packed one by one while
the control thread has other things to do: of each channel the pairs that stay are
kept as bytes, and the few that move are written by one call.  Invariant: the bytes
are those that nvlist.pack makes of schema.tree.  Control thread; pure.
"""

from __future__ import annotations

import struct
from functools import lru_cache

from audiod_protocol import nvlist
from audiod_protocol.nvlist import NvType

from audiod.sndstat import schema
from audiod.sndstat.model import EngineDevice, Fixed, Head, Now, Snapshot, UserDevice
from audiod.sndstat.schema import CHANNELS, DSPS, Form, Row

HEADS_KEPT = 256  # devices whose bytes are kept: several times those that a server has
PIECE_MAX = 192 * 1024  # bytes of a packed list in one answer: three quarters of what may wait for a client
PAGE_MAX = 160 * 1024  # bytes of maps in one answer, at most, which the last device may pass by 64 KiB

_SIZE = struct.Struct("<Q")
_PAIR = struct.Struct("<BHQQ")
_LIST = struct.Struct("<11sQ")
_LIST_BEGIN = bytes([nvlist.MAGIC]) + bytes(10)
_NEXT = _PAIR.pack(NvType.NEXT, 1, 0, 0) + b"\0"
_HEADER = nvlist.HEADER_SIZE


def _array_begin(name: str, count: int) -> bytes:
    text = name.encode() + b"\0"
    return _PAIR.pack(NvType.NVLIST_ARRAY, len(text), 0, count) + text


def _number_begin(name: str) -> bytes:
    text = name.encode() + b"\0"
    return _PAIR.pack(NvType.NUMBER, len(text), 8, 0) + text


_FIXED_KEYS = tuple(name.encode() + b"\0" for name in Fixed._fields)
_FIXED_NUMBERS = tuple(map(_number_begin, Fixed._fields))
_KEYS = tuple(map(_number_begin, Now._fields))
_NOW = struct.Struct("<" + "".join(f"{len(key)}sQ" for key in _KEYS) + f"{len(_NEXT)}s")
_DSPS_SIZE = len(_array_begin(DSPS, 0))
_CHANNELS_SIZE = len(_array_begin(CHANNELS, 0))
_CHANNEL_SIZE = _HEADER + _NOW.size  # but for what stays


def _fixed(fixed: Fixed) -> bytes:
    """The pairs of a channel that stay."""
    try:
        return fixed.packed
    except AttributeError:
        parts: list[bytes] = []
        for key, begin, value in zip(_FIXED_KEYS, _FIXED_NUMBERS, fixed, strict=True):
            if isinstance(value, int):
                parts += (begin, _SIZE.pack(value))
            else:
                text = str(value).encode("utf-8", "surrogateescape") + b"\0"
                parts += (_PAIR.pack(NvType.STRING, len(key), len(text), 0), key, text)
        fixed.packed = b"".join(parts)
        return fixed.packed


class _Piece:
    """An element: its bytes, where headers are in them, where channels go in and whose size they add to."""

    def __init__(self, pairs: list[nvlist.Pair], provider: str | None = None) -> None:
        self.data, self.heads = nvlist.element(pairs)
        self.cut = len(self.data)
        if provider is not None:
            behind = nvlist.pack([nvlist.string("provider", provider)])
            self.cut = len(self.data) - 2 * len(_NEXT) - (len(behind) - _HEADER)
            self.size_at = self.heads[-1] - len("provider_info") - 1 - 16


@lru_cache(maxsize=HEADS_KEPT)
def _head(head: Head) -> _Piece:
    return _Piece(schema.head_pairs(head, "final"), head.provider)


def _user(user: UserDevice) -> _Piece:
    """Kept with the device itself, which is frozen: it goes when that goes."""
    kept: dict[str, _Piece] = user.__dict__
    if "_piece" not in kept:
        kept["_piece"] = _Piece(schema.user_pairs(user, "final"))
    return kept["_piece"]


def size_of(user: UserDevice) -> int:
    """Bytes that it takes in a listing."""
    return len(_user(user).data)


class Packed:
    """One snapshot in one form; made when its size is first asked for."""

    def __init__(self, snapshot: Snapshot, form: Form) -> None:
        self._snapshot = snapshot
        self._form = form
        self._data: bytes | bytearray | None = None
        if form == "draft":
            self._data = nvlist.pack(schema.tree(snapshot, form))
            self.size = len(self._data)
            return
        self._heads = [_head(device.head) for device in snapshot.devices]
        self._users = [_user(user) for user in snapshot.users]
        self._inside = [_channels_size(device) for device in snapshot.devices]
        count = len(self._heads) + len(self._users)
        pieces = sum(len(piece.data) for piece in self._heads) + sum(len(one.data) for one in self._users)
        self.size = _HEADER + (_DSPS_SIZE + pieces + sum(self._inside) if count else 0)

    def data(self) -> bytes | bytearray:
        """All of it."""
        if self._data is None:
            self._data = self._join()
        return self._data

    def _join(self) -> bytearray:
        total, out = self.size, bytearray()
        count = len(self._heads) + len(self._users)
        out += _LIST.pack(_LIST_BEGIN, total - _HEADER)
        if count:
            out += _array_begin(DSPS, count)
        for piece, device, inside in zip(self._heads, self._snapshot.devices, self._inside, strict=True):
            begin = len(out)
            out += piece.data[: piece.cut]
            if inside:
                out += _array_begin(CHANNELS, len(device.now))
                out += _channels(device, total - len(out))
                (size,) = _SIZE.unpack_from(out, begin + piece.size_at)
                _SIZE.pack_into(out, begin + piece.size_at, size + inside)
            out += piece.data[piece.cut :]
            _fill(out, begin, piece, total)
        for piece in self._users:
            begin = len(out)
            out += piece.data
            _fill(out, begin, piece, total)
        return out


def _fill(out: bytearray, begin: int, piece: _Piece, total: int) -> None:
    for at in piece.heads:
        _SIZE.pack_into(out, begin + at + 11, total - begin - at - _HEADER)


def _channels_size(device: EngineDevice) -> int:
    if not device.now:
        return 0
    stays = sum(len(_fixed(fixed)) for fixed in device.fixed)
    return _CHANNELS_SIZE + len(device.now) * _CHANNEL_SIZE + stays


def _channels(device: EngineDevice, left: int) -> bytes:
    """The elements of channel_info; `left`: bytes from here to the end of everything."""
    parts: list[bytes] = []
    begin, now_pack, list_pack = _LIST_BEGIN, _NOW.pack, _LIST.pack
    k0, k1, k2, k3, k4, k5, k6, k7 = _KEYS
    for fixed, (a, b, c, d, e, f, g, h) in zip(device.fixed, device.now, strict=True):
        stays = fixed.packed
        parts += (
            list_pack(begin, left - _HEADER),
            stays,
            now_pack(k0, a, k1, b, k2, c, k3, d, k4, e, k5, f, k6, g, k7, h, _NEXT),
        )
        left -= _CHANNEL_SIZE + len(stays)
    return b"".join(parts)


# ---- pages of maps --------------------------------------------------------------------------


def _row_size(fixed: Fixed) -> int:
    """At most so many bytes of MessagePack: but for long texts, half of the packed ones."""
    return (_CHANNEL_SIZE + len(_fixed(fixed)) + len(fixed.feederchain)) // 2 + 64


def page(snapshot: Snapshot, form: Form, after: int) -> tuple[list[Row], bool, int | None]:
    """Devices from place `after` on, as many as go into one answer.

    A place is a device or a channel: whether the first one goes on with the channels of the last
    one of the page before, and the place to go on from, or None.
    """
    rows: list[Row] = []
    begin = place = 0
    left = PAGE_MAX
    continues = False
    for device in snapshot.devices:
        count = len(device.now) if form == "final" else 0
        begin, place = place, place + 1 + count
        if place <= after:
            continue
        if left <= 0:
            return rows, continues, begin
        skipped = max(0, after - begin - 1)
        if after > begin:
            continues = True
            row: Row = {"nameunit": device.head.nameunit, "provider_info": {}}
        else:
            piece = _head(device.head)
            row = schema.plain(schema.head_pairs(device.head, form))
            left -= len(piece.data)
        rows.append(row)
        if count:
            channels: list[Row] = []
            for number in range(skipped, count):
                if left <= 0:
                    break
                fixed = device.fixed[number]
                channels.append(schema.channel_row(fixed, device.now[number]))
                left -= _row_size(fixed)
            row["provider_info"][CHANNELS] = channels
            if skipped + len(channels) < count:
                return rows, continues, begin + 1 + skipped + len(channels)
    for user in snapshot.users:
        begin, place = place, place + 1
        if place <= after:
            continue
        if left <= 0:
            return rows, continues, begin
        rows.append(schema.plain(schema.user_pairs(user, form)))
        left -= len(_user(user).data)
    return rows, continues, None
