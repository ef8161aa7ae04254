"""Models whose score is the inner product of two learned rows."""

from collections.abc import Mapping

import numpy as np

from trimetric.engine.rows import padded_table
from trimetric.engine.scores import pair_products
from trimetric.models.scored import Scored
from trimetric.storage import artifact


class Factors(Scored):
    """A model whose score is α_u·β_v; a subclass sets `_rows`, the users' first, padded."""

    _rows: np.ndarray

    def _width(self) -> int:
        """Return the number of columns."""
        raise NotImplementedError

    @property
    def user_factors(self) -> np.ndarray:
        """Factors α, float32 (n_users, dim), in the order of `user_ids`."""
        return self._rows[: len(self.user_ids), : self._width()]

    @property
    def item_factors(self) -> np.ndarray:
        """Factors β, float32 (n_items, dim), in the order of `item_ids`."""
        return self._rows[len(self.user_ids) :, : self._width()]

    def score_rows(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return α_u·β_v for pairs of rows (int32 (n,)), float32."""
        return pair_products(self._rows, users, items, len(self.user_ids))

    def _tensors(self) -> dict[str, np.ndarray]:
        return {"user_factors": self.user_factors, "item_factors": self.item_factors}

    def _restore(self, tensors: Mapping[str, np.ndarray], where: str) -> None:
        expected = {
            "user_factors": ((len(self.user_ids), self._width()), np.float32),
            "item_factors": ((len(self.item_ids), self._width()), np.float32),
        }
        artifact.check(tensors, expected, where)
        both = np.concatenate([tensors["user_factors"], tensors["item_factors"]])
        self._rows = padded_table(both)
