"""Calls of the Python interface with whatever comes: each answers, or raises one of its errors."""

import inspect
import random
import warnings
from collections import Counter
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from campaign import note, sizes

import trimetric as tm
from trimetric.errors import TrimetricError
from trimetric.models.recommender import Recommender

ROWS = tm.synthetic.planted(40, 30, dim=4, clusters=4, per_user=6, seed=1).interactions
SETTINGS = {"dim": 4, "epochs": 1, "seed": 0, "temperature": 0.2, "kappa": 0, "reconstruction": 0}
KINDS = ("centroid", "sml", "bpr", "ials", "ease", "itemknn", "popularity", "ncf", "lrml", "fml")
ANSWERS = ("recommend", "recommend_for", "similar_items", "similar_users", "score", "explain")
ANSWERS += ("explain_for", "fold_in", "fold_in_item", "fold_in_item_from")
CHANGES = ("set_unavailable", "mark_seen", "forget", "partial_fit", "set_params")
SPLITS = ("kfold", "split_column", "split_leave_one_out", "split_per_user", "split_random")
SPLITS += ("split_temporal", "split_users")
OF_DATA = ("filter", "k_core", "to_scipy", "to_frame", "to_pandas", "compact")
FREE = {
    "Interactions": tm.Interactions,
    "from_arrays": tm.Interactions.from_arrays,
    "from_frame": tm.Interactions.from_frame,
    "from_scipy": tm.Interactions.from_scipy,
    **{f"ROWS.{name}": getattr(ROWS, name) for name in OF_DATA},
    **{name: getattr(tm, name) for name in SPLITS},
    "evaluate": tm.evaluate,
    "FullRanking": tm.FullRanking,
    "SampledCandidates": tm.SampledCandidates,
    "AsReleased": tm.AsReleased,
    "RankedLists.of": tm.RankedLists.of,
    "Index": tm.Index,
    "load": tm.load,
    "set_output": tm.set_output,
}

JUNK: tuple[Any, ...] = (
    None, True, False, 0, 1, 2, 3, -1, 31, 1 << 31, 1 << 63, 1 << 70, -(1 << 63), 0.5, -0.0, 1e-45,
    1e308, float("nan"), float("inf"), "", "1", "a", "\ud800", "\0", "x" * 5000, b"", b"\xff",
    (), [], {}, set(), [None], [[1]], [1, "a"], [1.5], [float("nan")], [1, 1], ["1"], [1 << 70],
    {1: float("nan")}, {1: 0}, {1: 1e-45, 2: 1e38}, {"a": 1}, {1: [2]}, {1: None}, {1}, (1, 2),
    [(1, 2)], [(1, 2, 3)], ([1, 2], [3, 4]), ([1], [2, 3]), ([], []), object(), len, int, ...,
    Decimal("1.5"), 1j, date(2020, 1, 1), np.datetime64("2020-01-01"), np.float32("nan"),
    np.int8(5), np.bool_(True), np.array(1), np.array([]), np.zeros((2, 2)), np.array([1.5]),
    np.array(["a", 1], object), np.array([1, 2], "u8"), np.array([2**63], "u8"), np.array(["1"]),
    np.array([1 + 0j]), np.array([1, 2])[::-1], np.ma.array([1, 2], mask=[0, 1]),
    pl.Series([], dtype=pl.Null), pl.Series([1, None]), pl.Series(["a"]), pl.Series([[1], [2]]),
    pl.DataFrame(), pl.DataFrame({"user": [1], "item": [2]}), pl.DataFrame({"item": [None]}),
    pl.LazyFrame({"user": [1]}), pd.Series([1, 2], index=[5, 6]), pd.Index([1]), pd.NA, pd.NaT,
    pd.Series([1.0, None]), pd.DataFrame({"user": [1.5], "item": ["a"]}), pd.Categorical(["a"]),
    range(3), ROWS,
)  # fmt: skip
SENSIBLE: dict[str, tuple[Any, ...]] = {
    "users": (1, [1, 2], range(5), None), "user": (1, 5), "items": (1, [1, 2, 3], {1: 2.0, 4: 1}),
    "item": (1, 7), "k": (1, 5, 40), "pairs": ([(1, 2), (3, 4)],), "weights": ([1.0, 2.0], None),
    "on_unknown": ("error", "skip", "popular"), "allow": ([1, 2, 3], {1: [2, 3], 2: [4]}, None),
    "deny": ([1], {1: [2]}, None), "diversity": (0, 0.5), "rerank": ("mmr", "dpp"),
    "approximate": (False,), "reasons": (2, 0), "examine": (3, 0), "exclude_seen": (True, False),
    "new": (([1, 99], [2, 98]),), "interactions": (ROWS, ([1, 2], [3, 4])), "data": (ROWS,),
    "test": (0.2, 0.3), "valid": (0.1, 0), "seed": (0, 5), "progress": (False,), "folds": (2, 3),
    "frame": (ROWS.to_frame(), {"user": [1, 2], "item": ["a", "b"]}), "ratings": ([1, 5], None),
    "timestamps": ([7, 8], None), "matrix": (ROWS.to_scipy(),), "part": ("test",), "n": (5, 9),
    "protocol": ("full", tm.SampledCandidates(5, at=(5,)), None), "at": ((5,), (1, 5)),
    "metrics": ("ndcg@5", ["recall@5"], None), "vectors": (np.eye(4, dtype=np.float32),),
    "epochs": (0, 1), "lr": (0.01, None), "replay": (0, 1), "name": ("rows",), "since": (3, None),
    "source": (pl.DataFrame({"user": [1, 2], "item": [2, 3], "rank": [1, 1]}),),
    "repeats": ("sum", "leave-out", "latest", None), "min_rating": (2, None), "values": (None,),
    "nulls": ("drop", "error"), "library": ("polars", "default"), "exclude": ("train", "none"),
}  # fmt: skip
COSTLY = {"epochs": 3, "folds": 40, "n": 100}
"""The largest whole numbers for arguments that cost what they say."""


