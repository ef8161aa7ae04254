"""What a model's first fit on a machine takes beside later ones: its kernels compile, once.

Each fit is a process of its own, on one thread; the first finds no compiled kernels, those of later
rounds find what the first left. Seconds are those of the processor in `fit`.

    python benchmarks/first_fit.py [--models centroid,sml] [--rounds 3]
"""

import argparse
import json
import statistics
import tempfile
import time

import record

MODELS = ("centroid", "sml", "cml", "bpr", "ncf", "lrml", "transcf", "fml")


def fit(name: str) -> None:
    """Train one epoch on the generated log, and print how long it took."""
    import trimetric as tm

    split = tm.split_per_user(tm.synthetic.bookshop().interactions, test=0.2, valid=0.2, seed=0)
    model = tm.create(name, epochs=1, seed=0)
    began = time.process_time()
    model.fit(split, threads=1)
    print(json.dumps(time.process_time() - began))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fit", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fit:
        fit(options.fit)
        return

    def seconds(name: str, kernels: str) -> float:
        return record.child(__file__, "--fit", name, env={"NUMBA_CACHE_DIR": kernels})

    found = {}
    for name in options.models.split(","):
        first, later = [], []
        for _ in range(options.rounds):
            with tempfile.TemporaryDirectory() as kernels:
                first.append(seconds(name, kernels))
                later.append(seconds(name, kernels))
        found[name] = {
            "first": round(statistics.median(first), 2),
            "later": round(statistics.median(later), 2),
        }
        print(name, found[name])
    record.write("first_fit", {"rounds": options.rounds, "models": found}, models=found)


if __name__ == "__main__":
    main()
