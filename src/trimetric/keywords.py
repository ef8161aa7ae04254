"""Keyword arguments: checks of their values; fields of dataclasses shown, and helped if misspelt.

Functions and classes whose settings are declared once, in a dataclass, take them as `**options`.
Here their signatures are written out for `help`, `inspect` and completion, and an unknown name gets
an error that says which one was meant, also where it is the name of another library.
"""

import difflib
import inspect
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, Field, fields
from numbers import Integral, Real
from typing import Annotated, Any, TypeGuard, TypeVar, get_args, get_origin, get_type_hints

from trimetric.errors import ParameterError

F = TypeVar("F", bound=Callable)

ELSEWHERE: Mapping[str, tuple[str, ...]] = {
    "factors": ("dim",),
    "n_factors": ("dim",),
    "num_factors": ("dim",),
    "no_components": ("dim",),
    "n_components": ("dim",),
    "embedding_size": ("dim",),
    "embedding_dim": ("dim",),
    "latent_dim": ("dim",),
    "rank": ("dim",),
    "n_epochs": ("epochs", "iterations"),
    "num_epochs": ("epochs", "iterations"),
    "max_epochs": ("epochs", "iterations"),
    "epochs": ("iterations",),
    "iterations": ("epochs",),
    "n_iter": ("epochs", "iterations"),
    "max_iter": ("epochs", "iterations"),
    "max_iterations": ("epochs", "iterations"),
    "train_batch_size": ("batch_size",),
    "learning_rate": ("lr",),
    "lr_all": ("lr",),
    "step_size": ("lr",),
    "regularization": ("reg", "radius"),
    "reg_all": ("reg",),
    "reg_weight": ("reg",),
    "reg_param": ("reg",),
    "weight_decay": ("reg",),
    "l2": ("reg",),
    "lambda_": ("reg",),
    "random_state": ("seed",),
    "random_seed": ("seed",),
    "K": ("neighbours",),
    "k": ("neighbours",),
    "n_neighbors": ("neighbours",),
    "max_k": ("neighbours",),
    "stopping_step": ("patience",),
    "early_stopping": ("patience",),
    "n_negatives": ("negatives", "candidates"),
    "max_sampled": ("candidates",),
    "userid": ("user",),
    "user_col": ("user",),
    "user_column": ("user",),
    "item_col": ("item",),
    "item_column": ("item",),
    "rating_col": ("rating",),
    "time": ("timestamp",),
    "time_col": ("timestamp",),
    "weight_col": ("weight",),
    "sep": ("separator",),
    "delimiter": ("separator",),
    "field_separator": ("separator",),
    "na_values": ("null",),
    "quotechar": ("quote",),
    "escapechar": ("escape",),
    "threshold": ("min_rating",),
}
"""Names in implicit, LightFM, RecBole, RecTools, Surprise, Spark, scikit-learn and pandas; ours."""

OF_FIT = {
    "num_threads": "threads",
    "n_jobs": "threads",
    "workers": "threads",
    "verbose": "progress",
    "show_progress": "progress",
    "progress_bar": "progress",
    "threads": "threads",
    "progress": "progress",
    "callbacks": "callbacks",
}
"""Names of arguments of `fit` that other libraries give to the model."""


def meant(name: str, known: Collection[str]) -> str:
    """Return the one of `known` that an unknown name means, to go before what there is.

    It ends so that more words can follow: "did you mean dim? ", "the setting for that is dim; ", or
    "" where none is near.

    Parameters
    ----------
    name : str
        What was given.
    known : collection of str
        What there is.
    """
    ours = [one for one in ELSEWHERE.get(name, ()) if one in known]
    if ours:
        return f"the setting for that is {ours[0]}; "
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]}? " if near else ""


def signature(function: Callable, *kinds: type) -> inspect.Signature:
    """Return a signature in which the fields of dataclasses stand for `**options`.

    Parameters
    ----------
    function : callable
        With a parameter of that kind; what it names itself is not taken from the fields.
    *kinds : dataclasses
    """
    own = inspect.signature(function)
    named = [p for p in own.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    taken = {parameter.name for parameter in named}
    added: dict[str, inspect.Parameter] = {}
    for kind in kinds:
        hints = get_type_hints(kind, include_extras=True)
        for field in fields(kind):
            if field.name not in taken:
                added[field.name] = _parameter(field, hints[field.name])
    return own.replace(parameters=[*named, *added.values()])


def is_one_of(value: object, choices: Collection[str]) -> TypeGuard[str]:
    """Return whether a value is one of some words; an array, which compares by item, is not."""
    return isinstance(value, str) and value in choices


def check_switch(name: str, value: object) -> None:
    """Raise ParameterError unless a value is True or False."""
    import numpy as np

    if not isinstance(value, bool | np.bool_):
        raise ParameterError(f"{name} must be True or False, got {value!r}")


def plain(value: Any) -> Any:
    """Return a scalar of NumPy as a plain value, which JSON holds; anything else as it is."""
    import numpy as np

    return value.item() if isinstance(value, np.generic) else value


def check_text(name: str, value: object) -> None:
    """Raise ParameterError unless a value is text."""
    if not isinstance(value, str):
        raise ParameterError(f"{name} must be text, got {value!r:.80}")


def check_progress(value: object) -> None:
    """Raise ParameterError unless a value is what `progress` takes: True, False or None."""
    if value is not None:
        check_switch("progress", value)


def check_seed(seed: Any) -> int:
    """Return a seed, or raise ParameterError."""
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise ParameterError(f"seed must be a whole number, got {seed!r}")
    return int(seed)


def check_count(name: str, value: Any, usual: str = "", least: int = 1) -> None:
    """Raise ParameterError unless a value is a whole number of at least `least`."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or value < least:
        hint = f"; {usual}" if usual else ""
        what = f"at least {least}" if whole else "a whole number"
        raise ParameterError(f"{name} must be {what}, got {value!r}{hint}")


def is_number(value: object) -> bool:
    """Return whether a value is a finite real number, of Python or NumPy, and no truth value."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def takes(*kinds: type, leave: Collection[str] = ()) -> Callable[[F], F]:
    """Show the fields of dataclasses in a function's signature, in place of its `**options`.

    Parameters
    ----------
    *kinds : dataclasses
    leave : collection of str
        Fields that the function does not take.
    """

    def shown(function: F) -> F:
        whole = signature(function, *kinds)
        kept = [p for name, p in whole.parameters.items() if name not in leave]
        function.__signature__ = whole.replace(parameters=kept)  # type: ignore[attr-defined]
        return function

    return shown


def _parameter(field: Field, hint: Any) -> inspect.Parameter:
    bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    default = inspect.Parameter.empty if field.default is MISSING else field.default
    only = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(field.name, only, default=default, annotation=bare)
