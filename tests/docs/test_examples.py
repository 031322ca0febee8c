"""Every example of the manuals and of the README does what its page shows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs.terminal import PATIENCE, Block, Command, Terminal, blocks, matches

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = [*sorted((ROOT / "docs/man").glob("*.scd")), README]
FIRST = "python3 -m venv .venv && .venv/bin/pip install -q '.[files]' && .venv/bin/audiod"
CHECK = "tests/check"


def examples() -> Iterator[pytest.ParameterSet]:
    for page in PAGES:
        found = blocks(page.read_text())
        first = next(block for block in found if block.commands[0].line != FIRST)
        server = first.commands[0] if first.server and len(first.commands) == 1 else Command("audiod")
        for block in found:
            if page == README and block.commands[0].line in (FIRST, CHECK):
                continue
            yield pytest.param(block, server, id=f"{page.name}:{block.line}")


@pytest.fixture(scope="session")
def tunes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the examples play: a word of speech, and a moment of music."""
    folder = tmp_path_factory.mktemp("tunes")
    for tool in ("espeak-ng", "sox"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed: tests/check installs it where it is root and has apt")
    subprocess.run(["espeak-ng", "-w", folder / "speech.wav", "Yes."], check=True)
    synth = ["synth", "0.5", "pluck", "A3", "sawtooth", "E4", "vol", "0.5"]
    subprocess.run(
        ["sox", "-R", "-D", "-n", "-b", "16", "-r", "44100", "-c", "2", folder / "music.flac", *synth],
        check=True,
    )
    return folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory that another user can reach."""
    with tempfile.TemporaryDirectory(prefix="audiod-docs-") as name:
        yield Path(name)


@pytest.mark.parametrize(("block", "server"), list(examples()))
def test_example(block: Block, server: Command, folder: Path, tunes: Path) -> None:
    for tune in tunes.iterdir():
        shutil.copy(tune, folder)
    for name, text in block.files.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o666)  # the reader's own
    (folder / ".venv").symlink_to(sys.prefix)
    with Terminal(folder) as terminal:
        asks = any(re.search(r"\b(audioctl|python3?)\b", command.line) for command in block.commands)
        if asks and not block.server:
            terminal.type(Command(server.line))
        for command in block.commands:
            terminal.type(command)
        terminal.finish()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_there_are_examples(page: Path) -> None:
    found = blocks(page.read_text())
    assert sum(len(block.commands) for block in found) >= 2
    for block in found:
        for name, text in block.files.items():
            assert text.startswith(f"# {name}\n")


def test_the_two_commands_of_the_readme(folder: Path) -> None:
    """The first, in a copy of the checkout, ends with a server in the foreground; the second is the check."""
    one, two = (b for b in blocks(README.read_text()) if b.commands[0].line in (FIRST, CHECK))
    assert [c.line for c in one.commands] == [FIRST]
    assert [c.line for c in two.commands] == [CHECK]
    assert os.access(ROOT / CHECK, os.X_OK)
    for name in ("LICENSE", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    for name in ("audiod", "clients", "docs", "protocol"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    # what the command would fetch from an index is taken from here
    here = {
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYTHONPATH": next(path for path in sys.path if path.endswith("site-packages")),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    private = f"{folder}/runtime.sock"
    (server,) = re.findall(r"\.venv/bin/audiod$", FIRST)
    line = FIRST.removesuffix(server) + f"exec {server} --sndio none --socket {private} --state none"
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            ["bash", "-c", line], cwd=folder, env={**os.environ, **here}, stdout=subprocess.PIPE, stderr=log
        )
    with process:
        try:
            assert process.stdout is not None
            greeting = process.stdout.readline().decode()
            told = (folder / "log").read_text()
            assert greeting == f"ready on {private}; in another terminal: audioctl play FILE\n", told
            process.terminate()
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
    assert list((folder / ".venv").glob("lib/python3*/site-packages/audiod/engine/_lib*.so"))
    assert (folder / ".venv/share/man/man8/audiod.8").exists()


# ---- what decides that an example is right ----


def test_output_that_differs_is_seen() -> None:
    assert matches("a ... c\n", "a b b c\n")
    assert matches("ID  NAME\n 1  x\n...\n", "ID    NAME\n 1  x\nanything\n")
    assert not matches("a b\n", "a c\n")
    assert not matches("a\n", "a\nb\n")
    assert not matches("a ... c\n", "a b d\n")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (Command("false"), "exit status 1"),
        (Command("audiod --check -f nul"), "exit status 2"),
        (Command("echo one", "two\n"), "printed:\none"),
        (Command("echo 'audiod: wrong'", "audiod: wrong\n"), "exit status 0"),
        (Command("audiod -f nul"), "there is no driver 'nul'"),
    ],
)
def test_an_example_that_is_wrong_fails(command: Command, words: str, folder: Path) -> None:
    with Terminal(folder) as terminal, pytest.raises(AssertionError, match=re.escape(words)):
        terminal.type(command)


def test_a_watcher_that_shows_something_else_fails(folder: Path) -> None:
    with Terminal(folder) as terminal:
        terminal.type(Command("audiod -f null"))
        terminal.type(Command("audioctl monitor", "output snd/0 60% (-16.8 dB)\n"))
        terminal.type(Command("audioctl volume 50%"))
        with pytest.raises(AssertionError, match="50%"):
            terminal.finish()


def test_a_block_of_no_known_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="line 2"):
        blocks("text\n```\nwhat is this\n```\n")
