"""One rule on what is known, for splits, files, models and lists; labels that are true."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

import trimetric as tm
from trimetric.data.csr import Csr
from trimetric.errors import ParameterError
from trimetric.evaluation import FullRanking, evaluate, full_ranks, validator
from trimetric.models.batch import recommend_to_file


def log(seed=0, n_users=120, n_items=60, n=1500, late_items=0):
    """A log whose later part has users, and perhaps items, that the earlier has not."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, 1_000_000, n))
    grown = (times / 1_000_000 * n_users * 0.6 + n_users * 0.4).astype(int)
    users = rng.integers(0, grown)
    items = (rng.beta(0.7, 2, n) * n_items).astype(int)
    items[-late_items * 3 :] += n_items if late_items else 0
    first = {"user": users, "item": items, "timestamp": times}
    return tm.Interactions.from_frame(pl.DataFrame(first))


@pytest.mark.parametrize(("seed", "late_items"), [(0, 0), (1, 0), (2, 20), (3, 60)])
@pytest.mark.parametrize("kind", [tm.EASE, tm.ItemKNN, tm.Popularity])
def test_a_split_its_files_and_lists_have_the_same_figures(seed, late_items, kind, tmp_path):
    split = tm.split_temporal(log(seed, late_items=late_items), test=0.15, valid=0.1)
    model = kind().fit(split.train)
    whole = evaluate(model, split)
    assert whole.counts.unknown_users > 0
    assert (whole.counts.unknown_items > 0) == (late_items > 0)
    split.save(tmp_path / "parts")
    files = [
        tm.Interactions.read(tmp_path / f"parts/{part}.parquet")
        for part in ("train", "valid", "test")
    ]
    apart = kind().fit(files[0])
    parts = evaluate(apart, tm.Split(*files, {}))
    recommend_to_file(apart, tmp_path / "lists.parquet", k=20, progress=False)
    lists = evaluate(tmp_path / "lists.parquet", split, FullRanking(at=(5,)))
    again = evaluate(
        tmp_path / "lists.parquet", tm.Split.load(tmp_path / "parts"), FullRanking(at=(5,))
    )
    assert lists.metrics == again.metrics
    for name in ("ndcg@5", "hit_rate@5", "recall@5", "precision@5", "map@5", "micro_recall@5"):
        assert whole[name] == parts[name] == lists[name], name
    for found in (parts, lists):
        assert found.counts == whole.counts
    assert whole.metrics == parts.metrics  # of the whole ranking too
    for found in (parts, lists, again):
        assert (whole.ranks.n_candidates == found.ranks.n_candidates).all()


def test_lists_with_items_of_held_out_parts_alone_have_the_same_figures_by_a_split_and_its_files():
    """Such an item keeps its place, where a list has it twice, or the user in valid, too."""
    parts = ([(1, 10), (1, 11), (2, 12)], [(1, 50), (2, 10)], [(1, 12), (2, 11), (2, 60)])
    frames = [
        pl.DataFrame(part, {"user": pl.Int64, "item": pl.Int64}, orient="row") for part in parts
    ]
    whole = tm.Split.of(*frames)
    apart = tm.Split(*map(tm.Interactions.from_frame, frames), {})
    assert apart.train.n_items < whole.train.n_items
    lists = tm.RankedLists.from_dict({1: [50, 12], 2: [60, 60, 10, 11]})
    found = [evaluate(lists, split, FullRanking(at=(1, 2, 3))) for split in (whole, apart)]
    for one in found:
        assert (one["hit_rate@1"], one["mrr@2"], one["mrr@3"]) == (0, 0.25, (1 / 2 + 1 / 3) / 2)
        assert (one.lists["unknown_items"], one.lists["seen"], one.lists["repeats"]) == (3, 1, 0)
    assert found[0].metrics == found[1].metrics
    assert found[0].counts == found[1].counts


