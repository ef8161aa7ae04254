"""Answers of a model of points on a line, worked out by hand."""

import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
import pytest

import trimetric as tm
from trimetric.errors import ParameterError, UnknownIds, Unsupported
from trimetric.models import answers
from trimetric.models.recommender import Recommender

USERS, ITEMS = {"a": 0.0, "b": 1.0, "c": 2.0}, {"p": 0.0, "q": 0.1, "r": 0.3, "s": 0.6}
UNTRAINED = [("A", "p"), ("d", "s")]
LOG = [("a", "p"), ("b", "p"), ("b", "q"), ("b", "r"), ("c", "p"), ("c", "r")]
"""The items by popularity: p with 3, r with 2, q with 1, and s without training interactions."""


@pytest.fixture(scope="module")
def model() -> Recommender:
    """A model that was trained on a, b and c; A and d, far off, have rows and no interactions."""
    log = interactions()
    trained = log.take((log.users > 0) & (log.users < 4))
    model = tm.SML(dim=1, epochs=0).fit(trained, progress=False)
    model.user_embeddings[:, 0] = [-9, *USERS.values(), 9]
    model.item_embeddings[:, 0] = [*ITEMS.values()]
    return model


def interactions() -> tm.Interactions:
    rows = [*LOG, *UNTRAINED]
    return tm.Interactions.from_frame(pl.DataFrame(rows, schema=["user", "item"], orient="row"))


def lists(frame: pl.DataFrame, key: str = "user", of: str = "item") -> dict[str, str]:
    """Return the items of each list, joined, in the order of the frame."""
    return {name: "".join(rows[of]) for (name,), rows in frame.group_by(key, maintain_order=True)}


def distances(model: Recommender, of: Any, found: pl.DataFrame) -> list[float]:
    """Return how far off items are from where a new user is placed, squared."""
    at = float(model.fold_in(of)[0])
    return [(at - ITEMS[item]) ** 2 for item in found["item"]]


# --- recommend ------------------------------------------------------------------------------------


def test_everybody_is_who_was_trained_on(model: Recommender) -> None:
    assert lists(model.recommend()) == {"a": "qrs", "b": "s", "c": "sq"}
    assert lists(model.similar_users(k=1), of="similar") == {"a": "b", "b": "a", "c": "b"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"zz": "prqs", "b": "s", "d": "prqs", "a": "qrs"}),
        ({"k": 2}, {"zz": "pr", "b": "s", "d": "pr", "a": "qr"}),
        ({"k": 1, "exclude_seen": False}, {"zz": "p", "b": "s", "d": "p", "a": "p"}),
        ({"allow": ["q", "s"]}, {"zz": "qs", "b": "s", "d": "qs", "a": "qs"}),
        ({"deny": ["p", "q"]}, {"zz": "rs", "b": "s", "d": "rs", "a": "rs"}),
        ({"deny": {"zz": ["p"], "a": ["q"]}}, {"zz": "rqs", "b": "s", "d": "prqs", "a": "rs"}),
        (
            {"deny": {"zz": ["p"], "d": ["r"]}, "allow": ["p", "r", "s"]},
            {"zz": "rs", "b": "s", "d": "ps", "a": "rs"},
        ),
        (
            {"allow": {"zz": ["s", "p"], "b": ["p"], "d": ["q"], "a": ["s", "r", "p"]}},
            {"zz": "ps", "d": "q", "a": "rs"},
        ),
        (
            {"allow": {u: ["p", "q", "s"] for u in ("zz", "b", "d", "a")}, "deny": {"d": ["p"]}},
            {"zz": "pqs", "b": "s", "d": "qs", "a": "qs"},
        ),
    ],
)  # fmt: skip
def test_users_who_are_unknown_get_what_is_popular(
    model: Recommender, options: dict[str, Any], expected: dict[str, str]
) -> None:
    asked = ["zz", "b", "d", "a"]
    found = model.recommend(asked, on_unknown="popular", **options)
    assert lists(found) == expected
    assert list(lists(found)) == [user for user in asked if user in expected]  # in their order
    unknown = found["user"].is_in(["zz", "d"])
    assert found["score"].is_null().equals(unknown)
    known = found.filter(~unknown)
    skipped = model.recommend(asked, on_unknown="skip", **options)
    assert skipped.equals(known)
    assert known["distance"].to_list() == pytest.approx(
        [(USERS[user] - ITEMS[item]) ** 2 for user, item in known.select("user", "item").rows()],
        abs=1e-6,
    )
    with pytest.raises(UnknownIds, match=r"'zz', 'd'.*popular or skip"):
        model.recommend(asked, **options)


