"""A connection that speaks sndio's wire: one stream, and nothing else.

Nothing is said before the stream is opened, as HELLO says how.  Invariant:
what the server may not say, or not now, ends the connection with one error.
Runs in the caller's thread.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from audiod_protocol.connection import NEED_DATA
from audiod_protocol.errors import RemoteProtocolError
from audiod_protocol.params import Mode, Xrun
from audiod_protocol.sndio.client import Client, Phase

from audiod_client._session import Change, Op, Session, direction
from audiod_client._sndio_cookie import cookie
from audiod_client._sndio_stream import SndioStream
from audiod_client.errors import StreamError, as_stream_error
from audiod_client.names import Address, Places, Wire, split_device

__all__ = ["SndioSession"]


class SndioSession(Session):
    """The client's end of one connection to the server at `address`."""

    wire = Wire.SNDIO

    def __init__(self, client_name: str, address: Address) -> None:
        super().__init__(client_name)
        self.address = address
        self.stream: SndioStream | None = None

    # ---- bytes ----

    def _take(self, data: bytes) -> None:
        if self.stream is None:
            raise self._broken("it spoke first")
        client = self.stream.client
        try:
            client.receive_data(data)
            while (event := client.next_event()) is not NEED_DATA:
                self.stream.notify(event)
        except RemoteProtocolError as err:
            raise self._broken(err.message) from err

    def _broken(self, how: str) -> StreamError:
        return StreamError(
            "EPROTO",
            f"the server at {self.address} broke sndio's protocol: {how}",
            "check that sndiod or audiod listens there",
        )

    def _end(self) -> None:
        if self.stream is None:
            return
        client, name = self.stream.client, self.stream.name
        if client.phase is Phase.BYE:
            raise StreamError("EBADF", "the connection ended with its stream", "connect again")
        if client.phase is Phase.HELLO:
            raise StreamError(
                "ECONNREFUSED",
                f"the server at {self.address} refused to open snd/{name} to {client.mode}, and sndio's wire "
                "has no reasons",
                "check that it has this device and can open it, and that no other user has the server "
                "(programs that share ~/.sndio/cookie are one user)",
            )
        if client.phase is Phase.START and client.par is not None and client.par.xrun is Xrun.ERROR:
            raise StreamError(
                "EPIPE",
                "the server closed the connection: under the xrun policy error this is what an xrun does",
                "write or read in time, ask for a larger appbufsz, or for another policy",
            )
        try:
            client.receive_eof()
        except RemoteProtocolError as err:
            raise StreamError("ECONNRESET", err.message, err.hint) from err

    def _failed(self, error: StreamError) -> None:
        if self.stream is not None:
            self.stream.fail(error)

    def post(self, data: bytes) -> None:
        """Queue bytes of the protocol."""
        self.out += data

    # ---- operations ----

    def hello(self) -> Op[dict[str, Any]]:
        yield from ()
        return self.server

    def request(self, method: str, args: Mapping[str, object]) -> Op[Any]:
        yield from ()
        raise self._lacks(method)

    def change(self) -> Op[Change]:
        yield from ()
        raise self._lacks("changes")

    def _lacks(self, what: str) -> StreamError:
        return StreamError(
            "ENOTSUP",
            f"{what}: the server at {self.address} is reached by sndio's wire, which plays and records only",
            "ask an audiod on its own socket: AUDIOD_SOCKET, or audioctl --socket",
        )

    def open(
        self,
        device: str,
        mode: str | Mode,
        name: str | None,
        role: str | None,
        link: str | None,
        pinned: bool = False,
    ) -> Op[SndioStream]:
        """As the base says; the wire has no place for `role`, and for 11 bytes of `name`."""
        if self.error is not None:
            raise self.error
        if self.stream is not None:
            raise self._lacks("a second stream on one connection")
        if link is not None:
            raise self._lacks("link groups")
        if pinned:
            raise self._lacks("a pinned stream")
        wanted = direction(mode)
        if mode == "mon" or Mode.MON in wanted:
            raise StreamError(
                "ENOTSUP",
                "mon: sndio's wire cannot ask for what the device plays",
                'give the server a sub-device for it (-m play,mon -s NAME), and open that with mode "rec"',
            )
        devnum, opt = split_device(device)
        places = Places.here()
        client = Client(wanted)
        with as_stream_error():
            hello = client.hello(
                cookie(places.env, places.setid), devnum, opt, os.getpid(), name or self.client_name
            )
        stream = self.stream = SndioStream(self, client, device, devnum, opt)
        self.post(hello)
        try:
            while client.phase is Phase.HELLO:
                yield
                if self.error is not None:
                    raise self.error
        except GeneratorExit:
            stream.abandon()
            raise
        return stream
