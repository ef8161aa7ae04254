"""A model in parts is measured as the whole one: the same users, figures, notes and counts."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import trimetric as tm
from trimetric.errors import DataError, ParameterError


@pytest.fixture(scope="module")
def data() -> tm.Interactions:
    return tm.synthetic.planted(n_users=120, n_items=60, per_user=12).interactions


@pytest.fixture(scope="module")
def split(data: tm.Interactions) -> tm.Split:
    return tm.split_per_user(data, test=0.2, valid=0.1, seed=1)


@pytest.fixture(scope="module")
def pair(split: tm.Split, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model, and the same in parts, with some items that nobody was trained on."""
    return divided(split, tmp_path_factory.mktemp("m"))


def divided(train: Any, folder: Path, partitions: int = 5) -> Any:
    model = tm.SML(dim=8, epochs=2, temperature=0.2).fit(train, progress=False)
    model.save(folder / "m", partitions=partitions)
    return model, tm.ShardedModel.open(folder / "m", kept=1)


def same(model: Any, sharded: Any, data: Any, protocol: Any = "full", **options: Any) -> None:
    one, other = (tm.evaluate(which, data, protocol, **options) for which in (model, sharded))
    assert one.to_dict() == other.to_dict()
    assert one.per_user().equals(other.per_user(), null_equal=True)
    assert str(one) == str(other)


PROTOCOLS = ["full", "dpcml", "sampled-499", "sampled-20", "as-released"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol(pair: Any, split: tm.Split, protocol: str) -> None:
    for held in (split, split.test):
        same(*pair, held, protocol)
    same(*pair, split, protocol, part="valid")


def test_options(pair: Any, split: tm.Split) -> None:
    same(*pair, split, exclude_seen=False)
    same(*pair, split, metrics=["recall", "ndcg@7"], at=[3, 7])
    same(*pair, split, tm.SampledCandidates(n=10, seed=8))


def test_users_and_items_that_are_unknown(pair: Any, split: tm.Split) -> None:
    frame = split.test.to_frame().select("user", "item")
    more = pl.DataFrame({"user": ["nobody", "nobody", frame["user"][0]], "item": ["x", "i01", "y"]})
    same(*pair, tm.Interactions.from_frame(pl.concat([frame, more])))


def test_beyond_accuracy(pair: Any, split: tm.Split) -> None:
    model, sharded = pair
    popular = tm.Popularity().fit(split.train)
    for options in ({}, {"k": 3, "exclude_seen": False}, {"reference": popular}):
        assert tm.beyond_accuracy(model, split, **options) == tm.beyond_accuracy(
            sharded, split, **options
        )
    assert tm.beyond_accuracy(popular, split, space=model) == tm.beyond_accuracy(
        popular, split, space=sharded
    )
    assert tm.beyond_accuracy(model, split, reference=sharded) == tm.beyond_accuracy(
        model, split, reference=model
    )


def test_users_who_are_folded_in(data: tm.Interactions, tmp_path: Path) -> None:
    split = tm.split_users(data, seed=1)
    model, sharded = divided(split.train, tmp_path)
    same(model, sharded, split)
    same(model, sharded, split, "sampled-20")
    model, sharded = divided(data, tmp_path / "all")
    for which in (model, sharded):
        with pytest.raises(DataError, match="was trained on"):
            tm.evaluate(which, split)


@pytest.mark.parametrize("marked", [False, True])
def test_what_is_said_of_validation(split: tm.Split, tmp_path: Path, marked: bool) -> None:
    model = tm.SML(dim=8, epochs=2, temperature=0.2).fit(split.train, split.valid, progress=False)
    if marked:
        model.mark_seen(split.valid)
    model.save(tmp_path / "m", partitions=3)
    sharded = tm.ShardedModel.open(tmp_path / "m")
    for held in (split, split.test):
        same(model, sharded, held)


def test_nothing_to_evaluate(pair: Any, split: tm.Split) -> None:
    users = tm.Interactions.from_arrays([1, 2], [3, 4])
    strangers = tm.Interactions.from_frame(pl.DataFrame({"user": ["n"], "item": ["i01"]}))
    for held in (users, strangers, split.train):
        said = []
        for which in pair:
            with pytest.raises(DataError) as error:
                tm.evaluate(which, held)
            said.append(str(error.value))
        assert said[0] == said[1]
    for which in pair:
        with pytest.raises(ParameterError, match="describes lists"):
            tm.evaluate(which, split, rank="place")


def test_few_of_many_users_are_ranked_as_all(pair: Any, split: tm.Split) -> None:
    model, sharded = pair
    few = split.test.take(split.test.users % 7 == 0)
    expected = tm.evaluate(model, split.test).per_user("ndcg@10")
    for which in (model, sharded):
        found = tm.evaluate(which, few).per_user("ndcg@10")
        assert 0 < len(found) < len(expected) / 2
        assert found.equals(expected.join(found.select("user"), on="user", maintain_order="right"))
