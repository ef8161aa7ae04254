"""Metrics and cutoffs that a person asks for, in place of those that a protocol reports."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from trimetric.errors import ParameterError
from trimetric.evaluation.metrics import ALIASES, AT_K, WHOLE_LIST, metric
from trimetric.evaluation.protocols import EvaluationProtocol, checked_cutoffs


def asked_of(
    protocol: EvaluationProtocol,
    metrics: str | Iterable[str] | None,
    at: int | Iterable[int] | None,
) -> tuple[EvaluationProtocol, tuple[str, ...]]:
    """Return a protocol with other cutoffs, and the names of the metrics to report.

    Parameters
    ----------
    protocol : EvaluationProtocol
    metrics : str or iterable of str, optional
        "recall@20"; or "recall", which stands for each cutoff. "map" and "mrr" without a cutoff are
        those of the whole list, unless `at` is given.
    at : int or iterable of int, optional
        Cutoffs.

    Raises
    ------
    ParameterError
        A metric or a cutoff does not exist, or the protocol has no cutoffs to change.
    """
    if metrics is None and at is None:
        return protocol, ()
    if not hasattr(protocol, "at"):
        raise ParameterError(f"{protocol.name} has its own metrics; leave metrics and at out")
    given: Any = (at,) if isinstance(at, int | np.integer) else at
    cutoffs = checked_cutoffs(() if given is None else given)
    wanted = (metrics,) if isinstance(metrics, str) else () if metrics is None else metrics
    if not isinstance(wanted, Iterable) or getattr(wanted, "ndim", 1) != 1:
        raise ParameterError(f"metrics must be names such as ndcg@10, got {metrics!r}")
    names = tuple(
        metric(name).name
        for word in wanted
        for name in _names(word, cutoffs, cutoffs or protocol.at)
    )
    used = [*cutoffs, *(int(name.partition("@")[2]) for name in names if "@" in name)]
    at_all = tuple(dict.fromkeys(used)) or protocol.at
    return replace(protocol, at=at_all), names  # type: ignore[type-var]


def _names(word: Any, cutoffs: tuple[int, ...], usual: tuple[int, ...]) -> list[Any]:
    """Return the full names that a word stands for."""
    base = word.strip().lower() if isinstance(word, str) else ""
    base = ALIASES.get(base, base)
    if base in AT_K and (cutoffs or base not in WHOLE_LIST):
        return [f"{base}@{k}" for k in usual]
    return [word]
