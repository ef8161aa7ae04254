"""What is exported, and what every export's README says of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from trimetric._version import __version__
from trimetric.data.csr import Csr
from trimetric.data.ids import Vocabulary


def groups_of_users(seen: Csr, pairs: int) -> Iterator[np.ndarray]:
    """Return all rows of users, int64, in groups of about as many pairs; one at least."""
    ends = np.unique(np.searchsorted(seen.indptr, np.arange(0, len(seen.items) + pairs, pairs)))
    bounds = np.unique([0, *ends[ends <= seen.n_users].tolist(), seen.n_users])
    if len(bounds) < 2:
        yield np.zeros(0, dtype=np.int64)
    for low, high in pairwise(bounds.tolist()):
        yield np.arange(low, high)


CONTRACT = """
## What the order means

Users and items are points in one Euclidean space of {dim} dimensions. The items nearest to a user,
by plain L2 distance with the nearest first, are the recommendations in their order: no bias, no
weights, nothing else to add. Items at equal distance go by their id (numbers by value, text by its
UTF-8 bytes). Squared, a distance here is what `trimetric recommend` shows as `distance`.

Nothing is filtered{unavailable}. What each user was trained on is exported beside, so that a
server can leave it out, as `trimetric recommend` does by default. A user of whom nothing was seen
was not trained: that position means nothing.

Made by trimetric {version} from a model `{model}`: {items:,} items and {users:,} users.
"""


@dataclass(frozen=True)
class Space:
    """The points of a model whose nearest items are its recommendations.

    Parameters
    ----------
    items, users : float32 (n_items, dim), (n_users, dim)
    item_ids, user_ids : Vocabulary
    seen : Csr
        The items each user was trained on, by rows.
    model : str
        The model's name.
    unavailable : int
        How many items are marked as unavailable; the manifest names them.
    """

    items: np.ndarray
    users: np.ndarray
    item_ids: Vocabulary
    user_ids: Vocabulary
    seen: Csr
    model: str
    unavailable: int = 0

    def contract(self) -> str:
        """Say what the order means."""
        return CONTRACT.format(
            unavailable=f": {self.unavailable:,} items that are marked as unavailable are written"
            " too, and manifest.json names them, so that a server can leave them out"
            if self.unavailable
            else "",
            dim=self.items.shape[1],
            version=__version__,
            model=self.model,
            items=len(self.items),
            users=len(self.users),
        ).strip()
