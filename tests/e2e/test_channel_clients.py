"""Channel status through the clients: a real `audiod` on a real clock, both Python clients, `audioctl`.

Nothing here is measured: where a state must come, it is asked for until it is there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import audiod_client
import pytest
from audiod_client import Refused, StatusEvent, StreamError, aio
from clients.schema import SCHEMAS, problems
from daemon import Daemon, running

PAR: dict[str, object] = {"enc": "s16le", "rate": 48000, "pchan": 2, "appbufsz": 1920}
BLOCK = bytes(480 * 4)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with running(tmp_path, "-f", "null", "-f", "loopback", "--no-realtime", "--state", "none") as made:
        yield made


def until(true: Callable[[], bool]) -> None:
    while not true():
        pass


def test_the_blocking_client(daemon: Daemon) -> None:
    heard: list[StatusEvent] = []
    with audiod_client.Connection.connect(str(daemon.socket)) as connection:
        connection.subscribe(events=["state", "underrun"])
        s = connection.open("0", nbio=False, name="channel")
        s.onstatus(heard.append)
        s.setpar(**PAR, start_mode="data", stop_mode="stop", time=True, ust_time=True)
        assert s.status()["status"] == "ready"
        with pytest.raises(Refused, match="ready") as refused:
            s.pause()
        assert refused.value.code == "EBADFD" and not s.eof, "a refusal is not the end"
        s.prepare()
        s.write(BLOCK)
        until(lambda: s.status()["status"] == "underrun")
        for _ in range(2):
            with pytest.raises(Refused, match="it was late"):
                s.write(BLOCK)
        with pytest.raises(Refused):
            s.go()
        s.prepare()
        s.write(BLOCK * 4)
        until(lambda: s.status()["status"] != "prepared")
        assert not s.eof
        names = [(event.event, event.detail.get("new")) for event in heard]
        assert names[:3] == [("state", "prepared"), ("state", "running"), ("underrun", None)]
        s.close()


def test_times_are_those_of_the_engine(daemon: Daemon) -> None:
    """The first frame's time, as the first onmove tells it."""
    with audiod_client.Connection.connect(str(daemon.socket)) as connection:
        s = connection.open("0")
        first: list[int] = []
        s.onmove(lambda delta: first.append(s.time_ns))
        s.setpar(**PAR, stop_mode="rollover", time=True, ust_time=True)
        s.prepare()
        assert s.status()["stime"] is None and s.status()["ust_stime"] is None
        while not first:
            s.write(BLOCK)
        record = s.status()
        assert abs(record["ust_stime"] - first[0]) <= 20_000_000
        assert record["stime"]["sec"] > 10**9
        s.discard()
        assert s.status()["stop_time"] is not None
        s.close()


def test_pause_and_resume_lose_nothing(daemon: Daemon, tmp_path: Path) -> None:
    """What is recorded of the loopback device are the frames written, in order, but for the ramps."""
    out = tmp_path / "out.raw"
    out.touch()
    folder = tmp_path / "free"
    folder.mkdir()
    source = b"".join(
        (i * 7919 % 20011 - 10005).to_bytes(2, "little", signed=True) * 2 for i in range(480 * 40)
    )
    with (
        running(folder, "-f", f"file:{out}?clock=free&dither=off", "--no-realtime") as free,
        audiod_client.Connection.connect(str(free.socket)) as connection,
    ):
        s = connection.open("0")
        s.setpar(**PAR, stop_mode="rollover")
        s.prepare()
        s.write(source[: 480 * 4 * 20])
        until(lambda: s.status()["status"] == "running")
        # the clock stands still while a stream that runs has nothing to play: a block for the ramp
        s._link.session.send("pause", {"stream": s.number})
        s.status()  # and it has been heard
        s.write(source[480 * 4 * 20 : 480 * 4 * 24])
        until(lambda: s.status()["status"] == "paused")
        stood = s.status()
        assert stood["count"] + stood["free"] == 1920 * 4
        s.resume()
        s.write(source[480 * 4 * 24 :])
        s.play_out()
        assert s.status()["scount"] == len(source)
        s.close()
    played = out.read_bytes()
    blocks = [played[i : i + 1920] for i in range(0, len(played), 1920)]
    wanted = [source[i : i + 1920] for i in range(0, len(source), 1920)]
    sound = [block for block in blocks if any(block)]
    assert len(sound) == len(wanted)
    different = [i for i, (a, b) in enumerate(zip(sound, wanted, strict=True)) if a != b]
    assert len(different) == 2 and different[1] == different[0] + 1, "one block fades out, the next one in"


async def test_the_trio_client(daemon: Daemon) -> None:
    async with (
        aio.connect(str(daemon.socket)) as connection,
        connection.open("0", name="trio") as s,
    ):
        await connection.subscribe(events=["state"])
        heard: list[StatusEvent] = []
        s.onstatus(heard.append)
        await s.setpar(**PAR, start_mode="go", stop_mode="rollover")
        await s.prepare()
        with pytest.raises(Refused, match="less than a block") as refused:
            await s.go()
        assert refused.value.code == "EAGAIN"
        await s.write(BLOCK * 4)
        await s.go()
        assert (await s.status())["status"] == "running"
        await s.pause()
        assert (await s.status())["status"] == "paused"
        with pytest.raises(Refused, match="paused"):
            await s.link("g")
        await s.setpar(**PAR, start_mode="full")
        assert (await s.status())["status"] == "ready", "what was queued is discarded"
        await s.link("g")
        await s.force_ducking(True)
        assert (await s.status())["ducking_state"] == 16
        await s.prepare()
        await s.write(BLOCK)
        await s.play_out()
        record = await s.status("play")
        assert (record["status"], record["scount"]) == ("ready", len(BLOCK))
        with pytest.raises(StreamError, match="opened to play"):
            await s.status("rec")
        names = [event.detail["new"] for event in heard]
        assert names[:4] == ["prepared", "running", "paused", "running"] and "ready" in names


def test_a_pinned_stream_and_sndios_wire(daemon: Daemon) -> None:
    with audiod_client.Connection.connect(str(daemon.socket)) as connection:
        s = connection.open("0", pinned=True)
        assert s.status()["status"] == "notready"
        s.setpar(**PAR)
        s.prepare()
        s.write(BLOCK * 4)
        (row,) = connection.request("streams")["streams"]
        connection.request("stream.move", id=row["id"], device="1")
        until(lambda: s.status()["status"] == "change")
        with pytest.raises(Refused, match="its device is another"):
            s.write(BLOCK)
        s.setpar(enc="s16le", rate=48000, pchan=2, appbufsz=1920, stop_mode="rollover")
        s.prepare()
        s.write(BLOCK)
        assert s.status()["status_data"] == {}
        s.discard()
        s.close()


def test_audioctl_tells_the_status(daemon: Daemon) -> None:
    with audiod_client.Connection.connect(str(daemon.socket)) as connection:
        s = connection.open("0", name="My Player", nbio=True)
        s.setpar(**PAR, stop_mode="rollover")
        s.prepare()
        s.write(BLOCK * 4)
        until(lambda: s.status()["status"] == "running")
        s.pause()
        answer = json.loads(daemon.ctl("status", "My", "--json").stdout)
        assert problems(answer, SCHEMAS["channel"]) == []
        assert answer["records"][0]["status"] == "paused"
        text = daemon.ctl("status", "My Player").stdout.decode().splitlines()
        assert text[0] == "stream 1 (My Player), snd/0" and text[1].split() == ["play", "paused"]
        assert " paused " in daemon.ctl("streams").stdout.decode()
        s.discard()
        s.close()
