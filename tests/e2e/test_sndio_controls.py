"""Controls of sndio's wire on a real process: a thousand that watch, one that does not read, clean bytes.

After each test the street must be unharmed.
"""

from __future__ import annotations

import contextlib
import random
import resource
import socket
from collections.abc import Iterator

import pytest
from audiod_protocol import NEED_DATA
from audiod_protocol.sndio import descriptors as d
from audiod_protocol.sndio import messages as m
from audiod_protocol.sndio.control import Changed, ControlClient, Event, Synced
from audiod_protocol.sndio.descriptors import Descriptor
from daemon import PATIENCE
from native import Native
from sndiowire import SndioWire
from street import Street, inhabited

MANY = 1000
SETS = 10
FLOOD = 1000  # changes: more than any socket holds, were one that does not read told of each
LISTENS = 4096  # bytes that the socket of one that does not read holds, about


@pytest.fixture(scope="module")
def whole_street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    folder = tmp_path_factory.mktemp("street")
    with inhabited(folder, sndio=str(folder / "sndio.sock")) as street:
        yield street


@pytest.fixture
def street(whole_street: Street) -> Iterator[Street]:
    yield whole_street
    whole_street.unharmed()


class Watcher:
    """A control client; `raw` keeps every byte that it was sent."""

    def __init__(
        self, street: Street, *, old: bool = False, opt: str = "default", small: bool = False
    ) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        if small:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LISTENS)
        self.sock.connect(str(street.file.parent / "sndio.sock"))
        self.sock.settimeout(PATIENCE)
        self.client = ControlClient(old=old)
        self.raw = b""
        self.sock.sendall(self.client.hello(bytes(16), None, opt, 1, "watcher"))
        self.until(lambda event: event == m.Ack())

    def watch(self) -> Watcher:
        self.sock.sendall(self.client.subscribe())
        self.until(lambda event: event == Synced())
        return self

    def until(self, wanted: object) -> list[Event]:
        """All that it is told, up to what is wanted."""
        found: list[Event] = []
        while True:
            while (event := self.client.next_event()) is not NEED_DATA:
                found.append(event)
                if callable(wanted) and wanted(event):
                    return found
            data = self.sock.recv(1 << 16)
            assert data, "closed"
            self.raw += data
            self.client.receive_data(data)

    def find(self, node: str, func: str) -> Descriptor:
        (found,) = (c for c in self.client.controls.values() if (c.node0.name, c.func) == (node, func))
        return found

    def set(self, node: str, func: str, value: int) -> None:
        self.sock.sendall(self.client.set(self.find(node, func).addr, value))

    def hears(self, node: str, func: str, value: int) -> list[Event]:
        """All up to this value."""

        def is_it(event: Event) -> bool:
            return isinstance(event, Changed) and (
                event.control.node0.name, event.control.func, event.control.value
            ) == (node, func, value)  # fmt: skip

        return self.until(is_it)

    def close(self) -> None:
        self.sock.close()


@contextlib.contextmanager
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard > 2500, "this machine allows too few descriptors for the test"
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_thousand_watch_and_one_does_not_read(street: Street) -> None:
    """Each of the thousand has what holds; so has the slow one once it reads, and it was never closed."""
    with many_files(), contextlib.ExitStack() as crowd:
        watchers = []
        for n in range(MANY):
            watchers.append(Watcher(street, old=n % 2 == 0, opt=("default", "rear")[n % 3 == 0]).watch())
            crowd.callback(watchers[-1].close)
        slow = Watcher(street, small=True).watch()
        crowd.callback(slow.close)
        setter, native = watchers[1], Native(street.daemon.socket, hello="setter")
        crowd.callback(native.close)
        for turn in range(SETS):
            setter.set("input", "level", turn)
            setter.hears("input", "level", turn)
            native.call("control.set", name="input.mute", value=(turn + 1) % 2)
            street.neighbour.hears_on()
        for turn in range(FLOOD):
            native.call("control.set", name="input.level", value=turn % 100)
        native.call("control.set", name="input.mute", value=1)
        native.call("control.set", name="input.level", value=127)
        native.seen.clear()
        for watcher in watchers:
            watcher.hears("input", "level", 127)
            while watcher.find("input", "mute").value != 1:
                watcher.hears("input", "mute", 1)
        told = len(slow.hears("input", "level", 127))
        while slow.client.controls != setter.client.controls:
            slow.until(lambda event: isinstance(event, Changed))
        assert told < FLOOD // 2, "its socket's worth, not one for each change"
        native.call("control.set", name="input.mute", value=0)
    log = street.daemon.log
    assert "client.slow" not in log and "client.breach" not in log
    street.control.seen.clear()


def test_those_that_vanish_or_misbehave_are_nobody_elses_business(street: Street) -> None:
    rnd = random.Random(7)
    stays = Watcher(street).watch()
    for turn in range(300):
        other = Watcher(street, old=bool(turn % 2))
        match turn % 6:
            case 0:
                other.sock.sendall(other.client.subscribe())
            case 1:
                other.watch().set("input", "level", turn % 100)
            case 2:
                other.sock.sendall(m.encode(m.Ctlset(60000, 1)))
            case 3:
                other.sock.sendall(m.encode(m.Ctlsub(True, True))[:-7])
            case 4:
                other.sock.sendall(rnd.randbytes(4000))
            case _:
                other.watch().sock.sendall(other.client.set(other.find("input", "level").addr, 5) * 200)
        other.close()
    stays.set("input", "level", 127)
    stays.hears("input", "level", 127)
    stays.close()
    assert "client.bug" not in street.daemon.log


