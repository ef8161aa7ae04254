"""Finding users and items by what people type."""

import numpy as np
import polars as pl

from trimetric.data.ids import Vocabulary
from trimetric.serve.items import ItemsTable


class Search:
    """Users and items in the order of how much is known of them, and their texts in lower case.

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
        """Return how many items match, and the rows of one page of them, most popular first."""
        return self._sides[1].page(text, offset, limit)

    def near(self, kind: str, text: str, vocabulary: Vocabulary) -> list[int | str]:
        """Return a few ids that look like an unknown one, or whose title does."""
        side = self._sides[kind == "item"]
        for part in (text, text[:4], text[:2]):
            if part.strip():
                total, rows = side.page(part, 0, 3)
                if total:
                    return vocabulary.decode(rows).to_list()
        return []


class _Side:
    def __init__(self, ids: Vocabulary, counts: np.ndarray, titles: pl.Series | None) -> None:
        known = np.flatnonzero(counts)
        self._order = known[np.argsort(-counts[known], kind="stable")]
        self._texts = [ids.decode(self._order).cast(pl.String).str.to_lowercase()]
        if titles is not None:
            self._texts.append(titles.gather(self._order).str.to_lowercase().fill_null(""))

    def page(self, text: str, offset: int, limit: int) -> tuple[int, np.ndarray]:
        matches = self._order
        if query := text.strip().lower():
            hits = self._texts[0].str.contains(query, literal=True)
            for more in self._texts[1:]:
                hits = hits | more.str.contains(query, literal=True)
            matches = matches[hits.to_numpy()]
        return len(matches), matches[offset : offset + limit]
