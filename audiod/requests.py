"""Requests about one stream of a native connection: what each does, and its answer.

Owns no state.  Each function returns the result, or None where the answer comes
later, by the pump or the stream; it raises FaultError.  Control thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from audiod_protocol import validate
from audiod_protocol.events import Request
from audiod_protocol.params import CAP

from audiod import fragments
from audiod.core import Row
from audiod.stream import ClientStream


def _setpar(stream: ClientStream, request: Request, args: validate.SetparArgs) -> Row:
    par = stream.setpar(args.par, args)
    return {"par": par.to_wire(), "channel": _channel(stream)}


def _channel(stream: ClientStream) -> Row:
    row = stream.row
    return fragments.told(row.par, row.mode, stream.channel.par, row.type)


def _getpar(stream: ClientStream, request: Request, args: Any) -> Row:
    par = stream.getpar()
    return {"par": par.to_wire(), "channel": _channel(stream)}


def _getcap(stream: ClientStream, request: Request, args: Any) -> Row:
    stream.getcap()
    return {"cap": CAP.to_wire()}


def _setvol(stream: ClientStream, request: Request, args: validate.SetvolArgs) -> Row:
    stream.setvol(args.vol)
    return {"stream": stream.number}


def _start(stream: ClientStream, request: Request, args: Any) -> None:
    stream.start(request.id)


def _stop(stream: ClientStream, request: Request, args: Any) -> None:
    stream.stop(request.id, drain=True)


def _flush(stream: ClientStream, request: Request, args: Any) -> None:
    stream.stop(request.id, drain=False)


def _close(stream: ClientStream, request: Request, args: Any) -> None:
    stream.close(request.id)


def _prepare(stream: ClientStream, request: Request, args: Any) -> None:
    stream.prepare(request.id)


def _go(stream: ClientStream, request: Request, args: Any) -> Row:
    stream.alive("go")
    stream.channel.go()
    return {"stream": stream.number}


def _pause(stream: ClientStream, request: Request, args: Any) -> Row | None:
    stream.alive("pause")
    return {"stream": stream.number} if stream.channel.pause(request.id) else None


def _resume(stream: ClientStream, request: Request, args: Any) -> Row:
    stream.alive("resume")
    stream.channel.resume()
    return {"stream": stream.number}


def _play_out(stream: ClientStream, request: Request, args: Any) -> None:
    stream.play_out(request.id)


def _discard(stream: ClientStream, request: Request, args: Any) -> Row | None:
    return {"stream": stream.number} if stream.discard(request.id) else None


def _link(stream: ClientStream, request: Request, args: validate.LinkArgs) -> Row:
    stream.link(args.group)
    return {"stream": stream.number, "group": args.group}


def _force_ducking(stream: ClientStream, request: Request, args: validate.ForceDuckingArgs) -> Row:
    stream.alive("force_ducking")
    stream.channel.force(args.on)
    return {"stream": stream.number, "on": args.on}


STREAM_METHODS: dict[str, Callable[[ClientStream, Request, Any], Row | None]] = {
    "setpar": _setpar,
    "getpar": _getpar,
    "getcap": _getcap,
    "setvol": _setvol,
    "start": _start,
    "stop": _stop,
    "flush": _flush,
    "close": _close,
    "prepare": _prepare,
    "go": _go,
    "pause": _pause,
    "resume": _resume,
    "play_out": _play_out,
    "discard": _discard,
    "link": _link,
    "force_ducking": _force_ducking,
}
