"""Tables of scores whose users are in four parts, one of them empty, against the whole table."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import polars as pl
import pytest
from dense import DenseRanker

import trimetric as tm
from trimetric.data import Vocabulary
from trimetric.data.csr import Csr
from trimetric.errors import DataError
from trimetric.evaluation import FullRanking, SampledCandidates, evaluate
from trimetric.evaluation.divided import DividedRanker, is_divided, ranks_by_part, subject_of
from trimetric.evaluation.preparation import Parts, prepare
from trimetric.evaluation.subject import Subject

N_USERS, N_ITEMS = 23, 12
PART_OF = np.random.default_rng(3).choice([0, 1, 3], N_USERS)


class Table(DenseRanker):
    """What a model of some users knows."""

    def __init__(self, ids: Any, item_ids: Any, seen: Csr, scores: np.ndarray) -> None:
        self.user_ids, self.item_ids, self.seen = ids, item_ids, seen
        self.scores, self.n_items, self.scorer = scores, len(item_ids), self
        self.validated: Csr | None = None
        self.provenance: dict[str, Any] = {}

    def folded_in(self, lists: Csr, weights: Any) -> "Table":
        """New users like the first items, and each what comes after it."""
        scores = -np.tile(np.arange(self.n_items), (lists.n_users, 1))
        return Table(None, self.item_ids, lists, scores)


class Divided:
    """The same in parts; it notes which of them it was asked for."""

    kind, n_parts = Table, 4

    def __init__(self, whole: Table) -> None:
        self.whole, self.asked = whole, list[int]()
        self.item_ids, self.provenance = whole.item_ids, whole.provenance
        self.n_interactions = len(whole.seen.items)

    @property
    def item_popularity(self) -> np.ndarray:
        return np.bincount(self.whole.seen.items, minlength=N_ITEMS)

    def part_of(self, user: Any) -> int: ...

    def part(self, part: int) -> Table:
        self.asked.append(part)
        rows, whole = np.flatnonzero(np.equal(PART_OF, part)), self.whole
        ids = Vocabulary(whole.user_ids.values.gather(rows))
        found = Table(ids, whole.item_ids, whole.seen.take(rows), whole.scores[rows])
        found.validated = None if whole.validated is None else whole.validated.take(rows)
        return found

    @contextmanager
    def over_parts(self, ray: str | None = None) -> Iterator[Callable[..., Iterator[Any]]]:
        assert ray is None
        yield lambda function, tasks, *shared: (
            function(self.part(part), *shared, *given) for part, *given in tasks
        )


def log(as_text: bool = False) -> tm.Interactions:
    rng = np.random.default_rng(0)
    shares = rng.uniform(0.4, 0.8, (N_USERS, 1))
    users, items = np.nonzero(rng.random((N_USERS, N_ITEMS)) < shares)
    if as_text:
        return tm.Interactions.from_arrays([f"u{u:02}" for u in users], [f"i{i:02}" for i in items])
    return tm.Interactions.from_arrays(users * 3 + 100, items + 7000)


def models(train: tm.Interactions) -> tuple[Table, Divided]:
    scores = np.random.default_rng(1).integers(0, 6, (N_USERS, N_ITEMS))  # with ties
    whole = Table(train.user_ids, train.item_ids, Csr.of(train), scores.astype(np.float32))
    return whole, Divided(whole)


SPLIT = tm.split_per_user(log(), test=0.3, valid=0.2, seed=1)


def same(whole: Table, parts: Divided, data: Any, *options: Any, **more: Any) -> Any:
    one, other = (evaluate(which, data, *options, **more) for which in (whole, parts))
    assert one.to_dict() == other.to_dict()
    assert one.per_user().equals(other.per_user(), null_equal=True)
    np.testing.assert_array_equal(one.ranks.ranks, other.ranks.ranks)
    np.testing.assert_array_equal(one.ranks.indptr, other.ranks.indptr)
    return other


def test_what_is_a_model_in_parts() -> None:
    whole, parts = models(SPLIT.train)
    assert is_divided(parts)
    assert not is_divided(whole)
    names = ("part", "part_of", "item_popularity")
    for missing in names:
        kind = type("Some", (), dict.fromkeys(set(names) - {missing}))
        assert not is_divided(kind())
        setattr(kind, missing, None)
        assert is_divided(kind())


@pytest.mark.parametrize(
    "protocol",
    ["full", "dpcml", "sampled-3", "sampled-99", FullRanking(exclude="none", at=(1, 4))],
)
@pytest.mark.parametrize("as_text", [False, True])
def test_figures_are_those_of_the_whole(protocol: Any, as_text: bool) -> None:
    split = tm.split_per_user(log(as_text), test=0.3, valid=0.2, seed=1)
    whole, parts = models(split.train)
    for data in (split, split.test):
        found = same(whole, parts, data, protocol)
        assert found.counts.users > 15
    same(whole, parts, split, protocol, part="valid")


def test_few_users_are_those_of_the_whole() -> None:
    """Draws of candidates are named by the rows of the whole, and parts without them not asked."""
    whole, parts = models(SPLIT.train)
    for wanted in ([0], [22], [4, 5, 6, 7], np.flatnonzero(PART_OF == 1), [0, 22]):
        held = SPLIT.test.take(np.isin(SPLIT.test.users, wanted)).compact()
        for protocol in (SampledCandidates(4, seed=5), "full"):
            found = same(whole, parts, held, protocol)
            everyone = evaluate(whole, SPLIT.test, protocol).per_user()
            mine = everyone.filter(everyone["user"].is_in(found.user_ids.to_list()))
            assert mine.equals(found.per_user(), null_equal=True)
    parts.asked.clear()
    one = SPLIT.test.take(SPLIT.test.users == 4)
    evaluate(parts, one)
    assert parts.asked == [0, 1, 2, 3, PART_OF[4]]  # to look for users, and to rank


def test_users_and_items_that_nobody_knows() -> None:
    whole, parts = models(SPLIT.train)
    rows = SPLIT.test.to_frame().select("user", "item").rows()
    rows += [(1, 7000), (101, 7001), (999, 7001), (100, 1), (103, 9999)]
    found = same(whole, parts, tm.Interactions.from_arrays(*zip(*rows, strict=True)), "sampled-3")
    assert (found.counts.unknown_users, found.counts.unknown_items) == (3, 2)
    few = SPLIT.train.take(SPLIT.train.users % 4 > 0)  # others have rows, and nothing learned
    found = same(*models(few), SPLIT, "sampled-3")
    assert found.counts.unknown_users == 6
    for users in ([1, 101], ["100", "103"]):
        strangers = tm.Interactions.from_arrays(users, [7000, 7001])
        said = []
        for which in (whole, parts):
            with pytest.raises(DataError) as error:
                evaluate(which, strangers)
            said.append(str(error.value))
        assert said[0] == said[1]


@pytest.mark.parametrize("protocol", ["full", "sampled-3"])
def test_what_models_were_validated_on(protocol: str) -> None:
    whole, parts = models(SPLIT.train)
    told = {"train": {"pairs": len(SPLIT.train)}, "valid": {"pairs": len(SPLIT.valid)}}
    whole.provenance = parts.provenance = told
    found = same(whole, parts, SPLIT.test, protocol)
    assert any("were not given" in note for note in found.notes)
    whole.validated = Csr.of(SPLIT.valid)
    for data in (SPLIT, SPLIT.test, log()):
        found = same(whole, parts, data, protocol)
        assert not any("were not given" in note for note in found.notes)
    assert found.counts.dropped_valid == len(SPLIT.valid)
    marked, in_parts = models(log())  # validation pairs, and others, are marked as seen
    marked.provenance = in_parts.provenance = told
    both = [subject_of(in_parts, Parts.of(SPLIT.test, "test")), Subject.of_model(marked)]
    for subject in both:
        assert (subject.unseen_valid, subject.marked_valid) == (0, True)


def test_a_subject_is_of_the_users_of_the_data() -> None:
    whole, parts = models(SPLIT.train)
    whole.validated = Csr.of(SPLIT.valid)
    held = SPLIT.test.take(np.isin(SPLIT.test.users, [2, 3, 11]))
    for data in (held, held.compact()):
        found = subject_of(parts, Parts.of(data, "test"))
        assert found.name == "Table"
        rows = whole.user_ids.encode(found.user_ids.values)
        assert rows.tolist() == [2, 3, 11]
        assert found.numbers.tolist() == [2, 3, 11]
        assert found.seen.items.tolist() == whole.seen.take(rows).items.tolist()
        assert found.seen.indptr.tolist() == whole.seen.take(rows).indptr.tolist()
        assert found.validated.items.tolist() == whole.validated.take(rows).items.tolist()
        assert found.validated.indptr.tolist() == whole.validated.take(rows).indptr.tolist()
        assert found.popularity.tolist() == np.bincount(whole.seen.items, minlength=12).tolist()
        assert found.scorer.parts.tolist() == PART_OF[rows].tolist()
        assert found.scorer.rows.tolist() == [
            np.count_nonzero(PART_OF[:row] == PART_OF[row]) for row in rows
        ]
    both = tm.Split(SPLIT.train, SPLIT.valid, held, {})  # those of the validation part as well
    found = subject_of(parts, Parts.of(both, "test"))
    of = {*np.unique(SPLIT.valid.users).tolist(), 2, 3, 11}
    assert whole.user_ids.encode(found.user_ids.values).tolist() == sorted(of)


def test_users_held_out_whole() -> None:
    whole, parts = models(SPLIT.train)
    history = tm.Interactions.from_arrays([1, 1, 2, 3], [7000, 7005, 7002, 9999])
    held = tm.Interactions.from_arrays([1, 2, 2], [7003, 7000, 7011])
    split = tm.Split(SPLIT.train, None, held, {}, history)
    for protocol in ("full", "sampled-3"):
        found = same(whole, parts, split, protocol)
    assert same(whole, parts, split).ranks.ranks.tolist() == [3, 1, 11]
    assert found.user_ids.to_list() == [1, 2]
    subject = subject_of(parts, Parts.of(split, "test"))
    assert subject.popularity.tolist() == np.bincount(whole.seen.items, minlength=12).tolist()
    known = tm.Interactions.from_arrays([1, 100 + 3 * 4], [7000, 7001])
    with pytest.raises(DataError, match="Table was trained on 1 of the users held out whole"):
        evaluate(parts, tm.Split(SPLIT.train, None, held, {}, known))


# --- the ranker -----------------------------------------------------------------------------------


def ranker() -> tuple[Table, DividedRanker]:
    """Return the whole table of some users, and their ranker."""
    whole, parts = models(SPLIT.train)
    users = np.array([0, 3, 5, 9, 14, 21, 22])
    rows = [np.count_nonzero(PART_OF[:user] == PART_OF[user]) for user in users]
    of = Table(None, whole.item_ids, whole.seen.take(users), whole.scores[users])
    return of, DividedRanker(parts, PART_OF[users], np.array(rows, dtype=np.int32))


def test_a_ranker_scores_and_lists_as_the_whole() -> None:
    whole, parts = ranker()
    assert parts.n_items == N_ITEMS
    users, items = np.array([6, 0, 1, 1, 4, 2]), np.array([3, 3, 0, 11, 3, 7])
    assert parts.score(users, items).tolist() == whole.scores[users, items].tolist()
    assert parts.score(users, items).dtype == np.float32
    for users in (np.array([3, 1, 6, 0]), np.arange(7), np.array([2])):
        exclude = whole.seen.take(users)
        for k, only in ((1, None), (3, np.array([0, 2, 3, 7, 11])), (12, None), (12, [4, 5])):
            expected = whole.nearest(users, k, exclude=exclude, only=only)
            found = parts.nearest(users, k, exclude=exclude, only=only)
            np.testing.assert_array_equal(found[0], expected[0])
            np.testing.assert_array_equal(found[1], expected[1])
            assert (found[0].dtype, found[1].dtype) == (np.int32, np.float32)
    none = np.zeros(0, dtype=np.int64)
    assert [table.shape for table in parts.nearest(none, 3, exclude=Csr.empty(0))] == [(0, 0)] * 2


def test_a_ranker_ranks_as_the_whole() -> None:
    whole, parts = ranker()
    users = np.array([0, 0, 1, 3, 4, 6, 6, 6])
    held = Csr.from_pairs(users, np.array([0, 5, 11, 2, 5, 1, 3, 4]), 7)
    exclude = Csr.from_pairs(np.array([0, 1, 2, 3, 3, 6]), np.array([1, 0, 0, 5, 6, 11]), 7)
    found = parts.ranks(held, exclude)
    assert found.tolist() == whole.ranks(held, exclude).tolist()
    assert found.dtype == np.int32
    parts.model.asked.clear()
    parts.ranks(Csr.from_pairs(np.array([1]), np.array([3]), 7), exclude)
    assert parts.model.asked == [PART_OF[3]]


def test_ranks_are_put_together_in_the_order_of_users() -> None:
    """By what calls a function with several parts, or by the model's own way."""
    whole, parts = models(SPLIT.train)
    of_parts = subject_of(parts, Parts.of(SPLIT, "test"))
    prepared = prepare(Parts.of(SPLIT, "test"), of_parts, FullRanking(), strict=True)
    expected = evaluate(whole, SPLIT)
    calls = []

    def over(function: Any, tasks: Any, *shared: Any) -> Iterator[Any]:
        for part, *given in tasks:
            calls.append(part)
            yield function(parts.part(part), *shared, *given)

    for found in (ranks_by_part(of_parts, prepared), ranks_by_part(of_parts, prepared, over)):
        assert found.ranks.tolist() == expected.ranks.ranks.tolist()
        assert found.indptr.tolist() == expected.ranks.indptr.tolist()
        assert found.n_candidates.tolist() == expected.ranks.n_candidates.tolist()
        assert found.ranks.dtype == np.int32
    assert calls == [0, 1, 3]
    once = subject_of(parts, Parts.of(SPLIT, "test"), over)
    assert calls == [0, 1, 3, 0, 1, 2, 3]
    assert once.numbers.tolist() == of_parts.numbers.tolist()


