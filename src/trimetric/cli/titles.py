"""Titles beside the items of lists."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from trimetric.cli.options import IdColumn
from trimetric.cli.output import note

if TYPE_CHECKING:
    import polars as pl

    from trimetric.models.recommender import Recommender

SHARED = 3  # titles that two users have in common, to show


@dataclass(frozen=True)
class Titles:
    """Where the titles of items are."""

    items: Annotated[
        str | None,
        Option(
            "--items",
            help="Table of items with a column title, or a data set that has titles, such as"
            " bookshop; by default those of the data set that the model was trained on; none shows"
            " no titles.",
        ),
    ] = None
    id_column: IdColumn = None

    def of(
        self, model: "Recommender", log: Callable[[str], None] = note, own: bool = True
    ) -> dict[Any, str]:
        """Return the titles of a model's items by id; empty where there are none.

        Without --items they are those of the data set that the model was trained on, if `own`.
        """
        from trimetric.data import datasets
        from trimetric.data.titles import titles

        if self.items == "none":
            return {}
        if self.items is not None:
            return titles(self.items, model.item_ids, self.id_column, tell=log)
        name = str(model.provenance.get("train", {}).get("name", "")) if own else ""
        known = datasets.items(name) if name else None
        if known is None or not model.item_ids.encode(known["item"]).max(initial=-1) >= 0:
            return {}
        log(f"titles are those of {name}; --items FILE takes others, --items none shows none")
        return titles(name, model.item_ids)

    def beside(
        self, rows: "pl.DataFrame", column: str, known: dict[Any, str], name: str = "title"
    ) -> "pl.DataFrame":
        """Return lists with a column of titles after the items; as they are without titles."""
        if not known:
            return rows
        import polars as pl

        texts = pl.Series(name, [known.get(item) for item in rows[column]], dtype=pl.String)
        return rows.insert_column(rows.get_column_index(column) + 1, texts)


def digest(known: dict[Any, str]) -> str:
    """Return what tells titles from others."""
    return hashlib.sha256(repr(sorted(known.items())).encode("utf-8", "replace")).hexdigest()[:16]


def in_common(model: Any, rows: "pl.DataFrame", known: dict[Any, str]) -> "pl.DataFrame":
    """Return lists of similar users with how many items both have, and titles of some of them.

    Those that the fewest users have are told first, since they tell the most.
    """
    import numpy as np
    import polars as pl

    from trimetric.models import is_sharded

    known_items = _items_of(model, {*rows["user"].to_list(), *rows["similar"].to_list()})
    popularity = (model.without_users if is_sharded(model) else model).known.popularity
    counts, told = [], []
    for one, other in zip(rows["user"], rows["similar"], strict=True):
        of_both = np.intersect1d(known_items[one], known_items[other])
        counts.append(len(of_both))
        rarest = of_both[np.argsort(popularity[of_both], kind="stable")]
        names = [known.get(item) for item in model.item_ids.decode(rarest)]
        told.append("; ".join([name for name in names if name is not None][:SHARED]))
    return rows.with_columns(
        pl.Series("shared", counts, dtype=pl.Int64), pl.Series("both have", told, dtype=pl.String)
    )


def _items_of(model: Any, users: set) -> dict[Any, Any]:
    """Return the item rows of some users, part by part where the model is in parts."""
    from trimetric.models import is_sharded

    found = {}
    for one, mine in model.parts_of([*users]) if is_sharded(model) else [(model, [*users])]:
        for user, row in zip(mine, one.user_ids.encode(mine).tolist(), strict=True):
            found[user] = one.known.items_of(row)
    return found
