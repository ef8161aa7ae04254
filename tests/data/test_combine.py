"""Logs put together, chosen from, split in time with repeats, and handed to other libraries."""

import contextlib
import importlib
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import polars as pl
import pytest
from command import done, refused
from hypothesis import given
from hypothesis import strategies as st

import trimetric as tm
from trimetric.data import Interactions, Split, split_column, split_temporal
from trimetric.errors import DataError, ParameterError, UnknownIds
from trimetric.evaluation import evaluate

LOG = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 40), st.integers(1, 4)),
    min_size=20,
    max_size=60,
)
RULES = st.sampled_from(["sum", "max", "latest", "first", "count"])


def made(log, **options):
    users, items, times, weights = zip(*log, strict=True)
    return Interactions.from_arrays(users, items, timestamps=times, weights=weights, **options)


def pairs(data):
    frame = data.to_frame()
    columns = [c for c in ("timestamp", "weight", "rating") if c in frame.columns]
    return {(r["user"], r["item"]): tuple(r[c] for c in columns) for r in frame.to_dicts()}


def merged(log, rule):
    """Merge rows as a reader of the documentation would."""
    found = {}
    for user, item, time, weight in sorted(log, key=lambda row: row[2]):
        found.setdefault((user, item), []).append((time, weight))
    rules = {
        "sum": lambda rows: (rows[-1][0], sum(w for _, w in rows)),
        "max": lambda rows: (rows[-1][0], max(w for _, w in rows)),
        "count": lambda rows: (rows[-1][0], len(rows)),
        "latest": lambda rows: rows[-1],
        "first": lambda rows: rows[0],
    }
    return {key: rules[rule](rows) for key, rows in found.items()}


def one_row_a_time(log):
    """Rows of a pair at one time have an order only in the file; keep one of each."""
    return list({row[:3]: row for row in log}.values())


@given(LOG, RULES, st.sampled_from([(0.2, 0.2), (0.3, 0.0), (0.4, 0.4)]))
def test_a_temporal_split_cuts_first_and_merges_then(log, rule, shares):
    log, (test, valid) = one_row_a_time(log), shares
    try:
        split = split_temporal(made(log, repeats=rule), test=test, valid=valid)
    except DataError:
        return
    cuts = [split.how.get("valid_from", split.how["test_from"]), split.how["test_from"], np.inf]
    seen, left_out, begin = set(), 0, -np.inf
    for part, end in zip((split.train, split.valid, split.test), cuts, strict=True):
        rows = [row for row in log if begin <= row[2] < end]
        fresh = [row for row in rows if row[:2] not in seen]
        left_out += len(rows) - len(fresh)
        assert (pairs(part) if part is not None else {}) == merged(fresh, rule)
        seen |= {row[:2] for row in rows}
        begin = end
    assert split.how.get("repeats_left_out", 0) == left_out
    assert sum(row[2] >= split.how["test_from"] for row in log) >= int(test * len(log))


@given(LOG, RULES, st.sampled_from([(0.2, 0.2), (0.3, 0.0), (0.4, 0.4)]))
def test_repeats_kept_are_in_each_part_that_has_rows_of_them(log, rule, shares):
    log, (test, valid) = one_row_a_time(log), shares
    try:
        split = split_temporal(made(log, repeats=rule), test=test, valid=valid, repeats="keep")
    except DataError:
        return
    cuts = [split.how.get("valid_from", split.how["test_from"]), split.how["test_from"], np.inf]
    seen, again, begin = set(), 0, -np.inf
    for part, end in zip((split.train, split.valid, split.test), cuts, strict=True):
        rows = [row for row in log if begin <= row[2] < end]
        assert (pairs(part) if part is not None else {}) == merged(rows, rule)
        again += len({row[:2] for row in rows} & seen)
        seen |= {row[:2] for row in rows}
        begin = end
    assert (split.how["repeats"], split.how["repeats_kept"]) == ("keep", again)
    assert "repeats_left_out" not in split.how


