"""ItemKNN: what the same users like as well (Sarwar et al., WWW 2001)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.interactions import Interactions
from trimetric.errors import ArtifactError
from trimetric.models import config
from trimetric.models.config import Range
from trimetric.models.recommender import _is_csr
from trimetric.models.references.base import FromHistory
from trimetric.models.references.cooccurrence import Similarity, Sparse, nearest_items, sum_sparse
from trimetric.storage import artifact


@dataclass(frozen=True)
class ItemKNNConfig(config.Config):
    """Settings of ItemKNN."""

    neighbours: int = 200
    """Most similar items kept for each item, 1..10000."""
    shrink: float = 10.0
    """Added to the denominator of the similarity, 0..1000000."""
    power: float = 0.5
    """How much the popularity of a user's item counts against it, 0..1; .5 makes the cosine."""

    ranges: ClassVar[dict[str, Range]] = {
        "neighbours": (1, 10_000, False, "50-500 suits most data"),
        "shrink": (0, 1_000_000, False, "0-100 suits most data"),
        "power": (0, 1, False, "0.5-0.8 suits most data"),
    }


class ItemKNN(FromHistory):
    """The score of an item is the sum of the similarities of the user's items to it.

    Each item j counts its `neighbours` most similar items i by |U_i ∩ U_j| / (|U_i|^a |U_j|^(1−a) +
    `shrink`), U_i being the users of i and a `power`: the cosine with shrinkage unless `power` is
    changed. All other similarities are zero. A user's items are those of `seen` as it stands, added
    up in ascending order.

    Parameters
    ----------
    **settings
        Fields of `ItemKNNConfig`.
    """

    name: ClassVar[str] = "itemknn"
    Config: ClassVar[type[config.Config]] = ItemKNNConfig
    search: ClassVar[dict[str, Any]] = {
        "neighbours": (10, 1000, "log"),
        "shrink": (0.1, 300, "log"),
        "power": (0.3, 0.9),
    }
    config: ItemKNNConfig
    _near: Sparse

    def _table(self, users: np.ndarray) -> np.ndarray:
        out = np.zeros((len(users), len(self.item_ids)), dtype=np.float32)
        sum_sparse(users, self.seen, self._near, out)
        return out

    def _bytes(self, data: Interactions) -> int:
        return 8 * data.n_items * min(self.config.neighbours, data.n_items - 1)

    def _learn(self, data: Interactions) -> None:
        kind = Similarity(self.config.power, self.config.shrink)
        self._near = nearest_items(self.seen, data.n_items, self.config.neighbours, kind)

    def _tensors(self) -> dict[str, np.ndarray]:
        (indptr, items), weights = self._near
        return {"near_indptr": indptr, "near_items": items, "similarities": weights}

    def _restore(self, tensors: Mapping[str, np.ndarray], where: str) -> None:
        n_items = len(self.item_ids)
        shape = np.shape(tensors.get("near_items", ()))
        expected: artifact.Expected = {
            "near_indptr": ((n_items + 1,), np.int64),
            "near_items": ((None,), np.int32),
            "similarities": (shape, np.float32),
        }
        artifact.check(tensors, expected, where)
        lists = Csr(tensors["near_indptr"], tensors["near_items"])
        if not _is_csr(lists, n_items):
            raise ArtifactError(f"{where}: near_indptr and near_items do not fit the ids")
        self._near = Sparse(lists, tensors["similarities"])
