"""`audioctl`: see what audiod does, play, record, set volumes.

One file a verb, loaded only when it is used, so that short verbs start fast.
Global options stand before or after the verb.  Exit codes: 0 ok, 1 failed,
2 usage, 3 no daemon, 4 not permitted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from audiod_client.cli.context import Context, UsageError, global_options
from audiod_client.errors import ServerUnreachable, StreamError

__all__ = ["main"]

OK, FAILED, USAGE, NO_DAEMON, NOT_PERMITTED, INTERRUPTED = 0, 1, 2, 3, 4, 130

VERBS = ("status", "devices", "streams", "play", "record", "volume")

HELP = """Look at audiod, play, record and set volumes."""
EPILOGUE = """Everywhere: --socket PATH (audiod's socket), --json, -q (quiet), --no-color.
Exit codes: 0 ok, 1 failed, 2 usage, 3 no daemon, 4 not permitted."""


def _version() -> str:
    from importlib import metadata

    try:
        return f"audioctl {metadata.version('audiod')}"
    except metadata.PackageNotFoundError:
        return "audioctl (not installed)"


def _dispatch(tokens: Sequence[str], context: Context) -> int:
    from cyclopts import App, CycloptsError

    app = App(
        name="audioctl",
        help=HELP,
        help_epilogue=EPILOGUE,
        help_format="plaintext",
        version=_version,
        result_action="return_value",
    )
    for verb in VERBS:
        app.command(f"audiod_client.cli.{verb}:{verb}", name=verb)
    try:
        command, bound, ignored = app.parse_args(tokens, exit_on_error=False, print_error=False)
    except CycloptsError as err:
        raise UsageError(str(err).strip(), f"see: audioctl {_known(tokens)}--help") from err
    more = {"context": context} if "context" in ignored else {}
    result = command(*bound.args, **bound.kwargs, **more)
    return result if isinstance(result, int) else OK


def _known(tokens: Sequence[str]) -> str:
    return f"{tokens[0]} " if tokens and tokens[0] in VERBS else ""


def _complain(message: str, hint: str) -> None:
    print(f"audioctl: {message}", file=sys.stderr)
    if hint:
        print(f"  {hint}", file=sys.stderr)


def run(arguments: Sequence[str]) -> int:
    """One command line; its exit code."""
    try:
        context, tokens = global_options(arguments, os.environ)
        code = _dispatch(tokens, context)
        sys.stdout.flush()
        return code
    except UsageError as err:
        _complain(err.message, err.hint)
        return USAGE
    except StreamError as err:
        _complain(err.message, err.hint)
        if err.code in ("EPERM", "EACCES"):
            return NOT_PERMITTED
        return NO_DAEMON if isinstance(err, ServerUnreachable) else FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # the reader of our output left; python would complain again when it flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The executable."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))
