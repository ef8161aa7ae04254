"""A model under test, small data to train it on, and what checks are made of."""

import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from trimetric.data import synthetic
from trimetric.data.interactions import Interactions
from trimetric.engine.threads import threads
from trimetric.models import load, registered
from trimetric.models.epoch_trained import EpochTrained
from trimetric.models.recommender import Recommender

if TYPE_CHECKING:
    import polars as pl

T = TypeVar("T")

SMALL = {
    "dim": 12,
    "epochs": 3,
    "batch_size": 16,
    "validate_every": 1,
    "patience": 0,
    "iterations": 3,
}
"""Settings that keep a model small, for those that have them."""

IDS: dict[str, Callable[[int], Any]] = {
    "text": lambda row: f"{'äöü'[row % 3]} {row:x}",
    "big": lambda row: 2**53 + 1 + row,
    "edges": lambda row: (-1) ** row * (2**63 - 1 - row),
    "numeral": lambda row: f"{row // 2}" if row % 2 else f"00{row // 2}",
}
"""Ids that a careless program would change on their way through it."""


class Case:
    """A model under test: how to make it, and one trained copy that all checks share.

    Checks leave the shared copy as it is.

    Parameters
    ----------
    model : Recommender or a subclass of it
        See `check_recommender`.
    label : str, optional
        What messages call it; the model's name unless given.
    """

    def __init__(self, model: Recommender | type[Recommender], label: str | None = None) -> None:
        if isinstance(model, type):
            model = model()
        self.kind, self.name = type(model), model.name
        self.label = label or model.name
        constructor_settings = model.get_params()
        self.params = constructor_settings | {
            name: SMALL[name] for name in SMALL if name in constructor_settings
        }
        with registered(self.kind):
            pass  # raises ParameterError where trimetric has a model of this name

    def new(self, **settings: Any) -> Recommender:
        """Make a small untrained model, with those of `settings` that it has."""
        known = {name: settings[name] for name in settings if name in self.params}
        return self.kind(**{**self.params, **known})

    @property
    def in_epochs(self) -> bool:
        """Whether the model trains in epochs, rather than in one go."""
        return issubclass(self.kind, EpochTrained)

    @cached_property
    def data(self) -> Interactions:
        """What `model` is trained on."""
        return planted()

    @cached_property
    def model(self) -> Recommender:
        """A trained model that all checks share: to be asked, never to be changed."""
        return self.new().fit(self.data, progress=False)

    @cached_property
    def weights(self) -> dict[str, bytes]:
        """What `model` has learned."""
        return learned(self.model)

    def load(self, folder: Path) -> Recommender:
        """Load a saved model, whether or not an entry point registers it."""
        with registered(self.kind):
            return load(folder)


@dataclass(frozen=True)
class Check:
    """One promise of a model, under certain arguments.

    Parameters
    ----------
    function : callable
        Takes a `Case` and the arguments; raises AssertionError.
    arguments : dict
    """

    function: Callable[..., None]
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The function's name, and its arguments in brackets."""
        listed = ",".join(f"{name}={value}" for name, value in self.arguments.items())
        return self.function.__name__.removeprefix("check_") + (f"[{listed}]" if listed else "")

    def __str__(self) -> str:
        return self.name

    def __call__(self, case: Case) -> None:
        """Check a model."""
        self.function(case, **self.arguments)


def under(**values: Any) -> Callable[[T], T]:
    """Have a check made for each value of its arguments, and each combination of them."""

    def marked(function: T) -> T:
        combined = product(*values.values())
        function.under = [dict(zip(values, each, strict=True)) for each in combined]  # type: ignore[attr-defined]
        return function

    return marked


def checks_in(module: ModuleType) -> Iterator[Check]:
    """Yield the checks of a module, those functions that are named check_..., in their order."""
    for name, function in vars(module).items():
        if name.startswith("check_"):
            for arguments in getattr(function, "under", [{}]):
                yield Check(function, arguments)


def planted(ids: str = "text", n_users: int = 60, n_items: int = 40) -> Interactions:
    """Return a small set of interactions, its users and items named by one of IDS."""
    made = synthetic.planted(n_users, n_items, dim=4, clusters=4, per_user=6, seed=1)
    pairs, name = made.interactions, IDS[ids]
    return Interactions.from_arrays(
        [name(row) for row in pairs.users.tolist()], [name(row) for row in pairs.items.tolist()]
    )


def learned(model: Recommender) -> dict[str, bytes]:
    """Return all that a model has learned, as bytes."""
    return {name: array.tobytes() for name, array in model.tensors().items()}


def lists(answer: "pl.DataFrame") -> dict[Any, list]:
    """Return the second column of an answer by its first."""
    key, listed = answer.columns[:2]
    return {value: group[listed].to_list() for (value,), group in answer.group_by(key)}


def on_threads(count: int | None, ask: Callable[[], T]) -> T:
    """Return what `ask` returns on `count` threads."""
    with threads(count):
        return ask()


def close(values: Any, expected: Any, rel: float = 1e-6) -> bool:
    """Whether numbers are equal up to a relative error; only of numbers equally many."""
    values, expected = np.asarray(values), np.asarray(expected)
    return values.shape == expected.shape and np.allclose(values, expected, rtol=rel, atol=1e-12)


def installed(library: str) -> bool:
    """Whether an optional library is there to be checked with."""
    return find_spec(library) is not None


@contextmanager
def folder() -> Iterator[Path]:
    """Give an empty folder, which is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="trimetric-") as made:
        yield Path(made)


@contextmanager
def raises(kind: type[Exception], match: str = "") -> Iterator[list[str]]:
    """Fail unless the body raises such an error whose message has a match of a pattern.

    The list given holds the message afterwards.
    """
    message: list[str] = []
    try:
        yield message
    except kind as error:
        message.append(str(error))
        assert re.search(match, message[0]), f"{message[0]!r} does not match {match!r}"
    else:
        raise AssertionError(f"no {kind.__name__} was raised, with a message like {match!r}")


@contextmanager
def warns(match: str) -> Iterator[None]:
    """Fail unless the body warns in words that have a match of a pattern."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    said = [str(warning.message) for warning in caught]
    assert any(re.search(match, text) for text in said), f"{said} do not match {match!r}"