def test_repeats_are_the_question(tmp_path):
    """What users take again is ranked with `exclude_seen=False`, from memory and from files."""
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 40, 1500), (rng.beta(0.7, 2, 1500) * 25).astype(int)
    data = Interactions.from_arrays(users, items, timestamps=np.arange(1500))
    kept, fresh = (split_temporal(data, repeats=how) for how in ("keep", "leave-out"))
    assert len(kept.test) > len(fresh.test)
    kept.save(tmp_path)
    model = tm.Popularity().fit(kept.train)
    for split in (kept, Split.load(tmp_path)):
        again = evaluate(model, split, exclude_seen=False)
        assert again.counts.held_out + again.counts.dropped_unknown == len(kept.test)
        new = evaluate(model, split)
        assert new.counts.dropped_seen > 0
        dropped = new.counts.dropped_seen + new.counts.dropped_valid
        assert new.counts.held_out + dropped == again.counts.held_out
    with pytest.raises(ParameterError, match="repeats must be leave-out or keep, got 'drop'"):
        split_temporal(data, repeats="drop")
    with pytest.raises(ParameterError, match="keep goes with temporal splits"):
        Interactions.from_arrays(users, items, repeats="keep")


def test_the_command_keeps_repeats(tmp_path):
    rows = ["user,item,timestamp,w", "1,1,10,1", "1,1,20,2", "1,2,30,1", "1,1,95,8", "2,1,99,1"]
    (tmp_path / "log.csv").write_text("\n".join(rows))
    ask = ("data", "split", "log.csv", "--how", "temporal", "--test", "0.4", "--valid", "0")
    shown = done(*ask, "--out", "fresh", cwd=tmp_path)
    assert "1 later rows of pairs that an earlier part has, left out" in shown
    assert pairs(Split.load(tmp_path / "fresh").test) == {(2, 1): (99,)}
    shown = done(*ask, "--repeats", "keep", "--out", "kept", cwd=tmp_path)
    assert "1 pairs of valid and test that an earlier part has too" in shown
    kept = Split.load(tmp_path / "kept")
    assert pairs(kept.train) == {(1, 1): (20,), (1, 2): (30,)}
    assert pairs(kept.test) == {(1, 1): (95,), (2, 1): (99,)}
    weighed = ("--weight-column", "w", "--repeats")
    for rule, weight in (("sum,keep", 3), ("max,keep", 2), ("count,keep", 2), ("last,keep", 2)):
        done(*ask, *weighed, rule, "--out", "w", cwd=tmp_path)
        both = Split.load(tmp_path / "w")
        assert pairs(both.train)[1, 1] == (20, weight)
        assert pairs(both.test)[1, 1] == (95, 1 if rule.startswith("count") else 8)
    told = refused("data", "split", "log.csv", "--repeats", "keep", "--out", "r", cwd=tmp_path)
    assert "--repeats keep needs --how temporal, got --how random" in told
    told = refused("fit", "log.csv", "--repeats", "keep", "--out", "m", cwd=tmp_path)
    assert "keep goes with temporal splits" in told


def test_what_was_touched_before_the_cut_is_not_tested():
    rows = [(1, 1, 10), (1, 1, 95), (1, 2, 20), (2, 1, 30), (2, 2, 40), (2, 3, 99)]
    users, items, times = zip(*rows, strict=True)
    data = Interactions.from_arrays(users, items, timestamps=times)
    split = split_temporal(data, test=0.34, valid=0)
    assert pairs(split.test) == {(2, 3): (99,)}
    assert pairs(split.train)[1, 1] == (10,)
    assert split.how["repeats_left_out"] == 1
    again = split_temporal(split.train, test=0.25, valid=0)
    assert "repeats_left_out" not in again.how
    assert split_temporal(data.take(np.arange(len(data))), test=0.34, valid=0).how == split.how
    core = data.k_core(users=2)
    assert split_temporal(core, test=0.34, valid=0).how["repeats_left_out"] == 1


def test_the_rows_of_repeated_pairs_alone_are_kept():
    data = Interactions.from_arrays([1, 2, 1, 2], [1, 1, 1, 2], timestamps=[9, 8, 7, 6])
    assert data.repeated.pairs.tolist() == [0, 0]
    assert data.repeated.timestamps.tolist() == [7, 9]
    assert Interactions.from_arrays([1, 1], [1, 1]).repeated is None


