"""Control clients of sndio's wire that say anything, on a daemon over FakeEngine.

Everything is a function of the seed.  Some say what makes sense, some what is
wrong in a field, some bytes; some do not read; programs and native clients change
things meanwhile.  What must hold: who has asked for all and reads has what native
clients are told there is; who breaks the protocol is closed, with one line of the
log; nobody else is.
"""

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import Callable

from audiod_protocol.sndio import messages as m
from audiod_protocol.sndio.descriptors import Descriptor
from desk import Desk, name_of
from house import Client, House, Refused, SndioClient

from audiod import log

LINE = "-f null -s default -s rear -f loopback -s front"
SUBS = ("default", "rear", "front", "0", "1")
CLIENTS = 6
CMDS = (*range(20), 255, 2**31)


class Crowd:
    """A house full of them."""

    def __init__(self, rnd: random.Random, tally: Counter[str]) -> None:
        self.rnd = rnd
        self.tally = tally
        self.house = House(LINE)
        self.native: Client = self.house.connect()
        self.desks: list[tuple[Desk, str]] = []
        self.asked: dict[Desk, tuple[bool, bool]] = {}
        self.programs: list[SndioClient] = []

    def act(self) -> None:
        """One thing happens."""
        acts: list[Callable[[], None]] = [
            self.come,
            self.speak,
            self.speak,
            self.speak,
            self.wrong,
            self.turn,
        ]
        self.rnd.choice([*acts, self.turn, self.program, self.rest, self.go])()

    # ---- the clients ----

    def come(self) -> None:
        if len(self.desks) < CLIENTS:
            opt = self.rnd.choice(SUBS)
            desk = Desk(self.house, opt, old=self.rnd.random() < 0.5)
            self.desks.append((desk, opt))
            self.asked[desk] = (False, False)
            self.tally["clients"] += 1

    def someone(self) -> Desk | None:
        alive = [desk for desk, _ in self.desks if not desk.closed]
        return self.rnd.choice(alive) if alive else None

    def speak(self) -> None:
        """What makes sense."""
        desk, rnd = self.someone(), self.rnd
        if desk is None:
            return
        if desk.client.controls and rnd.random() < 0.7:
            control = rnd.choice(list(desk.client.controls.values()))
            self.say(desk, desk.client.set(control.addr, rnd.randint(0, control.most)))
        else:
            wish = rnd.choice([(True, True), (True, True), (True, False), (False, False), (False, True)])
            self.asked[desk] = wish
            self.say(desk, desk.client.subscribe(desc=wish[0], val=wish[1]))
        assert not desk.closed, "it did nothing wrong"

    def wrong(self) -> None:
        desk, rnd = self.someone(), self.rnd
        if desk is None or rnd.random() < 0.5:
            return
        if desk.conn.conn.deaf:
            return  # it would be closed once it reads
        known = [*desk.client.controls, 1]
        data = rnd.choice([
            m.encode(m.Ctlset(rnd.choice([*known, 0, 65535, rnd.randrange(65536)]), rnd.randrange(65536))),
            rnd.choice(CMDS).to_bytes(4, "big") + rnd.randbytes(36),
            m.encode(rnd.choice([m.Getpar(), m.Start(), m.Stop(), m.Setvol(3), m.Data(40)])),
            rnd.randbytes(40),
        ])  # fmt: skip
        wish = m.decode_client(data) if data[:4] in (b"\0\0\0\x10", b"\0\0\0\x0d") else None
        if isinstance(wish, m.Ctlsub):
            if wish.old != desk.client._old and wish.desc and not self.asked[desk][0]:
                return  # it would be told in the other size, as it asked
            self.asked[desk] = wish.desc, wish.val
        self.say(desk, data)
        self.tally["wrong"] += 1
        if desk.closed:
            bye = data[:4] == m.encode(m.Bye())[:4]
            self.tally["ended by BYE" if bye else "ended by a breach"] += 1

    def say(self, desk: Desk, data: bytes) -> None:
        self.tally["messages"] += 1
        desk.say(data)

    def rest(self) -> None:
        """One stops reading, or goes on."""
        desk = self.someone()
        if desk is not None:
            conn = desk.conn.conn
            conn.deaf = not conn.deaf
            conn.heard()
            self.house.settle()

    def go(self) -> None:
        desk = self.someone()
        if desk is not None and self.rnd.random() < 0.3:
            desk.conn.conn.vanish() if self.rnd.random() < 0.5 else desk.say(m.encode(m.Bye()))
            self.house.settle()

    # ---- the others ----

    def turn(self) -> None:
        """A native client sets something."""
        row = self.rnd.choice(self.native.call("controls")["controls"])
        place = {key: row[key] for key in ("device", "subdevice") if row[key] is not None}
        try:
            self.native.call(
                "control.set", name=row["name"], value=self.rnd.randint(0, min(row["max"], 127)), **place
            )
        except Refused as error:
            assert "stays there" in error.message, error
        self.native.conn.sent.clear()

    def program(self) -> None:
        rnd = self.rnd
        if self.programs and rnd.random() < 0.5:
            one = self.programs.pop(rnd.randrange(len(self.programs)))
            one.say(m.Setvol(rnd.choice([127, 3])), m.Bye())
        elif len(self.programs) < 8:
            one = self.house.sndio()
            assert one.open(rnd.choice([1, 2, 3]), rnd.choice(SUBS), who=rnd.choice("abcdef")) == [m.Ack()]
            one.say(m.Setvol(rnd.randrange(128)))
            self.programs.append(one)

    # ---- what must hold ----

    def judge(self) -> None:
        self.house.settle()
        rows = self.native.call("controls")["controls"]
        self.native.conn.sent.clear()
        where = {r["subdevice"]: r["value"] for r in rows if r["name"] == "server.device"}
        where |= {"0": 0, "1": 1}
        alive = []
        for desk, opt in self.desks:
            if desk.closed:
                self.asked.pop(desk, None)
                continue
            alive.append((desk, opt))
            desk.told()
            if self.asked[desk] != (True, True) or desk.conn.conn.deaf:
                continue
            self.tally["compared"] += 1
            assert told(desk.client.controls) == there(rows, opt, where[opt])
        self.desks = alive

    def close(self) -> None:
        for desk, _ in self.desks:
            desk.conn.conn.deaf = False
        self.house.close()
        assert not self.house.dispatch.board._controls, "something is left of them"


