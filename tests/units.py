"""Units of sndio for tests that need one: libsndio knows no other way to tell two servers of a user apart.

A unit is taken by a lock (flock) on a file of its own in one directory for the
whole machine, so tests that run side by side, of any checkout and any user, never
share one.  The system lets go of the lock when its process ends, however it ends.
Unit 0 is never taken: it is the machine's own.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

UNITS = range(1, 16)
LOCKS = Path(tempfile.gettempdir()) / "audiod-test-units"


def _open(number: int) -> int:
    """The lock's descriptor; who may not write another user's file may still lock it."""
    path = LOCKS / f"unit{number}"
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o444)
    except FileExistsError:
        return os.open(path, flags)
    os.fchmod(fd, 0o444)  # whatever the umask is
    return fd


@contextmanager
def unit() -> Iterator[int]:
    """A unit 1..15 that no other test has; waits until one is free."""
    with contextlib.suppress(FileExistsError):
        LOCKS.mkdir()
        LOCKS.chmod(0o1777)  # for the tests of any user
    for number in UNITS:
        fd = _open(number)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            continue
        break
    else:  # all are taken: wait for one of them
        number = UNITS[os.getpid() % len(UNITS)]
        fd = _open(number)
        fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        yield number
    finally:
        os.close(fd)


@pytest.fixture
def a_unit() -> Iterator[int]:
    """A unit of the test's own; a test file takes it by `from units import a_unit`."""
    with unit() as number:
        yield number
