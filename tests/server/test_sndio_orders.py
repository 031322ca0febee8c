"""Any order of a sndio program's messages, of what the engine does and of other programs, against a model.

The model knows the rules as sentences: who is connected, started, stopping, which
volumes hold.  What the daemon sends and closes must be what the model says.
"""

from __future__ import annotations

from typing import Any

from audiod_protocol.sndio import messages as m
from house import House, SndioClient
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

RATES = {48000: 480, 44100: 441, 8000: 80, 22051: 221}
COOKIES = [bytes(16), b"x" * 16]
NAMES = ["mpv", "aucat"]
FRAME = 8


class Program:
    """One connection as its client knows it."""

    def __init__(self, client: SndioClient) -> None:
        self.client = client
        self.cookie: bytes | None = None
        self.name: str | None = None  # once it is open
        self.mode = 0
        self.rate = 48000
        self.started = self.stopping = False
        self.heard: int | None = 127  # None: it was told, perhaps while it could not be
        self.credit = 0
        self.gone = False


def some_program(**arguments: Any) -> Any:
    """A rule about one of the programs that are there; `rude` once in a while."""

    def decorate(act: Any) -> Any:
        def one(self: Orders, which: int, rude: int, **given: Any) -> None:
            there = self.there()
            if there:
                self.rude = rude == 0
                act(self, there[which % len(there)], **given)
                self.rude = False

        one.__name__ = act.__name__
        return rule(which=st.integers(0, 5), rude=st.integers(0, 7), **arguments)(one)

    return decorate


