"""sndio's messages: every golden byte, every round trip, every refusal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from audiod_protocol import LocalProtocolError, RemoteProtocolError
from audiod_protocol.sndio import messages as m
from hypothesis import given
from hypothesis import strategies as st

VECTORS = json.loads(
    (Path(__file__).resolve().parents[2] / "protocol/vectors/sndio.json").read_text(encoding="utf-8")
)


def name_of(case: dict[str, Any]) -> str:
    return f"{case.get('from') or case['to']}: {case['name']}"


def wanted(case: dict[str, Any]) -> m.Message:
    fields = dict(case["fields"])
    if "par" in fields:
        fields["par"] = m.WirePar(**fields["par"])
    if "cookie" in fields:
        fields["cookie"] = bytes.fromhex(fields["cookie"])
    message: m.Message = getattr(m, case["message"])(**fields)
    return message


def decode(side: str, data: bytes) -> m.Message:
    """What the other side than the named sender makes of it."""
    return m.decode_client(data) if side == "client" else m.decode_server(data)


@pytest.mark.parametrize("case", VECTORS["messages"], ids=name_of)
def test_golden_bytes(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["hex"])
    assert decode(case["from"], data) == wanted(case)
    assert (m.encode(wanted(case)) == data) is case["exact"]
    assert decode(case["from"], m.encode(wanted(case))) == wanted(case)


@pytest.mark.parametrize("case", VECTORS["garbage"], ids=name_of)
def test_garbage(case: dict[str, Any]) -> None:
    sender = "client" if case["to"] == "server" else "server"
    with pytest.raises(RemoteProtocolError) as caught:
        decode(sender, bytes.fromhex(case["hex"]))
    assert caught.value.message == case["says"]
    assert caught.value.fault.hint


def test_every_message_has_golden_bytes() -> None:
    clients, servers = m.ClientMessage.__args__, m.ServerMessage.__args__
    for sender, kinds in (("client", clients), ("server", servers)):
        have = {case["message"] for case in VECTORS["messages"] if case["from"] == sender}
        assert have == {kind.__name__ for kind in kinds}


def test_every_command_is_somebodys() -> None:
    bodies = bytes(m.MSG_SIZE - 4)
    for cmd in m.Cmd:
        read = 0
        for decoder in (m.decode_client, m.decode_server):
            try:
                decoder(int(cmd).to_bytes(4, "big") + bodies)
            except RemoteProtocolError as error:
                read += "announces" in error.message  # DATA of no bytes is DATA even so
            else:
                read += 1
        assert read >= 1, cmd


# ---- round trips ----

NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), max_size=m.NAME_SIZE - 1
).filter(lambda text: len(text.encode()) < m.NAME_SIZE)  # fmt: skip
U8, U16, U32 = (st.integers(0, 2**width - 1) for width in (8, 16, 32))
I32 = st.integers(-(2**31), 2**31 - 1)


def field(width: int) -> st.SearchStrategy[int | None]:
    return st.none() | st.integers(0, 2 ** (width - 1) - 1)


PARS = st.builds(
    m.WirePar,
    **dict.fromkeys(("mode", "xrun", "bps", "bits", "msb", "le", "sig"), field(8)),
    **dict.fromkeys(("pchan", "rchan"), field(16)),
    **dict.fromkeys(("rate", "bufsz", "round", "appbufsz"), field(32)),
)
BOTH = (
    st.builds(m.Stop, st.none() | st.booleans())
    | st.builds(m.Data, st.integers(1, 2**31 - 1))
    | st.builds(m.Setvol, st.integers(0, 127))
    | st.builds(m.Ctlset, U16, U16)
)
FROM_CLIENT = (
    BOTH
    | st.just(m.Getpar())
    | st.builds(m.Setpar, PARS)
    | st.builds(m.Start, st.booleans())
    | st.builds(m.Hello, U16, U8, U32, NAMES, NAMES, U8)
    | st.just(m.Bye())
    | st.builds(m.Auth, st.binary(min_size=16, max_size=16))
    | st.builds(m.Ctlsub, st.booleans(), st.booleans(), st.booleans())
)
FROM_SERVER = (
    BOTH
    | st.sampled_from([m.Ack(), m.Ctlsync(), m.Xrun()])
    | st.builds(m.ParReply, PARS)
    | st.builds(m.Flowctl, I32)
    | st.builds(m.Move, I32)
)


@given(FROM_CLIENT)
def test_what_a_client_sends_is_what_the_server_has(message: m.ClientMessage) -> None:
    data = m.encode(message)
    assert len(data) == m.MSG_SIZE
    assert m.decode_client(data) == message


@given(FROM_SERVER)
def test_what_a_server_sends_is_what_the_client_has(message: m.ServerMessage) -> None:
    data = m.encode(message)
    assert len(data) == m.MSG_SIZE
    assert m.decode_server(data) == message


@given(FROM_CLIENT, st.binary(min_size=4, max_size=4))
def test_padding_is_of_no_meaning(message: m.ClientMessage, padding: bytes) -> None:
    data = m.encode(message)
    assert m.decode_client(data[:4] + padding + data[8:]) == message


@given(st.integers(0, 20), st.binary(min_size=36, max_size=36))
def test_any_forty_bytes_are_read_or_refused(cmd: int, rest: bytes) -> None:
    data = cmd.to_bytes(4, "big") + rest
    for decoder in (m.decode_client, m.decode_server):
        try:
            message = decoder(data)
        except RemoteProtocolError as error:
            assert error.message and error.hint
        else:
            assert isinstance(message, m.Message)


# ---- what cannot be sent ----


@pytest.mark.parametrize(
    "message",
    [
        m.Setvol(128),
        m.Setvol(-1),
        m.Data(0),
        m.Flowctl(2**31),
        m.Move(-(2**31) - 1),
        m.Auth(b"short"),
        m.Hello(1, 255, 1, "twelve bytes", "a"),
        m.Hello(1, 255, 1, "a", "a\0b"),
        m.Hello(1, 256, 1, "a", "b"),
        m.Hello(1, 255, 1, "a", "\udc80"),
        m.Setpar(m.WirePar(bits=128)),
        m.Setpar(m.WirePar(rate=-1)),
        m.ParReply(m.WirePar(pchan=2**15)),
        m.Ctlset(65536, 0),
    ],
    ids=str,
)
def test_what_does_not_fit_is_not_sent(message: m.Message) -> None:
    with pytest.raises(LocalProtocolError):
        m.encode(message)