def test_sampled_candidates_of_a_split_and_of_its_files_are_the_same(tmp_path):
    split = tm.split_temporal(log(2, late_items=20), test=0.15, valid=0.1)
    split.save(tmp_path)
    train, valid, test = (
        tm.Interactions.read(tmp_path / f"{part}.parquet") for part in ("train", "valid", "test")
    )
    # Draws go by the rows of users, which are to be the same here and there.
    train, _ = train.align(split.train.user_ids, train.item_ids)
    whole = evaluate(tm.EASE().fit(split.train), split, "sampled-9")
    apart = evaluate(tm.EASE().fit(train), tm.Split(train, valid, test, {}), "sampled-9")
    assert whole.counts.unknown_items == apart.counts.unknown_items > 0
    assert whole.metrics == apart.metrics


@pytest.mark.parametrize("name", ["sampled-30", "as-released"])
def test_what_a_user_has_in_a_held_out_part_is_no_candidate_though_it_cannot_count(name):
    """The item of the test part that training does not have, and which is left out of the test."""
    held, left_out = [(0, 0), (1, 2)], [(0, 8), (0, 9), (1, 7)]
    pairs = [(user, item) for user in range(4) for item in range(user, 6) if user != item]
    pairs = [pair for pair in [*pairs, (2, 0), (3, 2)] if pair not in held]
    schema = {"user": pl.Int64, "item": pl.Int64}
    split = tm.Split.of(
        pl.DataFrame(pairs, schema, orient="row"),
        None,
        pl.DataFrame(held + left_out, schema, orient="row"),
    )
    asked = []

    class Watched:
        n_users, n_items = split.train.n_users, split.train.n_items

        def score(self, users, items):
            asked.extend(zip(users.tolist(), split.train.item_ids[items], strict=True))
            return -items.astype(np.float32)

        def ranks(self, held, exclude):
            raise NotImplementedError

    found = evaluate(Watched(), split, name)
    assert found.counts.dropped_unknown == len(left_out)
    assert set(held) < set(asked)
    assert not set(left_out) & set(asked)


def test_items_without_training_interactions_are_no_candidates(monkeypatch):
    """Whatever a model thinks of them, and however few users are ranked at a time."""
    split = tm.split_temporal(log(2, late_items=20), test=0.15, valid=0.1)
    unlearned = np.setdiff1d(np.arange(split.train.n_items), split.train.items)
    assert len(unlearned) > 5
    model = tm.BPR(dim=8, epochs=5).fit(split.train)
    before = evaluate(model, split)
    watch = validator(split.valid, split.train, "map")
    at_epochs = watch(model.scorer)
    model.item_factors[unlearned] *= 100  # live views: all of them far up or far down
    moved = evaluate(model, split)
    assert moved.metrics == before.metrics
    assert watch(model.scorer) == at_epochs
    assert (before.ranks.n_candidates <= split.train.n_items - len(unlearned)).all()
    assert evaluate(model, split, "dpcml").metrics != before.metrics
    for size in (1, 50, 10**6):
        monkeypatch.setattr(full_ranks, "ENTRIES_AT_ONCE", size)
        again = evaluate(model, split)
        assert again.metrics == before.metrics
        assert (again.ranks.ranks == before.ranks.ranks).all()


def test_compare_has_the_same_rule(tmp_path):
    from trimetric.experiments.jobs import Job, execute

    split = tm.split_temporal(log(), test=0.15, valid=0.1)
    found = execute(Job("s", "ease", per_user=("ndcg@10",)), split)
    own = evaluate(tm.EASE().fit(split.train, split.valid), split)
    assert found["metrics"]["full"] == own.metrics
    assert len(found["per_user"]["ndcg@10"]) == own.counts.users


def test_dpcml_counts_items_without_training_interactions_and_says_so():
    split = tm.split_temporal(log(2, late_items=20), test=0.15, valid=0.1)
    model = tm.EASE().fit(split.train)
    found = evaluate(model, split, "dpcml")
    assert found.counts.cold_items > 0
    assert any("without training interactions" in line for line in found.counts.lines())
    assert found.counts.held_out > evaluate(model, split).counts.held_out
    assert found.protocol.name == "dpcml"


