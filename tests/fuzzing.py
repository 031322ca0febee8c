"""Messages that are wrong in every way, for the Python side: the sans-IO core, validate, session.

Everything is a function of the seed.  A message is a request or notification
that makes sense, spelled in any way; some have a value exchanged for a strange
one, some have bytes changed.  `fuzz_protocol` holds connection and validate to
their exceptions, `fuzz_session` a whole daemon over FakeEngine to one answer for
each request, one `error` for each breach, and to everything being freed.
"""

from __future__ import annotations

import io
import itertools
import random
from collections import Counter
from typing import Any

import msgpack
from audiod_protocol import validate
from audiod_protocol.connection import NEED_DATA, Connection
from audiod_protocol.errors import Code, Fault, FaultError, RemoteProtocolError
from audiod_protocol.events import BadRequest, Notification, Request
from fakes import FakeConn
from house import House

from audiod import log
from audiod.core import TOPICS
from audiod.engine import Message, ProtocolBreach, ProtocolReason, Xrun, XrunKind

STRANGE: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 127, 128, 1023, 1024, 65536, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1),
    *(
        -(2**63),
        0.0,
        0.5,
        float("nan"),
        float("inf"),
        "",
        "x",
        "x" * 64,
        "x" * 65,
        "x" * 5000,
        "a\nb",
        "\x7f",
    ),
    *("snd/default", "\0", "ü" * 64, b"", b"\xff\xfe", b"default", [], [[]], {}, {"stream": 0}, [None] * 33),
    *(
        {"": 0},
        {"enc": "s33"},
        {"enc": 7},
        [[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]],
        "stream/1.level",
        "s16le",
        ["events"],
    ),
    *({"rate": -1}, {"bits": 0, "bps": 9}, {b"par": b"x"}, {"a": {"b": {"c": [1, 2, {"d": None}]}}}),
)
ENCS = ("s16le", "s24le3", "u8", "f32le", "f64be", "s20be3", "s33", "f16", "", 5)
CONTROLS = ("output.level", "input.mute", "app/fuzz.level", "stream/3.mute", "server.device")
OF_STREAM = [m.name for m in validate.METHODS.values() if issubclass(m.args, validate.StreamArgs)]
NUMBERS = (0, 0, 0, 1, 1, 2, 3, 1023, 1024, -1)
BREACHES = 0.05  # of what is no message: a session is to live for a while
CODES = {Code.EINVAL, Code.ENOSYS, Code.EPROTO}


