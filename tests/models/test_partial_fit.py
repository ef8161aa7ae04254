"""A new day's interactions: who joins, where, and how little the others move."""

import copy
import signal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from command import document, done, refused
from hypothesis import given, settings
from hypothesis import strategies as st
from threads_helper import on_threads

import trimetric as tm
from trimetric.data.csr import Csr
from trimetric.errors import DataError, Diverged, Interrupted, ParameterError, Unsupported
from trimetric.evaluation import validator
from trimetric.models.partial_fit import _mix, joined
from trimetric.progress import Silent

WHOLE = tm.synthetic.planted(400, 120, dim=4, clusters=4, per_user=20, seed=1).interactions
SPLIT = tm.split_per_user(WHOLE, test=0.25, valid=0)
FRAME = SPLIT.train.to_frame().select("user", "item")
LATE_USERS = WHOLE.user_ids.values[::8].to_list()
LATE_ITEMS = WHOLE.item_ids.values[5::15].to_list()
LATE = pl.col("user").is_in(LATE_USERS) | pl.col("item").is_in(LATE_ITEMS)
OLD = tm.Interactions.from_frame(FRAME.filter(~LATE))
DAY = tm.Interactions.from_frame(FRAME.filter(LATE))


def some(name: str = "sml", **more: Any) -> tm.SML:
    given = {"temperature": 0.2} if name == "sml" else {}
    return tm.create(name, dim=16, epochs=20, **given, **more)


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return what gives a fresh copy of a model trained on OLD."""
    folder = tmp_path_factory.mktemp("old")
    some().fit(OLD).save(folder)
    return lambda: tm.load(folder)


def learned(model: Any) -> dict[str, bytes]:
    return {name: a.tobytes() for name, a in model.tensors().items()}


def quality(model: Any, users: list | None = None) -> float:
    held, known = SPLIT.test, SPLIT.train
    if users is not None:
        held = held.take(np.isin(held.user_ids.values.to_numpy()[held.users], users))
    held, known = (part.align(model.user_ids, model.item_ids)[0] for part in (held, known))
    return validator(held, Csr.of(known), "ndcg@10")(model.scorer)


def test_a_day_is_worth_much_of_training_anew_and_the_others_move_little(old: Any) -> None:
    before, after, placed = old(), old().partial_fit(DAY), old().partial_fit(DAY, epochs=0)
    anew = some().fit(tm.Interactions.from_frame(FRAME))
    assert quality(after) > 0.93 * quality(anew)
    assert quality(after, LATE_USERS) > 0.9 * quality(anew, LATE_USERS) > 0
    assert quality(after) > quality(placed) > 0.65 * quality(anew)
    for was, vocabulary in (("user_embeddings", "user_ids"), ("item_embeddings", "item_ids")):
        ids, points = getattr(before, vocabulary).values, getattr(before, was)
        now = getattr(after, was)[getattr(after, vocabulary).encode(ids)]
        assert 0 < np.linalg.norm(now - points, axis=1).mean() < 0.35
        still = getattr(placed, was)[getattr(placed, vocabulary).encode(ids)]
        assert (still == points).all()


def test_it_knows_all_that_happened(old: Any) -> None:
    model = old().partial_fit(DAY)
    both = tm.Interactions.from_frame(FRAME)
    assert model.user_ids.values.equals(both.user_ids.values)
    assert model.item_ids.values.equals(both.item_ids.values)
    assert (model.seen.indptr == both.indptr).all()
    assert (model.seen.items == both.items).all()
    assert model.user_embeddings.shape == (both.n_users, 16)
    found = model.recommend(LATE_USERS, k=5).join(FRAME, on=["user", "item"])
    assert found.height == 0
    [told] = model.provenance["updates"]
    assert told["pairs"] == len(DAY)
    assert (told["users"], told["items"]) == (len(LATE_USERS), len(LATE_ITEMS))
    assert model.get_params() == old().get_params()


def test_the_same_bits_for_any_threads_and_other_ones_the_next_day(old: Any) -> None:
    first = learned(on_threads(1, lambda: old().partial_fit(DAY)))
    assert first == learned(on_threads(2, lambda: old().partial_fit(DAY))) != learned(old())
    half = tm.Interactions.from_frame(DAY.to_frame().select("user", "item")[::2])
    twice = old().partial_fit(half).partial_fit(DAY)
    assert len(twice.provenance["updates"]) == 2
    assert (twice.seen.items == old().partial_fit(DAY).seen.items).all()


def test_nothing_new_changes_nothing(old: Any) -> None:
    model = old()
    before = learned(model)
    assert model.partial_fit(tm.Interactions.from_frame(OLD.to_frame()[:50])) is model
    assert learned(model) == before
    assert "updates" not in model.provenance


def test_a_day_of_numbers_read_from_text_joins_ids_of_text(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("user,item\nguest,7\n9,7\n10,8\n9,x\n")
    (tmp_path / "day.csv").write_text("user,item\n9,7\n11,8\n")
    model = tm.SML(dim=4, epochs=1, temperature=0.2).fit(tmp_path / "old.csv")
    model.partial_fit(tmp_path / "day.csv")
    assert model.user_ids.values.to_list() == ["10", "11", "9", "guest"]
    assert model.item_ids.values.to_list() == ["7", "8", "x"]


def test_newcomers_who_know_only_newcomers(old: Any) -> None:
    """A new user of new items is placed by them; a pair that nothing ties to the rest stays."""
    known = OLD.user_ids.values[:4].to_list()
    pairs = [*((user, "new item") for user in known), ("new user", "new item"), ("one", "other")]
    model = old().partial_fit(tuple(zip(*pairs, strict=True)), epochs=0)
    at = {one: model.user_embeddings[row] for row, one in enumerate(model.user_ids.values)}
    item = model.item_embeddings[model.item_ids.encode(["new item"])[0]]
    assert np.allclose(item, old().fold_in_item(known), atol=1e-3)
    assert ((at["new user"] - item) ** 2).sum() < ((at["one"] - item) ** 2).sum()
    assert np.isfinite(model.user_embeddings).all()
    model.partial_fit((["one"], [OLD.item_ids.values[0]]))
    assert model.recommend(["one"], k=3).height == 3


@pytest.mark.parametrize("name", ["cml", "base+s"])
@pytest.mark.parametrize("optimizer", ["rowwise-adagrad", "adagrad", "adam"])
def test_every_form_of_it(name: str, optimizer: str) -> None:
    model = some(name, optimizer=optimizer, **({"lr": 0.05} if optimizer == "adam" else {}))
    model.fit(OLD)
    placed = quality(copy.deepcopy(model).partial_fit(DAY, epochs=0))
    assert quality(model.partial_fit(DAY)) > placed > 0
    if name == "cml":
        assert model.scorer.user_margins is None
        assert model.scorer.margins_at(0, 0) == (model.config.margin, None)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_joint_rows(pairs: list) -> None:
    """Old and new pairs in joint rows are the pairs there are, and old rows are found again."""
    first = [(2 * u, 3 * i) for u in range(5) for i in range(5) if (u + i) % 2]
    model = tm.create("sml", epochs=0, dim=4, temperature=0.2).fit(tuple(zip(*first, strict=True)))
    day = joined(model.known, tm.Interactions.from_arrays(*zip(*pairs, strict=True)))
    ids = day.data.user_ids.values, day.data.item_ids.values
    told = [(ids[0][int(u)], ids[1][int(v)])
            for u, v in zip(day.data.users, day.data.items, strict=True)]  # fmt: skip
    assert told == sorted({*first, *pairs})
    fresh = {pair for pair, new in zip(told, day.fresh, strict=True) if new}
    assert fresh == set(pairs) - set(first)
    assert ids[0].gather(day.user_rows).equals(model.user_ids.values)
    assert ids[1].gather(day.item_rows).equals(model.item_ids.values)
    if day.fresh.any():
        for replay in (0.0, 0.5, 100.0):
            mixed = _mix(day, replay, 0)
            assert mixed[day.fresh].all()
            whole = {u: mixed[day.data.users == u] for u in np.unique(day.data.users)}
            assert all(part.all() or not part.any() for part in whole.values())
            if replay == 100.0:
                assert mixed.all()


def test_a_model_that_fails_stays_as_it_was(old: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = old()
    before, users = learned(model), len(model.user_ids)

    def stop(self: Silent, row: dict, run: Any) -> None:
        if run.epoch == 2:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Silent, "epoch", stop)
        with pytest.raises(Interrupted, match="as it was before"):
            model.partial_fit(DAY, progress=False)
    assert (learned(model), len(model.user_ids)) == (before, users)
    model.scorer.points[:, 0] = np.nan
    before = learned(model)
    with pytest.raises(Diverged):
        model.partial_fit(DAY)
    assert learned(model) == before


def test_refusals(old: Any) -> None:
    for wrong in (
        {"replay": -1},
        {"replay": float("nan")},
        {"replay": "all"},
        {"epochs": -1},
        {"lr": 0},
        {"lr": 11},
    ):
        with pytest.raises(ParameterError, match=next(iter(wrong))):
            old().partial_fit(DAY, **wrong)
    with pytest.raises(DataError, match=r"user ids are whole numbers and the model's text"):
        old().partial_fit(([1, 2], ["a", "b"]))
    with pytest.raises(Unsupported, match="not trained"):
        tm.SML().partial_fit(DAY)


def test_the_command(old: Any, tmp_path: Any) -> None:
    old().save(tmp_path / "m")
    DAY.to_frame().write_parquet(tmp_path / "day.parquet")
    asked = ("update", "m", "--with", "day.parquet", "--out")
    told = document(*asked, "m2", "-q", cwd=tmp_path)
    assert told["new"] == {"users": len(LATE_USERS), "items": len(LATE_ITEMS), "pairs": len(DAY)}
    assert learned(tm.load(tmp_path / "m2")) == learned(old().partial_fit(DAY))
    assert learned(tm.load(tmp_path / "m")) == learned(old())
    said = done("update", "m", "--with", "day.parquet", "--out", "m", "--epochs", "0", cwd=tmp_path)
    assert f"{len(DAY):,} interactions are new" in said
    assert len(tm.load(tmp_path / "m").user_ids) == 400
    tm.create("itemknn").fit(OLD).save(tmp_path / "knn")
    assert "fit it anew" in refused(
        "update", "knn", "--with", "day.parquet", "--out", "no", cwd=tmp_path
    )
