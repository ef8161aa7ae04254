"""The reference models against naive twins, and against what their papers say of them."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from popularity import Popularity as NaivePopularity
from threads_helper import on_threads

import trimetric as tm
from trimetric.data.csr import Csr
from trimetric.errors import (
    ArtifactError,
    DataError,
    Diverged,
    MissingExtra,
    OutputError,
    ParameterError,
)
from trimetric.models import REFERENCES
from trimetric.models.recommender import Recommender
from trimetric.models.references import ease, itemknn, spd_inverse
from trimetric.models.references.cooccurrence import (
    Counted,
    Similarity,
    Sparse,
    add_counts,
    by_item,
    nearest_items,
    squares,
    sum_rows,
    sum_sparse,
)
from trimetric.space import function
from trimetric.storage import artifact
from trimetric.testing.cases import learned, planted

FROM_HISTORY = ["ease", "itemknn"]


def likes(n_users: int = 70, n_items: int = 40, share: float = 0.1, seed: int = 0) -> np.ndarray:
    """Return X: which user likes which item, the first item liked by nobody."""
    liked = np.random.default_rng(seed).random((n_users, n_items)) < share
    liked[:, 0] = False
    return liked


def counted(liked: np.ndarray) -> Counted:
    """Return the lists of a matrix, with its entries as weights unless they are bools."""
    lists = Csr.from_pairs(*np.nonzero(liked), len(liked))
    return Counted.of(lists, None if liked.dtype == bool else liked[liked > 0].astype(np.float32))


def dense(data: tm.Interactions) -> np.ndarray:
    liked = np.zeros((data.n_users, data.n_items))
    liked[data.users, data.items] = 1 if data.weights is None else data.weights
    return liked


def weighted(data: tm.Interactions, seed: int = 3) -> tm.Interactions:
    """Return interactions with weights of 1, 2 and 4."""
    drawn = np.random.default_rng(seed).choice([1, 2, 4], len(data)).astype(np.float32)
    return data.changed(weights=drawn)


def table(model: Recommender) -> np.ndarray:
    """Return the scores of all users and items."""
    n_users, n_items = len(model.user_ids), len(model.item_ids)
    users, items = np.indices((n_users, n_items), dtype=np.int32).reshape(2, -1)
    return model.scorer.score(users, items).reshape(n_users, n_items)


def tiled(matrix: np.ndarray) -> spd_inverse.Tiles:
    parts = list(enumerate(spd_inverse.spans(len(matrix))))
    return {
        (row, column): matrix[low:high, left:right].copy()
        for row, (low, high) in parts
        for column, (left, right) in parts[: row + 1]
    }


def whole(tiles: spd_inverse.Tiles, n: int) -> np.ndarray:
    parts, out = spd_inverse.spans(n), np.full((n, n), np.nan)
    for (row, column), tile in tiles.items():
        out[slice(*parts[row]), slice(*parts[column])] = tile
        out[slice(*parts[column]), slice(*parts[row])] = tile.T
    return out


# --- kernels ----------------------------------------------------------------------------------


def nearest_twin(liked: np.ndarray, k: int, power: float, shrink: float) -> np.ndarray:
    """Return the similarities from item to item, those beyond the k nearest of the second zero."""
    liked = liked.astype(np.float64)
    together = liked.T @ liked
    users, n = (liked**2).sum(axis=0).tolist(), liked.shape[1]
    kept = np.zeros((n, n), dtype=np.float32)
    for j in range(n):
        near = {}
        for i in range(n):
            if i != j and together[i, j]:
                norm = users[i] ** power * users[j] ** (1 - power)
                near[i] = np.float32(together[i, j] / (norm + shrink))
        for i in sorted(near, key=lambda i: (-near[i], i))[:k]:
            kept[i, j] = near[i]
    return kept


@pytest.mark.twin
@pytest.mark.parametrize("power", [0.0, 0.5, 0.7, 1.0])
@pytest.mark.parametrize(("k", "shrink"), [(1, 0.0), (5, 3.0), (1000, 10.0)])
@pytest.mark.parametrize("weights", [False, True])
def test_nearest_items_equal_the_twin(k: int, shrink: float, power: float, weights: bool) -> None:
    liked = likes()[:, ::-1]
    if weights:
        liked = liked * np.random.default_rng(2).choice([0.5, 1, 3], liked.shape)
    (indptr, items), similarities = nearest_items(counted(liked), 40, k, Similarity(power, shrink))
    found = np.zeros((40, 40), dtype=np.float32)
    found[np.repeat(np.arange(40), np.diff(indptr)), items] = similarities
    assert (found == nearest_twin(liked, k, power, shrink)).all()
    assert (similarities > 0).all()


@pytest.mark.twin
@pytest.mark.parametrize("k", [1, 2, 3, 4, 1000])
def test_all_others_may_be_near(k: int) -> None:
    """Three users with all of four items: equally near, so that the first k are kept."""
    near = nearest_items(counted(np.ones((3, 4), dtype=bool)), 4, k, Similarity(0.5, 0.0))
    found = {(i, j) for i in range(4) for j in near.lists.take(np.array([i])).items.tolist()}
    assert found == {(i, j) for j in range(4) for i in [one for one in range(4) if one != j][:k]}
    assert set(near.weights.tolist()) == {1.0}


@pytest.mark.twin
def test_one_item_has_no_neighbours() -> None:
    near = nearest_items(counted(np.ones((3, 1), dtype=bool)), 1, 5, Similarity(0.5, 0.0))
    assert near.lists.indptr.tolist() == [0, 0]
    assert len(near.weights) == 0


@pytest.mark.twin
@given(seed=st.integers(0, 99), weights=st.booleans(), n=st.integers(1, 9))
def test_sums_over_lists_are_those_of_matrices(seed: int, weights: bool, n: int) -> None:
    rng = np.random.default_rng(seed)
    liked = rng.random((5, n)) < 0.4
    if weights:
        liked = liked * rng.choice([0.5, 1, 2], liked.shape)
    lists, wide = counted(liked), liked.astype(np.float64)
    likers = by_item(lists, n)
    assert squares(likers).tolist() == (wide**2).sum(axis=0).tolist()
    assert squares(likers).dtype == np.float64
    low = int(rng.integers(n))
    together = np.zeros((n - low, n))
    add_counts(low, likers, lists, together)
    assert together.tolist() == (wide.T @ wide)[low:].tolist()
    rows = rng.integers(-3, 4, (n, 4)).astype(np.float32)
    users = np.array([4, 0, 4], dtype=np.int32)
    sums = np.full((3, 4), 7, dtype=np.float32)
    sum_rows(users, lists, rows, sums)
    assert sums.tolist() == (7 + wide[users] @ rows).tolist()
    sparse = Sparse(Csr.from_pairs(*np.nonzero(rows), n), rows[rows != 0])
    sums[:] = 7
    sum_sparse(users, lists, sparse, sums)
    assert sums.tolist() == (7 + wide[users] @ rows).tolist()


@pytest.mark.compiled
def test_the_last_item_may_be_like_no_other() -> None:
    """Nothing is near to it, whichever way similarities are listed."""
    data = tm.Interactions.from_arrays([0, 0, 1, 1, 2], [0, 1, 0, 1, 2])
    model = tm.create("itemknn").fit(data)
    lists, weights = model.scorer.learned.nearest
    assert (lists.indptr.tolist(), len(weights)) == ([0, 1, 2, 2], 2)
    added = model.scorer.contributions(2, np.array([0, 1]), np.ones(2, dtype=np.float32))
    assert added.tolist() == [0, 0]


def test_neighbours_do_not_depend_on_threads() -> None:
    lists = counted(likes(300, 200, 0.2))
    one, *others = (
        on_threads(n, lambda: nearest_items(lists, 200, 7, Similarity(0.7, 2.0)))
        for n in (1, 2, 3, 201)
    )
    for other in others:
        assert (other.lists.items == one.lists.items).all()
        assert (other.weights == one.weights).all()


@pytest.mark.twin
@given(n=st.integers(1, 40), tile=st.integers(1, 45), seed=st.integers(0, 99))
def test_the_inverse_is_that_of_numpy(n: int, tile: int, seed: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(n, n))
    matrix = rows @ rows.T + np.eye(n)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spd_inverse, "TILE", tile)
        tiles = tiled(matrix)
        spd_inverse.invert(tiles)
        assert whole(tiles, n) == pytest.approx(np.linalg.inv(matrix), rel=1e-9, abs=1e-9)


def test_the_inverse_does_not_depend_on_threads() -> None:
    rows = np.random.default_rng(1).normal(size=(1300, 300))
    matrix = rows @ rows.T + np.eye(1300)
    bits = []
    for threads in (1, 2, 3):
        tiles = tiled(matrix)
        with tm.threads(threads):
            spd_inverse.invert(tiles)
        bits.append(whole(tiles, 1300).tobytes())
    assert bits[0] == bits[1] == bits[2]


# --- scores -----------------------------------------------------------------------------------

SOLVED: dict[str, dict] = {
    "popularity": {},
    "itemknn": {"neighbours": 3, "shrink": 2, "power": 0.6},
    "ease": {"reg": 5},
}
"""Models whose scores are histories times a matrix, or counts."""


def matrix_of(name: str, liked: np.ndarray) -> np.ndarray:
    """Return what each item adds to the score of each other, from who liked what."""
    if name == "ease":
        return ease_twin(liked, 5)
    return nearest_twin(liked, 3, 0.6, 2.0).astype(np.float64)


def scored(name: str, liked: np.ndarray, histories: np.ndarray) -> np.ndarray:
    if name == "popularity":
        return np.tile(liked.sum(axis=0), (len(histories), 1))
    return histories @ matrix_of(name, liked)


def few(weights: bool) -> tm.Interactions:
    """Return interactions of 12 users with 7 items."""
    liked = likes(12, 7, 0.3)
    liked[np.arange(12), np.arange(12) % 7] = True
    data = tm.Interactions.from_arrays(*np.nonzero(liked))
    return weighted(data) if weights else data


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("name", SOLVED)
def test_models_in_closed_form_in_all_that_they_do(
    name: str, weights: bool, tmp_path: Path
) -> None:
    """Trained, loaded, asked for new users, with more that is seen, and without an item."""
    data = few(weights)
    liked, model = dense(data), tm.create(name, **SOLVED[name]).fit(data)
    expected = scored(name, liked, liked)
    assert table(model) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    size = {"popularity": 4 * 7, "itemknn": 8 * 7 * 3, "ease": 4 * 7 * 7}[name]
    saved = [array.nbytes for kind, array in model.tensors().items() if kind != "near_indptr"]
    assert model.memory(data) == size >= sum(saved)
    model.save(tmp_path)
    again = tm.load(tmp_path)
    assert learned(again) == learned(model)
    assert (table(again) == table(model)).all()

    others = likes(4, 7, 0.4, seed=5) * (np.arange(1, 5)[:, None] if weights else 1.0)
    lists, counts = counted(others if weights else others > 0)
    given = None if len(counts) == 0 else counts
    folded = again.folded_in(lists, given)
    assert (folded.n_users, folded.n_items) == (4, 7)
    new = np.array([folded.score(np.full(7, u), np.arange(7)) for u in range(4)])
    assert new == pytest.approx(scored(name, liked, others), rel=1e-5, abs=1e-6)
    each = np.ones(len(lists.items), dtype=np.float32) if given is None else given
    assert again.scorer.scores_new(lists, each) == pytest.approx(new)
    for u, item in np.ndindex(4, 7):
        mine = slice(lists.indptr[u], lists.indptr[u + 1])
        adds = again.scorer.contributions(item, lists.items[mine], each[mine])
        if name == "popularity":
            assert adds is None
        else:
            expected = each[mine] * matrix_of(name, liked)[lists.items[mine], item]
            assert adds == pytest.approx(expected, rel=1e-5, abs=1e-6)

    user = int(np.flatnonzero(liked[:, 2] == 0)[0])
    again.mark_seen(([user], [2]))
    longer = liked.copy()
    longer[user, 2] = 1
    assert table(again) == pytest.approx(scored(name, liked, longer), rel=1e-5, abs=1e-6)
    again.forget(items=4)  # without learning again, since more is seen than was learned from
    kept = np.array([0, 1, 2, 3, 5, 6])
    if name == "popularity":
        left = scored(name, liked, liked)[:, kept]
    else:
        left = longer[:, kept] @ matrix_of(name, liked)[np.ix_(kept, kept)]
    assert table(again) == pytest.approx(left, rel=1e-5, abs=1e-6)
    model.forget(users=5, items=4)
    rest = np.delete(liked, 5, axis=0)[:, kept]
    assert table(model) == pytest.approx(scored(name, rest, rest), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "tensors"),
    [
        ("popularity", {"counts": np.ones(7, dtype=np.float32)}),
        ("popularity", {"counts": np.ones(8, dtype=np.int32)}),
        ("ease", {"weights": np.ones((7, 8), dtype=np.float32)}),
        ("ease", {"weights": np.ones((7, 7))}),
        ("itemknn", {"near_indptr": np.zeros(7, dtype=np.int64)}),
        ("itemknn", {"similarities": np.ones(1, dtype=np.float32)}),
        ("itemknn", {"similarities": None}),
        ("itemknn", {"near_items": None}),
    ],
)
def test_arrays_of_another_form_are_no_model(name: str, tensors: dict, tmp_path: Path) -> None:
    tm.create(name, **SOLVED[name]).fit(few(weights=False)).save(tmp_path / "good")
    good = artifact.load(tmp_path / "good")
    changed = {key: one for key, one in (good.tensors | tensors).items() if one is not None}
    artifact.save(tmp_path / "bad", "model", good.meta, changed)
    with pytest.raises(ArtifactError):
        tm.load(tmp_path / "bad")


@pytest.mark.parametrize("weights", [False, True])
def test_counts_are_whole_numbers_and_sums_of_weights_are_not(weights: bool) -> None:
    model = tm.Popularity().fit(few(weights))
    assert model.tensors()["counts"].dtype == (np.float32 if weights else np.int32)


@pytest.mark.parametrize("name", FROM_HISTORY)
def test_scores_do_not_depend_on_how_many_are_asked(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tm.create(name).fit(planted(n_users=90, n_items=70))
    rng = np.random.default_rng(0)
    users, items = (rng.integers(0, n, 500, dtype=np.int32) for n in (90, 70))
    expected = table(model)[users, items]
    assert len(np.unique(expected)) > 100
    for cells in (1, 300, 10**6):
        monkeypatch.setattr(function, "CELLS_AT_ONCE", cells)
        assert (model.scorer.score(users, items) == expected).all()
    for at in range(9):
        assert model.scorer.score(users[at : at + 1], items[at : at + 1]) == expected[at]


@pytest.mark.parametrize("name", FROM_HISTORY)
def test_scores_follow_what_is_seen(name: str, tmp_path: Path) -> None:
    """Pairs that are marked as seen after training count as the user's, also when loaded."""
    data = planted()
    split = tm.split_random(data, test=0.2, valid=0, seed=0)
    model = tm.create(name).fit(split.train)
    before, weights = table(model), learned(model)
    model.mark_seen(split.test)
    assert (table(model) != before).any()
    assert learned(model) == weights
    model.save(tmp_path)
    assert (table(tm.load(tmp_path)) == table(model)).all()


