"""`trimetric demo`: train, evaluate and recommend on data at hand, in under three minutes."""

import shutil
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from trimetric.cli.options import Json
from trimetric.cli.output import emit, emit_json, note, rows_table, show
from trimetric.errors import OutputError

if TYPE_CHECKING:
    import polars as pl

    from trimetric.data import Interactions, Split
    from trimetric.evaluation import Result
    from trimetric.models.recommender import Recommender

CHOICES = ("ml_1m", "ml_100k")
METRICS = ("ndcg@10", "recall@10", "precision@10", "hit_rate@10", "map", "mrr", "auc")


def demo(
    out: Annotated[str, Option("--out", help="Folder to save the model to.")] = "demo-model",
    json: Json = False,
) -> None:
    """Train, evaluate and recommend in one go.

    The data is MovieLens if it is on this machine, else generated.
    """
    import trimetric as tm

    began = time.monotonic()
    data, description = _data()
    note(description)
    split = tm.split_per_user(data, test=0.2, valid=0.2, seed=0)
    sizes = split.how["pairs"]
    note(
        f"split per user: {sizes['train']:,} for training, {sizes['valid']:,} for early stopping,"
        f" {sizes['test']:,} for testing"
    )
    model = tm.CentroidML(seed=0).fit(split.train, split.valid, progress=True)
    saved = _save(model, out)
    results = {
        "CentroidML": tm.evaluate(model, split),
        "popularity": tm.evaluate(tm.Popularity().fit(split.train), split),
    }
    user = _typical_user(split)
    answer = _recommend(model, split, user, data.name)
    seconds = round(time.monotonic() - began, 1)
    if json:
        document = {
            "data": {"name": data.name, "description": description, "split": split.how},
            "model": out if saved else None,
            "epochs": len(model.history),
            "metrics": {name: result.to_dict()["metrics"] for name, result in results.items()},
            "protocol": results["CentroidML"].protocol.describe(),
            "user": user,
            "recommendations": answer.to_dicts(),
            "seconds": seconds,
        }
        emit_json(document)
        return
    show(_comparison(results))
    emit("")
    show(
        rows_table(
            answer, title=f"For user {user}, who has {_n_items(split, user):,} items in train"
        )
    )
    emit(f"\nDone in {seconds} s.")
    if saved:
        emit(_next_steps(data, out, user, answer["item"][0]))


def _data() -> tuple["Interactions", str]:
    from trimetric.data import datasets, synthetic

    available = datasets.available()
    for name in CHOICES:
        if name in available:
            data = datasets.load(name, min_rating=4)
            description = f"data: {name}, ratings of 4 and 5, from {available[name]}"
            break
    else:
        data = synthetic.planted().interactions
        description = (
            "data: planted, generated here, since neither ml_1m nor ml_100k is on this machine"
            " (`trimetric data list` shows where they are looked for)"
        )
    sizes = f"{data.n_users:,} users, {data.n_items:,} items, {len(data):,} interactions"
    return data, f"{description}\n      {sizes}"


def _save(model: "Recommender", out: str) -> bool:
    try:
        model.save(out)
    except OutputError as error:
        note(f"not saved: {error}")
        return False
    return True


def _typical_user(split: "Split") -> Any:
    """Return a user with a median number of training items and some in the test part."""
    import numpy as np

    counts = np.diff(split.train.indptr)
    tested = np.unique(split.test.users)
    nearest = np.abs(counts[tested] - np.median(counts[tested])).argmin()
    return split.train.user_ids.decode([tested[nearest]])[0]


def _n_items(split: "Split", user: Any) -> int:
    row = int(split.train.user_ids.encode([user])[0])
    return int(split.train.indptr[row + 1] - split.train.indptr[row])


def _recommend(model: "Recommender", split: "Split", user: Any, name: str) -> "pl.DataFrame":
    """Return ten recommendations with titles, and whether each is a held-out item."""
    import polars as pl

    from trimetric.data import datasets

    row = split.train.user_ids.encode([user])[0]
    held = [part.items[part.users == row] for part in (split.valid, split.test) if part]
    liked = pl.concat([split.train.item_ids.decode(rows) for rows in held])
    answer = model.recommend([user], k=10).select("rank", "item", "score")
    titles = datasets.titles(name)
    if titles is not None:
        answer = answer.join(titles.unique("item"), on="item", how="left", maintain_order="left")
    hit = pl.when(pl.col("item").is_in(liked.implode())).then(pl.lit("yes")).otherwise(pl.lit(""))
    return answer.with_columns(hit.alias("held out, liked"))


def _comparison(results: dict[str, "Result"]) -> Any:
    from rich.table import Table

    first = next(iter(results.values()))
    caption = [first.protocol.describe(), *first.counts.lines()]
    table = Table(
        title="On the test part", title_justify="left", caption="\n".join(caption),
        caption_justify="left",
    )  # fmt: skip
    table.add_column("metric")
    for name in results:
        table.add_column(name, justify="right")
    for metric in METRICS:
        table.add_row(metric, *(f"{result[metric]:.4f}" for result in results.values()))
    return table


def _next_steps(data: "Interactions", out: str, user: Any, item: Any) -> str:
    command = "trimetric" if shutil.which("trimetric") else sys.argv[0]
    least = " --min-rating 4" if data.ratings is not None else ""
    steps = [
        f"{command} recommend {out} --user {user} -k 5 --json",
        f"{command} similar-items {out} --item {item}",
        f"{command} data inspect {data.name}",
        f"{command} fit {data.name}{least} --model cml --out my-model",
    ]
    return "\n".join(["Next:", *(f"  {step}" for step in steps)])
