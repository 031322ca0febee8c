"""Log: named events with their facts, to stderr.

A console renderer on a terminal, key=value lines elsewhere; under systemd, and for
the system's log, each line begins with its priority `<N>`, as sd-daemon(3) wants it.  Only the control
thread logs; whoever `listen`s hears of every event but debug's, whatever is
shown.  Levels: error (someone must act), warning (someone will notice), info
(what a user did), debug (why we did it).
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, TextIO

import structlog

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}

Facts = dict[str, object]
Listener = Callable[[Callable[[], Facts]], None]

_TEXT_MAX = 1024  # letters of a fact that listeners are told

_listeners: list[Listener] = []
_shown = {"level": _LEVELS["info"]}

Stream = TextIO | io.TextIOBase
Logger = structlog.typing.FilteringBoundLogger


def setup(
    level: str,
    environ: Mapping[str, str] | None = None,
    stream: Stream | None = None,
    *,
    numbered: bool = False,
) -> None:
    """Configure structlog for the process: events of `level` and above go to `stream` (stderr).

    `numbered`: its lines begin with priorities, whatever it is.
    """
    stream = sys.stderr if stream is None else stream
    journal = numbered or is_journal(stream, environ)
    processors: list[Any] = [
        structlog.processors.add_log_level,
        _tell,
        _drop_quiet,
        structlog.processors.format_exc_info,
    ]
    if stream.isatty() and not journal:
        processors += [
            structlog.processors.TimeStamper(fmt="%H:%M:%S.%f", utc=False),
            structlog.dev.ConsoleRenderer(colors=True),
        ]
    else:
        if not journal:
            processors.append(structlog.processors.TimeStamper(fmt="iso", utc=True))
        order = ["timestamp", "level", "event"]
        render = structlog.processors.LogfmtRenderer(key_order=order, drop_missing=True)
        processors += [_priority(render)] if journal else [render]
    structlog.configure(
        processors=processors,
        logger_factory=structlog.PrintLoggerFactory(_Careless(stream)),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,
    )
    set_level(level)


def set_level(level: str) -> None:
    """From now on show events of `level` and above."""
    _shown["level"] = _LEVELS[level]
    least = min(_LEVELS[level], _LEVELS["info"])  # what listeners are told
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(least))


class _Careless:
    """A stream whose reader may go, or whose disk may be full: what cannot be logged is lost, no more."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


def get(**facts: object) -> Logger:
    """A logger that adds these facts to each event."""
    logger: Logger = structlog.get_logger(**facts)
    return logger


def listen(listener: Listener) -> None:
    """Tell `listener` of each event: it is given a function that makes the row, if anybody wants it."""
    _listeners.append(listener)


def unlisten(listener: Listener) -> None:
    _listeners.remove(listener)


def _tell(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if _LEVELS.get(event["level"], 0) >= _LEVELS["info"]:
        for listener in list(_listeners):
            listener(lambda: _row(event))
    return event


def _row(event: Mapping[str, Any]) -> Facts:
    facts = {key: _plain(value) for key, value in event.items() if key != "exc_info"}
    return {**facts, "time": time.time()}


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)[:_TEXT_MAX].encode(errors="replace").decode()


def _drop_quiet(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if _LEVELS.get(event["level"], _shown["level"]) < _shown["level"]:
        raise structlog.DropEvent
    return event


def is_journal(stream: Stream, environ: Mapping[str, str] | None = None) -> bool:
    """Whether stderr is the journal: JOURNAL_STREAM holds its device and inode."""
    wanted = (os.environ if environ is None else environ).get("JOURNAL_STREAM", "")
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return wanted == f"{found.st_dev}:{found.st_ino}"


def _priority(render: Any) -> Any:
    def process(logger: object, method: str, event: MutableMapping[str, Any]) -> str:
        priority = _PRIORITY.get(str(event.pop("level", method)), 6)
        # a newline would end the record in the journal
        return f"<{priority}>{render(logger, method, event)}".replace("\n", "\\n")

    return process
