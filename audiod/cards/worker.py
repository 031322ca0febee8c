"""Worker: the prober's process, a time limit for each of its answers, and what libasound says meanwhile.

Invariant: a process that does not answer in time, or dies, is killed and gone
before its caller hears of it, and the next question starts another.  Control
thread; nothing here blocks but `interrupt`, for a moment.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from typing import Any, NoReturn

import trio

COMMAND = (sys.executable, "-P", "-m", "audiod.cards.probe")
LIMIT = 2.0  # seconds for an answer
START_LIMIT = 10.0  # until it has begun, on a busy machine
INTERRUPT_MAX = 0.25  # seconds until a killed process is gone; a driver may hold it
GONE_LIMIT = 1.0  # the same, where others may go on meanwhile
ANSWER_MAX = 1 << 20  # bytes
MESSAGES_MAX = 8  # of libasound, kept of each question
MESSAGE_MAX = 200  # letters


class NoAnswer(Exception):
    """The library has refused; `str()` says why."""


class Died(NoAnswer):
    """The prober hung or crashed, or could not begin: whoever asked the same would fare the same."""


class Interrupted(NoAnswer):
    """Somebody needs the card: ask again later."""


class Worker:
    """The prober; `env` in place of ours, `command` in place of the prober, `limit` seconds for an answer."""

    def __init__(
        self,
        *,
        env: dict[str, str] | None = None,
        command: tuple[str, ...] = COMMAND,
        limit: float = LIMIT,
    ) -> None:
        self.messages: list[str] = []  # what libasound said to the last question
        self._env = env
        self._command = command
        self._limit = limit
        self._process: trio.Process | None = None
        self._said = -1  # a file without a name, the process's stderr
        self._heard = 0  # bytes of it
        self._rest = b""
        self._interrupted = False

    async def ask(self, what: str, **given: Any) -> Any:
        """The result of a request of `probe`.  Raises NoAnswer, Died, Interrupted."""
        try:
            with trio.fail_after(self._limit if self._process else START_LIMIT):
                await self._begin()
            with trio.fail_after(self._limit):
                answer = await self._talk(json.dumps({"ask": what, **given}).encode() + b"\n")
        except trio.TooSlowError:
            await self._fail(f"took more than {self._limit:g} seconds")
        except (OSError, trio.BrokenResourceError, ValueError) as error:
            await self._fail(f"failed: {error}")
        self._listen()
        if "error" in answer:
            raise NoAnswer(answer["error"])
        return answer["result"]

    def interrupt(self) -> None:
        """End the process at once, and so whatever it has open; the question is `Interrupted`."""
        process = self._process
        if process is None or self._interrupted:
            return
        self._interrupted = True
        with contextlib.suppress(OSError):
            gone = os.pidfd_open(process.pid)
            try:
                process.kill()
                poll = select.poll()
                poll.register(gone, select.POLLIN)
                poll.poll(INTERRUPT_MAX * 1000)
            finally:
                os.close(gone)

    async def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        self._rest = b""
        if process is not None:
            with trio.CancelScope(shield=True):
                process.kill()
                for pipe in (process.stdin, process.stdout):
                    assert pipe is not None
                    await pipe.aclose()
                with trio.move_on_after(GONE_LIMIT):
                    await process.wait()
        if self._said >= 0:
            os.close(self._said)
            self._said = -1

    async def _begin(self) -> None:
        if self._process is not None:
            return
        self._interrupted, self._heard = False, 0
        self._said = os.memfd_create("audiod-probe")
        self._process = await trio.lowlevel.open_process(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=self._env,
            start_new_session=True,
        )
        self._take(await self._line())

    async def _talk(self, request: bytes) -> dict[str, Any]:
        assert self._process is not None and self._process.stdin is not None
        await self._process.stdin.send_all(request)
        return self._take(await self._line())

    def _take(self, line: bytes) -> dict[str, Any]:
        answer = json.loads(line)
        if not isinstance(answer, dict) or not {"result", "error"} & answer.keys():
            raise ValueError("it answered nonsense")
        return answer

    async def _line(self) -> bytes:
        assert self._process is not None and self._process.stdout is not None
        while b"\n" not in self._rest:
            if len(self._rest) > ANSWER_MAX:
                raise ValueError("its answer does not end")
            more = await self._process.stdout.receive_some()
            if not more:
                raise OSError("the prober ended")
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    async def _fail(self, why: str) -> NoReturn:
        """It is of no use any more: end it and tell what became of it.  Raises NoAnswer."""
        process, interrupted = self._process, self._interrupted
        self._listen()
        await self.close()
        if interrupted:
            raise Interrupted("the card was needed")
        status = None if process is None else process.returncode
        if status is not None and status != -signal.SIGKILL:
            why = f"crashed ({signal.Signals(-status).name})" if status < 0 else f"ended with status {status}"
        raise Died(f"asking it {why}")

    def _listen(self) -> None:
        """What it has said since the last question."""
        raw = os.pread(self._said, 1 << 16, self._heard) if self._said >= 0 else b""
        self._heard += len(raw)
        lines = raw.decode(errors="replace").splitlines()
        shown = ["".join(c if c.isprintable() else " " for c in line)[:MESSAGE_MAX] for line in lines]
        self.messages = list(dict.fromkeys(line for line in shown if line.strip()))[:MESSAGES_MAX]
