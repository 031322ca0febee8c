"""audiod_client: play and record through audiod, with sio_open(3)'s calls and semantics.

    with audiod_client.open() as s:
        s.setpar(enc="s16le", rate=48000, pchan=2)
        s.start()
        s.write(samples)

This is the blocking client; `audiod_client.aio` is its twin for trio.
"""

from __future__ import annotations

from audiod_protocol.params import Cap, Enc, Mode, Par, Xrun

from audiod_client._blocking import Connection, Sndstat, Stream, open
from audiod_client._native_channel import StatusEvent
from audiod_client._session import Change
from audiod_client.errors import Refused, ServerUnreachable, StreamError
from audiod_client.names import Name

__all__ = [
    "Cap",
    "Change",
    "Connection",
    "Enc",
    "Mode",
    "Name",
    "Par",
    "Refused",
    "ServerUnreachable",
    "Sndstat",
    "StatusEvent",
    "Stream",
    "StreamError",
    "Xrun",
    "open",
]
