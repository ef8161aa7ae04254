"""Lists, ranks and neighbours in a space where the nearest is the best, equation (1)."""

from abc import abstractmethod
from collections.abc import Mapping
from copy import copy
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np

from trimetric.data.csr import Csr
from trimetric.engine.rows import padded_table
from trimetric.engine.topk import Prepared, held_out_ranks, pair_distances, prepared, top_k
from trimetric.errors import UnknownIds
from trimetric.models.recommender import Recommender, as_ids
from trimetric.space.exact import nearest
from trimetric.space.explain import Liker
from trimetric.space.export import Space, export
from trimetric.space.filters import ANY, Choice
from trimetric.space.index import Index
from trimetric.storage import artifact

SAMPLED = 1024  # rows that tell whether an index is still that of the items


class MetricSpace(Recommender):
    """A model whose score is −d² between two points, so that any L2 index can serve it.

    A subclass says where `users` and `items` are.
    """

    capabilities: ClassVar[frozenset[str]] = frozenset(
        {"metric space", "similar items", "similar users"}
    )

    _index: tuple[tuple[int, ...], bytes, Index] | None = None
    _tables: Mapping[str, Prepared] = MappingProxyType({})  # of a copy that `prepared` made

    @property
    @abstractmethod
    def users(self) -> np.ndarray:
        """Positions α, float32 (n_users, dim), in the order of `user_ids`."""

    @property
    @abstractmethod
    def items(self) -> np.ndarray:
        """Positions β, float32 (n_items, dim), in the order of `item_ids`."""

    def score_rows(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return −d² for pairs of rows (int32 (n,)), float32."""
        return -pair_distances(self.users, self.items, users, items)

    def held_out_ranks(self, held: Csr, excluded: Csr) -> np.ndarray:
        """Rank each held-out item of each user among the items that are not excluded."""
        return held_out_ranks(self.users, self.items, held, excluded)

    def _nearest_items(
        self,
        users: np.ndarray,
        k: int,
        excluded: Csr,
        choice: Choice = ANY,
    ) -> tuple[np.ndarray, np.ndarray]:
        return self._nearest_to(self.users[users], k, excluded, choice)

    def _nearest_to(
        self,
        positions: np.ndarray,
        k: int,
        excluded: Csr,
        choice: Choice = ANY,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the item rows nearest to positions (m, dim), and −d²."""
        if choice.approximate:
            index = self._approximate()
            found, distances = index.among(positions, k, excluded, choice.rows)
        else:
            items = self._laid_out("item")
            found, distances = nearest(positions, items, k, excluded, choice.rows)
        return found, -distances

    def _approximate(self) -> Index:
        """Return an approximate index of the items, built where there is none of them as they are.

        Positions may be changed in place, by training that goes on; a sample of rows tells.
        """
        items = self.items
        sample = items[:: max(1, len(items) // SAMPLED)].tobytes()
        made = self._index
        if made is None or made[:2] != (items.shape, sample):
            made = self._index = items.shape, sample, Index(items, "approximate")
        return made[2]

    def export(self, to: str, out: str | Path, *, approximate: bool = False) -> dict[str, Any]:
        """Write the space for a server that needs none of our code: see `Recommender.export`."""
        self._require_fit()
        ids = self.item_ids, self.user_ids
        space = Space(self.items, self.users, *ids, self.seen, self.name)
        return export(space, to, out, approximate=approximate)

    def prepared(self) -> Self:
        """Return a copy that answers sooner, from tables laid out once: see `Recommender`."""
        self._require_fit()
        answering = copy(self)
        answering._tables = {"item": prepared(self.items), "user": prepared(self.users)}
        return answering

    def _laid_out(self, kind: str) -> np.ndarray | Prepared:
        if kind in self._tables:
            return self._tables[kind]
        return self.items if kind == "item" else self.users

    def _neighbours(self, kind: str, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        points = self.items if kind == "item" else self.users
        itself = Csr(np.arange(len(rows) + 1, dtype=np.int64), rows.astype(np.int32))
        found, distances = top_k(points[rows], self._laid_out(kind), k, itself)
        return found, -distances

    def _liker(self, user: Any) -> Liker:
        row = self._one("user", self.user_ids, user)
        liked = self.seen.items[self.seen.indptr[row] : self.seen.indptr[row + 1]]
        if len(liked) == 0:
            raise UnknownIds("user", as_ids(user), "the model was not trained on them")
        return Liker(row, self.users[row], liked, np.ones(len(liked), dtype=np.float32))

    def _margins_at(self, user: int | None, item: int) -> tuple[float | None, float | None]:
        """Return m_u and n_v of two rows as training applies them; None where it has none."""
        return None, None

    def _shown_score(self, scores: np.ndarray) -> np.ndarray:
        return -scores


class Points(MetricSpace):
    """A metric space that is one table of rows, the users' first; a subclass sets `_points`."""

    config: Any
    _points: np.ndarray

    @property
    def users(self) -> np.ndarray:
        """Positions α, float32 (n_users, dim), in the order of `user_ids`."""
        return self._points[: len(self.user_ids), : self.config.dim]

    @property
    def items(self) -> np.ndarray:
        """Positions β, float32 (n_items, dim), in the order of `item_ids`."""
        return self._points[len(self.user_ids) :, : self.config.dim]

    def _tensors(self) -> dict[str, np.ndarray]:
        return {"users": self.users, "items": self.items}

    def _restore(self, tensors: Mapping[str, np.ndarray], where: str) -> None:
        expected = {
            "users": ((len(self.user_ids), self.config.dim), np.float32),
            "items": ((len(self.item_ids), self.config.dim), np.float32),
        }
        artifact.check(tensors, expected, where)
        self._points = padded_table(np.concatenate([tensors["users"], tensors["items"]]))
