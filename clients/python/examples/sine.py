"""One second of A, 440 Hz."""

import array
import math

import audiod_client

tone = array.array("h", [round(20000 * math.sin(i * math.tau * 440 / 48000)) for i in range(48000)])
with audiod_client.open() as stream:
    stream.setpar(enc="s16", rate=48000, pchan=1)
    stream.start()
    stream.write(tone.tobytes())
