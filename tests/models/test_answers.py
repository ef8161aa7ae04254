"""Ids, weights and filters as people give them."""

import os
import pickle
import signal
import threading
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import trimetric as tm
from trimetric.errors import ParameterError, TrimetricError, UnknownIds
from trimetric.models.recommender import Recommender


@pytest.fixture(scope="module")
def model() -> Recommender:
    pairs = tm.synthetic.planted(60, 40, dim=4, clusters=4, per_user=6, seed=1).interactions
    data = tm.Interactions.from_arrays(pairs.users + 5, pairs.items + 100)
    return tm.CentroidML(dim=8, epochs=2, reconstruction=0).fit(data, progress=False)


def forms(ids: list[int]) -> list[Any]:
    pa, pd = pytest.importorskip("pyarrow"), pytest.importorskip("pandas")
    return [
        (i for i in ids),
        dict.fromkeys(ids).keys(),
        np.array(ids, dtype=np.uint16),
        np.array(ids, dtype=object),
        np.ma.masked_array(ids, [False] * len(ids)),
        [np.int8(i) for i in ids],
        [np.array(i) for i in ids],
        pd.Series(ids),
        pd.array(ids, "Int64"),
        pl.Series(ids, dtype=pl.UInt8),
        pa.array(ids),
        pa.chunked_array([ids[:1], ids[1:]]),
        [pa.scalar(i) for i in ids],
        [float(i) for i in ids],
    ]


