"""The client's exceptions: what happened and why, what to do about it, and a symbol for programs.

Invariant: an error of a stream or connection is permanent and is raised once;
after that `eof` is true and calls return 0, b"" or False.  No thread of its own.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from audiod_protocol.errors import Fault, FaultError, LocalProtocolError, RemoteProtocolError

__all__ = ["Refused", "ServerUnreachable", "StreamError", "as_stream_error"]


class StreamError(Exception):
    """Something about a stream, its connection or a request failed.

    `code` is a symbol (`ENODEV`, `EPIPE`, ...), `message` says what happened
    and why, `hint` what to do; `str()` gives the last two.
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(code, message, hint)
        self.code = str(code)
        self.message = message
        self.hint = hint

    @classmethod
    def of_fault(cls, fault: Fault) -> StreamError:
        return cls(fault.code, fault.message, fault.hint)

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class Refused(StreamError):
    """A request about a stream's channel was refused: nothing has changed, and the stream lives on."""


class ServerUnreachable(StreamError):
    """No server answered; `tried` lists (where, reason) in the order of the attempts.

    `remote`: it is to be on another host, so that starting one here is no help.
    """

    def __init__(
        self, tried: Sequence[tuple[str, str]], code: str = "ECONNREFUSED", remote: bool = False
    ) -> None:
        self.tried = list(tried)
        where = ", ".join(f"{path} ({why})" for path, why in self.tried) or "no socket to try"
        what, hint = "no audiod answers", "start it with: audiod"
        if remote:
            what = "no server of sndio's wire answers"
            hint = "let it listen there, with: audiod -L ADDRESS, or sndiod -L ADDRESS"
        elif code == "EACCES":
            hint = "join the group that may use the server (usually audio), or start your own with: audiod"
        super().__init__(code, f"{what}: tried {where}", hint)


def errno_name(err: OSError) -> str:
    """The symbol of an OSError, EIO where it has none."""
    return errno.errorcode.get(err.errno or 0, "EIO")


@contextmanager
def as_stream_error() -> Iterator[None]:
    """The one boundary: errors of the protocol package and of sockets become StreamError."""
    try:
        yield
    except FaultError as err:
        raise StreamError.of_fault(err.fault) from err
    except RemoteProtocolError as err:
        raise StreamError(
            "EPROTO",
            f"the server broke the protocol: {err.message}",
            "check that the socket is audiod's and that both sides have the same version",
        ) from err
    except LocalProtocolError as err:
        raise StreamError("EINVAL", err.message, err.hint) from err
    except OSError as err:
        raise StreamError(
            errno_name(err),
            f"the connection to the server broke: {err.strerror or err}",
            "see the server's log, then open the stream again",
        ) from err
