"""`audioctl config`: look at the server's configuration, check it, reload it.

The server reads its files itself; only `check FILE` sends a text.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from audiod_client.cli.context import Context, UsageError
from audiod_client.cli.output import WIDTH, clean, print_json
from audiod_client.cli.rows import Row
from audiod_client.errors import StreamError

__all__ = ["config"]

config = App(
    name="config",
    help="Look at audiod's configuration, check and reload it.",
    help_format="plaintext",
    result_action="return_value",
)

Ctx = Annotated[Context, Parameter(parse=False)]


@config.command
def show(*, context: Ctx) -> None:
    """Show the configuration in force, and where each key comes from."""
    with context.connect() as connection:
        answer = connection.request("config.show")
    if context.json:
        print_json(answer)
        return
    for path in answer.get("files") or []:
        print(f"# {clean(path)}")
    for row in answer.get("keys") or []:
        setting, origin = f"{clean(row.get('key'))} = {_value(row.get('value'))}", clean(row.get("origin"))
        fits = len(setting) + len(origin) + 4 <= WIDTH
        print(f"{setting}  # {origin}" if fits else f"# {origin}\n{setting}")


@config.command
def check(
    file: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None, /, *, context: Ctx
) -> None:
    """Check the configuration files without using them; problems are told with file and line.

    Parameters
    ----------
    file
        Check this file in place of audiod's own; - is standard input.
    """
    if file is not None and file.startswith("-") and file != "-":
        raise UsageError(
            f"config check has no option {clean(file)}", f"if it is a file, write ./{clean(file)}"
        )
    text = None if file is None else _read(file)
    with context.connect() as connection:
        answer = connection.request("config.check", **({} if text is None else {"text": text}))
    if context.json:
        print_json(answer)
    elif not context.quiet:
        count = len(answer.get("changes") or [])
        keys = "1 key" if count == 1 else f"{count} keys"
        print(f"ok: {keys} would change" if count else "ok: nothing would change")


@config.command
def diff(*, context: Ctx) -> None:
    """Show what a reload would change, and what each change interrupts."""
    with context.connect() as connection:
        answer = connection.request("config.diff")
    _report(context, answer)


@config.command
def reload(*, context: Ctx) -> None:
    """Read the configuration files again; if they are wrong, the old configuration stays."""
    with context.connect() as connection:
        answer = connection.request("config.reload")
    _report(context, answer)


def _report(context: Context, answer: Row) -> None:
    if context.json:
        print_json(answer)
        return
    changes = answer.get("changes") or []
    if not changes and not context.quiet:
        print("nothing changed")
    for row in changes:
        print(f"{clean(row.get('key'))}: {_value(row.get('old'))} -> {_value(row.get('new'))}")
        print(f"  {clean(row.get('effect', ''))}")


def _value(value: object) -> str:
    """As in the file, or nearly; nothing where there is none."""
    if value is None:
        return "(none)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return f'"{clean(value)}"' if isinstance(value, str) else clean(value)


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as err:
        message = f"{clean(file)}: it cannot be read: {(err.strerror or str(err)).lower()}"
        raise StreamError("EIO", message, "check the path") from err
    except UnicodeDecodeError as err:
        raise UsageError(f"{clean(file)}: it is not UTF-8 text", "TOML files are") from err
