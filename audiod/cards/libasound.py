"""libasound in Python's words: what it lists and what a PCM says that it can do.

Loaded at its first use, by ctypes, so that a machine without it only lacks
cards.  Owns every call of the library in Python: a call that fails raises
AlsaError, and whatever was allocated is freed.  It opens PCMs, and a bad
configuration can make it hang or crash: the prober's process runs it.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ctypes import POINTER, byref, c_char_p, c_int, c_uint, c_ulong, c_void_p
from dataclasses import dataclass
from errno import EIO
from typing import Any

LIBRARY = "libasound.so.2"
NONBLOCK = 1
STREAM = {"play": 0, "rec": 1}
HW = 0  # snd_pcm_type of the hardware itself
_ERRNO_MAX = 4095  # the library has errors of its own above

_ptr, _str, _int, _uint = c_void_p, c_char_p, c_int, c_uint
_out = POINTER
_SIGNATURES: dict[str, tuple[Any, ...]] = {  # result, then arguments; int is checked
    "strerror": (_str, _int),
    "config_update_free_global": (_int,),
    "config_update": (_int,),
    "device_name_hint": (_int, _int, _str, _out(_out(_ptr))),
    "device_name_get_hint": (_ptr, _ptr, _str),
    "device_name_free_hint": (_int, _out(_ptr)),
    "card_next": (_int, _out(_int)),
    "ctl_open": (_int, _out(_ptr), _str, _int),
    "ctl_close": (_int, _ptr),
    "ctl_card_info_malloc": (_int, _out(_ptr)),
    "ctl_card_info_free": (None, _ptr),
    "ctl_card_info": (_int, _ptr, _ptr),
    "ctl_card_info_get_id": (_str, _ptr),
    "ctl_card_info_get_name": (_str, _ptr),
    "ctl_pcm_next_device": (_int, _ptr, _out(_int)),
    "ctl_pcm_info": (_int, _ptr, _ptr),
    "pcm_info_malloc": (_int, _out(_ptr)),
    "pcm_info_free": (None, _ptr),
    "pcm_info_set_device": (None, _ptr, _uint),
    "pcm_info_set_subdevice": (None, _ptr, _uint),
    "pcm_info_set_stream": (None, _ptr, _int),
    "pcm_info_get_name": (_str, _ptr),
    "pcm_open": (_int, _out(_ptr), _str, _int, _int),
    "pcm_close": (_int, _ptr),
    "pcm_type": (_int, _ptr),
    "pcm_format_name": (_str, _int),
    "pcm_query_chmaps": (_out(_ptr), _ptr),
    "pcm_query_chmaps_from_hw": (_out(_ptr), _int, _int, _int, _int),
    "pcm_free_chmaps": (None, _out(_ptr)),
    "pcm_hw_params_malloc": (_int, _out(_ptr)),
    "pcm_hw_params_free": (None, _ptr),
    "pcm_hw_params_any": (_int, _ptr, _ptr),
    "pcm_hw_params_set_rate_resample": (_int, _ptr, _ptr, _uint),
    "pcm_hw_params_set_access": (_int, _ptr, _ptr, _int),
    "pcm_hw_params_test_format": (_int, _ptr, _ptr, _int),
    "pcm_hw_params_set_format": (_int, _ptr, _ptr, _int),
    "pcm_hw_params_get_channels_min": (_int, _ptr, _out(_uint)),
    "pcm_hw_params_get_channels_max": (_int, _ptr, _out(_uint)),
    "pcm_hw_params_test_channels": (_int, _ptr, _ptr, _uint),
    "pcm_hw_params_set_channels": (_int, _ptr, _ptr, _uint),
    "pcm_hw_params_get_rate_min": (_int, _ptr, _out(_uint), _out(_int)),
    "pcm_hw_params_get_rate_max": (_int, _ptr, _out(_uint), _out(_int)),
    "pcm_hw_params_test_rate": (_int, _ptr, _ptr, _uint, _int),
    "pcm_hw_params_set_rate": (_int, _ptr, _ptr, _uint, _int),
    "pcm_hw_params_get_period_size_min": (_int, _ptr, _out(c_ulong), _out(_int)),
    "pcm_hw_params_get_period_size_max": (_int, _ptr, _out(c_ulong), _out(_int)),
    "pcm_hw_params_get_buffer_size_min": (_int, _ptr, _out(c_ulong)),
    "pcm_hw_params_get_buffer_size_max": (_int, _ptr, _out(c_ulong)),
}


class AlsaError(Exception):
    """A call of libasound failed; `errno` is positive, `str()` the library's own words."""

    def __init__(self, errno: int, words: str) -> None:
        super().__init__(words)
        self.errno = errno


