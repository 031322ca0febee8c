"""session.py and stream.py: every request, every refusal, every state of a stream."""

from __future__ import annotations

import errno
import io
from typing import Any

import msgpack
import pytest
from fakes import FakeStream
from house import Client, House, Peer, Refused

from audiod.engine import (
    CloseReason,
    EngineError,
    Playing,
    ProtocolBreach,
    ProtocolReason,
    StreamFlag,
    StreamState,
)


def row(client: Client, number: int = 0) -> dict[str, Any]:
    rows = client.call("streams")["streams"]
    (found,) = [r for r in rows if r["stream"] == number]
    return dict(found)


def run_of(house: House) -> FakeStream:
    return house.engine.streams[-1]


# ---- hello ----


def test_hello(house: House) -> None:
    client = house.connect(hello=False)
    answer = client.call("hello", version=1, client="player", pid=7, features=["later"])
    assert answer == {"version": 1, "server": "audiod 0.1.0", "features": [], "unit": 0}


def test_hello_must_be_first(house: House) -> None:
    client = house.connect(hello=False)
    for method, args in [("devices", {}), ("open", {"mode": "play"}), ("start", {"stream": 0})]:
        with pytest.raises(Refused, match="EPROTO"):
            client.call(method, **args)
    with pytest.raises(Refused, match="ENOSYS"):
        client.call("nonsense")
    with pytest.raises(Refused, match=r"EPROTO.*version 1"):
        client.call("hello", version=2, client="x")
    client.call("hello", version=1, client="x")  # it may try again
    with pytest.raises(Refused, match=r"EPROTO.*already"):
        client.call("hello", version=1, client="x")


@pytest.mark.parametrize(
    ("method", "args", "code"),
    [
        ("frobnicate", {}, "ENOSYS"),
        ("open", {}, "EINVAL"),
        ("open", {"mode": "mon,rec"}, "EINVAL"),
        ("open", {"mode": "play", "colour": 1}, "EINVAL"),
        ("open", {"mode": "play", "device": "rear"}, "ENODEV"),
        ("open", {"mode": "play", "transport": "shm"}, "ENOTSUP"),
        ("open", {"mode": "play", "transport": "pigeon"}, "EINVAL"),
        ("setpar", {"stream": 0, "par": {}}, "EBADF"),
        ("getpar", {"stream": 0}, "EBADF"),
        ("getcap", {"stream": 0}, "EBADF"),
        ("start", {"stream": 0}, "EBADF"),
        ("stop", {"stream": 0}, "EBADF"),
        ("flush", {"stream": 0}, "EBADF"),
        ("close", {"stream": 0}, "EBADF"),
        ("setvol", {"stream": 0, "vol": 1}, "EBADF"),
        ("setvol", {"stream": 0, "vol": 128}, "EINVAL"),
        ("start", {"stream": 1024}, "EINVAL"),
        ("start", {"stream": "0"}, "EINVAL"),
        ("status", {"stream": 0}, "EBADF"),
        ("status", {"id": 70}, "ENOENT"),
        ("status", {"id": 70, "stream": 0}, "EINVAL"),
        ("control.set", {"name": "nothing", "value": 1}, "ENOENT"),
        ("control.set", {"name": "stream/9.level", "value": 1}, "ENOENT"),
        ("control.set", {"name": "output.level", "value": 1, "device": 1}, "ENODEV"),
        ("control.set", {"name": "output.level", "value": 128}, "EINVAL"),
        ("subscribe", {"topics": ["weather"]}, "EINVAL"),
    ],
)
def test_refusals(client: Client, method: str, args: dict[str, Any], code: str) -> None:
    with pytest.raises(Refused) as refused:
        client.call(method, **args)
    assert refused.value.code == code
    assert client.call("status")["connections"] == 1  # the connection lives on


def test_params_that_are_no_map_are_answered(client: Client) -> None:
    client.conn.receive(msgpack.packb([0, 77, "devices", [1, 2]]))
    client.house.settle()
    with pytest.raises(Refused, match="EINVAL"):
        client.answer(77)