@pytest.fixture(scope="module")
def models() -> dict[str, Recommender]:
    models = {}
    for kind in KINDS:
        known = tm.create(kind).get_params()
        model = tm.create(kind, **{name: v for name, v in SETTINGS.items() if name in known})
        models[kind] = model.fit(ROWS, progress=False)
    return models


def arguments(call: Callable[..., Any], chance: random.Random) -> dict[str, Any]:
    """Return arguments that a call might get: most are sensible, and some are not."""
    given = {}
    for name, parameter in inspect.signature(call).parameters.items():
        optional = parameter.default is not parameter.empty
        if name == "ray" or (optional and chance.random() < 0.7):
            continue
        sensible = SENSIBLE.get(name, ()) if chance.random() < 0.92 else ()
        value = chance.choice(sensible or JUNK)
        large = name in COSTLY and isinstance(value, int) and value > COSTLY[name]
        if not large:
            given[name] = value
    return given


def chosen(models: dict[str, Recommender], chance: random.Random) -> tuple[str, Callable[[], Any]]:
    """Return a call with its arguments, in words and to be made."""
    kind = chance.choice(KINDS)
    what = chance.choice(("answers", "answers", "changes", "settings", "free"))
    if what == "settings":
        known = [*tm.create(kind).get_params(), "preset", "variant", "none such"]
        given = {name: chance.choice(JUNK) for name in chance.sample(known, chance.randint(1, 2))}
        return f"create({kind!r}, {given!r})", partial(tm.create, kind, **given)
    if what == "free":
        name = chance.choice(list(FREE))
        call = FREE[name]
    else:
        model = models[kind] if what == "answers" else models[kind].snapshot()
        names = ANSWERS if what == "answers" else CHANGES
        name = chance.choice([name for name in names if hasattr(model, name)])
        call = getattr(model, name)
    given = arguments(call, chance)
    if name == "evaluate" and chance.random() < 0.9:
        given["model"] = models[kind]
    return f"{kind}, {name}({given!r})", partial(call, **given)


def meaningless(found: Any) -> bool:
    """Return whether an answer holds scores that are no numbers, or ranks that are none."""
    if isinstance(found, pd.DataFrame):
        found = pl.DataFrame(found)
    if not isinstance(found, pl.DataFrame) or not {"rank", "score"} <= set(found.columns):
        return False
    scores = found["score"].drop_nulls()
    return not scores.is_finite().all() or (found["rank"] < 1).any()


@pytest.mark.parametrize("count", sizes(600, 10_000))
def test_calls(count: int, models: dict[str, Recommender]) -> None:
    came, faults = Counter[str](), []
    for number in range(count):
        said, call = chosen(models, random.Random(number))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                found = call()
        except TrimetricError as error:
            came["refused"] += 1
            if not str(error).strip():
                faults.append(f"{number} {said[:500]}: an error without words")
        except Exception as error:
            faults.append(f"{number} {said[:500]}: {error!r:.300}")
        else:
            came["answered"] += 1
            if meaningless(found):
                faults.append(f"{number} {said[:500]}: {found}")
    tm.set_output("default")
    note("calls of the Python interface", calls=count, **came)
    assert not faults, "\n".join(faults)
    assert min(came["answered"], came["refused"]) > count // 10