@pytest.mark.parametrize("name", REFERENCES)
def test_validation_data_is_noted_only(name: str) -> None:
    split = tm.split_random(planted(), test=0.2, valid=0, seed=0)
    alone = tm.create(name).fit(split.train)
    model = tm.create(name).fit(split.train, split.test)
    assert learned(model) == learned(alone)
    assert model.provenance["valid"]["pairs"] == len(split.test)
    assert (model.provenance["best_epoch"], model.provenance["stopped"]) == (0, "")
    with pytest.raises(DataError, match="no validation interaction"):
        tm.create(name).fit(split.train, (["nobody"], ["nothing"]))


@pytest.mark.parametrize("name", REFERENCES)
def test_an_output_that_cannot_be_written_costs_no_training(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    model = tm.create(name)
    with pytest.raises(OutputError):
        model.fit(planted(), out=tmp_path / "file")
    assert "not trained" in repr(model)


# --- popularity ---------------------------------------------------------------------------------


def test_popularity_is_loaded_whatever_weights_were_marked_as_seen(tmp_path: Path) -> None:
    plain = tm.Interactions.from_arrays([0, 0, 1], [0, 1, 1])
    weighted = tm.Interactions.from_arrays([1], [0], weights=[2.5])
    for train, seen in ((plain, weighted), (weighted, plain)):
        model = tm.create("popularity").fit(train).mark_seen(seen)
        model.save(tmp_path)
        again = tm.load(tmp_path)
        assert again.tensors()["counts"].dtype == model.tensors()["counts"].dtype
        assert again.recommend(exclude_seen=False).equals(model.recommend(exclude_seen=False))


def test_popularity_ranks_as_counting_does() -> None:
    split = tm.split_random(planted(), seed=0)
    train, test = split.train, split.test
    model = tm.Popularity().fit(train)
    ranks = model.scorer.ranks(Csr.of(test), Csr.of(train))
    assert (ranks == NaivePopularity(train).ranks(Csr.of(test), Csr.of(train))).all()
    assert (table(model) == dense(train).sum(axis=0)).all()
    with pytest.raises(ParameterError, match="unknown setting 'dim'; popularity has no settings"):
        tm.Popularity(dim=3)


# --- neighbours ---------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda data: data, weighted])
def test_itemknn_is_a_sum_over_dense_similarities(make: Callable) -> None:
    data = make(planted(n_users=90, n_items=70))
    model = tm.ItemKNN(neighbours=9, shrink=2, power=0.6).fit(data)
    liked = dense(data)
    expected = liked @ nearest_twin(liked, 9, 0.6, 2.0).astype(np.float64)
    assert table(model) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"neighbours": 0}, "neighbours must be in 1..10000, got 0; 50-500 suits"),
        ({"neighbours": 10_001}, "neighbours must be in 1..10000, got 10001"),
        ({"shrink": 1_000_001}, "shrink must be in 0..1000000, got 1000001"),
        ({"power": -0.1}, "power must be in 0..1, got -0.1"),
        ({"shrink": -1}, "shrink must be in 0..1000000, got -1"),
        ({"power": 1.1}, "power must be in 0..1, got 1.1"),
        ({"preset": "released"}, "this model has no presets, got 'released'"),
    ],
)
def test_itemknn_settings(settings: dict, told: str) -> None:
    with pytest.raises(ParameterError, match=told.replace(".", r"\.")):
        tm.ItemKNN(**settings)


