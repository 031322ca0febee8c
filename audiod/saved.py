"""Saved: what survives a restart, as values and as bytes.

Owns the schema of the state file and its version.  A file of this version with
keys that we do not know was written by a later audiod that we may follow; one of
another version is not ours to read.  No file, no task; control thread.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from audiod_protocol.limits import VOL_MAX
from msgspec import Meta, Struct

VERSION = 1

Volume = Annotated[int, Meta(ge=0, le=VOL_MAX)]
Text = Annotated[str, Meta(min_length=1)]
Word = Annotated[str, Meta(min_length=1, max_length=64)]


class BadState(Exception):
    """These bytes are no state that we can use; `str()` says why."""


class SavedDevice(Struct, frozen=True):
    """Of a device, by its configured name."""

    name: Text
    level: Volume = VOL_MAX
    mute: bool = False
    input_level: Volume = VOL_MAX
    input_mute: bool = False


class SavedProgram(Struct, frozen=True):
    """Of a program on a sub-device."""

    subdevice: Word
    program: Word
    level: Volume = VOL_MAX
    mute: bool = False


class SavedChoice(Struct, frozen=True):
    """The device that was chosen for a sub-device, both by their names."""

    subdevice: Word
    device: Text


class Saved(Struct, frozen=True):
    """Everything; `programs` from the one used longest ago on; `default_device` None: as configured.

    `chosen` has the devices of other sub-devices than `default`.
    """

    default_device: Text | None = None
    devices: list[SavedDevice] = []
    programs: list[SavedProgram] = []
    chosen: list[SavedChoice] = []

    def to_wire(self) -> dict[str, object]:
        plain: dict[str, object] = msgspec.to_builtins(self)
        return plain


class _File(Saved, frozen=True, kw_only=True):
    version: int


class _Version(Struct, frozen=True):
    version: int


def pack(saved: Saved) -> bytes:
    """The bytes of the state file."""
    return msgspec.msgpack.encode({"version": VERSION, **saved.to_wire()})


def unpack(data: bytes) -> Saved:
    """The opposite of `pack`.  Raises BadState."""
    try:
        version = msgspec.msgpack.decode(data, type=_Version).version
        if version != VERSION:
            raise BadState(f"it has version {version}, this audiod reads version {VERSION}")
        return msgspec.msgpack.decode(data, type=_File)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise BadState(f"it is damaged: {error}") from error
