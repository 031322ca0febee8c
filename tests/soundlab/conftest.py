"""Tests on real kernel cards: those in guest/ run in soundlab's virtual machine, and are told of here.

One machine is booted for all of them, when the first is due, and runs pytest on
those that this session has collected.  Its half of this file sends each report
through descriptor 3, this half hands them on, so that a test there is passed,
failed or skipped here, with its words.  Where there is no such machine each is
skipped, with the reason.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from lab import realcards
from soundlab import pace

GUEST = Path(__file__).parent / "guest"
INSIDE = os.environ.get("SOUNDLAB") == "1"
REPORTS = 3  # descriptor, inside
LAST = "test_card_suspend.py"  # of these tests the machine does not recover
CARDS = ("hda", "aloop", "dummy", "usb")
NO_CARDS = "no kernel with sound cards to test on"
PATIENCE = 400  # seconds for all tests of the machine: never reached when all is well


# ---- inside ----


class Reporter:
    """Writes a line of JSON for each test that begins and each report of one."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.out = os.fdopen(REPORTS, "w", buffering=1)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.out.write(json.dumps({"begin": nodeid}) + "\n")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self.config.hook.pytest_report_to_serializable(config=self.config, report=report)
        self.out.write(json.dumps(data) + "\n")


# ---- outside ----


class Machine:
    """One run of the machine, and the reports that came from it so far."""

    def __init__(self, config: pytest.Config, tests: list[str]) -> None:
        self.config = config
        self.seen: dict[str, list[pytest.TestReport]] = {test: [] for test in tests}
        self.running = "its start"
        self.over = ""
        self.reports = self._run(tests)  # a generator

    def _run(self, tests: list[str]) -> Generator[pytest.TestReport, None, None]:
        last = [test for test in tests if LAST in test]
        runs = [run for run in ([test for test in tests if test not in last], last) if run]
        pytest_there = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        lines = [shlex.join([*pytest_there, *run]) for run in runs]
        command = [
            "sh",
            "-c",
            "\n".join(["exec 3>&1 >&2", f"cd {shlex.quote(str(self.config.rootpath))}", *lines]),
        ]
        with (
            tempfile.TemporaryDirectory(prefix="soundlab-") as folder,
            open(Path(folder, "log"), "w+b") as log,
            realcards.machine(
                command, Path(folder, "out"), cards=CARDS, timeout=PATIENCE, log=log
            ) as machine,
        ):
            assert machine.stdout is not None
            for line in machine.stdout:
                data = json.loads(line)
                if "begin" in data:
                    self.running = data["begin"]
                else:
                    if isinstance(data["longrepr"], list):  # JSON's tuple
                        data["longrepr"] = tuple(data["longrepr"])
                    yield self.config.hook.pytest_report_from_serializable(config=self.config, data=data)
            status = machine.wait()
            log.seek(0)
            said = log.read().decode(errors="replace")[-8000:]
            self.over = f"the machine ended ({status}) at {self.running}, and said:\n{said}"

    def of(self, item: pytest.Item) -> Iterator[pytest.TestReport]:
        """The reports of one test, as they come."""
        told = self.seen[item.nodeid]
        at = 0
        while True:
            for report in told[at:]:
                at += 1
                yield report
                if report.when == "teardown":
                    return
            report = next(self.reports, None)
            if report is None:
                yield _report(item, "failed", f"{item.nodeid} has no result: {self.over}")
                return
            self.seen.setdefault(report.nodeid, []).append(report)


def _report(item: pytest.Item, outcome: Any, words: str) -> pytest.TestReport:
    path, line, _ = item.location
    why = (path, (line or 0) + 1, f"Skipped: {words}") if outcome == "skipped" else words
    return pytest.TestReport(item.nodeid, item.location, {}, outcome, why, "setup")


def _reports(item: pytest.Item) -> Iterator[pytest.TestReport]:
    if lacking := realcards.missing():
        report = _report(item, "skipped", f"{NO_CARDS}: {lacking}")
        report.soundlab_missing = True
        yield report
        return
    machine = item.config.stash.get(MACHINE, None)
    if machine is None:
        tests = [other.nodeid for other in item.session.items if GUEST in other.path.parents]
        pace.tool()
        machine = item.config.stash[MACHINE] = Machine(item.config, tests)
    yield from machine.of(item)


MACHINE = pytest.StashKey[Machine]()


def pytest_configure(config: pytest.Config) -> None:
    if INSIDE:
        config.pluginmanager.register(Reporter(config))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    skipped = terminalreporter.getreports("skipped")
    count = sum(getattr(report, "soundlab_missing", False) for report in skipped)
    if count:
        terminalreporter.write_line(f"{count} tests not run: {NO_CARDS}: {realcards.missing()}", yellow=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    machine = config.stash.get(MACHINE, None)
    if machine is not None:
        machine.reports.close()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    if INSIDE or GUEST not in item.path.parents:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in _reports(item):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
