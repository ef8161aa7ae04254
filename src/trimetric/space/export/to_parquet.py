"""Parquet files: (id, vector) of items and of users, and the pairs that were seen."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from trimetric.data.ids import Vocabulary
from trimetric.space.export.space import Space, groups_of_users
from trimetric.storage.tables import write_blocks

ROWS_A_GROUP = 100_000  # given, since else Polars goes by the number of threads

README = """# Parquet files of a space

- `items.parquet`, `users.parquet`: columns `id` and `vector`, a list of {dim} float32.
- `seen.parquet`: columns `user` and `item`, the pairs that the model was trained on.

```python
{example}
```

{contract}
"""

EXAMPLE = """import polars as pl

items, users = pl.read_parquet("items.parquet"), pl.read_parquet("users.parquet")
user = users[0]
seen = pl.read_parquet("seen.parquet").filter(pl.col("user") == user["id"][0])
left = items.join(seen, left_on="id", right_on="item", how="anti", maintain_order="left")
apart = left["vector"].list.to_array({dim}).to_numpy() - user["vector"][0].to_numpy()
nearest = left.with_columns(d2=(apart ** 2).sum(axis=1)).sort("d2", maintain_order=True)
print(nearest.select("id", "d2").head(10))"""


def write(space: Space, folder: Path) -> str:
    """Write the files into a folder; return its README."""
    _write(_tables(space.item_ids, space.items), folder / "items.parquet")
    _write(_tables(space.user_ids, space.users), folder / "users.parquet")
    _write(_pairs(space), folder / "seen.parquet")
    dim = space.items.shape[1]
    return README.format(
        dim=dim, example=EXAMPLE.replace("{dim}", str(dim)), contract=space.contract()
    )


def table(ids: pl.Series, points: np.ndarray) -> pl.DataFrame:
    """Return columns id and vector, a list of float32."""
    vectors = pl.Series("vector", np.ascontiguousarray(points))
    return pl.DataFrame({"id": ids, "vector": vectors.cast(pl.List(pl.Float32))})


def _tables(ids: Vocabulary, points: np.ndarray) -> Iterator[pl.DataFrame]:
    """Return ids and points, a group of rows at a time."""
    for low in range(0, max(1, len(points)), ROWS_A_GROUP):
        some = slice(low, low + ROWS_A_GROUP)
        yield table(ids.values[some], points[some])


def _pairs(space: Space) -> Iterator[pl.DataFrame]:
    """Return the pairs that were seen, a group of users at a time."""
    for users in groups_of_users(space.seen, ROWS_A_GROUP):
        some = space.seen.take(users)
        owners = space.user_ids.decode(users[some.users])
        yield pl.DataFrame({"user": owners, "item": space.item_ids.decode(some.items)})


def _write(frames: Iterator[pl.DataFrame], path: Path) -> None:
    write_blocks(path, frames, ROWS_A_GROUP)
