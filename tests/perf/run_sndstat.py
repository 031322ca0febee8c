"""What a listing of sndstat costs: 16 devices with a thousand playing streams, and who is disturbed by it.

    python tests/perf/run_sndstat.py [--devices 15] [--streams 69] [--listings 30] [--json FILE]

A server has 16 sub-devices, one of them `default`, hence 15 devices; a program provides one more.

Real streams of other processes play all the while (native_load).  For each form of
the answer: CPU time of the daemon's control thread for one listing from open to
close, as the kernel counts it, its median and its worst, how long the client waits
for it, and how large it is; and the xruns that came to be meanwhile.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from daemon import running
from native import Native
from servers import Load, compile_load

FORMS = ({"form": "nvlist"}, {"form": "msgpack"}, {"form": "nvlist", "schema": "draft"})


def control_ns(pid: int) -> int:
    """CPU time of the control thread so far."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0])


def listing(client: Native, **args: object) -> tuple[int, int]:
    """One listing from open to close: its size as a packed list, and in how many answers."""
    handle = client.call("sndstat.open")["handle"]
    answers, after, size = 0, None, 0
    while True:
        more = {} if after is None else {"after": after}
        answer = client.call("sndstat.get", handle=handle, **args, **more)
        answers += 1
        size, after = answer["nbytes"], answer["next"]
        if after is None:
            break
    client.call("sndstat.close", handle=handle)
    client.seen.clear()
    return size, answers


def measure(client: Native, pid: int, count: int, **args: object) -> dict[str, Any]:
    """The first listing, which knows nothing, is not among the others."""
    cpu, wall = [], []
    size = answers = 0
    for _ in range(count):
        before, begin = control_ns(pid), time.monotonic()
        size, answers = listing(client, **args)
        wall.append(1000 * (time.monotonic() - begin))
        cpu.append((control_ns(pid) - before) / 1e6)
    return {
        "form": " ".join(map(str, args.values())),
        "bytes": size,
        "answers": answers,
        "cpu_ms": round(statistics.median(cpu), 2),
        "cpu_least_ms": round(min(cpu), 2),
        "cpu_worst_ms": round(max(cpu), 2),
        "wait_ms": round(statistics.median(wall), 2),
    }


def run(devices: int, streams: int, count: int, block: int) -> dict[str, Any]:
    load = compile_load()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        # a program may need a second to be heard where so many share a machine: their buffers hold it
        specs = ["-z", str(block), "-b", str(4 * block)]
        for number in range(devices):
            specs += ["-f", f"null?ppm={number}"]  # each another one
        daemon = stack.enter_context(running(folder, *specs))
        for number in range(devices):
            command = [load, "-s", daemon.socket, "-d", str(number), "-n", str(streams), "-c", "1",
                       "-b", str(8 * block), "-t", "3600"]  # fmt: skip
            playing = Load(command).process
            stack.enter_context(playing)
            stack.callback(playing.terminate)
        client = Native(daemon.socket)
        provider = Native(daemon.socket)
        stack.callback(provider.close)
        provided = {"devnode": "vdsp0", "desc": "provided", "pchan": 1, "rchan": 1}
        provider.call("sndstat.open", write=True)
        provider.call("sndstat.add_user", handle=0, dsps=[provided])
        try:
            before = client.call("status")
            assert before["streams"] == devices * streams
            first = measure(client, daemon.pid, 1, form="nvlist")
            rows = [measure(client, daemon.pid, count, **form) for form in FORMS]
            after = client.call("status")
            states = set()
            last = None
            while True:
                page = client.call("streams", **({} if last is None else {"after": last}))
                states |= {row["state"] for row in page["streams"]}
                last = page["next"]
                if last is None:
                    break
        finally:
            client.close()
    return {
        "devices": devices + 1,
        "streams": devices * streams,
        "states": sorted(states),
        "first_cpu_ms": first["cpu_ms"],
        "xruns": {key: after["xruns"][key] - before["xruns"][key] for key in after["xruns"]},
        "listings": count,
        "rows": rows,
    }


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--devices", type=int, default=15)
    parser.add_argument("--streams", type=int, default=69, help="on each of them")
    parser.add_argument("--listings", type=int, default=30)
    parser.add_argument("--block", type=int, default=2400, help="frames")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    result = run(args.devices, args.streams, args.listings, args.block)
    print(f"{result['devices']} devices, {result['streams']} streams: {', '.join(result['states'])}")
    print(f"the first listing {result['first_cpu_ms']} ms; xruns meanwhile: {result['xruns']}")
    keys = list(result["rows"][0])
    print("| " + " | ".join(keys) + " |\n" + "|---" * len(keys) + "|")
    for row in result["rows"]:
        print("| " + " | ".join(str(row[key]) for key in keys) + " |")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
