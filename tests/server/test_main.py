"""__main__.py and log.py: exit codes, what is printed where, the shape of log lines."""

from __future__ import annotations

import io
import os
import re
import socket
from pathlib import Path

import pytest

from audiod import __version__, log
from audiod.__main__ import main


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("-t on", "audiod: -t on: off or slave expected"),
        ("-f oss", "not there yet"),
        ("-x", "audiod: option -x not recognized"),
        ("what", "unexpected argument"),
    ],
)
def test_usage_errors_are_one_line_and_exit_2(
    line: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "usage: audiod" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"audiod {__version__}\n"


def test_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["--check", "--socket", "/x/s", "-r", "44100", "-f", "null?play=4", "-c", "2:3", "-s", "rear"])
        == 0
    )
    out = capsys.readouterr().out
    assert "socket /x/s" in out
    assert "device 0: null?play=4: play,rec, s16le, 44100 Hz, round 480, bufsz 1920" in out
    assert "snd/rear: play,rec, play 2:3" in out
    assert "MIDI" not in out and "MMC" not in out, "nobody has asked"
    assert main(["--check", "-q", "rmidi/2", "-f", "null", "-t", "slave", "-s", "tape"]) == 0
    out = capsys.readouterr().out
    assert "MIDI port 0: rmidi/2\n" in out and re.search("snd/tape: .*, waits for MMC\n", out)


def test_what_cannot_start_exits_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        assert main(["--no-realtime", "--sndio", "none", "--socket", str(path), "-f", "null"]) == 1
    assert "a server is running there" in capsys.readouterr().err
    assert main(["--socket", str(tmp_path / "none" / "s")]) == 1
    assert "no such directory" in capsys.readouterr().err


# ---- log ----


def test_lines_of_key_and_value() -> None:
    out = io.StringIO()
    log.setup("info", {}, out)
    log.get(stream=3).info("stream.open", name="a b", pid=7)
    log.get().debug("not.shown")
    assert 'level=info event=stream.open stream=3 name="a b" pid=7' in out.getvalue()
    assert out.getvalue().startswith("timestamp=")
    assert "not.shown" not in out.getvalue()


def test_a_record_is_one_line_whatever_a_client_sends() -> None:
    out = io.StringIO()
    log.setup("info", {}, out)
    log.get().info("client.hello", name="x\nlevel=error event=forged")
    assert out.getvalue().count("\n") == 1


def test_priorities_for_the_journal(tmp_path: Path) -> None:
    with (tmp_path / "journal").open("w+") as journal:
        found = os.fstat(journal.fileno())
        log.setup("debug", {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}, journal)
        for level in ("debug", "info", "warning", "error"):
            getattr(log.get(), level)("an.event", key=1)
        try:
            raise ValueError("two\nlines")
        except ValueError:
            log.get().exception("a.bug")
        journal.seek(0)
        lines = journal.read().splitlines()
    assert lines[:4] == [f"<{n}>event=an.event key=1" for n in (7, 6, 4, 3)]
    assert len(lines) == 5
    assert lines[4].startswith("<3>event=a.bug")
    assert "ValueError" in lines[4]
