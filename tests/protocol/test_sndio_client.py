"""The client's end of sndio's wire: against the server's end and garbage, in any order and any pieces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from audiod_protocol import NEED_DATA, FaultError, LocalProtocolError, Mode, RemoteProtocolError
from audiod_protocol.params import Enc, Par, Xrun
from audiod_protocol.sndio import client as c
from audiod_protocol.sndio import messages as m
from audiod_protocol.sndio.client import Client, Parameters, Phase, short_name
from audiod_protocol.sndio.server import Samples as Payload
from audiod_protocol.sndio.server import Server
from hypothesis import given, settings
from hypothesis import strategies as st

STEADY = settings(deadline=None, derandomize=True)
DUPLEX = Mode.PLAY | Mode.REC
COOKIE = bytes(range(16))
ROUND, APPBUFSZ, BUFSZ = 480, 960, 1440
PAR = m.WirePar(
    mode=3, xrun=0, bps=2, bits=16, msb=1, le=1, sig=1, pchan=2, rchan=2, rate=48000, bufsz=BUFSZ,
    round=ROUND, appbufsz=APPBUFSZ,
)  # fmt: skip
PHASES = (Phase.NEW, Phase.HELLO, Phase.INIT, Phase.START, Phase.STOP, Phase.BYE)


def events(client: Client, data: bytes = b"") -> list[c.Event]:
    client.receive_data(data)
    found = []
    while (event := client.next_event()) is not NEED_DATA:
        found.append(event)
    return found


def at(phase: Phase, mode: Mode = DUPLEX, par: m.WirePar = PAR) -> Client:
    """A client that has come so far."""
    client = Client(mode)
    steps: list[Callable[[], object]] = [
        lambda: client.hello(COOKIE, None, "default", 7, "test"),
        lambda: (
            events(client, m.encode(m.Ack())),
            client.getpar(),
            events(client, m.encode(m.ParReply(par))),
        ),
        client.start,
        lambda: client.stop(True),
        client.bye,
    ]
    for step in steps[: PHASES.index(phase)]:
        step()
    assert client.phase is phase
    return client


# ---- what it says ----


def test_the_first_words() -> None:
    said = Client(Mode.PLAY).hello(COOKIE, None, "rear", 0x1234, "a program with a long name")
    assert said == bytes.fromhex("0000000cffffffff") + COOKIE + b"\xff" * 16 + bytes.fromhex(
        "0000000affffffff0001 07 ff 00001234 7265617200ffffffffffffff 612070726f6772616d207700"
    )
    for mode, devnum, bits in ((Mode.REC, 3, "000207 03"), (DUPLEX, 0, "000307 00")):
        said = Client(mode).hello(COOKIE, devnum, "default", 1, "x")
        assert said[48:52] == bytes.fromhex(bits)


@pytest.mark.parametrize(
    ("name", "short"),
    [("twelve bytes", "twelve byte"), ("\u00e9" * 6, "\u00e9" * 5), ("a\0b", "ab"), ("", "")],
)
def test_names_are_cut_to_what_goes(name: str, short: str) -> None:
    assert short_name(name) == short
    assert Client(Mode.PLAY).hello(COOKIE, None, "default", 1, name)


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        (Par(), m.WirePar()),
        (Par(bits=20), m.WirePar(bits=20, bps=4)),
        (Par(bits=20, bps=3, msb=True), m.WirePar(bits=20, bps=3, msb=1)),
        (Par(bps=3, le=False, sig=False), m.WirePar(le=0, sig=0)),
        (Par(rate=2**32 - 1, pchan=70_000, rchan=0), m.WirePar(rate=2**31 - 1, pchan=64, rchan=0)),
        (Par(appbufsz=2**32 - 1, xrun=Xrun.ERROR), m.WirePar(appbufsz=2**31 - 1, xrun=2)),
        (Par(round=7, bufsz=9), m.WirePar()),
    ],
)
def test_parameters_that_are_asked_for(asked: Par, sent: m.WirePar) -> None:
    said = at(Phase.INIT).setpar(asked)
    assert m.decode_client(said[:40]) == m.Setpar(sent)
    assert m.decode_client(said[40:]) == m.Getpar()


@pytest.mark.parametrize(
    "asked",
    [Par(bits=0), Par(bits=33), Par(bits=24, bps=2), Par(bits=8, bps=5), Par().with_enc(Enc.parse("f32"))],
)
def test_an_encoding_that_the_server_would_hang_up_on_is_not_sent(asked: Par) -> None:
    client = at(Phase.INIT)
    with pytest.raises((FaultError, LocalProtocolError)):
        client.setpar(asked)
    assert client.asked == 0
    assert client.start()


METHODS: dict[str, tuple[Callable[[Client], object], set[Phase]]] = {
    "hello": (lambda x: x.hello(COOKIE, None, "default", 1, "x"), {Phase.NEW}),
    "setpar": (lambda x: x.setpar(Par(rate=8000)), {Phase.INIT}),
    "getpar": (lambda x: x.getpar(), {Phase.INIT}),
    "start": (lambda x: x.start(), {Phase.INIT}),
    "write": (lambda x: x.write(b""), {Phase.START}),
    "stop": (lambda x: x.stop(True), {Phase.START}),
    "setvol": (lambda x: x.setvol(1), {Phase.INIT, Phase.START, Phase.STOP}),
    "bye": (lambda x: x.bye(), {Phase.HELLO, Phase.INIT, Phase.START, Phase.STOP}),
}


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("method", METHODS)
def test_what_may_be_said_when(phase: Phase, method: str) -> None:
    say, phases = METHODS[method]
    client = at(phase)
    if phase in phases:
        say(client)
        return
    with pytest.raises(LocalProtocolError, match=phase.upper()):
        say(client)
    assert client.phase is phase


def test_start_waits_for_the_parameters() -> None:
    client = at(Phase.HELLO)
    events(client, m.encode(m.Ack()))
    with pytest.raises(LocalProtocolError, match="GETPAR"):
        client.start()
    client.getpar()
    with pytest.raises(LocalProtocolError, match="GETPAR"):
        client.start()
    events(client, m.encode(m.ParReply(PAR)))
    assert client.start()


# ---- credit and cutting ----


def test_room_is_within_the_credit_and_bufsz() -> None:
    client = at(Phase.START)
    assert client.room == 0
    with pytest.raises(LocalProtocolError, match="cannot be sent now"):
        client.write(bytes(4))
    events(client, m.encode(m.Flowctl(1000)))
    assert client.room == 1000
    client.write(bytes(4 * 1000))
    events(client, m.encode(m.Flowctl(1000)))
    assert client.room == BUFSZ - 1000
    events(client, m.encode(m.Move(480)))
    assert client.room == BUFSZ - 520
    with pytest.raises(LocalProtocolError, match="5 bytes cannot be sent now"):
        client.write(bytes(5))
    client.write(bytes(4 * client.room))
    assert client.room == 0


def test_blocks_and_positions_begin_again_with_each_start() -> None:
    client = at(Phase.START)
    events(client, m.encode(m.Flowctl(APPBUFSZ)) + m.encode(m.Move(-1)))
    client.write(bytes(4 * 100))
    client.stop(True)
    events(client, m.encode(m.Stop()))
    client.start()
    assert client.outstanding == 0
    assert events(client, m.encode(m.Flowctl(APPBUFSZ)) + m.encode(m.Move(0)))[1:] == [m.Move(0)]
    said = client.write(bytes(4 * ROUND))
    assert [m.decode_client(said[:40]), len(said)] == [m.Data(4 * ROUND), 40 + 4 * ROUND]


@STEADY
@given(
    nchan=st.integers(1, 64),
    bps=st.integers(1, 4),
    round=st.integers(1, 2000),
    counts=st.lists(st.integers(0, 3000), max_size=6),
)
def test_samples_are_cut_as_a_server_wants_them(nchan: int, bps: int, round: int, counts: list[int]) -> None:
    total = sum(counts)
    par = replace(
        PAR, pchan=nchan, bits=8 * bps, bps=bps, round=round, appbufsz=max(1, total), bufsz=max(1, total)
    )
    client, server = at(Phase.START, par=par), served(par)
    events(client, server.send(m.Flowctl(total)))
    got = b""
    for count in counts:
        samples = bytes((len(got) + i) % 251 for i in range(count * nchan * bps))
        server.receive_data(client.write(memoryview(samples)))
        while (event := server.next_event()) is not NEED_DATA:
            assert not isinstance(event, m.Data) or event.size <= m.DATAMAX
            got += event.data if isinstance(event, Payload) else b""
        assert got.endswith(samples)
    assert len(got) == total * nchan * bps


def served(par: m.WirePar = PAR) -> Server:
    """A server whose client has started."""
    server = Server()
    hello: list[m.ClientMessage] = [m.Auth(COOKIE), m.Hello(3, 255, 7, "default", "test"), m.Start()]
    for message in hello:
        server.decode(m.encode(message))
    server.begin((par.pchan or 1) * (par.bps or 1), par.round or 1)
    return server


# ---- what it hears ----


def test_what_a_started_stream_hears() -> None:
    client = at(Phase.START)
    said = [m.Flowctl(960), m.Move(0), m.Setvol(90), m.Move(480), m.Xrun()]
    assert events(client, b"".join(map(m.encode, said))) == said
    samples = bytes(range(8))
    assert events(client, m.encode(m.Data(8)) + samples) == [c.Samples(samples)]
    client.stop(False)
    assert events(client, b"".join(map(m.encode, [m.Flowctl(480), m.Move(480)]))) == [m.Move(480)]
    assert events(client, m.encode(m.Data(4)) + bytes(4) + m.encode(m.Stop())) == [
        c.Samples(bytes(4)),
        m.Stop(),
    ]
    assert client.phase is Phase.INIT
    assert (client.room, client.credit) == (0, 960)
    assert client.start()
    assert client.credit == 0


def test_recorded_samples_come_in_whole_frames_as_they_arrive() -> None:
    client = at(Phase.START)
    samples = bytes(range(12))
    assert events(client, m.encode(m.Data(12)) + samples[:3]) == []
    assert events(client, samples[3:7]) == [c.Samples(samples[:4])]
    assert events(client, samples[7:]) == [c.Samples(samples[4:])]


def test_a_huge_data_is_passed_on_piece_by_piece() -> None:
    client = at(Phase.START)
    events(client, m.encode(m.Data(2**31 - 4)))
    for _ in range(3):
        assert events(client, bytes(4000)) == [c.Samples(bytes(4000))]


def test_negative_deltas_are_made_good_before_a_position_is_told() -> None:
    client = at(Phase.START)
    assert events(client, m.encode(m.Move(-480)) + m.encode(m.Move(400))) == []
    assert events(client, m.encode(m.Move(80)) + m.encode(m.Move(5))) == [m.Move(0), m.Move(5)]


def test_the_answer_to_getpar() -> None:
    client = at(Phase.INIT, Mode.PLAY)
    wanted = Par(rate=48000, pchan=2, appbufsz=APPBUFSZ, bufsz=BUFSZ, round=ROUND, xrun=Xrun.IGNORE).with_enc(
        Enc(16, 2, True, True, True)
    )
    assert client.par == wanted
    client.setpar(Par(xrun=Xrun.SYNC))
    reply = m.encode(m.ParReply(replace(PAR, xrun=1, rchan=None)))
    assert events(client, reply) == [Parameters(replace(wanted, xrun=Xrun.SYNC))]


def test_nothing_is_heard_behind_bye() -> None:
    client = at(Phase.BYE)
    assert events(client, m.encode(m.Move(1)) + b"junk") == []
    client.receive_eof()


def test_the_end_of_file() -> None:
    client = at(Phase.START)
    client.receive_eof()
    events(client, m.encode(m.Move(1))[:39])
    with pytest.raises(RemoteProtocolError, match="within a message"):
        client.receive_eof()
    client = at(Phase.START)
    events(client, m.encode(m.Data(8)) + bytes(4))
    with pytest.raises(RemoteProtocolError, match="within a message"):
        client.receive_eof()


# ---- what it does not bear ----

SAYINGS: dict[str, tuple[m.ServerMessage, set[Phase]]] = {
    "ACK": (m.Ack(), {Phase.HELLO}),
    "GETPAR": (m.ParReply(PAR), set()),  # only when asked
    "FLOWCTL": (m.Flowctl(1), {Phase.START, Phase.STOP}),
    "MOVE": (m.Move(1), {Phase.START, Phase.STOP}),
    "SETVOL": (m.Setvol(1), {Phase.START, Phase.STOP}),
    "XRUN": (m.Xrun(), {Phase.START, Phase.STOP}),
    "DATA": (m.Data(4), {Phase.START, Phase.STOP}),
    "STOP": (m.Stop(), {Phase.STOP}),
    "CTLSYNC": (m.Ctlsync(), set()),
    "CTLSET": (m.Ctlset(1, 1), set()),
}


@pytest.mark.parametrize("phase", PHASES[:-1])
@pytest.mark.parametrize("name", SAYINGS)
def test_what_may_be_heard_when(name: str, phase: Phase) -> None:
    message, phases = SAYINGS[name]
    client = at(phase)
    if phase in phases:
        events(client, m.encode(message))
        return
    with pytest.raises(RemoteProtocolError, match=name) as first:
        events(client, m.encode(message))
    with pytest.raises(RemoteProtocolError) as again:
        client.next_event()
    assert again.value is first.value
    with pytest.raises(LocalProtocolError, match="dead"):
        client.setvol(1)
    client.receive_eof()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (m.encode(m.Flowctl(-1)), "takes 1 frames of credit back"),
        (m.encode(m.Data(6)), "no whole frames of 4 bytes"),
        (bytes.fromhex("00000005ffffffff00000000") + bytes(28), "announces 0 bytes"),
        (bytes.fromhex("00000009ffffffff00000080") + bytes(28), "volume 128"),
        (bytes.fromhex("00000008") + bytes(36), "command 8"),
        (m.encode(m.Getpar()), "no encoding|GETPAR"),
    ],
)
def test_breaches(data: bytes, why: str) -> None:
    with pytest.raises(RemoteProtocolError, match=why):
        events(at(Phase.START), data)


def test_samples_for_a_stream_that_only_plays() -> None:
    with pytest.raises(RemoteProtocolError, match="only plays"):
        events(at(Phase.START, Mode.PLAY), m.encode(m.Data(4)))


def test_credit_for_a_stream_that_only_records_is_of_no_meaning() -> None:
    client = at(Phase.START, Mode.REC)
    assert events(client, m.encode(m.Flowctl(5))) == []
    assert client.room == 0


IMPOSSIBLE: list[dict[str, int | None]] = [
    {"bits": None}, {"bits": 0}, {"bits": 33}, {"bps": 1}, {"bps": 5}, {"sig": None}, {"xrun": 3},
    {"xrun": None}, {"pchan": None}, {"pchan": 0}, {"rchan": 65}, {"rate": None}, {"rate": 0}, {"round": 0},
    {"round": None}, {"appbufsz": 0}, {"bufsz": None}, {"bufsz": APPBUFSZ - 1},
]  # fmt: skip


@pytest.mark.parametrize("change", IMPOSSIBLE, ids=str)
def test_impossible_parameters(change: dict[str, int | None]) -> None:
    client = at(Phase.INIT)
    client.getpar()
    with pytest.raises(RemoteProtocolError, match="the answer to GETPAR"):
        events(client, m.encode(m.ParReply(replace(PAR, **change))))  # type: ignore[arg-type]


# ---- anything ----

WORD = st.sampled_from(
    [*(m.encode(message) for message, _ in SAYINGS.values()), m.encode(m.Data(400)), m.encode(m.Getpar())]
)
NOISE = st.lists(
    WORD | st.binary(max_size=60) | st.integers(0, 20).map(lambda n: bytes([0, 0, 0, n])), max_size=12
)


@STEADY
@given(
    phase=st.sampled_from(PHASES), noise=NOISE.map(b"".join), cuts=st.lists(st.integers(1, 50), max_size=30)
)
def test_any_bytes_in_any_pieces_are_events_or_one_breach(
    phase: Phase, noise: bytes, cuts: list[int]
) -> None:
    def hear(pieces: list[bytes]) -> tuple[list[c.Event], bytes, str]:
        client = at(phase)
        found: list[c.Event] = []
        samples = b""
        for piece in pieces:
            client.receive_data(piece)
            try:
                while (event := client.next_event()) is not NEED_DATA:
                    if isinstance(event, c.Samples):
                        samples += event.data
                        assert len(event.data) % 4 == 0
                    else:
                        found.append(event)
            except RemoteProtocolError as breach:
                return found, samples, str(breach)
            assert client.outstanding <= BUFSZ
        return found, samples, ""

    pieces, rest = [], noise
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    assert hear([*pieces, rest]) == hear([noise])


ACT = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 2000)),
    st.tuples(st.just("tick"), st.integers(0, ROUND)),
    st.tuples(st.sampled_from(["heard", "told"]), st.integers(1, 5000)),
    st.tuples(st.sampled_from(["stop", "start", "vol", "ask"]), st.integers(0, 1)),
)


@STEADY
@given(acts=st.lists(ACT, max_size=60))
def test_a_client_and_a_server_never_break_the_protocol_to_each_other(acts: list[tuple[str, int]]) -> None:
    """Both ends, in any order, with pipes between them that let through any number of bytes at a time."""
    client, server = Client(DUPLEX), Server()
    to_server, to_client = bytearray(client.hello(COOKIE, None, "default", 1, "x")), bytearray()
    written, played, recorded, got = bytearray(), bytearray(), bytearray(), bytearray()
    queued = moved = position = 0  # frames: in the server, told by it, heard of

    def serve(count: int) -> None:
        nonlocal queued, moved
        server.receive_data(bytes(to_server[:count]))
        del to_server[:count]
        while (event := server.next_event()) is not NEED_DATA:
            match event:
                case m.Hello():
                    to_client.extend(server.send(m.Ack()))
                case m.Getpar():
                    to_client.extend(server.send(m.ParReply(PAR)))
                case m.Start():
                    server.begin(4, ROUND)
                    queued = moved = 0
                    to_client.extend(server.send(m.Flowctl(APPBUFSZ)) + server.send(m.Move(0)))
                case m.Data(size):
                    queued += size // 4
                case Payload(data):
                    played.extend(data)
                case m.Stop():
                    to_client.extend(server.send(m.Stop()))

    def tick(count: int) -> None:
        """The server consumes what has come, as much as a block of it, and records as much."""
        nonlocal queued, moved
        count = min(count, queued)
        if server.phase != "start" or not count:
            return
        queued -= count
        samples = bytes((len(recorded) + i) % 256 for i in range(4 * count))
        recorded.extend(samples)
        to_client.extend(server.send(m.Move(count)) + server.send(m.Flowctl(count)))
        to_client.extend(server.send(m.Data(len(samples))) + samples)

    def hear(count: int) -> None:
        nonlocal position
        client.receive_data(bytes(to_client[:count]))
        del to_client[:count]
        while (event := client.next_event()) is not NEED_DATA:
            if isinstance(event, c.Samples):
                got.extend(event.data)
            elif isinstance(event, m.Move):
                position += event.delta

    serve(80)
    hear(40)
    for act, n in [("ask", 0), ("heard", 40), ("told", 40), ("start", 0), *acts]:
        if act == "heard":
            serve(n)
        elif act == "told":
            hear(n)
        elif act == "tick":
            tick(n)
        elif act == "write" and client.phase is Phase.START:
            count = min(n, client.room)
            samples = bytes((len(written) + i) % 253 for i in range(4 * count))
            written.extend(samples)
            to_server.extend(client.write(samples))
        elif act == "vol" and client.phase in (Phase.INIT, Phase.START, Phase.STOP):
            to_server.extend(client.setvol(n))
        elif act == "ask" and client.phase is Phase.INIT:
            to_server.extend(client.setpar(Par(rate=48000)) if n else client.getpar())
        elif act == "start" and client.phase is Phase.INIT and client.par is not None and not client.asked:
            to_server.extend(client.start())
        elif act == "stop" and client.phase is Phase.START:
            to_server.extend(client.stop(bool(n)))
        assert 0 <= client.outstanding <= BUFSZ
        assert client.credit >= 0
    for _ in range(2):  # what is under way arrives, and so do the answers
        serve(len(to_server))
        hear(len(to_client))
    assert played == written
    assert got == recorded
