"""Any order of calls of several clients with several streams, against a small model of the specification.

The model is written from protocol/README.md alone: its table of states is read
from that page.  After each rule everything that clients were told is compared:
answers, refusals, credit, positions, recorded frames, volumes, ends.  Short and
the same each time in the check; AUDIOD_MACHINE=5000 runs so many examples, each
time others.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from native import Message, Native
from plain import Plain

from audiod import log

README = Path(__file__).parents[2] / "protocol" / "README.md"
RATE0, ROUND0, BUFSZ0 = 48000, 480, 1920  # of the manual device
LONG = int(os.environ.get("AUDIOD_MACHINE", "0"))
STREAMS, CLIENTS = 5, 3
RARELY = st.sampled_from([False] * 20 + [True])
SHOWN = {  # state -> as `streams` shows it; a stop is shown once the device has heard of it
    **{state: (state,) for state in ("ready", "priming", "running")},
    **dict.fromkeys(("draining", "closing"), ("draining", "running", "priming")),
    "dead": ("ready",),
}
MODES = st.sampled_from(["play", "play", "rec", "play,rec", "mon"])
RATES = st.sampled_from([48000, 44100, 24000, 96000])
POLICIES = st.sampled_from(["sync", "error", "ignore"])
NAMES = ("alpha", "beta")  # programs: clients of one name share their volume


def state_table() -> dict[str, dict[str, str]]:
    """State -> method -> the next state, `same`, or a code, as the specification prints it."""
    text = README.read_text().split("<!-- states table -->")[1].split("<!-- /")[0]
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.strip().splitlines()
    ]
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}


TABLE = state_table()


@dataclass
class Stream:
    """One stream as its client must see it; frames at its own rate."""

    mode: str
    id: int = 0
    state: str = "ready"
    rate: int = RATE0
    appbufsz: int = BUFSZ0
    xrun: str = "ignore"
    bps: int = 4
    bits: int = 24
    # since its start
    queued: int = 0  # written, not taken
    taken: int = 0  # blocks' frames that the clock has passed for it
    granted: int = 0
    owed: int = 0  # frames that SYNC still has to discard
    joined: bool = False
    late: bool = False
    drain: list[int] = field(default_factory=list)  # ids of the stops that wait
    closing: int | None = None
    least: int = 0  # steps that its drain lasts, at least and at most
    most: int = 0
    # what it was told
    credit: int = 0
    sum: int = 0  # of all credit
    position: int = 0
    moves: int = 0
    data: int = 0
    xruns: int = 0
    vols: list[int] = field(default_factory=list)
    # what it must have been told
    told_xruns: int = 0
    told_moves: int = 0
    told_position: int = 0
    told_vols: list[int] = field(default_factory=list)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """For hypothesis: what is not as it was at first."""
        fresh = vars(Stream(self.mode))
        printer.text(f"{self.mode} { ({key: v for key, v in vars(self).items() if v != fresh[key]}) }")

    @property
    def plays(self) -> bool:
        return "play" in self.mode

    @property
    def block(self) -> int:
        return ROUND0 * self.rate // RATE0

    @property
    def ahead(self) -> int:
        return BUFSZ0 // ROUND0 * self.block

    def begin(self) -> None:
        fresh = Stream(self.mode)
        for name in ("queued", "taken", "owed", "joined", "late", "least", "most", "credit", "sum"):
            setattr(self, name, getattr(fresh, name))
        for name in ("position", "moves", "data", "xruns", "told_xruns", "told_moves", "told_position"):
            setattr(self, name, 0)
        self.state, self.granted = "priming", self.appbufsz if self.plays else 0

    def cycle(self) -> str | None:
        """One block of the device passes; "dead" if the stream did not survive it."""
        if not self.joined:
            self.joined = not self.plays or self.queued == self.appbufsz
            if not self.joined:
                return None
        if not self.plays:
            self.taken += self.block
        elif self.queued >= self.block:
            self.queued -= self.block
            self.taken += self.block
            self.granted += self.block
            self.late = False
        elif self.xrun == "error":
            return "dead"
        else:
            self.told_xruns += not self.late
            self.late = True
            if self.xrun == "sync":
                self.granted += self.queued
                self.owed += self.block - self.queued
                self.queued = 0
                self.taken += self.block
        position = self.taken - (0 if self.mode == "rec" else self.ahead)  # a monitor hears what is heard
        if position >= 0:
            # the first one is always 0, and one of its own where that is not where it is
            self.told_moves += 2 if self.told_moves == 0 and position > 0 else 1
            self.told_position = position
            self.state = "running"
        return None


@dataclass
class Client:
    """One connection; `expect` are ids of requests that are not answered yet, and what must be answered."""

    wire: Native
    name: str
    streams: dict[int, Stream] = field(default_factory=dict)
    expect: dict[int, Callable[[Message], None]] = field(default_factory=dict)
    closed: str | None = None


class Machine(RuleBasedStateMachine):
    """The daemon and its model."""

    covered: ClassVar[Counter[str]] = Counter()  # what all examples together came by

    def __init__(self) -> None:
        super().__init__()
        self.fds = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        self.folder = Path(tempfile.mkdtemp(prefix="machine"))
        self.house = Plain(self.folder)
        self.clients: list[Client] = []
        self.last_id = 0  # of the streams of all clients: they are counted
        self.levels = dict.fromkeys(NAMES, 127)

    def teardown(self) -> None:
        for client in self.clients:
            client.wire.close()
        self.house.close()
        shutil.rmtree(self.folder)
        assert len(os.listdir("/proc/self/fd")) == self.fds, "descriptors are left"  # noqa: PTH208

    # ---- the wire, and what the model makes of it ----

    def settle(self) -> None:
        self.house.settle()
        self.listen()

    def listen(self) -> None:
        for client in self.clients:
            for message in client.wire.messages():
                if message[0] == 1:
                    client.expect.pop(message[1])(message)
                else:
                    self.told(client, message[1], message[2])
            client.wire.seen.clear()
            for number, s in client.streams.items():
                self.compare(number, s)
            waiting = {id for s in client.streams.values() for id in (*s.drain, s.closing)}
            assert set(client.expect) <= waiting, "a request is not answered"

    def compare(self, number: int, s: Stream) -> None:
        assert s.credit >= 0
        assert s.vols == s.told_vols, (number, s)
        if s.state not in ("priming", "running"):
            return
        assert s.sum == s.granted, (number, s)
        assert s.position == s.told_position and s.moves == s.told_moves, (number, s)
        assert s.xruns == s.told_xruns, (number, s)
        if s.mode != "play":
            # all that was recorded up to there and no more, but for what a resampler holds
            held = 0 if s.rate == RATE0 else s.block
            assert s.position - held <= s.data <= s.position, (number, s)

    def told(self, client: Client, method: str, params: list[Any]) -> None:
        self.covered[f"told {method}"] += 1
        if method == "error":
            assert client.closed == "breach" and params[0]["code"] == "EPROTO"
            client.closed = "told"
            return
        s = client.streams[params[0]]
        if method == "onstate":
            assert s.state == "dying" and params[1] == "closed" and params[2]["code"] == "EPIPE"
            s.state = "dead"
            return
        assert s.state in ("priming", "running"), f"{method} of a stream that is {s.state}"
        if method == "credit":
            assert params[1] > 0
            s.credit += params[1]
            s.sum += params[1]
        elif method == "onmove":
            assert params[1] >= 0 and params[3] > 0
            assert s.moves or params[1:3] == [0, 0], "the first is 0"
            s.position += params[1]
            s.moves += 1
            assert s.position == params[2], "the sum of all deltas"
        elif method == "data":
            s.data += len(params[1]) // (2 * s.bps)
            assert s.data <= s.position, "data before the onmove that covers it"
        elif method == "onxrun":
            assert params[1] == "play"
            s.xruns += 1
        else:
            assert method == "onvol", method
            s.vols.append(params[1])

    def ask(self, client: Client, method: str, check: Callable[[Message], None], /, **args: object) -> None:
        client.expect[client.wire.request(method, **args)] = check

    def pick(self, data: st.DataObject) -> tuple[Client, int, Stream | None]:
        """A client, and mostly one of its streams."""
        # no draw may depend on how soon something was answered
        client = data.draw(st.sampled_from(self.clients))
        draw = data.draw(st.integers(0, 15))
        there = sorted(client.streams)
        number = there[draw % len(there)] if there and draw < 15 else 7
        return client, number, client.streams.get(number)

    def allowed(self, client: Client, s: Stream | None, number: int, method: str, /, **args: object) -> bool:
        """Whether the table allows it; if not, it is sent and its refusal is checked."""
        outcome = TABLE["closed" if s is None else s.state][method]
        self.covered[f"{method} when {'closed' if s is None else s.state}"] += 1
        if not outcome.startswith("E"):
            return True

        def refused(message: Message) -> None:
            assert message[2] is not None and message[2]["code"] == outcome, (method, message)

        self.ask(client, method, refused, stream=number, **args)
        self.settle()
        return False

    # ---- rules: connections ----

    @initialize(streams=st.lists(st.tuples(MODES, RATES, POLICIES), min_size=1, max_size=3))
    def begin_with(self, streams: list[tuple[str, int, str]]) -> None:
        self.connect(NAMES[0])
        (client,) = self.clients
        for number, (mode, rate, xrun) in enumerate(streams):
            self.opened(client, mode)
            self.set(client, number, client.streams[number], rate, None, xrun, 16)

    @rule(name=st.sampled_from(NAMES))
    @precondition(lambda self: len(self.clients) < CLIENTS)
    def join(self, name: str) -> None:
        self.connect(name)

    def connect(self, name: str) -> None:
        client = Client(self.house.client(None), name)
        self.clients.append(client)
        self.ask(client, "hello", good, version=1, client=name)
        self.settle()

    some_client = precondition(lambda self: self.clients)

    @some_client
    @rule(data=st.data(), late=st.booleans(), really=RARELY)
    def kill(self, data: st.DataObject, late: bool, really: bool) -> None:
        client, _, _ = self.pick(data)
        if not really:
            return
        client.wire.close()
        self.clients.remove(client)
        if not late:
            self.settle()

    # ---- rules: streams that are not started ----

    @some_client
    @rule(data=st.data(), mode=MODES)
    def open(self, data: st.DataObject, mode: str) -> None:
        client, _, _ = self.pick(data)
        if len(client.streams) < STREAMS:
            self.opened(client, mode)

    def opened(self, client: Client, mode: str) -> None:
        number = next(n for n in range(STREAMS) if n not in client.streams)
        self.last_id += 1
        client.streams[number] = Stream(mode, self.last_id)

        def check(message: Message) -> None:
            good(message)
            assert message[3] == {"stream": number, "device": 0, "subdevice": "default", "mode": mode}

        self.ask(client, "open", check, mode=mode)
        self.settle()

    @some_client
    @rule(
        data=st.data(),
        rate=st.none() | RATES,
        appbufsz=st.none() | st.integers(1, 4000),
        xrun=st.none() | POLICIES,
        bits=st.sampled_from([16, 24]),
    )
    def setpar(
        self, data: st.DataObject, rate: int | None, appbufsz: int | None, xrun: str | None, bits: int
    ) -> None:
        client, number, s = self.pick(data)
        par = {"rate": rate, "appbufsz": appbufsz, "xrun": xrun, "bits": bits}
        par = {key: value for key, value in par.items() if value is not None}
        if self.allowed(client, s, number, "setpar", par=par) and s is not None:
            self.set(client, number, s, rate, appbufsz, xrun, bits)

    def set(
        self,
        client: Client,
        number: int,
        s: Stream,
        rate: int | None,
        appbufsz: int | None,
        xrun: str | None,
        bits: int,
    ) -> None:
        par = {"rate": rate, "appbufsz": appbufsz, "xrun": xrun, "bits": bits}
        par = {key: value for key, value in par.items() if value is not None}
        s.rate, s.xrun, s.bits, s.bps = rate or s.rate, xrun or s.xrun, bits, 2 if bits == 16 else 4
        app = appbufsz or (s.ahead if rate else s.appbufsz)
        app += s.block // 2
        s.appbufsz = max(min(app - app % s.block, (1 + s.rate // ROUND0) * s.block), s.block)
        self.ask(client, "setpar", lambda message: self.is_par(s, message), stream=number, par=par)
        self.settle()

    @staticmethod
    def is_par(s: Stream, message: Message) -> None:
        good(message)
        par = message[3]["par"]
        wanted = {"rate": s.rate, "appbufsz": s.appbufsz, "xrun": s.xrun, "bits": s.bits, "bps": s.bps}
        wanted |= {"round": s.block, "bufsz": s.appbufsz + s.ahead}
        assert {key: par[key] for key in wanted} == wanted

    @some_client
    @rule(data=st.data())
    def getpar(self, data: st.DataObject) -> None:
        client, number, s = self.pick(data)
        if self.allowed(client, s, number, "getpar") and s is not None:
            self.ask(client, "getpar", lambda message: self.is_par(s, message), stream=number)
            self.settle()

    # ---- rules: streams that play ----

    @some_client
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        client, number, s = self.pick(data)
        if self.allowed(client, s, number, "start") and s is not None:
            self.begin(client, number, s)

    def begin(self, client: Client, number: int, s: Stream) -> None:
        s.begin()
        if self.levels[client.name] != 127:
            s.told_vols.append(self.levels[client.name])
        self.ask(client, "start", good, stream=number)
        self.settle()

    @some_client
    @rule(data=st.data(), n=st.integers(1, 8), starve=st.sampled_from([0, 0, 1, 2, 7]))
    def play(self, data: st.DataObject, n: int, starve: int) -> None:
        """What a client usually does: start, then fill the buffer before each block; and then be late."""
        client, number, s = self.pick(data)
        if s is None or s.state not in ("ready", "priming", "running"):
            return
        if s.state == "ready":
            self.begin(client, number, s)
        for _ in range(n):
            if s.state != "dead" and s.credit > 0:
                self.give(client, number, s, s.credit)
                self.settle()
            self.step(1)
        self.step(starve)

    @some_client
    @rule(data=st.data(), share=st.sampled_from([1, 0.01, 0.3, 0.5, 1, 1]), settle=st.booleans())
    def write(self, data: st.DataObject, share: float, settle: bool) -> None:
        """Within the credit; of more than a message holds, in several."""
        client, number, s = self.pick(data)
        if s is None or s.state not in ("priming", "running", "dead") or not s.plays:
            return
        n = round(s.credit * share)
        if n > 0:
            self.give(client, number, s, n)
        if settle:
            self.settle()

    def give(self, client: Client, number: int, s: Stream, n: int) -> None:
        client.wire.write(number, bytes(n * 2 * s.bps))
        s.credit -= n
        if s.state != "dead":
            dropped = min(s.owed, n)
            s.owed -= dropped
            s.granted += dropped
            s.queued += n - dropped

    @some_client
    @rule(n=st.sampled_from([1, 1, 2, 5]))
    def pass_blocks(self, n: int) -> None:
        self.step(n)

    def step(self, n: int) -> None:
        for _ in range(n):
            dying = []
            for client in self.clients:
                for s in client.streams.values():
                    if s.state in ("priming", "running") and s.cycle() == "dead":
                        dying.append(s)
                    elif s.state in ("draining", "closing"):
                        s.least -= 1
                        s.most -= 1
            for s in dying:
                s.state = "dying"
            self.house.step()
            self.listen()
            assert not [s for s in dying if s.state != "dead"], "an xrun under policy error ends it"
            for client in self.clients:
                for number, s in client.streams.items():
                    late = s.state in ("draining", "closing") and s.most < 0
                    assert not late, f"stream {number} drains for ever"

    @some_client
    @rule(data=st.data(), method=st.sampled_from(["stop", "stop", "flush"]))
    def stop(self, data: st.DataObject, method: str) -> None:
        client, number, s = self.pick(data)
        if not self.allowed(client, s, number, method) or s is None:
            return
        was = s.state
        self.drains(s, method == "flush")
        s.state = "draining"
        id = client.wire.request(method, stream=number)
        s.drain.append(id)

        def check(message: Message) -> None:
            good(message)
            assert s.drain.pop(0) == id, "in order"
            assert s.least <= 0, "what was written is played first"
            if not s.drain and s.closing is None:
                s.state = "ready"

        client.expect[id] = check
        self.covered[f"{method} of {was}"] += 1
        self.settle()

    @some_client
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        client, number, s = self.pick(data)
        if not self.allowed(client, s, number, "close") or s is None:
            return
        if s.state in ("priming", "running"):
            self.drains(s, False)
        elif s.state in ("ready", "dead"):
            s.least = s.most = 0
        s.state = "closing"
        s.closing = client.wire.request("close", stream=number)

        def check(message: Message) -> None:
            good(message)
            assert s.least <= 0 and not s.drain
            del client.streams[number]

        client.expect[s.closing] = check
        self.settle()

    @staticmethod
    def drains(s: Stream, flush: bool) -> None:
        """How long it may take: what is queued, or a fade, and the tail of a resampler."""
        if s.state in ("priming", "running"):
            s.least = s.most = -(-s.queued // s.block) if s.plays else 0
        if flush:
            s.least = s.most = 0
        s.most = max(s.most, 0) + 3

    @some_client
    @rule(data=st.data(), vol=st.sampled_from([0, 1, 64, 127, 127]))
    def setvol(self, data: st.DataObject, vol: int) -> None:
        client, number, s = self.pick(data)
        if not self.allowed(client, s, number, "setvol", vol=vol):
            return
        self.ask(client, "setvol", good, stream=number, vol=vol)
        if self.levels[client.name] != vol:
            self.levels[client.name] = vol
            for other in self.clients:
                for each in other.streams.values():
                    if other.name == client.name and each is not s and each.state in ("priming", "running"):
                        each.told_vols.append(vol)
        self.settle()

    # ---- rules: what is asked, and what is broken ----

    @some_client
    @rule(data=st.data())
    def streams(self, data: st.DataObject) -> None:
        client, _, _ = self.pick(data)
        self.settle()
        known = {s.id: s for c in self.clients for s in c.streams.values()}

        def check(message: Message) -> None:
            good(message)
            rows = message[3]["streams"]
            assert [row["id"] for row in rows] == sorted(known)
            for row in rows:
                s = known[row["id"]]
                assert row["state"] in SHOWN[s.state] or (s.mode, row["state"]) == ("rec", "running"), (
                    s,
                    row,
                )
                assert row["latency"] >= 0 and row["position"] >= 0 and row["mode"] == s.mode
                assert row["volume"] == self.levels[row["name"]]

        self.ask(client, "streams", check)
        self.settle()

    @some_client
    @rule(data=st.data(), extra=st.sampled_from([0, 0, 1, 5]), really=RARELY)
    def break_it(self, data: st.DataObject, extra: int, really: bool) -> None:
        """A write where the table says breach, or beyond the credit."""
        client, number, s = self.pick(data)
        if not really:
            return
        state = "closed" if s is None else s.state
        if TABLE[state]["write"] != "breach":
            if extra == 0 or s is None or not s.plays or state == "dead":
                return
            client.wire.write(number, bytes((s.credit + extra) * 2 * s.bps))
        else:
            client.wire.write(number, bytes(16))
        self.covered["breach"] += 1
        client.closed = "breach"
        for each in client.streams.values():
            each.state = "ended"
        client.expect = {id: lambda message: None for id in client.expect}
        self.house.settle()
        for message in client.wire.messages():
            if message[0] == 2 and message[1] == "error":
                self.told(client, *message[1:])
        assert client.closed == "told" and client.wire.eof
        client.wire.close()
        self.clients.remove(client)


def good(message: Message) -> None:
    assert message[2] is None, message


def test_any_order_of_calls() -> None:
    log.setup("error", {})
    Machine.covered.clear()
    examples = LONG or 150
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=100 if LONG else 50,
            derandomize=not LONG,
            database=None,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    came_by = Machine.covered
    print(sorted(came_by.items()))
    for what in ("credit", "onmove", "data", "onxrun", "onvol", "onstate", "error"):
        assert came_by[f"told {what}"], f"no {what}: the machine has not come far"
