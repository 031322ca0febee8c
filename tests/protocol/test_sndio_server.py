"""The server's end of sndio's wire: what may come when, by bytes and by messages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from audiod_protocol import NEED_DATA, LocalProtocolError, RemoteProtocolError
from audiod_protocol.sndio import messages as m
from audiod_protocol.sndio.server import Breach, Event, Kind, Phase, Samples, Server, breach_fault
from hypothesis import given, settings
from hypothesis import strategies as st

AUTH = m.Auth(bytes(16))
PLAY = m.Hello(1, 255, 7, "default", "test")
REC = m.Hello(2, 255, 7, "default", "test")
DUPLEX = m.Hello(3, 255, 7, "default", "test")
MIDI = m.Hello(0xC, 0x13, 7, "", "test")
CONTROL = m.Hello(0x300, 255, 7, "default", "test")
FRAME, ROUND = 4, 480


def feed(server: Server, *messages: m.ClientMessage) -> None:
    """The client says this, the server does what it must."""
    for message in messages:
        server.decode(m.encode(message))
        if isinstance(message, m.Hello):
            server.send(m.Ack())
        elif isinstance(message, m.Getpar):
            server.send(m.ParReply(m.WirePar()))
        elif isinstance(message, m.Start):
            server.begin(FRAME, ROUND)
            server.send(m.Flowctl(2 * ROUND))


def at(phase: Phase, hello: m.Hello = PLAY) -> Server:
    """A server whose client has come so far."""
    server = Server()
    said: list[m.ClientMessage] = [AUTH, hello, m.Start(), m.Stop()]
    feed(server, *said[: [Phase.AUTH, Phase.HELLO, Phase.INIT, Phase.START, Phase.STOP].index(phase)])
    assert server.phase is phase
    return server


# ---- what closes the connection: a row each ----

SOUND: list[m.ClientMessage] = [
    m.Setpar(m.WirePar()),
    m.Getpar(),
    m.Start(),
    m.Stop(),
    m.Data(4),
    m.Setvol(1),
]
EVERYTHING: list[m.ClientMessage] = [*SOUND, m.Ctlsub(True, True), m.Ctlset(1, 1), AUTH, PLAY]

BREACHES: list[tuple[Server, m.ClientMessage, str]] = [
    *[(at(Phase.AUTH), message, "before AUTH") for message in EVERYTHING if message is not AUTH],
    *[(at(Phase.HELLO), message, "before HELLO") for message in EVERYTHING[:-2]],
    (at(Phase.HELLO), AUTH, "AUTH for the second time"),
    *[(at(phase), AUTH, "AUTH for the second time") for phase in (Phase.INIT, Phase.START, Phase.STOP)],
    *[(at(phase), PLAY, "HELLO for the second time") for phase in (Phase.INIT, Phase.START, Phase.STOP)],
    (at(Phase.HELLO), m.Hello(1, 255, 7, "default", "a", version=8), "HELLO of version 8"),
    (at(Phase.HELLO), m.Hello(1, 255, 7, "default", "a", version=6), "HELLO of version 6"),
    *[
        (at(Phase.HELLO), m.Hello(mode, 255, 7, "default", "a"), f"HELLO of mode {mode:#x}")
        for mode in (0, 5, 9, 0xF, 0x10, 0x11, 0x101, 0x104, 0x303, 0x400, 0xFFFF)
    ],
    *[
        (at(Phase.HELLO), m.Hello(1, devnum, 7, "default", "a"), f"device number {devnum}")
        for devnum in (48, 64, 127, 128, 254)
    ],
    (at(Phase.HELLO), m.Hello(1, 0x10, 7, "", "a"), "HELLO for audio to midithru/0"),
    (at(Phase.HELLO), m.Hello(3, 0x2F, 7, "", "a"), "HELLO for audio to midi/15"),
    (at(Phase.HELLO), m.Hello(0x100, 0x21, 7, "", "a"), "HELLO for control to midi/1"),
    (at(Phase.INIT), m.Data(4), "DATA while it is not started"),
    (at(Phase.INIT), m.Stop(), "STOP while it is not started"),
    *[(at(Phase.START), message, "while it is started") for message in SOUND[:3]],
    *[(at(Phase.STOP), message, "while it stops") for message in SOUND[:5]],
    (at(Phase.START, REC), m.Data(4), "DATA on a connection that only receives"),
    (at(Phase.START), m.Data(3), "not of whole frames"),
    (at(Phase.START), m.Data(FRAME * ROUND + FRAME), "across the end of a block"),
    *[
        (at(phase), message, "on a connection for audio")
        for message in EVERYTHING[6:8]
        for phase in (Phase.INIT, Phase.START, Phase.STOP)
    ],
    *[
        (at(Phase.INIT, hello), message, f"on a connection for {kind}")
        for hello, kind in ((MIDI, "MIDI"), (CONTROL, "control"))
        for message in SOUND
        if not (kind == "MIDI" and isinstance(message, m.Data))
    ],
    (at(Phase.INIT, MIDI), m.Ctlset(1, 1), "on a connection for MIDI"),
    (at(Phase.INIT, MIDI), m.Data(1), "beyond the credit"),
    (at(Phase.INIT, m.Hello(8, 255, 7, "default", "a")), m.Data(1), "only receives"),
]


@pytest.mark.parametrize(
    ("server", "message", "why"), BREACHES, ids=lambda v: v if isinstance(v, str) else ""
)
def test_what_closes_the_connection(server: Server, message: m.ClientMessage, why: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        server.decode(m.encode(message))
    assert why in caught.value.message
    assert caught.value.fault.hint
    assert server.phase is Phase.CLOSED
    with pytest.raises(RemoteProtocolError) as again:
        server.decode(m.encode(m.Bye()))
    assert again.value is caught.value


@pytest.mark.parametrize("phase", [Phase.AUTH, Phase.HELLO, Phase.INIT, Phase.START, Phase.STOP])
@pytest.mark.parametrize("cmd", [0, 6, 7, 8, 15, 17, 18, 99])
def test_what_no_client_sends(phase: Phase, cmd: int) -> None:
    server = at(phase)
    with pytest.raises(RemoteProtocolError, match="no message that a client sends"):
        server.decode(cmd.to_bytes(4, "big") + bytes(36))


@pytest.mark.parametrize("breach", Breach)
def test_every_breach_has_words(breach: Breach) -> None:
    fault = breach_fault(breach)
    assert fault.message.startswith(("DATA", "STOP")) and fault.hint


def test_data_behind_its_block() -> None:
    server = at(Phase.START)
    server.decode(m.encode(m.Data(100 * FRAME)))
    server.decode(m.encode(m.Data(380 * FRAME)))  # both in one block
    server.decode(m.encode(m.Data(100 * FRAME)))
    with pytest.raises(RemoteProtocolError, match="across the end of a block"):
        server.decode(m.encode(m.Data(381 * FRAME)))


def test_data_behind_its_credit() -> None:
    server = at(Phase.START)
    for _ in range(2):
        server.decode(m.encode(m.Data(ROUND * FRAME)))
    server.send(m.Flowctl(1))
    server.decode(m.encode(m.Data(FRAME)))
    with pytest.raises(RemoteProtocolError, match="beyond the credit"):
        server.decode(m.encode(m.Data(FRAME)))


def test_stop_voids_credit_and_block() -> None:
    server = at(Phase.START)
    server.decode(m.encode(m.Data(FRAME)))
    feed(server, m.Stop())
    server.send(m.Stop())
    feed(server, m.Start())
    server.decode(m.encode(m.Data(ROUND * FRAME)))
    server.decode(m.encode(m.Data(ROUND * FRAME)))
    with pytest.raises(RemoteProtocolError, match="beyond the credit"):
        server.decode(m.encode(m.Data(FRAME)))


# ---- what is fine ----


@pytest.mark.parametrize("phase", [Phase.INIT, Phase.START, Phase.STOP])
def test_volume_at_any_time(phase: Phase) -> None:
    server = at(phase)
    assert server.decode(m.encode(m.Setvol(3))) == m.Setvol(3)
    assert server.phase is phase


@pytest.mark.parametrize("phase", [Phase.AUTH, Phase.HELLO, Phase.INIT, Phase.START, Phase.STOP])
def test_bye_at_any_time(phase: Phase) -> None:
    server = at(phase)
    server.receive_data(m.encode(m.Bye()) + b"what comes behind it")
    assert server.next_event() == m.Bye()
    assert server.phase is Phase.CLOSED
    assert server.next_event() is NEED_DATA
    server.receive_eof()
    with pytest.raises(RemoteProtocolError, match="behind BYE"):
        server.decode(m.encode(m.Getpar()))


@pytest.mark.parametrize(
    ("hello", "kind"),
    [
        (PLAY, Kind.AUDIO),
        (REC, Kind.AUDIO),
        (DUPLEX, Kind.AUDIO),
        (m.Hello(1, 15, 7, "default", "a"), Kind.AUDIO),
        (MIDI, Kind.MIDI),
        (m.Hello(4, 0x2F, 7, "", "a"), Kind.MIDI),
        (m.Hello(8, 255, 7, "default", "a"), Kind.MIDI),
        (CONTROL, Kind.CONTROL),
        (m.Hello(0x100, 0x10, 7, "", "a"), Kind.CONTROL),
        (m.Hello(0x200, 0, 7, "default", "a"), Kind.CONTROL),
    ],
)
def test_kinds(hello: m.Hello, kind: Kind) -> None:
    server = at(Phase.INIT, hello)
    assert server.kind is kind
    assert server.hello == hello


def test_a_control_connection_subscribes_and_sets() -> None:
    server = at(Phase.INIT, CONTROL)
    feed(server, m.Ctlsub(True, False, old=True), m.Ctlsub(True, True), m.Ctlset(1, 1))
    assert server.send(m.Ctlsync()) == m.encode(m.Ctlsync())


def test_midi_within_its_credit() -> None:
    server = at(Phase.INIT, MIDI)
    server.send(m.Flowctl(1562))
    server.receive_data(m.encode(m.Data(1562)) + bytes(1562) + m.encode(m.Data(1)))
    assert list(events(server, 2)) == [m.Data(1562), Samples(bytes(1562))]
    with pytest.raises(RemoteProtocolError, match="beyond the credit"):
        server.next_event()


# ---- what the server may say ----


@pytest.mark.parametrize(
    ("phase", "message"),
    [
        *[
            (phase, message)
            for phase in (Phase.AUTH, Phase.HELLO, Phase.INIT)
            for message in (m.Move(0), m.Flowctl(1), m.Setvol(1), m.Data(4), m.Stop(), m.Xrun())
        ],
        (Phase.STOP, m.Move(1)),
        (Phase.STOP, m.Flowctl(1)),
        (Phase.STOP, m.Xrun()),
        (Phase.INIT, m.Ack()),
        (Phase.INIT, m.ParReply(m.WirePar())),
        (Phase.START, m.ParReply(m.WirePar())),
        (Phase.INIT, m.Ctlsync()),
    ],
    ids=str,
)
def test_what_a_client_could_not_bear(phase: Phase, message: m.ServerMessage) -> None:
    server = at(phase)
    with pytest.raises(LocalProtocolError):
        server.send(message)
    assert server.phase is phase


def test_a_block_is_known_from_start_on() -> None:
    with pytest.raises(LocalProtocolError):
        at(Phase.INIT).begin(4, 480)


def test_stop_of_which_only_the_end_is_seen() -> None:
    """Who moves the samples may have taken the client's STOP."""
    server = at(Phase.START)
    server.stopped()
    assert server.phase is Phase.INIT
    server.stopped()
    feed(server, m.Setpar(m.WirePar()), m.Getpar(), m.Start())


