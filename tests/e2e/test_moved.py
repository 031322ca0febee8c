"""A program plays on while its stream, or the default device, moves: its samples are found in both files."""

import threading
from pathlib import Path

import audiod_client
import numpy as np
import pytest
from daemon import Daemon, running

RATE, BLOCK, FADE = 48000, 480, 480


def numbered(nframes: int) -> np.ndarray:
    """Frames that tell their place: n is (n % 20000 + 1, n // 20000 + 1)."""
    n = np.arange(nframes)
    return np.stack([n % 20000 + 1, n // 20000 + 1], axis=1).astype("<i2")


def frames(path: Path) -> np.ndarray:
    import soundfile

    data, _ = soundfile.read(path, dtype="int16", always_2d=True)
    return data


def whole(part: np.ndarray, data: np.ndarray) -> int:
    """How many frames of `part`, from its first on, are those of `data`."""
    n = min(len(part), len(data))
    wrong = np.flatnonzero((part[:n] != data[:n]).any(axis=1))
    return int(wrong[0]) if len(wrong) else n


class Player:
    """Plays numbered frames at its own pace until all are taken."""

    def __init__(self, seconds: float) -> None:
        self.data = numbered(int(seconds * RATE))
        self.stream = audiod_client.open("default", "play")
        self.stream.setpar(enc="s16le", rate=RATE, pchan=2, appbufsz=24000)
        self.moves: list[int] = []
        self.stream.onmove(self.moves.append)
        self.stream.start()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        self.stream.write(self.data.tobytes())
        self.stream.close()

    def join(self) -> None:
        self.thread.join(60)
        assert not self.thread.is_alive()


def wait_for_position(daemon: Daemon, least: int) -> dict[str, object]:
    while True:
        rows = daemon.ask("streams")["streams"]
        if rows and rows[0]["position"] >= least:
            return rows[0]


@pytest.mark.parametrize("how", ["stream.move", "server.device"])
def test_frames_go_on_in_the_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    a, b = tmp_path / "a.wav", tmp_path / "b.wav"
    with running(tmp_path, "-f", f"file:{a}?dither=off", "-f", f"file:{b}?dither=off") as daemon:
        monkeypatch.setenv("AUDIOD_SOCKET", str(daemon.socket))
        player = Player(2)
        row = wait_for_position(daemon, 4800)
        if how == "stream.move":
            assert daemon.ask("stream.move", id=row["id"], device="1")["device"] == 1
        else:
            daemon.ask("control.set", name="server.device", value=1)
        now = wait_for_position(daemon, int(row["position"]) + 24000)  # type: ignore[call-overload]
        assert now["device"] == 1
        player.join()
    first, second = frames(a), frames(b)
    kept = whole(first, player.data)
    second = second[second.any(axis=1)]  # without the silence of a start or a late test process
    tail = whole(second[::-1], player.data[::-1])
    assert kept >= 4800
    # nothing is missing but what was faded, out of one file and into the other
    assert 0 <= len(player.data) - kept - tail <= 2 * FADE + BLOCK
    assert all(m >= 0 for m in player.moves), "a position never goes back"


def test_a_dead_target_leaves_the_stream_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a = tmp_path / "a.wav"
    with running(tmp_path, "-f", f"file:{a}", "-f", f"file:{tmp_path}/none/b.wav") as daemon:
        monkeypatch.setenv("AUDIOD_SOCKET", str(daemon.socket))
        player = Player(0.6)
        row = wait_for_position(daemon, 480)
        with pytest.raises(audiod_client.StreamError) as refused:
            daemon.ask("stream.move", id=row["id"], device="1")
        assert refused.value.code == "ENODEV"
        player.join()
    got = frames(a)
    assert np.array_equal(got[: len(player.data)], player.data)
