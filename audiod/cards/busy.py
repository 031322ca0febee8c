"""Busy: which programs have a card open, and what is to be said of it.

Reads some short files of the kernel, whose folders are parameters; a program that
ends meanwhile is nobody.  Control thread.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from audiod.cards import kernel
from audiod.cards.inventory import DIRECTIONS, Card
from audiod.cards.kernel import ROOTS, Roots

PROC = Path("/proc")


@dataclass(frozen=True)
class Program:
    """A process by its id; `name` as the kernel shows it, "" if it cannot be told."""

    pid: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})" if self.name else f"process {self.pid}"


def holders(card: int, device: int, direction: str, roots: Roots = ROOTS, proc: Path = PROC) -> list[Program]:
    """Who has a direction of a PCM so that nobody else can; empty if there is room."""
    threads = kernel.holders(card, device, direction, roots)
    return list(dict.fromkeys(_program(thread, proc) for thread in threads))


def explain(card: Card, device: int, roots: Roots = ROOTS, proc: Path = PROC) -> str:
    """Why a card is busy and what to do, for the error of an open."""
    found = [one for direction in DIRECTIONS for one in holders(card.number, device, direction, roots, proc)]
    if not found:
        return f"card {card.id} is busy, and the kernel does not say who has it: try again"
    if any(one.pid == os.getpid() for one in found):
        return f"card {card.id} is in use by this audiod, as another device: use that one"
    names = " and ".join(dict.fromkeys(map(str, found)))
    return f"card {card.id} is in use by {names}: stop it, or use another device"


def _program(thread: int, proc: Path) -> Program:
    """The process that a thread belongs to."""
    status = _read(proc / str(thread) / "status")
    group = re.search(r"^Tgid:\s*(\d+)$", status, re.M)
    pid = int(group[1]) if group else thread
    name = _read(proc / str(pid) / "comm").strip()
    return Program(pid, "".join(c if c.isprintable() else "?" for c in name))


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
