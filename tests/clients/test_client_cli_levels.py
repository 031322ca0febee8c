"""`audioctl volume, mute, default, move`: what their words mean, and what is asked of the server."""

from __future__ import annotations

import pytest
from audiod_protocol.events import Request
from clients.audioctl import Cli
from clients.fake_audiod import Peer
from clients.fake_desk import device_row
from clients.rows import MPV

REAR = {"subdevice": "rear"}


@pytest.fixture
def desk(cli: Cli) -> Cli:
    """Two devices; mpv and mplayer on `default`, Firefox twice, VLC on `rear` and remembered on `default`."""
    desk = cli.server.desk
    desk.devices.append({**device_row(1, "null", default=False), "volume": 50, "muted": True})
    desk.streams = [
        dict(MPV),
        {**MPV, "id": 8, "name": "mplayer", "volume": 60},
        {**MPV, "id": 9, "name": "Firefox 2"},
        {**MPV, "id": 10, "name": "firefox"},
        {**MPV, "id": 11, "name": "vlc", **REAR},
    ]
    desk.remembered = [{"name": "vlc", "subdevice": "default", "volume": 1, "muted": True}]
    return cli


# ---- volume ----


def test_volume_shows(desk: Cli) -> None:
    assert desk.text("volume").splitlines() == [
        "WHICH         ON           VOLUME                 STREAMS",
        "output        snd/0        79% (-9.0 dB)          -",
        "input         snd/0        100% (0.0 dB)          -",
        "snd/1/output  snd/1        39% (-25.8 dB), muted  -",
        "snd/1/input   snd/1        100% (0.0 dB)          -",
        "mpv           snd/default  100% (0.0 dB)          7 mpv",
        "mplayer       snd/default  47% (-22.4 dB)         8 mplayer",
        "firefox       snd/default  100% (0.0 dB)          9 Firefox 2, 10 firefox",
        "vlc           snd/rear     100% (0.0 dB)          11 vlc",
        "vlc           snd/default  1% (-42.1 dB), muted   -",
    ]
    names = [row["name"] for row in desk.json("volume", "--json")["controls"]]
    assert names[:3] == ["output.level", "output.mute", "input.level"]
    assert not [name for name in names if name.startswith("stream/")]


def test_further_knobs_of_a_card(desk: Cli) -> None:
    fake = desk.server.desk
    for name, value in (
        ("Speaker.level", 100),
        ("Speaker.mute", 1),
        ("Speaker.plug", 0),
        ("Loop.mute", 0),
        ("Mic.plug", 1),
    ):
        most = 127 if name.endswith("level") else 1
        fake.elements.append(fake._row(f"hw/{name}", "num" if most > 1 else "sw", value, most, 0, None))
    lines = desk.text("volume").splitlines()
    assert lines[3:6] == [
        "hw/Speaker    snd/0        79% (-9.0 dB), muted, not plugged in  -",
        "hw/Loop       snd/0        on                                    -",
        "hw/Mic        snd/0        plugged in                            -",
    ]
    assert desk.text("volume", "hw/Speaker", "50%") == (
        "hw/Speaker of snd/0: 50% (-21.1 dB), muted, not plugged in\n"
    )
    assert desk.text("mute", "snd/0/hw/Loop") == "hw/Loop of snd/0: muted\n"
    assert [row["value"] for row in fake.elements] == [64, 1, 0, 1, 1]


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("7", "stream 7 (mpv): 100% (0.0 dB)"),
        ("vlc@default", "vlc    snd/default  1% (-42.1 dB), muted  -"),
        ("output", "output  snd/0  79% (-9.0 dB)  -"),
    ],
)
def test_volume_shows_one(word: str, shown: str, desk: Cli) -> None:
    assert desk.text("volume", word).splitlines()[-1] == shown


@pytest.mark.parametrize(
    ("value", "level"),
    [
        *(("70%", 89), ("0.7", 89), (".5", 64), ("-6dB", 109), ("+5%", 106), ("-5%", 94), ("5%-", 94)),
        *(("+2dB", 106), ("2dB-", 94), ("0%", 0)),
    ],
)
def test_volume_of_the_default_device(value: str, level: int, cli: Cli) -> None:
    assert cli.text("volume", value).startswith("output of snd/0: ")
    assert cli.server.desk.level == level
    assert cli.text("volume", value, "-q") == ""


