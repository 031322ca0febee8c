"""ALSA's raw MIDI: every call of the library as it is made, by a scripted one; and the real one's names."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Any

import pytest

from audiod.cards.libasound import AlsaError, Library, NoLibraryError
from audiod.midi import rawmidi
from audiod.midi.cable import place
from audiod.midi.rawmidi import RawMidi

NOTE = bytes.fromhex("903c40")


class FakeRaw:
    """Ports that have these directions, and what was called; `answers` of read and write come first."""

    def __init__(self, *ways: str, refuses: int = 0) -> None:
        self.ways = ways
        self.refuses = refuses
        self.calls: list[str] = []
        self.open = 0
        self.answers: list[int] = []
        self.written = b""
        self.source, self.sink = os.pipe()

    def close(self) -> None:
        os.close(self.source)
        os.close(self.sink)

    def call(self, name: str, *args: Any) -> int:
        if name == "lib_error_set_local":
            return 0
        return int(getattr(self, name.removeprefix("rawmidi_") + "_")(*args))

    def open_(self, source: Any, sink: Any, name: bytes, mode: int) -> int:
        assert mode == rawmidi.NONBLOCK
        wanted = [way for way, out in (("in", source), ("out", sink)) if out is not None]
        self.calls.append(f"{name.decode()} {'+'.join(wanted)}")
        if self.refuses:
            raise AlsaError(self.refuses, os.strerror(self.refuses))
        if not set(wanted) <= set(self.ways):
            raise AlsaError(errno.ENXIO, "No such device or address")
        for out, value in ((source, 1), (sink, 2)):
            if out is not None:
                out._obj.value = value
                self.open += 1
        return 0

    def close_(self, handle: ctypes.c_void_p) -> int:
        assert handle.value in (1, 2)
        self.open -= 1
        return 0

    def poll_descriptors_(self, handle: ctypes.c_void_p, out: Any, size: int) -> int:
        assert size == 1
        out._obj.fd = self.source if handle.value == 1 else self.sink
        return 1

    def read_(self, handle: ctypes.c_void_p, buffer: Any, size: int) -> int:
        assert handle.value == 1
        if self.answers:
            return self.answers.pop(0)
        data = NOTE[:size]
        ctypes.memmove(buffer, data, len(data))
        return len(data)

    def write_(self, handle: ctypes.c_void_p, data: bytes, size: int) -> int:
        assert handle.value == 2 and len(data) == size
        if self.answers:
            return self.answers.pop(0)
        self.written += data
        return size


@pytest.fixture
def made():
    fakes: list[FakeRaw] = []

    def make(*ways: str, **more: Any) -> FakeRaw:
        fakes.append(FakeRaw(*ways, **more))
        return fakes[-1]

    yield make
    for fake in fakes:
        assert fake.open == 0, "what was opened is closed"
        fake.close()


def test_both_directions(made: Any) -> None:
    fake = made("in", "out")
    port = RawMidi(fake, "hw:1")
    assert fake.calls == ["hw:1 in+out"]
    assert (port.source, port.sink, port.sends) == (fake.source, fake.sink, True)
    assert port.read(100) == NOTE
    assert port.read(2) == NOTE[:2]
    assert port.write(NOTE) == 3
    assert fake.written == NOTE
    port.close()
    port.close()


@pytest.mark.parametrize("way, tries", [("in", 2), ("out", 3)])
def test_the_one_direction_that_there_is(made: Any, way: str, tries: int) -> None:
    fake = made(way)
    port = RawMidi(fake, "hw:1")
    assert len(fake.calls) == tries
    assert (port.source is None, port.sends) == (way == "out", way == "out")
    port.close()


def test_a_busy_port_is_not_tried_in_other_ways(made: Any) -> None:
    fake = made("in", "out", refuses=errno.EBUSY)
    with pytest.raises(OSError, match="busy") as refused:
        RawMidi(fake, "hw:1")
    assert refused.value.errno == errno.EBUSY
    assert len(fake.calls) == 1


def test_one_that_is_not_there(made: Any) -> None:
    with pytest.raises(OSError) as refused:
        RawMidi(made(refuses=errno.ENOENT), "hw:7")
    assert refused.value.errno == errno.ENOENT


def test_nothing_there_and_no_room_are_no_errors_and_a_lost_one_is(made: Any) -> None:
    fake = made("in", "out")
    port = RawMidi(fake, "hw:1")
    fake.answers = [-errno.EAGAIN, -errno.EINTR, -errno.ENODEV]
    assert port.read(10) == b""
    assert port.write(NOTE) == 0
    with pytest.raises(OSError) as lost:
        port.read(10)
    assert lost.value.errno == errno.ENODEV
    port.close()


def test_one_that_cannot_be_waited_for_is_closed_again(made: Any) -> None:
    fake = made("in", "out")
    fake.poll_descriptors_ = lambda *args: 0
    with pytest.raises(OSError, match="waited for"):
        RawMidi(fake, "x")


@pytest.mark.parametrize(
    "text, path, way, alsa",
    [
        ("rmidi/0", None, None, "hw:0"),
        ("rmidi/1,0,3", None, None, "hw:1,0,3"),
        ("alsa:virtual", None, None, "virtual"),
        ("hw:CARD=Keys", None, None, "hw:CARD=Keys"),
        ("/dev/snd/midiC1D0", "/dev/snd/midiC1D0", None, ""),
        ("/tmp/fifo?mode=in", "/tmp/fifo", "in", ""),
        ("/tmp/a?mode=all", "/tmp/a?mode=all", None, ""),
    ],
)
def test_names(text: str, path: str | None, way: str | None, alsa: str) -> None:
    found = place(text)
    assert (str(found.path) if found.path else None, found.way, found.alsa) == (path, way, alsa)


def test_the_real_library_has_what_is_called_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    try:
        Library()
    except NoLibraryError as error:
        pytest.skip(str(error))
    with pytest.raises(OSError):
        RawMidi(rawmidi.library(), "hw:31")  # there is no such card anywhere
    assert capfd.readouterr() == ("", "")
