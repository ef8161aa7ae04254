"""What every model promises, as one suite of checks.

A new model is covered as soon as it is registered. What it can do it says in `capabilities` and in
the names of its settings; checks of what it cannot do are left out.
"""

import pickle
import signal
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from threads_helper import on_threads

import trimetric as tm
from trimetric.data.csr import Csr
from trimetric.errors import (
    ArtifactError,
    DataError,
    Interrupted,
    ParameterError,
    UnknownIds,
    Unsupported,
)
from trimetric.models import search_space
from trimetric.models.epoch_trained import EpochTrained
from trimetric.models.recommender import Recommender
from trimetric.progress import Silent
from trimetric.storage import artifact

SMALL = {"dim": 12, "epochs": 3, "batch_size": 64, "validate_every": 1, "patience": 0}
"""Settings that keep a model small, for those that have them."""

IDS = {
    "text": lambda row: f"{'äöü'[row % 3]} {row:x}",
    "big": lambda row: 2**53 + 1 + row,
    "edges": lambda row: (-1) ** row * (2**63 - 1 - row),
    "numeral": lambda row: f"{row // 2}" if row % 2 else f"00{row // 2}",
}
"""Ids that a careless program would change on their way through it."""


def small(name: str, **settings: Any) -> Recommender:
    """Make a model with those of SMALL and `settings` that it has."""
    wanted = SMALL | settings
    return tm.create(name, **{key: wanted[key] for key in wanted if key in has(name)})


def has(name: str) -> dict[str, Any]:
    """Return the settings of a model."""
    return tm.create(name).get_params()


def in_epochs(name: str) -> bool:
    """Tell whether a model trains in epochs, rather than in one go."""
    return isinstance(tm.create(name), EpochTrained)


def planted(ids: str = "text", n_users: int = 60, n_items: int = 40) -> tm.Interactions:
    """Return a small set of interactions, its users and items named by one of IDS."""
    made = tm.synthetic.planted(n_users, n_items, dim=4, clusters=4, per_user=6, seed=1)
    pairs, name = made.interactions, IDS[ids]
    return tm.Interactions.from_arrays(
        [name(row) for row in pairs.users.tolist()], [name(row) for row in pairs.items.tolist()]
    )


def learned(model: Recommender) -> dict[str, bytes]:
    """Return all that a model has learned, as bytes."""
    return {name: array.tobytes() for name, array in model.tensors().items()}


def lists(answer: pl.DataFrame) -> dict[Any, list]:
    """Return the second column of an answer by its first."""
    asked, found = answer.columns[:2]
    return {key: group[found].to_list() for (key,), group in answer.group_by(asked)}


def resaved(model: Recommender, folder: Path, **changes: Any) -> Path:
    """Save a model, and again with other tensors, or without those changed to None."""
    model.save(folder / "good")
    good = artifact.load(folder / "good")
    tensors = {name: a for name, a in (good.tensors | changes).items() if a is not None}
    artifact.save(folder / "bad", good.kind, good.meta, tensors)
    return folder / "bad"