class NoLibraryError(Exception):
    """There is no libasound on this machine, or one that cannot be used."""


@dataclass(frozen=True)
class Hint:
    """A PCM as a configuration advertises it; None where it is silent."""

    name: str
    description: str | None = None
    direction: str | None = None  # "Input", "Output"


@dataclass(frozen=True)
class PcmInfo:
    """A PCM device of a card: the name of each direction that it has."""

    device: int
    names: dict[str, str]


class Library:
    """libasound.  Raises NoLibraryError if it is not there."""

    def __init__(self, name: str = LIBRARY) -> None:
        try:
            self._lib = ctypes.CDLL(name)
        except OSError as error:
            raise _none(error) from None
        self._f: dict[str, Any] = {}
        self._free = ctypes.CDLL(None).free
        self._free.argtypes = (c_void_p,)
        self.declare(_SIGNATURES)

    def declare(self, signatures: Mapping[str, tuple[Any, ...]]) -> None:
        """Make functions known to `call`: the result and the arguments of each, by its name behind snd_."""
        for name, (result, *args) in signatures.items():
            try:
                function = getattr(self._lib, f"snd_{name}")
            except AttributeError as error:
                raise _none(error) from None
            function.restype, function.argtypes = result, args
            self._f[name] = function

    def call(self, name: str, *args: Any) -> Any:
        """snd_`name`; a negative int that it returns raises AlsaError."""
        function = self._f[name]
        result = function(*args)
        if function.restype is _int and result < 0:
            raise AlsaError(-result if result >= -_ERRNO_MAX else EIO, _text(self._f["strerror"](result)))
        return result

    def number(self, name: str, *args: Any, of: type = c_uint, rounded: bool = False) -> int:
        """What a getter stores behind its arguments; `rounded`: it tells a direction behind that."""
        value, direction = of(), c_int()
        self.call(name, *args, byref(value), *([byref(direction)] if rounded else []))
        return int(value.value)

    @contextmanager
    def allocated(self, kind: str) -> Iterator[c_void_p]:
        """An object of `kind`_malloc."""
        pointer = c_void_p()
        self.call(f"{kind}_malloc", byref(pointer))
        try:
            yield pointer
        finally:
            self.call(f"{kind}_free", pointer)

    # ---- what there is ----

    def reread(self) -> None:
        """Read the configuration anew."""
        self.call("config_update_free_global")
        self.call("config_update")

    def hints(self) -> list[Hint]:
        """The PCMs that the configuration advertises, in its order; those without a name are left out."""
        table = POINTER(c_void_p)()
        self.call("device_name_hint", -1, b"pcm", byref(table))
        found = []
        try:
            for hint in _until_null(table):
                name, description, direction = (self._hint(hint, key) for key in (b"NAME", b"DESC", b"IOID"))
                if name is not None:
                    found.append(Hint(name, description, direction))
        finally:
            self.call("device_name_free_hint", table)
        return found

    def _hint(self, hint: int, key: bytes) -> str | None:
        text = self.call("device_name_get_hint", hint, key)
        if not text:
            return None
        try:
            return _text(ctypes.string_at(text))
        finally:
            self._free(text)

    def cards(self) -> list[int]:
        """The numbers of the cards."""
        number = c_int(-1)
        found: list[int] = []
        while True:
            self.call("card_next", byref(number))
            if number.value < 0 or number.value in found:
                return found
            found.append(number.value)

    def card(self, number: int) -> tuple[str, str, list[PcmInfo]]:
        """Id, name and PCM devices of a card, by its control interface."""
        control = c_void_p()
        self.call("ctl_open", byref(control), b"hw:%d" % number, NONBLOCK)
        try:
            with self.allocated("ctl_card_info") as info:
                self.call("ctl_card_info", control, info)
                ident, name = (_text(self.call(f"ctl_card_info_get_{what}", info)) for what in ("id", "name"))
            return ident, name, list(self._devices(control))
        finally:
            self.call("ctl_close", control)

    def _devices(self, control: c_void_p) -> Iterator[PcmInfo]:
        device = c_int(-1)
        with self.allocated("pcm_info") as info:
            while True:
                self.call("ctl_pcm_next_device", control, byref(device))
                if device.value < 0:
                    return
                names = {}
                for direction, stream in STREAM.items():
                    self.call("pcm_info_set_device", info, device.value)
                    self.call("pcm_info_set_subdevice", info, 0)
                    self.call("pcm_info_set_stream", info, stream)
                    try:
                        self.call("ctl_pcm_info", control, info)
                    except AlsaError:
                        continue  # ENOENT: it lacks this direction; else of no use
                    names[direction] = _text(self.call("pcm_info_get_name", info))
                yield PcmInfo(device.value, names)

    # ---- what it can do ----

    def hardware_chmaps(self, card: int, device: int, direction: str) -> list[tuple[int, ...]]:
        """Channel maps of the hardware, without opening it; positions are the library's numbers."""
        return self._chmaps(self.call("pcm_query_chmaps_from_hw", card, device, 0, STREAM[direction]))

    def _chmaps(self, table: Any) -> list[tuple[int, ...]]:
        if not table:
            return []
        found = []
        try:
            for query in _until_null(table):
                words = ctypes.cast(query, POINTER(c_uint))  # type, number of channels, positions
                found.append(tuple(words[2 : 2 + words[1]]))
        finally:
            self.call("pcm_free_chmaps", table)
        return found

    @contextmanager
    def open(self, pcm: str, direction: str) -> Iterator[Pcm]:
        """A PCM, opened without waiting for one that is busy."""
        handle = c_void_p()
        self.call("pcm_open", byref(handle), os.fsencode(pcm), STREAM[direction], NONBLOCK)
        try:
            with self.allocated("pcm_hw_params") as params:
                yield Pcm(self, handle, params)
        finally:
            self.call("pcm_close", handle)


