"""Other users for tests: the kernel's word for who connects, and a machine of their own.

`as_user` lends this process another user's credentials while it connects: that is
all a server sees of a peer.  `service` starts a server as systemd starts one with
`User=`: another user from its first instruction, in a mount namespace whose /tmp
and /run are its own, so that a test may have /tmp/sndio without anybody noticing.
Both need root; who is not is told so by `needs_root`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
PATIENCE = 60  # seconds until a test gives up on a process
SERVER = 65533  # a user of services
ALICE, BOB = 64001, 64002  # users who have nothing to do with it

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users: run it as root")

ROOT = Path(__file__).resolve().parents[1]
# /tmp and /run of one's own, 77 if that cannot be; a checkout in /tmp or /run is put back where it was
OWN_PLACES = """\
exec 3<{root}
mount -t tmpfs -o mode=1777 none /tmp && mount -t tmpfs -o mode=755 none /run || exit 77
[ -e {root} ] || {{ mkdir -p {root} && mount -c --bind /proc/self/fd/3 {root}; }} || exit 77
exec 3<&-
""".format(root=shlex.quote(str(ROOT)))


@contextmanager
def as_user(uid: int, *groups: int) -> Iterator[None]:
    """Connect as this user, whose own group has its number, and who is in `groups`, too."""
    before = os.getgroups()
    os.setgroups(groups)
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(before)


class Service:
    """A running service; `root` is an open directory, its `/`, for whoever it lets in."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self._log = log
        self.root = os.open(f"/proc/{process.pid}/root", os.O_PATH | os.O_DIRECTORY)

    def path(self, inside: str) -> Path:
        """What the service calls `inside`, for this process."""
        return Path(f"/proc/self/fd/{self.root}{inside}")

    @property
    def log(self) -> str:
        return self._log.read_text()


@contextmanager
def service(
    folder: Path,
    *args: str,
    groups: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
    prepare: str = "",
) -> Iterator[Service]:
    """audiod as user SERVER, once it listens; `prepare`: shell commands of root in its namespace."""
    missing = [tool for tool in ("unshare", "setpriv") if shutil.which(tool) is None]
    if missing or subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespaces here (CAP_SYS_ADMIN, util-linux): what /tmp/sndio is stays untested")
    user = [f"--reuid={SERVER}", f"--regid={SERVER}"]
    user += ["--groups", ",".join(map(str, groups))] if groups else ["--clear-groups"]
    # the checkout may be where only root can read
    user += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    log = folder / "service.log"
    script = f'{OWN_PLACES}{prepare}\nexec "$@"\n'
    with log.open("w") as err:
        process = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", script, "sh", "setpriv", *user, "--",
             BIN / "audiod", "--state", "none", "--no-realtime", "-f", "null", *args],
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **(env or {})},
        )  # fmt: skip
    assert process.stdout is not None
    running = None
    try:
        greeting = process.stdout.readline()
        if not greeting.startswith("ready on"):
            process.wait(PATIENCE)
            raise AssertionError(f"it did not start: {log.read_text()}")
        running = Service(process, log)
        yield running
    finally:
        process.terminate()
        process.wait(PATIENCE)
        process.stdout.close()
        if running is not None:
            os.close(running.root)
