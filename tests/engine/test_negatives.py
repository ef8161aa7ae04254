"""Negative items as distributions, and each draw against its twin."""

from itertools import chain
from typing import NamedTuple

import numba
import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from trimetric import counter
from trimetric.data.csr import Csr
from trimetric.engine import gumbel, negatives, rows, triplets
from trimetric.engine.compile import INTERPRETED, kernel

pytestmark = [pytest.mark.twin, pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")]
LIKELY = 1e-4
MANY = 2_000 if INTERPRETED else 40_000


class Settings(NamedTuple):
    """The settings of an epoch that `triplets.hardest_negative` reads."""

    draws: np.uint64


class Params(NamedTuple):
    """The parameters that it reads."""

    candidates: np.int64
    rank_weight: bool


class Workspace(NamedTuple):
    """The memory that it works in."""

    noise: np.ndarray
    candidate_rows: np.ndarray
    candidate_noise: np.ndarray
    candidate_d2: np.ndarray


def workspace(candidates, temperature=0.0):
    size = 1, candidates + 4
    kinds = np.int32, np.float32, np.float32
    noise = gumbel.noise_table(temperature)
    return Workspace(noise, *(np.zeros(size, dtype=kind) for kind in kinds))


@kernel
def fill_uniform(out, key, user, positives, n_items):
    for t in range(len(out)):
        out[t] = negatives.uniform_negative(key, t, user, positives, n_items)


@kernel
def fill_popular(out, key, user, positives, n_items):
    for t in range(len(out)):
        out[t] = negatives.popular_negative(key, t, user, positives, n_items)


@kernel
def fill_hardest(answer, user, violation_radius, positives, points, given, workspace):
    out, nearest, impostors = answer
    settings, params = given
    for t in range(len(out)):
        out[t], nearest[t], impostors[t] = triplets.hardest_negative(
            0, t, user, violation_radius, positives, points, settings, workspace, params
        )


@kernel
def fill_interacted(out, user, positives):
    for item in range(len(out)):
        out[item] = negatives.interacted(item, user, positives)


def compressed(lists):
    """Compressed rows of a list of items a user."""
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in lists])]).astype(np.int64)
    return indptr, np.array([*chain(*(sorted(row) for row in lists))], dtype=np.int32)


def positives_of(lists, pools=None):
    """Interactions from a list of items a user, and perhaps another list a user to draw from."""
    indptr, items = compressed(lists)
    users = np.repeat(np.arange(len(lists)), np.diff(indptr)).astype(np.int32)
    return negatives.positives(users, items, indptr, None if pools is None else compressed(pools))


def drawn(fill, lists, n_items, user, n=MANY, key=0, pools=None):
    out = np.empty(n, dtype=np.int64)
    fill(out, counter.key(11, key), user, positives_of(lists, pools), n_items)
    return out


@st.composite
def libraries(draw):
    """Items of a few users, among them often one with everything or all but one."""
    n_items = draw(st.integers(1, 30))
    everything = list(range(n_items))
    one = st.one_of(
        st.sets(st.integers(0, n_items - 1)),
        st.just(set(everything)),
        st.sampled_from(everything).map(lambda item: set(everything) - {item}),
    )
    return n_items, draw(st.lists(one, min_size=1, max_size=5))


@given(libraries(), st.integers(0, 2**32), st.sampled_from(["uniform", "popular"]))
def test_a_negative_is_never_an_item_the_user_has(library, key, kind):
    n_items, lists = library
    if kind == "popular" and not any(lists):
        return  # there is nobody to train on
    fill = {"uniform": fill_uniform, "popular": fill_popular}[kind]
    everyone = positives_of(lists).items
    for user, owned in enumerate(lists):
        out = drawn(fill, lists, n_items, user, n=20, key=key)
        if len(owned) == n_items:
            assert (out == -1).all()
            continue
        assert owned.isdisjoint(out.tolist())
        assert out.min() >= 0
        assert out.max() < n_items
        for t in range(20):
            stream = counter.key(11, key)
            assert out[t] == (
                reference.uniform_negative(stream, t, owned, n_items)
                if kind == "uniform"
                else reference.popular_negative(stream, t, owned, everyone, n_items)
            )


