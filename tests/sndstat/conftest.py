"""Fixtures of the sndstat tests: a house over FakeEngine, and a client in it."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from house import Client, House

from audiod import log


@pytest.fixture(autouse=True)
def logged() -> io.StringIO:
    """What the daemon logs, each event a line of key=value."""
    stream = io.StringIO()
    log.setup("debug", {}, stream)
    return stream


@pytest.fixture
def house() -> Iterator[House]:
    made = House("-f null -f loopback")
    yield made
    made.close()


@pytest.fixture
def client(house: House) -> Client:
    return house.connect()
