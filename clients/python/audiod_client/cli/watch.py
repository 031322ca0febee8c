"""Watching the server: changes printed one by one until ctrl-C (exit 0) or until it ends (exit 3).

Invariant: each line is flushed at once.  Main thread only, for its signals.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from audiod_client.cli.context import Context
from audiod_client.cli.interrupt import Interrupt
from audiod_client.cli.output import print_json_line
from audiod_client.cli.rows import Row
from audiod_client.errors import StreamError

__all__ = ["watch"]

OK, NO_DAEMON = 0, 3
GONE = ("ECONNRESET", "EPIPE", "ESHUTDOWN")


def watch(context: Context, topic: str, line: Callable[[Row], str]) -> int:
    """Print the changes of a topic: `line` makes the text of one, "" for nothing to say.  An exit code."""
    with context.connect() as connection, Interrupt() as interrupt:
        connection.subscribe(topic)
        while not interrupt.caught:
            try:
                change = interrupt.read(connection.change)
            except StreamError as err:
                if err.code == "EOVERFLOW":
                    print(f"audioctl: {err.message}", file=sys.stderr)
                    continue
                if err.code not in GONE:
                    raise
                print(f"audioctl: audiod has ended: {err.message}", file=sys.stderr)
                print("  start it with: audiod", file=sys.stderr)
                return NO_DAEMON
            if change is None:
                break
            if context.json:
                print_json_line(change.row)
            elif text := line(change.row):
                print(text, flush=True)
    return OK
