"""EASE: the best linear autoencoder, in closed form (Steck, WWW 2019)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple, cast

import numpy as np

from trimetric.data.csr import Csr
from trimetric.data.interactions import Interactions
from trimetric.engine.threads import ThreadTeam, thread_count
from trimetric.errors import DataError
from trimetric.models.closed_form import ClosedForm
from trimetric.models.config import Config, Limits, Tune
from trimetric.models.references.cooccurrence import (
    ITEMS_ONLY,
    Counted,
    add_counts,
    by_item,
    sum_rows,
)
from trimetric.models.references.spd_inverse import Tiles, invert, shared, spans
from trimetric.models.saved import Stored
from trimetric.space.function import FunctionScorer
from trimetric.space.known import Known
from trimetric.space.scorer import Scorer

MAX_ITEMS = 50_000
BYTES_A_CELL = 8  # while it learns: half a matrix of float64 beside one of float32


@dataclass(frozen=True)
class EASEConfig(Config):
    """Settings of EASE."""

    reg: Annotated[
        float, Limits(0.01, 1_000_000, "10-1000 suits most data"), Tune(1, 2000, log=True)
    ] = 200.0
    """Weight λ of ‖B‖², .01..1000000."""


class EASE(ClosedForm):
    """The score of an item is the sum of its weights B to the user's items.

    B minimises ‖X − XB‖² + λ‖B‖² with a diagonal of zeros, X being the users' items as zeros and
    ones, or weights: with P = (XᵀX + λI)⁻¹, B_ij = −P_ij / P_jj (Steck 2019, equation (8)). The
    entries of XᵀX are exact without weights; P is computed in float64, B kept in float32. What is
    marked as seen counts as the user's too; items are added up in ascending order.

    A new user's scores are such sums as well. An explanation is the terms of the sum, w_ui·B_ij for
    each item i that the user has. Items are alike by B_ij: what having i adds to the score of j,
    which differs from B_ji.

    A model of n items takes 4n² bytes, and 8n² while it learns; n³ operations are needed. The
    number of threads does not change a bit of it, but the linear algebra library of another
    machine may round differently.

    Parameters
    ----------
    reg : float, default 200.0
        Weight λ of ‖B‖², .01..1000000.
    """

    if TYPE_CHECKING:  # written by tools/signatures

        def __init__(
            self,
            *,
            reg: float = 200.0,
        ) -> None: ...

    name: ClassVar[str] = "ease"
    takes_weights = True
    solves_anew = True
    row_axes: ClassVar[Mapping[str, tuple[str, ...]]] = {"weights": ("item", "item")}
    capabilities = frozenset({"similar items", "new users", "explanations"})
    Config: ClassVar[type[Config]] = EASEConfig
    config: EASEConfig

    @property
    def weights(self) -> np.ndarray:
        """B, float32 (n_items, n_items), in the order of `item_ids`."""
        return cast(FunctionScorer, self.scorer).learned.weights

    def memory(self, data: Interactions) -> int:
        """Return the size of B; refuse a catalogue that is too large."""
        if data.n_items > MAX_ITEMS:
            gigabytes = BYTES_A_CELL * data.n_items**2 / 1e9
            raise DataError(
                f"ease takes at most {MAX_ITEMS:,} items and the training data has"
                f" {data.n_items:,}: their square matrix would need {gigabytes:,.0f} GB of memory;"
                " keep the items with more interactions, or use itemknn"
            )
        return 4 * data.n_items**2

    def learn(self, data: Interactions) -> Scorer:
        """Solve for B."""
        seen = Counted.of(Csr.of(data), data.weights)
        tiles = gram(seen, data.n_items, self.config.reg)
        invert(tiles)
        return autoencoder_scorer(Autoencoder(seen, weights(tiles, data.n_items)))

    def rescored(self, scorer: Scorer, known: Known) -> Scorer:
        """Score by other histories."""
        seen = Counted.of(known.seen, known.weights)
        return autoencoder_scorer(cast(FunctionScorer, scorer).learned._replace(seen=seen))

    def folded_in(self, histories: Csr, weights: np.ndarray | None = None) -> Scorer:
        """Score new users by their histories: see `Recommender.folded_in`."""
        learned = cast(FunctionScorer, self.scorer).learned
        return autoencoder_scorer(learned._replace(seen=Counted.of(histories, weights)))

    def tensors(self) -> dict[str, np.ndarray]:
        """Return B."""
        return {"weights": self.weights}

    def restore(self, stored: Stored) -> Scorer:
        """Return the scorer of a saved B."""
        stored.check({"weights": ((stored.n_items, stored.n_items), np.float32)})
        known = stored.known
        seen = Counted.of(known.seen, known.weights)
        return autoencoder_scorer(Autoencoder(seen, stored.tensors["weights"]))


class Autoencoder(NamedTuple):
    """What users have, and B, float32 (n_items, n_items)."""

    seen: Counted
    weights: np.ndarray


def autoencoder_scorer(learned: Autoencoder) -> FunctionScorer:
    """Return the scorer of histories and B."""
    n_users, n_items = learned.seen.lists.n_users, len(learned.weights)
    return FunctionScorer(
        n_users,
        n_items,
        learned,
        table=sum_of_weights,
        similar=rows_of_weights,
        new_users=sum_for_new,
        adds=weights_to,
        refusals=ITEMS_ONLY,
    )


def weights_to(
    learned: Autoencoder, item: int, items: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return w_i·B_ij of a user's items i and an item j, whose sum is the score: float64 (n,)."""
    return weights.astype(np.float64) * learned.weights[items, item]


def rows_of_weights(learned: Autoencoder, items: np.ndarray) -> np.ndarray:
    """Return B_ij for all items j: what having an item i adds to the score of each."""
    return learned.weights[items]


def sum_for_new(learned: Autoencoder, lists: Csr, weights: np.ndarray) -> np.ndarray:
    """Return Σ w_i B_ij over the items i of new users, for all items j: float32 (b, n_items)."""
    theirs = learned._replace(seen=Counted.of(lists, weights))
    return sum_of_weights(theirs, np.arange(lists.n_users))


def sum_of_weights(learned: Autoencoder, users: np.ndarray) -> np.ndarray:
    """Return Σ w_ui·B_ij over a user's items i, for all items j: float32 (b, n_items)."""
    out = np.zeros((len(users), len(learned.weights)), dtype=np.float32)
    sum_rows(users, learned.seen, learned.weights, out)
    return out


def gram(liked: Counted, n_items: int, reg: float) -> Tiles:
    """Return XᵀX + λI, X being the users' items as zeros and ones, or weights."""
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
