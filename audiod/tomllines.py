"""Which line of a TOML text each key stands on: what tomllib does not tell.

Reads texts that tomllib has accepted, so it need not find errors, only follow
strings, arrays, tables and comments.  A path is the keys, and indices of arrays,
from the top; its line is the first that mentions it, counted from 1.  Pure.
"""

from __future__ import annotations

import re
import tomllib

Path = tuple[str | int, ...]

# what stands between tokens: on one line, and across lines with comments
_SPACE = re.compile(r"[ \t]*")
_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
# up to two quotes may stand before the three that close
_STRING = re.compile(
    r'"""(?:[^"\\]|\\[\s\S]|"(?!""))*"{3,5}'
    r"|'''(?:[^']|'(?!''))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
)
_SCALAR = re.compile(r"[^\n,\]}#]+")  # a number, a date or a bool


def index(text: str) -> dict[Path, int]:
    """The line of every key, table and element of an array in a valid TOML text."""
    return _Scan(text.replace("\r\n", "\n")).run()


class _Scan:
    """One reading; `at` is where it stands in the text, `line` the line of that place."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line = 1
        self.lines: dict[Path, int] = {}
        self.counts: dict[Path, int] = {}  # arrays of tables -> elements so far

    def run(self) -> dict[Path, int]:
        table: Path = ()
        self._skip(_BLANK)
        while self.at < len(self.text):
            if self.text.startswith("[", self.at):
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)
        return self.lines

    def _skip(self, what: re.Pattern[str]) -> str:
        """Go past `what`, which matches here; returns it."""
        found = what.match(self.text, self.at)
        assert found is not None, f"line {self.line}: not TOML"
        self.line += found[0].count("\n")
        self.at = found.end()
        return found[0]

    def _take(self, mark: str) -> bool:
        """Go past `mark` if it stands here."""
        here = self.text.startswith(mark, self.at)
        self.at += len(mark) if here else 0
        return here

    def _keys(self) -> list[str]:
        """A dotted key and the space behind it."""
        keys = []
        while True:
            self._skip(_SPACE)
            if self.text[self.at] in "\"'":
                keys.append(str(tomllib.loads(f"k={self._skip(_STRING)}")["k"]))
            else:
                keys.append(self._skip(_BARE))
            self._skip(_SPACE)
            if not self._take("."):
                return keys

    def _found(self, path: Path) -> Path:
        self.lines.setdefault(path, self.line)
        return path

    def _header(self) -> Path:
        many = self._take("[[") or not self._take("[")
        *parents, last = self._keys()
        path: Path = ()
        for key in parents:
            path = self._found((*path, key))
            if path in self.counts:
                path = (*path, self.counts[path] - 1)
        path = self._found((*path, last))
        if many:
            self.counts[path] = self.counts.get(path, 0) + 1
            path = self._found((*path, self.counts[path] - 1))
        self._take("]]" if many else "]")
        return path

    def _pair(self, table: Path) -> None:
        path = table
        for key in self._keys():
            path = self._found((*path, key))
        self._take("=")
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: Path) -> None:
        if self._take("["):
            self._array(path)
        elif self._take("{"):
            self._inline(path)
        else:
            self._skip(_STRING if self.text[self.at] in "\"'" else _SCALAR)

    def _array(self, path: Path) -> None:
        number = 0
        while True:
            self._skip(_BLANK)
            if self._take("]"):
                return
            self._value(self._found((*path, number)))
            number += 1
            self._skip(_BLANK)
            self._take(",")

    def _inline(self, path: Path) -> None:
        while True:
            self._skip(_BLANK)
            if self._take("}"):
                return
            self._pair(path)
            self._skip(_BLANK)
            self._take(",")
