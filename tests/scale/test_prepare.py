"""A log prepared in files is what the same files are when read into memory and divided."""

import multiprocessing
import pickle
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import polars as pl
import pytest
from command import document, done
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

import trimetric as tm
from trimetric.data import Interactions, batches
from trimetric.scale import log_files, numbering, spilling
from trimetric.scale.hashing import ITEMS, USERS, part_of
from trimetric.scale.parts import CHUNKS


def check_same(prepared: tm.Prepared, whole: Interactions, report: bool = True) -> None:
    """Check every id, cell, weight and count against interactions in memory."""
    n_parts = prepared.n_parts
    users, items = (
        part_of(ids, parts, salt)
        for ids, parts, salt in (
            (whole.user_ids, n_parts, USERS),
            (whole.item_ids, n_parts * CHUNKS, ITEMS),
        )
    )
    assert prepared.user_counts.tolist() == np.bincount(users, minlength=n_parts).tolist()
    chunks = np.bincount(items, minlength=n_parts * CHUNKS)
    assert prepared.item_counts.tolist() == chunks.tolist()
    assert prepared.weighted == (whole.weights is not None)
    assert len(prepared) == len(whole)
    if report:
        assert prepared.report == whole.report
    for chunk in range(n_parts * CHUNKS):
        ids = prepared.item_ids(chunk).values
        assert ids.equals(whole.item_ids.values.filter(pl.Series(items == chunk)))
    for part in range(n_parts):
        ids = prepared.user_ids(part).values
        assert ids.equals(whole.user_ids.values.filter(pl.Series(users == part)))
        for chunk in range(n_parts * CHUNKS):
            of = (users[whole.users] == part) & (items[whole.items] == chunk)
            cell = prepared.cell(part, chunk)
            user_rows = np.cumsum(users == part) - 1
            item_rows = np.cumsum(items == chunk) - 1
            assert cell.users.dtype == cell.items.dtype == np.int32
            np.testing.assert_array_equal(cell.users, user_rows[whole.users[of]])
            np.testing.assert_array_equal(cell.items, item_rows[whole.items[of]])
            if whole.weights is None:
                assert cell.weights is None
            else:
                np.testing.assert_array_equal(cell.weights, whole.weights[of])


@contextmanager
def in_small_steps(rows: int = 7) -> Iterator[None]:
    """Let batches, tasks and runs be as small as those of a large log are many."""
    with (
        patch.object(batches, "ROWS", rows),
        patch.object(batches, "BLOCK", 16 * rows),
        patch.object(log_files, "TASK_ROWS", rows),
        patch.object(log_files, "TASK_BYTES", 1),
        patch.object(spilling, "RUN_ROWS", 2 * rows),
        patch.object(numbering, "ROWS_PER_GROUP", rows),
    ):
        yield


def write(frame: pl.DataFrame, path: Path) -> None:
    if path.suffix == ".parquet":
        frame.write_parquet(path, row_group_size=5)
    elif path.suffix == ".csv":
        frame.write_csv(path)
    else:
        frame.write_ndjson(path)


IDS = {
    "int": st.integers(0, 12) | st.sampled_from([-(2**63), 2**63 - 1, 2**53 + 1, -3]),
    "str": st.sampled_from(["a", "b", "ä", "日", "007", "7", "z" * 40, "b ", "A", "-"]),
    "digits": st.integers(0, 12).map(str),
}


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[pl.DataFrame], dict[str, Any], str]:
    """Return frames of files, the options they are read by, and the files' ending."""
    ending = draw(st.sampled_from([".parquet", ".csv", ".jsonl"]))
    kinds = [draw(st.sampled_from(sorted(IDS))) for _ in range(2)]
    n = draw(st.integers(12, 60))

    def column(values: st.SearchStrategy) -> list[Any]:
        return draw(st.lists(values, min_size=n, max_size=n))

    nulls = draw(st.booleans())
    dtypes = [pl.Int64 if kind == "int" else pl.String for kind in kinds]
    user, item = (column(IDS[kind] | st.none() if nulls else IDS[kind]) for kind in kinds)
    frame = pl.DataFrame({"user": pl.Series(user, dtype=dtypes[0])}).with_columns(
        item=pl.Series(item, dtype=dtypes[1])
    )
    options: dict[str, Any] = {"nulls": "drop"}
    if draw(st.booleans()):
        values = st.sampled_from([0.0, 0.1, 0.7, 1.5, 2.0, 3.0, 1e-3])
        frame = frame.with_columns(rating=pl.Series(column(values), dtype=pl.Float64))
        if draw(st.booleans()):
            options["min_rating"] = draw(st.sampled_from([0.5, 1]))
        if draw(st.booleans()):
            options["weight"] = "rating"
            options["repeats"] = draw(
                st.sampled_from([None, "latest", "first", "sum", "max", "count"])
            )
    if "weight" not in options and draw(st.booleans()):
        options["repeats"] = draw(st.sampled_from(["sum", "count", "first"]))
    if draw(st.booleans()):
        stamps = st.integers(0, 5) | st.sampled_from([1_600_000_000, 20_200_101])
        frame = frame.with_columns(timestamp=pl.Series(column(stamps), dtype=pl.Int64))
    cuts = sorted(draw(st.lists(st.integers(0, n), max_size=3)))
    bounds = [0, *cuts, n]
    files = [frame[a:b] for a, b in pairwise(bounds)]
    if ending == ".jsonl":  # an empty file has no columns, and one of nulls no kinds
        files = [one for one in files if all(one[c].drop_nulls().len() for c in ("user", "item"))]
    return files, options, ending