# ---- open and parameters ----


def test_open_gives_the_lowest_free_number(house: House, client: Client) -> None:
    assert [client.open() for _ in range(3)] == [0, 1, 2]
    client.call("close", stream=1)
    client.call("close", stream=0)
    assert [client.open() for _ in range(3)] == [0, 1, 3]
    other = house.connect()
    assert other.open() == 0
    ids = [r["id"] for r in client.call("streams")["streams"]]
    assert len(set(ids)) == len(ids) == 5


def test_open_answers_what_it_opened(house: House, client: Client) -> None:
    answer = client.call("open", mode="rec,play", device="snd/0")
    assert answer == {"stream": 0, "device": 0, "subdevice": "0", "mode": "play,rec"}
    assert house.device.conf.driver == "null"


def test_parameters(client: Client) -> None:
    number = client.open("play,rec")
    par = client.call("getpar", stream=number)["par"]
    assert par["enc"] == "s24le"
    assert (par["rate"], par["round"], par["appbufsz"], par["bufsz"]) == (48000, 480, 1920, 3840)
    assert (par["pchan"], par["rchan"], par["xrun"]) == (2, 2, "ignore")
    asked = {"enc": "s16le", "rate": 44100, "pchan": 0, "rchan": 99, "xrun": 1}
    par = client.call("setpar", stream=number, par=asked)["par"]
    assert (par["rate"], par["round"], par["appbufsz"], par["bufsz"]) == (44100, 441, 1764, 3528)
    assert (par["bits"], par["pchan"], par["rchan"], par["xrun"]) == (16, 1, 64, "sync")
    assert client.call("getpar", stream=number)["par"] == par
    with pytest.raises(Refused, match="EINVAL"):
        client.call("setpar", stream=number, par={"bits": 33})
    assert client.call("getpar", stream=number)["par"] == par


def test_a_direction_that_is_not_opened_has_no_channels(client: Client) -> None:
    par = client.call("setpar", stream=client.open("rec"), par={"pchan": 2, "rchan": 1})["par"]
    assert par["rchan"] == 1
    assert "pchan" not in par


def test_getcap(client: Client) -> None:
    cap = client.call("getcap", stream=client.open())["cap"]
    assert "s16le" in cap["enc"]
    assert 44100 in cap["rate"]


def test_a_thousand_streams_and_no_more(client: Client) -> None:
    for expected in range(1024):
        assert client.open() == expected
    with pytest.raises(Refused, match="EMFILE"):
        client.open()
    client.call("close", stream=500)
    assert client.open() == 500


# ---- start, stop ----


def test_what_the_engine_is_told(house: House) -> None:
    house = House("-w on -f null -c 2:3 -C 0:0 -j off -v 100 -s rear")
    client = house.connect()
    number = client.open("play,rec", device="rear")
    client.call("setpar", stream=number, par={"enc": "f32le", "rate": 44100, "pchan": 6, "xrun": "error"})
    client.call("setvol", stream=number, vol=50)
    assert client.call("start", stream=number) == {"stream": number}
    par = run_of(house).par
    assert (par.rate, par.pchan, par.rchan, par.appbufsz, par.xrun) == (44100, 6, 1, 1764, 2)
    assert (par.pmin, par.pmax, par.rmin, par.rmax, par.join) == (2, 3, 0, 0, False)
    assert (par.vol, par.maxvol) == (50, 100)
    assert (par.enc.bits, par.enc.flt) == (32, True)
    assert par.flags == StreamFlag.PLAY | StreamFlag.REC | StreamFlag.AUTOVOL
    assert client.told("onvol") == [[number, 50]]
    house.close()


