"""Options that say how DATA and similar files are read."""

from dataclasses import dataclass, replace
from typing import Annotated, Any

from typer import Option

from trimetric.errors import ParameterError

_SIGNS = {"tab": "\t", "\\t": "\t", "space": " "}


@dataclass(frozen=True)
class Columns:
    """How to read DATA and similar files."""

    user_column: Annotated[
        str | None, Option(help="Column of the user ids, default user, or a usual name as userId.")
    ] = None
    item_column: Annotated[
        str | None, Option(help="Column of the item ids, default item, or a usual name as movieId.")
    ] = None
    rating_column: Annotated[
        str | None, Option(help="Column of the ratings, default rating if there; none ignores it.")
    ] = None
    timestamp_column: Annotated[
        str | None, Option(help="Column of the times, default timestamp if there; none ignores it.")
    ] = None
    weight_column: Annotated[
        str | None,
        Option(help="Column of weights, how much each row counts; may be that of the ratings."),
    ] = None
    event_column: Annotated[
        str | None, Option(help="Column of event types, default event, with --event-weights.")
    ] = None
    event_weights: Annotated[
        str | None,
        Option(
            metavar="TYPE=WEIGHT,...",
            help="What each event type counts, as view=1,cart=3,purchase=5; 0 leaves it out.",
        ),
    ] = None
    repeats: Annotated[
        str | None,
        Option(
            help="Repeated pairs: latest, first, sum or max of weights, or count of rows; sum with"
            " weights, else latest. With data split --how temporal also keep: pairs stay in each"
            " part that they have rows in (or both, as sum,keep)."
        ),
    ] = None
    min_rating: Annotated[
        float | None, Option(help="Keep only interactions with at least this rating.")
    ] = None
    nulls: Annotated[str, Option(help="Rows with missing values: error, or drop.")] = "error"
    split_column: Annotated[
        str | None,
        Option(help="Column of the parts of a split, default split if there; none ignores it."),
    ] = None
    format: Annotated[
        str | None,
        Option(
            help="csv, tsv, lists (of each line a user and its items), jsonl, json, parquet, arrow,"
            " avro, orc or excel, if the file's name does not tell."
        ),
    ] = None
    separator: Annotated[
        str | None, Option(help="What separates fields: ';', '::', tab, space; found by default.")
    ] = None
    no_header: Annotated[
        bool, Option("--no-header", help="No line of names: columns are called 1, 2, 3, ...")
    ] = False
    quote: Annotated[
        str | None, Option(help="The sign around fields; none takes quotes as text.")
    ] = None
    escape: Annotated[str | None, Option(help="The sign before quotes in fields, as '\\'.")] = None
    encoding: Annotated[
        str | None, Option(help="Text encoding, such as latin-1; utf-8, or by its mark.")
    ] = None
    decimal: Annotated[str, Option(help="The decimal sign, '.' or ','.")] = "."
    null: Annotated[
        list[str] | None,
        Option(help="A word for a missing value, such as NULL; repeatable."),
    ] = None
    time_format: Annotated[
        str | None,
        Option(help="s, ms, us or ns since 1970, or a pattern such as '%d/%m/%Y %H:%M'."),
    ] = None

    sheet: Annotated[str | None, Option(help="Of a workbook, the sheet, if several hold rows.")] = (
        None
    )

    def kept_repeats(self) -> "tuple[Columns, bool]":
        """Return the options without `keep` in `--repeats`, and whether it was there."""
        rules = [rule.strip() for rule in (self.repeats or "").split(",") if rule.strip()]
        if "keep" not in rules:
            return self, False
        left = ",".join(rule for rule in rules if rule != "keep")
        return replace(self, repeats=left or None), True

    def rules(self) -> dict[str, Any]:
        """Return the arguments of `Interactions.read`."""
        return {
            "user": self.user_column,
            "item": self.item_column,
            "rating": False if self.rating_column == "none" else self.rating_column,
            "timestamp": False if self.timestamp_column == "none" else self.timestamp_column,
            "weight": False if self.weight_column == "none" else self.weight_column,
            "event": self.event_column,
            "event_weights": _weights(self.event_weights),
            "repeats": self.repeats,
            "min_rating": self.min_rating,
            "nulls": self.nulls,
            "split": False if self.split_column == "none" else self.split_column,
            **self.form(),
        }

    def of_lists(self) -> dict[str, Any]:
        """Return the arguments of `RankedLists.of` that lists share with logs."""
        ids = {"user": self.user_column, "item": self.item_column}
        return {**{role: column for role, column in ids.items() if column}, **self.form()}

    def form(self) -> dict[str, Any]:
        """Return what was said of how files are written: arguments of `Interactions.read`."""
        given = {
            "format": self.format,
            "separator": _SIGNS.get(self.separator or "", self.separator),
            "header": False if self.no_header else None,
            "quote": False if self.quote == "none" else self.quote,
            "escape": self.escape,
            "encoding": self.encoding,
            "decimal": None if self.decimal == "." else self.decimal,
            "null": self.null,
            "time_format": self.time_format,
            "sheet": self.sheet,
        }
        return {name: value for name, value in given.items() if value is not None}


def _weights(text: str | None) -> dict[str, float | str] | None:
    """Read `view=1,cart=3`; an event type may hold = itself, but no comma."""
    if text is None:
        return None
    table: dict[str, float | str] = {}
    for entry in text.split(","):
        event, found, weight = entry.rpartition("=")
        try:
            table[event.strip()] = weight if weight.strip() == "drop" else float(weight)
        except ValueError:
            found = ""
        if not found or not event.strip():
            raise ParameterError(
                f"--event-weights must be TYPE=WEIGHT,... such as view=1,cart=3; got {entry!r}"
            )
    return table
