"""What may follow on a command line, the scripts that ask for it, and that every word has a help text."""

from __future__ import annotations

import os
import pty
import shlex
import subprocess

import pytest
from audiod_client.cli import GROUPS, VERBS, application
from audiod_client.cli.complete import KINDS, arguments, complete, leaves
from audiod_client.cli.completion import SCRIPTS
from audiod_client.cli.context import GLOBAL_OPTIONS
from clients.audioctl import Cli
from clients.fake_audiod import FakeAudiod
from clients.fake_desk import device_row
from clients.rows import DUCKING, MPV

LEAVES = dict(leaves())


@pytest.fixture
def place(server: FakeAudiod, monkeypatch: pytest.MonkeyPatch) -> FakeAudiod:
    server.desk.devices.append(device_row(1, "null", default=False))
    rear = {"subdevice": "rear"}
    vlc = {**MPV, "id": 9, "name": "vlc"}
    server.desk.ducking = DUCKING
    server.rows = [dict(MPV), vlc, {**vlc, "id": 10, **rear}, {**MPV, "id": 11, "name": "a\nb", **rear}]
    return server


def words(line: str) -> list[str]:
    """Candidates for the last word of a line; a bar marks an empty one."""
    return [word for word, _ in complete([w.replace("|", "") for w in line.split()], os.environ)]


GLOBAL = ["--socket", "--json", "--quiet", "--no-color", "--help"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("|", list(VERBS)),
        ("mo", ["move", "monitor"]),
        ("--json mo", ["move", "monitor"]),
        ("bogus |", []),
        ("-", GLOBAL),
        ("--so", ["--socket"]),
        ("--socket |", [":files"]),
        ("status |", ["mpv", "9", "10"]),
        ("status --", GLOBAL),
        ("play |", [":files"]),
        ("play a.wav b", [":files"]),
        ("play --l", ["--loop", "--link"]),
        ("play --loop --l", ["--link"]),
        ("play --loop |", [":files"]),
        ("play a.wav --device |", ["snd/0", "snd/1", "snd/default", "snd/rear"]),
        ("play a.wav --device snd/r", ["snd/rear"]),
        ("play --name |", []),
        ("play --type |", ["voice", "music"]),
        ("play --enc s24", ["s24le3", "s24le"]),
        ("record --what", ["--what-plays"]),
        ("record a.wav |", []),
        ("volume |", [
            *("output", "input", "snd/1/output", "snd/1/input", "mpv", "vlc@default", "vlc@rear", "ab"),
            *("!", "+5%", "-5%", "50%", "100%", "-6dB"),
        ]),
        ("volume v", ["vlc@default", "vlc@rear"]),
        ("volume mpv -", [*GLOBAL, "-5%", "-6dB"]),
        ("mute mpv |", ["on", "off", "!"]),
        ("mute mpv on |", []),
        ("default |", ["snd/0", "snd/1"]),
        ("move |", ["mpv", "9", "10"]),
        ("move mpv |", ["snd/0", "snd/1", "snd/default", "snd/rear"]),
        ("config |", ["show", "check", "diff", "reload"]),
        ("config -", GLOBAL),
        ("config check |", [":files"]),
        ("config bogus |", []),
        ("export |", ["state", "config"]),
        ("completion |", ["bash", "zsh", "fish"]),
    ],
)  # fmt: skip
def test_candidates(line: str, expected: list[str], place: FakeAudiod) -> None:
    assert words(line) == expected


@pytest.mark.usefixtures("place")
def test_candidates_say_what_they_are() -> None:
    assert ("snd/rear", "on snd/0") in complete(["move", "mpv", ""], os.environ)
    assert ("9", "vlc") in complete(["move", ""], os.environ)
    assert ("mpv", "100% (0.0 dB)") in complete(["volume", ""], os.environ)
    assert ("volume", "Show and set volumes") in complete([""], os.environ)
    for line in ("volume --", "play --", "config "):
        assert all(what for _, what in complete(line.split(" "), os.environ))


# ---- the program that the scripts call ----


def test_the_program_prints_candidates_and_never_complains(cli: Cli) -> None:
    done = cli("__complete", "stat")
    assert done.stdout.decode() == "status\tShow whether audiod runs and how it does, or a stream\n"
    for words in ((), ("move", ""), ("--socket", "/nowhere/a.sock", "default", ""), ("", ""), ("x", "-")):
        done = cli("__complete", *words, AUDIOD_SOCKET="/nowhere/b.sock")
        assert (done.returncode, done.stderr) == (0, b"")


