"""sndstat of a real server: devices that programs provide, channels of streams that play, none disturbed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import audiod_client
import numpy as np
import pytest
import trio
from audiod_client import StreamError
from audiod_protocol.nvlist import NvType, array, nested, number, pack, string, unpack
from daemon import running
from street import inhabited, rear

VECTORS = Path(__file__).resolve().parents[2] / "protocol/vectors/nvlist.json"


def draft_user() -> bytes:
    """The draft's two devices, as libnv packs them: 429 bytes."""
    (found,) = [
        row["libnv"]
        for row in json.loads(VECTORS.read_text())["lists"]
        if row["name"] == "the draft's user devices"
    ]
    return bytes.fromhex(found)


PROVIDER = """\
import sys, audiod_client
connection = audiod_client.Connection.connect(sys.argv[1])
handle = connection.sndstat(write=True)
handle.add(sys.stdin.buffer.read())
print("added", flush=True)
connection.subscribe("events")
while True:
    connection.change()
"""


def test_the_drafts_devices_live_as_long_as_their_program(tmp_path: Path) -> None:
    with running(tmp_path, "-f", "null") as daemon:
        provider = subprocess.Popen(
            [sys.executable, "-c", PROVIDER, daemon.socket], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert provider.stdin is not None and provider.stdout is not None
        with provider:
            provider.stdin.write(draft_user())
            provider.stdin.close()
            assert provider.stdout.readline() == b"added\n"
            with audiod_client.Connection.connect(str(daemon.socket)) as connection:
                handle = connection.sndstat()
                rows = handle.devices("draft")
                assert [row["nameunit"] for row in rows] == ["pcm0", "vdsp0", "vdsp1"]
                assert rows[1] == {
                    "from_user": True, "pchan": 1, "rchan": 0, "nameunit": "vdsp0", "devnode": "vdsp0",
                    "desc": "Virtual device from userspace", "pminrate": 0, "pmaxrate": 0, "pfmts": 0,
                }  # fmt: skip
                assert handle.size() > 0
                provider.send_signal(signal.SIGKILL)
                provider.wait()
                while len(handle.devices()) != 1:  # the server hears of its end in its own time
                    pass
                assert "sndstat.gone" in daemon.log


def test_the_kernels_own_test(tmp_path: Path) -> None:
    """FreeBSD's tests/sys/sound/sndstat.c: what is added is found, field by field."""
    info = [number("min_rate", 8000), number("max_rate", 96000), number("formats", 0x1050),
            number("min_chn", 1), number("max_chn", 2)]  # fmt: skip
    device = [
        string("provider", "provider"), string("nameunit", "nameunit"), string("desc", "desc"),
        string("devnode", "/dev/null"), number("pchan", 1), number("rchan", 1),
        nested("info_play", info), nested("info_rec", info),
    ]  # fmt: skip
    with (
        running(tmp_path, "-f", "null") as daemon,
        audiod_client.Connection.connect(str(daemon.socket)) as connection,
        connection.sndstat(write=True) as handle,
    ):
        assert handle.add(pack([array("dsps", [device])]), strict=True) == 1
        handle.refresh()
        (dsps,) = [pair.value for pair in unpack(handle.packed())]
        (found,) = [one for one in dsps if one.get("nameunit", NvType.STRING) == "nameunit"]
        assert found.get("from_user", NvType.BOOL) is True
        for pair in device:
            assert found.get(pair.name, pair.type) == pair.value


def test_a_device_is_reached_by_its_socket(tmp_path: Path) -> None:
    """Another server registers its device here; a program finds it in the listing and plays on it."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    file = tmp_path / "out.raw"
    with (
        running(tmp_path / "a", "-f", "null") as here,
        running(tmp_path / "b", "-f", f"file:{file}?clock=free&dither=off") as there,
        audiod_client.Connection.connect(str(here.socket)) as provider,
        provider.sndstat(write=True) as provides,
    ):
        row: dict[str, Any] = {"devnode": "vdsp", "desc": "file", "pchan": 1, "rchan": 0}
        provides.add([{**row, "socket": str(there.socket)}])
        with audiod_client.Connection.connect(str(here.socket)) as reader, reader.sndstat() as handle:
            (found,) = [one for one in handle.devices() if one["from_user"]]
        samples = (np.arange(9600) * 7 % 30011).astype("<i2")
        with (
            audiod_client.Connection.connect(found["socket"]) as connection,
            connection.open("default", "play") as stream,
        ):
            stream.setpar(enc="s16le", rate=48000, pchan=2)
            stream.start()
            stream.write(samples.tobytes())
            stream.stop()
        assert there.stop() == 0
        assert file.read_bytes().startswith(samples.tobytes())
        assert "by " + str(there.socket) in here.ctl("devices", "--sndstat").stdout.decode()


def test_channels_of_streams_that_play(tmp_path: Path) -> None:
    """Who plays what, converted how: what the engine says itself."""
    with (
        running(tmp_path, "-f", "null") as daemon,
        audiod_client.Connection.connect(str(daemon.socket), client_name="me") as connection,
        connection.open("default", "play") as stream,
    ):
        stream.setpar(enc="s16le", rate=44100, pchan=1, appbufsz=44100)
        stream.start()
        stream.write(bytes(2 * (stream.par.appbufsz or 0)))  # type: ignore[union-attr]
        while stream.position == 0:
            stream.write(b"")
            connection.request("status")
        rows = json.loads(daemon.ctl("devices", "--sndstat", "--json").stdout)["dsps"]
        (row,) = rows
        own, rec, mine = row["provider_info"]["channel_info"]
        assert (own["name"], rec["name"]) == ("pcm0:play:dsp0.p0", "pcm0:record:dsp0.r0")
        assert own["pid"] == rec["pid"] == daemon.pid
        assert own["comm"] == Path(f"/proc/{daemon.pid}/comm").read_text().strip()
        assert own["interrupts"] > 0 and own["hwbuf_ready"] > 0
        assert mine["pid"] == os.getpid()
        assert mine["comm"] == Path("/proc/self/comm").read_text().strip()[:19]
        assert (mine["rate"], mine["format"], mine["swbuf_blksz"]) == (44100, 0x00100010, 441 * 2)
        assert mine["interrupts"] >= mine["feedcount"] > 0
        for channel in (own, rec, mine):
            for buffer in ("hwbuf", "swbuf"):
                size = channel[f"{buffer}_size"]
                assert size == channel[f"{buffer}_blksz"] * channel[f"{buffer}_blkcnt"]
                assert size == channel[f"{buffer}_free"] + channel[f"{buffer}_ready"]
        assert mine["feederchain"] == (
            "[userland -> feeder_root(0x00100010) -> feeder_format(0x00100010 -> 0x10100000) -> "
            "feeder_rate(44100 -> 48000) -> feeder_matrix(1.0ch -> 2.0ch) -> pcm0:play:dsp0.p0]"
        )
        packed = tmp_path / "listing"
        daemon.ctl("devices", "--sndstat", "--nvlist", packed)
        assert unpack(packed.read_bytes()).plain()["dsps"][0]["nameunit"] == "pcm0"
        stream.flush()


def test_no_sample_is_lost_by_listings(tmp_path: Path) -> None:
    """Two hundred streams more, three hundred listings, and a neighbour that plays all the while."""
    with inhabited(tmp_path) as street:
        client = street.client()
        for number_of in range(200):
            rear(client, "rec" if number_of % 3 == 0 else "play")
        client.call("sndstat.open")
        for count in range(300):
            form = ("nvlist", "msgpack")[count % 2]
            after = None
            while True:
                more = {} if after is None else {"after": after}
                answer = client.call("sndstat.get", handle=0, form=form, **more)
                client.seen.clear()
                after = answer["next"]
                if after is None:
                    break
        assert answer["nbytes"] > 200 * 1000
        client.close()
        street.unharmed()
    # every frame of the neighbour was compared when its street was left


async def test_trio(tmp_path: Path) -> None:
    with running(tmp_path, "-f", "null") as daemon:
        async with audiod_client_connect(daemon.socket) as connection:
            async with connection.sndstat(write=True) as handle:
                assert await handle.add(draft_user()) == 2
                size = await handle.size()
                packed = await handle.packed()
                assert len(packed) == size
                await handle.refresh()
                rows = await handle.devices()
                assert [row["nameunit"] for row in rows] == ["pcm0", "vdsp0", "vdsp1"]
                await handle.flush()
                with pytest.raises(StreamError, match="no array of lists"):
                    await handle.add(pack([]))
                await handle.add([{"devnode": "x", "desc": "", "pchan": 0, "rchan": 0}])
            async with connection.sndstat() as other:
                assert [row["nameunit"] for row in await other.devices()] == ["pcm0"]
            with trio.CancelScope() as scope:
                async with connection.sndstat(write=True) as handle:
                    await handle.add(draft_user())
                    scope.cancel()
                    await trio.sleep_forever()
            async with connection.sndstat() as other:
                assert len(await other.devices()) == 1, "a cancelled task's devices are gone, too"


def audiod_client_connect(path: Path) -> Any:
    from audiod_client import aio

    return aio.connect(str(path))
