"""SQL for PostgreSQL with pgvector: tables, their content, an index, and an example."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np
import polars as pl

from trimetric.data.csr import Csr
from trimetric.data.ids import Vocabulary
from trimetric.errors import DataError
from trimetric.space.export.space import Space, groups_of_users

ROWS_AT_ONCE = 50_000
ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}  # of COPY; the first goes first
MOST_INDEXED, MOST = 2_000, 16_000  # dimensions of pgvector's hnsw and of its vector type

README = """# SQL of a space for PostgreSQL with pgvector

    psql -f load.sql DATABASE
    psql -f query.sql -v user={example} DATABASE

`load.sql` makes the tables `trimetric_items` and `trimetric_users` (`id {kinds}`, `embedding
vector({dim})`) and `trimetric_seen` (`user_id`, `item_id`: what the model was trained on) with an
HNSW index, in one transaction: tables of these names are replaced, and readers see the old or the
new ones. `query.sql` recommends ten items to a user.

The index is approximate, as pgvector's are. `SET hnsw.iterative_scan = strict_order` (pgvector 0.8
or later) lets a filter never shorten a list; `SET enable_indexscan = off` makes any query exact.

{contract}
"""

SCHEMA = """SET client_encoding TO 'UTF8';
BEGIN;
CREATE EXTENSION IF NOT EXISTS vector;
DROP TABLE IF EXISTS trimetric_seen, trimetric_users, trimetric_items;
CREATE TABLE trimetric_items (id {item_kind} PRIMARY KEY, embedding vector({dim}) NOT NULL);
CREATE TABLE trimetric_users (id {user_kind} PRIMARY KEY, embedding vector({dim}) NOT NULL);
CREATE TABLE trimetric_seen (
    user_id {user_kind} NOT NULL, item_id {item_kind} NOT NULL, PRIMARY KEY (user_id, item_id));
"""

INDEX = """CREATE INDEX trimetric_items_embedding ON trimetric_items
    USING hnsw (embedding vector_l2_ops);
"""

END = """COMMIT;
ANALYZE trimetric_items, trimetric_users, trimetric_seen;
"""

QUERY = """-- psql -f query.sql -v user=... DATABASE
SET client_encoding TO 'UTF8';
SET hnsw.iterative_scan = strict_order;
SELECT id, embedding <-> (SELECT embedding FROM trimetric_users WHERE id = :'user') AS distance
FROM trimetric_items
WHERE NOT EXISTS (
    SELECT FROM trimetric_seen WHERE user_id = :'user' AND item_id = trimetric_items.id)
ORDER BY embedding <-> (SELECT embedding FROM trimetric_users WHERE id = :'user')
LIMIT 10;
"""


def write(space: Space, folder: Path) -> str:
    """Write the files into a folder; return its README.

    Raises
    ------
    DataError
        The space has more dimensions than a vector of pgvector, or a text id has a zero byte.
    """
    dim = space.items.shape[1]
    if dim > MOST:
        raise DataError(f"pgvector holds up to {MOST:,} dimensions, and the model has {dim:,}")
    kinds = {"item_kind": _kind(space.item_ids), "user_kind": _kind(space.user_ids)}
    items, users = _escaped(space.item_ids), _escaped(space.user_ids)
    with open(folder / "load.sql", "w", encoding="utf-8", newline="\n") as out:
        out.write(SCHEMA.format(dim=dim, **kinds))
        _copy(out, "trimetric_items (id, embedding)", _points(items, space.items))
        _copy(out, "trimetric_users (id, embedding)", _points(users, space.users))
        pairs = _pairs(users, items, space.seen)
        _copy(out, "trimetric_seen (user_id, item_id)", pairs)
        out.write(INDEX if dim <= MOST_INDEXED else "")
        out.write(END)
    (folder / "query.sql").write_text(QUERY, encoding="utf-8")
    shown = " or ".join(dict.fromkeys(kinds.values()))
    example = shlex.quote(str(space.user_ids.values[0]))
    return README.format(kinds=shown, dim=dim, example=example, contract=space.contract())


def _kind(ids: Vocabulary) -> str:
    """Text is compared by its bytes, so that PostgreSQL's order of ids is ours."""
    return "bigint" if ids.kind == "int" else 'text COLLATE "C"'


def _escaped(ids: Vocabulary) -> pl.Series:
    """Return ids as COPY reads them."""
    if ids.kind == "int":
        return ids.values.cast(pl.String)
    bad = ids.values.filter(ids.values.str.contains("\0", literal=True))
    if len(bad):
        raise DataError(f"PostgreSQL cannot hold the id {bad[0]!r}, which has a zero byte")
    escaped = ids.values
    for sign, code in ESCAPES.items():
        escaped = escaped.str.replace_all(sign, code, literal=True)
    return escaped


def copied(text: str) -> str:
    """Return an id, as text, in the form that COPY reads."""
    for sign, code in ESCAPES.items():
        text = text.replace(sign, code)
    return text


def _copy(out: TextIO, table: str, blocks: Iterator[pl.Series]) -> None:
    out.write(f"COPY {table} FROM stdin;\n")
    for lines in blocks:
        out.writelines(f"{line}\n" for line in lines)
    out.write("\\.\n")


def _points(ids: pl.Series, points: np.ndarray) -> Iterator[pl.Series]:
    for low in range(0, len(ids), ROWS_AT_ONCE):
        block = slice(low, low + ROWS_AT_ONCE)
        numbers = pl.from_numpy(np.ascontiguousarray(points[block])).cast(pl.String)
        joined = numbers.select(pl.concat_str(pl.all(), separator=",")).to_series()
        yield ids[block] + "\t[" + joined + "]"


def _pairs(users: pl.Series, items: pl.Series, seen: Csr) -> Iterator[pl.Series]:
    for group in groups_of_users(seen, ROWS_AT_ONCE):
        some = seen.take(group)
        yield users.gather(group[some.users]) + "\t" + items.gather(some.items)
