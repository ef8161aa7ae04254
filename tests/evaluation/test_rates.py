"""Hit rate, recall and micro recall: each under one name, in everything that is printed."""

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import document, done
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import trimetric as tm
from trimetric.evaluation.metrics import recorded
from trimetric.evaluation.released import released_data
from trimetric.experiments.compare import compare
from trimetric.experiments.comparison import Entrant

DATA = tm.synthetic.planted(120, 60, dim=4, clusters=4, per_user=8, seed=1).interactions
SPLIT = tm.split_random(DATA, seed=0)
BARE_HR = re.compile(r"(?i)\bhr\b(?! \(paper\))")
"""HR without saying whose."""


def shown(table: Any) -> str:
    console = Console(width=400, file=io.StringIO())
    with console.capture() as text:
        console.print(table)
    return text.get()


def checked(metrics: dict[str, float]) -> None:
    """Fail where a name is the paper's, or a hit rate is below the recall beside it."""
    assert not any(BARE_HR.search(name) for name in metrics)
    for name, value in metrics.items():
        base, _, k = name.partition("@")
        if base == "hit_rate":
            assert value >= metrics[f"recall@{k}"]


@pytest.fixture(scope="module")
def result() -> Any:
    return tm.evaluate(tm.Popularity().fit(SPLIT.train), SPLIT)


def test_tables_of_evaluate(result: Any) -> None:
    for text in (shown(result.table()), repr(result), result._repr_html_()):
        assert re.search("(?i)hit.rate", text)
        assert not BARE_HR.search(text)
    assert result["hit_rate@10"] > result["recall@10"]
    for metrics in (result.metrics, result.reported, result.to_dict()["metrics"]):
        checked(metrics)
    assert not any(BARE_HR.search(name) for name in result.per_user().columns)


@pytest.mark.parametrize("protocol", ["full", "dpcml", "sampled-20", "as-released"])
def test_every_protocol(protocol: str) -> None:
    rated = tm.Interactions.from_frame(
        DATA.to_frame().with_columns(rating=1 + np.arange(len(DATA)) % 5)
    )
    split = tm.split_random(rated, seed=0)
    if protocol == "as-released":
        split = tm.split_random(released_data(rated), seed=0)
    found = tm.evaluate(tm.Popularity().fit(split.train), split, protocol)
    assert not any(BARE_HR.search(name) for name in found.metrics)
    assert not BARE_HR.search(shown(found.table()).split("\n\n")[0])


@pytest.mark.slow
def test_tables_of_compare(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    pytest.importorskip("jinja2")
    found = compare(SPLIT, ["popularity", "itemknn"], out=tmp_path, trials=1, seeds=1)
    for row in found.rows():
        checked({name: value for name, value in row.items() if "@" in name and " " not in name})
    for text in (found._repr_html_(), (tmp_path / "report.md").read_text()):
        assert not BARE_HR.search(text)
    assert "hit_rate@10" in (tmp_path / "report.md").read_text()


def test_the_former_name_is_answered_under_the_new_one(result: Any) -> None:
    with pytest.warns(UserWarning, match=r"hr@10 is taken as micro_recall@10, .* hit_rate@10"):
        assert result["hr@10"] == result["micro_recall@10"] < result["hit_rate@10"]
    with pytest.warns(UserWarning, match="micro_recall@10"):
        model = tm.BPR(dim=4, epochs=2, metric="hr@10").fit(SPLIT.train, SPLIT.valid)
    assert model.provenance["best_epoch"] >= 0


@pytest.mark.slow
def test_commands(tmp_path: Path) -> None:
    DATA.to_frame().write_csv(tmp_path / "log.csv")
    done("data", "split", "log.csv", "--out", "parts", cwd=tmp_path)
    done("fit", "parts/train.parquet", "--model", "popularity", "--out", "m", cwd=tmp_path)
    ask = ("evaluate", "m", "--split", "parts")
    assert not BARE_HR.search(done(*ask, cwd=tmp_path))
    found = document(*ask, cwd=tmp_path)
    checked(found["metrics"])
    assert not BARE_HR.search(json.dumps(found["users_counted"]))
    pytest.importorskip("optuna")
    pytest.importorskip("jinja2")
    form = ("compare", "log.csv", "--models", "popularity,itemknn", "--trials", "1", "--seeds", "1")
    assert not BARE_HR.search(done(*form, "--out", "c", cwd=tmp_path))


@given(st.sampled_from(["hr", "micro_recall"]), st.integers(1, 50))
def test_records_of_all_versions_are_read(written: str, k: int) -> None:
    record = {f"{written}@{k}": 0.5, f"recall@{k}": 0.75}
    assert recorded(record, f"micro_recall@{k}") == 0.5
    assert recorded(record, f"recall@{k}") == 0.75
    assert recorded(record, f"hit_rate@{k}") is None
    run = {"metrics": {"full": record}, "seconds": 1.0, "memory": 1.0}
    entrant = Entrant("x", {}, [], [run])
    assert entrant.values("full", f"micro_recall@{k}") == [0.5]
