"""The same scenarios on the blocking and on the trio client, against a fake server of sndio's wire."""

from __future__ import annotations

import os
import select
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import audiod_client
import audiod_client.aio
import pytest
import trio
import trio.testing
from audiod_client import ServerUnreachable, StreamError
from audiod_client._link import program_name
from audiod_client.cli import run
from audiod_client.names import Places, Wire
from audiod_protocol.params import Enc
from audiod_protocol.sndio import messages as m
from audiod_protocol.sndio.messages import WirePar
from clients.fake_audiod import fake_audiod
from clients.fake_sndiod import APPBUFSZ, BLOCKS, BUFSZ, ROUND, FakeSndiod, Peer, fake_sndiod, ramp
from clients.shells import Shell

PCM = bytes(i % 253 for i in range(4 * 5000))


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    """Sockets are looked for in a directory of the test's own, and nothing is there yet."""
    for name in ("AUDIODEVICE", "AUDIOPLAYDEVICE", "AUDIORECDEVICE", "AUDIOD_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    with tempfile.TemporaryDirectory() as top:
        monkeypatch.setenv("HOME", top)
        here = Places(1000, {"HOME": top, "XDG_RUNTIME_DIR": f"{top}/user"}, False, f"{top}/run", top)
        monkeypatch.setattr(Places, "here", classmethod(lambda cls: here))
        yield here


@pytest.fixture
def sndiod(places: Places) -> Iterator[FakeSndiod]:
    """A server of sndio's wire on the system's socket of unit 0, and no other server."""
    folder = Path(places.tmp) / "sndio"
    folder.mkdir()
    with fake_sndiod(f"{folder}/sock0") as server:
        yield server


@pytest.fixture(params=["blocking", "trio"])
def shell(request: pytest.FixtureRequest, sndiod: FakeSndiod) -> Shell:
    return Shell(request.param, sndiod)


def kinds(server: FakeSndiod) -> str:
    return " ".join(server.names())


def test_plays_everything_and_drains_on_close(shell: Shell, sndiod: FakeSndiod) -> None:
    async def scenario(shell: Shell) -> None:
        moves: list[int] = []
        async with shell.open(client_name="tune") as s:
            assert (s.device, s.subdevice, s.number) == (None, "default", 0)
            assert await s.setpar(enc="s16le", rate=48000, pchan=2)
            assert s.par.enc.same(Enc.parse("s16le"))
            assert (s.par.round, s.par.appbufsz, s.par.bufsz, s.par.rchan) == (ROUND, APPBUFSZ, BUFSZ, None)
            await s.onmove(moves.append)
            assert await s.start()
            assert await s.write(PCM) == len(PCM)
            assert s.written == 5000
            assert 0 <= await s.latency() <= BUFSZ
            assert s.time_ns == 0
            assert await s.stop()
        assert moves[0] == 0
        assert set(moves[1:]) == {ROUND}
        assert s.eof

    shell.run(scenario)
    assert bytes(sndiod.peers[0].written) == PCM
    assert kinds(sndiod) == "Auth Hello Setpar Getpar Getpar Start Stop Bye"
    assert sndiod.log[1] == m.Hello(1, 255, os.getpid(), "default", "tune")
    assert sndiod.said(m.Setpar) == [
        m.Setpar(WirePar(bps=2, bits=16, msb=0, le=1, sig=1, pchan=2, rate=48000, appbufsz=9600))
    ]
    assert sndiod.said(m.Start) == [m.Start(xrunnotify=True)]
    assert sndiod.said(m.Stop) == [m.Stop(drain=True)]


def test_leaving_the_block_while_started_drains(shell: Shell, sndiod: FakeSndiod) -> None:
    async def scenario(shell: Shell) -> None:
        async with shell.open() as s:
            await s.start()
            await s.write(PCM[:403])

    shell.run(scenario)
    assert bytes(sndiod.peers[0].written) == PCM[:403] + bytes(5), "the last frame, of 8 bytes, is filled up"
    assert kinds(sndiod) == "Auth Hello Getpar Start Stop Bye"
    assert sndiod.said(m.Stop) == [m.Stop(drain=True)]


def test_records_what_the_server_sends(shell: Shell, sndiod: FakeSndiod) -> None:
    async def scenario(shell: Shell) -> None:
        got = b""
        async with shell.open("snd/0.rear", "rec") as s:
            assert (s.device, s.subdevice) == (0, "rear")
            await s.setpar(enc="s16le")
            await s.start()
            while len(got) < 4 * BLOCKS * ROUND:
                data = await s.read(1000)
                assert 0 < len(data) <= 1000
                got += data
                assert len(got) <= s.position * 4
            assert await s.flush()
        assert got == ramp(0, 4 * BLOCKS * ROUND)

    shell.run(scenario)
    (hello,) = sndiod.said(m.Hello)
    assert hello == m.Hello(2, 0, os.getpid(), "rear", program_name()[:11])
    assert sndiod.said(m.Stop) == [m.Stop(drain=False)]


def test_plays_and_records_at_once(shell: Shell, sndiod: FakeSndiod) -> None:
    async def scenario(shell: Shell) -> None:
        got = b""
        async with shell.open(mode="play,rec") as s:
            await s.setpar(enc="s16le")
            await s.start()
            for begin in range(0, len(PCM), 4 * ROUND):
                block = PCM[begin : begin + 4 * ROUND]
                assert await s.write(block) == len(block)
                while len(got) < 4 * s.position:
                    got += await s.read(4 * s.position - len(got))
                assert s.written - s.position <= BUFSZ
        assert got == ramp(0, len(got))
        assert len(got) > 0

    shell.run(scenario)
    assert bytes(sndiod.peers[0].written) == PCM


def test_restarts_with_other_parameters(shell: Shell, sndiod: FakeSndiod) -> None:
    async def scenario(shell: Shell) -> None:
        async with shell.open() as s:
            for enc, size in (("s16le", 4), ("s24le3", 6)):
                await s.setpar(enc=enc)
                await s.start()
                assert await s.write(bytes(2000 * size)) == 2000 * size
                assert s.written == 2000
                assert await s.stop()

    shell.run(scenario)
    assert len(sndiod.peers[0].written) == 2000 * 10


def test_volume_goes_both_ways(shell: Shell, sndiod: FakeSndiod) -> None:
    def start(peer: Peer, message: m.ClientMessage) -> None:
        peer.standard(message)
        peer.tell(m.Setvol(90))

    async def scenario(shell: Shell) -> None:
        vols: list[int] = []
        async with shell.open() as s:
            await s.onvol(vols.append)
            await s.setvol(100)
            await s.start()
            await s.write(PCM)
            assert vols == [127, 100, 90]
            assert s.vol == 90

    sndiod.on(m.Start, start)
    shell.run(scenario)
    assert kinds(sndiod) == "Auth Hello Setvol Getpar Start Stop Bye"
    assert sndiod.said(m.Setvol) == [m.Setvol(100)]


def test_an_xrun_is_told(shell: Shell, sndiod: FakeSndiod) -> None:
    def start(peer: Peer, message: m.ClientMessage) -> None:
        peer.standard(message)
        peer.tell(m.Xrun())

    async def scenario(shell: Shell) -> None:
        told: list[str] = []
        async with shell.open() as s:
            await s.onxrun(told.append)
            await s.start()
            await s.write(PCM)
        assert told == ["unknown"]
        assert s.xruns == 1

    sndiod.on(m.Start, start)
    shell.run(scenario)


def test_capabilities_are_known_without_asking(shell: Shell, sndiod: FakeSndiod) -> None:
    async def scenario(shell: Shell) -> None:
        async with shell.open() as s:
            cap = await s.getcap()
            assert Enc.parse("s16le") in cap.enc
            assert not any(enc.flt for enc in cap.enc)

    shell.run(scenario)
    assert kinds(sndiod) == "Auth Hello Bye"


# ---- what goes wrong ----


def leave(peer: Peer, message: m.ClientMessage) -> None:
    peer.leave()


def failing(shell: Shell, code: str, **par: Any) -> StreamError:
    """The one error of a stream that starts and writes; after it calls give nothing."""
    errors: list[StreamError] = []

    async def scenario(shell: Shell) -> None:
        async with shell.open() as s:
            with pytest.raises(StreamError) as died:
                await s.setpar(enc="s16le", **par)
                await s.start()
                await s.write(PCM * 20)
            errors.append(died.value)
            assert s.eof
            assert await s.write(PCM) == 0
            assert await s.read(10) == b""
            assert await s.stop() is False

    shell.run(scenario)
    assert errors[0].code == code
    assert errors[0].hint
    return errors[0]


def test_a_refusal_tells_what_it_may_be(shell: Shell, sndiod: FakeSndiod) -> None:
    async def scenario(shell: Shell) -> None:
        async with shell.open("snd/rear"):
            raise AssertionError

    sndiod.on(m.Hello, leave)
    for kind in ("blocking", "trio"):
        with pytest.raises(StreamError, match="refused to open snd/rear to play") as refused:
            Shell(kind, sndiod).run(scenario)
        assert refused.value.code == "ECONNREFUSED"
        assert "cookie" in refused.value.hint


@pytest.mark.parametrize("kind", [m.Setpar, m.Getpar, m.Start, m.Data])
def test_the_server_goes_away(shell: Shell, sndiod: FakeSndiod, kind: type) -> None:
    sndiod.on(kind, leave)
    failing(shell, "ECONNRESET")


def test_the_end_under_the_policy_error_is_an_xrun(shell: Shell, sndiod: FakeSndiod) -> None:
    sndiod.on(m.Data, leave)
    assert "xrun" in failing(shell, "EPIPE", xrun="error").message


def test_a_server_that_breaks_the_protocol(shell: Shell, sndiod: FakeSndiod) -> None:
    def start(peer: Peer, message: m.ClientMessage) -> None:
        peer.raw(m.encode(m.Flowctl(-1)))

    sndiod.on(m.Start, start)
    error = failing(shell, "EPROTO")
    assert "broke sndio's protocol: FLOWCTL takes 1 frames of credit back" in error.message


def test_a_server_that_speaks_first(shell: Shell, sndiod: FakeSndiod) -> None:
    sndiod.on(m.Auth, lambda peer, message: peer.raw(b"220 mail ready\r\n" * 9))
    errors: list[StreamError] = []

    async def scenario(shell: Shell) -> None:
        with pytest.raises(StreamError) as died:
            async with shell.open():
                raise AssertionError
        errors.append(died.value)

    shell.run(scenario)
    assert errors[0].code == "EPROTO"


def test_what_the_wire_lacks(shell: Shell, sndiod: FakeSndiod) -> None:
    async def refused(call: Any) -> str:
        with pytest.raises(StreamError) as lacking:
            await call
        assert lacking.value.code == "ENOTSUP"
        assert lacking.value.hint
        return lacking.value.message

    async def scenario(shell: Shell) -> None:
        async with shell.connect() as c:
            assert c.wire is Wire.SNDIO
            assert c.server == {}
            assert "status" in await refused(c.request("status"))
            assert "subscribe" in await refused(c.subscribe("streams"))
            assert "changes" in await refused(c.change())
            assert "mon" in await refused(opened(shell, c, mode="mon"))
            assert "link groups" in await refused(opened(shell, c, link="duo"))
            async with shell.stream_of(c, name="bell") as s:
                assert "second stream" in await refused(opened(shell, c))
                assert "f32le" in await refused(s.setpar(enc="f32le"))
                assert s.eof

    shell.run(scenario)
    assert sndiod.said(m.Hello) == [m.Hello(1, 255, os.getpid(), "default", "bell")]
    assert kinds(sndiod) == "Auth Hello Bye"


async def opened(shell: Shell, connection: Any, **more: str) -> None:
    async with shell.stream_of(connection, **more):
        raise AssertionError("it was to be refused")


def test_a_connection_ends_with_its_stream(shell: Shell, sndiod: FakeSndiod) -> None:
    async def scenario(shell: Shell) -> None:
        async with shell.connect() as c:
            async with shell.stream_of(c):
                pass
            with pytest.raises(StreamError, match="ended with its stream"):
                await opened(shell, c)

    shell.run(scenario)


# ---- waiting, in each client's own way ----


def test_polling(sndiod: FakeSndiod) -> None:
    def poll(stream: audiod_client.Stream, events: int) -> int:
        poller = select.poll()
        for fd, mask in stream.pollfd(events):
            poller.register(fd, mask)
        poller.poll()
        return stream.revents()

    with audiod_client.open(mode="play,rec", nbio=True) as s:
        s.setpar(enc="s16le")
        s.start()
        done, got = 0, b""
        while done < len(PCM):
            events = poll(s, select.POLLIN | select.POLLOUT)
            if events & select.POLLOUT:
                count = s.write(PCM[done:])
                assert count > 0, "POLLOUT promised room"
                done += count
            if events & select.POLLIN:
                data = s.read(len(PCM))
                assert data, "POLLIN promised samples"
                got += data
    assert got == ramp(0, len(got))
    assert bytes(sndiod.peers[0].written) == PCM


def test_a_cancelled_stream_is_cut(sndiod: FakeSndiod) -> None:
    def hold(peer: Peer, message: m.ClientMessage) -> None:
        """Credit is given once, and the clock stands still."""
        peer.wire.begin(8, ROUND)
        peer.tell(m.Flowctl(100))

    async def main() -> None:
        with trio.CancelScope() as scope:
            async with audiod_client.aio.open() as s:
                await s.start()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(s.write, PCM)
                    while s.written < 100:
                        await trio.lowlevel.checkpoint()
                    scope.cancel()
        assert s.eof

    sndiod.on(m.Start, hold)
    trio.run(main)
    sndiod.settle()
    assert kinds(sndiod) == "Auth Hello Getpar Start Bye"
    assert bytes(sndiod.peers[0].written) == PCM[:800]


def test_a_drain_that_was_cut_short_goes_on(sndiod: FakeSndiod) -> None:
    asked = trio.Event()

    async def main() -> None:
        token = trio.lowlevel.current_trio_token()
        stops: list[Peer] = []

        def stop(peer: Peer, message: m.ClientMessage) -> None:
            stops.append(peer)
            token.run_sync_soon(asked.set)

        sndiod.on(m.Stop, stop)
        async with audiod_client.aio.open() as s:
            await s.start()
            await s.write(PCM[:800])
            async with trio.open_nursery() as nursery:
                nursery.start_soon(s.stop)
                await asked.wait()
                nursery.cancel_scope.cancel()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(s.flush)  # which waits for the end of the drain
                await trio.testing.wait_all_tasks_blocked()
                stops[0].tell(m.Stop())
            assert await s.start()
            sndiod.on(m.Stop, Peer.standard)

    trio.run(main)
    sndiod.settle()
    assert kinds(sndiod) == "Auth Hello Getpar Start Stop Getpar Start Stop Bye"


# ---- which server ----


def test_the_order_of_servers(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """Native ones first; then sndio's, the user's before the system's."""
    uid = os.geteuid() or 1000
    here = replace(places, uid=uid)
    monkeypatch.setattr(Places, "here", classmethod(lambda cls: here))
    top = Path(places.tmp)
    for name, mode in ((f"sndio-{uid}", 0o700), ("sndio", 0o755), ("user/audiod", 0o700)):
        (top / name).mkdir(mode=mode, parents=True)
        os.chown(top / name, uid, -1)

    def reached() -> tuple[Wire, str]:
        with audiod_client.Connection.connect() as c:
            return c.wire, c.where.removeprefix(f"{top}/")

    with fake_sndiod(f"{top}/sndio/sock0"):
        assert reached() == (Wire.SNDIO, "sndio/sock0")
        with fake_sndiod(f"{top}/sndio-{uid}/sock0"):
            assert reached() == (Wire.SNDIO, f"sndio-{uid}/sock0")
            with fake_audiod(top / "user/audiod/audiod.sock"):
                assert reached() == (Wire.NATIVE, "user/audiod/audiod.sock")
            (top / f"sndio-{uid}").chmod(0o777)
            assert reached() == (Wire.SNDIO, "sndio/sock0")


def test_the_cookie_is_this_users(places: Places, sndiod: FakeSndiod) -> None:
    for _ in range(2):
        audiod_client.open().close()
    sndiod.settle()
    folder = Path(places.env["HOME"]) / ".sndio"
    cookie = (folder / "cookie").read_bytes()
    assert sndiod.said(m.Auth) == [m.Auth(cookie)] * 2
    assert [stat.S_IMODE(p.stat().st_mode) for p in (folder, folder / "cookie")] == [0o755, 0o600]
    assert [p.name for p in folder.iterdir()] == ["cookie"]


def test_nothing_answers(places: Places) -> None:
    with pytest.raises(ServerUnreachable) as nobody:
        audiod_client.open()
    where = [path for path, _ in nobody.value.tried]
    assert where == [
        f"{places.tmp}/user/audiod/audiod.sock",
        f"{places.system}/audiod.sock",
        f"{places.tmp}/sndio-1000/sock0",
        f"{places.tmp}/sndio/sock0",
    ]
    assert nobody.value.hint == "start it with: audiod"


def test_audioctl_says_what_it_found(sndiod: FakeSndiod, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["status"]) == 3
    out, err = capfd.readouterr()
    assert out == ""
    assert "no audiod answers" in err
    assert "/sndio/sock0 (sndio's wire: it plays and records, and tells nothing)" in err
    assert sndiod.log == []
