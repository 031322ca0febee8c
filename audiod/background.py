"""Background: the process that goes on once the command that started it has ended, as daemon(3) makes one.

Forked before there is a task or a thread.  The command waits for its child, whose
words until then are still heard, and ends as that says: 0 once programs can
connect, else with the child's own exit status.  Unlike daemon(3) the child stays in
its directory: paths of files may be relative to it.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

NAME = "sndiod"  # a command that goes to the background by itself
_READY = b"+"


def wanted(argv0: str) -> bool:
    """Whether a command of this name is to go to the background."""
    return Path(argv0).name == NAME


class Background:
    """The child's half; `detach` makes it."""

    def __init__(self, told: int) -> None:
        self._told = told

    def ready(self, *, keep_stderr: bool = False) -> None:
        """Programs can connect: let the command end, and speak to nobody's terminal any more."""
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1) if keep_stderr else (0, 1, 2):
            os.dup2(null, fd)
        os.close(null)
        try:
            os.write(self._told, _READY)
        except BrokenPipeError:
            pass  # somebody has killed the command, not us
        finally:
            os.close(self._told)


def detach() -> Background:
    """Go on in a child that belongs to no terminal; the command itself never returns from here."""
    hears, tells = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(hears)
        os.setsid()
        return Background(tells)
    os.close(tells)
    os._exit(_wait(child, hears))


def _wait(child: int, hears: int) -> int:
    """The command's exit status, once it is known."""
    try:
        if os.read(hears, 1) == _READY:
            return 0
        _, status = os.waitpid(child, 0)
    except KeyboardInterrupt:
        os.kill(child, signal.SIGTERM)
        return 128 + signal.SIGINT
    # killed by a signal: as a shell says it
    return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
