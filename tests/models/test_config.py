"""Settings that check themselves: what is declared, what is taken, what is refused and how."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import pytest

from trimetric.errors import ParameterError
from trimetric.models import config
from trimetric.models.config import Config, Limits, Setting, TrainingConfig, Tune


@dataclass(frozen=True)
class Some(Config):
    """One setting of each kind."""

    whole: Annotated[int, Limits(1, 9, "3 suits most data"), Tune(1, 5)] = 3
    number: Annotated[
        float, Limits(0, 2, "1 suits most data", above=True), Tune(0.1, 2, log=True)
    ] = 1.0
    maybe: Annotated[float | None, Limits(0, 5, "None suits most data")] = None
    word: str = "any"
    choice: Annotated[Literal["this", "that"], Tune(choices=("this", "that"))] = "this"
    switch: bool = False


def test_what_is_declared() -> None:
    assert config.declared(Some) == {
        "whole": Setting(int, False, Limits(1, 9, "3 suits most data"), (), Tune(1, 5)),
        "number": Setting(
            float, False, Limits(0, 2, "1 suits most data", above=True), (), Tune(0.1, 2, log=True)
        ),
        "maybe": Setting(float, True, Limits(0, 5, "None suits most data"), (), None),
        "word": Setting(str, False, None, (), None),
        "choice": Setting(str, False, None, ("this", "that"), Tune(choices=("this", "that"))),
        "switch": Setting(bool, False, None, (), None),
    }


def test_what_tuning_tries() -> None:
    assert config.search_space(Some) == {
        "whole": (1, 5),
        "number": (0.1, 2, "log"),
        "choice": {"choices": ("this", "that")},
    }
    assert config.search_space(TrainingConfig) == {}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"whole": 1}, 1),
        ({"whole": 9}, 9),
        ({"whole": 4.0}, 4),
        ({"whole": np.int64(4)}, 4),
        ({"whole": np.float32(4)}, 4),
        ({"number": 2}, 2.0),
        ({"number": 1e-300}, 1e-300),
        ({"number": np.float64(0.5)}, 0.5),
        ({"maybe": None}, None),
        ({"maybe": 0}, 0.0),
        ({"maybe": 5}, 5.0),
        ({"word": ""}, ""),
        ({"word": np.str_("x")}, "x"),
        ({"choice": "that"}, "that"),
        ({"switch": True}, True),
        ({"switch": np.bool_(True)}, True),
    ],
    ids=str,
)
def test_values_are_kept_as_their_type(given: dict[str, Any], kept: object) -> None:
    (name,) = given
    made = Some(**given)
    assert getattr(made, name) == kept
    assert type(getattr(made, name)) is type(kept)
    defaults = {"whole": 3, "number": 1.0, "maybe": None, "word": "any"}
    defaults |= {"choice": "this", "switch": False}
    assert made.to_dict() == defaults | {name: kept}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"whole": 0}, "whole must be in 1..9, got 0; 3 suits most data"),
        ({"whole": 10}, "whole must be in 1..9, got 10; 3 suits most data"),
        ({"whole": 2.5}, "whole must be a whole number, got 2.5"),
        ({"whole": True}, "whole must be a whole number, got True"),
        ({"whole": "3"}, "whole must be a whole number, got '3'"),
        ({"whole": None}, "whole must be a whole number, got None"),
        ({"whole": float("nan")}, "whole must be a whole number, got nan"),
        ({"whole": float("inf")}, "whole must be a whole number, got inf"),
        ({"number": 0}, "number must be above 0 and at most 2, got 0.0; 1 suits most data"),
        ({"number": 2.1}, "number must be above 0 and at most 2, got 2.1; 1 suits most data"),
        (
            {"number": float("nan")},
            "number must be above 0 and at most 2, got nan; 1 suits most data",
        ),
        ({"number": False}, "number must be a number, got False"),
        ({"number": None}, "number must be a number, got None"),
        ({"number": 10**400}, f"number must be a number, got {10**400}"),
        ({"maybe": -0.1}, "maybe must be in 0..5, got -0.1; None suits most data"),
        ({"maybe": "none"}, "maybe must be a number, got 'none'"),
        ({"word": 3}, "word must be a word, got 3"),
        ({"word": None}, "word must be a word, got None"),
        ({"choice": "other"}, "choice must be one of this, that, got 'other'"),
        ({"choice": 1}, "choice must be a word, got 1"),
        ({"switch": 1}, "switch must be true or false, got 1"),
        ({"switch": "yes"}, "switch must be true or false, got 'yes'"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_refusals_name_value_limit_and_remedy(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ParameterError) as refused:
        Some(**given)
    assert str(refused.value) == told


def test_metrics_are_checked_too() -> None:
    assert TrainingConfig(metric="recall@20").metric == "recall@20"
    with pytest.raises(ParameterError, match="unknown metric 'ndgc@10'"):
        TrainingConfig(metric="ndgc@10")
    with pytest.raises(ParameterError, match="dim must be in"):
        TrainingConfig(dim=0)


def test_unknown_names() -> None:
    config.check_names("some", Some, {"whole": 1, "switch": True})
    config.check_names("some", Some, {})
    with pytest.raises(ParameterError) as refused:
        config.check_names("some", Some, {"zzz": 1, "qqq": 2, "whole": 3})
    told = "unknown setting 'qqq'; some has choice, maybe, number, switch, whole, word"
    assert str(refused.value) == told
    with pytest.raises(ParameterError, match="did you mean whole"):
        config.check_names("some", Some, {"whola": 1})
    with pytest.raises(
        ParameterError, match=r"it belongs to training: fit\(\.\.\., threads=\.\.\.\); "
    ):
        config.check_names("some", Some, {"threads": 1})
    with pytest.raises(ParameterError) as refused:
        config.check_names("none", Config, {"qqq": 1})
    assert str(refused.value) == "unknown setting 'qqq'; none has no settings"


def test_named_groups() -> None:
    groups = {"paper": {"dim": 30}, "released": {"dim": 50}}
    assert config.named("preset", None, groups) == {}
    assert config.named("preset", "released", groups) == {"dim": 50}
    with pytest.raises(ParameterError) as refused:
        config.named("preset", "best", groups)
    assert str(refused.value) == "preset must be one of paper, released, got 'best'"
    with pytest.raises(ParameterError) as refused:
        config.named("preset", "best", {})
    told = "preset must be one of none: this model has no presets, got 'best'"
    assert str(refused.value) == told
