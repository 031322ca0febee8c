"""`audioctl`: see what audiod does, play, record, set volumes, move streams, look at its configuration.

One file a verb, loaded only when it is used, so that short verbs start fast;
VERBS is the one list of them.  Global options stand before or after the verb.
Exit codes: 0 ok, 1 failed, 2 usage, 3 no daemon, 4 not permitted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from audiod_client.cli.context import GLOBAL_OPTIONS, Context, UsageError, global_options
from audiod_client.errors import ServerUnreachable, StreamError

if TYPE_CHECKING:
    from cyclopts import App

__all__ = ["VERBS", "application", "main"]

OK, FAILED, USAGE, NO_DAEMON, NOT_PERMITTED, INTERRUPTED = 0, 1, 2, 3, 4, 130

# verb: (arguments, what it does).  The texts stand here so that `audioctl --help` loads no verb
VERBS = {
    "status": ("[STREAM]", "Show whether audiod runs and how it does, or a stream."),
    "devices": ("[OPTIONS]", "List devices, their sub-devices, and the machine's cards."),
    "streams": ("", "List who plays and records, and what is done to the samples."),
    "ducking": ("", "Show audio types, and who makes whom softer or wait."),
    "play": ("FILE... [OPTIONS]", "Play audio files."),
    "record": ("FILE [OPTIONS]", "Record into an audio file."),
    "volume": ("[WHICH] [VALUE]", "Show and set volumes."),
    "mute": ("[WHICH] [on|off|!]", "Mute a device or a program."),
    "default": ("[DEVICE]", "Show and set the default device."),
    "move": ("STREAM DEVICE", "Move a stream to another device while it plays."),
    "monitor": ("", "Print volumes, mutes and the default device as they change."),
    "events": ("", "Print what audiod logs, as it happens."),
    "config": ("check|diff|show|reload", "Look at audiod's configuration, check and reload it."),
    "export": ("state|config", "Print audiod's state or configuration as JSON."),
    "completion": ("bash|zsh|fish", "Print a script that completes audioctl's words in a shell."),
}
GROUPS = ("config",)  # verbs that have verbs of their own

HELP = """Look at audiod, play, record, set volumes and more: audioctl COMMAND --help says how."""
CODES = "Exit codes: 0 ok, 1 failed, 2 usage, 3 no daemon, 4 not permitted."


def _epilogue() -> str:
    lines = [f"  {name:<16}{what}" for name, what in GLOBAL_OPTIONS.items()]
    return "\n".join(["Everywhere:", *lines, "", CODES])


def _version() -> str:
    from importlib import metadata

    try:
        return f"audioctl {metadata.version('audiod')}"
    except metadata.PackageNotFoundError:
        return "audioctl (not installed)"


def application(listing: bool) -> App:
    """The parser.  `listing`: only the list of verbs is to be shown, so that none need be loaded."""
    from cyclopts import App

    app = App(
        name="audioctl",
        help=HELP,
        help_epilogue=_epilogue(),
        help_format="plaintext",
        version=_version,
        result_action="return_value",
    )
    for place, (verb, (words, what)) in enumerate(VERBS.items()):
        usage = {} if verb in GROUPS else {"usage": f"Usage: audioctl {verb} {words}".rstrip()}
        shown = {"help": what} if listing else {}
        app.command(f"audiod_client.cli.{verb}:{verb}", name=verb, sort_key=place, **usage, **shown)
    return app


def _dispatch(tokens: Sequence[str], context: Context) -> int:
    from cyclopts import CycloptsError

    app = application(listing=not _known(tokens))
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
        if arguments[:1] == ["__complete"]:
            from audiod_client.cli import complete

            return complete.run(arguments[1:], os.environ)
        context, tokens = global_options(arguments, os.environ)
        if context.no_color:
            os.environ["NO_COLOR"] = "1"  # for the help, which is not printed by us
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
