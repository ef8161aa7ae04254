"""What training in parts would move and take at a size that no machine here can hold.

    python benchmarks/scale_paper.py [--users 1e9] [--items 1e7] [--interactions 1e11] [--dim 32]
        [--machines 4,16,64] [--workers 16] [--threads 1] [--network 1.25e9] [--disk 1e9]

Bytes follow from the rows of `scale.triplets` and the order of `scale.buckets.places`; seconds from
the triplets/s of the largest size in benchmarks/results/scale_size.json, and for workers of more
than one thread from how much faster these were in benchmarks/results/threads.json. The workers of a
machine share its network and its disk. Nothing here is measured at this size.
"""

import argparse
import sys

import record


def table(options, sizes, threads):
    """Return triplets/s of a thread, and a row for each number of workers, from two records."""
    rows = sizes["rows"]
    largest = rows[max(rows, key=float)]
    per_thread = largest["train"]["m_per_second"] * 1e6 / 2
    faster = speed_up(options.threads, threads)
    users, items, pairs = options.users, options.items, options.interactions
    row = 4 * (options.dim + 1)
    found = []
    for machines in options.machines:
        workers = machines * options.workers
        parts = 4 * workers
        seconds = pairs / (per_thread * faster * workers)
        fill = parts**2 / (parts**2 + workers * (workers - 1))  # of W workers, at both ends
        moved = (2 * parts * items * row + 2 * users * row) / workers
        found.append(
            {
                "machines": machines,
                "workers": workers,
                "P": parts,
                "users in a part": users / parts,
                "interactions in a bucket": pairs / parts**2,
                "memory of a worker, GB": (3 * users / parts + 4 * items / parts) * row / 1e9,
                "rows moved by a worker, GB": moved / 1e9,
                "pairs read by a worker, GB": 8 * pairs / workers / 1e9,
                "network, s": moved * options.workers / options.network,
                "disk, s": 8 * pairs / machines / options.disk,
                "computing, s": seconds,
                "share of workers busy": fill,
                "an epoch, s": seconds / fill,
            }
        )
    return per_thread, found


def speed_up(threads, measured):
    """Return how many times as fast as one thread a fit of SML is on this many."""
    machines = measured["machines"].values()
    most = max(machines, key=lambda one: one["machine"]["cores"])["sml"]["faster"]
    if str(threads) not in most:
        sys.exit(f"--threads: measured are {', '.join(most)}")
    return most[str(threads)]


def options_of(arguments):
    """Return the options of a command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, usual in (("users", 1e9), ("items", 1e7), ("interactions", 1e11)):
        parser.add_argument(f"--{name}", type=float, default=usual)
    parser.add_argument("--dim", type=int, default=32)
    parser.add_argument("--machines", default="4,16,64")
    parser.add_argument("--workers", type=int, default=16, help="of a machine")
    parser.add_argument("--threads", type=int, default=1, help="of a worker")
    parser.add_argument("--network", type=float, default=1.25e9, help="bytes/s of a machine")
    parser.add_argument("--disk", type=float, default=1e9, help="bytes/s of a machine")
    options = parser.parse_args(arguments)
    options.machines = [int(number) for number in options.machines.split(",")]
    return options


def main():
    options = options_of(sys.argv[1:])
    per_thread, rows = table(options, record.read("scale_size"), record.read("threads"))
    print(f"{per_thread / 1e6:.2f} M triplets/s on a thread, measured at the largest size here")
    names = list(rows[0])
    print(f"| {' | '.join(names)} |")
    print("|" + "---|" * len(names))
    for found in rows:
        print(f"| {' | '.join(f'{found[name]:,.3g}' for name in names)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
