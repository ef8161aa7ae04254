"""Whether one model is better than another, over the same users.

The users are a sample, and every model was measured on each of them: differences are taken user by
user. The interval is that of a paired bootstrap (Efron 1979, percentiles), the p-value that of a
sign-flip randomisation test (Fisher 1935), corrected for several models by Holm (1979). All models
share the draws. Sums are of whole numbers, exact in any order, so that no result depends on the
processor or the number of threads.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import NamedTuple

import numpy as np

from trimetric import counter
from trimetric.errors import DataError, ParameterError
from trimetric.keywords import check_seed, is_number, is_one_of

STREAM = 0x51C  # keeps these draws apart from others made with the same seed
RESAMPLES, SIGNS = 0, 1
BLOCK = 2**18  # draws made at a time, to stay in the cache; changes no result


@dataclass(frozen=True)
class Difference:
    """How a model compares with the reference.

    Attributes
    ----------
    name, reference : str
        The model and what it is compared with.
    mean, reference_mean : float
        Over the users who count for both.
    difference : float
        mean - reference_mean.
    low, high : float
        Bootstrap interval of the difference.
    p : float
        Chance of a difference at least as large, either way, if the model and the reference were
        exchangeable for each user.
    p_adjusted : float
        Holm's, over the models compared.
    significant : bool
        p_adjusted < 1 - level.
    users : int
        How many count for both.
    """

    name: str
    reference: str
    mean: float
    reference_mean: float
    difference: float
    low: float
    high: float
    p: float
    p_adjusted: float
    significant: bool
    users: int


def compare(
    values: Mapping[str, np.ndarray],
    reference: str,
    *,
    weights: np.ndarray | None = None,
    samples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> list[Difference]:
    """Compare each model with a reference, over users.

    Parameters
    ----------
    values : mapping of str to float64[n_users]
        A metric by model, user by user in one order, as from `Result.values`. NaN says that the
        user does not count; each comparison leaves out the users with NaN on either side.
    reference : str
        The name of one of them.
    weights : float64[n_users], optional
        Of each user in the mean, at least 0: the number of held-out items for a micro-averaged
        metric (micro_recall). Equal without.
    samples : int
        Bootstrap resamples, and random flips; 1..1_000_000.
    level : float
        Of the interval and of significance, in (0, 1).
    seed : int
        Names the draws. Bits are the same on every machine.

    Returns
    -------
    list of Difference
        One for each model but the reference, in the order given.

    Raises
    ------
    ParameterError
        The reference is not among the models, or a setting is out of range.
    DataError
        Lengths differ, a value is infinite, a weight is negative or not finite, or no user (or
        none with weight) counts for a model and the reference.
    """
    if not isinstance(values, Mapping):
        raise ParameterError(f"values must be a mapping of models to values, got {values!r:.80}")
    if not is_one_of(reference, values):
        shown = ", ".join(map(str, values))
        raise ParameterError(f"reference must be one of {shown}, got {reference!r:.80}")
    whole = isinstance(samples, Integral) and not isinstance(samples, bool)
    if not whole or not 1 <= samples <= 1_000_000:
        what = "in 1..1000000" if whole else "a whole number in 1..1000000"
        raise ParameterError(f"samples must be {what}, got {samples!r}; 10000 suits most")
    if not is_number(level) or not 0 < level < 1:
        raise ParameterError(f"level must be above 0 and below 1, got {level!r}; 0.95 is usual")
    samples, level, seed = int(samples), float(level), check_seed(seed)
    names = [name for name in values if name != reference]
    if not names:
        return []
    pairs = _pairs(values, names, reference, weights)
    lows, highs = _intervals(pairs, samples, level, seed)
    p = _chances(pairs, samples, seed)
    adjusted = holm(p)
    return [
        Difference(
            name=name,
            reference=reference,
            mean=(mean := _mean(pairs.values[:, m], pairs.weights[:, m])),
            reference_mean=(other := _mean(pairs.references[:, m], pairs.weights[:, m])),
            difference=mean - other,
            low=float(lows[m]),
            high=float(highs[m]),
            p=float(p[m]),
            p_adjusted=float(adjusted[m]),
            significant=bool(adjusted[m] < 1 - level),
            users=int(pairs.counted[:, m].sum()),
        )
        for m, name in enumerate(names)
    ]


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    return float(np.average(values, weights=weights))


def holm(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """Adjust p-values for being several (Holm 1979), float64 in the given order.

    The i-th smallest of m, i = 1..m, becomes the largest of min(1, (m + 1 - j)·p_j) over j <= i.
    Rejecting those below α makes a false rejection with chance at most α, dependent or not.

    Raises
    ------
    ParameterError
        A value is outside 0..1 or NaN.
    """
    p = np.asarray(p, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ParameterError(f"p-values must be in 0..1, got {p.tolist()}")
    order = np.argsort(p, kind="stable")
    steps = np.arange(len(p), 0, -1) * p[order]
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


def spread(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Return the mean and the sample standard deviation (divisor n - 1) of a metric over seeds.

    The deviation of a single value is NaN: one run tells nothing of the spread.

    Raises
    ------
    DataError
        There are no values.
    """
    values = np.asarray(values, dtype=np.float64)
    if len(values) == 0:
        raise DataError("there are no values to average; give one for each seed")
    return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else float("nan")


