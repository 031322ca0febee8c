"""The 16 bytes by which a server of sndio's wire knows this user's programs: ~/.sndio/cookie.

Invariant, as in libsndio: the file is used only if nobody else may read it;
else a new one takes its place.  Two programs that begin at once agree on one.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from audiod_protocol.sndio.messages import COOKIE_SIZE

__all__ = ["cookie"]


def cookie(env: Mapping[str, str], setid: bool) -> bytes:
    """This user's cookie; one for this connection alone where there is no place to keep it."""
    home = env.get("HOME")
    if setid or not home:
        return os.urandom(COOKIE_SIZE)
    path = Path(home) / ".sndio" / "cookie"
    kept = _read(path)
    if kept is None:
        with suppress(OSError):
            _write(path, os.urandom(COOKIE_SIZE))
            kept = _read(path)
    return os.urandom(COOKIE_SIZE) if kept is None else kept


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                return None
            kept = file.read(COOKIE_SIZE)
    except OSError:
        return None
    return kept if len(kept) == COOKIE_SIZE else None


def _write(path: Path, new: bytes) -> None:
    """Put `new` there, unless another program has just put a good one."""
    path.parent.mkdir(mode=0o755, exist_ok=True)
    fd, name = tempfile.mkstemp(prefix="cookie.", dir=path.parent)  # of mode 0600
    temporary = Path(name)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(new)
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            if _read(path) is None:
                temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
