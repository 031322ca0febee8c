"""What can go wrong before and around the sound: the daemon's own exceptions.

Each carries one sentence of what happened and why, and a hint of what to do.
Faults that a client is told about are `audiod_protocol.errors.FaultError`; the
engine's refusals are `audiod.engine.EngineError`.  Any other exception is a bug.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class AudiodError(Exception):
    """Something the daemon refuses: `str()` says what and why, `hint` what to do about it."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def line(self) -> str:
        """Message and hint on one line, for the terminal and the log."""
        text = str(self)
        return f"{text}; {self.hint}" if self.hint else text


class UsageError(AudiodError):
    """The command line cannot be obeyed."""

    exit_code = 2


class SpecError(UsageError):
    """A device SPEC is wrong."""


class StartError(AudiodError):
    """The daemon cannot start: a socket is taken, a directory unsafe, a device refused."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a configuration file; `where` is file:line, or the file alone."""

    where: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" + (f"; {self.hint}" if self.hint else "")


class ConfigError(AudiodError):
    """The configuration files cannot be obeyed; `problems` in the order of the files."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        first, *more = problems
        super().__init__(f"{first.where}: {first.message}", hint=first.hint)
        self.problems = (first, *more)

    def line(self) -> str:
        """Every problem, a line each, that an editor can jump to."""
        return "\n".join(map(str, self.problems))
