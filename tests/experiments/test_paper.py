"""The paper reproduced in small: every section is there, labelled, sourced and warned of."""

import html
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import document, refused

import trimetric as tm
from trimetric.evaluation.released import WARNING
from trimetric.experiments import report as report_files
from trimetric.experiments import tune
from trimetric.experiments.jobs import LEAKED
from trimetric.experiments.paper import TARGETS, figures, published, recipes, reproduce, tables
from trimetric.experiments.paper.cells import CAUTION, cell, ranked
from trimetric.experiments.paper.nominal import nominal
from trimetric.models import SYSTEMS, model_class

GAMMAS = (0.01, 10.0, 1000.0)
RATED = tm.synthetic.planted(120, 60, dim=4, clusters=4, per_user=8, seed=1).interactions.to_frame()


def rated() -> tm.Interactions:
    """Return planted pairs with ratings of 1 to 5, under the name of a published data set."""
    frame = RATED.with_columns(rating=1 + np.arange(len(RATED)) % 5)
    return tm.Interactions.from_frame(frame, name="amazon_instant_video_5core")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Reproduce everything, with fewer systems, points, trials and epochs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report_files, "_images", lambda drawn: ({}, "not drawn"))
        patch.setattr(figures, "GAMMAS", GAMMAS)
        patch.setattr(figures, "LAMBDAS", (0.01, 1.0))
        patch.setitem(tune.BUDGETS, "small", tune.Budget("small", 3, 60))
        patch.setattr(tables, "SYSTEMS", ("cml", "sml"))
        patch.setattr(tables, "REFERENCES", ("popularity",))
        folder = tmp_path_factory.mktemp("report")
        made = reproduce(rated(), out=folder, seeds=2, command="trimetric reproduce all")
    assert json.loads((folder / "report.json").read_text())["title"] == made["title"]
    assert CAUTION in (folder / "report.md").read_text()
    made["page"] = (folder / "report.html").read_text()
    return made


def titled(report: dict[str, Any], start: str) -> dict[str, Any]:
    return next(s for s in report["sections"] if s["title"].startswith(start))


@pytest.mark.slow
def test_every_section_is_there(report: dict[str, Any]) -> None:
    titles = [section["title"] for section in report["sections"]]
    for wanted in (
        "Table 1",
        "Table 2",
        "Table 3",
        "The leak",
        "Table 4",
        "Figure 4",
        "Figure 5",
        "Figure 6",
        "Whether",
    ):
        assert any(title.startswith(wanted) for title in titles), wanted
    assert any("could not be had" in title for title in titles)
    assert titled(report, "Where the published values disagree")["rows"]
    assert "official 5-core" in report["data"]["note"]


@pytest.mark.slow
def test_every_number_carries_its_source(report: dict[str, Any]) -> None:
    for section in report["sections"]:
        for row in section.get("rows", []):
            for key, one in row["cells"].items():
                assert one["source"], (section["title"], key)
        for panel in section.get("panels", []):
            assert all(series["source"] for series in panel["series"])
    table = titled(report, "Table 3: the eight")
    sml = next(row["cells"] for row in table["rows"] if row["label"] == "sml")
    assert sml["paper micro_recall@5"] == {
        "value": 0.7309,
        "source": "Li et al., AAAI 2020, Table 3",
    }
    assert sml["leak micro_recall@5"]["source"] == "this run, as-released, leak, 2 seeds"
    assert sml["full ndcg@10"]["source"] == "this run, honest full ranking, 2 seeds"
    popular = next(row["cells"] for row in table["rows"] if row["label"] == "popularity")
    assert popular["leak micro_recall@5"]["mark"] == "‡"
    assert "trained without it" in popular["leak micro_recall@5"]["source"]
    assert popular["paper micro_recall@5"]["value"] is None


@pytest.mark.slow
def test_the_papers_hr_is_called_so(report: dict[str, Any]) -> None:
    """It is micro-averaged recall: under its bare name it would be taken for the hit rate."""
    told = json.dumps(report, ensure_ascii=False)
    assert "HR (paper)@5" in told
    assert not re.search(r"(?i)\bhr@", told)
    for section in report["sections"]:
        labels = [column["label"] for column in section.get("columns", [])]
        assert "HR (paper)@10" not in labels or "recall@10" not in labels
        assert not any("micro_recall" in label for label in labels)
        for panel in section.get("panels", []):
            named = [series["name"] for series in panel["series"]]
            assert not any("micro_recall" in name for name in named)
            assert panel["y"]["label"] != "HR@K"
    figure = titled(report, "Figure 5")
    assert "HR (paper)@10" in [series["name"] for series in figure["panels"][0]["series"]]