def test_settings_that_are_allowed() -> None:
    assert tm.ItemKNN().get_params() == {"neighbours": 200, "shrink": 10.0, "power": 0.5}
    for neighbours, shrink, power in ((1, 0, 0), (10_000, 1_000_000, 1)):
        tm.ItemKNN(neighbours=neighbours, shrink=shrink, power=power)
    assert tm.EASE().get_params() == {"reg": 200.0}
    for reg in (0.01, 1_000_000):
        tm.EASE(reg=reg)
    for reg in (0.009, 1_000_001):
        with pytest.raises(ParameterError, match=r"reg must be in 0\.01\.\.1000000, got"):
            tm.EASE(reg=reg)


def test_neighbours_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """A kernel would read and write outside its arrays."""
    model = tm.ItemKNN().fit(planted())
    model.save(tmp_path / "good")
    good = artifact.load(tmp_path / "good")
    near = good.tensors["near_items"]
    for name, wrong in (
        ("near_items", near + np.int32(10**6)),
        ("near_items", -near),
        ("near_indptr", good.tensors["near_indptr"] + 1),
    ):
        artifact.save(tmp_path / "bad", "model", good.meta, good.tensors | {name: wrong})
        with pytest.raises(ArtifactError, match="near_indptr and near_items do not fit the ids"):
            tm.load(tmp_path / "bad")