@pytest.mark.parametrize(("rule", "weight"), [("latest", 2), ("first", 5)])
def test_of_rows_of_one_time_the_order_given_decides(rule, weight):
    rows = made([(1, 1, 7, 5), (1, 1, 7, 9), (1, 1, 7, 2)], repeats=rule)
    assert rows.weights.tolist() == [weight]


def test_a_shipped_split_keeps_a_pair_in_its_first_part():
    frame = {
        "user": [1, 1, 1, 2, 2],
        "item": [1, 1, 2, 1, 3],
        "weight": [1, 2, 4, 8, 16],
        "split": ["train", "test", "test", "train", "test"],
    }
    data = Interactions.from_frame(frame, weight="weight")
    split = split_column(data)
    assert pairs(split.train) == {(1, 1): (1,), (2, 1): (8,)}
    assert pairs(split.test) == {(1, 2): (4,), (2, 3): (16,)}
    assert data.report.across_parts == 1
    assert "of pairs that an earlier part of the split has" in " ".join(data.report.lines())
    frame["split"] = list("ABABA")  # no parts that are known, so nothing is decided
    assert Interactions.from_frame(frame, weight="weight").report.across_parts == 0


@given(LOG, LOG, RULES)
def test_logs_put_together_are_the_log_of_both(first, second, rule):
    both = one_row_a_time([*first, *second])
    first, second = both[: len(first)], both[len(first) :]
    if not second:
        return
    put = made(first, repeats=rule).concat(made(second, repeats=rule), repeats=rule)
    assert pairs(put) == merged(both, rule)
    assert put.report.rows_read == len(both)
    assert put.report.duplicates == len(both) - len(put)


def test_concat_of_logs_that_differ():
    plain = Interactions.from_arrays(["a", "b"], [1, 2])
    weighted = Interactions.from_arrays(["b", "c"], [2, 3], weights=[3, 4], name="bought")
    put = plain.concat(weighted)
    assert pairs(put) == {("a", 1): (1,), ("b", 2): (4,), ("c", 3): (4,)}
    assert put.name == "arrays + bought"
    with pytest.raises(DataError, match="no timestamps"):
        plain.concat(Interactions.from_arrays(["a"], [1], timestamps=[1]))
    with pytest.raises(DataError, match="whole numbers"):
        plain.concat(Interactions.from_arrays([1], [1]))
    minus = Interactions.from_arrays(["a"], [1], [-1], min_rating=-5)
    assert pairs(minus.concat(minus)) == {("a", 1): (-1.0,)}


def test_concat_of_files_where_ids_look_like_numbers_in_one(tmp_path):
    (tmp_path / "a.csv").write_text("user,item\nguest,7\n9,7\n")
    (tmp_path / "b.csv").write_text("user,item\n9,7\n10,8\n")
    a, b = (Interactions.read(tmp_path / f"{name}.csv") for name in "ab")
    put = b.concat(a)
    assert put.user_ids.values.to_list() == ["10", "9", "guest"]
    assert len(put) == 3


@pytest.mark.parametrize("time", [20_200_101, 2**41, -5])
def test_times_that_were_told_to_be_seconds_are_not_asked_for_again(time):
    log = Interactions.from_arrays([1, 1], [1, 2], timestamps=[time, 7], time_format="s")
    put = log.concat(Interactions.from_arrays([2], [2], timestamps=[9]))
    assert pairs(put) == {(1, 1): (time,), (1, 2): (7,), (2, 2): (9,)}


def test_of_logs_put_together_all_have_the_same_columns():
    columns = {"ratings": [3], "timestamps": [5], "labels": ["train"]}
    for name, column in (("ratings", "rating"), ("timestamps", "timestamp"), ("labels", "split")):
        bare = {"user": [1], "item": [1]}
        key = {"labels": "split"}.get(name, name.removesuffix("s"))
        having = Interactions.from_frame({**bare, key: columns[name]}, name="one")
        lacking = Interactions.from_frame(bare, name="other")
        told = f"other has no {name} and one has; read both with them, or both with {column}=False"
        for first, second in ((having, lacking), (lacking, having)):
            with pytest.raises(DataError, match=told):
                first.concat(second)
        two = Interactions.from_frame({**bare, key: columns[name]}, name="two")
        with pytest.raises(DataError, match=told):  # the first of those that have it is named
            Interactions.concat(lacking, having, two)
        assert len(having.concat(having)) == 1
    train, test = (Interactions.from_frame({**bare, "split": [part]}) for part in ("train", "test"))
    assert train.concat(test).labels.tolist() == test.concat(train).labels.tolist() == ["train"]


