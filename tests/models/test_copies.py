"""Models sent through pickle, joblib and other processes: what comes out answers the same bits."""

import copy
import io
import multiprocessing
import os
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from campaign import note
from copied_answers import bits, bits_in_a_fork

import trimetric as tm
from trimetric.models import OURS
from trimetric.models.recommender import Recommender
from trimetric.testing import Case

Bits = dict[str, bytes]


def by_joblib(value: Any) -> Any:
    joblib = pytest.importorskip("joblib")
    file = io.BytesIO()
    joblib.dump(value, file, compress=1)
    file.seek(0)
    return joblib.load(file)


WAYS: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "pickle of the oldest protocol": lambda value: pickle.loads(pickle.dumps(value, protocol=2)),
    "joblib": by_joblib,
    "pickle of a copy for answers": lambda value: pickle.loads(pickle.dumps(value.prepared())),
}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("centroid", "sml", "ease"), id="three"),
        pytest.param(tuple(OURS), id="all", marks=pytest.mark.long),
    ],
)
def models(request: pytest.FixtureRequest) -> dict[str, Recommender]:
    return {kind: Case(tm.create(kind)).model for kind in request.param}


@pytest.fixture(scope="module")
def answers(models: dict[str, Recommender]) -> dict[str, Bits]:
    return {kind: bits(model) for kind, model in models.items()}


@pytest.mark.parametrize("way", WAYS)
def test_copies(way: str, models: dict[str, Recommender], answers: dict[str, Bits]) -> None:
    for kind, model in models.items():
        assert bits(WAYS[way](model)) == answers[kind], kind
    note(f"models through {way}", models=len(models), same=len(models))


def test_spawned(models: dict[str, Recommender], answers: dict[str, Bits]) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.map(bits, models.values())
    assert found == list(answers.values())
    note("models through spawn", models=len(models), same=len(models))


def test_by_joblib_in_parallel(models: dict[str, Recommender], answers: dict[str, Bits]) -> None:
    joblib = pytest.importorskip("joblib")
    found = joblib.Parallel(2)(joblib.delayed(bits)(model) for model in models.values())
    assert found == list(answers.values())
    note("models through joblib.Parallel", models=len(models), same=len(models))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_forked(models: dict[str, Recommender], answers: dict[str, Bits]) -> None:
    """From a process that has not answered yet; where Polars has threads, the fork is refused."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.map(bits_in_a_fork, models.values())
    refused = 0
    for (kind, expected), there in zip(answers.items(), found, strict=True):
        if isinstance(there, str):
            assert "spawn" in there
            refused += 1
        else:
            assert there == expected, kind
    note("models through fork", models=len(models), same=len(models) - refused, refused=refused)
