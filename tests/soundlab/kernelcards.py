"""The cards of soundlab's machine: their names, what they offer, what the host has heard of them.

Beside the cards there are devices that record what they play, by way of aloop:
`wire`; `plugged`, the same behind libasound's converter, and `apart`, each of
whose channels has a stream of its own, which offer other accesses.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

SPECS = {"hda": "alsa:hw:HDA", "dummy": "alsa:hw:Dummy", "wire": "alsa:wire", "usb": "alsa:hw:USB"}
ASOUNDRC = """\
pcm.wire {
    type asym
    playback.pcm "hw:Loopback,0,0"
    capture.pcm "hw:Loopback,1,0"
}
pcm.plugged {
    type asym
    playback.pcm "plughw:Loopback,0,0"
    capture.pcm "plughw:Loopback,1,0"
}
pcm.each {
    @args [ DEV ]
    @args.DEV { type integer }
    type multi
    slaves.a {
        pcm { type hw card Loopback device $DEV subdevice 0 }
        channels 1
    }
    slaves.b {
        pcm { type hw card Loopback device $DEV subdevice 1 }
        channels 1
    }
    bindings [
        { slave a channel 0 }
        { slave b channel 0 }
    ]
}
pcm.apart {
    type asym
    playback.pcm "each:0"
    capture.pcm "each:1"
}
"""
PROC = Path("/proc/asound")
HEADER = 44  # bytes of a WAV file


def sub(spec: str) -> str:
    """sndio's name of the device that has this key in SPECS."""
    return f"snd/{list(SPECS).index(spec)}"


def offers(pcm: str, what: str) -> list[str]:
    """Its FORMATs or ACCESSes as alsa-utils names them: S16_LE, MMAP_INTERLEAVED."""
    command = ["aplay", "-D", pcm, "-f", "S16_LE", "-c", "2", "-s", "1", "--dump-hw-params", "/dev/zero"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    found = re.search(rf"^{what}: +(.*)$", said, re.MULTILINE)
    assert found, f"{pcm}: {said}"
    return found[1].split()


def state(card: str, stream: str = "pcm0p") -> str:
    """What the kernel says of a PCM: RUNNING, PREPARED, closed, ..."""
    text = (PROC / card / stream / "sub0" / "status").read_text()
    return text.split()[1] if text.startswith("state:") else text.strip()


class Heard:
    """A card's .wav of the host: what is played from now on, 16 bits stereo."""

    def __init__(self, name: str) -> None:
        self.path = Path(os.environ["SOUNDLAB_OUT"], f"{name}.wav")
        self.start = self.path.stat().st_size

    def data(self) -> bytes:
        """The host writes a few kB at a time: end what you play by silence."""
        with self.path.open("rb") as file:
            file.seek(max(self.start, HEADER))
            return file.read()

    def whole(self) -> bytes:
        """All since its card was plugged in."""
        return self.path.read_bytes()[HEADER:]
