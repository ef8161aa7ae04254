"""Points for Qdrant as JSON lines, and how to load them into a server or an embedded store."""

from pathlib import Path

import numpy as np
import polars as pl

from trimetric.data.ids import Vocabulary
from trimetric.space.export.space import Space

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
    _points(space.item_ids, space.items, "item").write_ndjson(folder / "items.jsonl")
    users = _points(space.user_ids, space.users, "user", _seen(space))
    users.write_ndjson(folder / "users.jsonl")
    dim = str(space.items.shape[1])
    load = LOAD.replace("{dim}", dim)
    return README.format(load=load, query=QUERY, contract=space.contract())


def _points(ids: Vocabulary, points: np.ndarray, name: str, *more: pl.Series) -> pl.DataFrame:
    payload = pl.DataFrame([ids.values.rename(name), *more]).to_struct("payload")
    return pl.DataFrame(
        {
            "id": np.arange(len(points), dtype=np.int64),
            "vector": pl.Series(np.ascontiguousarray(points)).cast(pl.List(pl.Float32)),
            "payload": payload,
        }
    )


def _seen(space: Space) -> pl.Series:
    pairs = pl.DataFrame({"user": space.seen.users, "seen": space.seen.items})
    lists = pairs.group_by("user", maintain_order=True).agg("seen")
    users = pl.DataFrame({"user": np.arange(len(space.users), dtype=np.int32)})
    joined = users.join(lists, on="user", how="left", maintain_order="left")
    return joined["seen"].fill_null(pl.Series([[]], dtype=pl.List(pl.Int32)))
