from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from trimetric.errors import ParameterError
from trimetric.evaluation.metrics import AT_K, WHOLE_LIST, Metric, Ranks, metric, recorded

CUTOFFS = (1, 3, 5, 10, 50)


def ranks_of(lists, n_candidates):
    indptr = np.concatenate([[0], np.cumsum([len(r) for r in lists])]).astype(np.int64)
    flat = np.array([r for ranks in lists for r in ranks], dtype=np.int32)
    return Ranks(flat, indptr, np.full(len(lists), n_candidates, dtype=np.int64))


@st.composite
def rankings(draw):
    n_candidates = draw(st.integers(1, 30))
    users = st.lists(
        st.lists(st.integers(1, n_candidates), min_size=1, unique=True), min_size=1, max_size=6
    )
    return ranks_of(draw(users), n_candidates)


def test_agrees_with_trec_eval_on_random_scores():
    rng = np.random.default_rng(7)
    scores = rng.permuted(np.tile(np.arange(40.0), (25, 1)), axis=1)
    relevant = rng.random((25, 40)) < rng.uniform(0.02, 0.6, (25, 1))
    relevant[np.arange(25), rng.integers(0, 40, 25)] = True
    ranks = 1 + (scores[:, None, :] > scores[:, :, None]).sum(axis=2)
    ours = ranks_of([ranks[u][relevant[u]] for u in range(25)], 40)

    text = [str(i) for i in range(40)]
    wanted = {str(u): {text[i]: int(relevant[u, i]) for i in range(40)} for u in range(25)}
    run = {str(u): {text[i]: float(scores[u, i]) for i in range(40)} for u in range(25)}
    cuts = ",".join(map(str, CUTOFFS))
    measures = {"map", "recip_rank", f"P.{cuts}", f"recall.{cuts}", f"ndcg_cut.{cuts}"}
    measures |= {f"success.{cuts}", f"map_cut.{cuts}"}
    theirs = pytrec_eval.RelevanceEvaluator(wanted, measures).evaluate(run)

    names = {"map": "map", "recip_rank": "mrr"}
    for k in CUTOFFS:
        names |= {f"P_{k}": f"precision@{k}", f"recall_{k}": f"recall@{k}"}
        names |= {f"ndcg_cut_{k}": f"ndcg@{k}", f"success_{k}": f"hit_rate@{k}"}
    for their_name, name in names.items():
        expected = [theirs[str(u)][their_name] for u in range(25)]
        np.testing.assert_allclose(metric(name).per_user(ours), expected, atol=1e-12, err_msg=name)
        assert metric(name).mean(ours) == pytest.approx(np.mean(expected))
    for k in CUTOFFS:  # theirs is divided by all relevant items, ours by those that k can hold
        cut = np.array([theirs[str(u)][f"map_cut_{k}"] for u in range(25)])
        cut *= ours.held / np.minimum(ours.held, k)
        np.testing.assert_allclose(metric(f"map@{k}").per_user(ours), cut, atol=1e-12)
        first = {u: dict(sorted(run[u].items(), key=lambda pair: -pair[1])[:k]) for u in run}
        short = pytrec_eval.RelevanceEvaluator(wanted, {"recip_rank"}).evaluate(first)
        expected = [short[str(u)]["recip_rank"] for u in range(25)]
        np.testing.assert_allclose(metric(f"mrr@{k}").per_user(ours), expected, atol=1e-12)


