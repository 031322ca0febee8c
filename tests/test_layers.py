"""Who may import whom: the rooms of docs/architecture.md, read from the imports themselves.

Every import counts, also one inside a function, but for those under TYPE_CHECKING.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STDLIB = sys.stdlib_module_names
PACKAGES = {
    "audiod": ROOT / "audiod",
    "audiod_protocol": ROOT / "protocol/audiod_protocol",
    "audiod_client": ROOT / "clients/python/audiod_client",
}
ENGINE_C = ROOT / "audiod/engine"


def modules() -> dict[str, Path]:
    found = {}
    for package, folder in PACKAGES.items():
        for path in folder.rglob("*.py"):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            found[".".join(p for p in parts if p != "__init__")] = path
    return found


def typing_only(tree: ast.AST) -> set[ast.AST]:
    inside: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for child in node.body:
                inside.update(ast.walk(child))
    return inside


def imports(path: Path, module: str) -> set[str]:
    """Full names of what a module imports at run time."""
    tree = ast.parse(path.read_text())
    skip, found = typing_only(tree), set()
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if node in skip:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*up, base] if base else up)
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return found


def tops(names: set[str]) -> set[str]:
    return {n.partition(".")[0] for n in names} - STDLIB


MODULES = modules()


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith("audiod_protocol")])
def test_protocol_imports_the_standard_library_and_msgpack(module: str) -> None:
    names = imports(MODULES[module], module)
    allowed = {"audiod_protocol", "msgpack"} | ({"msgspec"} if module.endswith(".validate") else set())
    assert tops(names) <= allowed
    assert not {"socket", "threading", "time", "select", "asyncio"} & {n.partition(".")[0] for n in names}


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith("audiod_client")])
def test_client_imports_the_protocol_only(module: str) -> None:
    allowed = {"audiod_client", "audiod_protocol"}
    if module == "audiod_client.aio":
        allowed |= {"trio"}
    if module.startswith("audiod_client.cli"):
        allowed |= {"cyclopts", "rich", "soundfile", "numpy"}
    assert tops(imports(MODULES[module], module)) <= allowed


@pytest.mark.parametrize("module", [m for m in MODULES if m.partition(".")[0] == "audiod"])
def test_daemon_layers(module: str) -> None:
    names = imports(MODULES[module], module)
    allowed = {"audiod", "audiod_protocol", "audiod_client", "trio", "structlog", "msgspec"}
    if module == "audiod.cards.bus":
        allowed |= {"jeepney"}
    if module == "audiod.hotplug":
        allowed |= {"pyudev"}
    assert tops(names) <= allowed
    if "audiod_client" in tops(names):
        assert module == "audiod.demo", "only the demo is a client of the daemon it runs in"
    if module not in (f"audiod.engine.{name}" for name in ("handles", "streams", "structs")):
        assert not any(n.startswith("audiod.engine._lib") for n in names)
    if module.startswith("audiod.engine"):
        assert tops(names) <= {"audiod"} and all(
            n.startswith("audiod.engine") for n in names if n.startswith("audiod")
        )
    if module in (
        "audiod.policy",
        "audiod.core",
        "audiod.spec",
        "audiod.controls",
        "audiod.program",
        "audiod.saved",
        "audiod.midi.messages",
        "audiod.midi.outbox",
        "audiod.midi.hub",
    ):
        assert "trio" not in tops(names), "plain data and pure choices know no tasks"
        assert not any(n.startswith(("audiod.server", "audiod.session", "audiod.devices")) for n in names)


def c_includes(path: Path) -> set[str]:
    return set(re.findall(r'^#include "([^"]+)"', path.read_text(), re.M))


DSP = ("conv.c", "gain.c", "fade.c", "cmap.c", "resamp.c", "resamp_design.c")


@pytest.mark.parametrize("name", DSP)
def test_dsp_knows_nothing_above_it(name: str) -> None:
    above = {"engine.h", "api.h", "ring.h", "driver.h", "conn.h", "msg.h", "drivers.h"}
    assert not c_includes(ENGINE_C / name) & above


def test_drivers_see_the_driver_contract_only() -> None:
    files = [*ENGINE_C.glob("driver*.c"), *(ENGINE_C / n for n in ("tick.c", "echo.c", "wavefile.c"))]
    assert len(files) > 5
    for path in files:
        assert not c_includes(path) & {"engine.h", "api.h", "ring.h", "conn.h", "msg.h"}, path.name


def test_nobody_but_the_table_names_a_driver() -> None:
    for path in ENGINE_C.glob("*.c"):
        if path.name.startswith("driver"):
            continue
        assert not re.search(r"\bdrv_(null|file|loopback|manual)\b", path.read_text()), path.name


def test_the_engine_is_free_of_python() -> None:
    for path in [*ENGINE_C.glob("*.c"), *ENGINE_C.glob("*.h")]:
        assert "Python.h" not in path.read_text(), path.name


def test_a_short_verb_loads_neither_trio_nor_numpy() -> None:
    code = (
        "import sys\nfrom audiod_client.cli import main\n"
        "try:\n main(['--socket', '/nonexistent/audiod.sock', 'status'])\nexcept SystemExit: pass\n"
        "print(sorted({'trio', 'numpy', 'rich', 'soundfile', 'structlog'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.splitlines()[-1] == "[]"


def test_long_files_have_their_reason() -> None:
    """More than 500 lines: only with a reason in docs/adr/0008."""
    reasons = (ROOT / "docs/adr/0008-files-of-more-than-500-lines.md").read_text()
    known = set(re.findall(r"^\| `([^`]+)` \|", reasons, re.M))
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    long = {
        name
        for name in tracked.stdout.split("\0")
        if name.endswith((".py", ".c", ".h")) and (ROOT / name).exists()
        if len((ROOT / name).read_text().splitlines()) > 500
    }
    assert long <= known, "split it by noun, or give the reason"
    assert known <= long, "no longer as long: take it off the list"
