"""Every registered model keeps the contract."""

import pytest

import trimetric as tm
from trimetric.models import OURS
from trimetric.testing import CHECKS, Case, Check


@pytest.fixture(scope="module", params=OURS)
def case(request: pytest.FixtureRequest) -> Case:
    """Return a model under test, trained once for all checks."""
    return Case(tm.create(request.param), request.param)


@pytest.mark.parametrize("check", CHECKS, ids=str)
def test_contract(case: Case, check: Check) -> None:
    check(case)


def test_tensors_are_live(case: Case) -> None:
    model = case.new().fit(case.data)
    for tensor in model.tensors().values():
        tensor[...] = 0
    assert not any(tensor.any() for tensor in model.tensors().values())
