"""The protocol's numbers: every limit, with its reason.

Invariant: whoever checks a size, here or in a server or client, takes it from
this file; `README.md` prints the same table and a test compares the two.
"""

from __future__ import annotations

from typing import Final

PROTOCOL_VERSION: Final = 1
"""What `hello` carries.  A change that an old peer would misread gets a new number."""

MSG_MAX: Final = 80 * 1024
"""Bytes of one message to the server: the largest write, its head, and room for any request."""

WRITE_MAX: Final = 64 * 1024
"""Bytes of samples in one `write` or `data`: 2,048 frames of 8 channels f32, more than a usual block."""

ANSWER_MAX: Final = 256 * 1024
"""Bytes of one message to a client, and of all messages queued for one that does not read."""

DEPTH_MAX: Final = 16
"""Containers inside each other, the message's own array included: requests need five, a stack is finite."""

NSTREAMS: Final = 1024
"""Streams of one connection, numbered 0..1023: one program may carry a thousand, a runaway one stops."""

ROWS_MAX: Final = 256
"""Rows of one answer to `streams`: with every name at its longest it still fits ANSWER_MAX."""

NAME_MAX: Final = 64
"""Characters of a name (client, stream, type, link, device, control): a line of a terminal holds it."""

LIST_MAX: Final = 32
"""Elements of a list argument (features, topics): several times what exists."""

TEXT_MAX: Final = 16384
"""Characters of a configuration to check: in UTF-8 they fit MSG_MAX, and they are read in no time."""

ID_MAX: Final = 2**32 - 1
"""Message ids are 32-bit unsigned, as in the MessagePack-RPC specification."""

VOL_MAX: Final = 127
"""Full volume, gain exactly 1; MIDI's range, as in sndio."""

RATE_MIN: Final = 4000
"""Hz; sndio's lower bound, below telephone quality."""

RATE_MAX: Final = 192000
"""Hz; sndio's upper bound, the fastest converters in use."""

NCHAN_MAX: Final = 64
"""Channels of a frame; sndio's bound, one MADI link."""

BITS_MAX: Final = 32
"""Significant bits of an integer sample; a float has 32 or 64."""

BPS_MAX: Final = 4
"""Bytes of an integer sample; a float has 4 or 8."""

SNDSTAT_HANDLES: Final = 16
"""Handles of sndstat that one connection may have: a program needs one to read and one to provide."""

SNDSTAT_DEVICES: Final = 1024
"""Devices that one handle of sndstat may provide: a listing of them still is read in no time."""