# --- EASE ---------------------------------------------------------------------------------------


def ease_twin(liked: np.ndarray, reg: float) -> np.ndarray:
    inverse = np.linalg.inv(liked.T @ liked + reg * np.eye(liked.shape[1]))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


@pytest.mark.parametrize("tile", [7, 70, spd_inverse.TILE])
@pytest.mark.parametrize("reg", [0.5, 20.0])
@pytest.mark.parametrize("make", [lambda data: data, weighted])
def test_ease_is_its_formula(
    make: Callable, reg: float, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spd_inverse, "TILE", tile)
    data = make(planted(n_users=90, n_items=70))
    model = tm.EASE(reg=reg).fit(data)
    expected = ease_twin(dense(data), reg)
    assert model.weights.dtype == np.float32
    assert model.weights == pytest.approx(expected, rel=1e-4, abs=1e-7)
    assert (np.diag(model.weights) == 0).all()
    assert table(model) == pytest.approx(dense(data) @ expected, rel=1e-4, abs=1e-5)


def test_ease_minimises_the_ridge_objective() -> None:
    """Steck 2019, equation (1): no other B with a diagonal of zeros has a lower value."""
    data, reg = planted(), 5.0
    liked = dense(data)
    found = tm.EASE(reg=reg).fit(data).weights.astype(np.float64)

    def objective(weights: np.ndarray) -> float:
        return ((liked - liked @ weights) ** 2).sum() + reg * (weights**2).sum()

    gradient = 2 * (liked.T @ (liked @ found - liked) + reg * found)
    np.fill_diagonal(gradient, 0)
    assert np.abs(gradient).max() < 1e-4
    rng = np.random.default_rng(0)
    for _ in range(20):
        step = rng.normal(size=found.shape) * 0.01
        np.fill_diagonal(step, 0)
        assert objective(found + step) > objective(found)


