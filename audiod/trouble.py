"""Trouble: what happened to a device, why, and what to do about it, in words for clients and the log.

Pure: nothing here changes anything.
"""

from __future__ import annotations

import errno as errors
import os

from audiod_protocol.errors import Code, Fault

from audiod.core import Device

_LISTED = "`audioctl devices --all` lists what this machine has"
_HINTS = {  # of a card that cannot be opened, by the driver's errno
    errors.EBUSY: "stop the program that has it, or use another device; streams that come later try again",
    errors.EACCES: "let audiod's user into the card's group, audio, and start it anew",
    errors.ENOSYS: "install the library, or use a device of another driver: null, file, loopback",
    errors.ENODEV: f"plug it in, or use another device: {_LISTED}",
    errors.EINVAL: f"use a PCM that fits, or mend ALSA's configuration (asoundrc): {_LISTED}, and why not",
}
_HINTS |= {
    errors.EPERM: _HINTS[errors.EACCES],
    errors.ENOENT: _HINTS[errors.ENODEV],
    errors.ENXIO: _HINTS[errors.ENODEV],
}
_OTHER = "mend the cause and open the stream again; audiod's log has the details"


def refused(device: Device, reason: str, errno: int) -> Fault:
    """What a client is told whose device cannot be opened; `errno`: why."""
    hint = _HINTS.get(errno, _OTHER) if device.driver == "alsa" else _OTHER
    return Fault(Code.ENODEV, f"device {device.number} ({device.name}) cannot be opened: {reason}", hint)


def gone(device: Device) -> Fault:
    """What the streams of a device that went away are told."""
    return Fault(
        Code.ENODEV,
        f"device {device.number} ({device.name}) went away",
        "close the stream and open another; the device is opened again at the next open",
    )


def lost(errno: int) -> str:
    """Why a card is lost while streams of it play on in silence, or elsewhere."""
    why = os.strerror(errno)
    if errno == errors.ENODEV:
        return f"its card went away ({why}): plug it in, or use another device"
    return f"its card failed ({why}): it is opened anew when a stream needs it"


def unstarted(number: int, reason: str | None) -> Fault:
    """What the client of a stream is told for which the engine has no room."""
    return Fault(
        Code.EIO, f"start: stream {number}: {reason}", "open fewer streams or ask for a smaller appbufsz"
    )


def unmoved(ident: int, number: int, reason: str | None) -> Fault:
    """Why a stream does not go to another device."""
    return Fault(
        Code.EINVAL,
        f"stream {ident} cannot move to device {number}: {reason}",
        "its buffer must hold a block of that device",
    )
