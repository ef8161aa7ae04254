"""A bookshop that never was: made-up readers who take made-up books, with titles one can judge.

Equal to the last bit on every machine: only draws of `trimetric.counter` and whole numbers are
used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from trimetric import counter
from trimetric.data.bookshop_words import FIRST_NAMES, LAST_NAMES, SHELVES
from trimetric.data.interactions import Interactions
from trimetric.keywords import check_seed

N_READERS = 1500
BOOKSHOP = 203

_PER_SHELF, _PER_AUTHOR = 20, 4
_FIRST_DAY, _DAYS, _DAY = 1_672_531_200, 730, 86_400  # from 1 January 2023, UTC
_MAIN, _SECOND, _THIRD, _SAME_GENRE, _ANY = 42, 26, 24, 5, 1
_FAVOURITE = 4  # times as likely as another author of the shelf


@dataclass(frozen=True, eq=False)
class Bookshop:
    """Generated loans of books, the books, and the tastes that the loans were drawn from.

    Attributes
    ----------
    interactions : Interactions
        Of readers "reader-0001", ... and books "B0001", ..., with timestamps in 2023 and 2024.
    items : polars.DataFrame
        One row a book, in the order of its id: item, title, genre, shelf (a part of the genre),
        author, year (Int64) and price (Float64).
    tastes : int64[n_readers, 3]
        The numbers of the shelves, in the order of `shelves`, that each reader likes: most, a
        second one of the same genre, and one of another genre.
    shelves : tuple of str
        The names of the 40 shelves, four to a genre.
    """

    interactions: Interactions
    items: pl.DataFrame
    tastes: np.ndarray
    shelves: tuple[str, ...]

    @property
    def titles(self) -> dict[str, str]:
        """The title of each book by its id."""
        return dict(zip(self.items["item"], self.items["title"], strict=True))


def bookshop(seed: int = 0) -> Bookshop:
    """Generate the loans of a bookshop: 1,500 readers, 800 books and about 60,000 pairs.

    Everything is made up: books, authors and readers. The books stand on 40 shelves, four to each
    of ten genres, twenty books to a shelf, four to an author. A reader takes 12 to 96 books, drawn
    without replacement. A book is the likelier the more popular it is on its shelf (the book of
    rank r has 600 // (3 + r) parts), and times 42, 26 or 24 on the three shelves that the reader
    likes, 5 elsewhere in their genres, and 1 on all other shelves; a favourite author on each liked
    shelf counts four times.

    Parameters
    ----------
    seed : int
        Draws other tastes and loans; the books and their ids stay as they are.

    Returns
    -------
    Bookshop

    Raises
    ------
    ParameterError
        The seed is no whole number.
    """
    seed = check_seed(seed)
    shelf, within = _placed()
    popularity = 600 // (3 + within)
    tastes, favourites = _tastes(seed)
    genre = np.arange(len(SHELVES)) // 4
    users, items = [], []
    for reader in range(N_READERS):
        liked = tastes[reader]
        weight = np.full(len(SHELVES), _ANY, dtype=np.int64)
        weight[np.isin(genre, genre[liked])] = _SAME_GENRE
        weight[liked] = (_MAIN, _SECOND, _THIRD)
        of_book = popularity * weight[shelf]
        authors = within % (_PER_SHELF // _PER_AUTHOR)
        for taste, author in zip(liked, favourites[reader], strict=True):
            of_book[(shelf == taste) & (authors == author)] *= _FAVOURITE
        taken = _drawn(of_book, _count(seed, reader), counter.key(seed, BOOKSHOP, 1, reader))
        users.append(np.full(len(taken), reader))
        items.append(taken)
    rows, columns = np.concatenate(users), np.concatenate(items)
    frame = pl.DataFrame(
        {
            "user": pl.Series([f"reader-{row + 1:04}" for row in range(N_READERS)]).gather(rows),
            "item": pl.Series(_ids()).gather(columns),
            "timestamp": _times(seed, rows),
        }
    )
    loans = Interactions.from_frame(frame, name="bookshop")
    return Bookshop(loans, books(), tastes, tuple(one.name for one in SHELVES))


def books() -> pl.DataFrame:
    """Return the books of `bookshop`: item, title, genre, shelf, author, year and price."""
    shelf, within = _placed()
    n = len(shelf)
    titles, author_names = _titles(), _authors()
    age = counter.uniform(counter.key(BOOKSHOP, 11), np.arange(n))
    steps = counter.bits(counter.key(BOOKSHOP, 12), np.arange(n)) % np.uint64(50)
    authors = shelf * (_PER_SHELF // _PER_AUTHOR) + within % (_PER_SHELF // _PER_AUTHOR)
    return pl.DataFrame(
        {
            "item": _ids(),
            "title": [titles[s][w] for s, w in zip(shelf, within, strict=True)],
            "genre": [SHELVES[s].genre for s in shelf],
            "shelf": [SHELVES[s].name for s in shelf],
            "author": [author_names[author] for author in authors],
            "year": 2022 - (age * age * 70).astype(np.int64),
            "price": (499 + 50 * steps.astype(np.int64)) / 100,
        }
    )


def _ids() -> list[str]:
    return [f"B{row + 1:04}" for row in range(len(SHELVES) * _PER_SHELF)]


def _placed() -> tuple[np.ndarray, np.ndarray]:
    """Return the shelf of each book and its popularity rank there, int64, in the order of ids."""
    places = counter.permutation(counter.key(BOOKSHOP, 10), len(SHELVES) * _PER_SHELF)
    return places // _PER_SHELF, places % _PER_SHELF


def _titles() -> list[list[str]]:
    """Return the titles of each shelf: each subject once, the patterns in turn."""
    titles = []
    for number, shelf in enumerate(SHELVES):
        order = counter.permutation(counter.key(BOOKSHOP, 13, number), _PER_SHELF)
        patterns = counter.permutation(counter.key(BOOKSHOP, 14, number), _PER_SHELF)
        titles.append(
            [
                shelf.patterns[pattern % len(shelf.patterns)].format(shelf.subjects[subject])
                for pattern, subject in zip(patterns, order, strict=True)
            ]
        )
    return titles


def _authors() -> list[str]:
    """Return a name for each author, five to a shelf; no name occurs twice."""
    n = len(SHELVES) * (_PER_SHELF // _PER_AUTHOR)
    pairs = counter.permutation(counter.key(BOOKSHOP, 15), len(FIRST_NAMES) * len(LAST_NAMES))[:n]
    return [
        f"{FIRST_NAMES[pair % len(FIRST_NAMES)]} {LAST_NAMES[pair // len(FIRST_NAMES)]}"
        for pair in pairs
    ]


def _tastes(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the three shelves that each reader likes, and the favourite author on each."""
    readers = np.arange(N_READERS)

    def below(n: int, stream: int) -> np.ndarray:
        drawn = counter.bits(counter.key(seed, BOOKSHOP, 2, stream), readers)
        return (drawn % np.uint64(n)).astype(np.int64)

    genres = len(SHELVES) // 4
    genre, first = below(genres, 0), below(4, 1)
    second = (first + 1 + below(3, 2)) % 4
    other = (genre + 1 + below(genres - 1, 3)) % genres
    tastes = np.stack([genre * 4 + first, genre * 4 + second, other * 4 + below(4, 4)], axis=1)
    authors = _PER_SHELF // _PER_AUTHOR
    return tastes, np.stack([below(authors, stream) for stream in (5, 6, 7)], axis=1)


def _count(seed: int, reader: int) -> int:
    """Return how many books a reader takes: 12 to 96, mostly few."""
    even = counter.uniform(counter.key(seed, BOOKSHOP, 3), np.array([reader]))[0]
    return 12 + int(even * even * 85)


def _drawn(weights: np.ndarray, n: int, key: np.uint64) -> np.ndarray:
    """Draw n distinct books with chances in proportion to whole weights, in the order drawn."""
    ends = np.cumsum(weights)
    total, draws = np.uint64(ends[-1]), 4 * n
    while True:
        numbers = (counter.bits(key, np.arange(draws)) % total).astype(np.int64)
        found = np.searchsorted(ends, numbers, side="right")
        _, first = np.unique(found, return_index=True)
        if len(first) >= n:
            return found[np.sort(first)[:n]]
        draws *= 2


def _times(seed: int, readers: np.ndarray) -> np.ndarray:
    """Return when each loan began: evenly from the reader's first day, of the first 500, on."""
    every = np.arange(N_READERS)
    joined = counter.bits(counter.key(seed, BOOKSHOP, 4), every) % np.uint64(500 * _DAY)
    start = joined.astype(np.int64)[readers]
    drawn = counter.bits(counter.key(seed, BOOKSHOP, 5), np.arange(len(readers)))
    left = (_DAYS * _DAY - start).astype(np.uint64)
    return _FIRST_DAY + start + (drawn % left).astype(np.int64)
