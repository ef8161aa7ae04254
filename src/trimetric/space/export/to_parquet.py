"""Parquet files: (id, vector) of items and of users, and the pairs that were seen."""

from pathlib import Path

import numpy as np
import polars as pl

from trimetric.data.ids import Vocabulary
from trimetric.space.export.space import Space

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
    _write(table(space.item_ids, space.items), folder / "items.parquet")
    _write(table(space.user_ids, space.users), folder / "users.parquet")
    pairs = pl.DataFrame(
        {
            "user": space.user_ids.decode(space.seen.users),
            "item": space.item_ids.decode(space.seen.items),
        }
    )
    _write(pairs, folder / "seen.parquet")
    dim = space.items.shape[1]
    return README.format(
        dim=dim, example=EXAMPLE.replace("{dim}", str(dim)), contract=space.contract()
    )


def table(ids: Vocabulary, points: np.ndarray) -> pl.DataFrame:
    """Return columns id and vector, a list of float32."""
    vectors = pl.Series("vector", np.ascontiguousarray(points))
    return pl.DataFrame({"id": ids.values, "vector": vectors.cast(pl.List(pl.Float32))})


def _write(frame: pl.DataFrame, path: Path) -> None:
    frame.write_parquet(path, row_group_size=ROWS_A_GROUP)
