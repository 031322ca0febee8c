"""A small audiod for tests of its clients: the server role of the protocol on a Unix socket, in a thread.

It keeps streams, answers every request, grants credit as its clock moves and
records a ramp; `FakeAudiod.on` replaces an answer by a script.  Invariant: it
never waits for time, only for the client, so each test runs the same way each
time.  `log` is what the clients sent, in order; read it after `settle`.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audiod_protocol.connection import NEED_DATA, Connection
from audiod_protocol.errors import Fault
from audiod_protocol.events import BadRequest, Notification, Request
from audiod_protocol.params import CAP, Enc, Mode, Par
from clients.fake_desk import CHANGES, KEYS, Desk, listing_page
from clients.rows import RECORD

ROUND = 480
APPBUFSZ = 960


@dataclass
class FakeStream:
    """One stream of one client."""

    number: int
    mode: Mode
    args: dict[str, Any]
    par: Par = field(
        default_factory=lambda: Par(
            rate=48000, pchan=2, rchan=2, appbufsz=APPBUFSZ, bufsz=3 * APPBUFSZ, round=ROUND
        ).with_enc(Enc.parse("s16le"))
    )
    state: str = "ready"
    vol: int = 127
    written: bytearray = field(default_factory=bytearray)  # all that was ever written
    queued: int = 0  # frames since start
    moved: int = -1  # position; -1: no onmove yet
    credited: int = 0

    def frame(self, chan: int | None) -> int:
        enc = self.par.enc
        assert enc is not None
        return enc.frame_size(chan or 0)


class Peer:
    """One client's connection, as a script sees it."""

    def __init__(self, server: FakeAudiod, sock: socket.socket) -> None:
        self.server = server
        self.sock = sock
        self.wire = Connection("server")
        self.streams: dict[int, FakeStream] = {}
        self.name, self.pid = "", 0

    def answer(self, request: Request, **result: object) -> None:
        self._send(self.wire.send_response(request.id, result))

    def refuse(self, request: Request, code: str, message: str, hint: str = "") -> None:
        self._send(self.wire.send_error(request.id, Fault(code, message, hint)))

    def tell(self, method: str, *params: object) -> None:
        self._send(self.wire.send_notification(method, list(params)))

    def _send(self, data: bytes) -> None:
        with suppress(BrokenPipeError):  # the client left; what it said before is still to be read
            self.sock.sendall(data)

    def move(self, stream: FakeStream, delta: int) -> None:
        """Advance the stream's clock: onmove, then the credit or the data that it covers."""
        stream.moved = 0 if stream.moved < 0 else stream.moved + delta
        self.tell("onmove", stream.number, delta, stream.moved, 1_000_000_000 + stream.moved * 20_833)
        if delta and Mode.PLAY in stream.mode:
            self.tell("credit", stream.number, delta)
            stream.credited += delta
        if delta and Mode.REC in stream.mode:
            size = stream.frame(stream.par.rchan)
            begin = (stream.moved - delta) * size
            self.tell("data", stream.number, bytes(i % 251 for i in range(begin, begin + delta * size)))

    def serve(self) -> None:
        with self.sock:
            while data := self._recv():
                self.wire.receive_data(data)
                while (event := self.wire.next_event()) is not NEED_DATA:
                    self.server.log.append(event)
                    if isinstance(event, Request):
                        self._request(event)
                    elif isinstance(event, Notification) and event.method == "write":
                        self._write(event)
                    elif isinstance(event, BadRequest):
                        raise AssertionError(event)

    def _recv(self) -> bytes:
        try:
            return self.sock.recv(65536)
        except OSError:
            return b""

    def _request(self, request: Request) -> None:
        script = self.server.scripts.get(request.method)
        if script is not None:
            script(self, request)
        else:
            self.standard(request)

    def standard(self, request: Request) -> None:
        """What a real server would answer."""
        name = "do_" + request.method.replace(".", "_")
        args = dict(request.args)
        if "stream" in args and request.method != "status":
            getattr(self, name)(request, self.streams[args.pop("stream")], **args)
        else:
            getattr(self, name)(request, **args)

    # ---- requests ----

    def do_hello(self, request: Request, version: int, client: str, pid: int, features: list[str]) -> None:
        self.name, self.pid = client, pid
        self.answer(request, version=1, server="audiod 0.1.0", features=[], unit=0)

    def do_open(self, request: Request, device: str, mode: str, transport: str, **more: str) -> None:
        number = next(n for n in range(1024) if n not in self.streams)
        self.streams[number] = FakeStream(number, Mode.parse(mode), dict(request.args))
        self.server.streams.append(self.streams[number])
        self.answer(request, stream=number, device=0, subdevice="default", mode=mode)

    def do_setpar(self, request: Request, stream: FakeStream, par: dict[str, object]) -> None:
        stream.par = stream.par.merge(Par.from_wire(par))
        self.answer(request, par=stream.par.to_wire())

    def do_getpar(self, request: Request, stream: FakeStream) -> None:
        self.answer(request, par=stream.par.to_wire())

    def do_getcap(self, request: Request, stream: FakeStream) -> None:
        self.answer(request, cap=CAP.to_wire())

    def do_setvol(self, request: Request, stream: FakeStream, vol: int) -> None:
        stream.vol = vol
        self.answer(request, stream=stream.number)

    def do_start(self, request: Request, stream: FakeStream) -> None:
        stream.state, stream.queued, stream.moved = "priming", 0, -1
        self.answer(request, stream=stream.number)
        if Mode.PLAY in stream.mode:
            stream.credited = stream.par.appbufsz or 0
            self.tell("credit", stream.number, stream.credited)
        else:
            stream.state = "running"
            self.move(stream, 0)
            for _ in range(self.server.rec_blocks):
                self.move(stream, ROUND)

    def _write(self, event: Notification) -> None:
        number, samples = event.params
        stream = self.streams[number]
        frames, rest = divmod(len(samples), stream.frame(stream.par.pchan))
        stream.queued += frames
        assert stream.state in ("priming", "running") and not rest, event
        assert stream.queued <= stream.credited, "written beyond the credit"
        stream.written += samples
        if (script := self.server.scripts.get("write")) is not None:
            script(self, event)
            return
        if stream.state == "priming" and stream.queued >= (stream.par.appbufsz or 0):
            stream.state = "running"
            self.move(stream, 0)
        if stream.state == "running":
            while stream.queued - stream.moved >= ROUND:
                self.move(stream, ROUND)

    def do_stop(self, request: Request, stream: FakeStream) -> None:
        stream.state = "ready"
        self.answer(request, stream=stream.number)

    do_flush = do_stop

    def do_close(self, request: Request, stream: FakeStream) -> None:
        stream.state = "closed"
        del self.streams[stream.number]
        self.answer(request, stream=stream.number)

    def do_subscribe(self, request: Request, topics: list[str]) -> None:
        self.answer(request, topics=topics)
        for topic, row in self.server.desk.news:
            if topic in topics:
                self.tell("changed", topic, row)

    def do_status(
        self, request: Request, stream: int | None = None, id: int | None = None, channel: str | None = None
    ) -> None:
        if stream is not None or id is not None:
            self.answer(request, version=1, record={**RECORD, "channel": channel or "play"})
            return
        threads = [{"tid": 41, "device": 0, "policy": "other", "priority": 0}]
        self.answer(
            request,
            version=1,
            server="audiod 0.1.0",
            pid=40,
            unit=0,
            uptime=3723.5,
            sockets=["/run/audiod/audiod.sock"],
            realtime={"wanted": 10, "granted": False, "reason": "RLIMIT_RTPRIO is 0", "threads": threads},
            default={"device": 0, "name": "alsa:hw:0,0", "reason": None},
            devices=1,
            streams=1,
            connections=2,
            xruns={"client": 3, "scheduler": 0, "driver": 0, "ours": 0},
            ducking=self.server.desk.ducking and {"order": self.server.desk.ducking["order"], "ducked": 1},
        )

    def do_ducking(self, request: Request) -> None:
        nothing = {"order": None, "types": [], "ramps": [], "programs": [], "devices": []}
        self.answer(request, version=1, **(self.server.desk.ducking or nothing))

    def do_devices(self, request: Request) -> None:
        self.answer(request, version=1, devices=self.server.desk.devices)

    def do_devices_rescan(self, request: Request) -> None:
        self.server.desk.rescanned += 1
        self.answer(request, version=1)

    def do_cards(self, request: Request, after: int = 0) -> None:
        self.answer(request, **self.server.desk.cards(after))

    def do_sndstat_open(self, request: Request, write: bool) -> None:
        self.answer(request, handle=0)

    def do_sndstat_get(self, request: Request, handle: int, schema: str, after: int = 0) -> None:
        self.answer(request, **listing_page(after))

    def do_sndstat_close(self, request: Request, handle: int) -> None:
        self.answer(request, handle=handle)

    def do_streams(self, request: Request, after: int = 0) -> None:
        rows = list(self.server.rows)
        for stream in self.streams.values():
            enc = str(stream.par.enc)
            rows.append(
                {
                    "id": 100 + stream.number, "name": self.name, "pid": self.pid, "uid": 0,
                    "device": 0, "subdevice": "default", "mode": str(stream.mode), "state": stream.state,
                    "channel": "running",
                    "rate": stream.par.rate, "encoding": enc, "channels": stream.par.pchan, "volume": 127,
                    "position": 0, "latency": 0, "xruns": 0, "stream": stream.number, "muted": False,
                    "wire": "native", "ducking": None,
                    "conversion": "bit-exact" if enc == "s16le" else f"{enc} -> s16le",
                }
            )  # fmt: skip
        self.answer(request, **self.server.desk.paged("streams", rows, after))

    def do_controls(self, request: Request, after: int = 0) -> None:
        self.answer(request, **self.server.desk.paged("controls", self.server.desk.controls(), after))

    def do_control_set(
        self,
        request: Request,
        name: str,
        value: int,
        device: int | None = None,
        subdevice: str = "default",
    ) -> None:
        try:
            self.server.desk.set(name, value, device, subdevice)
        except LookupError:
            self.refuse(request, "ENOENT", f"there is no control {name!r}")
        else:
            self.answer(request, name=name, value=value)

    def do_stream_move(self, request: Request, id: int, device: str) -> None:
        row = next(row for row in self.server.rows if row["id"] == id)
        row["subdevice"] = device
        self.answer(request, id=id, device=0, subdevice=device)

    def do_export(self, request: Request, what: str) -> None:
        self.answer(request, version=1, what=what, content={"devices": [], "programs": []})

    def do_config_show(self, request: Request) -> None:
        self.answer(request, version=1, files=["/etc/audiod/audiod.toml"], keys=KEYS)

    def do_config_check(self, request: Request, text: str | None = None) -> None:
        self.answer(request, version=1, changes=CHANGES if text is None else [])

    def do_config_diff(self, request: Request) -> None:
        self.answer(request, version=1, changes=CHANGES)

    do_config_reload = do_config_diff