REJECTED: list[tuple[m.Message | bytes, str]] = [
    (m.Setpar(m.WirePar()), "SETPAR on a connection for control"),
    (m.Getpar(), "GETPAR on a connection for control"),
    (m.Start(), "START on a connection for control"),
    (m.Stop(), "STOP on a connection for control"),
    (m.Setvol(3), "SETVOL on a connection for control"),
    (m.encode(m.Data(8)) + bytes(8), "DATA on a connection for control"),
    (b"\0\0\0\x05" + bytes(36), "DATA on a connection for control"),
    (m.Auth(bytes(16)), "AUTH for the second time"),
    (m.Hello(0x300, 255, 1, "default", "a"), "HELLO for the second time"),
    (m.Ctlsync(), "CTLSYNC is no message that a client sends"),
    (m.Ack(), "ACK is no message that a client sends"),
    (b"\0\0\0\x08" + bytes(36), "command 8 is no message"),
    (m.Ctlset(0, 0), "control 0, which there is not"),
    (m.Ctlset(65535, 1), "control 65535, which there is not"),
    (m.Ctlset(1, 2), "is 0..1, not 2"),
    (m.Ctlset(1, 65535), "is 0..1, not 65535"),
]


@pytest.mark.parametrize(("message", "why"), REJECTED, ids=[why for _, why in REJECTED])
@pytest.mark.parametrize("subscribed", [False, True])
def test_what_closes_the_connection(
    street: Street, message: m.Message | bytes, why: str, subscribed: bool
) -> None:
    """With one line of the log, and nobody else is told anything."""
    other, rude = Watcher(street).watch(), Watcher(street)
    at = len(street.daemon.log)
    if subscribed:
        rude.watch()
    rude.sock.sendall(message if isinstance(message, bytes) else m.encode(message))
    with contextlib.suppress(ConnectionResetError):
        while rude.sock.recv(1 << 16):
            pass
    (line,) = [line for line in street.daemon.log[at:].splitlines() if "client.breach" in line]
    assert why in line and "name=watcher" in line
    before = len(other.raw)
    other.set("input", "level", 126)
    assert len(other.hears("input", "level", 126)) == 1 and len(other.raw) == before + m.MSG_SIZE
    other.set("input", "level", 127)
    other.hears("input", "level", 127)
    other.close(), rude.close()


# ---- what is sent, byte by byte ----


def walk(raw: bytes, size: int) -> Iterator[bytes]:
    """Every message and every descriptor of a client that is told descriptors of `size` bytes."""
    while raw:
        head, raw = raw[: m.MSG_SIZE], raw[m.MSG_SIZE :]
        yield head
        message = m.decode_server(head)
        if isinstance(message, m.Data):
            for at in range(0, message.size, size):
                yield raw[at : at + size]
            raw = raw[message.size :]


@pytest.mark.parametrize("old", [False, True])
def test_nothing_is_told_but_what_is_said(street: Street, old: bool) -> None:
    """Each byte of each message is what the message says; padding is as a fresh sender has it.

    sndiod leaves what was in its memory before in descriptors and CTLSYNC.
    """
    secret = "s" * 60
    with Native(street.daemon.socket, hello=secret) as native:
        for _ in range(3):
            for name in (secret, "x"):
                stream = native.call("open", mode="play", device="rear", name=name)["stream"]
                native.call("setvol", stream=stream, vol=3)
                native.call("close", stream=stream)
        watcher = Watcher(street, old=old, opt="rear").watch()
        for name in ("longername", "y"):
            stream = native.call("open", mode="play", device="rear", name=name)["stream"]
            native.call("setvol", stream=stream, vol=4 + old)
            watcher.until(lambda event: isinstance(event, Changed) or event == Synced())
            native.call("close", stream=stream)
        watcher.set("input", "mute", 1)
        watcher.hears("input", "mute", 1)
        watcher.set("input", "mute", 0)
        watcher.hears("input", "mute", 0)
        size = d.SIZE_OLD if old else d.SIZE
        kinds = set()
        for piece in walk(watcher.raw, size):
            if len(piece) == m.MSG_SIZE:
                message = m.decode_server(piece)
                kinds.add(type(message))
                assert m.encode(message) == piece
            else:
                assert d.read(piece).pack(old=old) == piece
        assert kinds == {m.Ack, m.Data, m.Ctlset, m.Ctlsync}
        watcher.close()


def test_what_a_stream_is_told_is_clean_too(street: Street) -> None:
    """The other messages, which the pump makes."""
    with SndioWire(street.file.parent / "sndio.sock") as wire:
        wire.open(3, opt="default")
        wire.send(
            m.Setpar(m.WirePar(bits=16, rate=48000, appbufsz=4800)), m.Getpar(), m.Start(xrunnotify=True)
        )
        wire.until(lambda message: isinstance(message, m.Flowctl))
        wire.send(*[m.Data(1920), bytes(1920)] * 10)
        kinds: set[type] = set()
        buffer = b""
        while not {m.Move, m.Flowctl, m.Data, m.Xrun} <= kinds:
            data = wire.sock.recv(1 << 16)
            assert data
            buffer += data
            while len(buffer) >= m.MSG_SIZE:
                message = m.decode_server(buffer[: m.MSG_SIZE])
                size = message.size if isinstance(message, m.Data) else 0
                if len(buffer) < m.MSG_SIZE + size:
                    break
                assert m.encode(message) == buffer[: m.MSG_SIZE]
                kinds.add(type(message))
                buffer = buffer[m.MSG_SIZE + size :]