def test_records_of_earlier_versions_are_read() -> None:
    """They have the paper's HR under the name hr@K."""
    old = {"metrics": {"full": {"hr@5": 0.25, "recall@5": 0.5}}}
    assert cell([old], "full", "micro_recall@5", "x")["value"] == 0.25
    assert cell([old], "full", "recall@5", "x")["value"] == 0.5
    assert cell([old], "full", "hit_rate@5", "x")["value"] is None
    new = {"metrics": {"full": {"micro_recall@5": 0.75}}}
    assert cell([old, new], "full", "micro_recall@5", "x")["value"] == 0.5


@pytest.mark.slow
def test_what_leaks_is_warned_of(report: dict[str, Any]) -> None:
    for section in report["sections"]:
        columns = section.get("columns", [])
        leaks = any(c.get("leak") for c in columns) or section["kind"] == "figure"
        assert not leaks or section["warning"] == CAUTION
    assert CAUTION in html.unescape(report["page"])
    assert WARNING.removeprefix("WARNING, a leak: ").lower() in CAUTION.lower()


@pytest.mark.slow
def test_the_leak_shows(report: dict[str, Any]) -> None:
    row = titled(report, "The leak")["rows"][-1]["cells"]
    assert row["pool micro_recall@5"]["value"] >= row["fresh micro_recall@5"]["value"]


@pytest.mark.slow
def test_margins_are_kept_and_summed_up(report: dict[str, Any]) -> None:
    rows = titled(report, "Whether")["rows"]
    assert len(rows) == 4 * len(GAMMAS)
    held = next(r["cells"] for r in rows if r["label"] == "honest, hardest of 10, γ = 1000")
    assert held["user full"]["value"] == held["item full"]["value"] == 1
    fell = next(r["cells"] for r in rows if r["label"] == "honest, hardest of 10, γ = 0.01")
    assert fell["user mean"]["value"] < held["user mean"]["value"]


def test_as_released_settings() -> None:
    spend = recipes.Budget("tiny", 1, 40)
    job = recipes.leaked("base+s", spend)
    assert job.leaked
    assert job.protocols[0] == LEAKED
    assert job.settings["preset"] == "released"
    assert job.settings["epochs"] == 40
    assert recipes.leaked("bpr", spend).settings.keys() == {"patience", "validate_every"}
    chosen = {"lam": 0.3, "gamma": 9.0, "lr": 0.1}
    assert recipes.variant("base", chosen) == {"gamma": 9.0, "lr": 0.1}
    assert recipes.variant("sml", chosen) == chosen


def test_cells_say_why_they_are_empty() -> None:
    assert cell([{"error": "too large"}], "full", "map", "x") == {
        "value": None,
        "source": "too large",
    }
    assert cell([], "full", "map", "x")["source"] == "not run"
    assert ranked({"a": 0.1, "b": 0.3, "c": float("nan")}) == "b > a"


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    rated().to_frame().write_csv(tmp_path / "likes.csv")
    args = ["reproduce", "fig4", "--dataset", "likes.csv", "--seeds", "1", "--out", "r"]
    args += ["--budget", "medium", "--trials", "1"]
    found = document(*args, "--quiet", cwd=tmp_path)
    assert [s["title"] for s in found["sections"]][1] == "Figure 4: SML by λ"
    assert (tmp_path / "r" / "report.html").exists()
    assert "nothing published" in found["data"]["note"]
    assert (found["budget"]["trials"], found["budget"]["epochs"]) == (1, 800)


@pytest.mark.slow
def test_refusals(tmp_path: Path) -> None:
    said = refused("reproduce", "table9", "--dataset", "planted", cwd=tmp_path)
    assert "TARGET must be all or among table1, table2, table3" in said
    said = refused("reproduce", "all", "--dataset", "instant-video", cwd=tmp_path)
    assert "amazon_instant_video_5core" in said
    said = refused("compare", "planted", "--models", "sml,oracle", cwd=tmp_path)
    assert "got 'oracle'" in said
    said = refused("compare", "planted", "--valid", "0", cwd=tmp_path)
    assert "no validation part" in said
    said = refused("compare", "planted", "--set", "lr=1", cwd=tmp_path)
    assert "--set takes MODEL.NAME=VALUE" in said
    assert not list(tmp_path.iterdir())
    assert TARGETS == ("table1", "table2", "table3", "table4", "fig4", "fig5", "fig6")


