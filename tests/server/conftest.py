"""Fixtures of the server tests: a house and a client in it, checked to be empty at the end."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from house import Client, House, SndioClient
from programs import opened

from audiod import log


@pytest.fixture(autouse=True)
def logged() -> io.StringIO:
    """What the daemon logs, each event a line of key=value."""
    stream = io.StringIO()
    log.setup("debug", {}, stream)
    return stream


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    yield made
    made.close()


@pytest.fixture
def client(house: House) -> Client:
    return house.connect()


@pytest.fixture
def sndio(house: House) -> SndioClient:
    """A program of sndio's that has opened the default device to play."""
    return opened(house)
