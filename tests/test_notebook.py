"""What a notebook shows is well-formed, and text of the data stays text."""

from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import trimetric as tm
from trimetric import notebook
from trimetric.experiments.estimate import Cost, Estimate

EVIL = "<script>alert(1)</script>&\"'"


def parsed(html: str) -> ElementTree.Element:
    return ElementTree.fromstring(f"<body>{html}</body>")


def text(html: str) -> str:
    return " ".join("".join(parsed(html).itertext()).split())


@pytest.fixture(scope="module")
def split() -> tm.Split:
    planted = tm.synthetic.planted(n_users=120, n_items=60, per_user=12, seed=3).interactions
    return tm.split_per_user(planted, test=0.2, valid=0.2, seed=0)


@given(st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc")), max_size=40))
def test_text_stays_text(words: str) -> None:
    shown = notebook.card(words, {words: words}, notebook.table([words], [[words]]))
    tags = {element.tag for element in parsed(shown).iter()}
    assert tags <= {"body", "div", "strong", "table", "thead", "tbody", "tr", "th", "td"}
    assert "".join(parsed(shown).itertext()).count(words) >= (4 if words else 0)


def test_data_and_split(split: tm.Split) -> None:
    assert f"pairs{len(split.train):,}" in text(split.train._repr_html_())
    assert f"train{len(split.train):,}" in text(split._repr_html_())
    frame = pl.DataFrame({"user": [EVIL], "item": [EVIL]})
    assert "<script>" not in tm.Interactions.from_frame(frame)._repr_html_()
    large = tm.Interactions.from_arrays([2**53 + 1], [-1234], timestamps=[1_700_000_000])
    for exact in ("9007199254740993", "-1234", "1700000000"):  # ids and times are no quantities
        assert exact in text(large._repr_html_())


def test_models_before_and_after_training(split: tm.Split) -> None:
    model = tm.CML(dim=8, epochs=3)
    assert "not trained" in text(model._repr_html_())
    model.fit(split.train, split.valid)
    shown = model._repr_html_()
    assert f"users{len(model.user_ids)}" in text(shown)
    assert "dim=8" in text(shown)
    assert len(list(parsed(shown).iter("polyline"))) >= 2
    result = tm.evaluate(model, split)
    assert f"{result['ndcg@10']:.4g}" in text(result._repr_html_())


def test_a_curve_leaves_out_what_is_no_number() -> None:
    assert notebook.curve("loss", [1.0]) == notebook.curve("loss", [np.nan, 1.0]) == ""
    [line] = parsed(notebook.curve("loss", [np.nan, 3.0, 1.0, np.inf, 2.0])).iter("polyline")
    assert len(line.attrib["points"].split()) == 3


def test_cross_validation_and_an_estimate(split: tm.Split) -> None:
    found = tm.cross_validate(tm.Popularity(), split.train, folds=2)
    shown = text(found._repr_html_())
    assert shown.startswith("Popularity, 2 folds, full")
    assert f"{found['ndcg@10'][0]:.4g}" in shown
    cost = Cost(memory=10**9, disk=10**6, seconds=90.0)
    costs = Estimate("sml", 5, 7, 11, 1, 2, 10**10, cost, cost, cost, cost, advice=1)
    shown = text(costs._repr_html_())
    assert f"fit{costs.fit}, if training is never stopped early" in shown
    assert shown.endswith("10 GB are available: train in one piece")
