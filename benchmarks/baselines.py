"""Seconds an epoch of each model of ours beside the peer that a person would use.

RecBole's NeuMF and BPR, trained by RecBole's own trainer, and the metric models as one would write
them in torch (torch_forms.py). Both sides get the same pairs, dimensions, mini-batches, negatives
a pair, family of optimiser and threads. A peer runs in a process of its own, under the Python that
tools/peers makes; of its ways to train (on 1 thread or more; fused optimiser, sparse gradients) the
fastest in a short trial is measured, and the fastest with torch's defaults. Epochs are trained in
turn, without the first of each; an epoch is one pass over the pairs, negatives drawn anew.

    python benchmarks/baselines.py [--rounds 5] [--threads 2] [--data ml_100k] [--only sml cml]
"""

import argparse
import math
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import record

HERE = Path(__file__).parent
PEERS = HERE.parent / ".venv-peers" / "bin" / "python"
SHAPES = {"ml_100k": (942, 1_447, 55_375), "ml_1m": (6_038, 3_533, 575_281)}
LEAST = 0.5  # seconds of ours that a round takes at least
BUSY = 0.7  # processes running before the benchmark, on average over a minute
COMMON = {"dim": 100, "schedule": "constant", "patience": 0}


@dataclass(frozen=True)
class Match:
    """A model of ours and its peer.

    Parameters
    ----------
    name : str
        As registered.
    settings : dict
        Ours; what is not named is our default.
    script, form : str
        The peer's script, and its name there.
    differs : str
        How the two differ in what they compute.
    adapt : callable
        Makes the peer's settings of all of ours.
    """

    name: str
    settings: dict[str, Any]
    script: str
    form: str
    differs: str
    adapt: Callable[[dict], dict] = dict


RELEASED = {"optimizer": "adagrad", "lr": 0.05, "negatives": "uniform", "rank_weight": False}
ADAM = {"optimizer": "adam", "lr": 0.001}


def recbole(params: dict[str, Any]) -> dict[str, Any]:
    """Return RecBole's words for what all its models share."""
    return {
        "train_batch_size": params["batch_size"],
        "learner": params["optimizer"],
        "learning_rate": params["lr"],
    }


def recbole_bpr(params: dict[str, Any]) -> dict[str, Any]:
    return recbole(params) | {"embedding_size": params["dim"]}


def recbole_neumf(params: dict[str, Any]) -> dict[str, Any]:
    """Return RecBole's words for the settings of NCF, or of MLP: NeuMF without its GMF part."""
    return recbole(params) | {
        "train_neg_sample_args": {"distribution": "uniform", "sample_num": params["negatives"]},
        "mlp_embedding_size": params["dim"],
        "mlp_hidden_size": [params["dim"] >> k for k in range(params["depth"])],
        "mf_embedding_size": params.get("factors", 1),
        "mf_train": "factors" in params,
        "dropout_prob": 0.0,
    }


def torch_form(name: str, differs: str = "", **settings: Any) -> Match:
    about = "the torch form does not add up the loss or look for NaN" + differs
    return Match(name, COMMON | settings, "torch_forms.py", name, about)


def of_recbole(name: str, form: str, adapt: Callable, differs: str, **settings: Any) -> Match:
    about = f"RecBole: Adam over all rows; ours: over touched rows{differs}"
    return Match(name, COMMON | ADAM | settings, "recbole_child.py", form, about, adapt)


L2 = "; ours adds an L2 term for each triplet's rows"
TOWER = {"dim": 32, "depth": 3, "negatives": 4, "reg": 0.0, "batch_size": 256}
ROWS = "; mini-batches are of 255 samples in RecBole, which keeps a pair and its negatives together"
CLIP = "; it clips the norm of all gradients together, ours that of each row"
MATCHES = {
    "cml": torch_form("cml", **RELEASED, batch_size=256, margin=1.0),
    "sml": torch_form(
        "sml", **RELEASED, batch_size=256, margin=1.0, item_margin=1.0, lam=0.01, gamma=10.0
    ),
    "transcf": torch_form("transcf", optimizer="adagrad", lr=0.1),
    "lrml": torch_form("lrml", CLIP, optimizer="adagrad", lr=0.1, slots=20),
    "fml": torch_form("fml", cells="sampled", optimizer="adagrad", lr=0.1),
    "bpr": of_recbole("bpr", "BPR", recbole_bpr, L2, batch_size=512),
    "bpr, RecBole's batch size": of_recbole("bpr", "BPR", recbole_bpr, L2, batch_size=2048),
    "mlp": of_recbole("mlp", "NeuMF", recbole_neumf, ROWS, **TOWER),
    "ncf": of_recbole("ncf", "NeuMF", recbole_neumf, ROWS, **TOWER, factors=8),
}


