"""What batches of a table show, where only all of its rows decide how values are meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


class Mixed(Exception):
    """Ids of a text file that are whole numbers in some batches and not in others.

    Parameters
    ----------
    role : str
        "user" or "item".
    """

    def __init__(self, role: str) -> None:
        super().__init__(role)
        self.role = role


@dataclass
class Seen:
    """What the batches so far showed.

    Attributes
    ----------
    ids : dict
        {"user" or "item": "whole", "point" or "text"}: how the ids of text files are read, as whole
        numbers, as whole numbers with .0 behind them, or as text; absent while all are missing.
    null_words : dict
        {"user" or "item": {word: rows}}: ids that usually stand for a missing value.
    numbers : dict
        {"rating" or "weight": of "numbers" and "truth"}: what the column of a text file holds.
    times : set
        Of "numbers" and "dates": what the times of a text file are.
    patterns : list of str, or None
        By which all times may be dates; None before any time.
    example : str
        One of these times.
    """

    ids: dict[str, str] = field(default_factory=dict)
    null_words: dict[str, dict[str, int]] = field(default_factory=dict)
    numbers: dict[str, set[str]] = field(default_factory=dict)
    times: set[str] = field(default_factory=set)
    patterns: list[str] | None = None
    example: str = ""

    def words(self, role: str, found: Mapping[str, int]) -> None:
        """Add the rows of words that usually stand for a missing value."""
        counts = self.null_words.setdefault(role, {})
        for word, rows in found.items():
            counts[word] = counts.get(word, 0) + rows

    def may_be_dates(self, patterns: Iterable[str], example: str) -> None:
        """Keep the patterns by which these times too may be dates."""
        before = self.patterns
        self.patterns = [p for p in patterns if before is None or p in before]
        self.example = self.example or example

    def add(self, other: Seen) -> None:
        """Add what batches of other files showed; ids that differ in kind become text."""
        for role, kind in other.ids.items():
            self.ids[role] = kind if self.ids.get(role, kind) == kind else "text"
        for role, found in other.null_words.items():
            self.words(role, found)
        for role, kinds in other.numbers.items():
            self.numbers.setdefault(role, set()).update(kinds)
        self.times |= other.times
        if other.patterns is not None:
            self.may_be_dates(other.patterns, other.example)

    def to_json(self) -> dict[str, Any]:
        """Return the attributes as JSON values."""
        numbers = {role: sorted(kinds) for role, kinds in self.numbers.items()}
        return vars(self) | {"numbers": numbers, "times": sorted(self.times)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Seen:
        """Rebuild from `to_json`."""
        numbers = {role: set(kinds) for role, kinds in values["numbers"].items()}
        return cls(**{**values, "numbers": numbers, "times": set(values["times"])})
