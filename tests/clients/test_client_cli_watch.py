"""`audioctl monitor` and `events`: lines as things happen, and how watching ends."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest
from audiod_protocol.errors import Fault
from audiod_protocol.events import Request
from clients.audioctl import Cli
from clients.fake_audiod import Peer
from clients.rows import NEWS, control, happened


def test_monitor(cli: Cli) -> None:
    cli.server.desk.news = NEWS
    assert cli.until_gone("monitor").stdout.decode().splitlines() == [
        "output       snd/0          70% (-12.7 dB)",
        "mpv          snd/default    muted",
        "mpv          snd/default    not muted",
        "?[2J         snd/rear       100% (0.0 dB)",
        "c            snd/rear       muted",
        "mpv          snd/default    gone",
        "default                     snd/1",
    ]
    assert cli.server.requests("subscribe") == [{"topics": ["controls"]}]


def test_what_becomes_of_other_sub_devices(cli: Cli) -> None:
    row = {"name": "server.device", "type": "sel", "value": 1, "max": 1, "device": None, "subdevice": "rear"}
    offered = row | {"name": "server.mode.rec", "type": "sw", "value": 0}
    cli.server.desk.news = [("controls", one | {"event": "change"}) for one in (row, offered)]
    assert cli.until_gone("monitor").stdout.decode().splitlines() == [
        "rear                        snd/1",
        "server.mode.rec snd/rear       0",
    ]


def test_events(cli: Cli) -> None:
    cli.server.desk.news = NEWS
    done = cli.until_gone("events")
    assert done.stdout.decode().splitlines()[0][8:] == '.250 stream.open  id=7 name="my player"'
    assert done.stdout.decode().splitlines()[1][8:] == ".000 warning xrun  stream=7 cause=?client duplex=true"
    assert cli.server.requests("subscribe") == [{"topics": ["events"]}]


def test_the_time_of_an_event_is_that_of_the_place(cli: Cli) -> None:
    cli.server.desk.news = [happened("started", 0.9996)]
    cli.env["TZ"] = "UTC-1"
    assert cli.until_gone("events").stdout == b"01:00:00.999 started\n"


@pytest.mark.parametrize("verb", ["monitor", "events"])
def test_json_is_a_line_for_each(verb: str, cli: Cli) -> None:
    topic = {"monitor": "controls", "events": "events"}[verb]
    cli.server.desk.news = NEWS
    lines = cli.until_gone(verb, "--json").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [row for name, row in NEWS if name == topic]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("verb", ["monitor", "events"])
def test_a_signal_ends_it_well(verb: str, number: int, cli: Cli) -> None:
    cli.server.desk.news = [control("output.level", 1, 0, None), happened("started", 1.0)]
    with subprocess.Popen(
        cli.command(verb), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=cli.env
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()  # each line comes at once
        process.send_signal(number)
        assert process.communicate() == (b"", b"")
    assert process.returncode == 0


def test_the_server_says_that_it_ends(cli: Cli) -> None:
    def subscribe(peer: Peer, request: Request) -> None:
        peer.standard(request)
        peer.tell("error", Fault("ESHUTDOWN", "the server is ending", "").to_wire())
        peer.sock.close()

    cli.server.on("subscribe", subscribe)
    assert cli.fails(3, "monitor") == (
        "audioctl: audiod has ended: the server is ending\n  start it with: audiod\n"
    )


def test_a_server_that_talks_nonsense_is_another_matter(cli: Cli) -> None:
    def subscribe(peer: Peer, request: Request) -> None:
        peer.standard(request)
        peer.sock.sendall(b"\xc1")
        peer.sock.close()

    cli.server.on("subscribe", subscribe)
    assert "broke the protocol" in cli.fails(1, "events")


def test_changes_that_were_missed_are_told_and_watching_goes_on(cli: Cli) -> None:
    cli.server.desk.news = [control("output.level", 1, 0, None)] * 3000

    def subscribe(peer: Peer, request: Request) -> None:
        peer.answer(request, topics=["controls"])
        rows = [row for _, row in cli.server.desk.news]
        peer.sock.sendall(b"".join(peer.wire.send_notification("changed", ["controls", row]) for row in rows))
        peer.sock.close()

    cli.server.on("subscribe", subscribe)
    done = cli("monitor", "-q")
    assert done.returncode == 3
    missed = b"audioctl: more than 1024 changes came without being read"
    assert done.stderr.count(missed) == (done.stdout.count(b"\n") < 3000)


def test_not_permitted_or_not_there(cli: Cli) -> None:
    def refuse(peer: Peer, request: Request) -> None:
        peer.refuse(request, "EPERM", "events are the administrator's", "")

    cli.server.on("subscribe", refuse)
    assert cli.fails(4, "events") == "audioctl: events are the administrator's\n"
    assert "no audiod answers" in cli.fails(3, "monitor", "--socket", "/nowhere/a.sock")
