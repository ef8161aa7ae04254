import re
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from trimetric import counter
from trimetric.errors import DataError, ParameterError
from trimetric.evaluation import compare, holm, metrics, significance, spread

NAN = np.nan


def of(difference, **options):
    """Compare values that differ from the reference by `difference`."""
    difference = np.asarray(difference, dtype=np.float64)
    base = np.linspace(0.2, 0.7, len(difference))
    (found,) = compare({"a": base, "b": base + difference}, "a", **options)
    return found


def naive(values, base, weights, samples, seed):
    """Bootstrap means and the sign-flip p of one model, by loops."""
    n, words = len(values), (len(values) + 1) // 2
    key = counter.key(seed, significance.STREAM, significance.RESAMPLES)
    means = []
    for sample in range(samples):
        drawn = []
        for place in range(n):
            word = int(counter.bits(key, np.array([sample * words + place // 2]))[0])
            half = word >> 32 if place % 2 else word & 0xFFFFFFFF
            drawn.append(half * n >> 32)
        total = sum(weights[u] for u in drawn)
        means.append(sum(weights[u] * (values[u] - base[u]) for u in drawn) / total)
    terms, words = weights * (values - base), (n + 63) // 64
    key = counter.key(seed, significance.STREAM, significance.SIGNS)
    as_far = 0
    for sample in range(samples):
        flipped = 0.0
        for user in range(n):
            word = int(counter.bits(key, np.array([sample * words + user // 64]))[0])
            byte = word >> 8 * (user % 64 // 8) & 0xFF  # bits from the highest within a byte
            flipped += terms[user] * (1 if byte >> 7 - user % 8 & 1 else -1)
        as_far += abs(flipped) >= abs(terms.sum()) - 1e-9
    return means, (1 + as_far) / (1 + samples)


@pytest.mark.parametrize("n", [1, 2, 7, 66])
@pytest.mark.parametrize("weighted", [False, True])
def test_against_loops(n, weighted):
    rng = np.random.default_rng(n)
    a, b = rng.random((2, n))
    weights = rng.integers(1, 9, n).astype(float) if weighted else np.ones(n)
    found = compare(
        {"b": b, "a": a}, "a", weights=weights if weighted else None, samples=60, seed=5, level=0.8
    )[0]
    means, p = naive(b, a, weights, 60, 5)
    assert (found.low, found.high) == pytest.approx(np.quantile(means, [0.1, 0.9]), abs=1e-9)
    assert found.p == p
    assert found.mean == pytest.approx(np.average(b, weights=weights))
    assert found.reference_mean == pytest.approx(np.average(a, weights=weights))
    assert found.difference == found.mean - found.reference_mean
    assert (found.name, found.reference, found.users) == ("b", "a", n)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_interval_is_that_of_scipy(level):
    difference = np.random.default_rng(1).exponential(0.3, 80) - 0.2
    found = of(difference, level=level, samples=40_000)
    peer = stats.bootstrap(
        (difference,),
        np.mean,
        confidence_level=level,
        n_resamples=40_000,
        method="percentile",
        random_state=0,
    ).confidence_interval
    error = difference.std() / np.sqrt(80)
    assert found.low == pytest.approx(peer.low, abs=0.05 * error)
    assert found.high == pytest.approx(peer.high, abs=0.05 * error)


def test_the_weighted_interval_is_that_of_scipy():
    rng = np.random.default_rng(2)
    difference, weights = rng.normal(0.1, 0.4, 60), rng.integers(1, 20, 60).astype(float)
    found = of(difference, weights=weights, samples=40_000)
    peer = stats.bootstrap(
        (weights * difference, weights),
        lambda top, bottom, axis: top.sum(axis=axis) / bottom.sum(axis=axis),
        paired=True,
        n_resamples=40_000,
        method="percentile",
        random_state=0,
    )
    error = peer.standard_error
    assert found.low == pytest.approx(peer.confidence_interval.low, abs=0.06 * error)
    assert found.high == pytest.approx(peer.confidence_interval.high, abs=0.06 * error)


@pytest.mark.parametrize("shift", [0.0, 0.15, 0.5])
@pytest.mark.parametrize("ties", [False, True])
def test_p_is_that_of_the_exact_test(shift, ties):
    difference = np.random.default_rng(3).normal(shift, 0.5, 11)
    if ties:
        difference = np.round(difference, 1)  # sums that are equal but for rounding
    exact = stats.permutation_test(
        (difference,), np.sum, permutation_type="samples", n_resamples=np.inf
    ).pvalue
    p = of(difference, samples=100_000).p
    assert abs(p - exact) < 4.5 * np.sqrt(exact * (1 - exact) / 100_000) + 2e-5


def test_without_a_difference_false_positives_are_as_rare_as_promised():
    rng = np.random.default_rng(4)
    base, n_models = np.zeros(50), 600
    noise = rng.normal(0, 1, (n_models, 50))
    values = {"base": base, **{str(m): row for m, row in enumerate(noise)}}
    found = compare(values, "base", samples=1000)
    assert stats.kstest([d.p for d in found], "uniform").pvalue > 1e-4
    covered = np.mean([d.low <= 0 <= d.high for d in found])
    assert 0.9 < covered < 0.97
    families = [found[start : start + 10] for start in range(0, n_models, 10)]
    wrong = sum(holm([d.p for d in family]).min() < 0.05 for family in families)
    assert stats.binomtest(wrong, len(families), 0.05, alternative="greater").pvalue > 1e-3


def test_a_clear_difference_is_found_in_its_direction():
    rng = np.random.default_rng(5)
    better, worse = of(rng.normal(0.3, 0.2, 200)), of(rng.normal(-0.3, 0.2, 200))
    assert 0 < better.low < better.difference < better.high
    assert worse.low < worse.difference < worse.high < 0
    assert better.significant
    assert worse.significant
    assert better.p == 1 / 10_001


def test_no_difference_at_all():
    found = of(np.zeros(30))
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)
    assert not found.significant
    tiny = of(np.full(30, 0.0), samples=1)
    assert tiny.p == 1


def test_holm_by_hand():
    # 4 * .005, 3 * .01, 2 * .03, 1 * .04 -> .02, .03, .06, max(.06, .04)
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]).tolist() == [1, 1]
    assert holm([]).tolist() == []
    assert holm([0.2]).tolist() == [0.2]
    for wrong in ([0.1, 1.2], [-0.1], [NAN]):
        with pytest.raises(ParameterError, match=r"0\.\.1"):
            holm(wrong)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_step_by_step(p):
    adjusted = holm(p)
    for alpha in (0.01, 0.05, 0.3):
        rejected, left = set(), sorted(range(len(p)), key=lambda i: p[i])
        while left and p[left[0]] * len(left) <= alpha:
            rejected.add(left.pop(0))
        assert set(np.flatnonzero(adjusted <= alpha)) == rejected


def test_adjusted_values_are_those_of_the_models_compared():
    rng = np.random.default_rng(6)
    base = rng.random(40)
    values = {"base": base} | {str(m): base + rng.normal(0.05 * m, 0.3, 40) for m in range(5)}
    found = compare(values, "base", samples=500)
    assert [d.name for d in found] == list("01234")
    assert [d.p_adjusted for d in found] == holm([d.p for d in found]).tolist()
    for d in found:
        alone = compare({"base": base, d.name: values[d.name]}, "base", samples=500)[0]
        assert alone == replace(d, p_adjusted=d.p, significant=d.p < 0.05)  # the draws are shared


def test_users_who_count_for_neither_or_one_are_left_out():
    rng = np.random.default_rng(7)
    a, b, c = rng.random((3, 50))
    a[[3, 9]] = b[[3, 9]] = c[[3, 9]] = NAN
    kept = ~np.isnan(a)
    with_nan = compare({"a": a, "b": b, "c": c}, "a", samples=300)
    without = compare({"a": a[kept], "b": b[kept], "c": c[kept]}, "a", samples=300)
    assert with_nan == without
    c[20:30] = NAN
    found = compare({"a": a, "b": b, "c": c}, "a", samples=20_000)
    assert [d.users for d in found] == [48, 38]
    assert found[1].reference_mean == pytest.approx(a[kept & ~np.isnan(c)].mean())
    alone = of((c - a)[~np.isnan(c - a)], samples=20_000)
    assert found[1].low == pytest.approx(alone.low, abs=0.02)
    assert found[1].p == pytest.approx(alone.p, abs=0.02)


def test_weights_give_the_micro_average():
    indptr = np.array([0, 1, 4, 9, 9])
    ranks = metrics.Ranks(np.array([3, 1, 8, 2, 1, 2, 3, 9, 7]), indptr, np.full(4, 50))
    other = metrics.Ranks(np.array([1, 2, 9, 8, 1, 6, 7, 8, 2]), indptr, np.full(4, 50))
    hr = metrics.metric("micro_recall@5")
    values = {"x": hr.per_user(ranks), "y": hr.per_user(other)}
    (found,) = compare(values, "x", weights=ranks.held, samples=50)
    assert found.mean == pytest.approx(hr.mean(other))
    assert found.reference_mean == pytest.approx(hr.mean(ranks))
    assert found.users == 3
    equal = compare(values, "x", weights=np.full(4, 2.0), samples=50)
    assert equal == compare(values, "x", samples=50)


def test_the_same_bits_whatever_the_block(monkeypatch):
    rng = np.random.default_rng(8)
    values = {name: rng.random(130) for name in "abc"}
    weights = rng.random(130)
    whole = compare(values, "b", weights=weights, samples=400, seed=3)
    assert compare(values, "b", weights=weights, samples=400, seed=3) == whole
    monkeypatch.setattr(significance, "BLOCK", 1)
    assert compare(values, "b", weights=weights, samples=400, seed=3) == whole
    assert compare(values, "b", weights=weights, samples=400, seed=4) != whole


def test_the_same_bits_in_any_order_of_summation():
    """Sums of whole numbers are exact: reversing them changes nothing."""
    terms, unit = significance._whole(np.random.default_rng(9).normal(0, 1, (999, 2)))
    assert (terms == np.rint(terms)).all()
    assert np.abs(terms).sum(axis=0).max() < 2**53
    assert (unit < 1e-11).all()
    assert np.array_equal(terms.sum(axis=0), terms[::-1].sum(axis=0))
    assert np.isfinite(significance._whole(np.full((3, 1), 1e-320))[0]).all()


def test_values_so_unlike_that_some_resamples_are_empty():
    a, b, c = np.zeros(3), np.array([1.0, NAN, NAN]), np.array([0.5, 0.25, 1.0])
    found = compare({"a": a, "b": b, "c": c}, "a", samples=200)
    assert (found[0].low, found[0].high, found[0].users) == (1, 1, 1)


def test_a_large_comparison_takes_seconds():
    rng = np.random.default_rng(10)
    base = rng.random(30_000)
    values = {"base": base} | {str(m): base + rng.normal(0, 0.3, 30_000) for m in range(12)}
    begun = time.process_time()
    found = compare(values, "base", samples=2000)
    assert len(found) == 12
    assert time.process_time() - begun < 3


def test_spread_is_the_sample_standard_deviation():
    assert spread([1, 2, 4]) == pytest.approx((7 / 3, np.sqrt(7 / 3)))
    mean, deviation = spread([0.25])
    assert mean == 0.25
    assert np.isnan(deviation)
    with pytest.raises(DataError, match="no values"):
        spread([])


def test_one_model_has_nothing_to_be_compared_with():
    assert compare({"a": np.ones(3)}, "a") == []


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"reference": "z"}, "reference must be one of a, b, got 'z'"),
        ({"samples": 0}, "samples must be in 1..1000000, got 0"),
        ({"level": 1}, "level must be above 0 and below 1, got 1"),
    ],
)
def test_settings_out_of_range(options, problem):
    with pytest.raises(ParameterError, match=problem):
        compare({"a": np.ones(3), "b": np.ones(3)}, **{"reference": "a", **options})


@pytest.mark.parametrize(
    ("values", "weights", "problem"),
    [
        ([1, 2], None, r"b has shape \(2,\), a \(3,\)"),
        ([[1, 2, 3]], None, "one value a user"),
        ([1, 2, np.inf], None, "a value of b is infinite"),
        ([NAN] * 3, None, "no user with weight counts for both b and a"),
        ([1, 2, 3], [1, 2], "weights have shape"),
        ([1, 2, 3], [1, 2, -1], "weights must be finite and at least 0"),
        ([1, 2, NAN], [0, 0, 1], "no user with weight counts"),
    ],
)
def test_values_that_cannot_be_compared(values, weights, problem):
    given = {"a": np.ones(3), "b": np.array(values, dtype=float)}
    with pytest.raises(DataError, match=problem):
        compare(given, "a", weights=None if weights is None else np.array(weights, dtype=float))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"values": "a"}, "values must be a mapping of models to values"),
        ({"values": None}, "values must be a mapping of models to values"),
        ({"reference": ["a"]}, "reference must be one of a, b"),
        ({"samples": "10"}, "samples must be a whole number in 1..1000000, got '10'"),
        ({"samples": 2.5}, "samples must be a whole number in 1..1000000, got 2.5"),
        ({"samples": True}, "samples must be a whole number in 1..1000000, got True"),
        ({"level": "0.9"}, "level must be above 0 and below 1, got '0.9'"),
        ({"seed": 1.5}, "seed must be a whole number, got 1.5"),
    ],
)
def test_options_of_other_types(given, words):
    values = {"a": np.array([0.1, 0.2, 0.4]), "b": np.array([0.3, 0.2, 0.9])}
    with pytest.raises(ParameterError, match=re.escape(words)):
        compare(**{"values": values, "reference": "a", **given})


def test_numbers_of_numpy_are_as_those_of_python():
    values = {"a": np.array([0.1, 0.2, 0.4]), "b": np.array([0.3, 0.2, 0.9])}
    theirs = {"samples": np.int64(50), "level": np.float64(0.9), "seed": np.int64(7)}
    assert compare(values, "a", **theirs) == compare(values, "a", samples=50, level=0.9, seed=7)
