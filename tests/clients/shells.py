"""Both clients behind one face: the same scenario runs on the blocking and on the trio one.

Calls are awaited; on the blocking client the coroutine never really waits.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import audiod_client
import audiod_client.aio
import pytest
import trio
from clients.fake_audiod import FakeAudiod

Scenario = Callable[["Shell"], Coroutine[Any, Any, None]]


class Awaited:
    """An object whose methods may be awaited, whether or not they are coroutines."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if not callable(value):
            return value

        async def call(*args: Any, **kwargs: Any) -> Any:
            result = value(*args, **kwargs)
            return await result if isinstance(result, Awaitable) else result

        return call


class Shell:
    """Either client."""

    def __init__(self, kind: str, server: FakeAudiod) -> None:
        self.kind = kind
        self.server = server

    def run(self, scenario: Scenario) -> None:
        """The scenario from end to end, and the server's part of it."""
        if self.kind == "trio":
            trio.run(scenario, self)
        else:
            with pytest.raises(StopIteration):
                scenario(self).send(None)
        self.server.settle()

    @asynccontextmanager
    async def open(self, name: str | None = None, mode: str = "play", **kwargs: Any) -> AsyncIterator[Any]:
        if self.kind == "trio":
            async with audiod_client.aio.open(name, mode, **kwargs) as stream:  # type: ignore[arg-type]
                yield Awaited(stream)
        else:
            with audiod_client.open(name, mode, **kwargs) as stream:  # type: ignore[arg-type]
                yield Awaited(stream)

    @asynccontextmanager
    async def connect(self, **kwargs: Any) -> AsyncIterator[Any]:
        if self.kind == "trio":
            async with audiod_client.aio.connect(**kwargs) as connection:
                yield Awaited(connection)
        else:
            with audiod_client.Connection.connect(**kwargs) as connection:
                yield Awaited(connection)

    @asynccontextmanager
    async def stream_of(self, connection: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        if self.kind == "trio":
            async with connection._target.open(*args, **kwargs) as stream:
                yield Awaited(stream)
        else:
            with connection._target.open(*args, **kwargs) as stream:
                yield Awaited(stream)
