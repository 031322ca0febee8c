"""Ten thousand connections: good ones, rude ones and killed ones, beside a neighbour who must not notice.

    python tests/perf/run_connections.py [--connections 10000] [--batch 500] [--seed 1] [--json FILE]

A real audiod writes to a file; a neighbour plays numbered frames all the time.
After each batch all but the neighbour are gone, and descriptors and memory are
read.  Fails if descriptors differ, if memory grows from the second half of the
run to its end by more than GROWTH, or if a frame of the neighbour
is not where it was written.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from native import Native, Refused, request
from street import Street, inhabited, rear

GROWTH = 1 << 20  # bytes from the middle of the run to its end: less than 0.2 KB for each of 5000 connections
WARMING = 4 << 20  # the same of a short run, which ends before malloc and the pump's pages have settled
OPEN_AT_ONCE = 20


def good(c: Native, rnd: random.Random) -> None:
    """Plays a little, asks, and goes in order."""
    n = rear(c, rnd.choice(["play", "play,rec"]))
    c.write(n, bytes(4 * rnd.randrange(1, 1920)))
    c.call("setvol", stream=n, vol=rnd.randrange(128))
    with contextlib.suppress(Refused):
        c.call("start", stream=n)
    c.call("flush", stream=n)
    c.call("close", stream=n)


def asks(c: Native, rnd: random.Random) -> None:
    c.call("subscribe", topics=["streams", "devices", "controls"])
    for method in rnd.sample(["status", "streams", "devices", "controls", "make.tea"], 3):
        with contextlib.suppress(Refused):
            c.call(method)


def rude(c: Native, rnd: random.Random) -> None:
    """Breaks the protocol in the middle of playing."""
    n = rear(c)
    c.write(n, bytes(4 * 900))
    bomb, bad_stop = b"\x93\x02\xa1x" + b"\x91" * 40, request(9, "stop", stream=n)[:-3] + b"\xc1"
    broken = [b"\xc1", rnd.randbytes(50), bomb, bad_stop]
    with contextlib.suppress(OSError):
        c.send(rnd.choice(broken) + bytes(rnd.randrange(300)))
        c.note("write", n, bytes(3))
    c.last_words()


def killed(c: Native, rnd: random.Random) -> None:
    """Dies in the middle of playing, recording or of a message, without having read."""
    n = rear(c, rnd.choice(["play", "rec", "play,rec"]))
    for _ in range(rnd.randrange(3)):
        c.request("getpar", stream=n)
    if rnd.random() < 0.5:
        c.send(request(1, "open", mode="play", name="half a message")[: rnd.randrange(1, 20)])


def silent(c: Native, rnd: random.Random) -> None:
    """Says nothing at all, or half a word."""
    c.send(b"\x94\x00"[: rnd.randrange(3)])
    if rnd.random() < 0.3:
        c.sock.shutdown(socket.SHUT_WR)


KINDS: dict[Callable[[Native, random.Random], None], int] = {good: 3, asks: 2, rude: 3, killed: 3, silent: 1}


def batch(street: Street, count: int, rnd: random.Random, tally: Counter[str]) -> None:
    """`count` connections, up to OPEN_AT_ONCE of them there at a time, in any order of their ends."""
    there: list[Native] = []
    for kind in rnd.choices(list(KINDS), list(KINDS.values()), k=count):
        c = street.client(None if kind is silent else kind.__name__)
        kind(c, rnd)
        tally[kind.__name__] += 1
        there.append(c)
        if len(there) >= OPEN_AT_ONCE:
            there.pop(rnd.randrange(len(there))).close()
    for c in there:
        c.close()
    street.alone()
    street.control.seen.clear()


def run(folder: Path, connections: int, size: int, seed: int) -> dict[str, object]:
    """The whole run; raises AssertionError where something is left over or was heard."""
    rnd, tally = random.Random(seed), Counter[str]()
    rss: list[int] = []
    with inhabited(folder) as street:
        for at in range(0, connections, size):
            batch(street, min(size, connections - at), rnd, tally)
            assert street.open_fds() == street.fds, "descriptors are left"
            rss.append(street.memory())
            street.neighbour.hears_on()
        status = street.control.call("status")
        assert status["xruns"]["ours"] == 0 and "client.bug" not in street.daemon.log
    middle = rss[len(rss) // 2]
    allowed = GROWTH if len(rss) >= 10 else WARMING
    assert rss[-1] - middle < allowed, f"memory grew from {middle} to {rss[-1]} bytes"
    return {
        "connections": dict(tally),
        "descriptors": len(street.fds),
        "rss_kb": [each // 1024 for each in rss],
        "neighbour_frames": street.neighbour.written,
        "xruns": status["xruns"],
    }


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description="thousands of connections beside a neighbour")
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=500, help="connections after which all is looked at")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="file for the result")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        result = run(Path(folder), args.connections, args.batch, args.seed)
    print(json.dumps(result, indent=1))
    if args.json:
        args.json.write_text(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
