"""tomllines.py: every key that tomllib finds has its line, and it is the right one."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiod.tomllines import Path, index


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every key and every element of what tomllib found."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield (*path, key)
        yield from paths(inner, (*path, key))


CASES = [
    ("", {}),
    ("a = 1", {("a",): 1}),
    ("# a = 1\n\n  a=1 # b = 2\n", {("a",): 3}),
    ("[t]\na = 1\n[u.v]\nb = 2", {("t",): 1, ("t", "a"): 2, ("u",): 3, ("u", "v"): 3, ("u", "v", "b"): 4}),
    ("[[d]]\nx=1\n[[d]]\nx=2", {("d",): 1, ("d", 0): 1, ("d", 0, "x"): 2, ("d", 1): 3, ("d", 1, "x"): 4}),
    (
        "[[d]]\n[[d.s]]\nn=1\n[[d]]\n[[d.s]]\n[[d.s]]\nn=2\n[d.t]",
        {
            ("d",): 1,
            ("d", 0): 1,
            ("d", 0, "s"): 2,
            ("d", 0, "s", 0): 2,
            ("d", 0, "s", 0, "n"): 3,
            ("d", 1): 4,
            ("d", 1, "s"): 5,
            ("d", 1, "s", 0): 5,
            ("d", 1, "s", 1): 6,
            ("d", 1, "s", 1, "n"): 7,
            ("d", 1, "t"): 8,
        },
    ),
    ('a = """\nb = 1\n[c]\n""""\nd = 1', {("a",): 1, ("d",): 5}),
    ("a = '''\nb = 1\n'''''\nd = 1", {("a",): 1, ("d",): 4}),
    ('a = """x\\"""\n"""\nd = 1', {("a",): 1, ("d",): 3}),
    ("a = \"\"\nb = ''\nc = \"\\\\\"\nd='\\'", {("a",): 1, ("b",): 2, ("c",): 3, ("d",): 4}),
    (
        'a = [ # ]\n  1, # 2,\n\n  "]", [\n3], ]\nb = 1',
        {("a",): 1, ("a", 0): 2, ("a", 1): 4, ("a", 2): 4, ("a", 2, 0): 5, ("b",): 6},
    ),
    (
        "a = {b = 1, c.d = {}}\ne = 2",
        {("a",): 1, ("a", "b"): 1, ("a", "c"): 1, ("a", "c", "d"): 1, ("e",): 2},
    ),
    (
        '"a b" . \'c"d\' . "\\u00e9" = 1\n"" = 2',
        {("a b",): 1, ("a b", 'c"d'): 1, ("a b", 'c"d', "é"): 1, ("",): 2},
    ),
    (' [ a . "b" ] # [c]\nd=1979-05-27 07:32:00 # x', {("a",): 1, ("a", "b"): 1, ("a", "b", "d"): 2}),
    ("a=1\r\n\r\nb='''\r\n\r\n'''\r\nc=1e5", {("a",): 1, ("b",): 3, ("c",): 6}),
    ("[a.b]\nx=1\n[a]\ny=2", {("a",): 1, ("a", "b"): 1, ("a", "b", "x"): 2, ("a", "y"): 4}),
]


@pytest.mark.parametrize(("text", "lines"), CASES)
def test_lines(text: str, lines: dict[Path, int]) -> None:
    assert set(paths(tomllib.loads(text))) == set(lines), "the case itself is wrong"
    assert index(text) == lines


# ---- any document ----

KEYS = st.one_of(
    st.text("abz019_-", min_size=1, max_size=4),
    st.text(max_size=3),
    st.sampled_from(["a.b", "[x]", "#", "="]),
)
TRICKY = st.sampled_from(
    ["a = 1\n", "[t]\n", "[[t]]", "#", '"', "'", "\\", "]", "}", "\n", "=", ",", " ", "x"]
)
TEXTS = st.lists(TRICKY, max_size=6).map("".join)
GAPS = st.sampled_from(["", "\n", "# k = 1\n", "\n\n# [t]\n", "  \n\t# '''\n"])
LEAVES = st.one_of(
    st.integers(-9, 9).map(str),
    st.sampled_from(["true", "1.5", "0x1f", "1979-05-27T07:32:00Z", "1979-05-27 07:32:00", "-inf"]),
)


