"""Measures beyond accuracy: against RecTools' values, naive loops and known extremes."""

import math
from itertools import combinations, pairwise

import numpy as np
import polars as pl
import pytest
from csr_lists import csr
from hypothesis import given, settings
from hypothesis import strategies as st

import trimetric as tm
from trimetric.data.csr import Csr
from trimetric.errors import DataError, ParameterError, Unsupported
from trimetric.evaluation import FullRanking, evaluate
from trimetric.evaluation import beyond_accuracy as measures
from trimetric.evaluation.attributes import attributes

TRAIN = {0: [0, 1], 1: [0, 2], 2: [0, 1, 3], 3: [1, 4], 4: [0], 5: [2, 3]}
TEST = {0: [2, 3], 1: [1], 2: [5], 3: [0, 6], 4: [1, 2, 3], 5: [0]}
LISTS = {0: [2, 4, 3], 1: [3, 1, 4], 2: [2, 4, 6], 3: [0, 6, 5], 4: [5, 3, 1], 5: [1, 4, 0]}
GROUPS = np.array([0, 0, 1, 1, 2, 2, 0])

# By RecTools 0.19.0: HitRate, MRR, MAP, Precision, Recall, MeanInvUserFreq, AvgRecPopularity,
# CatalogCoverage(normalize=True), IntraListDiversity(PairwiseHammingDistanceCalculator of GROUPS).
RECTOOLS = {
    "hit_rate@1": 0.3333333333333333,
    "hit_rate@2": 0.6666666666666666,
    "hit_rate@3": 0.8333333333333334,
    "mrr@1": 0.3333333333333333,
    "mrr@2": 0.5,
    "mrr@3": 0.5555555555555556,
    "map@3": 0.5092592592592592,
    "ndcg_full@2": 0.39780880120575696,
    "ndcg_full@3": 0.4217868789962072,
    "precision@3": 0.4444444444444444,
    "recall@2": 0.47222222222222227,
    "recall@3": 0.7777777777777777,
    "novelty": 1.8208020839342967,
    "popularity": 1.7222222222222223,
    "coverage": 1.0,
    "diversity": 0.8333333333333334,
}


def interactions(by_user):
    users = [u for u, items in by_user.items() for _ in items]
    return tm.Interactions.from_arrays(users, [i for items in by_user.values() for i in items])


def table(lists):
    return np.array(list(lists.values()), dtype=np.int32)


def rows(by_user, n):
    pairs = [(u, i) for u, items in by_user.items() for i in items]
    users, items = (np.array(side) for side in zip(*pairs, strict=True))
    return Csr.from_pairs(users, items, n)


def test_agrees_with_rectools():
    popularity = np.bincount([i for items in TRAIN.values() for i in items], minlength=7)
    lists = table(LISTS)
    found = {
        "novelty": measures.novelty(lists, popularity, 6),
        "popularity": measures.average_popularity(lists, popularity),
        "coverage": measures.item_coverage(lists, 7),
        "diversity": measures.intra_list_dissimilarity(lists, GROUPS[:, None].astype(np.int32)),
    }
    pairs = [(u, i, r) for u, items in LISTS.items() for r, i in enumerate(items)]
    frame = pl.DataFrame(pairs, schema=["user", "item", "rank"], orient="row")
    # Without a training part, so that items nobody has there count as they do in RecTools.
    whole = evaluate(frame, interactions(TEST), FullRanking(at=(1, 2, 3)))
    for name, expected in RECTOOLS.items():
        assert (whole[name] if "@" in name else found[name]) == pytest.approx(expected), name


# --- naive twins ----------------------------------------------------------------------------------


@st.composite
def cases(draw):
    n_items = draw(st.integers(2, 9))
    items = st.lists(st.integers(0, n_items - 1), max_size=4, unique=True)
    lists, histories, held, other = (
        draw(st.lists(items, min_size=4, max_size=4), label=name)
        for name in ("lists", "histories", "held", "other")
    )
    values = [draw(st.lists(st.integers(0, 3), max_size=3, unique=True)) for _ in range(n_items)]
    return n_items, lists, histories, held, other, values


def filled(lists, width=5):
    return np.array([[*row, *[-1] * (width - len(row))] for row in lists], dtype=np.int32)


def mean(values):
    values = [v for v in values if v is not None]
    return sum(values) / len(values) if values else math.nan


