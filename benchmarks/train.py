"""Training speed: triplets a second of the trainer beside samples a second of implicit's BPR.

Both take d = 100, the same interactions and the same threads, and run one epoch in turn. One
triplet and one BPR sample are the same unit: a positive pair with a negative item. Also: the same
epochs of ml_1m with the hardest of 10 negatives, peak memory, and the first call's compile time.

    python benchmarks/train.py [--rounds 5] [--threads 2]
"""

import argparse
import json
import statistics
import sys
import tempfile
import time

import numpy as np

import record

DIM = 100
LARGE = (138_000, 27_000, 4_000_000)
RULES = {
    "SML, uniform negatives": {"negatives": "uniform", "gamma": 10.0, "lam": 0.01},
    "SML, hardest of 10": {"temperature": 0.0, "candidates": 10},
    "CML, uniform negatives": {
        "negatives": "uniform",
        "lam": 0.0,
        "adaptive_users": False,
        "adaptive_items": False,
    },
}


def session(data, **rules):
    """Return a trainer of `data` = (users, items, n_users, n_items), with d = 100 unless given."""
    from trimetric.engine.negatives import positives
    from trimetric.engine.triplets import triplet_session
    from trimetric.models.triplet import TripletConfig, engine_settings

    users, items, n_users, n_items = data
    config = TripletConfig(**{"dim": DIM, **rules})
    settings = engine_settings(config, n_items, config.temperature or 0.0)
    indptr = np.searchsorted(users, np.arange(n_users + 1, dtype=users.dtype)).astype(np.int64)
    return triplet_session(settings, positives(users, items, indptr), n_items)


class Ours:
    """Seconds of one epoch after another."""

    def __init__(self, data, threads, **rules):
        from trimetric.engine.threads import ThreadTeam

        self.session, self.team, self.done = session(data, **rules), ThreadTeam(threads), 0
        self.session.run(0, self.session.n_batches - 1, self.team, lambda _: False)  # compiles

    def __call__(self):
        began = time.perf_counter()
        self.session.run(self.done, 0, self.team, lambda _: False)
        self.done += 1
        return time.perf_counter() - began


def matrix(users, items, n_users, n_items):
    """Return pairs as the sparse matrix that implicit takes."""
    from scipy.sparse import csr_matrix

    ones = np.ones(len(users), dtype=np.float32)
    return csr_matrix((ones, (users, items)), shape=(n_users, n_items))


class Bpr:
    """Seconds of one iteration of implicit's BPR after another."""

    def __init__(self, data, threads):
        from implicit.cpu.bpr import BayesianPersonalizedRanking

        self.matrix = matrix(*data)
        # It goes on from its factors at each fit; the set-up of a fit is not counted.
        self.model = BayesianPersonalizedRanking(factors=DIM, iterations=1, num_threads=threads)

    def __call__(self):
        seconds = []
        self.model.fit(
            self.matrix,
            show_progress=False,
            callback=lambda _, elapsed, *rest: seconds.append(elapsed),
        )
        return seconds[-1]


def compare(data, threads, rounds, names):
    """Print and return the speeds of the named rules beside BPR's."""
    pairs = len(data[0])
    runs = {name: Ours(data, threads, **RULES[name]) for name in names}
    runs["implicit BPR"] = Bpr(data, threads)
    seconds = record.in_turn(runs, rounds)
    figures = {}
    for name, values in seconds.items():
        speeds = sorted(pairs / value / 1e6 for value in values)
        versus = record.ratio(seconds["implicit BPR"], values)
        figures[name] = {
            "M triplets/s": round(statistics.median(speeds), 3),
            "min": round(speeds[0], 3),
            "max": round(speeds[-1], 3),
            "seconds an epoch": round(statistics.median(values), 4),
            "ratio to implicit BPR": round(versus, 3),
        }
        print(
            f"  {name:<26} {statistics.median(speeds):6.2f} M/s"
            f"  ({speeds[0]:.2f}-{speeds[-1]:.2f})"
            f"  {statistics.median(values):7.3f} s an epoch  {versus:5.2f}x"
        )
    return figures


def large():
    """Generate the large set."""
    from trimetric.data import synthetic

    n_users, n_items, n_pairs = LARGE
    return (*synthetic.scale(n_users, n_items, n_pairs), n_users, n_items)


def tiny():
    """Return a set that trains in no time."""
    users = np.repeat(np.arange(50, dtype=np.int32), 5)
    items = np.tile(np.arange(5, dtype=np.int32), 50)
    return users, items, 50, 40


def memory(file):
    """Print, as JSON, the peak memory of training on the large set; run in a fresh process."""
    rules = RULES["SML, uniform negatives"]
    pairs = np.load(file)
    data = (pairs[0], pairs[1], *LARGE[:2])
    Ours(tiny(), 2, **rules)()  # what importing and compiling take is not the data's
    record.forget_peak()
    before = record.memory("VmRSS") - data[0].nbytes - data[1].nbytes
    ours = Ours(data, 2, **rules)
    ours()
    arrays = sum(array.nbytes for array in ours.session.arrays.values())
    needed = arrays + data[0].nbytes + data[1].nbytes + 8 * (LARGE[0] + 1)
    print(json.dumps({"peak": record.memory("VmHWM") - before, "needed": needed}))


def first_call():
    """Print, as JSON, the seconds of the first epoch of a tiny set; run in a fresh process."""
    began = time.perf_counter()
    Ours(tiny(), 2, **RULES["SML, hardest of 10"])
    print(json.dumps({"seconds": time.perf_counter() - began}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--child", nargs="+", help="used by the benchmark itself")
    options = parser.parse_args()
    if options.child:
        return {"memory": memory, "first_call": first_call}[options.child[0]](*options.child[1:])

    from trimetric.data import datasets

    figures = {"threads": options.threads, "rounds": options.rounds, "dim": DIM}
    print("generated set, {:,} users x {:,} items x {:,} interactions".format(*LARGE))
    figures["large"] = compare(large(), options.threads, options.rounds, list(RULES))
    if "ml_1m" in datasets.available():
        data = datasets.load("ml_1m", min_rating=4).k_core(users=5)
        from trimetric.data import split_per_user

        train = split_per_user(data).train
        print(f"ml_1m, ratings of 4 or more, training part: {len(train):,} interactions")
        arrays = (train.users, train.items, train.n_users, train.n_items)
        figures["ml_1m"] = compare(arrays, options.threads, options.rounds, list(RULES))
    else:
        print("ml_1m was not found (set TRIMETRIC_DATA); left out")

    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file.name, large()[:2])
        used = record.child(__file__, "--child", "memory", file.name)
    figures["memory"] = {**used, "ratio": round(used["peak"] / used["needed"], 3)}
    print(
        f"memory, large set: {used['peak'] / 2**20:.0f} MiB for {used['needed'] / 2**20:.0f} MiB of"
        f" weights, optimiser state and interactions: {figures['memory']['ratio']:.2f}x"
    )
    with tempfile.TemporaryDirectory() as cache:
        cold, warm = (
            record.child(__file__, "--child", "first_call", env={"NUMBA_CACHE_DIR": cache})
            for _ in range(2)
        )
    figures["first call"] = {"compiling": cold["seconds"], "from the cache": warm["seconds"]}
    print(f"first call: {cold['seconds']:.1f} s compiling, {warm['seconds']:.1f} s from the cache")
    record.write("train", figures)
    return None


if __name__ == "__main__":
    sys.exit(main())
