"""How fast: training, hard negatives, time to a quality, evaluation, growth; beside peers.

Every comparison is side by side in one run, in turn, and prints ratios.

    python benchmarks/speed.py [--rounds 5] [--threads 2] [--only training,evaluation]

    training    triplets a second, d = 100, beside implicit's BPR (samples a second)
    negatives   what choosing among 50 or 100 candidates costs, beside one
    quality     seconds of training until validation NDCG@10 on ml_1m is 97 % of EASE's, beside CML
                with hard negatives in torch; needs .venv-peers (make .venv-peers/.ready)
    evaluation  full ranking of ml_1m and gowalla, beside implicit and NumPy
    growth      1M, 10M and 100M generated interactions: seconds and bytes an interaction
    roofline    what memory gives, beside what an epoch with one uniform negative moves
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import record
from record import on_threads
from train import DIM, LARGE, RULES, Ours, large, matrix, tiny
from train import compare as beside_bpr

HERE = Path(__file__).parent
PEERS = HERE.parent / ".venv-peers" / "bin" / "python"
UNIFORM = RULES["SML, uniform negatives"]
SHARE_OF_EASE = 0.97
TORCH_LIMIT = 120.0  # seconds of training after which a torch form is given up
GROWTH = (1_000_000, 10_000_000, 100_000_000)
GROWN = (100_000, 50_000)  # users and items of all three


def training(options):
    print("generated set, {:,} users x {:,} items x {:,} interactions".format(*LARGE))
    names = ["SML, uniform negatives", "CML, uniform negatives"]
    return beside_bpr(large(), options.threads, options.rounds, names)


def negatives(options):
    """Time an epoch with S candidates beside one with a single uniform negative."""
    data, figures = large(), {}
    runs = {1: Ours(data, options.threads, **UNIFORM)}
    for count in (10, 50, 100):
        rules = {"candidates": count, "temperature": 0.2, "lam": 0.2}
        runs[count] = Ours(data, options.threads, **rules)
    seconds = record.in_turn(runs, options.rounds)
    for count, values in seconds.items():
        cost = record.ratio(values, seconds[1])
        figures[f"S = {count}"] = {
            "seconds an epoch": round(statistics.median(values), 4),
            "cost beside S = 1": round(cost, 3),
        }
        print(f"  S = {count:<4} {statistics.median(values):7.3f} s an epoch  {cost:5.2f}x")
    return figures


def space_of(users, items):
    """Return points from elsewhere as a scorer."""
    from trimetric.engine.rows import padded_table
    from trimetric.space.metric import MetricSpace

    return MetricSpace(padded_table(np.concatenate([users, items])), len(users), users.shape[1])


def quality(options):
    """Train until NDCG@10 on the validation part reaches 97 % of EASE's; only training is timed."""
    import trimetric as tm
    from trimetric.evaluation import validator

    if "ml_1m" not in tm.datasets.available() or not PEERS.exists():
        print("  ml_1m or .venv-peers was not found; left out")
        return {}
    data = tm.datasets.load("ml_1m", min_rating=4)
    split = tm.split_random(data, test=0.1, valid=0.1, seed=0)
    validate = validator(split.valid, split.train, "ndcg@10")

    def measure(scorer):
        return on_threads(options.threads, lambda: validate(scorer))

    ease = measure(tm.create("ease").fit(split.train).scorer)
    target = SHARE_OF_EASE * ease
    print(f"  EASE {ease:.4f}; to reach: {target:.4f}")
    figures = {"ease": round(ease, 5), "target": round(target, 5), "ours": [], "torch": {}}
    for _ in range(options.rounds):
        figures["ours"].append(ours_until(target, split, measure, options.threads))
    best = statistics.median(row["seconds"] for row in figures["ours"])
    print(f"  trimetric SML: {best:.2f} s, {figures['ours'][0]['epochs']} epochs")
    for name, settings in TORCH.items():
        row = torch_until(target, split, measure, settings, options.threads)
        figures["torch"][name] = row
        reached = f"{row['seconds']:.1f} s" if row["reached"] else f"not in {row['seconds']:.0f} s"
        print(f"  torch CML, {name}: {reached}, {row['epochs']} epochs, NDCG@10 {row['ndcg@10']}")
    done = [row["seconds"] for row in figures["torch"].values() if row["reached"]]
    if done:
        figures["ratio to the fastest torch form"] = round(min(done) / best, 2)
        print(f"  {min(done) / best:.1f}x as fast as the fastest torch form")
    return figures


SCHEDULE = 7  # epochs over which our learning rate falls to zero: short, and enough
TORCH = {
    f"{optimizer}, lr {lr}, batch {batch}": {
        "dim": DIM,
        "margin": 0.8,
        "candidates": 10,
        "optimizer": optimizer,
        "lr": lr,
        "batch_size": batch,
        "sparse": sparse,
    }
    for optimizer, lr, batch, sparse in (
        ("adagrad", 0.2, 512, True),
        ("adagrad", 0.2, 4096, False),
        ("adam", 0.003, 4096, False),
    )
}