def test_nobody_known_and_nothing_allowed(model: Recommender) -> None:
    for user in ("zz", "A", "d"):
        assert lists(model.recommend([user], 3, on_unknown="popular")) == {user: "prq"}
    for options in ({}, {"diversity": 0.5}):
        assert model.recommend(["a", "zz"], on_unknown="popular", allow=[], **options).is_empty()
        assert model.recommend_for(["p"], allow=[], **options).is_empty()
        assert model.recommend(["zz"], on_unknown="skip", **options).is_empty()


def test_items_that_are_unavailable_are_in_no_list(model: Recommender) -> None:
    fewer = tm.SML(dim=1, epochs=0).fit(interactions())
    with pytest.warns(UserWarning, match="1 of 3 unavailable items are unknown to the model"):
        fewer.set_unavailable(["r", "nothing", "p"])
    assert fewer.unavailable.to_list() == ["p", "r"]
    assert lists(fewer.recommend(["zz"], on_unknown="popular")) == {"zz": "qs"}
    assert sorted(lists(fewer.recommend(["a"], exclude_seen=False))["a"]) == ["q", "s"]
    assert sorted(lists(fewer.similar_items(["p"]), "item", "similar")["p"]) == ["q", "s"]
    assert sorted(lists(fewer.similar_users(["a"]), "user", "similar")["a"]) == ["A", "b", "c", "d"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fewer.set_unavailable(["r"])
    with pytest.raises(ParameterError, match=r"must be a list of ids, got 'p'; give \['p'\]"):
        fewer.set_unavailable("p")
    assert fewer.unavailable.to_list() == ["r"]


# --- diversity ------------------------------------------------------------------------------------


def test_a_diverse_list_says_where_its_items_stood(model: Recommender) -> None:
    """After p, at the user, the next is the one farthest off: s, then q or r by both distances."""
    whole = {"exclude_seen": False, "diversity": 0.9}
    found = model.recommend(["zz", "a"], 3, on_unknown="popular", **whole)
    assert lists(found) == {"zz": "prq", "a": "psr"}
    assert found["rank_by_score"].to_list() == [None, None, None, 1, 4, 3]
    assert found["rank"].to_list() == [1, 2, 3, 1, 2, 3]
    mine = found.filter(user="a")
    assert mine["distance"].to_list() == pytest.approx([0, 0.36, 0.09], abs=1e-6)
    assert found.filter(user="zz")["score"].is_null().all()
    assert model.recommend(["a"], 3, **whole).equals(mine)
    skipped = model.recommend(["zz", "a"], 3, on_unknown="skip", **whole)
    assert skipped.equals(mine)
    new = model.recommend_for(["p"], 3, exclude_given=False, diversity=0.9)
    assert new["item"].to_list() == ["p", "s", "r"]
    assert new["rank_by_score"].to_list() == [1, 4, 3]
    assert new["distance"].to_list() == pytest.approx(distances(model, ["p"], new), abs=1e-6)


def test_diverse_lists_of_several_lengths(model: Recommender) -> None:
    found = model.recommend(["a", "b", "zz"], 4, on_unknown="popular", diversity=0.9)
    assert {user: sorted(row) for user, row in lists(found).items()} == {
        "a": ["q", "r", "s"], "b": ["s"], "zz": ["p", "q", "r", "s"]
    }  # fmt: skip
    assert found.filter(user="b").select("rank", "rank_by_score").rows() == [(1, 1)]
    assert model.recommend(["a"], 1, diversity=1e-9)["item"].to_list() == ["q"]
    alone = model.recommend(["a"], allow=["r"], diversity=0.5)
    assert alone.select("item", "rank_by_score").rows() == [("r", 1)]


@pytest.mark.parametrize("diversity", [0, 0.0, 1, 1.0, np.float32(0.5), np.int8(1)])
def test_strengths_of_diversity(model: Recommender, diversity: Any) -> None:
    found = model.recommend(["a"], diversity=diversity)
    assert ("rank_by_score" in found.columns) == (diversity > 0)
    assert found["item"][0] == "q"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        *(
            ({"diversity": value}, r"diversity must be a number in 0\.\.1")
            for value in (True, False, "0.5", None, -0.1, 1.1, float("nan"), [0.5])
        ),
        ({"rerank": "best"}, "rerank must be mmr or dpp, got 'best'"),
        ({"exclude_seen": "no"}, "exclude_seen must be True or False"),
        ({"approximate": 2}, "approximate must be True or False"),
        ({"on_unknown": "ignore"}, "on_unknown must be error, popular or skip, got 'ignore'"),
        ({"k": 0}, "k must be a whole number"),
    ],
)
def test_options_out_of_range(model: Recommender, options: Any, told: str) -> None:
    with pytest.raises(ParameterError, match=told):
        model.recommend(["a"], **options)


