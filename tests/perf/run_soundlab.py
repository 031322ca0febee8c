"""Real kernel drivers for a minute: no xrun of audiod's own on dummy and aloop, 4 blocks of 480 at 48 kHz.

    python tests/perf/run_soundlab.py [--seconds 60] [--json FILE]

Boots soundlab's machine (tests/lab/soundlab) and runs itself there, `--inside`.
Each card plays and records.  The machine is emulated where there is no KVM, and
stands still for a tenth of a second now and then: such xruns are the
scheduler's, and all are printed.  Exit status 1 if one was audiod's own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[1]))

from lab import realcards  # noqa: E402
from soundlab import pace  # noqa: E402
from soundlab.kernelcards import ASOUNDRC  # noqa: E402

SLACK = 120  # seconds for the boot and the start of the daemon


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="real kernel drivers for a minute")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--json", type=Path, help="file for all results")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def inside(seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        conf = Path(folder, "asoundrc")
        conf.write_text(ASOUNDRC)
        os.environ["ALSA_CONFIG_PATH"] = f"/usr/share/alsa/alsa.conf:{conf}"
        return pace.measure(Path(folder), seconds)


def outside(seconds: float) -> dict[str, Any]:
    """Raises RuntimeError with what the machine said."""
    if lacking := realcards.missing():
        raise RuntimeError(lacking)
    pace.tool()
    command = [sys.executable, HERE, "--inside", "--seconds", str(seconds)]
    with tempfile.TemporaryDirectory() as folder, open(Path(folder, "log"), "w+b") as log:
        place = Path(folder, "out")
        options: dict[str, Any] = {"cards": ("aloop", "dummy"), "timeout": seconds + SLACK, "log": log}
        with realcards.machine(command, place, **options) as machine:
            assert machine.stdout is not None
            said = machine.stdout.read()
            status = machine.wait()
        if status != 0:
            log.seek(0)
            raise RuntimeError(
                f"the machine ended with {status}: {log.read().decode(errors='replace')[-2000:]}"
            )
    result: dict[str, Any] = json.loads(said)
    return result


def table(result: dict[str, Any]) -> str:
    lines = [
        "| card | streams | heard to the end | frames each, on average | wake-ups of the load |",
        "|---|---|---|---|---|",
    ]
    for row in result["cards"]:
        share = row["frames"] / max(1, row["moved"])
        lines.append(
            f"| {row['card']} | {row['asked']} | {row['alive']} | {share:,.0f} | {row['wakeups']:,} |"
        )
    causes = ", ".join(f"{count} {cause}" for cause, count in result["xruns"].items())
    lines += ["", f"{result['seconds']:g} s; SCHED_FIFO: {result['realtime']}; xruns by cause: {causes}."]
    return "\n".join(lines + [f"    {line}" for line in result["log"]])


def main() -> int:
    args = arguments()
    if args.inside:
        json.dump(inside(args.seconds), sys.stdout)
        return 0
    try:
        result = outside(args.seconds)
    except RuntimeError as error:
        print(f"run_soundlab: {error}", file=sys.stderr)
        return 1
    if args.json:
        args.json.write_text(json.dumps(result, indent=1))
    print(table(result))
    return 1 if result["xruns"]["ours"] else 0


if __name__ == "__main__":
    sys.exit(main())
