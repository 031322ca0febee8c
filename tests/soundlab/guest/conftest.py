"""What tests on real cards share: the cards' names, one audiod on all of them, what the host heard.

Runs in soundlab's virtual machine (../conftest.py), where the daemon and the
engine are the checkout's own and the cards are the kernel's.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
import units
from daemon import Daemon, running
from soundlab.kernelcards import ASOUNDRC, SPECS, Heard
from soundlab.live import Live

ENOUGH = 40  # seconds for a test: never reached when all is well


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    """A test that waits for what never comes fails, and the next ones run."""

    def enough(*_: object) -> None:
        raise TimeoutError(f"nothing came of it in {ENOUGH} s")

    signal.signal(signal.SIGALRM, enough)
    signal.alarm(ENOUGH)
    yield
    signal.alarm(0)


@pytest.fixture(scope="session", autouse=True)
def asoundrc(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Beside the cards there is `wire`: it records what it plays, by way of aloop."""
    path = tmp_path_factory.mktemp("alsa") / "asoundrc"
    path.write_text(ASOUNDRC)
    os.environ["ALSA_CONFIG_PATH"] = f"/usr/share/alsa/alsa.conf:{path}"


@pytest.fixture
def live() -> Iterator[Live]:
    made = Live()
    yield made
    made.close()


@pytest.fixture(scope="module")
def audiod(asoundrc: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """On all cards, in the order of SPECS, each open only while it plays; a unit of sndio's, too.

    A module's own: where cards come and go for the engine alone, no daemon looks at them, too.
    """
    devices = [word for spec in SPECS.values() for word in ("-f", spec)]
    with (
        units.unit() as unit,
        running(tmp_path_factory.mktemp("audiod"), "-b", "9600", *devices, sndio="", unit=unit) as daemon,
    ):
        yield daemon


@pytest.fixture
def hda() -> Heard:
    return Heard("hda")


@pytest.fixture
def usb() -> Heard:
    return Heard("usb")
