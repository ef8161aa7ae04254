"""Weights of interactions: where they come from, how repeats merge, and that nothing loses them."""

import pickle

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp
from command import done, refused
from hypothesis import given
from hypothesis import strategies as st

from trimetric.data import Interactions, Split, split_random, summarize
from trimetric.errors import DataError, ParameterError

LOG = pl.DataFrame(
    {
        "user": ["ann", "ann", "bob", "bob", "cat", "ann"],
        "item": [1, 1, 1, 2, 2, 1],
        "event": ["view", "purchase", "view", "cart", "view", "view"],
        "timestamp": [10, 20, 30, 40, 50, 60],
    }
)
TABLE = {"view": 1, "cart": 3, "purchase": 5}


def weights(data):
    frame = data.to_frame()
    return dict(zip(frame.select("user", "item").rows(), frame["weight"].to_list(), strict=True))


@pytest.mark.parametrize(
    ("repeats", "ann"),
    [(None, 7), ("sum", 7), ("max", 5), ("latest", 1), ("last", 1), ("first", 1), ("count", 3)],
)
def test_event_types_become_weights_and_repeats_merge(repeats, ann):
    data = Interactions.from_frame(LOG, event_weights=TABLE, repeats=repeats)
    assert weights(data) == {
        ("ann", 1): ann,
        ("bob", 1): 1,
        ("bob", 2): 1 if repeats == "count" else 3,
        ("cat", 2): 1,
    }
    assert data.weights.dtype == np.float32
    assert not data.weights.flags.writeable
    assert data.timestamps[0] == (10 if repeats == "first" else 60)
    assert data.report.duplicates == 2
    words = {None: "summed", "sum": "summed", "max": "largest", "latest": "latest"}
    words |= {"last": "latest", "count": "rows counted"}
    assert words.get(repeats, "first") in " ".join(data.report.lines())


@pytest.mark.parametrize("nothing", [0, "drop", 0.0])
def test_event_types_can_be_left_out_and_are_counted(nothing):
    data = Interactions.from_frame(LOG, event_weights={**TABLE, "view": nothing})
    assert weights(data) == {("ann", 1): 5, ("bob", 2): 3}
    assert (data.report.events, data.report.zero_weights) == (4, 0)
    assert "4 of event types that do not count, left out" in data.report.lines()


def test_the_least_and_the_largest_weight_of_an_event_type():
    kind = np.finfo(np.float32)
    table = {"view": float(kind.smallest_subnormal), "cart": float(kind.max), "purchase": "drop"}
    found = weights(Interactions.from_frame(LOG, event_weights=table, repeats="max"))
    assert found == {("ann", 1): table["view"], ("bob", 1): table["view"],
                     ("bob", 2): table["cart"], ("cat", 2): table["view"]}  # fmt: skip


def test_event_types_without_a_weight_are_refused_with_their_counts():
    with pytest.raises(DataError, match=r"'event'.*'view' 4, 'cart' 1.*give each a weight"):
        Interactions.from_frame(LOG, event_weights={"purchase": 5})
    with pytest.raises(DataError, match=r"'event' holds event types \('view' 4"):
        Interactions.from_frame(LOG, event="event")
    for n, end in ((10, r"'e1' 2, 'e0' 1\)"), (11, r"'e2' 3, 'e1' 2, \.\.\.\)")):
        events = [f"e{i}" for i in range(n) for _ in range(i + 1)]
        many = pl.DataFrame({"user": 1, "item": range(len(events)), "event": events})
        with pytest.raises(DataError, match=rf"\('e{n - 1}' {n}, .*{end}; say"):
            Interactions.from_frame(many, event="event")
    with pytest.raises(DataError, match="no column 'event'"):
        Interactions.from_frame(LOG.drop("event"), event_weights=TABLE)
    with pytest.raises(DataError, match="none of 6 rows"):
        Interactions.from_frame(LOG, event_weights={"view": 0, "cart": 0, "purchase": 0, "gift": 1})


