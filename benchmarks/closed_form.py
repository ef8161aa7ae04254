"""How fast CentroidML trains: beside SML, NumPy with BLAS, torch and implicit, and the machine.

Every comparison is side by side in one run, in turn, and prints ratios. Qualities are NDCG@10 on
the validation part; only training is timed, with the making of the final points.

    python benchmarks/closed_form.py [--rounds 5] [--threads 2] [--parts recipe,threads]

    recipe      processor seconds to the quality that SML's recipe reaches, both given τ
    numpy       seconds an epoch beside the same objective in NumPy, BLAS and Numba (κ = 0)
    torch       seconds to 97 % of EASE's quality on ml_1m, beside the same objective in torch and
                CML with hard negatives in torch; needs .venv-peers (make .venv-peers/.ready)
    implicit    seconds to the best quality of implicit's ALS and BPR on gowalla
    arithmetic  shares of the processor's most float32 multiply-adds
    threads     seconds an epoch on one thread and on more
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import record
from record import on_threads
from speed import HERE, PEERS, SHARE_OF_EASE, TORCH_LIMIT
from speed import TORCH as HARD_CML
from speed import torch_until as hard_cml_until
from train import DIM, matrix, tiny

METRIC = "ndcg@10"
SCHEDULES = (1, 2, 3, 5, 8, 12, 20)  # epochs over which the learning rate falls to zero
TAU = {"ml_1m": 0.3, "gowalla_lightgcn": 0.2}
FOUND = {"ml_1m": {"kappa": 0.0, "reconstruction": 0.25}}
"""What the trials find beside τ where it is not the usual κ = 1 and w = 0."""
SML_TAU = 0.2
QUICK = False  # a small set stands in for every other, and little is done


# --- what the parts share -------------------------------------------------------------------------


def load(name):
    """Return train and valid of a set, and its quality as a function of a scorer; or None."""
    import trimetric as tm
    from trimetric.evaluation import validator

    there = "ml_100k" if QUICK else name
    if there not in tm.datasets.available():
        print(f"  {name} was not found (set TRIMETRIC_DATA); left out")
        return None
    if there == "gowalla_lightgcn":
        split = tm.split_column(tm.datasets.load(there))
        train, valid = split.train, split.valid
        if valid is None:  # the split ships none
            inner = tm.split_random(train, test=0.1, seed=0)
            train, valid = inner.train, inner.test
    else:
        split = tm.split_random(tm.datasets.load(there, min_rating=4), test=0.1, valid=0.1, seed=0)
        train, valid = split.train, split.valid
    return train, valid, validator(valid, train, METRIC)


def sets():
    """Yield the sets that are there: name, τ and what `load` returns."""
    for name, tau in TAU.items():
        found = load(name)
        if found is not None:
            yield name, tau, found


def centroid(epochs, **settings):
    """Return CentroidML with given κ and w, so that nothing but the epochs is to be found."""
    import trimetric as tm

    return tm.CentroidML(epochs=epochs, **{"kappa": 1.0, "reconstruction": 0.0, **settings})


def nowhere(_):
    return False


def compiled(model, train, threads):
    """Compile what trains a model on data of this kind: the last mini-batch of an epoch."""
    from trimetric.engine.threads import ThreadTeam

    learner = model.learner(train, None, {})
    with ThreadTeam(threads) as team:
        learner.run(0, learner.n_batches - 1, team, nowhere)
    on_threads(threads, lambda: model.scorer_of(learner))


def clocks():
    return np.array([time.perf_counter(), time.process_time()])


def trained(model, train, threads, epochs, look=None, every=1):
    """Train from scratch; return [seconds, processor seconds, quality or None] after each epoch.

    The making of the final points, of which a look is given the scorer, counts once.
    """
    from trimetric.engine.threads import ThreadTeam

    learner, rows, spent = model.learner(train, None, {}), [], np.zeros(2)
    with ThreadTeam(threads) as team:
        for epoch in range(epochs):
            began = clocks()
            learner.run(epoch, 0, team, nowhere)
            spent += clocks() - began
            last, asked = epoch + 1 == epochs, look and (epoch + 1) % every == 0
            extra, value = np.zeros(2), None
            if last or asked:
                began = clocks()
                scorer = on_threads(threads, lambda: model.scorer_of(learner))
                extra = clocks() - began
                value = on_threads(threads, lambda s=scorer: look(s)) if look else None
            rows.append([*(spent + extra), value])
    return rows


def shortest(target, train, measure, threads, schedules, tau, **settings):
    """Return the fewest epochs whose end reaches a quality, with what each schedule ended at."""
    compiled(centroid(1, temperature=tau, **settings), train, threads)
    tried = {}
    for epochs in schedules:
        model = centroid(epochs, temperature=tau, **settings)
        rows = trained(model, train, threads, epochs, measure, epochs)
        tried[epochs] = round(rows[-1][2], 5)
        if rows[-1][2] >= target:
            break
    else:
        print(f"  {target:.4f} was not reached: {tried}")
    return epochs, tried


def scorer_of_products(users, items, bias=0.0):
    """Return a scorer by users·items + bias: as distances, by a column that takes off norms."""
    from trimetric.engine.rows import padded_table
    from trimetric.space.metric import MetricSpace

    # −‖x − y‖² − c² is 2·x·y − ‖y‖² − c² and a number of the user: ‖y‖² + c² is to be −2·bias
    level = 2 * np.asarray(bias) + np.einsum("ij,ij->i", items, items, dtype=np.float64)
    more = np.sqrt(level.max() - level).astype(np.float32)
    points = np.zeros((len(users) + len(items), users.shape[1] + 1), dtype=np.float32)
    points[: len(users), :-1], points[len(users) :, :-1] = users, items
    points[len(users) :, -1] = more
    return MetricSpace(padded_table(points), len(users), points.shape[1])


def _recorded(part):
    return record.read("closed_form").get(part, {}).get("figures", {})


def median(values):
    return round(float(statistics.median(values)), 4)


def spread(values):
    return {"median": median(values), "min": round(min(values), 4), "max": round(max(values), 4)}


# --- recipe ---------------------------------------------------------------------------------------


def recipe(options):
    """Processor seconds to the quality that SML's recipe reaches."""
    import trimetric as tm

    figures = {}
    for name, tau, found in sets():
        train, _, measure = found
        sml = tm.SML(temperature=SML_TAU, **({"epochs": 5} if QUICK else {}))
        compiled(sml, train, options.threads)
        whole = trained(sml, train, options.threads, sml.config.epochs, measure, 5)
        looks = [(row[2], epoch + 1) for epoch, row in enumerate(whole) if row[2] is not None]
        target, best = max(looks, key=lambda look: look[0])
        given = FOUND.get(name, {})
        epochs, tried = shortest(target, train, measure, options.threads, schedules(), tau, **given)
        ours = centroid(epochs, temperature=tau, **given)

        def ending(model, epochs, train=train):
            return lambda: trained(model, train, options.threads, epochs)[-1][:2]

        runs = {"ours": ending(ours, epochs), "sml": ending(sml, best)}
        if best < sml.config.epochs:  # its rate falls over all epochs, of which only some are run
            print(f"  the best of {name} is epoch {best} of {sml.config.epochs}")
        spent = record.in_turn(runs, options.rounds)
        processor = {who: [float(row[1]) for row in rows] for who, rows in spent.items()}
        seconds = {who: [float(row[0]) for row in rows] for who, rows in spent.items()}
        figures[name] = {
            "target": round(target, 5),
            "sml": {
                "epochs": best,
                "processor seconds": spread(processor["sml"]),
                "seconds": spread(seconds["sml"]),
                "processor seconds of all epochs": round(float(whole[-1][1]), 3),
            },
            "ours": {
                "epochs": epochs,
                "reached": tried[epochs] >= round(target, 5),
                "by schedule": tried,
                "processor seconds": spread(processor["ours"]),
                "seconds": spread(seconds["ours"]),
            },
            "ratio": round(record.ratio(processor["sml"], processor["ours"]), 2),
        }
        print(f"  {name}: {figures[name]}")
    return figures