# ---- bytes ----


def events(server: Server, count: int) -> Iterator[Event]:
    for _ in range(count):
        event = server.next_event()
        assert event is not NEED_DATA
        yield event


def test_end_of_file() -> None:
    server = at(Phase.START)
    server.receive_eof()
    server.receive_data(m.encode(m.Data(8)) + b"1234")
    assert list(events(server, 2)) == [m.Data(8), Samples(b"1234")]
    assert server.next_event() is NEED_DATA
    with pytest.raises(RemoteProtocolError, match="within a message"):
        server.receive_eof()
    server.receive_data(b"5678")
    assert server.next_event() == Samples(b"5678")
    server.receive_eof()
    server.receive_data(b"\0")
    with pytest.raises(RemoteProtocolError, match="within a message"):
        server.receive_eof()


SAY = st.sampled_from(
    [
        AUTH, PLAY, REC, DUPLEX, MIDI, CONTROL, m.Setpar(m.WirePar(rate=44100)), m.Getpar(), m.Start(True),
        m.Stop(True), m.Stop(False), m.Stop(), m.Data(4), m.Data(1), m.Data(FRAME * ROUND), m.Data(2**31 - 1),
        m.Setvol(0), m.Ctlsub(True, True), m.Ctlset(1, 1), m.Bye(),
    ]
)  # fmt: skip


