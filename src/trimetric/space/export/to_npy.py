"""Plain NumPy files: positions, ids, and what was seen."""

import json
from pathlib import Path

import numpy as np

from trimetric.data.ids import Vocabulary
from trimetric.space.export.space import Space

ROWS_AT_ONCE = 50_000

README = """# NumPy files of a space

- `items.npy`, `users.npy`: float32 (n, {dim}), a row for each id.
- `{item_ids}`, `{user_ids}`: the ids of the rows, in their order.
- `seen_indptr.npy`, `seen_items.npy`: user row u was trained on the item rows
  `seen_items[seen_indptr[u]:seen_indptr[u + 1]]`.

```python
{example}
```

{contract}
"""

EXAMPLE = """import json
import numpy as np

def read_ids(side):
    try:
        return np.load(f"{side}_ids.npy").tolist()
    except FileNotFoundError:
        return json.load(open(f"{side}_ids.json", encoding="utf-8"))

items, users = np.load("items.npy"), np.load("users.npy")
item_ids, user_ids = read_ids("item"), read_ids("user")
indptr, seen = np.load("seen_indptr.npy"), np.load("seen_items.npy")
user = 0
d2 = ((items - users[user]) ** 2).sum(axis=1)
d2[seen[indptr[user]:indptr[user + 1]]] = np.inf
nearest = [row for row in np.argsort(d2, kind="stable")[:10] if np.isfinite(d2[row])]
print(user_ids[user], [item_ids[row] for row in nearest])"""


def write(space: Space, folder: Path) -> str:
    """Write the files into a folder; return its README."""
    write_table(space.items, folder / "items.npy")
    write_table(space.users, folder / "users.npy")
    names = write_ids(space, folder)
    return README.format(
        dim=space.items.shape[1], example=EXAMPLE, contract=space.contract(), **names
    )


def write_table(points: np.ndarray, path: Path) -> None:
    """Write a table as `np.save` does, a block at a time: it may be larger than memory."""
    with open(path, "wb") as out:
        header = np.lib.format.header_data_from_array_1_0(points)
        header |= {"fortran_order": False, "shape": points.shape}
        np.lib.format.write_array_header_1_0(out, header)
        for low in range(0, len(points), ROWS_AT_ONCE):
            out.write(np.ascontiguousarray(points[low : low + ROWS_AT_ONCE]).tobytes())


def write_ids(space: Space, folder: Path) -> dict[str, str]:
    """Write ids and what was seen; return the names of the files of ids."""
    np.save(folder / "seen_indptr.npy", space.seen.indptr)
    np.save(folder / "seen_items.npy", space.seen.items)
    return {
        "item_ids": _ids(space.item_ids, folder / "item_ids"),
        "user_ids": _ids(space.user_ids, folder / "user_ids"),
    }


def _ids(vocabulary: Vocabulary, path: Path) -> str:
    """Write ids as an array of int64, or text as a JSON list, which keeps it exactly."""
    if vocabulary.kind == "int":
        path = path.with_suffix(".npy")
        np.save(path, vocabulary.values.to_numpy())
    else:
        path = path.with_suffix(".json")
        text = json.dumps(vocabulary.values.to_list(), ensure_ascii=False, indent=0)
        path.write_text(text + "\n", encoding="utf-8")
    return path.name
