"""Controls of thru boxes, as sndioctl sees and sets them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import pytest
from audiod_protocol.errors import Code, Fault
from audiod_protocol.sndio import messages as m
from audiod_protocol.sndio.descriptors import Kind, Node
from desk import Desk
from house import House, SndioClient
from programs import said

from audiod.midi.port import Port

BOTH, THRU = 12, 16
NOTE = bytes.fromhex("903c40")


@pytest.fixture
def house() -> Iterator[House]:
    """Two ports: the first can be opened, the second cannot."""
    made = House("-f null -q rmidi/0 -q rmidi/1")
    good, bad = made.dispatch.patchbay.ports

    def acquire(then: Callable[[Fault | None], None]) -> None:
        good.users += 1
        then(None)

    good.acquire = acquire  # type: ignore[method-assign]
    bad.acquire = lambda then: then(Fault(Code.ENODEV, "it is not there", "plug it in"))  # type: ignore[method-assign]
    yield made
    made.close()
    assert good.users == bad.users == 0


def port(house: House, number: int = 0) -> Port:
    return house.dispatch.patchbay.ports[number]


def program(house: House, devnum: int = THRU) -> SndioClient:
    client = house.sndio()
    client.open(BOTH, "", devnum=devnum)
    return client


def heard(client: SndioClient) -> bytes:
    return b"".join(one for one in client.conn.sent if isinstance(one, bytes))


@pytest.mark.parametrize("old", [False, True])
def test_what_there_is(house: House, old: bool) -> None:
    desk = Desk(house, "", devnum=THRU, old=old)
    assert desk.watch() == ["server.port[0]=0", "server.port[1]=0", "server.thru=1", "sync"]
    first, thru = desk.find("server.port[0]"), desk.find("server.thru")
    assert (first.kind, first.most, first.node1) == (Kind.LIST, 1, Node("0"))
    assert first.display == ("" if old else "rmidi/0")
    assert (thru.kind, thru.most) == (Kind.SW, 1)


def test_programs_that_do_not_hear_each_other(house: House) -> None:
    a, b = program(house), program(house)
    desk, other, apart = (Desk(house, "", devnum=devnum) for devnum in (THRU, THRU, THRU + 1))
    for one in (desk, other, apart):
        one.watch()
    assert desk.set("server.thru", 0) == ["server.thru:0"]
    assert (other.told(), apart.told()) == (["server.thru:0"], [])
    a.say(m.encode(m.Data(3)) + NOTE)
    assert heard(b) == b""
    assert desk.set("server.thru", 0) == []
    assert other.set("server.thru", 1) == ["server.thru:1"]
    a.say(m.encode(m.Data(3)) + NOTE)
    assert heard(b) == NOTE


def test_a_port_is_connected_while_the_box_is_used(house: House) -> None:
    desk = Desk(house, "", devnum=THRU)
    desk.watch()
    box = house.dispatch.patchbay.thru(0)
    assert desk.set("server.port[0]", 1) == ["server.port[0]:1"]
    assert box.ports == [port(house)] and port(house).users == 1
    desk.conn.say(m.Bye())
    assert box.ports == [] and port(house).users == 0  # nobody uses the box
    a = program(house)
    assert box.ports == [port(house)] and port(house).users == 1
    again = Desk(house, "", devnum=THRU)
    assert "server.port[0]=1" in again.watch()
    assert again.set("server.port[0]", 0) == ["server.port[0]:0"]
    assert box.ports == [] and port(house).users == 0
    a.say(m.Bye())


def test_a_port_that_cannot_be_opened_stays_unconnected(house: House, logged: io.StringIO) -> None:
    desk = Desk(house, "", devnum=THRU)
    desk.watch()
    assert desk.set("server.port[1]", 1) == ["server.port[1]:0"]
    assert "not there" in said(logged, "control.refused")[0]
    program(house)  # it is not tried again unasked
    assert len(said(logged, "control.refused")) == 1


@pytest.mark.parametrize("wish", [m.Ctlset(0, 1), m.Ctlset(4, 1), m.Ctlset(1, 2), m.Ctlset(2, 77)])
def test_what_may_not_be_set(house: House, logged: io.StringIO, wish: m.Ctlset) -> None:
    desk = Desk(house, "", devnum=THRU)
    desk.watch()
    desk.conn.say(wish)
    assert desk.closed
    assert len(said(logged, "client.breach")) == 1


def test_one_that_does_not_read_is_told_the_last_when_it_does(house: House) -> None:
    desk, other = Desk(house, "", devnum=THRU), Desk(house, "", devnum=THRU)
    desk.watch()
    other.watch()
    desk.conn.conn.deaf = True
    for value in (0, 1, 0, 1, 0):
        other.set("server.thru", value)
    desk.told()
    desk.conn.conn.deaf = False
    desk.conn.conn.heard()
    house.settle()
    assert desk.told() == ["server.thru:0"]
