"""RawMidi: a port of ALSA's raw MIDI, as a Cable.

By libasound, so that every name that its configuration knows can be used, `virtual`
included.  Both directions if it has them, else one.  Opening and closing may wait:
any thread's, one at a time; all else is the control thread's.
"""

from __future__ import annotations

import ctypes
import errno
import os
from ctypes import byref, c_char_p, c_int, c_short, c_size_t, c_ssize_t, c_uint, c_void_p
from typing import Any

from audiod.cards.libasound import AlsaError, Library, NoLibraryError
from audiod.midi.outbox import BUFFER

NONBLOCK = 2  # SND_RAWMIDI_NONBLOCK
_ABSENT = (errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EINVAL)  # of a direction, or of all of it


class _Pollfd(ctypes.Structure):
    _fields_ = (("fd", c_int), ("events", c_short), ("revents", c_short))


_SILENT = ctypes.CFUNCTYPE(None)(lambda: None)  # as audiod.cards.panel's: variadic, looks at nothing

SIGNATURES: dict[str, tuple[Any, ...]] = {  # as in audiod.cards.libasound
    "lib_error_set_local": (c_void_p, c_void_p),
    "rawmidi_open": (c_int, ctypes.POINTER(c_void_p), ctypes.POINTER(c_void_p), c_char_p, c_int),
    "rawmidi_close": (c_int, c_void_p),
    "rawmidi_read": (c_ssize_t, c_void_p, c_void_p, c_size_t),
    "rawmidi_write": (c_ssize_t, c_void_p, c_char_p, c_size_t),
    "rawmidi_poll_descriptors": (c_int, c_void_p, ctypes.POINTER(_Pollfd), c_uint),
}


def library() -> Library:
    """libasound with what is used here.  Raises OSError if it is not there."""
    try:
        found = Library()
        found.declare(SIGNATURES)
    except NoLibraryError as error:
        raise OSError(errno.ENOSYS, str(error)) from None
    return found


class RawMidi:
    """An open port, a Cable."""

    def __init__(self, asound: Library, name: str) -> None:
        """Open it.  Raises OSError."""
        self._lib = asound
        self._in: c_void_p | None = c_void_p()
        self._out: c_void_p | None = c_void_p()
        self._open(os.fsencode(name))
        self.source: int | None = None if self._in is None else self._descriptor(self._in)
        self.sends = self._out is not None
        self.sink: int | None = None if self._out is None else self._descriptor(self._out)
        self._buffer = ctypes.create_string_buffer(BUFFER)

    def _open(self, name: bytes) -> None:
        """Both directions, or the one that there is."""
        assert self._in is not None and self._out is not None
        self._lib.call("lib_error_set_local", _SILENT)  # what it prints in this thread is in its errors, too
        tries = ((self._in, self._out), (self._in, None), (None, self._out))
        for number, (source, sink) in enumerate(tries):
            try:
                self._lib.call(
                    "rawmidi_open",
                    None if source is None else byref(source),
                    None if sink is None else byref(sink),
                    name,
                    NONBLOCK,
                )
            except AlsaError as error:
                if error.errno in _ABSENT and number < len(tries) - 1:
                    continue
                raise OSError(error.errno, str(error)) from None
            self._in, self._out = source, sink
            return

    def _descriptor(self, handle: c_void_p) -> int:
        found = _Pollfd(-1)
        try:
            if self._lib.call("rawmidi_poll_descriptors", handle, byref(found), 1) == 1:
                return int(found.fd)
            reason = "nothing of it can be waited for"
        except AlsaError as error:
            reason = str(error)
        self.close()
        raise OSError(errno.ENOTSUP, reason)

    def read(self, most: int) -> bytes:
        size = min(most, BUFFER)
        got = self._done(self._lib.call("rawmidi_read", self._in, self._buffer, size))
        return self._buffer.raw[:got]

    def write(self, data: bytes) -> int:
        return self._done(self._lib.call("rawmidi_write", self._out, data, len(data)))

    def _done(self, result: int) -> int:
        if result in (-errno.EAGAIN, -errno.EINTR):
            return 0
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        return result

    def close(self) -> None:
        for handle in (self._in, self._out):
            if handle is not None and handle.value is not None:
                self._lib.call("rawmidi_close", handle)
        self._in = self._out = None