def recipe_rows(figures):
    for name, row in figures.items():
        yield (
            f"{name}: processor seconds to NDCG@10 {row['target']:.4f} (validation), the best of"
            f" SML's recipe; epochs {row['ours']['epochs']} and {row['sml']['epochs']}{where(row)}",
            f"{row['ours']['processor seconds']['median']:.2f}",
            f"SML, {row['sml']['processor seconds']['median']:.2f}",
            f"{row['ratio']:.1f}x" if row["ours"]["reached"] else "not reached",
        )


def schedules():
    return SCHEDULES[:2] if QUICK else SCHEDULES


# --- numpy ----------------------------------------------------------------------------------------


class NumpyEpochs:
    """Seconds of one epoch after another of the form in NumPy."""

    def __init__(self, train, settings, threads):
        from numpy_softmax import Softmax

        self.model, self.done, self.threads = Softmax(train, settings), 0, threads

    def __call__(self):
        from numpy_softmax import on_threads as limited

        with limited(self.threads):
            began = time.perf_counter()
            self.model.epoch(self.done)
            self.done += 1
            return time.perf_counter() - began


class OurEpochs:
    """Seconds of one epoch after another of a model, without its first steps."""

    def __init__(self, model, train, threads):
        self.model, self.learner, self.threads = model, model.learner(train, None, {}), threads
        self.done = 0

    def __call__(self):
        from trimetric.engine.threads import ThreadTeam

        with ThreadTeam(self.threads) as team:
            began = time.perf_counter()
            self.learner.run(self.done, 0, team, nowhere)
            self.done += 1
            return time.perf_counter() - began


