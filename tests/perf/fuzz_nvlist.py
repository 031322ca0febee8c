"""The long run of nvlists with something wrong in them: a million, in chunks of seeds.

    python tests/perf/fuzz_nvlist.py [--inputs 1000000] [--chunk 50000] [--seed 1] [--jobs 2] [--limit-ms 250]

Each input is made by tests/nvfuzz.py, and must decode or be refused; one that takes
more CPU time than the limit fails its chunk, which is named by its seed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from nvfuzz import fuzz_nvlist


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--chunk", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--limit-ms", type=float, default=250.0)
    args = parser.parse_args()
    seeds = range(args.seed, args.seed + -(-args.inputs // args.chunk))
    total: Counter[str] = Counter()
    longest, failed, begin = 0.0, 0, time.monotonic()
    with ProcessPoolExecutor(args.jobs) as pool:
        futures = {seed: pool.submit(fuzz_nvlist, seed, args.chunk) for seed in seeds}
        for seed, future in futures.items():
            try:
                counts = future.result()
            except Exception as error:
                print(f"seed {seed}: {error!r}", flush=True)
                failed += 1
                continue
            slowest = counts.pop("longest_ms")
            longest = max(longest, slowest)
            if slowest > args.limit_ms:
                print(f"seed {seed}: one input took {slowest} ms", flush=True)
                failed += 1
            total.update({key: int(value) for key, value in counts.items()})
    print(
        f"{dict(total)}, the longest {longest} ms, {failed} chunks failed, {time.monotonic() - begin:.0f} s"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