def test_the_log_whose_ids_are_numbers_is_named(tmp_path):
    (tmp_path / "texts.csv").write_text("user,item\nann,1\n")
    texts = Interactions.read(tmp_path / "texts.csv")
    numbers = Interactions.from_frame({"user": [1], "item": [1]}, name="numbers")
    told = "the user ids of numbers are whole numbers and those of the other log text"
    for first, second in ((texts, numbers), (numbers, texts)):
        with pytest.raises(DataError, match=told):
            first.concat(second)


@pytest.mark.parametrize(
    ("rules", "repeats", "weight", "rule"),
    [
        (("sum", "sum"), None, 12, "sum"),
        (("max", "sum"), None, 9, "max"),
        (("max", "sum"), "sum", 11, "sum"),
        (("count", "count"), None, 4, "sum"),  # of what was counted
        (("count", "count"), "count", 4, "sum"),
        (("count", "count"), "max", 2, "max"),
        (("sum", "count"), "count", 2, "count"),
        ((None, "sum"), None, 10, "sum"),
        ((None, "sum"), "count", 2, "count"),
        ((None, "max"), None, 8, "max"),
        ((None, None), None, None, "latest"),
        ((None, None), "count", 2, "count"),
    ],
)
def test_the_rule_for_pairs_of_several_logs(rules, repeats, weight, rule):
    """A pair of weights 1 and 2 in the first log, of 1 and 8 in the second."""
    logs = [
        Interactions.from_arrays([1, 1], [1, 1])
        if one is None
        else Interactions.from_arrays([1, 1], [1, 1], weights=weights, repeats=one)
        for one, weights in zip(rules, ([1, 2], [1, 8]), strict=True)
    ]
    if rules == ("sum", "sum"):
        assert [log.weights.tolist() for log in logs] == [[3], [9]]
    put = logs[0].concat(logs[1], repeats=repeats)
    assert put.report.repeats == rule
    assert (None if put.weights is None else put.weights.tolist()) == (weight and [weight])


def test_the_report_of_logs_put_together_is_of_both():
    frame = {
        "user": ["a", "a", None, "b", "b", "c"],
        "item": [1, 1, 1, 2, 3, 4],
        "rating": [5.0, 5.0, 5.0, 1.0, 4.0, 3.0],
        "w": [1, 1, 1, 1, 0, 1],
    }
    log = Interactions.from_frame(frame, min_rating=2, nulls="drop", weight="w", name="shop")
    put = log.concat(log, Interactions.from_frame({"user": ["c"], "item": [4], "rating": [0]}))
    assert pairs(put) == {("a", 1): (4.0, 5.0), ("c", 4): (3.0, 0.0)}
    told = put.report
    assert (told.rows_read, told.nulls, told.below_min_rating, told.zero_weights) == (13, 2, 2, 2)
    assert told.duplicates == 2 + 5 - 2  # repeats in each, and entries of all that became two
    assert (
        told.notes
        == log.report.notes * 2
        + Interactions.from_frame({"user": ["c"], "item": [4], "rating": [0]}).report.notes
    )
    assert put.name == "shop + frame"


