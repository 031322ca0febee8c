"""sndiosession.py and voice.py: a program of sndio's, from AUTH to BYE, and every refusal."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from typing import Any

import pytest
from audiod_protocol.sndio import messages as m
from house import ME, Client, House, Peer, SndioClient
from programs import HOUSE, TCP, opened, rows, run_of, said

from audiod.engine import CloseReason, EngineError, Playing, StreamFlag, StreamState
from audiod.stream import WAITING_MAX

# ---- open ----


def test_open(house: House) -> None:
    client = opened(house, 3, who="My-Prog2", pid=77)
    (row,) = rows(house)
    told = {key: row[key] for key in ("name", "pid", "uid", "stream", "wire", "mode", "state", "subdevice")}
    assert told == {
        "name": "My-Prog2", "pid": ME.pid, "uid": 1000, "stream": 0, "wire": "sndio",
        "mode": "play,rec", "state": "ready", "subdevice": "default",
    }  # fmt: skip
    names = [c["name"] for c in house.connect().call("controls")["controls"]]
    assert "app/myprog.level" in names
    assert house.connect().call("devices")["devices"][0]["state"] == "idle"
    assert client.say(m.Bye()) == []
    assert client.closed
    assert rows(house) == []


def test_a_program_says_its_own_number_where_nobody_vouches(house: House) -> None:
    opened(house, pid=77).conn.vanish()
    unknown = Peer(1000, 1000, 0, frozenset())  # in another pid namespace
    for peer, said_, shown in ((unknown, 77, 77), (TCP, 78, 78), (TCP, 2**32 - 1, 0), (ME, 77, ME.pid)):
        client = house.sndio(peer)
        client.open(pid=said_)
        (row,) = rows(house)
        assert (row["pid"], row["uid"]) == (shown, peer.uid)
        client.say(m.Bye())


def test_a_program_without_a_name(house: House) -> None:
    opened(house, who="")
    assert rows(house)[0]["name"] == "noname"


@pytest.mark.parametrize(
    ("devnum", "opt", "subdevice", "device"),
    [
        (255, "default", "default", 0),
        (255, "rear", "rear", 0),
        (255, "front", "front", 1),
        (255, "1", "1", 1),
        (0, "default", "0", 0),
        (1, "default", "1", 1),
        (0, "rear", "rear", 0),
        (1, "front", "front", 1),
        (1, "1", "1", 1),
    ],
)
def test_what_a_descriptor_means(devnum: int, opt: str, subdevice: str, device: int) -> None:
    house = House(HOUSE)
    opened(house, opt=opt, devnum=devnum)
    (row,) = rows(house)
    assert (row["subdevice"], row["device"]) == (subdevice, device)
    house.close()


@pytest.mark.parametrize(
    ("devnum", "opt", "why"),
    [
        (255, "middle", "no sub-device 'middle'"),
        (255, "", "no sub-device ''"),
        (255, "2", "no sub-device '2'"),
        (0, "", "no sub-device ''"),
        (2, "default", "no sub-device '2'"),
        (15, "default", "no sub-device '15'"),
        (0, "front", "'front' is not on device 0, but on 1"),
        (1, "rear", "'rear' is not on device 1, but on 0"),
        (2, "rear", "'rear' is not on device 2, but on 0"),
        (1, "0", "'0' is not on device 1, but on 0"),
    ],
)
def test_what_does_not_exist(devnum: int, opt: str, why: str, logged: io.StringIO) -> None:
    house = House(HOUSE)
    client = house.sndio()
    assert client.open(opt=opt, devnum=devnum) == []
    assert client.closed
    (line,) = said(logged, "client.refused")
    assert why in line
    house.close()


def test_it_follows_the_sub_device(house: House) -> None:
    """`rear`, by whatever number, where it is now."""
    house = House(HOUSE)
    native = house.connect()
    native.call("control.set", name="server.device", value=1)
    client = opened(house, devnum=1, opt="default")
    assert rows(house)[0]["device"] == 1
    client.say(m.Bye())
    opened(house)
    assert (rows(house)[0]["subdevice"], rows(house)[0]["device"]) == ("default", 1)
    house.close()


# ---- parameters ----


def test_parameters(sndio: SndioClient) -> None:
    par = sndio.par()
    assert (par.mode, par.bits, par.bps, par.sig, par.msb, par.xrun) == (1, 24, 4, 1, 0, 0)
    assert (par.pchan, par.rchan, par.rate) == (2, None, 48000)
    assert (par.round, par.appbufsz, par.bufsz) == (480, 1920, 3840)
    sndio.say(m.Setpar(m.WirePar(bits=16, pchan=0, rchan=99, rate=44100, xrun=2)))
    par = sndio.par()
    assert (par.bits, par.bps, par.pchan, par.rchan, par.rate, par.xrun) == (16, 2, 1, None, 44100, 2)
    assert (par.round, par.appbufsz, par.bufsz) == (441, 1764, 3528)
    assert sndio.say(m.Getpar(), m.Getpar()) == [m.ParReply(par)] * 2


def test_parameters_and_their_question_in_one_go(sndio: SndioClient) -> None:
    (reply,) = sndio.say(m.Setpar(m.WirePar(rate=22051)), m.Getpar())
    assert isinstance(reply, m.ParReply)
    par = reply.par
    assert (par.round, par.appbufsz, par.bufsz) == (221, 884, 1769)  # one more: the ratio is not whole


def test_what_was_told_holds_wherever_it_moves() -> None:
    house = House("-f null -f null?round=960")
    native, client = house.connect(), opened(house)
    before = client.par()
    move = native.call("stream.move", id=rows(house)[0]["id"], device="1")
    assert move["device"] == 1
    client.say(m.Start())
    run = run_of(house)
    assert (run.par.round, run.par.appbufsz) == (before.round, before.appbufsz)
    client.say(m.Stop())
    after = client.par()  # asked again, it is another
    assert (after.round, after.appbufsz, after.bufsz) == (960, 1920, 1920 + 3840)
    house.close()


# ---- start ----


def test_what_the_engine_is_told(house: House) -> None:
    house = House("-w on -f null -c 2:3 -C 0:0 -j off -v 100 -s rear")
    client = opened(house, 3, opt="rear")
    client.say(m.Setpar(m.WirePar(bits=16, le=1, rate=44100, pchan=6, xrun=2, appbufsz=4410)))
    client.say(m.Setvol(50))
    client.say(m.Start(True))
    par = run_of(house).par
    assert (par.rate, par.round, par.appbufsz, par.pchan, par.rchan) == (44100, 441, 4410, 6, 1)
    assert (par.pmin, par.pmax, par.join, par.vol, par.maxvol, par.xrun) == (2, 3, False, 50, 100, 2)
    assert (par.enc.bits, par.enc.bps, par.enc.flt) == (16, 2, False)
    assert par.flags == StreamFlag.PLAY | StreamFlag.REC | StreamFlag.AUTOVOL | StreamFlag.TELLXRUN
    house.close()


@pytest.mark.parametrize(("notify", "flag"), [(True, StreamFlag.TELLXRUN), (False, StreamFlag(0))])
def test_xruns_are_told_to_who_asked(
    house: House, sndio: SndioClient, notify: bool, flag: StreamFlag
) -> None:
    sndio.say(m.Start(not notify))
    sndio.say(m.Stop())
    sndio.say(m.Start(notify))
    assert run_of(house).par.flags & StreamFlag.TELLXRUN == flag


def test_a_native_stream_has_no_blocks(house: House) -> None:
    house.connect().open(start=True)
    par = run_of(house).par
    assert (par.round, par.flags & StreamFlag.TELLXRUN) == (0, StreamFlag(0))


def test_a_monitor_records_what_is_played() -> None:
    house = House("-f null -m mon -s mon")
    opened(house, 2, opt="mon").say(m.Start())
    assert run_of(house).par.flags == StreamFlag.MON
    house.close()


def test_a_direction_that_is_not_offered_is_silent() -> None:
    house = House("-m rec -f null")
    client = opened(house, 3)
    client.say(m.Start())
    assert run_of(house).par.flags == StreamFlag.PLAY | StreamFlag.NOPLAY | StreamFlag.REC
    house.close()


def test_states(house: House, sndio: SndioClient) -> None:
    def state() -> Any:
        return rows(house)[0]["state"]

    assert sndio.say(m.Start()) == [m.Flowctl(1920)]
    assert state() == "priming"
    run = run_of(house)
    run.state, run.position, run.written = StreamState.RUNNING, 480, 2400
    house.engine.post(Playing(run.id, 0))
    house.settle()
    assert state() == "running"
    assert sndio.say(m.Stop(True)) == [m.Stop()]
    assert state() == "ready"


@pytest.mark.parametrize("release_first", [False, True])
@pytest.mark.parametrize("drain", [True, False, None])
def test_start_again(house: House, sndio: SndioClient, release_first: bool, drain: bool | None) -> None:
    house.engine.release_first = release_first
    for rate in (44100, 48000, 8000):
        sndio.say(m.Setpar(m.WirePar(rate=rate)))
        par = sndio.par()
        assert sndio.say(m.Start()) == [m.Flowctl(par.appbufsz)]
        assert sndio.say(m.Data(8)) == []
        assert sndio.say(m.Stop(drain)) == [m.Stop()]
    assert len(house.engine.streams) == 3


def test_stop_behind_start_in_one_go(house: House, sndio: SndioClient) -> None:
    """The pump does not know the stream yet when it meets STOP: the daemon has it stopped."""
    sndio.send(m.Start(), m.Stop())
    house.settle()
    assert sndio.conn.sent[-2:] == [m.Flowctl(1920), m.Stop()]
    assert sndio.par()
    house.engine.holding = True
    sndio.send(m.Start(), m.Stop(False))
    house.settle()
    assert sndio.conn.sent[-1] == m.Stop()


def test_what_comes_before_the_release_waits_for_it(house: House, sndio: SndioClient) -> None:
    """In the order of its coming, and a second stop finds the second start."""
    sndio.say(m.Start())
    first = run_of(house)
    slot = sndio.conn.slots[0]
    sndio.conn.let_go(0)
    sndio.conn.send(m.encode(m.Stop()))
    from audiod.engine import StreamReleased, StreamStopped

    house.engine.post(StreamStopped(first.id, True))
    house.settle()
    assert sndio.say(m.Setpar(m.WirePar(rate=44100)), m.Getpar(), m.Setvol(9), m.Start()) == []
    assert rows(house)[0]["rate"] == 48000
    house.engine.post(StreamReleased(first.id))
    house.settle()
    reply, credit = sndio.conn.sent[-2:]
    assert isinstance(reply, m.ParReply) and reply.par.rate == 44100
    assert credit == m.Flowctl(1764)
    second = run_of(house)
    assert second is not first and slot.stream is first
    assert (second.par.rate, second.par.vol) == (44100, 9)
    assert sndio.say(m.Stop()) == [m.Stop()]


def test_too_many_that_wait_are_refused(house: House, sndio: SndioClient, logged: io.StringIO) -> None:
    sndio.say(m.Start())
    first = run_of(house)
    sndio.conn.let_go(0)
    from audiod.engine import StreamReleased, StreamStopped

    house.engine.post(StreamStopped(first.id, True))
    house.settle()
    sndio.say(*[m.Setvol(1)] * WAITING_MAX)
    assert not sndio.closed
    sndio.say(m.Setvol(1))
    assert sndio.closed
    assert f"more than {WAITING_MAX}" in said(logged, "client.refused")[0]
    house.engine.post(StreamReleased(first.id))
    house.settle()


def test_the_engine_refuses_a_stream(house: House, sndio: SndioClient, logged: io.StringIO) -> None:
    other = opened(house)
    house.engine.refuse_stream = EngineError(errno.ENOMEM, "no memory")
    sndio.say(m.Start())
    assert sndio.closed
    assert "no memory" in said(logged, "client.refused")[0]
    house.engine.refuse_stream = None
    assert other.say(m.Start()) == [m.Flowctl(1920)]


# ---- the end ----


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("why", [CloseReason.EOF, CloseReason.ERROR, CloseReason.SLOW, CloseReason.BYE])
def test_a_client_goes(house: House, sndio: SndioClient, started: bool, why: CloseReason) -> None:
    if started:
        sndio.say(m.Start())
    sndio.conn.vanish(why, errno.ECONNRESET if why is CloseReason.ERROR else 0)
    house.settle()
    assert sndio.closed
    assert rows(house) == []
    assert house.connect().call("devices")["devices"][0]["streams"] == 0


def test_an_xrun_under_policy_error(house: House, sndio: SndioClient, logged: io.StringIO) -> None:
    other = opened(house)
    sndio.say(m.Setpar(m.WirePar(xrun=2)), m.Start())
    sndio.conn.end_xrun(0)
    house.settle()
    assert sndio.closed
    assert sndio.conn.sent[-1] == m.Flowctl(1920)  # without a word
    assert "policy is error" in said(logged, "stream.dead")[0]
    assert other.par()
    assert len(rows(house)) == 1


def test_the_device_goes_away(house: House, logged: io.StringIO) -> None:
    ready, started = opened(house), opened(house)
    started.say(m.Start())
    house.device.fail(errno.ENODEV)
    house.settle()
    assert ready.closed and started.closed
    assert rows(house) == []
    assert len(said(logged, "stream.dead")) == 2
    opened(house)  # it is opened again


def test_the_server_ends(house: House) -> None:
    greeting, ready, started = house.sndio(), opened(house), opened(house)
    started.say(m.Start())
    house.engine.holding = True
    house.dispatch.drain()
    house.settle()
    assert ready.closed
    assert not started.closed and not greeting.closed
    assert greeting.open() == []
    assert greeting.closed
    started.say(m.Stop())  # it drains already
    assert not started.closed
    started.conn.drained(0)
    house.settle()
    assert started.closed
    assert started.conn.sent[-1] == m.Flowctl(1920)


def test_the_server_ends_at_once(house: House) -> None:
    greeting, started = house.sndio(), opened(house)
    started.say(m.Start())
    house.dispatch.close_sessions()
    house.settle()
    assert greeting.closed and started.closed


def test_nobody_comes_in_any_more(house: House) -> None:
    house.dispatch.drain()
    with pytest.raises(ValueError, match="not enough values"):
        house.sndio()  # closed before it had an id


def test_a_peer_that_does_not_read_is_cut(house: House, sndio: SndioClient) -> None:
    dismissed: list[int] = []
    house.dispatch.on_dismissed = dismissed.append
    sndio.conn.deaf = True
    sndio.say(m.Stop())
    assert dismissed == [sndio.conn.id] and not sndio.closed
    sndio.say(m.Getpar())
    house.dispatch.cut(sndio.conn.id)
    house.settle()
    assert sndio.closed


def test_default_moves_with_its_streams() -> None:
    house = House(HOUSE)
    ready, started = opened(house), opened(house)
    started.say(m.Start())
    house.connect().call("control.set", name="server.device", value=1)
    house.settle()
    assert {row["device"] for row in rows(house)} == {1}
    assert started.say(m.Stop()) == [m.Stop()]
    assert ready.say(m.Start()) == [m.Flowctl(1920)]
    house.close()


def test_native_clients_hear_of_it(house: House, client: Client, make: Callable[[], SndioClient]) -> None:
    client.call("subscribe", topics=["streams"])
    sndio = make()
    sndio.say(m.Start(), m.Bye())
    told = [(row["event"], row["wire"], row["state"]) for _, row in client.told("changed")]
    assert told[0] == ("new", "sndio", "ready")
    assert told[-1][:2] == ("gone", "sndio")


@pytest.fixture
def make(house: House) -> Callable[[], SndioClient]:
    return lambda: opened(house)
