"""sndiosession.py and voice.py: a program of sndio's, from AUTH to BYE, and every refusal."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from typing import Any

import pytest
from audiod_protocol import VOL_MAX
from audiod_protocol.sndio import messages as m
from fakes import FakeStream
from house import ME, Client, House, Peer, SndioClient

from audiod import sndiosession
from audiod.engine import CloseReason, EngineError, Playing, StreamFlag, StreamState
from audiod.stream import WAITING_MAX

OTHER = Peer(1000, 1000, 5000, frozenset({1000}))
TCP = Peer(None, None, None, frozenset(), "192.0.2.7:4711")


@pytest.fixture
def sndio(house: House) -> SndioClient:
    """A client that has opened the default device to play."""
    client = house.sndio()
    assert client.open() == [m.Ack()]
    return client


def opened(house: House, mode: int = 1, **hello: Any) -> SndioClient:
    client = house.sndio()
    assert client.open(mode, **hello) == [m.Ack()]
    return client


def run_of(house: House) -> FakeStream:
    return house.engine.streams[-1]


def rows(house: House) -> list[dict[str, Any]]:
    return list(house.connect().call("streams")["streams"])


def said(logged: io.StringIO, event: str) -> list[str]:
    return [line for line in logged.getvalue().splitlines() if event in line]


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


HOUSE = "-f null -s rear -f loopback -s front"  # devices 0 and 1; default is on 0


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


# ---- refusals ----


@pytest.mark.parametrize("mode", [0x4, 0x8, 0xC, 0x100, 0x200, 0x300])
def test_other_kinds_are_not_served_yet(house: House, logged: io.StringIO, mode: int) -> None:
    client = house.sndio()
    assert client.open(mode) == []
    assert client.closed
    (line,) = said(logged, "client.refused")
    assert "not served yet" in line


def test_another_cookie_is_refused(house: House, sndio: SndioClient, logged: io.StringIO) -> None:
    stranger = house.sndio(OTHER)
    assert stranger.say(m.Auth(b"x" * 16)) == []
    assert stranger.closed
    (line,) = said(logged, "client.refused")
    assert "cookie" in line and "uid=1000" in line and "pid=5000" in line
    assert sndio.par()  # nobody else notices
    second = opened(house)
    sndio.say(m.Bye())  # the one that brought the cookie leaves, its session stays
    late = house.sndio(OTHER)
    late.say(m.Auth(b"x" * 16))
    assert late.closed
    second.say(m.Bye())
    third = house.sndio(OTHER)
    assert third.open(cookie=b"x" * 16) == [m.Ack()]


def test_who_is_refused_leaves_no_session(house: House) -> None:
    refused = house.sndio()
    refused.open(opt="nothing", cookie=b"y" * 16)
    assert refused.closed
    assert house.sndio(OTHER).open() == [m.Ack()]


def test_the_device_cannot_be_opened(house: House, logged: io.StringIO) -> None:
    house.engine.refuse_device = EngineError(errno.EBUSY, "busy with somebody else")
    client = house.sndio()
    assert client.open() == []
    assert client.closed
    assert "busy with somebody else" in said(logged, "client.refused")[0]
    house.engine.refuse_device = None
    opened(house)


def test_streams_are_limited(house: House, monkeypatch: pytest.MonkeyPatch, logged: io.StringIO) -> None:
    monkeypatch.setattr(house.dispatch, "_sndio_streams", 40)
    clients = [opened(house) for _ in range(40)]
    late = house.sndio()
    assert late.open() == []
    assert late.closed
    assert "there are 40 streams" in said(logged, "client.refused")[0]
    assert house.connect().open() == 0  # another wire's are others
    clients[7].say(m.Bye())
    opened(house)


def test_the_streams_of_all_wires_are_limited(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sndiosession, "STREAMS_MAX", 2)
    native = house.connect()
    native.open()
    native.open()
    late = house.sndio()
    assert late.open() == []
    assert late.closed


PLAYING = [m.Start()]
STOPPING = [m.Start(), "hold", m.Stop()]
Say = m.Message | bytes | str


def cmd(number: int, fill: int = 0xFF) -> bytes:
    return number.to_bytes(4, "big") + bytes([fill]) * 36


# section 7 of the wire's reference, with what precedes: said before, message, words of the reason
ROWS: list[tuple[int, list[Say], Say, str]] = [
    (0, [], m.Hello(1, 255, 1, "default", "a"), "HELLO before AUTH"),
    (0, [], m.Getpar(), "GETPAR before AUTH"),
    (0, [], m.Start(), "START before AUTH"),
    (0, [m.Auth(bytes(16))], m.Auth(bytes(16)), "AUTH for the second time"),
    (0, [m.Auth(bytes(16))], m.Setvol(1), "SETVOL before HELLO"),
    (0, [m.Auth(bytes(16))], m.Hello(1, 255, 1, "default", "a", version=6), "HELLO of version 6"),
    (0, [m.Auth(bytes(16))], m.Hello(0x101, 255, 1, "default", "a"), "HELLO of mode 0x101"),
    (0, [m.Auth(bytes(16))], m.Hello(1, 0x50, 1, "default", "a"), "device number 80"),
    (0, [m.Auth(bytes(16))], m.Hello(1, 0x10, 1, "", "a"), "midithru/0"),
    (0, [m.Auth(bytes(16))], m.Hello(1, 0x20, 1, "", "a"), "midi/0"),
    (0, [m.Auth(bytes(16))], cmd(10, 0x41), "does not end"),
    (1, [], m.Auth(bytes(16)), "AUTH for the second time"),
    (1, [], m.Hello(1, 255, 1, "default", "a"), "HELLO for the second time"),
    (1, [], m.Data(4), "DATA while it is not started"),
    (1, PLAYING, m.Data(3), "not of whole frames"),
    (1, PLAYING, m.Data(481 * 8), "across the end of a block"),
    (1, [*PLAYING, *[m.Data(480 * 8)] * 4], m.Data(8), "beyond the credit"),
    (1, PLAYING, cmd(5, 0), "DATA of no bytes"),
    (2, PLAYING, m.Data(8), "only receives"),
    (1, PLAYING, m.Start(), "START while it is started"),
    (1, PLAYING, m.Setpar(m.WirePar()), "SETPAR while it is started"),
    (1, PLAYING, m.Getpar(), "GETPAR while it is started"),
    (1, STOPPING, m.Getpar(), "GETPAR while it is started"),
    (1, STOPPING, m.Start(), "START while it is started"),
    (1, STOPPING, m.Data(8), "DATA while it is not started"),
    (1, [], m.Stop(), "STOP while it is not started"),
    (1, [m.Start(), m.Stop()], m.Stop(), "STOP while it is not started"),
    (1, [], cmd(9, 0x01), "volume 16843009 does not exist"),
    (1, [], cmd(9), "volume 4294967295 does not exist"),
    (1, PLAYING, cmd(9, 0x01), "volume 16843009 does not exist"),
    (1, [], cmd(0), "ACK is no message that a client sends"),
    (1, [], cmd(6), "FLOWCTL is no message that a client sends"),
    (1, PLAYING, cmd(7), "MOVE is no message that a client sends"),
    (1, [], cmd(8), "command 8 is no message that a client sends"),
    (1, [], cmd(18), "command 18 is no message that a client sends"),
    (1, [], m.Ctlsub(True, True), "CTLSUB on a connection for audio"),
    (1, [], m.Ctlsub(True, True, old=True), "CTLSUB_OLD on a connection for audio"),
    (1, PLAYING, m.Ctlset(1, 1), "CTLSET on a connection for audio"),
    (1, [], m.Setpar(m.WirePar(bits=33)), "SETPAR: bits must be 1..32, not 33"),
    (1, [], m.Setpar(m.WirePar(bits=0)), "SETPAR: bits must be 1..32, not 0"),
    (1, [], m.Setpar(m.WirePar(bits=20, bps=2)), "SETPAR: 20 bits do not go into 2 bytes"),
    (1, [], m.Setpar(m.WirePar(bits=8, bps=5)), "SETPAR: 8 bits do not go into 5 bytes"),
    (1, [], m.Setpar(m.WirePar(xrun=5)), "SETPAR: xrun policy 5 does not exist"),
]


@pytest.mark.parametrize(("mode", "before", "message", "why"), ROWS, ids=[why for *_, why in ROWS])
def test_what_closes_the_connection(
    house: House, logged: io.StringIO, mode: int, before: list[Say], message: Say, why: str
) -> None:
    neighbour = opened(house)
    neighbour.say(m.Start())
    client = opened(house, mode, who="rude") if mode else house.sndio()
    for step in before:
        if isinstance(step, str):
            house.engine.holding = True
        else:
            client.say(step)
    assert not client.closed
    assert not isinstance(message, str)
    assert client.say(message) == []
    assert client.closed
    assert len(rows(house)) == 1
    (line,) = said(logged, "client.breach")
    assert why in line and "uid=1000" in line and f"pid={ME.pid}" in line
    assert ("name=rude" in line) is bool(mode)
    assert not neighbour.closed  # and nobody else notices
    house.engine.holding = False
    assert neighbour.say(m.Data(8), m.Setvol(3), m.Stop()) == [m.Stop()]


def test_messages_behind_a_breach_are_not_read(house: House, sndio: SndioClient, logged: io.StringIO) -> None:
    sndio.send(m.Stop(), m.Setpar(m.WirePar(rate=8000)), m.Getpar(), m.Stop())
    house.settle()
    assert sndio.closed
    assert len(said(logged, "client.breach")) == 1


def test_a_bug_of_ours_costs_one_connection(
    house: House, sndio: SndioClient, monkeypatch: pytest.MonkeyPatch, logged: io.StringIO
) -> None:
    other = opened(house)

    def fails(*args: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(sndiosession, "told", fails)
    sndio.say(m.Getpar())
    monkeypatch.undo()
    assert sndio.closed
    assert "a bug" in logged.getvalue()
    assert other.par()


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


# ---- volume ----


def heard(client: SndioClient) -> list[int]:
    return [message.vol for message in client.conn.sent if isinstance(message, m.Setvol)]


def level(house: House, program: str = "test") -> Any:
    found = house.connect().call("controls")["controls"]
    return next(c["value"] for c in found if c["name"] == f"app/{program}.level")


def test_full_volume_is_not_told(sndio: SndioClient) -> None:
    sndio.say(m.Start())
    sndio.say(m.Stop())
    sndio.say(m.Start())
    assert heard(sndio) == []


def test_a_program_sets_its_own(house: House, sndio: SndioClient) -> None:
    sndio.say(m.Setvol(100))
    assert level(house) == 100
    sndio.say(m.Start())
    run = run_of(house)
    assert run.vol == 100
    sndio.say(m.Setvol(50))
    assert (run.vol, level(house)) == (50, 50)
    sndio.say(m.Stop())
    sndio.say(m.Setvol(20), m.Start())
    assert (run_of(house).vol, level(house)) == (20, 20)
    assert heard(sndio) == []  # never echoed


def test_others_are_told_while_they_are_started(house: House, sndio: SndioClient) -> None:
    same, ready, other = opened(house), opened(house), opened(house, who="mpv")
    for client in (sndio, same, other):
        client.say(m.Start())
    sndio.say(m.Setvol(64))
    assert [heard(client) for client in (sndio, same, ready, other)] == [[], [64], [], []]
    assert {run.vol for run in house.engine.streams} == {64, 127}
    house.connect().call("control.set", name="app/test.level", value=30)
    assert [heard(client) for client in (sndio, same, ready, other)] == [[30], [64, 30], [], []]
    # it is told at its start what it does not know
    house.settle()
    assert ready.say(m.Start()) == [m.Flowctl(1920), m.Setvol(30)]
    sndio.say(m.Stop())
    house.connect().call("control.set", name="app/test.level", value=VOL_MAX)
    assert heard(sndio) == [30]  # silent while it is not started
    assert sndio.say(m.Start()) == [m.Flowctl(1920), m.Setvol(VOL_MAX)]


def test_the_same_again_is_not_told(house: House, sndio: SndioClient) -> None:
    house.connect().call("control.set", name="app/test.level", value=30)
    assert sndio.say(m.Start()) == [m.Flowctl(1920), m.Setvol(30)]
    sndio.say(m.Setvol(30))
    sndio.say(m.Stop())
    assert sndio.say(m.Start()) == [m.Flowctl(1920)]
    assert heard(sndio) == [30]


def test_what_was_told_while_it_drained_is_told_again(house: House, sndio: SndioClient) -> None:
    native = house.connect()
    sndio.say(m.Start())
    native.call("control.set", name="app/test.level", value=30)
    house.engine.holding = True
    assert sndio.say(m.Stop()) == []
    native.call("control.set", name="app/test.level", value=VOL_MAX)
    sndio.conn.drained(0)
    house.settle()
    assert sndio.conn.sent[-1] == m.Stop()  # nothing else, as the program expects
    assert sndio.say(m.Start()) == [m.Flowctl(1920), m.Setvol(VOL_MAX)]


def test_it_is_shared_with_native_streams(house: House, sndio: SndioClient) -> None:
    native = house.connect(name="test")
    native.open(start=True)
    sndio.say(m.Start())
    native.call("setvol", stream=0, vol=40)
    assert heard(sndio) == [40]
    sndio.say(m.Setvol(80))
    assert native.told("onvol") == [[0, 80]]


def test_a_muted_program_begins_muted(house: House, sndio: SndioClient) -> None:
    house.connect().call("control.set", name="app/test.mute", value=1)
    sndio.say(m.Start())
    assert run_of(house).muted
    assert heard(sndio) == []


def test_a_program_finds_its_volume_again(house: House) -> None:
    client = opened(house, who="mpv")
    client.say(m.Setvol(33), m.Bye())
    again = opened(house, who="mpv")
    assert again.say(m.Start()) == [m.Flowctl(1920), m.Setvol(33)]


def test_moved_to_where_it_is_louder() -> None:
    house = House(HOUSE)
    native = house.connect()
    there, here = opened(house, opt="front"), opened(house)
    there.say(m.Setvol(10))
    here.say(m.Setvol(90), m.Start())
    ident = next(row["id"] for row in rows(house) if row["subdevice"] == "default")
    native.call("stream.move", id=ident, device="front")
    assert heard(here) == [10]
    house.close()


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
