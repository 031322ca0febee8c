"""Every cell of the table of channel status, by requests to a whole daemon with the real engine.

The places are reached as clients reach them, but for those that only ducking,
a failing device or a protected output lead to.  What must follow is read from
the code's table, of which protocol/README.md shows a picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from audiod_protocol.channel import CLIENTS, IGNORED, REFUSALS, TRANSITIONS, Deed, Place
from audiod_protocol.errors import Code, Fault
from native import Native
from plain import Plain

from audiod.channel import Channel
from audiod.ducking import Suspend, Target

ROUND, APPBUF, FRAME = 480, 1920, 4
PAR = {"enc": "s16le", "rate": 48000, "appbufsz": APPBUF}
BLOCK = bytes(ROUND * FRAME)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Plain]:
    made = Plain(tmp_path, "-f manual -f null")
    yield made
    made.close()


class Desk:
    """One client with one stream, at some place."""

    def __init__(self, house: Plain, place: Place) -> None:
        self.house = house
        self.wire: Native = house.client("cells")
        mode = "rec" if place is Place.OVERRUN else "play"
        pinned = place in (Place.NOTREADY, Place.ERROR, Place.CHANGE)
        self.ask("open", mode=mode, pinned=pinned)
        (row,) = house.dispatch.core.streams.values()
        self.channel: Channel = row.channel
        if place is not Place.NOTREADY:
            chan = {"pchan": 2} if mode == "play" else {"rchan": 2}
            self.ask("setpar", stream=0, par={**PAR, **chan})
        getattr(self, f"to_{place.name.lower()}")()
        assert self.channel.place is place

    def ask(self, method: str, **args: object) -> int:
        ident = self.wire.request(method, **args)
        self.house.settle()
        return ident

    def write(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            self.wire.write(0, BLOCK)
        self.house.settle()

    def leave(self) -> None:
        self.wire.close()
        self.house.settle()

    def to_notready(self) -> None: ...

    def to_ready(self) -> None: ...

    def to_prepared(self) -> None:
        self.ask("prepare", stream=0)
        if self.channel.plays:
            self.write(2)

    def to_running(self) -> None:
        self.to_prepared()
        self.ask("go", stream=0)
        self.house.step()
        self.write(2)

    def to_draining(self) -> None:
        self.to_running()
        self.ask("play_out", stream=0)

    def to_underrun(self) -> None:
        self.to_running()
        self.house.step(5)

    def to_overrun(self) -> None:
        self.ask("prepare", stream=0)
        self.house.step()
        self.choke()

    def choke(self) -> None:
        """It does not read, until its socket, the queue behind it and its buffer are full."""
        for _ in range(3000):
            self.house.device.step(1)
            for event in self.house.dispatch.engine.events():
                self.house.dispatch.take(event)
            if self.channel.place is Place.OVERRUN:
                return
        raise AssertionError("it never was late")

    def to_paused(self) -> None:
        self.to_running()
        self.ask("pause", stream=0)
        self.house.step(2)
        self.write(1)

    def suspend(self, why: Suspend) -> None:
        self.to_running()
        self.channel.obey(Target(gains=(0.0,), suspend=why), self.house.dispatch.core.conductor.ramps)
        self.house.step(2)
        self.write(1)

    def to_soft(self) -> None:
        self.suspend(Suspend.SOFT)

    def to_hard(self) -> None:
        self.suspend(Suspend.HARD)

    def to_unsecure(self) -> None:
        """This server has no protected output: nothing else leads here."""
        self.to_running()
        self.ask("discard", stream=0)
        self.house.step(2)
        self.channel.place = Place.UNSECURE

    def to_error(self) -> None:
        self.to_running()
        self.ask("discard", stream=0)
        self.house.step(2)
        (stream,) = next(iter(self.house.dispatch.sessions.values())).streams.values()
        stream.fail(Fault(Code.ENODEV, "its device has gone", "plug it in"))

    def to_change(self) -> None:
        (row,) = self.house.dispatch.core.streams.values()
        self.to_running()
        self.ask("stream.move", id=row.id, device="1")
        self.house.step(2)

    def do(self, deed: Deed) -> int | None:
        if deed is Deed.WRITE:
            self.write()
            return None
        more: dict[str, object] = {
            Deed.SETPAR: {"par": {}},
            Deed.LINK: {"group": "g"},
            Deed.FORCE: {"on": True},
        }.get(deed, {})
        return self.ask(str(deed), stream=0, **more)


@pytest.mark.parametrize("place", list(Place), ids=lambda place: place.name.lower())
@pytest.mark.parametrize("deed", CLIENTS, ids=str)
def test_cell(house: Plain, place: Place, deed: Deed) -> None:
    desk = Desk(house, place)
    was = desk.channel.account.record(desk.channel, desk.channel.plays, (0, 0, 0))
    ident = desk.do(deed)
    while desk.wire.messages():  # one that did not read has much to read
        house.settle()
    ended = [message[2][0]["code"] for message in desk.wire.seen if message[:2] == [2, "error"]]
    mute = deed is Deed.FORCE and not desk.channel.plays
    if (place, deed) in REFUSALS or mute:
        code = Code.EINVAL if mute else REFUSALS[place, deed]
        if code is None:
            # after a play_out the pump cannot tell a late write from a wrong one, and ignores both
            assert ended == ["EPROTO"] or place is Place.DRAINING
            desk.leave()
            return
        (answer,) = [message for message in desk.wire.seen if message[:2] == [1, ident]]
        assert answer[2]["code"] == code and answer[2]["hint"], answer
        assert desk.channel.place is place
        now = desk.channel.account.record(desk.channel, desk.channel.plays, (0, 0, 0))
        assert now == was, "a refused request changes nothing"
    else:
        wanted = TRANSITIONS[place, deed]
        assert not ended
        for _ in range(3):  # what takes time: a ramp, a fade, what is queued
            if desk.channel.place is wanted and deed not in (Deed.PAUSE, Deed.PLAY_OUT, Deed.DISCARD):
                break
            house.step()
        if (place, deed) == (Place.RUNNING, Deed.PAUSE):
            wanted = Place.PAUSED
        if wanted is Place.DRAINING:
            wanted = Place.READY
            house.step(5)
        assert desk.channel.place is wanted
        if (place, deed) in IGNORED:
            assert desk.channel.account.record(desk.channel, desk.channel.plays, (0, 0, 0)) == was
        if ident is not None:
            desk.wire.messages()
            (answer,) = [message for message in desk.wire.seen if message[:2] == [1, ident]]
            assert answer[2] is None, answer
    desk.leave()


def test_the_table_is_whole() -> None:
    assert len(Place) * len(CLIENTS) == sum(
        ((place, deed) in TRANSITIONS) + ((place, deed) in REFUSALS) for place in Place for deed in CLIENTS
    )
