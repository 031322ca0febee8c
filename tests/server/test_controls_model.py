"""controls.py against a small reference model: any order of opens, closes, starts, levels and mutes.

After each step: what the rows say, what the engine was told, and which client
was told of what.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from house import Client, House
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from audiod import policy
from audiod.engine import Playing

LINE = "-f null -f loopback"
NAMES = ("Player-1", "player2", "123")
VOLUME = st.sampled_from([0, 1, 50, 127])
SUB = st.sampled_from(["default", "1"])
WHAT = st.sampled_from(["level", "mute"])

Program = tuple[str, str]  # sub-device, name


class Opened:
    """A stream, as the model knows it."""

    def __init__(self, client: Client, number: int, ident: int, program: Program) -> None:
        self.client, self.number, self.id, self.program = client, number, ident, program
        self.started = False


class Levels(RuleBasedStateMachine):
    streams: Bundle[Opened] = Bundle("streams")

    def __init__(self) -> None:
        super().__init__()
        self.house = House(LINE)
        self.clients = [self.house.connect(name=name) for name in NAMES]
        self.names = [policy.program(name) for name in NAMES]
        self.watcher = self.house.connect(name="watcher")
        self.watcher.call("subscribe", topics=["controls"])
        self.seen: dict[tuple[str, str | None], int] = {}
        self.levels: dict[Program, int] = defaultdict(lambda: 127)
        self.mutes: dict[Program, int] = defaultdict(int)
        self.open: list[Opened] = []
        self.told: dict[tuple[int, int], list[int]] = defaultdict(list)

    def teardown(self) -> None:
        self.house.close()

    # ---- steps ----

    @precondition(lambda self: len(self.open) < 5)  # steps that change something are worth more
    @rule(target=streams, who=st.integers(0, 2), sub=SUB, mode=st.sampled_from(["play", "rec", "mon"]))
    def open_one(self, who: int, sub: str, mode: str) -> Opened:
        client = self.clients[who]
        number = client.open(mode, device=sub)
        ident = max(row["id"] for row in client.call("streams")["streams"])
        stream = Opened(client, number, ident, (sub, self.names[who]))
        self.open.append(stream)
        return stream

    @rule(stream=consumes(streams))
    def close_one(self, stream: Opened) -> None:
        stream.client.call("close", stream=stream.number)
        self.open.remove(stream)

    @rule(stream=streams, plays=st.booleans())
    def start_or_stop(self, stream: Opened, plays: bool) -> None:
        if stream.started:
            stream.client.call("stop", stream=stream.number)
        else:
            stream.client.call("start", stream=stream.number)
            if self.levels[stream.program] != 127:
                self._tell(stream)
            if plays:
                run = stream.client.conn.slots[stream.number].stream
                self.house.engine.post(Playing(run.id, 0))
                self.house.settle()
        stream.started = not stream.started

    @rule(stream=streams, vol=VOLUME)
    def own_volume(self, stream: Opened, vol: int) -> None:
        stream.client.call("setvol", stream=stream.number, vol=vol)
        self._set(stream.program, "level", vol, by=stream)

    @rule(stream=streams, what=WHAT, vol=VOLUME, alias=st.booleans())
    def by_control(self, stream: Opened, what: str, vol: int, alias: bool) -> None:
        sub, name = stream.program
        value = min(vol, 1) if what == "mute" else vol
        if alias:
            self.watcher.call("control.set", name=f"stream/{stream.id}.{what}", value=value)
        else:
            self.watcher.call("control.set", name=f"app/{name}.{what}", value=value, subdevice=sub)
        self._set(stream.program, what, value)

    def _set(self, program: Program, what: str, value: int, by: Opened | None = None) -> None:
        if what == "mute":
            self.mutes[program] = value
        elif self.levels[program] != value:
            self.levels[program] = value
            for stream in self.open:
                if stream.program == program and stream.started and stream is not by:
                    self._tell(stream)

    def _tell(self, stream: Opened) -> None:
        self.told[id(stream.client), stream.number].append(self.levels[stream.program])

    # ---- what must hold ----

    @invariant()
    def rows_are_as_set(self) -> None:
        rows = {row["id"]: row for row in self.watcher.call("streams")["streams"]}
        assert set(rows) == {stream.id for stream in self.open}
        for stream in self.open:
            row = rows[stream.id]
            assert row["volume"] == self.levels[stream.program]
            assert row["muted"] is bool(self.mutes[stream.program])

    @invariant()
    def the_engine_plays_them(self) -> None:
        for stream in self.open:
            if stream.started:
                run = stream.client.conn.slots[stream.number].stream
                assert run.vol == self.levels[stream.program]
                assert run.muted is bool(self.mutes[stream.program])

    @invariant()
    def all_but_who_did_it_are_told(self) -> None:
        for client in self.clients:
            heard: dict[int, list[int]] = defaultdict(list)
            for number, vol in client.told("onvol"):
                heard[number].append(vol)
            for number in {*heard, *(n for c, n in self.told if c == id(client))}:
                assert heard[number] == self.told[id(client), number]

    @invariant()
    def the_list_is_what_subscribers_have_heard(self) -> None:
        listed = {key(row): row["value"] for row in self.watcher.call("controls")["controls"]}
        for _, row in self.watcher.told("changed"):
            if row["event"] == "gone":
                del self.seen[key(row)]
            else:
                assert (row["event"] == "new") is (key(row) not in self.seen), row
                self.seen[key(row)] = row["value"]
        self.watcher.conn.sent.clear()
        programs = {
            program
            for program in {s.program for s in self.open} | set(self.levels) | set(self.mutes)
            if any(s.program == program for s in self.open)
            or self.levels[program] != 127
            or self.mutes[program]
        }
        wanted: dict[tuple[str, str | None], int] = {}
        for sub, name in programs:
            wanted[f"app/{name}.level", sub] = self.levels[sub, name]
            wanted[f"app/{name}.mute", sub] = self.mutes[sub, name]
        for stream in self.open:
            wanted[f"stream/{stream.id}.level", stream.program[0]] = self.levels[stream.program]
            wanted[f"stream/{stream.id}.mute", stream.program[0]] = self.mutes[stream.program]
        assert self.seen == wanted
        apps = {k: v for k, v in listed.items() if k[0].startswith(("app/", "stream/"))}
        assert apps == wanted


def key(row: dict[str, Any]) -> tuple[str, str | None]:
    return row["name"], row["subdevice"]


def test_any_order() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Levels,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            phases=(Phase.generate, Phase.shrink),
        ),
    )
