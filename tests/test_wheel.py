"""What a user installs: the wheel's packages, and how its C was compiled."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the build tree, made from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", "-w", folder,
         "-C", f"build-dir={folder}/build", ROOT],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


def names(build: Path) -> list[str]:
    (wheel,) = build.glob("*.whl")
    return zipfile.ZipFile(wheel).namelist()


def test_three_packages_and_nothing_else_at_the_top(build: Path) -> None:
    tops = {n.partition("/")[0] for n in names(build)}
    assert {t for t in tops if not t.endswith((".dist-info", ".data"))} == {
        "audiod",
        "audiod_protocol",
        "audiod_client",
    }


def test_one_wheel_for_every_python_and_no_sources_of_c(build: Path) -> None:
    (wheel,) = build.glob("*.whl")
    assert "-cp311-abi3-" in wheel.name
    assert not [n for n in names(build) if n.endswith((".c", ".h", "CMakeLists.txt"))]
    assert [n for n in names(build) if n.startswith("audiod/engine/_lib") and n.endswith(".so")]
    assert {
        p for p in ("audiod", "audiod_protocol", "audiod_client") if f"{p}/py.typed" not in names(build)
    } == set()


def test_the_schemas_of_the_command_line(build: Path) -> None:
    folder = Path("clients/python/audiod_client/cli/schemas")
    shipped = {Path(n).name for n in names(build) if n.startswith("audiod_client/cli/schemas/")}
    assert shipped == {path.name for path in (ROOT / folder).iterdir()} and "streams.json" in shipped


def test_manual_pages(build: Path) -> None:
    (wheel,) = build.glob("*.whl")
    pages = [page for page in (ROOT / "docs/man").iterdir() if page.suffix.lstrip(".").isdigit()]
    assert {page.name for page in pages} >= {"audiod.8", "audioctl.1", "audiod.toml.5", "audiod-protocol.7"}
    with zipfile.ZipFile(wheel) as z:
        found = {n.partition(".data/data/")[2]: n for n in z.namelist() if ".data/data/" in n}
        assert found.keys() == {f"share/man/man{page.suffix[1:]}/{page.name}" for page in pages}
        for page in pages:
            assert z.read(found[f"share/man/man{page.suffix[1:]}/{page.name}"]) == page.read_bytes()


def test_executables(build: Path) -> None:
    (wheel,) = build.glob("*.whl")
    with zipfile.ZipFile(wheel) as z:
        entry = next(n for n in z.namelist() if n.endswith("entry_points.txt"))
        text = z.read(entry).decode()
    assert "audiod = audiod.__main__:main" in text and "audioctl = audiod_client.cli:main" in text


def test_the_engine_is_compiled_so_that_gcc_vectorises(build: Path) -> None:
    commands = json.loads(next((build / "build").rglob("compile_commands.json")).read_text())
    engine = [c["command"] for c in commands if c["file"].endswith(("conv.c", "resamp.c", "dev.c"))]
    assert engine
    for command in engine:
        flags = command.split()
        assert "-O3" in flags and "-ffp-contract=off" in flags
        assert "-fwrapv" not in flags[flags.index("-fno-wrapv") :]