def beside_numpy(options):
    """Seconds an epoch beside NumPy, BLAS and Numba."""
    figures = {}
    for name, tau, found in sets():
        train, _, measure = found
        rules = {"temperature": tau, "kappa": 0.0, "candidates": 2048, "batch_size": 64}
        epochs = max(options.rounds, 2)
        model = centroid(epochs, dim=DIM, **rules)
        settings = vars(model.config)
        figures[name] = {"epochs of the schedule": epochs}
        for threads in sorted({1, options.threads}):
            compiled(model, train, threads)
            NumpyEpochs(tiny_set(), settings, threads)()
            runs = {
                "ours": OurEpochs(model, train, threads),
                "numpy": NumpyEpochs(train, settings, threads),
            }
            seconds = record.in_turn(runs, epochs)
            figures[name][f"{threads} threads"] = {
                **{who: spread(values) for who, values in seconds.items()},
                "ratio": round(record.ratio(seconds["numpy"], seconds["ours"]), 2),
            }
        least, most = least_of_numpy(figures[name]), figures[name][label_of_most(figures[name])]
        figures[name]["ratio to its fastest"] = round(least / most["ours"]["median"], 2)
        scorers = {
            "ours": on_threads(threads, lambda r=runs, m=model: m.scorer_of(r["ours"].learner)),
            "numpy": scorer_of_products(*runs["numpy"].model.tables()[:2],
                                        runs["numpy"].model.bias / 2),
        }  # fmt: skip
        figures[name]["quality"] = {
            who: round(on_threads(options.threads, lambda s=scorer, m=measure: m(s)), 5)
            for who, scorer in scorers.items()
        }
        print(f"  {name}: {figures[name]}")
    return figures


def tiny_set():
    import trimetric as tm

    users, items = tiny()[:2]
    return tm.Interactions.from_arrays(users, (items * 7 + users) % 40)


def label_of_most(row):
    return [label for label in row if label.endswith("threads")][-1]


def least_of_numpy(row):
    return min(
        found["numpy"]["median"] for label, found in row.items() if label.endswith("threads")
    )


