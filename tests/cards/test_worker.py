"""The prober's process: it answers, hangs, crashes, talks nonsense, and is needed elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from audiod.cards.worker import MESSAGE_MAX, MESSAGES_MAX, Died, Interrupted, NoAnswer, Worker

SHORT = 0.2  # seconds for an answer that never comes
READY = "import json,os,signal,sys,time\nprint('{\"result\": 0}', flush=True)\n"
ECHO = READY + "for line in sys.stdin: print(json.dumps({'result': [os.getpid(), line]}), flush=True)\n"


@asynccontextmanager
async def worker(code: str, limit: float = 30.0) -> AsyncIterator[Worker]:
    """A worker whose process is some lines of Python."""
    made = Worker(command=(sys.executable, "-c", code), limit=limit)
    before = os.listdir("/proc/self/fd")  # noqa: PTH208
    try:
        yield made
    finally:
        await made.close()
    assert len(os.listdir("/proc/self/fd")) == len(before), "descriptors are left"  # noqa: PTH208


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def is_dead(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "Z"


async def test_one_process_answers_all() -> None:
    async with worker(ECHO) as w:
        first, line = await w.ask("side", pcm="hw:0", n=1)
        assert line == '{"ask": "side", "pcm": "hw:0", "n": 1}\n'
        assert (await w.ask("cards"))[0] == first
    assert is_gone(first)


async def test_the_library_refuses() -> None:
    async with worker(READY + 'for line in sys.stdin: print(\'{"error": "no"}\', flush=True)') as w:
        for _ in range(2):
            with pytest.raises(NoAnswer, match=r"^no$") as refused:
                await w.ask("cards")
            assert not isinstance(refused.value, Died)


async def test_it_hangs() -> None:
    async with worker(READY + "sys.stdin.readline(); time.sleep(3600)", SHORT) as w:
        for _ in range(2):  # each time a new one
            with pytest.raises(Died, match=r"took more than 0\.2 seconds"):
                await w.ask("cards")


async def test_it_answers_and_hangs_later() -> None:
    code = ECHO.replace(
        "for line", "line = sys.stdin.readline(); print('{\"result\": 7}', flush=True)\nfor line"
    )
    async with worker(code.replace("json.dumps", "time.sleep(3600) or json.dumps"), SHORT * 5) as w:
        assert await w.ask("cards") == 7
        with pytest.raises(Died):
            await w.ask("cards")
        assert await w.ask("cards") == 7, "the next one has a process of its own"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (READY + "sys.stdin.readline(); os.abort()", r"crashed \(SIGABRT\)"),
        (READY + "os.kill(os.getpid(), signal.SIGSEGV)", r"crashed \(SIGSEGV\)"),
        (READY + "sys.exit(3)", "ended with status 3"),
        ("import os; os.abort()", r"crashed \(SIGABRT\)"),
        ("", "ended with status 0"),
        (READY + "sys.stdin.readline(); print('no json', flush=True); time.sleep(3600)", "failed"),
        (READY + "sys.stdin.readline(); print('[]', flush=True); time.sleep(3600)", "nonsense"),
        (READY + "sys.stdin.readline()\nwhile True: sys.stdout.write('x' * 65536)", "does not end"),
        ("import time; print('{} {}', flush=True); time.sleep(3600)", "failed: Extra data"),
    ],
)
async def test_it_dies_or_talks_nonsense(code: str, words: str) -> None:
    async with worker(code) as w:
        for _ in range(2):
            with pytest.raises(Died, match=words):
                await w.ask("cards")


async def test_it_cannot_begin() -> None:
    w = Worker(command=("/nonexistent/python",))
    with pytest.raises(Died, match="No such file"):
        await w.ask("cards")
    await w.close()


async def test_what_it_says_is_kept_by_question() -> None:
    say = "for n, line in enumerate(sys.stdin):\n"
    say += " sys.stderr.write(f'\\x1b[2J{n}\\n' * 3 + 'y' * 9999 + '\\n'); sys.stderr.flush()\n"
    say += " print('{\"result\": 1}', flush=True)\n"
    async with worker(READY + say) as w:
        for n in "012":
            await w.ask("cards")
            assert w.messages == [f" [2J{n}", "y" * MESSAGE_MAX]


async def test_what_it_says_before_it_dies_is_kept() -> None:
    say = "sys.stdin.readline(); sys.stderr.write('\\n'.join(map(str, range(99)))); sys.stderr.flush()\n"
    code = f"{READY}{say}os.abort()"
    async with worker(code) as w:
        with pytest.raises(Died):
            await w.ask("cards")
        assert w.messages == [str(n) for n in range(MESSAGES_MAX)]


async def test_an_interrupt_ends_it_at_once() -> None:
    code = READY + "sys.stderr.write(str(os.getpid())); sys.stderr.flush(); time.sleep(3600)"
    async with worker(code) as w, trio.open_nursery() as nursery:
        told = []

        async def ask() -> None:
            with pytest.raises(Interrupted):
                await w.ask("cards")
            told.append(w.messages[0])

        nursery.start_soon(ask)
        while w._process is None or not os.pread(w._said, 9, 0):
            await trio.lowlevel.checkpoint()
        pid = w._process.pid
        w.interrupt()
        assert is_dead(pid), "before anybody waits"
        w.interrupt()
    assert told == [str(pid)] and is_gone(pid)


async def test_an_interrupt_between_questions() -> None:
    async with worker(ECHO) as w:
        w.interrupt()  # nobody is there
        first, _ = await w.ask("cards")
        w.interrupt()
        with pytest.raises(Interrupted):
            await w.ask("cards")
        assert (await w.ask("cards"))[0] != first


async def test_a_server_that_ends_leaves_no_process() -> None:
    async with worker(READY + "time.sleep(3600)") as w:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(w.ask, "cards")
                while w._process is None:
                    await trio.lowlevel.checkpoint()
                pid = w._process.pid
                scope.cancel()
        assert w._process is not None
        await w.close()
        assert is_gone(pid)