def test_ease_names_its_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ease, "MAX_ITEMS", 39)
    model = tm.EASE()
    with pytest.raises(DataError, match=r"at most 39 items and the training data has 40: .*memory"):
        model.fit(planted(), out=tmp_path / "model")
    assert "not trained" in repr(model)
    assert not (tmp_path / "model").exists()
    monkeypatch.setattr(ease, "MAX_ITEMS", 40)
    assert model.fit(planted()).weights.shape == (40, 40)


def test_itemknn_in_all_that_it_says_of_its_size() -> None:
    data = planted()
    assert tm.ItemKNN(neighbours=7).memory(data) == 8 * 40 * 7
    assert tm.ItemKNN(neighbours=200).memory(data) == 8 * 40 * 39
    learned = tm.ItemKNN().fit(data).scorer.learned  # type: ignore[attr-defined]
    assert itemknn.similarities_of(learned, np.arange(3)).shape == (3, 40)
    assert learned.nearest.lists.n_users == learned.near.lists.n_users == 40


def test_ease_says_how_much_memory_its_limit_spares() -> None:
    items = np.arange(50_001)
    data = tm.Interactions.from_arrays(np.zeros_like(items), items)
    with pytest.raises(DataError, match=r"at most 50,000 .* has 50,001: .* would need 20 GB"):
        tm.EASE().fit(data)


