"""Every registered model keeps the contract."""

import pytest

pytest.register_assert_rewrite("contract")

from contract import Contract, planted, small  # noqa: E402

import trimetric as tm  # noqa: E402
from trimetric.models import REGISTRY  # noqa: E402
from trimetric.models.recommender import Recommender  # noqa: E402


@pytest.fixture(scope="module", params=REGISTRY)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def data() -> tm.Interactions:
    return planted()


@pytest.fixture(scope="module")
def model(name: str, data: tm.Interactions) -> Recommender:
    return small(name).fit(data, progress=False)


class TestEveryModel(Contract):
    pass
