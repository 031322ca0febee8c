"""Controls on sndio's wire: descriptors in both sizes, clean of all else; both ends, against each other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from audiod_protocol import NEED_DATA, LocalProtocolError, RemoteProtocolError
from audiod_protocol.sndio import descriptors as d
from audiod_protocol.sndio import messages as m
from audiod_protocol.sndio.control import Changed, ControlClient, Described, Event, Removed, Synced
from audiod_protocol.sndio.descriptors import Descriptor, Kind, Node
from audiod_protocol.sndio.subscription import AT_ONCE, Subscription
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

LEVEL = Descriptor(9, Kind.NUM, Node("output"), "level", 127, 77)
DEVICE = Descriptor(
    1, Kind.SEL, Node("server"), "device", 1, 1, node1=Node("0"), group="", display="Built-in"
)

# ---- bytes ----


@pytest.mark.parametrize(
    ("control", "golden"),
    [
        (
            LEVEL,
            b"output".ljust(16, b"\0") + b"\xff\xff\0\0" + bytes(16) + b"\xff\xff\0\0"
            + b"level".ljust(16, b"\0") + bytes(16) + bytes.fromhex("02 00 0009 007f 004d") + bytes(48),
        ),
        (
            DEVICE,
            b"server".ljust(16, b"\0") + b"\xff\xff\0\0" + b"0".ljust(16, b"\0") + b"\xff\xff\0\0"
            + b"device".ljust(16, b"\0") + bytes(16) + bytes.fromhex("06 00 0001 0001 0001") + bytes(16)
            + b"Built-in".ljust(32, b"\0"),
        ),
        (
            Descriptor(65535, Kind.LIST, Node("spkr", 3), "mute", 1, 0, Node("mic", 7), "g"),
            b"spkr".ljust(16, b"\0") + b"\0\3\0\0" + b"mic".ljust(16, b"\0") + b"\0\7\0\0"
            + b"mute".ljust(16, b"\0") + b"g".ljust(16, b"\0") + bytes.fromhex("05 00 ffff 0001 0000")
            + bytes(48),
        ),
    ],
    ids=["level", "device", "element"],
)  # fmt: skip
def test_golden_descriptors(control: Descriptor, golden: bytes) -> None:
    """Field by field as sndiod's, but for what it leaves uninitialised: that is 0 here."""
    assert len(golden) == d.SIZE
    assert control.pack() == golden
    assert control.pack(old=True) == golden[: d.SIZE_OLD]
    assert d.read(golden) == control
    assert d.read(golden[: d.SIZE_OLD]) == replace(control, display="")


