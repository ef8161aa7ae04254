"""Checks of ids: as given on the way in and out, unknown ones refused or filled in."""

import numpy as np
import polars as pl

from trimetric.errors import ParameterError, UnknownIds
from trimetric.testing.cases import IDS, Case, folder, lists, planted, raises, under


@under(kind=tuple(IDS))
def check_ids_come_back_exactly(case: Case, kind: str) -> None:
    """Ids come back as they were given, also after saving and loading."""
    data = planted(kind)
    model = case.new().fit(data)
    users, items = data.user_ids.values, data.item_ids.values
    with folder() as out:
        model.save(out)
        loaded = case.load(out)
    for trained in (model, loaded):
        answer = trained.recommend(users, k=50, exclude_seen=False)
        assert answer["user"].dtype == answer["item"].dtype == users.dtype
        assert answer["user"].unique(maintain_order=True).equals(users, check_names=False)
        for listed in lists(answer).values():
            assert sorted(listed) == sorted(items)
    of_another_type = [str(users[0]) if users.dtype == pl.Int64 else 7]
    with raises(UnknownIds):
        model.recommend(of_another_type)


def check_unknown_users(case: Case) -> None:
    """Users that the model was not trained on: an error, popular items, or nothing, as asked."""
    model, data = case.model, case.data
    known = data.user_ids.values[:2].to_list()
    users = [known[1], "who", known[0], "me", "who"]
    with raises(UnknownIds, r"3 unknown users: 'who', 'me', 'who'; .*popular"):
        model.recommend(users)
    skipped = model.recommend(users, k=3, on_unknown="skip")
    assert skipped.equals(model.recommend([known[1], known[0]], k=3))
    filled = model.recommend(users, k=3, on_unknown="popular")
    assert filled.schema == skipped.schema
    assert filled["user"].to_list() == [user for user in users for _ in range(3)]
    assert filled["rank"].to_list() == [1, 2, 3] * 5
    assert filled.filter(pl.col("user").is_in(known)).equals(skipped)
    strangers = filled.filter(~pl.col("user").is_in(known))
    assert strangers["score"].null_count() == len(strangers)
    popular = data.item_ids.decode(np.argsort(-np.bincount(data.items), kind="stable"))
    assert strangers["item"].to_list() == popular[:3].to_list() * 3
    assert model.recommend(["who"], on_unknown="skip").schema == skipped.schema
    assert model.recommend(["who"], k=10**6, on_unknown="popular").height == data.n_items
    with raises(UnknownIds, "7; the model's user ids are str"):
        model.recommend(["who", 7], on_unknown="popular")
    with raises(ParameterError, "error, popular or skip, got 'guess'"):
        model.recommend(known, on_unknown="guess")  # type: ignore[arg-type]