@given(libraries())
def test_interacted_is_membership(library):
    n_items, lists = library
    for user, owned in enumerate(lists):
        out = np.empty(n_items, dtype=np.bool_)
        fill_interacted(out, user, positives_of(lists))
        assert set(np.flatnonzero(out).tolist()) == owned


@pytest.mark.parametrize("n", [1, 3, 4, 5, 64, 65, 1000])
def test_the_filter_has_16_to_32_bits_for_each_interaction(n):
    bits = 64 * len(positives_of([list(range(n))]).filter)
    assert 16 * n <= bits < 32 * n or bits == 64 > 16 * n


@pytest.mark.parametrize(
    "owned", [[], [0], [19], [0, 1, 2], [3, 7, 8, 15, 19], list(range(0, 20, 2)), list(range(17))]
)
def test_uniform_negatives_are_uniform_over_what_is_missing(owned):
    out = drawn(fill_uniform, [[1, 2], owned, [0]], 20, user=1)
    counts = np.bincount(out, minlength=20)
    assert not counts[owned].any()
    assert stats.chisquare(np.delete(counts, owned)).pvalue > LIKELY


def test_a_user_who_lacks_one_item_always_gets_it():
    for lacking in (0, 9, 19):
        owned = sorted(set(range(20)) - {lacking})
        for fill in (fill_uniform, fill_popular):
            assert (drawn(fill, [owned, [5]], 20, user=0, n=200) == lacking).all()


def test_popular_negatives_follow_the_number_of_interactions():
    # Items 0 .. 9 have 1 .. 10 interactions, items 10 and 11 none; user 0 has items 3 and 9.
    lists = [[3, 9]] + [[i for i in range(10) if i >= start + (i in (3, 9))] for start in range(10)]
    counts = np.bincount(positives_of(lists).items, minlength=12)
    assert counts.tolist() == [*range(1, 11), 0, 0]
    seen = np.bincount(drawn(fill_popular, lists, 12, user=0), minlength=12)
    assert not seen[[3, 9, 10, 11]].any()
    others = [0, 1, 2, 4, 5, 6, 7, 8]
    expected = counts[others] / counts[others].sum() * seen.sum()
    assert stats.chisquare(seen[others], expected).pvalue > LIKELY


def test_who_has_all_that_is_popular_gets_uniform_negatives():
    lists = [list(range(5)), [0, 1], [3, 4]]
    counts = np.bincount(drawn(fill_popular, lists, 12, user=0), minlength=12)
    assert not counts[:5].any()
    assert stats.chisquare(counts[5:]).pvalue > LIKELY


@pytest.mark.parametrize("kind", [fill_uniform, fill_popular])
def test_triplets_draw_independently(kind):
    out = drawn(kind, [[0, 1], [2, 3, 4, 5, 6, 7, 8, 9], [2, 3, 4, 5, 6, 7, 8, 9]], 10, user=0)
    pairs = np.bincount((out[:-1:2] - 2) * 8 + out[1::2] - 2, minlength=64)
    assert stats.chisquare(pairs).pvalue > LIKELY
    others = drawn(
        kind, [[0, 1], [2, 3, 4, 5, 6, 7, 8, 9], [2, 3, 4, 5, 6, 7, 8, 9]], 10, user=0, key=1
    )
    assert 0.08 < (out == others).mean() < 0.18  # one in eight agree by chance


