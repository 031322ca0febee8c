"""`audioctl devices --sndstat`: pages put together, the text of /dev/sndstat, bytes into a file."""

from __future__ import annotations

from audiod_protocol.events import Request
from clients.audioctl import Cli
from clients.fake_audiod import Peer


def test_text(cli: Cli) -> None:
    assert cli.text("devices", "--sndstat").splitlines() == [
        "Installed devices:",
        "pcm0: <HDA ?[2J> (play) default",
        "Installed devices from userspace:",
        "vdsp0: <Virtual> (play/rec)",
        "  by /run/vdsp.sock",
    ]


def test_channels(cli: Cli) -> None:
    lines = cli.text("devices", "--sndstat", "--all").splitlines()
    assert lines[2:7] == [
        "  pcm0:play:dsp0.p0: 48 kHz, volume 100:100",
        "    [vchans -> feeder_root(0x10200000) -> hardware]",
        "  pcm0:virtual_play:dsp0.vp0: 44.1 kHz, volume 100:100, 2 xruns, mpv (42)",
        "    [userland -> feeder_root(0x00200010)",
        "      -> feeder_format(0x00200010 -> 0x10200000)",
    ]
    assert all(len(line) <= 80 for line in lines)


def test_json_is_whole(cli: Cli) -> None:
    answer = cli.json("devices", "--sndstat", "--json")
    assert [row["nameunit"] for row in answer["dsps"]] == ["pcm0", "vdsp0"]
    assert [row["unit"] for row in answer["dsps"][0]["provider_info"]["channel_info"]] == [0, 1]


def test_bytes_are_not_json(cli: Cli) -> None:
    assert "leave one of them out" in cli.fails(2, "devices", "--nvlist", "x", "--json")


def test_a_file_that_cannot_be_written(cli: Cli) -> None:
    def get(peer: Peer, request: Request) -> None:
        peer.answer(request, nbytes=2, nvlist=b"l\0", next=None)

    cli.server.on("sndstat.get", get)
    assert "no such file or directory" in cli.fails(2, "devices", "--nvlist", "/nowhere/x")
    assert not cli("devices", "--nvlist", "x").stdout
    assert (cli.place / "x").read_bytes() == b"l\0"
    assert cli("devices", "--nvlist", "-").stdout == b"l\0"