def numpy_rows(figures):
    for name, row in figures.items():
        for label, found in row.items():
            if label.endswith("threads"):
                quality = row["quality"]
                yield (
                    f"{name}: seconds an epoch on {label}, κ = 0, blocks of 64 users and 2048"
                    f" items, d = {DIM}; NDCG@10 after {row['epochs of the schedule']} epochs"
                    f" {quality['ours']:.4f} and {quality['numpy']:.4f}",
                    f"{found['ours']['median']:.3f}",
                    f"NumPy, BLAS and Numba, {found['numpy']['median']:.3f}",
                    f"{found['ratio']:.2f}x",
                )
        yield (
            f"{name}: the same, ours on all threads, the peer on as many as suit it",
            f"{row[label_of_most(row)]['ours']['median']:.3f}",
            f"NumPy, BLAS and Numba, {least_of_numpy(row):.3f}",
            f"{row['ratio to its fastest']:.2f}x",
        )


# --- torch ----------------------------------------------------------------------------------------

FEW = (2, 3, 5, 8)  # epochs tried for a quality that is soon reached
TORCH = {
    f"{optimizer}, lr {lr}, blocks of {batch}, " + (f"{epochs} epochs" if epochs else "constant"): {
        "dim": DIM,
        "optimizer": optimizer,
        "lr": lr,
        "batch_size": batch,
        "epochs": epochs,
    }
    for optimizer, rates in (("adagrad", (0.1, 0.3)), ("adam", (0.01, 0.03)))
    for lr in rates
    for batch in (128, 512)
    for epochs in (None, 4, 8)  # over which the rate falls to zero
}
TORCH_RULES = {"own": 0.4, "margin": 1.0}


def torch(options):
    """Seconds of training until validation NDCG@10 on ml_1m is 97 % of EASE's."""
    import trimetric as tm

    found = load("ml_1m") if PEERS.exists() else print("  .venv-peers was not found; left out")
    if found is None:
        return {}
    train, valid, look = found

    def measure(scorer):
        return on_threads(options.threads, lambda: look(scorer))

    split, tau = _Split(train, valid), TAU["ml_1m"]
    ease = measure(tm.create("ease").fit(train).scorer)
    target = SHARE_OF_EASE * ease
    print(f"  EASE {ease:.4f}; to reach: {target:.4f}")
    epochs, tried = shortest(target, train, look, options.threads, FEW, tau)
    found = fewest_with_trials(target, train, valid, look, options.threads)
    with tempfile.TemporaryDirectory() as folder:
        peer = TorchSoftmax(folder, train, tau, options.threads)
        forms = {name: peer.until(target, measure, rules) for name, rules in torch_forms().items()}
        rules = {name: torch_forms()[name] for name in forms}
        soon = fastest(forms)
        if soon and options.threads > 1:
            alone = f"{soon}, one thread"
            rules[alone] = {**rules[soon], "threads": 1}
            forms[alone] = peer.until(target, measure, rules[alone])
        print_forms("softmax", forms)
        hard = {} if QUICK else {
            name: hard_cml_until(target, split, measure, rules, options.threads)
            for name, rules in HARD_CML.items()
        }  # fmt: skip
        print_forms("CML", hard)
        runs = {
            "ours": lambda: trained(
                centroid(epochs, temperature=tau, **FOUND["ml_1m"]), train, options.threads, epochs
            )[-1][0],
            "ours, with trials": lambda: with_trials(found, train, valid, options.threads)[1],
        }
        best = fastest(forms)
        if best:
            runs["softmax"] = lambda: peer.until(target, measure, rules[best])["seconds"]
        again = fastest(hard)
        if again:
            runs["CML"] = lambda: hard_cml_until(
                target, split, measure, HARD_CML[again], options.threads
            )["seconds"]
        seconds = record.in_turn(runs, options.rounds)
        peer.close()
    figures = {
        "ease": round(ease, 5),
        "target": round(target, 5),
        "epochs": epochs,
        "by schedule": tried,
        "epochs, with trials": found,
        "fastest": {"softmax": best, "CML": again},
        "seconds": {who: spread([float(v) for v in values]) for who, values in seconds.items()},
        "ratio": {
            f"{other} / {who}": round(record.ratio(seconds[other], seconds[who]), 2)
            for who in ("ours", "ours, with trials")
            for other in ("softmax", "CML")
            if other in seconds
        },
        "softmax": forms,
        "CML": hard,
    }
    print(f"  {figures['seconds']}, {figures['ratio']}")
    return figures


