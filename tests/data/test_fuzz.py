"""Readers given anything answer with interactions that hold together, or with a DataError."""

import gzip
import io
import json
import string

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trimetric.data import Interactions
from trimetric.errors import DataError

SLOW = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=150)
NAMES = ["t.csv", "t.tsv", "t.jsonl", "t.csv.gz", "t.parquet"]
ODD = ["", "nan", "inf", "-1", "007", "4.5", "é", '"', '"a,b"', "1e400", "2020-01-01"]
FIELD = st.one_of(
    st.integers(-(2**65), 2**65).map(str),
    st.text(string.printable, max_size=6),
    st.sampled_from(
        ["", "nan", "inf", "-1", "007", "4.5", "é", '"', '"a,b"', "1e400", "2020-01-01"]
    ),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


def read(folder, name, content, **rules):
    path = folder / name
    path.write_bytes(content)
    try:
        data = Interactions.read(path, **rules)
    except DataError as error:
        data, message = None, str(error)
    if data is None:
        assert name in message
    else:
        check(data)


def check(data):
    assert len(data) > 0
    key = data.users.astype(np.int64) * data.n_items + data.items
    assert (np.diff(key) > 0).all()
    assert np.unique(data.users).tolist() == list(range(data.n_users))
    assert np.unique(data.items).tolist() == list(range(data.n_items))
    assert data.user_ids.values.is_sorted()
    if data.ratings is not None:
        assert np.isfinite(data.ratings).all()


@SLOW
@given(content=st.binary(max_size=300), name=st.sampled_from(NAMES), head=st.booleans())
def test_random_bytes(folder, content, name, head):
    content = b"user,item,rating\n" + content if head else content
    read(folder, name, content)


@SLOW
@given(
    table=st.lists(st.lists(FIELD, min_size=2, max_size=4), max_size=8),
    name=st.sampled_from(NAMES[:2]),
    nulls=st.sampled_from(["error", "drop"]),
    min_rating=st.none() | st.floats(-1, 5),
)
def test_random_tables(folder, table, name, nulls, min_rating):
    separator = "," if name == "t.csv" else "\t"
    lines = [separator.join(row) for row in [["user", "item", "rating"], *table]]
    read(folder, name, "\n".join(lines).encode(), nulls=nulls, min_rating=min_rating)


KEYS = st.sampled_from(["user", "item", "rating"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)


@SLOW
@given(
    rows=st.lists(st.dictionaries(st.sampled_from(["user", "item", "rating"]), JSON), max_size=5)
)
def test_random_objects(folder, rows):
    read(folder, "t.jsonl", "\n".join(json.dumps(row) for row in rows).encode(), nulls="drop")


def packed(form):
    table = pl.DataFrame({"user": range(300), "item": [f"i{n % 17}" for n in range(300)]})
    if form == "t.csv.gz":
        return gzip.compress(table.write_csv().encode(), mtime=0)
    stream = io.BytesIO()
    table.write_parquet(stream)
    return stream.getvalue()


PACKED = {name: packed(name) for name in ("t.csv.gz", "t.parquet")}


@SLOW
@given(data=st.data(), name=st.sampled_from(list(PACKED)))
def test_flipped_and_cut_bytes(folder, data, name):
    content = bytearray(PACKED[name])
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    read(folder, name, bytes(content[: data.draw(st.integers(0, len(content)))]))


IDS = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20),
    st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=20),
)


@SLOW
@given(ids=IDS, form=st.sampled_from(["t.csv", "t.jsonl", "t.parquet", "frame"]))
def test_ids_come_back(folder, ids, form):
    frame = pl.DataFrame({"user": ids, "item": [f"i{n}" for n in range(len(ids))]})
    path = folder / form
    if form == "t.csv":
        frame.write_csv(path, quote_style="always")
    elif form == "t.jsonl":
        frame.write_ndjson(path)
    elif form == "t.parquet":
        frame.write_parquet(path)
    data = Interactions.from_frame(frame) if form == "frame" else Interactions.read(path)
    back = dict(zip(data.to_frame()["item"], data.to_frame()["user"], strict=True))
    found = [back[f"i{n}"] for n in range(len(ids))]
    assert list(map(str, found)) == list(map(str, ids))
    if form != "t.csv" or isinstance(ids[0], int):
        assert found == ids
