"""What the engine's threads never do: allocate, free, map, lock, wait; and no Python in the engine.

The guard (tests/lab/guard.c) counts what the threads of a busy engine do, and
can plant each breach, which the same check must then find.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from lab import virtcards

from audiod.engine import _lib

TESTS = Path(__file__).parent.parent
FORBIDDEN = ("alloc", "free", "map", "lock", "wait")


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lib = tmp_path_factory.mktemp("guard") / "guard.so"
    warnings = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Werror"]
    source = TESTS / "lab" / "guard.c"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", *warnings, "-o", lib, source, "-ldl"], check=True)
    return lib


def watch(guard: Path, plant: str = "", *devices: str, **more: str) -> dict[str, dict[str, int]]:
    """What each thread of a busy engine did while it was watched; `more` goes into its environment."""
    env = os.environ | {"LD_PRELOAD": str(guard), "GUARD_PLANT": plant} | more
    command = [sys.executable, TESTS / "lab" / "guarded.py", *devices]
    run = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    restarts = report["restarts"]
    assert all(restarts.values()), f"streams of either protocol stopped and started meanwhile: {restarts}"
    assert report["held"] > 20, "streams stood still and ran on meanwhile"
    threads: dict[str, dict[str, int]] = report["threads"]
    assert set(threads) == {"pump", "0", "1"}
    assert all(t["wake"] >= 20 for t in threads.values()), f"each of them was watched at work: {threads}"
    return threads


def breaches(threads: dict[str, dict[str, int]]) -> set[tuple[str, str]]:
    return {(name, what) for name, t in threads.items() for what in FORBIDDEN if t[what]}


def test_no_thread_of_the_engine_allocates_locks_or_waits(guard: Path) -> None:
    assert breaches(watch(guard)) == set()


def test_nor_does_it_on_a_sound_card(guard: Path, tmp_path: Path) -> None:
    """On a plug-in, of which libasound locks each call unless told not to; on hw: it never does."""
    if lacking := virtcards.missing():
        pytest.skip(f"{lacking}: tests/check installs it where it is root and has apt")
    with virtcards.virtcards(tmp_path, channels="[ 4 ]") as cards:
        devices = "alsa:hw:0", "null"
        unlocked = watch(guard, "", *devices, LIBASOUND_THREAD_SAFE="0", **cards.env)
        assert breaches(unlocked) == set()
        locked = watch(guard, "", *devices, LIBASOUND_THREAD_SAFE="1", **cards.env)
        assert breaches(locked) == {("0", "lock")}, "the check sees what happens within libasound"


@pytest.mark.parametrize(("plant", "what"), [("malloc", "alloc"), ("free", "free"), ("lock", "lock")])
def test_a_planted_breach_is_found(guard: Path, plant: str, what: str) -> None:
    assert breaches(watch(guard, plant)) == {(name, what) for name in ("pump", "0", "1")}


def python_symbols(path: Path) -> list[str]:
    """Symbols of Python's C API that an object or archive needs."""
    command = ["nm", "--undefined-only", *(["-D"] if path.suffix == ".so" else []), str(path)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    names = [line.split()[-1] for line in out.splitlines() if " U " in line]
    return [n for n in names if n.startswith(("Py", "_Py"))]


def test_only_the_boundary_knows_python() -> None:
    archives = list((TESTS.parent / "build").glob("cp*/libengine.a"))
    assert archives, "the editable install leaves the engine's archive in build/"
    for archive in archives:
        assert python_symbols(archive) == []
    assert "PyErr_Occurred" in python_symbols(Path(_lib.__file__)), "the check sees them where they are"