class _Split:
    """What `speed.torch_until` looks at."""

    def __init__(self, train, valid):
        self.train, self.valid = train, valid


def torch_forms():
    return dict(list(TORCH.items())[:2]) if QUICK else TORCH


class TorchSoftmax:
    """The objective in torch, in a process of its own."""

    def __init__(self, folder, train, tau, threads):
        self.out, pairs = f"{folder}/positions.npz", f"{folder}/pairs.npz"
        np.savez(
            pairs, users=train.users, items=train.items, n_users=train.n_users,
            n_items=train.n_items,
        )  # fmt: skip
        self.rules = {**TORCH_RULES, "temperature": tau, "threads": threads}
        first = {**next(iter(TORCH.values())), **self.rules}
        spec = {"data": pairs, "out": self.out, "settings": first}
        self.peer = record.Peer(str(PEERS), str(HERE / "torch_softmax.py"), spec)

    def until(self, target, measure, rules):
        """Train one form until it reaches a quality, or its schedule or our patience ends."""
        self.peer.ask({"settings": {**self.rules, **rules}})
        seconds, epochs, value = 0.0, 0, 0.0
        limit = (10.0 if QUICK else TORCH_LIMIT / 2), rules["epochs"] or 60
        while value < target and seconds < limit[0] and epochs < limit[1]:
            seconds += self.peer.ask({"epochs": 1})["seconds"]
            epochs += 1
            with np.load(self.out) as tables:
                bias = tables["bias"] / 2
                value = measure(scorer_of_products(tables["users"], tables["items"], bias))
        return {"seconds": round(seconds, 3), "epochs": epochs, "ndcg@10": round(value, 5),
                "reached": value >= target}  # fmt: skip

    def close(self):
        self.peer.close()


def fastest(forms):
    done = {name: row["seconds"] for name, row in forms.items() if row["reached"]}
    return min(done, key=done.get) if done else None


def print_forms(kind, forms):
    for name, row in forms.items():
        state = "" if row["reached"] else ", not reached"
        print(f"  torch {kind}, {name}: {row['seconds']:.2f} s, {row['epochs']} epochs{state}")


def with_trials(epochs, train, valid, threads):
    """Train with everything left open that is by default; return the model and the seconds."""
    import trimetric as tm

    model = tm.CentroidML(epochs=epochs, reconstruction_epochs=min(8, epochs))
    began = time.perf_counter()
    tuned = on_threads(threads, lambda: model.find_settings(train, valid, True, False))
    found = time.perf_counter() - began
    learner, seconds = model.learner(train, None, tuned), time.perf_counter()
    from trimetric.engine.threads import ThreadTeam

    with ThreadTeam(threads) as team:
        for epoch in range(epochs):
            learner.run(epoch, 0, team, nowhere)
    scorer = on_threads(threads, lambda: model.scorer_of(learner))
    return scorer, time.perf_counter() - seconds + found


def fewest_with_trials(target, train, valid, look, threads):
    for epochs in FEW:
        scorer, _ = with_trials(epochs, train, valid, threads)  # also compiles
        value = on_threads(threads, lambda s=scorer: look(s))
        print(f"  with trials, {epochs} epochs: {value:.4f}")
        if value >= target:
            break
    return epochs


def torch_rows(figures):
    if not figures:
        return
    seconds = figures["seconds"]
    goal = f"ml_1m: seconds to NDCG@10 {figures['target']:.4f} (validation; 97 % of EASE's)"
    for who, label in (("ours", "settings given"), ("ours, with trials", "with the trials")):
        for other, called in (("softmax", "the same objective"), ("CML", "CML, hard negatives")):
            best = figures["fastest"][other]
            yield (
                f"{goal}, {label}",
                f"{seconds[who]['median']:.2f}",
                f"torch, {called}: {best}, {seconds[other]['median']:.1f}" if best
                else f"torch, {called}: not reached",
                f"{figures['ratio'][f'{other} / {who}']:.1f}x" if best else "",
            )  # fmt: skip


# --- implicit -------------------------------------------------------------------------------------

