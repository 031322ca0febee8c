"""Panel: the knobs of one card, as libasound's simple mixer has them.

Owns the mixer's handle.  Elements may go at any event, so each is found by its
name and index when it is used.  Every call may wait for the card (a USB one
answers over its wire): a thread of its own makes them, one at a time.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from ctypes import POINTER, byref, c_char_p, c_int, c_long, c_short, c_uint, c_void_p
from dataclasses import dataclass
from errno import ENODEV
from typing import Any

from audiod.cards.fader import Element
from audiod.cards.inventory import PLAY, REC, Span
from audiod.cards.libasound import AlsaError, Library

_CARD = 0  # the interface of elements that are about the whole card
_JACK = re.compile(r"(?<! Phantom) Jack$")  # a phantom jack is there for good
CHANNELS = range(32)  # that a simple element can have
_WORD = {PLAY: "playback", REC: "capture"}

_out = POINTER


class _Pollfd(ctypes.Structure):
    _fields_ = [("fd", c_int), ("events", c_short), ("revents", c_short)]


_SIGNATURES: dict[str, tuple[Any, ...]] = {  # as libasound's; a getter of a name or index has no error
    "lib_error_set_local": (c_void_p, c_void_p),
    "mixer_open": (c_int, _out(c_void_p), c_int),
    "mixer_close": (c_int, c_void_p),
    "mixer_attach": (c_int, c_void_p, c_char_p),
    "mixer_selem_register": (c_int, c_void_p, c_void_p, c_void_p),
    "mixer_load": (c_int, c_void_p),
    "mixer_first_elem": (c_void_p, c_void_p),
    "mixer_elem_next": (c_void_p, c_void_p),
    "mixer_handle_events": (c_int, c_void_p),
    "mixer_poll_descriptors_count": (c_int, c_void_p),
    "mixer_poll_descriptors": (c_int, c_void_p, _out(_Pollfd), c_uint),
    "mixer_find_selem": (c_void_p, c_void_p, c_void_p),
    "mixer_selem_id_malloc": (c_int, _out(c_void_p)),
    "mixer_selem_id_free": (None, c_void_p),
    "mixer_selem_id_set_name": (None, c_void_p, c_char_p),
    "mixer_selem_id_set_index": (None, c_void_p, c_uint),
    "mixer_selem_get_name": (c_char_p, c_void_p),
    "mixer_selem_get_index": (c_uint, c_void_p),
    "mixer_selem_is_active": (c_int, c_void_p),
    "mixer_selem_has_capture_switch_exclusive": (c_int, c_void_p),
    "mixer_selem_has_common_volume": (c_int, c_void_p),
    "mixer_get_hctl": (c_int, c_void_p, c_char_p, _out(c_void_p)),
    "hctl_first_elem": (c_void_p, c_void_p),
    "hctl_elem_next": (c_void_p, c_void_p),
    "hctl_elem_get_name": (c_char_p, c_void_p),
    "hctl_elem_get_interface": (c_int, c_void_p),
    "hctl_elem_read": (c_int, c_void_p, c_void_p),
    "ctl_elem_value_malloc": (c_int, _out(c_void_p)),
    "ctl_elem_value_free": (None, c_void_p),
    "ctl_elem_value_get_boolean": (c_int, c_void_p, c_uint),
}
for _side in _WORD.values():
    _SIGNATURES |= {
        f"mixer_selem_has_{_side}_volume": (c_int, c_void_p),
        f"mixer_selem_has_{_side}_switch": (c_int, c_void_p),
        f"mixer_selem_has_{_side}_channel": (c_int, c_void_p, c_int),
        f"mixer_selem_get_{_side}_volume_range": (c_int, c_void_p, _out(c_long), _out(c_long)),
        f"mixer_selem_ask_{_side}_vol_dB": (c_int, c_void_p, c_long, _out(c_long)),
        f"mixer_selem_get_{_side}_volume": (c_int, c_void_p, c_int, _out(c_long)),
        f"mixer_selem_set_{_side}_volume": (c_int, c_void_p, c_int, c_long),
        f"mixer_selem_get_{_side}_switch": (c_int, c_void_p, c_int, _out(c_int)),
        f"mixer_selem_set_{_side}_switch_all": (c_int, c_void_p, c_int),
    }


@dataclass(frozen=True)
class Reading:
    """How an element is set: its own value of each channel; whether one is on, None: it has no switch."""

    raw: tuple[int, ...]
    on: bool | None = None


_HANDLER = ctypes.CFUNCTYPE(None, c_char_p, c_int, c_char_p, c_int, c_char_p, c_void_p)
_SILENT = _HANDLER(lambda *said: None)


class Panel:
    """The mixer of card `number`.  Everything raises AlsaError; ENODEV: the card, or the element, is gone."""

    def __init__(self, library: Library, number: int) -> None:
        library.declare(_SIGNATURES)
        self._lib = library
        self._number = number
        self._quiet()
        self._mixer = c_void_p()
        library.call("mixer_open", byref(self._mixer), 0)
        try:
            library.call("mixer_attach", self._mixer, b"hw:%d" % number)
            library.call("mixer_selem_register", self._mixer, None, None)
            library.call("mixer_load", self._mixer)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        with suppress(AlsaError):
            self._lib.call("mixer_close", self._mixer)

    def descriptors(self) -> list[int]:
        """Readable when somebody has turned a knob; `handle` takes note."""
        count = self._lib.call("mixer_poll_descriptors_count", self._mixer)
        table = (_Pollfd * count)()
        count = self._lib.call("mixer_poll_descriptors", self._mixer, table, count)
        return [one.fd for one in table[:count]]

    def handle(self) -> None:
        """Take note of what has happened at the card: first of all, in the thread that goes on."""
        self._quiet()
        self._lib.call("mixer_handle_events", self._mixer)

    def elements(self) -> list[Element]:
        """All that are in use."""
        return [self._describe(one) for one in self._all() if self._ask("is_active", one)]

    def span(self, element: Element, direction: str) -> Span:
        """Its own values, the least and the most."""
        least, most = c_long(), c_long()
        self._on(element, f"get_{_WORD[direction]}_volume_range", byref(least), byref(most))
        return Span(least.value, most.value)

    def db(self, element: Element, direction: str, raw: int) -> int | None:
        """Hundredths of a dB of one of its values; None where the card does not know."""
        value = c_long()
        try:
            self._on(element, f"ask_{_WORD[direction]}_vol_dB", raw, byref(value))
        except AlsaError:
            return None
        return value.value

    def read(self, element: Element, direction: str) -> Reading:
        word, raw, on = _WORD[direction], [], []
        for channel in self._channels(element, direction):
            value, switch = c_long(), c_int()
            if element.volume(direction):
                self._on(element, f"get_{word}_volume", channel, byref(value))
                raw.append(value.value)
            if element.switch(direction):
                self._on(element, f"get_{word}_switch", channel, byref(switch))
                on.append(bool(switch.value))
        return Reading(tuple(raw), any(on) if on else None)

    def turn(self, element: Element, direction: str, raw: Sequence[int]) -> None:
        """Set the value of each channel."""
        for channel, value in zip(self._channels(element, direction), raw, strict=True):
            self._on(element, f"set_{_WORD[direction]}_volume", channel, value)

    def switch(self, element: Element, direction: str, on: bool) -> None:
        """Switch all channels on or off."""
        self._on(element, f"set_{_WORD[direction]}_switch_all", int(on))

    def jacks(self) -> dict[str, bool]:
        """Whether something is plugged in, by the jacks' names without that word."""
        found: dict[str, bool] = {}
        hctl = c_void_p()
        try:
            self._lib.call("mixer_get_hctl", self._mixer, b"hw:%d" % self._number, byref(hctl))
            with self._lib.allocated("ctl_elem_value") as value:
                one = self._lib.call("hctl_first_elem", hctl)
                while one:
                    name = (self._lib.call("hctl_elem_get_name", one) or b"").decode(errors="replace")
                    if self._lib.call("hctl_elem_get_interface", one) == _CARD and _JACK.search(name):
                        self._lib.call("hctl_elem_read", one, value)
                        plugged = bool(self._lib.call("ctl_elem_value_get_boolean", value, 0))
                        found[_JACK.sub("", name)] = plugged
                    one = self._lib.call("hctl_elem_next", one)
        except AlsaError as error:
            if error.errno == ENODEV:
                raise
        return found

    # ---- within ----

    def _quiet(self) -> None:
        """What the library prints in this thread is in its errors, too."""
        self._lib.call("lib_error_set_local", _SILENT)

    def _all(self) -> Iterator[int]:
        one = self._lib.call("mixer_first_elem", self._mixer)
        while one:
            yield one
            one = self._lib.call("mixer_elem_next", one)

    def _ask(self, what: str, *args: Any) -> Any:
        return self._lib.call(f"mixer_selem_{what}", *args)

    def _describe(self, one: int) -> Element:
        choosing = bool(self._ask("has_capture_switch_exclusive", one))
        return Element(
            name=(self._ask("get_name", one) or b"").decode(errors="replace"),
            index=self._ask("get_index", one),
            play_volume=bool(self._ask("has_playback_volume", one)),
            play_switch=bool(self._ask("has_playback_switch", one)),
            rec_volume=bool(self._ask("has_capture_volume", one)),
            rec_switch=bool(self._ask("has_capture_switch", one)) and not choosing,
            common=bool(self._ask("has_common_volume", one)),
        )

    def _find(self, element: Element) -> int:
        with self._lib.allocated("mixer_selem_id") as ident:
            self._ask("id_set_name", ident, element.name.encode())
            self._ask("id_set_index", ident, element.index)
            one = self._lib.call("mixer_find_selem", self._mixer, ident)
        if not one:
            raise AlsaError(ENODEV, f"its element {element.name!r} is gone")
        return int(one)

    def _on(self, element: Element, what: str, *args: Any) -> Any:
        return self._ask(what, self._find(element), *args)

    def _channels(self, element: Element, direction: str) -> list[int]:
        one = self._find(element)
        has = f"has_{_WORD[direction]}_channel"
        return [channel for channel in CHANNELS if self._ask(has, one, channel)]