class Speaker:
    """Makes messages from one seed."""

    def __init__(self, seed: int) -> None:
        self.rnd = random.Random(seed)
        self.ids = itertools.count(1)

    def message(self) -> list[Any]:
        """One that makes sense, mostly."""
        rnd = self.rnd
        if rnd.random() < 0.08:
            name = "write" if rnd.random() < 0.05 else rnd.choice(["applause", "writes", "x" * 70])
            return [2, name, rnd.choice([[0, bytes(8)], [], [0], [9, b"ab", 1]])]
        method = rnd.choice(METHODS)
        return [0, next(self.ids), method, [self.args(method)]]

    def args(self, method: str) -> dict[str, Any]:
        rnd = self.rnd
        number = rnd.choice(NUMBERS)
        match method:
            case "hello":
                return {"version": rnd.choice([1, 1, 2]), "client": "fuzz", "features": []}
            case "open":
                mode = rnd.choice(["play", "play", "rec", "play,rec", "mon", "dance"])
                device = rnd.choice(["default", "default", "0", "snd/0", "nowhere", None])
                return {"mode": mode, "device": device, "link": rnd.choice([None, None, "a", "b"])}
            case "setpar":
                par = {"rate": rnd.choice([1, 8000, 44100, 48000, 10**9]), "appbufsz": rnd.randrange(9000)}
                keys = rnd.sample(["enc", "pchan", "xrun", "bits", "sig"], rnd.randrange(3))
                return {"stream": number, "par": {**par, **{k: rnd.choice([*ENCS, 1, 2, 8]) for k in keys}}}
            case "setvol":
                return {"stream": number, "vol": rnd.randrange(-2, 131)}
            case "stream.move":
                return {"id": rnd.randrange(20), "device": rnd.choice(["default", "1", "0"])}
            case "control.set":
                name = rnd.choice(
                    ["output.level", "input.mute", "app/fuzz.level", "stream/3.mute", "server.device"]
                )
                return {"name": name, "value": rnd.randrange(-1, 129)}
            case "subscribe":
                return {"topics": rnd.sample([*TOPICS, "x"], rnd.randrange(3))}
            case "export":
                return {"what": rnd.choice(["state", "config", "all"])}
        return {"stream": number} if method in OF_STREAM else {}

    def strange(self, message: list[Any]) -> list[Any]:
        """One value, anywhere in it, is another one."""
        rnd, place = self.rnd, message
        while True:
            key = rnd.choice(list(place)) if isinstance(place, dict) else rnd.randrange(len(place))
            inner = place[key]
            if isinstance(inner, dict | list) and inner and rnd.random() < 0.8:
                place = inner
                continue
            place[key] = rnd.choice(STRANGE)
            return message

    def bytes_of(self, message: Any) -> bytes:
        data: bytes = msgpack.packb(
            message, use_bin_type=self.rnd.random() < 0.9, use_single_float=self.rnd.random() < 0.1
        )
        return data

    def changed(self, data: bytes) -> bytes:
        """Some bytes are others, are gone, or are there twice."""
        rnd, b = self.rnd, bytearray(data)
        for _ in range(rnd.choice([1, 1, 2, 5])):
            at = rnd.randrange(len(b) + 1)
            match rnd.randrange(5):
                case 0 if at < len(b):
                    b[at] = rnd.randrange(256)
                case 1 if at < len(b):
                    b[at] ^= 1 << rnd.randrange(8)
                case 2:
                    del b[at : at + rnd.randrange(6)]
                case 3:
                    b[at:at] = rnd.randbytes(rnd.randrange(6))
                case _:
                    b[at:at] = b[at : at + rnd.randrange(20)]
        return bytes(b)

    def next(self) -> tuple[bytes, int | None]:
        """A message, and its id if it is a request that must be answered."""
        message = self.message()
        id = message[1] if message[0] == 0 else None
        draw = self.rnd.random()
        if draw < 0.5:
            return self.bytes_of(message), id
        if draw < 0.8:
            return self.bytes_of(self.strange(message)), None
        return self.changed(self.bytes_of(message)), None


METHODS = (*validate.METHODS, *("open", "start", "stop", "flush", "close", "setpar") * 3, "make.tea")


def fuzz_protocol(count: int, seed: int) -> Counter[str]:
    """`count` messages to a server's end of the core, whole and in pieces; what became of them."""
    speaker = Speaker(seed)
    rnd, tally = speaker.rnd, Counter[str]()
    stream = Connection("server")
    for _ in range(count):
        data, _ = speaker.next()
        try:
            event = Connection("server").decode(data)
        except RemoteProtocolError as error:
            assert error.message, data
            tally["not a message"] += 1
        else:
            tally[_judged(event)] += 1
        cut = rnd.randrange(len(data) + 1)
        try:
            for piece in (data[:cut], data[cut:]):
                stream.receive_data(piece)
                while stream.next_event() is not NEED_DATA:
                    tally["read from a stream"] += 1
        except RemoteProtocolError:
            stream = Connection("server")
    return tally


def _judged(event: object) -> str:
    if isinstance(event, Notification):
        return "notification"
    if isinstance(event, BadRequest):
        assert event.fault.code is Code.EINVAL and event.fault.message and event.fault.hint
        return "bad params"
    assert isinstance(event, Request)
    try:
        struct = validate.validate(event.method, event.args)
    except FaultError as error:
        fault = error.fault
        assert fault.code in CODES and fault.message and fault.hint, fault
        assert len(fault.message) < 400 and len(fault.hint) < 400, fault
        assert msgpack.packb(fault.to_wire())
        return f"refused {fault.code}"
    assert type(struct) is validate.METHODS[event.method].args
    return "valid"


