"""audiod under the name sndiod: it goes to the background once programs can connect.

Real processes, started by a link of that name; the unit file is Debian's own.
"""

from __future__ import annotations

import os
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import audiod_client
import pytest
from daemon import BIN, PATIENCE
from units import a_unit
from users import OWN_PLACES, needs_root

__all__ = ["a_unit"]

UNIT = Path("/lib/systemd/system/sndiod.service")
SERVER_CLASS_FLAGS = (
    "-f rsnd/0 -m play,mon -s default -a off -v 100 -w off -L 127.0.0.1"  # as of rc.conf.local
)


@pytest.fixture
def sndiod(tmp_path: Path) -> Path:
    link = tmp_path / "bin" / "sndiod"
    link.parent.mkdir()
    link.symlink_to(BIN / "audiod")
    return link


class Started:
    """What a command has left in the background; ended by its process id."""

    def __init__(self, path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
            self.pid = int.from_bytes(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 4), "little")
        self.handle = os.pidfd_open(self.pid)
        self.path = path

    def end(self) -> None:
        signal.pidfd_send_signal(self.handle, signal.SIGTERM)
        assert select.select([self.handle], [], [], PATIENCE)[0], "it does not end"
        os.close(self.handle)

    def fd(self, number: int) -> str:
        return str(Path(f"/proc/{self.pid}/fd/{number}").readlink())


@pytest.fixture
def started() -> Iterator[list[Started]]:
    found: list[Started] = []
    yield found
    for one in found:
        one.end()


def start(sndiod: Path, *args: str, folder: Path, unit: int) -> subprocess.CompletedProcess[str]:
    """Run it until the command ends, with pipes that a process left behind would keep open."""
    return subprocess.run(
        [sndiod, "--socket", folder / "native", "--state", "none", "--no-realtime", "-U", str(unit), *args],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_it_goes_to_the_background_once_it_listens(
    sndiod: Path, tmp_path: Path, a_unit: int, started: list[Started]
) -> None:
    done = start(sndiod, *SERVER_CLASS_FLAGS.split(), folder=tmp_path, unit=a_unit)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    server = Started(tmp_path / "native")  # without a retry: it listens
    started.append(server)
    assert os.getsid(server.pid) == server.pid != os.getsid(0), "no terminal's"
    assert [server.fd(number) for number in range(3)] == ["/dev/null"] * 3
    with audiod_client.Connection.connect(str(server.path)) as connection:
        status = connection.request("status")
        assert status["pid"] == server.pid
        assert f"127.0.0.1:{11025 + a_unit}" in status["sockets"]
        assert [device["name"] for device in connection.request("devices")["devices"]] == ["rsnd/0"]


def test_what_cannot_start_says_so_and_ends_with_1(
    sndiod: Path, tmp_path: Path, a_unit: int, started: list[Started]
) -> None:
    assert start(sndiod, "-f", "null", folder=tmp_path, unit=a_unit).returncode == 0
    started.append(Started(tmp_path / "native"))
    again = start(sndiod, "-f", "null", folder=tmp_path, unit=a_unit)
    assert (again.returncode, again.stdout) == (1, "")
    assert "a server is running there" in again.stderr.splitlines()[-1]
    held = start(sndiod, "-a", "on", "-f", "file:/nowhere/x.wav", folder=tmp_path, unit=a_unit)
    assert held.returncode == 1 and "cannot be opened" in held.stderr.splitlines()[-1]
    wrong = start(sndiod, "-x", folder=tmp_path, unit=a_unit)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize("letters", [["-d"], ["-d", "-d"], ["-dd"]])
def test_d_keeps_it_in_the_foreground(sndiod: Path, tmp_path: Path, a_unit: int, letters: list[str]) -> None:
    words = [sndiod, "--socket", tmp_path / "native", "--state", "none", "-U", str(a_unit), "-f", "null"]
    with subprocess.Popen([*words, *letters], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith(b"ready on")
        assert Started(tmp_path / "native").pid == process.pid
        process.terminate()
        assert b"server.ready" in process.stderr.read()
        assert process.wait(PATIENCE) == 0


def test_what_is_no_server_stays(sndiod: Path) -> None:
    for word, said in (("--check", "ok\n"), ("--help", ""), ("--version", "")):
        done = subprocess.run([sndiod, word], capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0 and done.stdout.endswith(said) and done.stdout, word


def test_a_command_that_is_killed_leaves_its_server_alone(
    sndiod: Path, tmp_path: Path, a_unit: int, started: list[Started]
) -> None:
    """Also one that waits no longer: the server is there, and listens."""
    fifo = tmp_path / "slow.toml"
    os.mkfifo(fifo)
    words = ["--socket", tmp_path / "native", "--state", "none", "-U", str(a_unit), "--config", fifo]
    process = subprocess.Popen([sndiod, *words])
    with fifo.open("w") as file:  # read before it goes to the background
        file.write("[[device]]\nspec = 'null'\n")
    assert process.wait(PATIENCE) == 0
    started.append(Started(tmp_path / "native"))


# as systemd does it: the unit's command with the words of its environment file; what it leaves is the service
_AS_SYSTEMD = """\
set -eu
{places}mount --bind {audiod} /usr/bin/sndiod || exit 77
{command}
{audioctl} status --json
head -c 9600 /dev/zero >/tmp/silence.raw
HOME=/tmp aucat -f snd/mon -h raw -i /tmp/silence.raw
pid=$({audioctl} status --json | {python} -c 'import json, sys; print(json.load(sys.stdin)["pid"])')
kill -TERM "$pid"
while [ -e /tmp/sndio/sock0 ]; do kill -0 "$pid" || break; done
"""


@needs_root
def test_debians_unit_of_sndiod_starts_it(tmp_path: Path) -> None:
    if not UNIT.exists() or shutil.which("unshare") is None:
        pytest.skip("sndiod is not installed: tests/check installs it where it is root and has apt")
    unit = UNIT.read_text()
    (command,) = re.findall(r"^ExecStart=(.*)$", unit, re.M)
    assert "Type=forking" in unit and command.startswith("/usr/bin/sndiod")
    words = command.replace("$DAEMON_OPTS", "--state none -f null -s default -m play,mon -s mon")
    script = _AS_SYSTEMD.format(
        places=OWN_PLACES,
        audiod=shlex.quote(str(BIN / "audiod")),
        audioctl=shlex.quote(str(BIN / "audioctl")),
        python=shlex.quote(str(BIN / "python")),
        command=words,
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    if done.returncode == 77:
        pytest.skip("no mount namespaces here (CAP_SYS_ADMIN)")
    assert done.returncode == 0, done.stderr
    assert '"/tmp/sndio/sock0"' in done.stdout
