"""MIDI messages: found in bytes as they come.

A Parser belongs to one sender and knows its running status.  Invariant: what comes
out is whole messages that begin with their status byte, at most 3 bytes, or a
system exclusive message; of one longer than SYSEX_MAX pieces come, none longer.
Real-time messages come out at once, wherever they stand; active sensing and what nobody
can make sense of are left out.  Pure.
"""

from __future__ import annotations

from typing import Final

# bytes: every message that means something to a server is shorter by far; a piece is no more than a
# third of what an end keeps, and holds up what others send for a sixth of a second of a cable
SYSEX_MAX: Final = 512

SYSEX: Final = 0xF0
SYSEX_END: Final = 0xF7
REALTIME: Final = 0xF8  # and above
_SENSING: Final = 0xFE
_VOICE: Final = (3, 3, 3, 3, 2, 2, 3)  # bytes of 0x8n ... 0xEn
_COMMON: Final = (0, 2, 3, 2, 0, 0, 1)  # bytes of 0xF0 ... 0xF6, 0: no fixed number or undefined


def begins(message: bytes) -> bool:
    """Whether this is a message or its first piece, and not the rest of a system exclusive one."""
    return message[0] >= 0x80 and message[0] != SYSEX_END


def whole(message: bytes) -> bool:
    """Whether this is all of a message."""
    return begins(message) and (message[0] != SYSEX or message[-1] == SYSEX_END)


class Parser:
    """Of one sender."""

    def __init__(self) -> None:
        self._status = 0  # of the message under way, or running; 0: data bytes have no meaning
        self._voice = 0  # the last channel status: it holds again behind a system exclusive message
        self._length = 0
        self._message = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that end in `data`, in the order in which they do."""
        found: list[bytes] = []
        for byte in data:
            if byte < 0x80:
                self._data(byte, found)
            elif byte >= REALTIME:
                if byte != _SENSING:
                    found.append(bytes((byte,)))
            else:
                self._begin(byte, found)
        return found

    def _data(self, byte: int, found: list[bytes]) -> None:
        status, message = self._status, self._message
        if not status:
            return
        if status == SYSEX:
            if len(message) == SYSEX_MAX:
                self._end(found)
            message.append(byte)
            return
        if not message:
            message.append(status)
        message.append(byte)
        if len(message) == self._length:
            self._end(found)
            if status > SYSEX:
                self._status = 0

    def _begin(self, status: int, found: list[bytes]) -> None:
        if status == SYSEX_END:
            if self._status == SYSEX:
                if len(self._message) == SYSEX_MAX:
                    self._end(found)
                self._message.append(status)
                self._end(found)
            self._message.clear()
            # some senders, Linux' virtual ports among them, go on with the status of before
            self._run(self._voice)
            return
        self._message.clear()  # one that did not end is dropped
        if status < SYSEX:
            self._voice = status
            self._run(status)
        else:
            self._status, self._length = status, _COMMON[status & 0x0F]
            if status != SYSEX and not self._length:
                self._status = 0
                return
        self._message.append(status)
        if self._length == 1:
            self._end(found)
            self._status = 0

    def _run(self, status: int) -> None:
        self._status = status
        self._length = _VOICE[(status >> 4) & 7] if status else 0

    def _end(self, found: list[bytes]) -> None:
        found.append(bytes(self._message))
        self._message.clear()
