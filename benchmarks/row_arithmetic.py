"""What the emitted row arithmetic and Numba's undocumented options are worth.

Training (triplets a second) and exact ranking (queries a second) on generated data, with each form
of the row arithmetic, and with each undocumented option of Numba left out. Every way runs in a
process of its own that compiles anew; rounds go in turn.

    python benchmarks/row_arithmetic.py [--rounds 9] [--threads 2]
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

import record
from row_forms import QUERIES, SIZE

WAYS = {
    "as shipped": {},
    "plain Numba": {"form": "plain"},
    "plain Numba, NUMBA_SLP_VECTORIZE=1": {"form": "plain", "slp": "1"},
    "without _nrt=False": {"without": ["_nrt"]},
    "without forceinline": {"without": ["forceinline"]},
    "without either": {"without": ["_nrt", "forceinline"]},
}


def peer(way, threads):
    """Start a process for one way."""
    given = {"form": "emitted", "without": [], "threads": threads, **WAYS[way]}
    os.environ["NUMBA_SLP_VECTORIZE"] = given.pop("slp", "0")
    with tempfile.TemporaryDirectory() as cache:
        os.environ["NUMBA_CACHE_DIR"] = cache
        return record.Peer(sys.executable, str(Path(__file__).parent / "row_forms.py"), given)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()

    peers = {way: peer(way, options.threads) for way in WAYS}
    figures = {"threads": options.threads, "rounds": options.rounds, "users, items, pairs": SIZE}
    for task in peers["as shipped"].about["trial"]:
        runs = {way: lambda p=process, t=task: p.seconds(t) for way, process in peers.items()}
        seconds, unit = record.in_turn(runs, options.rounds), "M triplets/s"
        amount = SIZE[2] / 1e6
        if task.startswith("top"):
            amount, unit = QUERIES / 1e3, "thousand queries/s"
        print(f"{task}, {unit}")
        figures[task] = {}
        for way, values in seconds.items():
            relative = record.ratio(seconds["as shipped"], values)
            best = amount / min(values)
            figures[task][way] = {
                unit: round(amount / statistics.median(values), 3),
                "best": round(best, 3),
                "ratio to as shipped": round(relative, 3),
                "ratio of the best": round(min(seconds["as shipped"]) / min(values), 3),
            }
            print(f"  {way:<36} {amount / statistics.median(values):7.3f}  {relative:5.2f}x")
    for process in peers.values():
        process.close()
    record.write("row_arithmetic", figures)


if __name__ == "__main__":
    main()
