"""Programs of sndio's on a House: opened, looked at, and what was logged of them."""

from __future__ import annotations

import io
from typing import Any

from audiod_protocol.sndio import messages as m
from fakes import FakeStream
from house import House, Peer, SndioClient

HOUSE = "-f null -s rear -f loopback -s front"  # devices 0 and 1; default is on 0
OTHER = Peer(1000, 1000, 5000, frozenset({1000}))
TCP = Peer(None, None, None, frozenset(), "192.0.2.7:4711")


def opened(house: House, mode: int = 1, **hello: Any) -> SndioClient:
    client = house.sndio()
    assert client.open(mode, **hello) == [m.Ack()]
    return client


def run_of(house: House) -> FakeStream:
    return house.engine.streams[-1]


def rows(house: House) -> list[dict[str, Any]]:
    return list(house.connect().call("streams")["streams"])


def said(logged: io.StringIO, event: str) -> list[str]:
    return [line for line in logged.getvalue().splitlines() if event in line]