@pytest.mark.slow
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(log=logs(), partitions=st.integers(1, 3), small=st.booleans())
def test_as_in_memory(
    log: tuple, partitions: int, small: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    files, options, ending = log
    steps = in_small_steps if small else nullcontext
    folder = tmp_path_factory.mktemp("log")
    for n, frame in enumerate(files):
        write(frame, folder / f"{n}{ending}")
    try:
        whole = Interactions.read(folder, **options)
    except tm.errors.DataError as error:
        event(f"refused: {str(error)[-70:]}")
        with pytest.raises(tm.errors.DataError), steps():
            tm.prepare(folder, folder / "out", partitions=partitions, **options)
        assert not (folder / "out" / "prepared.json").exists()
        return
    if partitions > min(whole.n_users, whole.n_items):
        event("too many parts")
        with pytest.raises(tm.errors.ParameterError, match="partitions must be at most"), steps():
            tm.prepare(folder, folder / "out", partitions=partitions, **options)
        assert not (folder / "out").exists()
        return
    with steps():
        prepared = tm.prepare(folder, folder / "out", partitions=partitions, **options)
    event(f"same, {ending}")
    check_same(prepared, whole)
    check_same(pickle.loads(pickle.dumps(prepared)), whole)


def shop(n: int = 4000) -> pl.DataFrame:
    rng = np.random.default_rng(5)
    user, item = rng.integers(0, 300, n), rng.integers(0, 90, n)
    return pl.DataFrame({"user": user, "item": [f"i{one}" for one in item]})


def test_order_and_cut_of_files_change_nothing(tmp_path: Path) -> None:
    frame = shop()
    prints = set()
    for at, cuts in enumerate([[0, 4000], [0, 100, 2500, 4000], [0, 1, 4000]]):
        folder = tmp_path / str(at)
        folder.mkdir()
        parts = [frame[a:b] for a, b in pairwise(cuts)]
        for n, part in enumerate(parts if at else reversed(parts)):
            write(part, folder / f"{n}.{'csv' if at == 1 else 'parquet'}")
        made = tm.prepare(folder, tmp_path / f"out{at}", partitions=3, valid=0.1, test=0.1)
        prints.add(made.fingerprint)
        held = pl.read_parquet(tmp_path / f"out{at}" / "test" / "*.parquet")
        prints.add(held.sort("user", "item").hash_rows().sum())
    assert len(prints) == 2
    other = tm.prepare(tmp_path / "0", tmp_path / "other", partitions=2, valid=0.1, test=0.1)
    assert other.fingerprint not in prints


@pytest.mark.parametrize("repeats", [None, "count"])
def test_what_is_held_out(tmp_path: Path, repeats: str | None) -> None:
    write(shop(), tmp_path / "log.parquet")
    whole = Interactions.read(tmp_path / "log.parquet", repeats=repeats)
    given: dict[str, Any] = {"partitions": 3, "valid": 0.1, "test": 0.3, "repeats": repeats}
    made = tm.prepare(tmp_path / "log.parquet", tmp_path / "a", seed=1, **given)
    again = tm.prepare(tmp_path / "log.parquet", tmp_path / "b", seed=2, **given)
    assert made.fingerprint != again.fingerprint
    valid, test = (Interactions.read(tmp_path / "a" / name) for name in ("valid", "test"))
    assert len(made) + len(valid) + len(test) == len(whole)
    assert (valid.weights is not None) == (test.weights is not None) == (repeats == "count")
    share = len(test) / len(whole)
    assert abs(share - 0.3) < 0.04
    assert abs(len(valid) / len(whole) - 0.1) < 0.03
    pairs = {(u, i) for u, i, *_ in whole.to_frame().rows()}
    held = [{(u, i) for u, i, *_ in part.to_frame().rows()} for part in (valid, test)]
    left = whole.take(
        np.array([(u, i) not in held[0] | held[1] for u, i, *_ in whole.to_frame().rows()])
    )
    assert held[0] | held[1] <= pairs
    check_same(made, left.compact(), report=False)
    index = made.summary()["held_out"]
    assert index["valid"] == len(valid)
    assert index["test"] == len(test)


def test_users_and_items_that_are_only_held_out(tmp_path: Path) -> None:
    frame = pl.DataFrame({"user": range(500), "item": [0] * 300 + [*range(1, 201)]})
    write(frame, tmp_path / "log.parquet")
    made = tm.prepare(tmp_path / "log.parquet", tmp_path / "out", partitions=2, test=0.5)
    told = made.summary()["held_out"]
    assert told["users_without_other_pairs"] == told["test"] == 500 - made.n_users
    assert told["items_without_other_pairs"] == 201 - made.n_items > 0
    assert "users with held-out pairs only" in "".join(made.held_out_lines())


@pytest.mark.slow
def test_other_processes_may_run_the_tasks(tmp_path: Path) -> None:
    write(shop(), tmp_path / "log.parquet")
    here = tm.prepare(tmp_path / "log.parquet", tmp_path / "here", partitions=3)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        there = tm.prepare(tmp_path / "log.parquet", tmp_path / "there", partitions=3, run=pool.map)
    assert there.fingerprint == here.fingerprint


def test_text_that_other_files_need(tmp_path: Path) -> None:
    """Ids are whole numbers in the first file, and text in another."""
    for name, rows in (("0", "1,7\n2,8"), ("1", "007,7\n2,9"), ("2", "3,7.0\n4,9.0")):
        (tmp_path / f"{name}.csv").write_text(f"user,item\n{rows}\n")
    with in_small_steps():
        made = tm.prepare(tmp_path / "*.csv", tmp_path / "out", partitions=2)
    check_same(made, Interactions.read(tmp_path / "*.csv"))
    assert made.summary()["ids"] == {"user": "str", "item": "str"}


def test_hive_folders_and_the_command(tmp_path: Path) -> None:
    for day in ("1", "2"):
        (tmp_path / "log" / f"day={day}").mkdir(parents=True)
        write(shop()[: 1500 * int(day)], tmp_path / "log" / f"day={day}" / "a.parquet")
    given = ("data", "prepare", "log", "--partitions", "2", "--item-column", "day")
    given += ("--valid", ".3", "--test", ".2")
    told = document(*given, "--out", "out", cwd=tmp_path)
    assert told["items"] == 2
    assert told["ids"]["item"] == "str"
    assert told == document("data", "inspect", "out", cwd=tmp_path)
    done("fit", "out/valid", "--model", "popularity", "--out", "m", cwd=tmp_path)
    done("evaluate", "m", "--test", "out/test", cwd=tmp_path)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("7,8\n" * 3 + "9,8\n10,11\n" * 40, {"header": False, "user": 1, "item": "2"}),
        ("user;item\r\n" + "7;8\r\n9;8\r\n\r\n10;x\r\n" * 40, {}),
        ("sep=|\n\nuser|item\n" + "7|8\n9|8\n|\n10|x\n" * 40, {}),
        ("\ufeffuser\titem\n" + "7\t8\nä\t8\n10\t日\n" * 40 + "1\t2", {}),
        ("user,item\n" + '7,8\n"a,b",8\n10,x\n' * 40, {}),
        ("user::item\n" + "7::8\n9::8\n10::x\n" * 40, {"separator": "::"}),
    ],
)
def test_text_in_blocks(tmp_path: Path, text: str, options: dict[str, Any]) -> None:
    (tmp_path / "log.csv").write_bytes(text.encode())
    whole = Interactions.read(tmp_path / "log.csv", **options)
    with in_small_steps():
        made = tm.prepare(tmp_path / "log.csv", tmp_path / "out", partitions=2, **options)
    check_same(made, whole)


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_file_without_rows_among_others(tmp_path: Path, ending: str) -> None:
    for n, frame in enumerate((shop()[:0], shop(), shop()[:0])):
        write(frame, tmp_path / f"{n}.{ending}")
    with in_small_steps(1000):
        made = tm.prepare(tmp_path / f"*.{ending}", tmp_path / "out", partitions=2)
    check_same(made, Interactions.read(tmp_path / f"*.{ending}"))
    with pytest.raises(tm.errors.DataError, match="has no rows"):
        tm.prepare(tmp_path / f"0.{ending}", tmp_path / "none", partitions=2)
    assert not (tmp_path / "none").exists()