@pytest.mark.parametrize(
    ("line", "mode", "flags"),
    [
        ("-f null", "play", StreamFlag.PLAY),
        ("-f null", "rec", StreamFlag.REC),
        ("-m play -f null", "play,rec", StreamFlag.PLAY | StreamFlag.REC | StreamFlag.NOREC),
        ("-m rec -f null", "play", StreamFlag.PLAY | StreamFlag.NOPLAY),
        ("-m mon -f null", "rec", StreamFlag.MON),
        ("-m play,rec,mon -f null", "rec", StreamFlag.MON | StreamFlag.REC),
        ("-f null?rec=0", "rec", StreamFlag.REC | StreamFlag.NOREC),
        ("-f null", "mon", StreamFlag.MON),
        ("-m play -f null", "mon", StreamFlag.MON),
        ("-f null?play=0", "mon", StreamFlag.REC | StreamFlag.NOREC),
    ],
)
def test_a_direction_that_is_not_offered_is_silent(line: str, mode: str, flags: StreamFlag) -> None:
    house = House(line)
    client = house.connect()
    client.open(mode, start=True)
    assert run_of(house).par.flags == flags
    house.close()


def test_a_monitor_has_the_channels_that_are_played() -> None:
    house = House("-f null -c 0:3 -C 0:0 -m play -s four")
    client = house.connect()
    answer = client.call("open", mode="mon", device="four")
    assert answer["mode"] == "mon"
    assert client.call("getpar", stream=0)["par"]["rchan"] == 4
    assert (row(client)["mode"], row(client)["channels"]) == ("mon", 4)
    assert row(client)["conversion"] == "s16le -> s24le"
    house.close()


def test_states_of_a_stream(house: House, client: Client) -> None:
    number = client.open()
    assert row(client)["state"] == "ready"
    client.call("start", stream=number)
    run = run_of(house)
    assert row(client)["state"] == "priming"
    house.device.run()
    run.state, run.position, run.written = StreamState.RUNNING, 480, 2400
    house.engine.post(Playing(run.id, 0))
    house.settle()
    now = row(client)
    assert (now["state"], now["position"], now["latency"]) == ("running", 480, 1920)
    run.written, frame = 960, 2 * 4  # s24le, stereo
    for waiting, latency in ((0, 480), (120 * frame + 7, 600), (1 << 20, 480 + 960)):
        client.conn.waiting = waiting
        assert row(client)["latency"] == latency, "what waits in the socket, within its credit"
    assert client.call("devices")["devices"][0]["state"] == "running"
    house.engine.holding = True
    stopping = client.send("stop", stream=number)
    house.settle()
    assert client.answer(stopping) is None
    assert row(client)["state"] == "draining"
    client.conn.drained(number)
    house.settle()
    assert client.answer(stopping) == {"stream": number}
    assert row(client)["state"] == "ready"
    assert run.freed


def test_a_started_stream_refuses_what_needs_rest(client: Client) -> None:
    number = client.open(start=True)
    for method, args in [("setpar", {"par": {}}), ("start", {})]:
        with pytest.raises(Refused, match="EBUSY"):
            client.call(method, stream=number, **args)
    assert client.call("getpar", stream=number)["par"]["rate"] == 48000
    assert client.call("getcap", stream=number)["cap"]


def test_a_ready_stream_cannot_stop(client: Client) -> None:
    number = client.open()
    for method in ("stop", "flush"):
        with pytest.raises(Refused, match=r"EINVAL.*not started"):
            client.call(method, stream=number)


@pytest.mark.parametrize("release_first", [False, True])
def test_start_again(house: House, client: Client, release_first: bool) -> None:
    house.engine.release_first = release_first
    number = client.open()
    client.call("setpar", stream=number, par={"rate": 44100})
    for method in ("stop", "flush", "stop"):
        client.call("start", stream=number)
        assert client.call(method, stream=number) == {"stream": number}
        assert client.call("getpar", stream=number)["par"]["rate"] == 44100
    runs = [run.id for run in house.engine.streams]
    assert len(set(runs)) == 3, "each start has its own id in the engine"