def ours_until(target, split, measure, threads):
    """Train SML, but for a short schedule and the usual temperature with its defaults."""
    import trimetric as tm
    from trimetric.engine.threads import ThreadTeam
    from trimetric.models.temperature import USUAL

    model = tm.SML(epochs=SCHEDULE, temperature=USUAL)
    learner = model.learner(split.train, None, {})
    scorer = model.scorer_of(learner)
    seconds, value = 0.0, 0.0
    with ThreadTeam(threads) as team:
        for epoch in range(SCHEDULE):
            began = time.perf_counter()
            learner.run(epoch, 0, team, lambda _: False)
            seconds += time.perf_counter() - began
            value = measure(scorer)
            if value >= target:
                break
    return {"seconds": round(seconds, 3), "epochs": epoch + 1, "ndcg@10": round(value, 5),
            "reached": value >= target}  # fmt: skip


def torch_until(target, split, measure, settings, threads):
    train = split.train
    with tempfile.TemporaryDirectory() as folder:
        pairs, out = f"{folder}/pairs.npz", f"{folder}/positions.npz"
        np.savez(
            pairs, users=train.users, items=train.items, n_users=train.n_users,
            n_items=train.n_items,
        )  # fmt: skip
        spec = {"data": pairs, "out": out, "threads": threads, "settings": settings}
        peer = record.Peer(str(PEERS), str(HERE / "torch_cml.py"), spec)
        seconds, epochs, value = 0.0, 0, 0.0
        while value < target and seconds < TORCH_LIMIT:
            seconds += peer.ask({"epochs": 1})["seconds"]
            epochs += 1
            with np.load(out) as tables:
                value = measure(space_of(tables["users"], tables["items"]))
        peer.close()
    return {"seconds": round(seconds, 2), "epochs": epochs, "ndcg@10": round(value, 5),
            "reached": value >= target}  # fmt: skip


def evaluation(options):
    """Rank all items for all users of the test part, and take NDCG@10, beside peers."""
    import trimetric as tm

    figures = {}
    for name, rules in (("ml_1m", {"min_rating": 4}), ("gowalla_lightgcn", {})):
        if name not in tm.datasets.available():
            print(f"  {name} was not found; left out")
            continue
        data = tm.datasets.load(name, **rules)
        split = tm.split_random(data, test=0.2, valid=0, seed=0)
        model = tm.SML(epochs=3, temperature=0.2).fit(split.train, threads=options.threads)
        runs = {
            "trimetric": lambda m=model, s=split: on_threads(
                options.threads, lambda: tm.evaluate(m, s)
            ),
            "implicit": implicits(model, split, options.threads),
            "NumPy": plain_numpy(model, split),
        }
        seconds = record.in_turn({n: record.timed(run) for n, run in runs.items()}, options.rounds)
        print(f"  {name}: {split.train.n_users:,} users, {split.train.n_items:,} items")
        figures[name] = {}
        for peer, values in seconds.items():
            speedup = record.ratio(values, seconds["trimetric"])
            figures[name][peer] = {
                "seconds": round(statistics.median(values), 4),
                "trimetric is faster by": round(speedup, 3),
            }
            print(f"    {peer:<10} {statistics.median(values):7.3f} s  {speedup:5.2f}x")
    return figures


def implicits(model, split, threads):
    """implicit's own evaluation of as many factors: NDCG, MAP and precision at 10, no more."""
    from implicit.cpu.bpr import BayesianPersonalizedRanking
    from implicit.evaluation import ranking_metrics_at_k

    other = BayesianPersonalizedRanking(factors=DIM, num_threads=threads)
    other.user_factors = np.ascontiguousarray(model.user_embeddings)
    other.item_factors = np.ascontiguousarray(model.item_embeddings)
    train, test = (
        matrix(part.users, part.items, part.n_users, part.n_items)
        for part in (split.train, split.test)
    )
    return lambda: ranking_metrics_at_k(
        other, train, test, K=10, show_progress=False, num_threads=threads
    )


def plain_numpy(model, split):
    """NDCG@10 by a matrix product a block of users, argpartition and a set of test pairs."""
    users, items = (
        np.ascontiguousarray(model.user_embeddings),
        np.ascontiguousarray(model.item_embeddings),
    )
    half = np.einsum("ij,ij->i", items, items) / 2
    train, test = (
        matrix(part.users, part.items, part.n_users, part.n_items)
        for part in (split.train, split.test)
    )
    discounts = 1 / np.log2(np.arange(2, 12))
    ideal = np.concatenate([[0], np.cumsum(discounts)])

    def run():
        total, count = 0.0, 0
        for low in range(0, len(users), 1024):
            high = min(low + 1024, len(users))
            scores = users[low:high] @ items.T
            scores -= half
            scores[train[low:high].nonzero()] = -np.inf
            top = np.argpartition(-scores, 10, axis=1)[:, :10]
            order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1)
            top = np.take_along_axis(top, order, axis=1)
            held = test[low:high]
            hits = np.asarray(held[np.arange(high - low)[:, None], top].todense())
            sizes = np.minimum(np.diff(held.indptr), 10)
            some = sizes > 0
            total += ((hits @ discounts)[some] / ideal[sizes[some]]).sum()
            count += some.sum()
        return total / count

    return run


