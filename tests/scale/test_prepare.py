"""A log prepared in files is what the same files are when read into memory and divided."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import polars as pl
import pytest
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
    files = [frame[a:b] for a, b in zip(bounds, bounds[1:], strict=False)]
    if ending == ".jsonl":  # an empty file has no columns, and one of nulls no kinds
        files = [one for one in files if all(one[c].drop_nulls().len() for c in ("user", "item"))]
    return files, options, ending


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
    try:
        with steps():
            prepared = tm.prepare(folder, folder / "out", partitions=partitions, **options)
    except tm.errors.ParameterError as error:
        event("too many parts")
        assert "partitions must be at most" in str(error)
        assert partitions > min(whole.n_users, whole.n_items)
        assert not (folder / "out").exists()
        return
    event(f"same, {ending}")
    check_same(prepared, whole)
    check_same(pickle.loads(pickle.dumps(prepared)), whole)