def test_lists_beyond_accuracy_are_those_of_the_whole() -> None:
    whole, parts = models(SPLIT.train)
    for options in ({}, {"k": 3, "exclude_seen": False}, {"reference": whole}):
        found = tm.beyond_accuracy(parts, SPLIT, space=spaced(), **options)
        assert found == tm.beyond_accuracy(whole, SPLIT, space=spaced(), **options)
        assert found["coverage@3" if "k" in options else "coverage@10"] > 0.5


def spaced() -> Table:
    found = models(SPLIT.train)[0]
    found.capabilities = frozenset({"metric space"})
    vars(found)["items"] = np.arange(N_ITEMS, dtype=np.float32)[:, None]
    return found


def test_a_model_in_parts_has_its_own_space() -> None:
    parts = models(SPLIT.train)[1]
    vars(parts)["without_users"] = spaced()
    found = tm.beyond_accuracy(parts, SPLIT, 3)
    expected = tm.beyond_accuracy(models(SPLIT.train)[0], SPLIT, 3, space=spaced())
    assert found["distance@3"] == expected["distance@3"] > 0
    vars(parts)["without_users"] = models(SPLIT.train)[0]
    assert "distance@3" not in tm.beyond_accuracy(parts, SPLIT, 3)


def test_ids_of_two_types_are_those_of_the_held_out() -> None:
    """A split's validation part of other ids than its test part finds nobody."""
    parts = models(SPLIT.train)[1]
    text = tm.Interactions.from_arrays(["100"], ["7000"])
    split = tm.Split(SPLIT.train, text, SPLIT.test, {})
    found = subject_of(parts, Parts.of(split, "test"))
    assert found.user_ids.values.dtype == pl.Int64
    assert len(found.user_ids) == len(np.unique(SPLIT.test.users))
