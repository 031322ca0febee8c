"""Who has a card: the kernel's files, read in folders of a test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cards.kernels import PCI, FakeKernel

from audiod.cards import kernel
from audiod.cards.busy import Program, explain, holders


class Machine:
    """Card 0, PCM 0 both ways, and processes."""

    def __init__(self, folder: Path) -> None:
        self.kernel = FakeKernel(folder / "machine")
        (folder / "machine").mkdir()
        self.kernel.plug(0, "HDA", f"{PCI}/0000:00:1f.3", "0p", "0c")
        (self.card,) = kernel.find_cards(self.kernel.roots)
        self.proc = folder / "proc"
        self.proc.mkdir()

    def process(self, pid: int, name: str, *threads: int) -> None:
        for thread in (pid, *threads):
            (self.proc / str(thread)).mkdir()
            (self.proc / str(thread) / "status").write_text(f"Name:\tx\nTgid:\t{pid}\nPid:\t{thread}\n")
            (self.proc / str(thread) / "comm").write_text(f"{name if thread == pid else 'data-loop'}\n")

    def has_open(self, side: str, *threads: int, free: int = 0) -> None:
        pcm = self.kernel.roots.proc / "card0" / f"pcm0{side}"
        pcm.mkdir(parents=True, exist_ok=True)
        (pcm / "info").write_text(
            f"card: 0\ndevice: 0\nsubdevices_count: {len(threads) + free}\nsubdevices_avail: {free}\n"
        )
        for number, thread in enumerate(threads):
            (pcm / f"sub{number}").mkdir()
            (pcm / f"sub{number}/status").write_text(f"state: RUNNING\nowner_pid   : {thread}\n")

    def holders(self, side: str = "play") -> list[Program]:
        return holders(0, 0, side, self.kernel.roots, self.proc)

    def explain(self) -> str:
        return explain(self.card, 0, self.kernel.roots, self.proc)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_program_and_not_the_thread_is_named(machine: Machine) -> None:
    machine.process(812, "pipewire", 815)
    machine.has_open("p", 815)
    assert machine.holders() == [Program(812, "pipewire")] and machine.holders("rec") == []
    assert machine.explain() == ("card HDA is in use by pipewire (pid 812): stop it, or use another device")


def test_two_programs_and_one_that_has_both_sides(machine: Machine) -> None:
    machine.process(7, "jackd")
    machine.process(9, "arecord")
    machine.has_open("p", 7, 7)
    machine.has_open("c", 7, 9)
    assert machine.explain().startswith("card HDA is in use by jackd (pid 7) and arecord (pid 9): stop")


def test_where_there_is_room_nobody_is_in_the_way(machine: Machine) -> None:
    machine.process(7, "aplay")
    machine.has_open("p", 7, free=1)
    assert machine.holders() == []
    assert machine.explain() == "card HDA is busy, and the kernel does not say who has it: try again"


def test_a_thread_that_has_ended_is_a_number(machine: Machine) -> None:
    machine.has_open("p", 4711)
    assert machine.explain().startswith("card HDA is in use by process 4711: ")


def test_a_name_is_printed_as_it_may_be(machine: Machine) -> None:
    machine.process(5, "ev\x1b[2Jil")
    machine.has_open("p", 5)
    assert str(machine.holders()[0]) == "ev?[2Jil (pid 5)"


def test_ourselves(machine: Machine) -> None:
    machine.process(os.getpid(), "audiod", 99)
    machine.has_open("p", 99)
    assert machine.explain() == "card HDA is in use by this audiod, as another device: use that one"
