"""`audioctl devices`: the machine's cards below the devices."""

from __future__ import annotations

import pytest
from clients.audioctl import Cli
from clients.fake_desk import endpoint_row, side_row

DEFAULT = endpoint_row(
    "default",
    name="Default",
    spec="alsa:default",
    card=None,
    device=None,
    raw=False,
    mode="play",
    rec=None,
    play=side_row(channels=[1], rates=[48000], encodings=["s16le"], refused=[], maps_known=False),
)


def below(text: str) -> list[str]:
    """What is behind the devices."""
    return text.splitlines()[5:]


def test_the_hardware_is_told_in_short(cli: Cli) -> None:
    cli.server.desk.endpoints = [DEFAULT, endpoint_row()]
    assert below(cli.text("devices")) == [
        "this machine has:",
        "  alsa:@usb:0d8c:0014@0000:00:14.0-2",
        "    USB DAC USB Audio",
        "    play 2 or 6-8 channels, 44.1-192 kHz, s32le s24le3 s16le",
        "    rec  recording is busy",
    ]


def test_all_of_it(cli: Cli) -> None:
    cli.server.desk.endpoints = [DEFAULT, endpoint_row(rec=None)]
    assert below(cli.text("devices", "--all")) == [
        "this machine has:",
        "  alsa:default",
        "    Default",
        "    play 1 channel, 48kHz, s16le",
        "         block 1.0 ms to 85 ms, buffer 2.0 ms to 341 ms, mmap interleaved",
        "         s16le",
        "  alsa:@usb:0d8c:0014@0000:00:14.0-2",
        "    USB DAC USB Audio",
        "    play 2 or 6-8 channels, 44.1-192 kHz, s32le s24le3 s16le",
        "         block 1.0 ms to 85 ms, buffer 2.0 ms to 341 ms, mmap interleaved",
        "         s32le s24le3 s16le u8",
        "         fl fr; fl fr rl rr fc lfe",
        "         not DSD_U32_BE: one bit a sample",
    ]


def test_nothing_more_where_there_is_nothing(cli: Cli) -> None:
    assert below(cli.text("devices")) == below(cli.text("devices", "--all")) == []
    cli.server.desk.endpoints = [DEFAULT]
    assert below(cli.text("devices")) == [], "no hardware"


def test_what_was_not_asked_or_failed(cli: Cli) -> None:
    asked_once = side_row(error="it is busy: mpv (pid 7) has it open")
    cli.server.desk.endpoints = [endpoint_row(play=side_row(probed=False), rec=asked_once)]
    assert below(cli.text("devices"))[3:] == [
        "    play not asked yet",
        "    rec  it is busy: mpv (pid 7) has it open",
    ]
    assert "    rec  2 or 6-8 channels, 44.1-192 kHz, s32le s24le3 s16le" in below(
        cli.text("devices", "--all")
    )


@pytest.mark.parametrize(
    ("side", "words"),
    [
        ({"channels": [1]}, "1 channel,"),
        ({"channels": [1, 2]}, "1-2 channels,"),
        ({"channels": [1, 3, 5, 6]}, "1, 3 or 5-6 channels,"),
        ({"rates": [44100]}, "44.1kHz,"),
        ({"rates": [44100, 48000]}, "44.1kHz 48kHz,"),
        ({"rates": [], "rate_range": [5000, 5500]}, "5kHz 5.5kHz,"),
        ({"rates": [], "rate_range": [5000, 5000]}, " 5kHz,"),
    ],
)
def test_numbers_in_words(cli: Cli, side: dict[str, object], words: str) -> None:
    cli.server.desk.endpoints = [endpoint_row(play=side_row(**side))]
    assert words in cli.text("devices")


def test_reasons(cli: Cli) -> None:
    def answer(peer, request) -> None:
        peer.answer(
            request,
            version=1,
            cards=[{"id": "HDA", "error": "there is no /dev/snd/pcmC0D0p"}, {"id": "B", "error": None}],
            endpoints=[endpoint_row()],
            scanning=True,
            error="no ALSA\x1b[2J library",
            next=None,
        )

    cli.server.on("cards", answer)
    assert below(cli.text("devices"))[:3] == [
        "cards: no ALSA?[2J library",
        "card HDA: there is no /dev/snd/pcmC0D0p",
        "this machine has (still looking):",
    ]


def test_pages_are_put_together(cli: Cli) -> None:
    cli.server.desk.page = 2
    cli.server.desk.endpoints = [endpoint_row(f"hw:{n}") for n in range(5)]
    answer = cli.json("devices", "--json")
    assert [row["pcm"] for row in answer["endpoints"]] == [f"hw:{n}" for n in range(5)]
    assert cli.server.requests("cards") == [{}, {"after": 2}, {"after": 4}]
    assert answer["version"] == 1 and len(answer["devices"]) == len(answer["cards"]) == 1


def test_a_server_that_does_not_know_of_cards(cli: Cli) -> None:
    cli.server.on("cards", lambda peer, request: peer.refuse(request, "ENOSYS", "there is no method 'cards'"))
    assert cli.json("devices", "--json")["endpoints"] == [] and below(cli.text("devices")) == []
    cli.server.on("cards", lambda peer, request: peer.refuse(request, "EIO", "broken"))
    assert "broken" in cli.fails(1, "devices")