# What implicit may be set to: the best on the validation part is taken, and trials are recorded, so
# that they are not made again (`--choose` makes them anew).
CHOICES = {
    "ALS": [{"regularization": r, "alpha": a} for a in (1.0, 10.0, 40.0) for r in (0.01, 0.1, 1.0)],
    "BPR": [{"learning_rate": lr, "regularization": r} for lr in (0.02, 0.05, 0.1)
            for r in (0.003, 0.01, 0.03)],
}  # fmt: skip
LOOKS = {"ALS": (1, 20), "BPR": (10, 150)}  # iterations between two looks, and at most
TRIAL_STEP = 2  # a trial looks only every so many of these looks
PATIENCE = 4  # looks without a new best


class Implicit:
    """One of implicit's models, and the seconds of its iterations so far."""

    def __init__(self, kind, train, threads, rules):
        from implicit.cpu.als import AlternatingLeastSquares
        from implicit.cpu.bpr import BayesianPersonalizedRanking

        make = {"ALS": AlternatingLeastSquares, "BPR": BayesianPersonalizedRanking}[kind]
        settings = {"factors": DIM, "num_threads": threads, **rules}
        self.model = make(random_state=np.random.default_rng(0), **settings)
        self.matrix = matrix(train.users, train.items, train.n_users, train.n_items)

    def iterate(self, count):
        """Go on for some iterations; the set-up of a call is not counted."""
        from threadpoolctl import threadpool_limits

        seconds = []
        self.model.iterations = count
        with threadpool_limits(1, "blas"):  # as implicit asks for
            self.model.fit(
                self.matrix,
                show_progress=False,
                callback=lambda _, taken, *rest: seconds.append(taken),
            )
        return sum(seconds)

    def scorer(self):
        users, items = self.model.user_factors, self.model.item_factors
        return scorer_of_products(np.asarray(users), np.asarray(items))


def best_of(kind, train, measure, threads, rules, step=1):
    """Iterate while the quality grows; return [seconds, iterations, quality] at its best."""
    every, most = LOOKS[kind]
    every *= step
    run, seconds, done, best, misses = Implicit(kind, train, threads, rules), 0.0, 0, None, 0
    while done < (2 * every if QUICK else most) and misses < PATIENCE:
        seconds += run.iterate(every)
        done += every
        value = on_threads(threads, lambda: measure(run.scorer()))
        misses += 1
        if best is None or value > best[2]:
            best, misses = [seconds, done, value], 0
    return best


def implicit(options):
    """Seconds to the best quality of implicit's ALS and BPR on gowalla."""
    found = load("gowalla_lightgcn")
    if found is None:
        return {}
    train, _, measure = found
    threads, tau, trials = options.threads, TAU["gowalla_lightgcn"], chosen(train, measure, options)
    figures = {}
    for kind, tried_settings in trials.items():
        rules = max(tried_settings, key=lambda row: row["ndcg@10"])["settings"]
        _, iterations, target = best_of(kind, train, measure, threads, rules)
        epochs, tried = shortest(target, train, measure, threads, schedules(), tau)

        def ours(epochs=epochs):
            return trained(centroid(epochs, temperature=tau), train, threads, epochs)[-1][0]

        def theirs(kind=kind, rules=rules, iterations=iterations):
            return Implicit(kind, train, threads, rules).iterate(iterations)

        seconds = record.in_turn({"ours": ours, "implicit": theirs}, options.rounds)
        figures[kind] = {
            "settings": {**rules, "factors": DIM},
            "target": round(target, 5),
            "iterations": iterations,
            "epochs": epochs,
            "reached": tried[epochs] >= round(target, 5),
            "by schedule": tried,
            "ours": spread([float(value) for value in seconds["ours"]]),
            "implicit": spread(seconds["implicit"]),
            "ratio": round(record.ratio(seconds["implicit"], seconds["ours"]), 2),
        }
        print(f"  {kind}: {figures[kind]}")
    return {"kinds": figures, "trials": trials}


