"""Python as people type it: frames, splits, everybody, pandas, and what print shows."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import polars as pl
import pytest

import trimetric as tm
from trimetric.errors import DataError, ParameterError

ROWS = {"customer_id": ["b", "a", "b", "c", "a"], "sku": ["07", "7", "7", "07", "9"]}


@pytest.fixture(scope="module")
def split() -> tm.Split:
    return tm.split_per_user(tm.synthetic.planted().interactions, test=0.2, valid=0.2, seed=0)


@pytest.fixture(scope="module")
def space(split: tm.Split) -> tm.CentroidML:
    return tm.CentroidML(dim=8, epochs=1, kappa=1.0, reconstruction=0.0, temperature=0.3).fit(split)


@pytest.fixture
def in_pandas():
    tm.set_output("pandas")
    yield
    tm.set_output("default")


@pytest.mark.parametrize(
    ("user", "item", "time"),
    [
        ("user", "item", "timestamp"),
        ("user_id", "item_id", "ts"),
        ("userId", "movieId", "time"),
        ("customer_id", "product_id", "date"),
        ("visitorid", "itemid", "event_time"),
        ("reviewerID", "asin", "unix_time"),
        ("UserId", "sku", "datetime"),
    ],
)
@pytest.mark.parametrize("make", [pl.DataFrame, pd.DataFrame, dict])
def test_usual_columns_are_recognised_and_said(user: str, item: str, time: str, make) -> None:
    data = tm.Interactions(make({user: [1, 2], item: ["x", "y"], time: [5, 6]}))
    assert data.user_ids[:].to_list() == [1, 2]
    assert data.timestamps.tolist() == [5, 6]
    for role, column in (("users", user), ("items", item), ("timestamps", time)):
        told = f"{role} from column '{column}'"
        assert (told in repr(data)) == (column != role.removesuffix("s"))


@pytest.mark.parametrize(
    "columns",
    [("user", "item", "date", "time"), ("uid", "customer_id", "item"), ("user", "sku", "asin")],
)
def test_what_may_be_two_columns_is_refused(columns: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match=r"it may be '\w+' or '\w+'(?: or '\w+')*: say which with"):
        tm.Interactions({name: [1] for name in columns})
    if "date" in columns:
        assert tm.Interactions({n: [1] for n in columns}, timestamp=False).timestamps is None
        assert tm.Interactions({n: [1] for n in columns}, timestamp="date").timestamps is not None


def test_fit_takes_a_frame_and_says_what_it_took(capfd: pytest.CaptureFixture) -> None:
    model = tm.EASE().fit(pd.DataFrame(ROWS))
    told = "frame: users from column 'customer_id', items from column 'sku'\n"
    assert capfd.readouterr().err == told
    assert list(model.item_ids) == ["07", "7", "9"]
    tm.EASE().fit(pd.DataFrame(ROWS), progress=False)
    tm.EASE().fit(tm.Interactions(ROWS))
    assert not capfd.readouterr().err


@pytest.mark.parametrize("name", ["ease", "sml"])
def test_fit_takes_a_split(name: str, split: tm.Split) -> None:
    settings = {} if name == "ease" else {"dim": 4, "epochs": 2, "temperature": 0.3}
    train, valid, test = split
    assert (train, valid, test) == (split.train, split.valid, split.test)
    whole = tm.create(name, **settings).fit(split)
    parts = tm.create(name, **settings).fit(train, valid)
    assert whole.provenance == parts.provenance
    assert whole.recommend(k=3).equals(parts.recommend(k=3))
    with pytest.raises(ParameterError, match="got a split and validation data"):
        tm.create(name, **settings).fit(split, valid)


def test_maps_of_ids_are_sequences(space: tm.CentroidML) -> None:
    ids = space.item_ids
    everything = ids.values.to_list()
    assert list(ids) == everything
    assert (ids[0], ids[-1], ids[np.int32(3)]) == (everything[0], everything[-1], everything[3])
    assert ids[2:5].to_list() == everything[2:5]
    assert ids[[3, 1]].to_list() == [everything[3], everything[1]]
    assert ids[np.arange(len(ids)) < 2].to_list() == everything[:2]
    assert everything[0] in ids
    assert "nothing" not in ids
    assert 7 not in ids
    with pytest.raises(IndexError):
        ids[len(ids)]


def test_everybody_and_everything(space: tm.CentroidML) -> None:
    whole = space.recommend(k=2)
    assert whole.equals(space.recommend(list(space.user_ids), k=2))
    assert space.similar_items(k=2).equals(space.similar_items(list(space.item_ids), k=2))
    assert space.similar_users(k=1).equals(space.similar_users(list(space.user_ids), k=1))


def test_everybody_is_those_who_were_trained_on(split: tm.Split) -> None:
    fewer = split.train.take(split.train.users > 0)
    model = tm.Popularity().fit(fewer)
    assert model.user_ids[0] not in model.recommend(k=1)["user"]
    assert model.recommend(k=1).height == len(model.user_ids) - 1


def test_pandas_in_pandas_out(space: tm.CentroidML, split: tm.Split) -> None:
    user, item = pd.Series(["u0007"]), pd.Index(["i007"])
    for ours, theirs in (
        (space.recommend(["u0007"]), space.recommend(user)),
        (space.recommend_for(["i007"]), space.recommend_for(item)),
        (space.similar_items(["i007"]), space.similar_items(item)),
        (space.similar_users(["u0007"]), space.similar_users(user)),
    ):
        assert isinstance(ours, pl.DataFrame)
        assert isinstance(theirs, pd.DataFrame)
        assert ours.to_dict(as_series=False) == theirs.to_dict("list")


@pytest.mark.usefixtures("in_pandas")
def test_set_output(space: tm.CentroidML, split: tm.Split, tmp_path) -> None:
    result = tm.evaluate(space, split)
    for frame in (
        space.recommend("u0007"),
        space.recommend("nobody", on_unknown="popular"),
        result.to_frame(),
        result.per_user("ndcg@10"),
    ):
        assert isinstance(frame, pd.DataFrame)
    with ThreadPoolExecutor(1) as other:  # each thread chooses for itself
        assert isinstance(other.submit(space.recommend, "u0007").result(), pl.DataFrame)
    assert len(tm.evaluate(space.recommend(k=30), split, at=10).metrics)  # lists in pandas
    tm.set_output("polars")
    assert isinstance(space.recommend(pd.Series(["u0007"])), pl.DataFrame)
    with pytest.raises(ParameterError, match="library must be one of default, polars, pandas"):
        tm.set_output("numpy")


@pytest.mark.usefixtures("in_pandas")
def test_files_of_everybody_do_not_depend_on_it(space: tm.CentroidML, tmp_path) -> None:
    from trimetric.models.batch import recommend_to_file

    recommend_to_file(space, tmp_path / "all.parquet", k=3, progress=False)
    tm.set_output("default")
    assert pl.read_parquet(tmp_path / "all.parquet").equals(space.recommend(k=3))


def test_print_shows_the_table_and_the_sentence(space: tm.CentroidML, split: tm.Split) -> None:
    result = tm.evaluate(space, split)
    text = str(result)
    assert f"{result['ndcg@10']:.4f}" in text
    assert "full ranking: all items but those of train and valid" in text
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text
    why = space.explain("u0007", "i007")
    assert str(why) == why.sentence()


def test_a_result_is_a_frame(space: tm.CentroidML, split: tm.Split) -> None:
    result = tm.evaluate(space, split)
    frame = result.to_frame()
    assert frame.columns == ["metric", "k", "value"]
    for base, k, value in frame.rows():
        assert result[base if k is None else f"{base}@{k}"] == value


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"metrics": "ndcg@10"}, ["ndcg@10"]),
        ({"metrics": ["recall@50", "NDCG"], "at": [3, 7]}, ["recall@50", "ndcg@3", "ndcg@7"]),
        ({"metrics": ["hit", "auc"], "at": 5}, ["hit_rate@5", "auc"]),
        ({"metrics": ["map", "mrr"]}, ["map", "mrr"]),
        ({"metrics": ["map"], "at": (2,)}, ["map@2"]),
        ({"metrics": ["ndcg"], "protocol": "dpcml"}, [f"ndcg@{k}" for k in (3, 5, 10, 20)]),
        ({"metrics": ["ndcg"], "protocol": "sampled-9"}, ["ndcg@5", "ndcg@10"]),
    ],
)
def test_metrics_and_cutoffs_are_arguments(
    given: dict, names: list[str], space: tm.CentroidML, split: tm.Split
) -> None:
    result = tm.evaluate(space, split, **given)
    assert list(result.metrics) == names
    usual = tm.evaluate(space, split, given.get("protocol"))
    for name in names:
        both = usual.metrics.get(name, result[name]), result[name]
        assert np.array_equal(*both, equal_nan=True)
        assert np.array_equal(usual[name], result.metrics[name], equal_nan=True)
    assert list(result.to_dict()["metrics"]) == names


def test_cutoffs_of_dpcml_keep_its_rule(space: tm.CentroidML, split: tm.Split) -> None:
    result = tm.evaluate(space, split, "dpcml", at=7)
    values = result.values("ndcg@7")
    assert (np.isnan(values) == (result.ranks.held < 7)).all()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"metrics": "ndgc"}, "unknown metric"),
        ({"at": 0}, "unknown metric"),
        ({"metrics": [3]}, "unknown metric"),
        ({"at": "x"}, "at must be cutoffs"),
    ],
)
def test_wrong_metrics_are_refused(
    given: dict, told: str, space: tm.CentroidML, split: tm.Split
) -> None:
    with pytest.raises(ParameterError, match=told):
        tm.evaluate(space, split, **given)


def test_public_names_are_all_that_dir_shows() -> None:
    assert dir(tm) == sorted(tm.__all__)
    code = "import trimetric as tm; print(*dir(tm))"
    fresh = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert fresh.stdout.split() == sorted(tm.__all__)