def test_ids_in_any_form(model: Recommender) -> None:
    pa = pytest.importorskip("pyarrow")
    answer = model.recommend([5, 6], 3)
    for form in forms([5, 6]):
        assert pl.DataFrame(model.recommend(form, 3)).equals(answer), type(form)
    alone = model.recommend([5], 3)
    for form in (5, np.array(5), np.int64(5), pa.scalar(5), 5.0):
        assert model.recommend(form, 3).equals(alone)
    for form in forms([100, 101]):
        answer = model.recommend_for([100, 101], 3)
        assert pl.DataFrame(model.recommend_for(form, 3)).equals(answer)
    for form in forms([100, 101]):
        listed = model.recommend([5], 3, allow=form, exclude_seen=False)
        assert sorted(listed["item"]) == [100, 101]


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (np.ma.masked_array([5, 6], [False, True]), "user 2 is masked"),
        (np.ma.masked, "expected an id"),
        ([5, None], r"user 2 is missing"),
        ([float("nan")], "user 1 is missing"),
        (pl.Series([5, None]), "user 2 is missing"),
        (np.array([[5, 6]]), r"array of shape \(1, 2\)"),
        ([[5], [6]], r"user 1 is no id but \[5\]"),
        ([pl.Series([5])], "user 1 is no id"),
        ({5: 1}, "got a mapping of 5"),
        (pl.DataFrame({"user": [5]}), "got a table"),
        (object(), "expected an id"),
    ],
)
def test_what_is_no_list_of_ids_is_refused(model: Recommender, given: Any, match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        model.recommend(given)


@pytest.mark.parametrize("on_unknown", ["error", "skip", "popular"])
@pytest.mark.parametrize("user", ["5", "\ud800", b"5", True])
def test_ids_of_another_type(model: Recommender, user: Any, on_unknown: Any) -> None:
    with pytest.raises(UnknownIds, match="the model's user ids are int"):
        model.recommend([user], on_unknown=on_unknown)


@pytest.mark.parametrize("text", ["\ud800", "a\udcff"])
def test_half_a_surrogate_pair_is_an_unknown_id(text: str) -> None:
    model = tm.Popularity().fit((["a", "b"], ["x", "y"]))
    asks: list[Callable[[], Any]] = [
        lambda: model.recommend([text]),
        lambda: model.recommend([text], on_unknown="popular"),
        lambda: model.recommend(np.array([text])),
        lambda: model.score([("a", text)]),
        lambda: model.score([(text, "x")]),
    ]
    for ask in asks:
        with pytest.raises(UnknownIds, match="unknown"):
            ask()
    assert model.recommend(["a"], deny=[text]).equals(model.recommend(["a"]))
    assert model.recommend([text], on_unknown="skip").is_empty()


def test_pandas_weights_are_matched_by_index(model: Recommender) -> None:
    pd = pytest.importorskip("pandas")
    answer = model.recommend_for({100: 1, 101: 9})
    swapped = pd.Series([9, 1], index=[101, 100])
    assert model.recommend_for([100, 101], weights=swapped).equals(answer)
    assert model.recommend_for([100, 101], weights=pd.Series([1, 9])).equals(answer)
    assert not model.recommend_for([100, 101]).equals(answer)
    with pytest.raises(ParameterError, match="repeats an id"):
        model.recommend_for([100, 101], weights=pd.Series([9, 1], index=[100, 100]))


def test_scores_of_tables_and_interactions(model: Recommender) -> None:
    pairs = [(5, 100), (6, 101), (5, 102)]
    scores = model.score(pairs)
    frame = pl.DataFrame(pairs, schema=["user", "item"], orient="row")
    rows = [{"item": item, "user": user} for user, item in pairs]
    columns = frame.to_dict(as_series=False)
    for form in (frame, frame.to_arrow(), columns, frame.to_pandas(), rows):
        assert (model.score(form) == scores).all()
    with pytest.raises(ParameterError, match=r"got {'user': 5} among them"):
        model.score([{"user": 5}])
    data = tm.Interactions.from_frame(frame)
    expected = model.score(data.to_frame().select("user", "item").rows())
    assert (model.score(data) == expected).all()
    with pytest.warns(UserWarning, match="1 of 4 pairs have an unknown id"):
        some = model.score([*pairs, (5, 9999)], on_unknown="skip")
    assert (some[:3] == scores).all()
    assert np.isnan(some[3])


@pytest.mark.parametrize("folder", [None, 7, "", b"m", ["m"]])
def test_what_is_no_folder_is_refused(model: Recommender, folder: Any) -> None:
    for ask in (tm.load, model.save):
        with pytest.raises(ParameterError, match="the path of a folder"):
            ask(folder)


def test_a_copy_after_an_approximate_answer(model: Recommender) -> None:
    pytest.importorskip("faiss")
    answer = model.recommend([5, 6], 3, approximate=True)
    for copied in (deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert copied.recommend([5, 6], 3, approximate=True).equals(answer)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize(
    "ask",
    [
        lambda model: model.recommend([5]),
        lambda model: model.similar_items([100]),
        lambda model: model.recommend_for([100]),
    ],
)
@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_a_forked_child_answers_or_says_why_not(model: Recommender, ask: Any) -> None:
    ask(model)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            ask(model)
            os.write(writer, b"answered")
        except TrimetricError as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    ends = time.monotonic() + 20
    while time.monotonic() < ends and os.waitpid(child, os.WNOHANG)[0] == 0:
        time.sleep(0.02)
    if time.monotonic() >= ends:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        pytest.fail("the child hangs")
    said = os.read(reader, 10_000).decode()
    os.close(reader)
    assert said == "answered" or "spawn" in said


def test_answers_during_training_are_of_one_state() -> None:
    """Users get new rows when smaller ids arrive; nobody may get another's list."""
    pairs = tm.synthetic.planted(60, 40, dim=4, clusters=4, per_user=6, seed=1).interactions
    data = tm.Interactions.from_arrays(pairs.users + 1000, pairs.items + 1000)
    model = tm.CentroidML(dim=8, epochs=1, reconstruction=0).fit(data, progress=False)
    seen = {user: set(items) for user, items in data.to_frame().group_by("user").agg("item").rows()}
    failures: list[Any] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            for user in (1000, 1030, 1059):
                listed = model.recommend([user], 50)["item"].to_list()
                if set(listed) & seen[user]:
                    failures.append(user)
                near = model.similar_items([1005], 50)
                if 1005 in near["similar"].to_list():
                    failures.append("similar")
                len(repr(model)), model.score([(user, 1005)])

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for day in range(25):
            model.partial_fit(([900 - day], [800 - day]), epochs=0, progress=False)
            model.forget(users=900 - day, items=800 - day)
    finally:
        done.set()
        thread.join()
    assert not failures


def test_batches_with_candidates_of_each_user(model: Recommender, tmp_path: Path) -> None:
    from trimetric.models.batch import recommend_to_file

    allow = {user: [100 + user % 7, 110, 120] for user in range(5, 65)}
    recommend_to_file(model, tmp_path / "a.parquet", range(5, 25), 3, allow=allow, diversity=0.4)
    rows = pl.read_parquet(tmp_path / "a.parquet")
    assert rows.equals(model.recommend(range(5, 25), 3, allow=allow, diversity=0.4))


def test_a_tuple_of_two_lists_is_not_guessed_to_be_pairs(model: Recommender) -> None:
    """`fit` takes it as users and items."""
    users, items = [5, 6], [100, 101]
    pairs = [*zip(users, items, strict=True)]
    for two in ((users, items), tuple(pairs), (np.array(users), np.array(items)), ([5], [100])):
        with pytest.raises(ParameterError, match="may be two pairs, or users and items: give a"):
            model.score(two)
    expected = model.score(pairs)
    for given in ([list(pair) for pair in pairs], iter(pairs), {"user": users, "item": items}):
        assert (model.score(given) == expected).all()
    rows = tuple({"user": user, "item": item} for user, item in pairs)
    assert (model.score(rows) == expected).all()


def test_errors_name_the_argument(model: Recommender) -> None:
    with pytest.raises(ParameterError, match=r"^user: expected an id or a list of ids, got nan"):
        model.recommend(float("nan"))
    with pytest.raises(ParameterError, match=r"^item: expected an id or a list of ids, got None"):
        model.recommend_for(None)
    with pytest.raises(ParameterError, match=r"^items must be a list of ids, got 'x'; give"):
        model.set_unavailable("x")
    with pytest.raises(ParameterError, match=r"^library must be one of default, polars, pandas"):
        tm.set_output("numpy")  # type: ignore[arg-type]
    for kept in (0, 1.5, "2", None):
        with pytest.raises(ParameterError, match=r"^kept must be"):
            tm.ShardedModel.open("m", kept=kept)  # type: ignore[arg-type]
