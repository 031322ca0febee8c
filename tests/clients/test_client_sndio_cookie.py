"""The cookie of sndio's wire: which file is used, and what takes its place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from audiod_client._sndio_cookie import cookie

GOOD = bytes(range(16))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / ".sndio").mkdir()
    path = tmp_path / ".sndio" / "cookie"
    path.write_bytes(GOOD)
    path.chmod(0o600)
    return path


def env(home: Path) -> dict[str, str]:
    return {"HOME": str(home)}


def test_a_good_file_is_used(file: Path, tmp_path: Path) -> None:
    for mode in (0o600, 0o400, 0o700):
        file.chmod(mode)
        assert cookie(env(tmp_path), False) == GOOD
    file.write_bytes(GOOD + b"more")
    assert cookie(env(tmp_path), False) == GOOD


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610, 0o602])
def test_a_file_that_others_may_touch_is_replaced(file: Path, tmp_path: Path, mode: int) -> None:
    file.chmod(mode)
    new = cookie(env(tmp_path), False)
    assert new != GOOD
    assert file.read_bytes() == new
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_a_short_file_is_replaced(file: Path, tmp_path: Path) -> None:
    file.write_bytes(GOOD[:15])
    new = cookie(env(tmp_path), False)
    assert (len(new), file.read_bytes()) == (16, new)


def test_without_a_place_it_is_another_each_time(tmp_path: Path, file: Path) -> None:
    for where, setid in (({}, False), ({"HOME": ""}, False), (env(tmp_path), True), (env(file), False)):
        one, other = cookie(where, setid), cookie(where, setid)
        assert len(one) == len(other) == 16
        assert len({one, other, GOOD}) == 3
    assert file.read_bytes() == GOOD


def test_programs_that_begin_at_once_agree(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from audiod_client._sndio_cookie import cookie\n"
        "print('ready', flush=True); sys.stdin.read()\n"
        "print(cookie(os.environ, False).hex())"
    )
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, **env(tmp_path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for program in programs:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
    for program in programs:
        assert program.stdin is not None
        program.stdin.close()
    said = set()
    for program in programs:
        assert program.stdout is not None
        said.add(program.stdout.read())
        program.stdout.close()
        assert program.wait() == 0
    assert said == {(tmp_path / ".sndio" / "cookie").read_bytes().hex() + "\n"}
