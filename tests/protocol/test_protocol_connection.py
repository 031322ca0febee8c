"""Two connections joined without a network; sessions; who may send what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from audiod_protocol import (
    ID_MAX,
    NEED_DATA,
    NOTIFICATIONS,
    WRITE_MAX,
    BadRequest,
    Breach,
    Connection,
    Event,
    Fault,
    FaultError,
    LocalProtocolError,
    Notification,
    Par,
    ProtocolError,
    RemoteProtocolError,
    Request,
    Response,
    Role,
    breach_fault,
)
from audiod_protocol.errors import Code
from audiod_protocol.states import Act, State, advance
from audiod_protocol.validate import METHODS, validate


class Pair:
    """A client and a server, joined."""

    def __init__(self) -> None:
        self.client, self.server = Connection("client"), Connection(Role.SERVER)

    def request(self, method: str, **args: object) -> Request:
        _, data = self.client.send_request(method, **args)
        self.server.receive_data(data)
        event = self.server.next_event()
        assert isinstance(event, Request)
        return event

    def answer(self, data: bytes) -> Response:
        self.client.receive_data(data)
        event = self.client.next_event()
        assert isinstance(event, Response)
        return event


def test_request_and_answer() -> None:
    pair = Pair()
    request = pair.request("open", mode="play", name=None)
    assert request == Request(0, "open", {"mode": "play"})
    assert dict(pair.client.waiting) == {0: "open"}
    answer = pair.answer(pair.server.send_response(0, {"stream": 5}))
    assert answer == Response(0, None, {"stream": 5})
    assert not pair.client.waiting
    request = pair.request("start", stream=5)
    assert request.id == 1
    fault = Fault(Code.EBUSY, "it is started", "stop it first")
    assert pair.answer(pair.server.send_error(1, fault)) == Response(1, fault)


def test_answers_in_any_order_and_once() -> None:
    pair = Pair()
    for _ in range(3):
        pair.request("devices")
    for id in (1, 2, 0):
        assert pair.answer(pair.server.send_response(id, None)).id == id
    pair.client.receive_data(pair.server.send_response(1, None))
    with pytest.raises(RemoteProtocolError, match="not waiting"):
        pair.client.next_event()


def test_ids_come_round_and_pass_those_that_wait() -> None:
    wire = Connection("client")
    assert wire.send_request("devices")[0] == 0
    wire._next_id = ID_MAX
    assert wire.send_request("devices")[0] == ID_MAX
    assert wire.send_request("devices")[0] == 1
    wire._next_id = ID_MAX
    assert wire.send_request("devices")[0] == 2


@pytest.mark.parametrize("params", [[1], [{}, {}], [[]], {}, "x", None, [{b"\xff": 1}]])
def test_arguments_by_position_are_answered_not_punished(params: Any) -> None:
    wire = Connection("server")
    event = wire.decode(msgpack.packb([0, 9, "open", params]))
    assert isinstance(event, BadRequest)
    assert (event.id, event.method, event.fault.code) == (9, "open", Code.EINVAL)
    assert "'open' takes named arguments" in event.fault.message
    wire.decode(msgpack.packb([0, 9, "open", []]))


def test_no_arguments_two_ways() -> None:
    wire = Connection("server")
    assert wire.decode(msgpack.packb([0, 9, "devices", []])) == Request(9, "devices", {})
    assert wire.decode(msgpack.packb([0, 9, "devices", [{}]])) == Request(9, "devices", {})


def test_names_as_bin_deep_inside() -> None:
    args = {b"par": {b"enc": b"s16le", "list": [b"a", {b"b": b"c"}]}, "raw": b"\xff"}
    event = Connection("server").decode(msgpack.packb([0, 1, b"setpar", [args]]))
    assert event == Request(1, "setpar", {"par": {"enc": "s16le", "list": ["a", {"b": "c"}]}, "raw": b"\xff"})


def test_each_side_sends_its_own() -> None:
    client, server = Connection("client"), Connection("server")
    for call in (
        lambda: server.send_request("devices"),
        lambda: client.send_response(1, None),
        lambda: client.send_error(1, Fault(Code.EIO, "x")),
    ):
        with pytest.raises(LocalProtocolError, match="only the"):
            call()
    for note in NOTIFICATIONS.values():
        wrong = server if note.to_server else client
        with pytest.raises(LocalProtocolError, match=f"does not send {note.method}"):
            wrong.send_notification(note.method, [])
    for bad in (("write", [0]), ("write", ["0", b""]), ("", []), ("write", [0, "text"])):
        with pytest.raises(LocalProtocolError):
            client.send_notification(*bad)
    assert client.send_notification("of another version", [1])
    with pytest.raises(LocalProtocolError, match="method"):
        client.send_request("")
    assert not client.waiting, "what was not sent does not wait"
    with pytest.raises(LocalProtocolError, match="cannot be sent"):
        client.send_request("x", y=object())
    assert not client.waiting and client.send_request("x")[0] == 0


def test_a_later_server_may_say_more_a_client_may_not() -> None:
    more = Connection("client").decode(msgpack.packb([2, "credit", [0, 5, "why"]]))
    assert more == Notification("credit", [0, 5, "why"])
    with pytest.raises(RemoteProtocolError, match="3 parameters"):
        Connection("server").decode(msgpack.packb([2, "write", [0, b"ab", 1]]))


def test_samples_are_counted_in_bytes_by_both_sides() -> None:
    client = Connection("client")
    client.decode(msgpack.packb([2, "data", [0, bytes(WRITE_MAX)]]))
    with pytest.raises(RemoteProtocolError, match="its samples"):
        client.decode(msgpack.packb([2, "data", [0, bytes(WRITE_MAX + 1)]]))
    wide = memoryview(bytearray(WRITE_MAX + 8)).cast("d")
    with pytest.raises(LocalProtocolError):
        client.send_notification("write", [0, wide])
    assert client.send_notification("write", [0, wide[:-1]])[-4:] == bytes(4)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Request(-1, "x", {}),
        lambda: Request(1, "", {}),
        lambda: Request(1, "x", []),  # type: ignore[arg-type]
        lambda: Request(1, "x", {1: 2}),  # type: ignore[dict-item]
        lambda: BadRequest(1, "", Fault("EIO", "x")),
        lambda: Response(2**32),
        lambda: Response(1, Fault("EIO", "x"), 5),
        lambda: Response(1, {"code": "EIO"}),  # type: ignore[arg-type]
        lambda: Notification("x", ()),  # type: ignore[arg-type]
        lambda: Notification("write", [0, b"", 0]),
        lambda: Notification("write", [1024, b""]),
        lambda: Notification("onvol", [0, 128]),
    ],
)
def test_an_illegal_message_cannot_exist(make: Callable[[], Event]) -> None:
    with pytest.raises(ProtocolError) as caught:
        make()
    assert caught.value.hint


def test_whole_sessions(session_case: dict[str, Any]) -> None:
    """Each message is read by its receiver, and the conversation obeys the rules of the flow."""
    client, server = Connection("client"), Connection("server")
    flow = Flow()
    for step in session_case["steps"]:
        data = bytes.fromhex(step["hex"])
        if step["from"] == "client":
            server.receive_data(data)
            event = server.next_event()
            assert not isinstance(event, Response)
            if isinstance(event, Request | BadRequest):
                client._waiting[event.id] = event.method
            flow.from_client(event)
            assert server.next_event() is NEED_DATA
        else:
            client.receive_data(data)
            event = client.next_event()
            assert not isinstance(event, Request)
            flow.from_server(event)
            assert client.next_event() is NEED_DATA
    assert not client.waiting
    assert flow.ended


class Flow:
    """The rules of README.md on one stream, checked message by message."""

    def __init__(self) -> None:
        self.state = State.CLOSED
        self.credit = 0
        self.par: dict[str, Any] = {}
        self.position = self.read = 0
        self.moved = self.ended = False
        self.asked: dict[int, tuple[str, Fault | None]] = {}
        self.dead = False

    def from_client(self, event: object) -> None:
        if isinstance(event, Notification):
            if self.state in (State.PRIMING, State.RUNNING):
                self.credit -= len(event.params[1]) // (self.par["bps"] * self.par["pchan"])
                assert self.credit >= 0
            else:
                self.dead = self.state is not State.DEAD  # a breach is expected
            return
        fault: Fault | None = None
        if isinstance(event, BadRequest):
            fault = event.fault
        elif isinstance(event, Request):
            try:
                validate(event.method, event.args)
                if "stream" in event.args:
                    self.state = advance(self.state, Act(event.method), event.args["stream"])
            except FaultError as error:
                fault = error.fault
        assert isinstance(event, Request | BadRequest)
        self.asked[event.id] = (event.method, fault)

    def from_server(self, event: object) -> None:
        if isinstance(event, Response):
            self.answered(event)
            return
        assert isinstance(event, Notification)
        params = event.params
        if event.method == "error":
            assert self.dead
            assert Fault.from_wire(params[0]) == breach_fault(Breach.STREAM, 0)
            self.ended = True
            return
        assert self.state in (State.PRIMING, State.RUNNING), f"{event.method} while {self.state}"
        assert all(method != "start" for method, _ in self.asked.values()), "before the answer to start"
        if event.method == "credit":
            self.credit += params[1]
            assert self.credit <= self.par["appbufsz"]
        elif event.method == "onmove":
            assert (params[1:3] == [0, 0]) is (not self.moved)
            self.position += params[1]
            assert params[2] == self.position
            if not self.moved:
                self.state = advance(self.state, Act.MOVE)
            self.moved = True
        elif event.method == "data":
            self.read += len(params[1]) // (self.par["bps"] * self.par["rchan"])
            assert self.read <= self.position, "onmove comes before its data"
        elif event.method == "onstate":
            assert params[1] == "closed"
            self.state = advance(self.state, Act.DIE)

    def answered(self, event: Response) -> None:
        method, fault = self.asked.pop(event.id)
        if event.error is not None:
            if fault is not None:
                assert event.error == fault
            return
        assert fault is None
        assert set(event.result) <= set(METHODS[method].result)
        if method == "open":
            self.state = advance(self.state, Act.OPEN)
        elif method == "setpar":
            self.par = event.result["par"]
            assert Par.from_wire(self.par).to_wire() == self.par
        elif method in ("stop", "flush") or (method == "close" and self.state is State.CLOSING):
            self.state = advance(self.state, Act.ANSWER)
        self.ended = method == "close" and self.state is State.CLOSED


def test_faults() -> None:
    fault = Fault(Code.EIO, "it broke", "mend it")
    assert fault.to_wire() == {"code": "EIO", "message": "it broke", "hint": "mend it"}
    assert Fault.from_wire({**fault.to_wire(), "more": 1}) == fault
    assert Fault.from_wire({"code": "ENEW", "message": "m"}) == Fault("ENEW", "m", "")
    assert Fault.from_wire({"code": "ENEW", "message": "m", "hint": None}).hint == ""
    assert (str(fault), str(Fault("EIO", "m"))) == ("EIO: it broke (mend it)", "EIO: m")
    assert FaultError(fault).fault is fault and "mend it" in str(FaultError(fault))
    assert type(fault.to_wire()["code"]) is str


def test_breaches_tell_what_to_do() -> None:
    for breach in Breach:
        fault = breach_fault(breach)
        assert fault.code == Code.EPROTO and fault.message and fault.hint
        assert breach_fault(breach, 7).message == f"stream 7: {fault.message}"
    assert [code.name for code in Code] == [code.value for code in Code]
