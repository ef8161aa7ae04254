"""Finding users and items by what people type.

Words are found in any order, without regard to case, accents, punctuation and small words such as
"the" or "la". Where that finds nothing, one or two wrong letters a word are forgiven; numbers must
be right.
"""

import re
from collections.abc import Iterable
from functools import cached_property, reduce
from operator import and_

import numpy as np
import polars as pl
from rapidfuzz.distance import OSA
from rapidfuzz.process import cdist

from trimetric.data.ids import Vocabulary
from trimetric.data.near import near_ids
from trimetric.serve.items import ItemsTable

ENGLISH = {"a", "an", "the", "and", "of"}
GERMAN = {"der", "die", "das", "den", "dem", "ein", "eine", "und"}
ROMANCE = {"le", "la", "les", "l", "un", "une", "et", "el", "los", "las", "lo", "y", "de"}
OTHERS = {"il", "gli", "i", "e", "o", "os", "as", "het", "een"}
SMALL = ENGLISH | GERMAN | ROMANCE | OTHERS
"""Words that a search may have or lack: articles, and the like."""
LETTERS = {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th"}
LETTERS |= {"ı": "i", "’": "", "'": "", "ʼ": ""}
ACCENTS = "[\u0300-\u036f\u0591-\u05c7\u064b-\u0652]"
MOST_WORDS = 16  # of what is typed; further ones count for nothing
MOST_ORDERED = 5_000  # matches whose titles are read to put those named exactly first
FEW = 3


def folded(texts: pl.Series) -> pl.Series:
    """Return texts as they are compared: words in lower case without accents, a space around each.

    Examples
    --------
    >>> folded(pl.Series(["L'Été, à la Plage!"])).to_list()
    [' lete a la plage ']
    """
    plain = texts.cast(pl.String).fill_null("").str.normalize("NFKD")
    plain = plain.str.to_lowercase().str.normalize("NFKD")  # of "🄐", which is "(A)", too
    plain = plain.str.replace_all(ACCENTS, "")
    plain = plain.str.replace_many(list(LETTERS), list(LETTERS.values()))
    return " " + plain.str.replace_all(r"[^\p{L}\p{N}\p{M}]+", " ").str.strip_chars() + " "


def words_of(text: str) -> list[str]:
    """Return the words of what was typed, as `folded` has them."""
    return folded(pl.Series([text]))[0].split()


class Search:
    """Users and items in the order of how much is known of them, and their texts.

    Parameters
    ----------
    user_ids, item_ids : Vocabulary
    activity, popularity : int64 (n_users,), (n_items,)
    items : ItemsTable
        Its titles are searched too.
    """

    def __init__(
        self,
        ids: tuple[Vocabulary, Vocabulary],
        counts: tuple[np.ndarray, np.ndarray],
        items: ItemsTable,
    ) -> None:
        self._sides = [
            _Side(ids[0], counts[0], None),
            _Side(ids[1], counts[1], items.titles(ids[1].values)),
        ]

    def users(self, text: str, offset: int, limit: int) -> tuple[int, np.ndarray]:
        """Return how many users match, and the rows of one page of them, most active first."""
        return self._sides[0].page(text, offset, limit)

    def items(self, text: str, offset: int, limit: int) -> tuple[int, np.ndarray]:
        """Return how many items match, and the rows of one page of them.

        Those whose title or id is what was typed come first, then those that have it as a phrase;
        otherwise the most popular come first.
        """
        return self._sides[1].page(text, offset, limit)

    def near(self, kind: str, text: str, vocabulary: Vocabulary) -> list[int | str]:
        """Return a few ids that look like an unknown one, or whose title does."""
        near = near_ids(vocabulary, text.strip(), FEW)
        return near or vocabulary.decode(self._sides[kind == "item"].near(text)).to_list()


class _Side:
    def __init__(self, ids: Vocabulary, counts: np.ndarray, titles: pl.Series | None) -> None:
        known = np.flatnonzero(counts)
        self._order = known[np.argsort(-counts[known], kind="stable")]
        self._ids = ids.decode(self._order).cast(pl.String).str.to_lowercase()
        self._texts = folded(self._ids)
        self._shown, self._titles = self._ids, self._texts
        if titles is not None:
            self._shown = titles.gather(self._order).fill_null("")
            self._titles = folded(self._shown)
            self._texts = self._texts + self._titles

    def page(self, text: str, offset: int, limit: int) -> tuple[int, np.ndarray]:
        typed = text.strip().lower()
        matches = self._matches(typed) if typed else None
        rows = self._order if matches is None else self._order[matches]
        return len(rows), rows[offset : offset + limit]

    def near(self, text: str) -> np.ndarray:
        """Return places of what begins like a text."""
        for part in (text, text[:4], text[:2]):
            total, rows = self.page(part, 0, FEW) if part.strip() else (0, self._order[:0])
            if total:
                return rows
        return self._order[:0]

    def _matches(self, typed: str) -> np.ndarray:
        """Return places in the order, best first."""
        words = words_of(typed)
        literal = self._ids.str.contains(typed, literal=True)
        if not words:  # signs alone
            return (literal | self._shown.str.contains(typed, literal=True)).to_numpy().nonzero()[0]
        wanted = list(dict.fromkeys(_telling(words)))[:MOST_WORDS]
        phrase = self._has(" " + " ".join(words))
        found = literal | self._has(" ".join(words)) | self._all(f" {word}" for word in wanted)
        if not found.any():
            found = self._all(wanted)
        if not found.any():
            run = self._texts.str.replace_all(" ", "", literal=True)
            found = run.str.contains("".join(wanted), literal=True)
        if not found.any():
            return self._misspelt(wanted)
        places = found.to_numpy().nonzero()[0]
        tier = np.where(phrase.to_numpy()[places], 1, 2)
        if len(places) <= MOST_ORDERED:
            titles, ids = self._titles.gather(places), self._ids.gather(places)
            named = [
                own == typed or set(_telling(title.split())) == set(wanted)
                for own, title in zip(ids, titles, strict=True)
            ]
            tier[named] = 0
        return places[np.argsort(tier, kind="stable")]

    def _has(self, part: str) -> pl.Series:
        return self._texts.str.contains(part, literal=True)

    def _all(self, parts: Iterable[str]) -> pl.Series:
        return reduce(and_, (self._has(part) for part in parts))

    def _misspelt(self, words: list[str]) -> np.ndarray:
        """Return the places whose texts have each word, or one like it; fewest wrong letters first.

        The last word may be the beginning of one.
        """
        n, total = len(self._texts), np.zeros(len(self._texts), dtype=np.int32)
        for word in words:
            cost = np.full(n, 1000, dtype=np.int32)
            allowed = _typos(word)
            if allowed:
                known, indptr, places = self._words
                beginnings = [w[: len(word)] for w in known] if word is words[-1] else []
                far = cdist([word], known, scorer=OSA.distance, score_cutoff=allowed)[0]
                if beginnings:
                    begun = cdist([word], beginnings, scorer=OSA.distance, score_cutoff=allowed)[0]
                    far = np.minimum(far, begun)
                for code in sorted(np.flatnonzero(far <= allowed), key=lambda c: -int(far[c])):
                    cost[places[indptr[code] : indptr[code + 1]]] = far[code]
            cost[self._has(word).to_numpy()] = 0
            total += cost
        found = np.flatnonzero(total < 1000)
        return found[np.argsort(total[found], kind="stable")]

    @cached_property
    def _words(self) -> tuple[list[str], np.ndarray, np.ndarray]:
        """The words without digits, and the places of those that have each."""
        frame = pl.DataFrame({"word": self._texts.str.strip_chars().str.split(" ")})
        frame = frame.with_row_index("place").explode("word")
        frame = frame.filter(pl.col("word").str.contains(r"^[^\d]{3,}$")).unique()
        frame = frame.sort("word", "place")
        words = frame["word"].rle().struct.unnest()
        indptr = np.concatenate([[0], words["len"].to_numpy().cumsum()]).astype(np.int64)
        return words["value"].to_list(), indptr, frame["place"].to_numpy()


def _telling(words: list[str]) -> list[str]:
    return [word for word in words if word not in SMALL] or words


def _typos(word: str) -> int:
    """Return how many wrong letters a word may have; a word with digits must be right."""
    if re.search(r"\d", word):
        return 0
    return 0 if len(word) < 4 else 1 if len(word) < 6 else 2