def growth(options):
    """Train one epoch of sets that differ only in their interactions, each in its own process."""
    figures = {}
    for pairs in GROWTH:
        row = record.child(__file__, "--child", str(pairs), str(options.threads))
        figures[f"{pairs:,}"] = row
        print(
            f"  {pairs:>11,} interactions: {row['seconds']:7.2f} s an epoch,"
            f" {row['ns an interaction']:6.1f} ns and {row['bytes an interaction']:.2f} bytes each"
        )
    return figures


def grown(pairs, threads):
    """Print, as JSON, the time and the memory of an epoch; run in a fresh process."""
    n_users, n_items = GROWN
    Ours(tiny(), threads, **UNIFORM)()  # what importing and compiling take is not the data's
    users, items = alike(pairs)
    record.forget_peak()
    before = record.memory("VmRSS") - users.nbytes - items.nbytes
    ours = Ours((users, items, n_users, n_items), threads, **UNIFORM)
    seconds = ours()
    weights = sum(array.nbytes for array in ours.session.arrays.values())
    extra = record.memory("VmHWM") - before - weights
    figures = {
        "interactions": len(users),
        "seconds": round(seconds, 3),
        "ns an interaction": round(seconds / len(users) * 1e9, 2),
        "bytes an interaction": round(extra / len(users), 3),
        "weights and optimiser state, MiB": round(weights / 2**20, 1),
    }
    print(json.dumps(figures))


def alike(pairs):
    """Give every user about the same number of items, drawn by a skewed popularity, sorted."""
    n_users, n_items = GROWN
    each, users, items = pairs // n_users, [], []
    for first in range(0, n_users, 10_000):
        luck = np.random.default_rng(first).random((10_000, each))
        drawn = np.sort((n_items * luck**2).astype(np.int32), axis=1)
        fresh = np.ones(drawn.shape, dtype=bool)
        fresh[:, 1:] = drawn[:, 1:] != drawn[:, :-1]
        users.append(np.nonzero(fresh)[0].astype(np.int32) + np.int32(first))
        items.append(drawn[fresh])
    return np.concatenate(users), np.concatenate(items)


def roofline(options):
    """Copy a large array, read random rows, and train: bytes a second of each."""
    from concurrent.futures import ThreadPoolExecutor

    data = large()
    ours = Ours(data, options.threads, **UNIFORM)
    points, threads = ours.session.state.points, options.threads
    row, line = points.itemsize * points.shape[1], 64
    block = np.ones(100_000_000, dtype=np.float32)
    rows = np.random.default_rng(0).integers(0, len(points), (threads, 1_000_000))
    room = np.empty((threads, 1000, points.shape[1]), dtype=np.float32)

    def copy(me):
        part = slice(me * len(block) // threads, (me + 1) * len(block) // threads)
        np.copyto(target[part], block[part])

    def read(me):
        for first in range(0, rows.shape[1], 1000):
            np.take(points, rows[me, first : first + 1000], axis=0, out=room[me], mode="clip")

    target = np.zeros_like(block)
    with ThreadPoolExecutor(threads) as pool:
        runs = {
            "copy": record.timed(lambda: list(pool.map(copy, range(threads)))),
            "random rows": record.timed(lambda: list(pool.map(read, range(threads)))),
            "training": ours,
        }
        seconds = record.in_turn(runs, options.rounds)
    # Three rows and three margins with the optimiser's memory, each read and written once.
    moved = {
        "copy": 2 * block.nbytes,
        "random rows": rows.size * row,
        "training": len(data[0]) * 3 * 2 * (row + line),
    }
    figures = {
        name: round(moved[name] / statistics.median(values) / 1e9, 2)
        for name, values in seconds.items()
    }
    figures["training beside copy"] = round(figures["training"] / figures["copy"], 3)
    figures["bytes a triplet"] = 3 * 2 * (row + line)
    for name in runs:
        print(f"  {name:<12} {figures[name]:6.2f} GB/s")
    return figures


PARTS = {
    "training": training,
    "negatives": negatives,
    "quality": quality,
    "evaluation": evaluation,
    "growth": growth,
    "roofline": roofline,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--only", default="", help=f"of {', '.join(PARTS)}; the others stay as recorded"
    )
    parser.add_argument("--child", nargs=2, type=int, help="used by the benchmark itself")
    options = parser.parse_args()
    if options.child:
        return grown(*options.child)
    figures = {"threads": options.threads, "rounds": options.rounds, "dim": DIM}
    there = record.RESULTS / "speed.json"
    if options.only and there.exists():
        before = json.loads(there.read_text())
        figures |= {name: before[name] for name in PARTS if name in before}
    for name in options.only.split(",") if options.only else PARTS:
        print(f"{name}: {PARTS[name].__doc__ or 'triplets a second'}".splitlines()[0])
        figures[name] = PARTS[name](options)
    record.write("speed", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