def test_a_start_before_the_release_waits_for_it(house: House, client: Client) -> None:
    """The pump has answered the stop, so the client may start; the device still has the stream."""
    number = client.open(start=True)
    client.send("stop", stream=number)
    released = house.engine.queue.pop()  # it travels on another ring
    house.settle()
    par = client.send("setpar", stream=number, par={"rate": 8000})
    start = client.send("start", stream=number)
    house.settle()
    assert client.answer(par) is None
    assert client.answer(start) is None
    house.engine.post(released)
    house.settle()
    assert client.answer(par)["par"]["rate"] == 8000
    assert client.answer(start) == {"stream": number}
    assert run_of(house).par.rate == 8000


def test_too_many_that_wait_are_refused(house: House, client: Client) -> None:
    number = client.open(start=True)
    client.send("stop", stream=number)
    released = house.engine.queue.pop()
    house.settle()
    waiting = [client.send("getpar", stream=number) for _ in range(64)]
    house.settle()
    with pytest.raises(Refused, match="EBUSY"):
        client.call("getpar", stream=number)
    house.engine.post(released)
    house.settle()
    assert all(client.answer(ident) for ident in waiting)


@pytest.mark.parametrize("method", ["stop", "flush", "close"])
def test_pipelined_behind_start(house: House, client: Client, method: str) -> None:
    """The pump did not know the stream as started when it saw the second request."""
    number = client.open()
    start = client.send("start", stream=number)
    end = client.send(method, stream=number)
    house.settle()
    assert client.answer(start) == {"stream": number}
    assert client.answer(end) == {"stream": number}
    if method == "close":
        with pytest.raises(Refused, match="EBADF"):
            client.call("getpar", stream=number)
    else:
        assert row(client)["state"] == "ready"


def test_stop_then_close_in_one_go(house: House, client: Client) -> None:
    number = client.open(start=True)
    stop = client.send("stop", stream=number)
    close = client.send("close", stream=number)
    house.settle()
    assert client.answer(stop) == {"stream": number}
    assert client.answer(close) == {"stream": number}
    assert client.call("streams")["streams"] == []


def test_flush_cuts_a_drain_short(house: House, client: Client) -> None:
    house.engine.holding = True
    number = client.open(start=True)
    stop = client.send("stop", stream=number)
    house.settle()
    assert client.answer(stop) is None
    assert client.call("flush", stream=number) == {"stream": number}
    assert client.answer(stop) == {"stream": number}
    assert run_of(house).flushed


def test_close_drains_first(house: House, client: Client) -> None:
    house.engine.holding = True
    number = client.open(start=True)
    closing = client.send("close", stream=number)
    house.settle()
    assert client.answer(closing) is None
    assert row(client)["state"] == "draining"
    with pytest.raises(Refused, match=r"EBADF.*being closed"):
        client.call("getpar", stream=number)
    with pytest.raises(Refused, match=r"EBADF.*being closed"):
        client.call("close", stream=number)
    client.conn.drained(number)
    house.settle()
    assert client.answer(closing) == {"stream": number}
    assert client.call("streams")["streams"] == []
    assert client.open() == number


def test_the_engine_refuses_a_stream(house: House, client: Client) -> None:
    number = client.open()
    house.engine.refuse_stream = EngineError(errno.ENOMEM, "making a stream: Cannot allocate memory")
    with pytest.raises(Refused, match=r"EIO.*Cannot allocate memory"):
        client.call("start", stream=number)
    house.engine.refuse_stream = None
    assert client.call("start", stream=number) == {"stream": number}


# ---- volume ----


def test_volume(house: House, client: Client) -> None:
    number = client.open()
    assert client.call("setvol", stream=number, vol=64) == {"stream": number}
    assert row(client)["volume"] == 64
    client.call("start", stream=number)
    client.call("setvol", stream=number, vol=32)
    assert run_of(house).vol == 32
    assert client.told("onvol") == [[number, 64]]  # the server's at start, never an echo