def chosen(train, measure, options):
    """Return the trials of implicit's settings: recorded ones, or new ones."""
    part = {} if QUICK or options.choose else _recorded("implicit")
    if "trials" in part:
        return part["trials"]
    found = {}
    for kind, choices in CHOICES.items():
        found[kind] = []
        for rules in choices[:1] if QUICK else choices:
            best = best_of(kind, train, measure, options.threads, rules, TRIAL_STEP)
            row = {"settings": rules, "ndcg@10": round(best[2], 5), "iterations": best[1]}
            found[kind].append(row)
            print(f"  {kind}: {row}", flush=True)
    return found


def implicit_rows(figures):
    for kind, row in figures.get("kinds", {}).items():
        yield (
            f"gowalla_lightgcn: seconds to NDCG@10 {row['target']:.4f} (validation), the best of"
            f" implicit's {kind}; {row['epochs']} epochs and {row['iterations']} iterations",
            f"{row['ours']['median']:.2f}",
            f"implicit {kind}, {row['implicit']['median']:.2f}",
            f"{row['ratio']:.1f}x" if row["reached"] else "not reached",
        )


# --- arithmetic -----------------------------------------------------------------------------------


def arithmetic(options):
    """Shares of the most float32 multiply-adds that the processor does in registers."""
    from threadpoolctl import threadpool_limits

    from multiply_adds import peak, products

    found = load("gowalla_lightgcn")
    if found is None:
        return {}
    rows, size, times = 128, 4096, 2 if QUICK else 100
    model = centroid(3, temperature=0.2, candidates=size, batch_size=rows, dim=DIM)
    session = model.learner(found[0], None, {})
    size = int(session.params.candidates)
    runs = products(session.state, session.settings, session.params, rows, size)
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(s, dtype=np.float32) for s in ((rows, DIM), (DIM, size)))
    room = np.empty((rows, size), dtype=np.float32)

    def blas(times):
        with threadpool_limits(1, "blas"):
            for _ in range(times):
                np.matmul(a, b, out=room)

    runs["NumPy's product"] = blas
    for run in runs.values():
        run(1)  # compiles
    timed = {name: record.timed(lambda r=run: r(times)) for name, run in runs.items()}
    timed["peak"] = lambda: 1 / peak(0.05 if QUICK else 0.3)
    seconds, useful = record.in_turn(timed, options.rounds), rows * size * DIM * times
    most = 1 / statistics.median(seconds.pop("peak"))
    figures = {"GFLOP/s of a thread at most": round(2 * most / 1e9, 1), "products": {}}
    for name, values in seconds.items():
        rate = useful / statistics.median(values)
        figures["products"][name] = {
            "GFLOP/s": round(2 * rate / 1e9, 1),
            "share": round(rate / most, 3),
        }
    figures["shape"] = {"users": rows, "candidates": size, "dim": DIM}
    with ThreadPoolExecutor(options.threads) as pool:
        together = sum(pool.map(lambda _: peak(0.05 if QUICK else 0.3), range(options.threads)))
    figures[f"GFLOP/s of {options.threads} threads at most"] = round(2 * together / 1e9, 1)
    figures["epochs"] = {}
    for name, tau, found in sets():
        for kappa in (0.0, 1.0):
            for threads in sorted({1, options.threads}):
                row = share_of_epoch(found[0], tau, kappa, threads, options.rounds, most)
                figures["epochs"][f"{name}, κ = {kappa:g}, threads = {threads}"] = row
    print(f"  {figures}")
    return figures


def share_of_epoch(train, tau, kappa, threads, rounds, most):
    """Return the multiply-adds of the three products of an epoch, over its time and the most."""
    model = centroid(rounds + 1, temperature=tau, kappa=kappa, dim=DIM)
    run = OurEpochs(model, train, threads)
    run()  # compiles, and κ begins with the second
    seconds = statistics.median(run() for _ in range(rounds))
    useful = 3 * run.learner.samples * int(run.learner.params.candidates) * DIM
    rate = useful / seconds
    return {
        "seconds": round(seconds, 4),
        "GFLOP/s": round(2 * rate / 1e9, 1),
        "share": round(rate / (threads * most), 3),
    }