def test_completing_a_verb_loads_no_parser(cli: Cli) -> None:
    check = (
        "import sys; from audiod_client.cli import run; run(['__complete', 'mo']);"
        "print(sorted({'cyclopts', 'rich', 'trio'} & set(sys.modules)))"
    )
    done = cli.python(check)
    assert done.splitlines()[-1] == "[]"


# ---- scripts ----


def bash(cli: Cli, line: str) -> list[str]:
    """What bash would offer at the end of a line."""
    folder = cli.place / "bin"
    folder.mkdir(exist_ok=True)
    program = folder / "audioctl"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(cli.command())} "$@"\n')
    program.chmod(0o755)
    script = (
        f"source <(audioctl completion bash); COMP_LINE={shlex.quote(line)}; COMP_POINT=${{#COMP_LINE}};"
        f'_audioctl; printf "%s\\n" "${{COMPREPLY[@]}}"; complete -p audioctl'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env={**cli.env, "PATH": f"{folder}:{os.environ['PATH']}"},
        cwd=cli.place,
        capture_output=True,
        check=False,
    )
    *found, last = done.stdout.decode().splitlines()
    assert (last, done.stderr) == ("complete -F _audioctl audioctl", b"")
    return [word for word in found if word]


def test_bash(cli: Cli) -> None:
    cli.server.rows = [
        {**MPV, "name": "my player"},
        {**MPV, "id": 8, "name": "a:b"},
        {**MPV, "id": 9, "name": "a:c"},
    ]
    assert bash(cli, "audioctl mo") == ["move", "monitor"]
    assert bash(cli, "audioctl move m") == ["my\\ player"]
    assert bash(cli, "audioctl move a:") == ["b", "c"]
    assert bash(cli, "audioctl mute mpv ") == ["on", "off", "\\!"]
    cli.file("one.wav")
    assert bash(cli, "audioctl play o") == ["one.wav"]
    assert bash(cli, "audioctl bogus ") == []


@pytest.mark.parametrize("shell", SCRIPTS)
def test_scripts_know_no_words_of_their_own(shell: str, cli: Cli) -> None:
    script = cli("completion", shell).stdout.decode()
    assert script == SCRIPTS[shell]
    assert " __complete " in script and "2>/dev/null" in script and ":files" in script
    script = script.partition("\n_audioctl")[2] or script.partition("\nfunction")[2]
    assert not [verb for verb in VERBS if verb in script.split()]


# ---- help ----


def test_every_verb_is_described(cli: Cli) -> None:
    lines = cli.text("--help").splitlines()
    shown = {line[1:14].strip(): line[14:].rstrip(" │") for line in lines if line.startswith("│")}
    assert {verb: shown.get(verb, "").strip() for verb in VERBS} == {
        v: what for v, (_, what) in VERBS.items()
    }
    assert list(shown)[: len(VERBS)] == list(VERBS)
    assert all(any(line.strip().startswith(name) for line in lines) for name in GLOBAL_OPTIONS)
    assert cli.text() == "\n".join(lines) + "\n"


@pytest.mark.parametrize("verb", LEAVES)
def test_every_word_of_a_verb_is_described_and_can_be_completed(verb: str) -> None:
    leaf = LEAVES[verb]
    assert leaf.help.partition("\n")[0].endswith((".", ":", "`")), leaf.help
    for argument in arguments(leaf):
        assert argument.parameter.help, argument.name
        assert argument.name in KINDS or argument.name == "DEVICE"
        assert argument.hint is not bool or KINDS[argument.name] == ()


def test_each_verb_is_a_file_that_begins_with_what_it_does() -> None:
    root = application(listing=False)
    for verb in VERBS:
        module = __import__(f"audiod_client.cli.{verb}", fromlist=[verb])
        assert module.__doc__.startswith(f"`audioctl {verb}`: ")
        assert module.__all__[-1] == verb
        assert root[verb].help or verb in GROUPS


@pytest.mark.parametrize("verb", LEAVES)
def test_help_fits_a_terminal(verb: str, cli: Cli) -> None:
    out = cli.text(*verb.split(), "--help")
    assert out.startswith(f"Usage: audioctl {verb.split()[0]}")
    assert "--json" in out


def test_no_color(cli: Cli) -> None:
    for words, env, colored in (((), {}, True), (("--no-color",), {}, False), ((), {"NO_COLOR": "1"}, False)):
        parent, child = pty.openpty()
        with subprocess.Popen(
            cli.command("devices", *words), stdout=child, env={**cli.env, "TERM": "xterm", **env}
        ) as process:
            os.close(child)
            out = b""
            try:
                while data := os.read(parent, 4096):
                    out += data
            except OSError:  # how a terminal says that nobody writes to it any more
                pass
        os.close(parent)
        assert process.returncode == 0
        assert (b"\x1b[" in out) == colored