def quoted(text: str) -> str:
    """A basic string."""
    return '"' + "".join(c if c.isalnum() and c.isascii() else f"\\U{ord(c):08x}" for c in text) + '"'


class Writer:
    """Writes a random document and notes the line of all that it writes."""

    def __init__(self, data: st.DataObject) -> None:
        self.draw = data.draw
        self.text = ""
        self.lines: dict[Path, int] = {}

    def put(self, text: str) -> None:
        self.text += text

    def note(self, path: Path) -> None:
        self.lines.setdefault(path, self.text.count("\n") + 1)

    def key(self, key: str) -> None:
        bare = key and all(c.isascii() and (c.isalnum() or c in "_-") for c in key)
        self.put(key if bare and self.draw(st.booleans()) else quoted(key))

    def string(self) -> None:
        text = self.draw(TEXTS)
        style = self.draw(st.sampled_from(["basic", "literal", "long", "long literal"]))
        if style == "literal" and "'" not in text and "\n" not in text:
            self.put(f"'{text}'")
        elif style == "long":
            more = "" if text.endswith('"') else self.draw(st.sampled_from(["", '"', '""']))
            self.put('"""' + text.replace("\\", "\\\\").replace('"""', '""\\"') + more + '"""')
        elif style == "long literal" and "'''" not in text:
            self.put("'''" + text + "'''")
        else:
            self.put(quoted(text))

    def value(self, path: Path, depth: int) -> None:
        kind = self.draw(
            st.sampled_from(["leaf", "string", "array", "inline"] if depth else ["leaf", "string"])
        )
        if kind == "leaf":
            self.put(self.draw(LEAVES))
        elif kind == "string":
            self.string()
        elif kind == "array":
            self.put("[")
            for n in range(self.draw(st.integers(0, 3))):
                self.put(("," if n else "") + self.draw(GAPS))
                self.note((*path, n))
                self.value((*path, n), depth - 1)
                self.put(self.draw(GAPS))
            self.put("]")
        else:
            self.put("{")
            for n, key in enumerate(self.draw(st.lists(KEYS, max_size=3, unique=True))):
                self.put(", " if n else " ")
                self.note((*path, key))
                self.key(key)
                self.put(" = ")
                self.value((*path, key), depth - 1)
            self.put("}")

    def body(self, path: Path) -> set[str]:
        keys = self.draw(st.lists(KEYS, max_size=3, unique=True))
        for key in keys:
            self.put(self.draw(GAPS))
            self.note((*path, key))
            self.key(key)
            self.put(" = ")
            last = (*path, key)
            if self.draw(st.booleans()):  # a dotted key
                self.text = self.text[:-3] + self.draw(st.sampled_from([".", " . "]))
                inner = self.draw(KEYS)
                last = (*last, inner)
                self.note(last)
                self.key(inner)
                self.put("=")
            self.value(last, 2)
            self.put(self.draw(st.sampled_from(["\n", " # x = 1\n", "\t\n"])))
        return set(keys)

    def header(self, path: Path, *, many: bool) -> None:
        self.put(self.draw(GAPS) + ("[[" if many else "["))
        for n in range(1, len(path) + 1):
            self.note(path[:n])
            if isinstance(path[n - 1], str):
                self.put("." if n > 1 else "")
                self.key(str(path[n - 1]))
        self.put("]]\n" if many else "]\n")

    def document(self) -> None:
        taken = self.body(())
        for name in self.draw(st.lists(KEYS.filter(lambda key: key not in taken), max_size=3, unique=True)):
            if self.draw(st.booleans()):
                self.header((name,), many=False)
                self.body((name,))
                continue
            for n in range(self.draw(st.integers(1, 3))):
                self.header((name, n), many=True)
                if "s" not in self.body((name, n)):
                    for m in range(self.draw(st.integers(0, 2))):
                        self.header((name, n, "s", m), many=True)
                        self.body((name, n, "s", m))


@given(st.data())
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_document(data: st.DataObject) -> None:
    writer = Writer(data)
    writer.document()
    found = tomllib.loads(writer.text)
    assert set(paths(found)) == set(writer.lines), "the writer's own mistake"
    assert index(writer.text) == writer.lines
    assert index(writer.text.replace("\n", "\r\n")) == writer.lines
