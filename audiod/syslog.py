"""Syslog: the system's log, for a server that has no stderr.

Each line is one datagram to /dev/log, as RFC 3164 has it.  Invariant: nobody waits
for it; what it does not take, or what there is nobody to take, is lost.  Control
thread.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import socket

PLACE = "/dev/log"
LINE_MAX = 2048  # bytes; what is longer is cut, as syslog daemons do
_DAEMON = 3 << 3  # the facility
_PRIORITY = re.compile(r"<([0-7])>")


class Syslog(io.TextIOBase):
    """A text stream whose lines begin with their priority, `<N>`, or have that of info."""

    def __init__(self, place: str = PLACE, name: str = "audiod") -> None:
        self._place = place
        self._name = name
        self._line = ""
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.setblocking(False)

    def write(self, text: str) -> int:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._send(line)
        return len(text)

    def close(self) -> None:
        self._sock.close()

    def _send(self, line: str) -> None:
        found = _PRIORITY.match(line)
        priority = _DAEMON | (int(found[1]) if found else 6)
        said = line[found.end() :] if found else line
        data = f"<{priority}>{self._name}[{os.getpid()}]: {said}".encode(errors="replace")[:LINE_MAX]
        with contextlib.suppress(OSError):  # by its place each time: it may have been started anew
            self._sock.sendto(data, self._place)
