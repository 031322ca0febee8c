"""MIDI programs that flood, do not read, break the protocol or die: nobody else notices anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from audiod_protocol.sndio import messages as m
from sndiowire import SndioWire
from street import Street, inhabited

from audiod.midi.outbox import BUFFER

OUT, IN, BOTH = 4, 8, 12
THRU = 16
FLOOD = 60_000  # bytes: more than all buffers on the way hold


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("street") / "sndio"


@pytest.fixture(scope="module")
def whole_street(place: Path) -> Iterator[Street]:
    with inhabited(place.parent, sndio=str(place)) as street:
        yield street


@pytest.fixture
def street(whole_street: Street) -> Iterator[Street]:
    yield whole_street
    whole_street.unharmed()


def program(place: Path, mode: int = BOTH, box: int = 0) -> SndioWire:
    wire = SndioWire(place)
    wire.open(mode, devnum=THRU + box, opt="")
    return wire


class Sender:
    """One that sends as much as it may."""

    def __init__(self, wire: SndioWire) -> None:
        self.wire = wire
        self.sent = 0

    @property
    def credit(self) -> int:
        return sum(one.delta for one in self.wire.seen if isinstance(one, m.Flowctl)) - self.sent

    def more(self, most: int) -> None:
        """Wait until it may send something, and do."""
        if self.credit <= 0:
            self.wire.until(lambda message: isinstance(message, m.Flowctl))
        size = min(self.credit, most)
        self.wire.send(m.encode(m.Data(size)) + bytes((0x90, 1, 2)) * (size // 3) + b"\xf8" * (size % 3))
        self.sent += size


def test_a_flood_arrives_at_a_pace_and_whole(street: Street, place: Path) -> None:
    with program(place, IN) as heard, program(place, OUT) as wire:
        sender = Sender(wire)
        while sender.sent < FLOOD:
            sender.more(FLOOD - sender.sent)
            heard.messages()
        while len(heard.heard) < FLOOD:
            heard.until(lambda message: isinstance(message, m.Data))
            heard.messages()
        assert len(heard.heard) == FLOOD


def test_many_flood_while_nobody_reads(street: Street, place: Path) -> None:
    """They are held up, then what is sent to the deaf is dropped: nothing grows, all go on."""
    deaf = [program(place, IN, 1) for _ in range(4)]
    senders = [Sender(program(place, OUT, 1)) for _ in range(4)]
    while min(sender.sent for sender in senders) < 4 * BUFFER:
        for sender in senders:
            sender.more(FLOOD)
    for wire in (*deaf, *(sender.wire for sender in senders)):
        wire.close()


@pytest.mark.parametrize(
    "said",
    [
        m.encode(m.Data(100_000)) + b"\xf8" * 100_000,
        m.encode(m.Data(1_000_000_000)),
        m.encode(m.Start()),
        b"\xff" * 5000,
        bytes(40),
    ],
    ids=["credit", "huge", "START", "ones", "zeros"],
)
def test_a_breach_closes_one_connection(street: Street, place: Path, said: bytes) -> None:
    with program(place) as other, program(place) as third, program(place) as wire:
        wire.send(said)
        wire.closed()
        third.send(m.encode(m.Data(3)) + b"\x90\x01\x02")
        other.until(lambda message: isinstance(message, m.Data))
        other.messages()
        assert bytes(other.heard) == b"\x90\x01\x02"


def test_one_that_dies_in_the_middle_of_a_message(street: Street, place: Path) -> None:
    with program(place) as other:
        for cut in (1, 39, 40, 41, 42):
            wire = program(place)
            wire.send((m.encode(m.Data(100)) + b"\x90\x3c\x40" + bytes(97))[:cut])
            wire.close()
        with program(place) as last:
            last.send(m.encode(m.Data(2)) + b"\xc0\x01")
            other.until(lambda message: isinstance(message, m.Data))
            other.messages()
            assert bytes(other.heard) == b"\xc0\x01"


def test_two_hundred_come_and_go(street: Street, place: Path) -> None:
    for _ in range(200):
        with program(place) as wire:
            wire.send(m.encode(m.Data(3)) + b"\x90\x01\x02", m.Bye())
            wire.closed()