def test_another_client_turns_it_down(house: House, client: Client) -> None:
    number = client.open(start=True)
    other = house.connect()
    name = f"stream/{row(client)['id']}.level"
    assert other.call("control.set", name=name, value=10) == {"name": name, "value": 10}
    assert client.told("onvol") == [[number, 10]]
    assert run_of(house).vol == 10
    other.call("control.set", name=name, value=10)
    assert client.told("onvol") == [[number, 10]]
    client.call("stop", stream=number)
    other.call("control.set", name=name, value=20)
    assert client.told("onvol") == [[number, 10]]  # nothing follows the answer to stop
    assert row(client)["volume"] == 20


def test_a_program_finds_its_volume_again(house: House) -> None:
    first = house.connect(name="Player-1")
    first.call("setvol", stream=first.open(), vol=50)
    first.vanish()
    again = house.connect(name="player2")
    again.open()
    assert row(again)["volume"] == 50
    other = house.connect(name="other")
    other.open()
    assert [r["volume"] for r in other.call("streams")["streams"]] == [50, 127]


# ---- the engine ends a stream ----


def test_xrun_under_policy_error(house: House, client: Client) -> None:
    number = client.open(start=True)
    client.conn.end_xrun(number)
    house.settle()
    ((stream, state, detail),) = client.told("onstate")
    assert (stream, state, detail["code"]) == (number, "closed", "EPIPE")
    for method in ("start", "stop", "getpar"):
        with pytest.raises(Refused, match="EPIPE"):
            client.call(method, stream=number)
    assert client.open() == 1  # its number is not free before close
    assert client.call("close", stream=number) == {"stream": number}
    assert client.open() == 0


def test_the_device_goes_away(house: House, client: Client) -> None:
    playing, ready = client.open(start=True), client.open()
    other = house.connect()
    other.open(start=True)
    house.device.run()
    house.settle()
    house.device.fail(errno.ENODEV)
    house.settle()
    assert sorted((n, s, d["code"]) for n, s, d in client.told("onstate")) == [
        (playing, "closed", "ENODEV"),
        (ready, "closed", "ENODEV"),
    ]
    assert len(other.told("onstate")) == 1
    assert house.engine.devices[0].closed
    assert client.call("devices")["devices"][0]["state"] == "failed"
    assert client.open() == 2  # the device is opened again
    assert len(house.engine.devices) == 2
    assert client.call("devices")["devices"][0]["state"] == "idle"
    for number in (playing, ready, 2):
        client.call("close", stream=number)
    assert client.call("devices")["devices"][0]["state"] == "closed"  # other's dead stream holds nothing


def test_the_device_goes_away_while_a_close_drains(house: House, client: Client) -> None:
    house.engine.holding = True
    number = client.open(start=True)
    closing = client.send("close", stream=number)
    house.settle()
    house.device.fail(errno.EIO)
    house.settle()
    assert client.answer(closing) == {"stream": number}


def test_the_device_cannot_be_opened(house: House, client: Client) -> None:
    house.engine.refuse_device = EngineError(errno.EBUSY, "somebody else has it")
    with pytest.raises(Refused, match=r"ENODEV.*somebody else has it"):
        client.open()
    assert client.call("streams")["streams"] == []
    house.engine.refuse_device = None
    assert client.open() == 0


# ---- clients that break something, or die ----


@pytest.mark.parametrize(
    "state", ["new", "hello", "ready", "started", "draining", "closing", "dead", "stopped"]
)
def test_a_client_vanishes(house: House, state: str) -> None:
    client = house.connect(hello=state != "new")
    if state not in ("new", "hello"):
        number = client.open(start=state != "ready")
        house.engine.holding = True
        if state == "draining":
            client.send("stop", stream=number)
        elif state == "closing":
            client.send("close", stream=number)
        elif state == "dead":
            client.conn.end_xrun(number)
        elif state == "stopped":
            house.engine.holding = False
            client.send("stop", stream=number)
            client.send("getpar", stream=number)
            house.engine.queue.rotate(2)  # the release is last
        house.settle() if state != "stopped" else None
    client.vanish()
    other = house.connect()
    assert other.call("streams")["streams"] == []
    assert other.call("status")["connections"] == 1
    assert house.dispatch.devices.all[0].holders == 0


