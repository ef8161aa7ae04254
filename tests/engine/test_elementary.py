"""exp, σ and softplus: accurate, monotone, clipped."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimetric.engine.compile import kernel
from trimetric.engine.elementary import exp, sigmoid, softplus

pytestmark = pytest.mark.twin


@kernel
def _fill(x, out):
    for i in range(len(x)):
        out[i, 0], out[i, 1], out[i, 2] = exp(x[i]), sigmoid(x[i]), softplus(x[i])


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
