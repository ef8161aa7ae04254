import json

import numpy as np
import polars as pl
import pytest
from dense import DenseRanker
from rich.console import Console

import trimetric as tm
from trimetric import counter
from trimetric.data import Interactions, Vocabulary, split_per_user
from trimetric.data.csr import Csr
from trimetric.data.splits import Split
from trimetric.errors import DataError, Diverged, ParameterError
from trimetric.evaluation import (
    FullRanking,
    Ranker,
    SampledCandidates,
    evaluate,
    metric,
    protocol,
    protocols,
    validator,
)


def random_data(n_users=30, n_items=40, seed=0):
    rng = np.random.default_rng(seed)
    users, items = np.nonzero(rng.random((n_users, n_items)) < rng.uniform(0.1, 0.7, (n_users, 1)))
    return Interactions.from_arrays(users + 100, items + 7000)


def dense(train, seed=1, levels=12):
    """Few distinct scores, so that there are ties."""
    rng = np.random.default_rng(seed)
    return DenseRanker(train, rng.integers(0, levels, (train.n_users, train.n_items)))


@pytest.fixture
def split():
    return split_per_user(random_data(), seed=2)


def test_a_dense_ranker_satisfies_the_protocol(split):
    ranker: Ranker = dense(split.train)
    assert len(ranker.item_ids) == 40


@pytest.mark.parametrize("exclude", ["train+valid", "train"])
def test_full_ranking_against_a_plain_loop(split, exclude):
    model = dense(split.train)
    result = evaluate(model, split, FullRanking(at=(5,), exclude=exclude))
    hits, held, ndcgs = [], [], []
    for user in np.unique(split.test.users):
        wanted = split.test.items[split.test.users == user]
        gone = split.train.items[split.train.users == user]
        if exclude == "train+valid":
            gone = np.union1d(gone, split.valid.items[split.valid.users == user])
        order = np.setdiff1d(np.arange(40), gone)
        order = order[np.lexsort((order, -model.scores[user, order]))]
        found = np.isin(order[:5], wanted)
        hits.append(found.sum())
        held.append(len(wanted))
        discounts = 1 / np.log2(np.arange(5) + 2)
        ndcgs.append((found * discounts).sum() / discounts[: len(wanted)].sum())
    assert result.metrics["micro_recall@5"] == pytest.approx(sum(hits) / sum(held))
    assert result.metrics["recall@5"] == pytest.approx(np.mean(np.array(hits) / held))
    assert result.metrics["precision@5"] == pytest.approx(np.mean(hits) / 5)
    assert result.metrics["ndcg@5"] == pytest.approx(np.mean(ndcgs))
    assert result.counts.held_out == len(split.test)


def test_dpcml_counts_users_with_enough_held_out_items(split):
    model = dense(split.train)
    result = evaluate(model, split, FullRanking.dpcml())
    plain = evaluate(model, split, FullRanking(at=(5,), exclude="train"))
    held = plain.ranks.held
    assert result.protocol.name == "dpcml"
    for name, least in (("ndcg@5", 5), ("precision@5", 5), ("map", 3), ("mrr", 3)):
        assert 0 < (held >= least).sum() < len(held)
        assert result.metrics[name] == pytest.approx(plain.values(name)[held >= least].mean())
    np.testing.assert_array_equal(
        result.values("ndcg@5")[held >= 5], result.values("ndcg_full@5")[held >= 5]
    )
    assert result.to_dict()["users_counted"]["ndcg@5"] == (held >= 5).sum()


@pytest.mark.parametrize(
    ("settings", "least"),
    [
        (FullRanking(at=(5,), at_least_k=True, min_held_out=3), {5: 5, 4: 4, 2: 2, None: 3}),
        (FullRanking(at=(5,), min_held_out=4), {5: 4, 4: 4, 2: 4, None: 4}),
    ],
)
def test_metrics_beside_those_listed_are_of_the_users_that_the_label_names(split, settings, least):
    result = evaluate(dense(split.train), split, settings)
    held = result.ranks.held
    names = [f"{name}@{k}" for name in ("ndcg_full", "mrr") for k in least if k] + ["auc"]
    asked = evaluate(dense(split.train), split, settings, metrics=names)
    for name in names:
        k = int(name.partition("@")[2] or 0) or None
        counted = held >= least[k]
        assert 0 < counted.sum() < len(held)
        np.testing.assert_array_equal(~np.isnan(result.values(name)), counted)
        assert asked[name] == result[name] == pytest.approx(result.values(name)[counted].mean())
        assert asked.to_dict()["users_counted"][name] == counted.sum()