@pytest.mark.parametrize(
    "options",
    [
        {"event_weights": {}},
        {"event_weights": [1]},
        {"event_weights": {"view": -1}},
        {"event_weights": {"view": np.nan}},
        {"event_weights": {"view": "much"}},
        {"event_weights": {"view": 1e39}},
        {"event_weights": {"view": 0}},
        {"event_weights": TABLE, "weight": "timestamp"},
        {"event_weights": TABLE, "event": False},
        {"repeats": "mean"},
        {"repeats": "max"},
    ],
)
def test_settings_that_make_no_sense(options):
    with pytest.raises(ParameterError):
        Interactions.from_frame(LOG, **options)


def test_a_column_called_weight_is_no_weight_unless_named():
    frame = LOG.with_columns(weight=pl.Series([1.0, 2, 3, 4, 5, 6]))
    assert Interactions.from_frame(frame).weights is None
    assert Interactions.from_frame(frame, weight=False).weights is None
    assert weights(Interactions.from_frame(frame, weight="weight"))[("ann", 1)] == 9


def test_ratings_as_weights():
    data = Interactions.from_arrays([1, 1, 2], [1, 1, 1], [2, 3, 4], weight="rating")
    assert data.weights.tolist() == [5, 4]
    assert data.ratings.tolist() == [3, 4]
    matrix = sp.csr_matrix(np.array([[0, 2], [3, 0]]))
    assert Interactions.from_scipy(matrix, weight="rating").weights.tolist() == [2, 3]


def test_weights_of_zero_are_left_out_and_others_refused():
    data = Interactions.from_arrays([1, 2, 3], [1, 1, 1], weights=[0, 2, 1e-50])
    assert (data.weights.tolist(), data.report.zero_weights, data.n_users) == ([2], 2, 1)
    assert data.report.events == 0
    plain = Interactions.from_arrays([1], [1]).report
    assert (plain.zero_weights, plain.events) == (0, 0)
    for bad, word in ((-1, "negative"), (np.nan, "no value"), (np.inf, "inf"), (1e39, "1e\\+39")):
        with pytest.raises(DataError, match=word):
            Interactions.from_arrays([1, 2], [1, 1], weights=[1, bad])
    with pytest.raises(DataError, match="is negative in 2 rows, the least -2;"):
        Interactions.from_arrays([1, 2, 3, 4], [1, 1, 1, 1], weights=[-0.5, 0, 0.5, -2])
    with pytest.raises(DataError, match="none of 2 rows has a weight above 0 in column"):
        Interactions.from_arrays([1, 2], [1, 1], weights=[0, 0])
    assert len(Interactions.from_arrays([1, 2], [1, 1], weights=[1, np.nan], nulls="drop")) == 1
    with pytest.raises(DataError, match="add up"):
        Interactions.from_arrays([1, 1], [1, 1], weights=[3e38, 3e38])


def test_without_weights_sum_counts_rows_and_first_keeps_the_first():
    users, items = [1, 1, 1, 2], [7, 7, 8, 7]
    for rule in ("sum", "count"):
        counted = Interactions.from_arrays(users, items, repeats=rule)
        assert counted.weights.tolist() == [2, 1, 1]
        assert counted.concat(counted).weights.tolist() == [4, 2, 2]
    first = Interactions.from_arrays(users, items, [1, 2, 3, 4], repeats="first")
    assert (first.ratings.tolist(), first.weights) == ([1, 3, 4], None)


def test_min_rating_and_weights_before_merging():
    """A view after a purchase does not undo the purchase."""
    data = Interactions.from_arrays([1, 1], [1, 1], [5, 1], [10, 20], min_rating=5)
    assert data.ratings.tolist() == [5]
    assert data.report.below_min_rating == 1
    both = Interactions.from_arrays([1, 1], [1, 1], [5, 1], min_rating=5, weight="rating")
    assert both.weights.tolist() == [5]


