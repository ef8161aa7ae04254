"""What all files of a log together decide: kinds of ids, what is refused, what is reported."""

from collections.abc import Sequence
from typing import Any

from trimetric.data import readers
from trimetric.data.batches import Counts
from trimetric.data.clean import warn_of_null_words
from trimetric.data.report import ReadReport
from trimetric.data.rules import Rules
from trimetric.data.seen import Seen
from trimetric.data.times import refuse_dates
from trimetric.data.weighting import EVENTS_COUNT
from trimetric.errors import DataError


def refuse_differing(first: dict[str, Any], other: dict[str, Any]) -> None:
    """Refuse two files that differ in format, columns, or kinds of values.

    Parameters
    ----------
    first, other : dict
        Of `spill`: file, format, kinds and columns by role.
    """
    if other["format"] != first["format"]:
        raise DataError(
            f"{first['file']} and others are {first['format']} and {other['format']}; read files of"
            " one format at a time"
        )
    for role in {**first["kinds"], **other["kinds"]}:
        kinds = [one["kinds"].get(role) for one in (other, first)]
        if kinds[0] != kinds[1]:
            said = [
                f"{kind} in column {one['columns'][role]!r}" if kind else "no such column"
                for one, kind in zip((other, first), kinds, strict=True)
            ]
            raise DataError(
                f"{other['file']} does not fit {first['file']}: for {role} it has {said[0]}, and"
                f" that has {said[1]}; write them alike, or prepare one of them"
            )


class LogFacts:
    """What the tasks of the first pass found.

    Parameters
    ----------
    results : sequence of dict
        Of `spill`.
    rules : Rules
    source : str
        What errors call the log.
    """

    def __init__(self, results: Sequence[dict[str, Any]], rules: Rules, source: str) -> None:
        self.rules, self.source = rules, source
        self.counts, self.seen = Counts(), Seen()
        self.forms: list[dict[str, Any]] = []
        for result in results:
            self.counts.add(Counts(**result["counts"]))
            self.seen.add(Seen.from_json(result["seen"]))
            self.forms += result["forms"]

    @property
    def as_text(self) -> dict[str, str]:
        """The ids that are text in some text file, {"user" or "item": "text"}."""
        return {role: kind for role, kind in self.seen.ids.items() if kind == "text"}

    @property
    def columns(self) -> dict[str, str]:
        """{role: column}, of the last file."""
        return self.forms[-1]["columns"]

    @property
    def weighted(self) -> bool:
        """Whether rows have weights."""
        return "weight" in self.columns or "event" in self.columns

    @property
    def kinds(self) -> dict[str, str]:
        """{"user" and "item": "int" or "str"}."""
        found = {}
        for role in ("user", "item"):
            kind = self.seen.ids.get(role)
            if kind is None:
                kind = self.forms[0]["kinds"][role].removeprefix(readers.LISTS_OF)
            found[role] = "int" if kind in ("whole", "point", "number") else "str"
        return found

    def check_forms(self) -> None:
        """Refuse files that differ in format, columns, or kinds of values."""
        for other in self.forms[1:]:
            refuse_differing(self.forms[0], other)

    def check_values(self) -> None:
        """Refuse what `Interactions.read` refuses by all rows, and warn of ids such as NULL."""
        counts, source, rules = self.counts, self.source, self.rules
        if not counts.rows:
            raise DataError(f"{source} has no rows; it needs at least one interaction")
        if counts.nulls == counts.rows:
            raise DataError(f"{source}: none of {counts.rows:,} rows holds a whole interaction")
        for role, kinds in self.seen.numbers.items():
            if len(kinds) > 1:
                raise DataError(
                    f"{self._where(role)} holds true or false in some rows and numbers in others;"
                    f" {role}s must be numbers; {role}=False ignores the column"
                )
        if len(self.seen.times) > 1:
            raise DataError(
                f"{self._where('timestamp')} holds numbers in some rows and dates in others; write"
                " them alike; timestamp=False ignores the column"
            )
        if self.seen.patterns:
            refuse_dates(self.seen.example, self.seen.patterns[0], self._where("timestamp"))
        left = counts.rows - counts.nulls - counts.below_min_rating
        if not left:
            raise DataError(
                f"{source}: no rating reaches min_rating={rules.min_rating:g};"
                f" the highest is {counts.highest:g}"
            )
        if left == counts.events:
            raise DataError(f"{source}: none of {left:,} rows {EVENTS_COUNT}")
        if left == counts.zero_weights:
            raise DataError(
                f"{source}: none of {left:,} rows has a weight above 0 in column {rules.weight!r}"
            )
        for role, kind in self.kinds.items():
            if kind == "str":
                warn_of_null_words(self._where(role), self.seen.null_words.get(role, {}))

    def _where(self, role: str) -> str:
        return f"{self.source}: column {self.columns.get(role, role)!r}"

    def report(self, duplicates: int) -> ReadReport:
        """Return what was read and what was left out."""
        counts = self.counts
        notes = (*self.rules.recognised(self.columns), *counts.notes)
        return ReadReport(
            rows_read=counts.rows,
            nulls=counts.nulls,
            duplicates=duplicates,
            below_min_rating=counts.below_min_rating,
            zero_weights=counts.zero_weights,
            events=counts.events,
            repeats=self.rules.merging(self.weighted),
            blank=counts.blank,
            empty_lists=counts.empty_lists,
            read_as=self.forms[0]["described"],
            notes=notes,
        )