@pytest.mark.parametrize("late_items", [0, 100])
def test_validation_while_training_has_the_same_rule(late_items):
    split = tm.split_temporal(log(late_items=late_items), test=0.15, valid=0.15)
    model = tm.EASE().fit(split.train)
    strangers = ~np.isin(split.valid.users, split.train.users)
    assert strangers.any()
    whole = validator(split.valid, split.train)(model.scorer)
    assert whole == validator(split.valid.take(~strangers), split.train)(model.scorer)
    assert whole == evaluate(model, split, part="valid")["ndcg@10"]


# --- labels ---------------------------------------------------------------------------------------


def ways_to_keep(model, split, folder):
    """The same model as it is met: trained, saved, in parts, updated, with a user forgotten."""
    from trimetric.models import open_model

    yield model
    model.save(folder / "m")
    yield tm.load(folder / "m")
    model.save(folder / "parts", partitions=3)
    yield tm.load(folder / "parts")
    yield open_model(folder / "parts")
    updated = tm.load(folder / "m")
    updated.partial_fit(tm.Interactions.from_arrays([0], [10_000]), epochs=0)
    yield updated
    forgetful = tm.load(folder / "m")
    forgetful.forget(users=split.test.user_ids.values[-1])
    yield forgetful


@pytest.mark.parametrize("protocol", [FullRanking(), FullRanking(exclude="train"), "sampled-9"])
def test_the_label_says_what_was_among_the_candidates(protocol, tmp_path):
    split = tm.split_per_user(log(), seed=1)
    trained = tm.SML(epochs=2, dim=8).fit(split.train, split.valid)
    rows = {name: Csr.of(getattr(split, name)) for name in ("train", "valid", "test")}
    met = 0
    for model in ways_to_keep(trained, split, tmp_path):
        found = evaluate(model, split.test, protocol)
        users = split.test.user_ids.encode(found.user_ids)
        whole = evaluate(model, split, protocol)
        assert found.metrics == whole.metrics
        assert found.protocol.describe() == whole.protocol.describe()
        assert not found.notes
        label, n = found.protocol.describe(), found.ranks.n_candidates
        n_items = len(model.item_ids) if hasattr(model, "item_ids") else split.train.n_items
        excluded = rows["train"].counts[users]
        if "train and valid" in label:
            excluded = excluded + rows["valid"].counts[users]
        if "sampled" in label:
            untouched = n_items - excluded - rows["valid"].counts[users] - found.ranks.held
            assert (n == found.ranks.held + np.minimum(9, untouched)).all()
        else:
            learned = len(np.unique(split.train.items))
            updated = 10_000 in model.item_ids.values  # by user 0, for whom it is no candidate
            learned = learned + (found.user_ids.to_numpy() != 0) * updated
            assert (n == learned - excluded).all()
        met += 1
    assert met == 6


@pytest.mark.parametrize("protocol", [None, "dpcml", "sampled-9"])
def test_what_chose_a_model_is_no_test_of_it(protocol, tmp_path):
    split = tm.split_per_user(log(), seed=1)
    whole = log()
    for kind in (tm.SML, tm.EASE):
        settings = {"epochs": 2, "dim": 8} if kind is tm.SML else {}
        trained = kind(**settings).fit(split.train, split.valid)
        trained.save(tmp_path / kind.__name__)
        for model in (trained, tm.load(tmp_path / kind.__name__)):
            found = evaluate(model, whole, protocol)
            expected = evaluate(model, split, protocol).metrics
            assert found.metrics == pytest.approx(expected, abs=0, nan_ok=True)
            assert found.counts.dropped_valid == len(split.valid)
            said = f"left out {len(split.valid):,} interactions that the model was validated on"
            assert said in str(found)
            own = evaluate(model, split.valid, protocol)
            assert own.part == "valid"
            assert any("chose it" in note for note in own.notes)
            expected = evaluate(model, split, protocol, part="valid").metrics
            assert own.metrics == pytest.approx(expected, abs=0, nan_ok=True)
            repeats = evaluate(model, whole, exclude_seen=False)
            assert any("chose the model" in note for note in repeats.notes)