def run(server: Server, chunks: list[bytes]) -> tuple[list[object], str]:
    """All that comes of these bytes; pieces of a payload are put together."""
    seen: list[object] = []
    try:
        for chunk in chunks:
            server.receive_data(chunk)
            while (event := server.next_event()) is not NEED_DATA:
                if isinstance(event, Samples) and seen and isinstance(seen[-1], Samples):
                    seen[-1] = Samples(seen[-1].data + event.data)
                else:
                    seen.append(event)
                if isinstance(event, m.Start):
                    server.begin(FRAME, ROUND)
                    server.send(m.Flowctl(10 * ROUND))
                elif isinstance(event, m.Stop):
                    server.send(m.Stop())
    except RemoteProtocolError as error:
        assert server.phase is Phase.CLOSED
        return seen, error.message
    return seen, ""


@given(
    st.lists(SAY | st.binary(max_size=50).map(lambda data: data), max_size=12),
    st.lists(st.integers(1, 80), min_size=1, max_size=20),
    st.booleans(),
)
def test_where_bytes_are_cut_is_of_no_meaning(
    said: list[m.ClientMessage | bytes], sizes: list[int], greet: bool
) -> None:
    data = m.encode(AUTH) + m.encode(PLAY) if greet else b""
    for one in said:
        data += one if isinstance(one, bytes) else m.encode(one)
        if isinstance(one, m.Data):
            data += bytes(min(one.size, 4096))
    whole, pieces = Server(), Server()
    chunks, rest = [], data
    while rest:
        for size in sizes:
            chunks.append(rest[:size])
            rest = rest[size:]
    assert run(whole, [data]) == run(pieces, chunks)
    assert whole.phase is pieces.phase


