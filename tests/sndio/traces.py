"""Traces of the conformance program: run, completed by what the card got, compared.

A line is `scenario/key field=value ...`.  docs/sndio-differences.md is the table
of what may differ: read here, and every row of it must be met, so that the page
stays true.
"""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from sndio import sounds
from sndio.card import PATIENCE, ROOT, Cards, Server, realtime

PAGE = ROOT / "docs" / "sndio-differences.md"
LATE = 75  # exit status: the program was held up, which proves nothing
HELD_UP = 8  # times in a row, at most
TONAL = {"play-rates"}  # nothing of the scenario before may sound into it
Line = tuple[str, dict[str, str]]


def scenarios(program: Path) -> list[str]:
    return subprocess.run([program, "-l"], check=True, capture_output=True, text=True).stdout.split()


def run(program: Path, names: list[str], attempt: int, cards: Cards, server: Server) -> dict[str, list[str]]:
    """These scenarios against the server: the trace of each."""
    trace = {}
    for name in names:
        if name in TONAL:
            settled(cards, server)
        begin = len(cards.played())
        trace[name] = begin, play(program, name, attempt * HELD_UP, cards, server)
    settled(cards, server)
    sink = cards.played()
    return {name: complete(lines, sounds.stereo(sink[begin:])) for name, (begin, lines) in trace.items()}


def play(program: Path, name: str, attempt: int, cards: Cards, server: Server) -> list[str]:
    """One scenario; again where this machine spoiled it: the program held up, or the card underrun."""
    for n in range(attempt, attempt + HELD_UP):
        xruns = cards.count("xrun")
        done = subprocess.run(
            [*realtime(1), program, "-u", str(server.unit), "-n", str(n), name],
            env={**os.environ, "HOME": str(cards.folder / "home")},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert server.process.poll() is None, f"{name} ended the server: {server.log}"
        if done.returncode == 0 and cards.count("xrun") == xruns:
            return done.stdout.splitlines()
        said = f"{name}: {done.returncode} {done.stdout} {done.stderr} {server.log}"
        assert done.returncode in (0, LATE), said
    raise AssertionError(f"{name}: {HELD_UP} times held up, or the card underrun: {server.log}")


def settled(cards: Cards, server: Server) -> None:
    """Wait until the server has closed card 0, which nobody uses: then all was heard."""
    deadline = time.monotonic() + PATIENCE
    sink = cards.folder / "sink0"
    while any(same(fd, sink) for fd in Path(f"/proc/{server.process.pid}/fd").iterdir()):
        assert time.monotonic() < deadline, f"the card is still open: {server.log}"
        time.sleep(0.01)


def same(fd: Path, path: Path) -> bool:
    try:
        return fd.readlink() == path
    except FileNotFoundError:  # closed meanwhile
        return False


def complete(lines: list[str], sink: sounds.Frames) -> list[str]:
    """Each `@sound` and `@tone` replaced by what became of it."""
    done, tone = [], 0
    for line in lines:
        key, fields = parse(line)
        if "@sound" in fields:
            seed, frames, bits = (int(fields[name]) for name in ("seed", "frames", "bits"))
            wide = fields["channels"] in ("6", "7")  # thirds: rounded, not cut
            sound = sounds.played(seed, frames, bits, fields["channels"])
            line = f"{key} sound={sounds.verdict(sink, sound, 3 if wide else 0)}"
        elif "@tone" in fields:
            found = sounds.tones(sink)
            rate, frames, period = (int(fields[name]) for name in ("rate", "frames", "period"))
            if tone < len(found):
                ratio = sounds.pitch(found[tone]) * 48000 / (rate / period)
                loud = np.flatnonzero(np.abs(found[tone]) > 1000)  # not the filters' ringing
                lasts = (loud[-1] - loud[0]) / 48000 / (frames / rate)
                line = f"{key} pitch={ratio:.4f} lasts={lasts:.2f}"
            else:
                line = f"{key} pitch=none"
            tone += 1
        done.append(line)
    return done


def parse(line: str) -> Line:
    """Keys may hold spaces and `=`, fields may not: they follow the first space before a `name=` or `@`."""
    words = line.split(" ")
    first = next(i for i, word in enumerate(words) if i and ("=" in word or word.startswith("@")))
    fields = {}
    for word in words[first:]:
        name, _, value = word.partition("=")
        fields[name] = value
    return " ".join(words[:first]), fields


@dataclass(frozen=True)
class Difference:
    """A row of the table: where, in the lines of both, which field, and what each server says there."""

    library: str  # any, 1.9 or HEAD
    line: str
    field: str
    sndiod: str
    audiod: str
    why: str

    def meets(self, library: str, key: str, field: str, theirs: str, ours: str) -> bool:
        return (
            self.library in ("any", library)
            and fnmatchcase(key, self.line)
            and fnmatchcase(field, self.field)
            and fnmatchcase(theirs, self.sndiod)
            and (fnmatchcase(ours, self.audiod) or self._more(theirs, ours))
        )

    def _more(self, theirs: str, ours: str) -> bool:
        """`+N`: that much more than sndiod says."""
        return self.audiod.startswith("+") and ours == str(int(theirs) + int(self.audiod))


def table(page: Path = PAGE) -> list[Difference]:
    """The rows between `<!-- table -->` and the next empty line; one for each line that a row names."""
    _, _, rest = page.read_text().partition("<!-- table -->\n")
    rows = []
    for line in rest.split("\n\n")[0].splitlines()[2:]:
        library, lines, *cells, why = (cell.strip() for cell in line.strip().strip("|").split("|"))
        said = [cell.strip("`") for cell in cells]
        rows += [Difference(library, key.strip("`"), *said, why) for key in lines.split(" or ")]
    return rows


def compare(
    library: str, theirs: list[str], ours: list[str], intended: list[Difference]
) -> tuple[list[str], list[Difference]]:
    """What differs and is not intended, and the rows that were met."""
    wrong: list[str] = []
    met: list[Difference] = []
    occurrences: dict[str, list[list[dict[str, str]]]] = {}
    for side, trace in enumerate((theirs, ours)):
        for line in trace:
            key, fields = parse(line)
            occurrences.setdefault(key, [[], []])[side].append(fields)
    for key, (left, right) in occurrences.items():
        for n in range(max(len(left), len(right))):
            a = left[n] if n < len(left) else {}
            b = right[n] if n < len(right) else {}
            for field in {**a, **b}:
                x, y = a.get(field, "-"), b.get(field, "-")
                if x == y:
                    continue
                rows = [row for row in intended if row.meets(library, key, field, x, y)]
                met += rows
                if not rows:
                    wrong.append(f"{key}: {field} is {x} under sndiod, {y} under audiod")
    return wrong, met