def test_a_model_that_does_not_know_its_validation_data_says_so():
    split = tm.split_per_user(log(), seed=1)
    model = tm.SML(epochs=2, dim=8).fit(split.train, split.valid)
    state = model._fitted
    model._fitted = replace(state, known=replace(state.known, validated=None))  # as 0.2 saved it
    apart = evaluate(model, split.test)
    assert apart.protocol.describe().endswith("all items but those of train")
    assert apart.metrics == evaluate(model, split, FullRanking(exclude="train")).metrics
    [note] = apart.notes
    assert f"{len(split.valid):,} interactions that the model was validated on" in note
    sampled = evaluate(model, split.test, "sampled-9")
    assert any("may be among the candidates" in note for note in sampled.notes)


def test_labels_of_models_with_validation_items_seen_and_without_validation():
    split = tm.split_per_user(log(), seed=1)
    whole = evaluate(tm.SML(epochs=2, dim=8).fit(split.train, split.valid), split)
    marked = tm.SML(epochs=2, dim=8).fit(split.train, split.valid, also_seen=split.valid)
    seen = evaluate(marked, split.test)
    assert seen.protocol.describe().endswith("all items but those of train and valid")
    assert seen.metrics == whole.metrics
    assert not seen.notes
    plain = tm.SML(epochs=2, dim=8).fit(split.train)
    found = evaluate(plain, split.test)
    assert not found.notes
    assert found.protocol.describe().endswith("but those of train")
    assert evaluate(plain, split, part="valid").protocol.describe().endswith("but those of train")


# --- repeat consumption ---------------------------------------------------------------------------


def test_repeats_count_if_asked_for():
    train = tm.Interactions.from_arrays([1, 1, 2, 2, 3], [10, 11, 10, 12, 13])
    held = tm.Interactions.from_arrays([1, 2, 3], [10, 11, 13])
    model = tm.Popularity().fit(train)  # 10 stands first, then 11, 12 and 13
    new = evaluate(model, held, FullRanking(at=(1,)))
    assert (new.counts.users, new.counts.dropped_seen) == (1, 2)
    every = evaluate(model, held, FullRanking(at=(1, 2, 4)), exclude_seen=False)
    assert (every.counts.users, every.counts.dropped_seen) == (3, 0)
    assert every.values("mrr").tolist() == [1, 1 / 2, 1 / 4]
    assert every.ranks.n_candidates.tolist() == [4, 4, 4]
    assert "those that the user had before too" in every.protocol.describe()
    named = evaluate(model, held, FullRanking(at=(1, 2, 4), exclude="none"))
    assert named.metrics == every.metrics
    for name in ("sampled-9", "as-released"):
        with pytest.raises(ParameterError, match="goes with full rankings"):
            evaluate(model, held, name, exclude_seen=False)


def test_repeats_rank_as_a_plain_loop_says():
    split = tm.split_per_user(log(), seed=1)
    model = tm.SML(epochs=2, dim=8).fit(split.train)
    found = evaluate(model, split, exclude_seen=False)
    user = int(found.users[7])
    held = split.test.items[split.test.users == user]
    items = np.arange(model.scorer.n_items, dtype=np.int32)
    scores = model.scorer.score(np.full_like(items, user), items)
    order = np.argsort(-scores, kind="stable")
    order = order[np.isin(order, split.train.items)]  # others are no candidates
    own = found.ranks.ranks[found.ranks.indptr[7] : found.ranks.indptr[8]]
    assert sorted(own) == sorted(1 + np.flatnonzero(np.isin(order, held)))
