"""The same scenarios on the blocking and on the trio client, against a fake server on a socket."""

from __future__ import annotations

from typing import Any

import pytest
from audiod_client import ServerUnreachable, StreamError
from audiod_protocol.events import Notification, Request
from clients.fake_audiod import ROUND, Peer
from clients.shells import Shell

PCM = bytes(i % 253 for i in range(4 * 5000))


def test_plays_everything_and_drains_on_close(shell: Shell) -> None:
    async def scenario(shell: Shell) -> None:
        moves: list[int] = []
        async with shell.open(client_name="tune") as s:
            assert await s.setpar(enc="s16le", rate=48000, pchan=2, appbufsz=960)
            await s.onmove(moves.append)
            assert await s.start()
            assert await s.write(PCM) == len(PCM)
            assert s.written == 5000
            assert 0 <= s.written - s.position <= 960 + ROUND
            assert await s.latency() == s.written - s.position
            assert await s.stop()
        assert moves[0] == 0
        assert set(moves[1:]) == {ROUND}
        assert s.eof

    shell.run(scenario)
    server = shell.server
    assert bytes(server.streams[0].written) == PCM
    assert server.requests("hello")[0]["client"] == "tune"
    assert server.requests("open") == [{"device": "default", "mode": "play", "transport": "inline"}]
    calls = [m for m in server.methods() if m != "write"]
    assert calls == ["hello", "open", "setpar", "getpar", "start", "stop", "close"]


def test_leaving_the_block_while_started_closes_and_so_drains(shell: Shell) -> None:
    async def scenario(shell: Shell) -> None:
        async with shell.open() as s:
            await s.start()
            await s.write(PCM[:400])

    shell.run(scenario)
    assert bytes(shell.server.streams[0].written) == PCM[:400]
    assert [m for m in shell.server.methods() if m != "write"][-1] == "close"
    assert "flush" not in shell.server.methods()


def test_records_what_the_server_sends(shell: Shell) -> None:
    async def scenario(shell: Shell) -> None:
        got = b""
        async with shell.open("snd/rear", "rec") as s:
            await s.start()
            while len(got) < 4 * 4 * ROUND:
                data = await s.read(1000)
                assert 0 < len(data) <= 1000
                got += data
                assert len(got) <= s.position * 4
            assert await s.flush()
        assert got == bytes(i % 251 for i in range(4 * 4 * ROUND))

    shell.run(scenario)
    assert shell.server.requests("open")[0] == {"device": "rear", "mode": "rec", "transport": "inline"}


def test_restarts_with_other_parameters(shell: Shell) -> None:
    async def scenario(shell: Shell) -> None:
        async with shell.open() as s:
            for enc, size in (("s16le", 4), ("f32le", 8)):
                await s.setpar(enc=enc)
                await s.start()
                assert await s.write(bytes(2000 * size)) == 2000 * size
                assert s.written == 2000
                assert await s.stop()

    shell.run(scenario)
    assert len(shell.server.streams[0].written) == 2000 * 12


def test_several_streams_and_control_calls_share_a_connection(shell: Shell) -> None:
    async def scenario(shell: Shell) -> None:
        async with (
            shell.connect() as c,
            shell.stream_of(c, "default", "play", name="left", role="music", link="duo") as one,
            shell.stream_of(c, "rear", "rec") as two,
        ):
            assert c.server["server"] == "audiod 0.1.0"
            await one.start()
            await two.start()
            assert await one.write(PCM) == len(PCM)
            assert len(await two.read(64)) == 64
            assert (await c.request("status"))["pid"] == 40
            with pytest.raises(StreamError) as refused:
                await c.request("nothing")
            assert refused.value.code == "ENOSYS"
            assert await one.stop()
            await two.flush()

    def nothing(peer: Peer, request: Request) -> None:
        peer.refuse(request, "ENOSYS", "no method 'nothing'", "see the specification")

    shell.server.on("nothing", nothing)
    shell.run(scenario)
    assert bytes(shell.server.streams[0].written) == PCM
    assert shell.server.requests("open")[0] == {
        "device": "default", "mode": "play", "transport": "inline",
        "name": "left", "type": "music", "link": "duo",
    }  # fmt: skip


def test_an_error_is_raised_once_then_calls_return_nothing(shell: Shell) -> None:
    def dies(peer: Peer, event: Notification) -> None:
        fault = {"code": "ENODEV", "message": "device snd/0 went away", "hint": "plug it in"}
        peer.tell("onstate", 0, "closed", fault)

    async def scenario(shell: Shell) -> None:
        async with shell.open() as s:
            await s.start()
            with pytest.raises(StreamError) as died:
                await s.write(PCM)
            assert died.value.code == "ENODEV"
            assert str(died.value) == "device snd/0 went away; plug it in"
            assert s.eof
            assert await s.write(PCM) == 0
            assert await s.read(10) == b""
            assert await s.stop() is False
            assert await s.setvol(1) is False
            assert await s.onmove(None) is False
            with pytest.raises(StreamError, match="went away"):
                await s.getpar()

    shell.server.on("write", dies)
    shell.run(scenario)
    assert shell.server.methods()[-1] == "close"


