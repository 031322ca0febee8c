"""state.py and saved.py: written whole or not at all, seldom, and never why a server does not run."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest
import trio
from audiod_protocol.params import Enc
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from audiod.core import Core, Device, Format
from audiod.program import PROGRAMS_MAX
from audiod.saved import BadState, Saved, SavedDevice, SavedProgram, pack, unpack
from audiod.state import ASIDE_MAX, END_GRACE, SETTLE, SIZE_MAX, State
from audiod.subdevice import SubDevice


def core_with(*names: str) -> Core:
    fmt = Format(Enc.parse("s16le"), 48000, 480, 1920, 2, 2)
    devices = [Device(n, name, "null", fmt) for n, name in enumerate(names)]
    return Core(devices, {"default": SubDevice("default", 0)})


def begun(folder: Path, core: Core) -> State:
    state = State(folder, 0, core.controls.saved)
    state.begin(core.controls.restore)
    core.controls.changed = state.changed
    return state


def lines(logged: io.StringIO, event: str) -> list[str]:
    return [line for line in logged.getvalue().splitlines() if f"event={event}" in line]


# ---- values and bytes ----

LEVELS = st.integers(0, 127)
WORDS = st.from_regex("[a-z]{1,11}", fullmatch=True)
PROGRAMS = st.lists(
    st.builds(SavedProgram, st.sampled_from(["default", "0", "rear"]), WORDS, LEVELS, st.booleans()),
    max_size=9,
    unique_by=lambda p: (p.subdevice, p.program),
)
DEVICES = st.lists(
    st.builds(SavedDevice, st.text(min_size=1), LEVELS, st.booleans(), LEVELS, st.booleans()),
    max_size=5,
    unique_by=lambda d: d.name,
)
SAVED = st.builds(Saved, st.none() | st.text(min_size=1), DEVICES, PROGRAMS)


@given(SAVED)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_what_is_packed_is_unpacked(saved: Saved) -> None:
    data = pack(saved)
    assert msgpack.unpackb(data)["version"] == 1
    again = unpack(data)
    assert again.to_wire() == saved.to_wire() | {"version": 1}


@given(SAVED, st.data())
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_damage_is_bad_state_or_still_valid(saved: Saved, data: Any) -> None:
    whole = bytearray(pack(saved))
    if data.draw(st.booleans()):
        del whole[data.draw(st.integers(0, len(whole) - 1)) :]
    else:
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = unpack(bytes(whole))
    except BadState as bad:
        assert str(bad).startswith("it ")
    else:
        assert all(0 <= one.level <= 127 and one.name for one in found.devices)
        assert all(0 <= one.level <= 127 for one in found.programs)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"version": 2, "programs": "another shape"}, "version 2"),
        ({"version": 0}, "version 0"),
        ({"programs": []}, "damaged"),
        ({"version": 1, "programs": [{"subdevice": "default", "program": "x", "level": 128}]}, "127"),
        ({"version": 1, "devices": [{"name": "null", "mute": 1}]}, "bool"),
        ({"version": 1, "devices": [{"level": 1}]}, "name"),
        ([1], "damaged"),
    ],
)
def test_why_bytes_are_no_state(value: object, why: str) -> None:
    with pytest.raises(BadState, match=why):
        unpack(msgpack.packb(value))


def test_deep_nesting_is_damage() -> None:
    with pytest.raises(BadState, match="damaged"):
        unpack(b"\x81\xa7version" + b"\x91" * 200_000)


def test_a_key_of_a_later_audiod_is_passed_over() -> None:
    later = {"version": 1, "colour": "red", "devices": [{"name": "null", "level": 3, "balance": 0}]}
    assert unpack(msgpack.packb(later)).devices == [SavedDevice("null", 3)]


# ---- restoring ----


def test_everything_is_restored() -> None:
    saved = Saved(
        "second", [SavedDevice("second", 1, True, 2, True)], [SavedProgram("default", "player", 3, True)]
    )
    core = core_with("first", "second")
    core.controls.restore(saved)
    device = core.devices[1]
    assert (device.volume, device.muted, device.input_volume, device.input_muted) == (1, True, 2, True)
    assert core.default_device is device
    program = core.controls.programs.get("default", "player")
    assert (program.level, program.muted, program.volume) == (3, True, 0)
    assert core.devices[0].volume == 127


def test_what_is_not_configured_now_is_kept_for_later() -> None:
    saved = Saved("away", [SavedDevice("away", 5)], [SavedProgram("attic", "player", 3)])
    core = core_with("here")
    core.controls.restore(saved)
    assert core.default_device.name == "here"
    kept = core.controls.saved()
    assert kept.default_device == "away"
    assert kept.devices == [SavedDevice("away", 5), SavedDevice("here")]
    assert kept.programs == saved.programs
    assert [r["name"] for r in core.controls.page(None)[0] if str(r["name"]).startswith("app/")] == []
    back = core_with("here", "away")
    back.controls.restore(kept)
    assert back.default_device.volume == 5


def test_a_state_of_ten_thousand_programs(tmp_path: Path) -> None:
    letters = "abcdefghij"
    names = [a + b + c + d for a in letters for b in letters for c in letters for d in letters]
    assert len(names) == 10_000
    (tmp_path / "state.msgpack").write_bytes(
        pack(Saved(programs=[SavedProgram("default", n, 9) for n in names]))
    )
    core = core_with("null")
    begun(tmp_path, core)
    assert [program.name for program in core.controls.programs] == names[-PROGRAMS_MAX:], "those used last"
    rows, after = core.controls.page(None)
    while after is not None:
        more, after = core.controls.page(after)
        rows += more
    assert len({str(row["name"]) for row in rows}) == 8 + 2 * PROGRAMS_MAX


def test_names_that_no_program_can_have_are_left_out() -> None:
    core = core_with("null")
    core.controls.restore(Saved(programs=[SavedProgram("default", "Not A Program", 9)]))
    assert list(core.controls.programs) == []


# ---- the file ----


def test_no_file_is_no_news(tmp_path: Path, logged: io.StringIO) -> None:
    core = core_with("null")
    begun(tmp_path / "none", core)
    assert core.controls.saved() == Saved(devices=[SavedDevice("null")])
    assert logged.getvalue() == ""


BAD = {
    "damaged": b"\xc1",
    "empty": b"",
    "cut": pack(Saved(programs=[SavedProgram("default", "player", 3)]))[:-1],
    "newer": msgpack.packb({"version": 2}),
    "huge": b"\0" * (SIZE_MAX + 1),
}


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_file_is_moved_aside(tmp_path: Path, logged: io.StringIO, kind: str) -> None:
    path = tmp_path / "state.msgpack"
    for number in (1, 2):
        path.write_bytes(BAD[kind])
        core = core_with("null")
        state = begun(tmp_path, core)
        aside = tmp_path / f"state.msgpack.bad-{number}"
        assert aside.read_bytes() == BAD[kind]
        assert not path.exists()
        (line,) = lines(logged, "state.bad")[number - 1 :]
        assert str(path) in line and str(aside) in line and "level=warning" in line
        core.controls.set("output.level", 3)
        await state.finish()
        assert kept_level(path) == 3


def test_bad_files_are_not_kept_without_bound(tmp_path: Path) -> None:
    for number in range(ASIDE_MAX + 3):
        (tmp_path / "state.msgpack").write_bytes(b"bad %d" % number)
        begun(tmp_path, core_with("null"))
    assert len(list(tmp_path.iterdir())) == ASIDE_MAX
    assert (tmp_path / f"state.msgpack.bad-{ASIDE_MAX}").read_bytes() == b"bad %d" % (ASIDE_MAX + 2)


def test_a_pipe_in_its_place_does_not_stop_the_start(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "state.msgpack")
    begun(tmp_path, core_with("null"))
    assert (tmp_path / "state.msgpack.bad-1").is_fifo()


def test_a_directory_in_its_place_is_moved_aside_with_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "state.msgpack").mkdir()
    (tmp_path / "state.msgpack" / "precious").touch()
    begun(tmp_path, core_with("null"))
    assert (tmp_path / "state.msgpack.bad-1" / "precious").exists()


async def test_what_may_not_be_read_is_not_written_over(
    tmp_path: Path, logged: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.msgpack"
    path.write_bytes(pack(Saved(devices=[SavedDevice("null", 5)])))
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refusing(errno.EACCES))
        core = core_with("null")
        state = begun(tmp_path, core)
    core.controls.set("output.level", 3)
    await state.finish()
    assert kept_level(path) == 5
    (line,) = logged.getvalue().splitlines()
    assert "state.unreadable" in line and "Permission denied" in line


# ---- when it is written ----


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def kept_level(path: Path) -> int:
    return unpack(path.read_bytes()).devices[0].level


def refusing(number: int) -> Callable[..., int]:
    """A system call that fails: tests may run as root, whom no directory refuses."""

    def refuse(*args: object, **more: object) -> int:
        raise OSError(number, os.strerror(number))

    return refuse


class Disk:
    """Counts the writes of a State and lets a test wait for them."""

    def __init__(self, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writes = 0
        self.levels: list[int] = []
        self._done = trio.Event()
        self._write = state._write
        self._replace = state._replace
        monkeypatch.setattr(state, "_write", self.write)
        monkeypatch.setattr(state, "_replace", self.replace)

    def write(self, data: bytes, number: int) -> None:
        assert threading.current_thread() is not threading.main_thread(), "no disk on the control thread"
        try:
            self._write(data, number)
        finally:
            self.writes += 1
            with contextlib.suppress(trio.Cancelled):
                trio.from_thread.run_sync(self._done.set)

    def replace(self, data: bytes) -> None:
        self.levels.append(unpack(data).devices[0].level)
        self._replace(data)

    async def wait(self) -> None:
        """Until a write has been done and the State knows."""
        await self._done.wait()
        self._done = trio.Event()
        await wait_all_tasks_blocked(0.01)


async def test_a_change_is_written_after_a_while_and_many_changes_once(
    tmp_path: Path, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    core, path = core_with("null"), tmp_path / "deep/er/state.msgpack"
    state = begun(path.parent, core)
    disk = Disk(state, monkeypatch)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(state.keep)
        await wait_all_tasks_blocked()
        mock_clock.jump(100)
        for level in range(100):
            core.controls.set("output.level", level)
            await wait_all_tasks_blocked()
            mock_clock.jump(SETTLE / 101)
        await wait_all_tasks_blocked()
        assert disk.writes == 0
        mock_clock.jump(SETTLE)
        await disk.wait()
        assert disk.levels == [99] == [kept_level(path)]
        assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        core.controls.set("output.level", 98)
        core.controls.set("output.level", 99)
        await wait_all_tasks_blocked()
        mock_clock.jump(SETTLE)
        await wait_all_tasks_blocked()
        assert disk.writes == 1, "what is as it was needs no write"
        core.controls.set("output.level", 1)
        nursery.cancel_scope.cancel()
    await state.finish()
    assert disk.levels == [99, 1] and kept_level(path) == 1
    await state.finish()
    assert disk.writes == 2


async def test_where_nothing_can_be_written_one_warning_is_enough(
    tmp_path: Path, mock_clock: MockClock, logged: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = core_with("null")
    state = begun(tmp_path, core)
    disk = Disk(state, monkeypatch)

    async def change(level: int) -> None:
        core.controls.set("output.level", level)
        await wait_all_tasks_blocked()
        mock_clock.jump(SETTLE)
        await disk.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(state.keep)
        with monkeypatch.context() as patched:
            patched.setattr(os, "open", refusing(errno.EROFS))
            for level in (1, 2, 3):
                await change(level)
        assert disk.levels == [1, 2, 3], "it is tried again"
        (line,) = lines(logged, "state.unwritable")
        assert str(tmp_path) in line and "Read-only file system" in line
        await change(4)
        nursery.cancel_scope.cancel()
    assert kept_level(tmp_path / "state.msgpack") == 4
    assert len(lines(logged, "state.written")) == 1


async def test_a_full_disk_leaves_the_old_file_whole(
    tmp_path: Path, logged: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = core_with("null")
    state = begun(tmp_path, core)
    core.controls.set("output.level", 1)
    await state.finish()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refusing(errno.ENOSPC))
        core.controls.set("output.level", 2)
        await state.finish()
    assert kept_level(tmp_path / "state.msgpack") == 1
    assert names(tmp_path) == ["state.msgpack"], "nothing half written is left"
    assert "No space left" in logged.getvalue()


async def test_the_end_does_not_wait_for_a_disk_that_hangs(
    tmp_path: Path, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = core_with("null")
    state = begun(tmp_path, core)
    disk = Disk(state, monkeypatch)
    state._writing.acquire()  # whoever writes has the disk to itself
    async with trio.open_nursery() as nursery:
        nursery.start_soon(state.keep)
        core.controls.set("output.level", 1)
        await wait_all_tasks_blocked()
        mock_clock.jump(SETTLE)
        await wait_all_tasks_blocked()  # it hangs in its thread
        nursery.cancel_scope.cancel()
    core.controls.set("output.level", 2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(state.finish)
        await wait_all_tasks_blocked()
        mock_clock.jump(END_GRACE)
    assert not (tmp_path / "state.msgpack").exists()
    state._writing.release()
    while disk.writes < 2:
        await trio.lowlevel.checkpoint()
    assert disk.levels == [2], "the older one is not worth it any more, and must not come last"
    assert kept_level(tmp_path / "state.msgpack") == 2