def test_a_lone_number_is_a_stream_and_never_a_volume(desk: Cli) -> None:
    desk.server.rows = [{**MPV, "id": 1}]
    assert desk.text("volume", "1") == "stream 1 (mpv): 100% (0.0 dB)\n"
    assert "add the unit: 0%" in desk.fails(2, "volume", "0")
    assert desk.server.requests("control.set") == []


@pytest.mark.parametrize(
    ("word", "asked", "shown"),
    [
        ("mpv", {"name": "app/mpv.level", "device": 0, "subdevice": "default"}, "mpv on snd/default"),
        ("mpl", {"name": "app/mplayer.level", "device": 0, "subdevice": "default"}, "mplayer on snd/default"),
        ("8", {"name": "stream/8.level"}, "stream 8 (mplayer)"),
        (
            "Fire",
            {"name": "app/firefox.level", "device": 0, "subdevice": "default"},
            "firefox on snd/default",
        ),
        ("vlc@rear", {"name": "app/vlc.level", "device": 0, "subdevice": "rear"}, "vlc on snd/rear"),
        ("output", {"name": "output.level", "device": 0}, "output of snd/0"),
        ("snd/1", {"name": "output.level", "device": 1}, "output of snd/1"),
        ("snd/1/output", {"name": "output.level", "device": 1}, "output of snd/1"),
        ("input", {"name": "input.level", "device": 0}, "input of snd/0"),
        ("snd/1/i", {"name": "input.level", "device": 1}, "input of snd/1"),
    ],
)
def test_volume_of_another(word: str, asked: dict[str, object], shown: str, desk: Cli) -> None:
    out = desk.text("volume", word, "50%")
    assert desk.server.requests("control.set") == [{**asked, "value": 64}]
    assert out.startswith(f"{shown}: 50% (-21.1 dB)")


def test_one_volume_for_all_streams_of_a_program(desk: Cli) -> None:
    assert desk.json("volume", "9", "1", "--json") == {"version": 1, "name": "stream/9.level", "value": 127}
    desk.text("volume", "firefox", "-5%")
    assert [row["volume"] for row in desk.server.rows] == [127, 60, 121, 121, 127]


def test_what_may_mean_several_is_an_error_that_lists_them(desk: Cli) -> None:
    assert desk.fails(2, "volume", "mp", "1%") == (
        "audioctl: 'mp' means 2 volumes: mpv on snd/default, mplayer on snd/default\n"
        "  give a stream's id, or NAME@SUBDEVICE\n"
    )
    desk.server.rows.append({**MPV, "id": 12, "name": "VLC media", "subdevice": "rear"})
    desk.server.rows.append({**MPV, "id": 13, "name": "vlcmedia"})
    assert "vlcmedia on snd/rear, vlcmedia on snd/default" in desk.fails(2, "mute", "vlcm")
    assert "no volume 'zz'\n  there are: output, input, snd/1/output" in desk.fails(1, "volume", "zz", "1%")
    assert "no volume ''" in desk.fails(1, "volume", "", "1%")
    assert desk.server.requests("control.set") == []


def test_what_plays_comes_before_what_is_remembered(desk: Cli) -> None:
    assert desk.text("volume", "vlc", "50%").startswith("vlc on snd/rear: 50%")
    desk.server.rows = [{**MPV, "name": "vlcx"}]
    assert desk.text("volume", "vlc", "50%").startswith("vlc on snd/default: 50%")
    assert desk.text("volume", "vlcx", "50%").startswith("vlcx on snd/default: 50%")


def test_long_lists_of_choices_are_cut(cli: Cli) -> None:
    cli.server.rows = [{**MPV, "id": id, "name": f"p{chr(97 + id)}"} for id in range(20)]
    assert "means 20 streams: 0 (pa), 1 (pb)" in (complaint := cli.fails(2, "move", "p", "snd/0"))
    assert complaint.splitlines()[0].endswith("11 (pl) and 8 more")