class _Pairs(NamedTuple):
    """Users by models; what does not count is 0 with weight 0. Users who never count are out."""

    values: np.ndarray  # float64[n, m]
    references: np.ndarray  # float64[n, m]
    weights: np.ndarray  # float64[n, m]
    counted: np.ndarray  # bool[n, m]

    @property
    def differences(self) -> np.ndarray:
        """float64[n, m], weighted."""
        return (self.values - self.references) * self.weights


def _pairs(
    values: Mapping[str, np.ndarray],
    names: list[str],
    reference: str,
    weights: np.ndarray | None,
) -> _Pairs:
    """Check what was given and line it up."""
    base = np.asarray(values[reference], dtype=np.float64)
    for name in (reference, *names):
        shape = np.shape(values[name])
        if len(shape) != 1 or shape != base.shape:
            raise DataError(
                f"each model needs one value a user: {name} has shape {shape},"
                f" {reference} {base.shape}"
            )
        if np.isinf(values[name]).any():
            raise DataError(f"a value of {name} is infinite; leave users out by NaN")
    weight = np.ones(len(base)) if weights is None else np.asarray(weights, dtype=np.float64)
    if weight.shape != base.shape:
        raise DataError(f"weights have shape {weight.shape}, the values {base.shape}")
    if not (np.isfinite(weight) & (weight >= 0)).all():
        raise DataError("weights must be finite and at least 0; leave users out by NaN values")
    table = np.stack([np.asarray(values[name], dtype=np.float64) for name in names], axis=1)
    counted = ~np.isnan(table) & ~np.isnan(base)[:, None]
    weighed = counted * weight[:, None]
    for name, total in zip(names, weighed.sum(axis=0), strict=True):
        if total == 0:
            raise DataError(
                f"no user with weight counts for both {name} and {reference};"
                " compare models that were evaluated on the same users"
            )
    used = counted.any(axis=1)
    references = np.where(counted, base[:, None], 0)
    whole = _Pairs(np.where(counted, table, 0), references, weighed, counted)
    return _Pairs(*(array[used] for array in whole))


def _intervals(
    pairs: _Pairs, samples: int, level: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the bootstrap percentiles of each mean difference, float64[m] twice."""
    tops, top_unit = _whole(pairs.differences)
    alike = (pairs.weights == pairs.weights[:, :1]).all()
    bottoms, bottom_unit = _whole(pairs.weights[:, :1] if alike else pairs.weights)
    key, n = counter.key(seed, STREAM, RESAMPLES), len(tops)
    means = np.empty((samples, tops.shape[1]))
    for block in _blocks(samples, n):
        counts = _resampled(key, block, n)
        with np.errstate(invalid="ignore"):  # a resample of nobody who counts: NaN, passed over
            means[block] = (counts @ tops) / (counts @ bottoms)
    low, high = np.nanquantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low * (top_unit / bottom_unit), high * (top_unit / bottom_unit)


def _chances(pairs: _Pairs, samples: int, seed: int) -> np.ndarray:
    """Return (1 + how many flips are as far from 0) / (1 + samples), float64[m]."""
    terms, _ = _whole(pairs.differences)
    key, n = counter.key(seed, STREAM, SIGNS), len(terms)
    total = terms.sum(axis=0)
    # Sums that are equal but for the rounding of `_whole`, half a unit a term, are ties.
    reach = np.abs(total) - n
    as_far = np.zeros(terms.shape[1], dtype=np.int64)
    for block in _blocks(samples, n):
        flipped = 2 * (_coins(key, block, n) @ terms) - total
        as_far += (np.abs(flipped) >= reach).sum(axis=0)
    return (1 + as_far) / (1 + samples)


def _whole(terms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Round to whole multiples of a power of two, so fine that sums of n stay below 2^53.

    Returns float64[n, m] of whole numbers, and the unit of each column, float64[m].
    """
    _, exponent = np.frexp(2.0 * len(terms) * np.abs(terms).max(axis=0))
    unit = np.ldexp(1.0, np.maximum(exponent, -900) - 53)
    return np.rint(terms / unit), unit


def _blocks(samples: int, n: int) -> Iterator[slice]:
    step = max(1, BLOCK // n)
    for start in range(0, samples, step):
        yield slice(start, min(start + step, samples))


def _resampled(key: np.uint64, block: slice, n: int) -> np.ndarray:
    """Return how often each user is drawn in n draws with replacement, float64[block, n].

    One word of random bits makes two draws.
    """
    drawn = _words(key, block, (n + 1) // 2).view("<u4")[:, :n].astype(np.uint64)
    drawn *= np.uint64(n)
    drawn >>= np.uint64(32)
    drawn += np.arange(len(drawn), dtype=np.uint64)[:, None] * np.uint64(n)
    counts = np.bincount(drawn.view(np.int64).ravel(), minlength=drawn.size)
    return counts.reshape(-1, n).astype(np.float64)


def _coins(key: np.uint64, block: slice, n: int) -> np.ndarray:
    """Return 0 or 1 for each user, float64[block, n]; one word of random bits makes 64."""
    words = _words(key, block, (n + 63) // 64)
    return np.unpackbits(words.view(np.uint8), axis=1, count=n).astype(np.float64)


def _words(key: np.uint64, block: slice, width: int) -> np.ndarray:
    """Return the random words of some samples, `width` for each: little-endian uint64."""
    counters = np.arange(block.start * width, block.stop * width).reshape(-1, width)
    return counter.bits(key, counters).astype("<u8", copy=False)
