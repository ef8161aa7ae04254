"""Users held out whole, placed by their histories; cross-validation."""

import numpy as np
import polars as pl
import pytest

import trimetric as tm
from trimetric.errors import DataError, ParameterError, Unsupported
from trimetric.evaluation import CrossValidation, evaluate
from trimetric.evaluation.subject import Subject

DATA = tm.synthetic.planted(200, 80, dim=4, clusters=4, per_user=14, seed=1).interactions
SPLIT = tm.split_users(DATA, test=0.2, seed=2)
FOLDING = {
    "sml": lambda: tm.SML(epochs=5, dim=8),
    "cml": lambda: tm.CML(epochs=5, dim=8),
    "centroid": lambda: tm.CentroidML(epochs=5, dim=8),
    "ease": tm.EASE,
    "itemknn": tm.ItemKNN,
    "popularity": tm.Popularity,
}


@pytest.mark.parametrize("name", FOLDING)
def test_models_that_fold_in_are_evaluated_on_users_they_never_saw(name):
    model = FOLDING[name]().fit(SPLIT.train, SPLIT.valid)
    before = model.seen.items.copy()
    found = evaluate(model, SPLIT)
    assert found.counts.users == SPLIT.how["users_held_out"] == 40
    assert found.counts.held_out == len(SPLIT.test)
    with tm.threads(2):
        assert evaluate(model, SPLIT).metrics == found.metrics
    np.testing.assert_array_equal(model.seen.items, before)
    frame = found.per_user("ndcg@10")
    assert set(frame["user"]) == set(SPLIT.test.compact().user_ids.values)
    assert found.to_dict()["data"]["fingerprints"]["history"] == SPLIT.history.fingerprint


@pytest.mark.parametrize("name", ["sml", "centroid"])
def test_ranks_are_those_of_recommend_for(name):
    model = FOLDING[name]().fit(SPLIT.train)
    found = evaluate(model, SPLIT)
    for row in (0, 7, 31):
        user = found.user_ids[row]
        of = {part: getattr(SPLIT, part).to_frame().filter(pl.col("user") == user)["item"]
              for part in ("history", "test")}  # fmt: skip
        listed = model.recommend_for(of["history"].to_list(), 80)
        places = listed.filter(pl.col("item").is_in(of["test"].to_list()))["rank"].to_list()
        own = found.ranks.ranks[found.ranks.indptr[row] : found.ranks.indptr[row + 1]]
        assert sorted(own.tolist()) == sorted(places)


@pytest.mark.parametrize("protocol", ["sampled-9", "full"])
def test_lists_and_other_models_are_ranked_among_the_same_candidates(protocol, tmp_path):
    model = tm.EASE().fit(SPLIT.train)
    history = SPLIT.history.to_frame()
    lists = {
        user: model.recommend_for(theirs["item"].to_list(), 80)["item"].to_list()
        for (user,), theirs in history.group_by("user")
    }
    found = evaluate(model, SPLIT, protocol)
    SPLIT.save(tmp_path)
    for split in (SPLIT, tm.Split.load(tmp_path)):
        by_lists = evaluate(tm.RankedLists.from_dict(lists), split, protocol)
        for name in by_lists.metrics:
            assert by_lists[name] == found[name], name
        assert evaluate(model, split, protocol).metrics == found.metrics
    # Who has a history of items that a model does not know is left out, and moves nobody else.
    first = history["user"].sort()[0]
    rare = history.filter(pl.col("user") == first)["item"].to_list()
    part = tm.EASE().fit(SPLIT.train.filter(items=set(SPLIT.train.to_frame()["item"]) - {*rare}))
    draws = []
    for one in (model, part):
        subject = Subject.of_model(one).folded_in(one, SPLIT.history)
        draws.append(dict(zip(subject.user_ids.values, subject.numbers, strict=True)))
    assert first not in draws[1]
    assert draws[1].items() < draws[0].items()


def test_ease_scores_by_the_sum_of_its_weights():
    model = tm.EASE().fit(SPLIT.train)
    found = evaluate(model, SPLIT, tm.FullRanking(at=(80,)))
    user = found.user_ids[3]
    history = SPLIT.history.to_frame().filter(pl.col("user") == user)["item"]
    held = SPLIT.test.to_frame().filter(pl.col("user") == user)["item"]
    mine = model.item_ids.encode(history)
    scores = model.weights[np.sort(mine)].sum(axis=0)
    scores[mine] = -np.inf
    order = np.argsort(-scores, kind="stable")
    places = 1 + np.flatnonzero(np.isin(order, model.item_ids.encode(held)))
    assert sorted(found.ranks.ranks[found.ranks.indptr[3] : found.ranks.indptr[4]]) == sorted(
        places
    )