def fuzz_session(count: int, seed: int) -> Counter[str]:
    """`count` messages to a daemon of a few clients whose devices fail and whose streams stumble."""
    speaker, tally = Speaker(seed), Counter[str]()
    said = io.StringIO()
    log.setup("info", {}, said)
    while tally["messages"] < count:
        house = House("-f null -f loopback")
        for _ in range(20):
            _live(house, speaker, tally, min(count - tally["messages"], speaker.rnd.randrange(1, 200)))
        house.close()
        lines = said.getvalue()
        assert "client.bug" not in lines, lines[lines.index("client.bug") - 100 :][:3000]
        said.seek(0)
        said.truncate()
    return tally


def _live(house: House, speaker: Speaker, tally: Counter[str], count: int) -> None:
    """One client from hello to its end."""
    rnd = speaker.rnd
    client = house.connect(hello=rnd.random() < 0.95)
    conn = client.conn
    tally["connections"] += 1
    asked = Counter[int]()
    speaker.ids = itertools.count(1000)
    for _ in range(count):
        if conn.fd < 0:
            break
        data, id = speaker.next()
        tally["messages"] += 1
        if id is not None:
            conn.receive(data)
            asked[id] += 1
        elif (event := _whole(data)) is not None:
            house.engine.post(Message(conn.id, data))
            if not isinstance(event, Notification):
                asked[event.id] += 1
        elif rnd.random() < BREACHES:
            why = rnd.choice([reason for reason in ProtocolReason if reason < ProtocolReason.BLOCK])
            house.engine.post(ProtocolBreach(conn.id, why, rnd.randrange(-1, 3)))
        if rnd.random() < 0.3:
            _meddle(house, rnd)
        if rnd.random() < 0.7:
            house.settle()
    house.engine.holding = False
    for number, slot in list(conn.slots.items()):
        if slot.draining:
            conn.drained(number)
    house.settle()
    _answered(conn, asked, tally)
    if conn.fd >= 0:
        client.vanish()
        tally["ended by the client"] += 1
    else:
        tally["ended by a breach"] += 1


def _whole(data: bytes) -> Request | BadRequest | Notification | None:
    """What the pump would take for a message: all that it forwards, Python must bear."""
    try:
        event = Connection("server").decode(data)
    except RemoteProtocolError:
        return None
    assert isinstance(event, Request | BadRequest | Notification)
    return event


def _meddle(house: House, rnd: random.Random) -> None:
    engine = house.engine
    running = [s for d in engine.devices for s in d.started]
    open_devices = [d for d in engine.devices if not d.closed]
    match rnd.randrange(8):
        case 0:
            engine.holding = not engine.holding
        case 1 if running:
            stream = rnd.choice(running)
            if not stream.conn.slots[stream.number].draining:
                stream.conn.end_xrun(stream.number)
        case 2 if running:
            stream = rnd.choice(running)
            engine.post(Xrun(stream.id, stream.device.id, rnd.choice(list(XrunKind)), 5, 9, 3, 1, 99))
        case 3 if open_devices and rnd.random() < 0.1:
            rnd.choice(open_devices).fail(5)
        case 4 if open_devices:
            device = rnd.choice(open_devices)
            if not device.running:
                device.run()
            elif not device.started:
                device.rest()
        case 5:
            engine.release_first = not engine.release_first
        case 6 if running:
            stream = rnd.choice(running)
            if stream.conn.slots[stream.number].draining:
                stream.conn.drained(stream.number)


def _answered(conn: FakeConn, asked: Counter[int], tally: Counter[str]) -> None:
    """One answer to each request; of a closed connection at most one, and one `error`, last."""
    answers = Counter(m[1] for m in conn.sent if isinstance(m, list) and m[0] == 1)
    errors = [i for i, m in enumerate(conn.sent) if isinstance(m, list) and m[:2] == [2, "error"]]
    extra = answers - asked
    del extra[0]  # hello
    assert not extra, f"answered twice: {extra}"
    tally["answers"] += sum(answers.values())
    if conn.fd >= 0:
        assert not asked - answers, f"never answered: {asked - answers}"
        assert not errors
    else:
        assert errors == [len(conn.sent) - 1], conn.sent[-3:]
        assert Fault.from_wire(conn.sent[-1][2][0]).code in (Code.EPROTO, Code.EIO)  # type: ignore[index]