def test_ease_with_many_tiles_does_not_depend_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spd_inverse, "TILE", 64)
    data = tm.synthetic.planted(400, 500, seed=1).interactions
    one, two, three = (learned(tm.EASE().fit(data, threads=threads)) for threads in (1, 2, 3))
    assert one == two == three


@pytest.mark.parametrize("name", FROM_HISTORY)
@pytest.mark.parametrize("data", ["ml_100k", "amazon_instant_video_5core"])
def test_histories_tell_more_than_popularity(real_data: Path, data: str, name: str) -> None:
    rated = tm.datasets.load(data, min_rating=4 if data == "ml_100k" else None)
    split = tm.split_per_user(rated) if data == "ml_100k" else tm.split_random(rated)
    quality, popular = (
        tm.evaluate(tm.create(one).fit(split.train), split, part="valid")["ndcg@10"]
        for one in (name, "popularity")
    )
    assert quality > 1.5 * popular


# --- iALS ---------------------------------------------------------------------------------------


def ials_loss(model: tm.IALS, liked: np.ndarray) -> float:
    """Hu, Koren and Volinsky 2008, equation (3), with a constant confidence."""
    users, items = (one.astype(np.float64) for one in (model.user_factors, model.item_factors))
    weight = np.where(liked > 0, model.config.alpha, 1.0)
    ridge = (users**2).sum() + (items**2).sum()
    return (weight * (liked - users @ items.T) ** 2).sum() + model.config.reg * ridge


