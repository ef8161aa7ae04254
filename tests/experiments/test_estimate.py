"""Estimates: from real samples, growing with the data, with advice that is enough."""

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from command import document, done, refused
from hypothesis import given
from hypothesis import strategies as st

import trimetric as tm
from trimetric.errors import DataError, ParameterError, Unsupported
from trimetric.experiments import estimate as estimates
from trimetric.experiments.estimate import (
    MOST_PARTS,
    USED,
    Sizes,
    advised,
    line_through,
    memory_in_files,
    sampled,
)
from trimetric.experiments.machine import available_memory, peak_memory, resident_memory, watched
from trimetric.experiments.measure import Costs

MIB = 2**20
COSTS = Costs(
    pairs=1_000_000, startup=2.0, prepare=0.1, epoch=1.0, second_epoch=0.5, validation=0.2,
    save=0.1, ranking=1.0, base=250 * MIB, peak=2000 * MIB, ranking_peak=900 * MIB,
    model=100 * MIB, checkpoint=200 * MIB, lists=5 * MIB,
)  # fmt: skip


def planted(users: int) -> tm.Interactions:
    return tm.synthetic.planted(users, 100, dim=4, clusters=4, per_user=20, seed=1).interactions


@pytest.mark.slow
def test_it_measures_and_grows_with_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """The larger data is extrapolated from samples of a tenth and less."""
    monkeypatch.setattr(estimates, "SMALL", 2_000)
    monkeypatch.setattr(estimates, "LARGEST", 8_000)
    small, large = (
        tm.estimate(planted(n), dim=8, epochs=4, validate_every=2, threads=1) for n in (300, 6000)
    )
    assert (small.users, small.items) == (300, 100)
    assert small.interactions < large.interactions
    for one in (small, large):
        for cost in (one.fit, one.compare, one.recommend, one.out_of_core):
            assert cost.memory > 50 * MIB
            assert cost.disk > 0
            assert cost.seconds > 0
        assert one.advice == 1
    for name in ("fit", "compare", "recommend"):
        less, more = asdict(getattr(small, name)), asdict(getattr(large, name))
        assert more["disk"] > less["disk"]
        assert more["memory"] > less["memory"] - 20 * MIB
    assert "train in one piece" in str(large)
    assert small.to_dict()["fit"]["memory"] == small.fit.memory


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    asked = ["estimate", "planted", "--model", "sml", "--dim", "8", "--epochs", "2", "--quiet"]
    found = document(*asked, "--partitions", "2", "--memory", ".0001", cwd=tmp_path)
    assert found["model"] == "sml"
    assert found["partitions"] == 2
    assert found["available"] == 100_000
    assert found["advice"] == 0
    said = done(*asked, "--memory", "900", cwd=tmp_path)
    assert re.search(r"fit: .* of memory, .* on disk, .*seconds", said)
    assert "900 GB are available: train in one piece" in said


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"model": "ease"}, Unsupported, "not trained in epochs"),
        ({"model": "popularity"}, Unsupported, "not trained in epochs"),
        ({"model": "nothing"}, ParameterError, "nothing"),
        ({"partitions": 0}, ParameterError, "partitions"),
        ({"partitions": 1.5}, ParameterError, "partitions"),
        ({"memory": 0}, ParameterError, "memory"),
        ({"k": 0}, ParameterError, "k must be"),
        ({"threads": 0}, ParameterError, "threads"),
        ({"dim": 0}, ParameterError, "dim"),
        ({"factors": 8}, ParameterError, "the setting for that is dim"),
        ({"model": "bpr", "partitions": 2}, Unsupported, "in parts"),
    ],
)
def test_bad_input(options: dict, kind: type, text: str) -> None:
    with pytest.raises(kind, match=re.escape(text)):
        tm.estimate(planted(60), **options)


def test_too_little_data_and_data_that_the_model_refuses() -> None:
    with pytest.raises(DataError, match="too few"):
        tm.estimate(([1], [2]))
    weighted = tm.Interactions.from_arrays([1, 1, 2, 2], [1, 2, 2, 3], weights=[1, 2, 3, 4])
    with pytest.raises(Unsupported, match="weights"):
        tm.estimate(weighted, "transcf", epochs=1)