def test_sampled_candidates_against_a_plain_loop(split):
    model, settings = dense(split.train), SampledCandidates(n=9, seed=5, at=(3,))
    result = evaluate(model, split, settings)
    touched = model.seen.union(Csr.of(split.valid)).union(Csr.of(split.test))
    draw = protocols.CandidateDraw(touched, 40, 9, seed=5)
    for row, user in enumerate(result.users):
        wanted = split.test.items[split.test.users == user]
        listed = np.sort(np.concatenate([draw.draw(np.array([user]))[0], wanted]))
        order = listed[np.lexsort((listed, -model.scores[user, listed]))]
        span = slice(result.ranks.indptr[row], result.ranks.indptr[row + 1])
        np.testing.assert_array_equal(
            np.sort(result.ranks.ranks[span]), np.flatnonzero(np.isin(order, wanted)) + 1
        )
        assert result.ranks.n_candidates[row] == 9 + len(wanted)
    assert result.protocol.notes(result.ranks) == []


def test_block_size_changes_no_sampled_rank(split, monkeypatch):
    settings = SampledCandidates(n=12, seed=1)
    whole = evaluate(dense(split.train), split, settings)
    monkeypatch.setattr(protocols, "BLOCK_PAIRS", 1)
    alone = evaluate(dense(split.train), split, settings)
    np.testing.assert_array_equal(whole.ranks.ranks, alone.ranks.ranks)
    assert whole.to_dict() == alone.to_dict()


@pytest.mark.parametrize("name", ["full", "sampled-6", "dpcml"])
def test_evaluating_some_users_gives_them_the_same_values(split, name):
    model, some = dense(split.train), split.test.take(split.test.users % 3 == 0)
    part = evaluate(model, Split(split.train, split.valid, some, {}), name).per_user("mrr", "auc")
    everyone = evaluate(model, split, name).per_user("mrr", "auc")
    if name == "sampled-6":  # other held-out items of others change nothing either
        assert len(part) < len(everyone)
    everyone = everyone.filter(everyone["user"].is_in(part["user"].to_list()))
    assert part.equals(everyone)


def test_a_small_catalogue_is_said_to_give_fewer_candidates(split):
    result = evaluate(dense(split.train), split, "sampled-499")
    note = f"{result.counts.users} users had fewer than 499 candidates to draw"
    assert result.to_dict()["notes"] == [note]
    assert (result.ranks.n_candidates <= 40).all()


def test_a_user_with_every_item_ranks_held_out_items_among_themselves():
    train = Interactions.from_arrays([1, 1, 2, 2, 2], [1, 2, 1, 2, 3])
    held = Interactions.from_arrays([1], [3])
    result = evaluate(dense(train), held, SampledCandidates(at=(1,)))
    assert result.metrics["micro_recall@1"] == result.metrics["map"] == 1
    assert np.isnan(result.metrics["auc"])
    assert result.to_dict()["metrics"]["auc"] is None


def test_one_user_and_one_item():
    train = Interactions.from_arrays(["a"], ["x"])
    with pytest.raises(DataError, match=r"none of the 1 interactions .* 1 were in its training"):
        evaluate(dense(train), train)
    both = Interactions.from_arrays(["a", "a"], ["x", "y"])
    model = dense(both.take([0]))
    result = evaluate(model, both.take([1]), FullRanking(at=(50,), cold=True))
    assert result.metrics["ndcg@50"] == 1
    assert result.metrics["precision@50"] == 0.02


def test_unknown_and_seen_pairs_of_a_test_set_are_dropped_and_counted():
    train = Interactions.from_arrays([1, 1, 2, 3], [10, 20, 20, 30])
    test = Interactions.from_arrays([1, 1, 2, 9, 9, 3], [10, 30, 77, 10, 78, 10])
    result = evaluate(dense(train), test)
    counts = result.counts
    assert (counts.users, counts.held_out) == (2, 2)
    assert (counts.unknown_users, counts.unknown_items, counts.dropped_unknown) == (1, 2, 3)
    assert counts.dropped_seen == 1
    assert result.user_ids.to_list() == [1, 3]
    shown = Console(width=120)
    with shown.capture() as text:
        shown.print(result.table())
    assert "left out 3 interactions" in text.get()
    assert "Micro recall" in text.get()


def test_a_split_in_other_vocabularies_is_matched_by_id(split):
    model = dense(split.train)
    expected = evaluate(model, split, "full")
    items = split.train.item_ids.values
    wider = Vocabulary.from_values(pl.concat([items, items - 50]))
    fewer = split.test.compact()
    parts = [p.align(split.train.user_ids, wider)[0] for p in (split.train, split.valid)]
    result = evaluate(model, Split(*parts, fewer, split.how), "full")
    assert result.metrics == expected.metrics
    assert result.counts == expected.counts


