"""Ranks among the items that a model was trained on.

A model in memory has rows of items that only the other parts of a split have; one that was trained
on the files of the same split has not. Such items are no candidates, so that both are measured
alike.
"""

from typing import NamedTuple

import numpy as np

from trimetric.data.csr import Csr
from trimetric.errors import ParameterError
from trimetric.evaluation.ranker import Ranker

ENTRIES_AT_ONCE = 1 << 24  # of lists that are made for a block of users


class FullRanks(NamedTuple):
    """Ranks of held-out items, and among how many.

    Parameters
    ----------
    ranks : int32 (len(held.items),)
    n_candidates : int64, one for each user with held-out items
    """

    ranks: np.ndarray
    n_candidates: np.ndarray


def full_ranks(scorer: Ranker, held: Csr, excluded: Csr, unlearned: np.ndarray) -> FullRanks:
    """Rank held-out items among all items but those excluded, and those of no training interaction.

    Parameters
    ----------
    scorer : Ranker
    held, excluded : Csr
        Of the scorer's users; no held-out pair is excluded.
    unlearned : int32 (c,), ascending
        Rows of items that nobody has in the training data; none of them is held out.
    """
    users = np.flatnonzero(held.counts)
    if len(unlearned) == 0:
        counts = scorer.n_items - excluded.counts[users]
        return FullRanks(_ranks(scorer, held, excluded), counts)
    ranks, n_candidates = [], []
    size = max(1, ENTRIES_AT_ONCE // len(unlearned))
    for low in range(0, len(users), size):
        block = users[low : low + size]
        mine = np.zeros(held.n_users, dtype=bool)
        mine[block] = True
        indptr = np.concatenate([[0], np.cumsum(mine)]) * len(unlearned)
        lists = Csr(indptr.astype(np.int64), np.tile(unlearned, len(block)).astype(np.int32))
        hidden = lists.union(excluded.keep(mine[excluded.users]))
        ranks.append(_ranks(scorer, held.keep(mine[held.users]), hidden))
        n_candidates.append(scorer.n_items - hidden.counts[block])
    return FullRanks(np.concatenate(ranks), np.concatenate(n_candidates))


def _ranks(scorer: Ranker, held: Csr, excluded: Csr) -> np.ndarray:
    """Return the ranks that a scorer gives, which may be somebody else's: metrics trust them."""
    ranks = np.asarray(scorer.ranks(held, excluded))
    told = f"ranks of {type(scorer).__name__}"
    if ranks.shape != held.items.shape or ranks.dtype.kind not in "iu":
        raise ParameterError(
            f"{told} gave {ranks.dtype} of shape {ranks.shape}; it must be a whole number for each"
            f" of {held.items.shape[0]:,} held-out items"
        )
    best, worst = int(ranks.min(initial=1)), int(ranks.max(initial=1))
    if best < 1 or worst > scorer.n_items:
        found = best if best < 1 else worst
        raise ParameterError(f"{told} gave {found}; a rank is in 1..{scorer.n_items:,}")
    keys = np.sort(held.users.astype(np.int64) << 32 | ranks)
    if (keys[1:] == keys[:-1]).any():
        raise ParameterError(f"{told} gave one rank to two items of a user; ranks differ")
    return ranks
