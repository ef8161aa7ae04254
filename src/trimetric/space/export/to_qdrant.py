"""Points for Qdrant as JSON lines, and how to load them into a server or an embedded store."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from trimetric.data.csr import Csr
from trimetric.data.ids import Vocabulary
from trimetric.space.export.space import Space

ROWS_AT_ONCE = 50_000

README = """# Points of a space for Qdrant

- `items.jsonl`: a point a line, `{{"id": row, "vector": [...], "payload": {{"item": id}}}}`.
- `users.jsonl`: the same with payload `user` and `seen`, the point ids of the items that the model
  was trained on.

Point ids are numbers, as Qdrant wants them; your own ids are in the payload. Loading, into a server
or, with `QdrantClient(path="store")`, into a folder:

```python
{load}
```

Ten recommendations for a user, without what they have:

```python
{query}
```

{contract}
"""

LOAD = """import json
from itertools import islice
from qdrant_client import QdrantClient, models

client = QdrantClient(url="http://localhost:6333")
for name in ("items", "users"):
    vectors = models.VectorParams(size={dim}, distance=models.Distance.EUCLID)
    client.create_collection(name, vectors_config=vectors)
    with open(f"{name}.jsonl", encoding="utf-8") as lines:
        while some := [json.loads(line) for line in islice(lines, 1000)]:
            client.upsert(name, [models.PointStruct(**point) for point in some])"""

QUERY = """user = client.retrieve("users", [0], with_vectors=True)[0]
seen = models.HasIdCondition(has_id=user.payload["seen"])
answer = client.query_points(
    "items", query=user.vector, query_filter=models.Filter(must_not=[seen]), limit=10)
print(user.payload["user"], [point.payload["item"] for point in answer.points])"""


def write(space: Space, folder: Path) -> str:
    """Write the files into a folder; return its README."""
    with open(folder / "items.jsonl", "wb") as out:
        for rows in _blocks(len(space.items)):
            _points(rows, space.item_ids, space.items, "item").write_ndjson(out)
    with open(folder / "users.jsonl", "wb") as out:
        for rows in _blocks(len(space.users)):
            seen = _seen(space.seen.take(rows))
            _points(rows, space.user_ids, space.users, "user", seen).write_ndjson(out)
    dim = str(space.items.shape[1])
    load = LOAD.replace("{dim}", dim)
    return README.format(load=load, query=QUERY, contract=space.contract())


def _blocks(n: int) -> Iterator[np.ndarray]:
    for low in range(0, n, ROWS_AT_ONCE):
        yield np.arange(low, min(low + ROWS_AT_ONCE, n), dtype=np.int64)


def _points(
    rows: np.ndarray, ids: Vocabulary, points: np.ndarray, name: str, *more: pl.Series
) -> pl.DataFrame:
    """Return the points of consecutive rows."""
    payload = pl.DataFrame([ids.decode(rows).rename(name), *more]).to_struct("payload")
    return pl.DataFrame(
        {
            "id": rows,
            "vector": pl.Series(np.ascontiguousarray(points[rows])).cast(pl.List(pl.Float32)),
            "payload": payload,
        }
    )


def _seen(seen: Csr) -> pl.Series:
    pairs = pl.DataFrame({"user": seen.users, "seen": seen.items})
    lists = pairs.group_by("user", maintain_order=True).agg("seen")
    users = pl.DataFrame({"user": np.arange(seen.n_users, dtype=np.int32)})
    joined = users.join(lists, on="user", how="left", maintain_order="left")
    return joined["seen"].fill_null(pl.Series([[]], dtype=pl.List(pl.Int32)))
