"""The items a user never touched, uniform draws from them, and ranks among them."""

import numpy as np

from trimetric import counter
from trimetric.data.csr import Csr, keys
from trimetric.errors import Diverged
from trimetric.evaluation.ranker import Ranker

STREAM = 0xCA4D  # keeps these draws apart from others made with the same seed


class Untouched:
    """The items without any interaction with a user, numbered from 0 in item order.

    Parameters
    ----------
    touched : Csr
        All interactions of every user.
    n_items : int
        Size of the catalogue.
    """

    def __init__(self, touched: Csr, n_items: int) -> None:
        self.n_items = n_items
        self.counts = n_items - touched.counts
        """int64[n_users], how many each user has."""
        # The j-th item a user touched has item - j untouched ones before it. So the untouched item
        # number p is p + #{j : item_j - j <= p}, which one search in ascending keys answers.
        users = touched.users
        before = touched.items - (np.arange(len(users)) - touched.indptr[users])
        self._before, self._indptr = keys(users, before), touched.indptr

    def items(self, users: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Return the items with these numbers (int64[u, n], ascending in a row), int32[u, n].

        Where a user has no item of that number, the size of the catalogue stands.
        """
        owner = np.broadcast_to(users[:, None], numbers.shape)
        passed = np.searchsorted(self._before, keys(owner, numbers), side="right")
        items = numbers + passed - self._indptr[owner]
        return np.where(numbers < self.counts[owner], items, self.n_items).astype(np.int32)

    def first(self, users: np.ndarray, n: int) -> np.ndarray:
        """Return the first n items of each user, int32[len(users), min(n, n_items)]."""
        numbers = np.arange(min(n, self.n_items))
        return self.items(users, np.broadcast_to(numbers, (len(users), len(numbers))))


class CandidateDraw:
    """Draws up to n of each user's untouched items, a pure function of (seed, user's number).

    Parameters
    ----------
    touched : Csr
        All interactions of every user, which are never drawn.
    n_items : int
        Size of the catalogue.
    n : int
        How many to draw; a user with fewer untouched items gets all of them.
    seed : int
        Names the draw.
    numbers : int64[n_users], optional
        The users' numbers; their rows unless given.
    unlearned : int32[c], optional
        Items that are drawn for nobody, as those without training interactions.
    """

    def __init__(
        self,
        touched: Csr,
        n_items: int,
        n: int,
        seed: int,
        numbers: np.ndarray | None = None,
        unlearned: np.ndarray | None = None,
    ) -> None:
        learned = np.ones(n_items, dtype=bool)
        if unlearned is not None:
            learned[unlearned] = False
        self._learned = np.flatnonzero(learned)
        self.n_items, self.n = n_items, min(n, len(self._learned))
        self._key = counter.key(seed, STREAM)
        self._untouched = Untouched(_among(touched, learned), len(self._learned))
        self._numbers = numbers

    def draw(self, users: np.ndarray) -> np.ndarray:
        """Return int32[len(users), at most n].

        Each row ascends, and is filled up with `n_items` if it is short.
        """
        pool = self._untouched.counts[users]
        places = np.full((len(users), self.n), self.n_items, dtype=np.int64)
        # With most of the pool wanted, drawing until enough are distinct would take long.
        dense = pool < 2 * self.n
        if dense.any():
            places[dense] = self._shuffle(users[dense], pool[dense])
        if not dense.all():
            places[~dense] = self._first_distinct(users[~dense], pool[~dense])
        places.sort(axis=1)
        rows = np.append(self._learned, self.n_items).astype(np.int32)
        return rows[self._untouched.items(users, places)]

    def _bits(self, users: np.ndarray, n: int) -> np.ndarray:
        return counter.bits(self._key, self._places(users, n))

    def _places(self, users: np.ndarray, n: int) -> np.ndarray:
        """Return where in the stream of random numbers the first n of each user stand."""
        numbers = users if self._numbers is None else self._numbers[users]
        return keys(numbers[:, None], np.arange(n))

    def _shuffle(self, users: np.ndarray, pool: np.ndarray) -> np.ndarray:
        """Take the first n places of a random order of each pool."""
        width = max(int(pool.max()), self.n)
        drawn = self._bits(users, width)
        beyond = np.arange(width) >= pool[:, None]
        drawn[beyond] = np.uint64(2**64 - 1)
        order = np.argsort(drawn, axis=1, kind="stable")[:, : self.n]
        return np.where(np.arange(self.n) < pool[:, None], order, self.n_items)

    def _first_distinct(self, users: np.ndarray, pool: np.ndarray) -> np.ndarray:
        """Take the first n distinct of a row of draws with replacement, made as long as needed."""
        places = np.empty((len(users), self.n), dtype=np.int64)
        todo = np.arange(len(users))
        length = self.n + self.n // 2 + 8  # at half the pool, n ln 4 = 1.39 n are expected
        while len(todo):
            drawn = counter.uniform(self._key, self._places(users[todo], length))
            drawn = (drawn * pool[todo, None]).astype(np.int64)
            first = _first_of_each(drawn)
            count = np.cumsum(first, axis=1)
            done = count[:, -1] >= self.n
            first &= (count <= self.n) & done[:, None]
            places[todo[done]] = drawn[first].reshape(-1, self.n)
            todo, length = todo[~done], length * 2
        return places


def _among(lists: Csr, learned: np.ndarray) -> Csr:
    """Return lists as numbers of the learned items (bool[n_items]), from 0, without the others."""
    number = np.cumsum(learned, dtype=np.int32) - 1
    kept = lists.keep(learned[lists.items])
    return Csr(kept.indptr, number[kept.items])


def _first_of_each(rows: np.ndarray) -> np.ndarray:
    """Mark where a value stands for the first time in its row; int64[u, t] -> bool[u, t]."""
    ordered = np.sort(rows << 32 | np.arange(rows.shape[1]), axis=1)
    new = np.ones(rows.shape, dtype=bool)
    new[:, 1:] = np.diff(ordered >> 32, axis=1) != 0
    marked = np.empty(rows.shape, dtype=bool)
    np.put_along_axis(marked, ordered & 0xFFFFFFFF, new, axis=1)
    return marked


def rank_together(
    scorer: Ranker, users: np.ndarray, held: Csr, candidates: np.ndarray
) -> np.ndarray:
    """Rank each user's held-out items among themselves and the candidates of their row.

    Parameters
    ----------
    users : int32[u]
        User rows, few enough that u * n scores fit in memory.
    held : Csr
        Held-out items of these u users.
    candidates : int32[u, n]
        Item rows, filled up with the size of the catalogue.

    Returns
    -------
    int64[len(held.items)]
        Ranks from 1; equal scores by item row.

    Raises
    ------
    Diverged
        A score is NaN.
    """
    row, items = held.users, held.items
    scores = _scores(scorer, users[row], items)
    table = np.full(candidates.shape, -np.inf, dtype=np.float32)
    real = candidates < scorer.n_items
    table[real] = _scores(scorer, np.repeat(users, real.sum(axis=1)), candidates[real])
    above = np.empty(len(items), dtype=np.int64)
    for start in range(0, len(items), 1024):
        part = slice(start, start + 1024)
        rivals, score = table[row[part]], scores[part, None]
        tied_before = (rivals == score) & (candidates[row[part]] < items[part, None])
        above[part] = ((rivals > score) | tied_before).sum(axis=1)
    return above + _place_among_own(held, scores)


def _scores(scorer: Ranker, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    scores = np.asarray(scorer.score(users, items), dtype=np.float32)
    if np.isnan(scores).any():
        raise Diverged("the model's scores contain NaN; train it again with a smaller lr")
    return scores


def _place_among_own(held: Csr, scores: np.ndarray) -> np.ndarray:
    """Rank each held-out item, from 1, among those of the same user."""
    order = np.lexsort((held.items, -scores, held.users))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return place - held.indptr[held.users] + 1
