"""The short form of the Python part of tests/perf/fuzz_long.py, and what its long form has found."""

from __future__ import annotations

import pytest
from deskfuzz import fuzz_control
from fuzzing import fuzz_protocol, fuzz_session
from house import Client, House
from midifuzz import fuzz_midi


@pytest.mark.parametrize("seed", [1, 2])
def test_wrong_messages_raise_nothing_but_their_exceptions(seed: int) -> None:
    tally = fuzz_protocol(4000, seed)
    outcomes = {"valid", "not a message", "notification", "bad params", "refused EINVAL", "refused ENOSYS"}
    assert outcomes | {"refused EPROTO", "read from a stream"} == set(tally), "each thing happens"
    assert tally.total() - tally["read from a stream"] == 4000


@pytest.mark.parametrize("seed", [1, 3])
def test_a_daemon_among_wrong_messages_answers_each_once(seed: int) -> None:
    tally = fuzz_session(4000, seed)
    assert tally["messages"] == 4000 and tally["answers"] > 2000, tally
    assert tally["ended by a breach"] > 20 and tally["ended by the client"] > 10, tally


@pytest.mark.parametrize("seed", [1, 2])
def test_control_clients_that_say_anything(seed: int) -> None:
    tally = fuzz_control(800, seed)
    assert tally["compared"] > 150 and tally["ended by a breach"] > 15 and tally["clients"] > 25, tally


@pytest.mark.parametrize("seed", [1, 2])
def test_midi_programs_that_say_anything(seed: int) -> None:
    tally = fuzz_midi(800, seed)
    assert tally["compared"] > 50 and tally["ended by a breach"] > 15 and tally["clients"] > 25, tally
    assert tally["heard"] > 5000, tally


def test_a_stop_that_waits_when_its_client_vanishes_is_answered_to_nobody(
    house: House, client: Client
) -> None:
    house.engine.holding = True
    number = client.open(start=True)
    client.send("stop", stream=number)
    client.call("stop", stream=number)  # the pump has one already: this one waits in the session
    client.vanish()  # FakeConn holds it against whoever sends to a connection that was freed
    assert client.conn.freed
