"""What clients get that break the protocol or ask for nonsense, and that nobody else notices.

Each attack gets one clear error and a close, or an answer that refuses, and the
log has the reason; then the street must be unharmed.
"""

import contextlib
import socket
from collections.abc import Iterator

import msgpack
import numpy as np
import pytest
from native import Native, Refused, request
from street import Street, inhabited, one_error, rear


@pytest.fixture(scope="module")
def whole_street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    with inhabited(tmp_path_factory.mktemp("street")) as street:
        yield street


@pytest.fixture
def street(whole_street: Street) -> Iterator[Street]:
    yield whole_street
    whole_street.unharmed()


# ---- bytes that are no message ----

FORMAT = "the bytes received are not a MessagePack-RPC message"
DEPTH = "a message is nested deeper than 16 levels"
SIZE = "a message is larger than 81920 bytes, or its samples than 65536"
NESTS = b"\x91" * 15


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"\xc1", FORMAT, id="0xc1"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", FORMAT, id="http"),
        pytest.param(bytes(range(256)) * 40, FORMAT, id="all bytes"),
        pytest.param(b"\x00" * 100_000, FORMAT, id="zeros"),
        pytest.param(b"\xff" * 100_000, FORMAT, id="ones"),
        pytest.param(b"\x80", FORMAT, id="a map"),
        pytest.param(b"\x95\x00\x00\xa1x\x90\xc0", FORMAT, id="five elements"),
        pytest.param(b"\x90", FORMAT, id="no elements"),
        pytest.param(b"\x94\x05\x00\xa1x\x90", FORMAT, id="type 5"),
        pytest.param(b"\x94\x01\x00\xc0\x80", FORMAT, id="an answer"),
        pytest.param(b"\x94\x00\xff\xa6status\x90", FORMAT, id="negative id"),
        pytest.param(b"\x94\x00\x01\xa6status\x91\x81\x01\x02", FORMAT, id="key is a number"),
        pytest.param(b"\x94\x00\x01\xa0\x90", FORMAT, id="method without a name"),
        pytest.param(b"\x93\x02\xa4data\x92\x00\xc4\x00", FORMAT, id="the other way"),
        pytest.param(b"\x93\x02\xa1x\x91\xd4\x01\x00", FORMAT, id="extension"),
        pytest.param(b"\x93\x02\xa1x\x91\xa2\xff\xfe", "not UTF-8", id="not utf-8"),
        pytest.param(b"\x93\x02\xa1x" + NESTS * 2, DEPTH, id="deep"),
        pytest.param(b"\x93\x02\xa1x" + b"\x81\xa1a" * 40, DEPTH, id="deep maps"),
        pytest.param(b"\x93\x02\xa1x" + b"\x91" * 80_000, DEPTH, id="a nesting bomb"),
        pytest.param(b"\x93\x02\xa1x\xc6\xff\xff\xff\xff", SIZE, id="4 GB announced"),
        pytest.param(b"\x93\x02\xa1x\xdd\xff\xff\xff\xff", SIZE, id="4 G elements announced"),
        pytest.param(b"\x93\x02\xa1x\xdf\xff\xff\xff\xff", SIZE, id="4 G pairs announced"),
        pytest.param(b"\x93\x02\xdb\xff\xff\xff\xff", SIZE, id="a name of 4 GB"),
        pytest.param(b"\x93\x02\xa1x\x91\xc5\xff\xff" + bytes(65535) + b"\xc0" * 20_000, FORMAT, id="nils"),
    ],
)
@pytest.mark.parametrize("hello", [True, False], ids=["said", "silent"])
def test_garbage_is_answered_once_and_closed(street: Street, data: bytes, words: str, hello: bool) -> None:
    c = street.client("garbage" if hello else None)
    if hello:
        c.answer(0)
    with contextlib.suppress(ConnectionError):  # it may be closed before all is sent
        c.send(data)
    try:
        error = one_error(c)
    except (ConnectionError, AssertionError):
        if len(data) < 50_000:
            raise
        c.close()  # the kernel drops the last words behind which unread bytes lie
    else:
        assert error["code"] == "EPROTO" and words in error["message"] and error["hint"]
    street.alone()
    (line,) = [line for line in street.logged().splitlines() if "client.breach" in line]
    assert words in line and "warning" in line


@pytest.mark.parametrize("cut", [1, 2, 5, 9, 20, 40])
def test_a_message_cut_short_by_a_close(street: Street, cut: int) -> None:
    c = street.client()
    c.answer(0)
    c.send(request(1, "open", mode="play", device="rear", name="cut")[:cut])
    c.close()
    street.alone()
    log = street.logged()
    assert next(line for line in log.splitlines() if "client.closed" in line).endswith("reason=eof")
    assert "client.breach" not in log


