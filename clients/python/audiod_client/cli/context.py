"""What holds for every verb: the global options, and the connection they lead to."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from audiod_protocol.params import Mode

from audiod_client._blocking import Connection
from audiod_client._link import resolve
from audiod_client.errors import ServerUnreachable
from audiod_client.names import Name, Wire

__all__ = ["GLOBAL_OPTIONS", "Context", "UsageError", "global_options"]

GLOBAL_OPTIONS = {
    "--socket PATH": "audiod's socket (else AUDIOD_SOCKET, else the usual places)",
    "--json": "print JSON, for programs",
    "-q, --quiet": "print only what was asked for",
    "--no-color": "no colours (as with NO_COLOR, or when not on a terminal)",
}


class UsageError(Exception):
    """The command line is wrong: what about it, and how it should be."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint


@dataclass(frozen=True)
class Context:
    """The global options."""

    socket: str | None = None
    json: bool = False
    quiet: bool = False
    color: bool = False
    no_color: bool = False  # asked for, whatever there is to show

    def connect(self) -> Connection:
        """The server for control calls: --socket, else AUDIOD_SOCKET, else ours.

        Raises ServerUnreachable too where only sndio's wire is spoken, and says that.
        """
        connection = Connection.connect(self.socket, client_name="audioctl")
        if connection.wire is Wire.SNDIO:
            connection.close()
            found = (connection.where, "sndio's wire: it plays and records, and tells nothing")
            raise ServerUnreachable([*connection.tried, found])
        return connection

    def device(self, name: str | None, mode: Mode) -> Name:
        """The device that --device, the environment and --socket mean, in this order of detail."""
        where = resolve(name, mode)
        if self.socket is not None and where.path is None and where.host is None:
            return Name(where.device, path=self.socket)
        return where


def global_options(arguments: Sequence[str], env: Mapping[str, str]) -> tuple[Context, list[str]]:
    """Take the global options out of a command line, wherever they stand before a `--`."""
    rest: list[str] = []
    socket: str | None = None
    flags: set[str] = set()
    words = iter(arguments)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word in ("--json", "--no-color"):
            flags.add(word)
        elif word in ("-q", "--quiet"):
            flags.add("-q")
        elif word == "--socket":
            socket = next(words, "")
        elif word.startswith("--socket="):
            socket = word.removeprefix("--socket=")
        else:
            rest.append(word)
    if socket == "":
        raise UsageError("--socket needs a path", "such as: --socket /run/audiod/audiod.sock")
    color = sys.stdout.isatty() and not env.get("NO_COLOR") and "--no-color" not in flags
    return Context(socket, "--json" in flags, "-q" in flags, color, "--no-color" in flags), rest
