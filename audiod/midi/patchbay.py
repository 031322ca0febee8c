"""Patchbay: every hub of the server, by what programs open.

`midithru/N` are the thru boxes, `snd/NAME` the control port of each sub-device.
Hubs are made at their first use and stay.  Control thread.
"""

from __future__ import annotations

from audiod.midi.hub import Hub


class Patchbay:
    """All hubs of one server."""

    def __init__(self) -> None:
        self._thru: dict[int, Hub] = {}
        self._control: dict[str, Hub] = {}

    def thru(self, number: int) -> Hub:
        """The box `midithru/number`, 0 to 15: programs that open it hear each other."""
        if number not in self._thru:
            self._thru[number] = Hub(f"midithru/{number}")
        return self._thru[number]

    def control(self, name: str) -> Hub:
        """Of the sub-device `name`: what the server says and hears there by MIDI, and its programs."""
        if name not in self._control:
            self._control[name] = Hub(f"snd/{name}")
        return self._control[name]
