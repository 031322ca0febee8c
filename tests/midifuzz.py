"""MIDI programs of sndio's wire that say anything, on a daemon over FakeEngine.

Everything is a function of the seed.  Some send notes and noise within their credit,
some more than that, some bytes that are no message; some do not read, some vanish in
the middle of one.  What must hold: two that keep to the rules, at a box of their own,
lose nothing; what anybody hears is whole messages; who breaks the protocol is closed,
with one line of the log; what waits for anybody is bounded.
"""

from __future__ import annotations

import io
import random
from collections import Counter

from audiod_protocol.sndio import messages as m
from house import House

from audiod import log
from audiod.midi.client import MidiClient
from audiod.midi.messages import SYSEX_MAX, Parser
from audiod.midi.outbox import BUFFER

OUT, IN, BOTH = 4, 8, 12
PLACES = ((16, ""), (17, ""), (255, "default"), (0, "default"))
CALM = 20  # devnum of the box of those two: midithru/4
CLIENTS = 8
EXCLUSIVE = bytes((0xF0, 0x7D, 0x7F, 0x23, 2, 0xF7))


class Program:
    """One, and what it may send."""

    def __init__(self, house: House, mode: int, place: tuple[int, str]) -> None:
        self.wire = house.sndio()
        self.mode = mode
        self.sent = 0
        self.inside = 0  # bytes of a DATA that it has not sent yet
        self.wire.open(mode, place[1], devnum=place[0])

    @property
    def closed(self) -> bool:
        return self.wire.closed

    @property
    def credit(self) -> int:
        return sum(one.delta for one in self.wire.conn.sent if isinstance(one, m.Flowctl)) - self.sent

    @property
    def heard(self) -> bytes:
        return b"".join(one for one in self.wire.conn.sent if isinstance(one, bytes))

    def say(self, midi: bytes) -> None:
        self.sent += len(midi)
        self.wire.say(m.encode(m.Data(len(midi))) + midi)


