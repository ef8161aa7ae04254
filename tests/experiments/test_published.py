"""The published figures are typed right, as far as they vouch for one another."""

import pytest

from trimetric.data.datasets import NAMES
from trimetric.errors import ParameterError
from trimetric.experiments.paper import published
from trimetric.experiments.paper.published import DATASETS, METRICS, table3, table4

EIGHT = ["bpr", "mlp", "ncf", "fml", "transcf", "lrml", "cml", "sml"]
SIX = ["base", "base+u", "base+s", "base+s+p", "base+s+u", "sml"]


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize(("table", "models"), [(table3, EIGHT), (table4, SIX)])
def test_every_cell_is_there_and_plausible(table, models: list[str], dataset: str) -> None:
    rows = table(dataset)
    assert list(rows) == models
    for row in rows.values():
        assert tuple(row) == METRICS
        assert all(0 < value < 1 for value in row.values())
        # More places hold more hits: HR grows with K, and so does K · P.
        assert row["micro_recall@10"] >= row["micro_recall@5"]
        assert 10 * row["precision@10"] >= 5 * row["precision@5"]


def test_cells() -> None:
    assert table3("instant-video")["sml"]["ndcg@5"] == 0.7698
    assert table3("instant-video")["bpr"]["precision@5"] == 0.1999
    assert table3("imdb")["mlp"]["micro_recall@10"] == 0.4087
    assert table3("yelp")["cml"]["ndcg@10"] == 0.8133
    assert table4("imdb")["base+s"]["ndcg@10"] == 0.7998
    assert table4("yelp")["base+s+u"]["micro_recall@5"] == 0.5749
    assert published.source(4) == "Li et al., AAAI 2020, Table 4"


@pytest.mark.parametrize("dataset", DATASETS)
def test_sml_is_best_of_the_eight(dataset: str) -> None:
    rows = table3(dataset)
    for metric in METRICS:
        assert max(rows, key=lambda model: rows[model][metric]) == "sml"


def test_oddities_are_those_of_the_paper() -> None:
    found = published.oddities()
    repeated = [(o.dataset, o.model, o.metric) for o in found if "Table 3, otherwise" in o.note]
    assert repeated == [
        ("instant-video", "base", "ndcg@5"),
        ("instant-video", "base", "ndcg@10"),
    ]
    assert "0.7258, but 0.7358 for cml" in next(o.note for o in found if o.metric == "ndcg@5")
    misfits = {(o.dataset, o.model, o.metric) for o in found if "does not go with" in o.note}
    assert {(d, "bpr", f"micro_recall@{k}") for d in DATASETS for k in (5, 10)} <= misfits
    assert ("instant-video", "transcf", "micro_recall@5") in misfits
    # The rest agree to the last digit, which a slip in typing would not.
    assert len(misfits) == 19
    assert not {model for _, model, _ in misfits} & {"ncf", "fml", "lrml", "cml", "sml", "base"}
    claims = {(o.dataset, o.model, o.metric) for o in found if "the text says" in o.note}
    assert ("instant-video", "ncf", "micro_recall@10") in claims


def test_figures_are_what_the_text_states() -> None:
    assert published.figure4("instant-video").optimum == 0.01
    assert published.figure4("imdb").fixed == {"gamma": 0.1}
    gamma = published.figure5("instant-video")
    assert (gamma.optimum, gamma.weak_below, gamma.drops_above) == (10, 0.01, 100)
    assert published.figure5("imdb").optimum == 0.1
    margins = published.figure6("imdb")
    assert (margins.users, margins.items) == ((0.1, 0.5), (0.1, 0.3))
    with pytest.raises(ParameterError, match="Figure 6 shows instant-video and imdb only"):
        published.figure6("yelp")


def test_an_unknown_data_set_is_named() -> None:
    with pytest.raises(ParameterError, match=r"instant-video, imdb, yelp, got 'ml_1m'"):
        table3("ml_1m")


def test_counterparts_are_known_data_sets() -> None:
    for name in published.COUNTERPARTS:
        assert name.removesuffix("_train_partial") in NAMES
    assert {c.dataset for c in published.COUNTERPARTS.values()} == set(DATASETS)
    same = {name for name, c in published.COUNTERPARTS.items() if c.same}
    assert same == {"amazon_instant_video_5core", "imdb_tang2015", "yelp2013_tang2015"}
    assert published.counterpart("ml_1m") is None