@given(st.binary(max_size=400), st.sampled_from([Phase.AUTH, Phase.INIT, Phase.START]))
def test_garbage(data: bytes, phase: Phase) -> None:
    server = at(phase)
    _, error = run(server, [data])
    assert error or len(data) < m.MSG_SIZE or server.phase is not Phase.AUTH


# ---- any order of messages, against the rules as the protocol's text has them ----


class Model:
    """The rules once more, in another shape: what is known, instead of states."""

    def __init__(self) -> None:
        self.authorised = self.started = self.stopping = False
        self.hello: m.Hello | None = None
        self.credit = self.in_block = 0

    def allows(self, message: m.ClientMessage) -> bool:
        mode = self.hello.mode if self.hello else 0
        audio, midi, control = bool(mode & 3), bool(mode & 0xC), bool(mode & 0x300)
        rests = audio and not self.started
        match message:
            case m.Bye():
                return True
            case m.Auth():
                return not self.authorised
            case m.Hello():
                return self.authorised and self.hello is None
            case m.Setpar() | m.Getpar() | m.Start():
                return rests
            case m.Stop():
                return self.started and not self.stopping
            case m.Data(size):
                if midi:
                    return bool(mode & 4) and size <= self.credit
                running = self.started and not self.stopping and bool(mode & 1)
                fits = size % FRAME == 0 and self.in_block + size <= FRAME * ROUND
                return running and fits and size <= self.credit
            case m.Setvol():
                return audio
            case m.Ctlsub() | m.Ctlset():
                return control

    def take(self, message: m.ClientMessage) -> None:
        match message:
            case m.Auth():
                self.authorised = True
            case m.Hello():
                self.hello = message
            case m.Start():
                self.started, self.credit, self.in_block = True, 2 * ROUND * FRAME, 0
            case m.Stop():
                self.stopping, self.credit = True, 0
            case m.Data(size):
                self.credit -= size
                self.in_block = (self.in_block + size) % (FRAME * ROUND)

    def drained(self) -> None:
        self.started = self.stopping = False


PATHS = st.sampled_from([[], [AUTH], [AUTH, PLAY], [AUTH, DUPLEX, m.Start()], [AUTH, REC], [AUTH, CONTROL]])


@settings(max_examples=300)
@given(PATHS, st.lists(SAY | st.just("drained"), max_size=25))
def test_any_order(path: list[m.ClientMessage], said: list[m.ClientMessage | str]) -> None:
    server, model = Server(), Model()
    for message in [*path, *said]:
        if isinstance(message, str):
            if model.stopping:
                server.send(m.Stop())
                model.drained()
            continue
        allowed = model.allows(message)
        try:
            feed(server, message)
        except RemoteProtocolError:
            assert not allowed, message
            return
        assert allowed, message
        if isinstance(message, m.Bye):
            return
        model.take(message)