def test_garbage_inside_a_message(house: House, client: Client) -> None:
    client.conn.receive(msgpack.packb([1, 0, None, None]))  # a server gets no answers
    house.settle()
    ((fault,),) = client.told("error")
    assert fault["code"] == "EPROTO"
    assert client.conn.freed


@pytest.mark.parametrize("reason", [r for r in ProtocolReason if r < ProtocolReason.BLOCK])
def test_the_pump_finds_a_breach(house: House, client: Client, reason: ProtocolReason) -> None:
    client.open(start=True)
    client.conn.let_go(0)
    house.engine.post(ProtocolBreach(client.conn.id, reason, 0))
    house.settle()
    ((fault,),) = client.told("error")
    assert fault["code"] == "EPROTO"
    assert "stream 0" in fault["message"]
    assert client.conn.freed
    # the pump has let go of its stream
    from audiod.engine import StreamReleased

    house.engine.post(StreamReleased(run_of(house).id))
    house.settle()


def test_messages_behind_a_breach_are_not_read(house: House, client: Client) -> None:
    house.engine.post(ProtocolBreach(client.conn.id, ProtocolReason.FORMAT, -1))
    late = client.send("devices")
    house.settle()
    assert client.answer(late) is None


def test_unknown_notifications_are_ignored(house: House, client: Client, logged: io.StringIO) -> None:
    for _ in range(3):
        client.notify("dance", 1, 2)
    assert client.call("status")["connections"] == 1
    assert logged.getvalue().count("client.unknown_notification") == 1


def test_a_slow_client_is_dropped(house: House, client: Client, logged: io.StringIO) -> None:
    client.open(start=True)
    client.conn.vanish(CloseReason.SLOW)
    house.settle()
    assert not house.dispatch.sessions
    assert "client.slow" in logged.getvalue()


def test_a_bug_of_ours_costs_one_connection(
    house: House, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = house.connect()

    def break_down(args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setitem(house.dispatch._queries._methods, "controls", break_down)
    client.call("controls")
    ((fault,),) = client.told("error")
    assert fault["code"] == "EIO"
    assert client.conn.freed
    assert other.call("status")["connections"] == 1


def test_rows_tell_who_it_is(house: House) -> None:
    client = house.connect(Peer(1001, 1001, 99, frozenset({29})), name="player")
    client.open(name="song", type="music", link="party")
    mine = row(client)
    assert (mine["name"], mine["uid"], mine["pid"]) == ("song", 1001, 99)
    assert (mine["type"], mine["link"], mine["subdevice"]) == ("music", "party", "default")
    assert (mine["rate"], mine["encoding"], mine["channels"]) == (48000, "s24le", 2)
    assert mine["conversion"] == "s24le -> s16le"


def test_link_groups(house: House, client: Client) -> None:
    a, b = client.open(link="pair"), client.open(link="pair")
    client.call("start", stream=a)
    group = run_of(house).par.group
    assert group != 0
    assert run_of(house).par.group_n == 2
    assert house.device.groups == {group: 2}
    client.call("close", stream=b)
    assert house.device.groups == {group: 1}
    stranger = house.connect(Peer(1001, 1001, 99, frozenset({29})))
    stranger.call("start", stream=stranger.open(link="pair"))
    assert run_of(house).par.group != group, "another user's group of that name is another"


def test_link_groups_are_forgotten_with_their_last_member(house: House, client: Client) -> None:
    """Else a client could fill the server's memory with names."""
    for i in range(100):
        client.call("close", stream=client.open(link=f"group{i}"))
    left = client.open(link="left")
    assert len(house.dispatch.core._links) == 1
    client.call("close", stream=left)
    assert not house.dispatch.core._links
