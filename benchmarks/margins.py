"""Where do adaptive margins help? One study over data sets, seeds and both trainers.

Trainers: "uniform", the paper's objective (one uniform negative, Adagrad, a constant rate); "soft",
SML with trimetric's defaults; "closed", CentroidML without its second objective. Forms of margins:

    fixed                 one m for all users, one n for all items
    learned per user      m_u, per item n_v, and both, as in equation (6): γ/512 is the share of
                          active hinges at which a margin rests (for n_v, of λ times it)
    the paper's γ         both learned, γ = 10
    by activity           m_u = m·(n_u/median)^a, n_v likewise: held, not learned

The settings of each form are chosen among the same number of trials by validation with seed 0,
those of the other forms around the m that fixed margins were best with, which favours them; the
test part is then evaluated once for each seed. Differences are paired over users, against "fixed"
of the same trainer, corrected by Holm's method over the forms of a data set and trainer.

A second part, "mechanism", trains SML as the paper prints it for a grid of γ and learning rates and
keeps where margins go: their means over epochs, the share below .1, and the share of active hinges.

    python benchmarks/margins.py [--sets ml_100k,...] [--trainers uniform,soft,closed] [--seeds 3]
        [--trials 6] [--threads 2] [--small] [--draw]

--small keeps to 3 trials, 2 seeds and 15 epochs and is recorded under another name; it takes some
minutes on ml_100k. --draw draws the figures of the record anew. Single fits are kept in
benchmarks/runs, so that an interrupted run goes on.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

import numpy as np

import record

RUNS = Path(__file__).parent / "runs"
SETS = (
    *("ml_100k", "ml_1m", "amazon_instant_video_5core", "citeulike_a", "yelp_core40"),
    *("imdb_tang2015_train_partial", "yelp2013_tang2015_train_partial"),
)
METRIC = "ndcg@10"
LEAST, MOST = 0.05, 2.0  # of margins that are functions of activity
STEP = 0.1  # of learned margins in the closed form
FIXED = "fixed"
FORMS = (
    *(FIXED, "learned per user", "learned per item", "both learned", "the paper's γ = 10"),
    *("users by activity", "items by activity"),
)
UNIFORM = {
    "negatives": "uniform", "optimizer": "adagrad", "lr": 0.1, "schedule": "constant",
    "margin": 1.0, "item_margin": 1.0,
}  # fmt: skip
RATES, GAMMAS = (0.1, 0.05, 0.01), (0.1, 10.0, 100.0, 256.0, 512.0)


def trials(trainer, form, lam, best=0.8):
    """The trials of a form, the likeliest first: settings, and what settings cannot say.

    `best` is the m that fixed margins were best with: the other forms start from there.
    """

    def way(times):
        return {"margin": round(best * times, 4), "item_margin": round(best * times, 4)}

    learned = {"learned per user": (True, False), "learned per item": (False, True)}
    if form == FIXED:
        found = [{"margin": m, "item_margin": m} for m in (0.8, 0.5, 1.0, 1.3, 0.3, 2.0)]
    elif form in ("learned per user", "learned per item", "both learned"):
        users, items = learned.get(form, (True, True))
        unit = lam if form == "learned per item" else 1.0
        shares = [(0.5, 1.5), (0.75, 1.0), (0.5, 1.0), (0.75, 1.5), (0.25, 1.5), (0.9, 2.0)]
        if form == "both learned":  # a γ above 512·λ holds all items at their limit
            shares = [(s if n % 2 else s * lam, times) for n, (s, times) in enumerate(shares)]
        found = [
            {
                **way(times),
                "gamma": 512 * unit * s,
                "adaptive_users": users,
                "adaptive_items": items,
            }
            for s, times in shares
        ]
    elif form == "the paper's γ = 10":
        both = {"gamma": 10.0, "adaptive_users": True, "adaptive_items": True}
        found = [{**way(times), **both} for times in (1.0, 2.0, 1.5, 3.0, 0.7, 5.0)]
    else:
        side = form.split("s ")[0]
        powers = (0.15, -0.15, 0.3, -0.3, 0.5, -0.5)
        found = [{**way(1.0), "activity": (side, a)} for a in powers]
    return closed_trials(form, found) if trainer == "closed" else found


def closed_trials(form, found):
    """What of the trials there is in the closed form: margins of users."""
    if form in ("learned per item", "both learned", "items by activity"):
        return []
    made = []
    for trial in found:
        one = {"margin": round(trial["margin"], 4)}
        if "activity" in trial:
            one["activity"] = trial["activity"]
        if "gamma" in trial:
            one["learn"] = trial["gamma"] / 512
        made.append(one)
    return made


def activity_margins(counts, margin, power):
    """m·(n/median)^a, within LEAST..MOST; those with nothing have m."""
    median = np.median(counts[counts > 0])
    scale = np.where(counts > 0, np.maximum(counts, 1) / median, 1.0) ** power
    return np.clip(margin * scale, LEAST, MOST).astype(np.float32)


def model_of(trainer, settings, tm):
    """Return an untrained model whose margins are as `settings` say, plain ones by a subclass."""
    from trimetric.engine.centroid_session import with_user_margins
    from trimetric.models.centroid import CentroidML

    settings = dict(settings)
    activity, learn = settings.pop("activity", None), settings.pop("learn", None)

    class HeldSML(tm.SML):
        def learner(self, data, pool, tuned):
            session = super().learner(data, pool, tuned)
            if activity is None:
                return session
            side, power = activity
            degrees = (
                np.bincount(data.users, minlength=data.n_users),
                np.bincount(data.items, minlength=data.n_items),
            )
            margins = [
                activity_margins(count, margin, power if name == side else 0.0)
                for name, count, margin in zip(
                    ("user", "item"), degrees,
                    (self.config.margin, self.config.item_margin), strict=True,
                )
            ]  # fmt: skip
            held = np.concatenate(margins)
            session.state = session.state._replace(
                margins=held, margin_moments=np.zeros((len(held), 2), dtype=np.float32)
            )
            return session

    class MarginedCentroid(CentroidML):
        def learner(self, data, pool, tuned):
            session = super().learner(data, pool, tuned)
            if activity is None and learn is None:
                return session
            counts = np.bincount(data.users, minlength=data.n_users)
            power = 0.0 if activity is None else activity[1]
            self.margins_now = activity_margins(counts, self.config.margin, power)
            session.params = with_user_margins(
                session.params, self.margins_now,
                share=learn or 0.0, step=STEP if learn is not None else 0.0,
            )  # fmt: skip
            return session

    return (MarginedCentroid if trainer == "closed" else HeldSML)(**settings)


def fitted(data, split, trainer, settings, part, tm):
    """Fit and evaluate, or read what an earlier run left: metrics, per user, margins, trace."""
    from trimetric.experiments import origin

    key = json.dumps(
        [tm.__version__, origin.code(), split.train.fingerprint, trainer, settings, part],
        sort_keys=True,
    )
    of = key.encode() + Path(__file__).read_bytes()
    path = RUNS / f"margins-{data}-{hashlib.sha256(of).hexdigest()[:20]}.json"
    if path.exists():
        return json.loads(path.read_text())
    from trimetric.errors import Interrupted, TrimetricError
    from trimetric.evaluation import validator
    from trimetric.experiments.margins import LOW, MarginTrace

    model, trace = model_of(trainer, settings, tm), MarginTrace()
    config = model.config
    learned = trainer != "closed" and (config.adaptive_users or config.adaptive_items)
    try:
        if learned:
            measure = validator(split.valid, split.train, METRIC)
            noted = trace.around(lambda m: measure(m.scorer))
            model.fit(split.train, split.valid, monitor=noted, progress=False)
        else:
            model.fit(split.train, split.valid, progress=False)
        result = tm.evaluate(model, split, part=part)
    except Interrupted:
        raise
    except TrimetricError as error:
        found = {"value": None, "error": str(error)}
    else:
        found = {"value": result[METRIC], "tuned": model.tuned, "epochs": len(model.history)}
        if part == "test":
            values = result.values(METRIC).tolist()
            found["per_user"] = [None if v != v else v for v in values]
        now = getattr(model, "margins_now", None)
        users = model.user_margins if learned else now
        items = model.item_margins if learned else None
        for side, margins in (("users", users), ("items", items)):
            if margins is not None:
                low, limit = float((margins < LOW).mean()), float(margins.max())
                found[side] = {
                    "mean": round(float(margins.mean()), 4),
                    "below .1": round(low, 4),
                    "at the limit": round(float((margins >= limit).mean()), 4),
                }
        found["trace"] = trace.columns(model.history, METRIC) if learned else None
    RUNS.mkdir(exist_ok=True)
    path.write_text(json.dumps(found))
    return found


def base_of(data, split, trainer, options, tm):
    """What all forms of a trainer share: the temperature, found once, and the effort."""
    effort = {"metric": METRIC, **({"epochs": options.epochs} if options.epochs else {})}
    if trainer == "uniform":
        return {**UNIFORM, **effort}
    if trainer == "soft":
        found = fitted(data, split, trainer, {**effort, "seed": 0}, "valid", tm)["tuned"]
        return {**effort, "temperature": found["temperature"]}
    effort["reconstruction"] = 0.0
    found = fitted(data, split, trainer, {**effort, "seed": 0}, "valid", tm)["tuned"]
    return {**effort, **{n: v for n, v in found.items() if n in ("temperature", "kappa")}}


def studied(data, split, trainer, options, tm):
    """All forms of a trainer on a data set: chosen settings, test values, significance."""
    from trimetric.evaluation.significance import compare

    base = base_of(data, split, trainer, options, tm)
    lam = 0.0 if trainer == "closed" else tm.SML(**base).config.lam
    forms, values, start = {}, {}, 0.8
    for form in FORMS:
        tried = trials(trainer, form, lam, start)[: options.trials]
        if not tried:
            continue
        logs = []
        for trial in tried:
            found = fitted(data, split, trainer, {**base, **trial, "seed": 0}, "valid", tm)
            logs.append((found["value"], trial))
            print(f"  {trainer}, {form}: {trial} {found['value']}", flush=True)
        done = [log for log in logs if log[0] is not None]
        if not done:
            forms[form] = {"trials": len(tried), "error": "every trial failed"}
            continue
        best, chosen = max(done, key=lambda log: log[0])
        start = chosen["margin"] if form == FIXED else start
        runs = [
            fitted(data, split, trainer, {**base, **chosen, "seed": seed}, "test", tm)
            for seed in range(options.seeds)
        ]
        users = [[np.nan if v is None else v for v in run["per_user"]] for run in runs]
        values[form] = np.mean(users, axis=0)
        forms[form] = {
            "trials": len(tried),
            "settings": chosen,
            "valid": round(best, 5),
            "test": record.mean_and_spread([run["value"] for run in runs], 5),
            **{side: runs[0][side] for side in ("users", "items") if side in runs[0]},
        }
        print(f"{data}, {trainer}, {form}: test {forms[form]['test']}", flush=True)
    for test in compare(values, reference=FIXED):
        forms[test.name] |= {
            "difference": round(test.difference, 5),
            "interval": [round(test.low, 5), round(test.high, 5)],
            "p": round(test.p_adjusted, 5),
            "significant": bool(test.significant),
        }
    return {"settings": base, "forms": forms}


def mechanism(data, split, options, tm):
    """The paper as printed, for a grid of γ and learning rates: where margins go."""
    rows = []
    gammas, rates = (GAMMAS[1::2], RATES[1:]) if options.small else (GAMMAS, RATES)
    for rate in rates:
        for gamma in gammas:
            settings = {
                "preset": "paper", "lr": rate, "gamma": gamma, "metric": METRIC, "seed": 0,
                "patience": 0, "epochs": options.epochs or 40,
            }  # fmt: skip
            settings["validate_every"] = 1 if settings["epochs"] < 20 else 2
            found = fitted(data, split, "uniform", settings, "valid", tm)
            kept = {name: found.get(name) for name in ("value", "error", "users", "items", "trace")}
            rows.append({"lr": rate, "gamma": gamma, **kept})
            print(f"{data}, as printed, lr {rate:g}, γ {gamma:g}: {found['value']}", flush=True)
    return rows


def drawn(data, figures):
    """Draw a record's margins and active hinges over epochs as printed, a panel a learning rate."""
    from trimetric.experiments import report

    rows, made = figures["mechanism"][data], dict(figures["origins"][data])
    panels = []
    for name, label in (("user", "mean m_u"), ("active", "share of active user hinges")):
        for rate in sorted({row["lr"] for row in rows}, reverse=True):
            series = [
                {
                    "name": f"γ = {row['gamma']:g}",
                    "x": row["trace"]["epoch"],
                    "y": row["trace"][name],
                    "source": "benchmarks/results/margins.json",
                }
                for row in rows
                if row["lr"] == rate and row["trace"]
            ]
            panels.append(
                {
                    "title": f"{label}, learning rate {rate:g}",
                    "plot": "lines",
                    "x": {"label": "epoch"},
                    "y": {"label": label},
                    "series": series,
                }
            )
    section = {
        "kind": "figure",
        "name": "margins-over-epochs",
        "title": f"SML as printed on {data}: margins and active hinges over epochs",
        "caption": "A margin rests where the share of its active hinges is γ/512.",
        "panels": panels,
    }
    document = {
        "title": f"Margins over epochs on {data}",
        "subtitle": "SML as the paper prints it",
        "sections": [section],
        "command": f"python benchmarks/margins.py --sets {data}",
        "date": made.pop("date"),
        "machine": figures["machine"],
        "origin": made,
        "seeds": [0],
    }
    folder = Path(__file__).parents[1] / "docs" / "results" / f"margins_{data}"
    report.write(document, folder)
    (folder / "report.html").unlink()  # 5 MB of plotly; the image and the tables stay


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default=",".join(SETS), help="names, separated by commas")
    parser.add_argument("--trainers", default="uniform,soft,closed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=0, help="0: those of each model")
    parser.add_argument("--draw", action="store_true", help="only the figures, from the record")
    parser.add_argument("--small", action="store_true", help="3 trials, 2 seeds, 15 epochs")
    options = parser.parse_args()
    if options.small:
        options.seeds, options.trials, options.epochs = 2, 3, 15

    import trimetric as tm
    from trimetric.experiments import origin

    names = options.sets.split(",")
    if options.draw:
        for name in names:
            drawn(name, record.read("margins"))
        return 0
    missing = [name for name in names if not tm.datasets.has(name)]
    if missing:
        print(f"{', '.join(missing)} not found: set TRIMETRIC_DATA to the folder that holds them")
        return 2
    kept = "margins_small" if options.small else "margins"
    parts = ("origins", "sets", "mechanism")
    figures = {key: v for key, v in record.read(kept).items() if key in parts}
    with tm.threads(options.threads):
        for name in names:
            split = tm.split_random(tm.datasets.load(name), test=0.1, valid=0.1, seed=0)
            found = {
                trainer: studied(name, split, trainer, options, tm)
                for trainer in options.trainers.split(",")
            }
            grid = mechanism(name, split, options, tm)
            figures.setdefault("origins", {})[name] = {"date": record.now(), **origin.origin()}
            figures.setdefault("sets", {}).setdefault(name, {}).update(found)
            figures.setdefault("mechanism", {})[name] = grid
            record.write(
                kept,
                {
                    "metric": METRIC,
                    "seeds": options.seeds,
                    "trials": options.trials,
                    "epochs": options.epochs or "those of each model",
                    **figures,
                },
            )
            if not options.small:
                drawn(name, record.read(kept))
    return 0


if __name__ == "__main__":
    sys.exit(main())
