"""Clients that come in crowds, pass descriptors, do not read, or are killed: nobody else notices.

After each test the street must be unharmed.
"""

import contextlib
import resource
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from native import Native, request
from street import Street, inhabited, one_error, rear


@pytest.fixture(scope="module")
def whole_street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    with inhabited(tmp_path_factory.mktemp("street")) as street:
        yield street


@pytest.fixture
def street(whole_street: Street) -> Iterator[Street]:
    yield whole_street
    whole_street.unharmed()


# ---- descriptors, connections ----


def test_descriptors_that_are_passed_are_closed(street: Street, tmp_path: Path) -> None:
    c = street.client()
    with (tmp_path / "precious").open("wb") as file:
        for ident in range(1, 40):
            socket.send_fds(c.sock, [request(ident, "status")], [file.fileno()] * 20)
            c.answer(ident)
        path = Path(f"/proc/self/fd/{file.fileno()}").readlink()
        assert path not in [fd.readlink() for fd in Path(f"/proc/{street.daemon.pid}/fd").iterdir()]
        socket.send_fds(c.sock, [b"\xc1"], [file.fileno()])
    c.close()


def test_two_thousand_connections_opened_and_dropped(street: Street) -> None:
    for i in range(2000):
        c = Native(street.daemon.socket, hello=None)
        if i % 3 == 0:
            c.send(request(0, "hello", version=1, client="drop"))
        if i % 5 == 0:
            c.send(b"\x94\x00")
        c.close()


def test_connections_at_once_are_limited(street: Street) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard > 2500, "this machine allows too few descriptors for the test"
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with contextlib.ExitStack() as crowd:
        crowd.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        street.client(None).close()
        street.alone()
        for _ in range(2046):
            crowd.enter_context(Native(street.daemon.socket, hello=None))
        late = Native(street.daemon.socket, hello=None)
        assert one_error(late)["code"] == "EMFILE"
        assert "too many connections" in street.logged()
        street.neighbour.hears_on()


# ---- those that do not read ----


def test_answers_that_nobody_reads_close_the_connection(street: Street) -> None:
    c = street.client()
    flood = b"".join(request(i, "devices") for i in range(1, 200))
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        for _ in range(10_000):
            c.send(flood)
    street.alone()
    log = street.logged()
    assert log.count("client.slow") == 1 and "does not read" in log
    c.close()


def test_changes_that_nobody_reads_close_the_connection(street: Street) -> None:
    c = street.client("deaf")
    c.call("subscribe", topics=["streams", "devices", "controls"])
    at = len(street.daemon.log)
    with Native(street.daemon.socket) as other:
        while "client.slow" not in street.daemon.log[at:]:
            for _ in range(50):
                n = other.call("open", mode="play", device="rear", name="n" * 60)["stream"]
                other.call("close", stream=n)
            other.seen.clear()
    c.close()


def test_recorded_data_that_nobody_reads_is_an_overrun(street: Street) -> None:
    before = street.control.call("status")["xruns"]
    c = street.client("deaf")
    n = c.stream("rec", open={"device": "rear"}, enc="s32le", rchan=16, rate=192000, appbufsz=7680)
    for _ in range(100_000):
        (row,) = [r for r in street.control.call("streams")["streams"] if r["name"] == "deaf"]
        street.control.seen.clear()
        if row["xruns"]:
            break
    assert row["xruns"] == 1 and row["state"] == "running", "one pause, however long"
    after = street.control.call("status")["xruns"]
    assert (after["client"], after["ours"]) == (before["client"] + 1, before["ours"])
    c.noted("onxrun", n, "rec")
    before = sum(m[1] == "data" for m in c.seen)
    while sum(m[1] == "data" for m in c.seen) < before + 20:
        c.until(lambda m: m[:2] == [2, "data"])
    c.call("flush", stream=n)
    c.close()
    assert "client.slow" not in street.logged()


def test_a_player_that_reads_nothing_is_not_closed(street: Street) -> None:
    """Positions and credit that wait are summed: they never fill the queue."""
    c = street.client("deaf")
    rear(c)
    c.write(0, bytes(4 * 1920))
    for _ in range(20):
        street.neighbour.hears_on()
    c.write(0, b"\1\0" * 2 * 480)
    got = c.call("stop", stream=0)
    assert got == {"stream": 0}
    moves = [m[2][1] for m in c.seen if m[:2] == [2, "onmove"]]
    assert sum(moves) == [m[2][2] for m in c.seen if m[:2] == [2, "onmove"]][-1]
    c.close()


def test_a_reset_in_the_middle(street: Street) -> None:
    """SO_LINGER 0 and unread answers: the daemon's send or recv fails with ECONNRESET or EPIPE."""
    for _ in range(50):
        c = street.client()
        n = rear(c, "play,rec")
        c.write(n, bytes(4 * 1920))
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        c.request("streams")
        c.close()


# ---- those that are killed ----

VICTIMS = """
import os, random, signal, sys
sys.path.insert(0, sys.argv[1])
from native import Native

def victim(path, seed):
    rng = random.Random(seed)
    c = Native(path, hello=f"victim{seed}")
    mode = rng.choice(["play", "rec", "play,rec"])
    left = rng.choice([0, 1, 7, 60, 100, 150, 4000, 7800, 9000, 30000])
    plain = c.send
    def send(data):  # dies after so many bytes, wherever in a message that is
        nonlocal left
        if len(data) >= left:
            plain(data[:left])
            os.kill(os.getpid(), signal.SIGKILL)
        left -= len(data)
        plain(data)
    c.send = send
    while True:
        n = c.stream(mode, open={"device": "rear"}, enc="s16le", appbufsz=1920, xrun=rng.choice([0, 1, 2]))
        for _ in range(rng.randint(1, 12)):
            if "play" in mode:
                for m in c.seen:
                    if m[:2] == [2, "credit"] and m[2][0] == n:
                        c.write(n, rng.randbytes(4 * m[2][1]))
                c.seen.clear()
                c.until(lambda m: m[1] == "credit" or m[1] == "onstate")
            else:
                c.until(lambda m: m[1] == "data")
            if rng.random() < 0.2:
                c.request("setvol", stream=n, vol=rng.randint(0, 127))
        c.request(rng.choice(["stop", "flush", "close"]), stream=n)
        left = min(left, rng.randint(0, 400))

def main(path, first, last):
    for seed in range(first, last):
        pid = os.fork()
        if pid == 0:
            try:
                victim(path, seed)
            finally:
                os._exit(1)  # not reached: a victim that was refused something
        _, status = os.waitpid(pid, 0)
        if os.WTERMSIG(status) != signal.SIGKILL:
            sys.exit(f"victim {seed} ended with {status} and was not killed")

main(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
"""


@pytest.mark.parametrize("seed", [0, 20, 40])
def test_kill_9_at_any_byte(street: Street, seed: int) -> None:
    """Each victim dies after a number of bytes drawn from its seed: in a request, a write, a drain."""
    tests = str(Path(__file__).parents[1])
    words = [sys.executable, "-c", VICTIMS, tests, street.daemon.socket, str(seed), str(seed + 20)]
    at = len(street.daemon.log)
    done = subprocess.run(words, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    street.alone()
    log = street.daemon.log[at:]
    greeted = [n for n in range(seed, seed + 20) if f"name=victim{n} " in log]
    assert len(greeted) >= 5, "some die before they have said hello, most do not"
    assert "client.breach" not in log, "half a message is no breach"
    assert log.count("client.closed") >= 20
