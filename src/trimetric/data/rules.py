"""How to read a table: which columns, and what to do with imperfect rows."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

from trimetric.data import names
from trimetric.data.repeats import ALIASES, RULES, Rule
from trimetric.data.weighting import check_event_weights
from trimetric.errors import DataError, ParameterError
from trimetric.keywords import is_number, is_one_of

ROLES = ("user", "item", "rating", "timestamp", "split", "weight", "event")
Column = str | Literal[False] | None


class RuleOptions(TypedDict, total=False):
    """The fields of `Rules` as keyword arguments, for type checkers."""

    user: str | None
    item: str | None
    rating: Column
    timestamp: Column
    split: Column
    weight: Column
    event: Column
    event_weights: Mapping[str, float | str] | None
    min_rating: float | None
    nulls: Literal["error", "drop"]
    duplicates: Literal["last", "error"]
    repeats: Rule | None


@dataclass(frozen=True)
class Rules:
    """How to read a table: which columns, and what to do with imperfect rows.

    Attributes
    ----------
    user, item : str or None
        The columns of the ids; None takes the column of that name, or else the one whose name
        usually means it, such as userId or product_id. Where an item is a list, each of its
        entries is a row.
    rating, timestamp, split : str, None or False
        A column that must exist; None takes the column of that name if there is one; False
        ignores it.
    weight : str, None or False
        A column of numbers: how much each row counts. It is only taken when it is named here, and
        may be the column of the ratings.
    event : str, None or False
        A column of event types, which `event_weights` turns into weights.
    event_weights : mapping, optional
        {event type: weight above 0}; 0 or "drop" leaves the rows of that type out. The column is
        then "event" unless `event` names another.
    min_rating : float or None
        Keep only interactions rated at least this.
    nulls : "error" or "drop"
        What to do with rows that lack a value or whose rating is not finite.
    duplicates : "last" or "error"
        Whether a (user, item) pair may be repeated.
    repeats : "latest" (or "last"), "first", "sum", "max", "count" or None
        How the rows of a repeated pair become one: the latest by timestamp, or without timestamps
        the last row; the first; or the latest with the sum or the largest of the weights, or with
        the number of rows. Without weights, "sum" counts the rows too. None is "sum" with
        weights and "latest" without.
    drop_zeros : bool
        Whether a rating of 0 means that there was no interaction.
    """

    user: str | None = None
    item: str | None = None
    rating: Column = None
    timestamp: Column = None
    split: Column = None
    weight: Column = None
    event: Column = None
    event_weights: Mapping[str, float | str] | None = None
    min_rating: float | None = None
    nulls: Literal["error", "drop"] = "error"
    duplicates: Literal["last", "error"] = "last"
    repeats: Rule | None = None
    drop_zeros: bool = False

    def __post_init__(self) -> None:
        for role in ROLES:
            _check_column(role, getattr(self, role))
        for name, allowed in (("nulls", ("error", "drop")), ("duplicates", ("last", "error"))):
            if not is_one_of(getattr(self, name), allowed):
                raise ParameterError(
                    f"{name} must be one of {allowed}, got {getattr(self, name)!r}"
                )
        if self.min_rating is not None and not is_number(self.min_rating):
            raise ParameterError(f"min_rating must be a finite number, got {self.min_rating!r}")
        if self.repeats is not None and not is_one_of(self.repeats, (*RULES, *ALIASES)):
            keep = is_one_of(self.repeats, ("keep",))
            hint = "; keep goes with temporal splits" if keep else ""
            raise ParameterError(
                f"repeats must be one of {RULES} or None, got {self.repeats!r}{hint}"
            )
        if self.event_weights is not None:
            check_event_weights(self.event_weights)
            if self.weight not in (None, False):
                raise ParameterError("give weight or event_weights, not both")
            if self.event is False:
                raise ParameterError("event_weights needs the event column; leave event=False out")

    def merging(self, weights: bool) -> Rule:
        """Return how to merge repeats in data with or without weights."""
        if self.repeats == "max" and not weights:
            raise ParameterError("repeats='max' needs weights; give weight= or event_weights=")
        if self.repeats is None:
            return "sum" if weights else "latest"
        return ALIASES.get(self.repeats, self.repeats)

    def columns(self, existing: Sequence[str], source: str, call: str = "{}") -> dict[str, str]:
        """Return {role: column} for the roles to read from a table that has these columns.

        Parameters
        ----------
        existing : sequence of str
        source : str
            How errors call the table.
        call : str
            How errors write the argument that names a column.

        Raises
        ------
        DataError
            If a column that must exist is missing, or one column has two roles.
        """
        columns: dict[str, str] = {}
        for role in ROLES:
            column = getattr(self, role)
            if column is None:
                column = self._usual(role, existing, source)
            wanted = self.event_weights is not None if role == "event" else role != "weight"
            optional = role not in ("user", "item")
            if column is False or (
                optional and column is None and not (wanted and role in existing)
            ):
                if role == "event" and self.event_weights is not None:
                    raise DataError(_missing(role, role, existing, source, call))
                continue
            column = role if column is None or column is True else column
            if column not in existing:
                raise DataError(_missing(role, column, existing, source, call))
            if column in (c for r, c in columns.items() if (r, role) != ("rating", "weight")):
                raise DataError(f"{source}: column {column!r} is given two roles; name another one")
            columns[role] = column
        if self.min_rating is not None and "rating" not in columns:
            raise DataError(
                f"{source}: min_rating={self.min_rating:g} needs a rating column and there is none;"
                f" columns: {_listed(existing)}; name it with rating=, or leave min_rating out"
            )
        return columns

    def recognised(self, columns: Mapping[str, str]) -> list[str]:
        """Describe the columns that were taken by what their names usually mean."""
        return [
            f"{role}s from column {column!r}"
            for role, column in columns.items()
            if getattr(self, role) is None and column != role
        ]

    def _usual(self, role: str, existing: Sequence[str], source: str) -> str | None:
        """Return the column whose name usually means a role; None if there is none."""
        if role in existing or role not in names.USUAL:
            return None
        found = names.candidates(role, existing)
        if len(found) > 1:
            shown = " or ".join(repr(name) for name in found)
            raise DataError(
                f"{source} has no column {role!r}; it may be {shown}: say which with {role}="
            )
        return found[0] if found else None


def _check_column(role: str, column: object) -> None:
    required = role in ("user", "item")
    if isinstance(column, str) or column is None or (isinstance(column, bool) and not required):
        return
    other = "" if required else ", or False to ignore it"
    raise ParameterError(
        f"{role} must be the name of a column{other}; got"
        f" {' '.join(repr(column).split())[:60]} ({type(column).__name__})"
    )


def _missing(role: str, column: str, existing: Sequence[str], source: str, call: str) -> str:
    lowered = {name.casefold(): name for name in existing}
    near = difflib.get_close_matches(column.casefold(), lowered, n=1, cutoff=0.5)
    argument = call.format(f"{role}={lowered[near[0]]!r}" if near else f"{role}=")
    hint = f"; did you mean {argument}?" if near else f"; name it with {argument}"
    return f"{source} has no column {column!r}; columns: {_listed(existing)}{hint}"


def _listed(columns: Sequence[str]) -> str:
    shown = ", ".join(repr(c if len(c) <= 40 else c[:40] + "...") for c in columns[:20])
    return shown + (", ..." if len(columns) > 20 else "") if columns else "(none)"