def test_rows_of_repeated_pairs_are_merged_anew_with_their_ratings_and_weights():
    """Rows of 5, 9 and 7 o'clock, and one more at 8 in the other log."""
    first = Interactions.from_arrays(
        [1, 1, 1, 2], [1, 1, 1, 1], [1, 2, 3, 4], [5, 9, 7, 6], weights=[1, 2, 4, 8], repeats="max"
    )
    second = Interactions.from_arrays([1], [1], [5], [8], weights=[16])
    assert pairs(first) == {(1, 1): (9, 4.0, 2.0), (2, 1): (6, 8.0, 4.0)}
    put = first.concat(second, repeats="sum")
    assert pairs(put) == {(1, 1): (9, 23.0, 2.0), (2, 1): (6, 8.0, 4.0)}
    assert pairs(put.filter(until=9)) == {(1, 1): (8, 21.0, 5.0), (2, 1): (6, 8.0, 4.0)}
    assert pairs(put.filter(since=7, until=8)) == {(1, 1): (7, 4.0, 3.0)}
    assert pairs(put.filter(since=6, until=7)) == {(2, 1): (6, 8.0, 4.0)}
    counted = Interactions.from_arrays(
        [1, 1, 2], [1, 1, 1], timestamps=[5, 9, 6], weights=[3, 4, 5], repeats="count"
    )
    assert pairs(counted.concat(counted)) == {(1, 1): (9, 4.0), (2, 1): (6, 2.0)}
    plain = Interactions.from_arrays([1, 1, 2], [1, 1, 1], timestamps=[5, 9, 6])
    mixed = plain.concat(Interactions.from_arrays([3], [1], timestamps=[1], weights=[0.5]))
    assert pairs(mixed)[3, 1] == (1, 0.5)
    assert pairs(plain.concat(second.changed(ratings=None), repeats="sum")) == {
        (1, 1): (9, 18.0),
        (2, 1): (6, 1.0),
    }


@given(LOG, RULES, st.integers(5, 35))
def test_a_window_of_time_merges_what_is_in_it(log, rule, cut):
    log = one_row_a_time(log)
    data = made(log, repeats=rule)
    inside = [row for row in log if row[2] >= cut]
    if not inside:
        return
    assert pairs(data.filter(since=cut)) == merged(inside, rule)
    assert pairs(data.filter(since=-1, until=100)) == merged(log, rule)


def test_filters():
    data = Interactions.from_arrays(["a", "a", "b"], [1, 2, 1], [5, 3, 4], [10, 20, 86400])
    assert pairs(data.filter(users=["a"], min_rating=4)) == {("a", 1): (10, 5.0)}
    assert pairs(data.filter(min_rating=4)) == {("a", 1): (10, 5.0), ("b", 1): (86400, 4.0)}
    assert data.filter(items=[2]).user_ids.values.to_list() == ["a"]
    for since in ("1970-01-02", date(1970, 1, 2), datetime(1970, 1, 2, tzinfo=UTC), 86400):
        assert pairs(data.filter(since=since)) == {("b", 1): (86400, 4.0)}
    assert len(data.filter(until="1970-01-02T00:00:00+00:00")) == 2
    with pytest.raises(UnknownIds):
        data.filter(users=["a", "z"])
    with pytest.raises(ParameterError, match="single id"):
        data.filter(users="a")
    assert pairs(data.filter(since=20, until=86400)) == {("a", 2): (20, 3.0)}
    assert pairs(data.filter(since=np.int64(11), until=20.5)) == {("a", 2): (20, 3.0)}
    assert pairs(data.filter(users=("b", "a"), items=iter([1]))) == {
        ("a", 1): (10, 5.0),
        ("b", 1): (86400, 4.0),
    }
    east = timezone(timedelta(hours=1))
    for until in (datetime(1970, 1, 1, 1, 0, 20, tzinfo=east), datetime(1970, 1, 1, 0, 0, 20)):
        assert pairs(data.filter(until=until)) == {("a", 1): (10, 5.0)}
    for since in ("soon", [1], True, {"day": 1}):
        with pytest.raises(ParameterError, match="since must be Unix seconds, a datetime or an"):
            data.filter(since=since)
    with pytest.raises(ParameterError) as told:
        data.filter(until="x" * 99)
    assert str(told.value).endswith("got '" + "x" * 59)
    with pytest.raises(UnknownIds, match="'z'"):
        data.filter(users=["a", "z"])
    for options in ({"since": 10**9}, {"min_rating": 6}, {"users": ["a"], "since": 86400}):
        with pytest.raises(DataError, match="no interaction"):
            data.filter(**options)
    bare = Interactions.from_arrays([1], [1])
    for options in ({"since": 1}, {"min_rating": 1}):
        with pytest.raises(DataError, match="has no"):
            bare.filter(**options)


