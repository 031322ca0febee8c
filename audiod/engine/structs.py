"""Plain values and events as the structs of api.h, and back.  Control thread; no call into the engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from audiod.engine._lib import ffi, lib
from audiod.engine.events import (
    ClockTicked,
    CloseReason,
    ConnClosed,
    ConnSent,
    DeviceFailed,
    DeviceLost,
    DeviceStarted,
    DeviceStopped,
    EndReason,
    Event,
    GroupJoined,
    Message,
    Playing,
    ProtocolBreach,
    ProtocolReason,
    StreamEnded,
    StreamHeld,
    StreamJoined,
    StreamMoved,
    StreamReleased,
    StreamStopped,
    Synced,
    ThreadStarted,
    Xrun,
    XrunKind,
)
from audiod.engine.values import DevicePar, Encoding, StreamPar


def enc_of(enc: Encoding) -> dict[str, int]:
    return {"bits": enc.bits, "bps": enc.bps, "sig": enc.sig, "le": enc.le, "msb": enc.msb, "flt": enc.flt}


def encoding(enc: object) -> Encoding:
    e: dict[str, int] = {k: getattr(enc, k) for k in ("bits", "bps", "sig", "le", "msb", "flt")}
    return Encoding(e["bits"], e["bps"], bool(e["sig"]), bool(e["le"]), bool(e["msb"]), bool(e["flt"]))


def stream_par(par: StreamPar) -> object:
    c = ffi.new("struct stream_par *")
    c.enc = enc_of(par.enc)
    for name in ("rate", "pchan", "rchan", "appbufsz", "xrun", "pmin", "pmax", "rmin", "rmax", "round"):
        setattr(c, name, getattr(par, name))
    c.flags, c.join = int(par.flags), int(par.join)
    c.vol, c.maxvol, c.group, c.group_n = par.vol, par.maxvol, par.group, par.group_n
    c.start, c.start_min = int(par.start), par.start_min
    return c


def curve(points: Sequence[tuple[float, float]]) -> object:
    """Too many points are C's to refuse, by their number."""
    if not points:
        return ffi.NULL
    x, y = zip(*points, strict=True)
    return ffi.new("struct curve *", {"n": len(points), "x": x[: lib.CURVE_N], "y": y[: lib.CURVE_N]})


def positions(found: list[int], nchan: int) -> tuple[int, ...]:
    placed = tuple(found[c] for c in range(nchan))
    return placed if any(placed) else ()


def device_par(par: DevicePar) -> dict[str, object]:
    return {
        "enc": enc_of(par.enc),
        "rate": par.rate,
        "round": par.round,
        "bufsz": par.bufsz,
        "pchan": par.pchan,
        "rchan": par.rchan,
        "pmap": list(par.pmap),
        "rmap": list(par.rmap),
    }


def event_of(ev: Any, payload: object) -> Event | None:
    """`struct event` and its payload; None: one of a kind that is nobody's."""
    kind = ev.type
    if kind == lib.EV_MESSAGE:
        return Message(ev.id, bytes(ffi.buffer(payload, ev.len)))
    if kind == lib.EV_CONN_CLOSED:
        return ConnClosed(ev.id, CloseReason(ev.err), ev.a)
    if kind == lib.EV_CONN_SENT:
        return ConnSent(ev.id)
    if kind == lib.EV_PROTOCOL:
        return ProtocolBreach(ev.id, ProtocolReason(ev.err), ev.a)
    if kind == lib.EV_STOPPED:
        return StreamStopped(ev.id, bool(ev.a))
    if kind == lib.EV_RELEASED:
        return StreamReleased(ev.id)
    if kind == lib.EV_PLAYING:
        return Playing(ev.id, ev.a)
    if kind == lib.EV_JOINED:
        return StreamJoined(ev.id, ev.a)
    if kind == lib.EV_HELD:
        return StreamHeld(ev.id, ev.a)
    if kind == lib.EV_XRUN:
        return Xrun(ev.id, ev.dev, XrunKind(ev.err), ev.a, ev.b, ev.c, ev.d, ev.e)
    if kind == lib.EV_ERROR:
        return StreamEnded(ev.id, EndReason(ev.err), None if ev.a < 0 else ev.a)
    if kind == lib.EV_MOVED:
        return StreamMoved(ev.id)
    if kind == lib.EV_DEV_STARTED:
        return DeviceStarted(ev.id)
    if kind == lib.EV_DEV_STOPPED:
        return DeviceStopped(ev.id)
    if kind == lib.EV_DEV_FAILED:
        return DeviceFailed(ev.id, ev.err)
    if kind == lib.EV_GROUP:
        return GroupJoined(ev.id, ev.a)
    if kind == lib.EV_CLOCK:
        return ClockTicked(ev.id, ev.b, ev.a)
    if kind == lib.EV_DEV_LOST:
        return DeviceLost(ev.id, ev.err)
    if kind == lib.EV_SYNCED:
        return Synced(ev.a)
    if kind == lib.EV_THREAD:
        return ThreadStarted(ev.id, None if ev.a == 0 else ev.a - 1, ev.err)
    return None
