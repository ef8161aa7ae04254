"""Answers as frames: nearest rows, with the original ids."""

from typing import TYPE_CHECKING

import numpy as np

from trimetric.data.csr import Csr
from trimetric.errors import ParameterError

if TYPE_CHECKING:
    import polars as pl

    from trimetric.data.ids import Vocabulary

MAX_K = 1_000_000


def check_k(k: int) -> int:
    """Return `k` if it is a usable length of a list, or raise ParameterError."""
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 1 <= k <= MAX_K:
        raise ParameterError(f"k must be a whole number in 1..{MAX_K}, got {k!r}; 10 is usual")
    return int(k)


def ranked_frame(
    asked: "pl.Series",
    found: tuple[np.ndarray, np.ndarray],
    candidates: "Vocabulary",
    names: tuple[str, str],
) -> "pl.DataFrame":
    """Lay out top-k lists as rows.

    Parameters
    ----------
    asked : Series (m,)
        The id that each list answers.
    found : (int32 (m, k), float32 (m, k))
        Rows of `candidates` by rank, -1 where the list has ended, and their scores.
    candidates : Vocabulary
    names : (str, str)
        Column names of the asked and the found ids.

    Returns
    -------
    DataFrame
        Columns names[0], names[1], rank (Int32, from 1) and score (Float32); lists in the order
        asked, short lists short.
    """
    import polars as pl

    rows, scores = found
    listed, place = np.nonzero(rows >= 0)
    return pl.DataFrame(
        {
            names[0]: asked.gather(listed),
            names[1]: candidates.decode(rows[listed, place]),
            "rank": pl.Series(place + 1, dtype=pl.Int32),
            "score": pl.Series(scores[listed, place], dtype=pl.Float32),
        }
    )


def rows_of(source: Csr, users: np.ndarray) -> Csr:
    """Return the lists of `users` (row numbers, any order, repeats allowed) as a new Csr."""
    users = users.astype(np.int64)
    counts = source.indptr[users + 1] - source.indptr[users]
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    place = np.arange(indptr[-1]) - np.repeat(indptr[:-1] - source.indptr[users], counts)
    return Csr(indptr, source.items[place])