def test_the_confidence_of_ials_grows_with_weights() -> None:
    """c = 1 + (alpha − 1)·w: a cell of weight 1 counts alpha, as without weights."""
    pytest.importorskip("implicit")
    data = weighted(planted(n_users=90, n_items=70))
    liked = dense(data)
    model = tm.IALS(dim=8, reg=0.5, alpha=5, iterations=50).fit(data)
    items, ridge = model.item_factors.astype(np.float64), 0.5 * np.eye(8)
    exact = [
        np.linalg.solve(items.T @ (c[:, None] * items) + ridge, items.T @ (c * (w > 0)))
        for c, w in zip(1 + 4 * liked, liked, strict=True)
    ]
    assert model.user_factors == pytest.approx(np.array(exact), abs=0.02)
    with pytest.raises(ParameterError, match="ials with weights needs alpha above 1"):
        tm.IALS(alpha=0.5).fit(data)


def test_ials_lowers_its_loss() -> None:
    pytest.importorskip("implicit")
    data = planted(n_users=90, n_items=70)
    liked = dense(data)
    losses = [
        ials_loss(tm.IALS(dim=8, reg=0.5, alpha=5, iterations=n).fit(data), liked)
        for n in (1, 2, 5, 50)
    ]
    assert losses == sorted(losses, reverse=True)
    model = tm.IALS(dim=8, reg=0.5, alpha=5, iterations=50).fit(data)
    weight, ridge = np.where(liked > 0, 5.0, 1.0), 0.5 * np.eye(8)
    items = model.item_factors.astype(np.float64)
    exact = [
        np.linalg.solve(items.T @ (w[:, None] * items) + ridge, items.T @ (w * y))
        for w, y in zip(weight, liked, strict=True)
    ]
    assert model.user_factors == pytest.approx(np.array(exact), abs=0.02)


def test_ials_does_not_depend_on_threads() -> None:
    pytest.importorskip("implicit")
    data = tm.synthetic.planted(400, 500, seed=1).interactions
    settings = {"dim": 40, "iterations": 4}
    one, *others = (
        learned(tm.IALS(**settings).fit(data, threads=threads)) for threads in (1, 2, 3, None)
    )
    assert all(other == one for other in others)
    assert learned(tm.IALS(**settings, seed=-1).fit(data)) != one