class Ours:
    """Mean seconds of an epoch of a fit, the first left out."""

    def __init__(self, match: Match, train: Any, threads: int) -> None:
        self.match, self.train, self.threads = match, train, threads
        self.epochs = 4
        self.epochs = 1 + min(max(3, math.ceil(LEAST / self())), 100)

    def __call__(self) -> float:
        import trimetric as tm

        model = tm.create(self.match.name, **self.match.settings, epochs=self.epochs)
        model.fit(self.train, threads=self.threads, progress=False)
        return statistics.mean(row["seconds"] for row in model.history[1:])


def load(name: str) -> Any:
    """Return a data set's pairs, ratings of 4 or more, or generated ones of the same size."""
    import trimetric as tm

    if name in tm.datasets.available():
        return tm.datasets.load(name, min_rating=4)
    print(f"{name} was not found (set TRIMETRIC_DATA); a generated set stands in")
    pairs = tm.synthetic.scale(*SHAPES[name])
    return tm.Interactions.from_arrays(*pairs).changed(name=f"generated, for {name}")


def summary(values: list[float], digits: int = 4) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
    }


def shown(values: list[float], digits: int) -> str:
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def chosen(trial: dict[str, float]) -> list[str]:
    """Return the fastest of the ways with a library's defaults, and of all ways."""
    kind = next(iter(trial)).split(", ")[0]
    ordered = sorted(trial, key=lambda way: trial[way])
    usual = next(way for way in ordered if way.startswith(kind))
    return list(dict.fromkeys([usual, ordered[0]]))


def compare(match: Match, train: Any, file: str, options: argparse.Namespace) -> dict:
    """Print and return the seconds of ours and of the peer's ways, and their ratios."""
    import trimetric as tm

    params = tm.create(match.name, **match.settings).get_params()
    spec = {
        "form": match.form,
        "data": file,
        "settings": match.adapt(params),
        "threads": options.threads,
    }
    peer = record.Peer(str(options.peers), str(HERE / match.script), spec)
    ways = chosen(peer.about["trial"])
    runs = {"ours": Ours(match, train, options.threads)}
    runs |= {way: partial(peer.seconds, way) for way in ways}
    for way in ways:
        peer.seconds(way)  # the warm-up epoch
    seconds = record.in_turn(runs, options.rounds)
    peer.close()
    figures = {"settings": params, "differs": match.differs, "peer": peer.about}
    figures["seconds"] = {name: summary(values) for name, values in seconds.items()}
    figures["ratio"] = {}
    print(f"    trimetric{'':<28} {shown(seconds['ours'], 4)} s an epoch")
    for way in ways:
        ratios = [b / a for a, b in zip(seconds["ours"], seconds[way], strict=True)]
        figures["ratio"][way] = summary(ratios, 2)
        print(f"    {way:<37} {shown(seconds[way], 4)} s an epoch, {shown(ratios, 1)}x ours")
    print(f"    {match.differs}")
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", nargs="+", choices=SHAPES, help="default: all, recorded")
    parser.add_argument("--only", nargs="+", choices=MATCHES, help="default: all, recorded")
    parser.add_argument("--peers", type=Path, default=PEERS, help="the Python of the peers")
    options = parser.parse_args()

    from trimetric.models import REGISTRY

    if not options.peers.exists():
        print(f"{options.peers} does not exist: run tools/peers first")
        return 2
    busy = os.getloadavg()[0]
    if busy > BUSY:
        print(f"other work runs here (load {busy:.1f}): torch on several threads suffers most")
    figures: dict[str, Any] = {"threads": options.threads, "rounds": options.rounds, "load": busy}
    for name in options.data or SHAPES:
        train = load(name)
        size = {"users": train.n_users, "items": train.n_items, "pairs": len(train)}
        figures[name] = {"data": train.name, "size": size}
        print(f"{name}: " + ", ".join(f"{n:,} {kind}" for kind, n in size.items()))
        with tempfile.TemporaryDirectory() as folder:
            file = str(Path(folder) / "pairs.npz")
            np.savez(
                file,
                users=train.users,
                items=train.items,
                n_users=train.n_users,
                n_items=train.n_items,
            )
            for label in options.only or MATCHES:
                match = MATCHES[label]
                if match.name not in REGISTRY:
                    print(f"  {label}: not registered, left out")
                    continue
                settings = ", ".join(f"{k}={v}" for k, v in match.settings.items())
                print(f"  {label} beside {match.form} of {match.script} ({settings})")
                figures[name][label] = compare(match, train, file, options)
    if not (options.data or options.only):
        record.write("baselines", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