def told(controls: dict[int, Descriptor]) -> dict[str, int]:
    """What a client has been told; of a choice, the one that is on."""
    return {name_of(one): one.value for one in controls.values() if one.func != "device" or one.value}


def there(rows: list[dict[str, object]], opt: str, device: int) -> dict[str, int]:
    """What a client of sub-device `opt` must have, by the native rows."""
    found = {f"server.device[{device}]": 1}
    for row in rows:
        name, value = str(row["name"]), int(str(row["value"]))
        if row["subdevice"] == opt and name.startswith("app/"):
            found[name] = value
        elif row["subdevice"] == opt and name.startswith("server.mode."):
            found[f"server.mode[{name.rpartition('.')[2]}]"] = value
        elif row["subdevice"] is None and row["device"] == device:
            found[name] = value
    return found


def fuzz_control(count: int, seed: int) -> Counter[str]:
    """`count` messages of control clients; what became of them."""
    rnd, tally = random.Random(seed), Counter[str]()
    said = io.StringIO()
    log.setup("info", {}, said)
    while tally["messages"] < count:
        crowd = Crowd(rnd, tally)
        begun = tally["ended by a breach"]
        for step in range(300):
            crowd.act()
            if step % 5 == 0:
                crowd.judge()
        crowd.judge()
        crowd.close()
        lines = said.getvalue()
        assert "client.bug" not in lines, lines[lines.index("client.bug") - 100 :][:3000]
        assert lines.count("client.breach") == tally["ended by a breach"] - begun, "one line each"
        said.seek(0)
        said.truncate()
    return tally
