"""A faiss index of the items, and the users' positions to search it with."""

from pathlib import Path

import numpy as np

from trimetric.engine.topk import prepared
from trimetric.space.export.space import Space
from trimetric.space.export.to_npy import write_ids, write_table
from trimetric.space.ivf import PROBES, Cells, load_faiss

README = """# A faiss index of a space

- `items.faiss`: {kind}. Its ids are rows of `{item_ids}`.
- `users.npy`: float32 (n, {dim}), what to search with; rows of `{user_ids}`.
- `seen_indptr.npy`, `seen_items.npy`: user row u was trained on the item rows
  `seen_items[seen_indptr[u]:seen_indptr[u + 1]]`.

```python
{example}
```

{contract}
"""

FLAT = "`IndexFlatL2`, which is exact"
CELLS = (
    "`IndexIVFFlat`, which looks into the nearest `nprobe` of its cells; raise that for more recall"
)

EXAMPLE = """import faiss
import numpy as np

index, users = faiss.read_index("items.faiss"), np.load("users.npy")
indptr, seen = np.load("seen_indptr.npy"), np.load("seen_items.npy")
user = 0
unseen = faiss.IDSelectorNot(faiss.IDSelectorBatch(seen[indptr[user]:indptr[user + 1]]))
Settings = faiss.SearchParameters{kind}
d2, rows = index.search(users[user:user + 1], 10, params=Settings(sel=unseen{more}))
print(rows[0])"""


def write(space: Space, folder: Path, approximate: bool = False) -> str:
    """Write the files into a folder; return its README."""
    faiss = load_faiss()
    items = np.ascontiguousarray(space.items)
    if approximate:
        index = Cells(prepared(items), items.shape[1], PROBES, 0).faiss_index
        index.nprobe = min(PROBES, index.nlist)
    else:
        index = faiss.IndexFlatL2(items.shape[1])
        index.add(items)
    faiss.write_index(index, str(folder / "items.faiss"))
    write_table(space.users, folder / "users.npy")
    example = EXAMPLE.replace("{kind}", "IVF" if approximate else "")
    return README.format(
        kind=CELLS if approximate else FLAT,
        dim=items.shape[1],
        example=example.replace("{more}", ", nprobe=index.nprobe" if approximate else ""),
        contract=space.contract(),
        **write_ids(space, folder),
    )
