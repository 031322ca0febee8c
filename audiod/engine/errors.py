"""What a call into the engine that was refused becomes.  Control thread, and any that opens drivers."""

from __future__ import annotations

import os


class EngineError(OSError):
    """A call into the engine was refused; `errno` says why, `strerror` in words."""


def check(rc: int, what: str) -> int:
    if rc < 0:
        raise EngineError(-rc, f"{what}: {os.strerror(-rc)}")
    return rc