def test_matrices_and_frames_of_other_libraries():
    data = Interactions.from_arrays(
        ["b", "a", "b"], [7, 8, 9], [1, 2, 3], [4, 5, 6], weights=[2, 3, 4]
    )
    matrix = data.to_scipy()
    assert matrix.toarray().tolist() == [[0, 3, 0], [2, 0, 4]]
    assert data.to_scipy("ratings").toarray().tolist() == [[0, 2, 0], [1, 0, 3]]
    assert data.to_scipy("timestamps").sum() == 15
    matrix.data[:] = 0  # a copy
    again = Interactions.from_scipy(data.to_scipy(), data.user_ids.values, data.item_ids.values)
    assert again.ratings.tolist() == data.weights.tolist()
    ones = Interactions.from_arrays([1, 2], [1, 1]).to_scipy()
    assert ones.toarray().tolist() == [[1], [1]]
    with pytest.raises(ParameterError, match="values"):
        data.to_scipy("labels")
    with pytest.raises(DataError, match="no ratings"):
        Interactions.from_arrays([1], [1]).to_scipy("ratings")
    frame = data.to_pandas()
    assert frame.columns.to_list() == ["user", "item", "rating", "timestamp", "weight"]
    same = Interactions.from_frame(frame, weight="weight")
    assert same.fingerprint == data.fingerprint
    assert pl.DataFrame(frame.to_dict("list")).rows() == data.to_frame().rows()


def test_what_cannot_be_filtered_by_is_refused():
    data = Interactions.from_arrays([1, 1, 2], [1, 2, 3], ratings=[1, 2, 3])
    for rating in ("2", [2], float("nan"), True, None.__class__, 1j):
        with pytest.raises(ParameterError, match="min_rating must be a finite number"):
            data.filter(min_rating=rating)
    with pytest.raises(ParameterError, match="min_rating must be a finite number"):
        Interactions.from_arrays([1], [2], [3], min_rating=10**400)
    assert len(data.filter(min_rating=np.float32(2))) == 2
    with pytest.raises(ParameterError, match="ids must be a list, got the single id 1"):
        data.filter(users=np.array(1))


def test_ids_to_filter_by_may_be_of_pyarrow():
    pa = pytest.importorskip("pyarrow")
    data = Interactions.from_arrays([1, 1, 2], [1, 2, 3])
    for ids in (pa.array([1]), pa.chunked_array([[1]]), [pa.scalar(1)], np.array([1], "u1")):
        assert data.filter(users=ids).items.tolist() == [0, 1]


def test_times_to_filter_by():
    log = Interactions.from_arrays([1, 2], [1, 2], timestamps=[0, 86_400])
    for since in (np.datetime64("1970-01-02"), np.datetime64("1970-01-02T00", "ns"), 86_400):
        assert log.filter(since=since).user_ids[0] == 2
    missing = [float("nan"), np.datetime64("NaT"), np.timedelta64(5, "s"), True]
    with contextlib.suppress(ImportError):
        missing.append(importlib.import_module("pandas").NaT)
    for since in missing:
        with pytest.raises(ParameterError, match="since must be Unix seconds, a datetime or an"):
            log.filter(since=since)


@pytest.mark.parametrize("keep", [[-1], [0, -1], [3], [0.5], ["a"], [[0]]])
def test_only_positions_that_are_there_are_taken(keep):
    """Those from the end would put pairs out of order."""
    log = Interactions.from_arrays([1, 1, 2], [1, 2, 3])
    with pytest.raises(ParameterError, match="positions"):
        log.take(keep)
    assert len(log.take([])) == 0
    assert log.take(np.array([2, 0, 2], "u1")).to_frame().rows() == [(1, 1), (2, 3)]


def test_only_interactions_are_put_together():
    log = Interactions.from_arrays([1, 1, 2], [1, 2, 3])
    for other in ([log], log.to_frame(), "log.csv", None):
        with pytest.raises(ParameterError, match=r"must be Interactions, got a .*; read it with"):
            log.concat(other)
