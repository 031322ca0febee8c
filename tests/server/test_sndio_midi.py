"""Programs that open MIDI on sndio's wire: who hears whom, credit, and what each of them may not do."""

from __future__ import annotations

import io

import pytest
from audiod_protocol.sndio import messages as m
from house import House, SndioClient
from programs import HOUSE, said

from audiod.midi import patchbay
from audiod.midi.client import CREDIT, LOW
from audiod.midi.feed import STALL
from audiod.midi.outbox import BUFFER
from audiod.midi.pace import BURST, RATE

OUT, IN, BOTH = 4, 8, 12
THRU = 16  # devnum of midithru/0
NOTE = bytes.fromhex("903c40")


def program(house: House, mode: int = BOTH, devnum: int = THRU, opt: str = "") -> SndioClient:
    client = house.sndio()
    assert client.open(mode, opt, devnum=devnum) == [m.Ack(), m.Flowctl(CREDIT)]
    return client


def say(client: SndioClient, midi: bytes) -> None:
    client.say(m.encode(m.Data(len(midi))) + midi)


def heard(client: SndioClient) -> bytes:
    return b"".join(one for one in client.conn.sent if isinstance(one, bytes))


def credit(client: SndioClient) -> int:
    """Bytes granted so far."""
    return sum(one.delta for one in client.conn.sent if isinstance(one, m.Flowctl))


# ---- who hears whom ----


def test_what_one_program_sends_all_others_hear(house: House) -> None:
    a, b, c = program(house), program(house, IN), program(house, OUT)
    say(a, NOTE)
    say(c, b"\x80\x01\x02\x03\x04")
    assert heard(a) == b"\x80\x01\x02\x80\x03\x04"
    assert heard(b) == NOTE + heard(a)
    assert heard(c) == b""


def test_boxes_are_apart(house: House) -> None:
    a, b = program(house, devnum=THRU), program(house, devnum=THRU + 15)
    say(a, NOTE)
    assert heard(b) == b""


@pytest.mark.parametrize(
    "devnum, opt, same",
    [(255, "default", (255, "default")), (0, "default", (255, "0")), (1, "front", (255, "front"))],
)
def test_a_sub_device_has_a_hub_of_its_own(devnum: int, opt: str, same: tuple[int, str]) -> None:
    house = House(HOUSE)
    a, b, other = (
        program(house, BOTH, devnum, opt),
        program(house, BOTH, *same),
        program(house, opt="rear", devnum=255),
    )
    say(a, NOTE)
    assert (heard(b), heard(other)) == (NOTE, b"")
    house.close()


def test_the_server_listens_and_speaks_at_a_control_port(house: House) -> None:
    a, b = program(house, devnum=255, opt="default"), program(house, devnum=255, opt="default")
    told: list[bytes] = []
    hub = house.dispatch.patchbay.control("default")
    hub.listen(lambda message, source: told.append(message))
    say(a, NOTE)
    hub.send(b"\xf8", "server")
    assert told == [NOTE, b"\xf8"]
    assert (heard(a), heard(b)) == (b"\xf8", NOTE + b"\xf8")


def test_who_has_left_hears_no_more(house: House) -> None:
    a, b = program(house), program(house)
    b.say(m.Bye())
    assert b.closed
    say(a, NOTE)
    c = program(house)
    c.conn.vanish()
    house.settle()
    say(a, NOTE)
    assert not house.dispatch.patchbay.thru(0).programs[1:]


@pytest.mark.parametrize("last", [m.encode(m.Bye()), m.encode(m.Start())])
def test_who_is_leaving_is_told_nothing_more(house: House, last: bytes) -> None:
    """Its connection is not closed yet, and others go on."""
    a, b = program(house), program(house)
    a.send(m.encode(m.Data(CREDIT)) + b"\xf8" * CREDIT + last)
    house.dispatch.take(next(house.engine.events()))
    before = list(a.conn.sent)
    house.dispatch.patchbay.thru(0).changed()
    say(b, NOTE)
    assert a.conn.sent == before
    assert a.closed


# ---- bytes as they come ----


def test_data_and_messages_may_come_in_any_pieces(house: House) -> None:
    a, b = program(house), program(house)
    wire = m.encode(m.Data(4)) + NOTE + b"\x3e" + m.encode(m.Data(1)) + b"\x41" + m.encode(m.Bye())
    for at in range(len(wire)):
        a.say(wire[at : at + 1])
    assert heard(b) == NOTE + b"\x90\x3e\x41"
    assert a.closed


def test_messages_are_not_held_up_by_what_is_still_to_come(house: House) -> None:
    a, b = program(house), program(house)
    a.say(m.encode(m.Data(100)) + NOTE + b"\x3e")
    assert heard(b) == NOTE


# ---- credit ----


def test_credit_is_topped_up_when_half_is_used(house: House) -> None:
    a = program(house)
    say(a, b"\xf8" * (CREDIT - LOW))
    assert credit(a) == CREDIT
    say(a, b"\xf8")
    assert credit(a) == 2 * CREDIT - LOW + 1


