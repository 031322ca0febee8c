"""A terminal for tests: what the manuals and the README show is typed as a reader would type it.

Owns what an example is.  A *console* block has commands behind `$ ` and, below
each, what it prints, where `...` stands for anything; a shell block has commands
alone.  A command that stays in the foreground (audiod, audioctl monitor and
events) goes on while those behind it are typed, "in another terminal".  A block
whose first line is `# NAME.SUFFIX` is a file.  There is no other kind.

A Terminal is a directory with sounds, a home and a runtime directory of its own,
and a user who is not root: examples find no other server, and none finds theirs.
One thing is added to what a page shows, since nothing else makes sndio's socket
private: an `audiod` that is not told where to have it gets `--sndio none`.
Nothing waits for a time: each wait is for something that must come.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from native import Message, Native

BIN = Path(sys.executable).parent
PATIENCE = 60  # seconds until a test gives up on what must come
OTHER_TERMINAL = "# in another terminal"
NOBODY = 65534
CAP_DAC_OVERRIDE = 1
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# ([a-z]+\.[a-z]+)\n")
_WRONG = re.compile(r"(audiod|audioctl|[a-z]+\.toml:[0-9]+): ")
_MARK = re.compile(r"^.*\bterminal[a-z]\b.*\n", re.MULTILINE)
_STAYS = re.compile(r"audioctl (monitor|events)\b|audiod\b(?!.*\s(--check|--demo|--help|--version)\b)")


@dataclass
class Command:
    """One line to type; `shown`: what is printed, or None where that is not shown."""

    line: str
    shown: str | None = None

    @property
    def stays(self) -> bool:
        return _STAYS.match(self.line) is not None and not self.fails

    @property
    def background(self) -> bool:
        return self.line.endswith(" &")

    @property
    def fails(self) -> bool:
        """Whether an error is shown."""
        return self.shown is not None and _WRONG.match(self.shown) is not None


@dataclass
class Block:
    """One example: what is typed, and the files that were shown before it on its page."""

    line: int
    commands: list[Command] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    @property
    def server(self) -> bool:
        return any(re.match(r"audiod\b", command.line) and command.stays for command in self.commands)


def blocks(text: str) -> list[Block]:
    """The examples of a page in scdoc or Markdown.  Raises ValueError for a block of no known kind."""
    found = []
    files: dict[str, str] = {}
    for match in _FENCE.finditer(text):
        block = Block(text.count("\n", 0, match.start()) + 1, files=dict(files))
        language, body = match[1], match[2]
        if name := _FILE.match(body):
            files[name[1]] = body
            continue
        if language == "sh":
            lines = [line.partition(" # ")[0].strip() for line in body.splitlines()]
            block.commands = [Command(line) for line in lines if line]
        elif body.startswith("$ "):
            block.commands = list(_console(body))
        else:
            raise ValueError(f"line {block.line}: neither commands nor a file: {body[:40]!r}")
        found.append(block)
    return found


def _console(body: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        line, _, shown = part.partition("\n")
        shown = shown.removesuffix(OTHER_TERMINAL + "\n")
        yield Command(line, shown or None)


def matches(shown: str, printed: str) -> bool:
    """Whether a page shows what was printed: `...` is anything, and spaces are as wide as they need to be."""
    pieces = [
        r"\s+".join(map(re.escape, piece.split(" "))) for piece in re.sub(" +", " ", shown).split("...")
    ]
    return re.fullmatch(".*?".join(pieces), re.sub(" +", " ", printed), re.DOTALL) is not None


def _drop_privileges() -> list[str]:
    """What a command is begun with to be another user's, who may still read the checkout, wherever it is."""
    if os.geteuid():
        return []
    user = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    own = re.search(r"^CapEff:\s*(\w+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    if own is not None and int(own[1], 16) >> CAP_DAC_OVERRIDE & 1:
        user += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    return ["setpriv", *user, "--"]


class Terminal:
    """A shell in `folder` and what it was told to start; everything of it has ended when it is closed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {
            "PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "LANG": "C.UTF-8",
        }
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        self._socket = folder / "audiod" / "audiod.sock"
        self._count = 0
        self._watchers: list[tuple[Command, subprocess.Popen[str], Path]] = []
        self._later: list[tuple[Command, Path]] = []
        self._native: Native | None = None
        self._sounding: set[int] = set()
        read, write = os.pipe()
        self._done = os.fdopen(read)
        self._shell = subprocess.Popen(
            [*_drop_privileges(), "bash", "--norc"],
            stdin=subprocess.PIPE,
            cwd=folder,
            env=self.env,
            text=True,
            pass_fds=[write],
        )
        self._done_fd = write

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exc: object) -> None:
        self._end()

    def type(self, command: Command) -> None:
        """Run one command as far as its page goes on; AssertionError if it does something else."""
        if command.stays:
            self._stay(command)
            return
        code, output = self._run(command.line)
        if command.background:
            self._later.append((command, output))
            self._sounds()
            return
        printed = output.read_text()
        failed = code != 0
        assert failed == command.fails, f"{command.line}: exit status {code}: {printed}{self.log}"
        self._compare(command, printed)

    def finish(self) -> None:
        """The reader ends what goes on; what it has printed is compared."""
        for command, process, output in reversed(self._watchers):
            if command.line.startswith("audioctl"):
                self._mark(output, process)
                process.send_signal(signal.SIGINT)
            else:
                self._jobs()
                process.terminate()
            code = process.wait(PATIENCE)
            assert code == 0, f"{command.line}: exit status {code}: {self.log}"
            printed = output.read_text()
            self._compare(command, _MARK.sub("", printed))
        self._jobs()

    @property
    def log(self) -> str:
        path = self.folder / "audiod.log"
        return path.read_text() if path.exists() else ""

    def _compare(self, command: Command, printed: str) -> None:
        if command.shown is not None:
            assert matches(command.shown, printed), (
                f"{command.line}\nshown:\n{command.shown}\nprinted:\n{printed}{self.log}"
            )

    def _file(self) -> Path:
        self._count += 1
        return self.folder / f".output{self._count}"

    def _run(self, line: str) -> tuple[int, Path]:
        """One line in the shell: its exit status, and the file of what it printed."""
        output = self._file()
        assert self._shell.stdin is not None
        self._shell.stdin.write(
            f"{{ {line}\n}} >{shlex.quote(str(output))} 2>&1 </dev/null; echo $? >&{self._done_fd}\n"
        )
        self._shell.stdin.flush()
        return int(self._line(self._done)), output

    def _line(self, stream: IO[str]) -> str:
        ready, _, _ = select.select([stream], [], [], PATIENCE)
        assert ready, f"nothing came for {PATIENCE} s\n{self.log}"
        return stream.readline()

    # ---- commands that stay ----

    def _stay(self, command: Command) -> None:
        output = self._file()
        server = command.line.startswith("audiod")
        line = command.line
        if server and not re.search(r"\s(--sndio|-U)\b", line):
            line = line.replace("audiod", "audiod --sndio none", 1)
        with output.open("w") as out, (self.folder / "audiod.log").open("a") as log:
            process = subprocess.Popen(
                [*_drop_privileges(), "bash", "-c", f"exec {line}"],
                stdout=subprocess.PIPE if server else out,
                stderr=log,
                cwd=self.folder,
                env=self.env,
                text=True,
            )
        self._watchers.append((command, process, output))
        if server:
            assert process.stdout is not None
            greeting = self._line(process.stdout)
            process.stdout.close()
            assert greeting.startswith("ready on "), f"{command.line}: {self.log}"
            output.write_text(greeting)
            if unit := re.search(r"\s-U ?([0-9]+)\b", line):
                self._socket = self._socket.with_name(f"audiod-{unit[1]}.sock")
            self._native = Native(self._socket, hello="terminal")
            self._native.call("subscribe", topics=["streams"])
        else:
            self._mark(output, process)

    def _mark(self, output: Path, process: subprocess.Popen[str]) -> None:
        """Come and go as a program until a watcher shows it: it has shown all before, and will all after."""
        for letter in "abcdefghijklmnopqrstuvwxyz" * 100:
            name = f"terminal{letter}"
            before = output.read_text().count(name)
            with Native(self._socket, hello=name) as program:
                program.call("open", mode="play")
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
                raise AssertionError(f"it has ended: {output.read_text()}{self.log}")
            if output.read_text().count(name) > before:
                return
        raise AssertionError(f"it shows nothing: {output.read_text()}{self.log}")

    def _sounds(self) -> None:
        """Wait until a stream has been started that was not before, and runs, or has ended already."""
        native = self._native
        assert native is not None, "no server"

        def started(message: Message) -> bool:
            if message[:2] != [2, "changed"]:
                return False
            row = message[2][1]
            return row["state"] in ("priming", "running") and row["id"] not in self._sounding

        message = next(filter(started, native.seen), None) or native.until(started)
        ident = message[2][1]["id"]
        self._sounding.add(ident)
        while any(
            row["id"] == ident and row["state"] == "priming" for row in native.call("streams")["streams"]
        ):
            pass

    def _jobs(self) -> None:
        """End what was started with &, by its number, and see what it printed."""
        self._run("for job in $(jobs -p); do kill $job 2>/dev/null; done; wait")
        while self._later:
            command, output = self._later.pop()
            self._compare(command, output.read_text())

    def _end(self) -> None:
        if self._native is not None:
            self._native.close()
        for _, process, _ in self._watchers:
            if process.poll() is None:
                process.kill()
                process.wait(PATIENCE)
        assert self._shell.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._shell.stdin.close()
        self._shell.wait(PATIENCE)
        os.close(self._done_fd)
        self._done.close()