@pytest.mark.slow
def test_table_1_has_the_paper_and_the_data_at_hand(report: dict[str, Any]) -> None:
    rows = {row["label"]: row["cells"] for row in titled(report, "Table 1")["rows"]}
    data = rated()
    assert rows["Instant Video, published"]["users"]["value"] == 4902
    assert rows["IMDB, published"]["sparsity"]["value"] == 0.9604
    assert rows["Yelp, published"]["interactions"]["value"] == 78_966
    here = {key: one["value"] for key, one in rows["amazon_instant_video_5core, here"].items()}
    share = len(data) / (data.n_users * data.n_items)
    assert here["users"] == data.n_users
    assert here["sparsity"] == pytest.approx(1 - share)
    released = rows["amazon_instant_video_5core, as released (ratings of 1 dropped)"]
    kept = int((data.ratings > 1).sum())
    assert released["interactions"]["value"] == kept < here["interactions"]
    places = [label for label in rows if "amazon" in label or "IMDB" in label]
    assert places[-1] == "IMDB, published"  # the data at hand stand beside their counterpart


@pytest.mark.parametrize("dataset", published.DATASETS)
def test_table_1_as_printed_fits_together(dataset: str) -> None:
    users, items, pairs = published.TABLE1[dataset]
    assert published.SPARSITY[dataset] == pytest.approx(1 - pairs / (users * items), abs=6e-5)


@pytest.mark.slow
def test_table_2_is_what_the_models_declare(report: dict[str, Any]) -> None:
    rows = {row["label"]: row["cells"] for row in titled(report, "Table 2")["rows"]}
    assert tuple(rows) == SYSTEMS
    for name, cells in rows.items():
        formula = model_class(name)[0].formula
        assert cells["loss"]["value"] == formula.loss
        assert cells["distance"]["value"].startswith(formula.distance)
        assert cells["paper loss"]["source"] == "Li et al., AAAI 2020, Table 2"
    assert "[d²(u,v) − d²(v,v⁻) + n_v]₊" in rows["sml"]["loss"]["value"]


TWINS: dict[str, Any] = {
    "α_u·β_v": lambda a, b: a @ b,
    "‖α_u − β_v‖²": lambda a, b: ((a - b) ** 2).sum(),
}