def test_a_slow_reader_holds_its_sender_up_and_loses_nothing(house: House) -> None:
    a, b = program(house, OUT), program(house, IN)
    b.conn.deaf = True
    sent, left = b"", CREDIT
    while left:
        midi = bytes((0xC0, len(sent) % 128)) * (left // 2) + b"\xf8" * (left % 2)
        say(a, midi)
        sent += midi
        left = credit(a) - len(sent)
    assert len(sent) > BUFFER
    assert len(heard(b)) < len(sent)
    b.conn.deaf = False
    b.conn.heard()
    house.settle()
    assert heard(b) == sent
    assert credit(a) - len(sent) == CREDIT


def stalled(house: House) -> None:
    """Let the time pass that one is waited for."""
    house.now += STALL
    for ident in list(house.dispatch.patchbay._ends):
        house.dispatch.patchbay._stall(ident)
    house.settle()


def test_one_that_never_reads_holds_nobody_up_for_long(house: House, logged: io.StringIO) -> None:
    a, b, c = program(house, OUT), program(house, IN), program(house, IN)
    b.conn.deaf = True
    sent = b""
    while credit(a) > len(sent):
        midi = b"\xfa" * (credit(a) - len(sent))
        say(a, midi)
        sent += midi
    stalled(house)
    assert "midi.slow" in logged.getvalue()
    for _ in range(10):
        midi = b"\xf8" * (credit(a) - len(sent))
        assert len(midi) > LOW
        say(a, midi)
        sent += midi
    assert heard(c) == sent
    before = len(heard(b))
    b.conn.deaf = False
    b.conn.heard()
    house.settle()
    say(a, NOTE)
    assert heard(b)[before:] == NOTE  # it is back
    b.say(m.Bye())
    assert "midi.dropped" in logged.getvalue()


def test_one_that_reads_slowly_is_waited_for(house: House, logged: io.StringIO) -> None:
    a, b = program(house, OUT), program(house, IN)
    b.conn.deaf = True
    for _ in range(4):
        say(a, b"\xf8" * 10)
        say(a, b"\xf8" * 10)
        b.conn.deaf = False
        b.conn.heard()
        b.conn.deaf = True
        house.settle()
        say(a, b"\xf8" * 10)
        stalled(house)
    assert "midi.slow" not in logged.getvalue()
    b.conn.deaf = False


def test_the_servers_pace_bounds_what_is_granted(house: House) -> None:
    a, _ = program(house, OUT), program(house, IN)
    sent = 0
    while credit(a) > sent:
        midi = b"\xf8" * (credit(a) - sent)
        say(a, midi)
        sent += len(midi)
        assert sent < BURST + 2 * CREDIT
    assert sent > BURST / 2
    pace = house.dispatch.patchbay.pace
    assert not pace.ready
    house.now += (BURST + CREDIT) / RATE
    assert pace.ready
    pace._line.popleft()()
    assert credit(a) == sent + CREDIT


# ---- refusals: the connection is closed, and one line of the log says why ----


@pytest.mark.parametrize(
    "mode, wire, why",
    [
        (BOTH, m.encode(m.Data(CREDIT + 1)), "beyond the credit"),
        (IN, m.encode(m.Data(1)) + b"\xf8", "only receives"),
        (BOTH, m.encode(m.Data(1))[:8] + bytes(4) + bytes(28), "0 bytes"),
        (BOTH, m.encode(m.Start()), "START on a connection for MIDI"),
        (BOTH, m.encode(m.Stop()), "STOP on a connection for MIDI"),
        (BOTH, m.encode(m.Setpar(m.WirePar())), "SETPAR on a connection for MIDI"),
        (BOTH, m.encode(m.Getpar()), "GETPAR on a connection for MIDI"),
        (BOTH, m.encode(m.Setvol(5)), "SETVOL on a connection for MIDI"),
        (BOTH, m.encode(m.Ctlsub(True, True)), "CTLSUB on a connection for MIDI"),
        (BOTH, m.encode(m.Ctlset(1, 1)), "CTLSET on a connection for MIDI"),
        (BOTH, m.encode(m.Auth(bytes(16))), "AUTH for the second time"),
        (BOTH, m.encode(m.Flowctl(1)), ""),
        (BOTH, m.encode(m.Ack()), ""),
        (BOTH, b"\xff" * 40, ""),
        (BOTH, bytes((0, 0, 0, 8)) + bytes(36), ""),
    ],
)
def test_what_may_not_be_said(house: House, logged: io.StringIO, mode: int, wire: bytes, why: str) -> None:
    others = program(house), program(house)
    a = program(house, mode)
    a.say(wire)
    assert a.closed
    (line,) = said(logged, "client.breach")
    assert why in line
    say(others[0], NOTE)
    assert heard(others[1]) == NOTE


@pytest.mark.parametrize("devnum, opt", [(255, "nothing"), (3, "default"), (32, ""), (47, "")])
def test_what_is_not_there(house: House, logged: io.StringIO, devnum: int, opt: str) -> None:
    client = house.sndio()
    assert client.open(BOTH, opt, devnum=devnum) == []
    assert client.closed
    assert len(said(logged, "client.refused")) == 1


def test_programs_are_limited(house: House, logged: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patchbay, "CLIENTS_MAX", 3)
    clients = [program(house) for _ in range(3)]
    late = house.sndio()
    assert late.open(BOTH, "", devnum=THRU) == []
    assert "use MIDI already" in said(logged, "client.refused")[0]
    clients[0].say(m.Bye())
    program(house)


def test_the_session_counts_programs_of_midi(house: House) -> None:
    a = program(house)
    stranger = house.sndio()
    stranger.open(cookie=b"x" * 16)
    assert stranger.closed
    a.say(m.Bye())
    assert house.sndio().open(cookie=b"x" * 16) == [m.Ack()]
