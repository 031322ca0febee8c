"""Provided: the devices that a program adds, taken out of what it sent, or refused.

The rules of each field are the FreeBSD kernel's.  `strict`: all of them; else a
direction without a word of what it can do is taken, too, as in the draft's own
example: all zeros.  Invariant: one bad element and none is taken.  Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from audiod_protocol.errors import Code, Fault, FaultError
from audiod_protocol.nvlist import ADD_LIMITS, Nvlist, NvlistError, NvType, Pair, pack, unpack
from audiod_protocol.nvtypes import DEPTH_MAX

from audiod.sndstat.model import NO_INFO, Info, UserDevice
from audiod.sndstat.schema import DSPS

SOCKET_MAX = 107  # bytes of a Unix socket's path
_HINT = "send {dsps: [{devnode, desc, pchan, rchan, info_play, info_rec, ...}]}; README.md has the rules"
_UINT32 = 2**32 - 1


def taken(sent: bytes | Mapping[str, Any], *, strict: bool) -> tuple[UserDevice, ...]:
    """The devices of a packed nvlist, or of the same as maps.

    Raises FaultError: ENOMEM (more than 65536 bytes, told before they are looked at), EINVAL.
    """
    if isinstance(sent, bytes):
        if len(sent) > ADD_LIMITS.size:
            raise _too_large(len(sent))
        try:
            given = unpack(sent, limits=ADD_LIMITS)
        except NvlistError as error:
            raise _wrong(f"these {len(sent)} bytes are no packed nvlist: {error}") from error
    else:
        given = typed(sent)
        try:
            size = len(pack(given))
        except NvlistError as error:
            raise _wrong(f"this cannot be an nvlist: {error}") from error
        if size > ADD_LIMITS.size:
            raise _too_large(size)
    lists = given.get(DSPS, NvType.NVLIST_ARRAY)
    if lists is None:
        raise _wrong(f"there is no array of lists {DSPS!r} in it")
    return tuple(_device(number, one, strict) for number, one in enumerate(lists))


def _wrong(what: str) -> FaultError:
    return FaultError(Fault(Code.EINVAL, f"sndstat.add_user: {what}", _HINT))


def _too_large(size: int) -> FaultError:
    return FaultError(
        Fault(
            Code.ENOMEM,
            f"sndstat.add_user: {size} bytes, and at most {ADD_LIMITS.size} are taken",
            "add fewer devices at a time",
        )
    )


def _device(place: int, given: Nvlist, strict: bool) -> UserDevice:
    def need(name: str, kind: NvType) -> Any:
        value = given.get(name, kind)
        if value is None:
            raise _wrong(f"{DSPS}[{place}] has no {kind.name} {name!r}")
        return value

    devnode = need("devnode", NvType.STRING)
    desc = need("desc", NvType.STRING)
    pchan = need("pchan", NvType.NUMBER) & _UINT32
    rchan = need("rchan", NvType.NUMBER) & _UINT32
    provider = given.get("provider", NvType.STRING) or ""
    nameunit = given.get("nameunit", NvType.STRING)
    return UserDevice(
        devnode=devnode,
        desc=desc,
        pchan=pchan,
        rchan=rchan,
        nameunit=devnode if nameunit is None else nameunit,
        play=_info(place, given, "play", strict) if pchan else None,
        rec=_info(place, given, "rec", strict) if rchan else None,
        provider=provider,
        provider_info=given.get("provider_info", NvType.NVLIST) if provider else None,
        socket=_socket(place, given),
    )


def _info(place: int, given: Nvlist, side: str, strict: bool) -> Info | None:
    """What a direction can do: its list decides if there is one, else the draft's flat numbers."""
    name = f"info_{side}"
    info = given.get(name, NvType.NVLIST)
    if info is not None:
        values = [info.get(field, NvType.NUMBER) for field in Info._fields]
        if None in values:
            missing = Info._fields[values.index(None)]
            raise _wrong(f"{DSPS}[{place}]: {name} has no NUMBER {missing!r}")
        return Info(*(value & _UINT32 for value in values))
    flat = [f"{side[0]}{key}" for key in ("minrate", "maxrate", "fmts")]
    values = [given.get(key, NvType.NUMBER) for key in flat]
    if None not in values:
        low, high, formats = (value & _UINT32 for value in values)
        return Info(low, high, formats, 0, 0)
    if strict:
        raise _wrong(f"{DSPS}[{place}] has neither {name} nor {', '.join(flat)}")
    return NO_INFO


def _socket(place: int, given: Nvlist) -> str:
    """Ours alone: where the device is reached."""
    path: str = given.get("socket", NvType.STRING) or ""
    if path and (not path.startswith("/") or len(path.encode("utf-8", "surrogateescape")) > SOCKET_MAX):
        raise _wrong(f"{DSPS}[{place}]: socket is no absolute path of at most {SOCKET_MAX} bytes")
    return path


# ---- maps with types --------------------------------------------------------------------------


def typed(values: Mapping[str, Any], depth: int = 1) -> Nvlist:
    """Maps as an nvlist: bool is BOOL, int NUMBER, str STRING, bin BINARY, a map NVLIST, nil NULL, and
    arrays of one of these.  Raises FaultError.
    """
    if depth > DEPTH_MAX:
        raise _wrong(f"lists are nested deeper than {DEPTH_MAX} levels")
    return Nvlist(_pair(str(name), value, depth) for name, value in values.items())


_SCALARS: tuple[tuple[type, NvType], ...] = (
    (bool, NvType.BOOL),
    (int, NvType.NUMBER),
    (str, NvType.STRING),
    (dict, NvType.NVLIST),
)


def _pair(name: str, value: Any, depth: int) -> Pair:
    if value is None:
        return Pair(name, NvType.NULL, None)
    if isinstance(value, bytes):
        return Pair(name, NvType.BINARY, value)
    if isinstance(value, list):
        return _array(name, value, depth)
    return Pair(name, _kind(name, value), _value(value, depth))


def _array(name: str, values: Sequence[Any], depth: int) -> Pair:
    kinds = {_kind(name, value) for value in values}
    if len(kinds) != 1:
        raise _wrong(f"{name[:40]!r} is an array of {len(kinds)} types, and must be of one")
    kind = NvType(kinds.pop() + 6)
    return Pair(name, kind, tuple(_value(value, depth) for value in values))


def _kind(name: str, value: Any) -> NvType:
    for python, kind in _SCALARS:
        if isinstance(value, python):
            return kind
    raise _wrong(f"{name[:40]!r}: {type(value).__name__} has no place in an nvlist")


def _value(value: Any, depth: int) -> Any:
    if isinstance(value, dict):
        return typed(value, depth + 1)
    return value + (1 << 64) if isinstance(value, int) and value < 0 else value