@pytest.mark.parametrize("name", ["bpr", "fml", "cml", "sml"])
def test_a_model_ranks_by_the_formula_that_it_declares(name: str) -> None:
    model = tm.create(name, dim=8, epochs=2).fit(rated(), progress=False)
    formula = model.formula
    found = model.tensors()
    names = ("users", "items") if "users" in found else ("user_factors", "item_factors")
    users, items = (found[name].astype(float) for name in names)
    sign = 1 if formula.larger_is_better else -1
    twin = TWINS[formula.distance]
    expected = [sign * twin(users[3], row) for row in items[:20]]
    score = model.scorer.score(np.full(20, 3), np.arange(20))
    assert np.allclose(score, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_paper_as_printed_stands_beside_the_rest(report: dict[str, Any]) -> None:
    table = titled(report, "Table 3: the eight")
    rows = {row["label"]: row["cells"] for row in table["rows"]}
    for name in ("cml", "sml"):
        for form in ("", ", as printed", ", library default"):
            assert rows[name + form]["full ndcg@10"]["value"] is not None, name + form
        assert rows[f"{name}, as printed"]["leak ndcg@5"]["value"] is None
    chosen = titled(report, "Table 3: what honest tuning chose")
    settings = {row["label"]: row["cells"] for row in chosen["rows"]}
    text = settings["sml, as printed"]["settings"]["value"]
    assert text.startswith("preset=paper, lam=0.01, gamma=10.0, lr=")
    assert float(text.rsplit("=", 1)[1]) in recipes.RATES
    assert settings["sml, as printed"]["trials"]["value"] == 3
    told = titled(report, "Table 3: the paper as printed")["paragraphs"]
    assert "popularity" in told[0]
    assert "γ = 10" in told[2]
    columns = [column["group"] for column in titled(report, "Table 4: the parts")["columns"]]
    assert "honest, full ranking, as printed" in columns
    for figure in ("Figure 4", "Figure 5"):
        titles = [panel["title"] for panel in titled(report, figure)["panels"]]
        assert "as printed, 499 fresh candidates" in titles
    names = [s["name"] for s in titled(report, "Figure 6")["panels"][0]["series"]]
    assert "honest, as printed" in names


def test_the_paper_as_printed_is_what_the_paper_prints() -> None:
    config = tm.SML(**recipes.as_printed("sml", "imdb").settings).config
    assert (config.optimizer, config.batch_size, config.radius, config.dim) == ("adam", 512, 1, 100)
    assert (config.init_mean, config.init_std**2) == (0.1, pytest.approx(0.03))
    assert (config.lam, config.gamma, config.negatives) == (0.01, 0.1, "uniform")
    assert tm.SML(**recipes.as_printed("sml", None).settings).config.gamma == 10
    for name in recipes.ABLATIONS:
        tm.create(name, **recipes.as_printed(name, "instant-video").settings)
    tm.create("cml", **recipes.as_printed("cml", "yelp").settings)


@pytest.mark.slow
def test_parts_in_name_only_are_left_out_and_told(report: dict[str, Any]) -> None:
    """Hard negatives come with γ = 512, which holds all margins at their limit."""
    rows = {row["label"]: row["cells"] for row in titled(report, "Table 4: the parts")["rows"]}
    for label, other in (("base+u", "base"), ("base+s+p", "base+s"), ("base+s+u", "base+s")):
        one = rows[label]["hard ndcg@10"]
        assert one["value"] is None
        assert one["source"] == f"the same training as {other}: margins never left their limit"
    assert rows["base+s+u+p (all)"]["hard ndcg@10"]["value"] is None
    assert rows["base"]["hard ndcg@10"]["value"] is not None
    assert rows["base+s"]["hard ndcg@10"]["value"] is not None
    assert rows["base+s+p"]["leak ndcg@5"]["value"] is None  # λ = .01 is below γ/512
    assert rows["base+u"]["printed ndcg@10"]["value"] is not None
    told = " ".join(titled(report, "Table 4: parts that")["paragraphs"])
    assert "With hard negatives" in told
    assert "base+u is base" in told
    assert "No margin ever left its limit" in titled(report, "Figure 5")["caption"]


def test_nominal_needs_margins_at_the_limit_and_the_same_metrics() -> None:
    def result(user: float, item: float, metric: float) -> dict[str, Any]:
        margins = {"user_margin": [user, 1], "user_limit": 1, "item_margin": [item, 1]}
        return {"margins": {**margins, "item_limit": 1}, "metrics": {"full": {"map": metric}}}

    base, moved, held = result(1, 1, 0.1), result(0.9, 1, 0.2), result(1, 1, 0.1)
    assert nominal({"base": [base], "base+u": [held]}) == {"base+u": "base"}
    assert nominal({"base": [base, base], "base+u": [held, moved]}) == {}
    assert nominal({"base": [base], "base+u": [result(1, 1, 0.3)]}) == {}
    assert nominal({"base": [base], "base+u": [{"error": "diverged"}]}) == {}
    groups = {"base+s": [held], "base+s+u": [moved], "sml": [moved]}
    assert nominal(groups) == {"sml": "base+s+u"}
    groups = {"base+s": [held], "base+s+u": [held], "sml": [held]}
    assert nominal(groups) == {"base+s+u": "base+s", "sml": "base+s"}


@pytest.mark.slow
def test_margins_over_epochs_are_drawn(report: dict[str, Any]) -> None:
    panels = titled(report, "Margins over epochs")["panels"]
    assert len(panels) == 8
    for panel in panels:
        for series in panel["series"]:
            assert len(series["x"]) == len(series["y"]) > 1
            assert all(0 <= value <= 1 for value in series["y"])
    low = next(s for s in panels[6]["series"] if s["name"] == "γ = 0.01")
    assert panels[6]["title"].startswith("honest, hardest of 10: mean user margin")
    assert low["y"][-1] < low["y"][0]
