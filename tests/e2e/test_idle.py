"""With nothing playing the daemon does not wake up, not once."""

import time
from pathlib import Path

import audiod_client
import pytest
from daemon import Daemon, running

WATCH_S = 1.0


def wakeups(daemon: Daemon) -> int:
    before = daemon.threads()
    time.sleep(WATCH_S)  # the thing measured is a span of real time
    return sum(daemon.threads()[tid] - n for tid, n in before.items())


def settled(daemon: Daemon) -> bool:
    """The device has played out and is closed again."""
    row = daemon.ask("devices")["devices"][0]
    return row["state"] == "closed"


@pytest.mark.parametrize("spec", ["null", "loopback"])
def test_idle_makes_no_wake_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str) -> None:
    with running(tmp_path, "-f", spec) as daemon:
        monkeypatch.setenv("AUDIOD_SOCKET", str(daemon.socket))
        with audiod_client.open("default", "play") as stream:
            stream.setpar(enc="s16le", rate=48000, pchan=2)
            stream.start()
            stream.write(bytes(4 * 9600))
            playing = wakeups(daemon)
        for _ in range(1000):
            if settled(daemon):
                break
            time.sleep(0.01)
        assert settled(daemon)
        time.sleep(0.05)  # the answers to `settled` have left
        assert wakeups(daemon) == 0
        assert playing > 50, "the check sees the wake-ups of a clock that runs"


def test_a_connected_client_that_does_nothing_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path, "-f", "null") as daemon:
        monkeypatch.setenv("AUDIOD_SOCKET", str(daemon.socket))
        with audiod_client.open("default", "play") as stream:
            stream.setpar(enc="s16le", rate=48000, pchan=2)
            time.sleep(0.05)
            assert wakeups(daemon) == 0