def test_nothing_left_names_the_reason(split):
    text = Interactions.from_arrays(["100"], ["7000"])
    with pytest.raises(DataError, match="user ids are str, the model's are int"):
        evaluate(dense(split.train), text)
    strangers = Interactions.from_arrays([1], [7000])
    with pytest.raises(DataError, match="1 have a user or item that the model does not know"):
        evaluate(dense(split.train), strangers)
    with pytest.raises(DataError, match="no validation part"):
        evaluate(dense(split.train), Split(split.train, None, split.test, {}), part="valid")


def test_scores_that_are_not_numbers_are_refused(split):
    model = dense(split.train)
    model.scores[:] = np.nan
    with pytest.raises(Diverged, match="NaN"):
        evaluate(model, split, "sampled-5")


def test_settings_out_of_range():
    for wrong in (
        lambda: FullRanking(at=(0,)),
        lambda: FullRanking(exclude="test"),
        lambda: FullRanking(min_held_out=0),
        lambda: SampledCandidates(n=0),
        lambda: SampledCandidates(at=(2.5,)),
        lambda: protocol("sampled-0"),
        lambda: protocol("half"),
    ):
        with pytest.raises(ParameterError):
            wrong()
    assert protocol("sampled-499") == SampledCandidates()


def test_a_result_is_json_and_names_its_data(split):
    result = evaluate(dense(split.train), split, part="valid")
    read = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert read["part"] == "valid"
    assert read["data"]["fingerprints"]["held_out"] == split.valid.fingerprint
    assert read["protocol"]["at"] == [5, 10, 20]
    assert read["metrics"]["ndcg@10"] == result["ndcg@10"]
    assert repr(result).startswith("Result(DenseRanker, valid, full, ")
    frame = result.per_user()
    assert frame["ndcg@10"].mean() == pytest.approx(result["ndcg@10"])
    assert frame["held_out"].sum() == result.counts.held_out


def test_the_validator_equals_evaluation_on_the_validation_part(split):
    model = dense(split.train)
    check = validator(split.valid, split.train, "map")
    assert check(model) == evaluate(model, split, part="valid").metrics["map"]
    assert check(dense(split.train, seed=9)) != check(model)
    auc = validator(Csr.of(split.valid), model.seen, "auc")
    assert auc(model) == evaluate(model, split, part="valid").metrics["auc"]


def test_the_validator_looks_at_the_same_few_users_each_time(split):
    model = dense(split.train)
    values = evaluate(model, split, part="valid").values("ndcg@10")
    for n in (1, 4):
        few = [validator(split.valid, model.seen, max_users=n)(model.scorer) for _ in range(2)]
        chosen = counter.permutation(counter.key(0), len(values))[:n]
        assert few[0] == few[1] == pytest.approx(values[chosen].mean())
    assert validator(split.valid, model.seen, max_users=999)(model.scorer) == pytest.approx(
        values.mean()
    )


def test_the_validator_refuses_what_it_cannot_use(split):
    with pytest.raises(DataError, match="no validation interaction is left"):
        validator(split.train, split.train)
    with pytest.raises(ParameterError, match="unknown metric"):
        validator(split.valid, split.train, "accuracy")
    with pytest.raises(ParameterError, match="max_users"):
        validator(split.valid, split.train, max_users=0)


def test_a_perfect_model_has_1_everywhere(split):
    scores = np.zeros((split.train.n_users, split.train.n_items))
    scores[split.test.users, split.test.items] = 1
    for name in ("full", "sampled-30"):
        result = evaluate(DenseRanker(split.train, scores), split, name)
        for perfect in ("map", "mrr", "auc", "ndcg@5", "ndcg@10"):
            assert result.metrics[perfect] == pytest.approx(1)
        assert result["micro_recall@40"] == metric("micro_recall@40").mean(result.ranks) == 1


def test_numbers_of_numpy_are_as_those_of_python():
    split = tm.split_per_user(tm.synthetic.planted(40, 30, per_user=6, seed=1).interactions)
    model, i = tm.Popularity().fit(split.train), np.int64
    switches = {"at_least_k": np.False_, "min_held_out": i(1), "cold": np.False_}
    for theirs, ours in (
        (tm.FullRanking(at=(i(5),), **switches), tm.FullRanking(at=(5,))),
        (tm.SampledCandidates(i(9), i(2), (np.int8(5),)), tm.SampledCandidates(9, 2, (5,))),
        (tm.AsReleased(i(9), at=(i(5),)), tm.AsReleased(9, at=(5,))),
    ):
        found = tm.evaluate(model, split, theirs).to_dict()
        assert json.loads(json.dumps(found)) == json.loads(
            json.dumps(tm.evaluate(model, split, ours).to_dict())
        )
