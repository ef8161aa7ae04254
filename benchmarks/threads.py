"""What more threads bring, and that they change no bit: SML and CentroidML on 1, 2, 4, ... threads.

The same fit for each number of threads, in turn, and a digest of its embeddings. What the record
holds of other machines is kept, so that digests of several machines stand side by side.

    python benchmarks/threads.py [--data ml_1m] [--epochs 5] [--rounds 3] [--most 16]
"""

import argparse
import os
import statistics

import record
from record import digest, in_turn, liked, timed

SETTINGS = {
    "sml": {"temperature": 0.2},
    "centroid": {"temperature": 0.3, "kappa": 1.0, "reconstruction": 0.0},
}
"""Settings that would be chosen by trials, so that each fit is its epochs alone."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="ml_1m")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--most", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()

    import trimetric as tm

    data = liked(options.data)
    counts = [2**power for power in range(options.most.bit_length())]
    found = {}
    for name, settings in SETTINGS.items():
        digests = set()

        def fit(threads, name=name, settings=settings, digests=digests):
            model = tm.create(name, epochs=options.epochs, seed=0, **settings)
            model.fit(data, threads=threads)
            digests.add(digest((model.user_embeddings, model.item_embeddings)))

        tm.create(name, epochs=1, **settings).fit(data, threads=2)  # compiles
        seconds = in_turn({n: timed(lambda n=n: fit(n)) for n in counts}, options.rounds)
        median = {n: round(statistics.median(times), 3) for n, times in seconds.items()}
        found[name] = {
            "seconds": median,
            "faster": {n: round(median[1] / took, 2) for n, took in median.items()},
            "digests": sorted(digests),
        }
        print(name, found[name])
    kept = record.read("threads")
    same = [kept.get(what) == getattr(options, what) for what in ("data", "epochs")]
    machines = kept.get("machines", {}) if all(same) else {}
    here = record.machine()
    machines[f"{here['processor']}, {here['cores']} cores"] = {"machine": here, **found}
    record.write(
        "threads",
        {
            "data": options.data,
            "epochs": options.epochs,
            "rounds": options.rounds,
            "machines": machines,
        },
    )
    for name in SETTINGS:
        digests = {d for one in machines.values() for d in one[name]["digests"]}
        told = "the same bits everywhere" if len(digests) == 1 else f"{len(digests)} results"
        print(f"{name}: {told}, {len(machines)} machines")


if __name__ == "__main__":
    main()
