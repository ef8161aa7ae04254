"""The contract of a model as checks that anybody's model can be put through.

    from trimetric.testing import check_recommender

    def test_the_contract():
        check_recommender(MyModel)

A model says what it can do by its `capabilities` and the names of its settings. Where it cannot do
something, the checks expect it to refuse in plain words. Checks with pandas, SciPy or faiss run
where these are installed.
"""

import traceback
from typing import TYPE_CHECKING

from trimetric.errors import Unsupported
from trimetric.testing import ability, answers, ids, reproducibility, saving, settings, training
from trimetric.testing.cases import Case, Check, checks_in

if TYPE_CHECKING:
    from trimetric.models.recommender import Recommender

__all__ = ["CHECKS", "Case", "Check", "check_recommender"]

CHECKS: tuple[Check, ...] = tuple(
    check
    for module in (saving, answers, ids, training, ability, settings, reproducibility)
    for check in checks_in(module)
)
"""All checks, each a function of a `Case` with a `name`: for a test suite of its own.

    case = Case(MyModel)

    @pytest.mark.parametrize("check", CHECKS, ids=str)
    def test_the_contract(check):
        check(case)
"""


def check_recommender(model: "Recommender | type[Recommender]") -> None:
    """Run all checks of the contract on a model.

    The model itself is not trained: copies are made by `type(model)(**settings)`, and are trained
    on about 360 made-up interactions. While checks save and load, the model is registered by its
    name, so that no entry point is needed.

    Parameters
    ----------
    model : Recommender or a subclass of it
        A class, which must be possible to make without arguments, or a model that is not trained.
        Of its settings dim, epochs, batch_size, validate_every, patience and iterations are
        replaced by small ones.

    Raises
    ------
    AssertionError
        A promise is broken; the message names the check and the line, and the cause is chained.
    Unsupported
        Python runs with -O, which leaves out all assertions.
    ParameterError
        The name belongs to a model of trimetric.
    """
    if not __debug__:
        raise Unsupported("check_recommender needs assertions; run Python without -O")
    case = Case(model)
    for check in CHECKS:
        try:
            check(case)
        except Exception as error:
            at = traceback.extract_tb(error.__traceback__)[-1]
            raise AssertionError(
                f"{case.label} fails the check {check.name}: {type(error).__name__}: {error}\n"
                f"{at.filename}:{at.lineno}: {at.line}"
            ) from error