@pytest.mark.parametrize("temperature", [0.0, 0.3])
@pytest.mark.parametrize("candidates", [1, 2, 5, 40])
@pytest.mark.parametrize("rank_weight", [False, True])
@pytest.mark.parametrize(
    "owned", [[], [2], [0, 1, 4, 5, 8, 11], list(range(1, 12)), list(range(12))]
)
def test_hardest_is_the_nearest_of_the_same_draws(candidates, rank_weight, owned, temperature):
    n_users, n_items, n = 3, 12, 60
    rng = np.random.default_rng(len(owned))
    points = rows.padded_table(rng.normal(0, 0.4, (n_users + n_items, 20)))
    positives, user = positives_of([[3], owned, [1, 2]]), 1
    d = reference.distances(points[user : user + 1], points[n_users:])[0]
    violation_radius = np.float32(np.median(d))
    out, impostors = (np.empty(n, dtype=np.int64) for _ in range(2))
    nearest = np.empty(n, dtype=np.float32)
    key = counter.key(12, candidates)
    given = Settings(key), Params(np.int64(candidates), rank_weight)
    answer, memory = (out, nearest, impostors), workspace(candidates, temperature)
    fill_hardest(answer, user, violation_radius, positives, points, given, memory)
    for t in range(n):
        item, seen, within = reference.hardest_negative(
            key, t, set(owned), d, violation_radius, candidates, temperature
        )
        if item is None:
            assert out[t] == -1
            continue
        assert out[t] == n_users + item
        assert np.isclose(nearest[t], seen, rtol=1e-5, atol=1e-6)
        assert temperature or nearest[t] == d[item]
        if rank_weight:
            assert impostors[t] == within


@st.composite
def pooled_libraries(draw):
    """Items of a few users, and a pool for each, which may be empty or hold the user's own."""
    n_items, lists = draw(libraries())
    some = st.sets(st.integers(0, n_items - 1))
    return n_items, lists, [draw(some) for _ in lists]


@given(pooled_libraries(), st.integers(0, 2**32))
def test_a_pooled_negative_equals_the_twin(library, key):
    n_items, lists, pools = library
    everyone = positives_of(lists).items
    stream = counter.key(11, key)
    for user, (owned, pool) in enumerate(zip(lists, pools, strict=True)):
        pool = sorted(pool)
        uniform = drawn(fill_uniform, lists, n_items, user, 20, key, pools)
        popular = drawn(fill_popular, lists, n_items, user, 20, key, pools)
        for t in range(20):
            twin = reference.uniform_negative(stream, t, owned, n_items, pool)
            assert uniform[t] == (-1 if twin is None else twin)
            twin = reference.popular_negative(stream, t, owned, everyone, n_items, pool)
            assert popular[t] == (-1 if twin is None else twin)
        allowed = set(pool) - owned or {-1}
        assert set(uniform.tolist()) <= allowed
        assert set(popular.tolist()) <= allowed


def test_a_pool_without_an_item_is_not_the_same_as_no_pool():
    assert (drawn(fill_uniform, [[0], [1]], 5, 0, 50, pools=[[], []]) == -1).all()
    assert (drawn(fill_uniform, [[0], [1]], 5, 0, 50, pools=[[0], [2]]) == -1).all()
    assert (drawn(fill_popular, [[0], [1]], 5, 0, 50, pools=[[], []]) == -1).all()
    assert (drawn(fill_uniform, [[0], [1]], 5, 0, 50) > 0).all()
    assert len(positives_of([[0], [1]]).pool_indptr) == 0


def test_a_pool_may_be_given_as_compressed_rows():
    pool = Csr(*compressed([[0, 3, 4], [2]]))
    given = negatives.positives(
        np.array([0, 1], np.int32), np.array([3, 0], np.int32), np.array([0, 1, 2]), pool
    )
    assert given.pool_indptr.tolist() == [0, 2, 3]
    assert given.pool_items.tolist() == [0, 4, 2]
    assert given.pool_mass.tolist() == [0, 1, 1, 1]


def test_uniform_negatives_are_uniform_over_the_pool():
    lists, pools = [[1, 2], [3, 8], [0]], [[5], [0, 3, 4, 8, 11, 12, 19], []]
    counts = np.bincount(drawn(fill_uniform, lists, 20, 1, pools=pools), minlength=20)
    free = [0, 4, 11, 12, 19]
    assert counts[free].sum() == MANY
    assert stats.chisquare(counts[free]).pvalue > LIKELY