@pytest.mark.slow
def test_the_command_refuses_in_good_order(tmp_path: Path) -> None:
    for wrong in (["--memory", "0"], ["--memory", "nan"], ["--model", "ease"], ["-k", "0"]):
        assert "Traceback" not in refused("estimate", "planted", *wrong, cwd=tmp_path)
    assert "nowhere.csv" in refused("estimate", "nowhere.csv", cwd=tmp_path)


@given(st.integers(0, 20_000), st.integers(1, 40_000))
def test_a_line_never_falls(more: int, pairs: int) -> None:
    """Neither with the number of interactions, nor below nothing."""
    small = replace(COSTS, pairs=1000, peak=COSTS.peak - more * 1000, epoch=0.9)
    large = replace(COSTS, pairs=2000)
    below, above = line_through(small, large, pairs), line_through(small, large, pairs + 500)
    for name, value in asdict(below).items():
        assert 0 <= value <= asdict(above)[name]
    assert line_through(small, large, 2000).peak == large.peak


@given(st.integers(100 * MIB, 5000 * MIB))
def test_the_advice_is_enough_and_no_more_than_needed(available: int) -> None:
    model, sizes = tm.create("sml", dim=100, temperature=0.2), Sizes(1_000_000, 50_000, 20_000_000)

    def memory(parts: int) -> int:
        return COSTS.peak if parts == 1 else memory_in_files(model, sizes, COSTS, parts)

    parts = advised(memory, available)
    if parts == 0:
        assert memory(MOST_PARTS) > USED * available
        return
    assert memory(parts) <= USED * available
    assert parts == 1 or memory(parts // 2) > USED * available


@pytest.mark.slow
def test_what_was_prepared_is_estimated_by_a_sample(tmp_path: Path) -> None:
    planted(150).to_frame().write_parquet(tmp_path / "log.parquet")
    made = tm.prepare(tmp_path / "log.parquet", tmp_path / "p", partitions=3)
    found = tm.estimate(made, "sml", dim=8, epochs=3, temperature=0.3)
    assert (found.users, found.items, found.interactions) == (150, made.n_items, len(made))
    assert found.fit.seconds > 0
    assert found.out_of_core.memory > 50 * MIB


@given(st.integers(1, 3000))
def test_a_sample_has_whole_users_under_all_items(pairs: int) -> None:
    whole = planted(150)
    part = sampled(whole, pairs)
    assert part.item_ids is whole.item_ids
    assert min(pairs, len(whole)) <= len(part) <= pairs + int(np.diff(whole.indptr).max())
    known = whole.user_ids.encode(list(part.user_ids))
    assert (np.diff(part.indptr) == np.diff(whole.indptr)[known]).all()
    row = part.n_users // 2
    theirs = whole.items[whole.users == known[row]]
    assert (part.items[part.users == row] == theirs).all()
    assert (sampled(whole, pairs).items == part.items).all()


def test_memory_of_this_machine() -> None:
    assert available_memory() > 50 * MIB
    with watched() as read:
        held = np.ones(80 * MIB, np.uint8)
    assert read.kept > 70 * MIB
    assert read.peak >= resident_memory() - 20 * MIB
    assert (peak_memory() or 0) > 80 * MIB
    assert held.size


def test_numbers_of_numpy_are_as_those_of_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """They go through JSON to the process that measures."""
    given = []

    def measured(whole: object, pairs: int, *options: object) -> Costs:
        given.append(json.dumps(options[2:4]))
        return COSTS

    monkeypatch.setattr(estimates, "_extrapolated", measured)
    sizes = {"partitions": np.int64(2), "k": np.int64(5)}
    one = tm.estimate(planted(60), memory=np.float64(10**10), **sizes)  # type: ignore[arg-type]
    two = tm.estimate(planted(60), memory=10**10, partitions=2, k=5)
    assert str(one) == str(two)
    assert given == ["[2, 5]"] * 2
    for memory in ("8GB", [8], float("nan"), True, 0):
        with pytest.raises(ParameterError, match="memory must be a number of bytes"):
            tm.estimate(planted(60), memory=memory)  # type: ignore[arg-type]
