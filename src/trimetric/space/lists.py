"""Lists of rows as frames with the original ids."""

from typing import TYPE_CHECKING

import numpy as np

from trimetric.data.ids import Vocabulary
from trimetric.errors import ParameterError
from trimetric.space.scorer import Lists

if TYPE_CHECKING:
    import polars as pl

MAX_K = 1_000_000


def check_k(k: int) -> int:
    """Return `k` if it is a usable length of a list, or raise ParameterError."""
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 1 <= k <= MAX_K:
        raise ParameterError(f"k must be a whole number in 1..{MAX_K}, got {k!r}; 10 is usual")
    return int(k)


def ranked_frame(
    keys: "pl.Series",
    lists: Lists,
    candidates: Vocabulary,
    names: tuple[str, str],
    metric: bool,
    before: np.ndarray | None = None,
) -> "pl.DataFrame":
    """Lay out top-k lists as rows.

    Parameters
    ----------
    keys : Series (m,)
        The id that each list belongs to.
    lists : (int32 (m, k), float32 (m, k))
        Rows of `candidates` by rank, -1 past the end of a list, and their scores; a score of NaN
        becomes null.
    candidates : Vocabulary
    names : (str, str)
        Column names of the keys and of the listed ids.
    metric : bool
        Whether a score is −d², so that there is a column `distance` too.
    before : int (m, k), optional
        Where an item stood by its score, from 1, for lists in another order; 0 becomes null.

    Returns
    -------
    DataFrame
        Columns names[0], names[1], rank (Int32, from 1), score (Float32, higher is better) and, of
        a metric space, distance (Float32, d² of equation (1)), and rank_by_score (Int32) with
        `before`. Short lists stay short.
    """
    import polars as pl

    rows, scores = lists
    listed, place = np.nonzero(rows >= 0)
    score = pl.Series(scores[listed, place], dtype=pl.Float32).fill_nan(None)
    columns = {
        names[0]: keys.gather(listed),
        names[1]: candidates.decode(rows[listed, place]),
        "rank": pl.Series(place + 1, dtype=pl.Int32),
        "score": score,
    }
    if metric:
        columns["distance"] = -score
    if before is not None:
        places = pl.Series(before[listed, place], dtype=pl.Int32)
        columns["rank_by_score"] = places.set(places == 0, None)
    return pl.DataFrame(columns)
