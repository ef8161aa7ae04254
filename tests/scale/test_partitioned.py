"""Training in parts: pure buckets, and the same bits however they run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import trimetric as tm
from trimetric import training
from trimetric.data.ids import Vocabulary
from trimetric.engine.threads import ThreadTeam
from trimetric.errors import CheckpointMismatch, ParameterError, Unsupported
from trimetric.models.triplet import engine_settings
from trimetric.scale.buckets import Place, bucket, item_parts, places
from trimetric.scale.division import Division
from trimetric.scale.hashing import ITEMS, USERS, part_of
from trimetric.scale.learner import LocalLearner
from trimetric.scale.memory import MemoryStore
from trimetric.scale.parts import CHUNKS
from trimetric.scale.trainer import Room, Trained
from trimetric.scale.triplets import TripletTrainer

QUICK = {"dim": 8, "epochs": 3, "temperature": 0.3, "validate_every": 2}

CENTROID = {"dim": 8, "epochs": 3, "temperature": 0.3, "kappa": 1.0, "reconstruction": 0.0}
CENTROID |= {"validate_every": 2, "reconstruction_dim": 8, "reconstruction_epochs": 2}


@pytest.fixture(scope="module")
def data() -> tm.Interactions:
    return tm.synthetic.planted(n_users=160, n_items=90, per_user=14).interactions


def bits(model: tm.SML) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in model.tensors().items()}


def learner(data: tm.Interactions, n_parts: int = 3) -> LocalLearner:
    config = tm.SML(**QUICK, variant="all").config
    parts = Division(data, n_parts)
    trainer = TripletTrainer(engine_settings(config, 90, 0.3), 90, n_parts)
    return LocalLearner(parts, trainer, MemoryStore(parts, trainer))


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, unique=True), st.integers(1, 50))
def test_the_part_of_a_number_depends_on_it_alone(numbers: list[int], n_parts: int) -> None:
    ids = Vocabulary.from_values(pl.Series(numbers, dtype=pl.Int64))
    parts = part_of(ids, n_parts, USERS)
    assert ((parts >= 0) & (parts < n_parts)).all()
    for number, part in zip(ids, parts, strict=True):
        assert part_of(Vocabulary(pl.Series([number])), n_parts, USERS) == [part]


def test_the_part_of_a_text_is_that_of_its_bytes() -> None:
    def by_hand(text: str) -> int:
        state = 0xCBF29CE484222325
        for byte in text.encode():
            state = (state ^ byte) * 0x100000001B3 % 2**64
        return state

    texts = sorted(["", "a", "ä", "user-0007", "名前"], key=str.encode)
    numbers = Vocabulary.from_values(pl.Series([by_hand(t) - (2**64 if by_hand(t) >= 2**63 else 0)
                                                for t in texts]))  # fmt: skip
    expected = dict(zip(numbers, part_of(numbers, 1000, ITEMS), strict=True))
    for text, part in zip(texts, part_of(Vocabulary(pl.Series(texts)), 1000, ITEMS), strict=True):
        number = by_hand(text)
        assert part == expected[number - (2**64 if number >= 2**63 else 0)]


def test_parts_are_of_even_sizes_and_users_do_not_go_with_items() -> None:
    ids = Vocabulary(pl.Series(np.arange(20_000)))
    users, items = part_of(ids, 8, USERS), part_of(ids, 8, ITEMS)
    assert abs(np.bincount(users) - 2500).max() < 250
    assert abs((users == items).mean() - 1 / 8) < 0.02


@pytest.mark.parametrize("n_parts", [2, 3, 7])
def test_buckets_hold_every_pair_once(data: tm.Interactions, n_parts: int) -> None:
    parts, groups = Division(data, n_parts), set()
    users = np.split(parts.user_order, np.cumsum(parts.user_counts)[:-1])
    items = np.split(parts.item_order, np.cumsum(parts.item_counts)[:-1])
    for epoch in range(3):
        chunks, seen = item_parts(0, epoch, n_parts), []
        assert chunks.shape == (n_parts, CHUNKS)
        assert sorted(chunks.ravel()) == list(range(n_parts * CHUNKS))
        groups.add(chunks.tobytes())
        order = places(0, epoch, n_parts)
        assert len(set(order)) == n_parts**2
        for _, i, j in order:
            pairs = bucket(parts, i, chunks[j])
            rows = np.concatenate([items[chunk] for chunk in chunks[j]])
            assert (np.diff(pairs.users.astype(np.int64) << 32 | pairs.items) > 0).all()
            assert (np.repeat(np.arange(len(users[i])), np.diff(pairs.indptr)) == pairs.users).all()
            seen += zip(users[i][pairs.users].tolist(), rows[pairs.items].tolist(), strict=True)
        assert sorted(seen) == list(zip(data.users.tolist(), data.items.tolist(), strict=True))
    assert len(groups) == 3, "chunks are grouped anew every epoch"


def test_one_part_is_training_as_ever(data: tm.Interactions) -> None:
    assert bits(tm.SML(**QUICK).fit(data)) == bits(tm.SML(**QUICK).fit(data, partitions=1))


@pytest.mark.parametrize("settings", [{}, {"kappa": 0.0}, {"own": 0.0}, {"reconstruction": 0.5}])
def test_bits_of_centroids_do_not_depend_on_threads(data: tm.Interactions, settings: dict) -> None:
    settings = CENTROID | settings
    found = [bits(tm.CentroidML(**settings).fit(data, partitions=3, threads=n)) for n in (1, 2, 3)]
    assert found[0] == found[1] == found[2]
    assert found[0] != bits(tm.CentroidML(**settings).fit(data, partitions=4))


@pytest.mark.parametrize("kind", [tm.SML, tm.CML])
@pytest.mark.parametrize("optimizer", ["rowwise-adagrad", "adagrad", "adam"])
def test_bits_do_not_depend_on_threads(data: tm.Interactions, kind: type, optimizer: str) -> None:
    settings = QUICK | {"optimizer": optimizer}
    settings |= {"temperature": 0.0} if kind is tm.CML else {}
    found = [bits(kind(**settings).fit(data, partitions=3, threads=n)) for n in (1, 2, 3)]
    assert found[0] == found[1] == found[2]
    assert found[0] != bits(kind(**settings).fit(data, partitions=4))
    assert found[0] != bits(kind(**settings, seed=1).fit(data, partitions=3))


def test_any_order_in_which_a_bucket_follows_what_it_needs_gives_the_same_bits(
    data: tm.Interactions,
) -> None:
    ours, theirs = learner(data), learner(data)
    with ThreadTeam(1) as team:
        assert ours.run(0, 0, team, lambda batch: False) == ours.n_batches == 9
        order, chunks, store = places(0, 0, 3), item_parts(0, 0, 3), theirs.store
        for number in (0, 1, 3, 4, 2, 6, 5, 7, 8):  # as they may run on three workers
            place = order[number]
            trained = theirs.trainer.train(
                place,
                store.get_users(place.user_part),
                store.get_items(chunks[place.item_part]),
                bucket(theirs.parts, place.user_part, chunks[place.item_part]),
                team,
                lambda _: False,
                Room(),
            )
            assert trained is not None
            store.put_users(place.user_part, trained.users)
            store.put_items(chunks[place.item_part], trained.items)
    for name in ("users", "items"):
        assert ours.arrays[name].tobytes() == theirs.arrays[name].tobytes(), name


def test_a_bucket_that_is_interrupted_changes_nothing(
    data: tm.Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trimetric.engine.threads.WORK_PER_STEP", 1)  # looks up in its midst
    ours, theirs = learner(data), learner(data)
    for one in (ours, theirs):
        one.trainer.settings = replace(one.trainer.settings, batch_size=8)
    with ThreadTeam(1) as team:
        assert ours.run(0, 0, team, lambda bucket: bucket == 2) == 2
        looks = iter([False, True])
        assert theirs.run(0, 0, team, lambda bucket: bucket == 2 and next(looks)) == 2
    for name, array in ours.arrays.items():
        assert (array == theirs.arrays[name]).all(), name


def test_resumed_in_the_midst_of_an_epoch(
    data: tm.Interactions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = tm.split_random(data, test=0.2, seed=0)
    whole = tm.SML(**QUICK).fit(split.train, split.test, partitions=3)
    run, calls = TripletTrainer.train, []

    def killed(self: TripletTrainer, place: Place, *arguments: object) -> Trained | None:
        calls.append(place)
        if len(calls) == 14:
            raise KeyboardInterrupt
        return run(self, place, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(TripletTrainer, "train", killed)
    options = {"partitions": 3, "out": tmp_path / "m", "checkpoint_seconds": 0}
    with pytest.raises(KeyboardInterrupt):
        tm.SML(**QUICK).fit(split.train, split.test, **options)
    monkeypatch.setattr(TripletTrainer, "train", run)
    with pytest.raises(CheckpointMismatch, match="partitions was 3, is 4"):
        tm.SML(**QUICK).fit(split.train, split.test, **options | {"partitions": 4}, resume=True)
    again = tm.SML(**QUICK).fit(split.train, split.test, **options, resume=True)
    assert bits(again) == bits(whole)
    assert again.history[-1]["loss"] == whole.history[-1]["loss"]
    assert tm.load(tmp_path / "m").provenance["partitions"] == 3


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("sml", {"dim": 16, "epochs": 12, "temperature": 0.3, "lr": 0.3}),
        ("centroid", CENTROID | {"dim": 16, "epochs": 8}),
    ],
)
def test_quality_is_that_of_training_whole(name: str, settings: dict) -> None:
    split = tm.split_per_user(tm.synthetic.planted().interactions, test=0.2, seed=0)
    found = [
        tm.evaluate(tm.create(name, **settings).fit(split.train, partitions=p), split)["ndcg@10"]
        for p in (1, 4)
    ]
    assert found[1] > 0.95 * found[0]


@pytest.mark.parametrize(
    ("partitions", "told"),
    [
        (0, "a whole number from 1 on"),
        (-1, "a whole number from 1 on"),
        (2.5, "a whole number from 1 on"),
        (True, "a whole number from 1 on"),
        ("2", "a whole number from 1 on"),
        (91, r"at most the number of users \(160\) and of items \(90\), got 91"),
    ],
)
def test_impossible_numbers_are_refused(
    data: tm.Interactions, partitions: object, told: str
) -> None:
    with pytest.raises(ParameterError, match=told):
        tm.SML(**QUICK).fit(data, partitions=partitions)


@pytest.mark.parametrize("name", ["ease", "bpr", "ncf", "popularity"])
def test_models_that_cannot_say_so(data: tm.Interactions, name: str) -> None:
    with pytest.raises(Unsupported, match=f"{name} cannot be trained in parts; centroid, sml"):
        tm.create(name).fit(data, partitions=2)


def test_what_does_not_go_with_parts(data: tm.Interactions) -> None:
    others = tm.Interactions((data.user_ids[data.users], data.item_ids[data.items[::-1]]))
    with pytest.raises(Unsupported, match="with a pool of negatives"):
        tm.SML(**QUICK).fit(data, pool=others, partitions=2)
    other = tm.SML(**QUICK).fit(data)
    with pytest.raises(Unsupported, match="from the points of another model"):
        tm.SML(**QUICK).fit(data, start=other, partitions=2)


@pytest.mark.parametrize("name", ["sml", "cml"])
def test_equal_weights_are_as_none(data: tm.Interactions, name: str) -> None:
    weighted = data.changed(weights=np.full(len(data), 2, dtype=np.float32))
    settings = QUICK if name == "sml" else QUICK | {"temperature": 0.0}
    with_weights, without = (
        tm.create(name, **settings).fit(some, partitions=3).tensors() for some in (weighted, data)
    )
    for tensor, values in without.items():
        np.testing.assert_array_equal(with_weights[tensor], values)


def test_triplets_of_a_bucket_are_in_proportion_to_its_weight(data: tm.Interactions) -> None:
    weights = (1 + data.users % 7).astype(np.float32)
    weighted = data.changed(weights=weights)
    parts, unit = Division(weighted, 3), float(weights.mean(dtype=np.float64))
    settings = engine_settings(tm.SML(**QUICK).config, data.n_items, 0.2)
    trainer, expected, counts = TripletTrainer(settings, data.n_items, 3, unit), [], []
    learner = LocalLearner(parts, trainer, MemoryStore(parts, trainer))
    with ThreadTeam(1) as team:
        for number, place in enumerate(places(settings.seed, 0, 3)):
            before = learner.store.totals[3] if number else 0.0
            chunks = item_parts(settings.seed, 0, 3)[place.item_part]
            pairs = bucket(parts, place.user_part, chunks)
            learner.run(0, number, team, lambda at, number=number: at > number)
            counts.append(learner.store.totals[3] - before)
            expected.append(pairs.weights.sum() / unit)
    np.testing.assert_allclose(counts, expected, atol=1.0001)
    assert abs(sum(counts) - len(data)) < 9
    assert np.ptp([c / e for c, e in zip(counts, expected, strict=True)]) < 0.2


def test_empty_parts_and_buckets_are_no_harm() -> None:
    pairs = ["a", "b", "c", "d", "e"] * 3, ["u", "v", "w", "x", "y"] + ["z"] * 5 + list("vwxyu")
    model = tm.SML(**QUICK).fit(tm.Interactions(pairs), partitions=5)
    assert np.isfinite(model.user_embeddings).all()
    assert isinstance(model._plan(), training.Plan)
