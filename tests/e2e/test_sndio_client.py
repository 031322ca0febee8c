"""Our clients against real servers of sndio's wire, by its socket and by TCP: Debian's sndiod, and audiod.

The servers are on virtual cards that keep what they play, loop it back (card 0)
or record the count of their frames (card 1).
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import audiod_client
import audiod_client.aio
import numpy as np
import pytest
import soundfile
import trio
from audiod_client import StreamError
from daemon import BIN, PATIENCE
from sndio.card import Cards, Server, audiod, cards, need, sndiod
from units import unit

FRAMES = 12_000
PCM = np.random.default_rng(4).integers(1, 32767, (FRAMES, 2), dtype=np.int16).tobytes()  # never 0
WAYS = {"socket": "snd,{}/{}", "tcp": "snd@127.0.0.1,{}/{}"}


@pytest.fixture(scope="module")
def card() -> Iterator[Cards]:
    with cards() as made:
        yield made


@pytest.fixture(scope="module", params=["sndiod", "audiod"])
def server(request: pytest.FixtureRequest, card: Cards) -> Iterator[Server]:
    start: Callable[..., Server] = audiod
    if request.param == "sndiod":
        need("sndiod")
        start = sndiod
    with unit() as number:
        running = start(card.folder, number, "-L", "127.0.0.1", "-f", "rsnd/0", "-f", "rsnd/1", env=card.env)
        try:
            yield running
        finally:
            running.stop()


@pytest.fixture(params=WAYS)
def name(
    request: pytest.FixtureRequest, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], str]:
    """Names of the server's devices; the environment names none, and no cookie is there yet."""
    for variable in ("AUDIODEVICE", "AUDIOPLAYDEVICE", "AUDIORECDEVICE", "AUDIOD_SOCKET"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return lambda device: WAYS[request.param].format(server.unit, device)


def until(card: Cards, before: int, found: Callable[[bytes], bool]) -> None:
    """Wait until something is found in what the card has played after `before` bytes."""
    deadline = time.monotonic() + PATIENCE
    while not found(card.played()[before:]):
        assert time.monotonic() < deadline, "it was never played"
        time.sleep(0.01)


def heard(card: Cards, before: int, what: bytes) -> None:
    """Wait until the card has played exactly these frames."""
    until(card, before, lambda played: played.find(what) >= 0 and played.find(what) % 4 == 0)


def ctl(*words: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([BIN / "audioctl", *words], capture_output=True, check=False, timeout=PATIENCE)


def test_audioctl_plays_a_file(card: Cards, name: Callable[[str], str], tmp_path: Path) -> None:
    before = len(card.played())
    soundfile.write(tmp_path / "a.flac", np.frombuffer(PCM, "<i2").reshape(-1, 2), 48000)
    done = ctl("play", "--device", name("0"), tmp_path / "a.flac")
    assert (done.returncode, done.stdout) == (0, b""), done.stderr.decode()
    heard(card, before, PCM)


def test_audioctl_records_the_card(name: Callable[[str], str], tmp_path: Path) -> None:
    done = ctl("record", "--device", name("1"), "--duration", "0.2", tmp_path / "a.wav")
    assert done.returncode == 0, done.stderr.decode()
    taken, rate = soundfile.read(tmp_path / "a.wav", dtype="int16")
    assert (len(taken), rate) == (9600, 48000)
    assert set(np.diff(taken[:, 0].astype(np.uint16)).tolist()) == {1}, "each frame follows the one before"


def test_positions_of_what_plays(card: Cards, name: Callable[[str], str]) -> None:
    before = len(card.played())
    with audiod_client.open(name("default")) as s:
        moves: list[int] = []
        s.onmove(moves.append)
        s.setpar(enc="s16le", rate=48000, pchan=2, appbufsz=4800)
        par = s.getpar()
        assert (par.rate, par.pchan, par.round, par.appbufsz) == (48000, 2, 480, 4800)
        s.start()
        for begin in range(0, len(PCM), 4000):
            assert s.write(PCM[begin : begin + 4000]) == min(4000, len(PCM) - begin)
            assert 0 <= s.written - s.position <= (par.bufsz or 0)
        assert s.stop()
        assert moves[0] == 0
        assert all(move % 480 == 0 for move in moves), "blocks; several at once where this program was slow"
        assert sum(moves) == s.position <= FRAMES
        heard(card, before, PCM)
        before = len(card.played())
        assert s.start(), "it may start again"
        assert s.write(PCM[:4000]) == 4000
        assert s.position == 0
    heard(card, before, PCM[:4000])


def test_what_is_recorded_while_playing_is_what_was_played(name: Callable[[str], str]) -> None:
    with audiod_client.open(name("0"), "play,rec") as s:
        s.setpar(enc="s16le", rate=48000, pchan=2, rchan=2, appbufsz=4800)
        s.start()
        taken = b""
        s.write(PCM[: 4 * 4800])
        done = 4 * 4800
        while len(taken) < 4 * 6000:
            data = s.read(4 * 480)
            taken += data
            done += s.write(PCM[done : done + len(data)])
            assert len(taken) <= 4 * s.position
        s.flush()
    assert taken == PCM[: len(taken)], "frame n that is recorded is frame n that was played"


async def test_trio(card: Cards, name: Callable[[str], str]) -> None:
    before = len(card.played())
    taken = array("H")

    async def record() -> None:
        async with audiod_client.aio.open(name("1"), "rec") as s:
            await s.setpar(enc="u16le", rate=48000, rchan=2)
            await s.start()
            while len(taken) < 2 * 4800:
                taken.frombytes(await s.read(4 * 480))
            await s.flush()

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(record)
            async with audiod_client.aio.open(name("0")) as s:
                await s.setpar(enc="s16le", rate=48000, pchan=2)
                await s.start()
                assert await s.write(PCM) == len(PCM)
    heard(card, before, PCM)
    assert {(b - a) % 65536 for a, b in zip(taken[::2], taken[2::2], strict=False)} == {1}


def test_a_volume_is_heard(card: Cards, name: Callable[[str], str]) -> None:
    before = len(card.played())

    def halved(played: bytes) -> bool:
        """Each sample, but for the one step by which audiod dithers a product."""
        samples = np.frombuffer(played[: len(played) // 4 * 4], "<i2").astype(int)
        loud = samples[samples != 0]
        assert (np.abs(loud - 10_000) <= 1).all()
        return len(loud) == 2 * 4800

    with audiod_client.open(name("0"), client_name="half") as s:
        s.setpar(enc="s16le", rate=48000, pchan=2)
        s.setvol(109)  # the gain is 0.5
        s.start()
        s.write(np.full(2 * 4800, 20_000, "<i2").tobytes())
    until(card, before, halved)


def test_a_name_that_is_not_there(name: Callable[[str], str]) -> None:
    with pytest.raises(StreamError, match="refused to open snd/nowhere to play") as refused:
        audiod_client.open(name("nowhere"))
    assert refused.value.code == "ECONNREFUSED"


def test_the_cookie_is_kept(name: Callable[[str], str], tmp_path: Path) -> None:
    with audiod_client.open(name("0")), audiod_client.open(name("0"), "rec"):
        pass
    assert len((tmp_path / ".sndio" / "cookie").read_bytes()) == 16


def test_the_server_is_killed(server: Server) -> None:
    start = sndiod if "sndiod" in str(server.process.args) else audiod
    with cards() as own, unit() as number:
        other = start(own.folder, number, "-f", "rsnd/0", env=own.env)
        try:
            stream = audiod_client.open(f"snd,{number}/default")
            stream.start()
            stream.write(bytes(8 * 480))
            os.kill(other.process.pid, signal.SIGKILL)
            with pytest.raises(StreamError) as died:
                while True:
                    stream.write(bytes(8 * 480))
            assert died.value.code in ("ECONNRESET", "EPIPE")
            assert stream.eof
            assert stream.write(bytes(8)) == 0
            stream.close()
        finally:
            other.stop()
