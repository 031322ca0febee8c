"""The control port of a sub-device: levels of programs and the master volume, heard and said by MIDI."""

from __future__ import annotations

from collections.abc import Sequence

from audiod_protocol.sndio import messages as m
from house import House
from programs import HOUSE, opened

from audiod.midi.outbox import BUFFER

DUMP = bytes.fromhex("f07d7f2302f7")
END = bytes.fromhex("f07d7f2303f7")


class Desk:
    """A MIDI program at a control port."""

    def __init__(self, house: House, name: str = "default") -> None:
        self.hub = house.dispatch.patchbay.control(name)
        self.hub.join(self)
        self.heard: list[bytes] = []
        self.room = BUFFER

    def take(self, messages: Sequence[bytes], source: object) -> None:
        self.heard += messages

    def relieved(self) -> None:
        pass

    def say(self, *messages: str) -> None:
        for message in messages:
            self.hub.send(bytes.fromhex(message), self)

    def news(self) -> list[str]:
        heard, self.heard = self.heard, []
        return [message.hex() for message in heard]


def slot(channel: int, name: str) -> str:
    return f"f07d7f2301{channel:02x}00{name.encode().ljust(10, bytes(1)).hex()}f7"


def level(channel: int, value: int) -> str:
    return f"b{channel:x}07{value:02x}"


def master(value: int) -> str:
    return f"f07f7f040100{value:02x}f7"


def test_a_program_that_comes_is_told_of(house: House) -> None:
    opened(house, who="early")
    desk = Desk(house)
    assert desk.news() == []
    opened(house, who="late")
    assert desk.news() == [slot(1, "late"), level(1, 127)]
    opened(house, who="late")  # it has a channel
    assert desk.news() == []


def test_levels_are_told_whoever_sets_them(house: House) -> None:
    desk = Desk(house)
    stream = opened(house, who="player")
    desk.news()
    stream.say(m.Setvol(99))
    assert desk.news() == [level(0, 99)]
    client = house.connect()
    client.call("control.set", name="app/player.level", value=50)
    assert desk.news() == [level(0, 50)]
    client.call("control.set", name="app/player.mute", value=1)
    assert desk.news() == []  # a fader stays where it is
    client.call("control.set", name="output.level", value=33)
    assert desk.news() == [master(33)]


def test_what_is_set_by_midi_counts_and_is_not_said_again(house: House) -> None:
    desk, other = Desk(house), Desk(house)
    opened(house, who="player")
    desk.news(), other.news()
    desk.say(level(0, 64), master(70), "f07f0004017f14f7")
    assert house.dispatch.core.controls.programs.get("default", "player").level == 64
    assert house.dispatch.core.devices[0].volume == 20
    assert desk.news() == []
    assert other.news() == [level(0, 64), master(70), "f07f0004017f14f7"]


def test_what_means_nothing_changes_nothing(house: House) -> None:
    desk = Desk(house)
    opened(house, who="player")
    desk.news()
    desk.say(
        level(1, 5), level(8, 5), level(15, 5), "b00805", "b007", "900740", "f07f7f04020010f7", "f07f7f0401f7"
    )
    assert house.dispatch.core.controls.programs.get("default", "player").level == 127
    assert house.dispatch.core.devices[0].volume == 127
    assert desk.news() == []


def test_a_dump_tells_all(house: House) -> None:
    desk, other = Desk(house), Desk(house)
    opened(house, who="one")
    opened(house, who="averylongna")
    desk.news(), other.news()
    desk.say(level(1, 5), DUMP.hex())
    told = [master(127), slot(0, "one"), level(0, 127), slot(1, "averylong"), level(1, 5)]
    for channel in range(2, 8):
        told += [slot(channel, ""), level(channel, 0)]
    assert desk.news() == [*told, END.hex()]
    assert other.news() == [level(1, 5), DUMP.hex(), *told, END.hex()]


def test_eight_have_a_channel_and_one_that_plays_no_more_gives_way(house: House) -> None:
    desk = Desk(house)
    names = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
    clients = [opened(house, who=name) for name in names]
    desk.news()
    opened(house, who="nine")
    assert desk.news() == []
    clients[2].say(m.Setvol(10), m.Bye())
    assert desk.news() == [level(2, 10)]
    desk.say(level(2, 11))  # it has gone, and its level is kept for when it is back
    assert house.dispatch.core.controls.programs.get("default", "three").level == 11
    opened(house, who="ten")
    assert desk.news() == [slot(2, "ten"), level(2, 127)]


def test_sub_devices_have_their_own() -> None:
    house = House(HOUSE)
    front, default = Desk(house, "front"), Desk(house)
    opened(house, who="player", opt="front")
    assert (front.news(), default.news()) == ([slot(0, "player"), level(0, 127)], [])
    front.say(master(9))
    assert [device.volume for device in house.dispatch.core.devices] == [127, 9]
    assert default.news() == []
    house.close()
