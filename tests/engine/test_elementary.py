"""exp, ln, σ and softplus: accurate, monotone, clipped."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimetric.engine.compile import kernel
from trimetric.engine.elementary import exp, log, sigmoid, softplus

pytestmark = pytest.mark.twin


@kernel
def _fill(x, out):
    for i in range(len(x)):
        out[i, 0], out[i, 1], out[i, 2] = exp(x[i]), sigmoid(x[i]), softplus(x[i])


@kernel
def _fill_logs(x, out):
    for i in range(len(x)):
        out[i] = log(x[i])


def filled(x):
    out = np.empty((len(x), 3))
    _fill(x, out)
    return out.T


def test_against_the_library():
    x = np.linspace(-80, 80, 2001)
    powers, sigmoids, softs = filled(x)
    assert np.abs(powers / np.exp(x) - 1).max() < 1e-11
    assert np.allclose(sigmoids, 1 / (1 + np.exp(-x)), rtol=1e-6, atol=0)
    assert np.allclose(softs, np.logaddexp(0, x), rtol=1e-6, atol=1e-30)
    assert (np.diff(powers) > 0).all()
    assert (np.diff(sigmoids) >= 0).all()


def test_the_ends():
    powers, sigmoids, softs = filled(np.array([-1e9, -100.0, 0.0, 100.0, 1e9]))
    assert powers.tolist() == [*[powers[0]] * 2, 1.0, *[powers[-1]] * 2]
    assert 0 < sigmoids[0] < 1e-30
    assert sigmoids[2:].tolist() == [0.5, 1.0, 1.0]
    assert softs[2:].tolist() == [np.float32(np.log(2)), 100.0, np.float32(1e9)]
    for one in filled(np.array([np.nan])):
        assert np.isnan(one)  # which ends a run that has gone wrong


@given(st.lists(st.floats(-90, 90, width=32), min_size=2, max_size=20))
def test_none_of_them_ever_falls(values):
    for one in filled(np.sort(np.array(values, dtype=np.float32))):
        assert (np.diff(one) >= 0).all()


def logs(x):
    """ln of each number, and how far off it may be."""
    x = np.asarray(x, dtype=np.float64)
    out = np.empty(len(x))
    _fill_logs(x, out)
    expected = np.array([math.log(one) for one in x])
    return out, expected, 1e-15 * np.abs(expected)


def test_logs_against_the_library():
    rng = np.random.default_rng(0)
    powers = 2.0 ** np.arange(-1022, 1024)
    around_one = 1 + np.arange(-200, 201) * 2.0**-52
    breaks = np.sqrt(0.5) * (1 + np.arange(-50, 51) * 2.0**-52)
    ends = [np.finfo(np.float64).tiny, np.finfo(np.float64).max]
    spread = np.exp(rng.uniform(-700, 700, 2000))
    for x in (powers, powers[:-1] * 1.37, around_one, breaks, 2 * breaks, ends, spread):
        got, expected, slack = logs(x)
        assert (np.abs(got - expected) <= slack).all()
    assert logs([1.0])[0] == 0


@given(st.floats(2.0**-1022, allow_infinity=False))
def test_logs_of_any_normal_number(x):
    got, expected, slack = logs([x])
    assert abs(got[0] - expected[0]) <= slack[0]
