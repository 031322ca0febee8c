"""The long fuzz run: millions of wrong messages, in chunks of seeds, that must all end well.

    python tests/perf/fuzz_long.py [--pump 5000000] [--sndio 5000000] [--protocol 2000000]
                                   [--session 1000000] [--control 1000000] [--midi 1000000]
                                   [--chunk 250000] [--seed 1] [--jobs 2]
                                   [--sanitize address,undefined|thread] [--json FILE]

`pump` and `sndio` are tests/engine/fuzz_pump.c and fuzz_sndio.c under sanitizers:
scanner, pump and streams of the live engine, by either protocol, beside a
neighbour whose every sample is compared.  `protocol`
and `session` are tests/fuzzing.py: the sans-IO core and validate, then a daemon
over FakeEngine; `control` is tests/deskfuzz.py: the same of control clients of
sndio's wire, `midi` is tests/midifuzz.py, of its MIDI programs.
A chunk that fails is named with the command that repeats it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "fuzz"
SANITIZED = {
    "address,undefined": "-fsanitize=address,undefined -fno-sanitize-recover=undefined",
    "thread": "-fsanitize=thread",
}
PARTS = {  # messages
    "pump": 5_000_000,
    "sndio": 5_000_000,
    "protocol": 2_000_000,
    "session": 1_000_000,
    "control": 1_000_000,
    "midi": 1_000_000,
}
IN_C = {"pump": "fuzz_pump", "sndio": "fuzz_sndio"}
PYTHON = """\
import json, sys
sys.path.insert(0, sys.argv[1])
import deskfuzz, fuzzing, midifuzz
where = {"control": deskfuzz, "midi": midifuzz}.get(sys.argv[2], fuzzing)
print(json.dumps(getattr(where, "fuzz_" + sys.argv[2])(int(sys.argv[3]), int(sys.argv[4]))))
"""
SAID = re.compile(
    r"(?P<messages>\d+) messages in (?P<sessions>\d+) sessions with (?P<streams>\d+) streams, "
    r"(?P<breaches>\d+) ended by a breach; (?P<blocks>\d+) blocks beside them\n(?P<checks>\d+) checks passed"
)


@dataclass
class Result:
    """What the chunks of one part come to."""

    part: str
    counts: Counter[str] = field(default_factory=Counter)
    chunks: int = 0
    failed: list[str] = field(default_factory=list)


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="millions of wrong messages")
    for part, count in PARTS.items():
        parser.add_argument(f"--{part}", type=int, default=count, help="messages")
    parser.add_argument("--chunk", type=int, default=250_000, help="messages with one seed")
    parser.add_argument("--seed", type=int, default=1, help="of the first chunk; each next one is one more")
    parser.add_argument("--jobs", type=int, default=2, help="chunks at a time")
    parser.add_argument(
        "--sanitize", choices=SANITIZED, default="address,undefined", help="what C is built with"
    )
    parser.add_argument("--json", type=Path, help="file for the counts")
    return parser.parse_args(argv)


def build(tool: str, sanitize: str) -> Path:
    """A program of tests/engine under sanitizers.  Raises CalledProcessError."""
    where = BUILD / sanitize.replace(",", "-")
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    configure = ["cmake", "-S", ROOT / "audiod" / "engine", "-B", where, "-G", "Ninja"]
    flags = ["-DCMAKE_BUILD_TYPE=", f"-DCMAKE_C_FLAGS=-O1 -g -fno-omit-frame-pointer {SANITIZED[sanitize]}"]
    for command in ([*configure, *flags], ["cmake", "--build", where, "--target", tool]):
        subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
    return where / tool


def chunk(part: str, tool: Path | None, count: int, seed: int) -> tuple[Counter[str], str]:
    """Counts of one chunk, and what went wrong, if anything."""
    command: list[str | Path]
    if tool is not None:
        command = [tool, str(count), str(seed)]
    else:
        command = [sys.executable, "-W", "error", "-c", PYTHON, ROOT / "tests", part, str(count), str(seed)]
    env = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1", "TSAN_OPTIONS": "halt_on_error=1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if done.returncode == 0 and tool is None:
        return Counter(json.loads(done.stdout)), ""
    if done.returncode == 0 and (found := SAID.search(done.stdout)):
        return Counter({key: int(value) for key, value in found.groupdict().items()}), ""
    again = f"{tool.name} {count} {seed}" if tool else f"fuzz_{part}({count}, {seed})"
    return Counter(), f"{again}: status {done.returncode}\n{(done.stdout + done.stderr)[-3000:]}"


def run(part: str, total: int, args: argparse.Namespace) -> Result:
    result = Result(part)
    tool = build(IN_C[part], args.sanitize) if part in IN_C and total else None
    # odd seeds: those in C make any seed odd, since its generator must not be 0
    sizes = [min(args.chunk, total - at) for at in range(0, total, args.chunk)]
    seeds = [2 * (args.seed + i) + 1 for i in range(len(sizes))]
    with ThreadPoolExecutor(args.jobs) as pool:
        for counts, failure in pool.map(
            lambda each: chunk(part, tool, *each), zip(sizes, seeds, strict=True)
        ):
            result.counts += counts
            result.chunks += 1
            if failure:
                result.failed.append(failure)
    return result


def main(argv: list[str]) -> int:
    args = arguments(argv)
    results = []
    for part in PARTS:
        begun = time.monotonic()
        total: int = getattr(args, part)
        result = run(part, total, args)
        results.append(result)
        words = ", ".join(f"{value} {key}" for key, value in sorted(result.counts.items()))
        spent = time.monotonic() - begun
        print(f"{part}: {total} messages, {result.chunks} chunks, {len(result.failed)} failed, {spent:.0f} s")
        print(f"    {words}", flush=True)
        for failure in result.failed:
            print(failure, file=sys.stderr)
    if args.json:
        args.json.write_text(json.dumps({r.part: dict(r.counts) for r in results}, indent=1))
    return 1 if any(r.failed for r in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
