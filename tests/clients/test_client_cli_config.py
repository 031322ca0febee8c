"""`audioctl config` and `export`: what they ask and print."""

from __future__ import annotations

import pytest
from audiod_protocol.events import Request
from clients.audioctl import Cli
from clients.fake_audiod import Peer
from clients.fake_desk import CHANGES, KEYS

CHANGED = [
    "defaults.rate: 48000 -> 44100",
    "  device 0 reopens when idle",
    'server.socket: (none) -> "/run/x.sock"',
    "  needs a restart",
]


def test_show(cli: Cli) -> None:
    assert cli.text("config", "show").splitlines() == [
        "# /etc/audiod/audiod.toml",
        "server.unit = 0  # default",
        'device.0.spec = "alsa:hw:0,0"  # command line',
        "device.0.hold = false  # /etc/audiod/audiod.toml:7",
        "device.0.subdevice.0.play = [2, 3]  # /etc/audiod/audiod.d/rear.toml:3",
    ]
    assert cli.json("config", "show", "--json")["keys"] == KEYS


def test_a_key_that_is_too_long_for_its_origin(cli: Cli) -> None:
    KEY = {"key": "state.path", "value": "/" + "x" * 60, "origin": "/etc/audiod/audiod.d/a.toml:1"}

    def show(peer: Peer, request: Request) -> None:
        peer.answer(request, version=1, files=[], keys=[KEY])

    cli.server.on("config.show", show)
    assert cli.text("config", "show").splitlines() == [f"# {KEY['origin']}", f'state.path = "{KEY["value"]}"']


def test_check(cli: Cli) -> None:
    assert cli.text("config", "check") == "ok: 2 keys would change\n"
    assert cli.text("config", "check", "-q") == ""
    (cli.place / "a.toml").write_text("[server]\nunit = 1\n")
    assert cli.text("config", "check", "a.toml") == "ok: nothing would change\n"
    assert cli("config", "check", "-", input=b"# \xc3\xa9").stdout == b"ok: nothing would change\n"
    asked = [{}, {}, {"text": "[server]\nunit = 1\n"}, {"text": "# é"}]
    assert cli.server.requests("config.check") == asked


@pytest.mark.parametrize("verb", ["check", "reload", "diff"])
def test_a_bad_file(verb: str, cli: Cli) -> None:
    def refuse(peer: Peer, request: Request) -> None:
        peer.refuse(request, "EINVAL", "/etc/audiod/audiod.toml:3: no key 'rat'", "did you mean 'rate'?")

    cli.server.on(f"config.{verb}", refuse)
    assert cli.fails(1, "config", verb) == (
        "audioctl: /etc/audiod/audiod.toml:3: no key 'rat'\n  did you mean 'rate'?\n"
    )


def test_a_file_that_cannot_be_read(cli: Cli) -> None:
    assert "no/a.toml: it cannot be read: no such file" in cli.fails(1, "config", "check", "no/a.toml")
    (cli.place / "a.toml").write_bytes(b"\xff")
    assert "it is not UTF-8 text" in cli.fails(2, "config", "check", "a.toml")
    done = cli("config", "check", "-", input=b"\xff")
    assert (done.returncode, done.stdout) == (2, b"")


def test_a_file_that_is_too_large_to_send(cli: Cli) -> None:
    (cli.place / "a.toml").write_text("#" * 100_000)
    assert "81920" in cli.fails(1, "config", "check", "a.toml")


@pytest.mark.parametrize("verb", ["diff", "reload"])
def test_changes(verb: str, cli: Cli) -> None:
    assert cli.text("config", verb).splitlines() == CHANGED
    assert cli.json("config", verb, "--json") == {"version": 1, "changes": CHANGES}
    cli.server.on(f"config.{verb}", lambda peer, request: peer.answer(request, version=1, changes=[]))
    assert cli.text("config", verb) == "nothing changed\n"


def test_export(cli: Cli) -> None:
    content = {"devices": [], "programs": []}
    assert cli.json("export", "state") == {"version": 1, "what": "state", "content": content}
    assert cli.server.requests("export") == [{"what": "state"}]