def test_a_write_cut_short_by_a_close(street: Street) -> None:
    c = street.client()
    n = rear(c)
    c.write(n, b"\1\0" * 2 * 1920)
    c.send(b"\x93\x02\xa5write\x92\x00\xc5\x10\x00" + b"\2\0" * 500)
    c.close()
    street.alone()
    assert "reason=eof" in street.logged()


def test_a_message_byte_by_byte(street: Street) -> None:
    c = street.client(None)
    messages = request(0, "hello", version=1, client="slow") + request(1, "status")
    for byte in messages:
        c.send(bytes([byte]))
    assert c.answer(0)["version"] == 1 and c.answer(1)["pid"] == street.daemon.pid
    c.close()


def test_random_bytes(street: Street) -> None:
    rng = np.random.default_rng(7)
    for _ in range(60):
        c = street.client(None)
        c.send(rng.bytes(int(rng.integers(1, 400))))
        c.sock.shutdown(socket.SHUT_WR)
        words = c.last_words()
        assert len(words) <= 1 and all(m[1] == "error" and m[2][0]["code"] == "EPROTO" for m in words)
        c.close()


def test_messages_with_a_flipped_byte(street: Street) -> None:
    """Each either means something, is refused, or ends the connection with one error; never more."""
    rng = np.random.default_rng(11)
    whole = request(1, "open", mode="play", device="rear", name="flip") + request(2, "start", stream=0)
    for _ in range(120):
        data = bytearray(whole)
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        c = street.client()
        c.send(bytes(data))
        c.sock.shutdown(socket.SHUT_WR)
        words = c.last_words()
        assert sum(m[:2] == [2, "error"] for m in words) <= 1
        assert all(m[0] in (1, 2) for m in words)
        c.close()


# ---- breaches of a stream's order ----


def attack_beyond_credit(c: Native) -> None:
    c.write(rear(c), bytes(4 * 1921))


def attack_unknown(c: Native) -> None:
    c.note("write", 77, bytes(4))


def attack_far(c: Native) -> None:
    c.note("write", 1 << 40, bytes(4))


def attack_not_started(c: Native) -> None:
    c.note("write", rear(c, start=False), bytes(4))


def attack_stopped(c: Native) -> None:
    n = rear(c)
    c.call("stop", stream=n)
    c.note("write", n, bytes(4))


def attack_draining(c: Native) -> None:
    n = rear(c)
    c.write(n, bytes(4 * 1920))
    c.request("stop", stream=n)
    c.note("write", n, bytes(4))


def attack_half_frame(c: Native) -> None:
    c.note("write", rear(c), bytes(6))


def attack_empty(c: Native) -> None:
    c.note("write", rear(c), b"")


def attack_recorder(c: Native) -> None:
    c.note("write", rear(c, "rec"), bytes(4))


def attack_no_samples(c: Native) -> None:
    c.note("write", rear(c), [1, 2, 3])


def attack_one_param(c: Native) -> None:
    c.note("write", rear(c))


def attack_three_params(c: Native) -> None:
    c.note("write", rear(c), bytes(4), 1)


def attack_negative(c: Native) -> None:
    c.note("write", -1, bytes(4))


def attack_large_write(c: Native) -> None:
    n = rear(c)
    c.note("write", n, bytes(65540))


NO_STREAM = "write to a stream that does not exist or is not started"


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        (attack_beyond_credit, "a write is larger than the stream's credit"),
        (attack_unknown, NO_STREAM),
        (attack_far, NO_STREAM),
        (attack_not_started, NO_STREAM),
        (attack_stopped, NO_STREAM),
        (attack_draining, NO_STREAM),
        (attack_half_frame, "a write carries no samples, or not whole frames"),
        (attack_empty, "a write carries no samples, or not whole frames"),
        (attack_recorder, "write to a stream that was not opened to play"),
        (attack_no_samples, "the parameters of write are not [stream, bin]"),
        (attack_one_param, "the parameters of write are not [stream, bin]"),
        (attack_three_params, "the parameters of write are not [stream, bin]"),
        (attack_negative, "the parameters of write are not [stream, bin]"),
        (attack_large_write, SIZE),
    ],
)
def test_a_breach_ends_the_connection(street: Street, attack, words: str) -> None:
    c = street.client()
    attack(c)
    error = one_error(c)
    assert error["code"] == "EPROTO" and words in error["message"] and error["hint"]
    street.alone()
    (line,) = [line for line in street.logged().splitlines() if "client.breach" in line]
    assert words in line


# ---- well-formed, but wrong: answered, and the connection goes on ----