def test_everything_carries_weights(tmp_path):
    data = Interactions.from_frame(LOG, event_weights=TABLE)
    kept = weights(data)
    assert weights(data.take(np.array([3, 0]))) == {key: kept[key] for key in [*kept][::3]}
    assert weights(data.k_core(users=2)) == {("bob", 1): 1, ("bob", 2): 3}
    wider = Interactions.from_arrays(["zed", "bob", "ann"], [1, 2, 5])
    aligned = data.align(wider.user_ids, wider.item_ids)[0]
    assert weights(aligned) == {k: v for k, v in kept.items() if k[0] != "cat"}
    texts = Interactions.from_arrays(["10", "9", "x"], [1, 1, 1])
    (tmp_path / "t.csv").write_text("user,item,w\n9,1,3\n10,1,4\n")
    moved = Interactions.read(tmp_path / "t.csv", weight="w").in_kinds_of(
        texts.user_ids, texts.item_ids
    )
    assert weights(moved) == {("10", 1): 4, ("9", 1): 3}
    assert weights(Interactions.from_frame(data.to_frame(), weight="weight")) == kept
    assert data.fingerprint != Interactions.from_frame(LOG).fingerprint
    assert "weight" in summarize(data)["columns"]
    again = pickle.loads(pickle.dumps(data))
    assert again.fingerprint == data.fingerprint
    for name in ("users", "items", "timestamps", "weights", "indptr"):
        assert not getattr(again, name).flags.writeable


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 9)), min_size=12),
    st.randoms(),
)
def test_weights_of_splits_come_back(tmp_path_factory, log, random):
    users, items, counts = zip(*log, strict=True)
    data = Interactions.from_arrays(users, items, weights=counts)
    total = {}
    for user, item, count in log:
        total[user, item] = total.get((user, item), 0) + count
    assert weights(data) == total
    shuffled = random.sample(log, len(log))
    users, items, counts = zip(*shuffled, strict=True)
    assert Interactions.from_arrays(users, items, weights=counts).fingerprint == data.fingerprint
    try:
        split = split_random(data, test=0.3, valid=0)
    except DataError:
        return
    folder = tmp_path_factory.mktemp("split")
    split.save(folder)
    loaded = Split.load(folder)
    assert weights(loaded.train) | weights(loaded.test) == total
    assert weights(Interactions.read(folder / "train.parquet")) == weights(split.train)


@pytest.mark.slow
def test_on_the_command_line(tmp_path):
    LOG.write_csv(tmp_path / "log.csv")
    options = ("--event-column", "event", "--event-weights", "view=1,cart=3,purchase=5")
    shown = done("data", "inspect", "log.csv", *options, cwd=tmp_path)
    assert "weights" in shown
    assert "1 2   3 1   7 1" in shown
    for given_options, part in (
        (("--event-weights", "view=1"), "'purchase' 1"),
        (("--event-weights", "view"), "TYPE=WEIGHT"),
        (("--event-weights", "view=x"), "TYPE=WEIGHT"),
        (("--event-column", "event"), "--event-weights"),
        (("--repeats", "max"), "--repeats max needs weights"),
        (("--repeats", "mean"), "--repeats must be one of"),
        (("--event-weights", "view=1", "--weight-column", "timestamp"), "not both"),
    ):
        assert part in refused("data", "inspect", "log.csv", *given_options, cwd=tmp_path)


def test_saved_parts_read_together_keep_their_weights(tmp_path):
    data = Interactions.from_frame(LOG, event_weights=TABLE)
    split = split_random(data, test=0.3, valid=0)
    split.save(tmp_path)
    for given_place in (f"{tmp_path}/*.parquet", sorted(tmp_path.glob("*.parquet"))):
        assert weights(Interactions.read(given_place)) == weights(data)
    with pytest.raises(DataError, match="holds a split, and reading all of it would join its test"):
        Interactions.read(tmp_path)
    assert Interactions.read(tmp_path / "train.parquet", weight=False).weights is None


def test_models_are_told_how_to_name_columns():
    frame = pl.DataFrame({"who": ["a"], "what": [1]})
    with pytest.raises(DataError, match=r"Interactions\.from_frame\(table, user=\)"):
        Interactions.of(frame)
