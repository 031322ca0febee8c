"""Every refusal of a program of sndio's: its connection closes, one line of the log says why.

And nobody else notices.
"""

from __future__ import annotations

import errno
import io

import pytest
from audiod_protocol.sndio import messages as m
from house import ME, House, SndioClient
from programs import OTHER, opened, rows, said

from audiod import sndiosession
from audiod.engine import EngineError

# ---- refusals ----


@pytest.mark.parametrize(
    ("opt", "devnum"), [("middle", 255), ("2", 255), ("", 255), ("default", 2), ("rear", 0)]
)
def test_controls_of_what_does_not_exist(house: House, logged: io.StringIO, opt: str, devnum: int) -> None:
    client = house.sndio()
    assert client.open(0x300, opt, devnum=devnum) == []
    assert client.closed
    assert "no sub-device" in said(logged, "client.refused")[0]


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


LEVEL, MUTE = (8,), (9,)  # addresses of output.level and output.mute on this house

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
    *[
        (0x300, before, message, f"{name} on a connection for control")
        for before in ([], [m.Ctlsub(True, True)])
        for name, message in [
            ("SETPAR", m.Setpar(m.WirePar())),
            ("GETPAR", m.Getpar()),
            ("START", m.Start()),
            ("STOP", m.Stop()),
            ("SETVOL", m.Setvol(1)),
        ]
    ],
    (0x300, [], m.Data(4), "DATA on a connection for control"),
    (0x300, [m.Ctlsub(True, True)], cmd(5, 0), "DATA on a connection for control"),
    (0x300, [], m.Auth(bytes(16)), "AUTH for the second time"),
    (0x300, [], m.Hello(0x300, 255, 1, "default", "a"), "HELLO for the second time"),
    (0x300, [], cmd(15), "CTLSYNC is no message that a client sends"),
    (0x300, [], cmd(0), "ACK is no message that a client sends"),
    (0x300, [], m.Ctlset(0, 0), "CTLSET of control 0, which there is not"),
    (0x300, [m.Ctlsub(True, True)], m.Ctlset(200, 1), "CTLSET of control 200, which there is not"),
    (0x300, [], m.Ctlset(65535, 0), "CTLSET of control 65535, which there is not"),
    (0x300, [], m.Ctlset(*LEVEL, 128), f"CTLSET: control {LEVEL[0]} is 0..127, not 128"),
    (0x300, [m.Ctlsub(True, True)], m.Ctlset(*MUTE, 2), f"CTLSET: control {MUTE[0]} is 0..1, not 2"),
    (0x300, [], m.Ctlset(1, 2), "CTLSET: control 1 is 0..1, not 2"),
    (0x300, [], m.Ctlset(*LEVEL, 0xFFFF), f"CTLSET: control {LEVEL[0]} is 0..127, not 65535"),
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
