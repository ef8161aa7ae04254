"""Options that several commands share, grouped in small dataclasses."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Annotated, Any, get_type_hints

from typer import Argument, Option

from trimetric.errors import ParameterError

Data = Annotated[str, Argument(help="File, name of a data set, or planted.")]
Model = Annotated[str, Argument(help="Folder of a saved model.")]
Threads = Annotated[
    int | None,
    Option("--threads", help="Number of threads, all by default; never changes results."),
]
Json = Annotated[bool, Option("--json", help="Print one JSON document.")]
Quiet = Annotated[bool, Option("--quiet", "-q", help="No progress and no messages.")]


@dataclass(frozen=True)
class Columns:
    """How to read DATA and similar files."""

    user_column: Annotated[str, Option(help="Column of the user ids.")] = "user"
    item_column: Annotated[str, Option(help="Column of the item ids.")] = "item"
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
            help="Repeated pairs: latest, first, sum or max of weights; sum with weights, else"
            " latest."
        ),
    ] = None
    min_rating: Annotated[
        float | None, Option(help="Keep only interactions with at least this rating.")
    ] = None
    nulls: Annotated[str, Option(help="Rows with missing values: error, or drop.")] = "error"

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
        }


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


def grouped(command: Callable, threaded: bool = False) -> Callable:
    """Turn each field of a dataclass parameter into an option of its own, for Typer.

    A `threaded` command gets the option --threads and runs with that many.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name in groups:
            parameters += _options(groups[name])
        else:
            parameters.append(
                parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
            )

    if threaded:
        only = inspect.Parameter.KEYWORD_ONLY
        parameters.append(inspect.Parameter("threads", only, default=None, annotation=Threads))

    def ungrouped(**values: Any) -> None:
        for name, kind in groups.items():
            values[name] = kind(**{item.name: values.pop(item.name) for item in fields(kind)})
        count = values.pop("threads", None) if threaded else None
        if count is None:
            command(**values)
            return
        from trimetric.engine.threads import threads

        with threads(count):
            command(**values)

    ungrouped.__name__, ungrouped.__doc__ = command.__name__, command.__doc__
    ungrouped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    ungrouped.__annotations__ = {p.name: p.annotation for p in parameters}
    return ungrouped


def _options(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            item.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if item.default is MISSING else item.default,
            annotation=hints[item.name],
        )
        for item in fields(group)
    ]