class Contract:
    """The fixtures `name`, `data` and `model` come from the test file."""

    # --- answers --------------------------------------------------------------------------------

    @pytest.mark.parametrize("exclude_seen", [True, False])
    @pytest.mark.parametrize("k", [1, 7, 1000])
    def test_lists_are_brute_force(
        self, model: Recommender, data: tm.Interactions, k: int, exclude_seen: bool
    ) -> None:
        items = data.item_ids.values.to_list()
        users = data.user_ids.values.to_list()
        answer = model.recommend(users, k=k, exclude_seen=exclude_seen)
        metric = "metric space" in model.capabilities
        assert answer.columns == ["user", "item", "rank", "score", *["distance"] * metric]
        expected = []
        for user in users:
            liked = set(data.to_frame().filter(pl.col("user") == user)["item"])
            left = [item for item in items if not (exclude_seen and item in liked)]
            scores = model.score([(user, item) for item in left])
            best = np.argsort(-scores, kind="stable")[:k]
            expected += [
                (user, left[at], rank, scores[at], *[-scores[at]] * metric)
                for rank, at in enumerate(best.tolist(), start=1)
            ]
        assert answer.rows() == expected

    def test_allowed_and_denied_items(self, model: Recommender, data: tm.Interactions) -> None:
        users = [*data.user_ids.values[:9], "who"]
        items = data.item_ids.values
        allow, deny = [*items[3:30:2], "no item"], items[5:12].to_list()
        whole = model.recommend(users, k=1000, on_unknown="popular")
        forms: list[dict[str, Any]] = [
            {"allow": allow},
            {"deny": deny},
            {"deny": pl.Series(deny)},
            {"allow": allow, "deny": np.array(deny)},
            {"allow": []},
        ]
        for form in forms:
            kept = set(form.get("allow", items)) - set(form.get("deny", []))
            expected = lists(whole.filter(pl.col("item").is_in(list(kept))))
            for k in (2, 1000):
                answer = model.recommend(users, k, on_unknown="popular", **form)
                assert lists(answer) == {user: found[:k] for user, found in expected.items()}
            if "fold-in" in model.capabilities:
                placed = model.recommend_for(items[:3], k=1000)
                found = model.recommend_for(items[:3], k=5, **form)
                assert found["item"].to_list() == [one for one in placed["item"] if one in kept][:5]
        for wrong, said in (([7], "allow holds 7, and .* ids are str"), (items[0], "give \\['")):
            with pytest.raises(ParameterError, match=said):
                model.recommend(users[:1], allow=wrong)

    def test_approximate(self, model: Recommender, data: tm.Interactions) -> None:
        """Lists are as long, and of what they may hold; models without a space refuse."""
        users, items = data.user_ids.values, data.item_ids.values
        if "metric space" not in model.capabilities:
            with pytest.raises(Unsupported, match=r"no distance.*leave approximate out"):
                model.recommend(users, approximate=True)
            return
        pytest.importorskip("faiss")
        form: dict[str, Any] = {"k": 7, "allow": items[:30], "deny": items[:3]}
        exact, answer = (
            model.recommend(users, **form),
            model.recommend(users, **form, approximate=True),
        )
        assert answer.select("user", "rank").equals(exact.select("user", "rank"))
        assert set(answer["item"]) <= set(items[3:30])
        seen = data.to_frame().select("user", "item")
        assert answer.join(seen, on=["user", "item"]).is_empty()
        assert (answer["score"].to_numpy() == model.score(answer.select("user", "item"))).all()
        if "fold-in" in model.capabilities:
            placed = model.recommend_for(items[:3], **form, approximate=True)
            assert placed["rank"].to_list() == [1, 2, 3, 4, 5, 6, 7]
            assert set(placed["item"]) <= set(items[3:30])
        model.items[:] = model.items[::-1].copy()  # live views: an index of them is out of date
        fresh = model.recommend(users, **form, approximate=True)
        assert (fresh["score"].to_numpy() == model.score(fresh.select("user", "item"))).all()
        model.items[:] = model.items[::-1].copy()

    def test_held_out_ranks_agree_with_the_lists(
        self, model: Recommender, data: tm.Interactions
    ) -> None:
        pairs = np.indices((data.n_users, data.n_items)).reshape(2, -1)
        everything = Csr.from_pairs(*pairs, data.n_users)
        held = everything.keep(~model.seen.contains(everything))
        ranks = on_threads(1, lambda: model.scorer.ranks(held, model.seen))
        found = lists(model.recommend(data.user_ids.values, k=data.n_items))
        for row, user in enumerate(data.user_ids.values):
            mine = slice(held.indptr[row], held.indptr[row + 1])
            by_rank = held.items[mine][np.argsort(ranks[mine])]
            assert found[user] == data.item_ids.decode(by_rank).to_list()

    def test_ties_go_by_item_order(self, name: str, data: tm.Interactions) -> None:
        model = small(name).fit(data)
        for learned_array in model.tensors().values():
            learned_array[...] = 0  # live views: now all items score alike
        answer = model.recommend(data.user_ids.values[:4], k=5, exclude_seen=False)
        assert set(map(tuple, lists(answer).values())) == {tuple(data.item_ids.values[:5])}
        assert answer["score"].n_unique() <= 4

    def test_asking(self, model: Recommender, data: tm.Interactions) -> None:
        import pandas as pd

        ids = data.user_ids.values[[3, 0, 7]]
        answer = model.recommend(ids, k=4)
        assert answer["user"].unique(maintain_order=True).to_list() == ids.to_list()
        forms = (ids.to_list(), tuple(ids), iter(ids), ids.to_numpy(), pd.Series(ids.to_list()))
        for form in (*forms, np.array(ids.to_list())):
            assert model.recommend(form, k=4).equals(answer)
        alone = [model.recommend(one, k=4) for one in ids]
        assert pl.concat(alone).equals(answer)
        again = model.recommend([ids[0], ids[1], ids[0]], k=4)
        assert again.equals(pl.concat([alone[0], alone[1], alone[0]]))
        nothing = model.recommend([], k=4)
        assert (nothing.height, nothing.schema) == (0, answer.schema)
        assert len(model.score([])) == 0

    @pytest.mark.parametrize("threads", [1, 2, 3])
    def test_answers_do_not_depend_on_threads(
        self, model: Recommender, data: tm.Interactions, threads: int
    ) -> None:
        users = data.user_ids.values
        assert on_threads(threads, lambda: model.recommend(users)).equals(model.recommend(users))

    @pytest.mark.parametrize("side", ["item", "user"])
    def test_similar(self, model: Recommender, data: tm.Interactions, side: str) -> None:
        ids = data.item_ids.values if side == "item" else data.user_ids.values
        similar = model.similar_items if side == "item" else model.similar_users
        if f"similar {side}s" not in model.capabilities:
            with pytest.raises(Unsupported, match=f"no similar {side}s"):
                similar([ids[0]])
            return
        answer = similar(ids, k=5)
        assert answer.columns == [side, "similar", "rank", "score", "distance"]
        assert (answer["score"] == -answer["distance"]).all()
        points = (model.items if side == "item" else model.users).astype(np.float64)
        d2 = ((points[:, None] - points[None]) ** 2).sum(axis=2)
        np.fill_diagonal(d2, np.inf)
        assert answer["distance"].to_list() == pytest.approx(np.sort(d2)[:, :5].ravel(), rel=1e-5)
        assert answer["rank"].to_list() == [1, 2, 3, 4, 5] * len(ids)
        assert not (answer[side] == answer["similar"]).any()
        found = answer["similar"].to_numpy().reshape(len(ids), 5)
        exact = [ids.to_numpy()[np.argsort(row)[:5]] for row in d2]
        assert (found == exact).mean() > 0.99  # roundings may swap neighbours
        assert similar(ids[0], k=10**6).height == len(ids) - 1
        with pytest.raises(UnknownIds, match=f"1 unknown {side}: 'nobody'"):
            similar(["nobody", ids[0]])

    def test_a_prepared_copy_answers_alike(
        self, name: str, model: Recommender, data: tm.Interactions
    ) -> None:
        users, items = data.user_ids.values, data.item_ids.values
        before, ready = model.recommend(users), model.prepared()
        for _ in range(2):
            assert on_threads(2, lambda: ready.recommend(users)).equals(before)
            if "similar users" in model.capabilities:
                assert ready.similar_users(users).equals(model.similar_users(users))
            if "similar items" in model.capabilities:
                assert ready.similar_items(items).equals(model.similar_items(items))
            if "fold-in" in model.capabilities:
                given = items[:2].to_list()
                assert ready.recommend_for(given).equals(model.recommend_for(given))
        if name == "cml":  # training forgets what was laid out
            part = planted(n_users=50)
            again, fresh = copy(ready).fit(part), small(name).fit(part)
            assert again.recommend(users[:1]).equals(fresh.recommend(users[:1]))
            assert ready.recommend(users).equals(before)

    @pytest.mark.parametrize("k", [0, -1, 1.5, "3", None, True, 10**7])
    def test_bad_k(self, model: Recommender, data: tm.Interactions, k: Any) -> None:
        with pytest.raises(ParameterError, match="k must be a whole number in 1"):
            model.recommend([data.user_ids.values[0]], k=k)

    # --- ids ------------------------------------------------------------------------------------

    @pytest.mark.parametrize("kind", IDS)
    def test_ids_come_back_exactly(self, name: str, kind: str, tmp_path: Path) -> None:
        data = planted(kind)
        model = small(name).fit(data)
        users, items = data.user_ids.values, data.item_ids.values
        model.save(tmp_path)
        for one in (model, tm.load(tmp_path)):
            answer = one.recommend(users, k=50, exclude_seen=False)
            assert answer["user"].dtype == answer["item"].dtype == users.dtype
            assert answer["user"].unique(maintain_order=True).equals(users, check_names=False)
            for found in lists(answer).values():
                assert sorted(found) == sorted(items)
        other = [str(users[0]) if users.dtype == pl.Int64 else 7]
        with pytest.raises(UnknownIds):
            model.recommend(other)

    def test_unknown_users(self, model: Recommender, data: tm.Interactions) -> None:
        known = data.user_ids.values[:2].to_list()
        asked = [known[1], "who", known[0], "me", "who"]
        with pytest.raises(UnknownIds, match=r"3 unknown users: 'who', 'me', 'who'; .*popular"):
            model.recommend(asked)
        skipped = model.recommend(asked, k=3, on_unknown="skip")
        assert skipped.equals(model.recommend([known[1], known[0]], k=3))
        filled = model.recommend(asked, k=3, on_unknown="popular")
        assert filled.schema == skipped.schema
        assert filled["user"].to_list() == [user for user in asked for _ in range(3)]
        assert filled["rank"].to_list() == [1, 2, 3] * 5
        assert filled.filter(pl.col("user").is_in(known)).equals(skipped)
        strangers = filled.filter(~pl.col("user").is_in(known))
        assert strangers["score"].null_count() == len(strangers)
        popular = data.item_ids.decode(np.argsort(-np.bincount(data.items), kind="stable"))
        assert strangers["item"].to_list() == popular[:3].to_list() * 3
        assert model.recommend(["who"], on_unknown="skip").schema == skipped.schema
        assert model.recommend(["who"], k=10**6, on_unknown="popular").height == data.n_items
        with pytest.raises(UnknownIds, match="'who', 7; the model's user ids are str"):
            model.recommend(["who", 7], on_unknown="popular")
        with pytest.raises(ParameterError, match="error, popular or skip, got 'guess'"):
            model.recommend(known, on_unknown="guess")

    def test_scoring(self, model: Recommender, data: tm.Interactions) -> None:
        pairs = data.to_frame()[:9]
        scores = model.score(pairs.rows())
        assert scores.dtype == np.float32
        for form in (pairs, pairs.to_pandas(), pairs.to_numpy(), [list(p) for p in pairs.rows()]):
            assert (model.score(form) == scores).all()
        with pytest.raises(UnknownIds, match="1 unknown item: 'it'"):
            model.score([(data.user_ids.values[0], "it")])
        for bad in (["ab"], [("a",)], [("a", "b", "c")], [7], pairs.rename({"item": "movie"})):
            with pytest.raises(ParameterError, match="pairs"):
                model.score(bad)

    # --- data -----------------------------------------------------------------------------------

    def test_every_input_form_unchanged(self, name: str, tmp_path: Path) -> None:
        scipy_sparse = pytest.importorskip("scipy.sparse")
        pairs = tm.synthetic.planted(60, 40, dim=4, clusters=4, per_user=6, seed=1).interactions
        arrays = (pairs.users.astype(np.int64), pairs.items.astype(np.int64))
        frame = pl.DataFrame({"user": arrays[0], "item": arrays[1]})
        frame.write_csv(tmp_path / "pairs.csv")
        frame.write_parquet(tmp_path / "pairs.parquet")
        matrix = scipy_sparse.coo_matrix((np.ones(len(pairs)), arrays)).tocsr()
        forms = (arrays, frame, frame.to_pandas(), frame.to_arrow(), matrix)
        before = pickle.dumps(forms)
        expected = learned(small(name).fit(tm.Interactions.of(arrays)))
        for form in (*forms, tmp_path / "pairs.csv", str(tmp_path / "pairs.parquet")):
            assert learned(small(name).fit(form)) == expected
        shuffled = frame.sample(fraction=1, shuffle=True, seed=1)
        assert learned(small(name).fit(shuffled)) == expected
        assert pickle.dumps(forms) == before

    def test_no_data(self, name: str, data: tm.Interactions, tmp_path: Path) -> None:
        with pytest.raises(DataError):
            small(name).fit(data.take(np.zeros(len(data), dtype=bool)))
        with pytest.raises(DataError, match=r"nowhere\.csv"):
            small(name).fit(tmp_path / "nowhere.csv")

    def test_negatives_come_from_the_pool(self, name: str, data: tm.Interactions) -> None:
        """A pool of all items changes nothing that is learned in one go, and trains elsewhere."""
        everything = np.indices((data.n_users, data.n_items)).reshape(2, -1)
        pool = Csr.from_pairs(*everything, data.n_users)
        settings = {"cells": "sampled"} if "cells" in has(name) else {}
        model = small(name, **settings).fit(data, pool=pool)
        assert model.recommend(data.user_ids.values, k=3).height == 3 * data.n_users
        if not in_epochs(name):
            assert learned(model) == learned(small(name).fit(data))
            return
        one = Csr.from_pairs(pool.users, np.minimum(pool.items, 4), data.n_users)
        assert learned(small(name, **settings).fit(data, pool=one)) != learned(model)
        nothing = pool.keep(np.zeros(len(pool.items), dtype=bool))
        with pytest.raises(DataError, match="pool leaves no user a negative"):
            small(name, **settings).fit(data, pool=nothing)
        with pytest.raises(ParameterError, match="pool has 1 users"):
            small(name, **settings).fit(data, pool=Csr(pool.indptr[:2], pool.items))

    def test_monitored(self, name: str, data: tm.Interactions) -> None:
        asked: list[Recommender] = []

        def monitor(model: Recommender) -> float:
            asked.append(model)
            assert model.recommend([data.user_ids.values[0]], k=2).height == 2
            return -len(asked)

        model = small(name).fit(data, monitor=monitor)
        assert len(asked) == (SMALL["epochs"] if in_epochs(name) else 0)
        assert model.provenance["best_epoch"] == (1 if in_epochs(name) else 0)

    def test_space(self, model: Recommender, data: tm.Interactions) -> None:
        """Models declare a metric space or refuse an L2 index."""
        if "metric space" in model.capabilities:
            assert model.items.shape[0] == data.n_items
            assert model.users.shape[0] == data.n_users
            return
        for side in ("users", "items"):
            with pytest.raises(Unsupported, match="no distance between two points"):
                getattr(model, side)

    def test_newcomers(self, model: Recommender, data: tm.Interactions) -> None:
        """Models place new users, or refuse to."""
        items = data.item_ids.values[:3]
        if "fold-in" not in model.capabilities:
            with pytest.raises(Unsupported, match="new user without being trained again"):
                model.recommend_for(items)
            with pytest.raises(Unsupported, match="new user without being trained again"):
                model.explain_for(items, data.item_ids.values[5])
            return
        before = learned(model)
        answer = model.recommend_for(items, k=4)
        assert answer.columns == ["item", "rank", "score", "distance"]
        assert answer["rank"].to_list() == [1, 2, 3, 4]
        assert not set(answer["item"]) & set(items)
        assert answer["distance"].is_sorted()
        assert learned(model) == before

    def test_explanations(self, model: Recommender, data: tm.Interactions) -> None:
        """Models explain the list they give, or refuse to."""
        user = data.user_ids.values[0]
        found = model.recommend([user], k=3)
        if "metric space" not in model.capabilities:
            with pytest.raises(Unsupported, match="cannot say why"):
                model.explain(user, found["item"][0])
            return
        for _, item, rank, _, distance in found.rows():
            why = model.explain(user, item)
            assert (why.rank, np.float32(why.d2), why.seen) == (rank, np.float32(distance), False)

    def test_new_interactions(
        self, name: str, model: Recommender, data: tm.Interactions, tmp_path: Path
    ) -> None:
        """Models take in new users and items, or refuse to; those that do keep their promises."""
        users, items = data.user_ids.values, data.item_ids.values
        if "fold-in" not in model.capabilities:
            with pytest.raises(Unsupported, match="fit it anew"):
                model.partial_fit((users[:1], items[:1]))
            return
        newer = (
            small(name)
            .fit(data)
            .partial_fit((["a new one", *users[:2], "\x01"], [items[0], "zz", items[7], "zz"]))
        )
        assert {"a new one", "\x01"} < set(newer.user_ids.values)
        assert len(newer.item_ids) == len(items) + 1
        newer.save(tmp_path / "newer")
        again = tm.load(tmp_path / "newer")
        assert learned(again) == learned(newer)
        assert again.provenance["updates"][0]["users"] == 2
        answer = again.recommend(["a new one", "\x01"], k=50)
        assert answer.equals(newer.recommend(["a new one", "\x01"], k=50))
        assert items[0] not in lists(answer)["a new one"]

    def test_search_space(self, name: str) -> None:
        """What tuning may try, the model takes."""
        space = search_space(name)
        for setting, choice in space.items():
            values = choice["choices"] if isinstance(choice, dict) else choice[:2]
            for value in values:
                assert setting in has(name)
                assert tm.create(name, **{setting: value})

    # --- settings -------------------------------------------------------------------------------

    def test_settings(self, name: str) -> None:
        model = small(name)
        params = model.get_params()
        assert type(model)(**params).get_params() == params == model.get_params(deep=False)
        with pytest.raises(ParameterError) as told:
            tm.create(name, bogus=1)
        assert "'bogus'" in str(told.value)
        assert all(key in str(told.value) for key in params)
        with pytest.raises(ParameterError, match="bogus"):
            model.set_params(bogus=1)
        if "seed" in params:
            assert model.set_params(seed=9).get_params() == params | {"seed": 9}

    def test_set_params_does_not_break_a_trained_model(self, model: Recommender) -> None:
        with pytest.raises(Unsupported, match="is trained"):
            model.set_params(**model.get_params())

    def test_not_trained(self, name: str, tmp_path: Path) -> None:
        model = small(name)
        for ask in (
            lambda: model.recommend(["u"]),
            lambda: model.similar_items(["i"]),
            lambda: model.similar_users(["u"]),
            lambda: model.score([("u", "i")]),
            lambda: model.save(tmp_path / "model"),
        ):
            with pytest.raises(Unsupported, match="not trained; call fit first"):
                ask()
        assert "not trained" in repr(model)
        assert not (tmp_path / "model").exists()

    # --- saving ---------------------------------------------------------------------------------

    def test_saved_and_loaded(
        self, model: Recommender, data: tm.Interactions, tmp_path: Path
    ) -> None:
        model.save(tmp_path / "one")
        again = tm.load(tmp_path / "one")
        assert type(again) is type(model)
        assert again.get_params() == model.get_params()
        assert again.history == model.history
        users = data.user_ids.values
        assert again.recommend(users).equals(model.recommend(users))
        again.save(tmp_path / "two")
        one, two = (
            {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}
            for folder in ("one", "two")
        )
        assert one == two

    def test_wrong_artifacts(self, model: Recommender, tmp_path: Path) -> None:
        model.save(tmp_path / "good")
        for name, array in artifact.load(tmp_path / "good").tensors.items():
            more = np.concatenate([array, array[-1:]])
            other = array.astype(np.float64 if array.dtype != np.float64 else np.float32)
            for wrong in (None, more, array[:-1], array[None], other):
                with pytest.raises(ArtifactError, match="bad"):
                    tm.load(resaved(model, tmp_path, **{name: wrong}))
        with pytest.raises(ArtifactError, match="unexpected tensor 'extra'"):
            tm.load(resaved(model, tmp_path, extra=np.zeros(1)))
        for bad in (model.seen.items[::-1], model.seen.items + np.int32(10**6), -model.seen.items):
            with pytest.raises(ArtifactError, match="do not fit"):
                tm.load(resaved(model, tmp_path, seen_items=bad))
        good = artifact.load(tmp_path / "good")
        for change in ({"model": "oracle"}, {"model": ["sml"]}, {"params": {"bogus": 1}}):
            artifact.save(tmp_path / "bad", "model", good.meta | change, good.tensors)
            with pytest.raises(ArtifactError, match=r"oracle|sml|bogus"):
                tm.load(tmp_path / "bad")

    # --- reproducibility ------------------------------------------------------------------------

    def test_bits(self, name: str, model: Recommender, data: tm.Interactions) -> None:
        for threads in (1, 2, 3, None):
            assert learned(small(name).fit(data, threads=threads)) == learned(model)
        if "seed" in has(name):
            assert learned(small(name, seed=1).fit(data)) != learned(model)

    def test_fitting_again_starts_afresh(self, name: str, data: tm.Interactions) -> None:
        model = small(name).fit(planted("numeral"))
        assert learned(model.fit(data)) == learned(small(name).fit(data))

    def one_go(self, name: str, data: tm.Interactions, tmp_path: Path) -> None:
        """What has no epochs has nothing to resume: asked to, it trains anew to the same bits."""
        whole = small(name).fit(data, out=tmp_path)
        again = small(name).fit(data, out=tmp_path, resume=True)
        assert learned(again) == learned(whole) == learned(tm.load(tmp_path))

    def test_resume_needs_a_folder(self, name: str, data: tm.Interactions) -> None:
        with pytest.raises(ParameterError, match="resume needs out"):
            small(name).fit(data, resume=True)

    def test_resumed_after_ctrl_c(
        self, name: str, data: tm.Interactions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not in_epochs(name):
            self.one_go(name, data, tmp_path)
            return
        monkeypatch.setattr("trimetric.engine.threads.WORK_PER_STEP", 1)
        split = tm.split_per_user(data, test=0.2, valid=0.2)
        whole = small(name).fit(split.train, valid=split.valid)

        def interrupt(self: Silent, epoch: int, batch: int) -> None:
            if (epoch, batch) == (1, 2):
                signal.raise_signal(signal.SIGINT)

        model = small(name)
        with monkeypatch.context() as patch:
            patch.setattr(Silent, "batch", interrupt)
            with pytest.raises(Interrupted, match=r"in epoch 2; saved in .*--resume"):
                model.fit(split.train, valid=split.valid, out=tmp_path, progress=False)
        assert "not trained" in repr(model)
        model.fit(split.train, valid=split.valid, out=tmp_path, resume=True)
        assert learned(model) == learned(whole) == learned(tm.load(tmp_path))
        assert [path.suffix for path in sorted(tmp_path.iterdir())] == [".json", ".safetensors"]
