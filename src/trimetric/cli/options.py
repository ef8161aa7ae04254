"""Options that several commands share, grouped in small dataclasses."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from typing import Annotated, Any, get_type_hints

from typer import Argument, Option

Data = Annotated[
    str,
    Argument(
        metavar="DATA", help="File, or name of a data set: bookshop and planted are always there."
    ),
]
Model = Annotated[str, Argument(metavar="MODEL", help="Folder of a saved model.")]
IdColumn = Annotated[
    str | None,
    Option(
        "--id-column",
        "--item-id-column",
        help="Column of --items with the ids, if it is not item, id or a usual name.",
    ),
]
Threads = Annotated[
    int | None,
    Option("--threads", help="Number of threads, all by default; never changes results."),
]
Ray = Annotated[
    str | None,
    Option(
        "--ray",
        metavar="ADDRESS",
        help="Run on Ray: local starts it here; auto, host:port or ray://host:port is a cluster.",
    ),
]
Json = Annotated[bool, Option("--json", help="Print one JSON document.")]
K = Annotated[int, Option("-k", "--k", help="Length of each list.")]
Seed = Annotated[int, Option("--seed", help="Which one to take, where none is asked for.")]
Quiet = Annotated[bool, Option("--quiet", "-q", help="No progress and no messages.")]


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
