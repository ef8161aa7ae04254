"""EASE: the best linear autoencoder, in closed form (Steck, WWW 2019)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.interactions import Interactions
from trimetric.engine.threads import ThreadTeam, thread_count
from trimetric.errors import DataError
from trimetric.models import config
from trimetric.models.config import Range
from trimetric.models.references.base import FromHistory
from trimetric.models.references.cooccurrence import add_counts, by_item, sum_rows
from trimetric.models.references.spd_inverse import Tiles, invert, shared, spans
from trimetric.storage import artifact

MAX_ITEMS = 50_000
BYTES_A_CELL = 8  # while it learns: half a matrix of float64 beside one of float32


@dataclass(frozen=True)
class EASEConfig(config.Config):
    """Settings of EASE."""

    reg: float = 200.0
    """Weight λ of ‖B‖², .01..1000000."""

    ranges: ClassVar[dict[str, Range]] = {
        "reg": (0.01, 1_000_000, False, "10-1000 suits most data"),
    }


class EASE(FromHistory):
    """The score of an item is the sum of its weights B to the user's items.

    B minimises ‖X − XB‖² + λ‖B‖² with a diagonal of zeros, X being the users' items as zeros and
    ones: with P = (XᵀX + λI)⁻¹, B_ij = −P_ij / P_jj (Steck 2019, equation (8)). The entries of XᵀX
    are counted exactly; P is computed in float64, B kept in float32. A user's items are those of
    `seen` as it stands, added up in ascending order.

    A model of n items takes 4n² bytes, and 8n² while it learns; n³ operations are needed. The
    number of threads does not change a bit of it, but the linear algebra library of another
    machine may round differently.

    Parameters
    ----------
    **settings
        Fields of `EASEConfig`.
    """

    name: ClassVar[str] = "ease"
    Config: ClassVar[type[config.Config]] = EASEConfig
    search: ClassVar[dict[str, Any]] = {"reg": (1, 2000, "log")}
    config: EASEConfig
    _weights: np.ndarray

    @property
    def weights(self) -> np.ndarray:
        """B, float32 (n_items, n_items), in the order of `item_ids`."""
        return self._weights

    def _table(self, users: np.ndarray) -> np.ndarray:
        out = np.zeros((len(users), len(self.item_ids)), dtype=np.float32)
        sum_rows(users, self.seen, self._weights, out)
        return out

    def _bytes(self, data: Interactions) -> int:
        if data.n_items > MAX_ITEMS:
            gigabytes = BYTES_A_CELL * data.n_items**2 / 1e9
            raise DataError(
                f"ease takes at most {MAX_ITEMS:,} items and the training data has"
                f" {data.n_items:,}: their square matrix would need {gigabytes:,.0f} GB of memory;"
                " keep the items with more interactions, or use itemknn"
            )
        return 4 * data.n_items**2

    def _learn(self, data: Interactions) -> None:
        tiles = gram(self.seen, data.n_items, self.config.reg)
        invert(tiles)
        self._weights = weights(tiles, data.n_items)

    def _tensors(self) -> dict[str, np.ndarray]:
        return {"weights": self._weights}

    def _restore(self, tensors: Mapping[str, np.ndarray], where: str) -> None:
        n_items = len(self.item_ids)
        artifact.check(tensors, {"weights": ((n_items, n_items), np.float32)}, where)
        self._weights = tensors["weights"]


def gram(liked: Csr, n_items: int, reg: float) -> Tiles:
    """Return XᵀX + λI, X being the users' items as zeros and ones."""
    likers, parts = by_item(liked, n_items), list(enumerate(spans(n_items)))
    tiles: Tiles = {}

    def count(part: tuple[int, tuple[int, int]]) -> None:
        row, (low, high) = part
        counts = np.zeros((high - low, n_items))
        add_counts(low, likers, liked, counts)
        counts[np.arange(high - low), np.arange(low, high)] += reg
        for column, (left, right) in parts[: row + 1]:
            tiles[row, column] = counts[:, left:right].copy()

    with ThreadTeam(min(thread_count(), max(len(parts), 1))) as team:
        shared(team, count, parts)
    return tiles


def weights(tiles: Tiles, n_items: int) -> np.ndarray:
    """Return B_ij = −P_ij / P_jj with a diagonal of zeros, Steck 2019, equation (8).

    The tiles of P are used up, so that not both are ever whole.
    """
    parts = spans(n_items)
    diagonal = np.concatenate([np.diagonal(tiles[i, i]) for i in range(len(parts))])
    out = np.empty((n_items, n_items), dtype=np.float32)
    for row, column in list(tiles):
        tile, (low, high), (left, right) = tiles.pop((row, column)), parts[row], parts[column]
        out[low:high, left:right] = tile / -diagonal[left:right]
        out[left:right, low:high] = tile.T / -diagonal[low:high]
    np.fill_diagonal(out, 0)
    return out