def test_values_worked_out_by_hand():
    ranks = ranks_of([[4, 1], [2]], n_candidates=5)
    assert metric("precision@4").per_user(ranks).tolist() == [0.5, 0.25]
    assert metric("recall@3").per_user(ranks).tolist() == [0.5, 1]
    assert metric("recall@3").mean(ranks) == 0.75
    micro = metric("micro_recall@3")
    assert micro.mean(ranks) == pytest.approx(2 / 3)  # two of three interactions
    assert metric("hit_rate@1").per_user(ranks).tolist() == [1, 0]
    assert metric("hit@3").per_user(ranks).tolist() == [1, 1]
    assert metric("mrr@1").per_user(ranks).tolist() == [1, 0]
    assert metric("map@1").per_user(ranks).tolist() == [1, 0]
    assert metric("map@3").per_user(ranks).tolist() == [1 / 2, 1 / 2]
    assert metric("map@4").per_user(ranks).tolist() == [(1 + 2 / 4) / 2, 1 / 2]
    assert metric("map").per_user(ranks).tolist() == [(1 + 2 / 4) / 2, 1 / 2]
    assert metric("mrr").per_user(ranks).tolist() == [1, 0.5]
    assert metric("auc").per_user(ranks).tolist() == [1 - 2 / 6, 1 - 1 / 4]
    log3, log5 = np.log2(3), np.log2(5)
    np.testing.assert_allclose(
        metric("ndcg@4").per_user(ranks), [(1 + 1 / log5) / (1 + 1 / log3), 1 / log3]
    )
    ideal = 1 + 1 / log3 + 1 / 2 + 1 / log5
    np.testing.assert_allclose(
        metric("ndcg_full@4").per_user(ranks), [(1 + 1 / log5) / ideal, (1 / log3) / ideal]
    )


def test_users_with_too_few_held_out_items_do_not_count():
    ranks = ranks_of([[1, 2, 3], [], [9]], n_candidates=10)
    assert np.isnan(metric("map").per_user(ranks)).tolist() == [False, True, False]
    assert metric("mrr", min_held=3).mean(ranks) == 1
    assert metric("micro_recall@5", min_held=1).mean(ranks) == 3 / 4
    assert np.isnan(metric("ndcg@5", min_held=4).mean(ranks))


@pytest.mark.parametrize("name", [*(f"{known}@3" for known in AT_K), *WHOLE_LIST])
def test_a_user_without_held_out_items_has_no_value(name):
    """And is no 0, also where users of any number are to count."""
    ranks = ranks_of([[], [1, 5], []], 9)
    for found in (metric(name).values(ranks), metric(name, min_held=0).per_user(ranks)):
        assert np.isnan(found).tolist() == [True, False, True]
    assert metric(name, min_held=0).mean(ranks) == metric(name).values(ranks)[1]
    assert np.isnan(metric(name).mean(ranks_of([[], []], 9)))


def test_auc_is_undefined_where_all_candidates_are_held_out():
    assert np.isnan(metric("auc").mean(ranks_of([[1, 2]], n_candidates=2)))


def test_cutoff_may_exceed_the_catalogue():
    ranks = ranks_of([[1, 2]], n_candidates=3)
    assert metric("precision@100").mean(ranks) == 0.02
    assert metric("recall@100").mean(ranks) == metric("ndcg@999999").mean(ranks) == 1


@given(rankings(), st.integers(1, 40))
def test_every_metric_lies_between_0_and_1(ranks, k):
    for name in [f"{base}@{k}" for base in AT_K] + list(WHOLE_LIST):
        values = metric(name).per_user(ranks)
        values = values[~np.isnan(values)]
        assert (values >= 0).all(), name
        assert (values <= 1 + 1e-12).all(), name


@given(st.lists(st.integers(1, 12), min_size=1, max_size=5), st.integers(1, 15))
def test_a_perfect_ranking_has_1(held, k):
    ranks = ranks_of([range(h, 0, -1) for h in held], n_candidates=20)
    for name in (f"ndcg@{k}", f"map@{k}", f"mrr@{k}", f"hit_rate@{k}", "map", "mrr", "auc"):
        assert metric(name).mean(ranks) == pytest.approx(1), name
    np.testing.assert_allclose(
        metric(f"recall@{k}").per_user(ranks), np.minimum(k, held) / np.array(held)
    )


@given(rankings(), st.integers(1, 30))
def test_hits_grow_with_the_cutoff(ranks, k):
    assert (
        metric(f"recall@{k + 1}").per_user(ranks) >= metric(f"recall@{k}").per_user(ranks)
    ).all()
    hits = metric(f"precision@{k}").per_user(ranks) * k
    more = metric(f"precision@{k + 1}").per_user(ranks) * (k + 1)
    assert (more >= hits - 1e-9).all()