def test_an_error_during_the_drain_of_close_is_raised(shell: Shell) -> None:
    def close(peer: Peer, request: Request) -> None:
        fault = {"code": "ENODEV", "message": "device snd/0 went away", "hint": ""}
        peer.tell("onstate", 0, "closed", fault)
        peer.standard(request)

    async def scenario(shell: Shell) -> None:
        with pytest.raises(StreamError, match="went away"):
            async with shell.open() as s:
                await s.start()
                await s.write(PCM[:400])

    shell.server.on("close", close)
    shell.run(scenario)
    assert shell.server.methods().count("close") == 1


def test_the_servers_last_words_are_the_error(shell: Shell) -> None:
    def start(peer: Peer, request: Request) -> None:
        fault = {"code": "EPROTO", "message": "a write is larger than its credit", "hint": "mend it"}
        peer.tell("error", fault)
        peer.sock.close()

    async def scenario(shell: Shell) -> None:
        async with shell.open() as s:
            with pytest.raises(StreamError) as died:
                await s.start()
            assert died.value.code == "EPROTO"
            assert "larger than its credit" in died.value.message

    shell.server.on("start", start)
    shell.run(scenario)


def test_the_server_goes_away(shell: Shell) -> None:
    def start(peer: Peer, request: Request) -> None:
        peer.sock.close()

    async def scenario(shell: Shell) -> None:
        async with shell.open() as s:
            with pytest.raises(StreamError) as died:
                await s.start()
            assert died.value.code == "ECONNRESET"

    shell.server.on("start", start)
    shell.run(scenario)


def test_a_refused_version_closes_the_connection(shell: Shell) -> None:
    def hello(peer: Peer, request: Request) -> None:
        peer.refuse(request, "EPROTO", "version 1 is not spoken here", "use version 2")

    async def scenario(shell: Shell) -> None:
        with pytest.raises(StreamError, match="not spoken here"):
            async with shell.open():
                pass

    shell.server.on("hello", hello)
    shell.run(scenario)


def test_no_such_device(shell: Shell) -> None:
    def refuse(peer: Peer, request: Request) -> None:
        peer.refuse(request, "ENODEV", "no sub-device 'rear'", "see audioctl devices")

    async def scenario(shell: Shell) -> None:
        with pytest.raises(StreamError) as refused:
            async with shell.open("snd/rear"):
                pass
        assert refused.value.code == "ENODEV"

    shell.server.on("open", refuse)
    shell.run(scenario)


def test_nobody_there(shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    path = str(tmp_path / "none.sock")
    monkeypatch.setenv("AUDIOD_SOCKET", path)

    async def scenario(shell: Shell) -> None:
        with pytest.raises(ServerUnreachable) as missing:
            async with shell.open():
                pass
        assert missing.value.tried == [(path, "no such file or directory")]
        assert path in str(missing.value)
        assert "start it with: audiod" in str(missing.value)

    shell.run(scenario)


def test_volume_goes_both_ways(shell: Shell) -> None:
    def start(peer: Peer, request: Request) -> None:
        peer.tell("onvol", 0, 90)  # what this program had last time
        peer.standard(request)

    async def scenario(shell: Shell) -> None:
        heard: list[int] = []
        async with shell.open() as s:
            assert await s.onvol(heard.append)
            assert heard == [127]
            await s.setvol(40)
            assert heard == [127, 40]
            await s.start()
            await s.write(PCM[:4])
            assert heard == [127, 40, 90]
            assert s.vol == 90

    shell.server.on("start", start)
    shell.run(scenario)
    assert shell.server.requests("setvol") == [{"stream": 0, "vol": 40}]


def test_xruns_are_told_and_counted(shell: Shell) -> None:
    def write(peer: Peer, event: Notification) -> None:
        peer.tell("onxrun", 0, "play")

    async def scenario(shell: Shell) -> None:
        kinds: list[str] = []
        async with shell.open() as s:
            await s.onxrun(kinds.append)
            await s.start()
            await s.write(PCM[:4])
            await s.stop()
            assert kinds == ["play"]
            assert s.xruns == 1

    shell.server.on("write", write)
    shell.run(scenario)


def test_changes_of_a_subscription(shell: Shell) -> None:
    def subscribe(peer: Peer, request: Request) -> None:
        peer.standard(request)
        peer.tell("changed", "streams", {"event": "new", "id": 7})
        peer.tell("changed", "streams", {"event": "gone", "id": 7})

    async def scenario(shell: Shell) -> None:
        async with shell.connect() as c:
            await c.subscribe("streams", "devices")
            changes = [await c.change(), await c.change()]
            assert [(c.topic, c.row["event"]) for c in changes] == [("streams", "new"), ("streams", "gone")]

    shell.server.on("subscribe", subscribe)
    shell.run(scenario)
    assert shell.server.requests("subscribe") == [{"topics": ["streams", "devices"]}]