class Orders(RuleBasedStateMachine):
    rude = False

    def __init__(self) -> None:
        super().__init__()
        self.house = House("-f null")
        self.all: list[Program] = []
        self.levels = dict.fromkeys(NAMES, 127)
        self.seen: dict[Program, int] = {}

    # ---- the model ----

    @property
    def owner(self) -> bytes | None:
        cookies = {p.cookie for p in self.all if p.cookie is not None and not p.gone}
        assert len(cookies) <= 1
        return next(iter(cookies), None)

    def came(self, program: Program) -> list[object]:
        """What the daemon has said since."""
        sent = program.client.conn.sent
        before = self.seen.get(program, 0)
        self.seen[program] = len(sent)
        return sent[before:]

    def ask(self, program: Program, message: m.Message, allowed: bool) -> list[object] | None:
        """Say it and return what comes; where it is not allowed, and we are rude, the connection ends."""
        if not allowed and not self.rude:
            return None
        program.client.say(message)
        assert program.client.closed is not allowed
        came = self.came(program)
        if allowed:
            return came
        program.gone = True
        assert came == []
        return None

    # ---- rules ----

    def there(self) -> list[Program]:
        return [program for program in self.all if not program.gone]

    @rule(
        depth=st.integers(0, 4),
        mode=st.sampled_from([1, 2, 3]),
        name=st.sampled_from(NAMES),
        cookie=st.sampled_from(COOKIES),
    )
    @precondition(lambda self: len(self.there()) < 6)
    def connect(self, depth: int, mode: int, name: str, cookie: bytes) -> None:
        """A program comes, and goes so far as it may."""
        program = Program(self.house.sndio())
        self.all.append(program)
        if depth > 0:
            self.auth(program, self.owner or cookie)
        if depth > 1:
            self.hello(program, mode, name, "default")
        if depth > 3:
            self.start(program, True)

    @some_program(cookie=st.sampled_from(COOKIES))
    def say_auth(self, program: Program, cookie: bytes) -> None:
        self.auth(program, cookie)

    def auth(self, program: Program, cookie: bytes) -> None:
        allowed = program.cookie is None and self.owner in (None, cookie)
        if self.ask(program, m.Auth(cookie), allowed) is not None:
            program.cookie = cookie

    @some_program(
        mode=st.sampled_from([1, 1, 2, 3, 3, 0, 5, 0x101]),  # those of MIDI and controls have their own tests
        name=st.sampled_from(NAMES),
        opt=st.sampled_from(["default", "default", "0", "no"]),
    )
    def say_hello(self, program: Program, mode: int, name: str, opt: str) -> None:
        self.hello(program, mode, name, opt)

    def hello(self, program: Program, mode: int, name: str, opt: str) -> None:
        allowed = program.cookie is not None and program.name is None and mode in (1, 2, 3) and opt != "no"
        answer = self.ask(program, m.Hello(mode, 255, 1, opt, name), allowed)
        if answer is not None:
            assert answer == [m.Ack()]
            # each sub-device has volumes of its own
            program.name, program.mode = (name if opt == "default" else f"0 {name}"), mode
            self.levels.setdefault(program.name, 127)

    @some_program(rate=st.sampled_from(list(RATES)), bits=st.sampled_from([None, 16, 24, 24, 33]))
    def setpar(self, program: Program, rate: int, bits: int | None) -> None:
        allowed = program.name is not None and not program.started and bits != 33
        message = m.Setpar(m.WirePar(rate=rate, bits=bits, bps=bits and 4))
        if self.ask(program, message, allowed) is not None:
            program.rate = rate

    @some_program()
    def getpar(self, program: Program) -> None:
        answer = self.ask(program, m.Getpar(), program.name is not None and not program.started)
        if answer is not None:
            (reply,) = answer
            assert isinstance(reply, m.ParReply)
            block = RATES[program.rate]
            par = reply.par
            assert (par.mode, par.rate, par.round) == (program.mode, program.rate, block)
            assert par.appbufsz == 4 * block

    @some_program(notify=st.booleans())
    def say_start(self, program: Program, notify: bool) -> None:
        self.start(program, notify)

    def start(self, program: Program, notify: bool) -> None:
        answer = self.ask(program, m.Start(notify), program.name is not None and not program.started)
        if answer is None:
            return
        assert program.name is not None
        program.started = True
        program.credit = 4 * RATES[program.rate] if program.mode & 1 else 0
        expected: list[object] = [m.Flowctl(program.credit)] if program.credit else []
        level = self.levels[program.name]
        if program.heard != level:
            program.heard = None
            expected.append(m.Setvol(level))
        assert answer == expected

    @some_program(frames=st.integers(1, 500))
    def data(self, program: Program, frames: int) -> None:
        running = program.started and not program.stopping and program.mode & 1
        allowed = bool(running) and frames <= min(program.credit, RATES[program.rate])
        if self.ask(program, m.Data(frames * FRAME), allowed) is not None:
            program.credit -= frames

    @some_program(drain=st.sampled_from([True, False, None]), at_once=st.booleans())
    def stop(self, program: Program, drain: bool | None, at_once: bool) -> None:
        if program.stopping:
            return  # the pump's to refuse
        self.house.engine.holding = not at_once
        answer = self.ask(program, m.Stop(drain), program.started)
        if answer is None:
            return
        program.credit = 0
        if at_once or drain is False:
            assert answer == [m.Stop()]
            program.started = False
        else:
            assert answer == []
            program.stopping = True

    @some_program()
    def drained(self, program: Program) -> None:
        if program.stopping:
            program.client.conn.drained(0)
            self.house.settle()
            assert self.came(program) == [m.Stop()]
            program.started = program.stopping = False

    @some_program(vol=st.sampled_from([0, 64, 127]))
    def setvol(self, program: Program, vol: int) -> None:
        if self.ask(program, m.Setvol(vol), program.name is not None) is None:
            return
        program.heard = vol
        self.set_level(program.name, vol, program)

    @rule(name=st.sampled_from(NAMES), vol=st.sampled_from([0, 32, 127]))
    def turned(self, name: str, vol: int) -> None:
        """Somebody turns a program up or down."""
        if any(program.name == name for program in self.there()):
            client = self.house.connect()
            client.call("control.set", name=f"app/{name}.level", value=vol)
            client.vanish()
            self.set_level(name, vol, None)

    def set_level(self, name: str | None, vol: int, by: Program | None) -> None:
        """Every other started program of that name has heard of it, and nobody else."""
        assert name is not None
        if self.levels[name] == vol:
            return
        self.levels[name] = vol
        for other in self.there():
            if other is by:
                continue
            hears = other.name == name and other.started
            if hears:
                other.heard = None
            # one that drains is told too, but the pump is silent then
            assert self.came(other) == ([m.Setvol(vol)] if hears and not other.stopping else [])

    @some_program(cmd=st.sampled_from([0, 6, 7, 8, 13, 14, 15, 16, 17, 18]))
    def nonsense(self, program: Program, cmd: int) -> None:
        if self.rude:
            program.client.say(cmd.to_bytes(4, "big") + bytes(36))
            assert program.client.closed
            assert self.came(program) == []
            program.gone = True

    @some_program(politely=st.booleans())
    def leave(self, program: Program, politely: bool) -> None:
        if politely:
            program.client.say(m.Bye())
        else:
            program.client.conn.vanish()
            self.house.settle()
        assert program.client.closed
        assert self.came(program) == []
        program.gone = True

    @some_program()
    def xrun(self, program: Program) -> None:
        """Its policy was error."""
        if program.started and self.rude:
            program.client.conn.end_xrun(0)
            self.house.settle()
            assert program.client.closed
            assert self.came(program) == []
            program.gone = True

    # ---- always ----

    @invariant()
    def nobody_is_forgotten(self) -> None:
        there = self.there()
        for program in there:
            assert not program.client.closed
            assert self.came(program) == []
        core = self.house.dispatch.core
        opened_ = [p for p in there if p.name is not None]
        assert len(core.streams) == len(opened_) == core.carried["sndio"]
        held = self.house.dispatch.devices.all[0].holders
        assert held == len(opened_)
        running = {run.id for run in self.house.engine.streams if not run.freed}
        assert len(running) == sum(p.started for p in there)

    def teardown(self) -> None:
        self.house.engine.holding = False
        self.house.close()


Orders.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestOrders = Orders.TestCase