def test_taste_beats_popularity_for_new_users():
    ndcg = {name: evaluate(FOLDING[name]().fit(SPLIT.train), SPLIT)["ndcg@10"]
            for name in ("ease", "itemknn", "popularity")}  # fmt: skip
    assert min(ndcg["ease"], ndcg["itemknn"]) > 1.1 * ndcg["popularity"]


@pytest.mark.parametrize("kind", [tm.MLP, tm.NCF])
def test_models_that_cannot_fold_in_are_refused_by_name(kind):
    model = kind(epochs=1).fit(SPLIT.train)
    with pytest.raises(Unsupported, match=kind.name):
        evaluate(model, SPLIT)


def test_a_model_that_was_trained_on_the_users_is_refused():
    model = tm.EASE().fit(DATA)
    with pytest.raises(DataError, match="was trained on 40 of the users held out whole"):
        evaluate(model, SPLIT)
    with pytest.raises(Unsupported, match="does not fold in"):
        evaluate(tm.EASE().fit(SPLIT.train).scorer, SPLIT)


def test_items_that_a_model_does_not_know_are_left_out_of_histories():
    few = SPLIT.train.take(SPLIT.train.items % 3 == 0).compact()
    model = tm.EASE().fit(few)
    found = evaluate(model, SPLIT)
    assert 0 < found.counts.users <= 40
    assert found.counts.dropped_unknown > 0
    assert found.counts.held_out + found.counts.dropped_unknown == len(SPLIT.test)
    none = tm.EASE().fit(tm.Interactions.from_arrays([10**6] * 2, [10**6, 10**6 + 1]))
    with pytest.raises(DataError, match="knows no item of the histories"):
        evaluate(none, SPLIT)


def test_samples_and_published_protocols_fold_in_too():
    model = tm.EASE().fit(SPLIT.train)
    for name in ("sampled-20", "dpcml"):
        assert evaluate(model, SPLIT, name).counts.users == 40
    found = tm.beyond_accuracy(model, SPLIT, 5)
    assert 0 < found["coverage@5"] <= 1
    assert found["popularity_lift@5"] > -1


# --- cross-validation -----------------------------------------------------------------------------


def test_cross_validation_is_a_fit_and_an_evaluation_of_each_fold(capsys):
    model = tm.SML(epochs=3, dim=8, seed=5)
    found = tm.cross_validate(model, DATA, 3, seed=1)
    assert isinstance(found, CrossValidation)
    values = []
    for split in tm.kfold(DATA, 3, valid=0.1, seed=1):
        own = tm.SML(epochs=3, dim=8, seed=5).fit(split.train, split.valid)
        values.append(evaluate(own, split)["ndcg@10"])
    mean, spread = found["ndcg@10"]
    assert mean == pytest.approx(np.mean(values))
    assert spread == pytest.approx(np.std(values, ddof=1))
    frame = found.to_frame().filter(pl.col("metric") == "ndcg@10")
    assert frame.select("fold 1", "fold 2", "fold 3").row(0) == tuple(values)
    assert sum(result.counts.held_out for result in found.results) <= len(DATA)
    with pytest.raises(Unsupported):
        model.user_ids  # noqa: B018  (it was not trained)
    assert repr(found).startswith("CrossValidation(3 folds: precision@5=")
    assert not capsys.readouterr().err


def test_cross_validation_is_of_five_folds_unless_told_otherwise():
    found = tm.cross_validate(tm.EASE(), DATA)
    splits = tm.kfold(DATA, 5, valid=0.1, seed=0)
    expected = [evaluate(tm.EASE().fit(split.train, split.valid), split) for split in splits]
    assert [one.metrics for one in found.results] == [one.metrics for one in expected]


def test_cross_validation_takes_frames_protocols_and_no_validation():
    found = tm.cross_validate(tm.EASE(), DATA.to_frame(), 2, "sampled-20", valid=0)
    assert found.results[0].protocol.name == "sampled-20"
    assert found["hit@10"] == found["hit_rate@10"]
    for wrong in (None, tm.EASE, 5, DATA):
        with pytest.raises(ParameterError, match="model must be a model"):
            tm.cross_validate(wrong, DATA)
    with pytest.raises(ParameterError, match="folds must be"):
        tm.cross_validate(tm.EASE(), DATA, 1)