def same(found, expected):
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12, nan_ok=True)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@given(cases())
@settings(max_examples=60, deadline=None)
def test_each_measure_is_that_of_a_plain_loop(case):
    n_items, lists, histories, held, other, values = case
    popularity = np.bincount([i for row in histories for i in row], minlength=n_items)
    given_lists = filled(lists)
    codes = np.array([sorted(v) + [-1] * (3 - len(v)) for v in values], dtype=np.int32)
    flat = [i for row in lists for i in row]

    same(measures.item_coverage(given_lists, n_items), len(set(flat)) / n_items)
    counts = [flat.count(i) for i in range(n_items)]
    differences = sum(abs(a - b) for a in counts for b in counts)
    expected = differences / (2 * n_items * sum(counts)) if flat else math.nan
    same(measures.gini(given_lists, n_items), expected)

    bits = [-math.log2(max(p, 1) / 4) for p in popularity]
    novelties = [mean([bits[i] for i in row]) if row else None for row in lists]
    same(measures.novelty(given_lists, popularity, 4), mean(novelties))
    pops = [mean([popularity[i] for i in row]) if row else None for row in lists]
    same(measures.average_popularity(given_lists, popularity), mean(pops))
    before = [mean([popularity[i] for i in row]) if row else None for row in histories]
    both = [(a, b) for a, b in zip(pops, before, strict=True) if a is not None and b is not None]
    base = mean([b for _, b in both])
    lift = (mean([a for a, _ in both]) - base) / base if both else math.nan
    same(measures.popularity_lift(given_lists, csr(histories), popularity), lift)

    points = np.random.default_rng(n_items).normal(size=(n_items, 3))
    points[-1] = np.nan
    d2 = lambda a, b: float(((points[a] - points[b]) ** 2).sum())  # noqa: E731
    rows_ = [
        [d2(a, b) for a, b in combinations(row, 2) if n_items - 1 not in (a, b)] for row in lists
    ]
    same(
        measures.intra_list_distance(given_lists, points),
        mean([mean(r) if r else None for r in rows_]),
    )

    def jaccard(a, b):
        a, b = set(values[a]), set(values[b])
        return 1 - len(a & b) / len(a | b) if a and b else None

    rows_ = [
        [j for a, b in combinations(row, 2) if (j := jaccard(a, b)) is not None] for row in lists
    ]
    same(
        measures.intra_list_dissimilarity(given_lists, codes),
        mean([mean(r) if r else None for r in rows_]),
    )

    def shares(row):
        out = np.zeros(4)
        for i in row:
            for v in values[i]:
                out[v] += 1 / len(values[i])
        return out / out.sum() if out.sum() else None

    divergences = []
    for row, history in zip(lists, histories, strict=True):
        p, q = shares(history), shares(row)
        if p is None or q is None:
            divergences.append(None)
            continue
        mixed = 0.99 * q + 0.01 * p
        divergences.append(sum(x * math.log(x / m) for x, m in zip(p, mixed, strict=True) if x))
    same(measures.calibration(given_lists, csr(histories), codes), mean(divergences))

    useful = [
        len(set(row) & set(h) - set(o)) / len(row) if row else None
        for row, h, o in zip(lists, held, other, strict=True)
    ]
    same(measures.serendipity(given_lists, csr(held), filled(other)), mean(useful))


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_extremes():
    everyone_the_same = np.zeros((5, 1), dtype=np.int32)
    assert measures.gini(everyone_the_same, 10) == pytest.approx(9 / 10)
    assert measures.gini(np.arange(10, dtype=np.int32)[:, None], 10) == 0
    assert measures.item_coverage(everyone_the_same, 10) == 0.1
    assert measures.novelty(everyone_the_same, np.array([5] * 10), 5) == 0
    assert measures.novelty(everyone_the_same, np.array([1]), 1) == 0
    histories = Csr.from_pairs(np.arange(5), np.zeros(5, dtype=np.int64), 5)
    popularity = np.array([4, 8, *[1] * 8])
    assert measures.popularity_lift(everyone_the_same, histories, popularity) == 0
    assert measures.popularity_lift(everyone_the_same + 1, histories, popularity) == 1
    assert math.isnan(measures.popularity_lift(everyone_the_same + 1, histories, np.array([0, 8])))
    genres = np.array([[0, 1], [2, -1], *[[0, -1]] * 8], dtype=np.int32)
    assert measures.calibration(everyone_the_same, histories, genres) == pytest.approx(0)
    far = measures.calibration(everyone_the_same + 1, histories, genres)
    assert far == pytest.approx(-math.log(0.01))
    empty = np.full((3, 2), -1, dtype=np.int32)
    for value in (
        measures.gini(empty, 4),
        measures.novelty(empty, np.ones(4), 4),
        measures.novelty(empty, np.zeros(4), 0),
        measures.intra_list_distance(empty, np.zeros((4, 2))),
        measures.calibration(empty, Csr.empty(3), genres),
        measures.serendipity(empty, Csr.empty(3), empty),
    ):
        assert math.isnan(value)
    assert measures.item_coverage(empty, 4) == 0
    for alpha in (0, 1, -0.5, float("nan")):
        with pytest.raises(ParameterError, match="smoothing must be"):
            measures.calibration(empty, Csr.empty(3), genres, alpha)


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    lists = rng.permuted(np.tile(np.arange(20, dtype=np.int32), (30, 1)), axis=1)[:, :6]
    histories = Csr.from_pairs(rng.integers(0, 30, 90), rng.integers(0, 20, 90), 30)
    values = rng.integers(-1, 4, (20, 1)).astype(np.int32)
    points = rng.normal(size=(20, 3)).astype(np.float32)

    def all_of_them():
        return (
            measures.intra_list_distance(lists, points),
            measures.intra_list_dissimilarity(lists, values),
            measures.calibration(lists, histories, values),
        )

    whole = all_of_them()
    for cells in (1, 4):
        monkeypatch.setattr(measures, "CELLS", cells)
        assert all_of_them() == whole


