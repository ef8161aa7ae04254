"""Checks of settings, and of models that are not trained yet."""

from trimetric.errors import ParameterError, Unsupported
from trimetric.models import config
from trimetric.testing.cases import Case, folder, raises


def check_settings(case: Case) -> None:
    """Settings come back as given and make the same model; unknown ones are refused by name."""
    model = case.new()
    params = model.get_params()
    assert type(model)(**params).get_params() == params == model.get_params(deep=False)
    with raises(ParameterError) as message:
        case.kind(bogus=1)
    assert "'bogus'" in message[0]
    assert all(name in message[0] for name in params)
    with raises(ParameterError, "bogus"):
        model.set_params(bogus=1)
    if "seed" in params:
        assert model.set_params(seed=9).get_params() == params | {"seed": 9}


def check_search_space(case: Case) -> None:
    """What tuning may try, the model takes."""
    for setting, choice in config.search_space(case.kind.Config).items():
        values = choice["choices"] if isinstance(choice, dict) else choice[:2]
        for value in values:
            assert setting in case.params
            assert case.kind(**{setting: value})


def check_set_params_does_not_break_a_trained_model(case: Case) -> None:
    """The settings of a trained model stay as they are."""
    with raises(Unsupported, "is trained"):
        case.model.set_params(**case.model.get_params())


def check_not_trained(case: Case) -> None:
    """A model that is not trained says so, whatever is asked of it, and saves nothing."""
    model = case.new()
    with folder() as at:
        for ask in (
            lambda: model.recommend(["u"]),
            lambda: model.similar_items(["i"]),
            lambda: model.similar_users(["u"]),
            lambda: model.score([("u", "i")]),
            lambda: model.save(at / "model"),
        ):
            with raises(Unsupported, "not trained; call fit first"):
                ask()
        assert not (at / "model").exists()
    assert "not trained" in repr(model)