def test_no_default_device(cli: Cli) -> None:
    cli.server.desk.devices = [device_row(0, default=True)]

    def devices(peer: Peer, request: Request) -> None:
        peer.answer(request, version=1, devices=[])

    cli.server.on("devices", devices)
    for words in (("volume", "50%"), ("mute",), ("default",)):
        assert "there is no default device" in cli.fails(1, *words)


# ---- mute ----


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ((), "output.mute", 1),
        (("on",), "output.mute", 1),
        (("off",), "output.mute", 0),
        (("!",), "output.mute", 1),
        (("mpv",), "app/mpv.mute", 1),
        (("mpv", "off"), "app/mpv.mute", 0),
        (("input", "!"), "input.mute", 1),
        (("snd/1", "!"), "output.mute", 0),
        (("vlc@default", "!"), "app/vlc.mute", 0),
        (("7", "on"), "stream/7.mute", 1),
    ],
)
def test_mute(words: tuple[str, ...], name: str, value: int, desk: Cli) -> None:
    out = desk.text("mute", *words)
    (asked,) = desk.server.requests("control.set")
    assert (asked["name"], asked["value"]) == (name, value)
    assert out.endswith(", muted\n") == bool(value)


def test_the_level_is_kept_under_a_mute(desk: Cli) -> None:
    assert desk.text("mute", "mpv") == "mpv on snd/default: 100% (0.0 dB), muted\n"
    assert desk.text("volume", "mpv", "-6dB") == "mpv on snd/default: 86% (-6.0 dB), muted\n"
    assert desk.text("volume", "mpv", "!") == "mpv on snd/default: 86% (-6.0 dB)\n"
    assert desk.text("volume", "!") == "output of snd/0: 79% (-9.0 dB), muted\n"
    assert desk.json("mute", "!", "--json") == {"version": 1, "name": "output.mute", "value": 0}
    assert desk.text("mute", "-q") == ""


# ---- default ----


def test_default(desk: Cli) -> None:
    assert desk.text("default") == "snd/0 (alsa:hw:0,0)\n"
    assert desk.text("default", "snd/1") == "snd/1 (null)\n"
    assert desk.text("default", "alsa", "-q") == ""
    assert desk.text("default", "-q") == "snd/0 (alsa:hw:0,0)\n"
    assert desk.json("default", "1", "--json") == {"version": 1, "device": 1, "name": "null"}
    assert [asked["value"] for asked in desk.server.requests("control.set")] == [1, 0, 1]
    assert "no device 'rear'\n  there are: snd/0 (alsa:hw:0,0), snd/1 (null)" in desk.fails(
        1, "default", "rear"
    )


# ---- move ----


@pytest.mark.parametrize(
    ("words", "stream", "place"),
    [
        (("mpv", "snd/1"), 7, "1"),
        (("7", "1"), 7, "1"),
        (("vlc", "snd/default"), 11, "default"),
        (("10", "rear"), 10, "rear"),
        (("Fire", "re"), 9, "rear"),
        (("mpl", "alsa"), 8, "0"),
    ],
)
def test_move(words: tuple[str, str], stream: int, place: str, desk: Cli) -> None:
    out = desk.text("move", *words)
    assert desk.server.requests("stream.move") == [{"id": stream, "device": place}]
    assert out.startswith(f"stream {stream} (") and out.endswith(f": snd/{place}, device snd/0\n")


def test_move_for_programs(desk: Cli) -> None:
    answer = {"version": 1, "id": 7, "device": 0, "subdevice": "rear"}
    assert desk.json("move", "mpv", "rear", "--json") == answer
    assert desk.text("move", "-q", "mpv", "rear") == ""


def test_what_cannot_be_moved(desk: Cli) -> None:
    def refuse(peer: Peer, request: Request) -> None:
        peer.refuse(request, "EINVAL", "its buffer is smaller than a block of device 1", "open it anew")

    desk.server.on("stream.move", refuse)
    assert desk.fails(1, "move", "mpv", "1") == (
        "audioctl: its buffer is smaller than a block of device 1\n  open it anew\n"
    )
    assert "means 2 streams: 7 (mpv), 8 (mplayer)\n  give the number" in desk.fails(2, "move", "mp", "1")
    assert "no device 'nowhere'" in desk.fails(1, "move", "mpv", "nowhere")
