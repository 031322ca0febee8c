"""One second of A, 440 Hz, through audiod."""

import math
from array import array

import audiod_client

with audiod_client.open() as s:
    s.setpar(enc="f32", rate=48000, pchan=1)
    s.start()
    s.write(array("f", (0.25 * math.sin(2 * math.pi * 440 * t / 48000) for t in range(48000))).tobytes())
