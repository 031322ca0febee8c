"""The volume of a program of sndio's: who sets it, who is told, and when silence is kept."""

from __future__ import annotations

from typing import Any

from audiod_protocol import VOL_MAX
from audiod_protocol.sndio import messages as m
from house import House, SndioClient
from programs import HOUSE, opened, rows, run_of


def heard(client: SndioClient) -> list[int]:
    return [message.vol for message in client.conn.sent if isinstance(message, m.Setvol)]


def level(house: House, program: str = "test") -> Any:
    found = house.connect().call("controls")["controls"]
    return next(c["value"] for c in found if c["name"] == f"app/{program}.level")


def test_full_volume_is_not_told(sndio: SndioClient) -> None:
    sndio.say(m.Start())
    sndio.say(m.Stop())
    sndio.say(m.Start())
    assert heard(sndio) == []


def test_a_program_sets_its_own(house: House, sndio: SndioClient) -> None:
    sndio.say(m.Setvol(100))
    assert level(house) == 100
    sndio.say(m.Start())
    run = run_of(house)
    assert run.vol == 100
    sndio.say(m.Setvol(50))
    assert (run.vol, level(house)) == (50, 50)
    sndio.say(m.Stop())
    sndio.say(m.Setvol(20), m.Start())
    assert (run_of(house).vol, level(house)) == (20, 20)
    assert heard(sndio) == []  # never echoed


def test_others_are_told_while_they_are_started(house: House, sndio: SndioClient) -> None:
    same, ready, other = opened(house), opened(house), opened(house, who="mpv")
    for client in (sndio, same, other):
        client.say(m.Start())
    sndio.say(m.Setvol(64))
    assert [heard(client) for client in (sndio, same, ready, other)] == [[], [64], [], []]
    assert {run.vol for run in house.engine.streams} == {64, 127}
    house.connect().call("control.set", name="app/test.level", value=30)
    assert [heard(client) for client in (sndio, same, ready, other)] == [[30], [64, 30], [], []]
    # it is told at its start what it does not know
    house.settle()
    assert ready.say(m.Start()) == [m.Flowctl(1920), m.Setvol(30)]
    sndio.say(m.Stop())
    house.connect().call("control.set", name="app/test.level", value=VOL_MAX)
    assert heard(sndio) == [30]  # silent while it is not started
    assert sndio.say(m.Start()) == [m.Flowctl(1920), m.Setvol(VOL_MAX)]


def test_the_same_again_is_not_told(house: House, sndio: SndioClient) -> None:
    house.connect().call("control.set", name="app/test.level", value=30)
    assert sndio.say(m.Start()) == [m.Flowctl(1920), m.Setvol(30)]
    sndio.say(m.Setvol(30))
    sndio.say(m.Stop())
    assert sndio.say(m.Start()) == [m.Flowctl(1920)]
    assert heard(sndio) == [30]


def test_what_was_told_while_it_drained_is_told_again(house: House, sndio: SndioClient) -> None:
    native = house.connect()
    sndio.say(m.Start())
    native.call("control.set", name="app/test.level", value=30)
    house.engine.holding = True
    assert sndio.say(m.Stop()) == []
    native.call("control.set", name="app/test.level", value=VOL_MAX)
    sndio.conn.drained(0)
    house.settle()
    assert sndio.conn.sent[-1] == m.Stop()  # nothing else, as the program expects
    assert sndio.say(m.Start()) == [m.Flowctl(1920), m.Setvol(VOL_MAX)]


def test_it_is_shared_with_native_streams(house: House, sndio: SndioClient) -> None:
    native = house.connect(name="test")
    native.open(start=True)
    sndio.say(m.Start())
    native.call("setvol", stream=0, vol=40)
    assert heard(sndio) == [40]
    sndio.say(m.Setvol(80))
    assert native.told("onvol") == [[0, 80]]


def test_a_muted_program_begins_muted(house: House, sndio: SndioClient) -> None:
    house.connect().call("control.set", name="app/test.mute", value=1)
    sndio.say(m.Start())
    assert run_of(house).muted
    assert heard(sndio) == []


def test_a_program_finds_its_volume_again(house: House) -> None:
    client = opened(house, who="mpv")
    client.say(m.Setvol(33), m.Bye())
    again = opened(house, who="mpv")
    assert again.say(m.Start()) == [m.Flowctl(1920), m.Setvol(33)]


def test_moved_to_where_it_is_louder() -> None:
    house = House(HOUSE)
    native = house.connect()
    there, here = opened(house, opt="front"), opened(house)
    there.say(m.Setvol(10))
    here.say(m.Setvol(90), m.Start())
    ident = next(row["id"] for row in rows(house) if row["subdevice"] == "default")
    native.call("stream.move", id=ident, device="front")
    assert heard(here) == [10]
    house.close()
