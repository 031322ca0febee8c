"""A subscriber hears of every state of a stream that it would see by asking."""

from pathlib import Path

import audiod_client
import pytest
from daemon import running


@pytest.mark.parametrize("mode", ["play", "rec"])
def test_a_stream_is_told_as_running_when_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    with running(tmp_path, "-f", "loopback") as daemon:
        monkeypatch.setenv("AUDIOD_SOCKET", str(daemon.socket))
        with audiod_client.Connection.connect() as watcher:
            watcher.subscribe("streams")
            with audiod_client.open("default", mode) as stream:
                stream.setpar(enc="s16le", rate=48000)
                stream.start()
                if mode == "play":
                    stream.write(bytes(4 * 20000))
                seen = []
                while "running" not in seen:
                    change = watcher.change(timeout=30)
                    assert change is not None, seen
                    seen.append(change.row["state"])
            assert seen[-2:] == ["priming", "running"]
            while change is not None and change.row["event"] != "gone":
                change = watcher.change(timeout=30)
            assert change is not None