class Pcm:
    """An open PCM and one space of its parameters, narrowed by each `set_`."""

    def __init__(self, library: Library, handle: c_void_p, params: c_void_p) -> None:
        self._lib = library
        self._pcm = handle
        self._params = params

    @property
    def is_hardware(self) -> bool:
        return bool(self._lib.call("pcm_type", self._pcm) == HW)

    def chmaps(self) -> list[tuple[int, ...]]:
        return self._lib._chmaps(self._lib.call("pcm_query_chmaps", self._pcm))

    def any(self, *, resample: bool) -> None:
        """Begin anew with everything that it can."""
        self._lib.call("pcm_hw_params_any", self._pcm, self._params)
        self._call("set_rate_resample", int(resample))

    def set_access(self, access: int) -> None:
        self._call("set_access", access)

    def set_format(self, number: int) -> None:
        self._call("set_format", number)

    def set_channels(self, count: int) -> None:
        self._call("set_channels", count)

    def set_rate(self, rate: int) -> None:
        self._call("set_rate", rate, 0)

    def has_format(self, number: int) -> bool:
        return self._can("test_format", number)

    def has_channels(self, count: int) -> bool:
        return self._can("test_channels", count)

    def has_rate(self, rate: int) -> bool:
        return self._can("test_rate", rate, 0)

    def channels(self) -> tuple[int, int]:
        return self._number("get_channels_min"), self._number("get_channels_max")

    def rates(self) -> tuple[int, int]:
        return self._number("get_rate_min", rounded=True), self._number("get_rate_max", rounded=True)

    def period_sizes(self) -> tuple[int, int]:
        get = ("get_period_size_min", "get_period_size_max")
        least, most = (self._number(name, of=c_ulong, rounded=True) for name in get)
        return least, most

    def buffer_sizes(self) -> tuple[int, int]:
        get = ("get_buffer_size_min", "get_buffer_size_max")
        least, most = (self._number(name, of=c_ulong) for name in get)
        return least, most

    def _call(self, name: str, *args: int) -> None:
        self._lib.call(f"pcm_hw_params_{name}", self._pcm, self._params, *args)

    def _can(self, name: str, *args: int) -> bool:
        try:
            self._call(name, *args)
        except AlsaError:
            return False
        return True

    def _number(self, name: str, *, of: type = c_uint, rounded: bool = False) -> int:
        return self._lib.number(f"pcm_hw_params_{name}", self._params, of=of, rounded=rounded)


def _none(error: Exception) -> NoLibraryError:
    return NoLibraryError(
        f"there is no usable ALSA library on this machine ({error}): install it (Debian: libasound2)"
    )


def _until_null(table: Any) -> Iterator[int]:
    place = 0
    while table[place]:
        yield table[place]
        place += 1


def _text(raw: bytes | None) -> str:
    return os.fsdecode(raw or b"").encode(errors="replace").decode()
