"""The study of margins: equal effort, margins as meant, and a page that says what is so."""

import json
import sys
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import trimetric as tm

ROOT = Path(__file__).resolve().parents[2]
DATA = tm.synthetic.planted(80, 50, dim=4, clusters=4, per_user=9, seed=7).interactions
QUICK = {"dim": 4, "epochs": 4, "batch_size": 64}


@pytest.fixture(scope="module")
def study() -> ModuleType:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        return import_module("margins")
    finally:
        sys.path.pop(0)


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    loader = SourceFileLoader("margins_tool", str(ROOT / "tools" / "margins"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    made = module_from_spec(spec)
    loader.exec_module(made)
    return made


@pytest.mark.parametrize("trainer", ["uniform", "soft", "closed"])
def test_each_form_has_the_same_number_of_trials(study: ModuleType, trainer: str) -> None:
    counts = {form: len(study.trials(trainer, form, 0.2)) for form in study.FORMS}
    assert set(counts.values()) - {0} == {6}
    assert counts["fixed"] == 6
    missing = {form for form, count in counts.items() if count == 0}
    assert missing == (
        {"learned per item", "both learned", "items by activity"} if trainer == "closed" else set()
    )


def test_shares_are_those_of_each_side(study: ModuleType) -> None:
    """γ/512 is the share of active hinges for users, and λ times it for items."""
    users = [trial["gamma"] / 512 for trial in study.trials("soft", "learned per user", 0.2)]
    items = [trial["gamma"] / 512 for trial in study.trials("soft", "learned per item", 0.2)]
    both = [trial["gamma"] / 512 for trial in study.trials("soft", "both learned", 0.2)]
    assert np.allclose(items, 0.2 * np.array(users))
    assert all(0 < share < 1 for share in users)
    assert any(share < 0.2 for share in both)  # items learn too
    for trial in study.trials("soft", "the paper's γ = 10", 0.2):
        assert trial["gamma"] == 10


def test_margins_by_activity(study: ModuleType) -> None:
    counts = np.array([0, 1, 4, 4, 4, 16, 4000])
    found = study.activity_margins(counts, 0.8, 0.5)
    assert np.allclose(found[:6], [0.8, 0.4, 0.8, 0.8, 0.8, 1.6])
    assert found[6] == study.MOST
    assert study.activity_margins(counts, 0.8, -0.5)[1] == np.float32(1.6)
    assert (study.activity_margins(counts, 0.8, 0.0) == np.float32(0.8)).all()


@pytest.mark.parametrize("trainer", ["uniform", "soft", "closed"])
def test_held_margins_of_no_power_are_fixed_ones(study: ModuleType, trainer: str) -> None:
    base = {**(study.UNIFORM if trainer == "uniform" else {}), **QUICK}
    base |= {"temperature": 0.2} if trainer == "soft" else {}
    if trainer == "closed":
        base |= {"temperature": 0.3, "kappa": 0.5, "reconstruction": 0.0}
    points = []
    for settings in (
        base,
        {**base, "activity": ("user", 0.0)},
        {**base, "activity": ("user", 0.5)},
    ):
        model = study.model_of(trainer, settings, tm).fit(DATA, progress=False)
        points.append(model.scorer.points.tobytes())
    assert points[0] == points[1] != points[2]


def test_a_data_set_is_studied_and_its_page_written(
    study: ModuleType, tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(study.record, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(study, "FORMS", ("fixed", "learned per user", "users by activity"))
    monkeypatch.setattr(study, "UNIFORM", {**study.UNIFORM, "dim": 4})
    options = SimpleNamespace(trials=2, seeds=2, epochs=2, small=True)
    split = tm.split_random(DATA, test=0.2, valid=0.1)
    found = study.studied("planted", split, "uniform", options, tm)
    forms = found["forms"]
    assert {row["trials"] for row in forms.values()} == {2}
    assert "difference" not in forms["fixed"]
    assert 0 <= forms["learned per user"]["p"] <= 1
    assert 0 < forms["learned per user"]["users"]["mean"] <= 1.3
    kept = sorted((tmp_path / "runs").iterdir())
    again = study.studied("planted", split, "uniform", options, tm)
    assert again == found
    assert sorted((tmp_path / "runs").iterdir()) == kept
    grid = study.mechanism("planted", split, options, tm)
    assert {row["gamma"] for row in grid} == {10.0, 256.0}
    assert len(grid[0]["trace"]["user"]) == 2
    figures: dict[str, Any] = {
        "metric": "ndcg@10", "seeds": 2, "trials": 2, "epochs": 2, "date": "today",
        "command": "python margins.py", "machine": {"cores": 1, "processor": "x", "trimetric": "0"},
        "origins": {"planted": {"commit": "abc"}},
        "sets": {"planted": {"uniform": found}}, "mechanism": {"planted": grid},
    }  # fmt: skip
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "margins_small.json").write_text(json.dumps(figures))
    page = tmp_path / "page.md"
    page.write_text(f"# Head\n\n{tool.BEGIN}\nFORMER\n{tool.END}\n\ntail\n")
    tool.main(tmp_path / "results", page)
    text = page.read_text()
    assert text.startswith("# Head")
    assert text.endswith("tail\n")
    assert "FORMER" not in text
    assert "This is the small run" in text
    mean, spread = forms["fixed"]["test"]
    assert f"| {mean:.4f} ± {spread:.4f} |" in text
    assert text.count("| 0.05 | 10 |") == 1
    (tmp_path / "results" / "margins.json").write_text(json.dumps(figures))
    tool.main(tmp_path / "results", page)
    assert "small run" not in page.read_text()
    assert "Commit abc for planted." in page.read_text()


def test_the_tally_counts_only_what_is_more_than_chance(tool: ModuleType) -> None:
    def row(difference: float, significant: bool) -> dict[str, Any]:
        return {"difference": difference, "significant": significant}

    forms = [{"x": row(0.1, True)}, {"x": row(-0.1, True)}, {"x": row(0.1, False)}]
    sets = {str(n): {"soft": {"forms": {**one, "fixed": {}}}} for n, one in enumerate(forms)}
    assert "| x | 1 / 1 / 1 |" in tool.answer({"sets": sets})


def test_learned_margins_are_counted_over_their_forms(tool: ModuleType) -> None:
    better, worse = ({"difference": d, "significant": True} for d in (0.1, -0.1))
    unclear = {"difference": 0.1, "significant": False}
    of = {
        "uniform": {"learned per user": better, "both learned": worse, tool.PRINTED: worse},
        "soft": {"learned per item": unclear, "users by activity": better, tool.PRINTED: better},
    }
    sets = {"a": {trainer: {"forms": {**forms, "fixed": {}}} for trainer, forms in of.items()}}
    text = tool.answer({"sets": sets})[0]
    assert "**1** of 3 comparisons, worse in 1, and not told apart in 1" in text
    assert "better in 1 of 2 and worse in 1" in text
