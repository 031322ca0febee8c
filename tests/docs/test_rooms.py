"""docs/architecture.md names every file of the daemon, and none that is not there; links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/architecture.md").read_text()
PLAIN = {"__init__", "__main__"}  # of Python packages


def part(begin: str, end: str) -> str:
    found = TEXT.partition(begin)[2].partition(end)[0]
    assert found, f"no part {begin!r}"
    return found


def test_every_module_of_the_daemon() -> None:
    daemon = part("audiod/                 the daemon\n", "  cards/")
    assert first_words(daemon) == modules("audiod")


def test_every_module_of_cards() -> None:
    assert first_words(part("  cards/                sound cards\n", "  midi/")) == modules("audiod/cards")


def test_every_module_of_midi() -> None:
    assert first_words(part("  midi/                 MIDI\n", "  sndstat/")) == modules("audiod/midi")


def test_every_module_of_sndstat() -> None:
    rows = part(
        "  sndstat/              what FreeBSD's sndstat tells of devices, told of ours\n", "  engine/"
    )
    assert first_words(rows) == modules("audiod/sndstat")


def first_words(rows: str) -> set[str]:
    return set(re.findall(r"\w+", "\n".join(line[:35] for line in rows.splitlines()))) - PLAIN


def modules(folder: str) -> set[str]:
    return {path.stem for path in (ROOT / folder).glob("*.py")} - PLAIN


def test_every_file_of_the_engine() -> None:
    told = set()
    for row in re.findall(r"^\| (`.*?) \|", part("## The engine", "## One block"), re.MULTILINE):
        told |= set(re.findall(r"`([\w.*]+)`", row))
    sources = {path.name for path in (ROOT / "audiod/engine").glob("*.c")}
    named = {name if "." in name else f"{name}.c" for name in told}
    drivers = {name for name in sources if name.startswith("driver_")}
    assert "driver_*.c" in named
    assert {name for name in named if name.endswith(".c") and "*" not in name} == sources - drivers
    for name in named:
        assert list((ROOT / "audiod/engine").glob(name)), f"{name} is not there"


PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "protocol").glob("*.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target
