"""Lists and ranks for models whose score is not a distance between two points."""

import numpy as np

from trimetric.data.csr import Csr
from trimetric.engine.scores import ranks_by_score, top_scores
from trimetric.errors import Unsupported
from trimetric.models.recommender import Recommender
from trimetric.space.filters import ANY, Choice, restricted, unrestricted


class Scored(Recommender):
    """A model that scores pairs; a subclass writes `score_rows`, or faster `_table` as well.

    There is no L2 index of such a model: its order is not that of distances between points.
    """

    def _table(self, users: np.ndarray) -> np.ndarray:
        """Score all items for each of `users` (int32 (b,)): a fresh float32 (b, n_items)."""
        n_items = len(self.item_ids)
        items = np.tile(np.arange(n_items, dtype=np.int32), len(users))
        return self.score_rows(np.repeat(users, n_items), items).reshape(len(users), n_items)

    def held_out_ranks(self, held: Csr, excluded: Csr) -> np.ndarray:
        """Rank each held-out item of each user among the items that are not excluded."""
        return ranks_by_score(self._table, len(self.item_ids), held, excluded)

    def _nearest_items(
        self,
        users: np.ndarray,
        k: int,
        excluded: Csr,
        choice: Choice = ANY,
    ) -> tuple[np.ndarray, np.ndarray]:
        if choice.approximate:
            raise Unsupported(f"{no_space(self)}; leave approximate out for the exact list")
        rows = choice.rows
        if rows is None:
            return top_scores(self._table, users, len(self.item_ids), k, excluded)

        def table(users: np.ndarray) -> np.ndarray:
            return np.ascontiguousarray(self._table(users)[:, rows])

        lists = restricted(excluded, rows)
        found, scores = top_scores(table, users, len(rows), k, lists)
        return unrestricted(found, rows), scores

    @property
    def users(self) -> np.ndarray:
        """Raises Unsupported: there are no positions that an L2 index could hold."""
        raise Unsupported(no_space(self))

    @property
    def items(self) -> np.ndarray:
        """Raises Unsupported: there are no positions that an L2 index could hold."""
        raise Unsupported(no_space(self))


def no_space(model: Recommender) -> str:
    """Say why a model cannot be served by an L2 index."""
    return (
        f"the score of {model.name} is no distance between two points, so that it has no space and"
        " offers no L2 index; sml, cml and fml do"
    )