@given(rankings())
def test_order_of_users_and_of_their_ranks_does_not_matter(ranks):
    lists = np.split(ranks.ranks, ranks.indptr[1:-1])
    turned = ranks_of([ranked[::-1] for ranked in lists[::-1]], ranks.n_candidates[0])
    for name in (
        "micro_recall@3",
        "hit_rate@3",
        "map@3",
        "mrr@3",
        "ndcg@3",
        "ndcg_full@3",
        "precision@3",
        "map",
        "mrr",
        "auc",
    ):
        np.testing.assert_allclose(
            metric(name).per_user(turned)[::-1], metric(name).per_user(ranks), rtol=1e-12
        )
        assert metric(name).mean(turned) == pytest.approx(metric(name).mean(ranks), nan_ok=True)


@pytest.mark.parametrize(
    "name", ["ndcg", "ndcg@", "ndcg@0", "ndcg@-1", "auc@5", "x@5", "", "hr@1e3", "hit"]
)
def test_unknown_names_list_the_choices(name):
    with pytest.raises(ParameterError, match=r"choose precision@K.*ndcg@K.*map.*K in 1"):
        metric(name)


def test_names_are_forgiving_about_case():
    assert metric(" NDCG@10 ").name == "ndcg@10"


@given(rankings(), st.integers(1, 40))
def test_metrics_at_a_large_cutoff_are_those_of_the_whole_list(ranks, k):
    for name in ("map", "mrr"):
        whole = metric(name).per_user(ranks)
        np.testing.assert_allclose(metric(f"{name}@999999").per_user(ranks), whole)
    hits = metric(f"recall@{k}").per_user(ranks) > 0
    np.testing.assert_array_equal(metric(f"hit_rate@{k}").per_user(ranks), hits)


@given(rankings(), st.integers(1, 40))
def test_former_names_are_read(ranks, k):
    with pytest.warns(UserWarning, match=f"hr@{k} is taken as micro_recall@{k}, .* hit_rate@{k}"):
        former = metric(f"HR@{k}")
    assert former.name == f"micro_recall@{k}"
    assert former.mean(ranks) == metric(f"micro_recall@{k}").mean(ranks)
    assert metric(f"hit@{k}").name == f"hit_rate@{k}"


def test_hit_rate_and_recall_of_one_held_out_item_are_equal():
    ranks = ranks_of([[3], [1], [7]], n_candidates=9)
    for k in CUTOFFS:
        values = metric(f"hit_rate@{k}").per_user(ranks)
        np.testing.assert_array_equal(values, metric(f"recall@{k}").per_user(ranks))
        np.testing.assert_array_equal(values, metric(f"micro_recall@{k}").per_user(ranks))


@pytest.mark.parametrize("name", [*(f"{base}@3" for base in AT_K), *WHOLE_LIST])
def test_who_has_nothing_held_out_has_no_value(name):
    ranks = ranks_of([[], [1], [2, 5]], 9)
    base, _, cutoff = name.partition("@")
    with np.errstate(all="raise"):  # nothing is divided by 0
        values = AT_K[base](ranks, 3) if cutoff else WHOLE_LIST[base](ranks)
    assert np.isnan(values).tolist() == [True, False, False]


def test_one_held_out_item_is_enough_unless_more_are_asked_for():
    ranks = ranks_of([[], [1], [2, 5]], 9)
    zeros = Metric("zeros", lambda ranks: np.zeros(ranks.n_users))
    assert np.isnan(zeros.per_user(ranks)).tolist() == [True, False, False]
    assert metric("recall@5").min_held == 1
    assert np.isnan(metric("recall@5", min_held=2).per_user(ranks)).tolist() == [True, True, False]


def test_ranks_and_metrics_are_not_changed_nor_compared_by_their_arrays():
    ranks = ranks_of([[1], [2]], 9)
    assert ranks != ranks_of([[1], [2]], 9)
    assert len({ranks, ranks}) == 1
    with pytest.raises(FrozenInstanceError):
        ranks.ranks = ranks.indptr
    with pytest.raises(FrozenInstanceError):
        metric("mrr").micro = True


def test_values_under_a_former_name_are_found():
    assert recorded({"hr@10": 0.5, "recall@10": 0.4}, "micro_recall@10") == 0.5
    assert recorded({"hr@10": 0.5, "micro_recall@10": 0.3}, "micro_recall@10") == 0.3
    assert recorded({"hr@10": 0.5}, "recall@10") is None
    assert recorded({"hr@10": 0.5}, "micro_recall@5") is None