# --- items tables ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["csv", "parquet", "frame", "pandas", "jsonl"])
def test_columns_of_an_items_table(kind, tmp_path):
    ids = tm.Interactions.from_arrays([1] * 4, [5, 6, 7, 8]).item_ids
    items = pl.DataFrame(
        {
            "sku": [6, 5, 7, 99, 5],
            "genre": ["Drama", "War", None, "War", "Drama|War |Drama"],
            "year": [1990, 2000, 1990, 1, 2001],
        }
    )
    table = items.to_pandas() if kind == "pandas" else items
    if kind in ("csv", "parquet", "jsonl"):
        table = tmp_path / f"items.{kind}"
        getattr(items, {"jsonl": "write_ndjson"}.get(kind, f"write_{kind}"))(table)
    found = attributes(table, ids, ["genre", "year"], item="sku", separator="|")
    assert found["genre"].tolist() == [[0, 1], [0, -1], [-1, -1], [-1, -1]]  # the last row of 5
    years = found["year"][:, 0]
    assert years[3] == -1
    assert years[1] == years[2] != years[0]
    one = attributes(table, ids, ["genre"], item="sku")["genre"]
    assert one.shape == (4, 1)


def test_list_columns_and_refusals(tmp_path):
    ids = tm.Interactions.from_arrays([1] * 2, ["a", "b"]).item_ids
    items = pl.DataFrame({"item": ["a", "b"], "tags": [["x", "y", "x"], []]})
    assert attributes(items, ids, ["tags"])["tags"].tolist() == [[0, 1], [-1, -1]]
    with pytest.raises(DataError, match="no column 'genre'"):
        attributes(items, ids, ["genre"])
    with pytest.raises(DataError, match="none of its 2 items is known"):
        attributes(items.with_columns(item=pl.Series(["c", "d"])), ids, ["tags"])
    with pytest.raises(DataError, match="does not exist"):
        attributes(tmp_path / "items.csv", ids, ["tags"])


# --- all of them ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def split():
    data = tm.synthetic.planted(150, 80, dim=4, clusters=4, per_user=12, seed=1).interactions
    return tm.split_per_user(data, seed=3)


def test_a_model_and_the_lists_it_wrote_measure_the_same(split):
    model = tm.SML(epochs=3, dim=8).fit(split.train)
    items = pl.DataFrame({"item": model.item_ids.values, "group": np.arange(80) % 7})
    more = {"items": items, "columns": ["group"], "space": model}
    more["reference"] = tm.Popularity().fit(split.train)
    own = tm.beyond_accuracy(model, split, 5, **more)
    lists = model.recommend(model.user_ids.values, 40)
    assert tm.beyond_accuracy(lists, split, 5, **more) == own
    with tm.threads(2):
        assert tm.beyond_accuracy(model, split, 5, **more) == own
    assert {name.split("@")[0] for name in own} == {
        *("coverage", "gini", "novelty", "popularity", "popularity_lift", "distance"),
        *("diversity group", "calibration group", "serendipity"),
    }
    assert own["serendipity@5"] <= evaluate(model, split)["precision@5"]
    reference = tm.Popularity().fit(split.train).recommend(split.train.user_ids.values, 40)
    swapped = tm.beyond_accuracy(lists, split, 5, **{**more, "reference": reference})
    assert swapped == own


def test_the_reference_has_no_serendipity_and_little_novelty(split):
    popular = tm.Popularity().fit(split.train)
    ease = tm.EASE().fit(split.train)
    own = tm.beyond_accuracy(popular, split, reference=popular)
    other = tm.beyond_accuracy(ease, split, reference=popular)
    assert own["serendipity@10"] == 0 < other["serendipity@10"]
    assert own["novelty@10"] < other["novelty@10"]
    assert own["coverage@10"] < other["coverage@10"]
    assert own["gini@10"] > other["gini@10"]
    assert "distance@10" not in own


def test_longer_lists_cover_more(split):
    model = tm.EASE().fit(split.train)
    found = [tm.beyond_accuracy(model, split, k)[f"coverage@{k}"] for k in (1, 5, 20)]
    assert all(a <= b for a, b in pairwise(found))


def test_refusals(split):
    model = tm.EASE().fit(split.train)
    for wrong, told in (
        ({"k": 0}, "k must be"),
        ({"k": True}, "k must be"),
        ({"columns": ["genre"]}, "give it as items="),
        ({"user": "customer"}, "describes lists"),
        ({"users": "customer"}, "unknown option 'users'"),
        ({"space": model}, "space must be a model with a metric space"),
    ):
        with pytest.raises(ParameterError, match=told):
            tm.beyond_accuracy(model, split, **wrong)
    with pytest.raises(ParameterError, match="give a Split"):
        tm.beyond_accuracy(model, split.test)
    with pytest.raises(Unsupported, match="not trained"):
        tm.beyond_accuracy(tm.EASE(), split)
