"""The manual pages: made of their sources, without a lint; they tell all that programs take, and no more."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from audiod_client.cli import VERBS
from audiod_client.cli.complete import arguments, leaves
from audiod_client.cli.context import GLOBAL_OPTIONS
from audiod_protocol.validate import METHODS

from audiod import options, schema, spec, usage

ROOT = Path(__file__).resolve().parents[2]
MAN = ROOT / "docs/man"
PAGES = {path.name: path for path in MAN.iterdir() if path.suffix.lstrip(".").isdigit()}


def source(name: str) -> str:
    return (MAN / f"{name}.scd").read_text()


def bold(text: str) -> set[str]:
    return set(re.findall(r"\*([^*\n]+)\*", text))


def section(name: str, head: str) -> str:
    return source(name).partition(f"\n# {head}\n")[2].partition("\n# ")[0]


def terms(text: str) -> set[str]:
    """What entries of lists begin with: the bold words of lines that an indented text explains."""
    found = re.findall(r"^\t*(\*.*)\n(?=\t)", text, re.MULTILINE)
    return set().union(*map(bold, found)) if found else set()


def test_the_pages() -> None:
    assert set(PAGES) == {"audiod.8", "audioctl.1", "audiod.toml.5", "audiod-protocol.7"}
    assert {f"{name}.scd" for name in PAGES} == {path.name for path in MAN.glob("*.scd")}


def test_pages_are_made_of_their_sources(tmp_path: Path) -> None:
    if shutil.which("scdoc") is None:
        pytest.skip("scdoc is not installed: tests/check installs it where it is root and has apt")
    subprocess.run([sys.executable, MAN / "generate.py", tmp_path], check=True)
    for name, path in PAGES.items():
        assert (tmp_path / name).read_text() == path.read_text(), "run docs/man/generate.py and commit"


@pytest.mark.parametrize("name", sorted(PAGES))
def test_mandoc_has_nothing_to_say(name: str) -> None:
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not installed: tests/check installs it where it is root and has apt")
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", PAGES[name]], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_sections_and_references() -> None:
    for name in PAGES:
        text, own = source(name), re.sub(r"\.(\d)$", r"(\1)", name)
        heads = re.findall(r"^# (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), re.M)
        assert heads[0] == "NAME" and heads[-2:] == ["EXAMPLES", "SEE ALSO"], heads
        seen = re.findall(r"\*([a-z._-]+)\*\((\d)\)", section(name, "SEE ALSO"))
        assert seen == sorted(seen, key=lambda page: (page[1], page[0])), "by section, then by name"
        ours = {re.sub(r"\.(\d)$", r"(\1)", page) for page in PAGES}
        assert own not in {f"{page}({number})" for page, number in seen}
        for page, number in re.findall(r"\*(audio[a-z.-]*)\*\((\d)\)", text):
            assert f"{page}({number})" in ours


def test_all_options_of_audiod() -> None:
    letters = {f"-{letter}" for letter in options.LETTERS if letter != ":"}
    wanted = letters | {f"--{name.rstrip('=')}" for name in options.LONG}
    assert terms(section("audiod.8", "OPTIONS")) - {"none"} == wanted
    synopsis = section("audiod.8", "SYNOPSIS")
    assert {word for word in bold(synopsis) if word[0] == "-"} == wanted - {"-h"}
    as_sndiod = bold(section("audiod.8", "AS SNDIOD"))
    assert {word for word in as_sndiod if word[0] == "-"} == letters - {"-h"}, "every letter, once"


def test_help_lists_them_too() -> None:
    said = set(re.findall(r"(?<![\w-])--?[A-Za-z][a-z-]*", usage.USAGE))
    letters = {f"-{letter}" for letter in options.LETTERS if letter != ":"}
    assert said | {"-h"} == letters | {f"--{name.rstrip('=')}" for name in options.LONG}


def test_all_keys_of_a_spec() -> None:
    text = section("audiod.8", "DEVICES")
    keys = {key for keys in spec._KEYS.values() for key in keys}
    found = terms(text)
    assert {
        term for term in found if not term.startswith(("alsa", "rsnd/", "null", "file:", "loopback"))
    } == keys
    for driver in set(spec.DRIVERS) - {"manual"}:
        assert any(term.startswith(driver) for term in found), driver


@pytest.mark.parametrize(
    ("head", "keys"),
    [
        ("SERVER", schema.TABLES["server"]),
        ("SNDIO", schema.TABLES["sndio"]),
        ("DEFAULTS", schema.TABLES["defaults"]),
        ("MIDI", schema.TABLES["midi"]),
        ("STATE", schema.TABLES["state"]),
        ("CARDS", schema.TABLES["cards"]),
        ("SNDSTAT", schema.TABLES["sndstat"]),
        ("DEVICE", schema.DEVICE),
        ("SUB-DEVICE", schema.SUBDEVICE),
        ("DUCKING", schema.LISTED["audio_type"]),
        ("FILE OF DUCKING", schema.TABLES["ducking"]),
        ("RAMPS", schema.LISTED["vol_ramp"]),
        ("PROGRAMS", schema.LISTED["program"]),
    ],
)
def test_all_keys_of_the_configuration(head: str, keys: dict[str, object]) -> None:
    assert terms(section("audiod.toml.5", head)) == set(keys)
    tables = {"server", "sndio", "defaults", "state", "ducking", "cards", "midi", "sndstat"}
    assert tables == set(schema.TABLES), "a table without a section"


def test_all_verbs_of_audioctl_and_their_options() -> None:
    text = source("audioctl.1").partition("# LOOKING\n")[2].partition("# ENVIRONMENT")[0]
    entries = re.split(r"^(?=\*[a-z])", text, flags=re.MULTILINE)[1:]
    found = {}
    for entry in entries:
        head = entry.partition("\n")[0]
        words = re.match(r"\*([a-z]+(?: [a-z]+)?)\*", head)
        assert words is not None, head
        found[words[1].replace("export state", "export").replace("completion bash", "completion")] = entry
    wanted = dict(leaves())
    assert set(found) == set(wanted)
    assert {name.partition(" ")[0] for name in found} == set(VERBS)
    for name, leaf in wanted.items():
        options_of = {a.name for a in arguments(leaf) if a.name.startswith("-")}
        told = {term for term in terms(found[name]) if term.startswith("--")}
        assert told == options_of, name
        for argument in arguments(leaf):
            if argument.name[0] != "-" and not re.search(r"\|", found[name].partition("\n")[0]):
                assert f"_{argument.name.removesuffix('S')}_" in found[name].partition("\n")[0], name


def test_global_options_of_audioctl() -> None:
    wanted = {word for names in GLOBAL_OPTIONS for word in names.replace(",", "").split() if word[0] == "-"}
    assert terms(section("audioctl.1", "DESCRIPTION")) == wanted | {"--help", "--version"}


def test_exit_statuses() -> None:
    from audiod_client import cli

    told = set(re.findall(r"^(\d+)$", section("audioctl.1", "EXIT STATUS"), re.MULTILINE))
    codes = (cli.OK, cli.FAILED, cli.USAGE, cli.NO_DAEMON, cli.NOT_PERMITTED, cli.INTERRUPTED)
    assert told == {str(code) for code in codes}
    assert set(re.findall(r"^(\d+)$", section("audiod.8", "EXIT STATUS"), re.MULTILINE)) == {"0", "1", "2"}


def test_all_messages_of_the_protocol() -> None:
    assert terms(section("audiod-protocol.7", "REQUESTS")) == set(METHODS)
    specification = (ROOT / "protocol/README.md").read_text()
    notifications = specification.partition("\n## 12. Notifications\n")[2].partition("\n## 13.")[0]
    told = terms(section("audiod-protocol.7", "NOTIFICATIONS"))
    assert told == set(re.findall(r"^### (\w+)$", notifications, re.MULTILINE))
    assert "_protocol/README.md_" in source("audiod-protocol.7")
