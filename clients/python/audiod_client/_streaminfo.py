"""What both shells' streams can tell without any I/O.  Invariant: read-only views of the core."""

from __future__ import annotations

from audiod_protocol.params import Mode, Par

from audiod_client._stream import StreamCore

__all__ = ["StreamInfo"]


class StreamInfo:
    """Facts of a stream; frames are counted at its rate, since start."""

    def __init__(self, core: StreamCore) -> None:
        self._core = core

    @property
    def number(self) -> int:
        """The stream's number on its connection (`stream` in the rows of `streams`)."""
        return self._core.number

    @property
    def mode(self) -> Mode:
        return self._core.mode

    @property
    def device(self) -> object:
        """The device's number; None by sndio's wire, unless the name gave it."""
        return self._core.device

    @property
    def subdevice(self) -> object:
        """The sub-device's name."""
        return self._core.subdevice

    @property
    def par(self) -> Par | None:
        """The parameters last told by setpar, getpar or start."""
        return self._core.par

    @property
    def eof(self) -> bool:
        """sio_eof: whether an error ended the stream (or it was closed)."""
        return self._core.error is not None

    @property
    def vol(self) -> int:
        """Volume 0..127."""
        return self._core.vol

    @property
    def written(self) -> int:
        """Frames taken by write."""
        return self._core.written

    @property
    def credit(self) -> int:
        """Frames that write would take at once."""
        return self._core.credit

    @property
    def position(self) -> int:
        """Frames that the device has played or recorded: the sum of onmove's deltas."""
        return self._core.position

    @property
    def time_ns(self) -> int:
        """CLOCK_MONOTONIC, in nanoseconds, of `position`.

        0 before the first onmove, and always by sndio's wire: it does not tell
        the time, and when its message is read says little about it.
        """
        return self._core.time_ns

    @property
    def xruns(self) -> int:
        """Xruns of this stream since it was opened."""
        return self._core.xruns

    def latency(self) -> int:
        """Frames written and not yet heard; of a stream that only records: recorded and not yet read."""
        return self._core.latency
