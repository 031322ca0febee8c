"""What setpar sends for what it is given.  Pure functions."""

from __future__ import annotations

from dataclasses import replace

from audiod_protocol.params import Par

from audiod_client.errors import StreamError, as_stream_error

__all__ = ["make_par"]


def make_par(par: Par | None, fields: dict[str, object]) -> Par:
    """What setpar sends: a Par or its fields (`enc="s16le", rate=48000, pchan=2`), by sio_setpar's rules.

    `bufsz` is taken for appbufsz; a rate without appbufsz asks for 200 ms;
    `round` is the server's and never sent.  Raises StreamError(EINVAL).
    """
    with as_stream_error():
        asked = Par.from_wire(fields)
    if par is not None:
        if fields:
            raise StreamError("EINVAL", "setpar was given a Par and fields", "give one of them")
        asked = par
    appbufsz = asked.bufsz if asked.bufsz is not None else asked.appbufsz
    if appbufsz is None and asked.rate is not None:
        appbufsz = asked.rate // 5
    return replace(asked, appbufsz=appbufsz, bufsz=None, round=None)