def test_popular_negatives_follow_the_number_of_interactions_in_the_pool():
    # Items 0 .. 9 have 1 .. 10 interactions, items 10 and 11 none; user 0 has items 3 and 9.
    lists = [[3, 9]] + [[i for i in range(10) if i >= start + (i in (3, 9))] for start in range(10)]
    pools = [[0, 3, 4, 8, 10], *[[1, 2]] * 10]
    seen = np.bincount(drawn(fill_popular, lists, 12, user=0, pools=pools), minlength=12)
    free = [0, 4, 8]
    assert seen[free].sum() == MANY
    assert stats.chisquare(seen[free], np.array([1, 5, 9]) / 15 * MANY).pvalue > LIKELY
    unpopular = [[10, 11], *[[1, 2]] * 10]
    seen = np.bincount(drawn(fill_popular, lists, 12, user=0, pools=unpopular), minlength=12)
    assert stats.chisquare(seen[10:]).pvalue > LIKELY


@pytest.mark.parametrize("temperature", [0.0, 0.3])
@pytest.mark.parametrize("pool", [[], [2], [0, 2, 3, 7, 8, 11], list(range(12))])
@pytest.mark.parametrize(("candidates", "rank_weight"), [(1, False), (5, True), (40, True)])
def test_hardest_is_the_nearest_of_the_same_draws_from_the_pool(
    candidates, rank_weight, pool, temperature
):
    n_users, n_items, n, owned = 3, 12, 60, [2, 8]
    rng = np.random.default_rng(len(pool))
    points = rows.padded_table(rng.normal(0, 0.4, (n_users + n_items, 20)))
    positives, user = positives_of([[3], owned, [1, 2]], [[5], pool, [0]]), 1
    d = reference.distances(points[user : user + 1], points[n_users:])[0]
    violation_radius = np.float32(np.median(d))
    out, impostors = (np.empty(n, dtype=np.int64) for _ in range(2))
    nearest = np.empty(n, dtype=np.float32)
    key = counter.key(12, candidates)
    given = Settings(key), Params(np.int64(candidates), rank_weight)
    answer, memory = (out, nearest, impostors), workspace(candidates, temperature)
    fill_hardest(answer, user, violation_radius, positives, points, given, memory)
    for t in range(n):
        item, seen, within = reference.hardest_negative(
            key, t, set(owned), d, violation_radius, candidates, temperature, pool
        )
        if item is None:
            assert out[t] == -1
            continue
        assert out[t] == n_users + item
        assert np.isclose(nearest[t], seen, rtol=1e-5, atol=1e-6)
        assert temperature or nearest[t] == d[item]
        if rank_weight:
            assert impostors[t] == within


def test_hardest_of_one_is_uniform():
    points = rows.padded_table(np.random.default_rng(1).normal(0, 0.4, (1 + 10, 16)))
    positives, out = positives_of([[0, 4]]), np.empty(MANY, dtype=np.int64)
    rest = np.empty(MANY, dtype=np.float32), np.empty(MANY, dtype=np.int64)
    choice = Settings(counter.key(13)), Params(np.int64(1), False)
    fill_hardest((out, *rest), 0, np.float32(1), positives, points, choice, workspace(1, 0.7))
    counts = np.bincount(out - 1, minlength=10)
    assert not counts[[0, 4]].any()
    assert stats.chisquare(np.delete(counts, [0, 4])).pvalue > LIKELY


def test_kernels_compile_once_for_positives_from_anywhere():
    indptr = np.array([0, 2, 3])
    users, items = np.array([0, 0, 1], np.int32), np.array([0, 2, 1], np.int32)
    pool = np.array([0, 1, 2]), np.array([1, 0], np.int32)
    weights = np.array([1, 2, 3], np.float32)
    made = [
        negatives.positives(users, items, indptr),
        negatives.positives(users, items, indptr, pool),
        negatives.positives(users, items, indptr, weights=weights),
    ]
    for array in (users, items, indptr, weights):
        array.flags.writeable = False
    made.append(negatives.positives(users, items, indptr, weights=weights))
    assert len({numba.typeof(one) for one in made}) == 1