@pytest.mark.parametrize(
    ("method", "args", "code"),
    [
        ("open", {"mode": "play", "device": "nowhere"}, "ENODEV"),
        ("open", {"mode": "play", "device": "x" * 65}, "EINVAL"),
        ("open", {"mode": "dance"}, "EINVAL"),
        ("open", {}, "EINVAL"),
        ("open", {"mode": "play", "transport": "shm"}, "ENOTSUP"),
        ("open", {"mode": "play", "name": "a\nb"}, "EINVAL"),
        ("open", {"mode": "play", "colour": "red"}, "EINVAL"),
        ("setpar", {"stream": 0, "par": {"enc": "s33"}}, "EINVAL"),
        ("setpar", {"stream": 0, "par": {"enc": "s16"}}, "EBADF"),
        ("setpar", {"stream": 0, "par": 7}, "EINVAL"),
        ("start", {"stream": 1023}, "EBADF"),
        ("start", {"stream": 1 << 63}, "EINVAL"),
        ("start", {"stream": -1}, "EINVAL"),
        ("start", {"stream": True}, "EINVAL"),
        ("start", {"stream": 0.0}, "EINVAL"),
        ("stop", {"stream": 5}, "EBADF"),
        ("flush", {"stream": 5}, "EBADF"),
        ("close", {"stream": 5}, "EBADF"),
        ("setvol", {"stream": 0, "vol": 128}, "EINVAL"),
        ("setvol", {"stream": 0, "vol": -1}, "EINVAL"),
        ("control.set", {"name": "stream/999.level", "value": 3}, "ENOENT"),
        ("control.set", {"name": "output.level", "value": 3, "device": 9}, "ENODEV"),
        ("control.set", {"name": "output.level", "value": 1 << 62}, "EINVAL"),
        ("subscribe", {"topics": ["weather"]}, "EINVAL"),
        ("subscribe", {"topics": ["streams"] * 1000}, "EINVAL"),
        ("make.tea", {}, "ENOSYS"),
        ("x" * 5000, {}, "ENOSYS"),
        ("hello", {"version": 1, "client": "again"}, "EPROTO"),
    ],
)
def test_a_wrong_request_is_refused(street: Street, method: str, args: dict, code: str) -> None:
    with street.client() as c:
        with pytest.raises(Refused) as refused:
            c.call(method, **args)
        assert refused.value.code == code and refused.value.message, refused.value
        assert c.call("status")["connections"] == 3
        assert len(c.seen) == 3, "one answer each"


@pytest.mark.parametrize("params", [7, None, "x", {"stream": 0}, [1, 2], [[]], [None]])
def test_wrong_params_are_refused(street: Street, params: object) -> None:
    with street.client() as c:
        c.send(msgpack.packb([0, 50, "status", params]))
        with pytest.raises(Refused) as refused:
            c.answer(50)
        assert refused.value.code == "EINVAL"
        c.call("status")


def test_before_hello(street: Street) -> None:
    with street.client(None) as c:
        for method in ("open", "status", "streams", "subscribe"):
            with pytest.raises(Refused) as refused:
                c.call(method, mode="play")
            assert refused.value.code == "EPROTO" and "hello" in refused.value.message
        for version in (99, 0):
            with pytest.raises(Refused) as refused:
                c.call("hello", version=version, client="future")
            assert refused.value.code == "EPROTO" and "1" in refused.value.message + refused.value.hint
        assert c.call("hello", version=1, client="present", nonsense=1)["version"] == 1


def test_unknown_notifications_are_ignored_and_logged_once(street: Street) -> None:
    with street.client() as c:
        for _ in range(50):
            c.note("applause", 1, "two", [3])
        for i in range(100):
            c.note(f"word{i}")
        c.call("status")
        log = street.logged()
        assert log.count("method=applause") == 1
        assert log.count("client.unknown_notification") <= 16


def test_the_number_of_streams_is_limited(street: Street) -> None:
    with street.client() as c:
        ids = [c.request("open", mode="play", device="rear") for _ in range(1025)]
        for ident in ids[:-1]:
            c.answer(ident)
        with pytest.raises(Refused) as refused:
            c.answer(ids[-1])
        assert refused.value.code == "EMFILE" and "1024" in refused.value.message


def test_a_stream_started_a_hundred_times_over(street: Street) -> None:
    with street.client() as c:
        n = rear(c, start=False)
        for _ in range(100):
            c.request("start", stream=n)
            c.request("flush", stream=n)
        last = c.request("getpar", stream=n)
        for ident in range(last + 1):
            with contextlib.suppress(Refused):
                c.answer(ident)
        c.call("status")
        answers = [m[1] for m in c.seen if m[0] == 1]
        assert sorted(answers) == list(range(last + 2)), "each is answered once"
