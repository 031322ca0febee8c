"""Sound cards in user space: builds virtcard (virtcard/README.md), and writes an asoundrc with such cards.

All cards of one folder are alike, `hw:NAME` or `hw:NAME,0` is one, and their names
are the folder's own for the whole machine.  What a card plays goes to `sink(NAME)`.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LAB = Path(__file__).resolve().parent
OUT = LAB.parents[1] / "build" / "lab"
MODULE = "libasound_module_pcm_virtcard.so"
HEADER = Path("/usr/include/alsa/pcm_external.h")
SHARED = Path("/dev/shm")

ASOUNDRC = """\
pcm_type.virtcard {{ lib "{module}" }}
pcm.hw {{
    @args [ CARD DEV SUBDEV ]
    @args.CARD {{ type string default "0" }}
    @args.DEV {{ type integer default 0 }}
    @args.SUBDEV {{ type integer default -1 }}
    type virtcard
    card {{ @func concat strings [ "{tag}-" $CARD ] }}
    sink {{ @func concat strings [ "{folder}/" $CARD ".sink" ] }}
    stats {{ @func concat strings [ "{folder}/" $CARD ".stats" ] }}
    gone {{ @func concat strings [ "{folder}/" $CARD ".gone" ] }}
{fields}
}}
"""


def missing() -> str:
    """What this machine lacks to have such cards; empty if nothing."""
    return "" if HEADER.exists() else "libasound2-dev is not installed"


def build() -> Path:
    """The plug-in, built if need be.  Raises subprocess.CalledProcessError."""
    subprocess.run(["make", "-s", "-C", LAB, f"../../build/lab/{MODULE}"], check=True)
    return OUT / MODULE


class Virtcards:
    """Cards whose files are in `folder`; `fields` are virtcard's own, as an asoundrc has them."""

    def __init__(self, folder: Path, **fields: str) -> None:
        self.folder = folder
        self.tag = uuid.uuid4().hex[:12]
        self.conf = folder / "asoundrc"
        lines = "\n".join(f"    {name} {value}" for name, value in fields.items())
        self.conf.write_text(ASOUNDRC.format(module=build(), tag=self.tag, folder=folder, fields=lines))
        self.env = {"ALSA_CONFIG_PATH": str(self.conf)}

    def sink(self, card: str = "0") -> bytes:
        """All that the card has played, in its own encoding."""
        return (self.folder / f"{card}.sink").read_bytes()

    def stats(self, card: str = "0") -> list[dict[str, Any]]:
        """What the card reports: a row for each start, xrun and close."""
        path = self.folder / f"{card}.stats"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def unplug(self, card: str = "0") -> None:
        """From now on whoever has it open, or opens it, hears that it is not there."""
        (self.folder / f"{card}.gone").touch()

    def plug(self, card: str = "0") -> None:
        """It is there again; who had it open must open it anew."""
        (self.folder / f"{card}.gone").unlink()

    @contextmanager
    def taken(self, direction: str, card: str = "0") -> Iterator[None]:
        """As if another program had this direction (`play`, `rec`) of the card open."""
        path = SHARED / f"virtcard-{self.tag}-{card}.{direction}.lock"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(fd)

    def remove(self) -> None:
        """Take away what the cards share between processes."""
        for path in SHARED.glob(f"virtcard-{self.tag}-*"):
            path.unlink(missing_ok=True)


@contextmanager
def virtcards(folder: Path, **fields: str) -> Iterator[Virtcards]:
    """Cards for the length of a test."""
    cards = Virtcards(folder, **fields)
    try:
        yield cards
    finally:
        cards.remove()
