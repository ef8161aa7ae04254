"""What was read and what was left out."""

from __future__ import annotations

from dataclasses import dataclass, field

from trimetric.data.repeats import WORDS, Rule


@dataclass(frozen=True)
class ReadReport:
    """How many rows were read, and how many of them were left out and why.

    Attributes
    ----------
    rows_read : int
        Rows of the table, header not counted; where a row lists items, each of these.
    nulls : int
        Rows without a value, or with a rating that is not finite.
    zeros : int
        Explicit zeros of a sparse matrix.
    duplicates : int
        Repeats of a (user, item) pair.
    below_min_rating : int
        Rows rated below `min_rating`.
    below_core : int
        Interactions left out by `k_core`.
    zero_weights : int
        Rows of weight 0.
    events : int
        Rows of event types that `event_weights` leaves out.
    repeats : "latest", "first", "sum", "max" or "count"
        How repeated pairs were merged.
    across_parts : int
        Rows of pairs that an earlier part of the shipped split has.
    blank : int
        Rows of a text file that held separators only.
    empty_lists : int
        Rows whose list of items was empty.
    read_as : str
        The form of the file, as "csv; ';', utf-8 with BOM, header".
    notes : tuple of str
        What was decided about columns and values without being told.
    """

    rows_read: int
    nulls: int = 0
    zeros: int = 0
    duplicates: int = 0
    below_min_rating: int = 0
    below_core: int = 0
    zero_weights: int = 0
    events: int = 0
    repeats: Rule = "latest"
    across_parts: int = 0
    blank: int = 0
    empty_lists: int = 0
    read_as: str = field(default="", compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)

    def lines(self) -> list[str]:
        """Return a readable line for each count that is not zero, and for what was decided."""
        reasons = {
            "blank": "without any value, left out",
            "empty_lists": "empty lists of items, left out",
            "nulls": "without a value, left out",
            "zeros": "explicit zeros, left out",
            "below_min_rating": "below the least rating, left out",
            "zero_weights": "of weight 0, left out",
            "events": "of event types that do not count, left out",
            "across_parts": "of pairs that an earlier part of the split has, left out",
            "duplicates": WORDS[self.repeats],
            "below_core": "of users or items with too few, left out",
        }
        lines = [f"{self.rows_read:,} rows read"]
        lines += [f"read as {self.read_as}"] if self.read_as else []
        return [*lines, *self.notes] + [
            f"{getattr(self, name):,} {text}"
            for name, text in reasons.items()
            if getattr(self, name)
        ]