def test_options_are_those_of_recommend_unless_told_otherwise() -> None:
    usual = inspect.signature(Recommender.recommend).parameters
    for name, value in asdict(answers.Options()).items():
        assert usual[name].default == value


# --- new users ------------------------------------------------------------------------------------


def test_new_users_are_where_what_they_have_places_them(model: Recommender) -> None:
    for of in (["p", "s"], {"p": 1, "s": 3}, ["s"]):
        found = model.recommend_for(of, exclude_given=False)
        expected = distances(model, of, found)
        assert found["distance"].to_list() == pytest.approx(expected, abs=1e-6)
        assert expected == sorted(expected)
        left = found.filter(~found["item"].is_in(list(of)))
        assert model.recommend_for(of)["item"].to_list() == left["item"].to_list()
        assert model.recommend_for(of, 1)["item"].to_list() == left["item"].to_list()[:1]
    assert model.recommend_for(["p"], allow=["s", "q"], deny=["q"])["item"].to_list() == ["s"]


def test_what_is_given_of_the_same_id_adds_up() -> None:
    ids = tm.Interactions.from_arrays([1, 2], [7, 8]).item_ids
    for given, expected in (
        (answers.Given({8: 0.5, 7: 2}), [2, 0.5]),
        (answers.Given([8, 7, 8.0, 8]), [1, 3]),
        (answers.Given([8, 7], [3, 0.25]), [0.25, 3]),
    ):
        rows, weights = answers.weighted_rows("item", ids, given)
        assert (rows.tolist(), weights.tolist()) == ([0, 1], expected)
        assert (rows.dtype, weights.dtype) == (np.int32, np.float32)


def test_items_of_new_users_that_are_unknown(model: Recommender) -> None:
    with pytest.raises(UnknownIds, match=r"'x'.*not trained on them"):
        model.recommend_for(["p", "x"])
    with pytest.warns(UserWarning, match=r"2 of 3 items are unknown and left out: 'x', 'y'$"):
        found = model.recommend_for(["x", "p", "y"], on_unknown="skip")
    assert found.equals(model.recommend_for(["p"]))
    with pytest.raises(ParameterError, match="give at least one item"):
        model.recommend_for([])
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(UnknownIds, match="none of them is known"),
    ):
        model.recommend_for(["x"], on_unknown="skip")
    for ask in (
        lambda: model.recommend_for(["p"], on_unknown="popular"),
        lambda: model.similar_items(["p"], on_unknown="popular"),
        lambda: model.score([("a", "p")], on_unknown="popular"),
    ):
        with pytest.raises(ParameterError, match="on_unknown must be error or skip, got 'popular'"):
            ask()


@pytest.mark.parametrize(("n", "ends"), [(1, "'x0'$"), (5, "'x4'$"), (6, r"'x4', \.\.\.$")])
def test_five_of_the_unknown_ids_are_named(model: Recommender, n: int, ends: str) -> None:
    unknown = [f"x{at}" for at in range(n)]
    with pytest.warns(UserWarning, match=f"{n} of {n + 1} items are unknown.*{ends}"):
        found = model.similar_items([*unknown, "q"], 2, on_unknown="skip")
    assert lists(found, "item", "similar") == {"q": "pr"}


# --- what is alike --------------------------------------------------------------------------------


def test_what_is_alike(model: Recommender) -> None:
    near = model.similar_items(["s", "p"], 2)
    assert near.columns == ["item", "similar", "rank", "score", "distance"]
    assert lists(near, "item", "similar") == {"s": "rq", "p": "qr"}
    assert near["distance"].to_list() == pytest.approx([0.09, 0.25, 0.01, 0.09], abs=1e-6)
    assert lists(model.similar_items(k=1), "item", "similar") == {
        "p": "q", "q": "p", "r": "q", "s": "r"
    }  # fmt: skip
    few = model.similar_items(["s", "p"], allow={"s": ["p", "q"], "p": ["r"]}, deny=["q"])
    assert lists(few, "item", "similar") == {"s": "p", "p": "r"}
    users = model.similar_users(["c"], deny=["A", "b", "d"])
    assert users.columns[:2] == ["user", "similar"]
    assert lists(users, "user", "similar") == {"c": "a"}
    with pytest.raises(UnknownIds, match="1 unknown user"):
        model.similar_users(["zz"])