def test_ials_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only training needs the library; a saved model is used without."""
    pytest.importorskip("implicit")
    tm.IALS(dim=4).fit(planted(), out=tmp_path / "model")
    for name in [name for name in sys.modules if name.split(".")[0] == "implicit"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "implicit", None)
    model = tm.create("ials")
    with pytest.raises(MissingExtra, match=r"pip install 'trimetric\[peers\]'"):
        model.fit(planted(), out=tmp_path / "other")
    assert "not trained" in repr(model)
    assert not (tmp_path / "other").exists()
    assert tm.load(tmp_path / "model").recommend(planted().user_ids.values[:3]).height == 30


def test_ials_that_diverges(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("implicit")
    from implicit.cpu.als import AlternatingLeastSquares
    from implicit.recommender_base import ModelFitError

    def fail(self: object, *_: object, **__: object) -> None:
        raise ModelFitError

    monkeypatch.setattr(AlternatingLeastSquares, "fit", fail)
    model = tm.IALS()
    with pytest.raises(Diverged, match=r"NaN with reg 100.0 and alpha 30.0; a larger reg"):
        model.fit(planted())
    assert "not trained" in repr(model)


# --- new users and similar items ------------------------------------------------------------------


def listed(answer: pl.DataFrame, n: int) -> np.ndarray:
    return answer["score"].to_numpy()[:n]


def test_ease_of_a_new_user_and_similar_items() -> None:
    data = planted(n_users=90, n_items=70)
    model, ids = tm.EASE(reg=5).fit(data), data.item_ids.values
    twin = ease_twin(dense(data), 5)
    expected = 2 * twin[3] + twin[8]
    order = np.argsort(-np.delete(expected, [3, 8]), kind="stable")
    answer = model.recommend_for({ids[3]: 2, ids[8]: 1}, k=20)
    assert listed(answer, 20) == pytest.approx(np.delete(expected, [3, 8])[order][:20], abs=1e-5)
    near = model.similar_items(ids[4], 69)
    assert listed(near, 69) == pytest.approx(-np.sort(-np.delete(twin[4], 4)), abs=1e-5)


def test_itemknn_of_a_new_user_and_similar_items() -> None:
    data = planted(n_users=90, n_items=70)
    model, ids = tm.ItemKNN(neighbours=9, shrink=3).fit(data), data.item_ids.values
    twin = nearest_twin(dense(data) > 0, 9, 0.5, 3)
    expected = 2 * twin[3] + twin[8]
    answer = model.recommend_for({ids[3]: 2, ids[8]: 1}, k=20)
    order = np.argsort(-np.delete(expected, [3, 8]), kind="stable")
    assert listed(answer, 20) == pytest.approx(np.delete(expected, [3, 8])[order][:20], rel=1e-6)
    near = model.similar_items(ids[4], 69)
    column = twin[:, 4]
    assert len(near) == (column > 0).sum() <= 9
    assert listed(near, 69) == pytest.approx(-np.sort(-column[column > 0]), rel=1e-6)


@pytest.mark.parametrize("kind", ["ease", "itemknn"])
def test_a_new_user_with_a_known_history_gets_the_known_list(kind: str) -> None:
    data = planted()
    model = tm.create(kind).fit(data)
    for user in data.user_ids.values[:9]:
        theirs = data.to_frame().filter(pl.col("user") == user)["item"]
        answer = model.recommend(user, 20).drop("user")
        assert model.recommend_for(theirs, 20).equals(answer)


def test_ials_of_a_new_user_and_what_is_alike() -> None:
    pytest.importorskip("implicit")
    data = planted(n_users=90, n_items=70)
    model = tm.IALS(dim=8, reg=0.5, alpha=5, iterations=3).fit(data)
    ids, items = data.item_ids.values, model.item_factors.astype(np.float64)
    weight, liked = np.ones(70), np.zeros(70)
    weight[[3, 8]], liked[[3, 8]] = [9, 5], 1  # 1 + (alpha - 1)·w
    left = items.T @ (weight[:, None] * items) + 0.5 * np.eye(8)
    scores = items @ np.linalg.solve(left, items.T @ (weight * liked))
    answer = model.recommend_for({ids[3]: 2, ids[8]: 1}, k=68)
    assert listed(answer, 68) == pytest.approx(-np.sort(-np.delete(scores, [3, 8])), abs=1e-5)
    for factors, similar, names in (
        (items, model.similar_items, ids),
        (model.user_factors.astype(np.float64), model.similar_users, data.user_ids.values),
    ):
        unit = factors / np.linalg.norm(factors, axis=1, keepdims=True)
        cosines = -np.sort(-np.delete(unit @ unit[4], 4))
        assert listed(similar(names[4], 30), 30) == pytest.approx(cosines[:30], abs=1e-5)