class Crowd:
    """A house full of them."""

    def __init__(self, rnd: random.Random, tally: Counter[str]) -> None:
        self.rnd = rnd
        self.tally = tally
        self.house = House()
        self.wild: list[Program] = []
        self.calm = Program(self.house, OUT, (CALM, "")), Program(self.house, IN, (CALM, ""))
        self.told = bytearray()

    def act(self) -> None:
        """One thing happens, and time passes."""
        self.rnd.choice(
            [self.come, *[self.speak] * 6, self.wrong, self.rest, self.go, self.note, self.stall]
        )()
        self.house.now += self.rnd.random() / 50
        bay = self.house.dispatch.patchbay
        while bay.pace._line and bay.pace.ready:  # as its task does
            bay.pace._line.popleft()()
        self.house.settle()

    def someone(self) -> Program | None:
        alive = [one for one in self.wild if not one.closed]
        return self.rnd.choice(alive) if alive else None

    def come(self) -> None:
        if len([one for one in self.wild if not one.closed]) < CLIENTS:
            place = self.rnd.choice(PLACES)
            self.wild.append(Program(self.house, self.rnd.choice([OUT, IN, BOTH, BOTH]), place))
            self.tally["clients"] += 1

    def midi(self) -> bytes:
        """Some sense, some noise."""
        rnd = self.rnd
        return b"".join(
            rnd.choice([
                bytes((0x80 | rnd.randrange(0x70), rnd.randrange(128), rnd.randrange(128))),
                bytes((0xB0 | rnd.randrange(9), 7, rnd.randrange(128))),
                EXCLUSIVE,
                b"\xf0" + bytes(rnd.randrange(60)) + b"\xf7",
                rnd.randbytes(rnd.randrange(20)),
            ])
            for _ in range(rnd.randrange(1, 9))
        )  # fmt: skip

    def speak(self) -> None:
        """Within its credit, in pieces of any size."""
        one = self.someone()
        if one is None or not one.mode & OUT or one.credit <= 0:
            return
        midi = self.midi()[: one.credit]
        if not midi:
            return
        one.sent += len(midi)
        data = m.encode(m.Data(len(midi))) + midi
        self.tally["messages"] += 1
        while data and not one.closed:
            size = self.rnd.choice([1, 7, 40, len(data)])
            one.wire.say(data[:size])
            data = data[size:]
        assert not one.closed, "it did nothing wrong"

    def wrong(self) -> None:
        one, rnd = self.someone(), self.rnd
        if one is None or one.wire.conn.deaf:
            return  # it would be closed once it reads
        excess = max(one.credit, 0) + 1 + rnd.randrange(100)
        data = rnd.choice([
            m.encode(m.Data(excess)) + bytes(rnd.randrange(excess)),
            m.encode(m.Data(2**31 - 1)),
            m.encode(rnd.choice([m.Getpar(), m.Start(), m.Stop(), m.Setvol(3), m.Auth(bytes(16))])),
            rnd.choice([8, 18, 255, 2**31]).to_bytes(4, "big") + rnd.randbytes(36),
        ])  # fmt: skip
        self.tally["messages"] += 1
        one.wire.say(data)
        assert one.closed, data[:12]
        self.tally["ended by a breach"] += 1

    def rest(self) -> None:
        """One stops reading, or goes on."""
        one = self.someone()
        if one is not None:
            one.wire.conn.deaf = not one.wire.conn.deaf
            one.wire.conn.heard()

    def go(self) -> None:
        one = self.someone()
        if one is None or self.rnd.random() < 0.6:
            return
        if self.rnd.random() < 0.5:
            one.wire.say(m.encode(m.Data(1))[: self.rnd.randrange(1, 40)])
            one.wire.conn.vanish()
        else:
            one.wire.say(m.Bye())
        self.house.settle()
        assert one.closed

    def note(self) -> None:
        """One of the calm says something to the other."""
        midi = bytes((0x90, self.rnd.randrange(128), self.rnd.randrange(128)))
        if self.calm[0].credit >= 3:
            self.told += midi
            self.calm[0].say(midi)

    def stall(self) -> None:
        """Those that are waited for are waited for no longer."""
        bay = self.house.dispatch.patchbay
        for ident in list(bay._ends):
            bay._stall(ident)

    def ends(self) -> list[MidiClient]:
        ends = self.house.dispatch.patchbay._ends.values()
        return [end for end in ends if isinstance(end, MidiClient)]

    def judge(self) -> None:
        assert self.calm[1].heard == bytes(self.told)
        self.tally["compared"] += 1
        for end in self.ends():
            assert 0 <= end._feed._outbox.used <= BUFFER
        for one in list(self.wild):
            heard = one.heard
            found = Parser().feed(heard)
            if all(len(message) < SYSEX_MAX for message in found):
                assert b"".join(found) == heard, "whole messages"
            self.tally["heard"] += len(heard)
            if one.closed:
                self.wild.remove(one)

    def close(self) -> None:
        for one in self.wild:
            one.wire.conn.deaf = False
        self.house.close()
        assert not self.ends()
        assert not self.house.dispatch.patchbay._nclients


def fuzz_midi(count: int, seed: int) -> Counter[str]:
    """`count` messages of MIDI programs; what became of them."""
    rnd, tally = random.Random(seed), Counter[str]()
    said = io.StringIO()
    log.setup("info", {}, said)
    while tally["messages"] < count:
        crowd = Crowd(rnd, tally)
        begun = tally["ended by a breach"]
        for step in range(300):
            crowd.act()
            if step % 25 == 0:
                crowd.judge()
        crowd.judge()
        crowd.close()
        lines = said.getvalue()
        assert "bug" not in lines, lines[lines.index("bug") - 100 :][:3000]
        assert lines.count("client.breach") == tally["ended by a breach"] - begun, "one line each"
        said.seek(0)
        said.truncate()
    return tally