def arithmetic_rows(figures):
    if not figures:
        return
    most, shape = figures["GFLOP/s of a thread at most"], figures["shape"]
    for name, row in figures["products"].items():
        yield (
            f"{name}, one thread, {shape['users']} users, {shape['candidates']} candidates,"
            f" d = {shape['dim']}: GFLOP/s",
            f"{row['GFLOP/s']:.0f}",
            f"multiply-adds in registers, {most:.0f}",
            f"{row['share']:.0%}",
        )
    for name, row in figures["epochs"].items():
        threads = int(name.rsplit(" ", 1)[1])
        yield (
            f"useful GFLOP/s of the products in a whole epoch, {name}",
            f"{row['GFLOP/s']:.0f}",
            f"multiply-adds in registers, {threads * most:.0f}",
            f"{row['share']:.0%}",
        )


# --- threads --------------------------------------------------------------------------------------


def threads(options):
    """Seconds an epoch on one thread and on more."""
    figures = {}
    for name, tau, found in sets():
        rounds, counts = options.rounds, sorted({1, options.threads})
        model = centroid(rounds + 1, temperature=tau)
        runs = {str(count): OurEpochs(model, found[0], count) for count in counts}
        for run in runs.values():
            run()  # compiles, and κ begins with the second
        seconds = record.in_turn(runs, rounds)
        figures[name] = {
            "seconds": {count: spread(values) for count, values in seconds.items()},
            "ratio": round(record.ratio(seconds["1"], seconds[str(counts[-1])]), 2),
        }
        print(f"  {name}: {figures[name]}")
    return figures


def threads_rows(figures):
    for name, row in figures.items():
        counts = list(row["seconds"])
        yield (
            f"{name}: seconds an epoch on {counts[-1]} threads",
            f"{row['seconds'][counts[-1]]['median']:.3f}",
            f"one thread, {row['seconds']['1']['median']:.3f}",
            f"{row['ratio']:.2f}x",
        )


# --------------------------------------------------------------------------------------------------

PARTS = {
    "recipe": (recipe, recipe_rows),
    "numpy": (beside_numpy, numpy_rows),
    "torch": (torch, torch_rows),
    "implicit": (implicit, implicit_rows),
    "arithmetic": (arithmetic, arithmetic_rows),
    "threads": (threads, threads_rows),
}


def about(options):
    return (
        "CentroidML with κ = 1 and without its second objective, unless told otherwise; each row"
        f" side by side in one run, {options.threads} threads, d = {DIM}, medians over"
        f" {options.rounds} rounds in turn. Parts can be measured again by themselves; the last run"
        " was"
    )


def where(part):
    """Say where a part or a row was measured, if on another machine than the record's."""
    return f" ({part['machine']})" if "machine" in part else ""


def main():
    global QUICK
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--parts", default="", help=f"of {', '.join(PARTS)}; the others stay as recorded"
    )
    parser.add_argument("--quick", action="store_true", help="see whether it runs; not recorded")
    parser.add_argument("--choose", action="store_true", help="try implicit's settings anew")
    options = parser.parse_args()
    QUICK = options.quick
    figures = {} if QUICK else {k: v for k, v in record.read("closed_form").items() if k in PARTS}
    for name in options.parts.split(",") if options.parts else PARTS:
        measure, _ = PARTS[name]
        load_before = round(os.getloadavg()[0], 2)
        print(f"{name}: {measure.__doc__.splitlines()[0]} Load {load_before}.", flush=True)
        figures[name] = {"load": load_before, "figures": measure(options)}
    rows = [
        dict(
            zip(("what", "ours", "peer", "ratio"), (what + where(figures[name]), *row), strict=True)
        )
        for name, (_, tell) in PARTS.items()
        if name in figures
        for what, *row in tell(figures[name]["figures"])
    ]
    for row in rows:
        print(f"{row['what']}: {row['ours']}; {row['peer']}: {row['ratio']}")
    if not QUICK:
        head = {
            "about": about(options),
            "threads of a run": options.threads,
            "rounds": options.rounds,
        }
        record.write("closed_form", {**head, **figures, "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