VECTORS = json.loads(
    (Path(__file__).resolve().parents[2] / "protocol/vectors/sndio.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("case", VECTORS["descriptors"], ids=lambda case: case["name"])
def test_vectors(case: dict[str, Any]) -> None:
    data, fields = bytes.fromhex(case["hex"]), dict(case["fields"])
    fields |= {"kind": Kind(fields["kind"]), "node0": Node(*fields["node0"]), "node1": Node(*fields["node1"])}
    control = Descriptor(**fields)
    assert d.read(data) == control
    assert (control.pack(old=len(data) == d.SIZE_OLD) == data) is case["exact"]
    assert (dirt(data) == []) is case["exact"]


def words(size: int) -> st.SearchStrategy[str]:
    text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=size)
    return text.filter(lambda word: len(word.encode()) <= size)


U16, I16 = st.integers(0, 65535), st.integers(-32768, 32767)
CONTROLS = st.builds(
    Descriptor,
    addr=U16,
    kind=st.sampled_from(Kind),
    node0=st.builds(Node, words(15), I16),
    node1=st.builds(Node, words(15), I16),
    func=words(15),
    group=words(15),
    most=U16,
    value=U16,
    display=words(d.DISPLAY_MAX),
)
# where a descriptor says nothing: padding, and what is behind the end of a text
TEXTS = [(0, 16), (20, 16), (40, 16), (56, 16), (96, 32)]
PADDING = [18, 19, 38, 39, 73, *range(80, 96)]


def dirt(data: bytes) -> list[int]:
    """Offsets of bytes that say nothing and are not 0."""
    silent = [at for at in PADDING if at < len(data)]
    for begin, size in TEXTS:
        field = data[begin : begin + size]
        if field:
            silent += range(begin + field.index(0), begin + size)
    return [at for at in silent if data[at]]


@given(CONTROLS, st.booleans())
def test_descriptors_travel(control: Descriptor, old: bool) -> None:
    data = control.pack(old=old)
    assert len(data) == (92 if old else 128)
    assert d.read(data) == (replace(control, display="") if old else control)
    assert dirt(data) == []


def test_the_check_finds_dirt() -> None:
    clean = LEVEL.pack()
    for at in (7, 15, 18, 19, 38, 39, 46, 73, 80, 95, 97, 127):
        assert dirt(clean[:at] + b"\1" + clean[at + 1 :]) == [at]


@given(st.binary(min_size=128, max_size=128) | st.binary(min_size=92, max_size=92))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        control = d.read(data)
    except RemoteProtocolError as error:
        assert error.message and error.fault.hint
    else:
        assert control.addr == int.from_bytes(data[74:76], "big")


@pytest.mark.parametrize(
    "wrong",
    [
        replace(LEVEL, func="x" * 16),
        replace(LEVEL, func="a\0b"),
        replace(LEVEL, node0=Node("\ud800")),
        replace(LEVEL, node0=Node("x", 40000)),
        replace(LEVEL, value=65536),
        replace(LEVEL, value=-1),
        replace(LEVEL, addr=65536),
        replace(LEVEL, display="x" * 32),
    ],
    ids=["long", "zero", "no text", "unit", "value", "negative", "addr", "display"],
)
def test_what_does_not_fit(wrong: Descriptor) -> None:
    with pytest.raises(LocalProtocolError):
        wrong.pack()


def test_old_ones_have_no_display() -> None:
    replace(LEVEL, display="x" * 99).pack(old=True)


@given(st.text(), st.integers(0, 40))
def test_what_was_made_to_fit_fits(text: str, size: int) -> None:
    short = d.fit(text, size)
    assert len(short.encode()) <= size and "\0" not in short
    if text.isascii() and text.isprintable():
        assert short == text[:size]


@pytest.mark.parametrize(("old", "most"), [(False, 16), (True, 22)])
def test_batches_are_as_sndiods(old: bool, most: int) -> None:
    """At most 2,048 bytes, whole descriptors."""
    many = [replace(LEVEL, addr=n) for n in range(1, 2 * most + 2)]
    sizes = []
    for batch in d.batches(many, old=old):
        head = m.decode_server(batch[:40])
        assert isinstance(head, m.Data) and head.size == len(batch) - 40
        sizes.append(head.size // (92 if old else 128))
    assert sizes == [most, most, 1]
    assert list(d.batches([], old=old)) == []


@pytest.mark.parametrize("kind", [1, 7, 255])
def test_types_that_are_none(kind: int) -> None:
    with pytest.raises(RemoteProtocolError, match=f"type {kind}"):
        d.read(LEVEL.pack()[:72] + bytes([kind]) + LEVEL.pack()[73:])


# ---- a client and its subscription ----


class Desk:
    """Controls, their subscription and its client, without a socket."""

    def __init__(self, *, old: bool = False) -> None:
        self.controls: dict[int, Descriptor] = {}
        self.subscription = Subscription(self.controls.get)
        self.client = ControlClient(old=old)
        self.old = old
        self.client.hello(bytes(16), None, "default", 1, "test")
        assert self.hear(m.encode(m.Ack())) == [m.Ack()]

    def hear(self, data: bytes) -> list[Event]:
        self.client.receive_data(data)
        found = []
        while (event := self.client.next_event()) is not NEED_DATA:
            found.append(event)
        return found

    def ask(self, desc: bool, val: bool) -> None:
        said = m.decode_client(self.client.subscribe(desc=desc, val=val))
        assert isinstance(said, m.Ctlsub) and said.old is self.old
        self.subscription.ask(said, self.controls)

    def put(self, control: Descriptor) -> None:
        self.controls[control.addr] = control
        self.subscription.described(control.addr)

    def remove(self, addr: int) -> None:
        del self.controls[addr]
        self.subscription.described(addr)

    def set(self, addr: int, value: int) -> None:
        self.controls[addr] = replace(self.controls[addr], value=value)
        self.subscription.changed(addr)

    def all(self) -> list[Event]:
        found: list[Event] = []
        while self.subscription.waits:
            found += self.hear(self.subscription.take())
        return found


@pytest.fixture
def desk() -> Desk:
    made = Desk()
    made.put(LEVEL)
    made.put(DEVICE)
    return made


def test_nothing_is_told_unasked(desk: Desk) -> None:
    desk.set(9, 3)
    assert desk.all() == [] and desk.subscription.take() == b""


def test_all_is_described_first(desk: Desk) -> None:
    desk.ask(True, False)
    assert desk.all() == [Described(LEVEL), Described(DEVICE), Synced()]
    desk.ask(True, False)
    assert desk.all() == [], "it was told already"


def test_values_wait_until_they_are_asked_for(desk: Desk) -> None:
    """Between sioctl_ondesc and sioctl_onval nothing is lost."""
    desk.ask(True, False)
    desk.all()
    desk.set(9, 3)
    assert not desk.subscription.waits
    desk.ask(True, True)
    assert desk.all() == [Changed(replace(LEVEL, value=3))]


def test_values_that_change_again_are_told_once(desk: Desk) -> None:
    desk.ask(True, True)
    desk.all()
    for value in range(100):
        desk.set(9, value)
        desk.set(1, value % 2)
    assert desk.all() == [Changed(replace(LEVEL, value=99)), Changed(DEVICE)]


def test_of_a_choice_one_is_on(desk: Desk) -> None:
    desk.put(replace(DEVICE, addr=2, node1=Node("1"), value=0))
    desk.put(replace(DEVICE, addr=3, node0=Node("else"), value=1))
    desk.ask(True, True)
    desk.all()
    desk.controls[1] = replace(DEVICE, value=0)
    desk.set(2, 1)
    desk.all()
    assert desk.client.controls == desk.controls, "the other is off by that"


def test_one_set_back_is_told_even_so(desk: Desk) -> None:
    """Whoever has set it would else believe that it is set."""
    desk.ask(True, True)
    desk.all()
    desk.set(9, 3)
    desk.set(9, LEVEL.value)
    assert desk.all() == [Changed(LEVEL)]


def test_what_comes_and_goes(desk: Desk) -> None:
    desk.ask(True, True)
    desk.all()
    new = replace(LEVEL, addr=10, group="app")
    desk.put(new)
    desk.set(10, 5)
    assert desk.all() == [Described(replace(new, value=5)), Synced()]
    desk.remove(10)
    assert desk.all() == [Removed(replace(new, value=5)), Synced()]
    desk.put(new)
    desk.remove(10)
    assert desk.all() == [Synced()], "it was never told of it"


def test_asked_anew_it_learns_of_those_that_are_gone(desk: Desk) -> None:
    desk.ask(True, True)
    desk.all()
    desk.ask(False, False)
    desk.remove(1)
    desk.put(replace(LEVEL, addr=20))
    assert desk.all() == []
    desk.ask(True, False)
    assert desk.all() == [Removed(DEVICE), Described(LEVEL), Described(replace(LEVEL, addr=20)), Synced()]


def test_no_longer_asked_for(desk: Desk) -> None:
    desk.ask(True, True)
    desk.ask(False, True)
    assert desk.all() == []
    desk.set(9, 1)
    assert desk.hear(desk.subscription.take()) == [], "a value of what was never described"


def test_much_is_told_in_pieces() -> None:
    desk = Desk()
    for n in range(1, 1000):
        desk.put(replace(LEVEL, addr=n))
    desk.ask(True, True)
    assert len(desk.subscription.take()) <= AT_ONCE * (d.SIZE + m.MSG_SIZE)
    desk = Desk(old=True)
    for n in range(1, 1000):
        desk.put(replace(LEVEL, addr=n))
    desk.ask(True, True)
    assert desk.all()[-1] == Synced() and desk.client.controls == desk.controls
    for n in range(1, 1000):
        desk.set(n, n % 128)
    assert len(desk.subscription.take()) == AT_ONCE * m.MSG_SIZE


class Course(RuleBasedStateMachine):
    """However controls come, change and go, a client that has read all has what there is."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk()
        self.asked = (False, False)

    @rule(addr=st.integers(1, 6), value=st.integers(0, 3), name=st.sampled_from("ab"))
    def put(self, addr: int, value: int, name: str) -> None:
        self.desk.put(Descriptor(addr, Kind.NUM, Node(name), "level", 3, value))

    @precondition(lambda self: self.desk.controls)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        self.desk.remove(data.draw(st.sampled_from(sorted(self.desk.controls))))

    @precondition(lambda self: self.desk.controls)
    @rule(data=st.data(), value=st.integers(0, 3))
    def set(self, data: st.DataObject, value: int) -> None:
        self.desk.set(data.draw(st.sampled_from(sorted(self.desk.controls))), value)

    @rule(desc=st.booleans(), val=st.booleans())
    def ask(self, desc: bool, val: bool) -> None:
        self.asked = desc, val
        self.desk.ask(desc, val)

    @rule()
    def take(self) -> None:
        self.desk.hear(self.desk.subscription.take())

    @rule()
    def read_all(self) -> None:
        self.desk.all()
        desc, val = self.asked
        if desc:
            told, there = self.desk.client.controls, self.desk.controls
            if val:
                assert told == there
            assert set(told) == set(there)

    @invariant()
    def nothing_is_sent_for_nothing(self) -> None:
        assert self.desk.subscription.waits or self.desk.subscription.take() == b""


TestCourse = Course.TestCase


# ---- the client's end ----


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (m.Ctlsync(), "before ACK"),
        (m.Data(128), "before ACK"),
    ],
)
def test_what_may_not_come_before_ack(message: m.ServerMessage, why: str) -> None:
    client = ControlClient()
    client.receive_data(m.encode(message))
    with pytest.raises(RemoteProtocolError, match=why):
        client.next_event()
    with pytest.raises(RemoteProtocolError, match=why):
        client.next_event()


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (m.Ack(), "again"),
        (m.Data(127), "no whole"),
        (m.Data(92), "no whole"),
        (m.Move(1), "connection for control"),
        (m.Setvol(1), "connection for control"),
        (m.Stop(), "connection for control"),
    ],
)
def test_what_may_not_come_at_all(desk: Desk, message: m.ServerMessage, why: str) -> None:
    with pytest.raises(RemoteProtocolError, match=why):
        desk.hear(m.encode(message))
    with pytest.raises(LocalProtocolError):
        desk.client.subscribe()


def test_what_a_client_may_not_say(desk: Desk) -> None:
    with pytest.raises(LocalProtocolError):
        ControlClient().subscribe()
    with pytest.raises(LocalProtocolError):
        desk.client.hello(bytes(16), None, "default", 1, "test")
    desk.ask(True, True)
    desk.all()
    assert m.decode_client(desk.client.set(9, 127)) == m.Ctlset(9, 127)
    for addr, value in ((9, 128), (9, -1), (2, 0)):
        with pytest.raises(LocalProtocolError):
            desk.client.set(addr, value)


@given(st.lists(st.integers(1, 200), max_size=20))
def test_it_reads_in_any_pieces(sizes: list[int]) -> None:
    desk = Desk()
    desk.put(LEVEL)
    desk.put(DEVICE)
    desk.ask(True, True)
    data = b"".join(iter(desk.subscription.take, b""))
    for size in sizes:
        desk.hear(data[:size])
        data = data[size:]
    desk.hear(data)
    assert desk.client.controls == desk.controls
