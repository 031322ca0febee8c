"""libsndio cannot tell audiod from sndiod: traces of our conformance program agree, but for what is intended.

Debian's sndiod is the model; the program runs with Debian's libsndio and, where
the environment's SNDIO_HEAD has the prefix of a newer one, with that too; of controls, the
newer libsndio is compared under its own sndiod.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import units
from sndio import traces
from sndio.card import HEAD, Cards, Server, audiod, build, cards, need, sndiod

# one of each: joined on the left, monitored, of one direction, started by MMC, of the other card
SUBS = [
    *["-L", "127.0.0.1", "-f", "rsnd/0", "-s", "default", "-c", "0:0", "-s", "left", "-c", "0:1"],
    *["-m", "play,mon", "-s", "mon", "-m", "play", "-s", "playonly", "-m", "rec", "-s", "reconly"],
    *["-m", "play,rec", "-t", "slave", "-s", "tape", "-t", "off", "-f", "rsnd/1", "-s", "ramp"],
]
Traces = tuple[list[str], list[str]]  # under sndiod, under audiod
NEWER = "ctl-"  # scenarios in which the newest libsndio says what only the newest sndiod understands
ROUNDS = 4  # a difference is one if it comes each time; what does not was this machine's doing


@contextmanager
def on_cards(start: Callable[..., Server]) -> Iterator[tuple[Cards, Server]]:
    """A server; audiod without dither, which sndiod lacks, so that samples can be compared."""
    devices = [f"{word}?dither=off" if start is audiod and "rsnd/" in word else word for word in SUBS]
    with cards() as made, units.unit() as number:
        server = start(made.folder, number, *devices, env=made.env)
        try:
            yield made, server
        finally:
            server.stop()


def compared(library: str, program: Path, names: list[str], model: Callable[..., Server]) -> Traces:
    """Both traces; scenarios with differences that are not intended are run again."""
    every = names
    found: list[dict[str, list[str]]] = [{}, {}]
    with on_cards(model) as left, on_cards(audiod) as right, ThreadPoolExecutor(2) as pool:
        for attempt in range(ROUNDS):
            runs = [pool.submit(traces.run, program, names, attempt, *side) for side in (left, right)]
            for side, run in zip(found, runs, strict=True):
                side.update(run.result())
            theirs, ours = ([line for name in every for line in side[name]] for side in found)
            wrong, _ = traces.compare(library, theirs, ours, traces.table())
            names = [name for name in every if any(line.startswith(f"{name}/") for line in wrong)]
            if not names:
                break
    return theirs, ours


@pytest.fixture(scope="module", params=["1.9", "HEAD"])
def library(request: pytest.FixtureRequest, monkeymodule: pytest.MonkeyPatch) -> tuple[str, Path]:
    """A generation of libsndio, and the program linked with it."""
    need("sndiod")
    if request.param == "1.9":
        return request.param, build("conform")
    prefix = os.environ.get(HEAD)
    if not prefix:
        pytest.skip(f"{HEAD} is not set: it takes the prefix that sndio's newest release is installed under")
    monkeymodule.setenv("LD_LIBRARY_PATH", f"{prefix}/lib")
    return request.param, build("conform-head", SNDIO_HEAD=prefix)


@pytest.fixture(scope="module")
def monkeymodule():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def both(library: tuple[str, Path]) -> Traces:
    """The traces under sndiod and under audiod."""
    name, program = library
    newer = [one for one in traces.scenarios(program) if one.startswith(NEWER) and name == "HEAD"]
    names = [one for one in traces.scenarios(program) if one not in newer]
    theirs, ours = compared(name, program, names, sndiod)
    if newer:
        model = partial(sndiod, tool=Path(os.environ[HEAD]) / "bin" / "sndiod")
        for trace, more in zip((theirs, ours), compared(name, program, newer, model), strict=True):
            trace += more
    return theirs, ours


def test_the_library_is_of_that_generation(library: tuple[str, Path]) -> None:
    name, program = library
    has = subprocess.run([program, "-x"], check=True, capture_output=True, text=True).stdout.strip()
    assert has == ("yes" if name == "HEAD" else "no"), "sio_onxrun came after 1.9"


def test_traces_agree_but_for_what_is_intended(library: tuple[str, Path], both: Traces) -> None:
    theirs, ours = both
    assert len(theirs) > 570
    wrong, _ = traces.compare(library[0], theirs, ours, traces.table())
    assert not wrong, "\n".join(["", *wrong])


def test_each_intended_difference_is_met(library: tuple[str, Path], both: Traces) -> None:
    """A row that no line meets is out of date."""
    rows = traces.table()
    _, met = traces.compare(library[0], *both, rows)
    assert [row for row in rows if row.library in ("any", library[0]) and row not in met] == []
