"""Estimates beside what really happened: memory and time of `trimetric fit`, on several sizes.

Each set is estimated by `trimetric estimate` and then fitted by `trimetric fit` with all its epochs
(patience 0), each in a fresh process on the same number of threads. The peak memory is what the
system tells of the process that ended. Goals: within 25 % for memory and 40 % for time.

    python benchmarks/estimate.py [--sets ml_100k,ml_1m,3000000,10000000] [--model centroid]
        [--epochs 10] [--threads 1]

A number stands for as many generated interactions.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import record

COMMAND = [sys.executable, "-m", "trimetric"]
MEMORY, TIME = 0.25, 0.40  # goals


def generated(folder: Path, pairs: int) -> Path:
    """Write a log with so many interactions, 50 a user, few items having most of them."""
    import polars as pl

    rng = np.random.default_rng(0)
    users, items = max(pairs // 50, 10), max(int(pairs**0.66), 10)
    drawn = int(pairs * 1.1)  # some twice
    frame = pl.DataFrame(
        {
            "user": rng.integers(0, users, drawn),
            "item": (items * rng.random(drawn) ** 2.5).astype(np.int64),
        }
    )
    path = folder / f"generated-{pairs}.parquet"
    frame.unique().sort("user", "item").head(pairs).write_parquet(path)
    return path


def ended(command: list[str], threads: int) -> tuple[str, float, int]:
    """Run a command; return its output, its seconds, and its peak memory in bytes."""
    began = time.monotonic()
    environment = {**os.environ, "TRIMETRIC_THREADS": str(threads)}
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=out, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{' '.join(command)} ended with {status}")
        out.seek(0)
        return out.read().decode(), time.monotonic() - began, usage.ru_maxrss * 1024


def row(data: str, options: argparse.Namespace, folder: Path) -> dict[str, object]:
    settings = ["--model", options.model, "--epochs", str(options.epochs), "--set", "patience=0"]
    told, took, _ = ended(
        [*COMMAND, "estimate", data, *settings, "--quiet", "--json"], options.threads
    )
    estimate = json.loads(told)
    _, seconds, memory = ended(
        [*COMMAND, "fit", data, *settings, "--quiet", "--out", str(folder / "model")],
        options.threads,
    )
    expected = estimate["fit"]
    return {
        "set": Path(data).stem,
        "interactions": estimate["interactions"],
        "estimate_took": round(took, 1),
        "memory_mib": [round(expected["memory"] / 2**20), round(memory / 2**20)],
        "memory_ratio": round(expected["memory"] / memory, 3),
        "seconds": [round(expected["seconds"], 1), round(seconds, 1)],
        "seconds_ratio": round(expected["seconds"] / seconds, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default="ml_100k,ml_1m,3000000,10000000")
    parser.add_argument("--model", default="centroid")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for data in options.sets.split(","):
            source = str(generated(folder, int(data))) if data.isdecimal() else data
            rows.append(row(source, options, folder))
            record.write("estimate", {"options": vars(options), "rows": rows})
            found = rows[-1]
            print(
                f"{found['set']}: memory {found['memory_mib'][0]} MiB estimated,"
                f" {found['memory_mib'][1]} taken; {found['seconds'][0]} s estimated,"
                f" {found['seconds'][1]} taken",
                flush=True,
            )
    within = all(
        abs(one["memory_ratio"] - 1) <= MEMORY and abs(one["seconds_ratio"] - 1) <= TIME
        for one in rows
    )
    print("within the goals" if within else "NOT within the goals (25 % memory, 40 % time)")


if __name__ == "__main__":
    main()