Script = Callable[[Peer, Any], None]


class FakeAudiod:
    """The server: `path` is its socket."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.log: list[Any] = []
        self.scripts: dict[str, Script] = {}
        self.streams: list[FakeStream] = []  # of all clients, also the closed
        self.desk = Desk()
        self.rec_blocks = 4
        self.failures: list[BaseException] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen(8)
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Further rows of `streams`."""
        return self.desk.streams

    @rows.setter
    def rows(self, rows: list[dict[str, Any]]) -> None:
        self.desk.streams = rows

    def on(self, method: str, script: Script) -> None:
        """Let `script(peer, event)` do what follows a request or a write, in place of the standard."""
        self.scripts[method] = script

    def requests(self, method: str) -> list[dict[str, Any]]:
        return [event.args for event in self.log if isinstance(event, Request) and event.method == method]

    def methods(self) -> list[str]:
        return [event.method for event in self.log]

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if not sock.recv(1, socket.MSG_PEEK):  # `close` woke us, or a client that said nothing
                sock.close()
                if self._closing:
                    return
                continue
            thread = threading.Thread(target=self._serve, args=(sock,))
            self._threads.append(thread)
            thread.start()

    _closing = False

    def _serve(self, sock: socket.socket) -> None:
        try:
            Peer(self, sock).serve()
        except BaseException as error:
            self.failures.append(error)

    def settle(self) -> None:
        """Wait until every client that has left is forgotten, so that `log` is complete."""
        for thread in self._threads[1:]:
            thread.join()

    def close(self) -> None:
        """Wait for all clients to have left.  Raises what went wrong in the server's threads."""
        self._closing = True
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as last:
            last.connect(self.path)
        self._threads[0].join()
        self.settle()
        self._listener.close()
        for failure in self.failures:
            raise failure


@contextmanager
def fake_audiod(path: Path) -> Iterator[FakeAudiod]:
    server = FakeAudiod(path)
    try:
        yield server
    finally:
        server.close()
