"""`trimetric demo`: from data at hand to lists with titles and a page, in under three minutes."""

import importlib.util
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from trimetric.cli.options import Json
from trimetric.cli.output import emit, emit_json, note, replaces, rows_table, show
from trimetric.errors import OutputError
from trimetric.progress import heartbeat

if TYPE_CHECKING:
    import polars as pl

    from trimetric.data import Interactions, Split
    from trimetric.evaluation import Result
    from trimetric.models.recommender import Recommender

CHOICES = ("ml_1m", "ml_100k")
METRICS = ("ndcg@10", "recall@10", "precision@10", "hit_rate@10", "map", "mrr", "auc")
SHOWN = ("title", "genre", "genres", "author")  # columns of an items table
OWN, NEAR = 8, 5  # items of the user, and items like one of them, to show


def demo(
    out: Annotated[str, Option("--out", help="Folder to save the model to.")] = "demo-model",
    json: Json = False,
) -> None:
    """Train, evaluate and recommend in one go. The last line tells how to open the page.

    The data is MovieLens if it is on this machine, else a bookshop, which is generated.
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
    replaces(out, note, holding="model.json")
    with heartbeat("training", bar=True):
        model = tm.CentroidML(seed=0).fit(split.train, split.valid, progress=True)
    saved = _save(model, out)
    results = {
        "CentroidML": tm.evaluate(model, split),
        "popularity": tm.evaluate(tm.Popularity().fit(split.train), split),
    }
    user = _typical_user(split)
    items = tm.datasets.items(data.name)
    lists = _lists(model, split, user, items)
    seconds = round(time.monotonic() - began, 1)
    page = _page(out, None if items is None else data.name) if saved else None
    if json:
        document = {
            "data": {"name": data.name, "description": description, "split": split.how},
            "model": out if saved else None,
            "epochs": len(model.history),
            "metrics": {name: result.to_dict()["metrics"] for name, result in results.items()},
            "protocol": results["CentroidML"].protocol.describe(),
            "user": user,
            **{name: rows.to_dicts() for name, (_, rows) in lists.items()},
            "page": page,
            "seconds": seconds,
        }
        emit_json(document)
        return
    show(_comparison(results))
    for title, rows in lists.values():
        emit("")
        show(rows_table(rows, title=title))
    emit(f"\nDone in {seconds} s.")
    if page is not None:
        emit(_next_steps(data, out, user, lists["recommendations"][1]["item"][0], page))


def _data() -> tuple["Interactions", str]:
    from trimetric.data import datasets

    available = datasets.available()
    for name in CHOICES:
        if name in available:
            data = datasets.load(name, min_rating=4)
            description = f"data: {name}, ratings of 4 and 5, from {available[name]}"
            break
    else:
        data = datasets.load("bookshop")
        description = (
            "data: bookshop, made-up readers and books, generated here, since neither ml_1m nor"
            " ml_100k is on this machine (`trimetric data list` shows where they are looked for)"
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


def _lists(
    model: "Recommender", split: "Split", user: Any, items: "pl.DataFrame | None"
) -> "dict[str, tuple[str, pl.DataFrame]]":
    """Return tables to show by name, with their headings: a user's items, lists, similar items."""
    import numpy as np
    import polars as pl

    ids, train = split.train.item_ids, split.train
    row = int(train.user_ids.encode([user])[0])
    own = train.items[train.indptr[row] : train.indptr[row + 1]]
    scores = model.score([(user, item) for item in ids.decode(own)])
    history = pl.DataFrame({"item": ids.decode(own[np.argsort(-scores, kind="stable")][:OWN])})
    held = [part.items[part.users == row] for part in (split.valid, split.test) if part]
    liked = pl.concat([ids.decode(rows) for rows in held])
    answer = model.recommend([user], k=10).select("rank", "item", "score")
    hit = pl.when(pl.col("item").is_in(liked.implode())).then(pl.lit("yes")).otherwise(pl.lit(""))
    answer = answer.with_columns(hit.alias("held out, liked"))
    known = own[np.argmax(np.bincount(train.items, minlength=train.n_items)[own])]
    near = model.similar_items(ids.decode([known]), k=NEAR).select("rank", "similar", "score")
    of = _described(pl.DataFrame({"item": ids.decode([known])}), items)
    name = of["title"][0] if "title" in of.columns else of["item"][0]
    return {
        "history": (f"User {user} has {len(own):,} items; among them", _described(history, items)),
        "recommendations": (f"Recommended to user {user}", _described(answer, items)),
        "similar": (f"Like {name}", _described(near.rename({"similar": "item"}), items)),
    }


def _described(rows: "pl.DataFrame", items: "pl.DataFrame | None") -> "pl.DataFrame":
    """Return rows with the titles, genres and authors of their items, where they are known."""
    if items is None:
        return rows
    columns = ["item", *(name for name in SHOWN if name in items.columns)]
    table = items.select(columns).unique("item")
    joined = rows.join(table, on="item", how="left", maintain_order="left")
    place = rows.get_column_index("item") + 1
    return joined.select(*rows.columns[:place], *columns[1:], *rows.columns[place:])


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


def _command() -> str:
    """Return how this command was started, so that the next can be."""
    if shutil.which("trimetric"):
        return "trimetric"
    if Path(sys.argv[0]).name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m trimetric"
    return shlex.quote(sys.argv[0])


def _page(out: str, items: str | None) -> str:
    """Return the command that serves the page of a model."""
    table = "" if items is None else f" --items {items}"
    return f"{_command()} serve {shlex.quote(out)}{table}"


def _next_steps(data: "Interactions", out: str, user: Any, item: Any, page: str) -> str:
    command, folder = _command(), shlex.quote(out)
    user, item = shlex.quote(str(user)), shlex.quote(str(item))
    least = " --min-rating 4" if data.ratings is not None else ""
    steps = [
        f"{command} recommend {folder} --user {user} -k 5",
        f"{command} similar-items {folder} --item {item}",
        f"{command} explain {folder} --user {user}",
        f"{command} fit {data.name}{least} --model cml --out my-model",
    ]
    if importlib.util.find_spec("litestar") is None:
        steps.append("pip install 'trimetric[serve]'  # which the page needs")
    return "\n".join(
        [
            "Next:",
            *(f"  {step}" for step in steps),
            "The page, with histories, reasons and a map, opens at http://127.0.0.1:8000 after:",
            f"  {page}",
        ]
    )