def test_models_that_cannot_tell_say_who_can() -> None:
    log = interactions()
    popular, ease = tm.Popularity().fit(log), tm.EASE().fit(log)
    for ask, told in (
        (lambda: popular.similar_items(["p"]), "popularity has no similar items: .*itemknn, ials"),
        (lambda: popular.similar_users(["a"]), "no similar users: .* so have ials and bpr"),
        (lambda: ease.similar_users(["a"]), "ease has no similar users: .* so have ials and bpr"),
        (lambda: ease.recommend(["a"], diversity=0.1), "no space in which lists could be made"),
        (lambda: ease.recommend_for(["p"], diversity=0.1), "no space in which lists could be made"),
        (lambda: ease.user_embeddings, "there is no space and no L2 index"),
        (lambda: ease.fold_in(["p"]), "cannot tell where a new user or item belongs: .*recommend_"),
    ):
        with pytest.raises(Unsupported, match=told):
            ask()
    assert set(ease.recommend_for(["p"])["item"]) == {"q", "r", "s"}  # a model without points


def test_reasons_are_the_scorers_own_where_it_has_some(model: Recommender) -> None:
    class Scorer:
        capabilities = frozenset({"new users"})
        refusals: Mapping[str, str] = MappingProxyType({})

    scorer: Any = Scorer()
    given = answers.Given(["p"])
    for kind, which in (("item", "items"), ("user", "users")):
        told = f"mine has no similar {which}: its scores do not say which {which} are alike"
        with pytest.raises(Unsupported, match=told):
            answers.similar("mine", kind, None, scorer, given, 1, (None, None))  # type: ignore[arg-type]
        scorer.refusals = {f"similar {which}": "it is a test"}
        with pytest.raises(Unsupported, match=f"no similar {which}: it is a test; models"):
            answers.similar("mine", kind, None, scorer, given, 1, (None, None))  # type: ignore[arg-type]
    with pytest.raises(Unsupported, match=r"belongs: it has no points; recommend_for takes new"):
        answers.placing_space("mine", scorer)
    scorer.capabilities = frozenset()
    for ask in (
        lambda: answers.placing_space("mine", scorer),
        lambda: answers.recommend_for("mine", model.known, scorer, given, 1, answers.Options()),
    ):
        with pytest.raises(Unsupported, match="trained again: its scores are of the users it was"):
            ask()
    scorer.refusals = {"new users": "it is a test", "fold-in": "another"}
    with pytest.raises(Unsupported, match="trained again: it is a test; models"):
        answers.placing_space("mine", scorer)


def test_factors_and_points_are_those_of_their_side(model: Recommender) -> None:
    assert model.user_embeddings[:, 0].tolist() == [-9, *USERS.values(), 9]
    assert model.item_embeddings[:, 0] == pytest.approx([*ITEMS.values()])
    factors = tm.BPR(dim=2, epochs=0).fit(interactions())
    assert (factors.user_embeddings == factors.scorer.user_factors).all()
    assert (factors.item_embeddings == factors.scorer.item_factors).all()
    assert (factors.user_embeddings.shape, factors.item_embeddings.shape) == ((5, 2), (4, 2))


# --- scores ---------------------------------------------------------------------------------------


def test_pairs_of_unknown_ids_have_no_score(model: Recommender) -> None:
    pairs = [("a", "s"), ("zz", "p"), ("c", "s"), ("b", "x"), ("zz", "x"), ("b", "p")]
    with pytest.warns(UserWarning, match=r"^3 of 6 pairs have an unknown id and no score \(NaN\)$"):
        found = model.score(pairs, on_unknown="skip")
    assert found.dtype == np.float32
    assert found == pytest.approx([-0.36, np.nan, -1.96, np.nan, np.nan, -1], nan_ok=True, abs=1e-6)
    for some, told in ((pairs[:2], "user.*'zz'"), (pairs[2:4], "item.*'x'"), (pairs[4:], "'zz'")):
        with pytest.raises(UnknownIds, match=told + r".*on_unknown can be skip"):
            model.score(some)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.score(pairs[::2][:2], on_unknown="skip") == pytest.approx([-0.36, -1.96])


