"""What may follow on a command line: the one place that the completion scripts of all shells ask.

`audioctl __complete WORD...` (the last word is the one under the cursor, maybe
empty) prints `word<TAB>what it is`, one a line; `:files` alone means names of
files.  Invariant: never an error message; where nothing is known it prints nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from audiod_client.cli import GROUPS, VERBS, application
from audiod_client.cli.context import GLOBAL_OPTIONS, Context, UsageError, global_options
from audiod_client.cli.output import text
from audiod_client.errors import StreamError

if TYPE_CHECKING:
    from cyclopts import App
    from cyclopts.argument import Argument

    from audiod_client._blocking import Connection

__all__ = ["KINDS", "arguments", "complete", "leaves"]

Candidate = tuple[str, str]

FILES = ":files"
# what an argument is: the name of a list below, or words to choose from
KINDS: dict[str, str | tuple[str, ...]] = {
    "FILES": FILES, "FILE": FILES, "--device": "places", "WHICH": "which", "STREAM": "streams",
    "VALUE": ("!", "+5%", "-5%", "50%", "100%", "-6dB"), "STATE": ("on", "off", "!"),
    "WHAT": ("state", "config"), "SHELL": ("bash", "zsh", "fish"),
    "--volume": ("50%", "100%", "-6dB"), "--rate": ("44100", "48000", "96000"), "--channels": ("1", "2"),
    "--enc": ("s16le", "s24le3", "s24le", "s32le", "f32le"), "--type": "types",
    "--duration": (), "--until-silence": (), "--name": (), "--link": (),
    "--loop": (), "--raw": (), "--what-plays": (), "--all": (), "--rescan": (),
    "--sndstat": (), "--nvlist": FILES,
}  # fmt: skip


def run(words: Sequence[str], env: Mapping[str, str]) -> int:
    """Print what may stand in place of the last word."""
    try:
        for word, what in complete(list(words) or [""], env):
            print(f"{word}\t{what}" if what else word)
    except (StreamError, UsageError):
        pass
    return 0


def complete(words: Sequence[str], env: Mapping[str, str]) -> list[Candidate]:
    """Candidates for the last word, in an order to show.  Raises StreamError, UsageError."""
    before, cursor = words[:-1], words[-1]
    if before and before[-1] == "--socket":
        return [(FILES, "")]
    context, tokens = global_options(before, env)
    return [(word, what) for word, what in _all(context, tokens, cursor) if word.startswith((cursor, ":"))]


def _all(context: Context, tokens: Sequence[str], cursor: str) -> Iterator[Candidate]:
    if not tokens:
        yield from _global_options() if cursor.startswith("-") else _verbs()
        return
    leaf, rest = _leaf(tokens)
    if leaf is None:
        return
    if isinstance(leaf, list):
        yield from _global_options() if cursor.startswith("-") else leaf
        return
    options = {name: argument for argument in arguments(leaf) for name in argument.names if name[0] == "-"}
    if rest and (option := options.get(rest[-1])) is not None and _takes_value(option):
        yield from _values(context, rest[-1], "")
        return
    if cursor.startswith("-"):
        yield from ((name, what_is(option)) for name, option in options.items() if name not in rest)
        yield from _global_options()
    for word, what in _positional(context, leaf, rest, options, tokens[0]):
        if word != FILES or not cursor.startswith("-"):
            yield word, what


def _leaf(tokens: Sequence[str]) -> tuple[App | list[Candidate] | None, Sequence[str]]:
    """The verb, or the verbs of a group to choose from, or None; and the words that follow."""
    if tokens[0] not in VERBS:
        return None, ()
    app, rest = application(listing=False)[tokens[0]], tokens[1:]
    if tokens[0] not in GROUPS:
        return app, rest
    verbs = [name for name in app if not name.startswith("-")]
    if not rest:
        return [(verb, app[verb].help.partition("\n")[0]) for verb in verbs], ()
    return (app[rest[0]], rest[1:]) if rest[0] in verbs else (None, ())


def leaves() -> Iterator[tuple[str, App]]:
    """All verbs, those of groups as `config check`."""
    root = application(listing=False)
    for verb in VERBS:
        if verb in GROUPS:
            yield from ((f"{verb} {name}", root[verb][name]) for name in root[verb] if name[0] != "-")
        else:
            yield verb, root[verb]


def arguments(leaf: App) -> list[Argument]:
    """Options and positional arguments of a verb, as they are declared."""
    return [a for a in leaf.assemble_argument_collection(parse_docstring=True) if a.parse]


def what_is(argument: Argument) -> str:
    """The beginning of its help, of one line."""
    return re.split(r"[:;] |(?<!\.)\.(?: |$)", str(argument.parameter.help or "").replace("\n", " "))[0]


def _takes_value(option: Argument) -> bool:
    return option.hint is not bool


def _positional(
    context: Context, leaf: App, rest: Sequence[str], options: Mapping[str, Argument], verb: str
) -> Iterator[Candidate]:
    """What may be the next word that belongs to no option."""
    place, skip = 0, False
    for word in rest:
        if skip or word in options:
            skip = not skip and _takes_value(options[word])
        else:
            place += 1
    names = [a.name for a in arguments(leaf) if a.name[0] != "-"]
    if "FILES" in names:
        place = 0
    if place < len(names):
        yield from _values(context, names[place], verb)
        if names[place] == "WHICH" and names[1:]:  # may be left out
            yield from _values(context, names[1], verb)


def _values(context: Context, name: str, verb: str) -> Iterator[Candidate]:
    if name == "DEVICE":
        kind: str | tuple[str, ...] = "places" if verb == "move" else "devices"
    else:
        kind = KINDS.get(name, ())
    if kind == FILES:
        yield FILES, ""
    elif isinstance(kind, tuple):
        yield from ((word, "") for word in kind)
    else:
        with context.connect() as connection:
            names = list(_LISTS[kind](connection))
        yield from ((word, what) for word, what in names if word.isprintable())


def _verbs() -> Iterator[Candidate]:
    return ((verb, what.rstrip(".")) for verb, (_, what) in VERBS.items())


def _global_options() -> Iterator[Candidate]:
    for names, what in {**GLOBAL_OPTIONS, "--help": "show how it is used"}.items():
        yield names.split(", ")[-1].split()[0], what


# ---- names that the server knows ----


def _devices(connection: Connection) -> Iterator[Candidate]:
    from audiod_client.cli.rows import rows

    for row in rows(connection, "devices"):
        yield f"snd/{row.get('device')}", text(row, "name")


def _places(connection: Connection) -> Iterator[Candidate]:
    from audiod_client.cli.rows import rows

    yield from _devices(connection)
    for row in rows(connection, "devices"):
        for sub in row.get("subdevices") or []:
            if sub.get("name") != str(row.get("device")):
                yield f"snd/{sub.get('name')}", f"on snd/{row.get('device')}"


def _streams(connection: Connection) -> Iterator[Candidate]:
    from audiod_client.cli.rows import rows

    streams = rows(connection, "streams")
    names = [str(row.get("name", "")) for row in streams]
    for row, name in zip(streams, names, strict=True):
        where = f"snd/{text(row, 'subdevice')}"
        yield (
            (name, f"stream {row.get('id')} on {where}") if names.count(name) == 1 else (str(row["id"]), name)
        )


def _types(connection: Connection) -> Iterator[Candidate]:
    """The audio types that the server has, the first ones those that others make room for."""
    for row in connection.request("ducking").get("types") or []:
        yield text(row, "name"), ""


def _which(connection: Connection) -> Iterator[Candidate]:
    from audiod_client.cli.knob import all_knobs

    knobs = all_knobs(connection)
    names = [knob.which for knob in knobs]
    for knob in knobs:
        alone = names.count(knob.which) == 1
        yield knob.which if alone else f"{knob.which}@{knob.subdevice}", knob.show()


_LISTS = {"devices": _devices, "places": _places, "streams": _streams, "which": _which, "types": _types}