def test_pairs_in_any_form(model: Recommender) -> None:
    pairs = [("a", "s"), ("b", "p")]
    arrow, pandas = pytest.importorskip("pyarrow"), pytest.importorskip("pandas")
    columns = {"item": ["s", "p"], "user": ["a", "b"]}
    named = np.array([("s", "a"), ("p", "b")], dtype=[("item", "U1"), ("user", "U1")])
    for form in (
        pairs,
        iter(pairs),
        np.array(pairs),
        [["a", "s"], np.array(["b", "p"])],
        (zip("ab", "sp", strict=True)),
        columns,
        named,
        pl.DataFrame(columns),
        arrow.table(columns),
        arrow.RecordBatch.from_pydict(columns),
        pandas.DataFrame(columns),
        [{"item": "s", "user": "a", "rank": 1}, {"user": "b", "item": "p"}],
    ):
        assert model.score(form) == pytest.approx([-0.36, -1], abs=1e-6)
    assert model.score([]).tolist() == []


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        ({"user": ["a"], "sku": ["p"]}, "user and item; 'item' is not among user, sku"),
        ({"who": ["a"], "item": ["p"]}, "user and item; 'user' is not among who, item"),
        ({"who": ["a"], "what": ["p"]}, "user and item; 'user' is not among who, what"),
        ({"user": ["a"], "item": ["p", "q"]}, "pairs have 1 users and 2 items"),
        (np.zeros(1, dtype=[("user", "i4")]), "'item' is not among user"),
        ("ap", "expected pairs of a user and an item, got 'ap'$"),
        (b"ap", "expected pairs of a user and an item, got b'ap'$"),
        (5, "expected pairs of a user and an item, got 5$"),
        (None, "expected pairs of a user and an item, got None$"),
        (["ap"], "got 'ap' among them"),
        ([b"ap"], "got b'ap' among them"),
        ([("a", "p"), 5], "got 5 among them"),
        ([("a",)], r"got \('a',\) among them"),
        ([("a", "p", 1)], r"got \('a', 'p', 1\) among them"),
        ([{"user": "a", "sku": "p"}], "got {'user': 'a', 'sku': 'p'} among them"),
    ],
)
def test_what_are_no_pairs_is_refused(model: Recommender, pairs: Any, told: str) -> None:
    with pytest.raises(ParameterError, match=told):
        model.score(pairs)


# --- ids ------------------------------------------------------------------------------------------


def test_one_id_is_one(model: Recommender) -> None:
    assert answers.one_row("item", model.item_ids, "q") == 1
    assert answers.one_row("item", model.item_ids, ["s"]) == 3
    for given, n in ((["p", "q"], 2), ([], 0)):
        with pytest.raises(ParameterError, match=f"give one item, got {n}"):
            answers.one_row("item", model.item_ids, given)
    with pytest.raises(UnknownIds, match="1 unknown item"):
        answers.one_row("item", model.item_ids, "x")


def test_unknown_ids_that_no_column_holds() -> None:
    model = tm.Popularity().fit(tm.Interactions.from_arrays([1, 2], [7, 7]))
    assert model.recommend([3], on_unknown="popular")["item"].to_list() == [7]
    with pytest.raises(UnknownIds, match="no answer can hold them as int ids"):
        model.recommend([2**70], on_unknown="popular")


@pytest.mark.parametrize(
    "ask",
    [
        lambda model: model.score([("zz", "p")], on_unknown="skip"),
        lambda model: model.similar_items(["x", "p"], on_unknown="skip"),
        lambda model: model.recommend_for(["x", "p"], on_unknown="skip"),
        lambda model: model.set_unavailable(["x"]),
    ],
)
def test_warnings_name_the_line_that_asked(
    model: Recommender, ask: Callable[[Recommender], Any]
) -> None:
    with pytest.warns(UserWarning, match="unknown") as told:
        ask(model)
    code = ask.__code__
    assert (told[0].filename, told[0].lineno) == (code.co_filename, code.co_firstlineno)


def test_warnings_name_code_without_a_module(model: Recommender) -> None:
    asks = compile("model.similar_items(['none'], on_unknown='skip')", "cell 3", "exec")
    with pytest.warns(UserWarning, match="unknown") as told:
        exec(asks, {"model": model})
    assert (told[0].filename, told[0].lineno) == ("cell 3", 1)
